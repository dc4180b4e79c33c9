"""Training on several ranks as a case: who sees which rows when, and steps with what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from hypothesis import strategies as st

from oracles.drawing import Hyper
from oracles.harness.arithmetic.formats import FloatArray
from oracles.harness.cases.plans import evenly
from oracles.harness.training.data import Data
from oracles.rule import Rule

MOST = 4
"""Ranks that a case has rows for. A world of fewer leaves those of the last ones out."""

ROWS = Data(200)
"""All rows there are; each rank takes the next ones. Three columns."""

STARTS = {"bias": (3.0,), "first": (2.0, -3.0, 1.5), "second": (-1.0, 4.0, 2.5)}
"""Where the parameters start, in short numbers: b, w₁ and w₂."""

Rows = slice
"""Of :data:`ROWS`."""

Step = list[list[Rows]]
"""By micro-batch and rank, the rows that are seen."""


@dataclass(frozen=True, repr=False)
class Training:
    """A linear model of three parameters, trained on ranks that have rows of their own.

        z = x·w₁ + x̄·w₂ + b,     x̄ = x backwards,     ℓ = (1/2n) Σ (z − y)², or without 1/n

    Attributes:
        rule: what the ranks step with.
        groups: the hyperparameters of each parameter, or of all of them.
        shards: by step and micro-batch, how many rows each of :data:`MOST` ranks sees.
        reduction: ``"mean"`` or ``"sum"``, over the rows of a rank's micro-batch.
        tied: whether w₁ and w₂ are one parameter, which has both gradients.
        divided: whether a loss is divided by how many micro-batches there are.
        halving: whether learning rates are halved after each step, in the optimizer's groups.
        most: the norm above which the gradient of all parameters together is clipped.
        options: what the wrapper is told, where it takes it.
    """

    rule: Rule
    groups: tuple[Hyper, ...]
    shards: tuple[tuple[tuple[int, ...], ...], ...]
    reduction: str = "mean"
    tied: bool = False
    divided: bool = True
    halving: bool = False
    most: float | None = None
    options: tuple[str, ...] = ()

    def __str__(self) -> str:
        steps = "; ".join(
            " + ".join("/".join(map(str, counts)) for counts in step) for step in self.shards
        )
        words = [
            *(["tied"] if self.tied else []),
            *(["rates halved after each step"] if self.halving else []),
            *([f"clipped at {self.most}"] if self.most else []),
            *self.options,
        ]
        divided = ", divided by the micro-batches" if self.divided else ""
        hypers = "; ".join(
            " ".join(f"{name}={value!r}" for name, value in h._asdict().items() if value)
            for h in self.groups
        )
        return (
            f"{self.rule.name} {hypers}; {self.reduction} losses{divided} of {steps} rows"
            f"{', ' if words else ''}{', '.join(words)}"
        )

    __repr__ = __str__  # what a rule is made of is too long to read

    @property
    def starts(self) -> list[tuple[float, ...]]:
        """Where the parameters start."""
        return list(STARTS.values())[: 2 if self.tied else 3]

    def hyper(self, parameter: int, step: int = 0) -> Hyper:
        """What a parameter is stepped with; the first step is 0."""
        h = self.groups[parameter % len(self.groups)]
        return h._replace(lr=h.lr / 2**step) if self.halving else h

    def rows(self, ranks: int) -> list[Step]:
        """What is seen at each step by so many ranks."""
        counts = [n for step in self.shards for micro in step for n in micro[:ranks]]
        each = (Rows(end - n, end) for n, end in zip(counts, accumulate(counts), strict=True))
        return [[[next(each) for _ in micro[:ranks]] for micro in step] for step in self.shards]


def inputs(rows: Rows) -> tuple[FloatArray, FloatArray, FloatArray]:
    """What multiplies w₁ and w₂, (n, 3) each, and the labels, (n,)."""
    x = ROWS.x[rows]
    return x, x[:, ::-1], ROWS.y[rows]


RATES = (0.125, 0.5, 0.1, 0.03)
DECAYS = (0.5, 0.1, 1.0, 0.5, 1.0, 0.5, 1.0, 0.0)


def hypers(
    rule: Rule, *, decays: bool = False, momenta: Sequence[float] = (0.0, 0.5, 0.9)
) -> st.SearchStrategy[Hyper]:
    """Some that move the parameters well; ``decays`` leaves no decay of 0 among them."""
    drawn = {
        "lr": st.sampled_from(RATES),
        "weight_decay": st.sampled_from(DECAYS[:-1] if decays else DECAYS),
    }
    if "momentum" in rule.hyper()._fields:
        drawn["momentum"] = st.sampled_from(momenta)
    else:  # where a gradient is nearly 0, its size decides little
        drawn["eps"] = st.just(0.0625)
    return st.fixed_dictionaries(drawn).map(lambda values: rule.hyper(**values))


def shards(
    *,
    steps: int = 3,
    least: int = 1,
    micros: tuple[int, int] = (1, 3),
    unequal: bool = False,
) -> st.SearchStrategy[tuple[tuple[tuple[int, ...], ...], ...]]:
    """Counts of rows: 1 to 3 on each rank, for ``least`` to so many steps."""
    each = st.tuples(*[st.integers(1, 3)] * MOST)
    if unequal:  # those of the first two ranks, which are in every world
        each = each.filter(lambda counts: counts[0] != counts[1])
    step = evenly(*micros).flatmap(lambda k: st.tuples(*[each] * k))
    return st.lists(step, min_size=least, max_size=steps).map(tuple)


@dataclass(frozen=True)
class Uneven:
    """A training of which some ranks see less than others.

    Attributes:
        training: what there is to see; a rank that takes a step takes all its micro-batches.
        counts: how many steps each rank takes.
        initial: whether it is always divided by the ranks of the start.
        partitioned: whether a ``ZeroRedundancyOptimizer`` takes the steps.
    """

    training: Training
    counts: tuple[int, ...]
    initial: bool = True
    partitioned: bool = False

    def __str__(self) -> str:
        over = "all ranks" if self.initial else "those that have a batch"
        stepped = ", ZeRO" if self.partitioned else ""
        return f"{self.training}; {'/'.join(map(str, self.counts))} steps, over {over}{stepped}"


@dataclass(frozen=True)
class Spread:
    """A tensor whose elements are dealt to ranks, whole on each of them, or a sum over them.

    Attributes:
        shape: of all of it.
        dealt: ``"Shard(0)"``, ``"Shard(1)"``, ``"Replicate()"`` or ``"Partial()"``.
        seed: its values are drawn from; short numbers.
    """

    shape: tuple[int, ...]
    dealt: str
    seed: int

    def values(self, number: int = 0) -> FloatArray:
        """One of as many arrays as are wanted."""
        drawn = np.random.Generator(np.random.PCG64([self.seed, number]))
        return drawn.integers(-32, 33, self.shape) / 8


@dataclass(frozen=True, repr=False)
class Stepped:
    """A parameter that is spread over ranks, and how an optimizer steps on it.

    Attributes:
        rule: what it follows, with its trial hyperparameters.
        spread: the parameter and, from number 1 on, its gradients.
        kernel: ``"for-loop"``, ``"foreach"`` or ``"fused"``.
    """

    rule: Rule
    spread: Spread
    kernel: str

    def __str__(self) -> str:
        return f"{self.rule.name} {self.kernel}, {self.spread}"

    __repr__ = __str__


SHAPES = (5, 3), (4,), (1, 2), (7,), (2, 4), (1,)


def spreads(
    shapes: Sequence[tuple[int, ...]] = SHAPES, *, partial: bool = False
) -> st.SearchStrategy[Spread]:
    """Tensors of those shapes, dealt in each way there is."""

    def dealt(shape: tuple[int, ...]) -> st.SearchStrategy[Spread]:
        ways = [f"Shard({axis})" for axis, _ in enumerate(shape)] + ["Replicate()"]
        ways += ["Partial()"] * partial
        return st.builds(Spread, st.just(shape), st.sampled_from(ways), st.integers(0, 99))

    return st.sampled_from(shapes).flatmap(dealt)
