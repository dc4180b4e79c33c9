"""A saw between two rates: ``torch.optim.lr_scheduler.CyclicLR``.

Symbols: γ₀ base_lr, γ₁ max_lr, u step_size_up, d step_size_down, q gamma, t steps;
c = ⌊1 + t/(u+d)⌋ the cycle, x its part that is done, from 0 to 1.

    h = x(u+d)/u  going up (x ≤ u/(u+d)),    (1 − x)(u+d)/d  going down
    γ_t = γ₀ + (γ₁ − γ₀) h s        s = 1 (triangular), 2^{1−c} (triangular2), qᵗ (exp_range),
                                    a function of c or of t (torch's scale_fn, scale_mode)
    μ_t = μ₁ − (μ₁ − μ₀) h s        between base_momentum μ₀ and max_momentum μ₁

(Smith 2017, arXiv:1506.01186.) The rate the optimizer was built with plays no part. A function
that scales stands here as one of two words, 1/(1+c) or 1/(1+t).
"""

from __future__ import annotations

from typing import NamedTuple

from oracles.numerics import Scalar, either, one, share
from oracles.schedules.schedule import Schedule, Timing, ahead, behind


class Settings(NamedTuple):
    """Settings, with torch's names and, where it has any, its defaults."""

    base_lr: Scalar = 0.01
    max_lr: Scalar = 0.1
    step_size_up: int = 4
    step_size_down: int = 4
    mode: str = "triangular"
    gamma: Scalar = 1.0
    base_momentum: Scalar = 0.8
    max_momentum: Scalar = 0.9
    cycle_momentum: bool = True


OF_CYCLE, OF_STEP = "1/(1+c)", "1/(1+t)"
"""Words for functions that scale."""


def _scale(t: int, cycle: int, s: Settings) -> Scalar:
    scales = {
        "triangular": 1,
        "triangular2": 0.5 ** (cycle - 1),
        "exp_range": s.gamma**t,
        OF_CYCLE: one(s.gamma) / (1 + cycle),
        OF_STEP: one(s.gamma) / (1 + t),
    }
    return scales[s.mode]


def _by_cycle(t: int, base: Scalar, s: Settings) -> Scalar:
    """A height of each cycle that exp_range does not change within it."""
    whole = s.step_size_up + s.step_size_down
    scaled = s.gamma ** (t // whole + 1) if s.mode == "exp_range" else _scale(t, t // whole + 1, s)
    flat = _height(t, s.base_lr, s._replace(mode="triangular"))
    return s.base_lr + (s.max_lr - s.base_lr) * flat * scaled


def _height(t: int, base: Scalar, s: Settings) -> Scalar:
    """h of the cycle, times its scale.

    What is left of 1 + t/(u+d) without its whole part has lost the digits of that part. At the top
    they say whether it goes up or down; where d is small beside u, the digits matter more there.
    """
    up, whole = s.step_size_up, s.step_size_up + s.step_size_down
    cycle = 1 + t // whole
    done, part = 1 + share(t, whole, base) - cycle, share(up, whole, base)
    if t % whole < up or whole == up:
        return done / part * _scale(t, cycle, s)
    down = (done - 1) / (part - 1)
    height = either(done / part, down) if t % whole == up else down
    return height * _scale(t, cycle, s)


def _rate(t: int, base: Scalar, s: Settings) -> Scalar:
    return s.base_lr + (s.max_lr - s.base_lr) * _height(t, s.base_lr, s)


def _momentum(t: int, base: Scalar, s: Settings) -> Scalar:
    return s.max_momentum - (s.max_momentum - s.base_momentum) * _height(t, s.base_lr, s)


TORCH = Timing(
    name="from_base",
    equation="γ_t = γ₀ + (γ₁ − γ₀) h s",
    source="torch.optim.lr_scheduler.CyclicLR",
    rate=_rate,
)

SCHEDULE = Schedule(
    name="CyclicLR",
    symbols="γ₀ base_lr, γ₁ max_lr, h height within the cycle, s scale of the cycle, t steps",
    settings=Settings,
    timings=(
        TORCH,
        Timing(
            name="from_max",
            equation="γ_t = γ₁ − (γ₁ − γ₀) h s",
            source="loops that begin at the top",
            rate=lambda t, base, s: s.max_lr - (s.max_lr - s.base_lr) * _height(t, s.base_lr, s),
        ),
        Timing(
            name="scaled_by_cycle",
            equation="γ_t = γ₀ + (γ₁ − γ₀) h qᶜ (exp_range)",
            source="loops in which exp_range, too, scales cycle by cycle",
            rate=_by_cycle,
            shows={"mode": ["exp_range"]},
        ),
        ahead(TORCH, "loops that step the schedule before the optimizer"),
        behind(TORCH, "loops that use the first rate twice"),
    ),
    draws={
        "base_lr": (0.001, 0.01),
        "max_lr": (0.05, 1.0),
        "step_size_up": (1, 4),
        "step_size_down": (1, 4),
        "mode": ["triangular", "triangular2", "exp_range", OF_CYCLE, OF_STEP],
        "gamma": (0.5, 0.99),
        "base_momentum": (0.5, 0.8),
        "max_momentum": (0.85, 0.99),
        "cycle_momentum": [True, False],
    },
    momentum=_momentum,
    lent=("step_size_up", "step_size_down"),
    listed=("base_lr", "max_lr", "base_momentum", "max_momentum"),
    edges=(
        {"step_size_up": 1, "step_size_down": 1},
        {"base_lr": 0.05, "max_lr": 0.05},
        {"base_lr": 1.0, "max_lr": 0.05},
        {"step_size_up": 40},
        {"mode": "exp_range", "gamma": 1.0},
    ),
)
