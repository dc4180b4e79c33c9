"""Enclosures: a midpoint and a radius that hold every result correct rounding can give.

Midpoint-radius arithmetic (Rump 1999; the balls of Arb, Johansson 2017) joined with running error
analysis (Wilkinson; Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., ch. 2-3).
``x ± r`` and ``y ± s`` give

    x+y ± (r+s)        x·y ± (|x|s + |y|r + rs)        x/y ± (|x|s + |y|r) / (|y|(|y|-s))

and every operation then adds one rounding of the *subject's* format,

    radius += max(u R, min(eta, R)),      R = |mid| + radius

where eta counts for products and quotients only, since sums do not underflow. Roots, powers, maxima
and sums go the same way, each with its bound in its function below. So whatever a kernel does with
the written operations -- round after each of them, fuse a multiplication with an addition, keep
intermediates in a wider format -- its result is inside. Midpoints live in
:data:`~oracles.harness.arithmetic.formats.Wide`; their own rounding is added to ``u``.

Beyond the finite range an element is one of two things:

* *definite*: radius 0 and a midpoint of ±inf or nan: the rule itself gives this value;
* *unknown*: radius inf: the result depends on how a path rounds (a possible overflow, an infinity
  times a ball of unknown sign). A verdict on it is "undecided", never "inside".

Rounding is monotone, so what is computed from numbers without a sign (squares, their sums,
products, quotients and roots) never falls below zero, whatever the radius says: such enclosures are
marked ``nonnegative``, and a root of one is not undecided near zero.

A comparison of enclosures is a :class:`Truth`, which may be open; ``where`` leaves unknown what
hangs on an open one. An :class:`Enclosure` follows NumPy's ufunc protocol, so the text of a rule
runs on it unchanged.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import ArrayLike, NDArray

from oracles.harness.arithmetic.formats import (
    FLOAT64,
    FORMATS,
    SMALLEST,
    TENSOR,
    WIDE_EPS,
    Format,
    Wide,
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

Numbers = Any
"""An array of :data:`Wide`, or a NumPy scalar where there is no dimension."""

Quiet = TypeVar("Quiet", bound=Callable[..., Any])

_ZERO, _INFINITE = Wide(0), Wide(np.inf)

_NORMAL = Wide(2) ** -14
"""The smallest normal number of float16; above it no number underflows as it enters a kernel."""


def _quiet(function: Quiet) -> Quiet:
    """Without NumPy's warnings; each in a context of its own, since NumPy 1 cannot nest one."""
    return np.errstate(all="ignore")(function)


class Enclosure(NDArrayOperatorsMixin):
    """An array of balls ``mid ± rad`` whose operations round as ``format`` does.

    Operands meet as torch's do: an array keeps its format, and a 0-d operand (a hyperparameter,
    held in float64, or in float32 if it is a tensor) enters an array's kernel with relative error
    ``format.scalar_u``. A Python number that meets a 0-d tensor enters float32.

    Args:
        mid: midpoints, any shape; a NumPy scalar where there is no dimension, since those compute
            ten times as fast as arrays.
        rad: radii, same shape; 0 for exact values.
        format: the format every result of an operation is rounded to.
        nonnegative: whether no correct implementation computes a value below zero.
    """

    __slots__ = ("format", "mid", "nonnegative", "rad")

    def __init__(
        self, mid: Numbers, rad: Numbers, format: Format, nonnegative: bool = False
    ) -> None:
        self.mid = mid
        self.rad = rad
        self.format = format
        self.nonnegative = nonnegative

    @classmethod
    def exact(cls, values: ArrayLike, format: Format = FLOAT64) -> Enclosure:
        """Balls of radius 0 around ``values``, which must be values of the format."""
        mid = np.asarray(values, dtype=Wide)[()]
        if mid.ndim:
            return cls(mid, np.zeros(mid.shape, dtype=Wide), format)
        return cls(mid, _ZERO, format, bool(mid >= 0))

    @classmethod
    def tensor(cls, value: ArrayLike) -> Enclosure:
        """A Python number in a 0-d float32 tensor."""
        return _enter(cls.exact(value), TENSOR)

    @property
    def ndim(self) -> int:
        return int(self.mid.ndim)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.mid.shape)

    @property
    def unknown(self) -> Any:
        """Where nothing can be said: the result depends on how a path rounds."""
        return np.isinf(self.rad)

    def contains(self, values: ArrayLike) -> NDArray[np.bool_]:
        """Which of ``values`` a correct implementation can have given (unknown holds all)."""
        return holds(self.mid, self.rad, np.asarray(values))

    def kept(self) -> Enclosure:
        """The number as a 0-d float32 tensor gives it back, in the format it has."""
        if _exact(self) and _short(self.mid):
            return self
        single = _converted(self, FORMATS["float32"])
        return Enclosure(single.mid, single.rad, self.format, self.nonnegative)

    def beside(self, other: Any) -> Enclosure:
        """A number without dimensions in the format in which it meets another one."""
        return _operands(self, other)[0]

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
        """Muon's iteration; see :mod:`oracles.harness.arithmetic.newton_schulz`."""
        from oracles.harness.arithmetic.newton_schulz import enclose  # which is made of enclosures

        a, b, c = (float(getattr(value, "mid", value)) for value in coefficients)
        return enclose(self, (a, b, c), steps)

    def kept_like(self, other: Enclosure) -> Enclosure:
        """The numbers as they meet another array: in a format that holds those of both."""
        return Enclosure(self.mid, self.rad, other.format, self.nonnegative)

    def scaled_over(self, denominator: Any, scale: Any) -> Enclosure:
        """``scale · self / denominator`` in any order.

        See :func:`_scaled_over`.
        """
        return _scaled_over(self, denominator, scale)

    def __repr__(self) -> str:
        return f"Enclosure({self.mid} ± {self.rad})"

    def __bool__(self) -> bool:
        raise TypeError("an enclosure has no truth value; branch on exact hyperparameters only")

    def __index__(self) -> int:
        if self.ndim or self.rad or self.mid != np.rint(self.mid):
            raise TypeError(f"{self} is not an exact whole number")
        return int(self.mid)

    @_quiet
    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        handler = _UFUNCS.get(ufunc)
        if handler is None or method != "__call__" or kwargs:
            return NotImplemented
        return handler(*inputs)

    @_quiet
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


def _choose(condition: Any, x: Any, y: Any) -> Any:
    """``np.where``, which costs a single number as much as a hundred operations."""
    return np.where(condition, x, y) if condition.ndim else (x if condition else y)


def _least(x: Any, limit: Any) -> Any:
    return np.minimum(x, limit) if x.ndim else min(x, limit)


def _most(x: Any, limit: Any) -> Any:
    return np.maximum(x, limit) if x.ndim else max(x, limit)


def _all(condition: Any) -> bool:
    if condition.ndim:  # counting costs a quarter of what ``all`` costs
        return bool(np.count_nonzero(condition) == condition.size)
    return bool(condition)


def _exact(x: Enclosure) -> bool:
    """Whether it is a number without radius (arrays are not looked at)."""
    return not (x.rad.ndim or x.rad)


def holds(mid: Numbers, rad: Numbers, values: NDArray[Any]) -> NDArray[np.bool_]:
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
    if _is_scalar(y) and not (_is_scalar(x) and y.format is TENSOR):
        return x, _enter(y, x.format), x.format
    if _is_scalar(x):
        return _enter(x, y.format), y, y.format
    raise TypeError("enclosures of two formats met; only a 0-d scalar may be converted")


def _is_scalar(x: Enclosure) -> bool:
    """Whether it is a number that enters kernels, and not a parameter of no dimension."""
    return x.ndim == 0 and (x.format is FLOAT64 or x.format is TENSOR)


def _enter(scalar: Enclosure, format: Format) -> Enclosure:
    """A scalar as a kernel of ``format`` sees it; what every format holds is converted exactly."""
    mid, rad = scalar.mid, scalar.rad
    if not (_exact(scalar) and _short(mid)):
        magnitude = abs(mid) + rad
        lost = format.scalar_u * magnitude
        if magnitude < _NORMAL:
            lost = np.maximum(lost, np.minimum(format.scalar_eta, magnitude))
        rad = rad + lost
        if not _all(magnitude <= format.largest):  # a kernel may overflow it
            rad = np.where(magnitude <= format.largest, rad, _INFINITE)
    return Enclosure(mid, rad, format, scalar.nonnegative)


def _short(value: Any) -> bool:
    """Whether every format holds a number: eight bits, the last of which float16 has; inf, nan."""
    x = float(value)
    if not math.isfinite(x):
        return not math.isfinite(value)
    significand, _ = math.frexp(x)
    held = (256 * significand).is_integer() and (2**24 * x).is_integer()
    return held and abs(x) < 2**16 and x == value


def _rounded(
    ufunc: np.ufunc, x: Enclosure, y: Enclosure, mid: Numbers, rad: Numbers, format: Format
) -> Enclosure:
    """Add one rounding to an exact result, and settle what left the finite range.

    What underflows is off by eta at most, and by no more than itself. Sums do not underflow.
    """
    reach = abs(mid) + rad
    charged = format.charge * reach
    if ufunc is np.multiply or ufunc is np.divide:
        lost = format.underflow if _NARROW else _least(reach, format.underflow)
        charged = _most(charged, lost)
    radius = (rad + charged) * INFLATE
    if not _all(reach <= format.largest):
        mid, radius = _settle(ufunc, x, y, mid, rad, radius, format)
    return Enclosure(mid, radius, format, _stays_nonnegative(ufunc, x, y, mid, radius))


def _stays_nonnegative(
    ufunc: np.ufunc, x: Enclosure, y: Enclosure, mid: Numbers, radius: Numbers
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
    mid: Numbers,
    rad: Numbers,
    radius: Numbers,
    format: Format,
) -> tuple[Numbers, Numbers]:
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
    mid = _choose(certain, np.copysign(_INFINITE, mid), mid)
    radius = _choose(definite | certain, _ZERO, radius)
    radius = _choose(unknown | (too_large & ~certain), _INFINITE, radius)
    return mid, radius


def _sign_unknown(x: Enclosure) -> Any:
    return (x.rad > 0) & ~(abs(x.mid) > x.rad)


def _negative(x: Enclosure) -> Enclosure:
    return Enclosure(-x.mid, x.rad, x.format)


def _absolute(x: Enclosure) -> Enclosure:
    return Enclosure(abs(x.mid), x.rad, x.format, nonnegative=True)


def _add(x: Any, y: Any) -> Enclosure:
    x, y, format = _operands(x, y)
    return _rounded(np.add, x, y, x.mid + y.mid, x.rad + y.rad, format)


def _subtract(x: Any, y: Any) -> Enclosure:
    x, y, format = _operands(x, y)
    return _rounded(np.subtract, x, y, x.mid - y.mid, x.rad + y.rad, format)


def _multiply(x: Any, y: Any) -> Enclosure:
    x, y, format = _operands(x, y)
    if _exact(y):
        rad = abs(y.mid) * x.rad
    elif _exact(x):
        rad = abs(x.mid) * y.rad
    else:
        rad = (abs(x.mid) + x.rad) * y.rad + abs(y.mid) * x.rad
    return _rounded(np.multiply, x, y, x.mid * y.mid, rad, format)


def _divide(x: Any, y: Any) -> Enclosure:
    x, y, format = _operands(x, y)
    size, mid = abs(y.mid), x.mid / y.mid
    rad = (abs(mid) * y.rad + x.rad) / (size - y.rad)
    if not _all(size > y.rad):
        # A divisor that may be zero bounds nothing; the midpoint then only marks the element.
        rad = _choose(_sign_unknown(y), _INFINITE, rad)
    return _rounded(np.divide, x, y, mid, rad, format)


def _function_u(format: Format) -> Any:
    """The unit of published bounds of functions, which paths do not rearrange as they do products.

    :data:`~oracles.harness.arithmetic.formats.TENSOR` charges twice for what they do.
    """
    return FORMATS["float32"].u if format is TENSOR else format.u


def _exp(x: Enclosure) -> Enclosure:
    """Convex, so the upper end is the farther one: ``exp(mid) (exp(rad) - 1)``.

    Balls of radius 1 and more are unknown: they bound nothing worth having.
    """
    mid = np.exp(x.mid)
    rad = mid * np.expm1(x.rad)
    charged = _EXP_ULPS * (_function_u(x.format) * (mid + rad) + x.format.eta)
    rad = rad + charged + 4 * WIDE_EPS * (mid + rad)
    known = (x.rad < 1) & (mid + rad <= x.format.largest)
    rad = np.where(known, rad * INFLATE, _INFINITE)
    return Enclosure(mid, rad, x.format)


def _log(x: Enclosure) -> Enclosure:
    """Concave, so the lower end is the farther one: ``log(mid) - log(mid - rad)``.

    Balls that reach below half their midpoint are unknown: log1p would magnify roundings there.
    """
    mid = np.log(x.mid)
    rad = -np.log1p(-x.rad / x.mid)
    rad = rad + (_EXP_ULPS * _function_u(x.format) + 4 * WIDE_EPS) * (np.abs(mid) + rad)
    return Enclosure(mid, np.where(2 * x.rad < x.mid, rad * INFLATE, _INFINITE), x.format)


def _sqrt(x: Enclosure) -> Enclosure:
    """Concave, so the lower end is the farther one.

    ``√mid - √(mid - rad) = rad / (√mid + √(mid - rad))``
    """
    low = x.mid - x.rad
    if not _all((low >= 0) & (x.mid < np.inf)):
        return _sqrt_near_zero(x)
    mid = np.sqrt(x.mid)
    rad = x.rad / _most(mid + np.sqrt(low), SMALLEST)  # 0/0 is the root of an exact zero
    rad = (rad + (x.format.charge + WIDE_EPS) * (mid + rad)) * INFLATE
    return Enclosure(mid, rad, x.format, nonnegative=True)


def _sqrt_near_zero(x: Enclosure) -> Enclosure:
    """Roots of balls that reach below zero, of infinities and of nans.

    Such a ball is unknown (a kernel may give nan), unless its numbers are known to have no sign:
    then its lower end is cut off at zero, and either end may be the farther one.
    """
    low = x.mid - x.rad
    mid = np.sqrt(np.maximum(x.mid, 0))
    below = np.minimum(x.rad / (mid + np.sqrt(np.maximum(low, 0))), mid)
    above = np.sqrt(np.maximum(x.mid + x.rad, 0)) - mid
    rad = np.maximum(np.where(x.rad > 0, below, 0), above)
    rad = (rad + (x.format.charge + WIDE_EPS) * (mid + rad)) * INFLATE
    known = (low >= 0) | (x.nonnegative & (x.rad < np.inf))
    definite = (x.rad == 0) & ~((x.mid > 0) & (x.mid < np.inf))  # also 0, which keeps its sign
    mid = _choose(definite, np.sqrt(x.mid), mid)
    rad = _choose(definite, _ZERO, _choose(known, rad, _INFINITE))
    return Enclosure(mid, rad, x.format, nonnegative=True)


def _power(x: Any, y: Any) -> Enclosure:
    """``x**y`` for x > 0, through ``y log x``; of zero it is exact, of less than that unknown."""
    x, y, format = _operands(x, y)
    base = np.maximum(x.mid, 0)
    mid = np.power(base, y.mid)
    off = (abs(y.mid) + y.rad) * -np.log1p(-x.rad / x.mid) + y.rad * abs(np.log(base))
    rad = mid * np.expm1(off * INFLATE)
    rad = rad + (_POW_ULPS * _function_u(format) + 4 * WIDE_EPS) * (mid + rad) + format.eta
    rad = _choose((x.rad < x.mid) & (mid + rad <= format.largest), rad * INFLATE, _INFINITE)
    certain = (x.rad == 0) & (((x.mid == 0) & (y.mid > y.rad)) | ((x.mid == 1) & (y.rad < np.inf)))
    rad = _choose(certain | ((y.rad == 0) & (y.mid == 0)), _ZERO, rad)
    return Enclosure(mid, rad, format, nonnegative=True)


def _extreme(largest: bool) -> Callable[[Any, Any], Enclosure]:
    """Maximum or minimum, which rounds nothing: its radius is that of whichever wins.

    ``|max(a, b) - max(x, y)| <= max(|a - x|, |b - y|)`` where that is open. A nan wins.
    """
    choose = np.maximum if largest else np.minimum

    def extreme(x: Any, y: Any) -> Enclosure:
        x, y, format = _operands(x, y)
        less, more = _certainly_less(x, y), _certainly_less(y, x)
        first, second = (more, less) if largest else (less, more)
        mid, either = choose(x.mid, y.mid), np.maximum(x.rad, y.rad)
        rad = _choose(first, x.rad, _choose(second, y.rad, either))
        if not _all(mid == mid):
            rad = _choose((mid == mid) | (rad == np.inf), rad, _ZERO)
        nonnegative = (any if largest else all)((x.nonnegative, y.nonnegative))
        return Enclosure(mid, rad, format, nonnegative)

    return extreme


def _max(x: Enclosure) -> Enclosure:
    """Maximum of all elements: the radius is the largest of those that may be the maximum."""
    if np.any(x.unknown):
        return Enclosure(_ZERO, _INFINITE, x.format, x.nonnegative)
    low = np.max(x.mid - x.rad)
    rad = np.max(np.where(x.mid + x.rad >= low, x.rad, 0))
    return Enclosure(np.max(x.mid), rad, x.format, x.nonnegative)


def _certainly_less(x: Enclosure, y: Enclosure) -> Any:
    return x.mid + x.rad < y.mid - y.rad


@_quiet
def _lerp(start: Enclosure, end: Any, weight: Any, literal: bool) -> Enclosure:
    """``start + weight (end − start)``, in each form that kernels have.

    With r = 1−w, s and e the ends, each as large as its ball allows, and a the radius of w, what is
    rounded before the last addition errs by at most (1+u)⁴ times

        (su+u) (|r||s| + |w||e|) + a (|s|+|e|)           in the weighted sum  rs + we
        ((su+2u) |w| + a) |e−s|                          in  s + w(e−s),      torch's for |w| < 1/2
        (su |w| + 3u |r| + a) |e−s|                      in  e − (e−s)(1−w),  torch's for the others

    where w and r enter the kernel with relative errors su, which are 0 if every format holds both,
    and with eta where they are small. Two products may underflow. ``literal`` is the second form
    only.
    """
    start, end, format = _operands(start, end)
    weight = weight if isinstance(weight, Enclosure) else Enclosure.exact(weight)
    share, rest = abs(weight.mid), abs(1 - weight.mid)
    entering, off = _entering(weight, format)
    unit, size = format.charge, max(share, rest, 1)
    s, e = abs(start.mid) + start.rad, abs(end.mid) + end.rad
    difference, total = end.mid - start.mid, s + e
    apart = abs(difference) + (start.rad + end.rad)
    if share < 0.5 or literal:
        mid = start.mid + weight.mid * difference
    else:  # in the other form a start that is forgotten would leave its last digits behind
        mid = end.mid - (1 - weight.mid) * difference
    below, above = literal or share < 0.49, not literal and share > 0.51
    rounded = 0
    if not above:
        rounded = ((entering + 2 * unit) * share + off) * apart
    if not below:
        rounded = np.maximum(rounded, (entering * share + 3 * unit * rest + off) * apart)
    if not literal:
        rounded = np.maximum(rounded, (entering + unit) * (rest * s + share * e) + off * total)
    rounded = rounded + np.minimum(2 * format.eta, size * total)
    rad = rest * start.rad + share * end.rad + rounded * format.stretch
    rad = (rad + unit * (abs(mid) + rad)) * INFLATE
    if _exact(weight) and weight.mid in (0, 1) and not (literal and weight.mid):
        rad = (end if weight.mid else start).rad + 0 * total  # one end stays, the other is times 0
    nonnegative = start.nonnegative and end.nonnegative and _is_share(weight)
    known = size * total + rad <= format.largest
    if not _all(known):
        # The first two forms agree on an infinite end; on an infinite start all three differ.
        infinite = np.isinf(end.mid) & (end.rad == 0) & np.isfinite(s)
        infinite &= below and _NORMAL <= weight.mid - weight.rad <= 1
        nan = (np.isnan(start.mid) & (start.rad == 0)) | (np.isnan(end.mid) & (end.rad == 0))
        mid = np.where(infinite, end.mid, mid)[()]
        rad = np.where(known, rad, np.where(infinite | nan, _ZERO, _INFINITE))[()]
    return Enclosure(mid, rad, format, nonnegative)


def _entering(weight: Enclosure, format: Format) -> tuple[Any, Any]:
    """Relative and absolute error with which a weight, and what it lacks of 1, enter a kernel."""
    if not max(abs(weight.mid), abs(1 - weight.mid)) <= 2**15:  # too far out for float16
        return 0, _INFINITE
    if weight.format is format:
        return 0, weight.rad
    if not weight.rad and _short(weight.mid) and _short(1 - weight.mid):
        return 0, _ZERO
    if min(abs(weight.mid), abs(1 - weight.mid)) < _NORMAL:
        return format.scalar_u, weight.rad + format.scalar_eta
    return format.scalar_u, weight.rad


def _is_share(weight: Enclosure) -> bool:
    """Whether no correct implementation computes a weight outside of [0, 1]."""
    return bool(weight.nonnegative and weight.mid + weight.rad <= 1)


@_quiet
def _either(x: Any, y: Any) -> Enclosure:
    """The hull of two balls; unknown where one is infinite or nan and the other something else."""
    x, y, format = _operands(x, y)
    same = (x.mid == y.mid) | (np.isnan(x.mid) & np.isnan(y.mid))
    apart = _choose(same, _ZERO, abs(x.mid - y.mid))
    rad = np.maximum(x.rad, (apart + y.rad) * INFLATE)
    rad = _choose(rad == rad, rad, _INFINITE)
    return Enclosure(x.mid, rad, format, x.nonnegative and y.nonnegative)


@_quiet
def _scaled_over(x: Enclosure, denominator: Any, scale: Any) -> Enclosure:
    """Scaling a quotient, or dividing what is scaled.

    The relative errors are the same in either order. A product that is taken first may underflow,
    which the divisor magnifies, or overflow.
    """
    result: Enclosure = scale * (x / denominator)
    scale, format = _operands(x, scale)[1], x.format
    product = (abs(x.mid) + x.rad) * (abs(scale.mid) + scale.rad)
    nearest = abs(denominator.mid) - denominator.rad
    if not _all((product <= format.largest) & (nearest > 0)):
        return _either(result, scale * x / denominator)
    lost = np.minimum(format.eta, product) / nearest
    rad = (result.rad + lost * format.stretch) * INFLATE
    return Enclosure(result.mid, rad, result.format, result.nonnegative)


def _sum(x: Enclosure, axis: int | None = None, keepdims: bool = False) -> Enclosure:
    """Sum in any order: Higham (4.4), ``|error| <= gamma_{n-1} sum |x_i|``; none underflows."""
    terms = x.mid.size if axis is None else x.mid.shape[axis]
    return _accumulated(
        np.sum(x.mid, axis=axis, keepdims=keepdims),
        np.sum(x.rad, axis=axis, keepdims=keepdims),
        np.sum(abs(x.mid) + x.rad, axis=axis, keepdims=keepdims),
        max(terms - 1, 0),
        x,
    )


def _accumulator(format: Format) -> Format:
    """What kernels accumulate in: the format itself, or float32 where that has more bits."""
    single = FORMATS["float32"]
    return format if np.all(format.u <= single.u) else single


def _converted(x: Enclosure, format: Format) -> Enclosure:
    """One rounding, or none to a wider format.

    On its way down from float64 a number may stop at float32. Rounding to nearest errs by no more
    than u/(1+u), and what that leaves of u is more than a rounding of float32.
    """
    u = format.u
    if _all(x.format.u >= u) and _all(x.format.largest <= format.largest):
        return Enclosure(x.mid, x.rad, format, x.nonnegative)
    mid, reach = x.mid, abs(x.mid) + x.rad
    rad = (x.rad + np.maximum(u * reach, np.minimum(format.eta, reach))) * INFLATE
    known = reach <= format.largest
    if not _all(known):
        beyond = abs(mid) - x.rad > format.largest * (1 + u)
        definite = ((x.rad == 0) & ~np.isfinite(mid)) | beyond
        mid = _choose(beyond, np.copysign(_INFINITE, mid), mid)
        rad = _choose(known, rad, _choose(definite, _ZERO, _INFINITE))
    return Enclosure(mid, rad, format, x.nonnegative)


@_quiet
def _norm(x: Enclosure, axis: int | None) -> Enclosure:
    wide = _converted(x, _accumulator(x.format))
    total = _sum(_multiply(wide, wide), axis, keepdims=axis is not None)
    return _converted(_poisoned(_sqrt(total), x, axis), x.format)


@_quiet
def _mean_along(x: Enclosure, axis: int) -> Enclosure:
    """A stored sum, divided, or multiplied by 1/n, which is rounded if n is no power of two.

    A kernel that divides before it stores is less likely to overflow.
    """
    n, accumulator = max(x.shape[axis], 1), _accumulator(x.format)
    wide = _converted(x, accumulator)
    total = _poisoned(_sum(wide, axis, keepdims=True), x, axis)
    stored = _converted(total, x.format)
    mean = _divide(stored, n)
    rad = mean.rad
    if n & (n - 1):
        rad = (rad + accumulator.u * (abs(mean.mid) + rad)) * INFLATE
    rad = np.where(np.isinf(stored.mid) & np.isfinite(total.mid), _INFINITE, rad)
    return Enclosure(mean.mid, rad, mean.format, mean.nonnegative)


def _poisoned(reduced: Enclosure, x: Enclosure, axis: int | None) -> Enclosure:
    """A reduction of numbers without sign is nan if one of them is, and infinite if one is that."""
    if _all(reduced.rad < np.inf):
        return reduced
    keepdims = axis is not None
    nan = np.any(np.isnan(x.mid) & (x.rad == 0), axis=axis, keepdims=keepdims)
    unknown = np.any(~(x.rad < np.inf), axis=axis, keepdims=keepdims)
    infinite = np.any(np.isinf(x.mid), axis=axis, keepdims=keepdims) & ~unknown & ~nan
    mid = np.where(nan, Wide(np.nan), np.where(infinite, _INFINITE, reduced.mid))[()]
    rad = np.where(nan | infinite, _ZERO, reduced.rad)[()]
    return Enclosure(mid, rad, reduced.format, reduced.nonnegative)


@_quiet
def _rsqrt(x: Enclosure) -> Enclosure:
    """A reciprocal and a root are two roundings; CUDA's ``rsqrt`` is within 2 ulp, that is 4 u.

    One function of half precision computes in float32, so that its 4 u are float32's.
    """
    result = _divide(1, _sqrt(x))
    charged = 2 * _accumulator(x.format).u * (abs(result.mid) + result.rad)
    definite = (result.rad == 0) & ~np.isfinite(result.mid)
    rad = _choose(definite, _ZERO, (result.rad + charged) * INFLATE)
    return Enclosure(result.mid, rad, result.format, nonnegative=True)


@_quiet
def _larger(floor: Any, x: Enclosure) -> Enclosure:
    floor, x, format = _operands(floor, x)
    most = _extreme(largest=True)(floor, x)
    nan = np.isnan(x.mid) & (x.rad == 0)
    mid, rad = _choose(nan, floor.mid, most.mid), _choose(nan, floor.rad, most.rad)
    return Enclosure(mid, rad, format, most.nonnegative)


def _matmul(x: Any, y: Any) -> Enclosure:
    """Inner products in any order, fused or not: Higham (3.5), ``gamma_n |x|·|y|``."""
    x, y, format = _operands(x, y)
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
    gamma = nu / (1 - nu) if nu < 1 else _INFINITE
    wide = (roundings + 4) * WIDE_EPS
    radius = (rad + (gamma + wide) * reach) * (1 + wide)
    radius = _choose(reach + radius <= x.format.largest, radius, _INFINITE)
    return Enclosure(mid, radius, x.format, x.nonnegative)


def _zeros_like(x: Enclosure) -> Enclosure:
    zeros = Enclosure.exact(np.zeros(x.shape), x.format)
    zeros.nonnegative = True
    return zeros


def _full_like(x: Enclosure, value: Any) -> Enclosure:
    return _where(np.ones(x.shape, dtype=bool), value, _zeros_like(x))


def _where(condition: Any, x: Any, y: Any) -> Enclosure:
    """Elements of x or y; unknown where the condition is open."""
    if not isinstance(condition, Truth):
        condition = Truth(np.asarray(condition), ~np.asarray(condition), FLOAT64)
    x, y, format = _operands(x, y)
    if _is_scalar(x) and condition.yes.ndim and condition.format is not format:
        # Both are scalars: they fill an array.
        x, y, format = _enter(x, condition.format), _enter(y, condition.format), condition.format
    mid = np.where(condition.yes, x.mid, y.mid)[()]
    rad = np.where(condition.yes, x.rad, np.where(condition.no, y.rad, _INFINITE))[()]
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
        x, y, format = _operands(x, y)
        if x.ndim == y.ndim == 0 and _exact(x) and _exact(y):
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
