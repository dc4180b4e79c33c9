"""What loss scalers are asked beside numbers, as cases: skipped steps, spoilt gradients, scales."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hypothesis import strategies as st

from oracles.harness.cases.choices import Choices, built
from oracles.harness.cases.scaling import DYADIC, SPOILT, Values


@dataclass(frozen=True)
class Skips:
    """Iterations of any optimizer, some of which it must skip.

    Attributes:
        skipped: by iteration, whether it is.
        at: which element of the first parameter's gradient spoils it.
        spoilt: what it is then.
        scale: which multiplies and divides exactly.
        unscale: whether gradients are unscaled in a call of its own.
        values: what parameters and gradients are made of.
        alone: by iteration, whether only the first parameter has a gradient; not at the first,
            since a fused SGD does not take buffers that come later.
    """

    skipped: tuple[bool, ...]
    at: int
    spoilt: float
    scale: float
    unscale: bool
    values: Values
    alone: tuple[bool, ...] = ()

    def __str__(self) -> str:
        told = ", ".join("skipped" if skip else "stepped" for skip in self.skipped)
        how = "unscaled, " if self.unscale else ""
        return f"{how}scale={self.scale}, {self.spoilt} at {self.at}: {told}"


SHAPE = (2, 3)
"""Of parameters that every optimizer takes."""

MEMBERS = 2
"""Parameters of an optimizer that skips."""


def skips() -> st.SearchStrategy[Skips]:
    """Iterations with a skip among them, if not more."""

    def made(draw: Choices) -> Skips:
        count = 3 + draw.index(3)
        certain = (1 + draw.index(count)) % count
        skipped = tuple(draw.yes() or t == certain for t in range(count))
        return Skips(
            skipped,
            draw.index(math.prod(SHAPE)),
            draw.pick(SPOILT),
            draw.pick(DYADIC),
            draw.yes(),
            draw.values(math.prod(SHAPE) * MEMBERS * (1 + len(skipped))),
            tuple(t > 0 and draw.one_in(3) for t in range(len(skipped))),
        )

    return built(made)


@dataclass(frozen=True)
class Found:
    """One gradient with an inf or nan in some place, or with none.

    Attributes:
        size: its elements.
        at: where it is spoilt; None: nowhere.
        spoilt: by what.
        layout: how it lies in memory.
        beside: the dtype of another parameter, with gradients that are finite.
        among: its number among three of its own dtype, of which the others are finite.
    """

    size: int
    at: int | None
    spoilt: float
    layout: str
    beside: str
    among: int

    def __str__(self) -> str:
        what = "finite" if self.at is None else f"{self.spoilt} at {self.at}"
        where = f"beside {self.beside}, number {self.among + 1} of 3"
        return f"{self.size} elements, {self.layout}, {where}: {what}"


NUMBER = "a number"
"""Of no dimension."""

LAYOUTS = ("contiguous", "strided", "transposed", "sparse", "complex", NUMBER)
"""How gradients may lie in memory, or what they may be."""


def found() -> st.SearchStrategy[Found]:
    """Gradients of up to three blocks of the widest registers and a tail."""

    def made(draw: Choices) -> Found:
        layout = draw.pick(LAYOUTS)
        size = 1 if layout == NUMBER else draw.index(2) * 64 + draw.index(70)
        spoilt = size > 0 and not draw.one_in(4)
        at = size - 1 if draw.yes() else draw.index(max(size, 1))
        return Found(
            size,
            at if spoilt else None,
            draw.pick(SPOILT),
            layout,
            draw.pick(("float32", "float64", "bfloat16")),
            draw.index(3),
        )

    return built(made)


@dataclass(frozen=True)
class Extreme:
    """One finite gradient under a scale that is far from 1."""

    scale: float
    gradient: float

    def __str__(self) -> str:
        return f"scale={self.scale}, scaled gradient {self.gradient}"


def extremes() -> st.SearchStrategy[Extreme]:
    """Powers of two in all of float32's range, and 0."""
    powers = [math.ldexp(1.0, n) for n in range(-149, 128)]
    scales = st.sampled_from([0.0, *powers])
    return st.builds(Extreme, scales, st.sampled_from([0.0, *powers, *(-p for p in powers)]))
