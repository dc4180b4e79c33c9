"""The second witness of ``optimizers/rprop.py``: numbers worked by hand, and whole runs of signs.

Nothing here computes a step the way the rule does: hand cases have their work beside them, and a
sequence of signs is cut into runs by a regular expression, each of which is a geometric sum.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import ClassVar

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from oracles.optimizers.rprop import RULE, Hyper
from tests.support.byhand import START, ByHand, Setting
from tests.support.rooted import follow, path
from tests.support.sums import geometric

F = Fraction
NAMES = [c.name for c in RULE.conventions]
TORCH = RULE.torch.name
GRADIENTS = (F(2), F(3), F(-1), F(-5))

FREE = Hyper(F(1), F(1, 2), F(3, 2), F(0), F(100))


# η₋ = 1/2, η₊ = 3/2, γ = 1, gradients 2, 3, -1, -5: first, agreement, turn, as if first.
#   s = 1            w = 10 - 1 = 9
#   s = 3/2          w = 9 - 3/2 = 15/2
#   s = 3/4          w waits
#   s = 3/4          w = 15/2 + 3/4 = 33/4
UNBOUND = Setting(GRADIENTS, (FREE,) * 4, (F(9), F(15, 2), F(15, 2), F(33, 4)))

# The same, ascending: everything is mirrored at 10.
ASCENDING = Setting(
    GRADIENTS, (FREE._replace(maximize=True),) * 4, (F(11), F(25, 2), F(25, 2), F(47, 4))
)

# γ = 2 and s between 1 and 3/2.
#   s = 2 -> 3/2     w = 10 - 3/2 = 17/2
#   s = 9/4 -> 3/2   w = 7
#   s = 3/4 -> 1     w waits
#   s = 1            w = 8
BOUND = Setting(
    GRADIENTS,
    (FREE._replace(lr=F(2), step_size_min=F(1), step_size_max=F(3, 2)),) * 4,
    (F(17, 2), F(7), F(7), F(8)),
)

HAND: dict[str, tuple[Setting, tuple[Fraction, ...]]] = {
    "irprop_minus": (UNBOUND, UNBOUND.w),
    # The turn moves by 3/4 at once, w = 33/4, and then -5 agrees with -1: s = 9/8, w = 75/8.
    "rprop_minus": (UNBOUND, (F(9), F(15, 2), F(33, 4), F(75, 8))),
    # The turn gives 3/2 back, w = 9; s = 3/4, w = 39/4.
    "rprop_plus": (UNBOUND, (F(9), F(15, 2), F(9), F(39, 4))),
    # -5 agrees with -1: s = 9/8, w = 15/2 + 9/8 = 69/8.
    "turn_remembered": (UNBOUND, (F(9), F(15, 2), F(15, 2), F(69, 8))),
    # No last move at first; then that of step 1; none at the turn, and none was left by it. (optax
    # 0.2.8, run on this case, gives these four numbers.)
    "lagging": (UNBOUND, (F(10), F(9), F(9), F(9))),
    # s = 3/2, w = 17/2; s = 9/4, w = 25/4; s = 9/8; s = 27/16, w = 127/16.
    "zero_grows": (UNBOUND, (F(17, 2), F(25, 4), F(25, 4), F(127, 16))),
    # Signed gradients -2, -3, 1, 5; remembered are 2, 0, -1, 0: turns at steps 2 and 4.
    # w = 11, waits; s = 1/2, w = 21/2; waits.
    "ascent_forgotten": (ASCENDING, (F(11), F(11), F(21, 2), F(21, 2))),
    # s = 1/2, w = 17/2; s = 3/4; w = 37/4.
    "factors_swapped": (UNBOUND, (F(9), F(17, 2), F(17, 2), F(37, 4))),
    # s = 1, 3/2, 1/2, 1: γ times one factor.
    "size_forgotten": (UNBOUND, (F(9), F(15, 2), F(15, 2), F(17, 2))),
    # s = 2, w = 8; s = 3 -> 3/2, w = 13/2; s = 3/4 -> 1; w = 15/2.
    "first_unbounded": (BOUND, (F(8), F(13, 2), F(13, 2), F(15, 2))),
    # s = 2, w = 8; s = 3, w = 5; s = 3/2; w = 13/2.
    "unbounded": (BOUND, (F(8), F(5), F(5), F(13, 2))),
    # 10 - 1·2 = 8; 8 - 3/2·3 = 7/2; waits; 7/2 + 3/4·5 = 29/4.
    "magnitude": (UNBOUND, (F(8), F(7, 2), F(7, 2), F(29, 4))),
}


class TestByHand(ByHand):
    rule = RULE
    cases = HAND
    other: ClassVar = {"lr": F(7), "etaplus": F(9), "step_size_max": F(1, 3)}

    def test_state(self) -> None:
        """g₋ is 0 after a turn; s is there before the first step ends."""
        states = [state for _, state in follow(RULE, TORCH, START, GRADIENTS, [FREE] * 4, F)]
        assert [s["prev"] for s in states] == [2, 3, 0, -5]
        assert [s["step_size"] for s in states] == [1, F(3, 2), F(3, 4), F(3, 4)]
        assert [s["step"] for s in states] == [1, 2, 3, 4]

    def test_a_gradient_of_zero_moves_nothing_and_forgets_the_sign(self) -> None:
        """s = 1, w = 9; waits, g₋ = 0; then as a first step with s = 1: w = 10."""
        assert path(RULE, TORCH, START, (F(2), F(0), F(-3)), [FREE] * 3) == [9, 9, 10]

    def test_the_first_step_is_each_parameter_s_own(self) -> None:
        """γ is that of the step which makes the state: 1/4 here, and 1 before it moves nothing."""
        late = FREE._replace(lr=F(1, 4))
        assert path(RULE, TORCH, START, (None, F(2)), (FREE, late)) == [10, F(39, 4)]

    def test_factors_and_bounds_are_those_of_the_step(self) -> None:
        """s = 1, w = 9; s = 1·2, w = 7; s = 4 -> 1/2, w = 13/2."""
        schedule = (FREE, FREE._replace(etaplus=F(2)), FREE._replace(step_size_max=F(1, 2)))
        assert path(RULE, TORCH, START, (F(2), F(3), F(1)), schedule) == [9, 7, F(13, 2)]


RUN = re.compile(r"(?P<sign>[+-])(?P<rest>(?P=sign)*)(?P<end>[+-]|0|$)|0")
"""Equal signs and what ends them: the other sign is a turn, and nothing is remembered of either."""


def by_runs(signs: str, h: Hyper) -> tuple[Fraction, Fraction]:
    """Parameter and step size after a sequence of signs, run by run, without bounds.

    n equal signs move w by s, sη₊, ..., sη₊^(n-1), which is a geometric sum.
    """
    w, s = START, h.lr
    for run in RUN.finditer(signs):
        if run["sign"]:
            n = 1 + len(run["rest"])
            w -= int(run["sign"] + "1") * s * geometric(h.etaplus, n)
            s *= h.etaplus ** (n - 1) * (h.etaminus if run["end"] in ("+", "-") else 1)
    return w, s


magnitudes = st.sampled_from([F(1), F(1, 7), F(40)])
factors = st.tuples(
    st.sampled_from([F(1, 2), F(1, 5), F(9, 10)]), st.sampled_from([F(6, 5), F(2), F(10, 9)])
)
rates = st.sampled_from([F(1), F(1, 3), F(5)])
signs = st.text(alphabet="+-0", min_size=1, max_size=12)


def free(rate: Fraction, pair: tuple[Fraction, Fraction]) -> Hyper:
    return Hyper(rate, *pair, F(0), F(10) ** 30)


class TestClosedForms:
    @given(signs, rates, factors, st.lists(magnitudes, min_size=12, max_size=12))
    def test_any_signs(
        self, text: str, rate: Fraction, pair: tuple[Fraction, Fraction], sizes: list[Fraction]
    ) -> None:
        """Runs of signs, whatever the magnitudes; ascending, of the opposite gradients."""
        h = free(rate, pair)
        gradients = [
            0 * size if c == "0" else int(c + "1") * size
            for c, size in zip(text, sizes, strict=False)
        ]
        for direction, given_ in (
            (h, gradients),
            (h._replace(maximize=True), [-g for g in gradients]),
        ):
            (w, state) = follow(RULE, TORCH, START, given_, [direction] * len(text), F)[-1]
            assert (w, state["step_size"]) == by_runs(text, h)

    @given(st.integers(1, 9), rates, factors)
    def test_equal_signs(self, steps: int, rate: Fraction, pair: tuple[Fraction, Fraction]) -> None:
        """w = w₀ − γ(1 + η₊ + ...), and with a bound of γη₊² no term is larger than that."""
        h = free(rate, pair)
        bound = rate * h.etaplus**2
        terms = [rate * h.etaplus**k for k in range(steps)]
        assert path(RULE, TORCH, START, [F(3)] * steps, [h] * steps)[-1] == START - sum(terms)
        held = [h._replace(step_size_max=bound)] * steps
        bounded = path(RULE, TORCH, START, [F(3)] * steps, held)[-1]
        capped = sum(terms[:3]) + max(steps - 3, 0) * bound
        assert bounded == START - capped

    @given(st.integers(1, 6), rates, factors)
    def test_alternating_signs(
        self, pairs: int, rate: Fraction, pair: tuple[Fraction, Fraction]
    ) -> None:
        """Every second step waits: w = w₀ − γ(1 + η₋ + ...); Rprop⁺ ends where it began."""
        h = free(rate, pair)
        gradients = [F(2), F(-1)] * pairs
        expected = START - rate * geometric(h.etaminus, pairs)
        assert path(RULE, TORCH, START, gradients, [h] * len(gradients))[-1] == expected
        assert path(RULE, "rprop_plus", START, gradients, [h] * len(gradients))[-1] == START

    @given(signs, factors)
    def test_a_scheduler_moves_nothing(self, text: str, pair: tuple[Fraction, Fraction]) -> None:
        gradients = [F(0) if c == "0" else F(int(c + "1")) for c in text]
        h = free(F(1), pair)
        schedule = [h, *(h._replace(lr=F(k)) for k in range(1, len(text)))]
        assert path(RULE, TORCH, START, gradients, schedule) == path(
            RULE, TORCH, START, gradients, [h] * len(gradients)
        )


class TestStep:
    def test_a_product_that_underflows_is_neither_agreement_nor_turn(self) -> None:
        tiny = np.array([1e-200, -1e-200])
        state = {"prev": np.full(2, 1e-200), "step_size": np.ones(2)}
        w, after = RULE.step(np.zeros(2), tiny, 2, state, Hyper(), RULE.torch)
        assert w.tolist() == [-1, 1]
        assert after["step_size"].tolist() == [1, 1]

    @np.errstate(invalid="ignore")
    def test_the_sign_of_nan_is_zero(self) -> None:
        """A nan gradient moves nothing; the product of a first ∞ and g₋ = 0 is no turn."""
        state = {"prev": np.array([1.0, 0.0]), "step_size": np.ones(2)}
        g = np.array([math.nan, math.inf])
        w, after = RULE.step(np.zeros(2), g, 2, state, Hyper(), RULE.torch)
        assert w.tolist() == [0, -1]
        assert after["step_size"].tolist() == [1, 1]
