"""What a candidate makes of each step of an observation, from what was there before that step.

Each step starts from the parameters that were observed, so that what rounding did in earlier steps
is no matter: a run of a thousand steps says as much as a thousand runs of one, and what is
remembered from step to step (moments, counters) is followed all the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from oracles.drawing import Hyper
from oracles.harness.arguments import Argument
from oracles.harness.arithmetic.enclosure import Enclosure, holds, quiet
from oracles.harness.arithmetic.formats import (
    HALF,
    FloatArray,
    Format,
    Wide,
    uniform,
)
from oracles.harness.candidates import Candidate
from oracles.harness.evidence.observation import Observation
from oracles.harness.oracle import Margin, exactly
from oracles.rule import Rule

Where = NDArray[np.intp] | slice
"""Which elements: a slice of those that are next to one another, which is found faster."""


@dataclass(frozen=True, eq=False)
class _Batch:
    """Elements that go through a rule as one array.

    Attributes:
        observation: whose they are.
        parameters: the numbers of those that it holds.
        where: their elements in the layout of the case.
        shape: of the array.
        decays: whether the candidate decays them.
    """

    observation: Observation
    parameters: tuple[int, ...]
    where: Where
    shape: tuple[int, ...]
    decays: bool


@lru_cache(maxsize=64)
def _batches(
    observation: Observation, decays: tuple[bool, ...], together: bool
) -> tuple[_Batch, ...]:
    """Parameters that are treated alike, end to end; each by itself if elements are not alone."""
    case = observation.case
    alike: dict[Any, list[int]] = defaultdict(list)
    for number, _, parameter in case.walk():
        pattern = tuple(g is None for g in parameter.gradients)
        alike[decays[number], pattern, None if together else number].append(number)
    found = []
    for (decayed, _, alone), numbers in alike.items():
        every = np.concatenate([np.arange(*case.offsets[n : n + 2]) for n in numbers])
        shape = every.shape if alone is None else case.parameters[alone].initial.shape
        adjacent = len(every) and every[-1] - every[0] == len(every) - 1
        where = slice(every[0], every[-1] + 1) if adjacent else every
        found.append(_Batch(observation, tuple(numbers), where, shape, decayed))
    return tuple(found)


@lru_cache(maxsize=256)
def _plain(batch: _Batch, rows: int) -> tuple[list[Any], list[Any]]:
    """Parameters before each step and gradients in float64, which all candidates share.

    In as many rows, so that what a rule remembers has them from its start.
    """
    known, gradients = _given(batch, None)
    if rows > 1:
        known = [np.broadcast_to(w, (rows, *np.shape(w))) for w in known]
    for values in (*known, *gradients):
        if isinstance(values, np.ndarray):
            values.setflags(write=False)
    return known, gradients


class Column(np.ndarray[Any, Any]):
    """Values of one number, of which a text that asks whether it is 0 is told that it is not.

    Nothing hangs on it: a rule with a rate of nothing is the rule without.
    """

    def __new__(cls, number: float) -> Column:
        """One value, as a number of that arithmetic."""
        return np.array([[number]], float).view(cls)

    def __eq__(self, other: object) -> Any:
        return bool(np.all(np.asarray(self) == other))

    def __ne__(self, other: object) -> Any:
        return not self == other

    def __array_wrap__(self, array: Any, context: Any = None, scalar: bool = False) -> Any:
        return np.asarray(array)


class Heard(NamedTuple):
    """What a rule sees of hyperparameters and gradients.

    Attributes:
        schedule: of numbers, or of columns of them.
        factors: what the gradient of each step is multiplied with; empty for nothing.
        rows: of columns.
        kind: which numbers are 0, what is no number, and whether gradients are multiplied.
    """

    schedule: tuple[Hyper, ...]
    factors: tuple[Any, ...] = ()
    rows: int = 1
    kind: tuple[Any, ...] = ()


def follow(
    candidate: Candidate,
    observation: Observation,
    margin: Margin | None = None,
    heard: Heard | None = None,
) -> Iterator[tuple[Where, int, Any]]:
    """Elements, step, and what the candidate makes of them at that step.

    In float64, or in enclosures if there is a margin; of what the candidate makes of the case's
    hyperparameters, unless it is said what is heard.
    """
    (group,) = observation.case.groups
    if heard is None:
        arguments, schedule = candidate.arguments, group.schedule
        heard = _heard(candidate.rule, arguments, schedule) if arguments else Heard(schedule)
    schedule, factors, rows, _ = heard
    format = None
    if margin:
        schedule = tuple(exactly(h, margin=margin) for h in schedule)
        format = margin.arrays(uniform(observation.dtype))
    decays = tuple(candidate.convention.decays(p.initial.ndim) for p in group.parameters)
    for batch in _batches(observation, decays, candidate.rule.elementwise):
        known, given = _plain(batch, rows) if format is None else _given(batch, format)
        if factors:
            given = [g if g is None else g * f for f, g in zip(factors, given, strict=True)]
        run = candidate.rule.run(
            candidate.convention,
            known[0],
            given,
            schedule,
            decays=batch.decays,
            count=margin.count if margin else int,
            known=known,
        )
        for step, (w, _) in enumerate(run):
            yield batch.where, step, w


@lru_cache(maxsize=1024)
def _heard(rule: Rule, arguments: tuple[Argument, ...], schedule: tuple[Hyper, ...]) -> Heard:
    """What is heard of a schedule: many candidates share arguments."""
    hearer = Candidate(rule, arguments=arguments)
    found, factors = tuple(map(hearer.heard, schedule)), tuple(map(hearer.gradient, schedule))
    multiplied = {*factors} != {1.0}
    kind = [v == 0 if isinstance(v, float) else v for h in found for v in h]
    return Heard(found, factors if multiplied else (), kind=(multiplied, *kind))


def _given(batch: _Batch, format: Format | None) -> tuple[list[Any], list[Any]]:
    """The parameters before each step and its gradients, as they are or as balls."""
    observation, doubt = batch.observation, batch.observation.doubt
    (group,) = observation.case.groups
    one = group.parameters[batch.parameters[0]]  # the others lack the same gradients
    known = [
        _lifted(row, None if doubt is None else doubt.parameters[step], batch, format)
        for step, row in enumerate(observation.before)
    ]
    gradients = [
        None
        if given is None
        else _lifted(row, None if doubt is None else doubt.gradients[step], batch, format)
        for step, (given, row) in enumerate(zip(one.gradients, observation.gradients, strict=True))
    ]
    return known, gradients


def _lifted(
    values: FloatArray, off: FloatArray | None, batch: _Batch, format: Format | None
) -> Any:
    """A batch's elements in its shape: as they are, or as balls."""
    mid = values[batch.where].reshape(batch.shape)[()]
    if format is None:
        return mid
    rad = np.zeros(batch.shape) if off is None else off[batch.where].reshape(batch.shape)
    return Enclosure(mid.astype(Wide), rad.astype(Wide)[()], format)


def plainly(candidate: Candidate, observation: Observation) -> FloatArray:
    """What the candidate makes of each step in float64: (steps, elements)."""
    found = np.empty(observation.answer.shape)
    with np.errstate(all="ignore"):
        for where, step, w in follow(candidate, observation):
            found[step, where] = np.ravel(w)
    return found


def exact(candidate: Candidate, observation: Observation) -> bool:
    """Whether answers are the very numbers of the rule in float64, which every margin holds."""
    return np.array_equal(plainly(candidate, observation), observation.answer)


NEAR = 1e-2
"""How far an answer may be from the rule in plain float64, in parts of the largest move. No margin
that decides anything is as wide (``tests/harness/test_margin.py`` sees to that); this spares most
candidates theirs, which take longer."""

NEAR_IN_SHORT = 0.5
"""The same of rules that compute in a short format, whatever the parameters are."""


def in_short_formats(rule: Rule) -> bool:
    """Whether it computes in less than the dtype of its parameters, whatever that is."""
    return rule.measured((2, 2), rule.hyper())


def keeps_short(rule: Rule) -> bool:
    """Whether torch keeps something that it makes of hyperparameters alone in float32."""
    return bool(rule.binding.float32_states or rule.binding.float32_products)


def near(candidate: Candidate, observation: Observation) -> bool:
    """Whether it may hold: what few digits were written of is left to its margin."""
    return bool(observation.doubt) or plausible(candidate, observation)


def plausible(candidate: Candidate, observation: Observation) -> bool:
    """Whether an answer is where the candidate's own text leads in float64, but for roundings.

    The answer is kept with the observation, of which it is asked again with each margin.
    """
    if candidate not in observation.tried:
        observation.tried[candidate] = within(_reach(candidate.rule), candidate, observation)
    return observation.tried[candidate]


def _reach(rule: Rule) -> float:
    return NEAR_IN_SHORT if in_short_formats(rule) else NEAR


def within(part: float, candidate: Candidate, observation: Observation) -> bool:
    """The same within some part of the largest move of each step."""
    if observation.dtype in HALF:
        return True
    with np.errstate(all="ignore"):
        return not any(far.any() for far in _far(part, candidate, observation))


def _far(
    part: float, candidate: Candidate, observation: Observation, heard: Heard | None = None
) -> Iterator[NDArray[np.bool_]]:
    """Which elements are farther than that at each step, in rows if columns are heard."""
    answer, broken, allowed = observation.answer, observation.broken, _allowed(observation, part)
    for where, step, w in follow(candidate, observation, heard=heard):
        expected, got = w if heard else np.ravel(w), answer[step, where]
        far = np.abs(got - expected) > allowed[step, where]
        yield far | (np.isnan(got) & ~np.isnan(expected)) if broken else far


def look(candidates: Iterable[Candidate], observation: Observation) -> None:
    """Find which of some candidates are plausible: all at once that differ in arguments alone.

    What is 0 for one of them must be for all, since texts ask for it.
    """
    (group,) = observation.case.groups
    if observation.doubt or observation.dtype in HALF:  # where all are
        return
    alike: dict[Any, list[tuple[Candidate, Heard]]] = defaultdict(list)
    for c in candidates:
        if c.arguments and c.rule.elementwise and c not in observation.tried:
            heard = _heard(c.rule, c.arguments, group.schedule)
            alike[id(c.convention), heard.kind].append((c, heard))
    for some in (several for several in alike.values() if len(several) > 1):
        (one, *_), left = some[0], np.ones((len(some), 1), bool)
        with suppress(TypeError, ValueError), np.errstate(all="ignore"):  # of a text that asks more
            rows = _rows([heard for _, heard in some])
            for far in _far(_reach(one.rule), one, observation, rows):
                left &= ~far.any(axis=1, keepdims=True)
                if not left.any():
                    break
            observation.tried.update(zip((c for c, _ in some), left[:, 0].tolist(), strict=True))


def _rows(some: Sequence[Heard]) -> Heard:
    """All of them at once."""
    steps = zip(*(heard.schedule for heard in some), strict=True)
    factors = zip(*(heard.factors for heard in some), strict=True)
    schedule = (
        hs[0]._replace(**dict(zip(hs[0]._fields, map(_column, zip(*hs, strict=True)), strict=True)))
        for hs in steps
    )
    return Heard(tuple(schedule), tuple(np.array(f)[:, None] for f in factors), len(some))


def _column(values: tuple[Any, ...]) -> Any:
    """A number that is the same in all rows, or a column."""
    first = values[0]
    return (
        first
        if values.count(first) == len(values)
        else np.array(values, float)[:, None].view(Column)
    )


@lru_cache(maxsize=256)
def _allowed(observation: Observation, part: float) -> FloatArray:
    """How far answers may be off, (steps, elements)."""
    allowed: FloatArray = part * observation.moves + observation.slack + observation.printed
    return allowed


@quiet
def held(candidate: Candidate, observation: Observation, margin: Margin) -> bool | None:
    """Whether answers speak for a candidate; None if one is outside of its margin.

    Every element is looked at, at every step. They speak for it if most of the moves are larger
    than the margin, which else would hold them if they were none.
    """
    known = moved = 0
    for where, step, ball in follow(candidate, observation, margin):
        mid, rad = np.ravel(ball.mid), np.ravel(ball.rad)
        if observation.doubt:
            rad = rad + observation.doubt.parameters[step + 1, where]
        if not holds(mid, rad, observation.answer[step, where]).all():
            return None
        move = np.abs(mid - observation.before[step, where])
        known += int((rad < move).sum())
        moved += int(((move > 0) | (rad == np.inf)).sum())
    return 2 * known > moved


@quiet
def resolution(candidate: Candidate, observation: Observation, margin: Margin) -> float:
    """By which part of itself a move may be off unseen: of the one that is known best."""
    known = follow(candidate, observation, margin)
    parts = (
        np.ravel(ball.rad) / np.abs(np.ravel(ball.mid) - observation.before[step, where])
        for where, step, ball in known
    )
    return float(min(np.nanmin(part, initial=np.inf) for part in parts))
