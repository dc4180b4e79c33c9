"""Decay every few epochs: ``torch.optim.lr_scheduler.StepLR``.

Symbols: γ₀ base learning rate, q gamma, k step_size, t epochs.

    γ_t = γ₀ q^⌊t/k⌋          γ_t = γ_{t−1}q where k divides t ≥ 1               (as a recurrence)
"""

from __future__ import annotations

from typing import NamedTuple

from oracles.numerics import Scalar
from oracles.schedules.schedule import Schedule, Timing, behind, per_batch


class Settings(NamedTuple):
    """Settings, with torch's names (torch has no default step_size)."""

    step_size: int = 3
    gamma: Scalar = 0.1


TORCH = Timing(
    name="staircase",
    equation="γ_t = γ₀ q^⌊t/k⌋",
    source="torch.optim.lr_scheduler.StepLR",
    rate=lambda t, base, s: base * s.gamma ** (t // s.step_size),
)

SCHEDULE = Schedule(
    name="StepLR",
    symbols="γ₀ base learning rate, q gamma, k step_size, t epochs",
    settings=Settings,
    timings=(
        TORCH,
        Timing(
            name="counted_from_one",
            equation="γ_t = γ₀ q^⌊(t+1)/k⌋",
            source="loops whose first epoch is number 1",
            rate=lambda t, base, s: base * s.gamma ** ((t + 1) // s.step_size),
        ),
        behind(TORCH, "loops that decay after the epoch that k divides, and not before it"),
        per_batch(TORCH),
    ),
    following=lambda rate, t, base, s: rate * s.gamma if t and t % s.step_size == 0 else rate,
    draws={"step_size": (1, 5), "gamma": (0.05, 0.95)},
    edges=({"gamma": 0.0}, {"gamma": 1.0}, {"step_size": 1}, {"step_size": 40}),
    local=True,
)
