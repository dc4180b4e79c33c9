"""A training loop as a text: gradients where it stands, in exact arithmetic and in enclosures."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest

from oracles.harness.arithmetic.enclosure import holds
from oracles.harness.arithmetic.formats import FloatArray
from oracles.harness.candidates import Candidate
from oracles.harness.oracle import Margin
from oracles.harness.training.batches import FULL, Batches
from oracles.harness.training.data import Data
from oracles.harness.training.loop import PLAIN, SCALES, Loop, Numbers, Point
from oracles.harness.training.losses import LOSSES, Loss
from oracles.optimizers.sgd import RULE, Hyper

H = Hyper(lr=0.25, weight_decay=0.5, momentum=0.5)

DATA = Data(5)

START = [np.array([0.5, -0.25, 0.75]), np.array([0.25])]


def sigmoid(z: Any) -> Any:
    return 1 / (1 + mpmath.exp(-z))


def by_hand(loss: Loss, batches: Batches, number: Any, epochs: int = 2) -> list[list[Any]]:
    """SGD with momentum and decay, row by row, in arithmetic that does not round (or in 200 bits).

    Decay and momentum hold for the bias as well.
    """
    rows = [[*map(number, row), number(1)] for row in DATA.x.tolist()]
    labels = [number(y) for y in DATA.classes.tolist()]
    point = [number(v) for part in START for v in part.tolist()]
    lr, decay, momentum = (number(v) for v in (0.25, 0.5, 0.5))
    speed, ends, first = [number(0)] * 4, [], True
    for epoch in batches.plan(DATA.m, 2, epochs):
        for start, stop in epoch:
            slope = [number(0)] * 4
            for row, y in zip(rows[start:stop], labels[start:stop], strict=True):
                z = sum(p * x for p, x in zip(point, row, strict=True))
                s = (z if loss.model == "linear" else sigmoid(z)) - y
                slope = [a + s * x for a, x in zip(slope, row, strict=True)]
            n = {"mean": stop - start, "sum": 1, "share": DATA.m}[loss.reduction]
            g = [loss.factor * a / number(n) + decay * p for a, p in zip(slope, point, strict=True)]
            speed = g if first else [momentum * v + a for v, a in zip(speed, g, strict=True)]
            point, first = [p - lr * v for p, v in zip(point, speed, strict=True)], False
        ends.append(point)
    return ends


def run(loss: Loss, batches: Batches, numbers: Numbers) -> list[Point]:
    loop = Loop(loss, Candidate(RULE), batches)
    return list(loop.run(DATA, batches.plan(DATA.m, 2, 2), H, START, numbers))


def joined(point: Point, end: str) -> FloatArray:
    return np.concatenate([np.asarray(getattr(part, end)) for part in point])


ways = pytest.mark.parametrize("kind", ["full", "short", "dropped", "single"])

reductions = pytest.mark.parametrize("reduction", ["mean", "sum", "share"])

margins = pytest.mark.parametrize("margin", [Margin(), Margin(16)], ids=["torch's", "wide"])


def held(expected: list[list[Any]], points: list[Point]) -> list[bool]:
    """By epoch, whether enclosures hold the float64 numbers next to what is expected."""
    return [
        bool(holds(joined(p, "mid"), joined(p, "rad"), np.array([float(v) for v in e])).all())
        for e, p in zip(expected, points, strict=True)
    ]


@ways
@reductions
@pytest.mark.parametrize("factor", [1, 2])
def test_linear_loops_in_rationals(kind: str, reduction: str, factor: int) -> None:
    """The enclosures hold what exact arithmetic gives, and not what another loss does."""
    loss, batches = Loss("linear", factor, reduction), Batches(kind)
    points = run(loss, batches, Numbers.enclosed("float64", Margin()))
    other = Loss("linear", 3 - factor, reduction)
    assert held(by_hand(loss, batches, Fraction), points) == [True, True]
    assert held(by_hand(other, batches, Fraction), points) == [False, False]


@ways
@margins
def test_logistic_loops_in_many_bits(kind: str, margin: Margin) -> None:
    loss, batches = Loss("logistic", 1, "mean"), Batches(kind)
    points = run(loss, batches, Numbers.enclosed("float64", margin))
    with mpmath.workprec(200):
        assert held(by_hand(loss, batches, mpmath.mpf), points) == [True, True]
        other = by_hand(Loss("logistic", 1, "sum"), batches, mpmath.mpf)
    assert held(other, points) == [False, False]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("model", ["linear", "logistic"])
def test_loops_in_any_order_are_held(model: str, dtype: str) -> None:
    """Sums of shuffled rows, rounded to the dtype at each step, are inside a margin."""
    rng, kind = np.random.Generator(np.random.PCG64(0)), np.dtype(dtype).type
    numbers = Numbers.enclosed(dtype, Margin(16, scalars="float32"))
    (point,) = Loop(Loss(model, 1, "mean"), Candidate(RULE)).run(
        DATA, Batches().plan(DATA.m, 5, 1), H, START, numbers
    )
    for _ in range(20):
        order = rng.permutation(DATA.m)
        x, y = DATA.x[order].astype(kind), DATA.classes[order].astype(kind)
        w, b = (part.astype(kind) for part in START)
        z = x @ w + b
        s = (z if model == "linear" else kind(0.5) * (kind(1) + np.tanh(z / kind(2)))) - y
        moved = [
            p - kind(0.25) * (sum(list(t)) / kind(5) + kind(0.5) * p)
            for p, t in ((w, s[:, None] * x), (b, s[:, None]))
        ]
        values = np.concatenate(moved).astype(np.float64)
        assert holds(joined(point, "mid"), joined(point, "rad"), values).all()


def test_the_gradient_is_taken_where_the_loop_stands() -> None:
    """One feature: w = 1/2, then z = 1/2 and 1 with labels 0 and 1; no decay, no momentum."""
    loop = Loop(Loss("linear", 2, "mean"), Candidate(RULE))
    h, start = Hyper(lr=0.25), [np.array([0.0])]
    first, second = loop.run(Data(2), Batches().plan(2, 2, 2), h, start, PLAIN)
    assert first[0].tolist() == [0.5]  # −2 (−1 · 2)/2 = 2, times γ
    assert second[0].tolist() == [0.375]  # −(1/2 · 1 + 0 · 2), times γ
    assert start[0].tolist() == [0.0]


def test_both_parameters_are_asked_at_the_same_point() -> None:
    """The bias' gradient does not see where the weight has gone in the same step."""
    loop = Loop(Loss("linear", 1, "sum"), Candidate(RULE))
    start = [np.array([1.0]), np.array([0.0])]
    (point,) = loop.run(Data(2), Batches().plan(2, 2, 1), Hyper(lr=0.5), start, PLAIN)
    assert [part.tolist() for part in point] == [[-0.5], [-1.0]]  # s = 1, 1


def test_the_bias_may_stay_undecayed() -> None:
    loop = Loop(Loss("linear", 1, "sum"), Candidate(RULE), bias_decayed=False)
    start, h = [np.array([0.0]), np.array([1.0])], Hyper(lr=0.5, weight_decay=1.0)
    (point,) = loop.run(Data(2), Batches().plan(2, 2, 1), h, start, PLAIN)
    assert [part.tolist() for part in point] == [[-0.5], [0.5]]  # s = 1, 0


def test_labels_are_those_that_code_is_given() -> None:
    """−1 and 1 to a line; a curve between 0 and 1 has classes."""
    start = [np.array([0.0])]
    for model, w in (("linear", 0.5), ("logistic", 0.25)):  # s = 1, −1, or ½ and −½
        loop = Loop(Loss(model, 1, "sum"), Candidate(RULE))
        (point,) = loop.run(Data(2, low=-1), Batches().plan(2, 2, 1), Hyper(lr=0.5), start, PLAIN)
        assert point[0].tolist() == [w]


def test_data_are_shared_and_stay_what_they_are() -> None:
    for values in (Data(5).x, Data(5).classes):
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 1


SCALED = {"": 1.0, "·m": 4.0, "/m": 0.25, "·2": 2.0, "/2": 0.5}
"""What 1 becomes, of four rows in a batch of eight."""


@pytest.mark.parametrize("scale", SCALES)
def test_what_numbers_are_multiplied_by(scale: str) -> None:
    plain, h = Loop(Loss("linear", 1, "mean"), Candidate(RULE)), Hyper(lr=1.0, weight_decay=1.0)
    rate, decay = replace(plain, lr=scale), replace(plain, weight_decay=scale)
    assert rate.hyper(h, n=4, m=8) == Hyper(lr=SCALED[scale], weight_decay=1.0, batch_size=4)
    assert decay.hyper(h, n=4, m=8) == Hyper(lr=1.0, weight_decay=SCALED[scale], batch_size=4)
    for loop in (rate, decay):
        assert loop.torchs == (not scale)
        rows = replace(loop, counted="all")
        assert rows.hyper(h, n=4, m=8) == loop.hyper(h, n=8, m=8)


@pytest.mark.parametrize(
    ("loop", "counts"),
    [
        ({}, ["batch"]),
        ({"lr": "/2"}, ["batch"]),
        ({"lr": "/m"}, ["batch", "all"]),
        ({"weight_decay": "·m"}, ["batch", "all"]),
        ({"candidate": Candidate(RULE, (RULE.convention("batch_scaled"),))}, ["batch", "all"]),
        ({"lr": "/m", "batches": FULL}, ["batch"]),
    ],
)
def test_rows_are_counted_in_two_ways_where_that_matters(
    loop: dict[str, Any], counts: list[str]
) -> None:
    plain = Loop(Loss("linear", 1, "mean"), Candidate(RULE), Batches("short"))
    assert [one.counted for one in replace(plain, **loop).counts()] == counts


def test_the_simplest_loss_is_read_first() -> None:
    """A mean before a sum, and what is not divided by two before what is."""
    assert list(map(str, LOSSES[:4])) == [
        "the mean logistic loss",
        "the mean squared error",
        "half the mean squared error",
        "the sum of logistic losses",
    ]


@pytest.mark.parametrize(
    ("batches", "expected"),
    [
        (Batches(), (((0, 8),), ((0, 8),))),
        (Batches("short"), (((0, 3), (3, 6), (6, 8)),) * 2),
        (Batches("dropped"), (((0, 3), (3, 6)),) * 2),
        (Batches("single"), (((0, 3),), ((3, 6),))),
        (Batches("short", 64), (((0, 8),),) * 2),
        (Batches("single", 64), (((0, 8),),) * 2),
        (Batches("dropped", 64), ((),) * 2),
    ],
)
def test_plans(batches: Batches, expected: Any) -> None:
    assert batches.plan(m=8, told=3, epochs=2) == expected
