"""Decay at milestones: ``torch.optim.lr_scheduler.MultiStepLR``.

Symbols: γ₀ base learning rate, q gamma, M milestones, t epochs.

    γ_t = γ₀ q^#{m in M: m ≤ t}          γ_t = γ_{t−1} q^#{m in M: m = t}        (as a recurrence)

A milestone that is listed twice counts twice. One at 0 is in the closed form and, since the
recurrence begins at t = 0 as well, in that.
"""

from __future__ import annotations

from typing import NamedTuple

from oracles.numerics import Scalar
from oracles.schedules.schedule import Schedule, Timing, ahead, per_batch


class Settings(NamedTuple):
    """Settings, with torch's names (torch has no default milestones)."""

    milestones: tuple[int, ...] = (2, 4)
    gamma: Scalar = 0.1


def _rate(t: int, base: Scalar, s: Settings) -> Scalar:
    return base * s.gamma ** sum(m <= t for m in s.milestones)


def _following(rate: Scalar, t: int, base: Scalar, s: Settings) -> Scalar:
    return rate * s.gamma ** s.milestones.count(t) if t in s.milestones else rate


TORCH = Timing(
    name="from_milestone",
    equation="γ_t = γ₀ q^#{m ≤ t}",
    source="torch.optim.lr_scheduler.MultiStepLR",
    rate=_rate,
)

SCHEDULE = Schedule(
    name="MultiStepLR",
    symbols="γ₀ base learning rate, q gamma, M milestones, t epochs",
    settings=Settings,
    timings=(
        TORCH,
        Timing(
            name="after_milestone",
            equation="γ_t = γ₀ q^#{m < t}",
            source="Keras PiecewiseConstantDecay, whose boundaries belong to the value before",
            rate=lambda t, base, s: base * s.gamma ** sum(m < t for m in s.milestones),
        ),
        ahead(TORCH, "loops whose first epoch is number 1, or that step before the optimizer"),
        per_batch(TORCH),
    ),
    following=_following,
    draws={
        "milestones": [(2, 4), (1, 1), (3, 3), (0, 2), (5, 1, 5), (1, 2, 3, 9)],
        "gamma": (0.05, 0.95),
    },
    edges=(
        {"milestones": ()},
        {"milestones": (0, 0, 1)},
        {"gamma": 0.0},
        {"milestones": (40, 60, 120)},
    ),
    local=True,
)
