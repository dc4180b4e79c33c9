"""Numbers that are no arrays: how they compute among themselves and enter kernels."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracles import numerics
from oracles.harness.arithmetic.enclosure import Enclosure
from oracles.harness.arithmetic.formats import (
    DTYPES,
    FLOAT64,
    FORMATS,
    TENSOR,
    WIDE_EPS,
    Wide,
    mixed,
)
from oracles.numerics import kept
from tests.support.adversaries import short
from tests.support.witness import BINARY, admits, fraction, nearest, rational

F = Fraction
inf, nan = math.inf, math.nan
EPS = F(*WIDE_EPS.as_integer_ratio())

each_dtype = pytest.mark.parametrize("dtype", DTYPES)

FLOAT32 = BINARY["float32"]


def array(mid: float, dtype: str, nonnegative: bool = False) -> Any:
    """An array of one exact number; of any type, since NumPy's stubs know of arrays only."""
    return Enclosure(np.array([mid], Wide), np.zeros(1, Wide), FORMATS[dtype], nonnegative)


def tensor(value: float) -> Any:
    return Enclosure.tensor(value)


NUMBERS = [
    0.1,
    3.0,
    2.0**-24,
    2.0**-25,
    65280.0,
    65408.0,
    1.0009765625,
    -0.75,
    255.0,
    256.0,
    257.0,
    -0.00390625,
    0.998046875,
    1.5,
    1e-9,
    1e-5,
    2.5 * 2.0**-24 + 2.0**-60,
    2.5 * 2.0**-133 + 2.0**-170,
    0.0,
]


class TestEntering:
    @each_dtype
    @pytest.mark.parametrize("c", NUMBERS)
    def test_a_kernel_converts_or_does_not(self, dtype: str, c: float) -> None:
        """c + 0 rounds nothing else: the conversion errs by u, by eta near zero, or not at all."""
        result = np.maximum(array(-inf, dtype), c)
        assert result.mid == Wide(c)
        to, rad = BINARY[dtype], fraction(result.rad[0])
        converted = nearest(F(c), to) if dtype != "float64" else F(c)
        assert admits(result.mid[0], result.rad[0], converted)
        if dtype in ("float16", "bfloat16"):  # it may stop at float32
            single = nearest(F(c), FLOAT32)
            assert isinstance(single, Fraction)
            assert admits(result.mid[0], result.rad[0], nearest(single, to))
        if dtype == "float64" or short(c):
            assert rad == 0
        else:
            stop = FLOAT32.u / to.u if to.u > FLOAT32.u else 0
            near = min(to.tiny / 2 * (1 + stop), abs(F(c)))
            assert 0 < rad <= max(to.u * abs(F(c)), near) * (1 + EPS)

    @each_dtype
    @pytest.mark.parametrize("c", [inf, -inf, nan])
    def test_what_is_not_finite_enters_as_it_is(self, dtype: str, c: float) -> None:
        result = array(1.0, dtype) * c
        assert np.array_equal(result.mid, [c], equal_nan=True)
        assert result.rad == 0

    @pytest.mark.parametrize(
        ("dtype", "c"), [("float16", 65504.1), ("float16", 65536.0), ("float32", 1e39)]
    )
    def test_what_a_format_cannot_hold_is_unknown(self, dtype: str, c: float) -> None:
        """Though what is made of it would be in its range."""
        small = 2.0**-20
        assert (array(small, dtype) * c).unknown
        assert (array(small, dtype) * Enclosure(Wide(1), Wide(c), FLOAT64)).unknown
        assert not (array(small, "float64") * c).unknown
        rows = Enclosure.exact([small, small], mixed(np.array([DTYPES.index(dtype), 0])))
        assert (rows * c).unknown.tolist() == [True, False]

    @each_dtype
    @pytest.mark.parametrize("c", [Fraction(1, 2) + Fraction(1, 2**60), 1 - Fraction(1, 2**62)])
    def test_a_computed_number_that_looks_short_is_not(self, dtype: str, c: Fraction) -> None:
        """The wide type has digits that float64 has not."""
        number: Any = Enclosure(Wide(c.numerator) / c.denominator, Wide(0), FLOAT64)
        if number.mid in (0.5, 1):
            pytest.skip("the wide type has no such digits here")
        result = np.maximum(array(-inf, dtype), number)
        assert (result.rad > 0) == (dtype != "float64")

    @each_dtype
    def test_a_radius_enters_with_its_number(self, dtype: str) -> None:
        number: Any = Enclosure(Wide(0.5), Wide(0.25), FLOAT64)
        result = np.maximum(array(-inf, dtype), number)
        u = F(0) if dtype == "float64" else BINARY[dtype].u
        assert fraction(result.rad[0]) == F(1, 4) + F(3, 4) * u

    @each_dtype
    def test_plain_numbers_and_enclosures_are_the_same(self, dtype: str) -> None:
        x = array(0.3, dtype)
        for c in (2, 0.1):
            for result in (c * x, x * c, Enclosure.exact(c) * x, np.multiply(x, c)):
                assert (result.mid, result.rad) == ((x * c).mid, (x * c).rad)

    def test_parameters_without_dimension_are_no_scalars(self) -> None:
        format = mixed(np.array(DTYPES.index("float16")))
        parameter = Enclosure.exact(np.array(0.5), format)
        assert (parameter * Enclosure.exact(0.1)).format is format
        assert (Enclosure.exact(0.1) * parameter).format is format
        with pytest.raises(TypeError, match="two formats"):
            parameter * array(1.0, "float32")


class TestPythonNumbers:
    def test_they_round_as_float64(self) -> None:
        third = Enclosure.exact(1) / 3
        assert third.format is FLOAT64
        assert admits(third.mid, third.rad, rational(1 / 3))
        u = BINARY["float64"].u
        assert fraction(third.rad) <= F(1, 3) * u * (1 + 3 * EPS / u)

    def test_fractions_join(self) -> None:
        half = Fraction(1, 2) / Enclosure.exact(1)
        assert half.mid == 0.5

    def test_whole_numbers_count(self) -> None:
        assert list(range(Enclosure.exact(3))) == [0, 1, 2]
        for x in (
            Enclosure.exact(0.5),
            Enclosure(Wide(1), Wide(1), FLOAT64),
            array(1.0, "float32"),
        ):
            with pytest.raises(TypeError, match="whole"):
                operator_index(x)

    @pytest.mark.parametrize("x", [0.1, 0.0, 7.0])
    def test_signs(self, x: float) -> None:
        number = Enclosure.exact(x)
        assert number.nonnegative
        assert not Enclosure.exact(-1).nonnegative
        assert not Enclosure.exact(nan).nonnegative
        assert (number * number).nonnegative
        assert (number + 1).nonnegative
        assert (8 - number).nonnegative
        assert not (-8 - number).nonnegative
        assert not (Enclosure(Wide(1), Wide(1), FLOAT64) - number).nonnegative


def operator_index(x: Any) -> int:
    return int(x.__index__())


class TestTensors:
    """Numbers in 0-d float32 tensors, of which every operation is charged two roundings."""

    @given(st.floats(1e-6, 100), st.floats(1e-6, 100))
    def test_chains_of_float32(self, a: float, b: float) -> None:
        """Rounded after each step, never, or scaled by a third number that cancels again."""
        x, y = tensor(a), tensor(b)
        fa, fb = np.float32(a), np.float32(b)
        for result, values in (
            (x * y, (fa * fb, float(fa) * float(fb))),
            (x / y, (fa / fb, float(fa) / float(fb), np.float32(1) / fb * fa)),
            (1 - x, (np.float32(1) - fa, 1 - float(fa))),
            (x + b, (fa + fb, float(fa) + b, fa + np.float32(b))),
            (x * b, (fa * fb, float(fa) * b)),
        ):
            assert result.format is TENSOR
            for value in values:
                assert admits(result.mid, result.rad, rational(value))

    def test_a_number_becomes_float32(self) -> None:
        u = FLOAT32.u
        for value in (0.1, 1e-30, 12345.678):
            x = tensor(value)
            assert admits(x.mid, x.rad, rational(np.float32(value)))
            assert fraction(x.rad) <= F(value) * u * (1 + EPS)
        assert tensor(0.5).rad == 0
        assert tensor(1e39).unknown

    def test_operations_are_charged_twice(self) -> None:
        x, y, u = tensor(0.75), tensor(3), FLOAT32.u
        for result in (x * y, x / y, x + y, x - y):
            size = abs(fraction(result.mid))
            assert size * 2 * u <= fraction(result.rad) <= size * 2 * u * (1 + 16 * EPS / u)

    @each_dtype
    def test_arrays_convert_them(self, dtype: str) -> None:
        """A float32 number enters a kernel of another dtype as a Python number does."""
        x = tensor(0.1)
        for result in (np.maximum(array(-inf, dtype), x), np.maximum(x, array(-inf, dtype))):
            assert result.format is FORMATS[dtype]
            single = nearest(F(0.1), FLOAT32)
            assert isinstance(single, Fraction)
            assert admits(result.mid[0], result.rad[0], single)
            assert admits(result.mid[0], result.rad[0], nearest(single, BINARY[dtype]))
            u = F(0) if dtype == "float64" else BINARY[dtype].u
            reach = F(0.1) * (1 + FLOAT32.u)
            assert fraction(result.rad[0]) <= F(0.1) * FLOAT32.u * (1 + EPS) + reach * u * (1 + EPS)

    def test_python_numbers_join_them(self) -> None:
        x = tensor(0.5)
        for result in (x * 0.1, 0.1 * x, Enclosure.exact(0.1) * x, x * Enclosure.exact(0.1)):
            assert result.format is TENSOR
            assert (result.mid, result.rad) == ((x * 0.1).mid, (x * 0.1).rad)
        assert np.maximum(x, 0.1).format is TENSOR

    def test_comparisons(self) -> None:
        x = tensor(0.1)
        assert x < 0.2
        assert (x > 0.2) is False
        with pytest.raises(TypeError, match="open"):
            bool(x == 0.1)


class TestKept:
    @given(st.floats(-1e30, 1e30))
    def test_a_float32_of_it_is_inside(self, value: float) -> None:
        x = kept(Enclosure.exact(value))
        assert x.format is FLOAT64
        assert admits(x.mid, x.rad, rational(np.float32(value)))
        u, eta = FLOAT32.u, FLOAT32.tiny / 2
        most = max(u * abs(F(value)), min(eta, abs(F(value))))
        assert fraction(x.rad) <= most * (1 + 9 * EPS)

    def test_it_goes_on_as_a_python_number(self) -> None:
        x = kept(Enclosure.exact(0.1)) * 3
        assert x.format is FLOAT64
        for value in (float(np.float32(0.1)) * 3, 0.1 * 3):
            assert admits(x.mid, x.rad, rational(value))

    @pytest.mark.parametrize("value", [1.0, 0.0, 0.5, 200.0])
    def test_what_float32_holds_for_certain_loses_nothing(self, value: float) -> None:
        assert kept(Enclosure.exact(value)).rad == 0

    def test_radii(self) -> None:
        x = kept(Enclosure(Wide(1), Wide(0.25), FLOAT64, nonnegative=True))
        u = FLOAT32.u
        assert F(1, 4) + F(5, 4) * u <= fraction(x.rad) <= (F(1, 4) + F(5, 4) * u) * (1 + 9 * EPS)
        assert x.nonnegative

    def test_a_tensor_is_kept_as_it_is(self) -> None:
        x = tensor(0.1) * 3
        assert (kept(x).mid, kept(x).rad, kept(x).format) == (x.mid, x.rad, TENSOR)

    @pytest.mark.parametrize(("value", "expected"), [(1e39, inf), (-1e39, -inf), (inf, inf)])
    def test_what_float32_cannot_hold_is_infinite(self, value: float, expected: float) -> None:
        x = kept(Enclosure.exact(value))
        assert (x.mid, x.rad) == (expected, 0)

    def test_near_the_end_it_is_unknown(self) -> None:
        for rad in (0.0, inf):
            assert kept(
                Enclosure(Wide(2) ** 128 * (1 - Wide(2) ** -25), Wide(rad), FLOAT64)
            ).unknown
        x = kept(Enclosure.exact(nan))
        assert np.isnan(x.mid)
        assert x.rad == 0

    def test_other_numbers_are_themselves(self) -> None:
        assert kept(0.1) == 0.1
        assert kept(Fraction(1, 3)) == Fraction(1, 3)


SQUARES = array(-2.0, "float32") * array(-2.0, "float32")


class TestSigns:
    """Which operations keep what is known of signs: those that cannot leave it by rounding."""

    @pytest.mark.parametrize(("one", "other"), list(itertools.product((False, True), repeat=2)))
    def test_arithmetic(self, one: bool, other: bool) -> None:
        x, y = array(1.0, "float32", one), array(2.0, "float32", other)
        assert (x + y).nonnegative == (x * y).nonnegative == (x / y).nonnegative == (one and other)
        assert not (x - y).nonnegative
        assert not (y - x).nonnegative
        assert not (-x).nonnegative
        assert abs(x).nonnegative
        assert np.sqrt(x).nonnegative
        assert kept(x).nonnegative == one
        assert x.to(FORMATS["float16"]).nonnegative == one
        assert numerics.kept_like(x, y).nonnegative == one

    def test_squares(self) -> None:
        x = array(-2.0, "float32")
        assert (x * x).nonnegative
        assert not (x * array(-2.0, "float32")).nonnegative  # only by its value, not by its text
        assert not (x + x).nonnegative
        assert not (x / x).nonnegative

    def test_scalars(self) -> None:
        x = array(-2.0, "float32")
        square = x * x
        assert (0.1 * square).nonnegative
        assert (square + 1e-8).nonnegative
        assert not (-0.1 * square).nonnegative
        assert ((1 - Enclosure.exact(0.999)) * square).nonnegative
        assert not ((1 - Enclosure.exact(1.001)) * square).nonnegative
