r"""Ranks that have more batches than others: what the ones that are out still count for.

Symbols
-------
R  ranks at the start     A  those that have a batch left, |A| of them     g_r  their gradients

torch (``Join`` around ``DistributedDataParallel``)
---------------------------------------------------
    g = (1/R) Σ_{r in A} g_r          unless told ``divide_by_initial_world_size=False``
    g = (1/|A|) Σ_{r in A} g_r        if told

Whoever is out goes on to take part in every reduction with zeros, until nobody has a batch; then
all ranks hold what the last one to finish holds. By default the rows of the end of an epoch weigh
as much as the others, and g is smaller; otherwise each step is a mean, whose few rows weigh more.
"""

from __future__ import annotations

from oracles.loop.part import Part, Variant
from oracles.loop.ranks import PerRank, over_ranks
from oracles.numerics import Array, either


def _over(gradients: PerRank, count: int) -> Array:
    total = over_ranks(gradients)
    return either(total / count, total * (1 / count))


def _as_told(gradients: PerRank, ranks: int, initial: bool) -> Array:
    return _over(gradients, ranks if initial else len(gradients))


def _until_the_first(gradients: PerRank, ranks: int, initial: bool) -> Array | None:
    return _over(gradients, ranks) if len(gradients) == ranks else None


PART = Part(
    name="Join",
    symbols="g_r gradients of the ranks A that have a batch left, of R at the start",
    variants=(
        Variant(
            name="zeros_of_who_is_out",
            equation="g = (1/R) Σ_{r in A} g_r, or (1/|A|) Σ_{r in A} g_r if told",
            source="torch.distributed.algorithms.Join",
            compute=_as_told,
        ),
        Variant(
            name="active_ranks",
            equation="g = (1/|A|) Σ_{r in A} g_r, whatever is told",
            source="a mean over whoever sends something",
            compute=lambda gradients, ranks, initial: _over(gradients, len(gradients)),
        ),
        Variant(
            name="initial_ranks",
            equation="g = (1/R) Σ_{r in A} g_r, whatever is told",
            source="a reduction that zeros are fed to",
            compute=lambda gradients, ranks, initial: _over(gradients, ranks),
        ),
        Variant(
            name="summed_at_the_end",
            equation="g = Σ_{r in A} g_r where somebody is out",
            source="a reduction without a division, once the group has changed",
            compute=lambda gradients, ranks, initial: _over(
                gradients, ranks if len(gradients) == ranks else 1
            ),
        ),
        Variant(
            name="ends_with_the_first",
            equation="no step where somebody is out",
            source="DistributedSampler(drop_last=True); throw_on_early_termination=True",
            compute=_until_the_first,
        ),
    ),
)
"""``compute`` is told the gradients of A, R, and whether to divide by the ranks of the start."""
