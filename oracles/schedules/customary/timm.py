"""A ramp and a cosine in epochs: ``CosineLRScheduler`` of timm, and its ``PolyLRScheduler``.

Symbols: γ₀ base learning rate, W warmup_t, ω warmup_lr_init, T t_initial, η lr_min, p power,
t epochs; c = t, or t − W with warmup_prefix.

    γ_t = ω + (γ₀ − ω)t/W                       for t < W
    γ_t = η + (γ₀ − η)(1 + cos(πc/T))/2         for c < T  (cosine)
    γ_t = η + (γ₀ − η)(1 − c/T)^p               for c < T  (polynomial)
    γ_t = η                                     from there on

Without ``warmup_prefix`` the ramp lies *over* the decay, which has gone on meanwhile: at t = W the
rate falls below γ₀ at once. Whoever calls ``step(epoch)`` counts epochs, and the rate is the same
in all batches of one; with ``t_in_epochs=False`` it is ``step_update(num_updates)`` that counts,
and t are updates. Both are handed the epoch that begins: ``step(epoch + 1)`` at the end of one.
(More cycles than one, ``k_decay`` and noise are not here.)
"""

from __future__ import annotations

from typing import Any, NamedTuple

from oracles.numerics import Scalar, cospi, share
from oracles.schedules.schedule import Closed, Schedule, Timing

COSINE, POLYNOMIAL = "CosineLRScheduler", "PolyLRScheduler"


class Cosine(NamedTuple):
    """Settings, with timm's names and, where it has any, its defaults."""

    t_initial: int = 100
    lr_min: Scalar = 0.0
    warmup_t: int = 0
    warmup_lr_init: Scalar = 0.0
    warmup_prefix: bool = False


class Polynomial(NamedTuple):
    """Settings, with timm's names and, where it has any, its defaults."""

    t_initial: int = 100
    power: Scalar = 0.5
    lr_min: Scalar = 0.0
    warmup_t: int = 0
    warmup_lr_init: Scalar = 0.0
    warmup_prefix: bool = False


def _ramped(height: Closed) -> Closed:
    def rate(t: int, base: Scalar, s: Any) -> Scalar:
        if t < s.warmup_t:
            return s.warmup_lr_init + (base - s.warmup_lr_init) * share(t, s.warmup_t, base)
        c = t - s.warmup_t if s.warmup_prefix else t
        if c >= s.t_initial:
            return s.lr_min * 1
        return s.lr_min + (base - s.lr_min) * height(c, base, s)

    return rate


def _cosine(c: int, base: Scalar, s: Any) -> Scalar:
    return (1 + cospi(share(c, s.t_initial, base))) / 2


def _polynomial(c: int, base: Scalar, s: Any) -> Scalar:
    return share(s.t_initial - c, s.t_initial, base) ** s.power


def _schedule(
    name: str, settings: Any, height: Closed, equation: str, symbols: str, **draws: Any
) -> Schedule:
    rate = _ramped(height)
    return Schedule(
        name=name,
        symbols=f"γ₀ base learning rate, W warmup_t, ω warmup_lr_init, T t_initial, η lr_min, "
        f"{symbols}c = t, or t − W with warmup_prefix, t epochs",
        settings=settings,
        timings=(
            Timing(
                name="by_epoch",
                equation=f"γ_t = ω + (γ₀ − ω)t/W for t < W, then {equation} for c < T, then η",
                source=f"timm {name}, stepped with the epoch that begins",
                rate=rate,
            ),
            Timing(
                name="one_behind",
                equation="γ of epoch max(t−1, 0)",
                source="loops that call step(epoch) at the end of that epoch",
                rate=lambda t, base, s: rate(max(t - 1, 0), base, s),
            ),
        ),
        draws={
            "t_initial": (8, 13),
            **draws,
            "lr_min": (0.001, 0.05),
            "warmup_t": (1, 5),
            "warmup_lr_init": (0.001, 0.05),
            "warmup_prefix": [False, True],
        },
        home="",
    )


SCHEDULES = (
    _schedule(COSINE, Cosine, _cosine, "η + (γ₀ − η)(1 + cos(πc/T))/2", ""),
    _schedule(
        POLYNOMIAL,
        Polynomial,
        _polynomial,
        "η + (γ₀ − η)(1 − c/T)^p",
        "p power, ",
        power=(0.5, 3.0),
    ),
)
