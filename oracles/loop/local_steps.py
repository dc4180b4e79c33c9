r"""Local steps: ranks that go their own ways, and when they meet.

Symbols
-------
w_r  parameters of rank r, of R     t  step, counted from 1     T  warm-up     H  period

torch (``PostLocalSGDOptimizer`` with a ``PeriodicModelAverager``)
------------------------------------------------------------------
    each rank steps with a gradient of its own; then, at t = T + 1, T + 1 + H, T + 1 + 2H, ...

    w_r = (1/R) Σ_r w_r                      buffers of the optimizer stay each rank's own

(The averager counts from 0 and asks whether that count less T is a multiple of H.) During the
warm-up the hook ``post_localSGD_hook`` shares gradients, as ``DistributedDataParallel`` does; both
have to be told the same T. Lin et al. 2020, arXiv:1808.07217, algorithm 1, meet after every H local
steps: at t = T + H, T + 2H, ...
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from oracles.loop.part import Part, Variant
from oracles.loop.ranks import TORCH, PerRank, Sharing, accumulated, everywhere, mean, over_ranks

Met = Callable[[int, int, int], bool]
"""Whether ranks meet after step t, of a warm-up T and a period H."""


def _at_first(t: int, warmup: int, period: int) -> bool:
    return t > warmup and (t - 1 - warmup) % period == 0


def _at_last(t: int, warmup: int, period: int) -> bool:
    return t > warmup and (t - warmup) % period == 0


def _heedless(t: int, warmup: int, period: int) -> bool:
    return (t - 1) % period == 0


def _met(met: Met, values: PerRank, t: int, warmup: int, period: int) -> PerRank:
    return everywhere(mean(values), len(values)) if met(t, warmup, period) else values


def _added(values: PerRank, t: int, warmup: int, period: int) -> PerRank:
    met = _at_first(t, warmup, period)
    return everywhere(over_ranks(values), len(values)) if met else values


PART = Part(
    name="PostLocalSGDOptimizer",
    symbols="w_r parameters of rank r, of R; t step from 1 on; T warm-up; H period",
    variants=(
        Variant(
            name="meets_first",
            equation="w_r = mean of all at t = T + 1 + nH",
            source="torch.distributed.algorithms.model_averaging.averagers.PeriodicModelAverager",
            compute=partial(_met, _at_first),
        ),
        Variant(
            name="meets_last",
            equation="w_r = mean of all at t = T + nH, n > 0",
            source="Lin et al. 2020, arXiv:1808.07217, algorithm 1",
            compute=partial(_met, _at_last),
        ),
        Variant(
            name="warmup_ignored",
            equation="w_r = mean of all at t = 1 + nH",
            source="an averager that is not told of the warm-up",
            compute=partial(_met, _heedless),
        ),
        Variant(
            name="always",
            equation="w_r = mean of all at each t > T",
            source="a period of 1",
            compute=partial(_met, lambda t, warmup, period: t > warmup),
        ),
        Variant(
            name="never",
            equation="w_r stay each rank's own",
            source="an averager that is not called",
            compute=partial(_met, lambda t, warmup, period: False),
        ),
        Variant(
            name="parameters_summed",
            equation="w_r = Σ_r w_r at t = T + 1 + nH",
            source="an all_reduce without a division",
            compute=_added,
        ),
    ),
)
"""``compute`` is told the w_r after step t, t, T and H."""


def sharing(variant: Variant, warmup: int, period: int) -> Sharing:
    """The same as a way of sharing a step: gradients while warming up, parameters from then on."""
    return Sharing(
        name=variant.name,
        equation=variant.equation,
        source=variant.source,
        compute=lambda micro, rows, t: (
            TORCH.compute(micro, rows, t) if t <= warmup else accumulated(micro)
        ),
        after=lambda values, t: variant.compute(values, t, warmup, period),
    )
