"""Enclosures: a midpoint and a radius that hold every result correct rounding can give.

Midpoint-radius arithmetic (Rump 1999; the balls of Arb, Johansson 2017) joined with running error
analysis (Wilkinson; Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., ch. 2-3).
``x ± r`` and ``y ± s`` give

    x+y ± (r+s)        x·y ± (|x|s + |y|r + rs)        x/y ± (|x|s + |y|r) / (|y|(|y|-s))

and every operation then adds one rounding of the *subject's* format,

    radius += u (|mid| + radius) + eta          (eta only where a product or quotient may underflow)

so whatever a kernel does with the written operations -- round after each of them, fuse a
multiplication with an addition, keep intermediates in a wider format -- its result is inside.
Midpoints live in :data:`~oracles.harness.formats.Wide`; their own rounding is added to ``u``.

Beyond the finite range an element is one of two things:

* *definite*: radius 0 and a midpoint of ±inf or nan: the rule itself gives this value;
* *unknown*: radius inf: the result depends on how a path rounds (a possible overflow, an infinity
  times a ball of unknown sign). A verdict on it is "undecided", never "inside".

An :class:`Enclosure` follows NumPy's ufunc protocol, so the text of a rule runs on it unchanged.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import ArrayLike, NDArray

from oracles.harness.formats import FLOAT64, WIDE_EPS, Format, Wide, WideArray

INFLATE = 1 + 8 * WIDE_EPS
"""Covers the rounding of the radius' own arithmetic (fewer than eight operations each time)."""

_EXP_ULPS = 4
"""Roundings charged to one ``exp`` or ``log``: vector libraries promise 2 ulp, that is 4 u
(SLEEF ``Sleef_expf16_u10``, ``u20`` and ``Sleef_logf16_u10``; CUDA C++ Programming Guide, table of
maximum errors)."""


class Enclosure(NDArrayOperatorsMixin):
    """An array of balls ``mid ± rad`` whose operations round as ``format`` does.

    Operands meet as torch's do: an array keeps its format, and a 0-d operand (a hyperparameter,
    held in float64) enters an array's kernel with relative error ``format.scalar_u``.

    Args:
        mid: midpoints, any shape.
        rad: radii, same shape; 0 for exact values.
        format: the format every result of an operation is rounded to.
    """

    __slots__ = ("format", "mid", "rad")

    def __init__(self, mid: WideArray, rad: WideArray, format: Format) -> None:
        self.mid = mid
        self.rad = rad
        self.format = format

    @classmethod
    def exact(cls, values: ArrayLike, format: Format = FLOAT64) -> Enclosure:
        """Balls of radius 0 around ``values``, which must be values of the format."""
        mid = np.asarray(values, dtype=Wide)
        return cls(mid, np.zeros_like(mid), format)

    @property
    def ndim(self) -> int:
        return self.mid.ndim

    @property
    def shape(self) -> tuple[int, ...]:
        return self.mid.shape

    @property
    def unknown(self) -> NDArray[np.bool_]:
        """Where nothing can be said: the result depends on how a path rounds."""
        return np.isinf(self.rad)

    def contains(self, values: ArrayLike) -> NDArray[np.bool_]:
        """Which of ``values`` a correct implementation can have given (unknown holds all)."""
        return holds(self.mid, self.rad, np.asarray(values))

    def __repr__(self) -> str:
        return f"Enclosure({self.mid} ± {self.rad})"

    def __bool__(self) -> bool:
        raise TypeError("an enclosure has no truth value; branch on exact hyperparameters only")

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        handler = _UFUNCS.get(ufunc)
        if handler is None or method != "__call__" or kwargs:
            return NotImplemented
        return handler(*inputs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if func is not np.sum:
            return NotImplemented
        return _sum(*args, **kwargs)


def holds(mid: WideArray, rad: WideArray, values: NDArray[Any]) -> NDArray[np.bool_]:
    """Elementwise ``values in mid ± rad``; definite infinities and nans hold only themselves."""
    with np.errstate(invalid="ignore"):
        inside: NDArray[np.bool_] = np.abs(values - mid) <= rad
    if not inside.all():
        inside |= (values == mid) | (np.isnan(values) & np.isnan(mid)) | np.isinf(rad)
    return inside


def _operands(x: Any, y: Any) -> tuple[Enclosure, Enclosure, Format]:
    """Bring two operands to one format; a 0-d one is converted as a kernel converts scalars."""
    x = x if isinstance(x, Enclosure) else Enclosure.exact(x)
    y = y if isinstance(y, Enclosure) else Enclosure.exact(y)
    if x.format is y.format:
        return x, y, x.format
    if y.ndim == 0 and y.format is FLOAT64:
        return x, _enter(y, x.format), x.format
    if x.ndim == 0 and x.format is FLOAT64:
        return _enter(x, y.format), y, y.format
    raise TypeError("enclosures of two formats met; only a 0-d float64 operand may be converted")


def _zero(x: Enclosure) -> bool:
    return x.ndim == 0 and x.mid == 0 and not np.any(x.rad)


def _enter(scalar: Enclosure, format: Format) -> Enclosure:
    """A hyperparameter as a kernel of ``format`` sees it; zero is converted exactly."""
    if _zero(scalar):
        return scalar
    magnitude = abs(scalar.mid) + scalar.rad
    lost = format.scalar_u * magnitude + format.eta
    lost = np.where(magnitude <= format.largest, lost, Wide(np.inf))  # a kernel may overflow it
    lost = np.where(format.scalar_u > 0, lost, 0)
    return Enclosure(scalar.mid, scalar.rad + lost, format)


def _rounded(
    ufunc: np.ufunc, x: Enclosure, y: Enclosure, mid: WideArray, rad: WideArray, format: Format
) -> Enclosure:
    """Add one rounding to an exact result, and settle what left the finite range."""
    reach = np.abs(mid) + rad
    radius = rad + (format.u + WIDE_EPS) * reach
    # Sums of floats never underflow, and multiples of an exact zero scalar (2λ at λ = 0) neither.
    if ufunc is not np.add and ufunc is not np.subtract and not (_zero(x) or _zero(y)):
        radius += format.eta
    radius *= INFLATE
    if not (reach <= format.largest).all():
        mid, radius = _settle(ufunc, x, y, mid, rad, radius, format)
    return Enclosure(mid, radius, format)


def _settle(
    ufunc: np.ufunc,
    x: Enclosure,
    y: Enclosure,
    mid: WideArray,
    rad: WideArray,
    radius: WideArray,
    format: Format,
) -> tuple[WideArray, WideArray]:
    """Decide the elements that are not finite or may overflow: definite, or unknown."""
    finite = np.isfinite(x.mid) & np.isfinite(y.mid)
    unknown = np.isinf(x.rad) | np.isinf(y.rad)
    if ufunc is np.multiply or ufunc is np.divide:
        unknown |= np.isinf(x.mid) & _sign_unknown(y)
        unknown |= np.isinf(y.mid) & _sign_unknown(x)
    if ufunc is np.divide:
        unknown |= _sign_unknown(y) | ((y.mid == 0) & _sign_unknown(x))
    by_zero = finite & (y.mid == 0) & (y.rad == 0) & (ufunc is np.divide)
    definite = ~unknown & (~finite | by_zero)
    too_large = ~unknown & ~definite & ~(np.abs(mid) + rad <= format.largest)
    # An intermediate product may be fused away, so only a sum is certain to overflow.
    certain = (
        too_large
        & (np.abs(mid) - rad > format.overflow)
        & (ufunc is np.add or ufunc is np.subtract)
    )
    mid = np.where(certain, np.copysign(Wide(np.inf), mid), mid)
    radius = np.where(definite | certain, Wide(0), radius)
    radius = np.where(unknown | (too_large & ~certain), Wide(np.inf), radius)
    return mid, radius


def _sign_unknown(x: Enclosure) -> NDArray[np.bool_]:
    return (x.rad > 0) & (np.abs(x.mid) <= x.rad)


def _negative(x: Enclosure) -> Enclosure:
    return Enclosure(-x.mid, x.rad, x.format)


@np.errstate(invalid="ignore", over="ignore")
def _add(x: Any, y: Any) -> Enclosure:
    x, y, format = _operands(x, y)
    return _rounded(np.add, x, y, x.mid + y.mid, x.rad + y.rad, format)


def _subtract(x: Any, y: Any) -> Enclosure:
    return _add(x, -y)


@np.errstate(invalid="ignore", over="ignore")
def _multiply(x: Any, y: Any) -> Enclosure:
    x, y, format = _operands(x, y)
    rad = (np.abs(x.mid) + x.rad) * y.rad + np.abs(y.mid) * x.rad
    return _rounded(np.multiply, x, y, x.mid * y.mid, rad, format)


@np.errstate(invalid="ignore", over="ignore", divide="ignore")
def _divide(x: Any, y: Any) -> Enclosure:
    x, y, format = _operands(x, y)
    size = np.abs(y.mid)
    rad = (np.abs(x.mid) * y.rad + size * x.rad) / (size * (size - y.rad))
    # A divisor that may be zero bounds nothing; the midpoint then only marks the element.
    rad = np.where(_sign_unknown(y), Wide(np.inf), rad)
    return _rounded(np.divide, x, y, x.mid / y.mid, rad, format)


@np.errstate(over="ignore", invalid="ignore")
def _exp(x: Enclosure) -> Enclosure:
    """Convex, so the upper end is the farther one: ``exp(mid) (exp(rad) - 1)``.

    Balls of radius 1 and more are unknown: they bound nothing worth having.
    """
    mid = np.exp(x.mid)
    rad = mid * np.expm1(x.rad)
    charged = _EXP_ULPS * (x.format.u * (mid + rad) + x.format.eta)
    rad = rad + charged + 4 * WIDE_EPS * (mid + rad)
    known = (x.rad < 1) & (mid + rad <= x.format.largest)
    rad = np.where(known, rad * INFLATE, Wide(np.inf))
    return Enclosure(mid, rad, x.format)


@np.errstate(invalid="ignore", divide="ignore")
def _log(x: Enclosure) -> Enclosure:
    """Concave, so the lower end is the farther one: ``log(mid) - log(mid - rad)``.

    Balls that reach below half their midpoint are unknown: log1p would magnify roundings there.
    """
    mid = np.log(x.mid)
    rad = -np.log1p(-x.rad / x.mid)
    rad = rad + (_EXP_ULPS * x.format.u + 4 * WIDE_EPS) * (np.abs(mid) + rad)
    return Enclosure(mid, np.where(2 * x.rad < x.mid, rad * INFLATE, Wide(np.inf)), x.format)


@np.errstate(invalid="ignore", over="ignore")
def _sum(x: Enclosure, axis: int | None = None) -> Enclosure:
    """Sum in any order: Higham (4.4), ``|error| <= gamma_{n-1} sum |x_i|``."""
    terms = x.mid.size if axis is None else x.mid.shape[axis]
    return _accumulated(
        np.sum(x.mid, axis=axis),
        np.sum(x.rad, axis=axis),
        np.sum(np.abs(x.mid) + x.rad, axis=axis),
        terms,
        x.format,
    )


@np.errstate(invalid="ignore", over="ignore")
def _matmul(x: Any, y: Any) -> Enclosure:
    """Inner products in any order, fused or not: Higham (3.5), ``gamma_n |x|·|y|``."""
    x, y, format = _operands(x, y)
    reach_x, reach_y = np.abs(x.mid) + x.rad, np.abs(y.mid) + y.rad
    reach = reach_x @ reach_y
    rad = reach_x @ y.rad + x.rad @ np.abs(y.mid)
    return _accumulated(x.mid @ y.mid, rad, reach, x.mid.shape[-1] + 1, format)


def _accumulated(
    mid: WideArray, rad: WideArray, reach: WideArray, terms: int, format: Format
) -> Enclosure:
    nu = terms * format.u
    gamma = nu / (1 - nu) if nu < 1 else Wide(np.inf)
    wide = (terms + 8) * WIDE_EPS
    radius = rad + (gamma + wide) * reach + terms * format.eta
    radius = np.where(reach + radius <= format.largest, radius * (1 + wide), Wide(np.inf))
    return Enclosure(np.asarray(mid), np.asarray(radius), format)


def _compared(equal: bool) -> Callable[[Any, Any], bool]:
    """Comparisons are for branches on hyperparameters; they answer only when it is certain."""

    def compare(x: Any, y: Any) -> bool:
        x, y, _ = _operands(x, y)
        if x.ndim or y.ndim:
            raise TypeError("only 0-d enclosures can be compared")
        if abs(x.mid - y.mid) > x.rad + y.rad:
            return not equal
        if x.rad == y.rad == 0:
            return equal
        raise TypeError(f"whether {x} equals {y} is undecided")

    return compare


_UFUNCS: dict[np.ufunc, Callable[..., Any]] = {
    np.negative: _negative,
    np.add: _add,
    np.subtract: _subtract,
    np.multiply: _multiply,
    np.divide: _divide,
    np.exp: _exp,
    np.log: _log,
    np.matmul: _matmul,
    np.equal: _compared(equal=True),
    np.not_equal: _compared(equal=False),
}
