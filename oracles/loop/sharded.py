r"""Sharded parameters: whose norm gradients are clipped by.

Symbols
-------
g   gradient of all parameters, after ranks have shared it      R  ranks     r  one of them
s_r  the part of g that rank r holds: g is all of them          C  the largest norm that is let by
g_r  what rank r has accumulated, before anything is shared

torch (``clip_grad_norm_`` on DTensors, as ``fully_shard`` makes them)
----------------------------------------------------------------------
    g = min(1, C/(‖g‖ + 10⁻⁶)) g,     ‖g‖² = Σ_r ‖s_r‖²

Each element counts once, on however many ranks it is, so that R ranks clip as one process does, and
by the same factor everywhere. The decay λw is no part of g and is not clipped. Norms of shards are
squared again to be added up, which rounds twice more than a norm of the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from oracles.loop.clipping import factor
from oracles.loop.part import Part, Variant
from oracles.loop.ranks import over_ranks
from oracles.numerics import Array, norm, zeros_like
from oracles.optimizers.registry import RULES


@dataclass(frozen=True, kw_only=True)
class Clipping(Variant):
    """How gradients are clipped. ``compute`` is told those of all parameters, C and R.

    Attributes:
        alone: whether each rank clips what it has accumulated, before anything is shared.
    """

    compute: Callable[[Sequence[Array], float, int], Sequence[Array]]
    alone: bool = False


def shards(x: Array, ranks: int) -> list[Array]:
    """x as each rank has it, in rows as ``Shard(0)`` and ``torch.chunk`` deal them, 0 elsewhere.

    >>> [shard.tolist() for shard in shards(np.array([1.0, 2.0, 3.0]), 2)]
    [[1.0, 2.0, 0.0], [0.0, 0.0, 3.0]]
    """
    size = np.shape(x)[0]
    owner = np.arange(size) // -(-size // ranks)
    return [np.where(owner == rank, x, zeros_like(x)) for rank in range(ranks)]


def _together(values: Sequence[Array]) -> Array:
    """The norm of arrays, by the norm of each."""
    return norm(np.stack([norm(value) for value in values]))


def whole_norm(gradients: Sequence[Array], ranks: int) -> Array:
    """‖g‖ over all parameters, by the norms of their shards."""
    return norm(np.stack([_together(shards(g, ranks)) for g in gradients]))


def _globally(gradients: Sequence[Array], most: float, ranks: int) -> Sequence[Array]:
    scale = factor(whole_norm(gradients, ranks), most)
    return [g * scale for g in gradients]


def _by_shard(gradients: Sequence[Array], most: float, ranks: int) -> Sequence[Array]:
    held = zip(*(shards(g, ranks) for g in gradients), strict=True)  # by rank
    clipped = [[g * factor(_together(own), most) for g in own] for own in held]
    return [over_ranks(parts) for parts in zip(*clipped, strict=True)]


def _repeatedly(gradients: Sequence[Array], most: float, ranks: int) -> Sequence[Array]:
    copies = norm(np.stack([whole_norm(gradients, ranks)] * ranks))
    scale = factor(copies, most)
    return [g * scale for g in gradients]


def _by_parameter(gradients: Sequence[Array], most: float, ranks: int) -> Sequence[Array]:
    return [g * factor(norm(g), most) for g in gradients]


CLIPPING = (
    Clipping(
        name="norm_of_all_shards",
        equation="g = min(1, C/(‖g‖ + 10⁻⁶)) g of the shared g, each element counted once",
        source="torch.nn.utils.clip_grad_norm_ on gradients that are whole or sharded DTensors",
        compute=_globally,
    ),
    Clipping(
        name="norm_of_own_shard",
        equation="each rank's part of g by the norm of that part",
        source="clip_grad_norm_ on the local tensors of shards, or under ZeRO without a reduction",
        compute=_by_shard,
    ),
    Clipping(
        name="counted_on_each_rank",
        equation="√R ‖g‖ in place of ‖g‖",
        source="squares of replicated gradients that are summed over the ranks which hold them",
        compute=_repeatedly,
    ),
    Clipping(
        name="norm_of_each_parameter",
        equation="each parameter's g by its own norm",
        source="Keras clipnorm; a loop over parameters",
        compute=_by_parameter,
    ),
    Clipping(
        name="clipped_before_the_mean",
        equation="g = (1/R) Σ_r min(1, C/(‖g_r‖ + 10⁻⁶)) g_r",
        source="a clip between the backward pass and the reduction",
        compute=_globally,
        alone=True,
    ),
)
"""Of gradients that ranks share."""

SPREAD = tuple(rule for rule in RULES.values() if not rule.sparse)
"""Rules that step on parameters whose elements are on several ranks, as on any others."""

PART = Part(
    name="fully_shard",
    symbols="g gradient of all parameters, shared by the ranks; g_r what rank r has accumulated; "
    "s_r its shard of g; R ranks; C the largest norm",
    variants=CLIPPING,
)
