"""Geometric decay: ``torch.optim.lr_scheduler.ExponentialLR``.

Symbols: γ₀ base learning rate, q gamma, t epochs.

    γ_t = γ₀qᵗ          γ_t = γ_{t−1}q                                           (as a recurrence)

Inverse-time decay γ₀/(1 + kt) and γ₀e^{−kt} go by the same name elsewhere; with q = e^{−k} the
latter is the same schedule.
"""

from __future__ import annotations

from typing import NamedTuple

from oracles.numerics import Scalar
from oracles.schedules.schedule import Schedule, Timing, ahead, behind, per_batch


class Settings(NamedTuple):
    """Settings, with torch's names (torch has no default)."""

    gamma: Scalar = 0.9


TORCH = Timing(
    name="per_epoch",
    equation="γ_t = γ₀qᵗ",
    source="torch.optim.lr_scheduler.ExponentialLR",
    rate=lambda t, base, s: base * s.gamma**t,
)

SCHEDULE = Schedule(
    name="ExponentialLR",
    symbols="γ₀ base learning rate, q gamma, t epochs",
    settings=Settings,
    timings=(
        TORCH,
        Timing(
            name="inverse_time",
            equation="γ_t = γ₀/(1 + (1−q)t)",
            source="Keras InverseTimeDecay and the former decay= of its optimizers, k = 1 − q",
            rate=lambda t, base, s: base / (1 + (1 - s.gamma) * t),
        ),
        Timing(
            name="staircase_of_two",
            equation="γ_t = γ₀q^⌊t/2⌋",
            source="Keras ExponentialDecay(staircase=True), with decay_steps = 2",
            rate=lambda t, base, s: base * s.gamma ** (t // 2),
        ),
        ahead(TORCH, "loops that step the schedule before the optimizer"),
        behind(TORCH, "loops that decay before each epoch but the first two"),
        per_batch(TORCH),
    ),
    following=lambda rate, t, base, s: rate * s.gamma if t else rate,
    draws={"gamma": (0.3, 0.99)},
    edges=({"gamma": 0.0}, {"gamma": 1.0}, {"gamma": 1.5}),
    local=True,
)
