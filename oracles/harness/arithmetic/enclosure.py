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

An :class:`Enclosure` follows NumPy's ufunc protocol, so the text of a rule runs on it unchanged.
Roots and powers are in ``functions.py``, what kernels write in several forms in ``forms.py``, sums
and norms in ``reductions.py``, comparisons and choices in ``ordering.py``.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import ArrayLike, NDArray

from oracles.harness.arithmetic.formats import FLOAT64, FORMATS, TENSOR, WIDE_EPS, Format, Wide
from oracles.numerics import (
    beside,
    entering,
    in_bfloat16,
    in_float16,
    item,
    kept,
    kept_like,
    one,
    resolution,
)

INFLATE = 1 + 8 * WIDE_EPS
"""Covers the rounding of the radius' own arithmetic (fewer than eight operations each time)."""


_NARROW = Wide(2) ** -1080 == 0
"""Whether midpoints may underflow where a product of float64 numbers is not zero."""

Numbers = Any
"""An array of :data:`Wide`, or a NumPy scalar where there is no dimension."""

P = ParamSpec("P")
R = TypeVar("R")
Handler = TypeVar("Handler", bound=Callable[..., Any])

ZERO, INFINITE = Wide(0), Wide(np.inf)

NORMAL = Wide(2) ** -14
"""The smallest normal number of float16; above it no number underflows as it enters a kernel."""


UFUNCS: dict[np.ufunc, Callable[..., Any]] = {}
FUNCTIONS: dict[Any, Callable[..., Any]] = {}
"""NumPy's functions on enclosures; the modules of this package enter theirs with
:func:`implements`, and the package imports them all."""


def implements(*functions: Any) -> Callable[[Handler], Handler]:
    """Make a function what NumPy calls for enclosures in place of its own ``functions``."""

    def enter_into_table(handler: Handler) -> Handler:
        for function in functions:
            table: dict[Any, Any] = UFUNCS if isinstance(function, np.ufunc) else FUNCTIONS
            table[function] = handler
        return handler

    return enter_into_table


class _Quiet(threading.local):
    """Whether NumPy's warnings are off already in this thread.

    To turn them off costs a tenth of an operation.
    """

    already = False


_QUIET = _Quiet()


def quiet(function: Callable[P, R]) -> Callable[P, R]:
    """Without NumPy's warnings, which are turned off once, whoever calls whom."""

    @wraps(function)
    def quietly(*given: P.args, **options: P.kwargs) -> R:
        if _QUIET.already:
            return function(*given, **options)
        with np.errstate(all="ignore"):
            _QUIET.already = True
            try:
                return function(*given, **options)
            finally:
                _QUIET.already = False

    return quietly


class Enclosure(NDArrayOperatorsMixin):
    """An array of balls ``mid ± rad`` whose operations round as ``format`` does.

    >>> third = Enclosure.exact(1.0) / 3
    >>> bool(third.contains(1 / 3)), bool(third.contains(0.333))
    (True, False)

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
        return cls(mid, ZERO, format, bool(mid >= 0))

    @classmethod
    def tensor(cls, value: ArrayLike) -> Enclosure:
        """A Python number in a 0-d float32 tensor."""
        return enter(cls.exact(value), TENSOR)

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

    def to(self, format: Format) -> Enclosure:
        """The numbers rounded to another format (not at all, to a wider one)."""
        return converted(self, format)

    def __repr__(self) -> str:
        return f"Enclosure({self.mid} ± {self.rad})"

    def __bool__(self) -> bool:
        raise TypeError("an enclosure has no truth value; branch on exact hyperparameters only")

    def __index__(self) -> int:
        if self.ndim or self.rad or self.mid != np.rint(self.mid):
            raise TypeError(f"{self} is not an exact whole number")
        return int(self.mid)

    @quiet
    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        handler = UFUNCS.get(ufunc)
        if handler is None or method != "__call__" or kwargs:
            return NotImplemented
        return handler(*inputs)

    @quiet
    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        handler = FUNCTIONS.get(func)
        return NotImplemented if handler is None else handler(*args, **kwargs)


def choose(condition: Any, x: Any, y: Any) -> Any:
    """``np.where``, which costs a single number as much as a hundred operations."""
    return np.where(condition, x, y) if condition.ndim else (x if condition else y)


def least(x: Any, limit: Any) -> Any:
    """``np.minimum``, made cheap for single numbers."""
    return np.minimum(x, limit) if x.ndim else min(x, limit)


def most(x: Any, limit: Any) -> Any:
    """``np.maximum``, made cheap for single numbers."""
    return np.maximum(x, limit) if x.ndim else max(x, limit)


def every(condition: Any) -> bool:
    """``np.all``, made cheap."""
    if condition.ndim:  # counting costs a quarter of what ``all`` costs
        return bool(np.count_nonzero(condition) == condition.size)
    return bool(condition)


def is_exact(x: Enclosure) -> bool:
    """Whether it is a number without radius (arrays are not looked at)."""
    return not (x.rad.ndim or x.rad)


def holds(mid: Numbers, rad: Numbers, values: NDArray[Any]) -> NDArray[np.bool_]:
    """Elementwise ``values in mid ± rad``; definite infinities and nans hold only themselves."""
    with np.errstate(invalid="ignore"):
        inside: NDArray[np.bool_] = np.abs(values - mid) <= rad
    if not inside.all():
        inside |= (values == mid) | (np.isnan(values) & np.isnan(mid)) | np.isinf(rad)
    return inside


def operands(x: Any, y: Any) -> tuple[Enclosure, Enclosure, Format]:
    """Bring two operands to one format; a 0-d one is converted as a kernel converts scalars."""
    x = x if isinstance(x, Enclosure) else Enclosure.exact(x)
    y = y if isinstance(y, Enclosure) else Enclosure.exact(y)
    if x.format is y.format:
        return x, y, x.format
    if is_scalar(y) and not (is_scalar(x) and y.format.u > x.format.u):
        return x, enter(y, x.format), x.format
    if is_scalar(x):
        return enter(x, y.format), y, y.format
    raise TypeError("enclosures of two formats met; only a 0-d scalar may be converted")


def is_scalar(x: Enclosure) -> bool:
    """Whether it is a number that enters kernels, and not a parameter of no dimension."""
    return x.ndim == 0 and x.format.numbers is None


def enter(scalar: Enclosure, format: Format) -> Enclosure:
    """A scalar as a kernel of ``format`` sees it; what every format holds is converted exactly."""
    mid, rad = scalar.mid, scalar.rad
    if not (is_exact(scalar) and is_short(mid)):
        magnitude = abs(mid) + rad
        lost = format.scalar_u * magnitude
        if magnitude < NORMAL:
            lost = np.maximum(lost, np.minimum(format.scalar_eta, magnitude))
        rad = rad + lost
        if not every(magnitude <= format.largest):  # a kernel may overflow it
            rad = np.where(magnitude <= format.largest, rad, INFINITE)
    return Enclosure(mid, rad, format, scalar.nonnegative)


def is_short(value: Any) -> bool:
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
        lost = format.underflow if _NARROW else least(reach, format.underflow)
        charged = most(charged, lost)
    radius = (rad + charged) * INFLATE
    if not every(reach <= format.largest):
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
        unknown |= np.isinf(x.mid) & sign_unknown(y)
        unknown |= np.isinf(y.mid) & sign_unknown(x)
    if ufunc is np.divide:
        unknown |= sign_unknown(y) | ((y.mid == 0) & sign_unknown(x))
    by_zero = finite & (y.mid == 0) & (y.rad == 0) & (ufunc is np.divide)
    definite = ~unknown & (~finite | by_zero)
    too_large = ~unknown & ~definite & ~(np.abs(mid) + rad <= format.largest)
    # An intermediate product may be fused away, so only a sum is certain to overflow.
    certain = (
        too_large
        & (np.abs(mid) - rad > format.overflow)
        & (ufunc is np.add or ufunc is np.subtract)
    )
    mid = choose(certain, np.copysign(INFINITE, mid), mid)
    radius = choose(definite | certain, ZERO, radius)
    radius = choose(unknown | (too_large & ~certain), INFINITE, radius)
    return mid, radius


def sign_unknown(x: Enclosure) -> Any:
    """Where a ball holds numbers of both signs."""
    return (x.rad > 0) & ~(abs(x.mid) > x.rad)


@implements(np.negative)
def _negative(x: Enclosure) -> Enclosure:
    return Enclosure(-x.mid, x.rad, x.format)


@implements(np.absolute)
def _absolute(x: Enclosure) -> Enclosure:
    return Enclosure(abs(x.mid), x.rad, x.format, nonnegative=True)


@implements(np.add)
def _add(x: Any, y: Any) -> Enclosure:
    x, y, format = operands(x, y)
    return _rounded(np.add, x, y, x.mid + y.mid, x.rad + y.rad, format)


@implements(np.subtract)
def _subtract(x: Any, y: Any) -> Enclosure:
    x, y, format = operands(x, y)
    return _rounded(np.subtract, x, y, x.mid - y.mid, x.rad + y.rad, format)


@implements(np.multiply)
def multiply(x: Any, y: Any) -> Enclosure:
    """``x·y ± (|x|s + |y|r + rs)``, rounded."""
    x, y, format = operands(x, y)
    if is_exact(y):
        rad = abs(y.mid) * x.rad
    elif is_exact(x):
        rad = abs(x.mid) * y.rad
    else:
        rad = (abs(x.mid) + x.rad) * y.rad + abs(y.mid) * x.rad
    return _rounded(np.multiply, x, y, x.mid * y.mid, rad, format)


@implements(np.divide)
def divide(x: Any, y: Any) -> Enclosure:
    """``x/y ± (|x|s + |y|r)/(|y|(|y| − s))``, rounded."""
    x, y, format = operands(x, y)
    size, mid = abs(y.mid), x.mid / y.mid
    rad = (abs(mid) * y.rad + x.rad) / (size - y.rad)
    if not every(size > y.rad):
        # A divisor that may be zero bounds nothing; the midpoint then only marks the element.
        rad = choose(sign_unknown(y), INFINITE, rad)
    return _rounded(np.divide, x, y, mid, rad, format)


def _operators(name: str, handler: Callable[[Any, Any], Enclosure]) -> None:
    """Let Python's operator call it at once: NumPy's way round costs half as much again."""

    def swapped(y: Any, x: Any) -> Enclosure:
        return handler(x, y)

    setattr(Enclosure, f"__{name}__", quiet(handler))
    setattr(Enclosure, f"__r{name}__", quiet(swapped))


for _name, _handler in (("add", _add), ("sub", _subtract), ("mul", multiply), ("truediv", divide)):
    _operators(_name, _handler)


def converted(x: Enclosure, format: Format) -> Enclosure:
    """One rounding, or none to a wider format."""
    u = format.u
    if every(x.format.u >= u) and every(x.format.largest <= format.largest):
        return Enclosure(x.mid, x.rad, format, x.nonnegative)
    mid, reach = x.mid, abs(x.mid) + x.rad
    rad = (x.rad + np.maximum(u * reach, np.minimum(format.converted_eta, reach))) * INFLATE
    known = reach <= format.largest
    if not every(known):
        beyond = abs(mid) - x.rad > format.largest * (1 + u)
        definite = ((x.rad == 0) & ~np.isfinite(mid)) | beyond
        mid = choose(beyond, np.copysign(INFINITE, mid), mid)
        rad = choose(known, rad, choose(definite, ZERO, INFINITE))
    return Enclosure(mid, rad, format, x.nonnegative)


@kept.register(Enclosure)
def _kept(value: Enclosure) -> Enclosure:
    """The number as a 0-d float32 tensor gives it back, in the format it has."""
    if is_exact(value) and is_short(value.mid):
        return value
    single = converted(value, FORMATS["float32"])
    return Enclosure(single.mid, single.rad, value.format, value.nonnegative)


@beside.register(Enclosure)
def _beside(value: Enclosure, other: Any) -> Enclosure:
    """The number in the format in which it meets the other one."""
    return operands(value, other)[0]


@entering.register(Enclosure)
@quiet
def _entering(value: Enclosure, x: Enclosure) -> Enclosure:
    """The number in the format of the array, into which it is converted if it is of another."""
    return value if value.format is x.format else enter(value, x.format)


@item.register(Enclosure)
def _item(value: Enclosure) -> Enclosure:
    """The number as Python's, which is float64."""
    return Enclosure(value.mid, value.rad, value.format.numbers or value.format, value.nonnegative)


@one.register(Enclosure)
def _one(x: Enclosure) -> Enclosure:
    return Enclosure.exact(1, x.format)


implements(np.shape)(lambda x: x.shape)
implements(np.ndim)(lambda x: x.ndim)


@resolution.register(Enclosure)
def _resolution(x: Enclosure) -> Enclosure:
    """``finfo.eps`` of the format, as a Python number."""
    return Enclosure.exact(2 * x.format.u)


@in_bfloat16.register(Enclosure)
@quiet
def _in_bfloat16(x: Enclosure) -> Enclosure:
    return converted(x, FORMATS["bfloat16"])


@in_float16.register(Enclosure)
@quiet
def _in_float16(x: Enclosure) -> Enclosure:
    return converted(x, FORMATS["float16"])


@kept_like.register(Enclosure)
def _kept_like(x: Enclosure, w: Enclosure) -> Enclosure:
    """The numbers as they meet another array: in a format that holds those of both."""
    return Enclosure(x.mid, x.rad, w.format, x.nonnegative)


def accumulator(format: Format) -> Format:
    """What kernels accumulate in: the format itself, or float32 where that has more bits."""
    single = FORMATS["float32"]
    return format if np.all(format.u <= single.u) else single
