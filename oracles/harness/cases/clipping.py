"""Gradients to be clipped, as cases."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from hypothesis import strategies as st

from oracles.harness.arithmetic.formats import FloatArray
from oracles.harness.cases.case import LAYOUTS
from oracles.harness.cases.choices import Choices, built
from oracles.harness.cases.strategies import SHAPES

ORDERS = (2.0, 5.0, 1.0, math.inf, 3.0, 0.5, 7.5, 0.0, 2.0, 4.0, -math.inf)
"""Of norms; 2 is torch's default."""

LIMITS = (1.0, 0.5, 4.0, 0.1, 16.0, 1.7, 1000.0, 0.003, 0.0)
"""Of lengths and values; table values are of length 1 to 100."""


@dataclass(frozen=True, eq=False)
class Gradients:
    """What the parameters of a model have for gradients, and how they are to be clipped.

    Attributes:
        arrays: the gradients; None where a parameter has none.
        limit: max_norm, or clip_value.
        order: norm_type.
        given: the length that is handed over, where one is.
        layout: of the gradients in memory.
        listed: positions in the list of parameters that is handed over, if it is another one than
            each parameter once.
    """

    arrays: tuple[FloatArray | None, ...]
    limit: float = 1.0
    order: float = 2.0
    given: float = 1.0
    layout: str = "contiguous"
    listed: tuple[int, ...] | None = None

    def __str__(self) -> str:
        arrays = "; ".join("no gradient" if g is None else _text(g) for g in self.arrays)
        listed = "" if self.listed is None else f", listed {self.listed}"
        how = f"limit={self.limit!r}, order={self.order!r}, given={self.given!r}, {self.layout}"
        return f"{how}{listed}: {arrays}"


def _text(g: FloatArray) -> str:
    return np.array2string(g, threshold=8, separator=", ").replace("\n", "")


def gradients(**fixed: Any) -> st.SearchStrategy[Gradients]:
    """Ordinary numbers; what is fixed is not drawn."""
    return built(lambda choices: Gradients(**(_drawn(choices) | fixed)))


def _drawn(choices: Choices) -> dict[str, Any]:
    arrays, limit = _arrays(choices), choices.pick(LIMITS)
    return {
        "arrays": arrays,
        "limit": limit,
        "order": choices.pick(ORDERS),
        "given": (limit or 1.0) * choices.pick((1.0, 0.25, 3.0, 64.0, 0.7, 17.0, 1.1, 0.0)),
        "layout": choices.pick(LAYOUTS),
    }


def _arrays(choices: Choices) -> tuple[FloatArray | None, ...]:
    """One to five; about one in six is missing, but the first. Mostly the last is a number."""
    count = 1 + choices.index(5)
    shapes = [choices.pick(SHAPES) for _ in range(count)]
    if count > 1 and choices.index(4):
        shapes[-1] = ()
    missing = [i > 0 and choices.index(6) == 1 for i in range(count)]
    return tuple(
        None if none else choices.full_array(shape)
        for none, shape in zip(missing, shapes, strict=True)
    )


def sized(*, small: float = 1.0) -> st.SearchStrategy[Gradients]:
    """Two tensors or three, all of them there, of which a question is to see the length."""

    def build(choices: Choices) -> Gradients:
        shapes = [choices.pick(((2,), (3,), (2, 2), (5,), ())) for _ in range(2 + choices.index(2))]
        arrays = tuple(small * choices.full_array(shape) for shape in shapes)
        limit, given = small * choices.pick(LIMITS[:-1]), small * choices.pick((1.0, 3.0, 0.3))
        return Gradients(arrays, limit, given=given)

    return built(build)


def nonfinite() -> st.SearchStrategy[Gradients]:
    """An infinity or a nan among ordinary numbers, and an order whose length is no number then."""

    def build(choices: Choices) -> Gradients:
        case = Gradients(**_drawn(choices))
        arrays = [g for g in case.arrays if g is None or g.size]
        arrays.append(np.array([1.0, choices.pick((math.inf, -math.inf, math.nan)), -0.5]))
        return Gradients(tuple(arrays), case.limit, max(case.order, 0.0) or 2.0, layout=case.layout)

    return built(build)


def missing() -> st.SearchStrategy[Gradients]:
    """No parameters, or some without a gradient each."""
    return st.builds(Gradients, st.sampled_from(((), (None,), (None, None))), st.just(0.5))


def twice() -> st.SearchStrategy[Gradients]:
    """Lists in which a parameter is there twice, as one is that two modules share."""

    def build(choices: Choices) -> Gradients:
        case = Gradients(**_drawn(choices))
        count = len(case.arrays)
        listed = (*range(count), choices.index(count))
        return Gradients(case.arrays, case.limit, 2.0, layout=case.layout, listed=listed)

    return built(build)


def mentioned(case: Gradients) -> Iterator[Gradients]:
    """The parameter that is there twice, and in its place one that has no gradient."""
    yield case
    last = len(case.arrays)
    yield replace(case, arrays=(*case.arrays, None), listed=(*range(last + 1), last))


@dataclass(frozen=True, eq=False)
class FarOut:
    """Gradients of ordinary numbers, to be asked at another size, which is a dtype's own.

    Attributes:
        ordinary: the same at the size of 1.
        height: which of a dtype's sizes.
    """

    ordinary: Gradients
    height: int

    def __str__(self) -> str:
        return f"times the power of 2 number {self.height} of {dict(EXPONENTS)}; {self.ordinary}"

    def exponent(self, dtype: str) -> int:
        """The power of 2."""
        return EXPONENTS[dtype][self.height]

    def at_size(self, dtype: str) -> Gradients:
        """The gradients, and the limit with them."""
        scale = 2.0 ** self.exponent(dtype)
        arrays = tuple(None if g is None else scale * g for g in self.ordinary.arrays)
        return replace(self.ordinary, arrays=arrays, limit=scale * self.ordinary.limit)


EXPONENTS: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        "float64": (0, 600, -500, 1000),
        "float32": (0, 70, -60, 120),
        "bfloat16": (0, 70, -60, 120),
        "float16": (0, 8, -4, 12),
    }
)
"""Squares of these leave the format in which they are added up, and the numbers do not; but
float16's, which stay within float32. Of those at the last size the length may not be a float16."""


def at_each_height(ordinary: Gradients) -> Iterator[FarOut]:
    """The same numbers at all sizes."""
    return (FarOut(ordinary, height) for height in range(len(EXPONENTS["float64"])))


def far_out() -> st.SearchStrategy[Gradients]:
    """Ordinary numbers that are to be asked at any size a format has."""

    def build(choices: Choices) -> Gradients:
        shapes = [choices.pick(((2,), (3,), ())) for _ in range(2)]
        arrays = tuple(choices.full_array(shape) for shape in shapes)
        limit, order = choices.pick((1.0, 0.1, 64.0)), choices.pick((2.0, 2.0, 3.0, 2.0, 1.0))
        return Gradients(arrays, limit, order)

    return built(build)
