"""The second witness of ``optimizers/adamax.py``: numbers worked by hand, sums, published values.

Nothing here computes a step the way the rule does: hand cases have their work beside them, m/c₁ is
a weighted mean of all gradients and u the largest of all shrunk ones. All of it is exact.
"""

from __future__ import annotations

from fractions import Fraction as F
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracles.optimizers.adamax import RULE, Hyper
from tests.support.byhand import START, ByHand, Setting
from tests.support.rooted import follow

NAMES = [c.name for c in RULE.conventions]
TORCH = RULE.torch.name


_FIRST = Hyper(F(1, 2), F(1, 2), F(3, 4), F(1), F(1, 5), batch_size=4)
_SECOND = _FIRST._replace(lr=F(1, 4))
_BOTH = (_FIRST, _SECOND)

# γ = 1/2 then 1/4, β₁ = 1/2, so γ/c₁ = 1 then 1/3; β₂ = 3/4, ε = 1. With λ = 1/5, n = 4:
#   d = 1 + 2 = 3              m = 3/2                  u = 3 + 1 = 4
#                                                       w = 10 - 3/8 = 77/8
#   d = -2 + 77/40 = -3/40     m = 3/4 - 3/80 = 57/80   u = max(3, 43/40) = 3
#                                                       w = 77/8 - 19/240 = 2291/240
DECAYED = Setting((F(1), F(-2)), _BOTH, (F(77, 8), F(2291, 240)))

# The same, ascending: the gradient changes its sign and the decay does not.
#   d = -1 + 2 = 1             m = 1/2                  u = 2       w = 10 - 1/4 = 39/4
#   d = 2 + 39/20 = 79/20      m = 1/4 + 79/40 = 89/40  u = 99/20   w = 39/4 - 89/594 = 11405/1188
ASCENDING = Setting(
    (F(1), F(-2)),
    tuple(h._replace(maximize=True) for h in _BOTH),
    (F(39, 4), F(11405, 1188)),
)

# Without decay, an old gradient that stays the largest: m = 3/2, then 3/4 - 1/4 = 1/2.
#   u = 4                  w = 10 - 3/8 = 77/8
#   u = max(3, 3/2) = 3    w = 77/8 - 1/18 = 689/72
FALLING = Setting(
    (F(3), F(-1, 2)),
    tuple(h._replace(weight_decay=F(0)) for h in _BOTH),
    (F(77, 8), F(689, 72)),
)

# Conventions that keep λ out of moment and norm move by -1/4, then (m = -3/4, u = 3) by +1/12.

HAND: dict[str, tuple[Setting, tuple[F, ...]]] = {
    "coupled_unscaled": (DECAYED, DECAYED.w),
    # λ/n = 1/20. d = 3/2, m = 3/4, u = 5/2, w = 10 - 3/10 = 97/10; d = -2 + 97/200 = -303/200,
    # m = 3/8 - 303/400 = -153/400, u = max(15/8, 503/200), w = 97/10 + 51/1006 = 24523/2515.
    "batch_scaled": (DECAYED, (F(97, 10), F(24523, 2515))),
    # 1 - γλ = 9/10, then 19/20. 9 - 1/4 = 35/4; 133/16 + 1/12 = 403/48.
    "decoupled_lr": (DECAYED, (F(35, 4), F(403, 48))),
    # 1 - λ = 4/5. 8 - 1/4 = 31/4; 31/5 + 1/12 = 377/60.
    "decoupled": (DECAYED, (F(31, 4), F(377, 60))),
    # 39/4·9/10 = 351/40; (351/40 + 1/12)·19/20 = 1063/120·19/20 = 20197/2400.
    "decay_after_lr": (DECAYED, (F(351, 40), F(20197, 2400))),
    # 39/4·4/5 = 39/5; (39/5 + 1/12)·4/5 = 473/60·4/5 = 473/75.
    "decay_after": (DECAYED, (F(39, 5), F(473, 75))),
    # 10 - 1/4 = 39/4; 39/4 + 1/12 = 59/6.
    "decay_ignored": (DECAYED, (F(39, 4), F(59, 6))),
    # d = -(1 + 2) = -3, m = -3/2, u = 4, w = 10 + 3/8 = 83/8; d = -(-2 + 83/40) = -3/40,
    # m = -3/4 - 3/80 = -63/80, u = max(3, 43/40), w = 83/8 + 7/80 = 837/80.
    "decay_sign_flipped": (ASCENDING, (F(83, 8), F(837, 80))),
    # u = 3, w = 10 - 1/2 = 19/2; u = max(9/4, 1/2), w = 19/2 - 1/6·4/9 = 509/54.
    "eps_ignored": (FALLING, (F(19, 2), F(509, 54))),
    # D = 3 + 1, w = 77/8; u = 9/4, D = 13/4, w = 77/8 - 1/6·4/13 = 2987/312.
    "eps_outside": (FALLING, (F(77, 8), F(2987, 312))),
    # u = max(0 + 1, 3), w = 19/2; u = max(9/4 + 1, 1/2) = 13/4, w = 19/2 - 1/6·4/13 = 737/78.
    "eps_on_memory": (FALLING, (F(19, 2), F(737, 78))),
    # u = 1/2 + 1 = 3/2, w = 77/8 - 1/6·2/3 = 685/72.
    "norm_forgotten": (FALLING, (F(77, 8), F(685, 72))),
    # u = max(4, 3/2) = 4, w = 77/8 - 1/6·1/4 = 115/12.
    "norm_undecayed": (FALLING, (F(77, 8), F(115, 12))),
    # D = 4/(1/4) = 16, w = 10 - 3/32 = 317/32; D = 3/(7/16), w = 317/32 - 1/6·7/48 = 1423/144.
    "norm_corrected": (FALLING, (F(317, 32), F(1423, 144))),
    # w = 10 - 1/2·3/8 = 157/16; w = 157/16 - 1/4·1/6 = 469/48.
    "uncorrected": (FALLING, (F(157, 16), F(469, 48))),
    # c₁ = 3/4, w = 10 - 2/3·3/8 = 39/4; c₁ = 7/8, w = 39/4 - 2/7·1/6 = 815/84.
    "correction_late": (FALLING, (F(39, 4), F(815, 84))),
}


class TestByHand(ByHand):
    rule = RULE
    cases = HAND
    other: ClassVar = {"lr": F(7), "weight_decay": F(3), "eps": F(1, 9)}

    def test_state(self) -> None:
        states = [state for _, state in follow(RULE, TORCH, START, (F(1), F(-2)), _BOTH)]
        assert states == [
            {"step": 1, "exp_avg": F(3, 2), "exp_inf": F(4)},
            {"step": 2, "exp_avg": F(57, 80), "exp_inf": F(3)},
        ]


STEPS = 5
values = st.integers(-30, 30).map(lambda n: F(n, 7))
factors = st.sampled_from([F(0), F(1, 2), F(3, 5), F(9, 10)])


def largest(name: str, gradients: list[F], h: Hyper) -> F:
    """What m is divided by at the last step, from all gradients at once."""
    t = len(gradients)
    ages = [(abs(g), h.beta2 ** (t - 1 - i), t - 1 - i) for i, g in enumerate(gradients)]
    bare = max(shrunk * g for g, shrunk, _ in ages)
    inside: F = max(shrunk * (g + h.eps) for g, shrunk, _ in ages)
    # What is remembered grew by ε at each step since, and so did the nothing before the first.
    grown = [h.eps * sum(h.beta2**k for k in range(age)) for age in range(t + 1)]
    remembered = max(shrunk * g + grown[age] for g, shrunk, age in ages)
    forms: dict[str, F] = {
        "eps_ignored": bare,
        "eps_outside": bare + h.eps,
        "eps_on_memory": max(remembered, grown[t]),
        "norm_forgotten": abs(gradients[-1]) + h.eps,
        "norm_undecayed": max(g for g, _, _ in ages) + h.eps,
        "norm_corrected": inside / (1 - h.beta2**t),
    }
    return forms.get(name, inside)


class TestSums:
    @given(values, st.lists(values, min_size=1, max_size=STEPS), factors, factors)
    def test_without_decay(self, w: F, gradients: list[F], beta1: F, beta2: F) -> None:
        """w_T = w_0 - γ Σ (mean of g_i, weighted by β₁^(t-i)) / max β₂^(t-i)(|g_i| + ε)."""
        h = Hyper(F(1, 3), beta1, beta2, F(1, 4))
        gradients = [g or F(1) for g in gradients]  # two conventions divide by a gradient alone
        for name in NAMES:
            expected = w
            for t in range(1, len(gradients) + 1):
                weights = [beta1 ** (t - 1 - i) for i in range(t)]
                sums = sum(x * g for x, g in zip(weights, gradients, strict=False))
                total = {
                    "uncorrected": 1 / (1 - beta1),
                    "correction_late": sum(weights) + beta1**t,
                }.get(name, sum(weights))
                expected -= h.lr * sums / total / largest(name, gradients[:t], h)
            got = follow(RULE, name, w, gradients, [h] * len(gradients))
            assert got[-1][0] == expected, name

    def test_a_zero_gradient_alone_moves_nothing(self) -> None:
        """m = 0 and u = ε: no division by zero, unlike the paper's."""
        ((w, state),) = follow(RULE, TORCH, START, [F(0)], [FALLING.schedule[0]])
        assert (w, state["exp_inf"]) == (START, F(1))


KERAS = np.array(
    [
        [0.8] * 10,
        [0.6827, 0.6873, 0.6888, 0.6896, 0.6901, 0.6904, 0.6906, 0.6908, 0.6909, 0.691],
        [0.5333, 0.5407, 0.5431, 0.5444, 0.5451, 0.5456, 0.546, 0.5462, 0.5464, 0.5466],
        [0.368, 0.3773, 0.3804, 0.382, 0.3829, 0.3835, 0.384, 0.3843, 0.3846, 0.3848],
        [0.1933, 0.204, 0.2076, 0.2094, 0.2105, 0.2112, 0.2117, 0.2121, 0.2124, 0.2126],
    ]
)
"""Keras, keras/src/optimizers/adamax_test.py, ``test_correctness_with_golden``: lr 0.2, betas 0.85
and 0.95, ε = 1e-6, a first gradient of 0.01 and then 0.1, 0.2, ..., 1.0 in the ten places."""


@pytest.mark.parametrize("name", [TORCH, "eps_outside"])
def test_published_values(name: str) -> None:
    """To the four digits that were printed; as gradients do not fall, both forms give these."""
    gradients = [np.full(10, 0.01)] + [np.arange(1, 11) / 10] * 4
    h = Hyper(lr=0.2, beta1=0.85, beta2=0.95, eps=1e-6)
    run = RULE.run(RULE.convention(name), np.ones(10), gradients, [h] * 5)
    for (w, _), published in zip(run, KERAS, strict=True):
        assert (np.abs(w - published) <= 0.5e-4).all()
