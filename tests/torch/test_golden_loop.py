"""Golden documents of the loop: do its oracles still compute them, and does torch lie around them?

Those of schedules, which hold rates, and those of averages, clipping and the loss scaler.
"""

from __future__ import annotations

import json
import math
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from syrupy.assertion import SnapshotAssertion

from oracles.harness import golden_parts, golden_rates
from oracles.harness.arithmetic.enclosure import Enclosure
from oracles.harness.golden_parts import KINDS, Arithmetic, Kind
from oracles.harness.loop import averaging, catalogue, scaling
from oracles.harness.rates import closed, enclosed
from oracles.harness.runs.parts import known_flaw, sites
from oracles.harness.subjects import processes, ranks, schedulers
from oracles.loop.averaging import EQUAL, EXPONENTIAL
from oracles.loop.part import Part, Variant
from oracles.loop.ranks import PART as RANKS
from oracles.schedules.registry import SCHEDULES
from oracles.schedules.schedule import Schedule, Timing
from tests.support.golden_extension import GOLDEN, GoldenExtension, differences

ROOMS: dict[str, Any] = {room.FOLDER: room for room in (golden_rates, golden_parts)}

VALIDATORS = {
    folder: Draft202012Validator(json.loads((GOLDEN / folder / "schema.json").read_bytes()))
    for folder in ROOMS
}

TIMINGS = [
    pytest.param(schedule, timing, id=f"{schedule.name}-{timing.name}")
    for schedule in SCHEDULES.values()
    for timing in schedule.timings
]
VARIANTS = [
    pytest.param(kind.part, variant, id=f"{kind.part.name}-{variant.name}")
    for kind in KINDS.values()
    for variant in kind.part.variants
]
each_document = pytest.mark.parametrize(("whose", "way"), TIMINGS + VARIANTS)
each_timing = pytest.mark.parametrize(("schedule", "timing"), TIMINGS)
each_variant = pytest.mark.parametrize(("part", "variant"), VARIANTS)
each_schedule = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=list(SCHEDULES))


def room(whose: Any) -> Any:
    """The module that makes somebody's documents."""
    return golden_rates if isinstance(whose, Schedule) else golden_parts


@cache
def document(whose: Any, way: Any) -> bytes:
    return (GOLDEN / f"{room(whose).name(whose, way)}.json").read_bytes()


def vectors(whose: Any, way: Any) -> tuple[Any, ...]:
    found: tuple[Any, ...] = room(whose).read(whose, document(whose, way))
    return found


@each_document
def test_an_oracle_gives_its_document_byte_for_byte(
    whose: Any, way: Any, snapshot: SnapshotAssertion
) -> None:
    kept, own = snapshot.use_extension(GoldenExtension), room(whose)
    now = own.text(whose, way, own.questions(whose, GOLDEN))
    if kept(name=own.name(whose, way)) != now:
        pytest.fail("\n".join(kept.get_assert_diff()), pytrace=False)


@pytest.mark.parametrize("folder", ROOMS)
def test_nothing_lies_there_that_nothing_reads(folder: str) -> None:
    assert not ROOMS[folder].strays(GOLDEN)


@pytest.mark.one_in(6)
@each_document
def test_documents_ask_what_people_wrote(whose: Any, way: Any) -> None:
    valid = VALIDATORS[room(whose).FOLDER]
    assert not list(valid.iter_errors(json.loads(document(whose, way))))
    read = [vector.question for vector in vectors(whose, way)]
    assert str(read) == str([*room(whose).questions(whose, GOLDEN)]), "where nan is nan"


@each_timing
def test_some_vector_tells_a_timing(schedule: Schedule, timing: Timing) -> None:
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


def test_an_edit_of_a_part_is_told() -> None:
    part = KINDS["GradScaler"].part
    now = document(part, part.torch)
    edited = now.decode().replace('"tracker": 1', '"tracker": 2', 1).encode()
    message = "\n".join(differences(edited, now))
    assert message.startswith("golden/loop/gradscaler/torch.json")
    assert "gives.iterations[0].tracker: expected 2, got 1" in message
    with pytest.raises(ValueError, match="part='GradScaler' is not read here"):
        golden_parts.read(KINDS["get_total_norm"].part, now)


# --- Averages, clipping and the loss scaler -------------------------------------------------------


BALLS = Arithmetic(
    Enclosure.exact, lambda values: Enclosure.exact(np.asarray(values, float)), Fraction
)


def ball(leaf: Any) -> Any:
    """A number as an enclosure; None is none."""
    exact = isinstance(leaf, int | float | Fraction)
    return Enclosure.exact(float(leaf)) if exact else leaf


def balls(question: golden_parts.Question, variant: Variant) -> list[Any]:
    return [ball(leaf) for leaf in golden_parts.leaves(question.answer(variant, BALLS))]


def apart(one: Any, other: Any) -> bool:
    """Whether no number can be both."""
    if one is None or other is None or one.shape != other.shape:
        return one is not other
    return bool(np.any(abs(one.mid - other.mid) > one.rad + other.rad))


@pytest.mark.one_in(3)
@each_variant
def test_some_vector_tells_a_variant(part: Part, variant: Variant) -> None:
    """Where a document says so, enclosures are disjoint; elsewhere they are not."""
    told = json.loads(document(part, variant))["told_from_torch_by"]
    assert bool(told) == (variant is not part.torch)
    for question, _ in vectors(part, variant):
        ones, others = (balls(question, each) for each in (part.torch, variant))
        differ = len(ones) != len(others) or any(map(apart, ones, others))
        assert differ == (question.id in told), question.id


@pytest.mark.one_in(3)
@each_variant
def test_the_answers_lie_in_their_enclosure(part: Part, variant: Variant) -> None:
    for question, answer in vectors(part, variant):
        own = balls(question, variant)
        numbers = iter(flat(answer))
        for one in own:
            size = 1 if one is None else math.prod(one.shape)
            got = [next(numbers) for _ in range(size)]
            fits = got == [None] if one is None else one.contains(np.reshape(got, one.shape))
            assert np.all(fits), f"{question.id}: {question.comment}"
        assert not [*numbers], question.id


def flat(value: Any) -> list[Any]:
    """All numbers of an answer, and None where there is none."""
    if isinstance(value, dict):
        value = [*value.values()]
    return [n for item in value for n in flat(item)] if isinstance(value, list) else [value]


ASKED = {"average", "values", averaging.OWN, scaling.SCALE, scaling.STEPS}
"""Questions about nothing else than what documents hold; of a function of one's own, too."""


@pytest.mark.skipif(not ranks.there(), reason="no ranks: torch has no gloo here")
def test_ranks_lie_around_their_answers() -> None:
    """By rank, the gradient that each steps with, and where it leads."""
    for question, _ in vectors(RANKS, RANKS.torch):
        case = question.case
        told = processes.ask(
            len(case.rows), ranks.given, case.start, case.gradients, case.lr, case.weight_decay
        )
        got = [values for each in zip(*told, strict=True) for values in each]
        for ball, values in zip(balls(question, RANKS.torch), got, strict=True):
            assert ball.contains(values).all(), f"{question.id}: {question.comment}"


ALONE = [kind for kind in KINDS.values() if kind.part is not RANKS]


@pytest.mark.parametrize("kind", ALONE, ids=[kind.part.name for kind in ALONE])
def test_torch_lies_around_its_answers(kind: Kind) -> None:
    """Each of its names, on every path and in every dtype, but where the ledger knows better."""
    alike = next((one for one in (EQUAL, EXPONENTIAL) if kind.part.name in one), [kind.part.name])
    seen = 0
    for name in alike:
        there, _ = sites(name)
        for question in catalogue.questions(name):
            places = {*question.places()} if question.name in ASKED else set()
            for vector in vectors(kind.part, kind.part.torch):
                case = vector.question.case
                for site in there:
                    if site.place in places and not known_flaw(question, case, site):
                        verdict = question.ask(case, site.place)
                        assert not verdict.failed, verdict.sentence
                        seen += 1
    if not seen:
        pytest.skip(f"this torch has no {kind.part.name} that can be asked")
