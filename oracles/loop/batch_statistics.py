r"""Statistics of batch normalization, taken anew: ``torch.optim.swa_utils.update_bn``.

Symbols
-------
xⱼ  the j-th batch that a layer sees, of mⱼ rows    k  batches     M  rows of all of them
μⱼ  its mean, by channel                            vⱼ  its variance, divided by mⱼ − 1

    mean = (μ₁ + ... + μₖ)/k          var = (v₁ + ... + vₖ)/k

The statistics are reset, and then each batch counts alike, however many rows it has: the mean of
the means, and the mean of the variances within batches, which leaves out how far the means lie
apart. ``num_batches_tracked`` is k. Momentum, and whether each module trains, are afterwards what
they were. A model without batch normalization is not run.

Izmailov et al. 2018 (arXiv:1803.05407, section 3.2) ask for "one additional pass over the data",
and so for the statistics of all rows, which for batches of one size have the same mean and another
variance.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from oracles.loop.part import Part, Variant
from oracles.numerics import Array, Scalar, lerp, one, zeros_like

Batches = Sequence[Array]
"""(rows, channels) each, of two rows or more."""


class Statistics(NamedTuple):
    """What a layer keeps, by channel, and how many batches it is of."""

    mean: Array
    var: Array
    tracked: int = 0


def moments(batch: Array, lost: int = 1) -> Statistics:
    """Mean and variance of the rows, the latter divided by so many fewer than they are.

    >>> mean, var, _ = moments(np.array([[1.0], [5.0]]))
    >>> mean.tolist(), var.tolist()
    ([3.0], [8.0])
    """
    rows = np.shape(batch)[0]
    mean = np.sum(batch, axis=0) / rows
    apart = batch - mean
    return Statistics(mean, np.sum(apart * apart, axis=0) / (rows - lost))


def followed(
    held: Statistics, batches: Batches, weights: Iterator[Scalar], lost: int = 1
) -> Statistics:
    """``held + weight (new − held)`` with each batch."""
    for batch, weight in zip(batches, weights, strict=False):
        new = moments(batch, lost)
        mean, var = lerp(held.mean, new.mean, weight), lerp(held.var, new.var, weight)
        held = Statistics(mean, var, held.tracked + 1)
    return held


def reset(held: Statistics) -> Statistics:
    """Mean 0 and variance 1, of no batch."""
    nothing = zeros_like(held.mean)  # and not 0 * mean, which may not be finite
    return Statistics(nothing, nothing + 1)


def _alike(held: Statistics, momentum: Scalar) -> Iterator[Scalar]:
    """1/k, for those that are tracked already and the next."""
    count = held.tracked
    while True:
        count += 1
        yield one(momentum) / count


def _by_rows(batches: Batches, momentum: Scalar) -> Iterator[Scalar]:
    rows = 0
    for batch in batches:
        size = np.shape(batch)[0]
        rows += size
        yield size * one(momentum) / rows


def _kept(momentum: Scalar) -> Iterator[Scalar]:
    while True:
        yield momentum


def taken_anew(batches: Batches, held: Statistics, momentum: Scalar, lost: int = 1) -> Statistics:
    """torch's: each batch counts alike.

    >>> one_, two = np.array([[1.0], [5.0]]), np.array([[1.0], [1.0], [4.0]])
    >>> mean, var, tracked = taken_anew([one_, two], Statistics(np.ones(1), np.ones(1)), 0.1)
    >>> mean.tolist(), var.tolist(), tracked
    ([2.5], [5.5], 2)
    """
    start = reset(held)
    return followed(start, batches, _alike(start, momentum), lost)


PART = Part(
    name="update_bn",
    symbols="μⱼ, vⱼ mean and variance (unbiased) of the j-th of k batches, of mⱼ rows; M all rows",
    variants=(
        Variant(
            name="batches_alike",
            equation="mean = Σμⱼ/k, var = Σvⱼ/k",
            source="torch.optim.swa_utils.update_bn",
            compute=taken_anew,
        ),
        Variant(
            name="rows_alike",
            equation="mean = Σmⱼμⱼ/M, var = Σmⱼvⱼ/M",
            source="torchcontrib.optim.SWA.bn_update, after github.com/timgaripov/swa",
            compute=lambda batches, held, momentum: followed(
                reset(held), batches, _by_rows(batches, momentum)
            ),
        ),
        Variant(
            name="all_rows",
            equation="mean and variance of all rows at once",
            source="arXiv:1803.05407, section 3.2, read literally",
            compute=lambda batches, held, momentum: moments(np.concatenate(batches)),
        ),
        Variant(
            name="momentum_kept",
            equation="from 0 and 1 on, mean = (1−momentum)mean + momentum μⱼ, var likewise",
            source="a pass of training mode after the reset",
            compute=lambda batches, held, momentum: followed(reset(held), batches, _kept(momentum)),
        ),
        Variant(
            name="not_reset",
            equation="the batches before count as well",
            source="momentum = None without a reset",
            compute=lambda batches, held, momentum: followed(held, batches, _alike(held, momentum)),
        ),
        Variant(
            name="biased",
            equation="vⱼ divided by mⱼ",
            source="the variance by which a batch itself is normalized",
            compute=lambda batches, held, momentum: taken_anew(batches, held, momentum, lost=0),
        ),
    ),
)
