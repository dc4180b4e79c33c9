"""Which timing is followed by whoever takes settings: one that is off once is not it."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from typing import Any

from oracles.harness.evidence.rates import Fit, holds
from oracles.harness.subjects.scheduled import Scheduled
from oracles.harness.subjects.subject import SubjectError
from oracles.schedules import cyclic
from oracles.schedules.customary import stable
from oracles.schedules.schedule import Schedule, Settings

BASES = (1.0, 0.1, 0.3)
ROUNDS, EPOCHS = 2, 16
"""Settings that are drawn for each timing, and rates that are asked for at most."""


def possible(subject: Scheduled, schedules: Iterable[Schedule]) -> list[Schedule]:
    """Schedules that have all settings that a subject takes."""
    taken = {*subject.takes}
    return [schedule for schedule in schedules if taken <= {*schedule.settings._fields}]  # type: ignore[attr-defined]


def asked(subject: Scheduled, schedule: Schedule) -> list[Fit]:
    """The timings of a schedule that hold all rates of a subject that takes its settings.

    Raises:
        SubjectError: it raised.
    """
    each = (_alive(subject, schedule, one) for one in assumptions(subject, schedule))
    return next(filter(None, each), [])


def assumptions(subject: Scheduled, schedule: Schedule) -> Iterator[dict[str, Any]]:
    """What settings may be that a subject does not take: the defaults, or a start at 0."""
    if schedule.name == stable.NAME and "num_training_steps" in subject.takes:
        yield {} if "num_stable_steps" in subject.takes else {"num_stable_steps": None}
        return
    yield {}
    if schedule.name == "LinearLR" and "start_factor" not in subject.takes:
        yield {"start_factor": 0.0}


def _alive(subject: Scheduled, schedule: Schedule, assumed: Mapping[str, Any]) -> list[Fit]:
    alive = list(schedule.timings)
    for drawn, base in _drawn(subject, schedule):
        settings = drawn._replace(**assumed)
        last = schedule.last(settings)
        epochs = EPOCHS if last is None else min(EPOCHS, last)
        rates = subject.rates(base, epochs, settings._asdict())
        start = base if subject.scaled else 1.0
        alive = [one for one in alive if holds(schedule, one, settings, start, rates)]
    default = {**schedule.settings()._asdict(), **assumed}
    left = {n: value for n, value in default.items() if n not in subject.takes}
    return [Fit(schedule, timing, assumed=left) for timing in alive]


def _drawn(subject: Scheduled, schedule: Schedule) -> Iterator[tuple[Settings, float]]:
    """Settings, some of them for each timing, and base rates; what is not taken is torch's."""
    default = schedule.settings()
    for timing, number in product(schedule.timings, range(ROUNDS)):
        chance = random.Random(f"{schedule.name} {timing.name} {number}")
        ends = {**schedule.draws, **timing.shows}
        values = {n: _draw(own, chance) for n, own in ends.items() if n in subject.takes}
        yield default._replace(**values), chance.choice(BASES)


def _draw(ends: Any, chance: random.Random) -> Any:
    if isinstance(ends, list):
        words = [value for value in ends if value not in (cyclic.OF_CYCLE, cyclic.OF_STEP)]
        return chance.choice(words)
    low, high = ends
    return chance.randint(low, high) if isinstance(low, int) else chance.uniform(low, high)


def declined(subject: Scheduled, schedule: Schedule) -> str:
    """Why a subject cannot be asked as a schedule is; empty if it can."""
    try:
        subject.rates(1.0, 2, schedule.settings()._asdict())
    except SubjectError as error:
        return error.sentence
    return ""
