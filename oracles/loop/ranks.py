r"""Many processes: whose gradients a step is given, and what is left of the ranks' own.

Symbols
-------
R    ranks                       g_rj  gradient of the loss that rank r computes on its
r    one of them                       micro-batch j, with what it divides that loss by
k    micro-batches in a step     g_r   what r has accumulated: Σ_j g_rj
m_r  rows of rank r in a step    M     rows of all ranks, Σ_r m_r
γ    learning rate               λ     weight decay            w  parameters

torch (``DistributedDataParallel``, and ``fully_shard`` shard by shard)
-----------------------------------------------------------------------
    g = (1/R) Σ_r g_r,     the same on each rank;     γ and λ as they are, whatever R, k and M

The sum may be taken in any order, and each term be divided before it or the whole after it. So R
ranks with m rows each follow one process with Rm rows

* for losses that are means over a rank's rows, if each rank has as many;
* for losses that are sums, never: g is 1/R of that process's gradient;
* for means over unequal shards, never: each *rank* weighs as much as another, not each row. Code
  that wants the mean over rows multiplies the loss of a rank by R m_r/M.

The decay λw is no gradient of anybody's rows. Each rank adds it once, after the mean, in full: it
is divided by no count of rows, ranks or micro-batches, and multiplied by none.

Where it is done otherwise
--------------------------
``DistributedDataParallel`` divides by the R of its process group always: a rank whose parameter had
no gradient in a step counts as one with a gradient of zero. Horovod's and DeepSpeed's ``Sum``, and
loops that call ``all_reduce`` without a division, are ``sum_over_ranks``; lr scaled by R (Goyal et
al. 2017, arXiv:1706.02677) is made for the mean, and belongs to whoever chooses γ.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from oracles.drawing import Hyper
from oracles.loop.part import Part, Variant
from oracles.numerics import Array, either, summed
from oracles.optimizers.registry import RULES

PerRank = Sequence[Array]
"""A number, or an array of them, for each rank."""

Micro = Sequence[Sequence[Array]]
"""The g_rj, by rank."""

STEPPED = tuple(RULES[name] for name in ("SGD", "AdamW"))
"""What ranks step with: a rule that is linear in the gradient, and one that hardly looks at its
size."""


def _same(value: Any, *told: Any) -> Any:
    return value


@dataclass(frozen=True, kw_only=True)
class Sharing(Variant):
    """How ranks share a step: ``compute`` is told the g_rj, the m_r and t, and gives each its g.

    Attributes:
        hyper: ``(h, the m_r, k) -> h``, what each of them steps with.
        after: ``(w of each, t) -> w of each``, once all have taken step t, counted from 1.
    """

    compute: Callable[[Micro, Sequence[int], int], PerRank]
    hyper: Callable[[Hyper, Sequence[int], int], Hyper] = _same
    after: Callable[[PerRank, int], PerRank] = _same


def accumulated(micro: Micro) -> list[Array]:
    """The g_r: gradients are added up in the order in which they come.

    >>> accumulated([[1.0, 2.0], [4.0, 8.0]])
    [3.0, 12.0]
    """
    return [summed(gradients) for gradients in micro]


def over_ranks(values: PerRank) -> Array:
    """Their sum, in any order.

    >>> float(over_ranks([1.0, 3.0]))
    4.0
    """
    return np.sum(np.stack(values), axis=0)


def mean(values: PerRank) -> Array:
    """Their mean, by a division or a product with 1/R, which is rounded where R is no power of 2.

    >>> float(mean([1.0, 3.0]))
    2.0
    """
    total, ranks = over_ranks(values), len(values)
    return either(total / ranks, total * (1 / ranks))


def everywhere(value: Array, ranks: int) -> PerRank:
    """The same on each rank."""
    return [value] * ranks


def _mean(micro: Micro, rows: Sequence[int], t: int) -> PerRank:
    return everywhere(mean(accumulated(micro)), len(micro))


def _sum(micro: Micro, rows: Sequence[int], t: int) -> PerRank:
    return everywhere(over_ranks(accumulated(micro)), len(micro))


def _own(micro: Micro, rows: Sequence[int], t: int) -> PerRank:
    return accumulated(micro)


def _first(micro: Micro, rows: Sequence[int], t: int) -> PerRank:
    return everywhere(accumulated(micro)[0], len(micro))


def _twice(micro: Micro, rows: Sequence[int], t: int) -> PerRank:
    return [g / len(micro) for g in _mean(micro, rows, t)]


def _by_windows(micro: Micro, rows: Sequence[int], t: int) -> PerRank:
    return [g / len(micro[0]) for g in _mean(micro, rows, t)]


def _by_rows(micro: Micro, rows: Sequence[int], t: int) -> PerRank:
    weighted = [m * g for m, g in zip(rows, accumulated(micro), strict=True)]
    return everywhere(over_ranks(weighted) / sum(rows), len(micro))


def _last_shared(micro: Micro, rows: Sequence[int], t: int) -> PerRank:
    shared = mean([gradients[-1] for gradients in micro])
    return [summed([*gradients[:-1], shared]) for gradients in micro]


def _averaged(values: PerRank, t: int) -> PerRank:
    return everywhere(mean(values), len(values))


def _decay_over_rows(h: Hyper, rows: Sequence[int], windows: int) -> Hyper:
    return h._replace(weight_decay=h.weight_decay / sum(rows))


def _decay_summed(h: Hyper, rows: Sequence[int], windows: int) -> Hyper:
    return h._replace(weight_decay=h.weight_decay * len(rows))


def _decay_each_micro_batch(h: Hyper, rows: Sequence[int], windows: int) -> Hyper:
    return h._replace(weight_decay=h.weight_decay * windows)


def _lr_scaled(h: Hyper, rows: Sequence[int], windows: int) -> Hyper:
    return h._replace(lr=h.lr * len(rows))


TORCH = Sharing(
    name="mean_over_ranks",
    equation="g = (1/R) Σ_r Σ_j g_rj, γ and λ as they are",
    source="torch.nn.parallel.DistributedDataParallel, torch.distributed.fsdp.fully_shard",
    compute=_mean,
)

SHARING = (
    TORCH,
    Sharing(
        name="sum_over_ranks",
        equation="g = Σ_r g_r",
        source="all_reduce without a division; Horovod's op=Sum; what sum losses seem to ask for",
        compute=_sum,
    ),
    Sharing(
        name="divided_twice",
        equation="g = (1/R²) Σ_r g_r",
        source="a loss divided by the number of ranks, as all_reduce of one's own needs it, under "
        "a wrapper that divides as well",
        compute=_twice,
    ),
    Sharing(
        name="divided_by_micro_batches",
        equation="g = (1/kR) Σ_r Σ_j g_rj, of losses that are divided by k already",
        source="a loop that divides by the micro-batches, under a framework that does (DeepSpeed "
        "and Accelerate scale the loss themselves)",
        compute=_by_windows,
    ),
    Sharing(
        name="weighted_by_rows",
        equation="g = Σ_r (m_r/M) g_r",
        source="one process on the rows of all ranks, for losses that are means",
        compute=_by_rows,
    ),
    Sharing(
        name="last_micro_batch_shared",
        equation="g = Σ_{j<k} g_rj + (1/R) Σ_r g_rk, another one on each rank",
        source="gradients accumulated outside of what is reduced, e.g. in buffers of one's own",
        compute=_last_shared,
    ),
    Sharing(
        name="not_shared",
        equation="g = g_r, another one on each rank",
        source="a forward pass through model.module, or no_sync around all micro-batches",
        compute=_own,
    ),
    Sharing(
        name="of_rank_0",
        equation="g = g_0",
        source="a broadcast where a reduction was meant",
        compute=_first,
    ),
    Sharing(
        name="parameters_averaged",
        equation="each rank steps with its own g_r; then w = (1/R) Σ_r w_r",
        source="model averaging; the same for rules that are linear in g, another one for others",
        compute=_own,
        after=_averaged,
    ),
    Sharing(
        name="decay_over_rows",
        equation="λ/M in place of λ",
        source="a penalty that is averaged with the loss: the question this project began with",
        compute=_mean,
        hyper=_decay_over_rows,
    ),
    Sharing(
        name="decay_summed",
        equation="Rλ in place of λ",
        source="λw added to the gradients of each rank before they are summed",
        compute=_mean,
        hyper=_decay_summed,
    ),
    Sharing(
        name="decay_each_micro_batch",
        equation="kλ in place of λ",
        source="λw added to the gradients of each micro-batch, without a division by k",
        compute=_mean,
        hyper=_decay_each_micro_batch,
    ),
    Sharing(
        name="lr_scaled",
        equation="Rγ in place of γ",
        source="Goyal et al. 2017, arXiv:1706.02677, 2.1, done by a framework unasked",
        compute=_mean,
        hyper=_lr_scaled,
    ),
)

PART = Part(
    name="DistributedDataParallel",
    symbols="g_rj gradient of rank r's micro-batch j, g_r their sum, R ranks, k micro-batches, "
    "m_r rows of rank r, M rows of all, γ lr, λ weight decay, w parameters",
    variants=SHARING,
)
