"""A factor by epoch, of the base rate: ``torch.optim.lr_scheduler.LambdaLR``.

Symbols: γ₀ base learning rate, f lr_lambda, t epochs.

    γ_t = γ₀f(t)

f stands here as the list of its values, which begins again after the last.
"""

from __future__ import annotations

from typing import NamedTuple

from oracles.numerics import Scalar
from oracles.schedules.schedule import Schedule, Timing


class Settings(NamedTuple):
    """Settings: the values of torch's ``lr_lambda``."""

    factors: tuple[Scalar, ...] = (1.0, 0.5)


def factor(t: int, s: Settings) -> Scalar:
    """f(t)."""
    return s.factors[t % len(s.factors)]


SCHEDULE = Schedule(
    name="LambdaLR",
    symbols="γ₀ base learning rate, f lr_lambda, t epochs",
    settings=Settings,
    timings=(
        Timing(
            name="of_base",
            equation="γ_t = γ₀f(t)",
            source="torch.optim.lr_scheduler.LambdaLR",
            rate=lambda t, base, s: base * factor(t, s),
        ),
        Timing(
            name="one_ahead",
            equation="γ_t = γ₀f(t+1)",
            source="functions that count from 1",
            rate=lambda t, base, s: base * factor(t + 1, s),
        ),
    ),
    draws={"factors": [(1.0, 0.5), (0.1, 0.7, 1.3), (0.9,), (2.0, 0.3, 0.3, 0.6)]},
)
