"""Clipping by its text: worked by hand, in many bits, and told from its variants."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles.loop.clipped_step import STEP, Hyper
from oracles.loop.clipping import EPSILON, GIVEN, NORM, TOTAL, VALUE, clamped, factor, total_norm
from tests.support.many_bits import BITS, SPARE

F = Fraction
inf = math.inf
fewer = settings(max_examples=settings().max_examples // 4)
NONE = F(0)
"""An ε that leaves numbers simple."""


def fractions(*values: Any) -> Any:
    return np.array([F(v) for v in values], dtype=object)


G = [fractions(3, 0), fractions(-4)]
"""Lengths: 5, and 3 and 4 of each tensor."""


def clipped(name: str, gradients: list[Any], limit: Any, order: float = 1) -> tuple[Any, list[Any]]:
    total, found = NORM.variant(name).compute(gradients, F(limit), order, NONE)
    return total, [list(g) for g in found]


@pytest.mark.parametrize(
    ("order", "expected"), [(1, 7), (inf, 4), (-inf, 0), (0, 2)], ids=["1", "inf", "-inf", "0"]
)
def test_lengths(order: float, expected: int) -> None:
    """Of all elements together, however they are cut into tensors."""
    assert total_norm(G, order) == expected
    assert total_norm([fractions(3, 0, -4), np.zeros((2, 0))], order) == expected


def test_nothing_has_no_length() -> None:
    assert total_norm([], 2) == total_norm([np.zeros(0)], inf) == 0


@pytest.mark.parametrize("order", [0.5, 1, 2, 3, 7.5])
@fewer
@given(st.lists(st.lists(st.floats(-50, 50, width=16), min_size=1, max_size=4), min_size=1))
def test_a_length_in_many_bits(order: float, drawn: list[list[float]]) -> None:
    """Norms of norms are the norm of all, ``exp(ln(Σ exp(p ln|x|))/p)``."""
    with mpmath.workprec(BITS):
        p = mpmath.mpf(order)
        found = total_norm([np.array([mpmath.mpf(v) for v in own]) for own in drawn], p)
        flat = [mpmath.mpf(abs(v)) for own in drawn for v in own if v]
        total = mpmath.fsum(mpmath.exp(p * mpmath.log(v)) for v in flat)
        expected = mpmath.exp(mpmath.log(total) / p) if flat else mpmath.mpf(0)
        assert abs(found - expected) <= mpmath.ldexp(max(expected, 1), 2 * SPARE - BITS)


@pytest.mark.parametrize(
    ("name", "limit", "total", "left"),
    [
        ("global_norm", 14, 7, [[3, 0], [-4]]),
        ("global_norm", F(7, 2), 7, [[F(3, 2), 0], [-2]]),
        ("no_epsilon", F(7, 2), 7, [[F(3, 2), 0], [-2]]),
        ("each_tensor", 2, 7, [[2, 0], [-2]]),
        ("each_tensor", F(7, 2), 7, [[3, 0], [F(-7, 2)]]),
        ("always_scaled", 14, 7, [[6, 0], [-8]]),
        ("by_value", F(7, 2), 7, [[3, 0], [F(-7, 2)]]),
        ("squared", 7, 49, [[F(3, 7), 0], [F(-4, 7)]]),
        ("largest_norm", 2, 4, [[F(3, 2), 0], [-2]]),
    ],
)
def test_worked_by_hand(name: str, limit: Any, total: Any, left: list[Any]) -> None:
    """With p = 1 and without ε."""
    assert clipped(name, G, limit) == (total, left)


def test_the_sum_of_lengths_is_the_length_for_p_1() -> None:
    assert clipped("sum_of_norms", G, 1) == clipped("global_norm", G, 1)
    assert clipped("sum_of_norms", G, 1, inf)[0] == 7


def test_epsilon_leaves_a_gradient_shorter_than_it_may_be() -> None:
    total, (left,) = NORM.torch.compute([fractions(8)], F(2), 1, F(1, 4))
    assert (total, list(left)) == (8, [F(8) * F(2) / (F(8) + F(1, 4))])
    assert EPSILON == 1e-6


@fewer
@given(st.fractions(0, 50), st.fractions(F(1, 9), 50), st.fractions(F(1, 99), 1))
def test_a_factor_never_makes_longer(norm: F, limit: F, epsilon: F) -> None:
    c = factor(norm, limit, epsilon)
    assert 0 < c <= 1
    assert c * norm <= limit
    assert (c == 1) == (norm + epsilon <= limit)


@pytest.mark.parametrize("norm", [inf, math.nan])
def test_a_length_that_is_no_number(norm: float) -> None:
    """Nothing is left of finite gradients, or everything is nan."""
    (left,) = GIVEN.torch.compute([np.array([1.0, -2.0])], np.float64(norm), 1.0, EPSILON)
    assert np.array_equal(left, [0, 0] if norm == inf else [math.nan] * 2, equal_nan=True)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("both_sides", [2, F(-1, 2), -2]),
        ("upper_only", [2, F(-1, 2), -7]),
        ("zeroed", [0, F(-1, 2), 0]),
        ("whole_tensor", [F(6, 7), F(-1, 7), -2]),
    ],
)
def test_values_worked_by_hand(name: str, expected: list[Any]) -> None:
    (left,) = VALUE.variant(name).compute([fractions(3, F(-1, 2), -7)], F(2))
    assert list(left) == expected


def test_a_nan_is_not_clipped() -> None:
    (left,) = clamped([np.array([math.nan, inf, -inf])], 2.0)
    assert np.array_equal(left, [math.nan, 2, -2], equal_nan=True)


@pytest.mark.parametrize("variant", TOTAL.variants, ids=lambda variant: variant.name)
def test_lengths_of_variants(variant: Any) -> None:
    """Of (3, 0) and (−4), with p = 2: 5, or what is taken for it."""
    expected = {"squared": 25, "sum_of_norms": 7, "largest_norm": 4, "mean_square": 5 / 3**0.5}
    found = variant.compute([np.array([3.0, 0.0]), np.array([-4.0])], 2)
    assert found == pytest.approx(expected.get(variant.name, 5), rel=1e-15)


def test_a_variant_that_is_misspelled_is_answered_with_the_one_that_was_meant() -> None:
    with pytest.raises(ValueError, match=r"\(did you mean 'no_epsilon'\?\); allowed: global_norm"):
        NORM.variant("no-epsilon")


WINDOWS = [[[fractions(6)], [fractions(10)]], [[fractions(-1)], [fractions(3)]]]
HYPER = Hyper(F(1, 2), F(1, 2), F(1, 4), F(4), F(2))


@pytest.fixture
def exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lengths that are sums of magnitudes, and no ε: fractions stay fractions."""
    monkeypatch.setattr("oracles.loop.clipping.EPSILON", F(0))
    monkeypatch.setattr("oracles.loop.clipping.ORDER", 1)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # At first g is 8, and 4 of it, so d = 4 + 2 and w = 8 − 3; then g is 1, d = 1 + 5/4.
        ("gradient_clipped", [5, F(19, 8)]),
        # At first d is 10, and 4 of it, so w = 8 − 2; then d = 1 + 6/4 and b = 2 + 5/2.
        ("decay_clipped", [6, F(15, 4)]),
        # At first b is 4, so w = 8 − 2; then b is 2 + 5/2, and 4 of it.
        ("velocity_clipped", [6, 4]),
        # At first b is 10, which moves 5, and 4 of it; then b = 5 + 1 + 1, which moves 7/2.
        ("update_clipped", [4, F(1, 2)]),
        # At first 2g is 16, and 4 of it, so g is 2, d = 2 + 2 and w = 8 − 2; then b = 2 + 5/2.
        ("still_scaled", [6, F(15, 4)]),
        # At first 6/2, then 3 + 10/2, and 4 of it: here the same.
        ("each_micro_batch", [5, F(19, 8)]),
        ("values_first", [5, F(19, 8)]),
        # At first d is 10, so w = 8 − 5; then b = 5 + 1 + 3/4.
        ("not_clipped", [3, F(-3, 8)]),
    ],
)
@pytest.mark.usefixtures("exactly")
def test_steps_worked_by_hand(name: str, expected: list[Any]) -> None:
    """Of one weight, from 8; γ = μ = 1/2, λ = 1/4, M = 4, a scale of 2, and no ε."""
    found = STEP.variant(name).compute([fractions(8)], WINDOWS, HYPER)
    assert [w[0] for (w,) in found] == expected


@pytest.mark.parametrize("name", ["each_micro_batch", "values_first"])
@pytest.mark.usefixtures("exactly")
def test_variants_of_two_elements_differ(name: str) -> None:
    """Micro-batches that cancel, and elements of which one alone is too large."""
    windows = [[[fractions(8, 1)], [fractions(-8, 1)]], [[fractions(6, 1)]]]
    own, other = (
        STEP.variant(variant).compute([fractions(0, 0)], windows, HYPER)
        for variant in (STEP.torch.name, name)
    )
    assert [list(w) for (w,) in own] != [list(w) for (w,) in other]
