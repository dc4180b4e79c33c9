"""The second witness of ``optimizers/adafactor.py``: numbers worked by hand, and what must be so.

Nothing here computes a step the way the rule does. Hand cases were worked on paper, with the work
in the comment beside them: a diagonal of 3 and 4 has row, column and whole lengths 3, 4 and 5, so
that every root is rational. Whatever is true of all cases (closed forms for constant gradients,
weighted means of all squares, the paper's statements, symmetries) is asked in 200 bits. Published
values are those of other projects' tests.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import mpmath
import numpy as np
import pytest

from oracles.harness.arithmetic.formats import DTYPES
from oracles.harness.cases.case import single
from oracles.optimizers.adafactor import RULE, Hyper
from tests.support.byhand import numbers, printed
from tests.support.many_bits import BITS, precise, same
from tests.support.number_systems import compared
from tests.support.rooted import Rooted, lifted

NAMES = [c.name for c in RULE.conventions]
TORCH = RULE.torch.name

State = Mapping[str, Any]
Rows = list[tuple[Any, State]]
"""The parameter and its state after each step."""


def matrix(text: str) -> Any:
    """``matrix("1 -5; 5 7")``: rows of rationals, as they are written on paper."""
    return np.array([numbers(*row.split()) for row in text.split(";")], dtype=object)


def means(first: str, second: str) -> State:
    """Row and column means of a square matrix, where both are the same two numbers."""
    return {"row_var": matrix(f"{first}; {second}"), "col_var": matrix(f"{first} {second}")}


@dataclass(frozen=True)
class OneStep:
    """A step worked by hand from :data:`START`: gradient, hyperparameters, and where it leads.

    Attributes:
        t: number of gradients seen, a square.
        before: the averages so far; none at the first step.
    """

    h: Hyper
    g: Any
    w: Any
    t: int = 1
    before: State = field(default_factory=lambda: MappingProxyType({}))

    @property
    def start(self) -> Any:
        """The same four numbers in the gradient's shape."""
        return START.reshape(self.g.shape)

    def step(self, name: str) -> tuple[Any, State]:
        """What the convention of that name gives, exactly."""
        state = self.before or RULE.start(self.start, self.h)
        return RULE.step(self.start, self.g, Rooted(self.t), state, self.h, RULE.convention(name))

    def precisely(self, name: str) -> Any:
        """Where that leads in many bits, which have a root of everything."""
        w, g = precise(self.start), precise(self.g)
        h, t = lifted(self.h, mpmath.mpmathify), mpmath.mpf(self.t)
        state = {key: precise(x) for key, x in self.before.items()} or RULE.start(w, h)
        return RULE.step(w, g, t, state, h, RULE.convention(name))[0]


def agree(got: Any, expected: Any) -> bool:
    """Whether two arrays have the same shape and the very same numbers."""
    return bool(got.shape == expected.shape and (got == expected).all())


# 1 + 25 + 25 + 49 = 100: |w| = 10, RMS(w) = 5.
START = matrix("1 -5; 5 7")

# R = C = (9/2, 8), of mean 25/4, so √V = (9, 12; 12, 16)/5: the products of 3 and 4, over 5.
# u = (5/3, 5/4) on the diagonal, |u| = 25/12, RMS(u) = 25/24; clipped to 1, u = (8/5, 6/5).
DIAGONAL = matrix("3 0; 0 4")
AVERAGED = means("9/2", "8")

# γ = 1/2, τ = -1, ε₁ = ε₂ = 0, d = 1, so α = 5/2 and w moves by (4, 3) on the diagonal.
_ZERO, _ONE = numbers("0", "1")
BASE = Hyper(Rooted("1/2"), Rooted(-1), _ZERO, _ZERO, _ONE, _ZERO, batch_size=4)
MOVED = matrix("-3 -5; 5 4")

# λ = 1/5: γλ = 1/10, so 9/10 of w is left.
DECAYED = BASE._replace(weight_decay=Rooted("1/5"))
ASCENDING = DECAYED._replace(maximize=True)

# At t = 4, where 1/√t = 1/2 and 1 - β₂ = 1/4; averages that are what the gradient would make them.
WHOLE = BASE._replace(lr=_ONE)
LATER: dict[str, Any] = {"t": 4, "before": AVERAGED}

# A vector in which all elements are equally large, as a row: R = 9, C = (9, 9, 9, 9), V = 9.
THREES = matrix("3 3 -3 -3")
FLOORED = BASE._replace(eps1=Rooted(16))

HAND: dict[str, OneStep] = {
    # 9/10·(1, -5; 5, 7) - (4, 3).
    "decoupled_lr": OneStep(DECAYED, DIAGONAL, matrix("-31/10 -9/2; 9/2 33/10")),
    # g + w/5 = (3, 4) on the diagonal, if g is that less w/5. No other decay.
    "coupled_unscaled": OneStep(DECAYED, matrix("14/5 1; -1 13/5"), MOVED),
    # γλ/n = 1/40: 39/40·(1, -5; 5, 7) - (4, 3).
    "batch_scaled": OneStep(DECAYED, DIAGONAL, matrix("-121/40 -39/8; 39/8 153/40")),
    # αλ = 5/2·1/5 leaves half of w.
    "decay_relative": OneStep(DECAYED, DIAGONAL, matrix("-7/2 -5/2; 5/2 1/2")),
    # 4/5·(1, -5; 5, 7) - (4, 3).
    "decoupled": OneStep(DECAYED, DIAGONAL, matrix("-16/5 -4; 4 13/5")),
    # ε₂ = 19/4 is more than 9/10·5: α = 19/8, the move (19/5, 57/20).
    "decay_before_rms": OneStep(
        DECAYED._replace(eps2=Rooted("19/4")), DIAGONAL, matrix("-29/10 -9/2; 9/2 69/20")
    ),
    # 9/10·(-3, -5; 5, 4).
    "decay_after_lr": OneStep(DECAYED, DIAGONAL, matrix("-27/10 -9/2; 9/2 18/5")),
    # 4/5·(-3, -5; 5, 4).
    "decay_after": OneStep(DECAYED, DIAGONAL, matrix("-12/5 -4; 4 16/5")),
    "decay_ignored": OneStep(DECAYED, DIAGONAL, MOVED),
    # 11/10·(1, -5; 5, 7) + (4, 3).
    "decay_sign_flipped": OneStep(ASCENDING, DIAGONAL, matrix("51/10 -11/2; 11/2 107/10")),
    # ρ = 1, not 1/2: twice the move.
    "rate_uncapped": OneStep(WHOLE, DIAGONAL, matrix("-7 -5; 5 1"), **LATER),
    # ρ = 1/100: a fiftieth of the move.
    "rate_paper": OneStep(WHOLE, DIAGONAL, matrix("23/25 -5; 5 347/50"), **LATER),
    # ρ = 1/2·1/2: half the move.
    "rate_scaled": OneStep(BASE, DIAGONAL, matrix("-1 -5; 5 11/2"), **LATER),
    # α = 1/2: a fifth of the move.
    "size_ignored": OneStep(BASE, DIAGONAL, matrix("1/5 -5; 5 32/5")),
    # ε₂ = 1: α = 6·1/2, so 6/5 of the move.
    "size_added": OneStep(BASE._replace(eps2=_ONE), DIAGONAL, matrix("-19/5 -5; 5 17/5")),
    # α = 10·1/2.
    "size_by_norm": OneStep(BASE, DIAGONAL, matrix("-7 -5; 5 1")),
    # V = 9 + 16 = 25, u = 3/5, the move 5/2·3/5 = 3/2.
    "eps_added": OneStep(FLOORED, THREES, matrix("-1/2 -13/2 13/2 17/2")),
    # V = 81/16, 16 at least: u = 3/4, the move 15/8.
    "eps_unsquared": OneStep(FLOORED, THREES, matrix("-7/8 -55/8 55/8 71/8")),
    # u is the sign of g: RMS(u) = 1, the move 5/2.
    "unfactored": OneStep(BASE, matrix("3 4; 4 -3"), matrix("-3/2 -15/2; 5/2 19/2")),
    # τ = -2, 1 - β₂ = 1/4: V = g²/4, u = 2, the move 5.
    "beta2_late": OneStep(
        BASE._replace(beta2_decay=Rooted(-2), d=Rooted(4)), THREES[0], matrix("-4 -10 10 12")[0]
    ),
    # V = 1 + (841 - 1)/128 = (11/4)², u = 29·4/11, the move 5/2·116/11 = 290/11.
    "beta2_constant": OneStep(
        BASE._replace(d=Rooted(16)),
        matrix("29 29 -29 -29")[0],
        matrix("-279/11 -345/11 345/11 367/11")[0],
        t=4,
        before={"variance": matrix("1 1 1 1")[0]},
    ),
    # u = (5/3, 5/4), the move (25/6, 25/8).
    "unclipped": OneStep(BASE, DIAGONAL, matrix("-19/6 -5; 5 31/8")),
    # u = (4/5, 3/5): half the move.
    "clipped_by_norm": OneStep(BASE, DIAGONAL, matrix("-1 -5; 5 11/2")),
}

TORCHS: dict[str, tuple[OneStep, State]] = {
    "first": (OneStep(BASE, DIAGONAL, MOVED), AVERAGED),
    # 9/10·(1, -5; 5, 7) + (4, 3): the decay keeps its sign.
    "ascending": (OneStep(ASCENDING, DIAGONAL, matrix("49/10 -9/2; 9/2 93/10")), AVERAGED),
    # d = 2: nothing to clip.
    "below d": (
        OneStep(BASE._replace(d=Rooted(2)), DIAGONAL, matrix("-19/6 -5; 5 31/8")),
        AVERAGED,
    ),
    # From R = 5·(9/2, 8) to R = (3·5 + 1)/4 = 4 times (9/2, 8): √V is twice as large, u half of
    # (5/3, 5/4), whose RMS is below 1. γ = 2 is capped: α = 5/2, the move (25/12, 25/16).
    "remembering": (
        OneStep(
            BASE._replace(lr=Rooted(2)),
            DIAGONAL,
            matrix("-13/12 -5; 5 87/16"),
            t=4,
            before=means("45/2", "40"),
        ),
        means("18", "32"),
    ),
    # From R = 0 with twice the gradient: R = 4/4·(9/2, 8), u = 2·(5/3, 5/4), RMS(u) = 25/12; over
    # d = 2 it is divided by 25/24. u = (16/5, 12/5), the move (8, 6).
    "clipped at 2": (
        OneStep(
            WHOLE._replace(d=Rooted(2)),
            2 * DIAGONAL,
            matrix("-7 -5; 5 1"),
            t=4,
            before=means("0", "0"),
        ),
        AVERAGED,
    ),
    # ε₂ = 7: α = 7/2, the move 7/5·(4, 3).
    "small": (
        OneStep(BASE._replace(eps2=Rooted(7)), DIAGONAL, matrix("-23/5 -5; 5 14/5")),
        AVERAGED,
    ),
    # ε₁ = 16: V = 9·9/16, but √V is 16: u = 3/16, the move 15/32.
    "floored": (
        OneStep(FLOORED, THREES, matrix("17/32 -175/32 175/32 239/32")),
        {"row_var": matrix("9"), "col_var": matrix("9 9 9 9")},
    ),
    # A tenth of the gradient, ε₁ = 1/9: RC is divided by 1/9, since the mean of R is 1/16.
    # √V = 3/100·(9/2, 8) on the diagonal = (27/200, 6/25), both above 1/9: u = (20/9, 5/3),
    # RMS(u) = 25/18 < 2, the move (50/9, 25/6).
    "floored mean": (
        OneStep(
            BASE._replace(eps1=Rooted("1/9"), d=Rooted(2)),
            DIAGONAL / 10,
            matrix("-41/9 -5; 5 17/6"),
        ),
        means("9/200", "2/25"),
    ),
}
"""More steps of torch's convention, with the averages that are there afterwards."""


class TestByHand:
    @pytest.mark.parametrize("name", NAMES)
    def test_convention(self, name: str) -> None:
        """A convention without a case here is an error, by its name."""
        assert agree(HAND[name].step(name)[0], HAND[name].w)

    @pytest.mark.parametrize("name", NAMES[1:])
    def test_case_tells_the_convention_from_torch(self, name: str) -> None:
        hand = HAND[name]
        with mpmath.workprec(BITS):
            assert not same(hand.precisely(name), hand.precisely(TORCH))

    def test_no_case_is_left_over(self) -> None:
        assert set(HAND) <= set(NAMES)

    @pytest.mark.parametrize("case", TORCHS)
    def test_torch(self, case: str) -> None:
        hand, averages = TORCHS[case]
        w, state = hand.step(TORCH)
        assert agree(w, hand.w)
        assert set(state) == set(averages)
        assert all(agree(state[name], averages[name]) for name in averages)

    def test_a_number_without_dimensions(self) -> None:
        """3/4·7/3 + 1/4·9 = 4: V = 4 at t = 4, u = 3/2, clipped to 1; the move is 10·1/2."""
        before = {"variance": Rooted("7/3")}
        w, state = RULE.step(Rooted(10), Rooted(3), Rooted(4), before, BASE, RULE.torch)
        assert (w, state) == (5, {"variance": 4})

    def test_steps_without_gradient_do_not_count(self) -> None:
        """10 moves by all of itself at the first gradient, which is the third step."""
        gradients = [None, None, Rooted(3), None]
        steps = RULE.run(RULE.torch, Rooted(10), gradients, [WHOLE] * 4, count=Rooted)
        assert [w for w, _ in steps] == [10, 10, 0, 0]

    def test_the_default_floor_is_the_resolution(self) -> None:
        """ε₁ = 2^-52 in float64: g = 2^-53 makes u = 1/2."""
        w, g, before = np.ones(1), np.full(1, 2.0**-53), {"variance": np.zeros(1)}
        assert RULE.step(w, g, 1, before, Hyper(lr=0.5), RULE.torch)[0] == 1 - 0.5 * 0.5


def run(name: str, w: Any, gradients: Sequence[Any], schedule: Sequence[Hyper]) -> Rows:
    """Follow the convention of that name in the working precision of ``mpmath``."""
    hypers = [lifted(h, mpmath.mpmathify) for h in schedule]
    lifts = [precise(g) for g in gradients]
    convention = RULE.convention(name)
    return list(RULE.run(convention, precise(w), lifts, hypers, count=mpmath.mpmathify))


def rms(x: Any) -> Any:
    """Root mean square, from a plain sum."""
    values = np.ravel(x)
    return mpmath.sqrt(mpmath.fsum(precise(values) ** 2) / len(values))


def draw(seed: int, *shape: int) -> Any:
    """Numbers of either sign and several magnitudes, by parameter and step."""
    rng = np.random.default_rng(seed)
    return np.asarray(rng.normal(size=shape) * 2.0 ** rng.integers(-3, 4, shape))


FREE = 2.0**40
"""A clipping threshold that nothing reaches."""

CHANGING = (
    Hyper(lr=0.7, eps1=0.0, eps2=0.1, weight_decay=0.3, batch_size=4),
    Hyper(0.3, -2.0, 0.0, 0.9, 1.5, weight_decay=0.2, maximize=True, batch_size=3),
)
"""A schedule in which everything changes but ε₁."""

FLOORS = tuple(h._replace(eps1=eps1) for h, eps1 in zip(CHANGING, (0.3, 0.5), strict=True))


class TestConstantGradients:
    """If g² is the same at every step, and of rank one, V is g², whatever τ is, and u a sign."""

    SIGNS = np.array([[1.0, -1.0], [-1.0, -1.0]])
    SIZES = np.outer([1.0, 3.0], [0.5, 7.0])

    @pytest.mark.parametrize("tau", [-0.8, -1.7, 0.0])
    @pytest.mark.parametrize("decay", [0.0, 0.25])
    @pytest.mark.parametrize("shape", [(2, 2), (4,), ()], ids=["matrix", "vector", "scalar"])
    def test_relative_steps_compound(
        self, tau: float, decay: float, shape: tuple[int, ...]
    ) -> None:
        """w = c·sign: its size c, which is its RMS, grows by -γλ + min(γ, 1/√t) of itself."""
        signs, sizes = (
            x.ravel()[: math.prod(shape)].reshape(shape) for x in (self.SIGNS, self.SIZES)
        )
        h = Hyper(lr=0.4, beta2_decay=tau, eps1=0.0, weight_decay=decay)
        with mpmath.workprec(BITS):
            got = run(TORCH, 5 * signs, [-signs * sizes] * 12, [h] * 12)[-1][0]
            rate = mpmath.mpf(0.4)
            growth = [1 - rate * decay + min(rate, 1 / mpmath.sqrt(t)) for t in range(1, 13)]
            assert same(got, 5 * mpmath.fprod(growth) * precise(signs))

    def test_zeros_are_left_by_eps2(self) -> None:
        """The paper gives ε₂ for this: w = 0 moves by γε₂, until it is as large as ε₂ itself."""
        h = Hyper(lr=0.5, eps1=0.0, eps2=1.0)
        gradients = [-self.SIGNS * self.SIZES] * 4
        with mpmath.workprec(BITS):
            rows = run(TORCH, 0 * self.SIGNS, gradients, [h] * 4)
            expected = [0.5, 1.0, 1.5, 2.25]
            assert all(same(w, x * self.SIGNS) for (w, _), x in zip(rows, expected, strict=True))


def summed(tau: float, gradients: Sequence[Any]) -> Any:
    """V after all gradients, from weights of their squares, and sums (the paper's form) of those.

    The i-th weighs x_i Π (1 - x_j), j > i, where x_t = t^τ: all alike for τ = -1.
    """
    share = [mpmath.mpf(t) ** tau for t in range(1, len(gradients) + 1)]
    weights = [x * mpmath.fprod(1 - y for y in share[i + 1 :]) for i, x in enumerate(share)]
    total = sum(x * precise(g) ** 2 for x, g in zip(weights, gradients, strict=True))
    if np.ndim(total) < 2:
        return total
    rows, columns, whole = (total.sum(axis, keepdims=True) for axis in (-1, -2, (-1, -2)))
    return rows * columns / whole


class TestAverages:
    @pytest.mark.parametrize("tau", [-1.0, -0.8, -2.0, 0.0])
    @pytest.mark.parametrize("shape", [(), (4,), (4, 1), (2, 8), (4, 2, 2)], ids=str)
    def test_the_last_step_of_four(self, tau: float, shape: tuple[int, ...]) -> None:
        """At the rate 0 before, so that w is where it was; the sizes are squares."""
        w, *gradients = (draw(i, *shape) for i in range(5))
        h = Hyper(lr=0.8, beta2_decay=tau, eps1=0.0, eps2=0.0, d=FREE)
        with mpmath.workprec(BITS):
            got = run(TORCH, w, gradients, [h._replace(lr=0.0)] * 3 + [h])[-1][0]
            move = rms(w) / 2 * precise(gradients[-1]) / np.sqrt(summed(tau, gradients))
            assert same(got, precise(w) - move)

    def test_with_tau_of_one_all_gradients_weigh_the_same(self) -> None:
        gradients = [draw(i, 2, 8) for i in range(7)]
        h = Hyper(beta2_decay=-1.0, eps1=0.0)
        with mpmath.workprec(BITS):
            state = run(TORCH, gradients[0], gradients, [h] * 7)[-1][1]
            squares = precise(np.stack(gradients)) ** 2
            assert same(state["row_var"][:, 0], squares.sum((0, 2)) / (7 * 8))
            assert same(state["col_var"][0], squares.sum((0, 1)) / (7 * 2))


def divergence(square: Any, estimate: Any) -> Any:
    """The generalized Kullback-Leibler divergence of two positive matrices."""
    terms = zip(np.ravel(precise(square)), np.ravel(estimate), strict=True)
    return mpmath.fsum(s * mpmath.log(s / v) - s + v for s, v in terms)


class TestPaper:
    """What Shazeer & Stern (2018, arXiv:1804.04235) say of their rule, and torch kept."""

    def test_no_estimate_of_rank_one_diverges_less(self) -> None:
        """V = RC/ΣR is the one of rank one that is nearest to g² (section 3)."""
        w, g = draw(1, 2, 8), draw(2, 2, 8)
        h = Hyper(lr=0.5, eps1=0.0, eps2=0.0, d=FREE)
        with mpmath.workprec(BITS):
            move = precise(w) - run(TORCH, w, [g], [h])[0][0]
            estimate = (rms(w) / 2 * precise(g) / move) ** 2
            rows, columns = estimate[:, :1], estimate[:1] / estimate[0, 0]
            assert same(rows * columns, estimate)
            nearest = divergence(g**2, estimate)
            for i in range(10):
                off = [np.exp(draw(10 + i, *x.shape) / 2**i) for x in (rows, columns)]
                assert divergence(g**2, rows * off[0] * columns * off[1]) > nearest

    @pytest.mark.parametrize("d", [1.0, 1.25, FREE])
    def test_updates_are_clipped_in_length_and_not_in_direction(self, d: float) -> None:
        """Section 6: RMS(u) is d at most, and what is below is left alone."""
        w, gradients = draw(1, 4, 4), [draw(i, 4, 4) * 4**i for i in range(2, 6)]
        h = Hyper(lr=0.1, eps1=0.0, eps2=0.0, d=d)
        schedule = [h._replace(lr=0.0)] * 3 + [h]
        with mpmath.workprec(BITS):
            start = precise(w)
            clipped = start - run(TORCH, w, gradients, schedule)[-1][0]
            whole = start - run("unclipped", w, gradients, schedule)[-1][0]
            alpha = rms(w) * mpmath.mpf(0.1)
            assert rms(whole) > 1.25 * alpha
            assert same(rms(clipped), min(rms(whole), d * alpha))
            assert same(clipped / rms(clipped), whole / rms(whole))


def symmetric(name: str, change: Any, w: Any, gradients: Sequence[Any], schedule: Any) -> None:
    """A change of the parameter and its gradients changes every step in the same way."""
    with mpmath.workprec(BITS):
        rows = run(name, w, gradients, schedule)
        changed = run(name, change(w), [change(g) for g in gradients], schedule)
        for (one, _), (other, _) in zip(rows, changed, strict=True):
            assert same(other, change(one))


MATRIX = draw(1, 2, 2)
GRADIENTS = [draw(i, 2, 2) for i in (2, 3)]


class TestSymmetries:
    @pytest.mark.parametrize("name", NAMES)
    def test_rows_are_no_more_than_columns(self, name: str) -> None:
        """Transposition, here of a matrix whose columns change places, and one of them its sign."""
        signs = np.array([1, -1])
        symmetric(name, lambda x: (x * signs)[:, ::-1].T, MATRIX, GRADIENTS, FLOORS)

    @pytest.mark.parametrize("name", sorted(set(NAMES) - {"size_by_norm", "clipped_by_norm"}))
    def test_four_copies_in_a_stack_go_as_one(self, name: str) -> None:
        """Means do not grow with copies, as norms do."""
        symmetric(name, lambda x: np.stack([x] * 4), MATRIX, GRADIENTS, FLOORS)

    @pytest.mark.parametrize("name", NAMES)
    @pytest.mark.parametrize("shape", [(1, 4), (2, 2, 1)], ids=str)
    def test_rows_and_columns_go_as_vectors(self, name: str, shape: tuple[int, ...]) -> None:
        """Their squares are of rank one at every step; but ε₁ would divide a vector by nothing."""
        symmetric(
            name,
            lambda x: x.reshape(shape),
            MATRIX.ravel(),
            [g.ravel() for g in GRADIENTS],
            CHANGING,
        )

    def test_each_matrix_of_a_stack_is_factored_by_itself(self) -> None:
        stack, gradients = np.stack([MATRIX, -MATRIX]), [draw(i, 2, 2, 2) for i in (0, 1)]
        schedule = [h._replace(d=FREE, lr=lr) for h, lr in zip(FLOORS, (0.0, 0.3), strict=True)]
        with mpmath.workprec(BITS):
            whole = run(TORCH, stack, gradients, schedule)[-1][0]
            for i in (0, 1):
                alone = run(TORCH, stack[i], [g[i] for g in gradients], schedule)[-1][0]
                # √8 is a float64, off by 2^-53 of itself at most, and with it by how much w moves.
                move = np.max(abs(alone)) + np.max(abs(stack[i]))
                assert np.max(abs(whole[i] - alone)) <= mpmath.mpf(2) ** -53 * move


class TestScales:
    """Powers of two change no digit, so results are the same to the bit."""

    @pytest.mark.parametrize("power", [-3, 5])
    def test_a_parameter_moves_in_units_of_itself(self, power: int) -> None:
        scaled = [h._replace(eps2=h.eps2 * 2.0**power) for h in FLOORS]
        one, other = (
            [w for w, _ in RULE.run(RULE.torch, w, GRADIENTS, schedule)]
            for w, schedule in ((MATRIX, FLOORS), (MATRIX * 2.0**power, scaled))
        )
        assert np.array_equal(np.stack(one) * 2.0**power, other)

    @pytest.mark.parametrize("power", [-3, 5])
    @pytest.mark.parametrize(
        ("schedule", "shape"), [(CHANGING, (2, 2)), (FLOORS, (4,))], ids=["matrix", "vector"]
    )
    def test_the_scale_of_gradients_cancels(
        self, power: int, schedule: tuple[Hyper, ...], shape: tuple[int, ...]
    ) -> None:
        """ε₁ has the unit of the gradient, in a vector."""
        assert _moves(0, schedule, shape) == _moves(power, schedule, shape)

    def test_the_floor_of_a_matrix_has_two_units(self) -> None:
        """Beside the root of V that of the gradient, beside the mean of R that of its square."""
        assert _moves(0, FLOORS, (2, 2)) != _moves(-8, FLOORS, (2, 2))

    def test_decay_before_the_size_is_decay_after_the_step(self) -> None:
        """RMS((1 - γλ)w) = (1 - γλ) RMS(w), as long as it is more than ε₂."""
        schedule = [h._replace(eps2=0.0) for h in FLOORS]
        with mpmath.workprec(BITS):
            names = ("decay_before_rms", "decay_after_lr")
            one, other = (run(name, MATRIX, GRADIENTS, schedule) for name in names)
            assert all(same(a, b) for (a, _), (b, _) in zip(one, other, strict=True))


def _moves(power: int, schedule: Sequence[Hyper], shape: tuple[int, ...]) -> Any:
    """Parameters after each step, with gradients and ε₁ times a power of two."""
    scale = 2.0**power
    hypers = [h._replace(eps1=scale * float(h.eps1 or 0)) for h in schedule]
    gradients = [scale * g.reshape(shape) for g in GRADIENTS]
    return [w.tolist() for w, _ in RULE.run(RULE.torch, MATRIX.reshape(shape), gradients, hypers)]


def followed(name: str, w: Any, gradients: Sequence[Any], h: Hyper) -> list[Any]:
    schedule = [h] * len(gradients)
    return [w for w, _ in RULE.run(RULE.convention(name), w, gradients, schedule)]


@pytest.mark.parametrize("name", ["eps_added", TORCH])
class TestPublished:
    """keras/src/optimizers/adafactor_test.py: ε₁ is so small that it shows in neither unit."""

    GRADIENT = np.array([1.0, 6.0, 7.0, 2.0])
    START = np.array([1.0, 2.0, 3.0, 4.0])

    def test_keras_single_step_1d(self, name: str) -> None:
        moved = followed(name, self.START, [self.GRADIENT], Hyper(lr=0.5, eps1=1e-30))[0]
        assert printed(moved) == [-0.3693, 0.6307, 1.6307, 2.6307]

    def test_keras_single_step_2d(self, name: str) -> None:
        w, g = (x.reshape(2, 2) for x in (self.START, self.GRADIENT))
        moved = followed(name, w, [g], Hyper(lr=0.5, eps1=1e-30))[0]
        assert printed(moved.ravel()) == [0.7007, -0.0081, 1.2492, 3.4407]

    def test_keras_weight_decay(self, name: str) -> None:
        """Three optimizers decay this parameter there, along a gradient of zero."""
        h = Hyper(lr=1.0, eps1=1e-30, weight_decay=0.004)
        moved = followed(name, np.array(2.0), [np.array(0.0)] * 3, h)[-1]
        assert printed(np.atleast_1d(moved), 7) == [1.9760959]

    def test_keras_golden(self, name: str) -> None:
        """test_correctness_with_golden; torch allows no d below 1, but the rule knows it."""
        h = Hyper(lr=0.5, beta2_decay=-0.65, eps1=1e-15, eps2=1e-4, d=0.9)
        gradients = [np.full(10, 0.01), *[np.arange(1, 11) / 10] * 4]
        golden = [
            [0.55, 0.55, 0.55, 0.55, 0.55, 0.55, 0.55, 0.55, 0.55, 0.55],
            [0.3031, 0.3026, 0.3025, 0.3024, 0.3024, 0.3024, 0.3024, 0.3024, 0.3024, 0.3024],
            [0.1671, 0.1665, 0.1663, 0.1663, 0.1663, 0.1663, 0.1663, 0.1663, 0.1663, 0.1663],
            [0.0923, 0.0916, 0.0915, 0.0914, 0.0914, 0.0914, 0.0914, 0.0914, 0.0914, 0.0914],
            [0.0554, 0.0548, 0.0546, 0.0546, 0.0546, 0.0546, 0.0546, 0.0545, 0.0545, 0.0545],
        ]
        assert [printed(w) for w in followed(name, np.ones(10), gradients, h)] == golden


class TestStep:
    def test_every_dtype_resolves_a_step_that_decays_little(self) -> None:
        """In half precision, too, nothing is left open of two steps of every convention."""
        w, *gradients = np.random.default_rng(7).integers(-16, 17, (3, 2, 2)) / 8
        case = replace(single(w, gradients, FLOORS), precisions=DTYPES)
        for convention in RULE.conventions:
            found = compared(RULE, convention, case)
            assert all(x.inside and x.known for x in found), convention.name

    @pytest.mark.parametrize("shape", [(0,), (2, 0), (0, 3)], ids=str)
    def test_nothing_stays_as_it_is(self, shape: tuple[int, ...]) -> None:
        moved = followed(TORCH, np.zeros(shape), [np.zeros(shape)] * 2, Hyper(weight_decay=0.1))
        assert moved[-1].shape == shape

    @pytest.mark.parametrize("where", ["parameter", "gradient"])
    def test_a_mean_that_is_nan_leaves_the_floor(self, where: str) -> None:
        """RMS(w) leaves ε₂ = 4, so that w moves by 4·1/2; RMS(u) leaves 1, and by 1·1/2.

        The other gradient is 3, so that u = 1; an element that is nan stays so.
        """
        w, g = np.array([1.0, 1.0]), np.array([3.0, 3.0])
        (w if where == "parameter" else g)[0] = np.nan
        h = Hyper(0.5, eps1=0.0, eps2=4.0 if where == "parameter" else 0.5)
        (moved,) = followed(TORCH, w, [g], h)
        assert np.isnan(moved[0])
        assert moved[1] == 1 - (2 if where == "parameter" else 0.5)
