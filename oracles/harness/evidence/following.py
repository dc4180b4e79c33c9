"""What a candidate makes of each step of an observation, from what was there before that step.

Each step starts from the parameters that were observed, so that what rounding did in earlier steps
is no matter: a run of a thousand steps says as much as a thousand runs of one, and what is
remembered from step to step (moments, counters) is followed all the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

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


def follow(
    candidate: Candidate,
    observation: Observation,
    margin: Margin | None = None,
    schedule: tuple[Hyper, ...] = (),
    rows: int = 1,
) -> Iterator[tuple[Where, int, Any]]:
    """Elements, step, and what the candidate makes of them at that step.

    In float64, or in enclosures if there is a margin; with another schedule than the case's, if
    there is one, whose numbers may be columns of so many rows.
    """
    (group,) = observation.case.groups
    schedule, format = schedule or group.schedule, None
    factors: tuple[float, ...] = ()
    if candidate.arguments:
        schedule, factors = _heard(candidate.rule, candidate.arguments, schedule)
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


@lru_cache(maxsize=256)
def _heard(
    rule: Rule, arguments: tuple[Argument, ...], schedule: tuple[Hyper, ...]
) -> tuple[tuple[Hyper, ...], tuple[float, ...]]:
    """A schedule as it is heard, and what gradients are multiplied with: many share arguments."""
    hearer = Candidate(rule, arguments=arguments)
    factors = tuple(map(hearer.gradient, schedule))
    return tuple(map(hearer.heard, schedule)), factors if {*factors} != {1.0} else ()


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

ROUGHLY = 0.5
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
        reach = ROUGHLY if in_short_formats(candidate.rule) else NEAR
        observation.tried[candidate] = within(reach, candidate, observation)
    return observation.tried[candidate]


def within(part: float, candidate: Candidate, observation: Observation) -> bool:
    """The same within some part of the largest move of each step."""
    if observation.dtype in HALF:
        return True
    answer, broken, allowed = observation.answer, observation.broken, _allowed(observation, part)
    with np.errstate(all="ignore"):
        for where, step, w in follow(candidate, observation):
            expected, got = np.ravel(w), answer[step, where]
            far = np.abs(got - expected) > allowed[step, where]
            if far.any() or (broken and (np.isnan(got) & ~np.isnan(expected)).any()):
                return False
    return True


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
