"""Schedules put together: one after another, and all at once.

``SequentialLR``    Schedule i runs from milestone mᵢ to the next, on its own count t − mᵢ. At its
                    milestone it starts from the base rate again: γ = γ^(i)_0.
``ChainedScheduler``    At each epoch every schedule in turn makes the next rate of what the one
                    before left. One that computes the closed form forgets what went before.

A plan is one schedule with its settings, or such a composition of plans.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from oracles.numerics import Scalar
from oracles.schedules.schedule import Schedule, Settings


class Plan(Protocol):
    """What gives the next rate."""

    def next(self, rate: Scalar, t: int, base: Scalar) -> Scalar:
        """γ_t, where the rate was ``rate`` before; at t = 0 that is the group's."""

    def restart(self, base: Scalar) -> Scalar:
        """γ_0, where it takes over from another plan."""

    def lifted(self, number: Callable[[Any], Scalar]) -> Plan:
        """The same plan in another arithmetic."""


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
        return self.schedule.torch.rate(0, base, self.settings)

    def lifted(self, number: Callable[[Any], Scalar]) -> Single:
        """Settings that are drawn from a range of rates are numbers; the others count or choose."""
        rates = {
            name: number(value)
            for name, value in self.settings._asdict().items()
            if isinstance(ends := self.schedule.draws[name], tuple) and isinstance(ends[0], float)
        }
        return Single(self.schedule, self.settings._replace(**rates))


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


@dataclass(frozen=True)
class Sequential:
    """One after another; ``milestones`` are the epochs at which the second and later ones begin."""

    parts: tuple[Plan, ...]
    milestones: tuple[int, ...]

    def __str__(self) -> str:
        return f"SequentialLR({', '.join(map(str, self.parts))}, milestones={self.milestones})"

    def next(self, rate: Scalar, t: int, base: Scalar) -> Scalar:
        number = sum(m <= t for m in self.milestones)
        since = t - self.milestones[number - 1] if number else t
        if number and not since:
            return self.parts[number].restart(base)
        return self.parts[number].next(rate, since, base)

    def restart(self, base: Scalar) -> Scalar:
        return self.next(base, 0, base)

    def lifted(self, number: Callable[[Any], Scalar]) -> Sequential:
        return Sequential(tuple(part.lifted(number) for part in self.parts), self.milestones)


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
