"""Cosine annealing: ``torch.optim.lr_scheduler.CosineAnnealingLR``.

Symbols: γ₀ base learning rate, η eta_min, T T_max, t epochs.

    γ_t = η + (γ₀ − η)(1 + cos(πt/T))/2
    γ_t = η + (γ_{t−1} − η)(1 + cos(πt/T))/(1 + cos(π(t−1)/T))                   (as a recurrence)
    γ_t = γ_{t−1} + (γ₀ − η)(1 − cos(π/T))/2      where t − 1 is an odd multiple of T: there the
                                                  denominator above is 0 and the rate is η

Past T the cosine goes up again (Loshchilov & Hutter 2017, arXiv:1608.03983, eq. 5, without the
restart); loops that stay at the floor are another schedule.
"""

from __future__ import annotations

from typing import NamedTuple

from oracles.numerics import Scalar, cospi, share
from oracles.schedules.schedule import Schedule, Timing, ahead, behind, per_batch


class Settings(NamedTuple):
    """Settings, with torch's names (torch has no default T_max)."""

    T_max: int = 4
    eta_min: Scalar = 0.0


def _height(t: int, base: Scalar, s: Settings) -> Scalar:
    return 1 + cospi(share(t, s.T_max, base))


def _rate(t: int, base: Scalar, s: Settings) -> Scalar:
    return s.eta_min + (base - s.eta_min) * _height(t, base, s) / 2


def _following(rate: Scalar, t: int, base: Scalar, s: Settings) -> Scalar:
    if t == 0:
        return rate
    if (t - 1 - s.T_max) % (2 * s.T_max) == 0:
        return rate + (base - s.eta_min) * (1 - cospi(share(1, s.T_max, base))) / 2
    return _height(t, base, s) / _height(t - 1, base, s) * (rate - s.eta_min) + s.eta_min


def _at_floor(t: int, base: Scalar, s: Settings) -> Scalar:
    return _rate(t, base, s._replace(T_max=max(s.T_max - 1, 1)))


TORCH = Timing(
    name="to_floor",
    equation="γ_t = η + (γ₀ − η)(1 + cos(πt/T))/2",
    source="torch.optim.lr_scheduler.CosineAnnealingLR",
    rate=_rate,
)

SCHEDULE = Schedule(
    name="CosineAnnealingLR",
    symbols="γ₀ base learning rate, η eta_min, T T_max, t epochs",
    settings=Settings,
    timings=(
        TORCH,
        Timing(
            name="stays_at_floor",
            equation="γ_t = η + (γ₀ − η)(1 + cos(π min(t, T)/T))/2",
            source="timm CosineLRScheduler; optax.cosine_decay_schedule with alpha = 0",
            rate=lambda t, base, s: _rate(min(t, s.T_max), base, s),
        ),
        Timing(
            name="to_zero",
            equation="γ_t = γ₀(1 + cos(πt/T))/2",
            source="loops without a floor; transformers get_cosine_schedule_with_warmup",
            rate=lambda t, base, s: base * _height(t, base, s) / 2,
        ),
        Timing(
            name="floor_as_share",
            equation="γ_t = γ₀((1 − η)(1 + cos(πt/T))/2 + η)",
            source="loops that give the floor as a share of γ₀",
            rate=lambda t, base, s: base * ((1 - s.eta_min) * _height(t, base, s) / 2 + s.eta_min),
        ),
        Timing(
            name="stays_at_share",
            equation="γ_t = γ₀((1 − η)(1 + cos(π min(t, T)/T))/2 + η)",
            source="Keras CosineDecay; optax.cosine_decay_schedule (η is alpha, T decay_steps)",
            rate=lambda t, base, s: (
                base * ((1 - s.eta_min) * _height(min(t, s.T_max), base, s) / 2 + s.eta_min)
            ),
        ),
        Timing(
            name="floor_at_last",
            equation="γ_t = η + (γ₀ − η)(1 + cos(πt/(T−1)))/2",
            source="loops whose last of T epochs is at the floor",
            rate=_at_floor,
            shows={"T_max": (2, 6)},
        ),
        ahead(TORCH, "loops that step the schedule before the optimizer"),
        behind(TORCH, "loops that use the first rate twice"),
        per_batch(TORCH),
    ),
    following=_following,
    draws={"T_max": (1, 6), "eta_min": (0.001, 0.05)},
    edges=({"eta_min": 0.0}, {"eta_min": 0.7}, {"T_max": 1}, {"T_max": 24, "eta_min": 0.0}),
)
