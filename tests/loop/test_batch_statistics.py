"""Statistics of batch normalization by their text: worked by hand, and told from variants."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles.loop.batch_statistics import PART, Statistics

F = Fraction
fewer = settings(max_examples=settings().max_examples // 4)
"""Identities of polynomials: what holds for a few numbers holds."""

rows = st.lists(st.fractions(-9, 9, max_denominator=6), min_size=2, max_size=5)
batches = st.lists(rows, min_size=1, max_size=4)


def column(*values: Any) -> Any:
    return np.array([[F(v)] for v in values], dtype=object)


def taken(name: str, data: list[Any]) -> tuple[Any, ...]:
    """With a momentum of 1/4, from a mean of 5 and a variance of 3 that are of one batch."""
    before = Statistics(np.array([F(5)], dtype=object), np.array([F(3)], dtype=object), 1)
    mean, var, *_ = PART.variant(name).compute(data, before, F(1, 4))
    return mean[0], var[0]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("batches_alike", (F(9, 2), F(11, 2))),
        ("rows_alike", (F(24, 5), F(5))),
        ("all_rows", (F(24, 5), F(31, 5))),
        ("momentum_kept", (F(33, 16), F(45, 16))),
        ("not_reset", (F(14, 3), F(14, 3))),
        ("biased", (F(9, 2), F(3))),
    ],
)
def test_worked_by_hand(name: str, expected: tuple[Any, Any]) -> None:
    """Of 1 and 5 (mean 3, variance 8) and of 4, 7 and 7 (mean 6, variance 3)."""
    assert taken(name, [column(1, 5), column(4, 7, 7)]) == expected


@pytest.mark.parametrize("spoilt", [np.nan, np.inf])
def test_what_is_not_finite_is_gone_with_what_was(spoilt: float) -> None:
    before = Statistics(np.array([spoilt]), np.array([spoilt]))
    mean, var, _ = PART.torch.compute([np.array([[1.0], [5.0]])], before, 0.1)
    assert (mean.tolist(), var.tolist()) == ([3.0], [8.0])


@fewer
@given(batches)
def test_means_of_means_and_of_variances(data: list[list[Fraction]]) -> None:
    means = [sum(b) / F(len(b)) for b in data]
    squares = [
        sum((x - m) ** 2 for x in b) / F(len(b) - 1) for b, m in zip(data, means, strict=True)
    ]
    expected = tuple(sum(values) / F(len(data)) for values in (means, squares))
    assert taken("batches_alike", [column(*b) for b in data]) == expected


@fewer
@given(batches)
def test_the_variance_of_all_rows_has_two_parts(data: list[list[Fraction]]) -> None:
    """Those within batches, and how far their means lie apart: (M−1)v = Σ(mⱼ−1)vⱼ + Σmⱼ(μⱼ−μ)²."""
    mean, var = taken("all_rows", [column(*b) for b in data])
    assert mean == taken("rows_alike", [column(*b) for b in data])[0]
    parts = [taken("batches_alike", [column(*b)]) for b in data]
    within = sum((len(b) - 1) * v for b, (_, v) in zip(data, parts, strict=True))
    between = sum(len(b) * (m - mean) ** 2 for b, (m, _) in zip(data, parts, strict=True))
    assert (sum(map(len, data)) - 1) * var == within + between


@fewer
@given(batches.filter(lambda data: len(data) > 1))
def test_batches_of_one_size_have_one_mean(data: list[list[Fraction]]) -> None:
    cut = [column(*b[:2]) for b in data]
    assert len({taken(name, cut)[0] for name in ("batches_alike", "rows_alike", "all_rows")}) == 1
