"""Numbers as people write them."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

ROUGHLY = 1e-5
"""A share of the largest rate, within which a guess is worth being held against a margin."""


def shorter(value: float) -> Iterator[float]:
    """A number that is as good as another, the ones that people write first."""
    seen = set()
    for short in (
        *(float(f"{value:.{digits}g}") for digits in range(1, 9)),
        float(Fraction(value).limit_denominator(100)),
        value,
    ):
        if abs(short - value) <= ROUGHLY * abs(value) and short not in seen:
            seen.add(short)
            yield short or 0.0  # which may be -0
