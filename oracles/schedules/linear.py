"""A straight ramp: ``torch.optim.lr_scheduler.LinearLR``.

Symbols: γ₀ base learning rate, a start_factor, b end_factor, T total_iters, t epochs.

    γ_t = γ₀ (a + (b − a) min(t, T)/T)
    γ_t = γ_{t−1} (1 + (b − a)/(Ta + (t−1)(b − a)))  for 1 ≤ t ≤ T                (as a recurrence)

Torch's warm-up therefore begins at γ₀a *before* the first step; loops that count from 1
(``min(1, (t+1)/T)``) begin one notch higher: Goyal et al. 2017 (arXiv:1706.02677, section 2.2)
count iterations so, as do many fine-tuning scripts. With T = 0 there is nothing to warm up; torch
stays at γ₀a then.
"""

from __future__ import annotations

from typing import NamedTuple

from oracles.numerics import Scalar, share
from oracles.schedules.schedule import Schedule, Timing, behind, per_batch


class Settings(NamedTuple):
    """Settings, with torch's names and defaults."""

    start_factor: Scalar = 1 / 3
    end_factor: Scalar = 1.0
    total_iters: int = 5


def _rate(t: int, base: Scalar, s: Settings) -> Scalar:
    return _ramp(min(t, s.total_iters), s.total_iters, base, s)


def _ramp(t: int, whole: int, base: Scalar, s: Settings) -> Scalar:
    """A ramp of no length is at its end."""
    done = share(t, whole, base) if whole else 1
    return base * (s.start_factor + (s.end_factor - s.start_factor) * done)


def _following(rate: Scalar, t: int, base: Scalar, s: Settings) -> Scalar:
    if t == 0:
        return rate * (s.start_factor if s.total_iters else s.end_factor)
    if t > s.total_iters:
        return rate
    slope = s.end_factor - s.start_factor
    return rate * (1 + slope / (s.total_iters * s.start_factor + (t - 1) * slope))


RISING = {"start_factor": (0.05, 0.45), "end_factor": (0.5, 1.0), "total_iters": (2, 7)}
"""Ramps that are told from one another."""

TORCH = Timing(
    name="from_zero",
    equation="γ_t = γ₀ (a + (b − a) min(t, T)/T)",
    source="torch.optim.lr_scheduler.LinearLR",
    rate=_rate,
)

SCHEDULE = Schedule(
    name="LinearLR",
    symbols="γ₀ base learning rate, a start_factor, b end_factor, T total_iters, t epochs",
    settings=Settings,
    timings=(
        TORCH,
        Timing(
            name="from_one",
            equation="γ_t = γ₀ (a + (b − a) min(t+1, T)/T)",
            source="warm-up that counts its first step as one: Goyal et al. 2017, section 2.2",
            rate=lambda t, base, s: _rate(t + 1, base, s),
            shows=RISING,
        ),
        Timing(
            name="last_included",
            equation="γ_t = γ₀ (a + (b − a) min(t, T−1)/(T−1))",
            source="numpy.linspace(a, b, T): the last of T epochs is at the end already",
            rate=lambda t, base, s: _ramp(min(t, s.total_iters - 1), s.total_iters - 1, base, s),
            shows=RISING,
        ),
        behind(TORCH, "loops that use the first rate twice", **RISING),
        per_batch(TORCH, **RISING),
    ),
    following=_following,
    draws={"start_factor": (0.05, 1.0), "end_factor": (0.05, 1.0), "total_iters": (1, 7)},
    edges=(
        {"end_factor": 0.0},
        {"start_factor": 1.0, "end_factor": 1.0},
        {"total_iters": 120},
    ),
    brinks=({"total_iters": 0},),
    local=True,
)
