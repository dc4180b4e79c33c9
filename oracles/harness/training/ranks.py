"""The oracle of training on several ranks: where each of them may stand after each step."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from oracles.harness.arithmetic.formats import FORMATS
from oracles.harness.training.loop import PLAIN, Numbers
from oracles.harness.training.shards import STARTS, Rows, Training, inputs
from oracles.loop.ranks import Sharing
from oracles.numerics import Array

TINY = 2.0**-1000
"""In place of a radius of 0, to divide by."""

Point = list[Array]
"""The parameters: the bias first."""

Told = list[list[list[list[float]]]]
"""What ranks say they hold: by rank, step and parameter, its elements."""


def enclosed(dtype: str) -> Numbers:
    """What torch computes in, with no margin."""
    return Numbers(FORMATS[dtype])


def trajectory(
    training: Training, ranks: int, sharing: Sharing, numbers: Numbers = PLAIN
) -> Iterator[list[Point]]:
    """Where each rank stands after each step."""
    replicas = [_Replica(training, ranks, sharing, numbers) for _ in range(ranks)]
    for t, step in enumerate(training.rows(ranks), start=1):
        micro = [
            [replica.gradient(mine[rank], len(step)) for mine in step]
            for rank, replica in enumerate(replicas)
        ]
        parts = range(len(training.starts))
        given = [
            sharing.compute([[g[p] for g in own] for own in micro], counted(step)) for p in parts
        ]
        for rank, replica in enumerate(replicas):
            replica.step([gradients[rank] for gradients in given])
        held = [sharing.after([replica.point[p] for replica in replicas], t) for p in parts]
        for rank, replica in enumerate(replicas):
            replica.move([values[rank] for values in held])
        yield [replica.point for replica in replicas]


@dataclass(frozen=True)
class Off:
    """An element that no rounding explains."""

    rank: int
    step: int
    parameter: str
    element: int
    mid: float
    rad: float
    got: float

    def __str__(self) -> str:
        radii = abs(self.got - self.mid) / max(self.rad, TINY)
        return (
            f"rank {self.rank}, step {self.step}, {self.parameter}[{self.element}]: expected "
            f"{self.mid:.10g} ± {self.rad:.2g}, got {self.got:.10g}, {radii:.3g} radii off"
        )


def off(expected: Sequence[Sequence[Point]], told: Told) -> Iterator[Off]:
    """What lies outside, of what is expected by step and rank: the first step first."""
    for step, points in enumerate(expected):
        for rank, point in enumerate(points):
            for name, ball, values in zip(STARTS, point, told[rank][step], strict=False):
                inside = ball.contains(values)
                for element in map(int, np.flatnonzero(~inside)):
                    mid, rad = float(ball.mid[element]), float(ball.rad[element])
                    yield Off(rank, step + 1, name, element, mid, rad, values[element])


def share(expected: Sequence[Sequence[Point]], told: Told) -> float:
    """The largest share of a radius that is used."""
    return max(
        float(np.max(abs(np.array(values) - ball.mid) / np.maximum(ball.rad, TINY)))
        for step, points in enumerate(expected)
        for rank, point in enumerate(points)
        for ball, values in zip(point, told[rank][step], strict=True)
    )


def separation(one: Sequence[Sequence[Point]], other: Sequence[Sequence[Point]]) -> float:
    """How far apart two accounts are at most, in both radii together."""
    return max(
        float(np.max(abs(a.mid - b.mid) / np.maximum(a.rad + b.rad, TINY)))
        for points, others in zip(one, other, strict=True)
        for point, another in zip(points, others, strict=True)
        for a, b in zip(point, another, strict=True)
    )


class _Replica:
    """The model of one rank, stepped by hand.

    Attributes:
        point: where it stands.
    """

    def __init__(self, training: Training, ranks: int, sharing: Sharing, numbers: Numbers) -> None:
        self.numbers = numbers
        self.training = training
        self.point = [numbers.array(np.array(start)) for start in training.starts]
        self._before = [[w] for w in self.point]
        self._gradients = [deque[Array]() for _ in self.point]
        rule, steps = training.rule, training.rows(ranks)
        self._runs = [
            rule.run(
                rule.torch,
                w,
                _taken(self._gradients[p]),
                [
                    sharing.hyper(numbers.hyper(training.hyper(p)), counted(step), len(step))
                    for step in steps
                ],
                count=numbers.count,
                known=self._before[p],
            )
            for p, w in enumerate(self.point)
        ]

    def gradient(self, rows: Rows, windows: int) -> Point:
        """Of the loss of a micro-batch, one of so many in a step, where the model stands."""
        x, back, y = map(self.numbers.array, inputs(rows))
        bias, first, *others = self.point
        (second,) = others or (first,)
        errors = x @ first + back @ second + bias - y
        slopes = errors * self._share(rows.stop - rows.start, windows)
        of_first, of_second = slopes @ x, slopes @ back
        weights = [of_first + of_second] if self.training.tied else [of_first, of_second]
        return [np.sum(slopes, axis=0, keepdims=True), *weights]

    def _share(self, n: int, windows: int) -> Array:
        """By what the loss of each of n rows is multiplied."""
        share = self.numbers.array(np.ones(n))
        share = share / windows if self.training.divided else share
        return share / n if self.training.reduction == "mean" else share

    def step(self, gradients: Sequence[Array]) -> None:
        """Step with a gradient for each parameter."""
        for waiting, g in zip(self._gradients, gradients, strict=True):
            waiting.append(g)
        self.point = [next(run)[0] for run in self._runs]

    def move(self, point: Point) -> None:
        """Stand there before the next step."""
        self.point = point
        for known, w in zip(self._before, point, strict=True):
            known.append(w)


def _taken(waiting: deque[Array]) -> Iterator[Array]:
    while True:
        yield waiting.popleft()


def counted(step: Sequence[Sequence[Rows]]) -> list[int]:
    """The rows of each rank in a step, of all its micro-batches."""
    return [sum(rows.stop - rows.start for rows in mine) for mine in zip(*step, strict=True)]
