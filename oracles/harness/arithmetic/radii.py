"""Distances in radii: how much of them numbers use, and how far balls are from one another."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike

from oracles.harness.arithmetic.enclosure import Enclosure, quiet
from oracles.harness.arithmetic.formats import Wide

TINY = Wide(2) ** -1000
"""In place of a smaller reach, so that what exact numbers are apart is a number as well."""


def stacked(balls: Iterable[Enclosure]) -> Enclosure:
    """Balls of one shape and format as an array of them."""
    balls = list(balls)
    mid, rad = (np.array([getattr(b, name) for b in balls], Wide) for name in ("mid", "rad"))
    return Enclosure(mid, rad, balls[0].format)


@quiet
def used(ball: Enclosure, values: ArrayLike) -> float:
    """The largest share of a radius that numbers inside use; of 0 and of infinity they use none.

    >>> used(Enclosure.exact([1.0, 3.0]) / 3, [1 / 3, 1.0]) < 1
    True
    """
    shares = np.abs(values - ball.mid) / ball.rad
    return float(np.max(np.where(np.isfinite(shares), shares, 0), initial=0))


@quiet
def apart(one: Enclosure, other: Enclosure) -> float:
    """How far balls are from others at most, ``|mid − mid'| / (rad + rad')``: above 1 they differ.

    >>> third = Enclosure.exact(1.0) / 3
    >>> apart(third, Enclosure.exact(1 / 3)) < 1 < apart(third, Enclosure.exact(0.333))
    True
    """
    distance, reach = np.abs(one.mid - other.mid), one.rad + other.rad
    known = np.isfinite(distance) & np.isfinite(reach)
    return float(np.max(np.where(known, distance / np.maximum(reach, TINY), 0), initial=0))


def farthest(one: Iterable[Enclosure], other: Iterable[Enclosure]) -> float:
    """How far balls of several shapes are from others at most: above 1 they differ."""
    return max((apart(*pair) for pair in zip(one, other, strict=True)), default=0.0)
