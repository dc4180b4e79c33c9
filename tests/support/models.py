r"""Gradients of small models, derived by hand and enclosed: what autograd must give an optimizer.

Symbols
-------
a_i  row i of the batch with a 1 appended, k+1 numbers     m  rows in the batch
β    weights, then the bias                                z_i = a_i·β  output of the linear layer
ℓ    loss of one row                                       s_i = ∂ℓ/∂z at row i, its *slope*

    L(β) = c Σ ℓ(z_i, y_i),     ∇L(β) = c Σ s_i a_i,     c = 1/m (``mean``) or 1 (``sum``)

    squared error            ℓ = (z − y)²                            s = 2(z − y)
    cross-entropy of σ(z)    ℓ = −y log σ(z) − (1−y) log(1 − σ(z))   s = σ(z) − y

The order of summation is nobody's promise, so sums are enclosed for any order (Higham, *Accuracy
and Stability of Numerical Algorithms*, 2nd ed., 3.5 and 4.4); this includes a batch that arrives in
pieces whose gradients are accumulated. c multiplies each slope here. A kernel that divides by m, or
divides the finished sum, makes no more roundings than the rounding of 1/m and of that product.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from oracles.drawing import Hyper
from oracles.harness.arithmetic.enclosure import INFLATE, Enclosure
from oracles.harness.arithmetic.formats import FORMATS, Format, Wide, round_to
from oracles.harness.oracle import exactly
from oracles.harness.training.losses import sigmoid
from oracles.numerics import Array
from oracles.rule import Convention, Rule

Slope = Callable[[Array, Array], Array]
"""``(z, y) -> ∂ℓ/∂z``, elementwise."""

RowLoss = Callable[[Array, Array], Array]
"""``(z, y) -> ℓ``, elementwise."""

BCE_EPSILON = 1e-12
"""Smallest p(1−p) by which torch's BCELoss divides (ATen/native/Loss.cpp, ``EPSILON``)."""


def squared(z: Array, y: Array) -> Array:
    """Slope of ``MSELoss``: 2(z − y)."""
    return (z - y) * 2


def logits(z: Array, y: Array) -> Array:
    """Slope of ``BCEWithLogitsLoss``: σ(z) − y."""
    return sigmoid(z) - y


def probabilities(z: Array, y: Array) -> Array:
    r"""Slope of ``BCELoss`` after a sigmoid: the chain rule multiplies by what it divided by.

        s = (p − y) / (p(1−p)) · (1−p) · p,     p = σ(z)

    Both factors come from the same *stored* p, so its error cancels in them and only the roundings
    of s remain: 1−p, the product p(1−p), the quotient, 1−p again and two products are six factors
    1+δ, |δ| <= u. Two of them divide, and 1/(1+δ) exceeds 1+u by less than 2u²: a seventh pays for
    that. (Running the formula on balls would lose the correlation and return a radius larger by
    1/(1−p).) Where the stored p(1−p) may fall to :data:`BCE_EPSILON`, torch divides by that instead
    and the factors no longer cancel: unknown.
    """
    p = sigmoid(z)
    s = p - y
    nu = 7 * s.format.u
    rad = s.rad + nu / (1 - nu) * (np.abs(s.mid) + s.rad) + 7 * s.format.eta
    smallest = (p.mid - p.rad) * (1 - p.mid - p.rad)
    resolved = (p.mid + p.rad < 1) & (smallest > 2 * BCE_EPSILON)
    return Enclosure(s.mid, np.where(resolved, rad * INFLATE, Wide(np.inf)), s.format)


def cross_entropy(z: Array, y: Array) -> Array:
    """Loss of one row under ``BCELoss`` after a sigmoid: −y log p − (1−y) log(1−p)."""
    p, one = sigmoid(z), _one(z)
    return -(y * np.log(p) + (one - y) * np.log(one - p))


def _one(like: Enclosure) -> Enclosure:
    return Enclosure.exact(1.0, like.format)


@dataclass(frozen=True, eq=False)
class Problem:
    """A linear layer with one output, a loss and a batch, in one dtype.

    Attributes:
        rows: (m, k), rounded to the dtype before anything is computed.
        targets: (m,), likewise.
        slope: of one row's loss.
        reduction: ``"mean"`` or ``"sum"``.
        dtype: format every operation rounds to.
    """

    rows: ArrayLike
    targets: ArrayLike
    slope: Slope
    reduction: str = "mean"
    dtype: str = "float64"

    def __post_init__(self) -> None:
        if self.reduction not in ("mean", "sum"):
            raise ValueError(f"reduction={self.reduction!r} is not known; allowed: mean, sum")

    @property
    def format(self) -> Format:
        return FORMATS[self.dtype]

    def loss(self, row: RowLoss, beta: ArrayLike) -> Enclosure:
        """L(β) with ``row`` as the loss of one row; shape () or (n,)."""
        z, y = self._evaluate(beta)
        total: Enclosure = np.sum(row(z, y), axis=0)
        return self._averaged(total)

    def gradient(self, beta: ArrayLike) -> Enclosure:
        """∇L(β), weights first and the bias last.

        Args:
            beta: (k+1,), or (k+1, n) to ask n questions at once; values of the dtype.
        """
        s = self._averaged(self.slope(*self._evaluate(beta)))
        gradient: Enclosure = Enclosure.exact(self._augmented.mid.T, self.format) @ s
        return gradient

    def step(self, rule: Rule, convention: Convention, beta: ArrayLike, h: Hyper) -> Enclosure:
        """β after the first step of an optimizer that holds weights (1, k) and bias (1,)."""
        return moved(rule, convention, self.exact(beta), self.gradient(beta), h)

    def exact(self, values: ArrayLike) -> Enclosure:
        """Values rounded to the dtype, as balls of radius 0."""
        return Enclosure.exact(round_to(self.dtype, values), self.format)

    @cached_property
    def _augmented(self) -> Enclosure:
        rows = np.asarray(self.rows, dtype=np.float64)
        return self.exact(np.column_stack([rows, np.ones(len(rows))]))

    def _averaged(self, values: Enclosure) -> Enclosure:
        if self.reduction == "sum":
            return values
        averaged: Enclosure = values * (1 / Enclosure.exact(float(len(self._augmented.mid))))
        return averaged

    def _evaluate(self, beta: ArrayLike) -> tuple[Enclosure, Enclosure]:
        """z = a·β and y, shaped to meet: (m,), or (m, n) and (m, 1)."""
        z = self._augmented @ self.exact(beta)
        return z, self.exact(np.reshape(self.targets, (-1, *[1] * (z.ndim - 1))))


def moved(
    rule: Rule, convention: Convention, beta: Enclosure, gradient: Enclosure, h: Hyper
) -> Enclosure:
    """β after a step from fresh state; the bias is a parameter of its own, of one dimension."""
    parts = []
    for where, ndim in ((slice(None, -1), 2), (slice(-1, None), 1)):
        w, g = (Enclosure(x.mid[where], x.rad[where], x.format) for x in (beta, gradient))
        steps = rule.run(convention, w, [g], [exactly(h)], decays=convention.decays(ndim))
        parts.append(next(steps)[0])
    mid, rad = (np.concatenate([getattr(p, end) for p in parts]) for end in ("mid", "rad"))
    return Enclosure(mid, rad, beta.format)
