"""Accumulation by its text: worked by hand, as one batch, and told from its variants."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles.harness.accumulated import enclosed, whole
from oracles.harness.cases.accumulating import accumulating_loops
from oracles.loop.accumulation import PART, Micro, Move, Setting
from oracles.optimizers.sgd import RULE, Hyper

F = Fraction
Rows = Sequence[Fraction]


def micro(rows: Rows, reduction: str = "mean") -> Micro:
    """A micro-batch whose rows have these gradients, wherever the loop stands."""
    mean = sum(rows) / (F(len(rows)) if reduction == "mean" else 1)
    return Micro(lambda c: [c * mean], F(len(rows)))


def moves(
    variant: str, loop: Sequence[Sequence[Rows]], s: Setting, reduction: str = "mean"
) -> list[list[Move]]:
    """The moves of each window."""
    left, found = None, []
    for window in loop:
        steps = PART.variant(variant).compute([micro(r, reduction) for r in window], left, s)
        own = []
        while True:
            try:
                own.append(next(steps))
            except StopIteration as end:
                left = end.value
                break
        found.append(own)
    return found


def told(found: list[list[Move]]) -> list[Any]:
    """Gradients, and what else is not once."""
    return [
        [
            m.gradients[0]
            if (m.decays, m.counts) == (1, 1)
            else (m.gradients[0], m.decays, m.counts)
            for m in own
        ]
        for own in found
    ]


LOOP = [[[F(4)], [F(1), F(3), F(5)]], [[F(6)]]]
"""Two windows of two: rows 4 | 1 3 5, of mean 13/4 and sum 13; and a short one, 6."""

WORKED: dict[str, list[Any]] = {
    "torch": [[F(13, 4)], [6]],
    "undivided": [[7], [6]],
    "divided_twice": [[F(13, 8)], [3]],
    "mean_of_means": [[F(7, 2)], [6]],
    "divided_by_the_plan": [[F(7, 2)], [3]],
    "decayed_each": [[(F(13, 4), 2, 1)], [6]],
    "decay_divided": [[(F(13, 4), F(1, 2), 1)], [6]],
    "counted_each": [[(F(13, 4), 1, 2)], [6]],
    "stepped_each": [[1, F(9, 4)], [6]],
    "last_only": [[F(9, 4)], [6]],
    "carried": [[F(13, 4)], [F(37, 4)]],
    "cut_early": [[1], [F(33, 4)]],
    "rest_dropped": [[F(13, 4)], []],
    "rest_left": [[F(13, 4)], []],
    "clipped_each": [[F(13, 4)], [6]],
    "clipped_running": [[F(13, 4)], [6]],
}


@pytest.mark.parametrize("variant", WORKED)
def test_windows_worked_by_hand(variant: str) -> None:
    assert told(moves(variant, LOOP, Setting("mean", k=2))) == WORKED[variant]


def test_every_variant_is_worked() -> None:
    assert set(WORKED) == {v.name for v in PART.variants}


def _times(g: float, c: float) -> list[Any]:
    return [np.array([c * g])]


@pytest.mark.parametrize(
    ("variant", "right"), [("torch", 1.0), ("clipped_each", 0.0), ("clipped_running", -0.5)]
)
def test_clipping_worked_by_hand(variant: str, right: float) -> None:
    """3 and −1.5, a largest norm of 1: 1.5 becomes 1; 1 − 1; 1 − 1.5, whose norm is below 1."""
    window = [Micro(partial(_times, g), 1) for g in (3.0, -1.5)]
    steps = PART.variant(variant).compute(window, None, Setting("sum", k=2, clip=1.0))
    # torch adds 1e-6 to each norm, of which no less than 1: 1e-6 of each term at most
    assert abs(next(steps).gradients[0][0] - right) <= 2e-6


def test_a_rest_goes_into_the_next_window() -> None:
    again = [*LOOP, *LOOP]
    assert told(moves("rest_left", again, Setting("mean", k=2)))[2] == [6 + F(13, 4)]
    assert told(moves("rest_dropped", again, Setting("mean", k=2)))[2] == [F(13, 4)]


def test_sums_are_not_divided() -> None:
    assert told(moves("torch", LOOP, Setting("sum", k=2), "sum")) == [[13 + 0], [6]]


rows = st.lists(
    st.lists(st.fractions(-8, 8, max_denominator=8), min_size=1, max_size=4),
    min_size=1,
    max_size=4,
)


@given(rows, st.sampled_from(["mean", "sum"]))
def test_micro_batches_are_one_batch(window: list[Rows], reduction: str) -> None:
    """In rationals: the same gradient, so the same step, whatever a batch is cut into."""
    s = Setting(reduction, k=len(window))
    joined = [[g for batch in window for g in batch]]
    assert moves("torch", [window], s, reduction) == moves("torch", [joined], s, reduction)


@given(rows, st.fractions(0, 1, max_denominator=8), st.fractions(0, 2, max_denominator=8))
def test_the_decay_is_taken_once(window: list[Rows], lr: Fraction, decay: Fraction) -> None:
    """w' = w − γ(g + λw), and not λ times or divided by a number of micro-batches."""
    ((move,),) = moves("torch", [window], Setting("mean", k=len(window)))
    h = Hyper(lr=lr, weight_decay=decay * move.decays)
    w, _ = RULE.step(F(3), move.gradients[0], move.counts, {}, h, RULE.torch)
    every = [g for batch in window for g in batch]
    assert w == 3 - lr * (sum(every) / len(every) + decay * 3)


@settings(max_examples=settings().max_examples // 4)
@given(accumulating_loops(clips=(None,)))
def test_micro_batches_are_one_batch_in_enclosures(case: Any) -> None:
    """Both hold what the loop comes to without rounding, so that they overlap."""
    pieces, joined = (enclosed(c, PART.torch, "float64") for c in (case, whole(case)))
    for (_, one), (_, other) in zip(
        pieces.without_gradients().flat(), joined.without_gradients().flat(), strict=True
    ):
        assert (abs(one.mid - other.mid) <= one.rad + other.rad).all()
