"""Exact arithmetic for the tests: rounding of rationals, and rationals of everything else.

Nothing here uses ``oracles``: a test that compares the two compares two programs. Formats are
those of IEEE 754-2019, table 3.5, as (precision in bits, largest exponent).
"""

from __future__ import annotations

import math
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

Number = Fraction | float
"""A rational, or a float that is not finite."""


class Binary(NamedTuple):
    """A binary format: values are n·2^(e-precision+1) with |n| < 2^precision, 1-emax <= e <= emax.

    The least exponent is that of subnormal numbers.
    """

    precision: int
    emax: int

    @property
    def u(self) -> Fraction:
        """Unit roundoff: half the distance from 1 to the next value."""
        return Fraction(1, 2**self.precision)

    @property
    def tiny(self) -> Fraction:
        """The smallest subnormal."""
        return Fraction(2) ** (2 - self.emax - self.precision)

    @property
    def largest(self) -> Fraction:
        return Fraction(2) ** self.emax * (2 - 2 * self.u)


BINARY = {
    "float64": Binary(53, 1023),
    "float32": Binary(24, 127),
    "bfloat16": Binary(8, 127),
    "float16": Binary(11, 15),
}


def binade(x: Fraction) -> int:
    """The e with 2^e <= |x| < 2^(e+1), for x not 0."""
    n, d = abs(x.numerator), x.denominator
    e = n.bit_length() - d.bit_length()
    return e if Fraction(2) ** e <= abs(x) else e - 1


def quantum(x: Fraction, to: Binary) -> Fraction:
    """Distance of neighbouring values of the format around x."""
    e = max(binade(x), 1 - to.emax) if x else 1 - to.emax
    return Fraction(2) ** (e - to.precision + 1)


def nearest(x: Fraction, to: Binary) -> Number:
    """The value nearest to x, of two the even one; beyond the range, an infinity."""
    q = quantum(x, to)
    rounded = round(x / q) * q  # round() of a Fraction goes to the even neighbour
    if abs(rounded) > to.largest:
        return math.inf if x > 0 else -math.inf
    return rounded


def stored(x: Fraction, dtype: str) -> Fraction:
    """The value nearest to x that a format has, which is in its range."""
    value = nearest(x, BINARY[dtype])
    assert isinstance(value, Fraction)
    return value


def rational(x: Any) -> Number:
    """A float of any width as the rational it is; infinities and nans as floats."""
    if isinstance(x, int | Fraction):
        return Fraction(x)
    return Fraction(*x.as_integer_ratio()) if np.isfinite(x) else float(x)


def fraction(x: Any) -> Fraction:
    """A finite float of any width as the rational it is."""
    value = rational(x)
    assert isinstance(value, Fraction)
    return value


def rationals(values: Any) -> np.ndarray[Any, Any]:
    """An array of rationals, of the same shape."""
    wide = np.asarray(values)
    exact = np.empty(wide.shape, dtype=object)
    for index in np.ndindex(wide.shape):
        exact[index] = rational(wide[index])
    return exact


def root(x: Fraction) -> Fraction:
    """√x, cut off after 150 bits; exact if it has no more."""
    if not x:
        return x
    k = max(0, 150 - binade(x) // 2)
    return Fraction(math.isqrt(int(x * 4**k)), 2**k)


FIFTY = Context(prec=50, Emax=10**6, Emin=-(10**6))


def exponential(kind: str, x: Fraction) -> Fraction:
    """``"exp"`` or ``"log"`` to fifty digits."""
    quotient = FIFTY.divide(Decimal(x.numerator), Decimal(x.denominator))
    return Fraction(FIFTY.exp(quotient) if kind == "exp" else FIFTY.ln(quotient))


def power(x: Fraction, y: Fraction) -> Fraction:
    """x^y of a positive x, to more than forty digits."""
    return exponential("exp", y * exponential("log", x))


def admits(mid: Any, rad: Any, value: Number) -> bool:
    """Whether a value is in a ball, in exact arithmetic instead of the code under test's."""
    if np.isinf(rad):
        return True
    middle = rational(mid)
    if isinstance(middle, Fraction) and isinstance(value, Fraction):
        radius = rational(rad)
        assert isinstance(radius, Fraction)
        return abs(value - middle) <= radius
    return middle == value or (middle != middle and value != value)
