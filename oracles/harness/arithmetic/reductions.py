"""Sums, norms, means and inner products: any order, accumulated in float32 at least."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from oracles.harness.arithmetic.enclosure import (
    INFINITE,
    INFLATE,
    ZERO,
    Enclosure,
    Numbers,
    accumulator,
    choose,
    converted,
    divide,
    every,
    implements,
    multiply,
    operands,
    quiet,
)
from oracles.harness.arithmetic.formats import FORMATS, WIDE_EPS, Format, Wide
from oracles.harness.arithmetic.functions import root
from oracles.numerics import mean, norm, of_order, vector_norm


@implements(np.max)
def _max(x: Enclosure) -> Enclosure:
    """Maximum of all elements: the radius is the largest of those that may be the maximum."""
    if np.any(x.unknown):
        return Enclosure(ZERO, INFINITE, x.format, x.nonnegative)
    low = np.max(x.mid - x.rad)
    rad = np.max(np.where(x.mid + x.rad >= low, x.rad, 0))
    return Enclosure(np.max(x.mid), rad, x.format, x.nonnegative)


@implements(np.sum)
def total(x: Enclosure, axis: int | None = None, keepdims: bool = False) -> Enclosure:
    """Sum in any order: Higham (4.4), ``|error| <= gamma_{n-1} sum |x_i|``; none underflows."""
    terms = x.mid.size if axis is None else x.mid.shape[axis]
    return _accumulated(
        np.sum(x.mid, axis=axis, keepdims=keepdims),
        np.sum(x.rad, axis=axis, keepdims=keepdims),
        np.sum(abs(x.mid) + x.rad, axis=axis, keepdims=keepdims),
        max(terms - 1, 0),
        x,
    )


@norm.register(Enclosure)
@quiet
def _norm(x: Enclosure, axis: int | None = None) -> Enclosure:
    wide = converted(x, accumulator(x.format))
    squares = total(multiply(wide, wide), axis, keepdims=axis is not None)
    return converted(_poisoned(root(squares), x, axis), x.format)


@vector_norm.register(Enclosure)
@quiet
def _vector_norm(x: Enclosure, order: float) -> Enclosure:
    """The steps of ``of_order``, all but the last one in what kernels accumulate in."""
    reduced = of_order(converted(x, accumulator(x.format)), order)
    if order > 0:  # others may do without an element that is infinite or nan
        reduced = _poisoned(reduced, x, None)
    return converted(reduced, x.format)


def _joining(
    join: Callable[[list[Numbers]], Numbers],
) -> Callable[[Sequence[Enclosure]], Enclosure]:
    """Arrays joined to one, in the shortest format that holds the numbers of each."""

    def joined(arrays: Sequence[Enclosure]) -> Enclosure:
        format = _holding([x.format for x in arrays])
        mid, rad = join([x.mid for x in arrays]), join([x.rad for x in arrays])
        return Enclosure(mid, rad, format, all(x.nonnegative for x in arrays))

    return joined


_stack = implements(np.stack)(_joining(np.stack))
_concatenate = implements(np.concatenate)(_joining(np.concatenate))


def _holding(formats: Sequence[Format]) -> Format:
    if all(format is formats[0] for format in formats):
        return formats[0]
    return max(
        (one for one in FORMATS.values() if all(_is_in(other, one) for other in formats)),
        key=lambda format: float(format.u),
    )


def _is_in(one: Format, other: Format) -> bool:
    """Whether every number of a format is one of another."""
    return bool(other.u <= one.u and other.eta <= one.eta and other.largest >= one.largest)


@mean.register(Enclosure)
@quiet
def _mean(x: Enclosure, axis: int) -> Enclosure:
    """A stored sum, divided, or multiplied by 1/n, which is rounded if n is no power of two.

    A kernel that divides before it stores is less likely to overflow.
    """
    n, wider = max(x.shape[axis], 1), accumulator(x.format)
    summed = _poisoned(total(converted(x, wider), axis, keepdims=True), x, axis)
    stored = converted(summed, x.format)
    quotient = divide(stored, n)
    rad = quotient.rad
    if n & (n - 1):
        rad = (rad + wider.u * (abs(quotient.mid) + rad)) * INFLATE
    rad = np.where(np.isinf(stored.mid) & np.isfinite(summed.mid), INFINITE, rad)
    return Enclosure(quotient.mid, rad, quotient.format, quotient.nonnegative)


def _poisoned(reduced: Enclosure, x: Enclosure, axis: int | None) -> Enclosure:
    """A reduction of numbers without sign is nan if one of them is, and infinite if one is that."""
    if every(reduced.rad < np.inf):
        return reduced
    keepdims = axis is not None
    nan = np.any(np.isnan(x.mid) & (x.rad == 0), axis=axis, keepdims=keepdims)
    unknown = np.any(~(x.rad < np.inf), axis=axis, keepdims=keepdims)
    infinite = np.any(np.isinf(x.mid), axis=axis, keepdims=keepdims) & ~unknown & ~nan
    mid = np.where(nan, Wide(np.nan), np.where(infinite, INFINITE, reduced.mid))[()]
    rad = np.where(nan | infinite, ZERO, reduced.rad)[()]
    return Enclosure(mid, rad, reduced.format, reduced.nonnegative)


@implements(np.matmul)
def _matmul(x: Any, y: Any) -> Enclosure:
    """Inner products in any order, fused or not: Higham (3.5), ``gamma_n |x|·|y|``."""
    x, y, format = operands(x, y)
    reach_x, reach_y = abs(x.mid) + x.rad, abs(y.mid) + y.rad
    reach = reach_x @ reach_y
    rad = reach_x @ y.rad + x.rad @ abs(y.mid)
    terms = x.mid.shape[-1]
    rad = rad + np.minimum(reach, terms * format.eta)
    return _accumulated(x.mid @ y.mid, rad, reach, terms, Enclosure(x.mid, x.rad, format))


def _accumulated(
    mid: Numbers, rad: Numbers, reach: Numbers, roundings: int, x: Enclosure
) -> Enclosure:
    """A sum of what adds up to ``reach``, each term through so many roundings of x's format."""
    nu = roundings * x.format.u
    gamma = nu / (1 - nu) if nu < 1 else INFINITE
    wide = (roundings + 4) * WIDE_EPS
    radius = (rad + (gamma + wide) * reach) * (1 + wide)
    radius = choose(reach + radius <= x.format.largest, radius, INFINITE)
    return Enclosure(mid, radius, x.format, x.nonnegative)
