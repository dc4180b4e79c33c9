"""Who tries to get out of an enclosure: implementations of expressions, in exact arithmetic.

Two adversaries share nothing with the code under test; both compute in ``fractions.Fraction``:

* :class:`Machine` is an implementation that rounds honestly and is free in all else: it fuses a
  multiplication into the addition that follows, keeps results of half precision in float32,
  converts scalars early, late or never, sums in any order and takes any form of a ``lerp``;
* :class:`Hull` moves every operation by as much as the model allows, ``max(u|v|, min(eta, |v|))``
  either way. As each operation occurs once in an expression, interval arithmetic gives exactly
  what is in reach.
"""

from __future__ import annotations

import operator
import random
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from oracles.harness.arithmetic.enclosure import Enclosure
from oracles.harness.arithmetic.formats import FORMATS
from oracles.numerics import lerp
from tests.support.witness import BINARY, Binary, Number, exponential, nearest, quantum, root

F = Fraction
HALF = ("bfloat16", "float16")
WIDTH = 3
ONE = ("scalar", 1.0)

Tree = tuple[Any, ...]
"""``("vector", (x, ...))``, ``("scalar", c)`` or ``(operation, operand, ...)``; the weight of a
``("lerp", start, end, rest)`` is 1 − rest."""

BINARY_OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
OPERATIONS: dict[str, Callable[..., Any]] = {
    **BINARY_OPERATIONS,
    "neg": operator.neg,
    "abs": abs,
    "square": lambda x: x * x,
    "sqrt": np.sqrt,
    "max": np.maximum,
    "min": np.minimum,
    "lerp": lambda start, end, rest: lerp(start, end, 1 - rest),
    "exp": np.exp,
    "log": np.log,
    "sum": np.sum,
    "dot": operator.matmul,
}


def exact(values: Iterable[Number], dtype: str) -> Enclosure:
    """Numbers of a format, of radius 0."""
    return Enclosure.exact([float(v) for v in values], FORMATS[dtype])


def enclose(tree: Tree, dtype: str) -> Enclosure:
    """What the code under test says."""
    kind, *parts = tree
    if kind == "vector":
        return exact(vector(parts[0], dtype), dtype)
    if kind == "scalar":
        return Enclosure.exact(parts[0])
    result: Enclosure = OPERATIONS[kind](*(enclose(part, dtype) for part in parts))
    return result


def vector(drawn: Sequence[tuple[int, int, int]], dtype: str) -> list[Fraction]:
    """Values ``n/2^53·2^shift``, where zone -1 and 1 begin at the ends of the format's range."""
    to = BINARY[dtype]
    start = {-1: 2 - to.emax - to.precision, 0: 0, 1: to.emax - 3}
    exact = (F(n, 2**53) * F(2) ** (start[zone] + shift) for n, zone, shift in drawn)
    rounded = (nearest(x, to) for x in exact)
    return [x if isinstance(x, Fraction) else to.largest for x in rounded]


def is_scalar(tree: Tree) -> bool:
    return tree[0] == "scalar" or (tree[0] != "vector" and all(is_scalar(p) for p in tree[1:]))


class Undefined(ArithmeticError):
    """Division by zero, or a logarithm of what is not positive: signs of zeros are not followed."""


def ieee(kind: str, x: Number, y: Number) -> Number:
    """One operation before rounding; infinities need only the sign of the other operand."""
    if kind == "/" and y == 0:
        raise Undefined
    if isinstance(x, Fraction) and isinstance(y, Fraction):
        exact: Number = BINARY_OPERATIONS[kind](x, y)
        return exact
    signs = (float((v > 0) - (v < 0)) if isinstance(v, Fraction) else v for v in (x, y))
    result = BINARY_OPERATIONS[kind](*signs)
    return F(0) if result == 0 else float(result)


def is_nan(x: Number) -> bool:
    return x != x


class Machine:
    """One correct implementation: what it rounds to, fuses and converts is its own choice."""

    def __init__(self, dtype: str, choices: random.Random) -> None:
        self.to = BINARY[dtype]
        self.widest = BINARY["float32"] if dtype in HALF else self.to
        self.dtype = dtype
        self.choices = choices
        self.functions: dict[str, Callable[[Number], Number]] = {
            "neg": lambda x: -x,
            "abs": lambda x: -x if x < 0 else x,
            "square": lambda x: self.arithmetic("*", x, x),
            "sqrt": self.root,
            "exp": lambda x: self.transcendental("exp", x),
            "log": lambda x: self.transcendental("log", x),
        }

    def __call__(self, tree: Tree) -> list[Number]:
        """What it stores: a vector of values of the format."""
        return [self.rounded(x, self.to) for x in self.vector(tree)]

    def rounded(self, x: Number, to: Binary) -> Number:
        return nearest(x, to) if isinstance(x, Fraction) else x

    def loose(self, x: Number, *, fusible: bool = False) -> Number:
        """Round to the format, or to the kernel's own, or (a product to be fused) not at all."""
        if fusible and self.choices.random() < 0.3:
            return x
        return self.rounded(x, self.choices.choice((self.to, self.widest)))

    def arithmetic(self, kind: str, x: Number, y: Number) -> Number:
        return self.loose(ieee(kind, x, y), fusible=kind == "*")

    def scalar(self, tree: Tree) -> Fraction:
        """Hyperparameters are float64, and so is what is computed from them."""
        kind, *parts = tree
        if kind == "scalar":
            return F(parts[0])
        x, y = (self.scalar(part) for part in parts)
        exact = F(BINARY_OPERATIONS[kind](x, y))
        rounded = nearest(exact, BINARY["float64"])
        return rounded if isinstance(rounded, Fraction) else exact

    def converted(self, c: Fraction) -> Number:
        if self.dtype == "float64":
            return c
        return self.rounded(c, self.choices.choice([self.to, *WIDER]))

    def vector(self, tree: Tree) -> list[Number]:
        kind, *parts = tree
        if kind == "vector":
            return list(vector(parts[0], self.dtype))
        if kind == "lerp":
            return self.lerp(self.vector(parts[0]), self.vector(parts[1]), self.scalar(parts[2]))
        operands = [
            [self.converted(self.scalar(p))] if is_scalar(p) else self.vector(p) for p in parts
        ]
        if kind in self.functions:
            return [self.functions[kind](x) for x in operands[0]]
        if kind == "sum":
            return [self.total(operands[0] * (WIDTH // len(operands[0])))]
        products = self.elementwise("*" if kind == "dot" else kind, *operands)
        return [self.total(products)] if kind == "dot" else products

    def elementwise(self, kind: str, xs: list[Number], ys: list[Number]) -> list[Number]:
        operation = self.extreme if kind in ("max", "min") else self.arithmetic
        return [operation(kind, x, y) for x, y in aligned(xs, ys)]

    def extreme(self, kind: str, x: Any, y: Any) -> Number:
        if is_nan(x) or is_nan(y):
            return np.nan
        result: Number = max(x, y) if kind == "max" else min(x, y)
        return result

    def root(self, x: Number) -> Number:
        if isinstance(x, Fraction) and x >= 0:
            return self.loose(root(x))
        return x if x == np.inf else np.nan

    def transcendental(self, kind: str, x: Number) -> Number:
        """Some value of the format within two units in the last place."""
        if not isinstance(x, Fraction) or abs(x) > 20_000 or (kind == "log" and x <= 0):
            raise Undefined
        exact = exponential(kind, x)
        rounded = nearest(exact, self.to)
        off = self.choices.choice((-1, 0, 1)) * quantum(exact, self.to)
        return self.rounded(rounded + off, self.to) if isinstance(rounded, Fraction) else rounded

    def total(self, terms: list[Number]) -> Number:
        terms = list(terms)
        while len(terms) > 1:
            self.choices.shuffle(terms)
            terms.append(self.loose(ieee("+", terms.pop(), terms.pop())))
        return terms[0]

    def lerp(self, starts: list[Number], ends: list[Number], rest: Fraction) -> list[Number]:
        share = self.scalar(("-", ONE, ("scalar", rest)))
        r, w = self.converted(rest), self.converted(share)
        weighted = self.choices.random() < 0.5
        return [self.mixed(s, e, r, w, weighted=weighted) for s, e in aligned(starts, ends)]

    def mixed(self, s: Number, e: Number, r: Number, w: Number, *, weighted: bool) -> Number:
        do = self.arithmetic
        if weighted:
            return do("+", do("*", r, s), do("*", w, e))
        difference = do("-", e, s)
        if w < F(1, 2):
            return do("+", s, do("*", w, difference))
        return do("-", e, do("*", difference, do("-", F(1), w)))


WIDER = (BINARY["float32"], BINARY["float64"])


def aligned(xs: list[Number], ys: list[Number]) -> list[tuple[Number, Number]]:
    n = max(len(xs), len(ys))
    return list(zip(xs * (n // len(xs)), ys * (n // len(ys)), strict=True))


Interval = tuple[Fraction, Fraction]


class Hull:
    """All that one element of a tree can be if every operation moves by all it may."""

    def __init__(self, dtype: str) -> None:
        self.to = BINARY[dtype]
        self.dtype = dtype
        self.operations = 0
        self.underflows = False

    def __call__(self, tree: Tree, element: int) -> Interval:
        kind, *parts = tree
        if kind == "vector":
            x = vector(parts[0], self.dtype)[element]
            return x, x
        low, high = corners(kind, *(self.operand(p, element) for p in parts))
        if kind in ("neg", "abs", "max", "min"):
            return low, high
        return self.stretched(low, high, self.to.u, self.to.tiny / 2 if kind in PRODUCTS else F(0))

    def operand(self, tree: Tree, element: int) -> Interval:
        if not is_scalar(tree):
            return self(tree, element)
        c = self.scalar(tree)
        if self.dtype == "float64" or (tree[0] == "scalar" and short(tree[1])):
            return c
        return self.stretched(*c, self.to.u, self.to.tiny / 2)

    def scalar(self, tree: Tree) -> Interval:
        kind, *parts = tree
        if kind == "scalar":
            return F(parts[0]), F(parts[0])
        double = BINARY["float64"]
        low, high = corners(kind, *(self.scalar(part) for part in parts))
        return self.stretched(low, high, double.u, double.tiny / 2 if kind == "*" else F(0))

    def stretched(self, low: Fraction, high: Fraction, u: Fraction, eta: Fraction) -> Interval:
        self.operations += 1
        self.underflows |= any(0 < u * abs(x) < eta for x in (low, high))
        below, above = (max(u * abs(x), min(eta, abs(x))) for x in (low, high))
        return low - below, high + above


PRODUCTS = ("*", "/", "square")


def short(c: float) -> bool:
    """Whether all formats hold a number, in exact arithmetic."""
    return all(nearest(F(c), to) == F(c) for to in BINARY.values())


def corners(kind: str, *operands: Interval) -> Interval:
    """Where an operation goes that is monotone in each operand, or falls towards zero and rises."""
    if kind == "/" and operands[1][0] <= 0 <= operands[1][1]:
        raise Undefined
    if kind in ("abs", "square"):
        ends = sorted(abs(x) for x in operands[0])
        low = F(0) if operands[0][0] < 0 < operands[0][1] else ends[0]
        return (low, ends[1]) if kind == "abs" else (low**2, ends[1] ** 2)
    if kind == "neg":
        return -operands[0][1], -operands[0][0]
    if kind in ("max", "min"):
        choose = max if kind == "max" else min
        return choose(x[0] for x in operands), choose(x[1] for x in operands)
    values = [F(BINARY_OPERATIONS[kind](a, b)) for a in operands[0] for b in operands[1]]
    return min(values), max(values)
