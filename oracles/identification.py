"""identify: which rule does this code follow?

The code is asked cases in which what it may follow differs, in float64. A candidate (a rule with
any conventions that can be combined) is out as soon as one answer leaves its margin, which holds
every text of it (:class:`~oracles.harness.oracle.Margin`). What is left at the end is the answer:
one candidate; several, if no setting of this code tells them apart; or none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from oracles.drawing import Hyper, Range
from oracles.harness.arithmetic.enclosure import holds
from oracles.harness.arithmetic.formats import FloatArray
from oracles.harness.candidates import Candidate, candidates
from oracles.harness.cases.case import Case, Group, Parameter
from oracles.harness.oracle import Margin, Oracle
from oracles.harness.subjects.blackbox import BlackBox
from oracles.harness.subjects.subject import SubjectError
from oracles.optimizers.registry import RULES
from oracles.rule import Rule

ROUNDINGS = 16
"""How many roundings a text may make where a rule's own makes one. Rules that differ do so by parts
of the numbers themselves, which in float64 is ten orders of magnitude more."""

MARGINS = (Margin(ROUNDINGS), Margin(ROUNDINGS, scalars="float32"))
"""The narrower one first: who is inside it needs no wider one. JAX and MLX keep scalars in
float32."""

SHAPES = ((3,), (2, 3))
"""A vector and a matrix: what is decayed may hang on that."""

ROWS = 7
"""The batch size, where a code asks for it: no power of two, and not 1."""


@dataclass(frozen=True)
class Setting:
    """One case that is asked, and what it was made for."""

    what: str
    case: Case


def settings(rule: Rule, takes: frozenset[str], seed: int = 0) -> Iterator[Setting]:
    """Cases of a rule that use what a code takes: all at once, and with each thing left out.

    Values are those between which conventions are told apart (``rule.drawing.full``), away from the
    edges of the formats and from special values, and the learning rate changes.

    >>> from oracles.optimizers.registry import RULES
    >>> [setting.what for setting in settings(RULES["SGD"], frozenset({"lr", "weight_decay"}))]
    ['all', 'weight_decay=0']
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    default = rule.hyper()
    spans = {name: span for name, span in rule.drawing.full.hyper.items() if name in takes}
    flags = [n for n, v in default._asdict().items() if isinstance(v, bool) and n in takes]
    steps = max(rule.drawing.steps, default=4)

    def setting(what: str, off: str = "", on: str = "") -> Setting:
        values: dict[str, Any] = {n: 0.0 if n == off else _within(s, rng) for n, s in spans.items()}
        values |= {name: name == on for name in flags}
        values |= {"batch_size": ROWS} if "batch_size" in takes else {}
        h = _allowed(rule, default._replace(**values), spans)
        return Setting(what, _case(rule, h, steps, rng))

    yield setting("all")
    for name in spans:
        if name != "lr" and rule.constraint(default._replace(**{name: 0.0})) is None:
            yield setting(f"{name}=0", off=name)
    for flag in flags:
        yield setting(f"{flag}=True", on=flag)


@lru_cache(maxsize=64)
def questions(rule: Rule, takes: frozenset[str]) -> tuple[tuple[Case, dict[Margin, Oracle]], ...]:
    """The cases of :func:`settings`, with the oracle in each margin.

    Whoever takes the same hyperparameters is asked the same, and what a candidate's margin holds
    does not hang on who is asked.
    """
    cases = [setting.case for setting in settings(rule, takes)]
    return tuple((case, {m: Oracle(rule, case, margin=m) for m in MARGINS}) for case in cases)


def _allowed(rule: Rule, h: Hyper, names: Iterable[str]) -> Hyper:
    """Without whatever the rule does not allow beside the rest."""
    for name in names:
        if rule.constraint(h) is not None and rule.constraint(h._replace(**{name: 0.0})) is None:
            h = h._replace(**{name: 0.0})
    return h


def _within(span: Range, rng: np.random.Generator) -> float:
    low, high = span
    return float(low * (high / low) ** rng.random())


def _case(rule: Rule, h: Hyper, steps: int, rng: np.random.Generator) -> Case:
    def array(span: Range, shape: tuple[int, ...]) -> FloatArray:
        signs: FloatArray = rng.choice([-1.0, 1.0], shape)
        return signs * rng.uniform(*span, shape)

    spans = rule.drawing.full
    members = tuple(
        Parameter(array(spans.w, shape), tuple(array(spans.g, shape) for _ in range(steps)))
        for shape in (rule.drawing.shapes[:2] or SHAPES)
    )
    schedule = tuple(h._replace(lr=h.lr * (1, 0.5, 0.75)[t % 3]) for t in range(steps))
    return Case((Group(members, schedule),), ("float64",))


@dataclass(frozen=True)
class Identification:
    """What a piece of code follows.

    Attributes:
        name: of the code.
        fits: the candidates that hold all its answers, the simplest ones of them.
        ruled_out: how many candidates some answer excluded.
        ignores: hyperparameters of what fits that the code takes and makes nothing of.
        scalars: what hyperparameters are kept in, as far as answers tell.
    """

    name: str
    fits: tuple[Candidate, ...]
    ruled_out: int
    ignores: frozenset[str] = frozenset()
    scalars: str = "float64"

    def __str__(self) -> str:
        if not self.fits:
            return f"{self.name} follows no known rule ({self.ruled_out:,} were ruled out)"
        without = f", ignoring {', '.join(sorted(self.ignores))}" if self.ignores else ""
        return f"{self.name} follows {' or '.join(map(str, self.fits))}{without}"


def identify(box: BlackBox, rules: Sequence[Rule] | None = None) -> Identification:
    """Find what the code follows, among the given rules or all.

    >>> from oracles.harness.subjects.blackbox import Function
    >>> def step(params, grads, state, lr, wd):
    ...     return [w * (1 - lr * wd) - lr * g for w, g in zip(params, grads)]
    >>> print(identify(Function(step)))
    step follows SGD's coupled_unscaled
    """
    ruled_out = 0
    for ignored in attempts(box, tuple(rules or RULES.values())):
        for margin in MARGINS:
            found = [remaining(box, rule, margin, ignored[rule]) for rule in ignored]
            fits = simplest(candidate for left, _ in found for candidate in left)
            ruled_out = max(ruled_out, sum(out for _, out in found))
            if fits:
                without = ignored[fits[0].rule]
                return Identification(box.name, tuple(fits), ruled_out, without, margin.scalars)
    return Identification(box.name, (), ruled_out)


def attempts(box: BlackBox, rules: Sequence[Rule]) -> Iterator[dict[Rule, frozenset[str]]]:
    """For each rule what is not asked of the code: nothing at first, then what it ignores."""
    yield dict.fromkeys(rules, frozenset())
    ignored = {rule: insensitive(box, rule) for rule in rules}
    yield {rule: names for rule, names in ignored.items() if names}


def insensitive(box: BlackBox, rule: Rule) -> frozenset[str]:
    """The hyperparameters that a code takes and whose value changes no bit of its answers."""
    takes = box.takes(rule)
    case = next(settings(rule, takes)).case
    try:
        answer = box.run(rule, case)
        return frozenset(
            name
            for name in takes - {"lr"}
            if np.array_equal(box.run(rule, _changed(rule, case, name)), answer)
        )
    except SubjectError:
        return frozenset()


def _changed(rule: Rule, case: Case, name: str) -> Case:
    """The same case with another value of one hyperparameter."""
    (group,) = case.groups

    def other(h: Hyper) -> Hyper:
        value = getattr(h, name)
        if isinstance(value, bool):
            return h._replace(**{name: not value})
        return h._replace(**{name: value / 2 if value else 0.5})

    schedule = tuple(other(h) for h in group.schedule)
    if any(rule.constraint(h) for h in schedule):
        return case
    return replace(case, groups=(replace(group, schedule=schedule),))


def remaining(
    box: BlackBox, rule: Rule, margin: Margin, ignored: frozenset[str] = frozenset()
) -> tuple[list[Candidate], int]:
    """The candidates of a rule that hold all answers, and how many do not.

    Those whose margin left most elements open in every setting have no answer that speaks for them.
    """
    left = list(candidates(rule))
    total = len(left)
    spoken_for: set[Candidate] = set()
    for case, oracles in questions(rule, box.takes(rule) - ignored):
        try:
            answer = box.run(rule, case)
        except SubjectError:  # it does not take what this rule's settings are
            return [], total
        oracle = oracles[margin]
        left = [c for c in left if near(c, case, answer) and within(oracle, c, answer)]
        spoken_for |= {c for c in left if decided(oracle, c)}
        if not left:
            break
    left = [c for c in left if c in spoken_for]
    return left, total - len(left)


NEAR = 1e-3
"""How far an answer may be from the rule in plain float64, in terms of the parameters. No margin
that decides anything is as wide; this spares most candidates theirs, which take longer."""


@np.errstate(all="ignore")
def near(candidate: Candidate, case: Case, answer: FloatArray) -> bool:
    """Whether an answer is where the candidate's own text leads in float64, but for roundings."""
    if _far(first_move(candidate, case), answer[0]):
        return False
    for start, p in zip(case.offsets, case.parameters, strict=False):
        for (w, _), row in zip(_trajectory(candidate, case, p), answer, strict=True):
            if _far(w, row[start:]):
                return False
    return True


@lru_cache(maxsize=2**14)
def first_move(candidate: Candidate, case: Case) -> FloatArray:
    """The first parameter after one step, where most candidates have gone elsewhere already."""
    w, _ = next(_trajectory(candidate, case, case.parameters[0]))
    return np.asarray(w)


def _trajectory(candidate: Candidate, case: Case, p: Parameter) -> Iterator[tuple[Any, Any]]:
    """A parameter and its state after each step, in float64."""
    convention = candidate.convention
    decays, schedule = convention.decays(p.initial.ndim), case.groups[0].schedule
    return candidate.rule.run(convention, p.initial, p.gradients, schedule, decays=decays)


def _far(w: FloatArray, row: FloatArray) -> bool:
    """Whether the row that begins with a parameter's elements has it elsewhere."""
    off = np.abs(row[: w.size] - np.ravel(w))
    return bool((off > NEAR * np.abs(w).max()).any())


def within(oracle: Oracle, candidate: Candidate, answer: FloatArray) -> bool:
    """Whether an answer is within a candidate's margin, every element at every step."""
    balls = oracle(candidate.convention).parameters
    return bool(holds(balls.mid[0], balls.rad[0], answer).all())


def decided(oracle: Oracle, candidate: Candidate) -> bool:
    """Whether a candidate's margin says something of most elements."""
    known = np.isfinite(oracle(candidate.convention).parameters.rad[0])
    return bool(2 * known.sum() > known.size)


def simplest(left: Iterable[Candidate]) -> list[Candidate]:
    """Those with the fewest conventions: the others have some that no answer speaks for."""
    found = sorted(left, key=lambda candidate: len(candidate.conventions))
    return [c for c in found if len(c.conventions) == len(found[0].conventions)]
