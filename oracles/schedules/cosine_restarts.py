"""Cosine annealing with restarts: ``torch.optim.lr_scheduler.CosineAnnealingWarmRestarts``.

Symbols: γ₀ base learning rate, η eta_min, T₀ T_0, k T_mult, t epochs.

    γ_t = η + (γ₀ − η)(1 + cos(πc/Tᵢ))/2

where c = t − (T₀ + ... + T_{i−1}) counts the epochs since the last restart, and Tᵢ = T₀kⁱ is the
length of the period that t lies in (Loshchilov & Hutter 2017, arXiv:1608.03983, eq. 5).
"""

from __future__ import annotations

from typing import NamedTuple

from oracles.numerics import Scalar, cospi, share
from oracles.schedules.schedule import Schedule, Timing, ahead, behind, per_batch


class Settings(NamedTuple):
    """Settings, with torch's names (torch has no default T_0)."""

    T_0: int = 3
    T_mult: int = 1
    eta_min: Scalar = 0.0


def period(t: int, s: Settings) -> tuple[int, int]:
    """Epochs since the last restart, and from that one to the next.

    >>> [period(t, Settings(T_0=2, T_mult=2)) for t in (0, 1, 2, 5, 6)]
    [(0, 2), (1, 2), (0, 4), (3, 4), (0, 8)]
    """
    length = s.T_0
    while t >= length:
        t, length = t - length, length * s.T_mult
    return t, length


def _annealed(t: int, length: int, base: Scalar, s: Settings) -> Scalar:
    return s.eta_min + (base - s.eta_min) * (1 + cospi(share(t, length, base))) / 2


def _rate(t: int, base: Scalar, s: Settings) -> Scalar:
    return _annealed(*period(t, s), base, s)


def _to_the_floor(t: int, base: Scalar, s: Settings) -> Scalar:
    since, length = period(t, s)
    return _annealed(since, max(length - 1, 1), base, s)


def _without(t: int, base: Scalar, s: Settings) -> Scalar:
    return _annealed(t, s.T_0, base, s)


TORCH = Timing(
    name="restart_before_floor",
    equation="γ_t = η + (γ₀ − η)(1 + cos(πc/Tᵢ))/2",
    source="torch.optim.lr_scheduler.CosineAnnealingWarmRestarts",
    rate=_rate,
)

SCHEDULE = Schedule(
    name="CosineAnnealingWarmRestarts",
    symbols="γ₀ base learning rate, η eta_min, T₀ T_0, k T_mult, c epochs since the last restart",
    settings=Settings,
    timings=(
        TORCH,
        Timing(
            name="reaches_floor",
            equation="γ_t = η + (γ₀ − η)(1 + cos(πc/(Tᵢ−1)))/2",
            source="loops whose last epoch of a period is at the floor",
            rate=_to_the_floor,
            shows={"T_0": (2, 4)},
        ),
        Timing(
            name="no_restart",
            equation="γ_t = η + (γ₀ − η)(1 + cos(πt/T₀))/2",
            source="cosine annealing that goes up again as it came down",
            rate=_without,
        ),
        Timing(
            name="periods_alike",
            equation="γ_t = η + (γ₀ − η)(1 + cos(π(t mod T₀)/T₀))/2",
            source="loops that leave T_mult out",
            rate=lambda t, base, s: _rate(t, base, s._replace(T_mult=1)),
            shows={"T_mult": (2, 3)},
        ),
        ahead(TORCH, "loops that step the schedule before the optimizer", T_0=(2, 4)),
        behind(TORCH, "loops that use the first rate twice", T_0=(2, 4)),
        per_batch(TORCH, T_0=(2, 4)),
    ),
    draws={"T_0": (1, 4), "T_mult": (1, 3), "eta_min": (0.001, 0.05)},
    edges=(
        {"T_0": 1, "T_mult": 1},
        {"T_0": 1, "T_mult": 3},
        {"eta_min": 0.0},
        {"eta_min": 0.7},
        {"T_0": 40},
    ),
)
