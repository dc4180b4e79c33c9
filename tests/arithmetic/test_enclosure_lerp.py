"""Every form of a lerp stays in its enclosure, whichever way each of its roundings goes.

A form is a polynomial in which every rounding 1 + δ, every entering weight and every end of a ball
occurs to the first power. Such a polynomial has its extremes where all of them do, so trying both
sides of each finds exactly what is in reach.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from oracles.harness.arithmetic.enclosure import Enclosure
from oracles.harness.arithmetic.formats import DTYPES, FLOAT64, FORMATS, TENSOR, WIDE_EPS, Wide
from oracles.numerics import lerp
from tests.support.witness import BINARY, admits, fraction

F = Fraction
inf, nan = math.inf, math.nan
EPS = F(*WIDE_EPS.as_integer_ratio())

each_dtype = pytest.mark.parametrize("dtype", DTYPES)


class Sides:
    """Roundings that err by all they may, each to a given side; weights that enter a kernel."""

    def __init__(self, dtype: str, sides: tuple[int, ...]) -> None:
        self.u = BINARY[dtype].u
        self.scalar_u = F(0) if dtype == "float64" else self.u
        self.sides = iter(sides)

    def rounded(self, x: Fraction) -> Fraction:
        return x * (1 + next(self.sides) * self.u)

    def entered(self, x: Fraction) -> Fraction:
        return x * (1 + next(self.sides) * self.scalar_u)


Form = Callable[[Fraction, Fraction, Fraction, Fraction, Sides], Fraction | None]
"""``(s, e, w, 1 - w, sides)``; None where torch takes another form for the weight that entered."""


def weighted(s: Fraction, e: Fraction, w: Fraction, r: Fraction, by: Sides) -> Fraction:
    return by.rounded(by.rounded(by.entered(r) * s) + by.rounded(by.entered(w) * e))


def forward(s: Fraction, e: Fraction, w: Fraction, r: Fraction, by: Sides) -> Fraction | None:
    share = by.entered(w)
    return by.rounded(s + by.rounded(share * by.rounded(e - s))) if share < F(1, 2) else None


def literal(s: Fraction, e: Fraction, w: Fraction, r: Fraction, by: Sides) -> Fraction | None:
    return by.rounded(s + by.rounded(by.entered(w) * by.rounded(e - s)))


def backward(s: Fraction, e: Fraction, w: Fraction, r: Fraction, by: Sides) -> Fraction | None:
    share = by.entered(w)
    rest = by.rounded(1 - share)
    return by.rounded(e - by.rounded(rest * by.rounded(e - s))) if share >= F(1, 2) else None


ROUNDINGS: dict[Form, int] = {weighted: 5, forward: 4, backward: 5, literal: 4}
TORCH = (weighted, forward, backward)


def reach(
    forms: tuple[Form, ...],
    dtype: str,
    starts: tuple[Fraction, ...],
    ends: tuple[Fraction, ...],
    weights: tuple[tuple[Fraction, Fraction], ...],
) -> Iterator[Fraction]:
    for form in forms:
        for sides in itertools.product((-1, 1), repeat=ROUNDINGS[form]):
            for s, e, (w, r) in itertools.product(starts, ends, weights):
                result = form(s, e, w, r, Sides(dtype, sides))
                if result is not None:
                    yield result


ENDS = [(1.0, 1.0), (1.0, -0.75), (-0.5, 3.0), (0.0, 1.25), (1.5, 0.0)]

SHORT = [0.0, 1.0, 0.25, 0.5, 0.75, 0.99609375]
"""Weights that every format holds, as it holds 1 - w: nothing is lost as they enter."""

LONG = [0.1, 0.001, 0.4, 0.499999, 0.500001, 0.6, 0.9, 0.999]


def one_ball(mid: float, rad: float, dtype: str) -> Enclosure:
    return Enclosure(np.array([mid], dtype=Wide), np.array([rad], dtype=Wide), FORMATS[dtype])


def undecided_form(w: float) -> bool:
    """Whether a weight may enter on either side of 1/2, so that both forms are charged."""
    return 0.49 < w < 0.51 and w != 0.5


@pytest.mark.one_in(3)
@each_dtype
@pytest.mark.parametrize("w", LONG)
@pytest.mark.parametrize("forms", [TORCH, (literal,)], ids=["torch", "literal"])
def test_of_exact_ends(dtype: str, w: float, forms: tuple[Form, ...]) -> None:
    """Everything in reach is inside, and reaches the radius but for products of roundings.

    Those are fewer than ten times u relatively; ``eta`` and the code's own roundings are the rest.
    """
    to = BINARY[dtype]
    for s, e in ENDS:
        start, end = one_ball(s, 0, dtype), one_ball(e, 0, dtype)
        ball = lerp(start, end, w, literal=forms == (literal,))
        mid, rad = fraction(ball.mid[0]), fraction(ball.rad[0])
        assert abs(mid - (F(s) + F(w) * (F(e) - F(s)))) <= 4 * EPS * max(abs(s), abs(e))
        results = list(reach(forms, dtype, (F(s),), (F(e),), ((F(w), 1 - F(w)),)))
        farthest = max(abs(x - mid) for x in results)
        assert farthest <= rad
        if not undecided_form(w) or forms == (literal,):
            assert farthest >= (rad - 2 * to.tiny) * (1 - 10 * to.u) / (1 + 32 * EPS / to.u)


@each_dtype
@pytest.mark.parametrize("w", SHORT)
def test_short_weights_enter_exactly(dtype: str, w: float) -> None:
    """The weighted sum rounds a product of each end, and their sum; no weight."""
    u = BINARY[dtype].u
    for s, e in ENDS:
        ball = lerp(one_ball(s, 0, dtype), one_ball(e, 0, dtype), w)
        difference = abs(F(e) - F(s))
        forms = [u * (abs((1 - F(w)) * F(s)) + abs(F(w) * F(e)))]
        forms += [2 * u * F(w) * difference] if w < 0.5 else [3 * u * (1 - F(w)) * difference]
        rad = max(forms) + u * abs(fraction(ball.mid[0])) + 2 * BINARY[dtype].tiny
        assert fraction(ball.rad[0]) <= rad * (1 + 10 * u) * (1 + 32 * EPS / u)


@pytest.mark.one_in(3)
@each_dtype
@pytest.mark.parametrize("w", [0.1, 0.499999, 0.6, 0.999])
@pytest.mark.parametrize("forms", [TORCH, (literal,)], ids=["torch", "literal"])
def test_of_balls(dtype: str, w: float, forms: tuple[Form, ...]) -> None:
    """Ends with radii, and a weight that was computed."""
    s, e = one_ball(1.0, 2.0**-5, dtype), one_ball(-0.75, 2.0**-4, dtype)
    off = F(1, 2**9)
    weight = Enclosure(Wide(w), Wide(2.0**-9), FLOAT64, nonnegative=True)
    ball = lerp(s, e, weight, literal=forms == (literal,))
    starts, ends = (F(31, 32), F(33, 32)), (F(-13, 16), F(-11, 16))
    weights = tuple((F(w) + x, 1 - F(w) - x) for x in (-off, off))
    results = list(reach(forms, dtype, starts, ends, weights))
    mid, rad = fraction(ball.mid[0]), fraction(ball.rad[0])
    farthest = max(abs(x - mid) for x in results)
    assert farthest <= rad
    if not undecided_form(w):
        assert farthest >= rad * (1 - F(1, 8))  # products of radii are up to 1/16 of them


@each_dtype
@pytest.mark.parametrize("tensor", [0.1, 0.9, 0.999])
def test_a_tensor_s_weight(dtype: str, tensor: float) -> None:
    """1 - β of a float32 tensor, which a kernel of another dtype converts."""
    beta = Enclosure.tensor(tensor)
    weight = 1 - beta
    assert weight.format is TENSOR
    ball = lerp(one_ball(1.5, 0, dtype), one_ball(-0.75, 0, dtype), weight)
    share, off = fraction(weight.mid), fraction(weight.rad)
    weights = tuple((share + x, 1 - share - x) for x in (-off, off))
    for x in reach(TORCH, dtype, (F(3, 2),), (F(-3, 4),), weights):
        assert admits(ball.mid[0], ball.rad[0], x)


@each_dtype
def test_the_rule_of_plain_numbers_is_the_midpoint(dtype: str) -> None:
    for (s, e), w in itertools.product(ENDS, (0.25, 0.75)):
        ball = lerp(one_ball(s, 0, dtype), one_ball(e, 0, dtype), w)
        assert fraction(ball.mid[0]) == lerp(F(s), F(e), F(w))


@each_dtype
def test_whole_weights_round_nothing(dtype: str) -> None:
    """But for the literal form, which takes the start from the end and adds it again."""
    start, end = one_ball(1.5, 2.0**-5, dtype), one_ball(-0.1, 2.0**-6, dtype)
    assert lerp(start, end, 0).rad == lerp(start, end, 0, literal=True).rad == start.rad
    assert lerp(start, end, 1).rad == end.rad
    assert lerp(start, end, 1, literal=True).rad > end.rad + 2 * FORMATS[dtype].u
    assert lerp(start, end, 1).mid == end.mid
    assert lerp(start, end, 0).mid == start.mid


@each_dtype
def test_zeros_are_exact(dtype: str) -> None:
    zero = one_ball(0, 0, dtype)
    assert lerp(zero, zero, 0.1).rad == 0


@each_dtype
@pytest.mark.parametrize("w", [0.1, 0.9])
@pytest.mark.parametrize("is_literal", [False, True])
def test_products_that_underflow(dtype: str, w: float, is_literal: bool) -> None:
    """Of three times the smallest number a product is rounded to a multiple of it.

    The radius holds two such products, next to ten roundings of less than the three.
    """
    to = BINARY[dtype]
    ball = lerp(
        one_ball(0, 0, dtype), one_ball(float(3 * to.tiny), 0, dtype), w, literal=is_literal
    )
    for n in range(4):
        if abs(n - 3 * w) <= 0.5:
            assert admits(ball.mid[0], ball.rad[0], n * to.tiny)
    assert fraction(ball.rad[0]) <= to.tiny * (1 + 30 * to.u)


@each_dtype
def test_two_products_that_underflow(dtype: str) -> None:
    """3/4 · 2 and 1/4 · 6 times the smallest number are 2 of them each, and 4 together, not 3."""
    to = BINARY[dtype]
    start, end = (one_ball(float(n * to.tiny), 0, dtype) for n in (2, 6))
    ball = lerp(start, end, 0.25)
    assert admits(ball.mid[0], ball.rad[0], 4 * to.tiny)


class TestNonnegative:
    """Between numbers without sign there are only such, if the weight is a share of 1."""

    def test_shares(self) -> None:
        zero: Any = np.zeros_like(one_ball(0, 0, "float32"))
        square = one_ball(2, 0, "float32")
        square = square * square
        for w in (0, 0.1, 1 - Enclosure.exact(0.999), 1):
            assert lerp(zero, square, w).nonnegative
            assert lerp(square, zero, w, literal=True).nonnegative

    @pytest.mark.parametrize(
        "weight",
        [-0.1, 1.1, Enclosure(Wide(0.9999999), Wide(1e-6), FLOAT64, nonnegative=True)],
        ids=["negative", "large", "around 1"],
    )
    def test_what_may_be_none(self, weight: Any) -> None:
        zero: Any = np.zeros_like(one_ball(0, 0, "float32"))
        square = one_ball(2, 0, "float32")
        square = square * square
        assert not lerp(zero, square, weight).nonnegative

    def test_ends_with_signs(self) -> None:
        square, end = one_ball(2, 0, "float32"), one_ball(2, 0, "float32")
        square = square * square
        assert not lerp(square, end, 0.1).nonnegative
        assert not lerp(end, square, 0.1).nonnegative


UNKNOWN = object()
HUGE = float(BINARY["float32"].largest)

BEYOND: list[tuple[float, float, Any, bool, Any]] = [
    # All forms agree on an infinite end, and on nan, ...
    (1.0, inf, 0.1, False, inf),
    (1.0, -inf, 0.25, False, -inf),
    (1.0, -inf, 0.75, True, -inf),
    (nan, 1.0, 0.1, False, nan),
    (1.0, nan, 0.9, False, nan),
    (inf, nan, 0.5, False, nan),
    # ... but one gives nan for an end that has its weight subtracted,
    (1.0, inf, 0.9, False, UNKNOWN),
    (1.0, inf, 0.5, False, UNKNOWN),
    # for an infinite start, or two,
    (inf, 1.0, 0.1, False, UNKNOWN),
    (inf, inf, 0.1, False, UNKNOWN),
    # for a weight that may be zero by then, or negative, or no number.
    (1.0, inf, 0.0, False, UNKNOWN),
    (1.0, inf, 1e-8, False, UNKNOWN),
    (1.0, inf, -0.25, False, UNKNOWN),
    (1.0, inf, nan, False, UNKNOWN),
    (1.0, 2.0, nan, False, UNKNOWN),
    (1.0, 2.0, inf, False, UNKNOWN),
    # Differences, and products with weights above 1, may overflow.
    (HUGE, -HUGE, 0.25, True, UNKNOWN),
    (HUGE / 4, HUGE / 4, 4.0, False, UNKNOWN),
    (HUGE / 4, HUGE / 4, 0.25, False, HUGE / 4),
    (1.0, 2.0, 1e5, False, UNKNOWN),
]


@pytest.mark.parametrize(
    ("s", "e", "w", "is_literal", "expected"),
    BEYOND,
    ids=lambda x: f"{x:.3g}" if isinstance(x, float) else None,
)
def test_beyond_the_finite_range(
    s: float, e: float, w: Any, is_literal: bool, expected: Any
) -> None:
    start = Enclosure.exact([s, 1.0], FORMATS["float32"])
    end = Enclosure.exact([e, 1.0], FORMATS["float32"])
    ball = lerp(start, end, w, literal=is_literal)
    assert bool(ball.unknown[0]) == (expected is UNKNOWN)
    if expected is not UNKNOWN:
        assert np.array_equal(ball.mid[0], expected, equal_nan=True)
        assert ball.rad[0] == 0 or math.isfinite(expected)
    if w == 0.1:  # a neighbour keeps its own
        assert ball.mid[1] == 1
        assert 0 < ball.rad[1] < 2**-20


@pytest.mark.parametrize("mid", [1.0, inf, nan])
def test_unknown_ends_and_weights_stay_unknown(mid: float) -> None:
    unknown, known = one_ball(mid, inf, "float32"), one_ball(1, 0, "float32")
    assert lerp(unknown, known, 0.1).unknown
    assert lerp(known, unknown, 0.1).unknown
    weight = Enclosure(Wide(0.25), Wide(inf), FLOAT64)
    assert lerp(known, one_ball(inf, 0, "float32"), weight).unknown
    assert lerp(known, known, weight).unknown


@pytest.mark.parametrize("weight", [1e-7, 3e-7, 1e-6, 5e-5])
@pytest.mark.parametrize("end", [50.0, 999.0, 60000.0])
def test_a_subnormal_weight_of_distant_ends(weight: float, end: float) -> None:
    """It loses digits as it enters a float16 kernel, which the distance magnifies."""
    kernel = np.float16(weight) * np.float16(end)
    ball = lerp(one_ball(0.0, 0.0, "float16"), one_ball(end, 0.0, "float16"), weight)
    assert ball.contains(np.array([np.float64(kernel)])).all()
