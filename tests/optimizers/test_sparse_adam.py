"""The second witness of ``optimizers/sparse_adam.py``: hand-worked numbers, and sums.

Nothing here computes a step the way the rule does: hand cases have their work beside them, and the
moments are weighted sums over those steps that had a gradient. All of it is exact: at β₂ = 24/25
both √c₂ are rational, 1/5 and 7/25, and so is √v where g is 5 and then 1; at β₂ = 0, √v = |g|.
"""

from __future__ import annotations

from fractions import Fraction as F
from typing import ClassVar

from hypothesis import given
from hypothesis import strategies as st

from oracles.optimizers import adam
from oracles.optimizers.sparse_adam import RULE, Hyper
from tests.support.byhand import START, ByHand, Setting
from tests.support.rooted import follow, path
from tests.support.sums import averaged

NAMES = [c.name for c in RULE.conventions]
TORCH = RULE.torch.name


_FIRST = Hyper(F(1, 2), F(1, 2), F(24, 25), F(1))
_SECOND = _FIRST._replace(lr=F(1, 4))

# γ = 1/2, then 1/4; β₁ = 1/2, β₂ = 24/25, ε = 1.
#   g = 5   m = 5/2                v = 1                 γ√c₂/c₁ = 1/2·1/5·2 = 1/5
#                                                        w = 10 - 1/5·5/4 = 39/4
#   g = 1   m = 5/2 - 3/4 = 7/4    v = 1 + 1/25·0 = 1    γ√c₂/c₁ = 1/4·7/25·4/3 = 7/75
#                                                        w = 39/4 - 7/75·7/8 = 5801/600
STORED = Setting((F(5), F(1)), (_FIRST, _SECOND), (F(39, 4), F(5801, 600)))

# The same with ε = 3, so that D = 4.
#   w = 10 - 1/5·5/8 = 79/8;  w = 79/8 - 7/75·7/16 = 11801/1200
LARGE = Setting(
    STORED.gradients,
    tuple(h._replace(eps=F(3)) for h in STORED.schedule),
    (F(79, 8), F(11801, 1200)),
)

# β₂ = 0 and ε = 1, and the second gradient is missing; γ/c₁ = 1, 1/3, 2/7.
#   g = 4   m = 2   v = 16   w = 10 - 2/5 = 48/5
#   g = 0   nothing moves
#   g = 2   m = 2   v = 4    w = 48/5 - 2/7·2/3 = 988/105
MISSING = Setting(
    (F(4), F(0), F(2)),
    tuple(h._replace(beta2=F(0)) for h in (_FIRST, _SECOND, _SECOND)),
    (F(48, 5), F(48, 5), F(988, 105)),
)

HAND: dict[str, tuple[Setting, tuple[F, ...]]] = {
    "masked": (STORED, STORED.w),
    # m = 1, v = 0: w = 48/5 - 1/3 = 139/15; m = 3/2, v = 4: w = 139/15 - 2/7·1/2 = 958/105.
    "dense": (MISSING, (F(48, 5), F(139, 15), F(958, 105))),
    # The same moments; w = 48/5 - 1/7.
    "moments_dense": (MISSING, (F(48, 5), F(48, 5), F(331, 35))),
    # m = 2, v = 16 still: w = 48/5 - 1/3·2/5 = 142/15; w = 142/15 - 4/21 = 974/105.
    "move_dense": (MISSING, (F(48, 5), F(142, 15), F(974, 105))),
    # D = 1 + 1/5: w = 10 - 1/5·5/2·5/6 = 115/12; D = 1 + 7/25: w = 115/12 - 7/75·7/4·25/32.
    "eps_corrected": (STORED, (F(115, 12), F(3631, 384))),
    # D = √(1 + 3) = 2: as with ε = 1 outside.
    "eps_inside": (LARGE, (F(39, 4), F(5801, 600))),
    # D = 1: w = 10 - 1/2 = 19/2; w = 19/2 - 49/300.
    "eps_ignored": (STORED, (F(19, 2), F(2801, 300))),
    # γ = 1/2: w = 10 - 5/8 = 75/8; γ = 1/4: w = 75/8 - 7/32.
    "uncorrected": (STORED, (F(75, 8), F(293, 32))),
    # γ/c₁ = 1: w = 10 - 5/4 = 35/4; γ/c₁ = 1/3: w = 35/4 - 7/24.
    "second_uncorrected": (STORED, (F(35, 4), F(203, 24))),
    # 1/2·7/25·4/3 = 14/75 at the first step: w = 10 - 14/75·5/4. (√(1 - β₂³) is irrational.)
    "correction_late": (STORED, (F(293, 30),)),
}


class TestByHand(ByHand):
    rule = RULE
    cases = HAND
    other: ClassVar = {"lr": F(7), "beta1": F(1, 3), "eps": F(1, 9)}

    def test_ascending_is_mirrored(self) -> None:
        up = tuple(h._replace(maximize=True) for h in STORED.schedule)
        got = path(RULE, TORCH, START, STORED.gradients, up)
        assert got == [2 * START - w for w in STORED.w]

    def test_state(self) -> None:
        """Moments wait with the parameter; t does not."""
        states = [s for _, s in follow(RULE, TORCH, START, MISSING.gradients, MISSING.schedule)]
        assert [s["exp_avg"] for s in states] == [2, 2, 2]
        assert [s["exp_avg_sq"] for s in states] == [16, 16, 4]
        assert [s["step"] for s in states] == [1, 2, 3]

    def test_adam_with_a_larger_epsilon(self) -> None:
        """Adam's D√c₂ = √v + ε√c₂ is this one's √v + ε if its ε is ε/√c₂: 5 and 25/7."""
        schedule = tuple(
            adam.Hyper(h.lr, h.beta1, h.beta2, eps)
            for h, eps in zip(STORED.schedule, (F(5), F(25, 7)), strict=True)
        )
        run = follow(adam.RULE, adam.TORCH.name, START, STORED.gradients, schedule)
        assert [w for w, _ in run] == list(STORED.w)


gradients = st.lists(
    st.sampled_from([F(0), F(1), F(-2), F(7, 3), F(0), F(-5)]), min_size=1, max_size=9
)
factors = st.sampled_from([F(0), F(1, 2), F(3, 5), F(9, 10)])


class TestSums:
    @given(gradients, factors, factors)
    def test_moments_remember_what_was_stored(self, drawn: list[F], beta1: F, beta2: F) -> None:
        h = Hyper(F(1), beta1, beta2, F(1))
        run = follow(RULE, TORCH, START, drawn, [h] * len(drawn))
        for t, (_, state) in enumerate(run, start=1):
            stored = [g for g in drawn[:t] if g]
            assert state["exp_avg"] == averaged(stored, beta1)
            assert state["exp_avg_sq"] == averaged([g * g for g in stored], beta2)

    @given(gradients, factors)
    def test_the_parameter_moves_where_it_is_stored(self, drawn: list[F], beta1: F) -> None:
        """At β₂ = 0: w_T = w₀ − Σ γ m/(c₁ (|g| + ε)), over stored gradients, with each one's t."""
        h = Hyper(F(1, 2), beta1, F(0), F(3))
        moves = F(0)
        stored: list[F] = []
        for t, g in enumerate(drawn, start=1):
            if g:
                stored.append(g)
                moves += averaged(stored, beta1) / (2 * (1 - beta1**t) * (abs(g) + 3))
        got = follow(RULE, TORCH, START, drawn, [h] * len(drawn))[-1][0]
        assert got == START - moves


class TestStep:
    def test_a_gradient_that_stores_nothing_counts(self) -> None:
        """c₁ and c₂ at the second step are those of t = 2, whatever the first one stored."""
        h = [Hyper(F(1), F(1, 2), F(0), F(1))] * 2
        got = [w for w, _ in follow(RULE, TORCH, START, (F(0), F(2)), h)]
        assert got == [10, 10 - F(4, 3) * F(1, 3)]
