"""Enclosures hold whatever correct rounding gives, and little more.

The adversaries of :mod:`tests.support.adversaries` try to get out: the radius must hold both
(soundness), and the :class:`~tests.support.adversaries.Hull` must fill it (sharpness).
"""

from __future__ import annotations

import math
import random
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracles.harness.arithmetic.enclosure import Enclosure
from oracles.harness.arithmetic.formats import DTYPES, FORMATS, WIDE_EPS
from oracles.harness.cases.case import single
from oracles.harness.oracle import Oracle
from oracles.harness.subjects.subject import Answer
from oracles.harness.verdict import judge
from oracles.optimizers.sgd import RULE, Hyper
from tests.support.adversaries import (
    BINARY_OPERATIONS,
    OPERATIONS,
    WIDTH,
    Hull,
    Machine,
    Tree,
    Undefined,
    enclose,
)
from tests.support.told import Told
from tests.support.witness import BINARY, admits, nearest, rational

F = Fraction
inf, nan = math.inf, math.nan


significands = st.integers(-(2**53), 2**53)
ordinary = st.tuples(significands, st.just(0), st.integers(-3, 4))
extreme = st.tuples(significands, st.sampled_from((0, 1, -1)), st.integers(-2, 4))


def _trees(
    numbers: st.SearchStrategy[tuple[int, int, int]], leaves: int
) -> st.SearchStrategy[Tree]:
    vector = st.tuples(st.just("vector"), st.tuples(*[numbers] * WIDTH))
    constant = st.tuples(st.just("scalar"), st.floats(-4, 4))
    rest = st.tuples(st.just("scalar"), st.floats(0, 1) | st.sampled_from((0.0, 0.5, 0.9, 1.0)))
    scalar = constant | st.tuples(st.sampled_from("+-*"), constant, constant)
    kinds = st.sampled_from("+-*/")

    def extend(tree: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
        reduced = st.tuples(st.just("sum"), tree) | st.tuples(st.just("dot"), tree, vector)
        return st.one_of(
            st.tuples(kinds, tree, tree),
            st.tuples(kinds, scalar, tree),
            st.tuples(kinds, tree, scalar),
            st.tuples(kinds, vector, reduced),
            st.tuples(st.sampled_from(("max", "min")), tree, tree | scalar),
            st.tuples(st.just("lerp"), tree, vector, rest),
            st.tuples(st.sampled_from(("neg", "abs", "square", "exp", "log")), tree),
            st.tuples(st.just("sqrt"), st.tuples(st.sampled_from(("square", "abs")), tree)),
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
                assert not (ball.nonnegative and value < 0)


@pytest.mark.parametrize("numbers", [ordinary, extreme], ids=["ordinary", "extreme"])
def test_no_correct_implementation_leaves_the_enclosure(numbers: Any) -> None:
    tried = Tried()

    @given(_trees(numbers, 6), st.sampled_from(DTYPES), st.integers(0, 2**16))
    def property_(tree: Tree, dtype: str, seed: int) -> None:
        tried.machines(tree, dtype, seed)

    property_()
    assert tried.decided > tried.all / 4  # else the property says little


@pytest.mark.one_in(4)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", OPERATIONS)
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
        rest = ("scalar", choices.choice((0.1, 0.5, 0.9, 1e-5, choices.random())))
        tree = {
            "sum": ("*", vector(), ("sum", vector())),
            "dot": ("*", scalar, ("*", vector(), ("dot", vector(), vector()))),
            "lerp": ("lerp", ("neg", vector()), ("*", scalar, vector()), rest),
            "sqrt": ("sqrt", ("+", vector(), ("square", ("-", vector(), vector())))),
        }.get(kind, (kind, choices.choice((scalar, vector())), vector()))
        if kind in ("exp", "log", "neg", "abs", "square"):
            tree = (kind, vector())
        tried.machines(tree, dtype, choices.randint(0, 99), machines=2)
    assert tried.decided > tried.all / 4


def exact_ball(ball: Enclosure, element: int) -> tuple[Fraction, Fraction] | None:
    """Midpoint and radius, unless the element is undecided."""
    mid, rad = rational(ball.mid[element]), rational(ball.rad[element])
    return (mid, rad) if isinstance(mid, Fraction) and isinstance(rad, Fraction) else None


def _expressions(kinds: str, second: str = "any") -> st.SearchStrategy[Tree]:
    """Trees of what the hull knows; ``second="exact"`` gives products one exact factor."""
    vector = st.tuples(st.just("vector"), st.tuples(*[ordinary] * WIDTH))
    scalar = st.tuples(st.just("scalar"), st.floats(-4, 4, allow_subnormal=False))

    def extend(tree: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
        if second == "exact":
            return st.one_of(
                st.tuples(st.sampled_from("+-"), tree, tree),
                st.tuples(st.just("*"), vector | scalar, tree),
                st.tuples(st.just("neg"), tree),
            )
        return st.one_of(
            st.tuples(st.sampled_from(kinds), tree, tree),
            st.tuples(st.sampled_from(kinds), scalar, tree),
            st.tuples(st.sampled_from(("max", "min")), tree, tree),
            st.tuples(st.sampled_from(("neg", "abs", "square")), tree),
        )

    return st.recursive(vector, extend, max_leaves=8)


@given(_expressions("+-*/"), st.sampled_from(DTYPES))
def test_nothing_within_reach_of_the_model_is_outside(tree: Tree, dtype: str) -> None:
    """Every end of every ball, every rounding to the wrong side: second-order terms included."""
    ball = enclose(tree, dtype)
    for element in range(WIDTH):
        exact = exact_ball(ball, element)
        try:
            low, high = Hull(dtype)(tree, element)
        except Undefined:
            continue
        if exact is not None:
            mid, rad = exact
            assert mid - rad <= low, f"{float(mid - low)} below the midpoint, of {float(rad)}"
            assert high <= mid + rad, f"{float(high - mid)} above the midpoint, of {float(rad)}"


EPS = rational(WIDE_EPS)
assert isinstance(EPS, Fraction)


@pytest.mark.slow
def test_of_a_linear_expression_the_whole_radius_can_be_reached() -> None:
    """The share of the radius that n operations reach is at least (1 - 4nu)/(1 + eps/u)^n.

    Linear in what was rounded before, as an SGD step is. Let both ends of each operand reach ρ of
    its radius. A sum then reaches ρ again; a product with a scalar, of relative radius u, at least
    ρ - u, against a radius that (1 + u) stretches. Rounding adds u|v| at the end v; the nearer one
    may be short of |mid| by the radius: (ρ - u)/(1 + u). That is 4u an operation, to first order
    from above. What remains is what the code adds for its own arithmetic: eps a rounding, of which
    u is expected, and some eps of inflation, which (1 + eps/u) covers. Where something underflows,
    rounding is not proportional to v, and the ends are not alike.
    """
    shares = []

    @given(_expressions("+-*", second="exact"), st.sampled_from(DTYPES))
    def property_(tree: Tree, dtype: str) -> None:
        ball = enclose(tree, dtype)
        u = BINARY[dtype].u
        for element in range(WIDTH):
            hull = Hull(dtype)
            low, high = hull(tree, element)
            exact = exact_ball(ball, element)
            assert exact is not None
            mid, rad = exact
            reached = max(high - mid, mid - low)
            n = hull.operations
            shares.append(not hull.underflows)
            if not hull.underflows:
                assert reached >= rad * (1 - 4 * n * u) / (1 + EPS / u) ** n

    property_()
    assert sum(shares) > len(shares) / 4


@pytest.mark.parametrize("n", [1, 2, 5, 12])
@pytest.mark.parametrize("dtype", DTYPES)
def test_honest_rounding_reaches_nearly_all_of_a_sum_s_radius(dtype: str, n: int) -> None:
    """Adding u to 1, n times: each sum ties back to 1, so the error is nu.

    The radius R is the sum of u(1 + ku + R_{k-1}), hence R <= nu(1 + nu + R) and nu/R is at least
    (1 - nu)/(1 + nu). The code's own eps is covered by one factor of (1 + eps/u).
    """
    to = BINARY[dtype]
    total, value = Enclosure.exact([1.0], FORMATS[dtype]), F(1)
    small = Enclosure.exact([float(to.u)], FORMATS[dtype])
    for _ in range(n):
        total = total + small
        rounded = nearest(value + to.u, to)
        assert isinstance(rounded, Fraction)
        value = rounded
    exact = exact_ball(total, 0)
    assert exact is not None
    mid, rad = exact
    share = abs(value - mid) / rad
    assert value == 1
    assert (1 - n * to.u) / (1 + n * to.u) / (1 + 9 * EPS / to.u) <= share <= 1


@pytest.mark.parametrize("n", [2, 5, 12])
@pytest.mark.parametrize("dtype", DTYPES)
def test_honest_rounding_reaches_most_of_an_accumulation_s_radius(dtype: str, n: int) -> None:
    """The same by ``sum`` and ``matmul``: of n-1, or n, roundings that any order may take.

    From 1 + u + ... + u, left to right, n-1 roundings lose u each. The radius is that many times
    u/(1 - nu) times 1 + (n-1)u; a product is charged one rounding more, which takes nothing from 1,
    and n·eta.
    """
    to = BINARY[dtype]
    terms = Enclosure.exact([1.0] + [float(to.u)] * (n - 1), FORMATS[dtype])
    ones = Enclosure.exact([1.0] * n, FORMATS[dtype])
    lost = (n - 1) * to.u
    total = OPERATIONS["sum"](terms)
    for ball, charged, eta in ((total, n - 1, 0), (terms @ ones, n, n * to.tiny / 2)):
        nu = charged * to.u
        radius = nu / (1 - nu) * (1 + lost) + eta
        exact = exact_ball(Enclosure(ball.mid[None], ball.rad[None], ball.format), 0)
        assert exact is not None
        assert exact[0] == 1 + lost
        assert lost <= exact[1] <= radius * (1 + 9 * EPS / to.u)


def _ball(mid: float, rad: float = 0.0, dtype: str = "float32") -> Enclosure:
    wide = Enclosure.exact([mid], FORMATS[dtype])
    return Enclosure(wide.mid, wide.mid * 0 + rad if math.isfinite(mid) else wide.rad, wide.format)


UNKNOWN = object()
HUGE = float(BINARY["float32"].largest)

BEYOND: list[tuple[str, Enclosure, Enclosure, Any]] = [
    # What IEEE 754 says of exact operands is definite ...
    ("+", _ball(inf), _ball(1), inf),
    ("+", _ball(inf), _ball(-HUGE, 1), inf),
    ("+", _ball(inf), _ball(-inf), nan),
    ("-", _ball(inf), _ball(inf), nan),
    ("*", _ball(inf), _ball(-2), -inf),
    ("*", _ball(inf), _ball(0), nan),
    ("*", _ball(-inf), _ball(3, 1), -inf),
    ("/", _ball(1), _ball(0.0), inf),
    ("/", _ball(1), _ball(-0.0), -inf),
    ("/", _ball(0), _ball(0), nan),
    ("/", _ball(2, 1), _ball(0), inf),
    ("/", _ball(2, 1), _ball(-inf), 0),
    ("/", _ball(inf), _ball(inf), nan),
    ("+", _ball(nan), _ball(2, 1), nan),
    ("*", _ball(nan), _ball(0, 1), nan),
    # ... and so is a sum that overflows on every path.
    ("+", _ball(HUGE), _ball(HUGE), inf),
    ("-", _ball(-HUGE), _ball(HUGE), -inf),
    ("+", _ball(HUGE, dtype="float32"), _ball(HUGE * 2.0**-20), inf),
    # It is unknown where the sign is, where the product may be fused away, or near the edge.
    ("*", _ball(inf), _ball(1, 2), UNKNOWN),
    ("*", _ball(1, 1), _ball(-inf), UNKNOWN),
    ("/", _ball(inf), _ball(0, 1), UNKNOWN),
    ("/", _ball(1), _ball(1, 1), UNKNOWN),
    ("/", _ball(1, 2), _ball(0), UNKNOWN),
    ("/", _ball(0, 1), _ball(0), UNKNOWN),
    ("*", _ball(HUGE), _ball(2), UNKNOWN),
    ("/", _ball(HUGE), _ball(0.5), UNKNOWN),
    ("+", _ball(HUGE), _ball(HUGE * 2.0**-25), UNKNOWN),
    ("+", _ball(65504, dtype="float16"), _ball(65504, dtype="float16"), UNKNOWN),
    ("+", _ball(1, inf), _ball(1), UNKNOWN),
    ("*", _ball(1, inf), _ball(0), UNKNOWN),
    ("/", _ball(1), _ball(1, inf), UNKNOWN),
    ("+", _ball(1, inf), _ball(inf), UNKNOWN),
]


class TestBeyondTheFiniteRange:
    @pytest.mark.parametrize(("kind", "x", "y", "expected"), BEYOND)
    def test_operation(self, kind: str, x: Enclosure, y: Enclosure, expected: Any) -> None:
        if x.format is not y.format:
            y = Enclosure(y.mid, y.rad, x.format)
        result = BINARY_OPERATIONS[kind](x, y)
        assert bool(result.unknown[0]) == (expected is UNKNOWN)
        if expected is not UNKNOWN:
            assert np.array_equal(result.mid, [expected], equal_nan=True)
            assert result.rad == 0

    @pytest.mark.parametrize("reduce", [np.sum, lambda x: x @ x], ids=["sum", "matmul"])
    @pytest.mark.parametrize("value", [inf, nan, HUGE])
    def test_accumulations_decide_nothing(self, reduce: Any, value: float) -> None:
        result = reduce(Enclosure.exact([value, 1.0, value], FORMATS["float32"]))
        assert result.unknown

    @pytest.mark.parametrize("x", [89.0, 1e6, inf, nan])
    def test_exp_may_overflow(self, x: float) -> None:
        assert np.exp(_ball(x)).unknown

    @pytest.mark.parametrize("x", [_ball(0), _ball(1, 1), _ball(-1), _ball(inf), _ball(nan)])
    def test_log_of_what_may_not_be_positive(self, x: Enclosure) -> None:
        assert np.log(x).unknown

    def test_a_definite_value_holds_itself_only(self) -> None:
        values = np.array([inf, -inf, nan, 0.0])
        for x in (inf, -inf, nan):
            ball = _ball(x)
            assert not ball.unknown.any()
            assert list(ball.contains(values)) == [v == x or (v != v and x != x) for v in values]

    def test_a_scalar_that_the_format_cannot_hold_decides_nothing(self) -> None:
        """70000 is inf in float16 and itself in float32, so its half is either."""
        result = Enclosure.exact(70000.0) * _ball(0.5, dtype="float16")
        assert result.unknown.all()

    def test_a_verdict_counts_what_is_unknown(self) -> None:
        """w - γg overflows in float16, or not: inside, but counted as undecided."""
        case = single([60000.0, 1.0], [[-60000.0, 1.0]], Hyper(lr=1.0))
        for first in (inf, 0.0, nan):
            answer = Answer(
                np.array([[first, 0.0]]), {}, {"momentum_buffer": np.zeros((1, 2), bool)}
            )
            verdict = judge(Oracle(RULE, case), Told("float16"), answer)
            assert (verdict.outcome, verdict.elements, verdict.undecided) == ("inside", 2, 1)


class TestMisuse:
    def test_no_truth_value(self) -> None:
        with pytest.raises(TypeError, match="no truth value"):
            bool(Enclosure.exact(1.0))

    def test_two_formats_do_not_meet(self) -> None:
        with pytest.raises(TypeError, match="two formats"):
            _ball(1.0, dtype="float16") + _ball(1.0, dtype="float32")

    def test_float64_arrays_are_no_scalars(self) -> None:
        with pytest.raises(TypeError, match="two formats"):
            _ball(1.0, dtype="float16") + np.array([1.0])

    @pytest.mark.parametrize(
        "operation", [np.cbrt, np.mean, np.add.reduce, lambda x: np.add(x, x, where=True)]
    )
    def test_what_has_no_enclosure_is_refused(self, operation: Any) -> None:
        with pytest.raises(TypeError):
            operation(_ball(1.0))

    def test_nothing_is_changed_in_place(self) -> None:
        x = _ball(1.0)
        with pytest.raises(TypeError):
            x += 1
        assert x.mid == 1
