"""The second witness of ``optimizers/sgd.py``: numbers worked by hand, and closed forms.

Nothing here computes a step the way the rule does. Hand cases were worked on paper, with the work
in the comment beside them; closed forms are geometric sums, and polynomials in the hyperparameters
that stand in a matrix. All of it is exact, in ``fractions.Fraction``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracles.optimizers.sgd import RULE, Hyper
from tests.support.fractional import (
    ONE,
    ZERO,
    hypers,
    momenta,
    rates,
    shares,
    states,
    trajectory,
    values,
)
from tests.support.sums import geometric

F = Fraction
NAMES = [c.name for c in RULE.conventions]
TORCH = RULE.torch.name


@dataclass(frozen=True)
class BufferedSetting:
    """Hyperparameters under which a hand case runs, with torch's answer under them."""

    schedule: tuple[Hyper, ...]
    w: tuple[Fraction, ...]
    b: tuple[Fraction, ...]


GRADIENTS = (F(1), F(-2), F(1))
START = F(10)

_FIRST = Hyper(F(1, 2), F(3, 4), F(1, 3), F(1, 5), batch_size=4)
_SECOND = _FIRST._replace(lr=F(1, 4))

# Everything on: γ = 1/2 then 1/4, μ = 3/4, τ = 1/3, λ = 1/5, m = 4; w = 10, g = 1 then -2.
#   d = 1 + 10/5 = 3          b = 3                              w = 10 - 3/2 = 17/2
#   d = -2 + 17/10 = -3/10    b = 9/4 + 2/3·(-3/10) = 41/20      w = 17/2 - 41/80 = 639/80
DAMPENED = BufferedSetting((_FIRST, _SECOND), (F(17, 2), F(639, 80)), (F(3), F(41, 20)))

# The same, ascending: the gradient changes its sign and the decay does not.
#   d = -1 + 2 = 1            b = 1                              w = 10 - 1/2 = 19/2
#   d = 2 + 19/10 = 39/10     b = 3/4 + 2/3·39/10 = 67/20        w = 19/2 - 67/80 = 693/80
ASCENDING = BufferedSetting(
    tuple(h._replace(maximize=True) for h in DAMPENED.schedule),
    (F(19, 2), F(693, 80)),
    (F(1), F(67, 20)),
)

# Nesterov, which torch allows undampened only; a third step with g = 1 and γ = 1/2.
#   d = 3                     b = 3                         3 + 9/4 = 21/4
#                                                           w = 10 - 21/8 = 59/8
#   d = -2 + 59/40 = -21/40   b = 9/4 - 21/40 = 69/40       -21/40 + 207/160 = 123/160
#                                                           w = 59/8 - 123/640 = 4597/640
#   d = 1 + 4597/3200         b = 207/160 + 7797/3200       7797/3200 + 35811/12800 = 66999/12800
#     = 7797/3200               = 11937/3200                w = 4597/640 - 66999/25600
#                                                             = 116881/25600
_AHEAD = [h._replace(dampening=ZERO, nesterov=True) for h in DAMPENED.schedule]
LOOKING_AHEAD = BufferedSetting(
    (_AHEAD[0], _AHEAD[1], _AHEAD[0]),
    (F(59, 8), F(4597, 640), F(116881, 25600)),
    (F(3), F(69, 40), F(11937, 3200)),
)

Answer = tuple[BufferedSetting, tuple[Fraction, ...], tuple[Fraction, ...]]
"""A setting, then parameter and buffer after each step."""

_UNDECAYED = (F(1), F(-7, 12))  # b of all that keep λ out of it: 1, then 3/4 + 2/3·(-2) = -7/12

HAND: dict[str, Answer] = {
    "coupled_unscaled": (DAMPENED, DAMPENED.w, DAMPENED.b),
    # λ/m = 1/20. d = 3/2, w = 10 - 3/4 = 37/4; d = -2 + 37/80 = -123/80,
    # b = 9/8 - 41/40 = 1/10, w = 37/4 - 1/40 = 369/40.
    "batch_scaled": (DAMPENED, (F(37, 4), F(369, 40)), (F(3, 2), F(1, 10))),
    # 2λ = 2/5. d = 5, w = 10 - 5/2 = 15/2; d = -2 + 3 = 1, b = 15/4 + 2/3 = 53/12,
    # w = 15/2 - 53/48 = 307/48.
    "coupled_doubled": (DAMPENED, (F(15, 2), F(307, 48)), (F(5), F(53, 12))),
    # 1 - γλ = 9/10, then 19/20. 9 - 1/2 = 17/2; 17/2·19/20 = 323/40, + 7/48 = 1973/240.
    "decoupled_lr": (DAMPENED, (F(17, 2), F(1973, 240)), _UNDECAYED),
    # 1 - λ = 4/5. 8 - 1/2 = 15/2; 6 + 7/48 = 295/48.
    "decoupled": (DAMPENED, (F(15, 2), F(295, 48)), _UNDECAYED),
    # (10 - 1/2)·4/5 = 38/5; (38/5 + 7/48)·4/5 = 1859/240·4/5 = 1859/300.
    "decay_after": (DAMPENED, (F(38, 5), F(1859, 300)), _UNDECAYED),
    # 19/2·9/10 = 171/20; (171/20 + 7/48)·19/20 = 2087/240·19/20 = 39653/4800.
    "decay_after_lr": (DAMPENED, (F(171, 20), F(39653, 4800)), _UNDECAYED),
    # 19/2 - 1/10 = 47/5; 47/5 + 7/48 - 1/20 = 2279/240.
    "decay_drift": (DAMPENED, (F(47, 5), F(2279, 240)), _UNDECAYED),
    # 10 - 1/2 = 19/2; 19/2 + 7/48 = 463/48.
    "decay_ignored": (DAMPENED, (F(19, 2), F(463, 48)), _UNDECAYED),
    # d = -(1 + 2) = -3, w = 10 + 3/2 = 23/2; d = -(-2 + 23/10) = -3/10, b = -9/4 - 1/5 = -49/20,
    # w = 23/2 + 49/80 = 969/80.
    "decay_sign_flipped": (ASCENDING, (F(23, 2), F(969, 80)), (F(-3), F(-49, 20))),
    # A vector: as decay_ignored. (A matrix: as torch, in a test of its own.)
    "bias_undecayed": (DAMPENED, (F(19, 2), F(463, 48)), _UNDECAYED),
    # v = 1/2·3 = 3/2, w = 17/2; v = 9/8 + 2/3·1/4·(-3/10) = 43/40, w = 17/2 - 43/40 = 297/40.
    "lr_in_velocity": (DAMPENED, (F(17, 2), F(297, 40)), (F(3, 2), F(43, 40))),
    # b = 2/3·3 = 2, w = 9; d = -2 + 9/5 = -1/5, b = 3/2 - 2/15 = 41/30,
    # w = 9 - 41/120 = 1039/120.
    "first_step_dampened": (DAMPENED, (F(9), F(1039, 120)), (F(2), F(41, 30))),
    # b = 1/4·3 = 3/4, w = 77/8; d = -2 + 77/40 = -3/40, b = 9/16 - 3/160 = 87/160,
    # w = 77/8 - 87/640 = 6073/640.
    "ema_momentum": (DAMPENED, (F(77, 8), F(6073, 640)), (F(3, 4), F(87, 160))),
    # 1 + 9/4 = 13/4, w = 67/8; d = -2 + 67/40 = -13/40, b = 9/4 - 13/40 = 77/40,
    # -2 + 231/160 = -89/160, w = 67/8 + 89/640 = 5449/640.
    "nesterov_undecayed": (LOOKING_AHEAD, (F(67, 8), F(5449, 640)), (F(3), F(77, 40))),
    # 7/4·3 + 9/16·3 = 111/16, w = 10 - 111/32 = 209/32; d = -2 + 209/160 = -111/160,
    # b = 9/4 - 111/160 = 249/160, 7/4·(-111/160) + 9/16·249/160 = -867/2560,
    # w = 209/32 + 867/10240 = 67747/10240.
    "nesterov_squared": (LOOKING_AHEAD, (F(209, 32), F(67747, 10240)), (F(3), F(249, 160))),
    # w = 10 - 3/2 = 17/2; b = 9/4 - 3/10 = 39/20, w = 17/2 - 39/80 = 641/80.
    "nesterov_ignored": (LOOKING_AHEAD, (F(17, 2), F(641, 80)), (F(3), F(39, 20))),
}


class TestByHand:
    @pytest.mark.parametrize("name", NAMES)
    def test_convention(self, name: str) -> None:
        """A convention without a case here is an error, by its name."""
        setting, *expected = HAND[name]
        steps = len(expected[0])
        got = states(name, START, GRADIENTS[:steps], setting.schedule[:steps])
        assert got == list(zip(*expected, strict=True))

    @pytest.mark.parametrize("setting", [DAMPENED, ASCENDING, LOOKING_AHEAD])
    def test_torch_in_every_setting(self, setting: BufferedSetting) -> None:
        got = states(TORCH, START, GRADIENTS[: len(setting.w)], setting.schedule)
        assert got == list(zip(setting.w, setting.b, strict=True))

    @pytest.mark.parametrize("name", NAMES[1:])
    def test_case_tells_the_convention_from_torch(self, name: str) -> None:
        setting, w, _ = HAND[name]
        assert w[-1] != setting.w[len(w) - 1]

    def test_no_case_is_left_over(self) -> None:
        assert set(HAND) <= set(NAMES)

    @pytest.mark.parametrize(
        ("name", "w", "b"),
        [(TORCH, F(41, 10), F(19, 10)), ("batch_scaled", F(83, 20), F(39, 20))],
    )
    def test_published_example(self, name: str, w: Fraction, b: Fraction) -> None:
        """One step of linear regression: w = b = 1, x = [2, 4], y = [7, 11], mean squared error.

        The residuals are 3 - 7 = -4 and 5 - 11 = -6, hence the gradients 2/2·(-8 - 24) = -32 and
        2/2·(-4 - 6) = -10. At γ = 1/10 and λ = 1 torch moves w to 1 + 31/10 = 41/10 and b to
        1 + 9/10 = 19/10; with λ/2, batch-scaled, they go to 1 + 63/20 = 83/20 and 39/20.
        """
        h = [Hyper(lr=F(1, 10), weight_decay=ONE, batch_size=2)]
        assert trajectory(name, ONE, [F(-32)], h) == [w]
        assert trajectory(name, ONE, [F(-10)], h) == [b]

    def test_a_matrix_is_decayed_where_a_vector_is_not(self) -> None:
        got = trajectory("bias_undecayed", START, GRADIENTS[:2], DAMPENED.schedule, ndim=2)
        assert got == list(DAMPENED.w)

    @pytest.mark.parametrize("name", NAMES)
    def test_a_step_without_gradient_is_no_step(self, name: str) -> None:
        setting, w, b = HAND[name]
        other = Hyper(lr=F(7), weight_decay=F(3), momentum=F(1, 9))
        schedule = (other, setting.schedule[0], other, setting.schedule[1])
        got = states(name, START, (None, F(1), None, F(-2)), schedule)
        assert got == [(START, None), (w[0], b[0]), (w[0], b[0]), (w[1], b[1])]

    def test_the_first_step_is_each_parameter_s_own(self) -> None:
        """The second parameter joins at step 2: d = 1 + 2 = 3 = b, undampened, w = 10 - 3/4."""
        assert trajectory(TORCH, START, GRADIENTS[:2], DAMPENED.schedule)[-1] == F(639, 80)
        late = states(TORCH, START, (None, F(1)), DAMPENED.schedule)
        assert late == [(START, None), (F(37, 4), F(3))]

    def test_momentum_switched_on_later_starts_undampened(self) -> None:
        """w = 17/2 without buffer; then b = d = -3/10 and w = 17/2 + 3/40 = 343/40."""
        schedule = (_FIRST._replace(momentum=ZERO), _SECOND)
        got = states(TORCH, START, GRADIENTS[:2], schedule)
        assert got == [(F(17, 2), None), (F(343, 40), F(-3, 10))]

    def test_momentum_switched_off_leaves_the_buffer_waiting(self) -> None:
        """Step 2 ignores b = 3; step 3 goes on from it.

        w = 17/2 + 3/40 = 343/40; d = 1 + 343/200 = 543/200, b = 9/4 + 2/3·543/200 = 203/50,
        w = 343/40 - 203/100 = 1309/200.
        """
        schedule = (_FIRST, _SECOND._replace(momentum=ZERO), _FIRST)
        got = states(TORCH, START, GRADIENTS, schedule)
        assert got == [(F(17, 2), F(3)), (F(343, 40), F(3)), (F(1309, 200), F(203, 50))]


def _displacement(name: str, h: Hyper, t: int) -> Fraction:
    """What multiplies -γg at step t (from 1) while g is constant, λ = 0 and μ ≠ 0."""
    mu: Fraction = h.momentum
    kept: Fraction = 1 - h.dampening
    b = mu ** (t - 1) + kept * geometric(mu, t - 1)
    if name == "first_step_dampened":
        b = kept * geometric(mu, t)
    if name == "ema_momentum":
        b = 1 - mu**t
    if not h.nesterov or name == "nesterov_ignored":
        return b
    return 1 + mu + mu * mu * b if name == "nesterov_squared" else 1 + mu * b


def _affine(name: str, h: Hyper, g: Fraction) -> tuple[Fraction, Fraction]:
    """The (a, c) of w' = aw + c that a step with μ = 0 is, while g is constant."""
    lr, wd = h.lr, h.weight_decay
    g = -g if h.maximize else g
    forms = {
        "batch_scaled": (1 - lr * wd / h.batch_size, -lr * g),
        "coupled_doubled": (1 - 2 * lr * wd, -lr * g),
        "decoupled": (1 - wd, -lr * g),
        "decay_after": (1 - wd, (wd - 1) * lr * g),
        "decay_after_lr": (1 - lr * wd, (lr * wd - 1) * lr * g),
        "decay_drift": (ONE, -lr * (g + wd)),
        "decay_ignored": (ONE, -lr * g),
        "decay_sign_flipped": (1 + lr * wd if h.maximize else 1 - lr * wd, -lr * g),
        "bias_undecayed": (ONE, -lr * g),
    }
    return forms.get(name, (1 - lr * wd, -lr * g))


def matrix(name: str, h: Hyper, a: Fraction, c: Fraction, *, first: bool) -> Any:
    """One step on (w, b, 1) while the gradient is aw + c: its 3x3 matrix, entries multiplied out.

    With k = a + λ torch's is, for κ = 1-τ (1 at the first step with momentum, where b = 0),

        | 1 - γκk   -γμ   -γκc |                                | 1 - γ(1+μκ)k   -γμ²   -γ(1+μκ)c |
        |   κk       μ     κc  |   and with nesterov in row 1:
    """
    lr, mu, wd = h.lr, h.momentum, h.weight_decay
    a, c = (-a, -c) if h.maximize else (a, c)
    penalties: dict[str, Any] = {
        "batch_scaled": wd / h.batch_size,
        "coupled_doubled": 2 * wd,
        "decay_sign_flipped": -wd if h.maximize else wd,
        **dict.fromkeys(SEPARATE_DECAY, ZERO),
    }
    penalty: Any = penalties.get(name, wd)
    k = a + penalty
    kept = ONE if first else 1 - h.dampening
    if name == "first_step_dampened":
        kept = 1 - h.dampening
    if name == "ema_momentum":
        kept = 1 - mu
    now, old = kept, mu  # the direction is now·(kw + c) + old·b
    if h.nesterov and name != "nesterov_ignored":
        now, old = 1 + mu * kept, mu * mu
        if name == "nesterov_squared":
            now, old = 1 + mu + mu * mu * kept, mu**3
    if mu == 0:
        now, old = ONE, ZERO
    top = [1 - lr * now * k, -lr * old, -lr * now * c]
    middle = [kept * k, mu, kept * c] if mu else [ZERO, ONE, ZERO]
    if name == "nesterov_undecayed" and h.nesterov and mu:
        top[0] += lr * penalty
    if name == "lr_in_velocity":
        top[1] = -old
        middle = [lr * kept * k, mu, lr * kept * c] if mu else middle
    shrunk = {"decoupled_lr": lr * wd, "decoupled": wd}.get(name, ZERO)
    after = {"decay_after_lr": 1 - lr * wd, "decay_after": 1 - wd}.get(name, ONE)
    top = [after * (top[0] - shrunk), after * top[1], after * top[2]]
    if name == "decay_drift":
        top[2] -= lr * wd
    return np.array([top, middle, [ZERO, ZERO, ONE]], dtype=object)


SEPARATE_DECAY = (
    *("decoupled", "decoupled_lr", "decay_after", "decay_after_lr", "decay_drift"),
    *("decay_ignored", "bias_undecayed"),
)
"""Those whose gradient is free of λ (for vectors)."""


def descend(
    name: str, w: Fraction, slope: Fraction, offset: Fraction, schedule: Sequence[Hyper | None]
) -> tuple[Fraction, Fraction | None]:
    """Follow the rule on the gradient ``slope·w + offset``; a step of None has no gradient."""
    convention = RULE.convention(name)
    state: Any = {}
    for h in schedule:
        if h is not None:
            h = h if convention.decays(1) else h._replace(weight_decay=ZERO)
            w, state = RULE.step(w, slope * w + offset, 1, state, h, convention)
    return w, state.get("momentum_buffer")


def multiplied(
    name: str, w: Fraction, slope: Fraction, offset: Fraction, schedule: Sequence[Hyper | None]
) -> tuple[Fraction, Fraction]:
    """The same by matrices."""
    vector = np.array([w, ZERO, ONE], dtype=object)
    first = True
    for h in schedule:
        if h is not None:
            vector = matrix(name, h, slope, offset, first=first) @ vector
            first = first and h.momentum == 0
    return vector[0], vector[1]


class TestClosedForms:
    @given(values, values, hypers(), momenta, st.integers(1, 9))
    def test_constant_gradient(
        self, w: Fraction, g: Fraction, h: Hyper, mu: Fraction, steps: int
    ) -> None:
        """Without decay, w_T = w_0 - γg·Σ of geometric sums."""
        h = h._replace(weight_decay=ZERO, momentum=mu)
        for name in NAMES:
            moved = sum((_displacement(name, h, t + 1) for t in range(steps)), ZERO)
            expected = w - h.lr * (-g if h.maximize else g) * moved
            assert trajectory(name, w, [g] * steps, [h] * steps)[-1] == expected, name

    @given(values, values, hypers(), st.integers(1, 9))
    def test_constant_gradient_with_decay(
        self, w: Fraction, g: Fraction, h: Hyper, steps: int
    ) -> None:
        """Without momentum, w_T = a^T·w_0 + c(1 + a + ... + a^(T-1))."""
        h = h._replace(momentum=ZERO)
        for name in NAMES:
            a, c = _affine(name, h, g)
            expected = a**steps * w + c * geometric(a, steps)
            assert trajectory(name, w, [g] * steps, [h] * steps)[-1] == expected, name

    @given(values, values, values, st.lists(hypers() | hypers() | hypers() | st.none(), max_size=4))
    def test_linear_gradient_under_a_schedule(
        self, w: Fraction, slope: Fraction, offset: Fraction, schedule: list[Hyper | None]
    ) -> None:
        """A product of matrices, whatever changes from step to step and wherever gradients miss."""
        for name in NAMES:
            got, b = descend(name, w, slope, offset, schedule)
            expected = multiplied(name, w, slope, offset, schedule)
            assert (got, b or ZERO) == expected, name

    @given(values, values, values, hypers(), st.integers(1, 9))
    def test_linear_gradient(
        self, w: Fraction, slope: Fraction, offset: Fraction, h: Hyper, steps: int
    ) -> None:
        """A matrix power, which reaches step T without the steps between."""
        first, later = (matrix(TORCH, h, slope, offset, first=f) for f in (True, False))
        power = np.linalg.matrix_power(later, steps - 1) @ first
        expected = power @ np.array([w, ZERO, ONE], dtype=object)
        got, b = descend(TORCH, w, slope, offset, [h] * steps)
        assert (got, b or ZERO) == tuple(expected[:2])

    @given(
        values, values, st.lists(st.tuples(rates, momenta, shares, shares), min_size=2, max_size=5)
    )
    def test_heavy_ball(
        self, w: Fraction, slope: Fraction, drawn: list[tuple[Fraction, ...]]
    ) -> None:
        """Without the buffer: b_t = (w_{t-1} - w_t)/γ_t, so w obeys Polyak's three-term recurrence.

        w_{t+1} = w_t - γ_{t+1} [(1-τ_{t+1})(a+λ_{t+1}) w_t + μ_{t+1} (w_{t-1} - w_t)/γ_t]
        """
        schedule = [Hyper(lr, mu, tau, wd) for lr, mu, tau, wd in drawn]
        w0, (w1, _) = w, descend(TORCH, w, slope, ZERO, schedule[:1])
        assert w1 == w0 - schedule[0].lr * (slope + schedule[0].weight_decay) * w0
        for t in range(1, len(schedule)):
            h, before = schedule[t], schedule[t - 1]
            pull = (1 - h.dampening) * (slope + h.weight_decay) * w1
            w0, w1 = w1, w1 - h.lr * (pull + h.momentum * (w0 - w1) / before.lr)
            assert descend(TORCH, w, slope, ZERO, schedule[: t + 1])[0] == w1


class TestStep:
    def test_decay_of_zero_leaves_an_infinite_parameter_out(self) -> None:
        """0·inf would be nan: without decay no term λw is added."""
        _, state = RULE.step(np.array(math.inf), np.array(2.0), 1, {}, Hyper(0.5, 0.5), RULE.torch)
        assert state["momentum_buffer"] == 2

    def test_an_unknown_convention_is_named_with_those_there_are(self) -> None:
        message = f"SGD has no convention 'nadam'; allowed: {', '.join(NAMES)}"
        with pytest.raises(ValueError, match=message):
            RULE.convention("nadam")
