"""To a fixed rate, for averaging: ``torch.optim.swa_utils.SWALR``.

Symbols: γ₀ base learning rate, σ swa_lr, T anneal_epochs, t epochs, α the part that is done.

    α_t = (1 − cos(π min(t, T)/T))/2  (cos),    min(t, T)/T  (linear);    1 where T = 0
    γ_t = γ₀(1 − α_t) + σα_t
    γ_t = σα_t + (1 − α_t)(γ_{t−1} − α_{t−1}σ)/(1 − α_{t−1}),  σ once α_{t−1} = 1 (as a recurrence)

(Izmailov et al. 2018, arXiv:1803.05407, leave the rate constant after the warm start; the two ways
down to it are torch's.) The recurrence is what torch computes, so that the rate goes down from
wherever another schedule has left it.
"""

from __future__ import annotations

from typing import NamedTuple

from oracles.numerics import Scalar, cospi, share
from oracles.schedules.schedule import Schedule, Timing, ahead, behind, per_batch


class Settings(NamedTuple):
    """Settings, with torch's names and, where it has any, its defaults."""

    swa_lr: Scalar = 0.05
    anneal_epochs: int = 10
    anneal_strategy: str = "cos"


def _done(t: int, base: Scalar, s: Settings) -> Scalar:
    """α_t."""
    if t >= s.anneal_epochs:
        return 1
    part = share(t, s.anneal_epochs, base)
    return (1 - cospi(part)) / 2 if s.anneal_strategy == "cos" else part


def _rate(t: int, base: Scalar, s: Settings) -> Scalar:
    done = _done(t, base, s)
    return base * (1 - done) + s.swa_lr * done


def _following(rate: Scalar, t: int, base: Scalar, s: Settings) -> Scalar:
    done = _done(t, base, s)
    if t == 0:
        return s.swa_lr * done + rate * (1 - done)
    if t > s.anneal_epochs:
        return s.swa_lr * 1
    before = _done(t - 1, base, s) if s.anneal_epochs else 0
    start = (rate - before * s.swa_lr) / (1 - before)
    return s.swa_lr * done + start * (1 - done)


def _compounded(t: int, base: Scalar, s: Settings) -> Scalar:
    for i in range(min(t, s.anneal_epochs) + 1):  # from then on all is done
        done = _done(i, base, s)
        base = base * (1 - done) + s.swa_lr * done
    return base


TORCH = Timing(
    name="from_base",
    equation="γ_t = γ₀(1 − α_t) + σα_t",
    source="torch.optim.swa_utils.SWALR",
    rate=_rate,
)

SCHEDULE = Schedule(
    name="SWALR",
    symbols="γ₀ base learning rate, σ swa_lr, T anneal_epochs, α the part that is done, t epochs",
    settings=Settings,
    timings=(
        TORCH,
        Timing(
            name="compounded",
            equation="γ_t = γ_{t−1}(1 − α_t) + σα_t",
            source="loops that go a part of the way from wherever they are",
            rate=_compounded,
            shows={"anneal_epochs": (3, 7)},
        ),
        ahead(TORCH, "loops that step the schedule before the optimizer"),
        behind(TORCH, "loops that use the first rate twice"),
        per_batch(TORCH, anneal_epochs=(2, 7)),
    ),
    following=_following,
    draws={"swa_lr": (0.01, 0.3), "anneal_epochs": (1, 7), "anneal_strategy": ["cos", "linear"]},
    home="torch.optim.swa_utils",
    listed=("swa_lr",),
    edges=({"anneal_epochs": 0}, {"anneal_epochs": 40}, {"swa_lr": 2.5}, {"swa_lr": 0.0}),
    jumps=False,
)
