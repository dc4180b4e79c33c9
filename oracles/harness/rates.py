"""The oracle of learning rates: what float64 code may have computed at each epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from oracles.harness.arithmetic.enclosure import Enclosure
from oracles.harness.arithmetic.formats import TENSOR
from oracles.schedules.composed import Plan, Single
from oracles.schedules.schedule import Timing


@dataclass(frozen=True)
class Off:
    """A rate that no rounding explains."""

    group: int
    epoch: int
    expected: Enclosure
    got: float

    def __str__(self) -> str:
        ball = f"{float(self.expected.mid):.17g} ± {float(self.expected.rad):.2g}"
        return f"at epoch {self.epoch}, group {self.group}: expected {ball}, got {self.got!r}"


def enclosed(
    plan: Plan,
    base: float,
    epochs: int,
    *,
    tensor: bool = False,
    edits: Mapping[int, float] = MappingProxyType({}),
) -> list[Enclosure]:
    """Balls around γ_0, ..., γ_epochs as a run steps through them.

    In float64 or, with ``tensor``, kept from epoch to epoch in a 0-d float32 tensor. ``edits`` are
    the rates that somebody writes into the group, by epoch, once the schedule has set its own.
    """
    number = Enclosure.tensor if tensor else Enclosure.exact
    lifted, start, rate = plan.lifted(Enclosure.exact), number(base), number(base)
    found = []
    for t in range(epochs + 1):
        rate = lifted.next(rate, t, start)
        rate = rate.to(TENSOR) if tensor else rate
        found.append(rate)
        rate = number(edits[t]) if t in edits else rate
    return found


def closed(plan: Single, timing: Timing, base: float, epochs: int) -> list[Enclosure]:
    """Balls around γ_0, ..., γ_epochs by the closed form of a timing."""
    settings, start = plan.lifted(Enclosure.exact).settings, Enclosure.exact(base)
    return [timing.rate(t, start, settings) for t in range(epochs + 1)]


def off(expected: Sequence[Sequence[Enclosure]], got: Sequence[Sequence[float]]) -> Iterator[Off]:
    """What lies outside; both by group and epoch."""
    for group, (balls, values) in enumerate(zip(expected, got, strict=True)):
        for epoch, (ball, value) in enumerate(zip(balls, values, strict=True)):
            if not ball.contains(value):
                yield Off(group, epoch, ball, value)


def share(expected: Sequence[Sequence[Enclosure]], got: Sequence[Sequence[float]]) -> float:
    """The largest share of a radius that rates use which are inside."""
    return max(
        (
            float(abs(value - ball.mid) / ball.rad)
            for balls, values in zip(expected, got, strict=True)
            for ball, value in zip(balls, values, strict=True)
            if ball.rad > 0
        ),
        default=0.0,
    )
