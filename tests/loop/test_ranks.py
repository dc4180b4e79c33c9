"""Training on several ranks, worked by hand and in rationals: which one process is it?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracles.drawing import Hyper
from oracles.harness.arithmetic.enclosure import Enclosure
from oracles.harness.loop.ranks.asked import trainings
from oracles.harness.training import shards as cases
from oracles.harness.training.loop import PLAIN, Numbers
from oracles.harness.training.ranks import enclosed, off, share, trajectory
from oracles.harness.training.shards import Training
from oracles.loop.ranks import SHARING, STEPPED, TORCH, Sharing, accumulated, mean

SGD = STEPPED[0]
NAMED = {sharing.name: sharing for sharing in SHARING}

exact = np.vectorize(Fraction, otypes=[object])


@dataclass(frozen=True)
class Rationals(Numbers):
    """Numbers without roundings, for rules without roots."""

    def array(self, values: Any) -> Any:
        return exact(values)

    def hyper(self, h: Hyper) -> Hyper:
        return type(h)(*(v if isinstance(v, bool) else Fraction(v) for v in h))

    def count(self, t: int) -> Any:
        return t


def ends(training: Training, number: int, sharing: Sharing = TORCH) -> list[Any]:
    """Where each rank stands at the end, in rationals, elements end to end."""
    held = trajectory(training, number, sharing, Rationals())
    return [np.concatenate(points[-1]).tolist() for points in held]


def alone(training: Training, number: int) -> Training:
    """The rows of so many ranks in one process."""
    shards = tuple(
        tuple((sum(counts[:number]), 0, 0, 0) for counts in step) for step in training.shards
    )
    return replace(training, shards=shards)


def of_sgd(**fixed: Any) -> st.SearchStrategy[Training]:
    drawn = trainings(groups=st.tuples(cases.hypers(SGD)), **fixed)
    return drawn.map(lambda training: replace(training, rule=SGD))


WORLDS = st.integers(2, 4)
MEANS, SUMS = {"reduction": st.just("mean")}, {"reduction": st.just("sum")}
EQUAL = {
    "shards": cases.shards().map(
        lambda steps: tuple(tuple(micro[:1] * cases.MOST for micro in step) for step in steps)
    )
}


@given(of_sgd(**MEANS, **EQUAL), WORLDS)
def test_mean_losses_of_equal_shards_are_one_process(training: Training, number: int) -> None:
    assert ends(training, number) == ends(alone(training, number), 1) * number


@given(of_sgd(**SUMS), WORLDS)
def test_sum_losses_are_a_share_of_one_process(training: Training, number: int) -> None:
    """Its gradient is R times theirs."""
    summed = ends(training, number, NAMED["sum_over_ranks"])
    assert summed == ends(alone(training, number), 1) * number


@pytest.mark.slow
@given(of_sgd(**MEANS, shards=cases.shards(micros=(1, 1))), WORLDS)
def test_unequal_shards_are_one_process_where_rows_weigh_the_same(
    training: Training, number: int
) -> None:
    weighted = ends(training, number, NAMED["weighted_by_rows"])
    assert weighted == ends(alone(training, number), 1) * number


@pytest.mark.slow
@given(of_sgd())
def test_parameters_may_be_averaged_where_a_rule_is_linear(training: Training) -> None:
    assert ends(training, 3) == ends(training, 3, NAMED["parameters_averaged"])


@pytest.mark.slow
@given(of_sgd(shards=cases.shards(micros=(1, 1))))
def test_one_micro_batch_is_shared_whole(training: Training) -> None:
    for name in ("last_micro_batch_shared", "divided_by_micro_batches", "decay_each_micro_batch"):
        assert ends(training, 2) == ends(training, 2, NAMED[name])


@pytest.mark.slow
@given(trainings(), st.sampled_from(SHARING))
def test_plain_numbers_are_enclosed(training: Training, sharing: Sharing) -> None:
    balls = trajectory(training, 2, sharing, enclosed("float64"))
    plain = trajectory(training, 2, sharing, PLAIN)
    told = [[[values.tolist() for values in point] for point in points] for points in plain]
    assert not off(balls, told)
    assert share(balls, told) <= 1


# The example that this project began with: w = b = 1, x = 2 and 4, y = 7 and 11, the mean of
# squared errors, γ = 1/10, λ = 1. With a row on each of two ranks, g_r = 2 (w x + b − y) (x, 1).
EXAMPLE = [[Fraction(-16), Fraction(-8)]], [[Fraction(-48), Fraction(-12)]]
SEEN = {
    "mean_over_ranks": ("4.1", "1.9"),
    "sum_over_ranks": ("7.3", "2.9"),
    "divided_twice": ("2.5", "1.4"),
    "divided_by_micro_batches": ("4.1", "1.9"),  # of one each
    "weighted_by_rows": ("4.1", "1.9"),  # where ranks have as many
    "last_micro_batch_shared": ("4.1", "1.9"),
    "not_shared": ("2.5", "1.7"),  # on rank 0
    "of_rank_0": ("2.5", "1.7"),
    "parameters_averaged": ("4.1", "1.9"),
    "decay_over_rows": ("4.15", "1.95"),
    "decay_summed": ("4", "1.8"),
    "decay_each_micro_batch": ("4.1", "1.9"),
    "lr_scaled": ("7.2", "2.8"),
}


@pytest.mark.parametrize("sharing", SHARING, ids=lambda sharing: sharing.name)
def test_the_example_on_two_ranks(sharing: Sharing) -> None:
    h = SGD.hyper(lr=Fraction(1, 10), weight_decay=Fraction(1))
    h = sharing.hyper(h, [1, 1], 1)
    micro = [[np.array(g, dtype=object) for g in own] for own in EXAMPLE]
    one = exact([1, 1])
    stepped = [SGD.step(one, g, 1, {}, h, SGD.torch)[0] for g in sharing.compute(micro, [1, 1], 1)]
    assert sharing.after(stepped, 1)[0].tolist() == [Fraction(n) for n in SEEN[sharing.name]]


@given(st.lists(st.floats(-8, 8), min_size=2, max_size=4))
def test_a_mean_is_a_quotient_or_a_product(values: list[float]) -> None:
    """With 1/R, which is rounded where R is 3; and the sum may be taken in any order."""
    ball = mean([Enclosure.exact(np.array([value])) for value in values])
    for order in permutations(values):
        total = sum(order[1:], order[0])
        assert ball.contains([total / len(values), total * (1 / len(values))]).all()


def test_gradients_are_added_up_before_they_are_shared() -> None:
    micro = [[np.array([1.0]), np.array([2.0])], [np.array([5.0]), np.array([8.0])]]
    assert [float(g) for (g,) in accumulated(micro)] == [3.0, 13.0]
    assert mean(accumulated(micro)).tolist() == [8.0]
