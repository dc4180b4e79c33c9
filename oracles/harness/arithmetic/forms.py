"""What kernels write in several algebraic forms: one enclosure for all of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from oracles.harness.arithmetic.enclosure import (
    INFINITE,
    INFLATE,
    NORMAL,
    ZERO,
    Enclosure,
    choose,
    every,
    is_exact,
    is_short,
    operands,
    quiet,
)
from oracles.harness.arithmetic.formats import WIDE_EPS, Format
from oracles.numerics import capped_quotient, either, lerp, one, scaled, scaled_quotient


@lerp.register(Enclosure)
@quiet
def _lerp(start: Enclosure, end: Any, weight: Any, *, literal: bool = False) -> Enclosure:
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
    start, end, format = operands(start, end)
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
    if is_exact(weight) and weight.mid in (0, 1) and not (literal and weight.mid):
        rad = (end if weight.mid else start).rad + 0 * total  # one end stays, the other is times 0
    nonnegative = start.nonnegative and end.nonnegative and _is_share(weight)
    known = size * total + rad <= format.largest
    if not every(known):
        # The first two forms agree on an infinite end; on an infinite start all three differ.
        infinite = np.isinf(end.mid) & (end.rad == 0) & np.isfinite(s)
        infinite &= below and NORMAL <= weight.mid - weight.rad <= 1
        nan = (np.isnan(start.mid) & (start.rad == 0)) | (np.isnan(end.mid) & (end.rad == 0))
        mid = np.where(infinite, end.mid, mid)[()]
        rad = np.where(known, rad, np.where(infinite | nan, ZERO, INFINITE))[()]
    return Enclosure(mid, rad, format, nonnegative)


def _entering(weight: Enclosure, format: Format) -> tuple[Any, Any]:
    """Relative and absolute error with which a weight, and what it lacks of 1, enter a kernel."""
    if not max(abs(weight.mid), abs(1 - weight.mid)) <= 2**15:  # too far out for float16
        return 0, INFINITE
    if weight.format is format:
        return 0, weight.rad
    if not weight.rad and is_short(weight.mid) and is_short(1 - weight.mid):
        return 0, ZERO
    if min(abs(weight.mid), abs(1 - weight.mid)) < NORMAL:
        return format.scalar_u, weight.rad + format.scalar_eta
    return format.scalar_u, weight.rad


def _is_share(weight: Enclosure) -> bool:
    """Whether no correct implementation computes a weight outside of [0, 1]."""
    return bool(weight.nonnegative and weight.mid + weight.rad <= 1)


@either.register(Enclosure)
@quiet
def hull(x: Any, y: Any) -> Enclosure:
    """The hull of two balls; unknown where one is infinite or nan and the other something else."""
    x, y, format = operands(x, y)
    same = (x.mid == y.mid) | (np.isnan(x.mid) & np.isnan(y.mid))
    apart = choose(same, ZERO, abs(x.mid - y.mid))
    rad = np.maximum(x.rad, (apart + y.rad) * INFLATE)
    rad = choose(rad == rad, rad, INFINITE)
    return Enclosure(x.mid, rad, format, x.nonnegative and y.nonnegative)


@scaled_quotient.register(Enclosure)
@quiet
def _scaled_quotient(x: Enclosure, denominator: Any, scale: Any) -> Enclosure:
    """Scaling a quotient, or dividing what is scaled.

    The relative errors are the same in either order. A product that is taken first may underflow,
    which the divisor magnifies, or overflow.
    """
    result: Enclosure = scale * (x / denominator)
    scale, format = operands(x, scale)[1], x.format
    product = (abs(x.mid) + x.rad) * (abs(scale.mid) + scale.rad)
    nearest = abs(denominator.mid) - denominator.rad
    if not every((product <= format.largest) & (nearest > 0)):
        return hull(result, scale * x / denominator)
    lost = np.minimum(format.eta, product) / nearest
    rad = (result.rad + lost * format.stretch) * INFLATE
    return Enclosure(result.mid, rad, result.format, result.nonnegative)


@capped_quotient.register(Enclosure)
@quiet
def _capped_quotient(denominator: Enclosure, numerator: Any) -> Enclosure:
    """Exactly 1 where the numerator is twice the denominator: two roundings take no half away.

    An inverse that is subnormal, of a denominator at the end of its format, is off by 2⁻⁶ of itself
    at most (in bfloat16), and one that overflows is an infinity. Of a denominator that may be 0 the
    quotient is at most 1 all the same, and at least what the largest denominator gives: rounding is
    monotone.
    """
    y, x, format = operands(denominator, numerator)
    whole: Enclosure = one(y)
    if y.mid + y.rad > 0 and x.mid - x.rad >= 2 * (y.mid + y.rad):
        return whole
    if y.mid <= y.rad < INFINITE and x.mid > x.rad:
        largest = Enclosure(y.mid + y.rad, ZERO, y.format, nonnegative=True)
        least: Enclosure = scaled(numerator, whole, largest)
        low = min(max(least.mid - least.rad, ZERO), whole.mid)
        # The midpoint, from ½ to 1, is rounded by a quarter of the last digit of 1.
        rad = (1 - low) / 2 * INFLATE + WIDE_EPS / 4
        return Enclosure((low + 1) / 2, rad, format, nonnegative=True)
    ratio: Enclosure = np.minimum(scaled(numerator, whole, denominator), 1)
    return ratio
