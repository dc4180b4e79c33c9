"""What loss scalers are asked beside numbers, as cases: skipped steps, spoilt gradients, scales."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hypothesis import strategies as st

from oracles.harness.cases.scaling import BYTES, DYADIC, SPOILT, Bytes, Values


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
    """

    skipped: tuple[bool, ...]
    at: int
    spoilt: float
    scale: float
    unscale: bool
    values: Values

    def __str__(self) -> str:
        told = ", ".join("skipped" if skip else "stepped" for skip in self.skipped)
        how = "unscaled, " if self.unscale else ""
        return f"{how}scale={self.scale}, {self.spoilt} at {self.at}: {told}"


SHAPE = (2, 3)
"""Of parameters that every optimizer takes."""

MEMBERS = 2
"""Parameters of an optimizer that skips."""


def skips() -> st.SearchStrategy[Skips]:
    """Iterations with skips among them."""

    def made(raw: bytes) -> Skips:
        draw = Bytes(raw)
        skipped = tuple(draw.one_in(2) for _ in range(2 + draw.index(4)))
        return Skips(
            skipped,
            draw.index(math.prod(SHAPE)),
            SPOILT[draw.index(3)],
            DYADIC[draw.index(len(DYADIC))],
            draw.one_in(2),
            draw.values(math.prod(SHAPE) * MEMBERS * (1 + len(skipped))),
        )

    return st.binary(min_size=BYTES, max_size=BYTES).map(made)


@dataclass(frozen=True)
class Found:
    """One gradient with an inf or nan in some place, or with none.

    Attributes:
        size: its elements.
        at: where it is spoilt; None: nowhere.
        spoilt: by what.
        layout: how it lies in memory.
    """

    size: int
    at: int | None
    spoilt: float
    layout: str

    def __str__(self) -> str:
        what = "finite" if self.at is None else f"{self.spoilt} at {self.at}"
        return f"{self.size} elements, {self.layout}: {what}"


LAYOUTS = ("contiguous", "strided", "transposed", "sparse", "complex")
"""How gradients may lie in memory, or what they may be."""


def found() -> st.SearchStrategy[Found]:
    """Gradients of up to three blocks of the widest registers and a tail."""

    def made(raw: bytes) -> Found:
        draw = Bytes(raw)
        size = draw.index(2) * 64 + draw.index(70)
        spoilt = size > 0 and not draw.one_in(3)
        return Found(
            size,
            draw.index(size) if spoilt else None,
            SPOILT[draw.index(3)],
            LAYOUTS[draw.index(len(LAYOUTS))],
        )

    return st.binary(min_size=8, max_size=8).map(made)


@dataclass(frozen=True)
class Extreme:
    """One finite gradient under a scale that is far from 1."""

    scale: float
    gradient: float

    def __str__(self) -> str:
        return f"scale={self.scale}, scaled gradient {self.gradient}"


def extremes() -> st.SearchStrategy[Extreme]:
    """Powers of two in all of float32's range, and 0."""
    powers = st.integers(-149, 127).map(lambda n: math.ldexp(1.0, n))
    return st.builds(
        Extreme,
        st.one_of(powers, st.just(0.0)),
        st.one_of(powers, st.just(0.0), powers.map(float.__neg__)),
    )
