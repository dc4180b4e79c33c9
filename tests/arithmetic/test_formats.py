"""Rounding to a format, against rounding of rationals and against hardware and libraries."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oracles.harness.arithmetic.formats import DTYPES, FORMATS, mixed, round_each, round_to
from tests.support.witness import BINARY, Binary, nearest, quantum, rational

torch = pytest.importorskip("torch")


@st.composite
def floats_near(draw: st.DrawFn, to: Binary) -> float:
    """Float64 values on, beside and half-way between the values of a format, of any binade."""
    lowest, highest = 1 - to.emax - to.precision - 2, to.emax + 1
    scale = Fraction(2) ** (draw(st.integers(lowest, highest)) - to.precision)
    n = draw(st.integers(2**to.precision, 2 ** (to.precision + 1)))  # half units: odd ones tie
    beside = draw(st.sampled_from((0, 1, -1, 2, -2)))
    x = float(min(n * scale, Fraction(np.finfo(np.float64).max)))
    for _ in range(abs(beside)):
        x = math.nextafter(x, math.copysign(math.inf, beside))
    return draw(st.sampled_from((x, -x)))


EVERY = st.sampled_from(DTYPES).flatmap(
    lambda d: st.tuples(st.just(d), st.one_of(floats_near(BINARY[d]), st.floats(allow_nan=False)))
)


@given(EVERY)
@example(("bfloat16", float.fromhex("0x1.ffp+127")))  # the tie between largest and infinity
@example(("bfloat16", float.fromhex("0x1.fefffffffffffp+127")))
@example(("float16", 65520.0))
@example(("float16", 65519.99999999999))
@example(("bfloat16", 2.0**-134))  # half the smallest subnormal ties to zero
@example(("bfloat16", 3 * 2.0**-134))
@example(("bfloat16", 2.0**-134 * (1 + 2.0**-52)))
def test_rounding_agrees_with_rounding_of_rationals(drawn: tuple[str, float]) -> None:
    dtype, x = drawn
    exact = rational(x)
    expected = nearest(exact, BINARY[dtype]) if isinstance(exact, Fraction) else exact
    assert rational(round_to(dtype, x)[()]) == expected


@given(EVERY)
def test_rounding_keeps_the_sign_and_is_odd(drawn: tuple[str, float]) -> None:
    dtype, x = drawn
    rounded = float(round_to(dtype, x))
    assert math.copysign(1, rounded) == math.copysign(1, x)
    assert float(round_to(dtype, -x)) == -rounded


@given(EVERY, st.floats(allow_nan=False))
def test_rounding_is_monotone_and_idempotent(drawn: tuple[str, float], y: float) -> None:
    dtype, x = drawn
    low, high = (round_to(dtype, v) for v in sorted((x, y)))
    assert low <= high
    assert round_to(dtype, low) == low


@given(EVERY)
def test_one_rounding_errs_by_no_more_than_u_and_eta(drawn: tuple[str, float]) -> None:
    """|fl(v) - v| <= max(u|v|, eta): the two constants enclosures are built on."""
    dtype, x = drawn
    to = FORMATS[dtype]
    rounded = rational(round_to(dtype, x)[()])
    exact = rational(x)
    if isinstance(rounded, Fraction) and isinstance(exact, Fraction):
        u, eta = rational(to.u), rational(to.eta)
        assert abs(rounded - exact) <= max(u * abs(exact), eta)


@pytest.mark.parametrize("dtype", DTYPES)
def test_u_and_eta_are_the_least_such_numbers(dtype: str) -> None:
    """A tie above 1 errs by u·v/(1+u), and the tie above 0 by exactly eta."""
    to = BINARY[dtype]
    u, eta = (rational(getattr(FORMATS[dtype], name)) for name in ("u", "eta"))
    assert isinstance(u, Fraction)
    assert isinstance(eta, Fraction)
    tie = 1 + quantum(Fraction(1), to) / 2
    rounded = nearest(tie, to)
    assert isinstance(rounded, Fraction)
    assert tie - rounded == u * tie / (1 + u)
    assert eta == to.tiny / 2
    assert nearest(eta, to) == 0


@pytest.mark.parametrize("dtype", DTYPES)
def test_constants_agree_with_torch(dtype: str) -> None:
    info = torch.finfo(getattr(torch, dtype))
    assert FORMATS[dtype].largest == info.max
    assert 2 * FORMATS[dtype].u == info.eps
    assert 2 * rational(FORMATS[dtype].eta) == rational(info.smallest_normal) * rational(info.eps)
    assert FORMATS[dtype].scalar_u == (0 if dtype == "float64" else FORMATS[dtype].u)


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_a_sum_overflows_from_the_stated_magnitude_on(dtype: str) -> None:
    """Kernels may compute bfloat16 in float32, whose range ends a little later."""
    widest = BINARY["float32" if dtype == "bfloat16" else dtype]
    threshold = rational(FORMATS[dtype].overflow)
    assert isinstance(threshold, Fraction)
    assert nearest(threshold, widest) == math.inf  # the tie goes to the even side, 2^(emax+1)
    assert nearest(threshold - widest.largest * widest.u**2, widest) == widest.largest


def test_no_sum_of_half_precision_values_is_certain_to_overflow() -> None:
    """In float32, where a kernel may hold it, the sum of two float16 values is finite."""
    assert np.isinf(FORMATS["float16"].overflow)
    doubled = nearest(2 * BINARY["float16"].largest, BINARY["float32"])
    assert doubled == 2 * BINARY["float16"].largest


def test_mixed_takes_each_element_constants_from_its_own_dtype() -> None:
    indices = np.array([[3, 0], [2, 1]])
    many = mixed(indices)
    for index in np.ndindex(indices.shape):
        one = FORMATS[DTYPES[indices[index]]]
        for field in ("u", "eta", "scalar_u", "largest", "overflow"):
            assert getattr(many, field)[index] == getattr(one, field)


def test_round_each_stacks_the_dtypes_in_their_order() -> None:
    values = np.array([[1 / 3, 1e5], [-1e-6, 0.0]])
    stacked = round_each(values)
    assert stacked.shape == (len(DTYPES), 2, 2)
    for row, dtype in zip(stacked, DTYPES, strict=True):
        assert np.array_equal(row, round_to(dtype, values))


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_not_finite_passes_through(dtype: str) -> None:
    values = np.array([math.inf, -math.inf, math.nan, -0.0])
    rounded = round_to(dtype, values)
    assert np.array_equal(rounded, values, equal_nan=True)
    assert math.copysign(1, rounded[3]) == -1


def test_an_unknown_dtype_is_named_with_those_allowed() -> None:
    with pytest.raises(ValueError, match=r"dtype='float8'.*float64, float32, bfloat16, float16"):
        round_to("float8", 1.0)


class TestWitness:
    """The rounding of rationals, against hardware and libraries that share nothing with it."""

    @given(st.floats(allow_nan=False, allow_infinity=False), st.integers(1, 10**30))
    def test_float64(self, x: float, divisor: int) -> None:
        """Python divides integers with one correct rounding."""
        exact = Fraction(x) / divisor
        assert nearest(exact, BINARY["float64"]) == float(exact)

    @pytest.mark.parametrize("dtype", ["float32", "float16"])
    @given(data=st.data())
    def test_numpy_casts(self, dtype: str, data: st.DataObject) -> None:
        x = data.draw(floats_near(BINARY[dtype]))
        with np.errstate(over="ignore"):
            cast = np.float64(x).astype(dtype)
        assert nearest(Fraction(x), BINARY[dtype]) == rational(cast)

    @given(st.one_of(floats_near(BINARY["bfloat16"]), st.floats(width=32, allow_nan=False)))
    def test_torch_cast_to_bfloat16(self, x: float) -> None:
        """From float32: torch casts float64 by way of it, hence rounds twice."""
        with np.errstate(over="ignore"):
            single = float(np.float32(x))
        if math.isfinite(single):
            cast = torch.tensor(single, dtype=torch.float32).to(torch.bfloat16)
            assert nearest(Fraction(single), BINARY["bfloat16"]) == rational(cast.item())
