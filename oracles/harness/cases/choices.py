"""Bytes to decisions: a case is drawn as one byte string, and every decision is read from it.

First the structure, then the values through a table sorted from simple to hard. One draw instead of
dozens is cheap, every example is fresh (Hypothesis varies examples whose parts are drawn alike, and
most of its examples would be such variations), and zero bytes are the simplest decisions, so that a
failing case shrinks to one a person can read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeVar

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from oracles.harness.arithmetic.formats import FORMATS, FloatArray
from oracles.harness.cases.case import MIXED, PRECISIONS, Case
from oracles.rule import Rule

T = TypeVar("T")


_SIMPLE = (0, 1, -1, 2, 0.5, -2, -0.5, 3, 4, -3, 1.5, 0.25, 0.1, -0.1, 10, -10)


def _table() -> FloatArray:
    """65,536 values from simple to hard: full-length significands, four decades, both signs."""
    rng = np.random.Generator(np.random.PCG64(20))
    size = 2**16
    magnitude = np.ldexp(rng.uniform(0.5, 1, size), rng.integers(-9, 4, size))
    values: FloatArray = magnitude * rng.choice([-1.0, 1.0], size)
    values[rng.random(size) < 1 / 16] = 0.0
    values[: len(_SIMPLE)] = _SIMPLE
    values[len(_SIMPLE) : 256] = np.round(values[len(_SIMPLE) : 256], 1)
    return values


VALUES = _table()

FULL_LENGTH = VALUES[256:][VALUES[256:] != 0]
"""Those of them that are not simple, and not 0."""


def _edges(*names: str) -> FloatArray:
    """Values at the edge of formats: zero, subnormal, smallest normal, largest, inf, nan.

    Zero is there thrice: where it is the gradient, a subnormal parameter shows that it stays.
    """
    values = [0.0, 1.0, 0.0, -1.0, 0.0, 2.0, np.inf, -np.inf, np.nan]
    for format in map(FORMATS.__getitem__, names):
        tiny, largest = float(2 * format.eta) or 5e-324, float(format.largest)
        normal = tiny / (2 * float(format.u))
        values += [tiny, -tiny, 3 * tiny, normal, -normal * 0.75, largest, -largest, 0.6 * largest]
    return np.array(values)


EDGES = {MIXED: _edges(*FORMATS), **{name: _edges(name) for name in FORMATS}}
"""By precision; where formats are mixed, the edges of all."""


STRUCTURE, CODES = 192, 128
"""Bytes read for decisions, and two-byte codes read for values."""


class Choices:
    """Decisions read from a byte string; beyond its end all of them are the simplest.

    Args:
        raw: the bytes.
        among: the precisions there are to choose from.
    """

    def __init__(self, raw: bytes, among: Sequence[str] = PRECISIONS) -> None:
        self.among = among
        self._raw = raw[:STRUCTURE]
        self._at = 0
        self._codes = np.frombuffer(raw[STRUCTURE:], dtype=">u2").astype(np.int64)
        self._arrays = 0

    def index(self, count: int) -> int:
        """A number below ``count``, at most 65,536; of thousands some come a few percent more."""
        width = 1 if count <= 4 else 2
        raw = self._raw[self._at : self._at + width]
        self._at += width
        return int.from_bytes(raw, "big") % count

    def pick(self, options: Sequence[T]) -> T:
        """One of the options; the first is the simplest."""
        return options[self.index(len(options))]

    def one_in(self, count: int) -> bool:
        """Whether the one case of so many has come; no is simpler."""
        return self.index(count) == count - 1

    def yes(self) -> bool:
        """A coin; no is simpler."""
        return self.one_in(2)

    def codes(self, size: int) -> NDArray[np.int64]:
        """Codes for an array; those that serve again are multiplied apart (0 stays 0).

        Every array has a place of its own, so that one that shrinks leaves the others alone, and
        keeps its last elements: those are simplified last.
        """
        at = 16 * (self._arrays + 1) - size + np.arange(size)
        self._arrays += 1
        return self._codes[at % len(self._codes)] * (2 * (at // 16) + 1) % len(VALUES)

    def array(self, shape: tuple[int, ...]) -> FloatArray:
        """An array of table values."""
        return VALUES[self.codes(math.prod(shape))].reshape(shape)

    def values(self, count: int) -> tuple[float, ...]:
        """Some table values, none of which is 0."""
        return tuple(float(value) or 1.0 for value in self.array((count,)))

    def full_array(self, shape: tuple[int, ...]) -> FloatArray:
        """Full-length values, from a drawn place of those on and another one for each array.

        They are not simple even if nothing hard is drawn: where few cases are asked, the first one,
        which is the simplest, is to show something, too.
        """
        self._arrays += 1
        start = self.index(2**16) + 997 * self._arrays
        values = np.take(FULL_LENGTH, start + np.arange(math.prod(shape)), mode="wrap")
        return values.reshape(shape)

    def edge_array(
        self, shape: tuple[int, ...], precision: str, *, small: bool = False
    ) -> FloatArray:
        """An array of :data:`EDGES` with ordinary values between them.

        A rule that looks at whole parameters is asked ``small`` ones: one large element decides all
        others, and whether its square still counts hangs on what a kernel accumulates in.
        """
        among = EDGES[precision]
        among = among[np.abs(among) <= 1] if small else among
        codes = self.codes(math.prod(shape))
        edges = among[codes % len(among)]
        return np.where(codes % 8 < 5, edges, VALUES[codes]).reshape(shape)


def built(
    build: Callable[[Choices], T], *, among: Sequence[str] = PRECISIONS
) -> st.SearchStrategy[T]:
    """The strategy for whatever a builder makes of choices."""
    size = STRUCTURE + 2 * CODES

    def made(drawn: bytes) -> T:
        return build(Choices(drawn, among))

    # Hypothesis prints the shorter of a value and the call that made it, if that call can be read
    # as Python. What was drawn says nothing to anybody, so this one cannot.
    made.__name__ = "<made>"
    return st.binary(min_size=size, max_size=size).map(made)


def strategy(build: Callable[..., Case]) -> Callable[..., st.SearchStrategy[Case]]:
    """Make of a builder ``(choices, rule, ...) -> Case`` a function that gives its strategy.

    That also takes ``among``, the precisions of whom its cases will be asked.
    """

    @wraps(build)
    def strategy_of(
        rule: Rule, *, among: Sequence[str] = PRECISIONS, **options: Any
    ) -> st.SearchStrategy[Case]:
        return built(lambda choices: build(choices, rule, **options), among=among)

    return strategy_of
