"""Enclosures: a midpoint and a radius that hold every result correct rounding can give.

Midpoint-radius arithmetic (Rump 1999; the balls of Arb, Johansson 2017) joined with running error
analysis (Wilkinson; Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., ch. 2-3).
``x ± r`` and ``y ± s`` give

    x+y ± (r+s)        x·y ± (|x|s + |y|r + rs)        x/y ± (|x|s + |y|r) / (|y|(|y|-s))

and every operation then adds one rounding of the *subject's* format,

    radius += u (|mid| + radius) + eta          (eta only where a product or quotient may underflow)

Roots, powers, maxima and sums go the same way, each with its bound in its function below.

so whatever a kernel does with the written operations -- round after each of them, fuse a
multiplication with an addition, keep intermediates in a wider format -- its result is inside.
Midpoints live in :data:`~oracles.harness.formats.Wide`; their own rounding is added to ``u``.

Beyond the finite range an element is one of two things:

* *definite*: radius 0 and a midpoint of ±inf or nan: the rule itself gives this value;
* *unknown*: radius inf: the result depends on how a path rounds (a possible overflow, an infinity
  times a ball of unknown sign). A verdict on it is "undecided", never "inside".

Rounding is monotone, so what is computed from numbers without a sign (squares, their sums, products,
quotients and roots) never falls below zero, whatever the radius says: such enclosures are marked
``nonnegative``, and a root of one is not undecided near zero.

A comparison of enclosures is a :class:`Truth`, which may be open; ``where`` leaves unknown what hangs
on an open one. An :class:`Enclosure` follows NumPy's ufunc protocol, so the text of a rule runs on it unchanged.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import ArrayLike, NDArray

from oracles.harness.formats import (
    FLOAT64,
    FORMATS,
    TENSOR,
    WIDE_EPS,
    Format,
    Wide,
    WideArray,
)

INFLATE = 1 + 8 * WIDE_EPS
"""Covers the rounding of the radius' own arithmetic (fewer than eight operations each time)."""

_EXP_ULPS = 4
"""Roundings charged to one ``exp`` or ``log``: vector libraries promise 2 ulp, that is 4 u
(SLEEF ``Sleef_expf16_u10``, ``u20`` and ``Sleef_logf16_u10``; CUDA C++ Programming Guide, table of
maximum errors)."""

_POW_ULPS = 8
"""Roundings charged to one power: ``powf`` is within 4 ulp, that is 8 u (the same tables)."""

_NARROW = Wide(2) ** -1080 == 0
"""Whether midpoints may underflow where a product of float64 numbers is not zero."""


class Enclosure(NDArrayOperatorsMixin):
    """An array of balls ``mid ± rad`` whose operations round as ``format`` does.

    Operands meet as torch's do: an array keeps its format, and a 0-d operand (a hyperparameter,
    held in float64, or in float32 if it is a tensor) enters an array's kernel with relative error
    ``format.scalar_u``. A Python number that meets a 0-d tensor enters float32.

    Args:
        mid: midpoints, any shape.
        rad: radii, same shape; 0 for exact values.
        format: the format every result of an operation is rounded to.
        nonnegative: whether no correct implementation computes a value below zero.
    """

    __slots__ = ("format", "mid", "nonnegative", "rad")

    def __init__(
        self, mid: WideArray, rad: WideArray, format: Format, nonnegative: bool = False
    ) -> None:
        self.mid = mid
        self.rad = rad
        self.format = format
        self.nonnegative = nonnegative

    @classmethod
    def exact(cls, values: ArrayLike, format: Format = FLOAT64) -> Enclosure:
        """Balls of radius 0 around ``values``, which must be values of the format."""
        mid = np.asarray(values, dtype=Wide)
        return cls(mid, np.zeros_like(mid), format, mid.ndim == 0 and bool(mid >= 0))

    @classmethod
    def tensor(cls, value: ArrayLike) -> Enclosure:
        """A Python number in a 0-d float32 tensor."""
        return _enter(cls.exact(value), TENSOR)

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

    def kept(self) -> Enclosure:
        """The number as a 0-d float32 tensor gives it back, in the format it has."""
        single = FORMATS["float32"]
        lost = single.u * (np.abs(self.mid) + self.rad) + single.eta
        return Enclosure(self.mid, (self.rad + lost) * INFLATE, self.format, self.nonnegative)

    def lerp(self, end: Any, weight: Any, *, literal: bool = False) -> Enclosure:
        """``start + weight (end − start)`` in any of its algebraic forms; see :func:`_lerp`."""
        return _lerp(self, end, weight, literal)

    def either(self, other: Any) -> Enclosure:
        """What is in this or in the other, around this midpoint; see :func:`_either`."""
        return _either(self, other)

    def norm(self, axis: int | None = None) -> Enclosure:
        """Euclidean length, accumulated in float32 at least and rounded once."""
        return _norm(self, axis)

    def mean_along(self, axis: int) -> Enclosure:
        """Mean along an axis of numbers without sign, accumulated as a norm is."""
        return _mean_along(self, axis)

    def rsqrt(self) -> Enclosure:
        """``1/√x``, in one function or two; see :func:`_rsqrt`."""
        return _rsqrt(self)

    def larger(self, floor: Any) -> Enclosure:
        """Python's ``max(floor, self)``: the floor where this is nan."""
        return _larger(floor, self)

    def item(self) -> Enclosure:
        """A result without dimensions, read back into a Python number, which is float64."""
        return Enclosure(self.mid, self.rad, FLOAT64, self.nonnegative)

    def resolution(self) -> Enclosure:
        """``finfo.eps`` of the format, as a Python number."""
        return Enclosure.exact(2 * self.format.u)

    def to(self, format: Format) -> Enclosure:
        """The numbers rounded to another format (not at all, to a wider one)."""
        return _converted(self, format)

    def bfloat16(self) -> Enclosure:
        """The numbers rounded to bfloat16."""
        return _converted(self, FORMATS["bfloat16"])

    def newton_schulz(self, coefficients: Any, steps: int) -> Enclosure:
        """Muon's iteration; see :mod:`oracles.harness.newton_schulz`."""
        from oracles.harness.newton_schulz import enclose  # which is made of enclosures

        a, b, c = (float(getattr(value, "mid", value)) for value in coefficients)
        return enclose(self, (a, b, c), steps)

    def kept_like(self, other: Enclosure) -> Enclosure:
        """The numbers as they meet another array: in a format that holds those of both."""
        return Enclosure(self.mid, self.rad, other.format, self.nonnegative)

    def scaled_over(self, denominator: Any, scale: Any) -> Enclosure:
        """``scale · self / denominator`` in any order.

        To the roundings of ``scale · (self / denominator)`` comes the underflow of a product that
        is taken first, divided: ``eta / |denominator|``.
        """
        result = scale * (self / denominator)
        with np.errstate(divide="ignore", invalid="ignore"):
            divisor = np.abs(denominator.mid) - denominator.rad
            carried = np.where(divisor > 0, self.format.eta / divisor, 0) * (self.mid != 0)
        return Enclosure(result.mid, (result.rad + carried) * INFLATE, result.format)

    def __repr__(self) -> str:
        return f"Enclosure({self.mid} ± {self.rad})"

    def __bool__(self) -> bool:
        raise TypeError("an enclosure has no truth value; branch on exact hyperparameters only")

    def __index__(self) -> int:
        if self.ndim or np.any(self.rad) or self.mid != np.rint(self.mid):
            raise TypeError(f"{self} is not an exact whole number")
        return int(self.mid)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        handler = _UFUNCS.get(ufunc)
        if handler is None or method != "__call__" or kwargs:
            return NotImplemented
        return handler(*inputs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        handler = _FUNCTIONS.get(func)
        return NotImplemented if handler is None else handler(*args, **kwargs)


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
        return _where(*args) if func is np.where and not kwargs else NotImplemented


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
    if _is_scalar(y) and not (x.format is FLOAT64 and y.format is TENSOR):
        return x, _enter(y, x.format), x.format
    if _is_scalar(x):
        return _enter(x, y.format), y, y.format
    raise TypeError("enclosures of two formats met; only a 0-d scalar may be converted")


def _is_scalar(x: Enclosure) -> bool:
    """Whether it is a number that enters kernels, and not a parameter of no dimension."""
    return x.ndim == 0 and (x.format is FLOAT64 or x.format is TENSOR)


def _enter(scalar: Enclosure, format: Format) -> Enclosure:
    """A scalar as a kernel of ``format`` sees it; what every format holds is converted exactly."""
    if not np.any(scalar.rad) and _short(scalar.mid):
        return Enclosure(scalar.mid, scalar.rad, format, scalar.nonnegative)
    magnitude = abs(scalar.mid) + scalar.rad
    lost = format.scalar_u * magnitude + format.eta
    lost = np.where(magnitude <= format.largest, lost, Wide(np.inf))  # a kernel may overflow it
    lost = np.where(format.scalar_u > 0, lost, 0)
    return Enclosure(scalar.mid, scalar.rad + lost, format, scalar.nonnegative)


def _short(value: Any) -> bool:
    """Whether a number is a multiple of 2⁻⁸ below 1 in magnitude, or a whole one up to 256."""
    return bool(
        abs(value) <= 256
        and value * 256 == np.rint(value * 256)
        and (abs(value) <= 1 or value == np.rint(value))
    )


def _rounded(
    ufunc: np.ufunc, x: Enclosure, y: Enclosure, mid: WideArray, rad: WideArray, format: Format
) -> Enclosure:
    """Add one rounding to an exact result, and settle what left the finite range."""
    reach = np.abs(mid) + rad
    radius = rad + (format.u + WIDE_EPS) * reach
    summed = ufunc is np.add or ufunc is np.subtract
    if not summed:  # sums of floats never underflow, and multiples of an exact zero neither
        radius += format.eta if _NARROW else format.eta * (reach > 0)
    radius *= INFLATE
    if not (reach <= format.largest).all():
        mid, radius = _settle(ufunc, x, y, mid, rad, radius, format)
    return Enclosure(mid, radius, format, _stays_nonnegative(ufunc, x, y, mid, radius))


def _stays_nonnegative(
    ufunc: np.ufunc, x: Enclosure, y: Enclosure, mid: WideArray, radius: WideArray
) -> bool:
    if ufunc is np.multiply and x is y:
        return True
    if ufunc is not np.subtract and x.nonnegative and y.nonnegative:
        return True
    return mid.ndim == 0 and bool(mid - radius >= 0)


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


def _absolute(x: Enclosure) -> Enclosure:
    return Enclosure(np.abs(x.mid), x.rad, x.format, nonnegative=True)


@np.errstate(invalid="ignore", over="ignore")
def _add(x: Any, y: Any) -> Enclosure:
    x, y, format = _operands(x, y)
    return _rounded(np.add, x, y, x.mid + y.mid, x.rad + y.rad, format)


@np.errstate(invalid="ignore", over="ignore")
def _subtract(x: Any, y: Any) -> Enclosure:
    x, y, format = _operands(x, y)
    return _rounded(np.subtract, x, y, x.mid - y.mid, x.rad + y.rad, format)


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


@np.errstate(invalid="ignore", over="ignore", divide="ignore")
def _sqrt(x: Enclosure) -> Enclosure:
    """Concave, so the lower end is the farther one, unless it is cut off at zero.

    ``√mid - √(mid - rad) = rad / (√mid + √(mid - rad))``. A ball that reaches below zero is unknown
    (a kernel may give nan), unless its numbers are known to have no sign.
    """
    low = x.mid - x.rad
    mid = np.sqrt(np.maximum(x.mid, 0))
    below = np.minimum(x.rad / (mid + np.sqrt(np.maximum(low, 0))), mid)
    above = np.sqrt(np.maximum(x.mid + x.rad, 0)) - mid
    rad = np.maximum(np.where(x.rad > 0, below, 0), above)
    rad = (rad + (x.format.u + 2 * WIDE_EPS) * (mid + rad)) * INFLATE
    if not x.nonnegative:
        rad = np.where(low < 0, Wide(np.inf), rad)
    definite = (x.rad == 0) & ~((x.mid >= 0) & (x.mid < np.inf))  # inf, nan, root of a negative
    mid = np.where(definite, np.sqrt(x.mid), mid)
    rad = np.where(definite, Wide(0), np.where(np.isinf(x.rad), Wide(np.inf), rad))
    return Enclosure(mid, rad, x.format, nonnegative=True)


@np.errstate(invalid="ignore", over="ignore", divide="ignore")
def _power(x: Any, y: Any) -> Enclosure:
    """``x**y`` for x > 0, through ``y log x``; powers of zero are exact, of less than it unknown."""
    x, y, format = _operands(x, y)
    mid = np.power(np.maximum(x.mid, 0), y.mid)
    off = (np.abs(y.mid) + y.rad) * -np.log1p(-x.rad / x.mid) + y.rad * np.abs(np.log(x.mid))
    rad = mid * np.expm1(off * INFLATE)
    rad = rad + (_POW_ULPS * format.u + 4 * WIDE_EPS) * (mid + rad) + format.eta
    rad = np.where((x.rad < x.mid) & (mid + rad <= format.largest), rad * INFLATE, Wide(np.inf))
    certain = (x.rad == 0) & (y.rad == 0) & (((x.mid == 0) & (y.mid >= 0)) | (x.mid == 1))
    rad = np.where(certain | ((y.rad == 0) & (y.mid == 0)), Wide(0), rad)
    return Enclosure(np.asarray(mid), np.asarray(rad), format, nonnegative=True)


def _extreme(largest: bool) -> Callable[[Any, Any], Enclosure]:
    """Maximum or minimum, which rounds nothing: its radius is that of whichever wins.

    ``|max(a, b) - max(x, y)| <= max(|a - x|, |b - y|)`` where that is open.
    """
    choose = np.maximum if largest else np.minimum

    @np.errstate(invalid="ignore")
    def extreme(x: Any, y: Any) -> Enclosure:
        x, y, format = _operands(x, y)
        first = _certainly_less(y, x) if largest else _certainly_less(x, y)
        second = _certainly_less(x, y) if largest else _certainly_less(y, x)
        rad = np.where(first, x.rad, np.where(second, y.rad, np.maximum(x.rad, y.rad)))
        nonnegative = (
            (x.nonnegative or y.nonnegative) if largest else (x.nonnegative and y.nonnegative)
        )
        return Enclosure(np.asarray(choose(x.mid, y.mid)), rad, format, nonnegative)

    return extreme


def _max(x: Enclosure) -> Enclosure:
    """Maximum of all elements: the radius is the largest of those that may be the maximum."""
    low = np.max(x.mid - x.rad)
    rad = np.max(np.where(x.mid + x.rad >= low, x.rad, 0))
    return Enclosure(np.asarray(np.max(x.mid)), np.asarray(rad), x.format, x.nonnegative)


def _certainly_less(x: Enclosure, y: Enclosure) -> NDArray[np.bool_]:
    return np.asarray(x.mid + x.rad < y.mid - y.rad)


def _sign(x: Enclosure) -> Enclosure:
    return Enclosure(np.sign(x.mid), np.where(_sign_unknown(x), Wide(np.inf), 0), x.format)


@np.errstate(invalid="ignore", over="ignore")
def _lerp(start: Enclosure, end: Any, weight: Any, literal: bool) -> Enclosure:
    """``start + weight (end − start)``, in each form that kernels have.

    With s and e within their radii and the weight's relative error on entering, the roundings before
    the last addition are at most

        (su + u) (|1−w||s| + |w||e|)                     for the weighted sum (1−w)s + we
        ((1+u)²(1+su) − 1) |w||e−s|                      for s + w(e−s), which torch takes at w < 1/2
        ((1+u)³ − 1) |1−w||e−s| + 2 su |w||e−s|          for e − (e−s)(1−w), at w >= 1/2

    where su is 0 for a weight that every format holds. ``literal`` is the second form only.
    """
    start, end, format = _operands(start, end)
    entered = _operands(start, weight)[1]
    w, rest = np.abs(entered.mid), np.abs(1 - entered.mid)
    u, off = format.u + WIDE_EPS, entered.rad
    s, e = np.abs(start.mid) + start.rad, np.abs(end.mid) + end.rad
    if w < 0.5 or literal:
        mid = start.mid + entered.mid * (end.mid - start.mid)
    else:  # in the other form a start that is forgotten would leave its last digits behind
        mid = end.mid - (1 - entered.mid) * (end.mid - start.mid)
    apart = np.abs(end.mid - start.mid) + start.rad + end.rad
    summed = off * (s + e) + u * (rest * s + w * e)
    small = (off * (1 + 3 * u) + ((1 + u) ** 2 - 1) * w) * apart
    large = (((1 + u) ** 3 - 1) * rest + off * (1 + 4 * u)) * apart
    below, above = literal or bool(w < 0.49), not literal and bool(w > 0.51)
    taken = small if below else large if above else np.maximum(small, large)
    rounded = taken if literal else np.maximum(summed, taken)
    rad = rest * start.rad + w * end.rad + rounded + 3 * format.eta
    rad = (rad + u * (np.abs(mid) + rad)) * INFLATE
    nothing = (s == 0) & (e == 0)
    rad = np.where(nothing, Wide(0), rad)
    if w == 1 and not np.any(off) and not literal:  # (e − s)·0 and 0·s + 1·e leave e as it is
        rad = end.rad + np.zeros_like(rad)
    nonnegative = start.nonnegative and end.nonnegative and bool(w <= 1)
    if (s + e + rad <= format.largest).all():
        return Enclosure(mid, rad, format, nonnegative)
    known = s + e + rad <= format.largest
    # The first two forms agree on an infinite end; on an infinite start all three differ.
    infinite = np.isinf(end.mid) & (end.rad == 0) & np.isfinite(s) & (below and bool(w > 0))
    nan = (np.isnan(start.mid) & (start.rad == 0)) | (np.isnan(end.mid) & (end.rad == 0))
    mid = np.where(infinite, end.mid, mid)
    rad = np.where(known, rad, np.where(infinite | nan, Wide(0), Wide(np.inf)))
    return Enclosure(mid, rad, format, nonnegative)


@np.errstate(invalid="ignore")
def _either(x: Any, y: Any) -> Enclosure:
    """The hull of two balls; unknown where one is infinite or nan and the other something else."""
    x, y, format = _operands(x, y)
    same = (x.mid == y.mid) | (np.isnan(x.mid) & np.isnan(y.mid))
    apart = np.where(same, Wide(0), np.abs(x.mid - y.mid))
    rad = np.maximum(x.rad, (apart + y.rad) * INFLATE)
    rad = np.where(np.isnan(rad), Wide(np.inf), rad)
    return Enclosure(x.mid, rad, format, x.nonnegative and y.nonnegative)


@np.errstate(invalid="ignore", over="ignore")
def _sum(x: Enclosure, axis: int | None = None, keepdims: bool = False) -> Enclosure:
    """Sum in any order: Higham (4.4), ``|error| <= gamma_{n-1} sum |x_i|``."""
    terms = x.mid.size if axis is None else x.mid.shape[axis]
    total = _accumulated(
        np.sum(x.mid, axis=axis, keepdims=keepdims),
        np.sum(x.rad, axis=axis, keepdims=keepdims),
        np.sum(np.abs(x.mid) + x.rad, axis=axis, keepdims=keepdims),
        terms,
        x.format,
    )
    total.nonnegative = x.nonnegative
    return total


def _accumulator(format: Format) -> Format:
    """What kernels accumulate in: the format itself, or float32 where that has more bits."""
    single = FORMATS["float32"]
    return format if np.all(format.u <= single.u) else single


def _converted(x: Enclosure, format: Format) -> Enclosure:
    """One rounding, or none to a wider format.

    On its way down from float64 a number may stop at float32. Rounding to nearest errs by no more
    than u/(1+u), and what that leaves of u is more than a rounding of float32.
    """
    u, eta = format.u, format.eta
    if np.all(x.format.u >= u) and np.all(x.format.largest <= format.largest):
        return Enclosure(x.mid, x.rad, format, x.nonnegative)
    reach = np.abs(x.mid) + x.rad
    rad = (x.rad + u * reach + eta * (reach > 0)) * INFLATE
    definite = (x.rad == 0) & ~np.isfinite(x.mid)
    overflows = np.abs(x.mid) - x.rad > format.largest * (1 + u)
    mid = np.where(overflows, np.copysign(Wide(np.inf), x.mid), x.mid)
    rad = np.where(reach <= format.largest, rad, Wide(np.inf))
    rad = np.where(definite | (overflows & np.isfinite(x.rad)), Wide(0), rad)
    return Enclosure(mid, rad, format, x.nonnegative)


@np.errstate(invalid="ignore", over="ignore")
def _norm(x: Enclosure, axis: int | None) -> Enclosure:
    wide = _converted(x, _accumulator(x.format))
    total = _sum(_multiply(wide, wide), axis, keepdims=axis is not None)
    return _converted(_poisoned(_sqrt(total), x, axis), x.format)


@np.errstate(invalid="ignore", over="ignore")
def _mean_along(x: Enclosure, axis: int) -> Enclosure:
    wide = _converted(x, _accumulator(x.format))
    total = _poisoned(_sum(wide, axis, keepdims=True), x, axis)
    return _divide(_converted(total, x.format), max(x.shape[axis], 1))


def _poisoned(reduced: Enclosure, x: Enclosure, axis: int | None) -> Enclosure:
    """A reduction of numbers without sign is nan if one of them is, and infinite if one is that."""
    keepdims = axis is not None
    nan = np.any(np.isnan(x.mid) & (x.rad == 0), axis=axis, keepdims=keepdims)
    unknown = np.any(~(x.rad < np.inf), axis=axis, keepdims=keepdims)
    infinite = np.any(np.isinf(x.mid), axis=axis, keepdims=keepdims) & ~unknown & ~nan
    mid = np.where(nan, Wide(np.nan), np.where(infinite, Wide(np.inf), reduced.mid))
    rad = np.where(nan | infinite, Wide(0), reduced.rad)
    return Enclosure(mid, rad, reduced.format, reduced.nonnegative)


def _rsqrt(x: Enclosure) -> Enclosure:
    """A reciprocal and a root are two roundings; CUDA's ``rsqrt`` is within 2 ulp, that is 4 u.

    One function of half precision computes in float32, so that its 4 u are float32's.
    """
    result = _divide(1, _sqrt(x))
    charged = 2 * _accumulator(x.format).u * (np.abs(result.mid) + result.rad)
    definite = (result.rad == 0) & ~np.isfinite(result.mid)
    rad = np.where(definite, Wide(0), (result.rad + charged) * INFLATE)
    return Enclosure(result.mid, rad, result.format, nonnegative=True)


def _larger(floor: Any, x: Enclosure) -> Enclosure:
    floor, x, format = _operands(floor, x)
    most = _extreme(largest=True)(floor, x)
    nan = np.isnan(x.mid) & (x.rad == 0)
    return Enclosure(
        np.where(nan, floor.mid, most.mid),
        np.where(nan, floor.rad, most.rad),
        format,
        most.nonnegative,
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


def _zeros_like(x: Enclosure) -> Enclosure:
    return Enclosure(np.zeros_like(x.mid), np.zeros_like(x.rad), x.format, nonnegative=True)


def _full_like(x: Enclosure, value: Any) -> Enclosure:
    return _where(np.ones(x.shape, dtype=bool), value, _zeros_like(x))


def _where(condition: Any, x: Any, y: Any) -> Enclosure:
    """Elements of x or y; unknown where the condition is open."""
    if not isinstance(condition, Truth):
        condition = Truth(np.asarray(condition), ~np.asarray(condition), FLOAT64)
    x, y, format = _operands(x, y)
    if _is_scalar(x) and condition.format is not format:  # both are scalars: they fill an array
        x, y, format = _enter(x, condition.format), _enter(y, condition.format), condition.format
    mid = np.where(condition.yes, x.mid, y.mid)
    rad = np.where(condition.yes, x.rad, np.where(condition.no, y.rad, Wide(np.inf)))
    return Enclosure(mid, rad, format, x.nonnegative and y.nonnegative)


def _comparison(
    certain: Callable[[Enclosure, Enclosure], Any],
    impossible: Callable[[Enclosure, Enclosure], Any],
) -> Callable[[Any, Any], bool | Truth]:
    """A comparison from what makes it certain and what rules it out; nan compares false."""

    @np.errstate(invalid="ignore")
    def compare(x: Any, y: Any) -> bool | Truth:
        x, y, format = _operands(x, y)
        nan = np.isnan(x.mid) | np.isnan(y.mid)
        known = ~(np.isinf(x.rad) | np.isinf(y.rad))
        truth = Truth(
            np.asarray(certain(x, y) & known & ~nan),
            np.asarray((impossible(x, y) | nan) & known),
            format,
        )
        return bool(truth) if truth.yes.ndim == 0 and (truth.yes or truth.no) else truth

    return compare


def _not(compare: Callable[[Any, Any], bool | Truth]) -> Callable[[Any, Any], bool | Truth]:
    def opposite(x: Any, y: Any) -> bool | Truth:
        truth = compare(x, y)
        return Truth(truth.no, truth.yes, truth.format) if isinstance(truth, Truth) else not truth

    return opposite


def _same(x: Enclosure, y: Enclosure) -> NDArray[np.bool_]:
    return np.asarray((x.mid == y.mid) & (x.rad == 0) & (y.rad == 0))


def _apart(x: Enclosure, y: Enclosure) -> NDArray[np.bool_]:
    return _certainly_less(x, y) | _certainly_less(y, x)


def _at_most(x: Enclosure, y: Enclosure) -> NDArray[np.bool_]:
    return np.asarray(x.mid + x.rad <= y.mid - y.rad)


_equal = _comparison(_same, _apart)
_less = _comparison(_certainly_less, lambda x, y: _at_most(y, x))
_less_equal = _comparison(_at_most, lambda x, y: _certainly_less(y, x))

_UFUNCS: dict[np.ufunc, Callable[..., Any]] = {
    np.negative: _negative,
    np.absolute: _absolute,
    np.add: _add,
    np.subtract: _subtract,
    np.multiply: _multiply,
    np.divide: _divide,
    np.power: _power,
    np.sqrt: _sqrt,
    np.exp: _exp,
    np.log: _log,
    np.sign: _sign,
    np.maximum: _extreme(largest=True),
    np.minimum: _extreme(largest=False),
    np.matmul: _matmul,
    np.equal: _equal,
    np.not_equal: _not(_equal),
    np.less: _less,
    np.less_equal: _less_equal,
    np.greater: lambda x, y: _less(y, x),
    np.greater_equal: lambda x, y: _less_equal(y, x),
}

_FUNCTIONS: dict[Any, Callable[..., Enclosure]] = {
    np.sum: _sum,
    np.max: _max,
    np.where: _where,
    np.zeros_like: _zeros_like,
    np.full_like: _full_like,
}
