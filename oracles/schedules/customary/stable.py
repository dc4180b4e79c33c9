"""Up, along, and down: warm-up, stable, decay, ``get_wsd_schedule`` of transformers.

Symbols: γ₀ base learning rate, W num_warmup_steps, S num_stable_steps, D num_decay_steps,
ρ min_lr_ratio, n num_cycles, t steps.

    γ_t = γ₀(ρ + (1 − ρ)u(t/W))                 for t < W
    γ_t = γ₀                                    for W ≤ t < W + S
    γ_t = γ₀(ρ + (1 − ρ)d((t − W − S)/D))       for W + S ≤ t < W + S + D
    γ_t = γ₀ρ                                   from there on

    u(x) = x  (linear),    (1 − cos πx)/2  (cosine),      1 − √(1 − x)  (1-sqrt)
    d(x) = 1 − x  (linear),  (1 + cos 2πnx)/2  (cosine),  1 − √x        (1-sqrt)

(Hu et al. 2024, arXiv:2404.06395, section 4; Hägele et al. 2024, arXiv:2405.18392, for 1 − √x.)
Whoever gives T num_training_steps in place of S has S = T − W − D.
"""

from __future__ import annotations

from typing import NamedTuple

from oracles.numerics import Scalar, cospi, share
from oracles.schedules.schedule import Schedule, Timing

NAME = "get_wsd_schedule"


class Settings(NamedTuple):
    """Settings, with the names and the defaults of transformers, which has none of the counts."""

    num_warmup_steps: int = 10
    num_decay_steps: int = 10
    num_training_steps: int = 100
    num_stable_steps: int | None = 80
    warmup_type: str = "linear"
    decay_type: str = "cosine"
    min_lr_ratio: Scalar = 0.0
    num_cycles: float = 0.5


def _up(done: int, whole: int, base: Scalar, kind: str) -> Scalar:
    """u(done/whole)."""
    if kind == "linear":
        return share(done, whole, base)
    if kind == "cosine":
        return (1 - cospi(share(done, whole, base))) / 2
    return 1 - _root(whole - done, whole, base)


def down(done: int, base: Scalar, s: Settings) -> Scalar:
    """d(done/D)."""
    if s.decay_type == "linear":
        return share(s.num_decay_steps - done, s.num_decay_steps, base)
    if s.decay_type == "cosine":
        return (1 + cospi(2 * s.num_cycles * share(done, s.num_decay_steps, base))) / 2
    return 1 - _root(done, s.num_decay_steps, base)


def _root(part: int, whole: int, base: Scalar) -> Scalar:
    """√(part/whole), of which 0 is exact."""
    return share(part, whole, base) ** 0.5 if part else base * 0


def _stable(s: Settings) -> int:
    """S."""
    if s.num_stable_steps is not None:
        return s.num_stable_steps
    return s.num_training_steps - s.num_warmup_steps - s.num_decay_steps


def _rate(t: int, base: Scalar, s: Settings, counts_from: int = 0) -> Scalar:
    since = t - s.num_warmup_steps - _stable(s)
    if t < s.num_warmup_steps:
        part = _up(t + counts_from, s.num_warmup_steps, base, s.warmup_type)
    elif since < 0:
        return base * 1
    elif since < s.num_decay_steps:
        part = down(since, base, s)
    else:
        return base * s.min_lr_ratio
    return base * (part * (1 - s.min_lr_ratio) + s.min_lr_ratio)


SCHEDULES = (
    Schedule(
        name=NAME,
        symbols="γ₀ base learning rate, W num_warmup_steps, S num_stable_steps, "
        "D num_decay_steps, ρ min_lr_ratio, u, d by warmup_type and decay_type, t steps",
        settings=Settings,
        timings=(
            Timing(
                name="from_zero",
                equation="γ_t = γ₀(ρ + (1 − ρ)u(t/W)) for t < W, then γ₀, and from W + S on "
                "γ₀(ρ + (1 − ρ)d((t − W − S)/D))",
                source=f"transformers {NAME}",
                rate=_rate,
            ),
            Timing(
                name="from_one",
                equation="γ_t = γ₀(ρ + (1 − ρ)u((t+1)/W)) for t < W, then γ₀, and from W + S on "
                "γ₀(ρ + (1 − ρ)d((t − W − S)/D))",
                source="loops that count the first step of the ramp as one",
                rate=lambda t, base, s: _rate(t, base, s, counts_from=1),
                shows={"num_warmup_steps": (2, 4)},
            ),
        ),
        draws={
            "num_warmup_steps": (1, 4),
            "num_decay_steps": (3, 5),
            "num_training_steps": (10, 14),
            "num_stable_steps": (2, 4),
            "warmup_type": ["linear", "cosine", "1-sqrt"],
            "decay_type": ["cosine", "linear", "1-sqrt"],
            "min_lr_ratio": (0.0, 0.2),
            "num_cycles": [0.5],
        },
        home="",
    ),
)
