"""Loss scaling by its text: worked by hand, in closed form, and told from its variants."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracles.harness.arithmetic.enclosure import Enclosure
from oracles.harness.arithmetic.formats import FORMATS
from oracles.loop.clipping import clipped
from oracles.loop.scaler import (
    INFINITE,
    PART,
    Gradient,
    Handed,
    Settings,
    State,
    update,
)
from tests.support.many_bits import BITS, precise, same

F = Fraction
GOOD, BAD = Gradient(F(6)), Gradient(F(0), finite=False)
SETTINGS = Settings(F(8), F(2), F(1, 2), 2)


def followed(
    variant: str, gradients: Sequence[Sequence[Sequence[Gradient]]], s: Settings = SETTINGS
) -> tuple[list[tuple[Any, int]], list[list[Handed]]]:
    """Scale and tracker after each iteration, and what is handed over in each."""
    state, seen, steps = State(s.init_scale), [], []
    for own in gradients:
        state, handed = PART.variant(variant).compute(own, state, s)
        seen.append((state.scale, state.tracker))
        steps.append(handed)
    return seen, steps


ONE = [[[GOOD]], [[BAD]], [[GOOD]], [[GOOD]], [[GOOD]]]
"""One optimizer with one parameter: good, bad, and three good iterations."""

SCALES: dict[str, list[tuple[Any, int]]] = {
    "torch": [(8, 1), (4, 0), (4, 1), (8, 0), (8, 1)],
    "skips_tracked": [(8, 1), (4, 2), (8, 0), (8, 1), (16, 0)],
    "tracker_paused": [(8, 1), (4, 1), (8, 0), (8, 1), (16, 0)],
    "one_iteration_later": [(8, 1), (4, 0), (4, 1), (4, 2), (8, 0)],
    "tracker_runs_on": [(8, 1), (4, 0), (4, 1), (8, 2), (16, 3)],
    "static": [(8, 0), (8, 0), (8, 0), (8, 0), (8, 0)],
    "patient": [(8, 1), (8, 0), (8, 1), (16, 0), (16, 1)],
}
"""Worked by hand."""


@pytest.mark.parametrize("variant", SCALES)
def test_scales_worked_by_hand(variant: str) -> None:
    assert followed(variant, ONE)[0] == SCALES[variant]


def test_bounds_worked_by_hand() -> None:
    low = Settings(F(1), F(2), F(1, 2), 1)
    assert followed("torch", [[[BAD]]], low)[0] == [(F(1, 2), 0)]
    assert followed("floor_of_one", [[[BAD]]], low)[0] == [(1, 0)]
    high = Settings(F(2**24), F(2), F(1, 2), 1)
    assert followed("torch", [[[GOOD]]], high)[0] == [(2**25, 0)]
    assert followed("ceiling", [[[GOOD]]], high)[0] == [(2**24, 0)]
    top = Settings(F(2**127), F(2), F(1, 2), 1)
    assert followed("torch", [[[GOOD]]] * 2, top)[0] == [(2**127, 0)] * 2
    assert followed("unbounded", [[[GOOD]]], top)[0] == [(INFINITE, 0)]
    close = top._replace(growth_factor=F(2) - F(1, 2**24))  # to what float32 rounds to infinity
    assert followed("torch", [[[GOOD]]], close)[0] == [(2**127, 0)]


BOTH = [[[GOOD, BAD], [GOOD]]]
"""Two optimizers, the first of which has found something."""

STEPS: dict[str, list[Any]] = {
    "torch": [None, [F(3, 4)]],
    "partly_skipped": [[F(3, 4), None], [F(3, 4)]],
    "zeroed": [[F(3, 4), 0], [F(3, 4)]],
    "stepped_on_zeros": [[0, 0], [F(3, 4)]],
    "all_or_none": [None, None],
    "unscaled_twice": [None, [F(6, 64)]],
    "never_unscaled": [None, [6]],
    "unscaled_by_the_next": [None, [F(6, 4)]],
}
"""What optimizers step on at a scale of 8, worked by hand."""


@pytest.mark.parametrize("variant", STEPS)
def test_steps_worked_by_hand(variant: str) -> None:
    assert followed(variant, BOTH)[1] == [STEPS[variant]]


def test_backing_off_once_or_for_each() -> None:
    both = [[[BAD], [BAD]]]
    assert followed("torch", both)[0] == [(4, 0)]
    assert followed("backoff_for_each", both)[0] == [(2, 0)]


def test_clipping_is_of_unscaled_gradients() -> None:
    """|(3, 4)| is 5, which is more than 1 by a factor of 5; scaled by 8 it is 40."""
    own = [[Gradient(np.array([24.0])), Gradient(np.array([32.0]))]]
    for variant, length in (("torch", 1.0), ("clipped_scaled", 1 / 8)):
        _, ((one, other),) = PART.variant(variant).compute(own, State(8.0), SETTINGS, 1.0)
        # torch adds 1e-6 to the norm, of which no less than 5e-6 is left in the quotient
        assert abs(float(one[0]) - 0.6 * length) < 1e-6 * length
        assert abs(float(other[0]) - 0.8 * length) < 1e-6 * length


def test_every_variant_is_worked() -> None:
    bounds = {"floor_of_one", "ceiling", "unbounded", "backoff_for_each", "clipped_scaled"}
    assert {v.name for v in PART.variants} == {*SCALES, *STEPS} | bounds


@given(st.lists(st.booleans(), max_size=24), st.integers(1, 4))
def test_the_scale_in_closed_form(overflows: list[bool], interval: int) -> None:
    """One factor β an overflow, and one γ for each whole interval in each unbroken row."""
    s = Settings(F(1), F(3), F(1, 5), interval)
    state = State(F(1))
    for bad in overflows:
        state = update(state, int(bad), s)
    rows = "".join(" " if bad else "." for bad in overflows).split(" ")
    grown = sum(len(row) // interval for row in rows)
    assert state.scale == F(3) ** grown / F(5) ** sum(overflows)
    assert state.tracker == len(rows[-1]) % interval


def _wide(value: Any) -> Any:
    numerator, denominator = value.as_integer_ratio()
    return mpmath.mpf(numerator) / denominator


@given(st.lists(st.floats(-8, 8), min_size=1, max_size=4), st.floats(0.125, 8))
def test_clipping_in_200_bits_and_in_enclosures(values: list[float], c: float) -> None:
    balls = clipped([Enclosure.exact(np.array([v]), FORMATS["float64"]) for v in values], c)
    with mpmath.workprec(BITS):
        wide = [precise(v) for v in values]
        length = mpmath.sqrt(mpmath.fsum(v * v for v in wide))
        for ball, v in zip(balls, wide, strict=True):
            right = v * min(mpmath.mpf(c) / (length + mpmath.mpf(1e-6)), mpmath.mpf(1))
            assert abs(_wide(ball.mid[0]) - right) <= _wide(ball.rad[0])


def test_what_is_halved_and_doubled_is_the_same() -> None:
    """Unscaling takes back what scaling does, in any arithmetic."""
    with mpmath.workprec(BITS):
        third = precise(1) / 3
        _, ((step,),) = PART.torch.compute([[Gradient(7 * third)]], State(third), SETTINGS)
        assert same(step, precise(7))
    _, ((step,),) = PART.torch.compute([[Gradient(F(7, 3))]], State(F(1, 3)), SETTINGS)
    assert step == 7
