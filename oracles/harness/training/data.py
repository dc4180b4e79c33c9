"""The rows and labels that training loops are asked with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from oracles.harness.arithmetic.formats import FloatArray

FEATURES = 3
"""Columns of the data. No number of rows below is 3 or 4, so that shapes tell what is what."""


HANDFUL = 2
"""Rows that can be worked by hand."""


@dataclass(frozen=True)
class Data:
    """Rows and labels that every format of 8 bits and more holds, so that no conversion rounds.

    Attributes:
        m: how many rows. Two of them are for people, and have one number each: 1 and 2, labels 0
            and 1.
        low: the label of those that are not 1: 0 or −1.

    >>> Data(5).x[0].tolist(), Data(5, low=-1).y.tolist()
    ([-0.875, 0.375, 0.0], [1.0, 1.0, -1.0, -1.0, 1.0])
    """

    m: int
    low: int = 0

    @property
    def x(self) -> FloatArray:
        """Multiples of 1/8 below 2, from quadratic residues; (m, k)."""
        return _rows(self.m)

    @property
    def classes(self) -> FloatArray:
        """0 or 1 a row, of no plane; (m,)."""
        return _classes(self.m)

    @property
    def y(self) -> FloatArray:
        """Labels as code is given them."""
        return self.classes * (1 - self.low) + self.low


@cache
def _rows(m: int) -> FloatArray:
    i = np.arange(1, m + 1)
    if m == HANDFUL:
        return _kept(i[:, None].astype(np.float64))
    columns = ((a * i * i + b * i) % 31 / 8 - 1.875 for a, b in ((3, 5), (7, 11), (13, 2)))
    return _kept(np.column_stack(list(columns)))


@cache
def _classes(m: int) -> FloatArray:
    i = np.arange(1, m + 1)
    return _kept((i == HANDFUL if m == HANDFUL else i * i % 7 % 3 == 1).astype(np.float64))


@cache
def ones(m: int) -> FloatArray:
    """A column of ones, for the bias."""
    return _kept(np.ones((m, 1)))


def _kept(values: FloatArray) -> FloatArray:
    values.setflags(write=False)
    return values
