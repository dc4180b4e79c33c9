"""The second witness of ``optimizers/nadam.py``: numbers worked by hand, sums, published values.

Nothing here computes a step the way the rule does: hand cases have their work beside them, in
numbers whose roots are rational; m and v are sums over all gradients, and Π is a product over all
steps.
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

from oracles.optimizers.nadam import RULE, Hyper
from tests.support.byhand import START, ByHand, Setting
from tests.support.many_bits import BITS, same
from tests.support.rooted import follow

NAMES = [c.name for c in RULE.conventions]
TORCH = RULE.torch.name


def _both(first: Hyper) -> tuple[Hyper, Hyper]:
    return first, first._replace(lr=first.lr / 2)


# γ = 1/2 then 1/4, β₁ = 1/2, ε = 1. With ψ = 0 all μ are 1/4, so Π = 1/4 then 1/16, and what d and
# m are multiplied by is (3/4)/(3/4) = 1 and (1/4)/(15/16) = 4/15, then (3/4)/(15/16) = 4/5 and
# (1/4)/(63/64) = 16/63.
_PLAIN = Hyper(F(1, 2), F(1, 2), F(0), F(1), momentum_decay=F(0), batch_size=4)

# λ = 1/5, n = 4, and β₂ = 0, so that D = |d| + 1:
#   d = 1 + 2 = 3               m = 3/2       D = 4        moves 1/2·(3 + 2/5)/4 = 17/40
#                                                          to 10 - 17/40 = 383/40
#   d = -2 + 383/200 = -17/200  m = 283/400   D = 217/200  moves 1/4·(-17/250 + 283/1575)/D
#                                                          = 1759/68355, to 5221921/546840
DECAYED = Setting(
    (F(1), F(-2)), _both(_PLAIN._replace(weight_decay=F(1, 5))), (F(383, 40), F(5221921, 546840))
)

# The same, ascending: the gradient changes its sign and the decay does not.
#   d = -1 + 2 = 1              m = 1/2       D = 2        moves 1/2·(1 + 2/15)/2 = 17/60
#                                                          w = 10 - 17/60 = 583/60
#   d = 2 + 583/300 = 1183/300  m = 1333/600  D = 1483/300 moves 1/4·(2366/750 + 2666/4725)/D
#                                                            = 87859/467145
ASCENDING = Setting(
    DECAYED.gradients,
    tuple(h._replace(maximize=True) for h in DECAYED.schedule),
    (F(583, 60), F(17804933, 1868580)),
)

# β₂ = 24/25 has 1-β₂ = (1/5)² and 1-β₂² = (7/25)². Without decay:
#   d = 5   m = 5/2  v = 1              D = 1/(1/5) + 1 = 6      moves 1/2·(5 + 2/3)/6 = 17/36
#                                                                to 343/36
#   d = -1  m = 3/4  v = 24/25 + 1/25   D = 1/(7/25) + 1 = 32/7  moves 1/4·(-4/5 + 4/21)·7/32
#                                                                = -1/30, to 1721/180
AHEAD = Setting((F(5), F(-1)), _both(_PLAIN._replace(beta2=F(24, 25))), (F(343, 36), F(1721, 180)))

# One step with β₂ = 9/25: d = 5, m = 5/2, v = 16 and c₂ = 16/25, so √v/√c₂ = 5.
#   ε = 1:   D = 6     w = 10 - 1/2·(17/3)/6 = 343/36
#   ε = 11:  D = 16    w = 10 - 1/2·(17/3)/16 = 943/96
ROOTED = Setting((F(5),), (_PLAIN._replace(beta2=F(9, 25)),), (F(343, 36),))
HEAVY = Setting((F(5),), (_PLAIN._replace(beta2=F(9, 25), eps=F(11)),), (F(943, 96),))

# Conventions that keep λ out of the moments move by 1/2·(1 + 2/15)/2 = 17/60, then, with m = -3/4
# and D = 3, by 1/4·(-8/5 - 4/21)/3 = -47/315.

HAND: dict[str, tuple[Setting, tuple[F, ...]]] = {
    "coupled_unscaled": (DECAYED, DECAYED.w),
    # λ/n = 1/20. d = 3/2, m = 3/4, D = 5/2, moves 1/2·(3/2 + 1/5)/(5/2) = 17/50; w = 483/50.
    # d = -2 + 483/1000 = -1517/1000, m = -767/2000, D = 2517/1000, moves -103241/792855.
    "batch_scaled": (DECAYED, (F(483, 50), F(77622203, 7928550))),
    # 1 - γλ = 9/10, then 19/20. 9 - 17/60 = 523/60; 523/60·19/20 + 47/315 = 212437/25200.
    "decoupled_lr": (DECAYED, (F(523, 60), F(212437, 25200))),
    # 1 - λ = 4/5. 8 - 17/60 = 463/60; 463/75 + 47/315 = 9958/1575.
    "decoupled": (DECAYED, (F(463, 60), F(9958, 1575))),
    # 583/60·9/10 = 1749/200; (1749/200 + 47/315)·19/20 = 2129273/252000.
    "decay_after_lr": (DECAYED, (F(1749, 200), F(2129273, 252000))),
    # 583/60·4/5 = 583/75; (583/75 + 47/315)·4/5 = 49912/7875.
    "decay_after": (DECAYED, (F(583, 75), F(49912, 7875))),
    # 10 - 17/60 = 583/60; 583/60 + 47/315 = 12431/1260.
    "decay_ignored": (DECAYED, (F(583, 60), F(12431, 1260))),
    # d = -(1 + 2) = -3, m = -3/2, D = 4, moves -17/40; w = 417/40. d = -(-2 + 417/200) = -17/200,
    # m = -3/4 - 17/400 = -317/400, D = 217/200, moves 1/4·(-17/250 - 317/1575)/D = -4241/68355.
    "decay_sign_flipped": (ASCENDING, (F(417, 40), F(1146947, 109368))),
    # m = 3/4·5 = 15/4, moves 1/2·(5 + 1)/6 = 1/2; m = 15/16 - 3/4 = 3/16,
    # moves 1/4·(-4/5 + 1/21)·7/32 = -79/1920.
    "scheduled_moment": (AHEAD, (F(19, 2), F(18319, 1920))),
    # Π = 1/2, 1/4. Factors 1 and 2/3: 1/2·(5 + 5/3)/6 = 5/9; factors (1/2)/(3/4) = 2/3 and
    # (1/2)/(7/8) = 4/7: 1/4·(-2/3 + 3/7)·7/32 = -5/384.
    "constant_momentum": (AHEAD, (F(85, 9), F(10895, 1152))),
    # μ₁ = 1/2·(1 - 12/25) = 13/50, μ₂ = 1/2·(1 - 288/625) = 337/1250, μ₁μ₂ = 4381/62500.
    # Factors 1 and μ₂/(1 - μ₁μ₂) = 16850/58119: 1/2·(5 + 42125/58119)/6 = 83180/174357.
    "decay_of_one": (AHEAD, (F(1660390, 174357),)),
    # The first step as torch's; then factors 1 and 4/15: 1/4·(-1 + 1/5)·7/32 = -7/160.
    "product_restarted": (AHEAD, (F(343, 36), F(13783, 1440))),
    # Factors (3/4)/(1/2) = 3/2 and (1/4)/(3/4) = 1/3: 1/2·(15/2 + 5/6)/6 = 25/36; then
    # (3/4)/(3/4) = 1 and (1/4)/(7/8) = 2/7: 1/4·(-1 + 3/14)·7/32 = -11/256.
    "product_of_betas": (AHEAD, (F(335, 36), F(21539, 2304))),
    # Factors 3/4 and 1/4: 1/2·(15/4 + 5/8)/6 = 35/96; 1/4·(-3/4 + 3/16)·7/32 = -63/2048.
    "uncorrected": (AHEAD, (F(925, 96), F(59389, 6144))),
    # m/c₁ = 5: 1/2·5/6 = 5/12; m/c₁ = (3/4)/(3/4) = 1: 1/4·7/32 = 7/128.
    "nesterov_ignored": (AHEAD, (F(115, 12), F(3659, 384))),
    # Πμμ = 1/64, (1/4)/(63/64) = 16/63: 1/2·(5 + 40/63)/6 = 355/756; Πμμ = 1/256,
    # (1/4)/(255/256) = 64/255: 1/4·(-4/5 + 16/85)·7/32 = -91/2720.
    "momentum_twice": (AHEAD, (F(7205, 756), F(4916599, 514080))),
    # Factors 1 and (1/4)/(3/4) = 1/3: 1/2·(5 + 5/6)/6 = 35/72; then 4/5 and (1/4)/(15/16) = 4/15:
    # 1/4·(-4/5 + 1/5)·7/32 = -21/640.
    "following_ignored": (AHEAD, (F(685, 72), F(54989, 5760))),
    # √(β₂v)/√c₂ = (12/5)/(4/5) = 3, D = 4: 1/2·(17/3)/4 = 17/24.
    "variance_shrunk": (ROOTED, (F(223, 24),)),
    # D = 1 + 1 = 2 both times: 1/2·(17/3)/2 = 17/12; 1/4·(-64/105)/2 = -8/105.
    "second_uncorrected": (AHEAD, (F(103, 12), F(3637, 420))),
    # √(25 + 11) = 6: 1/2·(17/3)/6 = 17/36.
    "eps_inside": (HEAVY, (F(343, 36),)),
    # D = (1 + 1)/(1/5) = 10: 17/60; D = (1 + 1)/(7/25) = 50/7: 1/4·(-64/105)·7/50 = -8/375.
    "eps_hat": (AHEAD, (F(583, 60), F(4869, 500))),
}


class TestByHand(ByHand):
    rule = RULE
    cases = HAND
    other: ClassVar = {"lr": F(7), "weight_decay": F(3), "momentum_decay": F(2)}

    def test_state(self) -> None:
        states = [s for _, s in follow(RULE, TORCH, START, AHEAD.gradients, AHEAD.schedule)]
        assert states == [
            {"step": 1, "mu_product": F(1, 4), "exp_avg": F(5, 2), "exp_avg_sq": F(1)},
            {"step": 2, "mu_product": F(1, 16), "exp_avg": F(3, 4), "exp_avg_sq": F(1)},
        ]

    def test_momentum_grows_as_the_schedule_says(self) -> None:
        """ψ = 1, β₁ = 1/2: 0.96 = 24/25, 0.96² = 576/625, 0.96³ = 13824/15625."""
        h = AHEAD.schedule[0]._replace(momentum_decay=F(1))
        products = [s["mu_product"] for _, s in follow(RULE, TORCH, START, [F(1)] * 3, [h] * 3)]
        assert products == [F(13, 50), F(4381, 62500), F(4381, 62500) * F(8713, 31250)]


values = st.integers(-30, 30).map(lambda n: F(n, 7))
shares = st.sampled_from([F(0), F(1, 2), F(3, 5), F(9, 10)])


def by_sums(name: str, w: F, gradients: Sequence[F], h: Hyper) -> Any:
    """The parameter at last, from sums over all gradients and products over all steps."""
    beta1, beta2, gamma, eps = (mpmath.mpmathify(x) for x in (h.beta1, h.beta2, h.lr, h.eps))
    psi = mpmath.mpmathify({"decay_of_one": 1}.get(name, h.momentum_decay))

    def mu(t: int) -> Any:
        # Whole powers of 0.96 are exact in the rule, others those of the float.
        base = mpmath.mpmathify(F(24, 25) if name == "decay_of_one" else 0.96)
        decayed = mpmath.exp(t * psi * mpmath.log(base))
        return beta1 if name == "constant_momentum" else beta1 - beta1 * decayed / 2

    total = mpmath.mpmathify(w)
    for t in range(1, len(gradients) + 1):
        g = [mpmath.mpmathify(x) for x in gradients[:t]]
        weights = [(1 - beta1) * beta1 ** (t - 1 - i) for i in range(t)]
        if name == "scheduled_moment":
            weights = [
                (1 - mu(i + 1)) * mpmath.fprod(mu(k + 1) for k in range(i + 1, t)) for i in range(t)
            ]
        m = mpmath.fdot(weights, g)
        v = mpmath.fdot([beta2 ** (t - 1 - i) for i in range(t)], [x * x for x in g])
        if name != "second_uncorrected":
            v /= mpmath.fsum(beta2**k for k in range(t))  # a weighted mean is corrected
        else:
            v *= 1 - beta2
        root = mpmath.sqrt(beta2 * v if name == "variance_shrunk" else v)
        unseen = mpmath.sqrt(1 - beta2**t)
        denominator = {
            "eps_inside": mpmath.sqrt(v + eps),
            "eps_hat": root + eps / unseen,
        }.get(name, root + eps)
        before = mpmath.fprod(mu(k) for k in range(1, t + 1))
        after = before * mu(t + 1)
        now, ahead = {
            "product_restarted": ((1 - mu(t)) / (1 - mu(t)), mu(t + 1) / (1 - mu(t) * mu(t + 1))),
            "product_of_betas": (
                (1 - mu(t)) / (1 - beta1**t),
                mu(t + 1) / (1 - beta1 ** (t + 1)),
            ),
            "uncorrected": (1 - mu(t), mu(t + 1)),
            "nesterov_ignored": (0, 1 / (1 - beta1**t)),
            "momentum_twice": ((1 - mu(t)) / (1 - before), mu(t + 1) / (1 - after * mu(t))),
            "following_ignored": ((1 - mu(t)) / (1 - before), mu(t) / (1 - before)),
        }.get(name, ((1 - mu(t)) / (1 - before), mu(t + 1) / (1 - after)))
        total -= gamma * (now * g[-1] + ahead * m) / denominator
    return total


class TestSums:
    @settings(max_examples=settings().max_examples // 5)  # 200 bits are slow
    @given(values, st.lists(values, min_size=1, max_size=4), shares, shares, shares)
    def test_without_decay(self, w: F, gradients: list[F], beta1: F, beta2: F, psi: F) -> None:
        h = Hyper(F(1, 3), beta1, beta2, F(1, 4), momentum_decay=4 * psi)
        with mpmath.workprec(BITS):
            for name in NAMES:
                schedule = [h] * len(gradients)
                got = follow(RULE, name, w, gradients, schedule, mpmath.mpmathify)[-1][0]
                expected = by_sums(name, w, gradients, h)
                scale = abs(w) + sum(abs(g) for g in gradients) + 1
                assert same(got, expected, scale), name


KERAS = np.array(
    [
        [0.4281] * 10,
        [-0.1738, -0.1731, -0.1726, -0.1723, -0.1721, -0.172, -0.1719, -0.1718, -0.1718, -0.1717],
        [-0.7115, -0.7103, -0.7096, -0.7092, -0.709, -0.7088, -0.7086, -0.7085, -0.7085, -0.7084],
        [-1.2335, -1.2322, -1.2313, -1.2309, -1.2306, -1.2304, -1.2302, -1.2301, -1.23, -1.2299],
        [-1.7492, -1.7478, -1.7469, -1.7464, -1.7461, -1.7459, -1.7457, -1.7456, -1.7455, -1.7454],
    ]
)
"""Keras, keras/src/optimizers/nadam_test.py, ``test_correctness_with_golden``: lr 0.5, betas 0.5
and 0.67, ε = 1e-5, a first gradient of 0.01 and then 0.1, 0.2, ..., 1.0 in the ten places."""


@pytest.mark.parametrize(("name", "psi"), [("decay_of_one", 4e-3), (TORCH, 1.0)])
def test_published_values(name: str, psi: float) -> None:
    """To the four digits that were printed: Keras is torch with ψ = 1."""
    gradients = [np.full(10, 0.01)] + [np.arange(1, 11) / 10] * 4
    h = Hyper(lr=0.5, beta1=0.5, beta2=0.67, eps=1e-5, momentum_decay=psi)
    run = RULE.run(RULE.convention(name), np.ones(10), gradients, [h] * 5)
    for (w, _), published in zip(run, KERAS, strict=True):
        assert (np.abs(w - published) <= 0.5e-4).all()
