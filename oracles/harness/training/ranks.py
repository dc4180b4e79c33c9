"""The oracle of training on several ranks: where each of them may stand after each step."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from oracles.harness.arithmetic.formats import FORMATS
from oracles.harness.arithmetic.radii import farthest, used
from oracles.harness.training.loop import PLAIN, Numbers
from oracles.harness.training.shards import STARTS, Rows, Step, Training, Uneven, inputs
from oracles.loop.part import Variant
from oracles.loop.ranks import TORCH, Sharing, accumulated
from oracles.loop.sharded import CLIPPING, Clipping
from oracles.numerics import Array

Point = list[Array]
"""The parameters: the bias first."""

Held = Sequence[Sequence[Point]]
"""What ranks may hold: by rank and step."""

Told = list[list[list[list[float]]]]
"""What ranks say they hold: by rank, step and parameter, its elements."""


def enclosed(dtype: str) -> Numbers:
    """What torch computes in, with no margin."""
    return Numbers(FORMATS[dtype])


def trajectory(
    training: Training,
    ranks: int,
    sharing: Sharing,
    numbers: Numbers = PLAIN,
    clipping: Clipping = CLIPPING[0],
) -> Held:
    """Where each rank stands after each step."""
    steps, parts = training.rows(ranks), range(len(training.starts))
    replicas = [Replica(training, numbers, steps, sharing) for _ in range(ranks)]
    points = []
    for t, step in enumerate(steps, start=1):
        mine = zip(*step, strict=True)
        micro = [replica.gradients(own) for replica, own in zip(replicas, mine, strict=True)]
        if training.most and clipping.alone:
            alone = [accumulated([*zip(*own, strict=True)]) for own in micro]
            micro = [[[*clipping.compute(own, training.most, ranks)]] for own in alone]
        given = _shared(sharing, micro, step, t)
        for rank, replica in enumerate(replicas):
            shared = [gradients[rank] for gradients in given]
            if training.most and not clipping.alone:
                shared = [*clipping.compute(shared, training.most, ranks)]
            replica.step(shared)
        held = [sharing.after([replica.point[p] for replica in replicas], t) for p in parts]
        for rank, replica in enumerate(replicas):
            replica.move([values[rank] for values in held])
        points.append([replica.point for replica in replicas])
    return [*zip(*points, strict=True)]


def uneven(case: Uneven, ranks: int, joining: Variant, numbers: Numbers = PLAIN) -> Held:
    """Where each rank stands after each step of its own, and where it stands in the end."""
    steps, counts = case.training.rows(ranks), case.counts[:ranks]
    replica = Replica(case.training, numbers, steps)
    points = []
    for t, step in enumerate(steps[: max(counts)]):
        taking = [
            accumulated([*zip(*replica.gradients(own), strict=True)])
            for own, count in zip(zip(*step, strict=True), counts, strict=True)
            if count > t
        ]
        each = zip(*taking, strict=True)
        replica.step([joining.compute(gradients, ranks, case.initial) for gradients in each])
        points.append(replica.point)
    return [[*points[:count], points[-1]] for count in counts]


def resumed(training: Training, worlds: Sequence[int], numbers: Numbers = PLAIN) -> Sequence[Point]:
    """Where all ranks stand after each step, if each step is taken by so many of them."""
    steps = [training.rows(ranks)[t] for t, ranks in enumerate(worlds)]
    replica = Replica(training, numbers, steps)
    points = []
    for t, step in enumerate(steps, start=1):
        micro = [replica.gradients(own) for own in zip(*step, strict=True)]
        replica.step([g for g, *_ in _shared(TORCH, micro, step, t)])
        points.append(replica.point)
    return points


def _shared(
    sharing: Sharing, micro: Sequence[Sequence[Point]], step: Step, t: int
) -> list[Sequence[Array]]:
    """By parameter and rank, what becomes of the gradients of micro-batches."""
    return [
        sharing.compute([[g[p] for g in own] for own in micro], counted(step), t)
        for p, _ in enumerate(micro[0][0])
    ]


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
        radii = abs(self.got - self.mid) / self.rad if self.rad else math.inf
        return (
            f"rank {self.rank}, step {self.step}, {self.parameter}[{self.element}]: expected "
            f"{self.mid:.10g} ± {self.rad:.2g}, got {self.got:.10g}, {radii:.3g} radii off"
        )


def off(expected: Held, told: Told) -> list[Off]:
    """What lies outside; the first step first."""
    return sorted(
        (
            Off(rank, step, name, element, ball.mid[element], ball.rad[element], values[element])
            for rank, points in enumerate(expected)
            for step, point in enumerate(points, start=1)
            for name, ball, values in zip(STARTS, point, told[rank][step - 1], strict=False)
            for element in map(int, np.flatnonzero(~ball.contains(values)))
        ),
        key=lambda each: (each.step, each.rank),
    )


def flat(held: Sequence[Sequence[Sequence[Any]]]) -> Iterator[Any]:
    """What is held of each parameter, rank by rank and step by step."""
    return (own for points in held for point in points for own in point)


def share(expected: Held, told: Told) -> float:
    """The largest share of a radius that is used."""
    return max(used(*pair) for pair in zip(flat(expected), flat(told), strict=True))


def separation(one: Held, other: Held) -> float:
    """How far apart two accounts are at most, in both radii together."""
    return farthest(flat(one), flat(other))


class Replica:
    """The model of one rank, stepped by hand.

    Attributes:
        point: where it stands.
    """

    def __init__(
        self,
        training: Training,
        numbers: Numbers,
        steps: Sequence[Step],
        sharing: Sharing = TORCH,
    ) -> None:
        self.training = training
        self.numbers = numbers
        self.point = [numbers.array(np.array(start)) for start in training.starts]
        self._before = [[w] for w in self.point]
        self._gradients = [deque[Array]() for _ in self.point]
        rule = training.rule
        self._runs = [
            rule.run(
                rule.torch,
                w,
                _taken(self._gradients[p]),
                [
                    sharing.hyper(numbers.hyper(training.hyper(p, t)), counted(step), len(step))
                    for t, step in enumerate(steps)
                ],
                count=numbers.count,
                known=self._before[p],
            )
            for p, w in enumerate(self.point)
        ]

    def gradients(self, mine: Sequence[Rows]) -> list[Point]:
        """Of the losses of its micro-batches in a step, where the model stands."""
        return [self._gradient(rows, len(mine)) for rows in mine]

    def _gradient(self, rows: Rows, windows: int) -> Point:
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
        for known, w in zip(self._before, self.point, strict=True):
            known.append(w)

    def move(self, point: Point) -> None:
        """Stand there instead."""
        self.point = point
        for known, w in zip(self._before, point, strict=True):
            known[-1] = w


def _taken(waiting: deque[Array]) -> Iterator[Array]:
    while True:
        yield waiting.popleft()


def counted(step: Step) -> list[int]:
    """The rows of each rank in a step, of all its micro-batches."""
    return [sum(rows.stop - rows.start for rows in mine) for mine in zip(*step, strict=True)]
