"""The functions that the text of a rule calls, beside ``+ - * / **`` and those of NumPy.

Each says what a rule computes, on plain numbers. Types that know of rounding
(:class:`~oracles.harness.arithmetic.enclosure.Enclosure`) register what they make of it; which of
several forms a path computes, and what it accumulates in, is theirs to know.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce, singledispatch
from typing import Any

import numpy as np

Array = Any
"""What a rule computes on: a float64 array, an object array of ``fractions.Fraction`` or
``mpmath.mpf``, or an :class:`~oracles.harness.arithmetic.enclosure.Enclosure`. Rules use
``+ - * / **`` and those functions of NumPy on it that all of them have: ``sqrt``, ``abs``,
``maximum``, ``minimum``, ``where``, ``sum``, ``max``, ``stack``, ``shape``, ``ndim`` and
``full_like``. What
NumPy makes of no number type but its own, zeros and the number one, is :func:`zeros_like` and
:func:`one`."""

Scalar = Any
"""A hyperparameter: ``float``, ``Fraction``, ``mpf`` or a 0-d enclosure. Rules may compare it."""

Coefficients = tuple[Scalar, Scalar, Scalar]
"""a, b₃ and b₅ of :func:`newton_schulz`."""


@singledispatch
def lerp(start: Array, end: Array, weight: Scalar, *, literal: bool = False) -> Array:
    """``start + weight (end − start)``, in whichever algebraic form a path computes it.

    Kernels choose between this form, ``end − (end − start)(1 − weight)`` and the weighted sum; the
    rule is the same, the rounding is not, and an enclosure holds them all. ``literal`` says that
    all paths compute this very form, whatever the weight.

    >>> lerp(1.0, 3.0, 0.25)
    1.5
    """
    return start + weight * (end - start)


def ema(old: Array, new: Array, beta: Scalar, *, literal: bool = False) -> Array:
    """``β·old + (1−β)·new``: one step of an exponential moving average.

    Torch computes it as ``lerp(old, new, 1 − β)``; ``literal`` as for :func:`lerp`.

    >>> ema(4.0, 8.0, beta=0.75)
    5.0
    """
    return lerp(old, new, 1 - beta, literal=literal)


def ema_of_squares(old: Array, x: Array, beta: Scalar) -> Array:
    """``β·old + (1−β)·x²``: an average of squares, which torch computes as it is written here.

    (``mul`` and ``addcmul``: no difference ``x² − old`` is taken, so none can cancel.)

    >>> ema_of_squares(4.0, 2.0, beta=0.75)
    4.0
    """
    return beta * old + (1 - beta) * (x * x)


def scaled(scale: Scalar, numerator: Array, denominator: Array) -> Array:
    """``scale · numerator / denominator``, in whichever order a path computes it.

    The orders differ where one of them underflows on its way: a product ``scale · numerator`` that
    lost digits near zero is divided by something small.

    >>> scaled(2.0, 3.0, 4.0)
    1.5
    """
    return scaled_quotient(numerator, denominator, scale)


@singledispatch
def scaled_quotient(numerator: Array, denominator: Array, scale: Scalar) -> Array:
    """What :func:`scaled` gives, by the type of the numerator."""
    return scale * (numerator / denominator)


@singledispatch
def capped_quotient(denominator: Scalar, numerator: Scalar) -> Scalar:
    """``min(1, numerator / denominator)`` of numbers that are not negative.

    As a quotient or as a product with ``1 / denominator``, of which either may overflow.

    >>> float(capped_quotient(4.0, 1.0)), float(capped_quotient(0.5, 1.0))
    (0.25, 1.0)
    """
    return np.minimum(numerator / denominator, 1)


@singledispatch
def either(one: Array, other: Array) -> Array:
    """The same number written in two ways, each of which some path computes.

    The rule is ``one``; an enclosure holds what either of them can round to.

    >>> w, g = 2.0, 4.0
    >>> either(w - 0.5 * g, w * (1 - 0.5 * g / w))
    0.0
    """
    return one


@singledispatch
def norm(x: Array, axis: int | None = None) -> Array:
    """Euclidean length of all elements, or along an axis, which stays with length 1.

    Kernels accumulate it in float32 at least and round it once; an enclosure knows that.

    >>> float(norm(np.array([3.0, -4.0])))
    5.0
    """
    return np.sqrt(np.sum(x * x, axis=axis, keepdims=axis is not None))


@singledispatch
def vector_norm(x: Array, order: float) -> Array:
    """``(Σ|x|ᵖ)^(1/p)`` of all elements of an array that has some.

    For p = ∞ the largest, for −∞ the smallest magnitude, for 0 how many are not 0. Accumulated as
    :func:`norm` is.

    >>> x = np.array([3.0, 0.0, -4.0])
    >>> [float(vector_norm(x, p)) for p in (2, 1, np.inf, -np.inf, 0)]
    [5.0, 7.0, 4.0, 0.0, 2.0]
    """
    return of_order(x, order)


def of_order(x: Array, order: float) -> Array:
    """What :func:`vector_norm` says, in the arithmetic of ``x``."""
    if order in _NORMS:
        return _NORMS[order](x)
    return np.sum(abs(x) ** order) ** (1 / order)


def _nonzero(x: Array) -> Array:
    """How many there are, as a number of the arithmetic of ``x``."""
    return np.sum(np.where(x != 0, zeros_like(x) + 1, zeros_like(x)))


_NORMS: Mapping[float, Callable[[Array], Array]] = {
    0: _nonzero,
    1: lambda x: np.sum(abs(x)),
    2: lambda x: norm(x),
    math.inf: lambda x: np.max(abs(x)),
    -math.inf: lambda x: -np.max(-abs(x)),
}


@singledispatch
def mean(x: Array, axis: int) -> Array:
    """Mean along an axis, which stays with length 1; accumulated as a norm is.

    >>> mean(np.array([[1.0, 3.0], [5.0, 7.0]]), axis=-1).tolist()
    [[2.0], [6.0]]
    """
    return np.sum(x, axis=axis, keepdims=True) / max(x.shape[axis], 1)


@singledispatch
def rsqrt(x: Array) -> Array:
    """``1/√x``, which is one function in some libraries, less exact than the two it stands for.

    >>> float(rsqrt(4.0))
    0.5
    """
    return 1 / np.sqrt(x)


@singledispatch
def cospi(x: Scalar) -> Scalar:
    """``cos(πx)``, as code writes it: the cosine of a product with π, both of which are rounded.

    >>> cospi(1.0)
    -1.0
    """
    return math.cos(math.pi * x)


@singledispatch
def entering(value: Scalar, x: Array) -> Scalar:
    """A result without dimensions, as it meets an array of another dtype than it was computed in.

    The rule is the number itself; only an enclosure is told of the dtypes.
    """
    return value


@singledispatch
def item(value: Array) -> Scalar:
    """A result without dimensions, read back into a Python number.

    >>> item(np.array(0.5))
    0.5
    """
    return value


def larger(floor: Scalar, value: Scalar) -> Scalar:
    """Python's ``max(floor, value)``, which is the floor where the value is nan.

    >>> larger(0.5, float("nan"))
    0.5
    """
    return floored(value, floor)


@singledispatch
def floored(value: Scalar, floor: Scalar) -> Scalar:
    """What :func:`larger` gives, by the type of the value."""
    return max(floor, value)


@singledispatch
def resolution(x: Array) -> Scalar:
    """The distance from 1 to the next number of the format ``x`` is kept in (``finfo.eps``).

    Exact numbers, which have none, get float64's.

    >>> resolution(np.zeros(2, dtype=np.float32)) == 2**-23
    True
    """
    return float(np.finfo(float).eps)


@item.register(np.ndarray)
@item.register(np.generic)
def _item(value: Any) -> Any:
    return value.item()


@resolution.register(np.ndarray)
@resolution.register(np.generic)
def _resolution(x: Any) -> float:
    return float(np.finfo(x.dtype if x.dtype.kind == "f" else float).eps)


@singledispatch
def one(x: Scalar) -> Scalar:
    """1, as a number of x's arithmetic: quotients and roots of it are exact where x is.

    A plain ``1 / 3`` is a float, and exact numbers that meet a float are exact no more.

    >>> from fractions import Fraction
    >>> one(Fraction(2, 5)) / 3
    Fraction(1, 3)
    """
    return type(x)(1)


def share(part: int, whole: int, like: Scalar) -> Scalar:
    """``part / whole`` as a number of the arithmetic that ``like`` is of.

    >>> from fractions import Fraction
    >>> share(1, 3, Fraction(1))
    Fraction(1, 3)
    """
    return one(like) * part / whole


def summed(terms: Sequence[Array]) -> Array:
    """From left to right, with no 0 before the first.

    >>> summed([1.0, 2.0, 4.0])
    7.0
    """
    return reduce(operator.add, terms)


@singledispatch
def zeros_like(w: Array) -> Array:
    """Zeros in the shape of ``w``, as numbers of its arithmetic, which have roots as its own have.

    NumPy's zeros of an object array are ints.

    >>> from fractions import Fraction
    >>> zeros_like(np.array([Fraction(1, 2), Fraction(3)])).tolist()
    [Fraction(0, 1), Fraction(0, 1)]
    """
    return type(w)(0)


@zeros_like.register(np.ndarray)
def _zeros_like(w: Any) -> Any:
    zeros: Any = np.zeros(w.shape, w.dtype)
    if w.dtype == object:
        zeros.flat = [type(v)(0) for v in w.flat]
    return zeros


@singledispatch
def in_bfloat16(x: Array) -> Array:
    """``x``, kept in bfloat16 from here on. The rule is x itself: only an enclosure can tell."""
    return x


@singledispatch
def in_float16(x: Array) -> Array:
    """``x``, kept in float16 from here on; as for :func:`in_bfloat16`."""
    return x


@singledispatch
def kept_like(x: Array, w: Array) -> Array:
    """``x``, as it meets ``w`` in the dtype of w. The rule is x itself."""
    return x


@singledispatch
def newton_schulz(x: Array, coefficients: Coefficients, steps: int) -> Array:
    """``x = ax + b₃(xxᵀ)x + b₅(xxᵀ)²x``, so many times, on whichever side is shorter.

    Error bounds that run along with this text explode, because it forgets that the three terms have
    the same x in common; an enclosure has bounds of its own.

    >>> newton_schulz(np.array([[0.5]]), (1.5, -0.5, 0.0), steps=1).tolist()
    [[0.6875]]
    """
    if x.shape[0] > x.shape[1]:
        return newton_schulz(x.T, coefficients, steps).T
    a, b, c = coefficients
    for _ in range(steps):
        gram = _product(x, x.T)
        x = a * x + _product(b * gram + c * _product(gram, gram), x)
    return x


def _product(x: Array, y: Array) -> Array:
    """``x @ y`` with the sums in order: BLAS gives other bits on every processor."""
    return np.add.reduce(x[:, :, None] * y[None, :, :], axis=1)


# --- what Rule.run tells of numbers without dimensions: no rule's text calls these ---------------


@singledispatch
def kept(value: Scalar) -> Scalar:
    """A number that torch keeps from step to step in a 0-d tensor, which is float32 on all paths.

    The rule is the number itself; only an enclosure is told of the rounding.
    """
    return value


@singledispatch
def beside(value: Scalar, other: Scalar) -> Scalar:
    """A number as it enters arithmetic with another one: as a tensor, where that is one.

    The rule is the number itself; only an enclosure is told of the format.
    """
    return value


@dataclass(frozen=True)
class Product:
    """A running product, which is multiplied in the 0-d float32 tensor that torch keeps it in.

    So both the factor and the product are rounded to float32, before any other number meets it.

    >>> Product(0.5) * 0.25
    0.125
    """

    value: Scalar

    def __mul__(self, factor: Scalar) -> Scalar:
        """The product from here on, as a number like any other."""
        return kept(self.value * kept(factor))
