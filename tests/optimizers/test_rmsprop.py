"""The second witness of ``optimizers/rmsprop.py``: numbers worked by hand, and closed forms.

Nothing here computes a step the way the rule does. Hand cases were worked on paper, with the work
in the comment beside them; gradients are such that the roots are rational. Closed forms are those
of a constant gradient; published values are those of another project's documents and tests.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import mpmath
import numpy as np
import pytest

from oracles.harness.arithmetic.enclosure import Enclosure
from oracles.harness.arithmetic.formats import DTYPES, FORMATS
from oracles.harness.oracle import exactly
from oracles.optimizers.rmsprop import RULE, Hyper, nearest_allowed
from tests.support.byhand import START, ByHandWithBuffers, Hand, followed, numbers, printed
from tests.support.many_bits import BITS, same
from tests.support.rooted import Rooted, lifted

NAMES = [c.name for c in RULE.conventions]
TORCH = RULE.torch.name


# γ = 1/2, then 1/4. Everything on: α = 4/5, ε = 3, μ = 1/2, λ = 1/5, centered, n = 4.
ZERO, ONE = numbers("0", "1")
FULL = Hyper(
    lr=Rooted("1/2"),
    alpha=Rooted("4/5"),
    eps=Rooted(3),
    weight_decay=Rooted("1/5"),
    momentum=Rooted("1/2"),
    centered=True,
    batch_size=4,
)
ASCENDING = FULL._replace(maximize=True)
# Little on: α = 3/4, ε = 1, so that d = 2 and 1 make v = 1 and 1, and D = 2 and 2.
PLAIN = Hyper(Rooted("1/2"), Rooted("3/4"), ONE, ZERO, ZERO)
HEAVY = PLAIN._replace(momentum=Rooted("1/2"))
CENTERED = PLAIN._replace(centered=True)


def hand(h: Hyper, gradients: str, w: str, v: str = "1 1", *, a: str = "", b: str = "") -> Hand:
    """Two steps, the second one at γ/2, from numbers separated by blanks."""
    states = {"square_avg": v, "grad_avg": a, "momentum_buffer": b}
    rows = [numbers(*text.split()) for text in (gradients, w)]
    kept = {name: numbers(*text.split()) for name, text in states.items() if text}
    return Hand((h, h._replace(lr=h.lr / 2)), rows[0], rows[1], kept)


def full(gradients: str, w: str, h: Hyper = FULL, sign: int = 1) -> Hand:
    """Those that have d = 5 and 3/2 (or their negatives) when everything is on.

    v = 1/5·25 = 5, a = 1, ṽ = 4, D = 2 + 3, b = 5/5 = 1;
    v = 4 + 9/20 = 89/20, a = 4/5 + 3/10 = 11/10, ṽ = 81/25, D = 9/5 + 3, b = 1/2 + 5/16 = 13/16.
    """
    case = hand(h, gradients, w, "5 89/20", a="1 11/10", b="1 13/16")
    odd = ("grad_avg", "momentum_buffer")
    signed = {n: tuple(Rooted(sign * x) for x in case.states[n]) for n in odd}
    return replace(case, states={**case.states, **signed})


HAND: dict[str, Hand] = {
    # d = 3 + 2, w = 10 - 1/2 = 19/2; d = -2/5 + 19/10, w = 19/2 - 1/4·13/16 = 595/64.
    "coupled_unscaled": full("3 -2/5", "19/2 595/64"),
    # λ/n = 1/20. d = 9/2 + 1/2, then 41/40 + 19/40.
    "batch_scaled": full("9/2 41/40", "19/2 595/64"),
    # From here on g = d. 1 - γλ = 9/10, then 19/20.
    # 9 - 1/2 = 17/2; 323/40 - 13/64 = 2519/320.
    "decoupled_lr": full("5 3/2", "17/2 2519/320"),
    # 1 - λ = 4/5. 8 - 1/2 = 15/2; 6 - 13/64 = 371/64.
    "decoupled": full("5 3/2", "15/2 371/64"),
    # 19/2·9/10 = 171/20; (171/20 - 13/64)·19/20 = 2671/320·19/20 = 50749/6400.
    "decay_after_lr": full("5 3/2", "171/20 50749/6400"),
    # 19/2·4/5 = 38/5; (38/5 - 13/64)·4/5 = 2367/320·4/5 = 2367/400.
    "decay_after": full("5 3/2", "38/5 2367/400"),
    "decay_ignored": full("5 3/2", "19/2 595/64"),
    # d = -(3 + 2), w = 10 + 1/2 = 21/2; d = -(-3/5 + 21/10), w = 21/2 + 13/64 = 685/64.
    "decay_sign_flipped": full("3 -3/5", "21/2 685/64", ASCENDING, -1),
    # v = 3/4 + 1/4 = 1, D = 2, w = 10 - 1/2·1/2 = 39/4; v = 1 again, w = 39/4 - 1/8 = 77/8.
    "accumulator_one": hand(PLAIN, "1 1", "39/4 77/8"),
    # v = 1, 1/(1/4) = 4, D = 3, w = 10 - 1/2·2/3 = 29/3;
    # v = 3/4 + 1 = 7/4, (7/4)/(7/16) = 4, D = 3, w = 29/3 - 1/6 = 19/2.
    "corrected": hand(PLAIN, "2 2", "29/3 19/2", "1 7/4"),
    # 1 - α = 3/4 is torch's α of the other cases: w = 10 - 1/2 = 19/2, 19/2 - 1/4·1/2 = 75/8.
    "alpha_swapped": hand(PLAIN._replace(alpha=Rooted("1/4")), "2 1", "19/2 75/8"),
    # ε = 9/16: D = √(25/16) = 5/4, both times: w = 10 - 1/2·8/5 = 46/5, 46/5 - 1/4·4/5 = 9.
    "eps_inside": hand(PLAIN._replace(eps=Rooted("9/16")), "2 1", "46/5 9"),
    # v = 4 and 4, D = 5: w = 10 - 1/2·4/5 = 48/5, 48/5 - 1/4·2/5 = 19/2.
    "rootless": hand(PLAIN, "4 2", "48/5 19/2", "4 4"),
    # D = 2 and 2 although a = 1/2 and 3/8 + 1/4 = 5/8.
    "centered_ignored": hand(CENTERED, "2 1", "19/2 75/8", a="1/2 5/8"),
    # ṽ = 1 - 0, D = 2, a = 1/2; v = 3/4 + 1/16 = 13/16, ṽ = 13/16 - 1/4 = 9/16, D = 7/4,
    # w = 19/2 - 1/4·2/7 = 66/7.
    "centered_late": hand(CENTERED, "2 1/2", "19/2 66/7", "1 13/16", a="1/2 1/2"),
    # b = 1/2·1, w = 19/2; b = 1/4 + 1/4·1/2 = 3/8, w = 73/8.
    "lr_in_buffer": hand(HEAVY, "2 1", "19/2 73/8", b="1/2 3/8"),
    # b = 2, w = 10 - 1/2·2/2 = 19/2; v = 3/4 + 121/64 = 169/64, D = 21/8, b = 1 + 11/4 = 15/4,
    # w = 19/2 - 1/4·10/7 = 64/7.
    "momentum_inside": hand(HEAVY, "2 11/4", "19/2 64/7", "1 169/64", b="2 15/4"),
    # b = 1/2·1, w = 10 - 1/4 = 39/4; b = 1/4 + 1/2·1/2 = 1/2, w = 39/4 - 1/8 = 77/8.
    "ema_momentum": hand(HEAVY, "2 1", "39/4 77/8", b="1/2 1/2"),
    # b = 1, then 1/2: w = 19/2, 75/8.
    "momentum_ignored": hand(HEAVY, "2 1", "19/2 75/8", b="1 1/2"),
}


class TestByHand(ByHandWithBuffers):
    rule = RULE
    cases = HAND
    other: ClassVar = {"lr": Rooted(7), "alpha": Rooted("1/9"), "weight_decay": Rooted(2)}

    @pytest.mark.parametrize(
        "case",
        [
            hand(PLAIN, "2 1", "19/2 75/8"),
            # d = 1 + 1, then 1/20 + 19/20.
            hand(PLAIN._replace(weight_decay=Rooted("1/10")), "1 1/20", "19/2 75/8"),
            # b = 1, then 1/2 + 1/2: w = 10 - 1/2, then - 1/4.
            hand(HEAVY, "2 1", "19/2 37/4", b="1 1"),
            # d = -(-3) + 2 = 5, then -2/5 + 19/10: as in the first case, which descends.
            full("-3 2/5", "19/2 595/64", ASCENDING),
        ],
    )
    def test_torch_with_less_switched_on(self, case: Hand) -> None:
        assert followed(RULE, TORCH, START, case.gradients, case.schedule) == case.rows

    def test_momentum_switched_off_leaves_the_buffer_waiting(self) -> None:
        """Step 2 ignores b = 1 and moves by 1/2·1/2; step 3 goes on from it.

        v = 3/4 + 1/4 = 1 for the third time, b = 1/2 + 1/2 = 1, w = 37/4 - 1/2 = 35/4.
        """
        gradients = numbers("2", "1", "1")
        rows = followed(RULE, TORCH, START, gradients, [HEAVY, PLAIN, HEAVY])
        assert [w for w, _ in rows] == list(numbers("19/2", "37/4", "35/4"))
        assert [state["momentum_buffer"] for _, state in rows] == [1, 1, 1]

    def test_momentum_switched_on_later_starts_from_zero(self) -> None:
        """As at the first step: b = 0 + 1/2, w = 19/2 - 1/2·1/2. Where torch raises KeyError."""
        rows = followed(RULE, TORCH, START, numbers("2", "1"), [PLAIN, HEAVY])
        assert rows[0] == (Rooted("19/2"), {"square_avg": 1})
        assert rows[1] == (Rooted("37/4"), {"square_avg": 1, "momentum_buffer": Rooted("1/2")})


CALM = Hyper(0.5, 0.75, 0.5, 0.1, 0.5, centered=True)


class TestSettled:
    @pytest.mark.parametrize(
        ("h", "expected"),
        [
            # √(1 - 3/4)/2 = 1/4 = γλ at most, also where γ is large.
            (Hyper(0.5, 0.75, weight_decay=1.0), 0.5),
            (Hyper(0.5, 0.75, weight_decay=0.5), 0.5),
            (Hyper(0.5, 0.75, weight_decay=0.25), 0.25),
            (Hyper(2.0, 0.75, weight_decay=1.0), 0.125),
            (Hyper(0.0, 0.75, weight_decay=4.0), 4.0),
            # Centered: decay as well as ε at their least, or more; then the same cap.
            (CALM, 0.1),
            (CALM._replace(weight_decay=1.0), 0.5),
            (CALM._replace(weight_decay=0.0625), 0.0),
            (CALM._replace(eps=0.25), 0.0),
            (CALM._replace(eps=1e-8, weight_decay=1.0), 0.0),
        ],
    )
    def test_decay(self, h: Hyper, expected: float) -> None:
        assert nearest_allowed(h) == h._replace(weight_decay=expected)

    @pytest.mark.parametrize(("alpha", "settled"), [(0.0, 0.6), (0.75, 0.75), (0.99, 0.9)])
    def test_memory(self, alpha: float, settled: float) -> None:
        """A centered one keeps α from both ends, where ṽ cancels; else it is nobody's business."""
        assert nearest_allowed(CALM._replace(alpha=alpha)).alpha == settled
        assert nearest_allowed(CALM._replace(alpha=alpha, centered=False)).alpha == alpha


class TestClosedForms:
    @pytest.mark.parametrize("centered", [False, True])
    def test_constant_gradient(self, centered: bool) -> None:
        """Without ε: v = g²(1 − αᵗ), ṽ = g²(1 − αᵗ)αᵗ if centered; w moves by γ sign(g) Σ g/√ṽ."""
        h, g = lifted(Hyper(3.0, 0.75, 0.0, centered=centered), mpmath.mpf), mpmath.mpf(-0.7)
        with mpmath.workprec(BITS):
            w, state = followed(RULE, TORCH, mpmath.mpf(1), [g] * 15, [h] * 15)[-1]
            powers = [h.alpha**t for t in range(1, 16)]
            variances = [(1 - p) * (p if centered else 1) for p in powers]
            moved = sum(1 / mpmath.sqrt(x) for x in variances)
            assert same(w, 1 + 3 * moved)
            assert same(state["square_avg"], g * g * (1 - powers[-1]))

    @pytest.mark.parametrize("mu", numbers("1/2", "9/10", "1"))
    def test_momentum(self, mu: Rooted) -> None:
        """α = 0 makes d/D the constant c = g/(|g| + ε); then b is c times a geometric sum."""
        h = Hyper(Rooted("1/3"), ZERO, ONE, ZERO, mu)
        g, steps = Rooted(-4), 7
        (w, state) = followed(RULE, TORCH, START, [g] * steps, [h] * steps)[-1]
        c = Rooted("-4/5")
        sums = [sum(mu**k for k in range(t)) for t in range(1, steps + 1)]
        assert state["momentum_buffer"] == c * sums[-1]
        assert w == START - c * sum(sums) / 3

    def test_lr_in_the_buffer_is_torch_at_a_constant_rate(self) -> None:
        """b is γ times torch's, and the path is the same (a schedule parts them: see HAND)."""
        gradients = numbers("2", "1", "-1")
        schedule = [HEAVY._replace(alpha=ZERO, weight_decay=Rooted("1/5"))] * 3
        one = followed(RULE, TORCH, START, gradients, schedule)
        other = followed(RULE, "lr_in_buffer", START, gradients, schedule)
        assert [w for w, _ in one] == [w for w, _ in other]
        assert [s["momentum_buffer"] / 2 for _, s in one] == [
            s["momentum_buffer"] for _, s in other
        ]

    @pytest.mark.parametrize("power", [-3, 5])
    @pytest.mark.parametrize("centered", [False, True])
    def test_the_scale_of_gradients_cancels(self, power: int, centered: bool) -> None:
        """g and ε times a power of two: the same bits."""
        gradients = np.random.default_rng(5).normal(size=(6, 40))
        c = 2.0**power
        h = Hyper(0.3, 0.7, 0.11, momentum=0.6, centered=centered)
        one = followed(RULE, TORCH, np.ones(40), list(gradients), [h] * 6)
        scaled = [h._replace(eps=0.11 * c)] * 6
        other = followed(RULE, TORCH, np.ones(40), list(c * gradients), scaled)
        assert np.array_equal(one[-1][0], other[-1][0])


class TestPublished:
    """Keras has its ε, 1e-7, inside the root, where it changes nothing in the printed digits."""

    def test_keras_example(self) -> None:
        """The example in the docstring of ``keras.optimizers.RMSprop``: w²/2 from w = 10."""
        h = Hyper(lr=0.1, alpha=0.9, eps=1e-7)
        moved = followed(RULE, TORCH, np.array([10.0]), [np.array([10.0])], [h])[0][0]
        assert printed(moved, 6) == [9.683772]

    def test_keras_single_step(self) -> None:
        """keras/src/optimizers/rmsprop_test.py, test_single_step."""
        g, w = np.array([1.0, 6.0, 7.0, 2.0]), np.array([1.0, 2.0, 3.0, 4.0])
        moved = followed(RULE, TORCH, w, [g], [Hyper(0.5, 0.9, 1e-7)])[0][0]
        assert printed(moved) == [-0.5811, 0.4189, 1.4189, 2.4189]

    def test_keras_golden(self) -> None:
        """test_correctness_with_golden of the same file, centered, where ε counts at first."""
        h = Hyper(lr=0.001, alpha=0.9, eps=1e-7, centered=True)
        gradients = [np.full(10, 0.01), *[np.arange(1, 11) / 10] * 4]
        golden = [0.9967, 0.9933, 0.9908, 0.9885, 0.9864]
        rows = followed(RULE, "eps_inside", np.ones(10), gradients, [h] * 5)
        assert [printed(w) for w, _ in rows] == [[x] * 10 for x in golden]


class TestStep:
    def test_decay_of_zero_leaves_an_infinite_parameter_out(self) -> None:
        """0·inf would be nan: without decay no term λw is added."""
        w, g, h = np.array(np.inf), np.array(2.0), Hyper(alpha=0.5)
        _, state = RULE.step(w, g, 1, RULE.start(w, h), h, RULE.torch)
        assert state["square_avg"] == 2

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_a_variance_that_may_be_negative_is_unknown(self, dtype: str) -> None:
        """α = 0: v and a² are the same number, rounded in two ways."""
        w, g = (Enclosure.exact(np.array([1.5, -0.625]), FORMATS[dtype]) for _ in range(2))
        h = exactly(Hyper(0.5, 0.0, 0.5, centered=True))
        ((ball, state),) = RULE.run(RULE.torch, w, [g], [h])
        assert ball.unknown.all()
        assert not state["square_avg"].unknown.any()
