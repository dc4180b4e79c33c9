"""Numbers as people write them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from fractions import Fraction

ROUGHLY = 1e-5
"""A share of the largest rate, within which a guess is worth being held against a margin."""


def in_digits(value: float, digits: Iterable[int]) -> Iterator[float]:
    """A number, rounded to so many digits at a time."""
    return (float(f"{value:.{count}g}") for count in digits)


def shorter(value: float, within: float = ROUGHLY) -> Iterator[float]:
    """A number that is as good as another but for a share of it, the ones that people write first.

    None is where there is no number: what is guessed may be beyond the largest.

    >>> [*shorter(0.0996, within=0.01)]
    [0.1, 0.0996]
    """
    if not math.isfinite(value):
        return
    seen = set()
    for short in (
        *in_digits(value, range(1, 9)),
        float(Fraction(value).limit_denominator(100)),
        value,
    ):
        if abs(short - value) <= within * abs(value) and short not in seen:
            seen.add(short)
            yield short or 0.0  # which may be -0
