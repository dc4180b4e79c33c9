"""A factor for the first epochs: ``torch.optim.lr_scheduler.ConstantLR``.

Symbols: γ₀ base learning rate, f factor, T total_iters, t epochs completed (steps of the schedule).

    γ_t = γ₀f  for t < T,    γ₀  from T on
    γ_0 = γ₀f,  γ_t = γ_{t−1}/f  at t = T, and γ_{t−1} elsewhere                  (as a recurrence)

With T = 0 torch scales at t = 0 and never scales back (the recurrence only looks at t = T for
t ≥ 1), while its closed form gives γ₀; with f = 0 its recurrence divides by 0 at T.
"""

from __future__ import annotations

from typing import NamedTuple

from oracles.numerics import Scalar
from oracles.schedules.schedule import Schedule, Timing, per_batch


class Settings(NamedTuple):
    """Settings, with torch's names and defaults."""

    factor: Scalar = 1 / 3
    total_iters: int = 5


def _rate(t: int, base: Scalar, s: Settings) -> Scalar:
    return base * s.factor if t < s.total_iters else base * 1


def _following(rate: Scalar, t: int, base: Scalar, s: Settings) -> Scalar:
    if t == 0:
        return rate * s.factor if s.total_iters else rate
    if t != s.total_iters:
        return rate
    return base * 1 if s.factor == 0 else rate * (1 / s.factor)


def _one_longer(t: int, base: Scalar, s: Settings) -> Scalar:
    return _rate(t - 1, base, s) if t else _rate(0, base, s)


TORCH = Timing(
    name="constant",
    equation="γ_t = γ₀f for t < T, γ₀ from T on",
    source="torch.optim.lr_scheduler.ConstantLR",
    rate=_rate,
)

SCHEDULE = Schedule(
    name="ConstantLR",
    symbols="γ₀ base learning rate, f factor, T total_iters, t epochs",
    settings=Settings,
    timings=(
        TORCH,
        Timing(
            name="last_included",
            equation="γ_t = γ₀f for t ≤ T, γ₀ afterwards",
            source="loops that compare epoch <= total",
            rate=_one_longer,
            shows={"factor": (0.05, 0.9)},
        ),
        per_batch(TORCH, factor=(0.05, 0.9), total_iters=(2, 7)),
    ),
    following=_following,
    draws={"factor": (0.05, 1.0), "total_iters": (1, 7)},
    edges=({"factor": 1.0}, {"total_iters": 120}),
    brinks=({"total_iters": 0}, {"factor": 0.0}),
    local=True,
)
