"""Where two conventions are the same thing, by algebra: exactly, in ``fractions.Fraction``.

A negative test that ignores these families is vacuous or flaky; a person who has to reproduce one
framework in another lives in them.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from oracles.optimizers.sgd import RULE, Hyper
from oracles.rule import Convention, State
from tests.support.fractional import (
    MOMENTA,
    ONE,
    ZERO,
    Run,
    momenta,
    rates,
    runs,
    shares,
    trajectory,
    values,
)

F = Fraction
TORCH = RULE.torch.name
OFF = (ZERO,)
UNSET = (False,)

SWITCHED_OFF: dict[str, st.SearchStrategy[Run]] = {
    "weight_decay": runs(weight_decay=OFF),
    "batch_size": runs(batch_size=(1,)),
    "momentum": runs(momentum=OFF),
    "dampening": runs(dampening=OFF),
    "schedule": runs(constant={"lr"}),
    "nesterov": runs(nesterov=UNSET),
    "maximize": runs(maximize=UNSET),
    "vector": runs(),  # asked of a matrix
}
"""Runs with one part off and all else drawn, changing from step to step."""


def _same(name: str, other: str, run: Run, translated: list[Hyper], *, ndim: int = 1) -> None:
    w, gradients, schedule = run
    expected = trajectory(other, w, gradients, translated, ndim=ndim)
    assert trajectory(name, w, gradients, schedule, ndim=ndim) == expected, name


@pytest.mark.one_in(3)
@pytest.mark.parametrize("part", SWITCHED_OFF)
@given(data=st.data())
def test_without_any_one_of_its_parts_a_convention_is_torch_s(
    part: str, data: st.DataObject
) -> None:
    run = data.draw(SWITCHED_OFF[part])
    for convention in RULE.conventions:
        if part in convention.parts:
            _same(convention.name, TORCH, run, run[2], ndim=2 if part == "vector" else 1)


def test_every_part_a_convention_names_can_be_switched_off() -> None:
    assert set().union(*(c.parts for c in RULE.conventions)) == set(SWITCHED_OFF)


@pytest.mark.parametrize("convention", RULE.conventions[1:], ids=lambda c: c.name)
def test_with_all_its_parts_and_nothing_else_it_is_not(convention: Convention) -> None:
    """So no part is missing from the list: w = 10, g = 1 then -2, and all that is unlisted off."""
    on: dict[str, dict[str, Any]] = {
        "weight_decay": {"weight_decay": F(1, 5)},
        "batch_size": {"batch_size": 4},
        "momentum": {"momentum": F(3, 4)},
        "dampening": {"dampening": F(1, 3)},
        "nesterov": {"nesterov": True},
        "maximize": {"maximize": True},
    }
    h = Hyper(lr=F(1, 2))
    for part in convention.parts & on.keys():
        h = h._replace(**on[part])
    later = h._replace(lr=F(1, 4)) if "schedule" in convention.parts else h
    ndim = 1 if "vector" in convention.parts else 2
    run = F(10), (ONE, F(-2)), (h, later)
    got = trajectory(convention.name, *run, ndim=ndim)
    assert got[-1] != trajectory(TORCH, *run, ndim=ndim)[-1]


def _each(change: Callable[[Hyper], dict[str, Any]]) -> Callable[[list[Hyper]], list[Hyper]]:
    return lambda schedule: [h._replace(**change(h)) for h in schedule]


ALWAYS: dict[str, tuple[str, Callable[[list[Hyper]], list[Hyper]]]] = {
    "batch_scaled": (TORCH, _each(lambda h: {"weight_decay": h.weight_decay / h.batch_size})),
    "coupled_doubled": (TORCH, _each(lambda h: {"weight_decay": 2 * h.weight_decay})),
    "decay_ignored": (TORCH, _each(lambda h: {"weight_decay": ZERO})),
    "bias_undecayed": (TORCH, _each(lambda h: {"weight_decay": ZERO})),
    "decay_sign_flipped": (
        TORCH,
        _each(lambda h: {"weight_decay": -h.weight_decay if h.maximize else h.weight_decay}),
    ),
    "nesterov_ignored": (TORCH, _each(lambda h: {"nesterov": False})),
    "decoupled": ("decoupled_lr", _each(lambda h: {"weight_decay": h.weight_decay / h.lr})),
    "decay_after": ("decay_after_lr", _each(lambda h: {"weight_decay": h.weight_decay / h.lr})),
    "ema_momentum": ("first_step_dampened", _each(lambda h: {"dampening": h.momentum})),
}
"""Translations that hold whatever else is on: a convention is another one under other numbers."""


@given(runs())
def test_translation_step_by_step(run: Run) -> None:
    for name, (other, translated) in ALWAYS.items():
        _same(name, other, run, translated(run[2]))


class TestTranslations:
    """Those with a condition, which each of them names."""

    @given(runs(batch_size=(7,), constant={"batch_size"}))
    def test_sum_loss_for_mean_loss(self, run: Run) -> None:
        """m times gradient and decay, lr/m; at constant m, for it scales the buffer."""
        w, gradients, schedule = run
        summed = [h._replace(lr=h.lr / 7, weight_decay=7 * h.weight_decay) for h in schedule]
        got = trajectory(TORCH, w, [7 * g for g in gradients], summed)
        assert got == trajectory(TORCH, w, gradients, schedule)

    @given(runs(momentum=MOMENTA, nesterov=UNSET))
    def test_lr_in_velocity_under_a_schedule(self, run: Run) -> None:
        """``momentum_t = μ·lr_{t-1}/lr_t``, without Nesterov; the first step has no μ to change."""
        w, gradients, schedule = run
        previous = [schedule[0].lr, *(h.lr for h in schedule)]
        translated = [
            h._replace(momentum=h.momentum * lr / h.lr)
            for lr, h in zip(previous, schedule, strict=False)
        ]
        got = trajectory("lr_in_velocity", w, gradients, schedule)
        assert got == trajectory(TORCH, w, gradients, translated)

    @given(runs(dampening=OFF, nesterov=UNSET, momentum=MOMENTA, constant={"momentum"}))
    def test_moving_average_is_a_smaller_lr(self, run: Run) -> None:
        """``lr·(1-μ)`` at constant μ, without Nesterov."""
        w, gradients, schedule = run
        smaller = [h._replace(lr=h.lr * (1 - h.momentum)) for h in schedule]
        got = trajectory("ema_momentum", w, gradients, schedule)
        # torch decays by the smaller lr too, and so does the moving average.
        assert got == trajectory(TORCH, w, gradients, smaller)

    @given(runs(nesterov=UNSET, momentum=MOMENTA, constant={"momentum", "dampening"}))
    def test_dampening_from_the_first_step_is_a_smaller_lr(self, run: Run) -> None:
        """``lr·(1-τ)`` at constant τ, and no dampening."""
        w, gradients, schedule = run
        smaller = [h._replace(lr=h.lr * (1 - h.dampening), dampening=ZERO) for h in schedule]
        got = trajectory("first_step_dampened", w, gradients, schedule)
        assert got == trajectory(TORCH, w, gradients, smaller)

    @given(runs(momentum=OFF))
    def test_decay_before_the_step_without_momentum(self, run: Run) -> None:
        """``decoupled``: torch's rule at λ/lr."""
        w, gradients, schedule = run
        coupled = [h._replace(weight_decay=h.weight_decay / h.lr) for h in schedule]
        got = trajectory("decoupled", w, gradients, schedule)
        assert got == trajectory(TORCH, w, gradients, coupled)

    @given(runs(momentum=OFF))
    def test_decay_after_the_step_without_momentum(self, run: Run) -> None:
        """``lr' = lr(1-lr·λ)`` and ``λ' = λ/(1-lr·λ)``, unless lr·λ = 1 wipes w out."""
        w, gradients, schedule = run
        assume(all(h.lr * h.weight_decay != 1 for h in schedule))
        coupled = [
            h._replace(lr=h.lr * rest, weight_decay=h.weight_decay / rest)
            for h in schedule
            for rest in [1 - h.lr * h.weight_decay]
        ]
        got = trajectory("decay_after_lr", w, gradients, schedule)
        assert got == trajectory(TORCH, w, gradients, coupled)

    @given(runs())
    def test_decay_after_a_step_is_decay_before_the_next(self, run: Run) -> None:
        """For given gradients, with momentum too: only the last shrinkage is one step early."""
        w, gradients, schedule = run
        decays = [ZERO, *(h.weight_decay for h in schedule)]
        before = [h._replace(weight_decay=d) for h, d in zip(schedule, decays, strict=False)]
        expected = trajectory("decoupled", w, gradients, before)[-1] * (1 - decays[-1])
        assert trajectory("decay_after", w, gradients, schedule)[-1] == expected

    @given(runs(momentum=OFF, maximize=UNSET))
    def test_drift_is_a_constant_gradient(self, run: Run) -> None:
        """-γλ whatever w is: torch-optimizer's SGDW without momentum adds λ to every gradient."""
        w, gradients, schedule = run
        pulled = [g + h.weight_decay for g, h in zip(gradients, schedule, strict=True)]
        undecayed = [h._replace(weight_decay=ZERO) for h in schedule]
        got = trajectory("decay_drift", w, gradients, schedule)
        assert got == trajectory(TORCH, w, pulled, undecayed)

    @given(runs(constant=Hyper._fields, nesterov=(True,), momentum=MOMENTA, weight_decay=OFF))
    def test_nesterov_with_the_new_buffer_looks_ahead_twice(self, run: Run) -> None:
        """Its direction is the one torch takes at the next step, should the gradient repeat itself.

        So for a constant gradient, undampened, it runs one step ahead of torch's trajectory.
        """
        w, (g, *_), (h, *_) = run
        h = h._replace(dampening=ZERO)
        steps = 3
        torch = [w, *trajectory(TORCH, w, [g] * (steps + 1), [h] * (steps + 1))]
        got = trajectory("nesterov_squared", w, [g] * steps, [h] * steps)
        assert [x - w for x in got] == [x - torch[1] for x in torch[2:]]

    @given(values, values, values, rates, momenta, st.integers(1, 6))
    def test_nesterov_is_a_gradient_at_the_looked_ahead_point(
        self, w: Fraction, slope: Fraction, offset: Fraction, lr: Fraction, mu: Fraction, steps: int
    ) -> None:
        """Nesterov's own form, θ' = θ + v' with v' = μv - γ∇f(θ + μv), seen from w = θ + μv.

        arXiv:1212.0901, section 3.5: the same iterates at constant γ and μ.
        """
        h = Hyper(lr=lr, momentum=mu, nesterov=True)
        theta, v = w, ZERO
        state: State = {}
        for _ in range(steps):
            v = mu * v - lr * (slope * (theta + mu * v) + offset)
            theta += v
            w, state = RULE.step(w, slope * w + offset, 1, state, h, RULE.torch)
            assert w == theta + mu * v

    @given(shares, rates, rates, values, momenta)
    def test_decoupled_decay_has_the_optimum_of_a_smaller_coupled_one(
        self, wd: Fraction, lr: Fraction, slope: Fraction, offset: Fraction, mu: Fraction
    ) -> None:
        """Trajectories have no exact map under momentum; where they end, they have: λ(1-μ).

        At rest b = -λw, hence (1-μ)λw + ∇f(w) = 0: coupled decay by λ(1-μ).
        """
        optimum = -offset / (slope + (1 - mu) * wd)
        h = Hyper(lr=lr, momentum=mu, weight_decay=wd)
        state = {"momentum_buffer": -wd * optimum}
        gradient = slope * optimum + offset
        w, after = RULE.step(optimum, gradient, 1, state, h, RULE.convention("decoupled_lr"))
        assert (w, after) == (optimum, state)
        coupled = h._replace(weight_decay=(1 - mu) * wd)
        at_rest = {"momentum_buffer": ZERO}
        assert RULE.step(optimum, gradient, 1, at_rest, coupled, RULE.torch) == (optimum, at_rest)


class TestTempting:
    """Translations people try that do not hold, each with the numbers that show it."""

    def test_dampening_is_not_a_moving_average(self) -> None:
        """torch leaves the first step whole: w = 0, g = 1, μ = τ = 1/2, γ = 1.

        torch: b = 1, w = -1. Moving average: b = 1/2, w = -1/2.
        """
        h = [Hyper(lr=ONE, momentum=F(1, 2), dampening=F(1, 2))]
        assert trajectory(TORCH, ZERO, [ONE], h) == [F(-1)]
        assert trajectory("ema_momentum", ZERO, [ONE], h) == [F(-1, 2)]

    def test_a_constant_decay_does_not_follow_a_smaller_last_batch(self) -> None:
        """Batches of 16, 16 and 8 at λ = 16, γ = 1/4, g = 0: λ/m is 1, 1 and then 2.

        w = 16 -> 12 -> 9 -> 9/2 with λ/m, against 9·3/4 = 27/4 with the constant λ/16 = 1.
        """
        schedule = [Hyper(lr=F(1, 4), weight_decay=F(16), batch_size=m) for m in (16, 16, 8)]
        constant = [h._replace(weight_decay=ONE) for h in schedule]
        zeros = [ZERO] * 3
        assert trajectory("batch_scaled", F(16), zeros, schedule) == [12, 9, F(9, 2)]
        assert trajectory(TORCH, F(16), zeros, constant) == [12, 9, F(27, 4)]

    def test_sutskever_momentum_is_not_torch_s_when_lr_drops(self) -> None:
        """w = 0, g = 1 then 0, μ = 1/2, γ = 1 then 1/10: torch goes on by 1/20, v = 1/2 by 1/2."""
        schedule = [Hyper(lr=lr, momentum=F(1, 2)) for lr in (ONE, F(1, 10))]
        assert trajectory(TORCH, ZERO, [ONE, ZERO], schedule) == [-1, F(-21, 20)]
        assert trajectory("lr_in_velocity", ZERO, [ONE, ZERO], schedule) == [-1, F(-3, 2)]
