"""Roots, powers, exponentials and logarithms of enclosures, each with its bound."""

from __future__ import annotations

from typing import Any

import numpy as np

from oracles.harness.arithmetic.enclosure import (
    INFINITE,
    INFLATE,
    ZERO,
    Enclosure,
    accumulator,
    choose,
    divide,
    every,
    implements,
    most,
    operands,
    quiet,
)
from oracles.harness.arithmetic.formats import FORMATS, SMALLEST, TENSOR, WIDE_EPS, Format, Wide
from oracles.numerics import cospi, rsqrt

_EXP_ULPS = 4
"""Roundings charged to one ``exp`` or ``log``: vector libraries promise 2 ulp, that is 4 u
(SLEEF ``Sleef_expf16_u10``, ``u20`` and ``Sleef_logf16_u10``; CUDA C++ Programming Guide, table of
maximum errors)."""


_POW_ULPS = 8
"""Roundings charged to one power: ``powf`` is within 4 ulp, that is 8 u (the same tables)."""


_COS_ULPS = 2
"""Roundings charged to one cosine: the C library's is within 1 ulp, that is 2 u (glibc manual,
*Known Maximum Errors in Math Functions*)."""


_PI = Wide(np.arctan2(ZERO, Wide(-1)))
"""π, to the last place of midpoints."""


def _function_u(format: Format) -> Any:
    """The unit of published bounds of functions, which paths do not rearrange as they do products.

    :data:`~oracles.harness.arithmetic.formats.TENSOR` charges twice for what they do.
    """
    return FORMATS["float32"].u if format is TENSOR else format.u


@implements(np.exp)
def _exp(x: Enclosure) -> Enclosure:
    """Convex, so the upper end is the farther one: ``exp(mid) (exp(rad) - 1)``.

    Balls of radius 1 and more are unknown: they bound nothing worth having.
    """
    mid = np.exp(x.mid)
    rad = mid * np.expm1(x.rad)
    charged = _EXP_ULPS * (_function_u(x.format) * (mid + rad) + x.format.eta)
    rad = rad + charged + 4 * WIDE_EPS * (mid + rad)
    known = (x.rad < 1) & (mid + rad <= x.format.largest)
    rad = np.where(known, rad * INFLATE, INFINITE)
    return Enclosure(mid, rad, x.format)


@implements(np.log)
def _log(x: Enclosure) -> Enclosure:
    """Concave, so the lower end is the farther one: ``log(mid) - log(mid - rad)``.

    Balls that reach below half their midpoint are unknown: log1p would magnify roundings there.
    """
    mid = np.log(x.mid)
    rad = -np.log1p(-x.rad / x.mid)
    rad = rad + (_EXP_ULPS * _function_u(x.format) + 4 * WIDE_EPS) * (np.abs(mid) + rad)
    return Enclosure(mid, np.where(2 * x.rad < x.mid, rad * INFLATE, INFINITE), x.format)


@implements(np.sqrt)
def root(x: Enclosure) -> Enclosure:
    """Concave, so the lower end is the farther one.

    ``√mid - √(mid - rad) = rad / (√mid + √(mid - rad))``
    """
    low = x.mid - x.rad
    if not every((low >= 0) & (x.mid < np.inf)):
        return _sqrt_near_zero(x)
    mid = np.sqrt(x.mid)
    rad = x.rad / most(mid + np.sqrt(low), SMALLEST)  # 0/0 is the root of an exact zero
    rad = (rad + (x.format.root + WIDE_EPS) * (mid + rad)) * INFLATE
    return Enclosure(mid, rad, x.format, nonnegative=True)


def _sqrt_near_zero(x: Enclosure) -> Enclosure:
    """Roots of balls that reach below zero, of infinities and of nans.

    Such a ball is unknown (a kernel may give nan), unless its numbers are known to have no sign:
    then its lower end is cut off at zero, and either end may be the farther one. A ball around the
    root of the midpoint would reach below zero again, and with a small number added be no divisor:
    the two ends have a middle of their own.
    """
    low = x.mid - x.rad
    mid = np.sqrt(np.maximum(x.mid, 0))
    below = np.minimum(x.rad / (mid + np.sqrt(np.maximum(low, 0))), mid)
    above = np.sqrt(np.maximum(x.mid + x.rad, 0)) - mid
    below = np.where(x.rad > 0, below, 0)
    wide = np.isfinite(x.mid + x.rad) & (above > mid)
    rad = np.where(wide, (below + above) / 2, np.maximum(below, above))
    mid = np.where(wide, mid + (above - below) / 2, mid)[()]
    rad = (rad + (x.format.root + 2 * WIDE_EPS) * (mid + rad)) * INFLATE
    known = (low >= 0) | (x.nonnegative & (x.rad < np.inf))
    definite = (x.rad == 0) & ~((x.mid > 0) & (x.mid < np.inf))  # also 0, which keeps its sign
    mid = choose(definite, np.sqrt(x.mid), mid)
    rad = choose(definite, ZERO, choose(known, rad, INFINITE))
    return Enclosure(mid, rad, x.format, nonnegative=True)


@implements(np.power)
def _power(x: Any, y: Any) -> Enclosure:
    """``x**y`` for x > 0, through ``y log x``; of zero it is exact, of less than that unknown."""
    x, y, format = operands(x, y)
    base = np.maximum(x.mid, 0)
    mid = np.power(base, y.mid)
    off = (abs(y.mid) + y.rad) * -np.log1p(-x.rad / x.mid) + y.rad * abs(np.log(base))
    rad = mid * np.expm1(off * INFLATE)
    rad = rad + (_POW_ULPS * _function_u(format) + 4 * WIDE_EPS) * (mid + rad) + format.eta
    rad = choose((x.rad < x.mid) & (mid + rad <= format.largest), rad * INFLATE, INFINITE)
    certain = (x.rad == 0) & (((x.mid == 0) & (y.mid > y.rad)) | ((x.mid == 1) & (y.rad < np.inf)))
    rad = choose(certain | ((y.rad == 0) & (y.mid == 0)), ZERO, rad)
    return Enclosure(mid, rad, format, nonnegative=True)


@rsqrt.register(Enclosure)
@quiet
def _rsqrt(x: Enclosure) -> Enclosure:
    """A reciprocal and a root are three u; CUDA's ``rsqrt`` is within 2 ulp, that is 4 u.

    One function of half precision computes in float32, so that its 4 u are float32's.
    """
    result = divide(1, root(x))
    charged = accumulator(x.format).u * (abs(result.mid) + result.rad)
    definite = (result.rad == 0) & ~np.isfinite(result.mid)
    rad = choose(definite, ZERO, (result.rad + charged) * INFLATE)
    return Enclosure(result.mid, rad, result.format, nonnegative=True)


@cospi.register(Enclosure)
@quiet
def _cospi(x: Enclosure) -> Enclosure:
    """A cosine is no farther off than its argument is, and the product πx rounds twice.

    What is known of the midpoint's own argument is known to ``WIDE_EPS`` of it.
    """
    angle = _PI * x.mid
    off = _PI * x.rad + (2 * x.format.u + 4 * WIDE_EPS) * (abs(angle) + _PI * x.rad)
    mid = np.cos(angle)
    rad = off + (_COS_ULPS * _function_u(x.format) + 4 * WIDE_EPS) * (abs(mid) + off)
    return Enclosure(mid, rad * INFLATE, x.format)
