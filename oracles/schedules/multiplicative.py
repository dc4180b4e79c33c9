"""A factor by epoch, of the last rate: ``torch.optim.lr_scheduler.MultiplicativeLR``.

Symbols: γ₀ base learning rate, f lr_lambda, t epochs.

    γ_t = γ₀ f(1) f(2) ... f(t)          γ_t = γ_{t−1}f(t)                       (as a recurrence)

f(0) is never used. f stands here as the list of its values, which begins again after the last.
"""

from __future__ import annotations

from oracles.numerics import Scalar
from oracles.schedules.lambda_ import Settings, factor
from oracles.schedules.schedule import Schedule, Timing, ahead, behind


def _product(first: int, t: int, base: Scalar, s: Settings) -> Scalar:
    for i in range(first, t + 1):
        base = base * factor(i, s)
    return base


TORCH = Timing(
    name="from_one",
    equation="γ_t = γ₀ f(1) ... f(t)",
    source="torch.optim.lr_scheduler.MultiplicativeLR",
    rate=lambda t, base, s: _product(1, t, base, s),
)

SCHEDULE = Schedule(
    name="MultiplicativeLR",
    symbols="γ₀ base learning rate, f lr_lambda, t epochs",
    settings=Settings,
    timings=(
        TORCH,
        Timing(
            name="from_zero",
            equation="γ_t = γ₀ f(0) ... f(t)",
            source="loops that apply the factor of the first epoch, too",
            rate=lambda t, base, s: _product(0, t, base, s),
        ),
        Timing(
            name="of_base",
            equation="γ_t = γ₀ f(t)",
            source="factors that are meant for LambdaLR",
            rate=lambda t, base, s: base * factor(t, s),
        ),
        ahead(TORCH, "loops that step the schedule before the optimizer"),
        behind(TORCH, "loops that use the first rate twice"),
    ),
    following=lambda rate, t, base, s: rate * factor(t, s) if t else rate,
    draws={"factors": [(1.1, 0.5), (0.1, 0.7, 1.3), (0.9,), (2.0, 0.3, 0.3, 0.6)]},
    listed=("factors",),
    edges=({"factors": (1.0, 0.0)}, {"factors": (1.0, -0.5)}),
    jumps=False,
)
