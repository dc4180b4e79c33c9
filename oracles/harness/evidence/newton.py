"""How numbers become right: Gauss' and Newton's method, and Levenberg's and Marquardt's."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from oracles.harness.arithmetic.formats import FloatArray

ROUNDS, PATIENCE, WORTH = 40, 5, 0.8
"""How often values are improved at most, and by what part in so many rounds they must have been."""

SOLVED = 1e-26
"""A sum of squares, in parts of each step's largest move, that nothing but roundings is in."""

DAMPING = 1e-2
"""How much shorter a first move is than Newton's, in parts of the slopes."""

LEAST = 1e-14
"""By what part slopes that point the same way are parted, so that there is one solution."""


def changes(off: FloatArray, nudge: float) -> FloatArray:
    """By how much each number is to change so that as little as can be is off.

    Args:
        off: what is off, (1 + numbers, elements): as they are, and with one after the other
            changed by ``nudge``.
        nudge: that.

    >>> changes(np.array([[-6.0, -3.0], [-4.0, -2.0]]), 1.0)  # of 2x − 6 and x − 3, at 0 and 1
    array([3.])
    """
    slopes = (off[1:] - off[0]).T / nudge
    found: FloatArray = np.linalg.lstsq(slopes, -off[0], rcond=None)[0]
    return found


class Bounds(NamedTuple):
    """Of values, below and above, and of a move of them."""

    least: FloatArray
    most: FloatArray
    reach: FloatArray


Sloping = Callable[[NDArray[np.intp], FloatArray], tuple[FloatArray, FloatArray]]
"""Of some problems, by number, and rows of values for each, (problems, rows, values): what is off,
(problems, rows, elements), and what a larger value changes, (problems, rows, values, elements)."""


@dataclass(frozen=True, eq=False)
class Rows:
    """How far rows of values have come, (problems, rows, ...), and what comes of them there."""

    values: FloatArray
    off: FloatArray
    slopes: FloatArray
    error: FloatArray
    damping: FloatArray

    @classmethod
    def of(cls, values: FloatArray, off: FloatArray, slopes: FloatArray) -> Rows:
        """At the start."""
        return cls(
            values.copy(), off, slopes, (off**2).sum(axis=2), np.full(off.shape[:2], DAMPING)
        )

    def improve(self, left: NDArray[np.intp], sloping: Sloping, bounds: Bounds) -> None:
        """Move those of some problems once, where that makes less of what is off."""
        now, steep = self.values[left], self.slopes[left]
        stays = (now <= bounds.least) & (np.einsum("prin,prn->pri", steep, self.off[left]) > 0)
        steep[stays] = 0.0
        moves = step_toward(steep, self.off[left], self.damping[left])
        other = np.clip(
            now + np.clip(moves, -bounds.reach, bounds.reach), bounds.least, bounds.most
        )
        there, steeper = sloping(left, other)
        less = (there**2).sum(axis=2)
        better = less < self.error[left]
        self.damping[left] = np.where(better, self.damping[left] / 10, self.damping[left] * 5)
        which, row = np.nonzero(better)
        where = left[which], row
        self.values[where], self.error[where] = other[better], less[better]
        self.off[where], self.slopes[where] = there[better], steeper[better]

    @property
    def best(self) -> FloatArray:
        """The best values of each problem, (problems, values)."""
        found: FloatArray = self.values[np.arange(len(self.values)), np.argmin(self.error, axis=1)]
        return found


def least_squares(sloping: Sloping, values: FloatArray, bounds: Bounds) -> FloatArray:
    """The best of what rows of values come to, by Levenberg's and Marquardt's method within bounds.

    Problems that are off by the same at the start, with the same slopes, are solved once: if they
    are in the end as well, they are the same. One is given up when none of its rows gets better.

    Args:
        sloping: what is off.
        values: to start from, (problems, rows, values).
        bounds: of all values.

    Returns:
        The values of each, (problems, values).
    """
    every = np.arange(len(values))
    rows = Rows.of(values, *sloping(every, values))
    first = _first_of_the_same(rows.values, rows.off, rows.slopes)
    left, errors = np.unique(first), deque([rows.error.copy()], maxlen=PATIENCE + 1)
    for _ in range(ROUNDS):
        rows.improve(left, sloping, bounds)
        errors.append(rows.error.copy())
        done = rows.error.min(axis=1) < SOLVED
        if len(errors) > PATIENCE:
            done |= (rows.error - WORTH * errors[0]).min(axis=1) > 0
        left = left[~done[left]]
        if not left.size:
            break
    found = rows.best[first]
    for n in every[first != every]:
        (one, other), _ = sloping(np.array([n, first[n]]), found[[n, n], None])
        if not np.array_equal(one, other):
            found[n] = least_squares(partial(_alone, sloping, n), values[[n]], bounds)
    return found


def _alone(
    sloping: Sloping, number: int, which: NDArray[np.intp], values: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """The slopes of one problem that is solved by itself."""
    return sloping(which + number, values)


def _first_of_the_same(*what: FloatArray) -> NDArray[np.intp]:
    """For each problem the first one of which all this is the same."""
    bits = [b"".join(each.tobytes() for each in of_one) for of_one in zip(*what, strict=True)]
    return np.array([bits.index(each) for each in bits])


def step_toward(slopes: FloatArray, off: FloatArray, damping: FloatArray) -> FloatArray:
    """What brings each row of values nearer to what it is to give."""
    length = np.linalg.norm(slopes, axis=-1, keepdims=True)
    unit = slopes / np.where(length, length, 1.0)
    square = np.einsum("...in,...jn->...ij", unit, unit)
    square += np.eye(slopes.shape[-2]) * (damping[..., None, None] + LEAST)
    toward = np.einsum("...in,...n->...i", unit, off)
    moves: FloatArray = np.linalg.solve(square, -toward[..., None])
    return moves[..., 0] / np.where(length, length, 1.0)[..., 0]
