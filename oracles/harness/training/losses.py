"""What a training loop minimizes."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from oracles.harness.arithmetic.formats import FloatArray
from oracles.harness.training.data import Data
from oracles.numerics import Array


def sigmoid(z: Array) -> Array:
    """σ(z) = 1 / (1 + exp(−z)), as torch and NumPy code write it."""
    return 1 / (np.exp(-z) + 1)


@dataclass(frozen=True)
class Loss:
    """What is minimized, without a penalty.

    Attributes:
        model: ``"linear"`` or ``"logistic"``.
        factor: f, which is 2 for squared errors and 1 for half of them, or for logistic losses.
        reduction: ``"mean"`` (over the batch), ``"sum"`` or ``"share"`` (over all rows).

    >>> print(Loss("linear", 1, "mean"))
    half the mean squared error
    """

    model: str
    factor: int
    reduction: str

    def __str__(self) -> str:
        return _WORDS[self.model, self.factor].format(*_REDUCTIONS[self.reduction])

    def scale(self, n: int, m: int) -> Fraction:
        """f/N for a batch of n rows of m in all."""
        return Fraction(self.factor, {"mean": n, "sum": 1, "share": m}[self.reduction])

    def slopes(self, z: Array, data: Data, rows: slice) -> tuple[Array, FloatArray]:
        """What the labels are taken from, and the labels: s is their difference."""
        if self.model == "linear":
            return z, data.y[rows]
        return sigmoid(z), data.classes[rows]


_WORDS = {
    ("linear", 2): "the {0} squared {1}{2}",
    ("linear", 1): "half the {0} squared {1}{2}",
    ("logistic", 1): "the {0} logistic {3}{2}",
}


_REDUCTIONS = {
    "mean": ("mean", "error", "", "loss"),
    "sum": ("sum of", "errors", "", "losses"),
    "share": ("sum of", "errors", " of a batch divided by all rows", "losses"),
}


LOSSES = tuple(
    Loss(model, factor, reduction)
    for reduction in ("mean", "sum", "share")
    for model, factor in (("logistic", 1), ("linear", 2), ("linear", 1))
)
"""The simplest reading first."""
