"""Soak: ask for minutes or hours, at a price close to that of the optimizer's own steps.

Hypothesis draws small cases one at a time and shrinks what fails. Here one call of NumPy's
generator gives the bytes of a batch of cases with long parameters; each case is asked in every
dtype and on every path, and the oracle's one evaluation is shared by them all. When a subject
fails, Hypothesis comes back: it searches the *simplifications* of that one case (a window of a
parameter, fewer steps, rounder numbers) for the smallest that still fails, and keeps both in an
example database, if there is one, from which they are asked again first.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any, TypeVar

import numpy as np
from hypothesis import Phase, find, settings
from hypothesis import strategies as st
from hypothesis.database import ExampleDatabase
from hypothesis.errors import NoSuchExample

from oracles.harness.arithmetic.enclosure import holds
from oracles.harness.arithmetic.formats import FloatArray
from oracles.harness.cases.case import Case, Group, Parameter
from oracles.harness.cases.choices import STRUCTURE, Choices
from oracles.harness.cases.strategies import long_case
from oracles.harness.checks.check import Check
from oracles.harness.checks.values import agreement
from oracles.harness.oracle import Oracle
from oracles.harness.runs.asking import examine
from oracles.harness.runs.runner import Refuted, Report
from oracles.harness.runs.tally import Tally, count_decided, vacuities
from oracles.harness.subjects.subject import SteppedSubject, Subject, SubjectError
from oracles.harness.verdict import Vacuous, compared
from oracles.rule import Rule

T = TypeVar("T")

BATCH = 16
"""Cases drawn by one call of the generator."""

WIDTH = STRUCTURE + 2 * 1024
"""Bytes of one case: its decisions, and codes enough that arrays seldom share one."""

PHASES = (Phase.reuse, Phase.generate, Phase.shrink)

CHECK = Check("soak", cases=lambda rule: st.nothing(), ask=agreement)
EDGE_CHECK = replace(CHECK, name="soak at the edge")


@dataclass(frozen=True)
class Stint:
    """Some cases of a seed, which are asked one after the other.

    Attributes:
        rule: by its name.
        seed: of the generator.
        first: the number of the first of them.
        cases: how many.
    """

    rule: str
    seed: int
    first: int = 0
    cases: float = math.inf

    def only(self, number: int) -> Stint:
        """One case of it."""
        return replace(self, first=number, cases=1)

    @property
    def key(self) -> bytes:
        """Under which a database keeps the simplest form of its first case."""
        return f"{home(self.rule)}, case {self.first} of seed {self.seed}".encode()


def home(rule: str) -> str:
    """Under which a database keeps the failures of a rule's subjects."""
    return f"oracles soak {rule}"


def kept(rule: str, database: ExampleDatabase) -> Iterator[Stint]:
    """Cases that have failed before."""
    for value in sorted(database.fetch(home(rule).encode())):
        seed, number = value.split()
        yield Stint(rule, int(seed), int(number), 1)


def soak(
    rule: Rule,
    subjects: Sequence[SteppedSubject],
    tally: Tally,
    *,
    seconds: float = math.inf,
    cases: float = math.inf,
    seed: int = 0,
    database: ExampleDatabase | None = None,
) -> int:
    """Ask all subjects until ``seconds`` have passed or ``cases`` have been asked.

    Args:
        rule: whose oracle is asked.
        subjects: who is asked; each case is asked of all of them.
        tally: where the verdicts are counted.
        seconds, cases: when to stop; at least one must be finite.
        seed: of the generator; the same seed draws the same cases.
        database: what has failed is kept there, and what is there is asked first.

    Returns:
        The number of verdicts, all of them good.

    Raises:
        Refuted: a subject failed; the message is about the shrunk case and says how to draw the
            original again.
        Vacuous: too many elements were undecided, or had radii wider than their moves.
    """
    if math.isinf(seconds) and math.isinf(cases):
        raise ValueError("seconds and cases are both infinite; give one of them")
    end = time.monotonic() + seconds
    seen = Tally()
    again = kept(rule.name, database) if database else ()
    try:
        for stint in (*again, Stint(rule.name, seed, cases=cases)):
            work(rule, subjects, stint, seen, until=end, database=database)
    finally:
        tally.merge(seen)
    return judged(seen)


def work(
    rule: Rule,
    subjects: Sequence[SteppedSubject],
    stint: Stint,
    tally: Tally,
    *,
    until: float = math.inf,
    database: ExampleDatabase | None = None,
) -> None:
    """Ask the cases of a stint.

    Raises:
        Refuted: a subject failed; the message is about the shrunk case and says how to draw the
            original again.
    """
    drawn = islice(endless(rule, stint.seed), stint.first, None)
    for number, case in enumerate(drawn, stint.first):
        if number >= stint.first + stint.cases or time.monotonic() >= until:
            return
        check = EDGE_CHECK if case.edge else CHECK
        failures = examine(check, subjects, Oracle(rule, case), tally)
        if not failures:
            continue
        search = partial(_search, database, stint.only(number).key)
        if database:
            database.save(home(stint.rule).encode(), f"{stint.seed} {number}".encode())
        told = _shrunk(check, rule, subjects, case, search) or (
            f"{Report(failures)}\nand not when asked again\n{_spelled(case)}"
        )
        raise Refuted(f"{told}\n(case {number} of seed={stint.seed})")


def judged(seen: Tally) -> int:
    """The number of verdicts of all that was asked, of which none failed.

    Raises:
        Vacuous: too many elements were undecided, or had radii wider than their moves.
    """
    if doubts := vacuities(seen):
        raise Vacuous("; ".join(doubts))
    return count_decided(CHECK.name, seen)


def endless(rule: Rule, seed: int) -> Iterator[Case]:
    """All cases of a seed, a batch at a time."""
    rng = np.random.Generator(np.random.PCG64(seed))
    while True:
        raw = rng.bytes(BATCH * WIDTH)
        for start in range(0, len(raw), WIDTH):
            yield long_case(Choices(raw[start : start + WIDTH]), rule)


Search = Callable[[int, Callable[[bytes], bool]], bytes | None]
"""``(size, holds) -> bytes``: the simplest of that many for which something holds."""


def _search(
    database: ExampleDatabase | None, key: bytes, size: int, holds: Callable[[bytes], bool]
) -> bytes | None:
    """Hypothesis's; it begins with what is in a database."""
    try:
        return find(
            st.binary(min_size=size, max_size=size),
            holds,
            settings=settings(
                database=database,
                derandomize=database is None,  # Hypothesis has either
                deadline=None,
                phases=PHASES,
            ),
            database_key=key + b", %d decisions" % size,
        )
    except NoSuchExample:
        return None


def _shrunk(
    check: Check, rule: Rule, subjects: Sequence[SteppedSubject], case: Case, search: Search
) -> str:
    """The sentences of all subjects that fail the smallest case the first of them fails.

    Nothing if none fails when it is asked again.
    """

    def fails(subject: SteppedSubject, case: Case) -> bool:
        return bool(examine(check, [subject], Oracle(rule, case), Tally()))

    first = next((subject for subject in subjects if fails(subject, case)), None)
    if first is None:
        return ""
    culprit = find_culprit(Oracle(rule, case), first)

    def first_fails(simpler: Case) -> bool:
        return fails(first, replace(simpler, precisions=(first.dtype,)))

    smallest = (
        _smallest(rule, *_alone(case, culprit), first_fails, search)
        or _smallest(rule, case, culprit, first_fails, search)
        or case
    )
    failures = examine(check, subjects, Oracle(rule, smallest), Tally())
    return f"{Report(failures)}\n{_spelled(smallest)}" if failures else ""


def _smallest(
    rule: Rule, case: Case, culprit: int, fails: Callable[[Case], bool], search: Search
) -> Case | None:
    """The smallest simplification that fails, or None if none was found, not even the case."""
    taken = search(decisions(case), lambda taken: fails(simplified(rule, case, culprit, taken)))
    return None if taken is None else simplified(rule, case, culprit, taken)


def _spelled(case: Case) -> str:
    """The arrays of a case, a line for each parameter; its sentence has the hyperparameters."""
    return "\n".join(
        f"parameter {i}, {p.layout} {list(p.initial.shape)}: {_text(p.initial)}; "
        f"gradients {', '.join(_text(g) for g in p.gradients)}"
        for i, p in enumerate(case.parameters)
    )


def _text(values: FloatArray | None) -> str:
    return "None" if values is None else np.array2string(values.ravel(), threshold=8)


def find_culprit(oracle: Oracle, subject: Subject) -> int:
    """The first element outside, in the end-to-end layout; 0 if the subject did not answer."""
    enclosures = oracle(tensors=subject.tensors)
    row = enclosures.row(subject.dtype)
    try:
        answer = subject.ask(oracle.case)
    except SubjectError:  # which is why it failed; any element may be the one
        return 0
    inside = [
        holds(balls.mid[row], balls.rad[row], values).all(axis=0)
        for _, balls, values in compared(enclosures, answer)
    ]
    return int(np.argmin(np.all(inside, axis=0)))


def _alone(case: Case, culprit: int) -> tuple[Case, int]:
    """The case of the culprit's parameter alone, and where the culprit is in it."""
    number, _ = case.locate(culprit)
    group = replace(case.group_of(number), parameters=(case.parameters[number],))
    return replace(case, groups=(group,)), culprit - case.offsets[number]


def simplified(rule: Rule, case: Case, culprit: int, taken: bytes) -> Case:
    """What a string of decisions makes of a case of one group.

    Each decision is one byte, read as an index that stops at the last option. Options go from the
    simplest to the original, so a byte drawn at random almost surely takes the original, and
    shrinking a byte simplifies.

    Args:
        rule: says which hyperparameters are special.
        case: the original.
        culprit: the element that is kept when the others go.
        taken: as many decisions as :func:`decisions` counts.
    """
    (group,) = case.groups
    number, _ = case.locate(culprit)
    rest = iter(taken)

    def decide(options: Sequence[T]) -> T:
        return options[min(next(rest), len(options) - 1)]

    steps = decide(range(1, case.steps + 1))
    columns = zip(rule.hyper()._fields, *group.schedule[:steps], strict=True)
    simpler = [decide(_columns(rule, name, tuple(values))) for name, *values in columns]
    schedule = tuple(
        rule.drawing.nearest_allowed(rule.hyper(*row)) for row in zip(*simpler, strict=True)
    )
    members = []
    for i, p in enumerate(group.parameters):
        # Every decision is taken, needed or not, so that none shifts the meaning of another.
        kept = decide((False, True)) or i == number
        view = decide(_views(p.initial.shape, culprit - case.offsets[i] if i == number else 0))
        layouts = decide((("contiguous", "contiguous"), (p.layout, p.gradient_layout)))
        initial = decide(ROUNDINGS)(view(p.initial))
        gradients = [None if g is None else decide(ROUNDINGS)(view(g)) for g in p.gradients]
        if kept:
            members.append(Parameter(initial, tuple(gradients[:steps]), *layouts))
    return Case((Group(tuple(members), schedule),), case.precisions, case.edge)


def decisions(case: Case) -> int:
    """A bound on how many decisions a simplification takes."""
    return 1 + len(case.groups[0].schedule[0]) + (case.steps + 4) * len(case.parameters)


def _columns(rule: Rule, name: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """One hyperparameter at every step, from its special values, or its default, to the original.

    On the way it has one digit, if it is a number.
    """
    constants = [getattr(rule.hyper(), name)]
    if name in rule.drawing.domains:
        first = values[0]
        short = [float(f"{first:.0e}")] if isinstance(first, int | float) else []
        constants = [*rule.drawing.domains[name].special, *short, first]
    return [*((value,) * len(values) for value in constants), values]


def _views(shape: tuple[int, ...], at: int) -> list[Callable[[FloatArray], FloatArray]]:
    """Ways to cut a parameter: windows around an element, a corner, and the whole of it."""
    total = math.prod(shape)
    lengths = [n for n in (1, 2, 3, 4, *(2**k for k in range(3, 20))) if n < total]
    views: list[Callable[[FloatArray], FloatArray]] = [
        lambda a, n=n: a.ravel()[(start := min(at, total - n)) : start + n]  # type: ignore[misc]
        for n in lengths
    ]
    if len(shape) > 1:
        views.append(lambda a: a[(slice(2),) * len(shape)])
    return [*views, lambda a: a]


_one_digit = np.vectorize(lambda value: float(f"{value:.0e}"), otypes=[np.float64])

ROUNDINGS: tuple[Callable[[FloatArray], FloatArray], ...] = (
    np.zeros_like,
    np.ones_like,
    np.rint,
    _one_digit,
    lambda values: values,
)
"""An array, from simple to the original."""
