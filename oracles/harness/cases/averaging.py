"""Where a model's parameters go while they are averaged, as cases."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from oracles.harness.arithmetic.formats import FloatArray
from oracles.harness.cases.choices import Choices, built
from oracles.harness.cases.strategies import SHAPES

Point = tuple[FloatArray, ...]
"""A model's tensors."""

DECAYS = (0.5, 0.9, 0.25, 0.99, 0.999, 0.0, 1.0, 0.7)


@dataclass(frozen=True, eq=False)
class Trail:
    """A model's tensors as its average is built, and at each update.

    Attributes:
        points: so many tensors each; every second one is a buffer.
        decay: of an exponential average.
    """

    points: tuple[Point, ...]
    decay: float = 0.5

    def __str__(self) -> str:
        models = [[array.tolist() for array in point] for point in self.points]
        return f"decay={self.decay}, from {models[0]} by {models[1:]}"

    @property
    def updates(self) -> int:
        """How often it is averaged."""
        return len(self.points) - 1


def and_begun(trail: Trail) -> tuple[Trail, Trail]:
    """A trail, and its first update alone."""
    return trail, Trail(trail.points[:2], trail.decay)


def trails() -> st.SearchStrategy[Trail]:
    """One to four tensors, one to five updates."""

    def build(choices: Choices) -> Trail:
        shapes = [choices.pick(SHAPES) for _ in range(1 + choices.index(4))]
        return _walked(choices, shapes, choices.pick((3, 2, 4, 5, 1)), choices.pick(DECAYS))

    return built(build)


def apart() -> st.SearchStrategy[Trail]:
    """Of two tensors, in which ways to average are to be told apart."""

    def build(choices: Choices) -> Trail:
        return _walked(choices, [(2,), (3,)], 3 + choices.index(2), choices.pick(DECAYS[:4]))

    return built(build)


def _walked(choices: Choices, shapes: list[tuple[int, ...]], updates: int, decay: float) -> Trail:
    points = (tuple(choices.full_array(shape) for shape in shapes) for _ in range(updates + 1))
    return Trail(tuple(points), decay)


@dataclass(frozen=True)
class Counters:
    """A whole number that is kept in a buffer, as it is at each update.

    Attributes:
        values: at each update.
        kind: the buffer's dtype.
        decay: of an exponential average.
    """

    values: tuple[int, ...]
    kind: str = "int64"
    decay: float = 0.5


KINDS = ("int64", "int32", "uint8", "int8", "bool")


def counters() -> st.SearchStrategy[Counters]:
    """Numbers that each kind holds; those of bool are 0 and 1."""

    def build(choices: Choices) -> Counters:
        kind, count = choices.pick(KINDS), choices.pick((2, 3, 4, 1))
        most = 2 if kind == "bool" else 100
        values = tuple(choices.index(most) for _ in range(count))
        if choices.yes():
            values = values[:1] * count
        return Counters(values, kind, choices.pick(DECAYS[:5]))

    return built(build)


@dataclass(frozen=True)
class Pull:
    """A parameter that stays at 1, and from some update on at 2.

    Attributes:
        stays: updates at 1.
        decay: of an exponential average.
    """

    stays: int
    decay: float

    def pulls(self, equal: bool) -> int:
        """Updates at 2 that bring an average a quarter of the way, at least."""
        if equal:
            return -(-self.stays // 3)
        count, left = 0, 1.0
        while left > 0.75:
            count, left = count + 1, left * self.decay
        return count


def pulls() -> st.SearchStrategy[Pull]:
    """Slow averages, and some that are not: as few as are asked, so that all of them are."""
    return st.sampled_from((Pull(300, 0.999), Pull(30, 0.99), Pull(3, 0.5), Pull(30, 0.9)))
