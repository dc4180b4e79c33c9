"""The second witness of ``optimizers/asgd.py``: numbers worked by hand, telescoping products.

Nothing here computes a step the way the rule does: hand cases have their work beside them, at α = 1
the decays of all steps cancel but for the first and the last, and the average is a plain mean.
"""

from __future__ import annotations

from fractions import Fraction
from typing import ClassVar

from hypothesis import given
from hypothesis import strategies as st

from oracles.optimizers.asgd import RULE, Hyper
from tests.support.byhand import START, ByHand, Setting
from tests.support.rooted import follow, lifted, path
from tests.support.sums import geometric

F = Fraction
NAMES = [c.name for c in RULE.conventions]
TORCH = RULE.torch.name
GRADIENTS = (F(1), F(-2), F(1))


_FIRST = Hyper(F(1, 2), F(1), F(2), F(0), F(1, 5), batch_size=4)
_LATER = _FIRST._replace(lr=F(1, 4))

# γ = 1/2, then 1/4; ℓ = 1, α = 2, λ = 1/5, n = 4; w = 10, g = 1, -2, 1.
#   η = 1/2   d = 1 + 2 = 3              w = 5 - 3/2 = 7/2              1/2 / (3/2)² = 2/9
#   η = 2/9   d = -2 + 7/10 = -13/10     w = 49/18 + 13/45 = 271/90     1/4 / (3/2)² = 1/9
#   η = 1/9   d = 1 + 271/450 = 721/450  w = 1084/405 - 721/4050 = 3373/1350
DECAYED = Setting(GRADIENTS, (_FIRST, _LATER, _LATER), (F(7, 2), F(271, 90), F(3373, 1350)))

# The same, ascending: the gradient changes its sign and the decays do not.
#   d = -1 + 2 = 1              w = 5 - 1/2 = 9/2
#   d = 2 + 9/10 = 29/10        w = 7/2 - 29/45 = 257/90
#   d = -1 + 257/450 = -193/450 w = 1028/405 + 193/4050 = 3491/1350
ASCENDING = Setting(
    GRADIENTS,
    tuple(h._replace(maximize=True) for h in DECAYED.schedule),
    (F(9, 2), F(257, 90), F(3491, 1350)),
)

HAND: dict[str, tuple[Setting, tuple[Fraction, ...]]] = {
    "coupled_unscaled": (DECAYED, DECAYED.w),
    # λ/n = 1/20. d = 3/2, w = 5 - 3/4 = 17/4; d = -143/80, w = 119/36 + 143/360 = 1333/360.
    "batch_scaled": (DECAYED, (F(17, 4), F(1333, 360))),
    # 1 - γλ = 9/10, then 19/20. 9/2 - 1/2 = 4; 19/5·7/9 + 4/9 = 153/45.
    "decoupled_lr": (DECAYED, (F(4), F(17, 5))),
    # 1 - λ = 4/5. 4 - 1/2 = 7/2; 14/5·7/9 + 4/9 = 118/45.
    "decoupled": (DECAYED, (F(7, 2), F(118, 45))),
    # 9/2·9/10 = 81/20; (63/20 + 4/9)·19/20 = 647/180·19/20.
    "decay_after_lr": (DECAYED, (F(81, 20), F(12293, 3600))),
    # 9/2·4/5 = 18/5; (14/5 + 4/9)·4/5 = 146/45·4/5.
    "decay_after": (DECAYED, (F(18, 5), F(584, 225))),
    # 5 - 1/2 = 9/2; 7/2 + 4/9.
    "decay_ignored": (DECAYED, (F(9, 2), F(71, 18))),
    # d = -(1 + 2), w = 5 + 3/2 = 13/2; d = 2 - 13/10 = 7/10, w = 91/18 - 7/45 = 49/10.
    "decay_sign_flipped": (ASCENDING, (F(13, 2), F(49, 10))),
    # η = 2/9: w = 70/9 - 2/3 = 64/9; η = 1/9: d = -26/45, w = 512/81 + 26/405 = 862/135.
    "rate_of_this_step": (DECAYED, (F(64, 9), F(862, 135))),
    # η = 1/4 / (5/4)² = 4/25 at the second step: w = 7/2·21/25 + 26/125 = 787/250.
    "lr_at_once": (DECAYED, (F(7, 2), F(787, 250))),
    # η = 1/2 again: w = 7/4 + 13/20.
    "rate_constant": (DECAYED, (F(7, 2), F(12, 5))),
    # η = 1/2 / (3/2) = 1/3: w = 7/3 + 13/30 = 83/30; then 1/4 / (3/2) = 1/6: d = 233/150,
    # w = 83/30·5/6 - 233/900 = 1842/900.
    "alpha_ignored": (DECAYED, (F(7, 2), F(83, 30), F(307, 150))),
    # η = 1/2 / (1 + 1/2) = 1/3, too; then 1/4 / (1 + 4/4) = 1/8: w = 83/30·7/8 - 233/1200.
    "power_of_t": (DECAYED, (F(7, 2), F(83, 30), F(167, 75))),
    # w = 10 - 3/2 = 17/2; d = -3/10, w = 17/2 + 1/15.
    "lambd_ignored": (DECAYED, (F(17, 2), F(257, 30))),
    # 1 - ℓ = 0: w = -3/2; d = -23/10, w = 2/9·23/10.
    "lambd_unscaled": (DECAYED, (F(-3, 2), F(23, 45))),
    # 17/2·1/2 = 17/4; d = -23/20, (17/4 + 23/90)·7/9 = 811/180·7/9.
    "lambd_after": (DECAYED, (F(17, 4), F(5677, 1620))),
}


class TestByHand(ByHand):
    rule = RULE
    cases = HAND
    other: ClassVar = {
        "lr": F(7),
        "lambd": F(1, 9),
        "alpha": F(3),
        "t0": F(5),
        "weight_decay": F(3),
    }

    def test_state(self) -> None:
        """t₀ = 0: w̄ is w twice, and then the mean of the last two: (271/90 + 3373/1350)/2."""
        states = [s for _, s in follow(RULE, TORCH, START, GRADIENTS, DECAYED.schedule, F)]
        assert [s["eta"] for s in states] == [F(2, 9), F(1, 9), F(1, 4) / F(7, 4) ** 2]
        assert [s["mu"] for s in states] == [1, F(1, 2), F(1, 3)]
        assert [s["ax"] for s in states] == [F(7, 2), F(271, 90), F(3719, 1350)]
        assert [s["step"] for s in states] == [1, 2, 3]

    def test_the_last_rate_moves_nothing(self) -> None:
        """η was made a step before; at the first step it is γ, of the step that makes the state."""
        other = _LATER._replace(lr=F(9))
        assert path(RULE, TORCH, START, GRADIENTS[:2], (_FIRST, other)) == list(DECAYED.w[:2])
        assert path(RULE, TORCH, START, (None, F(1)), (other, _LATER)) == [
            10,
            F(10) * F(3, 4) - F(3, 4),
        ]


values = st.integers(-30, 30).map(lambda n: F(n, 7))
rates = st.sampled_from([F(1, 2), F(1), F(1, 10), F(2, 7)])
decays = st.sampled_from([F(0), F(1, 2), F(1), F(3, 5)])


class TestClosedForms:
    @given(values, rates, decays, decays, st.integers(1, 9))
    def test_constant_gradient_without_slowing_down(
        self, g: Fraction, rate: Fraction, ell: Fraction, decay: Fraction, steps: int
    ) -> None:
        """At α = 0, w_T = a^T w₀ − γg(1 + a + ...), a = 1 − γ(ℓ+λ): two decays that are one."""
        a = 1 - rate * (ell + decay)
        expected = a**steps * START - rate * g * geometric(a, steps)
        for first, second in ((ell, decay), (decay, ell)):
            h = Hyper(rate, first, F(0), F(0), second)
            assert path(RULE, TORCH, START, [g] * steps, [h] * steps)[-1] == expected

    @given(values, rates, decays, st.booleans(), st.integers(1, 9))
    def test_constant_gradient(
        self, g: Fraction, rate: Fraction, ell: Fraction, maximize: bool, steps: int
    ) -> None:
        """At α = 1, 1 − ℓη = (1 + ℓγ(t−2))/(1 + ℓγ(t−1)): the product telescopes.

        w_T (1 + ℓγ(T−1)) = w₀ (1 − ℓγ) − Tγg.
        """
        h = Hyper(rate, ell, F(1), F(0), F(0), maximize)
        signed = -g if maximize else g
        expected = START * (1 - ell * rate) - steps * rate * signed
        got = path(RULE, TORCH, START, [g] * steps, [h] * steps)[-1]
        assert got * (1 + ell * rate * (steps - 1)) == expected

    @given(st.lists(values, min_size=1, max_size=9), rates, st.integers(0, 5))
    def test_average(self, gradients: list[Fraction], rate: Fraction, t0: int) -> None:
        """w̄ is the mean of all w from step t₀ + 2 on, and before that w itself."""
        h = Hyper(rate, F(1, 3), F(1), F(t0))
        run = follow(RULE, TORCH, START, gradients, [h] * len(gradients), F)
        for t, (w, state) in enumerate(run, start=1):
            later = [w for w, _ in run[t0 + 1 : t]]
            assert state["ax"] == (sum(later) / len(later) if later else w)

    def test_the_average_is_a_copy_by_default(self) -> None:
        h = lifted(Hyper(), F)._replace(alpha=F(1))
        run = follow(RULE, TORCH, START, GRADIENTS, [h] * 3, F)
        assert all(state["ax"] == w for w, state in run)
