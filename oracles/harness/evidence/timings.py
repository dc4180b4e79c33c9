"""Which timing is followed by whoever takes settings: one that is off once is not it."""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Iterable, Iterator, Mapping
from copy import copy
from itertools import product
from typing import Any

from oracles.harness.evidence.guess import Rates
from oracles.harness.evidence.guesses import from_any, guesses
from oracles.harness.evidence.rates import ScheduleFit, holds
from oracles.harness.subjects.scheduled import FARTHER, LIKE, SHORTEST, Scheduled
from oracles.harness.subjects.subject import SubjectError
from oracles.schedules import cyclic
from oracles.schedules.customary import stable
from oracles.schedules.schedule import Schedule, Settings, Timing

BASES = (1.0, 0.1, 0.3)
ENDS = (1e-4, 10.0)
"""Base rates that are drawn, and those at which only those are asked who held."""

ROUNDS, EPOCHS = 2, 16
"""Settings that are drawn for each timing, and rates that are asked for at most."""


Asked = tuple[Scheduled, Schedule]
"""A subject, and the schedule by whose names it takes its settings."""


def possible(subject: Scheduled, schedules: Iterable[Schedule]) -> list[Asked]:
    """Schedules that have all settings that a subject takes."""
    taken = {*subject.takes}
    return [(subject, one) for one in schedules if taken <= {*one.settings._fields}]  # type: ignore[attr-defined]


def meant(subject: Scheduled, schedules: Iterable[Schedule]) -> list[Asked]:
    """Schedules that have settings which all those may be that a subject takes."""
    found = []
    for schedule in schedules:
        fields = schedule.settings._fields  # type: ignore[attr-defined]
        takes = {_setting(name, fields): own for name, own in subject.takes.items()}
        if "" not in takes and takes != subject.takes and len(takes) == len(subject.takes):
            other = copy(subject)
            other.takes = takes
            found.append((other, schedule))
    return found


def _setting(name: str, fields: Collection[str]) -> str:
    """Which setting a name may stand for; empty if for none."""
    alike = next((names for names in LIKE if name in names), ())
    return next((one for one in (name, *alike) if one in fields), "")


Held = tuple[Mapping[str, Any], float | None]
"""What settings are that a subject does not take, and its base rate if that is written in it."""


def asked(subject: Scheduled, schedule: Schedule, *, written: bool) -> list[ScheduleFit]:
    """The timings of a schedule that hold all rates of a subject that takes its settings.

    Args:
        subject: who is asked.
        schedule: by whose names it takes them.
        written: whether the others are numbers in it; or else what one may assume.

    Raises:
        SubjectError: it raised.
    """
    held = _written(subject, schedule) if written else _assumed(subject, schedule)
    each = (_alive(subject, schedule, *one, written=written) for one in held)
    return next(filter(None, each), [])


def _assumed(subject: Scheduled, schedule: Schedule) -> Iterator[Held]:
    """What settings may be that a subject does not take: the defaults, or a start at 0."""
    base = None if subject.scaled else 1.0
    if schedule.name == stable.NAME and "num_training_steps" in subject.takes:
        yield {} if "num_stable_steps" in subject.takes else {"num_stable_steps": None}, base
        return
    yield {}, base
    if schedule.name == "LinearLR" and "start_factor" not in subject.takes:
        yield {"start_factor": 0.0}, base


def _written(subject: Scheduled, schedule: Schedule) -> Iterator[Held]:
    """The same where numbers are written in it: those that some of its rates are made of.

    These may count epochs, so that it is asked as far as whoever takes no settings.
    """
    if not from_any(schedule):
        return
    drawn = [*_drawn(subject, schedule)]
    settings, base = max(drawn, key=lambda one: len(_rates(subject, schedule, *one)))
    rates = _rates(subject, schedule, settings, base, FARTHER[1])
    if len(rates) < SHORTEST or not all(map(math.isfinite, rates)):
        return
    some = {t: rates[t] for t in (*range(min(EPOCHS, len(rates))), *range(EPOCHS, len(rates), 9))}
    for timing in schedule.timings:
        for guess in guesses(schedule, timing, rates, base if subject.scaled else None):
            given = {
                n: getattr(guess.settings, n) for n in schedule.draws if n not in subject.takes
            }
            start = base if subject.scaled else guess.base
            if holds(schedule, timing, settings._replace(**given), start, some):
                yield given, None if subject.scaled else guess.base


def _rates(
    subject: Scheduled, schedule: Schedule, settings: Settings, base: float, most: int = EPOCHS
) -> Rates:
    last = schedule.last(settings)
    epochs = most if last is None else min(most, last)
    return Rates(subject.rates(base, epochs, settings._asdict()))


def _alive(
    subject: Scheduled,
    schedule: Schedule,
    given: Mapping[str, Any],
    start: float | None,
    *,
    written: bool,
) -> list[ScheduleFit]:
    alive, far = list(schedule.timings), {0: 0.0}

    def left(settings: Settings, base: float, rates: Mapping[int, float]) -> list[Timing]:
        begun = base if start is None else start
        return [one for one in alive if holds(schedule, one, settings, begun, rates)]

    for drawn, base in _drawn(subject, schedule):
        settings = drawn._replace(**given)
        alive = left(settings, base, dict(enumerate(_rates(subject, schedule, settings, base))))
    for base in ENDS if alive else ():
        far = _far(subject, schedule, settings, base)
        alive = left(settings, base, far)
    bases = "base rates from {:g} to {:g} and ".format(*ENDS) if subject.scaled else ""
    seen = f"{bases}epochs of up to {max(far):,}"
    default = {**schedule.settings()._asdict(), **given}
    unheard = {n: value for n, value in default.items() if n not in subject.takes}
    if written:
        return [ScheduleFit(schedule, timing, unheard, start, seen=seen) for timing in alive]
    return [ScheduleFit(schedule, timing, assumed=unheard, seen=seen) for timing in alive]


def _far(
    subject: Scheduled, schedule: Schedule, settings: Settings, base: float
) -> dict[int, float]:
    """Its first rates by epoch, and those of epochs far away, up to the end of a schedule."""
    last = schedule.last(settings)
    far = subject.far(base, settings._asdict()).items()
    there = {t: rate for t, rate in far if last is None or t <= last}
    return {**dict(enumerate(_rates(subject, schedule, settings, base))), **there}


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
