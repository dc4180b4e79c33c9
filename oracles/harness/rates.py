"""The oracle of learning rates: what float64 code may have computed at each epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from oracles.harness.arithmetic.enclosure import INFLATE, Enclosure
from oracles.harness.arithmetic.formats import TENSOR
from oracles.harness.oracle import TORCH_TEXT, Margin
from oracles.schedules.composed import Plan, Single
from oracles.schedules.schedule import Timing


def written(rate: Enclosure) -> str:
    """As a midpoint and its radius."""
    return f"{float(rate.mid):.17g} ± {float(rate.rad):.2g}"


@dataclass(frozen=True)
class Off:
    """A rate that no rounding explains."""

    group: int
    epoch: int
    expected: Enclosure
    got: float

    def __str__(self) -> str:
        place = f"at epoch {self.epoch}, group {self.group}"
        return f"{place}: expected {written(self.expected)}, got {self.got!r}"


@dataclass(frozen=True)
class Reading:
    """Which texts of a schedule are held.

    torch's own, rounded once an operation; or, of other people's code, any text of a timing within
    a margin, by its closed form or by the recurrence.

    Attributes:
        timing: of which any text is held; None for torch's own text.
        margin: how often its operations may round.
        weaker: whether promises are held in the weaker form that a right class may make.
    """

    timing: Timing | None = None
    margin: Margin = TORCH_TEXT
    weaker: bool = False


TORCHS = Reading()

_READING: ContextVar[Reading] = ContextVar("reading", default=TORCHS)


@contextmanager
def read_as(reading: Reading) -> Iterator[None]:
    """For a while other texts are held."""
    token = _READING.set(reading)
    try:
        yield
    finally:
        _READING.reset(token)


def held_as_torch() -> bool:
    """Whether torch's own text is held, and not somebody else's."""
    return _READING.get().timing is None


def weaker() -> bool:
    """Whether promises are held in their weaker form."""
    return _READING.get().weaker


def number(value: Any, *, tensor: bool = False) -> Enclosure:
    """A rate or a setting, as whatever text is held takes it."""
    reading = _READING.get()
    if reading.timing is None:
        return Enclosure.tensor(value) if tensor else Enclosure.exact(value)
    margin = replace(reading.margin, scalars="float32") if tensor else reading.margin
    lifted: Enclosure = margin.number(value)
    return lifted


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
    timing = _READING.get().timing
    if timing is None or not isinstance(plan, Single):
        return _stepped(plan, base, epochs, tensor=tensor, edits=edits)
    formula = [_closing(plan, timing, t, number(base, tensor=tensor)) for t in range(epochs + 1)]
    if timing is not plan.schedule.torch:
        return formula
    stepped = _stepped(plan, base, epochs, tensor=tensor, edits=edits)
    if edits and plan.schedule.following is not None:
        return stepped
    return [_hull(*pair) for pair in zip(formula, stepped, strict=True)]


def _stepped(
    plan: Plan, base: float, epochs: int, *, tensor: bool, edits: Mapping[int, float]
) -> list[Enclosure]:
    lifted = plan.lifted(number)
    start = rate = number(base, tensor=tensor)
    found = []
    for t in range(epochs + 1):
        rate = lifted.next(rate, t, start)
        rate = rate.to(TENSOR) if tensor else rate
        found.append(rate)
        rate = number(edits[t], tensor=tensor) if t in edits else rate
    return found


def _hull(one: Enclosure, other: Enclosure) -> Enclosure:
    """A ball that holds both."""
    low = min(one.mid - one.rad, other.mid - other.rad)
    high = max(one.mid + one.rad, other.mid + other.rad)
    return Enclosure((low + high) / 2, (high - low) / 2 * INFLATE, one.format)


def _closing(plan: Single, timing: Timing, t: int, start: Enclosure) -> Enclosure:
    """The closed form, rounded once more as it is stored."""
    ball: Enclosure = number(1) * timing.rate(t, start, plan.lifted(number).settings)
    return ball


def jumped(plan: Single, base: float, epochs: Sequence[int | None]) -> list[Enclosure]:
    """Balls around γ_0 and the rate of each epoch that is jumped to; None is the next one."""
    timing, lifted, start = _READING.get().timing, plan.lifted(number), number(base)
    t, rate = 0, lifted.next(start, 0, start)
    found = [rate if timing is None else _closing(plan, timing, 0, start)]
    for epoch in epochs:
        t = t + 1 if epoch is None else epoch
        rate = lifted.next(rate, t, start) if epoch is None else lifted.at(t, start)
        found.append(rate if timing is None else _closing(plan, timing, t, start))
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
