"""Enclosures of norms and means, and of conversions: they hold honest code, and little more.

The adversary computes in ``fractions.Fraction``: it accumulates in float32 at least, in any order,
rounds each time or not at all, and stores the result once.
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
from oracles.harness.arithmetic.formats import DTYPES, FORMATS
from tests.support.adversaries import exact
from tests.support.witness import BINARY, Binary, fraction, nearest, root, stored

F = Fraction
inf, nan = math.inf, math.nan
HALF = ("bfloat16", "float16")

each_dtype = pytest.mark.parametrize("dtype", DTYPES)
vectors = st.lists(st.integers(-(2**20), 2**20), min_size=1, max_size=40)


class Reducer:
    """Code that accumulates as it likes, in float32 at least."""

    def __init__(self, dtype: str, seed: int) -> None:
        choices = random.Random(seed)
        self.choices = choices
        self.dtype = dtype
        self.wide = [BINARY["float64"]]
        if dtype != "float64":
            self.wide.append(BINARY["float32"])

    def loose(self, x: Fraction) -> Fraction:
        to: Binary | None = self.choices.choice([None, *self.wide])
        value = x if to is None else nearest(x, to)
        assert isinstance(value, Fraction)
        return value

    def total(self, terms: list[Fraction]) -> Fraction:
        terms = list(terms)
        while len(terms) > 1:
            self.choices.shuffle(terms)
            terms.append(self.loose(terms.pop() + terms.pop()))
        return terms[0]

    def norm(self, x: list[Fraction]) -> Fraction:
        total = self.total([self.loose(v * v) for v in x])
        return stored(self.loose(root(total)), self.dtype)

    def mean(self, x: list[Fraction]) -> Fraction:
        """A quotient of what was stored, or a product with a rounded 1/n that is stored once."""
        total, n = self.total(x), len(x)
        if self.choices.random() < 0.5:
            return stored(stored(total, self.dtype) / n, self.dtype)
        return stored(total * self.loose(F(1, n)), self.dtype)


@pytest.mark.one_in(2)
@each_dtype
def test_no_honest_norm_or_mean_leaves_its_enclosure(dtype: str) -> None:
    @given(vectors, st.integers(0, 2**16))
    def property_(drawn: list[int], seed: int) -> None:
        x = [stored(F(n, 2**14), dtype) for n in drawn]
        machine = Reducer(dtype, seed)
        sizes = [abs(v) for v in x]
        for reduced, answer in (
            (numerics.norm(exact(x, dtype), 0), machine.norm(x)),
            (numerics.mean(exact(sizes, dtype), 0), machine.mean(sizes)),
        ):
            assert abs(fraction(reduced.mid[0]) - answer) <= fraction(reduced.rad[0])

    property_()


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("n", [2, 40, 1000])
def test_a_norm_of_half_precision_is_rounded_once(dtype: str, n: int) -> None:
    """Whatever n is: n + 1 roundings of the sum of squares and one of the root are float32's."""
    x = exact([F(3)] * n, dtype)
    u, single = FORMATS[dtype].u, FORMATS["float32"].u
    norm = numerics.norm(x)
    assert norm.rad <= (u + (n + 4) * single) * (1 + u) * norm.mid
    assert norm.rad >= u * norm.mid


@each_dtype
def test_an_axis_is_kept(dtype: str) -> None:
    x = Enclosure.exact(np.array([[3.0, 4.0, 0.0], [8.0, 0.0, 6.0]]), FORMATS[dtype])
    assert numerics.norm(x, -1).mid.tolist() == [[5], [10]]
    assert numerics.norm(x, 0).mid.shape == (1, 3)
    assert numerics.norm(x).mid.shape == ()
    assert numerics.mean(x, -2).mid.tolist() == [[5.5, 2, 3]]


@each_dtype
@pytest.mark.parametrize(
    ("values", "expected"), [((1, inf), inf), ((-inf, 2), inf), ((nan, 1), nan), ((inf, nan), nan)]
)
def test_what_is_not_finite_is_definite(dtype: str, values: Any, expected: float) -> None:
    x = Enclosure.exact(np.array(values), FORMATS[dtype])
    for reduced in (numerics.norm(x), numerics.mean(abs(x), 0)):
        assert np.array_equal(reduced.mid.ravel(), [expected], equal_nan=True)
        assert not reduced.rad.any()


@each_dtype
def test_zeros_have_a_norm_that_is_nearly_nothing(dtype: str) -> None:
    """The squares of what is nearly zero may underflow: √(n eta), in float32 at least."""
    wide = FORMATS["float32" if dtype in HALF else dtype]
    norm = numerics.norm(Enclosure.exact(np.zeros(4), FORMATS[dtype]))
    assert norm.mid == 0
    assert norm.rad <= 2.01 * np.sqrt(wide.eta) + 2 * FORMATS[dtype].eta


def test_squares_of_float16_neither_overflow_nor_vanish() -> None:
    tiny, large = 2.0**-24, 32768.0
    for value in (tiny, large):
        norm = numerics.norm(Enclosure.exact(np.array([value]), FORMATS["float16"]))
        assert norm.mid == value
        assert norm.rad <= 2 * float(FORMATS["float16"].u) * value + 2.0**-25


def test_a_norm_beyond_float16_is_infinite_and_near_its_end_unknown() -> None:
    beyond = numerics.norm(Enclosure.exact(np.full(4, 60000.0), FORMATS["float16"]))
    assert beyond.mid == inf
    assert beyond.rad == 0
    near = numerics.norm(Enclosure.exact(np.array([65504.0, 1000.0]), FORMATS["float16"]))
    assert near.unknown


@each_dtype
@given(st.integers(1, 2**20))
def test_a_reciprocal_root_may_be_one_function_or_two(dtype: str, n: int) -> None:
    """In two, each is rounded. In one, it is up to 2 ulp off, which is 4 u, in float32 at least."""
    x = stored(F(n, 2**10), dtype)
    result = numerics.rsqrt(exact([x], dtype))
    u, wide = (BINARY[format].u for format in (dtype, "float32" if dtype in HALF else dtype))
    inverse = 1 / root(x)
    answers = [stored(1 / stored(root(x), dtype), dtype), inverse * (1 + 4 * wide)]
    if dtype in HALF:
        answers[1] = stored(answers[1], dtype)
    for answer in answers:
        assert abs(fraction(result.mid[0]) - answer) <= fraction(result.rad[0])
    assert fraction(result.rad[0]) <= inverse * (2 * u + 2 * wide) * (1 + 4 * u + F(1, 2**8))


class TestScalars:
    @pytest.mark.parametrize(("value", "expected"), [(nan, 0.5), (2.0, 2.0), (0.25, 0.5)])
    def test_larger_is_python_s_max(self, value: float, expected: float) -> None:
        assert max(0.5, value) == expected
        larger = numerics.larger(0.5, Enclosure.exact(value))
        assert larger.mid == expected
        assert larger.rad == 0

    @each_dtype
    def test_an_item_is_a_python_number(self, dtype: str) -> None:
        """It meets arrays of any format, and is rounded as float64 is."""
        norm = numerics.norm(exact([F(1), F(1)], dtype))
        item = numerics.item(norm)
        assert (item.mid, item.rad) == (norm.mid, norm.rad)
        assert (item * item).rad < item.rad * 3 * item.mid

    @each_dtype
    def test_the_resolution_is_where_one_ends(self, dtype: str) -> None:
        eps = fraction(numerics.resolution(exact([F(1)], dtype)).mid[()])
        assert stored(1 + eps / 2, dtype) == 1
        assert stored(1 + eps * F(3, 4), dtype) == 1 + eps


class TestConversion:
    @pytest.mark.parametrize("dtype", DTYPES)
    @given(st.integers(1, 2**53), st.booleans())
    def test_to_bfloat16(self, dtype: str, n: int, twice: bool) -> None:
        """On its way down from float64 a number may be rounded to float32 first."""
        x = stored(F(n, 2**50), dtype)
        through = stored(x, "float32") if twice else x
        converted = numerics.in_bfloat16(exact([x], dtype))
        assert abs(fraction(converted.mid[0]) - stored(through, "bfloat16")) <= fraction(
            converted.rad[0]
        )
        u = BINARY["bfloat16"].u
        assert fraction(converted.rad[0]) <= (x * u * (1 + 2**-12) if dtype != "bfloat16" else 0)

    @pytest.mark.parametrize(("dtype", "tiny"), [("float16", 2.0**-24), ("bfloat16", 2.0**-133)])
    def test_what_underflows_may_be_rounded_twice(self, dtype: str, tiny: float) -> None:
        """A little more than 5/2 of the smallest number is 3 of them, or by way of float32 2."""
        x = tiny * (2.5 + 2.0**-30)
        ball = Enclosure.exact(np.array([x])).to(FORMATS[dtype])
        assert ball.contains([3 * tiny]).all()
        assert ball.contains([2 * tiny]).all()

    def test_overflow(self) -> None:
        x = Enclosure.exact(np.array([1e5, 65519.0, -1e6, inf, nan]), FORMATS["float32"])
        half = x.to(FORMATS["float16"])
        assert np.array_equal(half.mid[[0, 2, 3, 4]], [inf, -inf, inf, nan], equal_nan=True)
        assert half.unknown.tolist() == [False, True, False, False, False]

    def test_a_wider_format_holds_what_it_gets(self) -> None:
        x = exact([F(1, 3)], "bfloat16").to(FORMATS["float32"])
        assert x.rad == 0
        assert numerics.kept_like(x, exact([F(1)], "float64")).rad == 0


@each_dtype
def test_a_lerp_to_its_end_forgets_its_start(dtype: str) -> None:
    """``e − (e − s)(1 − 1)``: nothing of s is left, not even in digits that e does not reach."""
    small = stored(F(1, 3 * 2**20), dtype)
    start, end = exact([F(1), F(0)], dtype), exact([small, F(1)], dtype)
    assert numerics.lerp(start, end, 1).contains(end.mid).all()
    assert not numerics.lerp(start, end, 1).rad.any()


@pytest.mark.parametrize("n", [25, 31])
def test_a_mean_by_a_rounded_reciprocal_has_one_rounding_more(n: int) -> None:
    """Each sum rounds down by nearly half a unit, and so do 1/n and the product."""
    x = np.array([1.0002679, *[2**-24 * (1 - 2**-20)] * (n - 1)], dtype=np.float32)
    total = np.float32(0)
    for value in x:
        total = np.float32(total + value)
    mean = numerics.mean(Enclosure.exact(x.astype(float), FORMATS["float32"]), 0)
    assert mean.contains([float(total * (np.float32(1) / np.float32(n)))]).all()
