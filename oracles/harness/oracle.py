"""Case in, enclosures out: what every correct implementation may answer, in every dtype at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracles.harness.case import Case, dtype_of
from oracles.harness.enclosure import Enclosure
from oracles.harness.formats import (
    DTYPES,
    SMALLEST,
    FloatArray,
    Wide,
    WideArray,
    mixed,
    round_each,
)
from oracles.rule import Convention, Hyper, Rule


@dataclass(frozen=True)
class Balls:
    """Midpoints and radii, shape (axes, steps, elements); elements as :attr:`Case.offsets` says."""

    mid: WideArray
    rad: WideArray

    @cached_property
    def divisor(self) -> WideArray:
        """The radii, with the smallest number there is in place of 0: what shares are taken of."""
        return np.maximum(self.rad, SMALLEST)

    @cached_property
    def bounded(self) -> list[bool]:
        """For each axis, whether no radius is infinite."""
        return [bool(rad.max(initial=0.0) < np.inf) for rad in self.rad]


@dataclass(frozen=True)
class Enclosures:
    """The oracle's answer to a case.

    Attributes:
        axes: what the first dimension of all balls stands for.
        parameters: after each step.
        states: after each step, by name; meaningful where ``present``.
        present: by state name, (steps, elements): whether the buffer exists by then.
        start: the initial values as each axis holds them, shape (axes, elements).
    """

    axes: tuple[str, ...]
    parameters: Balls
    states: Mapping[str, Balls]
    present: Mapping[str, NDArray[np.bool_]]
    start: FloatArray

    @cached_property
    def buffered(self) -> tuple[str, ...]:
        """Names of the states that exist at some step."""
        return tuple(name for name, present in self.present.items() if present.any())

    def row(self, axis: str) -> int:
        """Where an axis is in the first dimension."""
        return self.axes.index(axis)

    @cached_property
    def moves(self) -> list[tuple[int, int]]:
        """For each axis, how many parameter element-steps moved, and by less than their radius."""
        mid, rad = self.parameters.mid, self.parameters.rad
        before = np.concatenate([self.start[:, None], mid[:, :-1]], axis=1)
        with np.errstate(invalid="ignore"):
            move = np.abs(mid - before)
        moved = (move > 0).sum(axis=(1, 2)).tolist()
        swallowed = ((move > 0) & (move < rad)).sum(axis=(1, 2)).tolist()
        return list(zip(moved, swallowed, strict=True))


class Oracle:
    """Answers to one case, by convention, each computed once and only when asked for."""

    def __init__(self, rule: Rule, case: Case) -> None:
        self.rule = rule
        self.case = case
        self._answers: dict[str, Enclosures] = {}

    def __call__(self, convention: Convention | None = None) -> Enclosures:
        """What implementations of ``convention`` (default: torch's) may answer."""
        convention = convention or self.rule.torch
        if convention.name not in self._answers:
            self._answers[convention.name] = enclose(self.rule, convention, self.case)
        return self._answers[convention.name]


def enclose(rule: Rule, convention: Convention, case: Case) -> Enclosures:
    """Follow a convention through a case in enclosure arithmetic, on all the case's axes.

    Parameters that share hyperparameters and have their gradients at the same steps go through the
    rule as one array: rules are elementwise.
    """
    axes = case.axes
    batches: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    schedules = {}
    for index, group, parameter in case.walk():
        pattern = tuple(g is not None for g in parameter.gradients)
        key = (id(group), pattern, convention.decays(parameter.initial.ndim))
        batches[key].append(index)
        schedules[key] = group.schedule
    shape = (len(axes), case.steps, case.offsets[-1])
    parameters = _empty(shape)
    states = {name: _empty(shape) for name in rule.states}
    present = {name: np.zeros(shape[1:], dtype=bool) for name in rule.states}
    start = np.empty((shape[0], shape[2]))
    for key, members in batches.items():
        where, w, gradients = _gather(case, members, axes)
        start[:, where] = np.asarray(w.mid, dtype=np.float64)
        hypers = [exactly(h) for h in schedules[key]]
        for t, (value, state) in enumerate(
            rule.run(convention, w, gradients, hypers, decays=key[-1])
        ):
            _scatter(parameters, t, where, value)
            for name, buffer in state.items():
                _scatter(states[name], t, where, buffer)
                present[name][t, where] = True
    return Enclosures(axes, parameters, states, present, start)


@lru_cache(maxsize=256, typed=True)  # by type: NamedTuples of two rules may be equal
def exactly(h: Hyper) -> Hyper:
    """Hyperparameters as 0-d enclosures of radius 0, held as Python holds them: in float64."""
    return type(h)(*(v if isinstance(v, bool) else Enclosure.exact(v) for v in h))


def _empty(shape: tuple[int, ...]) -> Balls:
    return Balls(np.zeros(shape, dtype=Wide), np.zeros(shape, dtype=Wide))


def _gather(
    case: Case, members: list[int], axes: Sequence[str]
) -> tuple[slice | NDArray[np.intp], Enclosure, list[Enclosure | None]]:
    """The members' values end to end, one row for each axis, rounded to each element's dtype."""
    parameters = [case.parameters[i] for i in members]
    spans = [np.arange(case.offsets[i], case.offsets[i + 1]) for i in members]
    where = np.concatenate(spans)
    steps = [t for t, g in enumerate(parameters[0].gradients) if g is not None]
    drawn = np.stack(
        [
            np.concatenate([p.initial.ravel() for p in parameters]),
            *(np.concatenate([p.gradients[t].ravel() for p in parameters]) for t in steps),  # type: ignore[union-attr]
        ]
    )
    dtypes = np.stack(
        [
            np.repeat([DTYPES.index(dtype_of(axis, i)) for i in members], [len(s) for s in spans])
            for axis in axes
        ]
    )
    rounded = round_each(drawn)
    columns = np.arange(drawn.shape[1])
    format = mixed(dtypes)
    values = [Enclosure.exact(rounded[dtypes, row, columns], format) for row in range(len(drawn))]
    gradients: list[Enclosure | None] = [None] * case.steps
    for t, value in zip(steps, values[1:], strict=True):
        gradients[t] = value
    return where, values[0], gradients


def _scatter(balls: Balls, t: int, where: Any, value: Enclosure) -> None:
    balls.mid[:, t, where] = value.mid
    balls.rad[:, t, where] = value.rad
