"""A factor by epoch, of the base rate: ``torch.optim.lr_scheduler.LambdaLR``.

Symbols: γ₀ base learning rate, f lr_lambda, t epochs.

    γ_t = γ₀f(t)

f stands here as the list of its values, which begins again after the last.
"""

from __future__ import annotations

from typing import NamedTuple

from oracles.numerics import Scalar
from oracles.schedules.schedule import Schedule, Timing, ahead, behind, per_batch


class Settings(NamedTuple):
    """Settings: the values of torch's ``lr_lambda``."""

    factors: tuple[Scalar, ...] = (1.0, 0.5)


def factor(t: int, s: Settings) -> Scalar:
    """f(t)."""
    return s.factors[t % len(s.factors)]


def _of_last(t: int, base: Scalar, s: Settings) -> Scalar:
    for i in range(t + 1):
        base = base * factor(i, s)
    return base


VARIED = {"factors": [(1.0, 0.5), (0.1, 0.7, 1.3), (2.0, 0.3, 0.3, 0.6)]}
"""Functions that are told from themselves one epoch later."""

TORCH = Timing(
    name="of_base",
    equation="γ_t = γ₀f(t)",
    source="torch.optim.lr_scheduler.LambdaLR",
    rate=lambda t, base, s: base * factor(t, s),
)

SCHEDULE = Schedule(
    name="LambdaLR",
    symbols="γ₀ base learning rate, f lr_lambda, t epochs",
    settings=Settings,
    timings=(
        TORCH,
        Timing(
            name="of_last",
            equation="γ_t = γ_{t−1}f(t), γ_0 = γ₀f(0)",
            source="factors that are meant for MultiplicativeLR",
            rate=_of_last,
            shows=VARIED,
        ),
        ahead(
            TORCH,
            "functions that count from 1, as an inverse root of t must (fairseq, T5)",
            **VARIED,
        ),
        behind(TORCH, "loops that use the first rate twice", **VARIED),
        per_batch(TORCH, **VARIED),
    ),
    draws={"factors": [(1.0, 0.5), (0.1, 0.7, 1.3), (0.9,), (2.0, 0.3, 0.3, 0.6)]},
    listed=("factors",),
    edges=({"factors": (0.0, 1.0)}, {"factors": (1.0, -0.5)}),
)
