r"""A whole training loop as a text: a rule on the gradients of a loss, batch after batch.

Symbols
-------
x_i  row i of the data, k numbers     w  weights, k numbers     b  bias     z_i = x_i·w + b
y_i  its label                        B  rows of a batch, n of them, of m in all
ℓ    loss of one row                  s_i = z_i − y_i (linear) or σ(z_i) − y_i (logistic)

    gradient of a batch    g = (f/N) Σ_{i in B} s_i (x_i, 1)

    squared error            ℓ = (z − y)², f = 2, or half of it, f = 1
    logistic loss            ℓ = −y log σ(z) − (1−y) log(1 − σ(z)), f = 1
    reduction                N = n (mean), 1 (sum) or m (a batch's share of the mean over all rows)

The text runs on float64 and on enclosures, as that of a rule does; each gradient is taken where the
loop itself stands, so the rounding of one step is carried through all later gradients by the same
arithmetic: sums in any order (Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed.,
3.5), σ through its exponential. Under a :class:`~oracles.harness.oracle.Margin` any text of a loss
is inside that makes no more roundings than so many for each one here: loops over rows, matrix
forms, autograd, XᵀXw − Xᵀy, labels −1 and 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np

from oracles.drawing import Hyper
from oracles.harness.arithmetic.enclosure import Enclosure
from oracles.harness.arithmetic.formats import FORMATS, FloatArray, Format
from oracles.harness.candidates import Candidate
from oracles.harness.models import sigmoid
from oracles.harness.oracle import PYTHON, Margin, exactly
from oracles.numerics import Array

FEATURES = 3
"""Columns of the data. No number of rows below is 3 or 4, so that shapes tell what is what."""

HANDFUL = 2
"""Rows that can be worked by hand."""

Batch = tuple[int, int]
"""The first row of a batch and the one after its last."""

Plan = tuple[tuple[Batch, ...], ...]
"""The batches of each epoch."""

Point = Sequence[Array]
"""The weights, and the bias if there is one: (k,) and (1,)."""


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
def _ones(m: int) -> FloatArray:
    return _kept(np.ones((m, 1)))


def _kept(values: FloatArray) -> FloatArray:
    values.setflags(write=False)
    return values


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


@dataclass(frozen=True)
class Batches:
    """Which rows a step sees.

    Attributes:
        kind: ``"full"`` (all of them), ``"short"`` (in order, the last batch with what is left),
            ``"dropped"`` (in order, without what is left) or ``"single"`` (a batch an epoch, in
            turn).
        size: how many rows; None if the code is told.

    >>> Batches("short").plan(m=8, told=3, epochs=1)
    (((0, 3), (3, 6), (6, 8)),)
    >>> Batches("single", 1).plan(m=8, told=8, epochs=2)
    (((0, 1),), ((1, 2),))
    """

    kind: str = "full"
    size: int | None = None

    def __str__(self) -> str:
        size = "the size given" if self.size is None else f"{self.size} rows"
        return {
            "full": "on all rows at once",
            "short": "row after row" if self.size == 1 else f"in batches of {size}",
            "dropped": f"in batches of {size}, leaving out a short last one",
            "single": f"on one {'row' if self.size == 1 else f'batch of {size}'} an epoch, in turn",
        }[self.kind]

    def plan(self, m: int, told: int, epochs: int) -> Plan:
        """The batches of each epoch, of m rows and a size that the code is told."""
        n = m if self.kind == "full" else min(self.size or told, m)
        whole = tuple((start, min(start + n, m)) for start in range(0, m, n))
        if self.kind == "dropped":
            whole = tuple(b for b in whole if b[1] - b[0] == n)
        if self.kind == "single":
            return tuple((whole[t % len(whole)],) for t in range(epochs))
        return (whole,) * epochs


SCALES: dict[str, Callable[[int], Fraction]] = {
    "": lambda n: Fraction(1),
    "·m": lambda n: Fraction(n),
    "/m": lambda n: Fraction(1, n),
    "·2": lambda n: Fraction(2),
    "/2": lambda n: Fraction(1, 2),
}
"""What a hyperparameter may be multiplied by before a rule sees it, n rows in a batch."""


@dataclass(frozen=True)
class Loop:
    """One account of what a training loop computes.

    Attributes:
        loss: what it minimizes.
        candidate: the rule it steps by, with its conventions.
        batches: which rows a step sees.
        bias_decayed: whether weight decay holds for the bias as well.
        counted: whose rows a decay is divided by, the ``"batch"``'s or ``"all"``.
        lr, weight_decay: what they are multiplied by, a key of :data:`SCALES`.
    """

    loss: Loss
    candidate: Candidate
    batches: Batches = Batches()
    bias_decayed: bool = True
    counted: str = "batch"
    lr: str = ""
    weight_decay: str = ""

    @property
    def torchs(self) -> bool:
        """Whether it is torch's rule with the numbers that are given."""
        return not (self.candidate.conventions or self.lr or self.weight_decay)

    @property
    def complexity(self) -> tuple[int, int]:
        """In how many places it differs from torch's rule, and in how many of them the rate is."""
        scaled = (self.lr != "") + (self.weight_decay != "")
        return len(self.candidate.conventions) + scaled, int(self.weight_decay != "")

    def counts(self) -> Iterator[Loop]:
        """The account, by each number of rows that its decay or its rate may be divided by."""
        divides = any("batch_size" in c.parts for c in self.candidate.conventions)
        counted = ("batch", "all") if divides or "m" in self.lr + self.weight_decay else ("batch",)
        if self.batches.kind == "full":
            counted = counted[:1]
        yield from (replace(self, counted=rows) for rows in counted)

    def hyper(self, h: Hyper, n: int, m: int) -> Hyper:
        """A step's hyperparameters, as the rule sees them."""
        rows = n if self.counted == "batch" else m
        scaled = {
            name: float(getattr(h, name) * SCALES[scale](rows))
            for name, scale in (("lr", self.lr), ("weight_decay", self.weight_decay))
            if scale
        }
        return h._replace(**scaled, batch_size=rows)

    def run(
        self, data: Data, plan: Plan, h: Hyper, start: Point, numbers: Numbers
    ) -> Iterator[Point]:
        """Where the loop stands after each epoch, from ``start``, which has a bias or none."""
        steps = [batch for epoch in plan for batch in epoch]
        descent = _Descent(self.loss, data, steps, [numbers.array(p) for p in start], numbers)
        sizes = [stop - first for first, stop in steps]
        seen = {n: numbers.hyper(self.hyper(h, n, data.m)) for n in {*sizes}}
        schedule = [seen[n] for n in sizes]
        rule, convention = self.candidate.rule, self.candidate.convention
        runs = [
            rule.run(
                convention,
                parameter,
                descent.gradients(part),
                schedule,
                decays=self.bias_decayed or not part,
                count=numbers.count,
            )
            for part, parameter in enumerate(descent.point)
        ]
        for epoch in plan:
            for _ in epoch:
                descent.point = [next(run)[0] for run in runs]
            yield descent.point


@dataclass(frozen=True)
class Numbers:
    """What a loop is run on: plain float64, or enclosures of a dtype under a margin."""

    format: Format | None = None
    margin: Margin = field(default_factory=Margin)

    @classmethod
    def enclosed(cls, dtype: str, margin: Margin) -> Numbers:
        """Enclosures that hold every text of a loop in that dtype."""
        return cls(margin.arrays(FORMATS[dtype]), margin)

    def array(self, values: FloatArray) -> Array:
        return values if self.format is None else Enclosure.exact(values, self.format)

    def hyper(self, h: Hyper) -> Hyper:
        return h if self.format is None else exactly(h, PYTHON, self.margin)

    def count(self, t: int) -> Any:
        return t if self.format is None else self.margin.count(t)


PLAIN = Numbers()


@dataclass
class _Descent:
    """The gradients of a loss where a loop stands, each made when a rule asks for it."""

    loss: Loss
    data: Data
    steps: list[Batch]
    point: list[Array]
    numbers: Numbers
    _current: list[Array] = field(default_factory=list)

    def gradients(self, part: int) -> Iterator[Array]:
        """Of the weights (part 0) or the bias (part 1), step by step; the weights are asked first.

        They are asked for both before either moves, so both are taken at the same point.
        """
        for batch in self.steps:
            if part == 0:
                self._current = self._gradient(batch)
            yield self._current[part]

    def _gradient(self, batch: Batch) -> list[Array]:
        rows = slice(*batch)
        n = batch[1] - batch[0]
        designs = (self.data.x[rows], _ones(n))[: len(self.point)]
        lifted = self.numbers.array
        z = sum_of([p @ lifted(a.T) for p, a in zip(self.point, designs, strict=True)])
        fitted, labels = self.loss.slopes(z, self.data, rows)
        s = fitted - lifted(labels)
        scale = self.loss.scale(n, self.data.m)
        return [s @ lifted(a) * scale.numerator / scale.denominator for a in designs]


def sum_of(terms: Sequence[Array]) -> Array:
    """Their sum, from left to right, with no 0 before the first."""
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total
