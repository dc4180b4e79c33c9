"""In which ranges a piece of code was seen: what is said of it is said of these."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from oracles.harness.evidence.observation import Observation

Between = tuple[float, float]


@dataclass(frozen=True)
class Ranges:
    """Ranges of what code was given.

    Attributes:
        hyper: of each hyperparameter that it takes.
        gradients, parameters: sizes of their elements that are not 0.
        steps: how many there were in one run, at most.
        dimensions, elements: of one parameter.
        long: to which part of its largest move a step of a long run is held, if not to a margin,
            which would take long.
        unseen: by which part of itself any step of a run in a short format may be off.

    >>> print(Ranges({"lr": (1e-8, 200.0)}, (1e-12, 1e8), (1.0, 2.0), 256, (0, 5), (1, 4290), 1e-8))
    lr from 1e-08 to 200, gradients of 1e-12 to 1e+08, parameters of 1 to 2 with 0 to 5 dimensions \
and 1 to 4,290 elements, up to 256 steps (long runs to 1e-08 of their largest move)
    """

    hyper: Mapping[str, Between] = field(default_factory=dict)
    gradients: Between = (0.0, 0.0)
    parameters: Between = (0.0, 0.0)
    steps: int = 0
    dimensions: tuple[int, int] = (0, 0)
    elements: tuple[int, int] = (0, 0)
    long: float = 0.0
    unseen: float = 0.0

    @classmethod
    def of(
        cls, known: Iterable[Observation], names: Iterable[str], long: float, unseen: float = 0.0
    ) -> Ranges:
        """What some runs were given; hyperparameters of these names."""
        known = list(known)
        shapes = [p.initial.shape for told in known for p in told.case.parameters]
        given = [h for told in known for group in told.case.groups for h in group.schedule]
        return cls(
            {name: _between([getattr(h, name) for h in given]) for name in names},
            _sizes([g for told in known for g in told.gradients]),
            _sizes([told.before for told in known]),
            max(told.case.steps for told in known),
            _least_and_most(map(len, shapes)),
            _least_and_most(map(math.prod, shapes)),
            long,
            unseen,
        )

    def __str__(self) -> str:
        hyper = [f"{name} from {low:g} to {high:g}" for name, (low, high) in self.hyper.items()]
        gradients, parameters = (
            f"{a:.2g} to {b:.2g}" for a, b in (self.gradients, self.parameters)
        )
        long = f" (long runs to {self.long:.2g} of their largest move)" if self.long else ""
        return ", ".join(
            [
                *hyper,
                f"gradients of {gradients}",
                f"parameters of {parameters} with {self.dimensions[0]} to {self.dimensions[1]} "
                f"dimensions and {self.elements[0]:,} to {self.elements[1]:,} elements",
                f"up to {self.steps:,} steps{long}",
            ]
        )

    def to_json(self) -> dict[str, Any]:
        """It as plain data."""
        return vars(self) | {"hyper": dict(self.hyper)}


def _between(values: list[Any]) -> Between:
    return float(min(values)), float(max(values))


def _least_and_most(numbers: Iterable[int]) -> tuple[int, int]:
    some = [*numbers]
    return min(some), max(some)


def _sizes(arrays: list[Any]) -> Between:
    sizes = np.abs(np.concatenate([np.ravel(values) for values in arrays]))
    there = sizes[np.isfinite(sizes) & (sizes > 0)]
    return (float(there.min()), float(there.max())) if there.size else (0.0, 0.0)
