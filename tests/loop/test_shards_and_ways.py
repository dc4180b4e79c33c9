"""Clipping of shards, ranks that are out and ranks on their own: each way worked by hand."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from oracles.harness.arithmetic.enclosure import Enclosure
from oracles.harness.arithmetic.formats import FORMATS
from oracles.loop import compressed, local_steps, sharded, uneven
from oracles.loop.local_steps import sharing
from oracles.loop.ranks import Sharing
from oracles.loop.sharded import Clipping, shards, whole_norm
from oracles.numerics import norm

EPS = 1e-6
"""What torch adds to a norm that it divides by."""

# On two ranks, the first has (3, 0) and (4), the other one (12) and nothing: norms of 5 and 12,
# of 13 together; of the parameters they are √153 and 4. A shard of 5 is let by where C = 10.
GRADIENTS = np.array([3.0, 0.0, 12.0]), np.array([4.0])
SCALES: dict[str, tuple[Any, Any]] = {
    "norm_of_all_shards": (10 / (13 + EPS),) * 2,
    "norm_of_own_shard": (np.array([1.0, 1.0, 10 / (12 + EPS)]), 1.0),
    "counted_on_each_rank": (10 / (13 * np.sqrt(2) + EPS),) * 2,
    "norm_of_each_parameter": (10 / (np.sqrt(153) + EPS), 1.0),
    "clipped_before_the_mean": (10 / (13 + EPS),) * 2,  # if that is what a rank has accumulated
}


def enclosed() -> list[Enclosure]:
    return [Enclosure.exact(g, FORMATS["float64"]) for g in GRADIENTS]


@pytest.mark.parametrize("clipping", sharded.CLIPPING, ids=lambda clipping: clipping.name)
def test_shards_are_clipped(clipping: Clipping) -> None:
    """In float64 and in enclosures that hold it."""
    expected = [g * s for g, s in zip(GRADIENTS, SCALES[clipping.name], strict=True)]
    balls = enclosed()
    for ball, plain, wanted in zip(
        clipping.compute(balls, 10.0, 2),
        clipping.compute(GRADIENTS, 10.0, 2),
        expected,
        strict=True,
    ):
        assert ball.contains(plain).all()
        assert ball.contains(wanted).all()
        assert (ball.rad <= 24 * 2.0**-53 * ball.mid).all(), "as many roundings as there may be"


def test_a_short_gradient_is_let_by() -> None:
    for clipping in sharded.CLIPPING:
        for g, left in zip(GRADIENTS, clipping.compute(GRADIENTS, 100.0, 2), strict=True):
            assert g.tolist() == left.tolist()


@pytest.mark.parametrize(
    ("size", "ranks", "dealt"),
    [(3, 2, [2, 1]), (1, 3, [1, 0, 0]), (5, 4, [2, 2, 1, 0]), (4, 4, [1, 1, 1, 1])],
)
def test_shards_are_dealt_as_torch_chunks(size: int, ranks: int, dealt: list[int]) -> None:
    held = shards(np.ones(size), ranks)
    assert [int(own.sum()) for own in held] == dealt
    assert np.sum(held, axis=0).tolist() == [1.0] * size


def test_a_norm_is_of_all_shards() -> None:
    for ranks in (1, 2, 3):
        assert (
            whole_norm(enclosed(), ranks)
            .contains([13.0, float(whole_norm(GRADIENTS, ranks))])
            .all()
        )


def test_norms_of_shards_are_rounded_once_more() -> None:
    direct = norm(np.stack([norm(g) for g in enclosed()]))
    assert whole_norm(enclosed(), 2).rad >= direct.rad + 2.0**-53 * 13


# Gradients of 3 and 6, on three ranks at the start.
OUT = {
    "zeros_of_who_is_out": (3, Fraction(9, 2)),
    "active_ranks": (Fraction(9, 2),) * 2,
    "initial_ranks": (3, 3),
    "summed_at_the_end": (9, 9),
    "ends_with_the_first": (None, None),
}


@pytest.mark.parametrize("way", uneven.PART.variants, ids=lambda way: way.name)
def test_a_rank_is_out(way: Any) -> None:
    left = [np.array([Fraction(3)]), np.array([Fraction(6)])]
    for initial, expected in zip((True, False), OUT[way.name], strict=True):
        got = way.compute(left, 3, initial)
        assert (got is None and expected is None) or got.tolist() == [expected]


@pytest.mark.parametrize("way", uneven.PART.variants, ids=lambda way: way.name)
def test_nobody_is_out(way: Any) -> None:
    for initial in (True, False):
        got = way.compute([np.array([Fraction(n)]) for n in (3, 6, 9)], 3, initial)
        assert got.tolist() == [6]


# After a warm-up of 2 steps, every 3.
MET = {
    "meets_first": [3, 6, 9],
    "meets_last": [5, 8],
    "warmup_ignored": [1, 4, 7],
    "always": [3, 4, 5, 6, 7, 8, 9],
    "never": [],
    "parameters_summed": [3, 6, 9],
}


@pytest.mark.parametrize("way", local_steps.PART.variants, ids=lambda way: way.name)
def test_when_ranks_meet(way: Any) -> None:
    own = [np.array([1.0]), np.array([4.0])]
    met = {t for t in range(1, 10) if way.compute(own, t, 2, 3) is not own}
    assert sorted(met) == MET[way.name]
    together = [5.0] if way.name == "parameters_summed" else [2.5]
    for t in met:
        assert [held.tolist() for held in way.compute(own, t, 2, 3)] == [together] * 2


def test_gradients_are_shared_while_warming_up() -> None:
    shared = sharing(local_steps.PART.torch, 2, 3)
    micro = [[np.array([1.0]), np.array([1.0])], [np.array([4.0]), np.array([0.0])]]
    given = [[g.tolist() for g in shared.compute(micro, [1, 1], t)] for t in (2, 3)]
    assert given == [[[3.0], [3.0]], [[2.0], [4.0]]]


@pytest.mark.parametrize(
    ("part", "bits"), [(compressed.PARTS[0], 11), (compressed.PARTS[1], 8)], ids=["fp16", "bf16"]
)
def test_gradients_are_rounded_on_the_wire(part: Any, bits: int) -> None:
    """Of 1 + u each, which is half way between two numbers of the format: to 1 or 1 + 2u."""
    unit = 2.0**-bits
    own = [[Enclosure.exact(np.array([1 + unit]), FORMATS["float32"])] for _ in range(2)]
    ways: dict[str, Sharing] = {way.name: way for way in part.variants}
    ball = ways["mean_over_ranks"].compute(own, [1, 1], 1)[0]
    assert ball.format is FORMATS["float32"]
    assert ball.contains([1.0]).all()
    assert ball.contains([1 + 2 * unit]).all()
    assert not ball.contains([1 + 6 * unit]).any()
    for name, value in (("sum_over_ranks", 2.0), ("divided_twice", 0.5)):
        assert ways[name].compute(own, [1, 1], 1)[0].contains([value]).all()
