"""Enclosure against answer: inside, outside, undecided or errored, in one readable sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from oracles.harness.arithmetic.enclosure import Enclosure, holds
from oracles.harness.arithmetic.formats import SMALLEST, FloatArray, WideArray
from oracles.harness.cases.case import Case, dtype_of
from oracles.harness.oracle import Balls, Enclosures, Oracle
from oracles.harness.subjects.subject import Answer, Subject, SubjectError
from oracles.rule import Convention

INSIDE = "inside"
OUTSIDE = "outside"
UNDECIDED = "undecided"
ERRORED = "errored"


class Vacuous(AssertionError):
    """A check passed, or would pass, without having shown anything."""


class Fault(NamedTuple):
    """What is wrong, as all questions that meet it name it.

    Attributes:
        what: the question whose numbers are off, an error, or a promise.
        loop: whose numbers they are; empty where it is no matter of numbers.
    """

    what: str
    loop: str = ""

    def __str__(self) -> str:
        return f"{self.what}, {self.loop}" if self.loop else self.what


@dataclass(frozen=True)
class Verdict:
    """What is to be said of one subject on one case.

    >>> Verdict(INSIDE).failed, Verdict(UNDECIDED).failed, Verdict(OUTSIDE).failed
    (False, False, True)

    Attributes:
        outcome: ``inside``; ``outside``; ``undecided`` if the enclosure decides no element at all;
            ``errored`` if the subject raised. Single undecided elements are left out and counted.
        explain: tells what a person can act on, if it failed; it tries all conventions, which costs
            more than the verdict, so :attr:`sentence` asks it only when it is read.
        elements: element-steps compared.
        undecided: element-steps about which the enclosure says nothing, because the result
            depends on how a path rounds near overflow.
        moved: parameter element-steps that the rule moves.
        below_radius: those that move by less than their radius, so that they prove little.
        share: the largest ``|answer - midpoint| / radius``.
        separation: of the case, where two conventions were to be told apart.
        measured: whether some radius rests on a measurement instead of a derivation.
        edge: whether the case lies at the edge of the formats, where much hangs on a rounding.
        wrong: what was raised or which promise was broken; empty where numbers are outside.
        fault: names the fault, if it failed, where other questions may meet the same. It asks the
            subject again, which no case that is tried while shrinking needs.
    """

    outcome: str
    explain: Callable[[], str] = str
    elements: int = 0
    undecided: int = 0
    moved: int = 0
    below_radius: int = 0
    share: float = 0.0
    separation: float | None = None
    measured: bool = False
    edge: bool = False
    wrong: str = ""
    fault: Callable[[], Fault | None] = lambda: None

    @property
    def failed(self) -> bool:
        """Whether the subject is to blame for something."""
        return self.outcome in (OUTSIDE, ERRORED)

    @cached_property
    def sentence(self) -> str:
        """What a person can act on, if it failed; empty otherwise."""
        return self.explain()


def inside(elements: int, undecided: int = 0, **more: Any) -> Verdict:
    """Of whoever strays nowhere; nothing is decided where the enclosure decides no element.

    >>> inside(2, 1).outcome, inside(2, 2).outcome
    ('inside', 'undecided')
    """
    outcome = UNDECIDED if 0 < undecided == elements else INSIDE
    return Verdict(outcome, elements=elements, undecided=undecided, **more)


def held(balls: Iterable[Enclosure], **more: Any) -> Verdict:
    """Of numbers that are all in their balls, of which those of infinite radius decide nothing."""
    unknown = [np.ravel(ball.unknown) for ball in balls]
    return inside(sum(map(len, unknown)), sum(int(np.count_nonzero(u)) for u in unknown), **more)


def judge(oracle: Oracle, subject: Subject, answer: Answer) -> Verdict:
    """Hold an answer against torch's convention, parameters and buffers at every step."""
    enclosures = oracle(tensors=subject.tensors)
    row = enclosures.row(subject.dtype)
    wrong = _presence_differs(enclosures, answer)
    elements = undecided = 0
    share = 0.0
    for _, balls, values in compared(enclosures, answer):
        elements += values.size
        fits, used = _measure(balls, row, values)
        share = max(share, used)
        if not fits:
            mid, rad = balls.mid[row], balls.rad[row]
            undecided += int(np.count_nonzero(np.isinf(rad)))
            wrong = wrong or not holds(mid, rad, values).all()
    told: dict[str, Any] = {
        "elements": elements,
        "undecided": undecided,
        "share": share,
        "measured": oracle.measured,
        "edge": oracle.case.edge,
    }
    if wrong:
        return Verdict(OUTSIDE, partial(_explain, oracle, subject, answer), **told)
    moved, below_radius = enclosures.moves[row]
    return inside(moved=moved, below_radius=below_radius, **told)


@np.errstate(invalid="ignore", over="ignore")
def _measure(balls: Balls, row: int, values: FloatArray) -> tuple[bool, float]:
    """Whether everything is finite and inside, and the largest share of a radius that was used."""
    shares = values - balls.mid[row]
    np.abs(shares, out=shares)
    shares /= balls.divisor[row]
    largest = shares.max(initial=0.0)
    # A nan compares false: definite infinities and nans take the slow way.
    if largest <= 1 and balls.bounded[row]:
        return True, float(largest)
    rad = balls.rad[row]
    usable = np.isfinite(shares) & np.isfinite(rad) & (rad > 0)
    return False, float(shares[usable].max(initial=0.0))


def errored(case: Case, subject: Subject, error: SubjectError) -> Verdict:
    """The subject raised instead of answering."""
    return _told(case, subject, f"raised {error}", ERRORED)


def broken(case: Case, subject: Subject, promise: str) -> Verdict:
    """The subject broke a promise that is not about values inside a radius."""
    return _told(case, subject, promise, OUTSIDE)


def _told(case: Case, subject: Subject, wrong: str, outcome: str) -> Verdict:
    return Verdict(outcome, lambda: f"{subject.place} {wrong}; {describe(case)}", wrong=wrong)


def fits(oracle: Oracle, subject: Subject, answer: Answer) -> list[str]:
    """Names of the conventions whose enclosure holds the whole answer."""
    return [c.name for c in oracle.rule.conventions if fit(oracle, c, subject, answer)]


def fit(oracle: Oracle, convention: Convention, subject: Subject, answer: Answer) -> bool:
    """Whether a convention's enclosure holds the whole answer, parameters and buffers."""
    enclosures = oracle(convention, subject.tensors)
    row = enclosures.row(subject.dtype)
    return not _presence_differs(enclosures, answer) and all(
        holds(balls.mid[row], balls.rad[row], values).all()
        for _, balls, values in compared(enclosures, answer)
    )


def separation(one: Enclosures, other: Enclosures, precision: str) -> float:
    """How far two conventions are apart on a case: ``max |mid - mid'| / (rad + rad')``.

    Above 1 the enclosures are disjoint somewhere, which proves the conventions differ. Only
    parameters count: a buffer may hold the same thing in other units.

    >>> from oracles import RULES
    >>> from oracles.harness.cases.case import single
    >>> rule = RULES["SGD"]
    >>> for decay in (0.0, 0.5):  # without decay it does not matter what decay means
    ...     case = single([1.0], [[1.0]], rule.hyper(lr=0.5, weight_decay=decay, batch_size=2))
    ...     oracle = Oracle(rule, case)
    ...     print(separation(oracle(), oracle(rule.convention("batch_scaled")), "float32") > 1)
    False
    True
    """
    row = one.row(precision)
    a, b = one.parameters, other.parameters
    reach = a.rad[row] + b.rad[row]
    apart = np.abs(a.mid[row] - b.mid[row])
    usable = np.isfinite(apart) & np.isfinite(reach) & (apart > 0)
    return float((apart[usable] / np.maximum(reach[usable], SMALLEST)).max(initial=0.0))


def describe(case: Case, number: int = 0, step: int = 0) -> str:
    """The hyperparameters one parameter saw at a step, in the order torch documents them."""
    h = case.group_of(number).schedule[step]._asdict() if case.parameters else {}
    return " ".join(f"{name}={value!r}" for name, value in h.items())


def compared(enclosures: Enclosures, answer: Answer) -> Iterator[tuple[str, Balls, FloatArray]]:
    """Name, enclosure and answer of the parameters and of each buffer."""
    yield "parameter", enclosures.parameters, answer.parameters
    for name in enclosures.buffered:
        yield name, enclosures.states[name], answer.states[name]


def _presence_differs(enclosures: Enclosures, answer: Answer) -> bool:
    """Whether some buffer exists where the rule has none, or the other way round."""
    return any(
        not np.array_equal(present, answer.present[name])
        for name, present in enclosures.present.items()
    )


def _explain(oracle: Oracle, subject: Subject, answer: Answer) -> str:
    """Name the first step at which something is wrong and, there, the element furthest off."""
    known = fits(oracle, subject, answer)
    end = f"on this case the values fit {', '.join(known)}" if known else "no known convention fits"
    off = _presence_off(oracle, subject, answer) or _values_off(oracle, subject, answer)
    return f"{subject.place} {off}; {end}"


def _presence_off(oracle: Oracle, subject: Subject, answer: Answer) -> str:
    """The first buffer that is there and should not be, or the other way round; empty for none."""
    for name, present in oracle(tensors=subject.tensors).present.items():
        differs = present != answer.present[name]
        if differs.any():
            step, element = (int(i) for i in np.argwhere(differs)[0])
            number, _ = oracle.case.locate(element)
            expected = name if present[step, element] else f"no {name}"
            return (
                f"after step {step + 1}, parameter {number}: {expected} expected; "
                f"{describe(oracle.case, number, step)}"
            )
    return ""


def _values_off(oracle: Oracle, subject: Subject, answer: Answer) -> str:
    """The element furthest off at the first step at which one is, in the first that has any."""
    case, enclosures = oracle.case, oracle(tensors=subject.tensors)
    row = enclosures.row(subject.dtype)
    first: tuple[int, str] | None = None
    for name, balls, values in compared(enclosures, answer):
        mid, rad = balls.mid[row], balls.rad[row]
        bad = ~holds(mid, rad, values)
        if not bad.any():
            continue
        step = int(np.argwhere(bad.any(axis=1))[0][0])
        off = _radii_off(mid[step], rad[step], values[step])
        element = int(np.argmax(np.where(bad[step], off, -1)))
        if first is None or step < first[0]:
            number, index = case.locate(element)
            place = f"{name} of parameter {number}" if name != "parameter" else f"{name} {number}"
            ball = f"{mid[step, element]:.10g} ± {rad[step, element]:.2g}"
            if name == "parameter" and oracle.measures(number, step):
                ball += " (measured, not derived)"
            at = f"step {step + 1}, {place}{list(index) if index else ''}"
            text = (
                f"at {at} ({dtype_of(subject.dtype, number)}): expected {ball}, "
                f"got {values[step, element]:.10g}, {off[element]:.3g} radii off; "
                f"{describe(case, number, step)}"
            )
            first = (step, text)
    assert first is not None
    return first[1]


def _radii_off(mid: WideArray, rad: WideArray, values: FloatArray) -> NDArray[Any]:
    with np.errstate(invalid="ignore", divide="ignore"):
        off = np.abs(values - mid) / rad
    return np.where(np.isnan(off), np.inf, off)
