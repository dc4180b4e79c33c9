"""Schedules put together: one after another, and all at once.

``SequentialLR``    Schedule i runs from milestone mᵢ to the next, on its own count t − mᵢ. At its
                    milestone it starts from the base rate again: γ = γ^(i)_0. One whose milestone
                    is also the next one's never runs.
``ChainedScheduler``    At each epoch every schedule in turn makes the next rate of what the one
                    before left. One that computes the closed form forgets what went before.

A plan is one schedule with its settings, or such a composition of plans.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from oracles.loop.part import Part, Variant
from oracles.numerics import Scalar
from oracles.schedules.schedule import Schedule, Settings


class ByGroup(tuple[Any, ...]):
    """What a setting is in each group, where they differ."""

    __slots__ = ()


class Plan(Protocol):
    """What gives the next rate."""

    def next(self, rate: Scalar, t: int, base: Scalar) -> Scalar:
        """γ_t, where the rate was ``rate`` before; at t = 0 that is the group's."""

    def restart(self, base: Scalar) -> Scalar:
        """γ_0, where it takes over from another plan."""

    def lifted(self, number: Callable[[Any], Scalar]) -> Plan:
        """The same plan in another arithmetic."""

    def of_group(self, group: int) -> Plan:
        """The plan that one group follows."""


@dataclass(frozen=True)
class Single:
    """One schedule with its settings."""

    schedule: Schedule
    settings: Settings

    def __str__(self) -> str:
        given = ", ".join(f"{name}={value}" for name, value in self.settings._asdict().items())
        return f"{self.schedule.name}({given})"

    def next(self, rate: Scalar, t: int, base: Scalar) -> Scalar:
        return self.schedule.next(rate, t, base, self.settings)

    def restart(self, base: Scalar) -> Scalar:
        return self.at(0, base)

    def at(self, t: int, base: Scalar) -> Scalar:
        """γ_t by the closed form."""
        return self.schedule.torch.rate(t, base, self.settings)

    def lifted(self, number: Callable[[Any], Scalar]) -> Single:
        """Settings that are drawn from a range of rates are numbers; the others count or choose."""
        rates = {
            name: number(value)
            for name, value in self.settings._asdict().items()
            if isinstance(ends := self.schedule.draws[name], tuple) and isinstance(ends[0], float)
        }
        return Single(self.schedule, self.settings._replace(**rates))

    def of_group(self, group: int) -> Single:
        own = {
            name: value[group]
            for name, value in self.settings._asdict().items()
            if isinstance(value, ByGroup)
        }
        return Single(self.schedule, self.settings._replace(**own))


@dataclass(frozen=True)
class Chained:
    """All at once, in order."""

    parts: tuple[Plan, ...]

    def __str__(self) -> str:
        return f"ChainedScheduler({', '.join(map(str, self.parts))})"

    def next(self, rate: Scalar, t: int, base: Scalar) -> Scalar:
        for part in self.parts:
            rate = part.next(rate, t, base)
        return rate

    def restart(self, base: Scalar) -> Scalar:
        return self.next(base, 0, base)

    def lifted(self, number: Callable[[Any], Scalar]) -> Chained:
        return Chained(tuple(part.lifted(number) for part in self.parts))

    def of_group(self, group: int) -> Chained:
        return Chained(tuple(part.of_group(group) for part in self.parts))


@dataclass(frozen=True)
class Sequential:
    """One after another; ``milestones`` are the epochs at which the second and later ones begin."""

    parts: tuple[Plan, ...]
    milestones: tuple[int, ...]

    def __str__(self) -> str:
        return f"SequentialLR({', '.join(map(str, self.parts))}, milestones={self.milestones})"

    def whose(self, t: int) -> tuple[int, int]:
        """The number of the part that epoch t belongs to, and the epoch in which it began."""
        number = sum(m <= t for m in self.milestones)
        return number, self.milestones[number - 1] if number else 0

    def next(self, rate: Scalar, t: int, base: Scalar) -> Scalar:
        number, began = self.whose(t)
        if number and t == began:
            return self.parts[number].restart(base)
        return self.parts[number].next(rate, t - began, base)

    def restart(self, base: Scalar) -> Scalar:
        return self.next(base, 0, base)

    def lifted(self, number: Callable[[Any], Scalar]) -> Sequential:
        return replace(self, parts=tuple(part.lifted(number) for part in self.parts))

    def of_group(self, group: int) -> Sequential:
        return replace(self, parts=tuple(part.of_group(group) for part in self.parts))


def rates(plan: Plan, base: Scalar, epochs: int) -> list[Scalar]:
    """γ_0, ..., γ_epochs of a plan.

    >>> from oracles.schedules import constant, exponential
    >>> warm = Single(constant.SCHEDULE, constant.Settings(factor=0.5, total_iters=2))
    >>> decay = Single(exponential.SCHEDULE, exponential.Settings(gamma=0.5))
    >>> rates(Sequential((warm, decay), (2,)), 1.0, 4)
    [0.5, 0.5, 1.0, 0.5, 0.25]
    """
    found = [base]
    for t in range(epochs + 1):
        found.append(plan.next(found[-1], t, base))
    return found[1:]


def _counted_on(plan: Sequential, base: Scalar, epochs: int) -> list[Scalar]:
    """By closed forms, which single schedules have."""
    return [plan.parts[plan.whose(t)[0]].at(t, base) for t in range(epochs + 1)]  # type: ignore[attr-defined]


def _from_the_last(plan: Sequential, base: Scalar, epochs: int) -> list[Scalar]:
    found, start = [base], base
    for t in range(epochs + 1):
        number, began = plan.whose(t)
        if number and t == began:
            start = found[-1]
            found.append(plan.parts[number].restart(start))
        else:
            found.append(plan.parts[number].next(found[-1], t - began, start))
    return found[1:]


def _one_late(plan: Sequential, base: Scalar, epochs: int) -> list[Scalar]:
    return rates(replace(plan, milestones=tuple(m + 1 for m in plan.milestones)), base, epochs)


SEQUENCE = Part(
    name="SequentialLR",
    symbols="γ⁽ⁱ⁾ rates of schedule i, mᵢ the epoch in which it begins, γ₀ base learning rate",
    variants=(
        Variant(
            name="from_base",
            equation="γ_t = γ⁽ⁱ⁾ of epoch t − mᵢ, from γ₀, for mᵢ ≤ t < mᵢ₊₁",
            source="torch.optim.lr_scheduler.SequentialLR; optax.join_schedules",
            compute=rates,
        ),
        Variant(
            name="counted_on",
            equation="γ_t = γ⁽ⁱ⁾ of epoch t, for mᵢ ≤ t < mᵢ₊₁",
            source="loops that choose a schedule by t, and ask it for t; timm's warm-up by default",
            compute=_counted_on,
        ),
        Variant(
            name="from_last",
            equation="γ_t = γ⁽ⁱ⁾ of epoch t − mᵢ, from γ of epoch mᵢ − 1",
            source="loops that build the next schedule when its turn comes",
            compute=_from_the_last,
        ),
        Variant(
            name="one_late",
            equation="γ_t = γ⁽ⁱ⁾ of epoch t − mᵢ − 1, for mᵢ < t ≤ mᵢ₊₁",
            source="loops that compare epoch <= milestone",
            compute=_one_late,
        ),
    ),
)

CHAIN = Part(
    name="ChainedScheduler",
    symbols="γ⁽ⁱ⁾ what schedule i makes of the rate that it finds, n how many there are",
    variants=(
        Variant(
            name="in_turn",
            equation="γ_t = γ⁽ⁿ⁾(...γ⁽¹⁾(γ_{t−1}))",
            source="torch.optim.lr_scheduler.ChainedScheduler",
            compute=rates,
        ),
        Variant(
            name="last_only",
            equation="γ_t = γ⁽ⁿ⁾ from γ₀",
            source="loops in which each schedule sets the rate from the base rate",
            compute=lambda plan, base, epochs: rates(plan.parts[-1], base, epochs),
        ),
        Variant(
            name="first_only",
            equation="γ_t = γ⁽¹⁾ from γ₀",
            source="loops that step the first of their schedules",
            compute=lambda plan, base, epochs: rates(plan.parts[0], base, epochs),
        ),
        Variant(
            name="turned_round",
            equation="γ_t = γ⁽¹⁾(...γ⁽ⁿ⁾(γ_{t−1}))",
            source="loops that step their schedules in another order",
            compute=lambda plan, base, epochs: rates(Chained(plan.parts[::-1]), base, epochs),
        ),
    ),
)
