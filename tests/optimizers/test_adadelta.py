"""The second witness of ``optimizers/adadelta.py``: numbers worked by hand, and closed forms.

Nothing here computes a step the way the rule does. Hand cases were worked on paper, with the work
in the comment beside them; ε changes from step to step, so that both roots are rational. Closed
forms are those of a constant gradient without memory (ρ = 0) and without anything but memory
(ρ = 1); published values are those of another project's tests.
"""

from __future__ import annotations

from typing import ClassVar

import mpmath
import numpy as np
import pytest

from oracles.optimizers.adadelta import RULE, Hyper
from tests.support.byhand import START, ByHandWithBuffers, Hand, followed, numbers, printed
from tests.support.many_bits import BITS, same
from tests.support.rooted import Rooted, lifted

NAMES = [c.name for c in RULE.conventions]
TORCH = RULE.torch.name


# γ = 1/2, then 1/4; ρ = 3/4; ε = 1, then 81/64; with decay λ = 1/5, n = 4.
BASE = Hyper(Rooted("1/2"), Rooted("3/4"), Rooted(1), Rooted(0), batch_size=4)
DECAYED = BASE._replace(weight_decay=Rooted("1/5"))
ASCENDING = DECAYED._replace(maximize=True)

D = "3/2 3/2"
V = "9/16 63/64"
U = "9/25 4329/6400"


def hand(h: Hyper, gradients: str, w: str, v: str = V, u: str = U, *, eps: str = "81/64") -> Hand:
    """Two steps, the second one at γ/2 and the ε given, from numbers separated by blanks."""
    second = h._replace(lr=h.lr / 2, eps=Rooted(eps))
    rows = [numbers(*text.split()) for text in (gradients, w, v, u)]
    return Hand((h, second), rows[0], rows[1], {"square_avg": rows[2], "acc_delta": rows[3]})


HAND: dict[str, Hand] = {
    # d = -1/2 + 2 = 3/2, v = 1/4·9/4 = 9/16, √(0+1) = 1, √(v+1) = 5/4, Δ = 6/5,
    # u = 1/4·36/25 = 9/25, w = 10 - 1/2·6/5 = 47/5;
    # d = -19/50 + 47/25 = 3/2, v = 3/4·9/16 + 9/16 = 63/64, √(u+ε) = √(2601/1600) = 51/40,
    # √(v+ε) = √(9/4) = 3/2, Δ = 51/40, u = 27/100 + 1/4·2601/1600 = 4329/6400,
    # w = 47/5 - 1/4·51/40 = 1453/160.
    "coupled_unscaled": hand(DECAYED, "-1/2 -19/50", "47/5 1453/160"),
    # λ/n = 1/20: d = 1 + 1/2, then 103/100 + 47/100: the same d, hence the same w.
    "batch_scaled": hand(DECAYED, "1 103/100", "47/5 1453/160"),
    # From here on g = d: the moves are 3/5 and 51/160. 1 - γλ = 9/10, then 19/20.
    # 9 - 3/5 = 42/5; 42/5·19/20 - 51/160 = 6384/800 - 255/800 = 6129/800.
    "decoupled_lr": hand(DECAYED, D, "42/5 6129/800"),
    # 1 - λ = 4/5. 8 - 3/5 = 37/5; 148/25 - 51/160 = 4736/800 - 255/800 = 4481/800.
    "decoupled": hand(DECAYED, D, "37/5 4481/800"),
    # 47/5·9/10 = 423/50; (423/50 - 51/160)·19/20 = 6513/800·19/20 = 123747/16000.
    "decay_after_lr": hand(DECAYED, D, "423/50 123747/16000"),
    # 47/5·4/5 = 188/25; (188/25 - 51/160)·4/5 = 5761/800·4/5 = 5761/1000.
    "decay_after": hand(DECAYED, D, "188/25 5761/1000"),
    "decay_ignored": hand(DECAYED, D, "47/5 1453/160"),
    # d = -(-1/2 + 2), w = 10 + 3/5 = 53/5; d = -(-31/50 + 53/25), w = 53/5 + 51/160 = 1747/160.
    "decay_sign_flipped": hand(ASCENDING, "-1/2 -31/50", "53/5 1747/160"),
    # 10 - 6/5 = 44/5; 44/5 - 51/40 = 301/40.
    "lr_ignored": hand(BASE, D, "44/5 301/40"),
    # u = 1/4·(3/5)² = 9/100; ε = 1/64: √(169/1600) = 13/40, √(63/64 + 1/64) = 1, Δ = 39/80,
    # u = 27/400 + 1/4·(39/320)² = 29169/409600, w = 47/5 - 39/320 = 2969/320.
    "lr_remembered": hand(BASE, D, "47/5 2969/320", u="9/100 29169/409600", eps="1/64"),
    # u = v; ε = 133/64: √(169/64) = 13/8, √(196/64) = 7/4, Δ = 13/14·3/2 = 39/28,
    # w = 47/5 - 39/112 = 5069/560.
    "gradient_remembered": hand(BASE, D, "47/5 5069/560", u=V, eps="133/64"),
    # Δ = 6/5 as before, since √ε = 1; then Δ = 3/2·2/3 = 1, u = 27/100 + 1/4 = 13/25,
    # w = 47/5 - 1/4 = 183/20.
    "updates_ignored": hand(BASE, D, "47/5 183/20", u="9/25 13/25"),
    # √(0+1)/√(0+1) = 1, Δ = 3/2, u = v, w = 10 - 3/4 = 37/4; the same again: w = 37/4 - 3/8 = 71/8.
    "square_late": hand(BASE, D, "37/4 71/8", u=V, eps="1"),
    # √v = 3/4, Δ = 1/(7/4)·3/2 = 6/7, u = 1/4·36/49 = 9/49, w = 10 - 3/7 = 67/7; ε = 1:
    # v = 27/64 + 9/64 = 9/16, Δ = (10/7)/(7/4)·3/4 = 30/49, u = 27/196 + 225/2401 = 2223/9604,
    # w = 67/7 - 15/98 = 923/98.
    "eps_outside": hand(BASE, "3/2 3/4", "67/7 923/98", "9/16 9/16", "9/49 2223/9604", eps="1"),
    # Δ = 1/(3/4)·3/2 = 2, u = 1, w = 10 - 1 = 9; v = 9/16 again; ε = 5/4: √(9/4) = 3/2,
    # Δ = (3/2)/(3/4)·3/4 = 3/2, u = 3/4 + 9/16 = 21/16, w = 9 - 3/8 = 69/8.
    "eps_above_only": hand(BASE, "3/2 3/4", "9 69/8", "9/16 9/16", "1 21/16", eps="5/4"),
    # v = 1, Δ = 1/2·2 = 1, u = 1/4, w = 10 - 1/2 = 19/2; v = 3/4 + 1/4 = 1,
    # Δ = (5/4)/2 = 5/8, u = 3/16 + 25/256 = 73/256, w = 19/2 - 5/32 = 299/32.
    "rootless": hand(BASE, "2 1", "19/2 299/32", "1 1", "1/4 73/256", eps="1"),
    # v = 9/16, Δ = 4/5·3/4 = 3/5, u = 9/25, w = 10 - 3/10 = 97/10; v = 27/64 + 9/16 = 63/64,
    # Δ = 51/60·3/4 = 51/80, u = 27/100 + 2601/6400 = 4329/6400, w = 97/10 - 51/320 = 3053/320.
    "summed": hand(BASE, "3/4 3/4", "97/10 3053/320"),
    # 1 - ρ = 3/4 is torch's ρ of the cases above.
    "rho_swapped": hand(BASE._replace(rho=Rooted("1/4")), D, "47/5 1453/160"),
}


class TestByHand(ByHandWithBuffers):
    rule = RULE
    cases = HAND
    other: ClassVar = {
        "lr": Rooted(7),
        "rho": Rooted("1/9"),
        "eps": Rooted(3),
        "weight_decay": Rooted(2),
    }

    def test_ascending(self) -> None:
        """d = -1/2 + 2 = 3/2: the same Δ as descending with g = -1/2."""
        got = followed(RULE, TORCH, START, numbers("1/2", "19/50"), _twice(ASCENDING))
        assert got == HAND[TORCH].rows


def _twice(h: Hyper) -> tuple[Hyper, Hyper]:
    return (h, h._replace(lr=h.lr / 2, eps=Rooted("81/64")))


class TestClosedForms:
    def test_without_memory(self) -> None:
        """ρ = 0 and constant g: Δ² obeys x = r(x + ε), r = g²/(g² + ε), so Δ = g√(1 − rᵗ)."""
        h, g = lifted(Hyper(0.5, 0.0, 0.25), mpmath.mpf), mpmath.mpf("-0.75")
        with mpmath.workprec(BITS):
            r = g * g / (g * g + h.eps)
            w, state = followed(RULE, TORCH, mpmath.mpf(1), [g] * 20, [h] * 20)[-1]
            moved = sum(mpmath.sqrt(1 - r**t) for t in range(1, 21))
            assert same(w, 1 - g * moved / 2)
            assert same(state["acc_delta"], g * g * (1 - r**20))
            assert state["square_avg"] == g * g

    def test_with_nothing_but_memory(self) -> None:
        """ρ = 1: both averages stay 0, the roots cancel, and what remains is gradient descent."""
        h = Hyper(Rooted("1/3"), Rooted(1), Rooted("4/9"), Rooted(0))
        gradients = numbers("2", "-1/2", "7")
        got = followed(RULE, TORCH, START, gradients, [h] * 3)
        assert got[-1] == (START - sum(gradients) / 3, {"square_avg": 0, "acc_delta": 0})

    def test_constant_gradient(self) -> None:
        """v = g²(1 − ρᵗ); and while u is below v, as it is from 0 on, |Δ| < |g|."""
        h, g = lifted(Hyper(1.0, 0.75, 1e-3), mpmath.mpf), mpmath.mpf("1.25")
        with mpmath.workprec(BITS):
            rows = followed(RULE, TORCH, mpmath.mpf(0), [g] * 30, [h] * 30)
            for t, (_, state) in enumerate(rows, start=1):
                assert same(state["square_avg"], g * g * (1 - h.rho**t))
                assert 0 < state["acc_delta"] < state["square_avg"]

    @pytest.mark.parametrize("power", [-3, 5])
    def test_gradients_and_updates_have_one_scale(self, power: int) -> None:
        """g and √ε times a power of two: the path times that power, to the bit."""
        rng = np.random.default_rng(5)
        gradients = rng.normal(size=(6, 40))
        c = 2.0**power
        h = Hyper(0.3, 0.7, 0.11)
        one = followed(RULE, TORCH, np.zeros(40), list(gradients), [h] * 6)
        scaled = [h._replace(eps=0.11 * c * c)] * 6
        other = followed(RULE, TORCH, np.zeros(40), list(c * gradients), scaled)
        assert np.array_equal(c * one[-1][0], other[-1][0])


class TestPublished:
    def test_keras_single_step(self) -> None:
        """keras/src/optimizers/adadelta_test.py, test_single_step: γ = 1/2, ρ = 0.95, ε = 1e-7."""
        g, w = np.array([1.0, 6.0, 7.0, 2.0]), np.array([1.0, 2.0, 3.0, 4.0])
        moved = followed(RULE, TORCH, w, [g], [Hyper(0.5, 0.95, 1e-7)])[0][0]
        assert printed(moved) == [0.9993, 1.9993, 2.9993, 3.9993]

    def test_keras_golden(self) -> None:
        """test_correctness_with_golden of the same file: ten elements that all print the same."""
        h = Hyper(lr=1.0, rho=0.8, eps=1e-6)
        gradients = [np.full(10, 0.01), *[np.arange(1, 11) / 10] * 4]
        rows = followed(RULE, TORCH, np.ones(10), gradients, [h] * 5)
        golden = [0.9978, 0.9947, 0.9915, 0.9882, 0.9849]
        assert [printed(w) for w, _ in rows] == [[x] * 10 for x in golden]


class TestStep:
    def test_decay_of_zero_leaves_an_infinite_parameter_out(self) -> None:
        """0·inf would be nan: without decay no term λw is added."""
        state = RULE.start(np.array(0.0), Hyper())
        _, state = RULE.step(np.array(np.inf), np.array(2.0), 1, state, Hyper(rho=0.5), RULE.torch)
        assert state["square_avg"] == 2
