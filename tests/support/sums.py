"""Sums that closed forms are made of."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction


def geometric(ratio: Fraction, terms: int) -> Fraction:
    """1 + ratio + ... + ratio^(terms-1)."""
    return Fraction(terms) if ratio == 1 else (1 - ratio**terms) / (1 - ratio)


def averaged(values: Sequence[Fraction], beta: Fraction) -> Fraction:
    """(1−β) Σ β^(T−t) values[t], from zero: the last has the weight 1−β."""
    ages = range(len(values) - 1, -1, -1)
    terms = (beta**age * value for age, value in zip(ages, values, strict=True))
    return (1 - beta) * sum(terms, Fraction(0))
