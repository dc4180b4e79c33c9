"""Do the cases of schedules show what they are for?"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from oracles.harness.cases.plateaus import telling
from oracles.harness.loop import composing, plateaus, resuming, scheduling
from oracles.harness.subjects import schedulers
from oracles.harness.subjects.subject import Place
from oracles.schedules.registry import PARTS, SCHEDULES

Ways = list[tuple[str, st.SearchStrategy[Any], Callable[[Any, Place], float]]]

TIMINGS: Ways = [
    (
        f"{schedule.name}-{timing.name}",
        scheduling.candidates(schedule, timing),
        partial(scheduling.separation, timing),
    )
    for schedule in SCHEDULES.values()
    for timing in schedule.timings[1:]
]
COMPOSED: Ways = [
    (
        f"{name}-{variant.name}",
        composing.candidates(variant),
        partial(composing.separation, variant),
    )
    for name in ("SequentialLR", "ChainedScheduler")
    for variant in PARTS[name].variants[1:]
]
MACHINES: Ways = [
    (variant.name, telling(variant), partial(plateaus.separation, variant))
    for variant in PARTS["ReduceLROnPlateau"].variants[1:]
]

PLACE = Place("everybody", "plain", "float64", "cpu")

DRAWN, MOST = 10, 0.4
"""Cases that are drawn of each, and the share of them that may show nothing: Hypothesis gives up
where 50 are thrown away before 10 are found, which at this share it never does."""


@pytest.mark.one_in(6)
@pytest.mark.parametrize("way", [*TIMINGS, *COMPOSED, *MACHINES], ids=lambda way: way[0])
def test_another_way_shows_in_nearly_all_cases(way: Any) -> None:
    """So that the questions that reject it throw few away."""
    _, cases, separation = way
    shown = []

    @settings(
        max_examples=DRAWN,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(cases)
    def draw(case: Any) -> None:
        shown.append(separation(case, PLACE) > 1)

    draw()
    assert shown.count(False) <= MOST * len(shown)


@pytest.mark.parametrize("part", ["StepLR", "MultiStepLR", "ConstantLR"])
def test_a_milestone_that_is_taken_twice_is_not_in_all_checkpoints(part: str) -> None:
    """Of which the ledger leaves out whatever has one: some of these schedules have it early."""
    (question,) = (one for one in scheduling.questions(part) if one.name == resuming.RESUME)
    place = next(place for place in question.places() if place.path == schedulers.BY_CONSTRUCTOR)
    asked = []

    @settings(max_examples=DRAWN, derandomize=True, database=None, phases=[Phase.generate])
    @given(question.cases())
    def draw(case: Any) -> None:
        asked.append(not question.regions["taken twice"](case, place))

    draw()
    assert any(asked)
