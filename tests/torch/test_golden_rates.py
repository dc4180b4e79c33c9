"""Golden rates: do the oracles of schedules still compute them, and does torch lie around them?"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from syrupy.assertion import SnapshotAssertion

from oracles.harness import golden_rates
from oracles.harness.arithmetic.enclosure import Enclosure
from oracles.harness.golden_rates import Vector
from oracles.harness.rates import closed, enclosed
from oracles.harness.subjects import schedulers
from oracles.schedules.registry import SCHEDULES
from oracles.schedules.schedule import Schedule, Timing
from tests.support.golden_extension import GOLDEN, GoldenExtension, differences

VALIDATOR = Draft202012Validator(
    json.loads((GOLDEN / golden_rates.FOLDER / "schema.json").read_bytes())
)

each_timing = pytest.mark.parametrize(
    ("schedule", "timing"),
    [
        pytest.param(schedule, timing, id=f"{schedule.name}-{timing.name}")
        for schedule in SCHEDULES.values()
        for timing in schedule.timings
    ],
)
each_schedule = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=list(SCHEDULES))


@cache
def document(schedule: Schedule, timing: Timing) -> bytes:
    return (GOLDEN / f"{golden_rates.name(schedule, timing)}.json").read_bytes()


def vectors(schedule: Schedule, timing: Timing) -> tuple[Vector, ...]:
    return golden_rates.read(schedule, document(schedule, timing))


@each_timing
def test_a_timing_gives_its_document_byte_for_byte(
    schedule: Schedule, timing: Timing, snapshot: SnapshotAssertion
) -> None:
    kept = snapshot.use_extension(GoldenExtension)
    now = golden_rates.text(schedule, timing, golden_rates.questions(schedule, GOLDEN))
    if kept(name=golden_rates.name(schedule, timing)) != now:
        pytest.fail("\n".join(kept.get_assert_diff()), pytrace=False)


def test_nothing_lies_there_that_nothing_reads() -> None:
    assert not golden_rates.strays(GOLDEN)


@each_timing
def test_documents_ask_what_people_wrote(schedule: Schedule, timing: Timing) -> None:
    assert not list(VALIDATOR.iter_errors(json.loads(document(schedule, timing))))
    read = [vector.question for vector in vectors(schedule, timing)]
    assert read == [*golden_rates.questions(schedule, GOLDEN)]


@each_timing
def test_a_timing_is_told_from_torchs_by_some_vector(schedule: Schedule, timing: Timing) -> None:
    """Where a document says so, enclosures are disjoint; elsewhere they are not."""
    told = json.loads(document(schedule, timing))["told_from_torch_by"]
    assert bool(told) == (timing is not schedule.torch)
    for vector in vectors(schedule, timing):
        plan, base, last = vector.question.plan, vector.question.base, vector.question.epochs
        ones, others = (closed(plan, each, base, last) for each in (schedule.torch, timing))
        apart = any(abs(a.mid - b.mid) > a.rad + b.rad for a, b in zip(ones, others, strict=True))
        assert apart == (vector.question.id in told), vector.question.id


@each_timing
def test_the_numbers_lie_in_their_enclosure(schedule: Schedule, timing: Timing) -> None:
    for vector in vectors(schedule, timing):
        question = vector.question
        balls = closed(question.plan, timing, question.base, question.epochs)
        outside = [t for t, ball in enumerate(balls) if not ball.contains(vector.rates[t])]
        assert not outside, f"{question.id}: {question.comment}"


@each_schedule
def test_torch_lies_around_its_rates(schedule: Schedule) -> None:
    """Stepped, and sent to an epoch; and so does the momentum."""
    if not schedulers.there(schedule.name):
        pytest.skip(f"this torch has no {schedule.name}")
    for vector in vectors(schedule, schedule.torch):
        question = vector.question
        balls = enclosed(question.plan, question.base, question.epochs)
        run = schedulers.following(question.plan, [question.base])
        for t, ball in enumerate(balls):
            seen = run.seen()
            told = f"{question.id} at {t}: {question.comment}"
            assert ball.contains(seen.rates[0]), told
            assert ball.contains(vector.rates[t]), told
            if vector.momenta:
                assert momentum(question.plan, t).contains(seen.momenta[0][0]), told
                assert momentum(question.plan, t).contains(vector.momenta[t]), told
            if t < question.epochs:
                run.step()


def momentum(plan: Any, t: int) -> Enclosure:
    ball: Enclosure = plan.schedule.momentum(
        t, Enclosure.exact(1.0), plan.lifted(Enclosure.exact).settings
    )
    return ball


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "(0.0001",
            "(0.0002",
            ["vector 'thirds'", "A tenth every third epoch", "expected 0x", "(0.0002"],
        ),
        ('"id": "thirds"', '"id": "third"', ["'third' is no question", "'thirds' is missing"]),
        ("⌊t/k⌋", "⌊t/l⌋", ["equation: expected"]),
        ("  ", "   ", ["another text, first in line 2"]),
    ],
)
def test_any_edit_is_told(old: str, new: str, told: list[str]) -> None:
    schedule = SCHEDULES["StepLR"]
    now = golden_rates.text(schedule, schedule.torch, golden_rates.questions(schedule, GOLDEN))
    edited = now.decode().replace(old, new, 1).encode()
    assert edited != now
    message = "\n".join(differences(edited, now))
    assert message.startswith("golden/schedules/steplr/staircase.json")
    assert not [words for words in told if words not in message], message


def test_a_document_of_another_schedule_is_refused() -> None:
    step, linear = SCHEDULES["StepLR"], SCHEDULES["LinearLR"]
    with pytest.raises(ValueError, match="schedule='StepLR' is not read here; allowed: 'LinearLR'"):
        golden_rates.read(linear, document(step, step.torch))
