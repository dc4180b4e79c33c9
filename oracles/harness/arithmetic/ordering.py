"""Comparisons that may stay open, and what is chosen by them."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracles.harness.arithmetic.enclosure import (
    INFINITE,
    ZERO,
    Enclosure,
    choose,
    enter,
    every,
    implements,
    is_exact,
    is_scalar,
    operands,
    quiet,
)
from oracles.harness.arithmetic.formats import FLOAT64, Format
from oracles.numerics import floored, zeros_like


class Truth:
    """Whether a comparison of enclosures holds, by element: yes, no, or open.

    ``np.where`` takes it; ``bool`` only if it is a single one and not open.
    """

    __slots__ = ("format", "no", "yes")

    def __init__(self, yes: NDArray[np.bool_], no: NDArray[np.bool_], format: Format) -> None:
        self.yes = yes
        self.no = no
        self.format = format

    def __bool__(self) -> bool:
        if self.yes.ndim or not (self.yes or self.no):
            raise TypeError("whether an array or an open comparison is true cannot be said")
        return bool(self.yes)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return where(*args) if func is np.where and not kwargs else NotImplemented


def _extreme(largest: bool) -> Callable[[Any, Any], Enclosure]:
    """Maximum or minimum, which rounds nothing: its radius is that of whichever wins.

    ``|max(a, b) - max(x, y)| <= max(|a - x|, |b - y|)`` where that is open. A nan wins.
    """
    pick = np.maximum if largest else np.minimum

    def extreme(x: Any, y: Any) -> Enclosure:
        x, y, format = operands(x, y)
        less, more = _certainly_less(x, y), _certainly_less(y, x)
        first, second = (more, less) if largest else (less, more)
        mid, either = pick(x.mid, y.mid), np.maximum(x.rad, y.rad)
        rad = choose(first, x.rad, choose(second, y.rad, either))
        if not every(mid == mid):
            rad = choose((mid == mid) | (rad == np.inf), rad, ZERO)
        nonnegative = (any if largest else all)((x.nonnegative, y.nonnegative))
        return Enclosure(mid, rad, format, nonnegative)

    return extreme


_maximum = implements(np.maximum)(_extreme(largest=True))
_minimum = implements(np.minimum)(_extreme(largest=False))


def _certainly_less(x: Enclosure, y: Enclosure) -> Any:
    return x.mid + x.rad < y.mid - y.rad


@floored.register(Enclosure)
@quiet
def _floored(x: Enclosure, floor: Any) -> Enclosure:
    floor, x, format = operands(floor, x)
    winner = _maximum(floor, x)
    nan = np.isnan(x.mid) & (x.rad == 0)
    mid, rad = choose(nan, floor.mid, winner.mid), choose(nan, floor.rad, winner.rad)
    return Enclosure(mid, rad, format, winner.nonnegative)


@zeros_like.register(Enclosure)
@implements(np.zeros_like)
def _zeros_like(x: Enclosure) -> Enclosure:
    zeros = Enclosure.exact(np.zeros(x.shape), x.format)
    zeros.nonnegative = True
    return zeros


@implements(np.full_like)
def _full_like(x: Enclosure, value: Any) -> Enclosure:
    return where(np.ones(x.shape, dtype=bool), value, _zeros_like(x))


@implements(np.where)
def where(condition: Any, x: Any, y: Any) -> Enclosure:
    """Elements of x or y; unknown where the condition is open."""
    if not isinstance(condition, Truth):
        condition = Truth(np.asarray(condition), ~np.asarray(condition), FLOAT64)
    x, y, format = operands(x, y)
    if is_scalar(x) and condition.yes.ndim and condition.format is not format:
        # Both are scalars: they fill an array.
        x, y, format = enter(x, condition.format), enter(y, condition.format), condition.format
    mid = np.where(condition.yes, x.mid, y.mid)[()]
    rad = np.where(condition.yes, x.rad, np.where(condition.no, y.rad, INFINITE))[()]
    return Enclosure(mid, rad, format, x.nonnegative and y.nonnegative)


def _comparison(
    plain: Callable[[Any, Any], Any],
    certain: Callable[[Enclosure, Enclosure], Any],
    impossible: Callable[[Enclosure, Enclosure], Any],
) -> Callable[[Any, Any], bool | Truth]:
    """A comparison from what makes it certain and what rules it out; nan compares false.

    Numbers without radius are compared as numbers.
    """

    def compare(x: Any, y: Any) -> bool | Truth:
        x, y, format = operands(x, y)
        if x.ndim == y.ndim == 0 and is_exact(x) and is_exact(y):
            return bool(plain(x.mid, y.mid))
        nan = np.isnan(x.mid) | np.isnan(y.mid)
        known = ~(np.isinf(x.rad) | np.isinf(y.rad))
        yes = certain(x, y) & known & ~nan
        no = (impossible(x, y) | nan) & known
        return bool(yes) if yes.ndim == 0 and (yes or no) else Truth(yes, no, format)

    return compare


def _not(compare: Callable[[Any, Any], bool | Truth]) -> Callable[[Any, Any], bool | Truth]:
    def opposite(x: Any, y: Any) -> bool | Truth:
        truth = compare(x, y)
        return Truth(truth.no, truth.yes, truth.format) if isinstance(truth, Truth) else not truth

    return opposite


def _same(x: Enclosure, y: Enclosure) -> Any:
    return (x.mid == y.mid) & (x.rad == 0) & (y.rad == 0)


def _apart(x: Enclosure, y: Enclosure) -> Any:
    return _certainly_less(x, y) | _certainly_less(y, x)


def _at_most(x: Enclosure, y: Enclosure) -> Any:
    return x.mid + x.rad <= y.mid - y.rad


_equal = _comparison(operator.eq, _same, _apart)


_less = _comparison(operator.lt, _certainly_less, lambda x, y: _at_most(y, x))


_less_equal = _comparison(operator.le, _at_most, lambda x, y: _certainly_less(y, x))


def _swapped(compare: Callable[[Any, Any], bool | Truth]) -> Callable[[Any, Any], bool | Truth]:
    return lambda x, y: compare(y, x)


implements(np.equal)(_equal)
implements(np.not_equal)(_not(_equal))
implements(np.less)(_less)
implements(np.less_equal)(_less_equal)
implements(np.greater)(_swapped(_less))
implements(np.greater_equal)(_swapped(_less_equal))
