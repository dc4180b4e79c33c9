"""What torch does on several ranks, by hand: the question this project began with, and edges."""

from __future__ import annotations

import numpy as np
import pytest
from packaging.version import Version

from oracles.harness.arithmetic.enclosure import Enclosure
from oracles.harness.arithmetic.formats import FORMATS
from oracles.harness.deviations.flaws import active
from oracles.harness.loop.catalogue import PARTS
from oracles.harness.loop.ranks.resuming import Resumed, keeps_rates
from oracles.harness.oracle import exactly
from oracles.harness.runs.parts import sites
from oracles.harness.subjects import processes, ranks
from oracles.harness.subjects.subject import Place
from oracles.harness.training.shards import Training
from oracles.optimizers.registry import RULES
from tests.support import errands
from tests.support.recording import VERSION

pytestmark = pytest.mark.skipif(not ranks.there(), reason="no ranks: torch has no gloo here")

WRAPPERS = (
    "DistributedDataParallel",
    "fully_shard",
    "ZeroRedundancyOptimizer",
    "PostLocalSGDOptimizer",
)


def there(part: str) -> None:
    """Skip where this torch has no such part."""
    if not sites(part)[0]:
        pytest.skip(f"this {PARTS[part].torch} has no {part}")


@pytest.mark.parametrize("copies", [1, 3])
@pytest.mark.parametrize("micros", [1, 2])
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_decay_is_scaled_by_no_count(wrapper: str, micros: int, copies: int) -> None:
    """Not by rows, micro-batches or ranks: w = 4.1 and b = 1.9, as in the answer.

    Scaled by the rows of the example, or by two ranks, it would be 4.15 and 1.95; by 1/6, 4.18.
    """
    there(wrapper)
    if any(row.id == "fully_shard adds on a CPU" for row in active(wrapper, str(VERSION))):
        pytest.skip(f"fully_shard of torch {VERSION} adds, as its row in the ledger says")
    rule = RULES["SGD"]
    start, gradient = (
        Enclosure.exact(np.array(values), FORMATS["float32"])
        for values in ([1.0, 1.0], [-32.0, -10.0])
    )
    h = exactly(rule.hyper(lr=0.1, weight_decay=1.0))
    (ball, _) = rule.step(start, gradient, 1, {}, h, rule.torch)
    for held in processes.ask(2, errands.example, wrapper, micros, copies):
        assert [round(value, 6) for value in held] == [4.1, 1.9]
        assert ball.contains(held).all()


@pytest.mark.parametrize(
    ("users", "gradient"), [((0, 1), [1.5]), ((0,), [0.5]), ((1,), [1.0]), ((), None)]
)
def test_a_rank_that_does_not_use_a_parameter_counts(
    users: tuple[int, ...], gradient: list[float] | None
) -> None:
    """As one with a gradient of zero, unless nobody uses it: then nobody has a gradient."""
    assert processes.ask(2, errands.partly_used, users) == [gradient, gradient]


def test_clipping_refuses_dtensors_beside_plain_ones() -> None:
    there("DTensor")
    for said in processes.ask(2, errands.mixed):
        assert "got mixed torch.Tensor and DTensor" in said


@pytest.mark.parametrize("scheduled", [True, False])
def test_who_is_loaded_without_a_scheduler_has_none(scheduled: bool) -> None:
    """And so no initial_lr, which torch loads for nobody who lacks it since 2.3."""
    there("set_state_dict")
    rule = RULES["SGD"]
    h = rule.hyper(lr=0.5, momentum=0.5)
    training = Training(rule, (h, h, h), (((1, 1),),) * 2)
    told = keeps_rates(
        Resumed(training, 1, scheduled), Place("set_state_dict", "2 ranks", "float32", "cpu")
    )
    lacks = not scheduled and Version("2.3") <= VERSION
    assert told.failed == lacks
    assert ("(0.5, None)" in told.sentence) == lacks


@pytest.mark.parametrize("alike", [False, True])
def test_a_right_loop_around_shards_is_not_accused(alike: bool) -> None:
    """Whose ranks have other parts, and whose whole parameters are given back after each pass."""
    there("fully_shard")
    assert processes.ask(2, errands.watched_shards, alike) == [[], []]
