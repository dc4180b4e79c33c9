"""Down as one over a root: the transformer's own schedule, T5's, and ``get_inverse_sqrt_schedule``.

Symbols: γ₀ base learning rate, W warm-up steps, τ timescale, d model_size, f factor, t steps.

    γ_t = γ₀fd^(−1/2) min(s^(−1/2), sW^(−3/2)),  s = max(t, 1)        (Noam)
    γ_t = γ₀/√max(t, W)                                               (T5)
    γ_t = γ₀t/W for t < W,  γ₀√(τ/(t − W + τ)) from there on          (transformers)

The first one is of Vaswani et al. 2017 (arXiv:1706.03762, eq. 3), which counts steps from 1; code
that schedulers call with t = 0 guards the root by s = max(t, 1), so that the first rate is used
twice, or counts s = t + 1. The second one is of Raffel et al. 2020 (arXiv:1910.10683, section
3.1.2), with W = 10⁴. The third one has τ = W by default, which is fairseq's
``inverse_sqrt``, and τ = 10⁴ where W = 0.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from oracles.numerics import Scalar, one, share
from oracles.schedules.customary.warmed import from_one, from_zero, ramped
from oracles.schedules.schedule import Schedule, Timing

NOAM, ROOT = "NoamLR", "get_inverse_sqrt_schedule"


class Noam(NamedTuple):
    """Settings, with the names of AllenNLP and the paper's sizes."""

    model_size: int = 512
    warmup_steps: int = 4000
    factor: Scalar = 1.0


class Root(NamedTuple):
    """Settings, with the names of transformers; None is W, or 10⁴ where W is 0."""

    num_warmup_steps: int = 10
    timescale: int | None = None


def _noam(s: int, base: Scalar, settings: Any) -> Scalar:
    """At a step that is counted from 1."""
    size, whole = (one(base) * n for n in (settings.model_size, settings.warmup_steps))
    scale = base * settings.factor * size**-0.5
    return scale * (s * whole**-1.5 if s < settings.warmup_steps else (one(base) * s) ** -0.5)


def _falling(t: int, base: Scalar, s: Any) -> Scalar:
    scale = s.timescale or s.num_warmup_steps or 10_000
    return base * share(scale, t - s.num_warmup_steps + scale, base) ** 0.5


def _flat_first(t: int, base: Scalar, s: Any) -> Scalar:
    return base * (one(base) * max(t, s.num_warmup_steps)) ** -0.5


SCHEDULES = (
    Schedule(
        name=NOAM,
        symbols="γ₀ base learning rate, d model_size, W warmup_steps, f factor, t steps",
        settings=Noam,
        timings=(
            Timing(
                name="at_least_one",
                equation="γ_t = γ₀fd^(−1/2) min(s^(−1/2), sW^(−3/2)), s = max(t, 1)",
                source="AllenNLP NoamLR; The Annotated Transformer",
                rate=lambda t, base, s: _noam(max(t, 1), base, s),
            ),
            Timing(
                name="from_one",
                equation="γ_t = γ₀fd^(−1/2) min(s^(−1/2), sW^(−3/2)), s = t + 1",
                source="Vaswani et al. 2017, eq. 3, whose first step is 1",
                rate=lambda t, base, s: _noam(t + 1, base, s),
            ),
        ),
        draws={"model_size": (4, 64), "warmup_steps": (2, 7), "factor": (0.5, 2.0)},
        home="",
    ),
    Schedule(
        name=ROOT,
        symbols="γ₀ base learning rate, W num_warmup_steps, τ timescale, t steps",
        settings=Root,
        timings=(
            Timing(
                name="from_zero",
                equation="γ_t = γ₀t/W for t < W, then γ₀√(τ/(t − W + τ))",
                source=f"transformers {ROOT}; fairseq inverse_sqrt, where τ = W",
                rate=ramped(_falling, from_zero),
            ),
            Timing(
                name="from_one",
                equation="γ_t = γ₀(t+1)/W for t < W, then γ₀√(τ/(t − W + τ))",
                source="loops that count the first step of the ramp as one",
                rate=ramped(_falling, from_one),
                shows={"num_warmup_steps": (2, 6)},
            ),
            Timing(
                name="flat_first",
                equation="γ_t = γ₀/√max(t, W)",
                source="T5: Raffel et al. 2020, section 3.1.2",
                rate=_flat_first,
            ),
            Timing(
                name="flat_from_one",
                equation="γ_t = γ₀/√max(t+1, W)",
                source="T5's where the first step is 1; Zinkevich 2003, where W = 1",
                rate=lambda t, base, s: _flat_first(t + 1, base, s),
            ),
        ),
        draws={"num_warmup_steps": (1, 6), "timescale": [None, 3, 9]},
        home="",
    ),
)
