"""The second witness of ``optimizers/adam.py`` and ``oracles/optimizers/adamw.py``.

Nothing here computes a step the way the rules do: hand cases have their work beside them, moments
are weighted sums of all gradients, and of a constant gradient there is a closed form. All of it is
exact.
At β₂ = 0, √v = |d| and c₂ = 1; at β₂ = 24/25, c₂ is the square of 1/5 and then of 7/25, and √v is 1
where g is 5 and then 1.
"""

from __future__ import annotations

import math
from fractions import Fraction as F
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles.optimizers import adam, adamw
from oracles.optimizers.adam import Hyper
from oracles.rule import Rule
from tests.support.byhand import Setting
from tests.support.rooted import follow, path
from tests.support.sums import averaged

RULES = {"Adam": adam.RULE, "AdamW": adamw.RULE}
NAMES = [(rule.name, c.name) for rule in RULES.values() for c in rule.conventions]
START = F(10)


_FIRST = Hyper(F(1, 2), F(1, 2), F(0), F(1), F(1, 5), batch_size=4)
_BOTH = (_FIRST, _FIRST._replace(lr=F(1, 4)))

# γ = 1/2 then 1/4, β₁ = 1/2, so γ/c₁ = 1 then 1/3; β₂ = 0, ε = 1, so D = |d| + 1. λ = 1/5, n = 4:
#   d = 1 + 2 = 3             m = 3/2                 D = 4      w = 10 - 3/8 = 77/8
#   d = -2 + 77/40 = -3/40    m = 3/4 - 3/80 = 57/80  D = 43/40  w = 77/8 - 1/3·57/86 = 3235/344
DECAYED = Setting((F(1), F(-2)), _BOTH, (F(77, 8), F(3235, 344)))

# The same, ascending: the gradient changes its sign and the decay does not.
#   d = -1 + 2 = 1            m = 1/2                 D = 2      w = 10 - 1/4 = 39/4
#   d = 2 + 39/20 = 79/20     m = 1/4 + 79/40         D = 99/20  w = 39/4 - 1/3·89/198 = 11405/1188
ASCENDING = Setting(
    (F(1), F(-2)),
    tuple(h._replace(maximize=True) for h in _BOTH),
    (F(39, 4), F(11405, 1188)),
)

# λ = 0, β₂ = 24/25; √c₂ = 1/5 then 7/25.
#   g = 5   m = 5/2             v = 25/25 = 1           D = 5 + 1 = 6
#                                                       w = 10 - 5/12 = 115/12
#   g = 1   m = 5/4 + 1/2 = 7/4 v = 24/25 + 1/25 = 1    D = 25/7 + 1 = 32/7
#                                                       w = 115/12 - 1/3·7/4·7/32 = 3631/384
PLAIN = Setting(
    (F(5), F(1)),
    tuple(h._replace(beta2=F(24, 25), weight_decay=F(0)) for h in _BOTH),
    (F(115, 12), F(3631, 384)),
)

# λ = 0, β₂ = 0, ε = 9 and g = 4, -4: √(16 + 9) = 5 is rational, too.
#   m = 2    D = 13    w = 10 - 2/13 = 128/13
#   m = -1   D = 13    w = 128/13 + 1/39 = 385/39
LARGE = Setting(
    (F(4), F(-4)),
    tuple(h._replace(eps=F(9), weight_decay=F(0)) for h in _BOTH),
    (F(128, 13), F(385, 39)),
)

# AMSGrad, β₂ = 0: v̄ = 16 at both steps.
#   g = 4   m = 2              D = 5   w = 10 - 2/5 = 48/5
#   g = 1   m = 1 + 1/2 = 3/2  D = 5   w = 48/5 - 1/10 = 19/2
FALLING = Setting(
    (F(4), F(1)),
    tuple(h._replace(weight_decay=F(0), amsgrad=True) for h in _BOTH),
    (F(48, 5), F(19, 2)),
)

# AMSGrad, β₂ = 24/25: v = 1, then 24/25, so v̄ = 1 is corrected by the second c₂.
#   g = 5   m = 5/2   D = 6      w = 115/12
#   g = 0   m = 5/4   D = 32/7   w = 115/12 - 1/3·5/4·7/32 = 1215/128
CORRECTED = Setting(
    (F(5), F(0)),
    tuple(h._replace(amsgrad=True) for h in PLAIN.schedule),
    (F(115, 12), F(1215, 128)),
)

# Where λ stays out of the moments, d is g: m = 1/2, D = 2 moves by -1/4; m = -3/4, D = 3 by +1/12.

HAND: dict[str, tuple[Setting, tuple[F, ...]]] = {
    "coupled_unscaled": (DECAYED, DECAYED.w),
    # λ/n = 1/20. d = 3/2, m = 3/4, D = 5/2, w = 10 - 3/10 = 97/10; d = -2 + 97/200 = -303/200,
    # m = 3/8 - 303/400 = -153/400, D = 503/200, w = 97/10 + 1/3·153/1006 = 24523/2515.
    "batch_scaled": (DECAYED, (F(97, 10), F(24523, 2515))),
    # 1 - γλ = 9/10, then 19/20. 9 - 1/4 = 35/4; 133/16 + 1/12 = 403/48.
    "decoupled_lr": (DECAYED, (F(35, 4), F(403, 48))),
    # 1 - λ = 4/5. 8 - 1/4 = 31/4; 31/5 + 1/12 = 377/60.
    "decoupled": (DECAYED, (F(31, 4), F(377, 60))),
    # 39/4·9/10 = 351/40; (351/40 + 1/12)·19/20 = 1063/120·19/20.
    "decay_after_lr": (DECAYED, (F(351, 40), F(20197, 2400))),
    # 39/4·4/5 = 39/5; (39/5 + 1/12)·4/5 = 473/60·4/5.
    "decay_after": (DECAYED, (F(39, 5), F(473, 75))),
    # 10 - 1/4 = 39/4; 39/4 + 1/12 = 59/6.
    "decay_ignored": (DECAYED, (F(39, 4), F(59, 6))),
    # d = -(1 + 2), m = -3/2, D = 4, w = 10 + 3/8 = 83/8; d = -(-2 + 83/40) = -3/40,
    # m = -3/4 - 3/80 = -63/80, D = 43/40, w = 83/8 + 1/3·63/86 = 3653/344.
    "decay_sign_flipped": (ASCENDING, (F(83, 8), F(3653, 344))),
    # D = √(16 + 9) = 5: w = 10 - 2/5 = 48/5; w = 48/5 + 1/15.
    "eps_inside": (LARGE, (F(48, 5), F(29, 3))),
    # D = (1 + 1)·5 = 10: w = 10 - 1/4 = 39/4; D = 2·25/7: w = 39/4 - 1/3·7/4·7/50.
    "eps_hat": (PLAIN, (F(39, 4), F(5801, 600))),
    # D = 5 + 1/5: w = 10 - 25/52 = 495/52; D = 25/7 + 7/25 = 674/175: - 1/3·7/4·175/674.
    "eps_scaled": (PLAIN, (F(495, 52), F(495, 52) - F(1225, 8088))),
    # γ = 1/2, D = 2: w = 10 - 5/8 = 75/8; γ = 1/4: w = 75/8 - 7/32.
    "uncorrected": (PLAIN, (F(75, 8), F(293, 32))),
    # D = 2: w = 10 - 5/4 = 35/4; w = 35/4 - 7/24.
    "second_uncorrected": (PLAIN, (F(35, 4), F(203, 24))),
    # c₁ = 3/4, √c₂ = 7/25 at the first step: w = 10 - 2/3·5/2·7/32. (√(1 - β₂³) is irrational.)
    "correction_late": (PLAIN, (F(925, 96),)),
    # v̄ = v/c₂ = 25 at both steps, D = 6: w = 115/12; w = 115/12 - 1/3·5/24.
    "amsgrad_corrected": (CORRECTED, (F(115, 12), F(685, 72))),
    # D = 1 + 1 at the second step: w = 48/5 - 1/4.
    "amsgrad_ignored": (FALLING, (F(48, 5), F(187, 20))),
}

# AdamW's first line is decoupled_lr; only two of its conventions are not rows of the table above.
#   ascending: 9 + 1/4 = 37/4 (m = -1/2); 37/4·19/20 = 703/80, m = 3/4: 703/80 - 1/12 = 2089/240
ASCENDING_W = (F(37, 4), F(2089, 240))

HAND_W: dict[str, tuple[Setting, tuple[F, ...]]] = {
    # 1 - γλ/4 = 39/40, then 79/80. 39/4 - 1/4 = 19/2; 1501/160 + 1/12 = 4543/480.
    "batch_scaled": (DECAYED, (F(19, 2), F(4543, 480))),
    # 1 + γλ = 11/10, then 21/20, ascending. 11 + 1/4 = 45/4; 189/16 - 1/12 = 563/48.
    "decay_sign_flipped": (ASCENDING, (F(45, 4), F(563, 48))),
}

TORCH_W = {id(DECAYED): HAND["decoupled_lr"][1], id(ASCENDING): ASCENDING_W}
"""AdamW's answer where it is not Adam's."""


def hand(rule: str, name: str) -> tuple[Setting, tuple[F, ...]]:
    return HAND_W[name] if rule == "AdamW" and name in HAND_W else HAND[name]


def own(rule: Rule, h: Hyper) -> Any:
    """Adam's hyperparameters in the rule's own record."""
    return rule.hyper(**{k: v for k, v in h._asdict().items() if k in rule.hyper()._fields})


def moved(rule: Rule, name: str, setting: Setting) -> list[Any]:
    return path(rule, name, START, setting.gradients, [own(rule, h) for h in setting.schedule])


class TestByHand:
    @pytest.mark.parametrize(("rule", "name"), NAMES)
    def test_convention(self, rule: str, name: str) -> None:
        """A convention without a case here is an error, by its name."""
        setting, expected = hand(rule, name)
        assert moved(RULES[rule], name, setting)[: len(expected)] == list(expected)

    @pytest.mark.parametrize(
        "setting", [DECAYED, ASCENDING, PLAIN, LARGE, FALLING, CORRECTED], ids=range(6)
    )
    @pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
    def test_torch_in_every_setting(self, rule: Rule, setting: Setting) -> None:
        expected = setting.w if rule is adam.RULE else TORCH_W.get(id(setting), setting.w)
        assert moved(rule, rule.torch.name, setting) == list(expected)

    @pytest.mark.parametrize(("rule", "name"), NAMES)
    def test_case_tells_the_convention_from_torch(self, rule: str, name: str) -> None:
        if name == RULES[rule].torch.name:
            return
        setting, w = hand(rule, name)
        torch = setting.w if rule == "Adam" else TORCH_W.get(id(setting), setting.w)
        assert w[-1] != torch[len(w) - 1]

    def test_no_case_is_left_over(self) -> None:
        assert set(HAND) == {name for rule, name in NAMES if rule == "Adam"}
        assert {name for rule, name in NAMES if rule == "AdamW"} == set(HAND)

    def test_decoupled_decay_is_a_switch_of_adam(self) -> None:
        """It makes Adam AdamW, ascending too."""
        for setting in (DECAYED, ASCENDING):
            switched = tuple(h._replace(decoupled_weight_decay=True) for h in setting.schedule)
            got = path(adam.RULE, adam.TORCH.name, START, setting.gradients, switched)
            assert got == list(TORCH_W[id(setting)])

    @pytest.mark.parametrize(("rule", "name"), NAMES)
    def test_a_step_without_gradient_is_no_step(self, rule: str, name: str) -> None:
        setting, w = hand(rule, name)
        other = Hyper(F(7), F(1, 3), F(1, 9), F(3), F(2))
        schedule = (other, setting.schedule[0]._replace(batch_size=4))
        got = moved(RULES[rule], name, Setting((None, setting.gradients[0]), schedule, ()))
        assert got == [START, w[0]]

    def test_decay_of_zero_leaves_an_infinite_parameter_out(self) -> None:
        """0·∞ would be nan: without decay no term λw is added."""
        state = adam.start(np.array(math.inf), Hyper())
        h = Hyper(beta1=0.5)
        _, after = adam.step(np.array(math.inf), np.array(2.0), 1, state, h, adam.TORCH)
        assert after["exp_avg"] == 1


values = st.sampled_from([F(0), F(1), F(-2), F(7, 3), F(-5), F(1, 100)])
drawn_gradients = st.lists(values, min_size=1, max_size=5)
factors = st.sampled_from([F(0), F(1, 2), F(3, 5), F(9, 10)])


class TestSums:
    @settings(max_examples=settings().max_examples // 2)
    @given(drawn_gradients, factors, factors, st.booleans())
    def test_moments(self, gradients: list[F], beta1: F, beta2: F, maximize: bool) -> None:
        """Weighted sums; the largest variance is that of the best prefix."""
        h = Hyper(F(1), beta1, beta2, F(1), F(0), amsgrad=True, maximize=maximize)
        signed = [-g if maximize else g for g in gradients]
        largest = F(0)
        run = follow(adam.RULE, adam.TORCH.name, START, gradients, [h] * len(gradients))
        for t, (_, state) in enumerate(run, start=1):
            variance = averaged([g * g for g in signed[:t]], beta2)
            largest = max(largest, variance)
            assert state["exp_avg"] == averaged(signed[:t], beta1)
            assert (state["exp_avg_sq"], state["max_exp_avg_sq"]) == (variance, largest)
            assert state["step"] == t

    @settings(max_examples=settings().max_examples // 2)
    @given(drawn_gradients, factors, st.sampled_from([F(0), F(1, 5), F(2)]))
    def test_decoupled_trajectory(self, gradients: list[F], beta1: F, decay: F) -> None:
        """At β₂ = 0: w_T = a^T w₀ − γ Σ a^(T−t) m_t/(c₁ (|g_t| + ε)) with a = 1 − γλ."""
        h = adamw.Hyper(F(1, 2), beta1, F(0), F(3), decay)
        steps = len(gradients)
        a = 1 - decay / 2
        expected = a**steps * START
        for t, g in enumerate(gradients, start=1):
            mean = averaged(gradients[:t], beta1) / (1 - beta1**t)
            expected -= a ** (steps - t) * mean / (2 * (abs(g) + 3))
        assert (
            follow(adamw.RULE, adamw.TORCH.name, START, gradients, [h] * steps)[-1][0] == expected
        )

    @given(
        values, factors, st.lists(st.sampled_from([F(1), F(1, 3), F(2)]), min_size=1, max_size=8)
    )
    def test_constant_gradient(self, g: F, beta1: F, rates: list[F]) -> None:
        """A corrected mean of equal gradients is that gradient: w_T = w₀ − g/(|g| + ε) Σ γ."""
        schedule = [Hyper(rate, beta1, F(0), F(2), F(0)) for rate in rates]
        run = follow(adam.RULE, adam.TORCH.name, START, [g] * len(rates), schedule)
        assert run[-1][0] == START - g / (abs(g) + 2) * sum(rates)

    @given(st.sampled_from([F(3, 5), F(5, 13), F(8, 17)]), values)
    def test_the_first_step_forgets_both_factors(self, s: F, g: F) -> None:
        """Whatever β₁ and β₂ = 1 − s² are, w₁ = w₀ − γg/(|g| + ε), with AMSGrad too."""
        for amsgrad in (False, True):
            h = Hyper(F(1, 2), F(2, 7), 1 - s * s, F(3), F(0), amsgrad=amsgrad)
            ((w, _),) = follow(adam.RULE, adam.TORCH.name, START, [g], [h])
            assert w == START - g / (2 * (abs(g) + 3))
