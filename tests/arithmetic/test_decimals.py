"""Number types in which documents are computed, held against rationals."""

from __future__ import annotations

from decimal import localcontext
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracles.harness.arithmetic.decimals import DIGITS, PRECISE, Precise, Real


@given(st.floats(0, 4), st.integers(0, 12))
def test_powers_of_reals_are_rounded_correctly(base: float, exponent: int) -> None:
    power = Real(base) ** exponent
    assert (type(power), power) == (Real, float(Fraction(base) ** exponent))
    assert base ** Real(exponent) == power


@pytest.mark.parametrize(
    ("base", "exponent", "root"), [(2, 0.5, 2), (7, 0.25, 4), (Fraction(24, 25), -0.5, 2)]
)
def test_roots_of_reals_are_rounded_correctly(base: Any, exponent: float, root: int) -> None:
    """The root lies between the middles on both sides of the float that stands for it."""
    power = base ** Real(exponent)
    exact = Fraction(float(base)) if exponent > 0 else 1 / Fraction(float(base))
    below, above = (Fraction(power) + Fraction(float(np.nextafter(power, to))) for to in (0, 9))
    assert (below / 2) ** root < exact < (above / 2) ** root


def test_reals_stay_reals() -> None:
    """Or powers further on would be the C library's."""
    x = Real(0.7)
    results = [
        1 - x,
        x - 1,
        2 * x,
        x * 2,
        1 + x,
        x + 1,
        x / 3,
        3 / x,
        -x,
        abs(x),
        x * np.float64(2),
    ]
    assert {type(result) for result in results} == {Real}
    assert (x * np.ones(2)).dtype == (np.ones(2) * x).dtype == np.float64


def test_floats_and_fractions_join_precise_numbers_exactly() -> None:
    x: Any = Precise(3)
    with localcontext(PRECISE):
        for total in (x / 8 + 0.1 - Fraction(1, 4), Fraction(1, 8) + (0.1 + 0 * x)):
            assert (type(total), Fraction(total)) == (Precise, Fraction(1, 8) + Fraction(0.1))
        assert 2.0 / x * Fraction(3, 2) == 1
        assert np.isnan(float(x / 0 * 0))


def test_precise_numbers_have_their_digits() -> None:
    x: Any = np.array([Precise(2), Precise(3)])
    with localcontext(PRECISE):
        for root, square in zip(np.sqrt(x), (2, 3), strict=True):
            assert type(root) is Precise
            assert abs(Fraction(root) ** 2 - square) < square * Fraction(10) ** (1 - DIGITS)
            assert abs(Fraction(square ** Precise("0.5")) - Fraction(root)) < Fraction(10) ** -77


@pytest.mark.parametrize("kind", [Real, Precise])
def test_a_power_of_nothing_is_one(kind: type) -> None:
    assert kind(0) ** 0 == 0.0 ** kind(0) == kind(0) ** kind(0) == 1
