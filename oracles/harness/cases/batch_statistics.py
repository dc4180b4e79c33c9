"""One pass over some data, to take the statistics of batch normalization anew, as cases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from oracles.harness.arithmetic.formats import FloatArray
from oracles.harness.cases.choices import Choices, built


@dataclass(frozen=True, eq=False)
class Data:
    """Batches, and what a layer knows before.

    Attributes:
        batches: (rows, channels) each.
        mean, var: by channel.
        tracked: batches that those are of.
        momentum: of the layer; None where each batch counts alike.
    """

    batches: tuple[FloatArray, ...]
    mean: FloatArray
    var: FloatArray
    tracked: int
    momentum: float | None

    def __str__(self) -> str:
        before = f"mean={self.mean.tolist()}, var={self.var.tolist()} of {self.tracked}"
        batches = [batch.tolist() for batch in self.batches]
        return f"momentum={self.momentum}, before: {before}, by {batches}"


def data(*, known_momentum: bool = False) -> st.SearchStrategy[Data]:
    """One to four batches of two to six rows, not all of one size."""

    def build(choices: Choices) -> Data:
        channels = 1 + choices.index(3)
        sizes = [choices.pick((2, 3, 5, 2, 6)) for _ in range(1 + choices.index(4))]
        momentum = choices.pick((0.1, 0.5, 0.9) if known_momentum else (0.1, None, 0.5))
        return Data(
            tuple(choices.full_array((size, channels)) for size in sizes),
            choices.full_array((channels,)),
            np.abs(choices.full_array((channels,))),
            1 + choices.index(5),
            momentum,
        )

    return built(build)


@dataclass(frozen=True)
class Pass:
    """A pass over two batches with a model of four modules.

    Attributes:
        training: whether the model trains, its two normalizations, and another module of it.
        momentum: of the first normalization.
        fails: whether the loader raises instead of giving the second batch.
        layer: the normalization: ``"tracking"`` statistics, ``"bare"`` of them, or ``"none"``.
    """

    training: tuple[bool, bool, bool, bool]
    momentum: float | None
    fails: bool
    layer: str

    @property
    def normalized(self) -> bool:
        """Whether there is a normalization at all."""
        return self.layer != "none"


LAYERS = st.sampled_from(("tracking", "none", "bare"))


def passes() -> st.SearchStrategy[Pass]:
    """All there are; two of three raise nothing and train alike."""
    any_ = st.builds(
        Pass,
        st.tuples(*[st.booleans()] * 4),
        st.sampled_from((0.25, None, 0.1)),
        st.booleans(),
        LAYERS,
    )
    plain = st.builds(
        Pass,
        st.booleans().map(lambda training: (training,) * 4),
        st.sampled_from((0.25, None, 0.1)),
        st.just(False),
        LAYERS,
    )
    return st.one_of(plain, plain, any_)
