"""Roots, powers, extremes, comparisons, choices and reductions of enclosures.

Each is held against the function itself in exact arithmetic, at the ends of its balls and with
roundings that err by all they may, to either side: nothing of that is outside, and the farthest of
it reaches the radius.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable, Iterator
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
    Format,
    Wide,
)
from oracles.harness.arithmetic.ordering import Truth
from oracles.numerics import scaled
from tests.support.witness import (
    BINARY,
    admits,
    exponential,
    fraction,
    nearest,
    power,
    rational,
    root,
)

F = Fraction
inf, nan = math.inf, math.nan
EPS = F(*WIDE_EPS.as_integer_ratio())
HUGE = float(BINARY["float32"].largest)
SINGLE = FORMATS["float32"]

where: Any = np.where

each_dtype = pytest.mark.parametrize("dtype", DTYPES)


def ball(mid: Any, rad: Any = 0.0, dtype: str = "float32", nonnegative: bool = False) -> Any:
    """An array of balls; of any type, since NumPy's stubs know of arrays only."""
    mids, rads = np.broadcast_arrays(*(np.atleast_1d(np.asarray(x, Wide)) for x in (mid, rad)))
    return Enclosure(mids, rads, FORMATS[dtype], nonnegative)


def number(mid: float, rad: float = 0.0, format: Format = FLOAT64) -> Any:
    """A single ball without dimension."""
    return Enclosure(Wide(mid), Wide(rad), format, rad == 0 and mid >= 0)


def ends(mid: float, rad: float) -> tuple[Fraction, Fraction]:
    return F(mid) - F(rad), F(mid) + F(rad)


def off(values: Iterator[Fraction], u: Fraction) -> list[Fraction]:
    """Values that were rounded by u to either side."""
    return [x * (1 + side * u) for x in values for side in (-1, 0, 1)]


def reached(result: Enclosure, values: list[Fraction]) -> Fraction:
    """The share of the radius that the farthest value takes; none is outside."""
    mid, rad = fraction(result.mid[0]), fraction(result.rad[0])
    farthest = max(abs(x - mid) for x in values)
    assert farthest <= rad
    return farthest / rad


def is_definite(result: Enclosure, value: float) -> bool:
    """Whether a result is this and nothing else."""
    same = np.array_equal(result.mid, np.full(result.shape, value), equal_nan=True)
    return bool(same and not np.any(result.rad))


RADII = (0.0, 2.0**-30, 2.0**-10, 0.25, 0.999, 1.0)


ROOT = {
    "float64": 2 * BINARY["float64"].u,
    "float32": 2 * BINARY["float32"].u,
    "bfloat16": BINARY["bfloat16"].u + 2 * BINARY["float32"].u,
    "float16": BINARY["float16"].u + 2 * BINARY["float32"].u,
}
"""1 ulp of the format that a root is computed in, and the rounding to a shorter one."""


class TestSquareRoot:
    @each_dtype
    @pytest.mark.parametrize("mid", [1.0, 0.1, 2.25, 3e-5, 1234.5])
    def test_ends_and_roundings(self, dtype: str, mid: float) -> None:
        """Of rad + u√high a share is lost that is less than twice u: the nearer end is rounded."""
        u = ROOT[dtype]
        for rad in (mid * r for r in RADII):
            images = (root(x) for x in (F(mid), *ends(mid, rad)))
            share = reached(np.sqrt(ball(mid, rad, dtype)), off(images, u))
            assert share >= (1 - 2 * u) / (1 + 16 * EPS / u)

    @each_dtype
    @pytest.mark.parametrize(("mid", "rad"), [(1.0, 1.5), (0.0, 1.0), (0.1, 5.0), (1.0, 1.0)])
    def test_what_has_no_sign_is_cut_off_at_zero(self, dtype: str, mid: float, rad: float) -> None:
        u = ROOT[dtype]
        images = (root(x) for x in (F(0), F(mid), F(mid) + F(rad)))
        share = reached(np.sqrt(ball(mid, rad, dtype, nonnegative=True)), off(images, u))
        assert share >= (1 - 2 * u) / (1 + 16 * EPS / u)

    @pytest.mark.parametrize(("mid", "rad"), [(1.0, 1.5), (0.0, 1.0), (-2.0, 1.0), (1.0, 1.0001)])
    def test_what_may_be_negative_is_unknown(self, mid: float, rad: float) -> None:
        result = np.sqrt(ball([mid, 4.0], [rad, 0.0]))
        assert result.unknown.tolist() == [True, False]
        assert np.sqrt(number(mid, rad, SINGLE)).unknown

    @pytest.mark.parametrize(
        ("x", "expected"), [(0.0, 0.0), (-0.0, -0.0), (inf, inf), (nan, nan), (-1.0, nan)]
    )
    def test_definite(self, x: float, expected: float) -> None:
        for operand in (ball(x), ball(x, nonnegative=x >= 0), number(x)):
            result = np.sqrt(operand)
            assert is_definite(result, expected)
            assert x != 0 or np.all(np.signbit(result.mid) == np.signbit(x))

    @pytest.mark.parametrize("mid", [1.0, nan, inf])
    def test_of_the_unknown(self, mid: float) -> None:
        assert np.sqrt(ball(mid, inf, nonnegative=True)).unknown

    def test_numbers_are_as_arrays(self) -> None:
        for mid, rad in [(2.0, 0.5), (1.0, 1.0), (0.25, 0.0)]:
            one, array = np.sqrt(number(mid, rad, SINGLE)), np.sqrt(ball(mid, rad))
            assert (one.mid, one.rad) == (array.mid[0], array.rad[0])


BASES = [(0.9, 0.0), (0.9, 2.0**-12), (1.0, 2.0**-12), (3.0, 2.0**-9), (2.0**-20, 2.0**-40)]
EXPONENTS = [(2.0, 0.0), (-0.8, 0.0), (0.5, 2.0**-10), (-3.0, 2.0**-12), (40.0, 0.0), (1.0, 0.0)]


@pytest.mark.parametrize(
    ("function", "x", "roundings", "dtype"),
    [
        (np.exp, 1.0, 4, "float32"),
        (np.log, 3.0, 4, "float32"),
        (np.sqrt, 3.0, 2, "float32"),
        (lambda x: x**0.75, 3.0, 8, "float32"),
        (numerics.rsqrt, 3.0, 4, "float32"),
        (numerics.cospi, 1.0, 2 + 2 * math.pi, "float32"),  # the last ones of πx
        (lambda x: numerics.mean(x, 0), [1.0] * 3, 4, "float32"),  # two sums, 1/3, a product
        (lambda x: numerics.mean(x, 0), [1.0] * 3, 2, "bfloat16"),  # those of float32 are small
    ],
    ids=["exp", "log", "sqrt", "power", "rsqrt", "cospi", "mean", "mean of bfloat16"],
)
def test_a_radius_is_a_count_of_roundings(
    function: Any, x: Any, roundings: float, dtype: str
) -> None:
    """But for products of them, and of those of midpoints, which are fewer than ten times u."""
    result, u = function(ball(x, dtype=dtype)), FORMATS[dtype].u
    share = float(result.rad[0] / (abs(result.mid[0]) * u))
    assert roundings < share < roundings * (1 + 10 * u)


def test_an_exponential_that_underflows() -> None:
    x = np.exp(ball(-100.0))
    assert admits(x.mid[0], x.rad[0], nearest(exponential("exp", F(-100)), BINARY["float32"]))


class TestPower:
    @each_dtype
    @pytest.mark.parametrize("base", BASES)
    @pytest.mark.parametrize("exponent", EXPONENTS)
    def test_corners_and_roundings(
        self, dtype: str, base: tuple[float, float], exponent: tuple[float, float]
    ) -> None:
        """Monotone in each operand, and within 4 ulp, which are 8u.

        The bound is exp(Δ) - 1 with Δ the most that y log x moves; where that falls, 1 - exp(-Δ) is
        reached, which is less by a share of Δ.
        """
        y = number(exponent[0], exponent[1])
        u = BINARY[dtype].u
        result = ball(*base, dtype) ** y
        if dtype == "float16" and float(result.mid[0]) > HALF_LARGEST:
            assert result.unknown
            return
        entered = [y + side * u * abs(y) for y in ends(*exponent) for side in ENTERING[dtype]]
        if exponent[1] == 0 and exponent[0] in (2, 40, 1, -3):
            entered = [F(exponent[0])]
        corners = [power(x, y) for x in ends(*base) for y in entered]
        share = reached(result, off(iter(corners), 8 * u))
        mid = fraction(result.mid[0])
        most = max(abs(x / mid - 1) for x in corners)
        assert share >= 1 - 4 * most - 16 * u - EPS / u - BINARY[dtype].tiny / (8 * u * mid)

    @pytest.mark.parametrize("t", [0, 1, 2, 7, 1000])
    def test_python_s_own_are_inside(self, t: int) -> None:
        for beta in (0.9, 0.999, 0.1, 1e-5, 1.0, 0.0):
            result = number(beta) ** t
            assert admits(result.mid, result.rad, rational(beta**t))
            assert result.nonnegative

    @pytest.mark.parametrize("dtype", ["float32", "float16"])
    def test_numpy_s_own_are_inside(self, dtype: str) -> None:
        x = np.random.default_rng(1).uniform(0.1, 3, 200).astype(dtype)
        for y in (2, 0.5, -0.75, 3):
            result = Enclosure.exact(x, FORMATS[dtype]) ** y
            assert result.contains(x ** np.asarray(y, dtype)).all()

    @pytest.mark.parametrize(
        ("x", "y", "expected"),
        [
            *((0.0, 2, 0.0), (0.0, 0, 1.0), (0.0, 0.5, 0.0), (nan, 0, 1.0), (7.0, 0, 1.0)),
            *((1.0, 0.75, 1.0), (1.0, -3, 1.0), (1.0, inf, 1.0)),
        ],
    )
    def test_definite(self, x: float, y: float, expected: float) -> None:
        assert is_definite(ball(x) ** y, expected)
        assert is_definite(number(x) ** y, expected)

    def test_zero_to_a_power_that_may_be_none_is_unknown(self) -> None:
        """0 to the power of more than 0 is 0, to that of 0 it is 1."""
        powers = ball([0.5, 0.5], [0.25, 0.75])
        result = ball([0.0, 0.0], [0.0, 0.0]) ** powers
        assert result.unknown.tolist() == [False, True]

    def test_any_number_to_the_power_of_zero_is_one(self) -> None:
        assert is_definite(ball([1.0, 0.0, -2.0, inf], [0.5, 1.0, 1.0, 0.0]) ** 0, 1.0)

    @pytest.mark.parametrize(
        ("x", "rad", "y"),
        [
            *((0.0, 0.0, -1), (-2.0, 0.0, 3), (1.0, 1.0, 2), (1.0, 2.0, 0.5), (0.0, 1.0, 2)),
            *((10.0, 0.0, 40), (nan, 0.0, 2), (1.0, inf, 2), (0.1, 0.0, -40)),
        ],
    )
    def test_unknown(self, x: float, rad: float, y: float) -> None:
        result = ball([x, 2.0], [rad, 0.0]) ** y
        assert result.unknown[0]
        assert result.unknown[1] == (2.0**y > HUGE)
        assert (number(x, rad, SINGLE) ** y).unknown

    def test_a_base_of_one_that_may_be_another(self) -> None:
        assert (ball(1.0, 2.0**-20) ** 3).rad > 3 * 2.0**-20
        exponent = number(0, 2.0**-10)
        assert (ball(2.0) ** exponent).rad > 2.0**-11
        assert (ball(1.0) ** exponent).rad >= 0


HALF_LARGEST = float(BINARY["float16"].largest)
ENTERING = {dtype: (0,) if dtype == "float64" else (-1, 0, 1) for dtype in DTYPES}

numbers = st.integers(-12, 12).map(lambda n: n / 4)
radii = st.sampled_from((0.0, 0.25, 0.5, 1.0, 2.0))
balls = st.tuples(numbers, radii)


class TestExtremes:
    @given(balls, balls)
    def test_ends(self, x: tuple[float, float], y: tuple[float, float]) -> None:
        """The ball holds all there is; it is the winner's own where one wins for certain."""
        for ufunc, choose in ((np.maximum, max), (np.minimum, min)):
            result = ufunc(ball(*x), ball(*y))
            mid, rad = fraction(result.mid[0]), fraction(result.rad[0])
            assert mid == choose(F(x[0]), F(y[0]))
            for a, b in itertools.product(ends(*x), ends(*y)):
                assert abs(choose(a, b) - mid) <= rad
            for winner, loser in ((x, y), (y, x)):
                if choose(*ends(*winner), *ends(*loser)) not in ends(*loser) and not (
                    ends(*winner)[0] <= ends(*loser)[1] and ends(*loser)[0] <= ends(*winner)[1]
                ):
                    assert rad == winner[1]

    def test_open_ones_have_the_larger_radius(self) -> None:
        for ufunc in (np.maximum, np.minimum):
            assert ufunc(ball(1.0, 0.5), ball(1.25, 0.125)).rad == 0.5
            assert ufunc(ball(1.25, 0.125), ball(1.0, 0.5)).rad == 0.5

    @pytest.mark.parametrize("ufunc", [np.maximum, np.minimum])
    def test_nan_wins(self, ufunc: np.ufunc) -> None:
        for x, y in [(nan, 1.0), (1.0, nan), (nan, inf), (nan, nan)]:
            assert is_definite(ufunc(ball(x), ball(y)), nan)
        assert is_definite(ufunc(ball(nan), ball(1.0, 0.5)), nan)
        assert ufunc(ball(nan), ball(1.0, inf)).unknown
        assert ufunc(ball(nan, inf), ball(1.0)).unknown

    def test_infinities(self) -> None:
        assert is_definite(np.maximum(ball(inf), ball(2.0, 1.0)), inf)
        assert is_definite(np.minimum(ball(-inf), ball(2.0, 1.0)), -inf)
        assert np.minimum(ball(inf), ball(2.0, 1.0)).rad == 1
        assert np.maximum(ball(-inf), ball(2.0, 1.0)).mid == 2
        assert is_definite(np.maximum(ball(inf), ball(inf)), inf)
        assert np.maximum(ball(1.0, inf), ball(2.0)).unknown
        assert np.maximum(ball(inf), ball(2.0, inf)).unknown

    @pytest.mark.parametrize("x", [False, True])
    @pytest.mark.parametrize("y", [False, True])
    def test_signs(self, x: bool, y: bool) -> None:
        one, other = ball(1.0, 2.0, nonnegative=x), ball(0.5, 2.0, nonnegative=y)
        assert np.maximum(one, other).nonnegative == (x or y)
        assert np.minimum(one, other).nonnegative == (x and y)

    def test_numbers(self) -> None:
        one, floor = number(0.1), number(2)
        assert np.minimum(one, floor).mid == Wide(0.1)
        assert is_definite(np.maximum(1, number(0.5) - number(0.5)), 1)

    def test_the_largest_element(self) -> None:
        """Of those that may be the largest, the widest counts."""
        x = ball([1.0, 3.0, 2.5, -9.0], [0.5, 0.125, 0.5, 5.0])
        assert (np.max(x).mid, np.max(x).rad) == (3, 0.5)
        assert np.max(ball([1.0, 3.0], [0.5, 0.125])).rad == 0.125
        assert is_definite(np.max(ball([1.0, nan])), nan)
        assert is_definite(np.max(ball([1.0, inf])), inf)
        for mid in (0.0, inf, nan):
            assert np.max(ball([1.0, mid], [0.0, inf])).unknown


class TestSigns:
    def test_absolute_values(self) -> None:
        x = abs(ball([-2.0, 1.0, -inf, nan, 0.5], [0.5, 2.0, 0.0, 0.0, inf]))
        assert np.array_equal(x.mid, [2, 1, inf, nan, 0.5], equal_nan=True)
        assert x.rad.tolist() == [0.5, 2, 0, 0, inf]
        assert x.nonnegative

    def test_negation(self) -> None:
        x = -ball([-2.0, 0.0], [0.5, 2.0], nonnegative=True)
        assert x.mid.tolist() == [2, 0]
        assert x.rad.tolist() == [0.5, 2]
        assert not x.nonnegative


COMPARISONS: list[Callable[[Any, Any], Any]] = [
    operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne
]  # fmt: skip
each_comparison = pytest.mark.parametrize("compare", COMPARISONS)


class TestComparisons:
    @each_comparison
    @given(balls, balls)
    def test_of_finite_balls(
        self,
        compare: Callable[[Any, Any], Any],
        x: tuple[float, float],
        y: tuple[float, float],
    ) -> None:
        """Certain if all pairs say the same; inside of a ball, ends and middles are enough."""
        pairs = itertools.product((*ends(*x), F(x[0])), (*ends(*y), F(y[0])))
        said = {compare(a, b) for a, b in pairs}
        overlap = ends(*x)[0] <= ends(*y)[1] and ends(*y)[0] <= ends(*x)[1]
        if overlap and (x[1] or y[1]) and compare in (operator.eq, operator.ne):
            said = {False, True}  # there is a common number, and another
        truth = compare(ball(*x), ball(*y))
        assert (truth.yes[0], truth.no[0]) == (said == {True}, said == {False})
        single = compare(number(*x), number(*y))
        if len(said) == 1:
            assert single is said.pop()
        else:
            with pytest.raises(TypeError, match="open"):
                bool(single)

    @each_comparison
    @pytest.mark.parametrize(
        ("x", "y"),
        list(itertools.product((0.0, 1.0, inf, -inf, nan), (0.0, 1.0, inf, -inf, nan))),
    )
    def test_of_exact_numbers(self, compare: Callable[[Any, Any], Any], x: float, y: float) -> None:
        expected = compare(x, y)
        assert compare(number(x), y) is expected
        assert compare(number(x), number(y)) is expected
        truth = compare(ball(x), ball(y))
        assert (truth.yes[0], truth.no[0]) == (expected, not expected)

    @each_comparison
    @pytest.mark.parametrize("mid", [0.0, inf, -inf, nan])
    @pytest.mark.parametrize("other", [0.0, inf, -inf])
    def test_of_the_unknown(
        self, compare: Callable[[Any, Any], Any], mid: float, other: float
    ) -> None:
        for x, y in ((ball(mid, inf), ball(other)), (ball(other), ball(mid, inf))):
            truth = compare(x, y)
            assert not truth.yes[0]
            assert not truth.no[0]

    def test_scalars_meet_arrays_as_their_kernel_sees_them(self) -> None:
        """0.1 is rounded in float32; half an ulp below is open, an ulp is not."""
        tenth = float(np.float32(0.1))
        below = ball([tenth - 2.0**-28, tenth - 2.0**-26])
        assert (below < 0.1).yes.tolist() == [False, True]
        assert (ball(0.5) == 0.5).yes[0]

    def test_arrays_and_open_comparisons_have_no_truth_value(self) -> None:
        for truth in (ball(1.0) < 2, number(1, 1) < 2):
            assert isinstance(truth, Truth)
            with pytest.raises(TypeError, match="array or an open"):
                bool(truth)

    def test_a_truth_is_for_where(self) -> None:
        with pytest.raises(TypeError):
            np.sum(ball(1.0) < 2)


OPEN = ball([1.0, 1.0, 1.0], [0.0, 0.0, 1.0]) < ball([2.0, 0.0, 1.5])
"""Yes, no, open."""


class TestWhere:
    def test_yes_no_and_open(self) -> None:
        x = where(OPEN, ball([1.0] * 3, 0.25), ball([2.0] * 3, 0.5))
        assert x.mid[:2].tolist() == [1, 2]
        assert x.rad.tolist() == [0.25, 0.5, inf]

    def test_plain_conditions(self) -> None:
        x = where(np.array([True, False]), ball([1.0, 2.0], 0.5), 7)
        assert x.mid.tolist() == [1, 7]
        assert x.rad.tolist() == [0.5, 0]

    def test_scalars_fill_the_array_they_are_asked_for(self) -> None:
        """Sum and radius show in which format they are computed with from then on."""
        x = where(OPEN, 0.1, 0.5)
        assert x.format is SINGLE
        assert x.rad[0] == SINGLE.u * Wide(0.1)
        assert x.rad[1] == 0
        assert x.unknown[2]

    def test_numbers_that_are_picked_stay_what_they_were(self) -> None:
        """A plain condition makes no Python number of a tensor: it goes on to round as a tensor."""
        tensor: Any = Enclosure.tensor(0.1)
        for condition in (True, tensor < 1, np.bool_(True)):
            picked = where(condition, tensor, 5)
            assert picked.format is TENSOR
            assert (picked.mid, picked.rad) == (tensor.mid, tensor.rad)
        wide = number(1, 1)
        assert where(wide < 1, tensor, 5).format is TENSOR
        assert where(wide < 1, tensor, 5).unknown
        assert where(False, number(1), 0.5).format is FLOAT64

    @pytest.mark.parametrize("x", [False, True])
    @pytest.mark.parametrize("y", [False, True])
    def test_signs(self, x: bool, y: bool) -> None:
        one, other = ball(1.0, 2.0, nonnegative=x), ball(1.0, 2.0, nonnegative=y)
        assert where([True], one, other).nonnegative == (x and y)

    def test_arrays_that_are_filled(self) -> None:
        x = ball([[1.0, 2.0], [nan, 3.0]], inf, "bfloat16")
        zeros, tenths = np.zeros_like(x), np.full_like(x, 0.1)
        assert is_definite(zeros, 0.0)
        assert zeros.format is tenths.format is x.format
        assert zeros.nonnegative
        assert tenths.nonnegative
        assert zeros.shape == tenths.shape == (2, 2)
        assert np.all(tenths.rad == x.format.u * Wide(0.1))
        assert is_definite(np.full_like(x, -2), -2.0)
        assert not np.full_like(x, -2).nonnegative
        single = number(3, 1, SINGLE)
        assert is_definite(np.zeros_like(single), 0.0)
        assert is_definite(np.full_like(single, 2), 2.0)


class TestSums:
    @each_dtype
    @pytest.mark.parametrize(
        ("axis", "keepdims"), [(0, False), (-1, True), (1, False), (None, False)]
    )
    def test_axes(self, dtype: str, axis: int | None, keepdims: bool) -> None:
        """n terms of 1 ± 1/8 with n - 1 roundings: each reaches u times all before it, at most."""
        x = ball(np.ones((2, 3)), 0.125, dtype)
        total = np.sum(x, axis=axis, keepdims=keepdims)
        assert total.shape == np.sum(np.ones((2, 3)), axis=axis, keepdims=keepdims).shape
        n = 6 if axis is None else x.shape[axis]
        assert np.all(total.mid == n)
        u = BINARY[dtype].u
        highest, done = F(9, 8), 1
        while done < n:
            highest, done = (highest + F(9, 8)) * (1 + u), done + 1
        nu = (n - 1) * u
        most = n * (F(1, 8) + F(9, 8) * nu / (1 - nu)) + 12 * n * EPS
        for rad in np.atleast_1d(total.rad).ravel():
            assert highest - n <= fraction(rad) <= most

    @each_dtype
    def test_of_one_or_of_zeros_nothing_is_rounded(self, dtype: str) -> None:
        assert np.sum(ball([0.1], 0.0, dtype)).rad <= 8 * float(WIDE_EPS)
        assert np.sum(ball([0.0] * 5, 0.0, dtype)).rad == 0

    def test_signs(self) -> None:
        assert np.sum(ball([1.0, 2.0], nonnegative=True)).nonnegative
        assert not np.sum(ball([1.0, 2.0])).nonnegative

    @pytest.mark.parametrize("value", [inf, nan, HUGE])
    def test_what_leaves_the_range_is_unknown_along_its_axis(self, value: float) -> None:
        total = np.sum(ball([[value, value], [1.0, 2.0]]), axis=1)
        assert total.unknown.tolist() == [True, False]

    def test_more_terms_than_a_format_can_count(self) -> None:
        """With nu >= 1 there is no bound: 300 terms of bfloat16."""
        assert np.sum(ball(np.ones(300), 0.0, "bfloat16")).unknown
        assert not np.sum(ball(np.ones(200), 0.0, "bfloat16")).unknown


class TestEither:
    @given(balls, balls)
    def test_the_hull(self, x: tuple[float, float], y: tuple[float, float]) -> None:
        hull = numerics.either(ball(*x), ball(*y))
        mid, rad = fraction(hull.mid[0]), fraction(hull.rad[0])
        assert mid == F(x[0])
        farthest = max(abs(end - mid) for end in (*ends(*x), *ends(*y)))
        assert farthest <= rad <= farthest * (1 + 9 * EPS)

    @pytest.mark.parametrize("value", [inf, -inf, nan])
    def test_what_is_not_finite(self, value: float) -> None:
        assert is_definite(numerics.either(ball(value), ball(value)), value)
        assert numerics.either(ball(value), ball(1.0)).unknown
        assert numerics.either(ball(1.0), ball(value)).unknown
        assert numerics.either(ball(inf), ball(-inf)).unknown
        assert numerics.either(ball(value), ball(value, inf)).unknown
        assert numerics.either(ball(value, inf), ball(1.0)).unknown

    def test_signs(self) -> None:
        square = ball(1.0, 2.0, nonnegative=True)
        assert numerics.either(square, square).nonnegative
        assert not numerics.either(square, ball(1.0)).nonnegative
        assert not numerics.either(ball(1.0), square).nonnegative


class TestScaledQuotients:
    @each_dtype
    @pytest.mark.parametrize("scale", [0.5, 0.1, -3.7])
    def test_both_orders(self, dtype: str, scale: float) -> None:
        """Exact operands: the scale enters, and two roundings of which either may come first."""
        u = BINARY[dtype].u
        enters = F(0) if dtype == "float64" or scale == 0.5 else u
        x, d = F(3, 4), F(5, 8)
        result = scaled(scale, ball(0.75, 0.0, dtype), ball(0.625, 0.0, dtype))
        sides = itertools.product((-1, 1), repeat=3)
        values = [
            F(scale) * x / d * (1 + a * enters) * (1 + b * u) * (1 + c * u) for a, b, c in sides
        ]
        tiny = BINARY[dtype].tiny / (u * abs(F(scale)))
        assert reached(result, values) >= 1 - 4 * u - 32 * EPS / u - tiny

    @each_dtype
    def test_a_product_that_underflows_is_divided(self, dtype: str) -> None:
        """2.5 times the smallest number, made 2 or 3, over a divisor that makes it large again."""
        tiny = float(BINARY[dtype].tiny)
        numerator, divisor = ball(25 * tiny, 0.0, dtype), ball(64 * tiny, 0.0, dtype)
        result = scaled(0.1, numerator, divisor)
        for n in (2, 3):
            assert admits(result.mid[0], result.rad[0], F(n, 64))
        assert result.rad[0] <= Wide(0.5) / 64 * (1 + 40 * FORMATS[dtype].u) + 5 * FORMATS[dtype].u

    def test_a_product_or_a_quotient_that_overflows(self) -> None:
        x, d = ball([HUGE, 1.0]), ball([HUGE, 1.0])
        assert scaled(4, x, d).unknown.tolist() == [True, False]
        assert scaled(0.125, ball([HUGE, 1.0]), ball(0.25)).unknown.tolist() == [True, False]

    def test_what_is_not_finite(self) -> None:
        x = scaled(-1, ball([inf, nan, 0.0, 1.0, 1.0]), ball([2.0, 1.0, 0.0, inf, 0.0]))
        assert is_definite(x, nan) is False
        assert np.array_equal(x.mid, [-inf, nan, nan, 0, -inf], equal_nan=True)
        assert not x.rad.any()
        vanishing = scaled(2.0**-8, ball(float(BINARY["float32"].tiny)), ball(0.0))
        assert vanishing.unknown  # 0/0 if the product comes first
        assert scaled(2, ball(1.0), ball(1.0, 1.0)).unknown
        assert scaled(2, ball(1.0, inf), ball(1.0)).unknown

    def test_signs(self) -> None:
        square = ball(1.0, 2.0, nonnegative=True)
        assert scaled(2, square, square + 1).nonnegative
        assert not scaled(-2, square, square + 1).nonnegative


class TestMeans:
    def test_a_stored_sum_of_float16_may_overflow_or_not(self) -> None:
        """CPU kernels store the sum before they divide it, others do not: 40000 or infinity."""
        mean = numerics.mean(ball([[40000.0, 1.0], [40000.0, 2.0]], 0.0, "float16"), 0)
        assert mean.unknown.tolist() == [[True, False]]

    def test_an_infinity_among_the_terms_is_definite(self) -> None:
        mean = numerics.mean(ball([[inf, nan, inf], [1.0, 2.0, nan]], 0.0, "float16"), 0)
        assert np.array_equal(mean.mid, [[inf, nan, nan]], equal_nan=True)
        assert not mean.rad.any()

    @pytest.mark.parametrize("mid", [1.0, inf, nan])
    def test_unknown_terms(self, mid: float) -> None:
        x = ball([mid, 1.0], [inf, 0.0])
        assert numerics.mean(x, 0).unknown
        assert numerics.norm(x).unknown
        assert numerics.norm(ball([mid, nan], [inf, 0.0])).rad == 0

    def test_balls(self) -> None:
        """Ends of a norm and of a mean: (3, 4) ± 1/4 each, √(25 ± 29/8) by the squares' radii."""
        x = ball([3.0, 4.0], 0.25, "float64")
        for sides in itertools.product((-1, 0, 1), repeat=2):
            a, b = F(3) + F(sides[0], 4), F(4) + F(sides[1], 4)
            assert admits(numerics.norm(x).mid, numerics.norm(x).rad, root(a * a + b * b))
            assert admits(numerics.mean(x, 0).mid[0], numerics.mean(x, 0).rad[0], (a + b) / 2)
        rounded = 1 + 8 * 2.0**-53  # fewer than eight times
        assert numerics.norm(x).rad < 5 * rounded - math.sqrt(25 - 29 / 8)
        assert numerics.mean(x, 0).rad < 1 / 4 + 3.5 * (rounded - 1)


class TestReciprocalRoots:
    def test_beyond_the_finite_range(self) -> None:
        x = numerics.rsqrt(ball([0.0, inf, nan, -1.0]))
        assert np.array_equal(x.mid, [inf, 0, nan, nan], equal_nan=True)
        assert not x.rad.any()
        assert numerics.rsqrt(ball([1.0, 1.0], [1.0, inf], nonnegative=True)).unknown.all()
        assert numerics.rsqrt(ball(1.0, 1.5)).unknown
        assert numerics.rsqrt(ball(1.0)).nonnegative

    @each_dtype
    def test_ends(self, dtype: str) -> None:
        x = numerics.rsqrt(ball(4.0, 1.0, dtype))
        for end in (3, 4, 5):
            assert admits(x.mid[0], x.rad[0], 1 / root(F(end)))


class TestLarger:
    def test_unknown(self) -> None:
        for mid in (0.0, inf, nan):
            assert numerics.larger(1, number(mid, inf)).unknown

    def test_nan_gives_the_floor_as_it_is(self) -> None:
        floor = number(0.5, 0.25)
        x = numerics.larger(floor, number(nan))
        assert (x.mid, x.rad) == (0.5, 0.25)

    def test_balls(self) -> None:
        x = number(1.0, 0.5)
        assert (numerics.larger(0.25, x).mid, numerics.larger(0.25, x).rad) == (1, 0.5)
        assert (numerics.larger(1.25, x).mid, numerics.larger(1.25, x).rad) == (1.25, 0.5)
        assert is_definite(numerics.larger(2, x), 2.0)
