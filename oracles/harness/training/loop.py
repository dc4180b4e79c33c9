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
from typing import Any

from oracles.drawing import Hyper
from oracles.harness.arithmetic.enclosure import Enclosure
from oracles.harness.arithmetic.formats import FORMATS, FloatArray, Format
from oracles.harness.candidates import Candidate
from oracles.harness.oracle import PYTHON, Margin, exactly
from oracles.harness.training.batches import FULL, Batch, Batches, Plan
from oracles.harness.training.data import Data, ones
from oracles.harness.training.losses import Loss
from oracles.numerics import Array, summed

Point = Sequence[Array]
"""The weights, and the bias if there is one: (k,) and (1,)."""


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
    batches: Batches = FULL
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

    def slope(self, data: Data, point: Point) -> Point:
        """The gradient of the loss on all rows."""
        return _Descent(self.loss, data, [], [*point], PLAIN).gradient((0, data.m))

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
                self._current = self.gradient(batch)
            yield self._current[part]

    def gradient(self, batch: Batch) -> list[Array]:
        """On the rows of a batch."""
        rows = slice(*batch)
        n = batch[1] - batch[0]
        designs = (self.data.x[rows], ones(n))[: len(self.point)]
        lifted = self.numbers.array
        z = summed([p @ lifted(a.T) for p, a in zip(self.point, designs, strict=True)])
        fitted, labels = self.loss.slopes(z, self.data, rows)
        s = fitted - lifted(labels)
        scale = self.loss.scale(n, self.data.m)
        return [s @ lifted(a) * scale.numerator / scale.denominator for a in designs]
