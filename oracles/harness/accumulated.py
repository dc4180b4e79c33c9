"""The oracle of accumulation: what a loop over windows of micro-batches may come to.

The model is linear and its loss the squared error: z = Aβ with a 1 appended to each row of A, and

    ∇(c L) = Aᵀ(2c(z − y)/n) for means, Aᵀ(2c(z − y)) for sums

Each gradient is taken where the loop stands, so that the rounding of one step is carried through
all later ones; sums are enclosed in any order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

import numpy as np

from oracles.harness.arithmetic.enclosure import Enclosure
from oracles.harness.arithmetic.formats import round_to, uniform
from oracles.harness.cases.accumulating import FEATURES, AccumulatingLoop, Batch
from oracles.harness.oracle import exactly
from oracles.loop.accumulation import OWNERS, Gradients, Micro, Move, Setting
from oracles.loop.part import Variant
from oracles.rule import State


@dataclass
class Course:
    """Where a loop goes, or enclosures of it, window by window.

    Attributes:
        gradients: on which the last step of each window was made, by parameter; None: no step.
        weights: after each window, by parameter.
    """

    gradients: list[Any] = field(default_factory=list)
    weights: list[Any] = field(default_factory=list)

    def without_gradients(self) -> Course:
        """Weights alone."""
        return Course([None] * len(self.weights), self.weights)

    def flat(self) -> Iterator[tuple[str, Any]]:
        """All numbers of weights and bias, each with what it is."""
        for t, (gradients, point) in enumerate(zip(self.gradients, self.weights, strict=True)):
            for name, found in (("gradient", gradients), ("value", point)):
                for part, values in zip(("weights", "bias"), found or (), strict=False):
                    yield f"in window {t + 1} the {name} of the {part}", values


class _Descent:
    """A model and its optimizer, in enclosures of one dtype."""

    def __init__(self, case: AccumulatingLoop, dtype: str) -> None:
        self.case = case
        self.rule, self._h = OWNERS[case.owner]
        self._format = uniform(dtype)
        self._dtype = dtype
        held = round_to(dtype, case.start)
        self.point = [self._exact(held[:FEATURES]), self._exact(held[FEATURES:])]
        h = exactly(self._h)
        self._states: list[State] = [self.rule.start(w, h) for w in self.point]
        self._t = 0

    def micro(self, batch: Batch) -> Micro:
        """A micro-batch, whose gradient is taken where the descent stands then."""
        rows = round_to(self._dtype, np.array(batch.rows))
        return Micro(partial(self._gradient, rows), len(batch.rows))

    def move(self, move: Move) -> None:
        """One step."""
        self._t += move.counts
        decay = self._h.weight_decay * move.decays
        h = exactly(self._h._replace(weight_decay=decay))
        for part, g in enumerate(move.gradients):
            self.point[part], self._states[part] = self.rule.step(
                self.point[part], g, self._t, self._states[part], h, self.rule.torch
            )

    def _exact(self, values: Any) -> Any:
        return Enclosure.exact(values, self._format)

    def _gradient(self, rows: Any, factor: float) -> Gradients:
        features, targets = rows[:, :FEATURES], rows[:, FEATURES]
        z = self._exact(features) @ self.point[0] + self.point[1]
        s = (z - self._exact(targets)) * 2.0
        if self.case.reduction == "mean":
            s = s * (1 / Enclosure.exact(float(len(rows))))
        s = s * factor if factor != 1 else s
        return [self._exact(features.T) @ s, np.sum(s, axis=0, keepdims=True)]


@lru_cache(maxsize=16)  # all paths of a dtype are held against the same
def enclosed(case: AccumulatingLoop, variant: Variant, dtype: str) -> Course:
    """Enclosures of where a loop that follows a variant may go, in a dtype."""
    descent, course = _Descent(case, dtype), Course()
    setting, left = Setting(case.reduction, case.k, case.clip), None
    for window in case.windows:
        steps = variant.compute([descent.micro(batch) for batch in window], left, setting)
        made: Gradients | None = None
        while True:
            try:
                move = next(steps)
            except StopIteration as end:
                left = end.value
                break
            descent.move(move)
            made = move.gradients
        course.gradients.append(made)
        course.weights.append(list(descent.point))
    return course


def whole(case: AccumulatingLoop) -> AccumulatingLoop:
    """The same loop with each window in one batch, without padding."""
    joined = tuple((Batch(tuple(r for b in own for r in b.rows)),) for own in case.windows)
    return AccumulatingLoop(case.owner, case.reduction, 1, joined, case.start, case.clip)
