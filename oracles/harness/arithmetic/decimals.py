"""Arithmetics for the texts of rules: float64 whose bits hang on no platform, and 80 digits.

A rule's text is one for all number types (:mod:`oracles.rule`). :class:`Real` stands for its
scalars where float64 is to be pinned, :class:`Precise` for all of its numbers where two texts are
asked whether they mean the same. They keep their type through + − × / and powers; of NumPy's
functions a :class:`Real` gives float64, whose roots and extrema are the same everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from typing import Any

from oracles.numerics import cospi

DIGITS = 80
"""Precision of powers, and of :class:`Precise`."""

PRECISE = Context(prec=DIGITS, traps=[])
"""Decimal arithmetic in which, as in NumPy's, a division by zero is no error."""


class Real(float):
    """A float64 whose powers are rounded correctly, as its ``+ - * /`` are everywhere.

    A C library's ``pow`` is not, and differs from the next one's in the last bit.
    """

    def __pow__(self, exponent: Any, modulo: None = None) -> Any:
        return Real(_power(self, exponent))

    def __rpow__(self, base: Any, modulo: None = None) -> Any:
        return Real(_power(base, self))


class Precise(Decimal):
    """A number of :data:`DIGITS` digits, in the context :data:`PRECISE`; floats may join it."""

    def sqrt(self, context: Any = None) -> Precise:
        """The root (what ``numpy.sqrt`` calls)."""
        return Precise(super().sqrt(context))

    def __pow__(self, exponent: Any, modulo: Any = None) -> Any:
        return Precise(_power(self, exponent))

    def __rpow__(self, base: Any, modulo: Any = None) -> Any:
        return Precise(_power(base, self))


def _power(base: Any, exponent: Any) -> Decimal:
    """A power in :data:`DIGITS` digits; that of 0 and 0 is 1, as floats have it."""
    with localcontext(PRECISE):
        one, other = Decimal(_joining(base)), Decimal(_joining(exponent))
        return one**other if other else Decimal(1)


PI = Decimal(
    "3.14159265358979323846264338327950288419716939937510"
    "58209749445923078164062862089986280348253421170679821480865"
)


def _cosine(angle: Decimal) -> Decimal:
    """Of an angle near enough for its digits to be its own: a series, once full turns are off."""
    with localcontext(PRECISE):
        x = angle - 2 * PI * (angle / (2 * PI)).to_integral_value()
        term, found, n = Decimal(1), Decimal(1), 0
        while found + term != found or n == 0:
            n += 2
            term = -term * x * x / (n * (n - 1))
            found += term
        return found


@cospi.register(Real)
def _rounded_cospi(x: Real) -> Real:
    """What a correctly rounded cosine gives of the product of two float64 numbers."""
    return Real(_cosine(Decimal(math.pi * x)))


@cospi.register(Precise)
def _precise_cospi(x: Precise) -> Precise:
    with localcontext(PRECISE):
        return Precise(_cosine(PI * x))


def _joining(value: Any) -> Any:
    """A float or a fraction as a decimal number, since ``Decimal`` refuses to compute with them."""
    if isinstance(value, float):
        return Decimal(value)
    return Decimal(value.numerator) / value.denominator if type(value) is Fraction else value


def _closed(kind: type, operation: Callable[..., Any]) -> Callable[..., Any]:
    """An operation of the type that ``kind`` extends, with a ``kind`` for its result."""

    def closed(one: Any, *other: Any) -> Any:
        result = operation(one, *map(_joining, other) if kind is Precise else other)
        return result if result is NotImplemented else kind(result)

    return closed


for _name in ("add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "rtruediv", "neg", "abs"):
    setattr(Real, f"__{_name}__", _closed(Real, getattr(float, f"__{_name}__")))
    setattr(Precise, f"__{_name}__", _closed(Precise, getattr(Decimal, f"__{_name}__")))
