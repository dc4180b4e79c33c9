"""The second witness of ``optimizers/muon.py``: numbers worked by hand, and what must not matter.

Nothing here computes a step the way the rule does. Hand cases were worked on paper, with the work
in the comment beside them: what is normalized has a whole norm (3, 4, 5). Iterations are asked of
matrices whose singular values can be read off, where they are a polynomial in Fraction; of others,
what rotations and transposition change, and where they lead.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import localcontext
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest

from oracles.harness.arithmetic.decimals import PRECISE, Precise
from oracles.numerics import newton_schulz
from oracles.optimizers.muon import RULE, Hyper
from tests.support.many_bits import BITS, precise, same

NAMES = [c.name for c in RULE.conventions]
TORCH = RULE.torch.name

# γ = 2, λ = 1/4, μ = 1/2, so b is (b + g)/2 and u = (g + b)/2; no iterations; n = 4.
H = Hyper(2.0, 0.25, 0.5, eps=1.0, ns_steps=0, batch_size=4)
BARE = H._replace(weight_decay=0.0)
ONCE = BARE._replace(eps=24.0, ns_steps=1, ns_a=3.0, ns_b=-3.0, ns_c=1.0)

BUFFER = "momentum_buffer"

Matrix = Sequence[Sequence[Any]]
Rows = list[tuple[list[Any], list[Any]]]
"""The elements of w and b after each step."""


def norm(x: Any) -> Any:
    """Euclidean length, in the working precision of ``mpmath``."""
    return mpmath.sqrt((x * x).sum())


def rationals(*texts: Any) -> list[Fraction]:
    return [Fraction(text) for text in texts]


def followed(
    name: str, w: Matrix, gradients: Sequence[Matrix | None], schedule: Sequence[Hyper]
) -> Rows:
    """In eighty digits, more than the numbers here have, so that nothing is rounded."""
    number = np.frompyfunc(lambda v: Precise(Fraction(v).numerator) / Fraction(v).denominator, 1, 1)
    exact = [
        RULE.hyper(*(v if v is None or isinstance(v, bool | str) else Precise(v) for v in h))
        for h in schedule
    ]
    with localcontext(PRECISE):
        start, *given = (None if x is None else number(np.array(x)) for x in (w, *gradients))
        run = RULE.run(RULE.convention(name), start, given, exact)
        return [
            ([*map(Fraction, np.ravel(w))], [*map(Fraction, np.ravel(state.get(BUFFER, ())))])
            for w, state in run
        ]


@dataclass(frozen=True)
class MatrixCase:
    """A row that starts at (8, 4), or (8, 4, 0, 0), and its elements after each step."""

    h: Hyper
    gradients: list[Matrix]
    w: list[list[Fraction]]
    b: list[list[Fraction]]

    def run(self, name: str) -> Rows:
        start = [[8, 4] + [0] * (len(self.gradients[0][0]) - 2)]
        return followed(name, start, self.gradients, [self.h] * len(self.gradients))


def two(h: Hyper, second: Sequence[Any], w: str, b: str) -> MatrixCase:
    """Two steps, the first with g = (12, 16)."""
    pairs = [text.split() for text in (w, b)]
    w_rows, b_rows = ([rationals(*p[:2]), rationals(*p[2:])] for p in pairs)
    return MatrixCase(h, [[[12, 16]], [second]], w_rows, b_rows)


def one(h: Hyper, *w: Any) -> MatrixCase:
    """One step with g = (12, 16, ...), b = (6, 8, ...), u = (9, 12, ...)."""
    rest = [0] * (len(w) - 2)
    return MatrixCase(h, [[[12, 16, *rest]]], [rationals(*w)], [rationals(6, 8, *rest)])


# g = (12, 16), b = (6, 8), u = (9, 12), X = (3, 4)/5, γX = (6, 8)/5;
# g = (14, -24), b = (10, -8), u = (12, -16), X = (3, -4)/5, γX = (6, -8)/5.
SAME = ([14, -24], "6 8 10 -8")

HAND: dict[str, MatrixCase] = {
    # 1 - γλ = 1/2. (4, 2) - (6, 8)/5 = (14, 2)/5; (7, 1)/5 - (6, -8)/5 = (1, 9)/5.
    "decoupled_lr": two(H, SAME[0], "14/5 2/5 1/5 9/5", SAME[1]),
    # 1 - γλ/n = 7/8. (7, 7/2) - (6, 8)/5 = (58, 19)/10; (406, 133)/80 - (96, -128)/80.
    "batch_scaled": two(H, SAME[0], "58/10 19/10 310/80 261/80", SAME[1]),
    # 1 - λ = 3/4. (6, 3) - (6, 8)/5 = (24, 7)/5; (72, 21)/20 - (24, -32)/20.
    "decoupled": two(H, SAME[0], "24/5 7/5 48/20 53/20", SAME[1]),
    # (34, 12)/5 · 1/2 = (17, 6)/5; (11, 14)/5 · 1/2.
    "decay_after_lr": two(H, SAME[0], "17/5 6/5 11/10 14/10", SAME[1]),
    # (34, 12)/5 · 3/4 = (51, 18)/10; (39, 34)/10 · 3/4.
    "decay_after": two(H, SAME[0], "51/10 18/10 117/40 102/40", SAME[1]),
    # (8, 4) - (6, 8)/5 = (34, 12)/5, and from there (28, 20)/5.
    "decay_ignored": two(H, SAME[0], "34/5 12/5 28/5 4", SAME[1]),
    # λw = (2, 1): (10, 15) is what makes (12, 16). Then λw = (17, 6)/10: 14 - 17/10 = 123/10.
    "coupled_unscaled": MatrixCase(
        H,
        [[[10, 15]], [rationals("123/10", "-123/5")]],
        [rationals("34/5", "12/5"), rationals("28/5", 4)],
        [rationals(6, 8), rationals(10, -8)],
    ),
    # u = g = (15, -20) at last; b = (21, -12)/2.
    "momentum_ignored": two(BARE, [15, -20], "34/5 12/5 28/5 4", "6 8 21/2 -6"),
    # b = (12, 16) = u; then b = (28, -16)/2 and u = (30, -40)/2.
    "first_step_whole": two(BARE, [16, -32], "34/5 12/5 28/5 4", "12 16 14 -8"),
    # u = b = (9, -12).
    "nesterov_ignored": two(BARE, [12, -32], "34/5 12/5 28/5 4", "6 8 9 -12"),
    # u = (12, 16) + (3, 4); then b = (6, -8/5), u = (6, -56/5) + (3, -4/5) = (9, -12).
    "nesterov_unaveraged": two(BARE, [6, Fraction(-56, 5)], "34/5 12/5 28/5 4", "6 8 6 -8/5"),
    # |u| = 15 < ε = 24: X = (9, 12)/24, γX = (3/4, 1).
    "normalized": one(ONCE, "29/4", 3),
    # σ² = (15/24)² = 25/64; 3/2 - 25/128 = 167/128 times as much: 501/512 and 167/128.
    "cubic": one(ONCE, "3595/512", "345/128"),
    # 15/8 - 5/4 · 25/64 + 3/8 · 625/4096 = (61440 - 16000 + 1875)/32768 = 47315/32768.
    "quintic": one(ONCE, 8 - Fraction(3 * 47315, 4 * 32768), 4 - Fraction(47315, 32768)),
    # |u| + ε = 15 + 10: X = (9, 12)/25.
    "eps_added": one(BARE._replace(eps=10.0), "182/25", "76/25"),
    # 0.2 √4 in place of 1, as floats have it: 4/10 and a little.
    "adjust_swapped": one(BARE, 8 - Fraction(0.4) * 6 / 5, 4 - Fraction(0.4) * 8 / 5, 0, 0),
    # √(4/1) in place of 1: twice γX.
    "adjust_turned": one(BARE, "28/5", "4/5", 0, 0),
}


class TestByHand:
    @pytest.mark.parametrize("name", NAMES)
    def test_convention(self, name: str) -> None:
        """A convention without a case here is an error, by its name."""
        case = HAND[name]
        assert case.run(name) == list(zip(case.w, case.b, strict=True))

    @pytest.mark.parametrize("name", NAMES[1:])
    def test_case_tells_the_convention_from_torch(self, name: str) -> None:
        (one, _), (other, _) = (HAND[name].run(c)[-1] for c in (name, TORCH))
        assert one != other

    def test_no_case_is_left_over(self) -> None:
        assert set(HAND) == set(NAMES)

    def test_iterated(self) -> None:
        """3 - 3 · 25/64 + 625/4096 = 8113/4096 times (3/4, 1)."""
        moved = [8 - Fraction(3 * 8113, 4 * 4096), 4 - Fraction(8113, 4096)]
        assert one(ONCE, *moved).run(TORCH) == [(moved, rationals(6, 8))]

    def test_without_look_ahead(self) -> None:
        """u = b = (6, 8); (9, -12): the same directions."""
        case = two(H._replace(nesterov=False), [12, -32], "14/5 2/5 1/5 9/5", "6 8 9 -12")
        assert case.run(TORCH) == list(zip(case.w, case.b, strict=True))

    def test_every_hyperparameter_is_the_step_s_own(self) -> None:
        """At step 2 γ = 1, λ = 1/2, μ = 3/4, ε = 100, k = 1 with p(σ) = 2σ.

        g = (14, -24): b = 3/4 (6, 8) + 1/4 g = (8, 0), u = g + 3/4 (-6, 24) = (19/2, -6), X = u/50.
        """
        later = Hyper(1.0, 0.5, 0.75, True, 2.0, 0.0, 0.0, 100.0, 1)
        rows = followed(TORCH, [[8, 4]], [[[12, 16]], [[14, -24]]], [H, later])
        assert rows[-1] == (rationals("121/100", "32/100"), rationals(8, 0))

    def test_steps_without_a_gradient_change_nothing(self) -> None:
        rows = followed(TORCH, [[8, 4]], [None, [[12, 16]], None, [[14, -24]]], [H] * 4)
        expected = [(8, 4), ("14/5", "2/5"), ("14/5", "2/5"), ("1/5", "9/5")]
        assert [w for w, _ in rows] == [rationals(*numbers) for numbers in expected]


def test_less_than_no_iteration_is_none() -> None:
    """As ``range`` has it, in torch and here."""
    g = np.array([[3.0, 4.0], [1.0, -2.0]])
    none, less = (
        RULE.step(np.ones((2, 2)), g, 1, {}, H._replace(ns_steps=k), RULE.torch)[0] for k in (0, -1)
    )
    assert np.array_equal(none, less)


RATIOS: list[tuple[tuple[int, int], str | None, float]] = [
    ((1, 4), None, 1),
    ((4, 1), None, 2),
    ((4, 1), "original", 2),
    ((3, 3), "original", 1),
    ((18, 2), "original", 3),
    ((2, 18), "original", 1),
    ((4, 1), "match_rms_adamw", 0.4),
    ((1, 4), "match_rms_adamw", 0.4),
    ((2, 9), "match_rms_adamw", 0.2 * 3),
    ((25, 3), "match_rms_adamw", 1),
]


class TestRateAndDecay:
    @pytest.mark.parametrize(("shape", "adjusted", "ratio"), RATIOS)
    def test_a_step_is_as_long_as_the_rate_and_its_ratio(
        self, shape: tuple[int, int], adjusted: str | None, ratio: float
    ) -> None:
        """|X| = 1 without iterations: |w| = γr from zero, and against the gradient."""
        g = np.random.default_rng(1).normal(size=shape)
        h = Hyper(0.5, eps=0.0, ns_steps=0, adjust_lr_fn=adjusted)
        with mpmath.workprec(BITS):
            g = precise(g)
            w, _ = RULE.step(0 * g, g, 1, {}, h, RULE.torch)
            assert same(norm(w), 0.5 * ratio)
            assert same((w * g).sum(), -0.5 * ratio * norm(g))

    @pytest.mark.parametrize("shape", [(3, 0), (0, 3), (0, 0)], ids=str)
    @pytest.mark.parametrize("adjusted", [None, "original", "match_rms_adamw"])
    def test_nothing_stays_as_it_is(self, shape: tuple[int, int], adjusted: str | None) -> None:
        """Where torch divides A by no columns at all, and raises."""
        h = Hyper(0.5, adjust_lr_fn=adjusted)
        rows = RULE.run(RULE.torch, np.zeros(shape), [np.zeros(shape)] * 2, [h] * 2)
        assert [w.shape for w, _ in rows] == [shape] * 2

    def test_without_a_gradient_to_follow_w_decays_by_the_rate_alone(self) -> None:
        """(1 - 2/4)³ of a column, whose ratio is 2; X = 0/ε."""
        rows = followed(TORCH, [[8], [4], [0], [0]], [[[0]] * 4] * 3, [H] * 3)
        assert rows[-1] == (rationals(1, "1/2", 0, 0), rationals(0, 0, 0, 0))


def polynomial(s: Fraction, c: Sequence[Fraction], times: int) -> Fraction:
    """What becomes of a singular value."""
    for _ in range(times):
        s = sum((c[i] * s ** (2 * i + 1) for i in range(3)), Fraction(0))
    return s


def turned(cosine: Fraction, sine: Fraction, size: int, at: int) -> Any:
    """A rotation of two neighbouring axes among ``size``."""
    matrix = np.array([[Fraction(i == j) for j in range(size)] for i in range(size)])
    matrix[at : at + 2, at : at + 2] = [[cosine, -sine], [sine, cosine]]
    return matrix


COEFFICIENTS = [
    rationals("3.4445", "-4.775", "2.0315"),
    rationals("3/2", "-1/2", 0),
    rationals(3, -3, 1),
]


@pytest.mark.parametrize("c", COEFFICIENTS, ids=lambda c: " ".join(map(str, c)))
class TestIteration:
    @pytest.mark.parametrize("steps", [0, 1, 2, 3])
    @pytest.mark.parametrize("upright", [False, True])
    def test_of_a_row(self, c: Any, steps: int, upright: bool) -> None:
        """(3, -4, 12)/13 of length 1, times σ."""
        row = np.array([rationals("3/13", "-4/13", "12/13")])
        x = row.T if upright else row
        s = Fraction(5, 8)
        assert np.array_equal(newton_schulz(s * x, tuple(c), steps), polynomial(s, c, steps) * x)

    @pytest.mark.parametrize("steps", [1, 2])
    def test_of_a_diagonal(self, c: Any, steps: int) -> None:
        """Also with a column, or row, of zeros more, and with a sign."""
        for shape in ((2, 2), (2, 3), (3, 2)):
            x, expected = (np.full(shape, Fraction(0)) for _ in range(2))
            for i, s in enumerate(rationals("3/5", "-1/4")):
                x[i, i], expected[i, i] = s, polynomial(s, c, steps)
            assert np.array_equal(newton_schulz(x, tuple(c), steps), expected)

    @pytest.mark.parametrize("steps", [1, 2])
    def test_of_a_product_of_two_vectors(self, c: Any, steps: int) -> None:
        """(3, 4)/5 and (1, 2, -2)/3: one singular value, all others 0."""
        one, other = rationals("3/5", "4/5"), rationals("1/3", "2/3", "-2/3")
        x: Any = np.array([[v * w for w in other] for v in one])
        s = Fraction(3, 4)
        expected = polynomial(s, c, steps) * x
        assert np.array_equal(newton_schulz(s * x, tuple(c), steps), expected)
        assert np.array_equal(newton_schulz(s * x.T, tuple(c), steps), expected.T)

    @pytest.mark.parametrize("shape", [(2, 2), (2, 3), (3, 2), (3, 3)])
    def test_rotations_on_either_side_go_through(self, c: Any, shape: tuple[int, int]) -> None:
        """NS(O X V) = O NS(X) V, of any X, signed permutations among O and V."""
        rng = np.random.default_rng(2)
        x = np.frompyfunc(lambda n: Fraction(int(n), 8), 1, 1)(rng.integers(-5, 6, shape))
        plain = newton_schulz(x, tuple(c), 2)
        for cosine, sine in (rationals("3/5", "4/5"), rationals(0, 1), rationals(-1, 0)):
            left = turned(cosine, sine, shape[0], 0)
            right = turned(sine, cosine, shape[1], shape[1] - 2)
            got = newton_schulz(left @ x @ right, tuple(c), 2)
            assert np.array_equal(got, left @ plain @ right)


class TestPublished:
    @pytest.mark.parametrize("shape", [(3, 3), (2, 4), (4, 2)])
    def test_the_convergent_iteration_leads_to_the_polar_factor(
        self, shape: tuple[int, int]
    ) -> None:
        """Björck & Bowie 1971: the Q of X = QH, with QᵀQ = 1 and H symmetric and positive."""
        x = np.random.default_rng(3).normal(size=shape)
        for c in ((1.5, -0.5, 0.0), (1.875, -1.25, 0.375)):
            with mpmath.workprec(BITS):
                wide = precise(x)
                q = newton_schulz(wide / norm(wide), c, 30)
                if shape[0] < shape[1]:  # the transposed of the tall one's
                    wide, q = wide.T, q.T
                h = q.T @ wide
                assert same(q.T @ q, np.eye(min(shape)))
                assert same(h, h.T)
            assert (np.linalg.eigvalsh(h.astype(float)) > 0).all()

    def test_torch_s_five_iterations_lead_to_about_one(self) -> None:
        """Jordan's post: the coefficients take [0.01, 1] to [0.7, 1.2], or nearly."""
        row = [
            newton_schulz(np.array([[s]]), (3.4445, -4.775, 2.0315), 5).item()
            for s in np.linspace(0.01, 1, 200)
        ]
        assert 0.68 < min(row) < 0.72
        assert 1.1 < max(row) < 1.21

    def test_the_documented_momentum_gives_the_same_parameters(self) -> None:
        """torch documents b = μb + g, u = g + μb: 1/(1-μ) times the code's, unseen by X."""
        rng = np.random.default_rng(4)
        gradients = precise(rng.normal(size=(5, 3, 2)))
        h = Hyper(0.5, 0.0, 0.75, eps=0.0, ns_steps=0)
        powers = 0.75 ** np.subtract.outer(np.arange(5), np.arange(5)) * np.tri(5)
        with mpmath.workprec(BITS):
            run = RULE.run(RULE.torch, 0 * gradients[0], list(gradients), [h] * 5)
            got = np.stack([w for w, _ in run])
            documented = np.tensordot(np.eye(5) + 0.75 * powers, gradients, axes=1)
            moves = np.stack([u / norm(u) for u in documented])
            assert same(got, -0.5 * math.sqrt(1.5) * np.cumsum(moves, axis=0))


class TestMomentum:
    def test_of_a_constant_gradient(self) -> None:
        """b_T = (1 - μ^T) g, from zero."""
        h = BARE._replace(momentum=0.75)
        rows = followed(TORCH, [[0, 0]], [[[12, 16]]] * 6, [h] * 6)
        assert [b for _, b in rows] == [
            [(1 - Fraction(3, 4) ** t) * g for g in (12, 16)] for t in range(1, 7)
        ]
