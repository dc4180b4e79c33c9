"""The second witness of ``optimizers/adagrad.py``: numbers worked by hand, and closed forms.

Nothing here computes a step the way the rule does. Hand cases were worked on paper, with the work
in the comment beside them: gradients are such that sums of squares are squares (3, 4, 5). Closed
forms are sums over a constant gradient; published values are those of other projects' tests.
"""

from __future__ import annotations

from typing import ClassVar

import mpmath
import numpy as np
import pytest

from oracles.optimizers.adagrad import RULE, Hyper
from tests.support.byhand import START, ByHandWithBuffers, Hand, followed, numbers, printed
from tests.support.many_bits import BITS, same
from tests.support.rooted import Rooted, lifted

NAMES = [c.name for c in RULE.conventions]
TORCH = RULE.torch.name

ZERO, ONE = numbers("0", "1")

# γ = 1/2, η = 1, so γ̃ = 1/2 and then 1/4; ε = 1, τ = 0; with decay λ = 1/5, n = 4.
BASE = Hyper(Rooted("1/2"), ONE, ZERO, ZERO, ONE, batch_size=4)
DECAYED = BASE._replace(weight_decay=Rooted("1/5"))
ASCENDING = DECAYED._replace(maximize=True)


def hand(h: Hyper, gradients: str, w: str, sums: str = "9 25") -> Hand:
    """Two steps at constant hyperparameters, from numbers separated by blanks."""
    rows = [numbers(*text.split()) for text in (gradients, w, sums)]
    return Hand((h, h), rows[0], rows[1], {"sum": rows[2]})


HAND: dict[str, Hand] = {
    # d = 1 + 10/5 = 3, s = 9, D = 4, w = 10 - 1/2·3/4 = 77/8;
    # d = 83/40 + 77/40 = 4, s = 25, D = 6, w = 77/8 - 1/4·4/6 = 227/24.
    "coupled_unscaled": hand(DECAYED, "1 83/40", "77/8 227/24"),
    # λ/n = 1/20. d = 1 + 1/2 = 3/2, s = 9/4, D = 5/2, w = 10 - 1/2·3/5 = 97/10;
    # d = 303/200 + 97/200 = 2, s = 25/4, D = 7/2, w = 97/10 - 1/4·4/7 = 669/70.
    "batch_scaled": hand(DECAYED, "1 303/200", "97/10 669/70", "9/4 25/4"),
    # From here on d = 3, then 4: the moves are 3/8 and 1/6. 1 - γλ = 9/10.
    # 9 - 3/8 = 69/8; 621/80 - 1/6 = 1823/240.
    "decoupled_lr": hand(DECAYED, "3 4", "69/8 1823/240"),
    # 1 - λ = 4/5. 8 - 3/8 = 61/8; 61/10 - 1/6 = 89/15.
    "decoupled": hand(DECAYED, "3 4", "61/8 89/15"),
    # 77/8·9/10 = 693/80; (693/80 - 1/6)·9/10 = 2039/240·9/10 = 6117/800.
    "decay_after_lr": hand(DECAYED, "3 4", "693/80 6117/800"),
    # 77/8·4/5 = 77/10; (77/10 - 1/6)·4/5 = 113/15·4/5 = 452/75.
    "decay_after": hand(DECAYED, "3 4", "77/10 452/75"),
    # 10 - 3/8 = 77/8; 77/8 - 1/6 = 227/24.
    "decay_ignored": hand(DECAYED, "3 4", "77/8 227/24"),
    # d = -(1 + 2) = -3, w = 10 + 3/8 = 83/8; d = -(77/40 + 83/40) = -4, w = 83/8 + 1/6 = 253/24.
    "decay_sign_flipped": hand(ASCENDING, "1 77/40", "83/8 253/24"),
    # s = 1/10 + 9/400 = 49/400, D = 27/20, w = 10 - 1/2·3/27 = 179/18;
    # s = 49/400 + 576/400 = 25/16, D = 9/4, w = 179/18 - 1/4·24/45 = 883/90. (7, 24, 25)
    "accumulator_tenth": hand(
        BASE._replace(initial_accumulator_value=Rooted(2)),
        "3/20 6/5",
        "179/18 883/90",
        "49/400 25/16",
    ),
    # τ = 16 is not seen: the moves are 3/8 and 1/6.
    "start_ignored": hand(
        BASE._replace(initial_accumulator_value=Rooted(16)), "3 4", "77/8 227/24"
    ),
    # s = 1, D = 2, d = 1 + 2 = 3, w = 10 - 1/2·3/2 = 37/4;
    # s = 1 + 9/16 = 25/16, D = 9/4, d = 3/4 + 37/20 = 13/5, w = 37/4 - 1/4·52/45 = 1613/180.
    "sum_undecayed": hand(DECAYED, "1 3/4", "37/4 1613/180", "1 25/16"),
    # D = 0 + 1, w = 10 - 1/2·3 = 17/2; D = 3 + 1, w = 17/2 - 1/4·4/4 = 33/4.
    "sum_late": hand(BASE, "3 4", "17/2 33/4"),
    # D = 9 + 1, w = 10 - 1/2·3/10 = 197/20; D = 26, w = 197/20 - 1/4·4/26 = 2551/260.
    "rootless": hand(BASE, "3 4", "197/20 2551/260"),
    # ε = 16: D = √(9 + 16) = 5, w = 10 - 1/2·3/5 = 97/10;
    # D = √(153 + 16) = 13, w = 97/10 - 1/4·12/13 = 1231/130.
    "eps_inside": hand(BASE._replace(eps=Rooted(16)), "3 12", "97/10 1231/130", "9 153"),
    # D = 3, w = 10 - 1/2 = 19/2; D = 5, w = 19/2 - 1/4·4/5 = 93/10.
    "eps_ignored": hand(BASE, "3 4", "19/2 93/10"),
    # γ̃ = 1/4, then 1/6: w = 10 - 1/4·3/4 = 157/16; w = 157/16 - 1/6·2/3 = 1397/144.
    "lr_decay_late": hand(BASE, "3 4", "157/16 1397/144"),
    # γ̃ = 1/2 both times: w = 10 - 3/8 = 77/8; w = 77/8 - 1/2·2/3 = 223/24.
    "lr_decay_ignored": hand(BASE, "3 4", "77/8 223/24"),
}


class TestByHand(ByHandWithBuffers):
    rule = RULE
    cases = HAND
    other: ClassVar = {"lr": Rooted(7), "lr_decay": Rooted("1/9"), "weight_decay": Rooted(2)}

    def test_ascending(self) -> None:
        """d = -1 + 2 = 1, D = 2, w = 10 - 1/4 = 39/4; d = -g + 39/20 = 4/3 makes (3, 4, 5) again.

        s = 1 + 16/9 = 25/9, D = 8/3, w = 39/4 - 1/4·1/2 = 77/8.
        """
        gradients = numbers("1", "37/60")
        got = followed(RULE, TORCH, START, gradients, [ASCENDING] * 2)
        assert got == [
            (Rooted("39/4"), {"sum": 1}),
            (Rooted("77/8"), {"sum": Rooted("25/9")}),
        ]

    def test_a_start_that_is_not_zero(self) -> None:
        """τ = 16: s = 25, D = 6, w = 10 - 1/2·3/6 = 39/4; s = 169, D = 14, w = 39/4 - 3/14."""
        h = BASE._replace(initial_accumulator_value=Rooted(16))
        got = followed(RULE, TORCH, START, numbers("3", "12"), [h, h])
        assert got == [(Rooted("39/4"), {"sum": 25}), (Rooted("267/28"), {"sum": 169})]

    def test_every_hyperparameter_is_the_step_s_own_but_the_start(self) -> None:
        """At step 2 γ = 1, η = 3 and ε = 5: γ̃ = 1/4, D = 10, w = 77/8 - 1/4·4/10 = 381/40."""
        later = Hyper(ONE, Rooted(3), ZERO, Rooted(7), Rooted(5))
        got = followed(RULE, TORCH, START, numbers("3", "4"), [BASE, later])
        assert got[-1] == (Rooted("381/40"), {"sum": 25})

    def test_the_sum_is_there_before_any_gradient_and_steps_without_one_do_not_count(self) -> None:
        """η acts from the second gradient on, which comes at step 4."""
        h = BASE._replace(initial_accumulator_value=ZERO)
        got = followed(RULE, TORCH, START, (None, Rooted(3), None, Rooted(4)), [h] * 4)
        moved = [START, Rooted("77/8"), Rooted("77/8"), Rooted("227/24")]
        assert got == [(w, {"sum": s}) for w, s in zip(moved, (0, 9, 9, 25), strict=True)]


class TestClosedForms:
    @pytest.mark.parametrize("decay", [0.0, 0.25])
    def test_constant_gradient(self, decay: float) -> None:
        """Without λ, τ and ε: w_T = w_0 - γ sign(g) Σ 1/((1 + (k-1)η)√k), whatever |g| is."""
        h = lifted(Hyper(3.0, decay, 0.0, 0.0, 0.0), mpmath.mpf)
        g = mpmath.mpf(-0.7)
        with mpmath.workprec(BITS):
            w, state = followed(RULE, TORCH, mpmath.mpf(1), [g] * 20, [h] * 20)[-1]
            moved = sum(1 / ((1 + (k - 1) * h.lr_decay) * mpmath.sqrt(k)) for k in range(1, 21))
            assert same(w, 1 + 3 * moved)
            assert state["sum"] == 20 * g * g

    def test_lemma_4_of_the_paper(self) -> None:
        """Duchi, Hazan & Singer 2011, lemma 4: Σ g²/√s <= 2√s_T, and the sum is what w descends."""
        rng = np.random.default_rng(4)
        gradients = rng.normal(size=(50, 200)) * 2.0 ** rng.integers(-9, 9, (50, 200))
        h = Hyper(lr=1.0, eps=0.0)
        rows = followed(RULE, TORCH, np.zeros(200), list(gradients), [h] * 50)
        path = np.stack([np.zeros(200), *(w for w, _ in rows)])
        descended = -(gradients * np.diff(path, axis=0)).sum(axis=0)
        bound = 2 * np.sqrt((gradients**2).sum(axis=0))
        assert (descended <= bound).all()
        assert (descended > bound / 2).all()  # and at least √s_T: it is not far below

    @pytest.mark.parametrize("power", [-3, 5])
    def test_the_scale_of_gradients_cancels(self, power: int) -> None:
        """g, ε and √τ times a power of two: the same bits."""
        rng = np.random.default_rng(5)
        gradients = rng.normal(size=(6, 40))
        c = 2.0**power
        h = Hyper(0.3, 0.2, 0.0, 0.7, 0.11)
        scaled = h._replace(initial_accumulator_value=0.7 * c * c, eps=0.11 * c)
        one = followed(RULE, TORCH, np.ones(40), list(gradients), [h] * 6)
        other = followed(RULE, TORCH, np.ones(40), list(c * gradients), [scaled] * 6)
        assert np.array_equal(one[-1][0], other[-1][0])


class TestPublished:
    def test_keras_single_step(self) -> None:
        """keras/src/optimizers/adagrad_test.py, test_single_step, at the defaults of Keras.

        Keras has its ε, 1e-7, inside the root, where it changes nothing in the printed digits.
        """
        h = Hyper(lr=0.5, eps=1e-7)
        g, w = np.array([1.0, 6.0, 7.0, 2.0]), np.array([1.0, 2.0, 3.0, 4.0])
        moved = followed(RULE, "accumulator_tenth", w, [g], [h])[0][0]
        assert printed(moved) == [0.5233, 1.5007, 2.5005, 3.5061]

    def test_keras_golden(self) -> None:
        """test_correctness_with_golden of the same file, which gives its start."""
        h = Hyper(lr=0.2, initial_accumulator_value=0.3, eps=1e-6)
        gradients = [np.full(10, 0.01), *[np.arange(1, 11) / 10] * 4]
        golden = [
            [0.9963, 0.9963, 0.9963, 0.9963, 0.9963, 0.9963, 0.9963, 0.9963, 0.9963, 0.9963],
            [0.9604, 0.9278, 0.9003, 0.8784, 0.8615, 0.8487, 0.8388, 0.8313, 0.8255, 0.8209],
            [0.9251, 0.8629, 0.8137, 0.7768, 0.7497, 0.7298, 0.7151, 0.704, 0.6956, 0.6891],
            [0.8903, 0.8012, 0.7342, 0.6862, 0.6521, 0.6277, 0.6099, 0.5967, 0.5867, 0.579],
            [0.856, 0.7422, 0.6604, 0.6037, 0.5644, 0.5367, 0.5168, 0.5021, 0.491, 0.4825],
        ]
        rows = followed(RULE, TORCH, np.ones(10), gradients, [h] * 5)
        assert [printed(w) for w, _ in rows] == golden


class TestStep:
    def test_decay_of_zero_leaves_an_infinite_parameter_out(self) -> None:
        """0·inf would be nan: without decay no term λw is added."""
        w = np.array(np.inf)
        _, state = RULE.step(w, np.array(2.0), 1, {"sum": np.array(0.0)}, Hyper(), RULE.torch)
        assert state["sum"] == 4
