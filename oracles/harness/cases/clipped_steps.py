"""Whole steps with clipped gradients, as cases."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from oracles.harness.arithmetic.formats import FloatArray
from oracles.harness.cases.choices import Choices, built
from oracles.loop.clipped_step import Hyper

Arrays = tuple[FloatArray, ...]


@dataclass(frozen=True, eq=False)
class ClippedLoop:
    """A run of a loop: where parameters start, and the gradients of every micro-batch.

    Attributes:
        initial: the parameters.
        windows: by step, micro-batch and parameter.
        hyper: of the loop.
    """

    initial: Arrays
    windows: tuple[tuple[Arrays, ...], ...]
    hyper: Hyper

    def __str__(self) -> str:
        given = ", ".join(f"{name}={value}" for name, value in self.hyper._asdict().items())
        gradients = [[[g.tolist() for g in one] for one in window] for window in self.windows]
        return f"{given}, from {[w.tolist() for w in self.initial]} by {gradients}"


def clipped_loops() -> st.SearchStrategy[ClippedLoop]:
    """Two parameters, two or three steps of one, two or four micro-batches each."""
    return built(_drawn)


def _drawn(choices: Choices) -> ClippedLoop:
    shapes = [choices.pick(((2,), (3,), (1, 2))) for _ in range(2)]
    hyper = Hyper(
        lr=choices.pick((0.5, 0.1, 1.0, 0.03)),
        momentum=choices.pick((0.5, 0.9, 0.5, 0.9, 0.0)),
        weight_decay=choices.pick((0.5, 1.0, 0.1, 0.5, 0.0)),
        max_norm=choices.pick((0.1, 0.5, 1.0, 0.1, 0.5, 0.1, 100.0)),
        scale=choices.pick((8.0, 1.0, 1024.0)),
    )
    steps, parts = choices.pick((3, 2, 3, 3)), choices.pick((2, 1, 4))
    return ClippedLoop(
        tuple(choices.full_array(shape) for shape in shapes),
        tuple(
            tuple(tuple(choices.full_array(shape) for shape in shapes) for _ in range(parts))
            for _ in range(steps)
        ),
        hyper,
    )
