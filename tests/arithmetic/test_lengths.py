"""Enclosures of lengths of any order, and of what divides by them: they hold honest code.

The adversary computes in ``fractions.Fraction``, as that of ``test_reductions.py`` does: it
accumulates in float32 at least, in any order, and stores the result once. Its powers err by all
that vector libraries promise, to either side.
"""

from __future__ import annotations

import math
import random
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracles import numerics
from oracles.harness.arithmetic.enclosure import Enclosure
from oracles.harness.arithmetic.formats import DTYPES, FORMATS, HALF
from tests.support.adversaries import exact
from tests.support.witness import BINARY, fraction, nearest, power, stored

F = Fraction
inf, nan = math.inf, math.nan

each_dtype = pytest.mark.parametrize("dtype", DTYPES)
vectors = st.lists(st.integers(-(2**20), 2**20), min_size=1, max_size=12)
POW = 8
"""Roundings of one power: 4 ulp."""


class Machine:
    """Code that computes as badly as it may."""

    def __init__(self, dtype: str, seed: int) -> None:
        self.choices, self.dtype = random.Random(seed), dtype
        self.wide = BINARY["float64" if dtype == "float64" else "float32"]

    def off(self, x: Fraction, roundings: int) -> Fraction:
        return x * (1 + self.choices.choice((-1, 0, 1)) * roundings * self.wide.u)

    def total(self, terms: list[Fraction]) -> Fraction:
        terms = list(terms)
        while len(terms) > 1:
            self.choices.shuffle(terms)
            terms.append(self.off(terms.pop() + terms.pop(), 1))
        return terms[0]

    def length(self, x: list[Fraction], order: Fraction) -> Fraction:
        powers = [abs(v) if order == 1 or not v else self.pow(abs(v), order) for v in x]
        total = self.total(powers)
        inverse = F(1 / float(order))  # which nobody has exactly
        length = self.pow(total, inverse) if total and order != 1 else total
        # What is accumulated in its own format has been rounded to it already.
        return stored(length, self.dtype) if self.dtype in HALF else length

    def pow(self, x: Fraction, y: Fraction) -> Fraction:
        return self.off(power(x, y), POW)


@pytest.mark.one_in(4)
@each_dtype
@pytest.mark.parametrize("order", [F(1), F(3), F(1, 2)], ids=str)
def test_no_honest_length_leaves_its_enclosure(dtype: str, order: Fraction) -> None:
    @given(vectors, st.integers(0, 2**16))
    def property_(drawn: list[int], seed: int) -> None:
        x = [stored(F(n, 2**14), dtype) for n in drawn]
        length = numerics.vector_norm(exact(x, dtype), float(order))
        answer = Machine(dtype, seed).length(x, order)
        assert abs(fraction(length.mid) - answer) <= fraction(length.rad)

    property_()


@each_dtype
@pytest.mark.parametrize(
    ("order", "expected"), [(inf, 4), (-inf, 0.5), (0, 3), (1, 7.5), (2, None)]
)
def test_orders(dtype: str, order: float, expected: float | None) -> None:
    """The radius of a largest or smallest is one of storing; 2 is the Euclidean norm."""
    x = Enclosure.exact(
        np.array([[3.0, 0.5], [-4.0, 0.0]][: 2 if order >= 0 else 1]), FORMATS[dtype]
    )
    ball = numerics.vector_norm(x, order)
    assert ball.mid == (numerics.norm(x).mid if expected is None else expected)
    assert ball.rad <= (8 if order == 2 else 5) * FORMATS[dtype].u * ball.mid


@each_dtype
@pytest.mark.parametrize("order", [0.5, 1.0, 2.0, 3.0, inf])
@pytest.mark.parametrize(("odd", "expected"), [(inf, inf), (-inf, inf), (nan, nan)])
def test_what_is_not_finite_is_definite(
    dtype: str, order: float, odd: float, expected: float
) -> None:
    ball = numerics.vector_norm(Enclosure.exact(np.array([1.0, odd, 2.0]), FORMATS[dtype]), order)
    assert np.array_equal(ball.mid, expected, equal_nan=True)
    assert ball.rad == 0


def test_a_smallest_magnitude_may_be_finite_beside_an_infinity() -> None:
    ball = numerics.vector_norm(Enclosure.exact(np.array([1.0, inf, -0.5])), -inf)
    assert (ball.mid, ball.rad) == (0.5, 0)


@pytest.mark.parametrize(
    ("formats", "expected"),
    [
        (("float16", "float16"), "float16"),
        (("float16", "bfloat16"), "float32"),
        (("bfloat16", "float32"), "float32"),
        (("float32", "float64", "float16"), "float64"),
    ],
)
@pytest.mark.parametrize("join", [np.stack, np.concatenate])
def test_arrays_are_joined_in_a_format_that_holds_all(
    formats: tuple[str, ...], expected: str, join: Any
) -> None:
    parts = [Enclosure(np.array([1.5]), np.array([0.25]), FORMATS[name]) for name in formats]
    joined = join(parts)
    assert joined.format is FORMATS[expected]
    assert joined.mid.ravel().tolist() == [1.5] * len(formats)
    assert joined.rad.ravel().tolist() == [0.25] * len(formats)


@each_dtype
@given(st.integers(1, 2**12), st.integers(1, 2**12))
def test_a_capped_quotient_may_be_one_division_or_two(dtype: str, n: int, d: int) -> None:
    """Also where 1/y is rounded before it is multiplied, and where it overflows."""
    x, y = stored(F(n, 2**6), dtype), stored(F(d, 2**28 if dtype != "float16" else 2**22), dtype)
    ball = numerics.capped_quotient(
        Enclosure.exact(float(y), FORMATS[dtype]), Enclosure.exact(float(x), FORMATS[dtype])
    )
    inverse = nearest(1 / y, BINARY[dtype])
    for answer in (nearest(x / y, BINARY[dtype]), inverse * x):
        got = min(F(1), answer) if answer < inf else F(1)
        assert abs(fraction(ball.mid) - fraction(got)) <= fraction(ball.rad)


@each_dtype
@given(st.integers(2**7, 2**8 - 1), st.integers(2**7, 2**8 - 1))
def test_a_capped_quotient_near_1(dtype: str, n: int, d: int) -> None:
    x, y = F(n, 2**7), F(d, 2**7)
    ball = numerics.capped_quotient(
        Enclosure.exact(float(y), FORMATS[dtype]), Enclosure.exact(float(x), FORMATS[dtype])
    )
    product = stored(stored(1 / y, dtype) * x, dtype)
    for answer in (stored(x / y, dtype), product):
        assert abs(fraction(ball.mid) - min(F(1), answer)) <= fraction(ball.rad)
    assert fraction(ball.rad) <= 4 * BINARY[dtype].u


@each_dtype
@given(st.integers(0, 2**6), st.integers(0, 2**6), st.integers(1, 2**6), st.data())
def test_a_capped_quotient_of_what_may_be_nothing_has_a_floor(
    dtype: str, mid: int, more: int, n: int, data: st.DataObject
) -> None:
    """The cap of it is 1, and the largest denominator gives the least."""
    x, rad = F(n, 2**7), F(mid + more, 2**6)
    near = Enclosure(np.longdouble(mid) / 64, np.longdouble(float(rad)), FORMATS[dtype], True)
    ball = numerics.capped_quotient(near, Enclosure.exact(float(x), FORMATS[dtype]))
    y = data.draw(st.integers(0, 2 * mid + more)) * F(1, 2**6)
    inverse = stored(1 / y, dtype) if y else inf
    answers = (stored(x / y, dtype), inverse * x) if y else (inf, inf)
    for got in (F(1) if answer >= 1 else F(answer) for answer in answers):
        assert abs(fraction(ball.mid) - got) <= fraction(ball.rad)
    assert fraction(ball.mid) + fraction(ball.rad) <= 1 + BINARY[dtype].u


def test_a_number_enters_another_format() -> None:
    """Rounded, where that holds fewer; as it is, in its own."""
    single = Enclosure.exact(np.array(0.1), FORMATS["float32"])
    short = Enclosure.exact(np.array([1.0]), FORMATS["float16"])
    assert numerics.entering(single, short).rad >= FORMATS["float16"].u * 0.1
    assert numerics.entering(single, single) is single
    assert numerics.entering(0.1, np.ones(1)) == 0.1
