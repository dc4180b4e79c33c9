"""Enclosures hold whatever correct rounding gives, and little more.

Two adversaries share nothing with the code under test; both compute in ``fractions.Fraction``:

* :class:`Machine` is an implementation that rounds honestly and is free in all else: it fuses a
  multiplication into the addition that follows, keeps results of half precision in float32,
  converts scalars early, late or never, and sums in any order;
* :class:`Hull` moves every operation by as much as the model allows, ``u|v| + eta`` either way. As
  each operation occurs once in an expression, interval arithmetic gives exactly what can be reached.

The radius must hold both (soundness), and the hull must fill it (sharpness).
"""

from __future__ import annotations

import math
import operator
import random
from collections.abc import Callable, Sequence
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracles.harness.enclosure import Enclosure
from oracles.harness.formats import DTYPES, FORMATS, WIDE_EPS
from oracles.harness.oracle import Oracle
from oracles.harness.case import single
from oracles.harness.subjects import Answer
from oracles.harness.verdict import judge
from oracles.sgd import RULE, Hyper
from tests.witness import BINARY, Binary, Number, nearest, quantum, rational

F = Fraction
inf, nan = math.inf, math.nan
HALF = ("bfloat16", "float16")

Tree = tuple[Any, ...]
"""``("vector", (x, ...))``, ``("scalar", c)`` or ``(operation, operand, ...)``."""

BINARY_OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
OPERATIONS: dict[str, Callable[..., Any]] = {
    **BINARY_OPERATIONS,
    "neg": operator.neg,
    "exp": np.exp,
    "log": np.log,
    "sum": np.sum,
    "dot": operator.matmul,
}

WIDTH = 3


def enclose(tree: Tree, dtype: str) -> Enclosure:
    """What the code under test says."""
    kind, *parts = tree
    if kind == "vector":
        values = [float(x) for x in _vector(parts[0], dtype)]
        return Enclosure.exact(values, FORMATS[dtype])
    if kind == "scalar":
        return Enclosure.exact(parts[0])
    result: Enclosure = OPERATIONS[kind](*(enclose(part, dtype) for part in parts))
    return result


def _vector(drawn: Sequence[tuple[int, int, int]], dtype: str) -> list[Fraction]:
    """Values ``n/2^53·2^shift``, where zone -1 and 1 begin at the ends of the format's range."""
    to = BINARY[dtype]
    start = {-1: 2 - to.emax - to.precision, 0: 0, 1: to.emax - 3}
    exact = (F(n, 2**53) * F(2) ** (start[zone] + shift) for n, zone, shift in drawn)
    rounded = (nearest(x, to) for x in exact)
    return [x if isinstance(x, Fraction) else to.largest for x in rounded]


def transcendental(kind: str, x: Fraction) -> Fraction:
    """exp or log to fifty digits."""
    fifty = Context(prec=50, Emax=10**6, Emin=-(10**6))
    quotient = fifty.divide(Decimal(x.numerator), Decimal(x.denominator))
    return F(fifty.exp(quotient) if kind == "exp" else fifty.ln(quotient))


class Undefined(ArithmeticError):
    """Division by zero, or a logarithm of what is not positive: signs of zeros are not followed."""


def ieee(kind: str, x: Number, y: Number) -> Number:
    """One operation before rounding; infinities need only the sign of the other operand."""
    if isinstance(x, Fraction) and isinstance(y, Fraction):
        if kind == "/" and y == 0:
            raise Undefined
        exact: Number = BINARY_OPERATIONS[kind](x, y)
        return exact
    signs = (float((v > 0) - (v < 0)) if isinstance(v, Fraction) else v for v in (x, y))
    result = BINARY_OPERATIONS[kind](*signs)
    return F(0) if result == 0 else float(result)


class Machine:
    """One correct implementation: what it rounds to, fuses and converts is its own choice."""

    def __init__(self, dtype: str, choices: random.Random) -> None:
        self.to = BINARY[dtype]
        self.widest = BINARY["float32"] if dtype in HALF else self.to
        self.dtype = dtype
        self.choices = choices

    def __call__(self, tree: Tree) -> list[Number]:
        """What it stores: a vector of values of the format."""
        return [self.rounded(x, self.to) for x in self.vector(tree)]

    def rounded(self, x: Number, to: Binary) -> Number:
        return nearest(x, to) if isinstance(x, Fraction) else x

    def loose(self, x: Number, *, fusible: bool) -> Number:
        """Round to the format, or to the kernel's own, or (a product to be fused) not at all."""
        if fusible and self.choices.random() < 0.3:
            return x
        return self.rounded(x, self.choices.choice((self.to, self.widest)))

    def scalar(self, tree: Tree) -> Fraction:
        """Hyperparameters are float64, and so is what is computed from them."""
        kind, *parts = tree
        if kind == "scalar":
            return F(parts[0])
        x, y = (self.scalar(part) for part in parts)
        exact = F(BINARY_OPERATIONS[kind](x, y))
        rounded = nearest(exact, BINARY["float64"])
        return rounded if isinstance(rounded, Fraction) else exact

    def converted(self, c: Fraction) -> list[Number]:
        if self.dtype == "float64":
            return [c]
        to = self.choices.choice((self.to, BINARY["float32"], BINARY["float64"]))
        return [self.rounded(c, to)]

    def vector(self, tree: Tree) -> list[Number]:
        kind, *parts = tree
        if kind == "vector":
            return list(_vector(parts[0], self.dtype))
        operands = [
            self.converted(self.scalar(p)) if is_scalar(p) else self.vector(p) for p in parts
        ]
        if kind == "neg":
            return [-x for x in operands[0]]
        if kind in ("exp", "log"):
            return [self.function(kind, x) for x in operands[0]]
        if kind == "sum":
            return [self.total(operands[0] * (WIDTH // len(operands[0])))]
        products = self.elementwise("*" if kind == "dot" else kind, *operands)
        return [self.total(products)] if kind == "dot" else products

    def elementwise(self, kind: str, xs: list[Number], ys: list[Number]) -> list[Number]:
        n = max(len(xs), len(ys))
        pairs = zip(xs * (n // len(xs)), ys * (n // len(ys)), strict=True)
        return [self.loose(ieee(kind, x, y), fusible=kind == "*") for x, y in pairs]

    def function(self, kind: str, x: Number) -> Number:
        """Some value of the format within two units in the last place."""
        if not isinstance(x, Fraction) or abs(x) > 20_000 or (kind == "log" and x <= 0):
            raise Undefined
        exact = transcendental(kind, x)
        rounded = nearest(exact, self.to)
        off = self.choices.choice((-1, 0, 1)) * quantum(exact, self.to)
        return self.rounded(rounded + off, self.to) if isinstance(rounded, Fraction) else rounded

    def total(self, terms: list[Number]) -> Number:
        terms = list(terms)
        while len(terms) > 1:
            self.choices.shuffle(terms)
            terms.append(self.loose(ieee("+", terms.pop(), terms.pop()), fusible=False))
        return terms[0]


def is_scalar(tree: Tree) -> bool:
    return tree[0] == "scalar" or (tree[0] != "vector" and all(is_scalar(p) for p in tree[1:]))


def admits(mid: Any, rad: Any, value: Number) -> bool:
    """Containment in exact arithmetic, instead of by the code under test."""
    if np.isinf(rad):
        return True
    middle = rational(mid)
    if isinstance(middle, Fraction) and isinstance(value, Fraction):
        radius = rational(rad)
        assert isinstance(radius, Fraction)
        return abs(value - middle) <= radius
    return not isinstance(middle, Fraction) and not isinstance(value, Fraction)


significands = st.integers(-(2**53), 2**53)
ordinary = st.tuples(significands, st.just(0), st.integers(-3, 4))
extreme = st.tuples(significands, st.sampled_from((0, 1, -1)), st.integers(-2, 4))


def _trees(numbers: st.SearchStrategy[tuple[int, int, int]], leaves: int) -> st.SearchStrategy[Tree]:
    vector = st.tuples(st.just("vector"), st.tuples(*[numbers] * WIDTH))
    constant = st.tuples(st.just("scalar"), st.floats(-4, 4))
    scalar = constant | st.tuples(st.sampled_from("+-*"), constant, constant)
    kinds = st.sampled_from("+-*/")

    def extend(tree: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
        reduced = st.tuples(st.just("sum"), tree) | st.tuples(st.just("dot"), tree, vector)
        return st.one_of(
            st.tuples(kinds, tree, tree),
            st.tuples(kinds, scalar, tree),
            st.tuples(kinds, tree, scalar),
            st.tuples(kinds, vector, reduced),
            st.tuples(st.sampled_from(("neg", "exp", "log")), tree),
        )

    return st.recursive(vector, extend, max_leaves=leaves)


class Tried:
    """How many answers were held against an enclosure, and how many of those it decided."""

    def __init__(self) -> None:
        self.decided = self.all = 0

    def machines(self, tree: Tree, dtype: str, seed: int, machines: int = 4) -> None:
        ball = enclose(tree, dtype)
        choices = random.Random(seed)
        for _ in range(machines):
            try:
                answer = Machine(dtype, choices)(tree)
            except Undefined:
                continue
            for mid, rad, value in zip(ball.mid, ball.rad, answer, strict=True):
                self.all += 1
                self.decided += bool(np.isfinite(rad))
                assert admits(mid, rad, value), f"{value} is not in {mid} ± {rad}"


@pytest.mark.parametrize("numbers", [ordinary, extreme], ids=["ordinary", "extreme"])
def test_no_correct_implementation_leaves_the_enclosure(numbers: Any) -> None:
    tried = Tried()

    @given(_trees(numbers, 6), st.sampled_from(DTYPES), st.integers(0, 2**16))
    def property_(tree: Tree, dtype: str, seed: int) -> None:
        tried.machines(tree, dtype, seed)

    property_()
    assert tried.decided > tried.all / 4  # else the property says little


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", [*BINARY_OPERATIONS, "exp", "log", "sum", "dot"])
def test_no_single_operation_leaves_it(kind: str, dtype: str) -> None:
    """Many seeded operands for each operation, at the ends of the range and in its middle."""
    choices = random.Random(f"{kind} {dtype}")
    tried = Tried()

    def vector() -> Tree:
        zone = choices.choice((0, 0, 0, -1, 1))
        size = 2**53
        return (
            "vector",
            tuple((choices.randint(1, size), zone, choices.randint(-3, 4)) for _ in range(WIDTH)),
        )

    for _ in range(40):
        scalar = ("scalar", choices.uniform(0.01, 4))
        tree = {
            "exp": ("exp", vector()),
            "log": ("log", vector()),
            "sum": ("*", vector(), ("sum", vector())),
            "dot": ("*", scalar, ("*", vector(), ("dot", vector(), vector()))),
        }.get(kind, (kind, choices.choice((scalar, vector())), vector()))
        tried.machines(tree, dtype, choices.randint(0, 99), machines=2)
    assert tried.decided > tried.all / 4
