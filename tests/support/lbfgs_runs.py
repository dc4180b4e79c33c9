"""Calls of LBFGS worked by hand, as runs that can be recorded and replayed."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from oracles.optimizers.lbfgs import Hyper
from tests.support.recording import (
    Run,
)
from tests.support.searches import Search

ENDLESS = 1000


def along(case: Search, dtype: str = "float64") -> Run:
    """A search from 0 along d = −1: parameters are minus the length, gradients minus the slope."""
    script = [(0.0, np.array([1.0]))]
    script += [(float(loss), np.array([-float(slope)])) for loss, slope in case.spots]
    h = Hyper(float(case.lengths[0]), 1, ENDLESS, 0, 0, line_search_fn="strong_wolfe")
    return Run(script, np.zeros(1), (h,), ((1,),), dtype)


class Stop(NamedTuple):
    """A call of up to nine iterations that ends early: after how many, and how many evaluations."""

    gradients: list[float]
    losses: list[float]
    options: dict[str, float]
    iterations: int
    evaluations: int

    @property
    def run(self) -> Run:
        """One parameter, from 0."""
        options: dict[str, Any] = self.options
        h = Hyper(1, 9, 99, 0, 0)._replace(**options)
        given = zip(self.losses, self.gradients, strict=True)
        return Run([(f, np.array([g])) for f, g in given], np.zeros(1), (h,), ((1,),))


UP, TINY = 1.5, 2.0**-40


STOPS: dict[str, Stop] = {
    # Every tolerance at its value, and just beyond it; then max_iter ends the call, at nine.
    "flat at once": Stop([0.25], [0], {"tolerance_grad": 0.25}, 0, 1),
    "not flat": Stop([0.25, 1], [0, 1], {"tolerance_grad": 0.25 - TINY}, 9, 9),
    "flat after a step": Stop([1, 0.25], [0, 1], {"tolerance_grad": 0.25}, 1, 2),
    # d = −1/4: gᵀd = −1/16. Where nothing moves nothing is evaluated.
    "hardly downhill": Stop([0.25], [0], {"tolerance_change": 0.0625 + TINY}, 1, 1),
    "downhill enough": Stop([0.25, 0.5], [0, UP], {"tolerance_change": 0.0625}, 9, 9),
    # A first step of γ/4 along 1/4; the loss changes by more.
    "moved as little as the tolerance": Stop(
        [1, 1], [0, UP], {"lr": 0.25, "tolerance_change": 0.25}, 1, 2
    ),
    "moved by less": Stop([1, 1], [0, UP], {"lr": 0.25, "tolerance_change": 0.5}, 1, 2),
    "moved by more": Stop([1, 1], [0, UP], {"lr": 0.25, "tolerance_change": 0.25 - TINY}, 9, 9),
    # A step of 1, and a gain of 1/4, either way.
    "gained less than the tolerance": Stop(
        [1, 1], [0, 0.25 - TINY], {"tolerance_change": 0.25}, 1, 2
    ),
    "lost less than the tolerance": Stop(
        [1, 1], [0, TINY - 0.25], {"tolerance_change": 0.25}, 1, 2
    ),
    "gained as much": Stop([1, 1], [0, 0.25], {"tolerance_change": 0.25}, 9, 9),
    "at the second step": Stop([1, 3, 3], [0, UP, UP], {"tolerance_change": 0.25}, 2, 3),
}


Gradients = list[list[float]]


SCRIPTS: dict[str, tuple[Gradients, Hyper]] = {
    name: (gradients, Hyper(lr, 1, None, 0, 0, memory))
    for name, gradients, lr, memory in (
        ("first_step_full", [[4.0, -4.0]], 0.25, 100),
        ("first_step_euclidean", [[-3.0, -3.0]], 0.25, 100),
        ("first_step_uncapped", [[0.0, 2.0**-5]], 4.0, 100),
        ("every_step_shortened", [[0.0, 2.0], [-4.0, 3.0]], 0.25, 100),
        ("lr_at_first_only", [[2.0, 0.0], [3.0, 0.5]], 0.25, 100),
        ("identity", [[0.5, 0.0], [0.0, 4.0]], 0.25, 100),
        ("first_scale_for_ever", [[0.0, 2.0], [0.0, 0.5], [-1.0, 0.0]], 0.25, 100),
        ("long_scale", [[-1.0, 0.0], [-0.5, -4.0]], 2.0, 100),
        ("oldest_pair_first", [[0.25, -8.0], [0.25, 0.0], [0.0, -0.5]], 1.0, 100),
        ("history_longer", [[0.0, -8.0], [0.5, 0.0], [0.0, 2.0]], 0.5, 1),
        ("history_shorter", [[0.0, -8.0], [0.5, 0.0], [0.0, -2.0]], 0.5, 2),
        ("roles_exchanged", [[0.5, 0.0], [-4.0, -2.0]], 1.0, 100),
        ("direction_for_step", [[0.0, -3.0], [3.0, 0.0]], 0.25, 100),
        ("curvature_unasked", [[-0.5, 0.0], [-2.0, 4.0]], 4.0, 100),
        ("curvature_relative", [[2.0**-18, 0.0], [0.75 * 2.0**-18, 0.0]], 0.5, 100),
    )
}
"""Gradients, learning rate and memory with which a convention is far enough from torch's for eight
bits of precision to show it. The numbers are exact in every dtype."""


def scripted(gradients: Gradients, h: Hyper, dtype: str = "float64") -> Run:
    """One iteration for each gradient, from the origin."""
    script = [(0.0, np.array(g)) for g in gradients]
    return Run(script, np.zeros(2), (h,) * len(gradients), ((2,),), dtype)
