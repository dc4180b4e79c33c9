"""Averages by their text: as weighted sums, worked by hand, and told from their variants."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles.harness.cases.averaging import Pull
from oracles.loop.averaging import OF_EQUAL, OF_EXPONENTIAL, PARTS
from oracles.loop.part import Variant
from tests.support.many_bits import BITS, same

F = Fraction
fewer = settings(max_examples=settings().max_examples // 4)
"""Identities of polynomials: what holds for a few numbers holds."""

EQUAL = {variant.name: variant for variant in OF_EQUAL}
EXPONENTIAL = {variant.name: variant for variant in OF_EXPONENTIAL}

points = st.lists(st.fractions(-9, 9, max_denominator=9), min_size=3, max_size=7)
decays = st.fractions(0, F(99, 100), max_denominator=100)


def numbers(*values: Any) -> list[Any]:
    """Numbers as arrays of objects, since rules compute on arrays."""
    return [np.array([F(value)], dtype=object) for value in values]


def averages(variant: Variant, values: list[Fraction], beta: Fraction) -> list[Fraction]:
    return [a[0] for a in variant.compute(numbers(*values), beta)]


def weighted(weights: list[Fraction], values: list[Fraction]) -> Fraction:
    return sum((w * v for w, v in zip(weights, values, strict=True)), F(0))


class TestWeights:
    """The same averages as sums over all models: what each of them weighs."""

    @fewer
    @given(points)
    def test_equal(self, values: list[Fraction]) -> None:
        found = averages(EQUAL["equal"], values, F(0))
        assert found == [F(sum(values[1 : k + 1]), k) for k in range(1, len(values))]

    @fewer
    @given(points)
    def test_start_counted(self, values: list[Fraction]) -> None:
        found = averages(EQUAL["start_counted"], values, F(0))
        assert found == [F(sum(values[: k + 1]), k + 1) for k in range(1, len(values))]

    @fewer
    @given(points)
    def test_first_twice(self, values: list[Fraction]) -> None:
        found = averages(EQUAL["first_twice"], values, F(0))
        sums = [values[1] + sum(values[1 : k + 1]) for k in range(1, len(values))]
        assert found == [F(s, k + 1) for k, s in enumerate(sums, start=1)]

    @fewer
    @given(points)
    def test_first_forgotten(self, values: list[Fraction]) -> None:
        found = averages(EQUAL["first_forgotten"], values, F(0))
        assert found[1:] == [F(sum(values[2 : k + 1]), k - 1) for k in range(2, len(values))]

    @fewer
    @given(points)
    def test_polynomial(self, values: list[Fraction]) -> None:
        """wⱼ weighs (j+2)(j+1)j, that is η + 1 = 4 times the third power of j at large j."""
        found = averages(EQUAL["polynomial"], values, F(0))
        for k, average in enumerate(found, start=1):
            raw = [F((j + 2) * (j + 1) * j) for j in range(1, k + 1)]
            assert average == weighted([r / sum(raw) for r in raw], values[1 : k + 1])

    @fewer
    @given(points)
    def test_before_the_step(self, values: list[Fraction]) -> None:
        found = averages(EQUAL["before_the_step"], values, F(0))
        assert found == [F(sum(values[:k]), k) for k in range(1, len(values))]

    @fewer
    @given(points, decays)
    def test_exponential(self, values: list[Fraction], beta: Fraction) -> None:
        """The first model keeps what the others leave of 1."""
        found = averages(EXPONENTIAL["exponential"], values, beta)
        for k, average in enumerate(found, start=1):
            later = [(1 - beta) * beta ** (k - j) for j in range(2, k + 1)]
            assert average == weighted([beta ** (k - 1), *later], values[1 : k + 1])

    @fewer
    @given(points, decays)
    def test_from_the_copy(self, values: list[Fraction], beta: Fraction) -> None:
        found = averages(EXPONENTIAL["from_the_copy"], values, beta)
        for k, average in enumerate(found, start=1):
            later = [(1 - beta) * beta ** (k - j) for j in range(1, k + 1)]
            assert average == weighted([beta**k, *later], values[: k + 1])

    @fewer
    @given(points, decays)
    def test_debiased(self, values: list[Fraction], beta: Fraction) -> None:
        """Powers of β, divided by their sum."""
        found = averages(EXPONENTIAL["debiased"], values, beta)
        for k, average in enumerate(found, start=1):
            raw = [beta ** (k - j) for j in range(1, k + 1)]
            assert average == weighted([r / sum(raw) for r in raw], values[1 : k + 1])


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        (EQUAL["equal"], [3, 5, 6]),
        (EQUAL["halved"], [3, 5, F(13, 2)]),
        (EQUAL["latest"], [3, 7, 8]),
        (EXPONENTIAL["exponential"], [3, 4, 5]),
        (EXPONENTIAL["from_zero"], [F(3, 4), F(37, 16), F(239, 64)]),
        (EXPONENTIAL["swapped"], [3, 6, F(15, 2)]),
        (EXPONENTIAL["before_the_step"], [1, F(3, 2), F(23, 8)]),
        (EXPONENTIAL["warmed_up"], [F(29, 11), F(65, 11), F(1052, 143)]),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_worked_by_hand(variant: Variant, expected: list[Any]) -> None:
    """From 1 by 3, 7 and 8, with a decay of 3/4; one that warms up has 2/11, 3/12 and 4/13."""
    assert averages(variant, [F(1), F(3), F(7), F(8)], F(3, 4)) == expected


@fewer
@given(decays.filter(bool), st.integers(2, 40))
def test_a_constant_model_is_its_own_average(beta: Fraction, updates: int) -> None:
    for part in PARTS:
        values = [F(5)] + [F(7, 3)] * updates
        assert averages(part.torch, values, beta) == [F(7, 3)] * updates


@fewer
@given(st.floats(0.01, 0.99), st.integers(1, 60))
def test_a_decay_in_many_bits(beta: float, updates: int) -> None:
    """A model that jumps from 1 to 0: the average is βⁿ."""
    with mpmath.workprec(BITS):
        number = mpmath.mpf(beta)
        values = [np.array([mpmath.mpf(v)]) for v in (9, 1, *([0] * updates))]
        found = EXPONENTIAL["exponential"].compute(values, number)
        assert same(found[-1][0], number**updates, size=1)


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_variants_differ(part: Any) -> None:
    values, beta = [F(1), F(3), F(7), F(8), F(-2)], F(3, 4)
    own = averages(part.torch, values, beta)
    for variant in part.variants[1:]:
        assert averages(variant, values, beta) != own, variant.name


@pytest.mark.parametrize("stays", [3, 30, 300])
@pytest.mark.parametrize("beta", [F(1, 2), F(9, 10), F(999, 1000)])
def test_a_pull_goes_a_quarter_of_the_way(stays: int, beta: Fraction) -> None:
    """And one update less does not."""
    pull = Pull(stays, float(beta))
    for variant, first, times, one_less in (
        (EQUAL["equal"], stays, pull.pulls(True), pull.pulls(True) - 1),
        (EXPONENTIAL["exponential"], 1, pull.pulls(False), pull.pulls(False) - 1),
    ):
        for count, reached in ((times, True), (one_less, False)):
            values = [F(1)] * (first + 1) + [F(2)] * count
            assert (averages(variant, values, beta)[-1] >= F(5, 4)) == reached
