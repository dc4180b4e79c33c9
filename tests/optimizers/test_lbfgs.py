"""The second witness of ``optimizers/lbfgs.py``: hand-worked numbers, conjugate gradients.

Nothing here runs two loops. The matrix H, which the rule never forms, is formed here, by the
product formula (7.19) of Nocedal & Wright, *Numerical Optimization*, 2nd ed.; on quadratics the
path is that of conjugate gradients. Numbers are rational and exact, roots too: cases are made so.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from oracles.harness.arithmetic.enclosure import Enclosure
from oracles.harness.arithmetic.formats import FLOAT64
from oracles.optimizers.lbfgs import (
    RULE,
    TORCH,
    Hyper,
    Point,
    Trial,
    call,
    direction,
    largest,
    minimizer,
    search,
)
from tests.support.searches import SEARCHES, Search, Spot

F = Fraction
Vector = Any
"""An object array of fractions."""

PLAIN = Hyper(lr=F(1), max_iter=1, tolerance_grad=F(0), tolerance_change=F(0))
"""Without tolerances, which are asked by themselves."""

HALF = PLAIN._replace(lr=F(1, 2))

NAMES = [convention.name for convention in RULE.conventions]


def vector(*values: Any) -> Vector:
    return np.array([F(v) for v in values], dtype=object)


class Exact(Fraction):
    """A fraction with a root, which must be rational."""

    def sqrt(self) -> Exact:
        root = Exact(math.isqrt(self.numerator), math.isqrt(self.denominator))
        assert root * root == self, f"{self} has no rational root"
        return root


def _closed(name: str) -> Callable[..., Any]:
    plain = getattr(Fraction, name)

    def method(*values: Any) -> Any:
        found = plain(*values)
        return found if found is NotImplemented else Exact(found)

    return method


for _name in ("add", "sub", "mul", "truediv"):
    for _side in ("", "r"):
        setattr(Exact, f"__{_side}{_name}__", _closed(f"__{_side}{_name}__"))
for _name in ("__neg__", "__abs__"):
    setattr(Exact, _name, _closed(_name))


def path(
    name: str, start: Vector, gradients: Sequence[Vector], schedule: Sequence[Hyper]
) -> list[list[Fraction]]:
    """Where a convention is after each gradient."""
    steps = RULE.run(RULE.convention(name), start, gradients, schedule)
    return [w.tolist() for w, _ in steps]


# --- By hand ------------------------------------------------------------------------------------

# γ = 1/2, from the origin, gradients (2, 0), (1, −1), (0, −1).
#   d = (−2, 0)         t = 1/2·1/2                w = (−1/2, 0)
#   y = (−1, −1)        s = (−1/2, 0)              yᵀs = 1/2     ρ = 2     h = 1/4
#   q = (−1, 1)         a = 2·1/2 = 1              q = (0, 2)
#   d = (0, 1/2)        b = 2·(−1/2) = −1          d = (0, 1/2) + 2s = (−1, 1/2)
#                                                  w = (−1/2, 0) + d/2 = (−1, 1/4)
#   y = (−1, 0)         s = (−1/2, 1/4)            yᵀs = 1/2     ρ = 2     h = 1/2
#   q = (0, 1)          a₂ = 2·1/4 = 1/2           q = (1/2, 1)
#                       a₁ = 2·(−1/4) = −1/2       q = (1/2, 1) + (−1, −1)/2 = (0, 1/2)
#   d = (0, 1/4)        b₁ = 2·(−1/4) = −1/2       d = (0, 1/4) + 0 s₁
#                       b₂ = 0                     d = (0, 1/4) + s₂/2 = (−1/4, 3/8)
#                                                  w = (−1, 1/4) + d/2 = (−9/8, 7/16)
GRADIENTS = [vector(2, 0), vector(1, -1), vector(0, -1)]
ORIGIN = vector(0, 0)


class IterationCase(NamedTuple):
    """Where a convention and torch are in the end, after these gradients."""

    own: Vector
    torch: Vector
    gradients: Sequence[Vector] = GRADIENTS
    h: Hyper = HALF


THREE = vector(F(-9, 8), F(7, 16))
ALONE = vector(F(-9, 8), F(5, 8))

EPS = F(1, 2**20)

HAND: dict[str, IterationCase] = {
    TORCH.name: IterationCase(THREE, THREE),
    # All lengths are twice as long, and so is the path.
    "first_step_full": IterationCase(vector(F(-9, 4), F(7, 8)), THREE),
    # t = 1/4, w = (−3/4, 1/8); s = (−1/4, 1/8), ρ = 4, h = 1/4; a₂ = 1/2, a₁ = −1/2, q = (0, 1/2),
    # d = (0, 1/8), b₁ = −1/4, d = (1/8, 1/8), b₂ = −1/2, d = (−1/8, 1/4); t = 1/2 as ‖g‖₁ = 1.
    "every_step_shortened": IterationCase(vector(F(-13, 16), F(1, 4)), THREE),
    # w = (−3/2, 1/2); s = (−1, 1/2), ρ = 1, h = 1; q = (0, 1/2), d = (0, 1/2), b₁ = −1,
    # d = (−1/4, 1/2), b₂ = 1/4, d = (−1/4, 1/2) + (−1, 1/2)/4 = (−1/2, 5/8).
    "lr_at_first_only": IterationCase(vector(-2, F(9, 8)), THREE),
    # d = (0, 2), b = −4, d = (−5/2, 2), w = (−7/4, 1); s = (−5/4, 1), ρ = 4/5, a₂ = 4/5,
    # q = (4/5, 1), a₁ = −4/5, q = (0, 1/5) = d, b₁ = −2/5, d = (1/5, 1/5), b₂ = −4/25,
    # d = (1/5, 1/5) + 24/25·(−5/4, 1) = (−1, 29/25).
    "identity": IterationCase(vector(F(-9, 4), F(79, 50)), THREE),
    # d = (0, 1/8), b₁ = −1/4, d = (1/8, 1/8), b₂ = −1/4, d = (1/8, 1/8) + 3/4 s₂ = (−1/4, 5/16).
    "first_scale_for_ever": IterationCase(vector(F(-9, 8), F(13, 32)), THREE),
    # h = 1/4 : 1/2; d = (0, 1), b = −2, d = (−3/2, 1), w = (−5/4, 1/2); s = (−3/4, 1/2), ρ = 4/3,
    # h = 13/16 : 3/4; a₂ = 2/3, q = (2/3, 1), a₁ = −2/3, q = (0, 1/3), d = (0, 13/36), b₁ = −13/18,
    # d = (−1/36, 13/36), b₂ = 1/27, d = (−1/36, 13/36) + 17/27 s₂ = (−1/2, 73/108).
    "long_scale": IterationCase(vector(F(-3, 2), F(181, 216)), THREE),
    # a₁ = 0, a₂ = 1/2, q = (1/2, 1), d = (1/4, 1/2), b₂ = −1/2, d = (−1/4, 3/4), b₁ = −1,
    # d = (−1/4, 3/4) + s₁ = (−3/4, 3/4).
    "oldest_pair_first": IterationCase(vector(F(-11, 8), F(5, 8)), THREE),
    # One pair: q = (1/2, 1), d = (1/4, 1/2), b₂ = −1/2, d = (1/4, 1/2) + s₂ = (−1/4, 3/4).
    "history_longer": IterationCase(THREE, ALONE, h=HALF._replace(history_size=1)),
    "history_shorter": IterationCase(ALONE, THREE, h=HALF._replace(history_size=2)),
    # y = (−1/2, 0), s = (−1, −1), h = 2; a = 0, d = (−2, 2), b = 2, d = (0, 4), w = (−1/2, 2).
    # The next pair has (0, 2)ᵀ(−1, 0) = 0; a = −2, q = (−1, 1), d = (−2, 2), b = 2, d = (2, 6).
    "roles_exchanged": IterationCase(vector(F(1, 2), 5), THREE),
    # s = (−2, 0), ρ = 1/2, h = 1; q = (0, 2) = d, b = −1, d = (−4, 2), w = (−5/2, 1);
    # s = (−4, 2), ρ = 1/4, h = 4; a₂ = 1/2, a₁ = −1/2, q = (0, 1/2), d = (0, 2), b₁ = −1,
    # d = (−1, 2), b₂ = 1/4, d = (−1, 2) + s₂/4 = (−2, 5/2).
    "direction_for_step": IterationCase(vector(F(-7, 2), F(9, 4)), THREE),
    # Gradient (2, −1) at last: y = (1, 0), yᵀs = −1/2. torch refuses it, and a = 2, q = (0, 3),
    # d = (0, 3/4), b = −3/2, d = (0, 3/4) + 7/2 s₁ = (−7/4, 3/4). With it d would be (5/4, −5/8),
    # uphill, gᵀd = 25/8: nothing moves.
    "curvature_unasked": IterationCase(
        vector(-1, F(1, 4)), vector(F(-15, 8), F(5, 8)), [*GRADIENTS[:2], vector(2, -1)]
    ),
    # ε = 2⁻²⁰, gradients 2ε and 3ε/2: w = −ε, yᵀs = ε²/2 < 1e-10, so torch has d = −3ε/2; with the
    # pair, d = −3ε/2·s/y = −3ε.
    "curvature_relative": IterationCase(
        vector(F(-5, 2) * EPS), vector(F(-7, 4) * EPS), [vector(2 * EPS), vector(F(3, 2) * EPS)]
    ),
}

ROOTED = {"first_step_euclidean", "first_step_uncapped"}
"""Conventions with a root, which have a test of their own."""


class TestByHand:
    @pytest.mark.parametrize("name", [n for n in NAMES if n not in ROOTED])
    def test_convention(self, name: str) -> None:
        """A convention without a case here is an error, by its name."""
        own, torch, gradients, h = HAND[name]
        schedule = [h] * len(gradients)
        start = np.zeros_like(gradients[0]) + F(0)
        assert path(name, start, gradients, schedule)[-1] == own.tolist()
        assert path(TORCH.name, start, gradients, schedule)[-1] == torch.tolist()
        assert (own.tolist() == torch.tolist()) == (name == TORCH.name)

    def test_no_case_is_left_over(self) -> None:
        assert set(HAND) | ROOTED == set(NAMES)

    @pytest.mark.parametrize(
        ("g", "torch", "euclidean", "uncapped"),
        [
            ((3, 4), F(1, 14), F(1, 10), F(1, 10)),  # ‖g‖₁ = 7, ‖g‖₂ = 5
            ((F(3, 10), F(4, 10)), F(1, 2), F(1, 2), F(1)),  # 7/10 and 1/2
        ],
    )
    def test_first_lengths(self, g: Any, torch: F, euclidean: F, uncapped: F) -> None:
        lengths = {
            TORCH.name: torch,
            "first_step_euclidean": euclidean,
            "first_step_uncapped": uncapped,
        }
        gradient = np.array([Exact(v) for v in g], dtype=object)
        for name, length in lengths.items():
            ((w, _),) = RULE.run(RULE.convention(name), 0 * gradient, [gradient], [HALF])
            assert w.tolist() == (-length * gradient).tolist(), name

    def test_state_after_three_steps(self) -> None:
        *_, (_, state) = RULE.run(TORCH, ORIGIN, GRADIENTS, [HALF] * 3)
        assert state["d"].tolist() == [F(-1, 4), F(3, 8)]
        assert [y.tolist() for y in state["old_dirs"]] == [[-1, -1], [-1, 0]]
        assert [s.tolist() for s in state["old_stps"]] == [[F(-1, 2), 0], [F(-1, 2), F(1, 4)]]
        assert (state["ro"], state["H_diag"], state["t"]) == ((2, 2), F(1, 2), F(1, 2))
        assert (state["n_iter"], state["func_evals"]) == (3, 3)
        assert state["prev_flat_grad"] is GRADIENTS[-1]

    def test_ascent_is_the_same_up_to_the_sign_of_all_gradients(self) -> None:
        upward = [HALF._replace(maximize=True)] * 3
        assert path(TORCH.name, ORIGIN, [-g for g in GRADIENTS], upward)[-1] == THREE.tolist()

    def test_a_rate_that_changes_scales_its_own_step_only(self) -> None:
        """γ = 1 at the second step: w = (−1/2, 0) + (−1, 1/2).

        Then γ = 1/2 and, as worked for lr_at_first_only, d = (−1/2, 5/8).
        """
        schedule = [HALF, PLAIN, HALF]
        got = path(TORCH.name, ORIGIN, GRADIENTS, schedule)
        assert got[1:] == [[F(-3, 2), F(1, 2)], [F(-7, 4), F(13, 16)]]

    def test_a_flat_gradient_is_looked_at_and_no_more(self) -> None:
        h = HALF._replace(tolerance_grad=F(2))
        (w, state), (later, after) = RULE.run(TORCH, ORIGIN, [GRADIENTS[0], vector(3, 0)], [h, h])
        assert (w.tolist(), state) == ([0, 0], {"n_iter": 0, "func_evals": 1})
        assert later.tolist() == [F(-1, 2), 0]  # the first iteration is this one: t = 1/6
        assert (after["n_iter"], after["func_evals"], after["t"]) == (1, 2, F(1, 6))

    def test_a_step_that_is_not_worth_it_is_remembered_as_taken(self) -> None:
        """gᵀd = −4 > −5, so w stays; d = (−2, 0) and t = 1/4 enter the memory all the same."""
        patient = HALF._replace(tolerance_change=F(5))
        first, second = RULE.run(TORCH, ORIGIN, GRADIENTS[:2], [patient, HALF])
        assert first[0].tolist() == [0, 0]
        assert second[1]["old_stps"][0].tolist() == [F(-1, 2), 0]
        assert second[0].tolist() == [F(-1, 2), F(1, 4)]  # the d worked above, from the origin


# --- The matrix ---------------------------------------------------------------------------------

small = st.sampled_from([F(n, d) for n in range(-6, 7) for d in (1, 2)])


def gradients(size: int) -> st.SearchStrategy[list[Vector]]:
    one = st.lists(small, min_size=size, max_size=size).filter(any).map(lambda g: vector(*g))
    return st.lists(one, min_size=2, max_size=5)


def outer(x: Vector, y: Vector) -> Vector:
    return x[:, None] * y[None, :]


def eye(size: int) -> Vector:
    return np.array([[F(int(i == j)) for j in range(size)] for i in range(size)], dtype=object)


def matrices(
    points: Sequence[Vector], gradients: Sequence[Vector], memory: int
) -> Iterator[Vector]:
    """H before each step but the first one, from where the parameters were, not from directions.

    H = hI,   then for each pair, oldest first:   H = (I − ρsyᵀ)H(I − ρysᵀ) + ρssᵀ
    """
    one = eye(len(points[0]))
    pairs: list[tuple[Vector, Vector]] = []
    for k in range(1, len(gradients)):
        s, y = points[k] - points[k - 1], gradients[k] - gradients[k - 1]
        if s @ y > F(1, 10**10):
            pairs = [*pairs, (s, y)][-memory:]
        scale = pairs[-1][0] @ pairs[-1][1] / (pairs[-1][1] @ pairs[-1][1]) if pairs else F(1)
        h = one * scale
        for s, y in pairs:
            rho = 1 / (s @ y)
            h = (one - rho * outer(s, y)) @ h @ (one - rho * outer(y, s)) + rho * outer(s, s)
        yield h


class TestMatrix:
    @given(st.integers(1, 3).flatmap(gradients), st.integers(1, 4))
    def test_the_loops_multiply_by_it(self, given: list[Vector], memory: int) -> None:
        h = HALF._replace(history_size=memory)
        start = 0 * given[0]
        run = list(RULE.run(TORCH, start, given, [h] * len(given)))
        points = [start, *(w for w, _ in run)]
        for k, matrix in enumerate(matrices(points, given, memory), start=1):
            d = -(matrix @ given[k])
            assert run[k][1]["d"].tolist() == d.tolist()
            assert run[k][0].tolist() == (points[k] + d / 2).tolist()
            assert d @ given[k] < 0  # H is positive definite, because every pair bends upwards

    @given(gradients(3))
    def test_it_takes_the_last_change_of_gradient_to_the_last_step(
        self, given: list[Vector]
    ) -> None:
        """The secant equation Hy = s: with the gradient y, the direction is −s."""
        *_, (_, state) = RULE.run(TORCH, 0 * given[0], given, [HALF] * len(given))
        if not state["ro"]:
            return
        y, s = state["old_dirs"][-1], state["old_stps"][-1]
        assert direction(y, state, TORCH).tolist() == (-s).tolist()

    @given(gradients(2), st.sampled_from([F(2), F(7, 3), F(100)]))
    def test_the_unit_of_the_loss_does_not_matter(self, given: list[Vector], unit: F) -> None:
        """Once there is a pair: h has the unit in its denominator, and so have t₀ and all H."""
        given = [vector(3, 0), vector(1, 2), *given]
        schedule = [HALF] * len(given)
        scaled = path(TORCH.name, ORIGIN, [unit * g for g in given], schedule)
        assert scaled == path(TORCH.name, ORIGIN, given, schedule)


# --- Quadratics ---------------------------------------------------------------------------------


@st.composite
def quadratics(draw: st.DrawFn) -> tuple[Vector, Vector, Vector]:
    """A, b and a start: A = LLᵀ + I is positive definite."""
    size = draw(st.integers(1, 3))
    entries = draw(st.lists(small, min_size=size * (size + 2), max_size=size * (size + 2)))
    values = vector(*entries)
    root = values[: size * size].reshape(size, size)
    return root @ root.T + eye(size), values[-2 * size : -size], values[-size:]


def exact_step(h: Hyper, matrix: Vector, w: Vector, g: Vector, state: Any) -> tuple[Vector, Any]:
    """A step whose length is the best along d: γ is chosen for it, once d is known."""
    _, trial = RULE.step(w, g, 0, state, h, TORCH)
    d = trial["d"]
    best = -(g @ d) / (d @ matrix @ d)
    return RULE.step(w, g, 0, state, h._replace(lr=best / trial["t"]), TORCH)


def conjugate_gradients(matrix: Vector, b: Vector, w: Vector) -> Iterator[Vector]:
    """Hestenes & Stiefel (1952), until the residual is zero."""
    r = b - matrix @ w
    p = r
    while any(r):
        step = (r @ r) / (p @ matrix @ p)
        w = w + step * p
        yield w
        new = r - step * (matrix @ p)
        p, r = new + (new @ new) / (r @ r) * p, new


class TestQuadratics:
    @given(quadratics(), st.sampled_from([1, 2, 100]))
    def test_best_lengths_make_conjugate_gradients(
        self, problem: tuple[Vector, Vector, Vector], memory: int
    ) -> None:
        """Whatever the memory (Kolda, O'Leary & Nazareth 1998, *SIAM J. Optim.* 8).

        So at most as many steps as dimensions lead to the minimum, exactly.
        """
        matrix, b, w = problem
        expected = list(conjugate_gradients(matrix, b, w))
        state: Any = {}
        for point in expected:
            w, state = exact_step(
                PLAIN._replace(history_size=memory), matrix, w, matrix @ w - b, state
            )
            assert w.tolist() == point.tolist()
        assert len(expected) <= len(b)
        assert (matrix @ w).tolist() == b.tolist()

    @given(st.sampled_from([F(1, 3), F(1), F(8)]), st.lists(small, min_size=3, max_size=3))
    def test_a_round_bowl_takes_two_iterations(self, c: F, w: list[F]) -> None:
        """A = cI: after any first step h = 1/c, and γ = 1 leads to the middle."""
        start = vector(*w)
        h = PLAIN._replace(max_iter=5, max_eval=100)
        end, state = call(lambda w: Point(w, c * (w @ w) / 2, c * w), start, {}, h, TORCH)
        assert not any(end)
        assert state["n_iter"] <= 2


# --- The search ---------------------------------------------------------------------------------


class Line:
    """A line search on given losses and slopes: where it tried."""

    def __init__(self, spots: Sequence[Spot]) -> None:
        self.spots = [(Exact(loss), Exact(slope)) for loss, slope in spots]
        self.start = Trial(Exact(0), Point(None, Exact(0), None), Exact(-1))
        self.lengths: list[Fraction] = []

    def attempt(self, t: Fraction) -> Trial:
        loss, slope = self.spots[len(self.lengths)]
        self.lengths.append(t)
        return Trial(t, Point(None, loss, None), slope)

    def search(self, first: Fraction, most: int = 20, reach: int | Fraction = 1) -> Any:
        """The length that is accepted."""
        found, made = search(self.attempt, self.start, first, reach, most)
        assert made == len(self.lengths)
        return found.t


class TestSearch:
    @pytest.mark.parametrize("case", SEARCHES.values(), ids=SEARCHES)
    def test_by_hand(self, case: Search) -> None:
        line = Line(case.spots)
        assert line.search(Exact(case.lengths[0])) == case.lengths[-1]
        assert line.lengths == list(case.lengths)

    @pytest.mark.parametrize(
        ("losses", "most", "expected"),
        [
            ([F(-13, 12)], 0, F(1)),  # no more trials: the lower of the two ends
            ([F(1)], 0, F(0)),
            ([F(-13, 12), F(-1, 2)], 1, F(2)),  # which is forgotten that 1 was better
            ([F(-13, 12), F(1)], 1, F(0)),
        ],
    )
    def test_when_trials_run_out(self, losses: list[Any], most: int, expected: F) -> None:
        line = Line([(loss, -1) for loss in losses])
        assert line.search(Exact(1), most) == expected
        assert len(line.lengths) == len(losses)

    @pytest.mark.parametrize(("reach", "trials"), [(F(1001, 10**12), 2), (F(999, 10**12), 1)])
    def test_a_bracket_too_narrow_to_matter(self, reach: F, trials: int) -> None:
        line = Line([(2, 0), (-1, 0)])
        assert line.search(Exact(1), reach=reach) == (F(1, 15) if trials == 2 else 0)
        assert len(line.lengths) == trials

    @given(st.lists(small, min_size=4, max_size=4, unique=True), st.sampled_from([F(-1, 3), F(2)]))
    def test_the_cubic_has_its_minimum_there(self, places: list[F], k: F) -> None:
        """p'(x) = k(x − u)(x − v), u < v, has its minimum at v if k > 0, and otherwise at u.

        Where the maximum is halfway between the ends, the formula is 0/0.
        """
        (u, v), ends = sorted(places[:2]), places[2:]

        def on_the_cubic(t: F) -> Trial:
            loss = k * (t**3 / 3 - (u + v) * t * t / 2 + u * v * t)
            slope = k * (t - u) * (t - v)
            return Trial(Exact(t), Point(None, Exact(loss), None), Exact(slope))

        one, other = map(on_the_cubic, ends)
        assume(one.t + other.t != 2 * (u if k > 0 else v))
        found = minimizer(one, other, Exact(-100), Exact(100))
        assert found == (v if k > 0 else u)


def test_the_largest_of_balls_holds_the_largest_of_their_numbers() -> None:
    balls = Enclosure(np.array([1.0, -2.0, 1.5]), np.array([0.25, 0.5, 1.25]), FLOAT64)
    found = largest(balls)
    for choice in itertools.product((-1, 0, 1), repeat=3):
        numbers = balls.mid + balls.rad * np.array(choice)
        assert found.contains(np.max(np.abs(numbers)))
    apart = largest(Enclosure(np.array([1.0, 3.0]), np.array([1.5, 0.25]), FLOAT64))
    assert (apart.mid, apart.rad) == (3.0, 0.25)  # the wide one cannot be the largest
