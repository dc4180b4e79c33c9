"""Decay to zero as a power: ``torch.optim.lr_scheduler.PolynomialLR``.

Symbols: γ₀ base learning rate, p power, T total_iters, t epochs.

    γ_t = γ₀ (1 − min(t, T)/T)^p
    γ_t = γ_{t−1} ((1 − t/T)/(1 − (t−1)/T))^p  for 1 ≤ t ≤ T                     (as a recurrence)
"""

from __future__ import annotations

from typing import NamedTuple

from oracles.numerics import Scalar, share
from oracles.schedules.schedule import Schedule, Timing, ahead, behind, per_batch


class Settings(NamedTuple):
    """Settings, with torch's names and defaults."""

    total_iters: int = 5
    power: Scalar = 1.0


def _left(t: int, base: Scalar, s: Settings) -> Scalar:
    return 1 - share(min(t, s.total_iters), s.total_iters, base)


def _rate(t: int, base: Scalar, s: Settings) -> Scalar:
    return base * (_left(t, base, s) if t < s.total_iters else 0) ** s.power


def _following(rate: Scalar, t: int, base: Scalar, s: Settings) -> Scalar:
    if t == 0 or t > s.total_iters:
        return rate
    if t == s.total_iters:
        return rate * 0**s.power
    return rate * (_left(t, base, s) / _left(t - 1, base, s)) ** s.power


TORCH = Timing(
    name="to_zero",
    equation="γ_t = γ₀ (1 − min(t, T)/T)^p",
    source="torch.optim.lr_scheduler.PolynomialLR",
    rate=_rate,
)

SCHEDULE = Schedule(
    name="PolynomialLR",
    symbols="γ₀ base learning rate, p power, T total_iters, t epochs",
    settings=Settings,
    timings=(
        TORCH,
        Timing(
            name="power_outside",
            equation="γ_t = γ₀ (1 − (min(t, T)/T)^p)",
            source="loops that raise what is done, and not what is left",
            rate=lambda t, base, s: (
                base * (1 - share(min(t, s.total_iters), s.total_iters, base) ** s.power)
            ),
            shows={"power": (1.5, 3.0), "total_iters": (2, 7)},
        ),
        ahead(TORCH, "loops that step the schedule before the optimizer"),
        behind(TORCH, "loops that use the first rate twice"),
        per_batch(TORCH, total_iters=(2, 7)),
    ),
    following=_following,
    draws={"total_iters": (1, 7), "power": (0.5, 3.0)},
    edges=(
        {"power": 0.0},
        {"power": 1.0},
        {"power": 2.0},
        {"total_iters": 1},
        {"total_iters": 120},
    ),
    local=True,
)
