"""Questions about what people do to groups while a schedule runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from hypothesis import strategies as st

from oracles.harness.cases import plans
from oracles.harness.loop.catalogue import EDITS, LATE
from oracles.harness.loop.question import EVERYTHING, Question, Region, wrong
from oracles.harness.loop.rating import PLAIN, TENSOR, ScheduleRun, judged, places, singles
from oracles.harness.rates import enclosed, number, weaker
from oracles.harness.subjects import schedulers
from oracles.harness.subjects.subject import Place
from oracles.harness.verdict import INSIDE, Verdict, held
from oracles.schedules.composed import Single
from oracles.schedules.schedule import Schedule

TOLD = "told rates"

WRITTEN = 0.375
"""A rate that nobody computes."""


@dataclass(frozen=True)
class Edited:
    """A run in which somebody writes a rate into the first group."""

    run: ScheduleRun
    when: int

    def __str__(self) -> str:
        return f"{self.run}, {WRITTEN} written into the first group at epoch {self.when}"


def edits(part: str, cases: Callable[[], st.SearchStrategy[ScheduleRun]]) -> Question:
    """A rate that is written into a group is what a recurrence goes on from, and no other is."""

    def strategy() -> st.SearchStrategy[Edited]:
        alone = cases().filter(lambda run: not run.shared)
        return alone.flatmap(
            lambda run: st.builds(Edited, st.just(run), plans.evenly(0, min(5, run.epochs)))
        )

    return Question(part, EDITS, strategy, edited, partial(places, part), EVERYTHING, weight=2)


def told(part: str, cases: Callable[[], st.SearchStrategy[ScheduleRun]]) -> Question:
    """What a scheduler tells is whoever asks for it's own: no rate changes with it."""
    there = partial(places, part, [TENSOR])
    return Question(part, TOLD, cases, spoilt, there, EVERYTHING)


def spoilt(run: ScheduleRun, place: Place) -> Verdict:
    """The rates where everything that is told is written over."""
    following, seen = run.start(place), []
    for t in range(run.epochs + 1):
        seen.append(following.seen())
        following.spoil()
        if (rates := following.rates()) != seen[-1].rates:
            return wrong(place, run, f"tells the rates themselves: {rates} at {t}, written over")
        if t < run.epochs:
            following.step()
    return judged(place, run, run.balls(place), seen)


def edited(case: Edited, place: Place) -> Verdict:
    """The rates before and after the edit, each group's own; or as if there was none."""
    following, seen = case.run.start(place), []
    for t in range(case.run.epochs + 1):
        seen.append(following.seen())
        if t == case.when:
            following.write(WRITTEN)
        if t < case.run.epochs:
            following.step()
    edits = {} if weaker() else {case.when: WRITTEN}
    return judged(place, case, case.run.balls(place, edits), seen)


@dataclass(frozen=True)
class Joined:
    """A schedule, and a group that joins after some epochs with a rate of its own."""

    plan: Single
    base: float
    joins: int
    late: float

    def __str__(self) -> str:
        return f"{self.plan} from {self.base}, joined at {self.joins} by a group from {self.late}"


AFTER = 4
"""Epochs for which a late group is followed."""

REFUSED = (ValueError, KeyError)
"""What torch raises at the first step of a group it does not know: lengths, or settings."""


def late_groups(schedule: Schedule) -> Question:
    """A late group goes on from its own rate, or is refused; it is not passed over."""

    def cases() -> st.SearchStrategy[Joined]:
        return st.builds(Joined, singles(schedule, 1), plans.BASES, st.integers(0, 3), plans.BASES)

    there = partial(places, schedule.name, [PLAIN])
    return Question(schedule.name, LATE, cases, joined, there, LATE_REGIONS)


def joined(case: Joined, place: Place) -> Verdict:
    """The rate of the late group at each epoch, and whether the first goes on as it was."""
    following = schedulers.following(case.plan, [case.base])
    for _ in range(case.joins):
        following.step()
    following.join(case.late)
    last = case.joins + AFTER
    first = enclosed(case.plan, case.base, last)
    second = enclosed(case.plan, case.late, last, edits={case.joins: case.late})
    if weaker():
        second = [number(case.late)] * len(second)
    for t in range(case.joins + 1, last + 1):
        try:
            following.step()
        except REFUSED:
            if t > case.joins + 1:
                raise
            return Verdict(INSIDE, elements=1)
        pairs = zip(following.seen().rates, (first[t], second[t]), strict=True)
        for group, (rate, ball) in enumerate(pairs):
            if not ball.contains(rate):
                return wrong(place, case, f"sets {rate} at epoch {t}, group {group}, not {ball}")
    return held([*first[case.joins + 1 :], *second[case.joins + 1 :]])


def _past_the_floor(case: Joined, place: Place) -> bool:
    """A cosine goes up again, after the first step of the late group."""
    period = case.plan.settings.T_max
    epochs = range(case.joins + 2, case.joins + AFTER + 1)
    return any((t - 1 - period) % (2 * period) == 0 for t in epochs)


LATE_REGIONS: Mapping[str, Region] = MappingProxyType(
    {
        "looks at more than the rate": lambda case, place: not case.plan.schedule.local,
        "past the floor": _past_the_floor,
    }
)
