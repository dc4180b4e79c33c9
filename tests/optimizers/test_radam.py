"""The second witness of ``optimizers/radam.py``: numbers worked by hand, sums, published values.

Nothing here computes a step the way the rule does. While RAdam waits, steps are rational and worked
by hand. From the sixth on they have roots of which no two are rational together, so they are
compared in 200 bits, with moments as weighted means of all gradients, the length ρ as the paper
derives it, from where those weights have their centre, and r from the variances it is a ratio of.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction as F
from typing import Any, ClassVar

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles.optimizers.radam import RULE, Hyper
from tests.support.byhand import START, ByHand, Setting
from tests.support.many_bits import BITS, same
from tests.support.rooted import follow

NAMES = [c.name for c in RULE.conventions]
TORCH = RULE.torch.name


_FIRST = Hyper(F(1, 2), F(1, 2), F(24, 25), F(1), F(1, 5), batch_size=4)
_BOTH = (_FIRST, _FIRST._replace(lr=F(1, 4)))

# γ = 1/2 then 1/4, β₁ = 1/2, so c₁ = 1/2 then 3/4. With λ = 1/5, n = 4:
#   d = 1 + 2 = 3             m/c₁ = 3                           w = 10 - 3/2 = 17/2
#   d = -2 + 17/10 = -3/10    m/c₁ = (3/4 - 3/20)/(3/4) = 4/5    w = 17/2 - 1/5 = 83/10
DECAYED = Setting((F(1), F(-2)), _BOTH, (F(17, 2), F(83, 10)))

# The same, ascending: the gradient changes its sign and the decay does not.
#   d = -1 + 2 = 1            m/c₁ = 1                           w = 10 - 1/2 = 19/2
#   d = 2 + 19/10 = 39/10     m/c₁ = (1/4 + 39/20)·4/3 = 44/15   w = 19/2 - 11/15 = 263/30
ASCENDING = Setting(
    DECAYED.gradients,
    tuple(h._replace(maximize=True) for h in _BOTH),
    (F(19, 2), F(263, 30)),
)

# Without decay; β₂ = 24/25 has c₂ = (1/5)² then (7/25)², and v = 1 both times.
#   d = 5     m/c₁ = 5                         w = 10 - 5/2 = 15/2
#   d = -1    m/c₁ = (5/4 - 1/2)/(3/4) = 1     w = 15/2 - 1/4 = 29/4
PLAIN = Setting(
    (F(5), F(-1)), tuple(h._replace(weight_decay=F(0)) for h in _BOTH), (F(15, 2), F(29, 4))
)

# Conventions that keep λ out of the moments move by -1/2, then, as m/c₁ = (1/4 - 1)·4/3 = -1, +1/4.

HAND: dict[str, tuple[Setting, tuple[F, ...]]] = {
    "coupled_unscaled": (DECAYED, DECAYED.w),
    # λ/n = 1/20. d = 3/2, w = 37/4; d = -2 + 37/80 = -123/80, m/c₁ = (3/8 - 123/160)·4/3 = -21/40,
    # w = 37/4 + 21/160 = 1501/160.
    "batch_scaled": (DECAYED, (F(37, 4), F(1501, 160))),
    # 1 - γλ = 9/10, then 19/20. 9 - 1/2 = 17/2; 323/40 + 1/4 = 333/40.
    "decoupled_lr": (DECAYED, (F(17, 2), F(333, 40))),
    # 1 - λ = 4/5. 8 - 1/2 = 15/2; 6 + 1/4 = 25/4.
    "decoupled": (DECAYED, (F(15, 2), F(25, 4))),
    # 19/2·9/10 = 171/20; (171/20 + 1/4)·19/20 = 44/5·19/20 = 209/25.
    "decay_after_lr": (DECAYED, (F(171, 20), F(209, 25))),
    # 19/2·4/5 = 38/5; (38/5 + 1/4)·4/5 = 157/25.
    "decay_after": (DECAYED, (F(38, 5), F(157, 25))),
    # 10 - 1/2 = 19/2; 19/2 + 1/4 = 39/4.
    "decay_ignored": (DECAYED, (F(19, 2), F(39, 4))),
    # d = -(1 + 2) = -3, w = 23/2; d = -(-2 + 23/10) = -3/10, m/c₁ = (-3/4 - 3/20)·4/3 = -6/5,
    # w = 23/2 + 3/10 = 59/5.
    "decay_sign_flipped": (ASCENDING, (F(23, 2), F(59, 5))),
    "waiting_still": (PLAIN, (F(10), F(10))),
    # √c₂/(√v + ε) = 1/10, then 7/50. 10 - 1/2·5/10 = 39/4; 39/4 - 1/4·7/50 = 1943/200.
    "waiting_adaptively": (PLAIN, (F(39, 4), F(1943, 200))),
    # m = 5/2, w = 10 - 5/4 = 35/4; m = 3/4, w = 35/4 - 3/16 = 137/16.
    "first_uncorrected": (PLAIN, (F(35, 4), F(137, 16))),
}

LATER = (
    *("threshold_of_four", "limit_unshifted", "unrectified"),
    *("second_uncorrected", "eps_ignored", "eps_corrected", "eps_inside"),
)
"""Conventions that differ from torch's only once the wait is over."""


class TestWaitingByHand(ByHand):
    rule = RULE
    cases = HAND
    other: ClassVar = {"lr": F(7), "weight_decay": F(3), "eps": F(1, 9)}
    later = LATER

    @pytest.mark.parametrize("waiting", LATER)
    @pytest.mark.parametrize("setting", [DECAYED, ASCENDING, PLAIN])
    def test_as_torch(self, waiting: str, setting: Setting) -> None:
        assert setting.path(RULE, waiting) == list(setting.w)

    def test_state(self) -> None:
        states = [s for _, s in follow(RULE, TORCH, START, PLAIN.gradients, PLAIN.schedule)]
        assert states == [
            {"step": 1, "exp_avg": F(5, 2), "exp_avg_sq": F(1)},
            {"step": 2, "exp_avg": F(3, 4), "exp_avg_sq": F(1)},
        ]

    def test_with_a_small_beta2_it_waits_for_ever(self) -> None:
        """ρ∞ = 2/(1/3) - 1 = 5: a constant gradient of 1 is followed at the rate γ."""
        h = Hyper(F(1, 2), beta2=F(2, 3))
        steps = follow(RULE, TORCH, F(0), [F(1)] * 12, [h] * 12)
        assert [w for w, _ in steps] == [F(-t, 2) for t in range(1, 13)]


def length(beta2: F, t: int) -> F:
    """ρ, such that the mean of ρ equal weights is as old as that of t decaying ones.

    Ages are counted from 1: (ρ + 1)/2 = Σ (k+1) β₂ᵏ / Σ β₂ᵏ (arXiv:1908.03265, section 3.3).
    """
    weights = [F(beta2**k) for k in range(t)]
    ages = sum(((k + 1) * x for k, x in enumerate(weights)), F(0))
    return 2 * ages / sum(weights) - 1


def variance(length: F) -> F:
    """Var √(1/mean square of so many normal numbers), to first order (equation 3 there)."""
    return length / (2 * (length - 2) * (length - 4))


def adapted(name: str, v: Any, unseen: Any, eps: Any) -> Any:
    """What m/c₁ is multiplied by beside r; v is a weighted mean and ``unseen`` is 1 - c₂."""
    deviation, seen = mpmath.sqrt(v), mpmath.sqrt(1 - unseen)
    forms = {
        "second_uncorrected": 1 / (deviation * seen + eps),
        "eps_ignored": 1 / deviation,
        "eps_corrected": 1 / (deviation + eps),
        "eps_inside": 1 / mpmath.sqrt(v + eps / (1 - unseen)),
    }
    return forms.get(name, 1 / (deviation + eps / seen))


def by_sums(name: str, w: F, gradients: Sequence[F], h: Hyper) -> Any:
    """The parameter at last, from weighted means of all gradients."""
    number = mpmath.mpmathify
    one = int(name == "limit_unshifted")
    limit = (1 + h.beta2) / (1 - h.beta2) + one  # Σ (k+1) β₂ᵏ / Σ β₂ᵏ is 1/(1-β₂) without end
    total = number(w)
    for t in range(1, len(gradients) + 1):
        first, second = ([beta ** (t - 1 - i) for i in range(t)] for beta in (h.beta1, h.beta2))
        m = sum(x * g for x, g in zip(first, gradients, strict=False))
        m = m * (1 - h.beta1) if name == "first_uncorrected" else m / sum(first)
        v = sum(x * g * g for x, g in zip(second, gradients, strict=False)) / sum(second)
        scale = adapted(name, number(v), number(h.beta2**t), number(h.eps))
        rho = length(h.beta2, t) + one
        if rho > (4 if name == "threshold_of_four" else 5):
            r = mpmath.sqrt(number(variance(limit) / variance(rho)))
            scale *= 1 if name == "unrectified" else r
        elif name != "waiting_adaptively":
            scale = 0 if name == "waiting_still" else 1
        total -= number(h.lr * m) * scale
    return total


values = st.integers(-30, 30).map(lambda n: F(n, 7) or F(1))


class TestSums:
    @settings(max_examples=settings().max_examples // 10)  # 200 bits are slow
    @given(
        values,
        st.lists(values, min_size=6, max_size=9),
        st.sampled_from([F(0), F(1, 2), F(9, 10)]),
        st.sampled_from([F(9, 10), F(3, 4), F(999, 1000), F(1, 2), F(7, 10)]),
    )
    def test_without_decay(self, w: F, gradients: list[F], beta1: F, beta2: F) -> None:
        h = Hyper(F(1, 3), beta1, beta2, F(1, 4))
        with mpmath.workprec(BITS):
            for name in NAMES:
                schedule = [h] * len(gradients)
                got = follow(RULE, name, w, gradients, schedule, mpmath.mpmathify)[-1][0]
                expected = by_sums(name, w, gradients, h)
                scale = abs(w) + sum(abs(g) for g in gradients) + 1
                assert same(got, expected, scale), name

    @pytest.mark.parametrize(
        ("beta2", "steps"),
        [(F(999, 1000), 6), (F(9, 10), 6), (F(4, 5), 7), (F(3, 4), 8), (F(7, 10), 10)],
    )
    def test_when_the_wait_is_over(self, beta2: F, steps: int) -> None:
        """β₂ = 9/10: ρ₅ = 4.58 and ρ₆ = 5.40; the smaller β₂, the later."""
        assert length(beta2, steps - 1) <= 5 < length(beta2, steps)
        h = Hyper(F(1), beta1=F(0), beta2=beta2, eps=F(1))
        with mpmath.workprec(BITS):
            run = follow(RULE, TORCH, F(0), [F(1)] * steps, [h] * steps, mpmath.mpmathify)
            assert run[-2][0] == 1 - steps
            assert run[-1][0] != -steps


TFA = np.array([[1.0, 2.0, 3.0, 4.0], [0.1, 0.2, 0.03, 0.04]])
"""Start and constant gradient of TensorFlow Addons' tests."""


@pytest.mark.parametrize(
    ("decay", "published"),
    [
        (0.0, [0.985769, 1.985269, 2.986119, 3.986068]),
        (0.01, [0.984775, 1.983276, 2.983125, 3.982076]),
    ],
)
def test_published_values(decay: float, published: list[float]) -> None:
    """A hundred steps (tensorflow_addons/optimizers/tests/rectified_adam_test.py, dense samples).

    Printed to six digits after as many sums in float32, half a unit of the last place each.
    """
    h = Hyper(eps=1e-7, weight_decay=decay, decoupled_weight_decay=True)
    start, gradient = TFA
    run = list(RULE.run(RULE.convention("eps_corrected"), start, [gradient] * 100, [h] * 100))
    off = np.abs(run[-1][0] - published)
    assert (off <= 0.5e-6 + 100 * np.spacing(start.astype(np.float32)) / 2).all()
