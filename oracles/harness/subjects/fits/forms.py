"""In which form a training loop is given its data."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from oracles.harness.arithmetic.formats import FloatArray
from oracles.harness.training.data import FEATURES, Data

BEGINNING = (0.5, -0.25, 0.75, 0.25)
"""What it is told then, the last one for the bias."""


@dataclass(frozen=True)
class Form:
    """In which form code is given its data.

    Attributes:
        low: the label beside 1.
        layout: of rows and labels: ``"vector"`` (labels (m,)), ``"column"`` (labels (m, 1)) or
            ``"across"`` (rows (k, m), labels (1, m)).
        arrays: ``"numpy"``, or torch's dtype of tensors.
        start: the shape of what it is told to start from, where it has to be told.
        turned: whether the last row comes first.

    >>> x, y = Form(layout="across").data(5)
    >>> x.shape, y.shape
    ((3, 5), (1, 5))
    """

    low: int = 0
    layout: str = "vector"
    arrays: str = "numpy"
    start: tuple[int, ...] = (FEATURES,)
    turned: bool = False

    def __str__(self) -> str:
        """What is unusual about it, if anything."""
        layout = {"vector": [], "column": ["labels as a column"], "across": ["a column a row"]}
        return ", ".join([f"labels {self.low} and 1"] * (self.low != 0) + layout[self.layout])

    def data(self, m: int) -> tuple[Any, Any]:
        """Rows and labels, made anew each time, since code may write into them."""
        data = Data(m, self.low)
        order = slice(None, None, -1 if self.turned else 1)
        x, y = np.array(data.x[order]), np.array(data.y[order])
        if self.layout == "column":
            y = y[:, None]
        elif self.layout == "across":
            x, y = np.array(x.T), y[None]
        return self._array(x), self._array(y)

    def beginning(self) -> dict[str, Any]:
        """What it is told to start from."""
        size = int(np.prod(self.start))
        w = np.array(BEGINNING[:size]).reshape(self.start)
        return {"start": self._array(w), "bias_start": BEGINNING[-1]}

    def _array(self, values: FloatArray) -> Any:
        if self.arrays == "numpy":
            return values
        torch = sys.modules["torch"]
        return torch.from_numpy(values).to(getattr(torch, self.arrays))


STARTS = ((FEATURES,), (FEATURES + 1,), (FEATURES, 1), (FEATURES + 1, 1))
"""Shapes of what code is told to start from."""


def forms(*, told: bool = False) -> Iterator[Form]:
    """The usual ones first; tensors only where torch is loaded, by the code if by nobody else.

    Those of code that has to be ``told`` where to start differ in that, too.
    """
    layouts, starts = ("vector", "column", "across"), STARTS[: 4 if told else 1]
    for arrays in ("numpy", "float64", "float32") if "torch" in sys.modules else ("numpy",):
        for low, layout, start in product((0, -1), layouts, starts):
            yield Form(low, layout, arrays, start)
