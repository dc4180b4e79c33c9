"""Questions about schedules: what the rate is at epoch t."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from hypothesis import strategies as st

from oracles.harness.arithmetic.radii import apart, stacked
from oracles.harness.cases import plans
from oracles.harness.loop import changing, resuming
from oracles.harness.loop.question import EVERYTHING, Question, Region, rejections, wrong
from oracles.harness.loop.rating import (
    BASES,
    PLAIN,
    ScheduleRun,
    followed,
    judged,
    lasts,
    places,
    runs,
    singles,
)
from oracles.harness.rates import closed, jumped, number, weaker
from oracles.harness.subjects import schedulers
from oracles.harness.subjects.subject import Place
from oracles.harness.verdict import INSIDE, Verdict, held
from oracles.schedules import cosine_restarts
from oracles.schedules.composed import Single
from oracles.schedules.registry import SCHEDULES
from oracles.schedules.schedule import Schedule, Settings, Timing

RATES, LISTS, EDGES = "rates", "lists by group", "edges"

JUMPS, MOMENTUM = "step(epoch)", "momentum"


def questions(part: str) -> tuple[Question, ...]:
    """What is asked about a schedule."""
    return tuple(_questions(SCHEDULES[part]))


def _questions(schedule: Schedule) -> Iterator[Question]:
    name = schedule.name
    there, plain = partial(places, name), partial(places, name, [PLAIN])
    yield Question(name, RATES, partial(runs, schedule), rates, there, EVERYTHING, weight=4)
    if schedule.listed:
        yield Question(name, LISTS, partial(_lists, schedule), rates, there, EVERYTHING)
    drawn, each = partial(_settled, schedule), partial(_edges, schedule)
    yield Question(name, EDGES, drawn, edges, there, EDGE_REGIONS, weight=0.4, each=each)
    if schedule.jumps:
        sent = partial(_jumps, schedule)
        yield Question(name, JUMPS, sent, jumps, plain, JUMP_REGIONS, weight=2, each=_jumped)
    if schedule.momentum:
        cases = partial(_cycles, schedule)
        yield Question(name, MOMENTUM, cases, momenta, partial(_kinds, name), weight=4)
    yield changing.edits(name, partial(runs, schedule))
    yield changing.told(name, partial(runs, schedule))
    yield changing.late_groups(schedule)
    yield resuming.resuming(name, partial(singles, schedule))
    yield resuming.loading_twice(name, partial(singles, schedule))
    others, telling = schedule.timings[1:], partial(candidates, schedule)
    yield from rejections(name, others, telling, rates, separation, plain)


def rates(run: ScheduleRun, place: Place) -> Verdict:
    """The rate of each group at each epoch."""
    return judged(place, run, run.balls(place), [*followed(run.start(place), run.epochs)])


@st.composite
def _lists(draw: st.DrawFn, schedule: Schedule) -> ScheduleRun:
    """Groups of which each has settings of its own."""
    bases = draw(st.lists(plans.BASES, min_size=2, max_size=3).map(tuple))
    plan = Single(schedule, draw(plans.by_group(schedule, len(bases))))
    return ScheduleRun(plan, bases, lasts(plan))


# --- At the edges -------------------------------------------------------------------------------


LONG = 130
"""Epochs that reach past what is long at an edge."""

Settled = tuple[Settings, float]
"""Settings to be put at an edge, and a base rate."""


def _settled(schedule: Schedule) -> st.SearchStrategy[Settled]:
    return st.tuples(plans.settings(schedule), plans.BASES)


def _edges(schedule: Schedule, drawn: Settled) -> Iterator[ScheduleRun]:
    """Settings at each edge, or all by default, to the end, and to one epoch more than it has."""
    settings, base = drawn
    for edge in (*schedule.edges, *schedule.brinks, schedule.settings()._asdict()):
        plan = Single(schedule, settings._replace(**edge))
        last = schedule.last(plan.settings)
        for epochs in (LONG,) if last is None else (last, last + 1):
            yield ScheduleRun(plan, (base,), epochs)


def edges(run: ScheduleRun, place: Place) -> Verdict:
    """The same where texts part that agree elsewhere; some settings may as well be refused."""
    balls = run.balls(place)
    try:
        seen = [*followed(run.start(place), run.epochs)]
    except ValueError:
        if _may_be_refused(run):
            return Verdict(INSIDE, elements=1)
        raise
    return judged(place, run, balls, seen)


def _may_be_refused(run: ScheduleRun) -> bool:
    assert isinstance(run.plan, Single)
    given, schedule = run.plan.settings._asdict(), run.plan.schedule
    last = schedule.last(run.plan.settings)
    return (last is not None and run.epochs > last) or any(
        brink.items() <= given.items() for brink in schedule.brinks
    )


def _where(holds: Callable[[Settings, int], bool]) -> Region:
    """The runs of which something holds, by their settings and how many epochs they have."""
    return lambda run, place: holds(run.plan.settings, run.epochs)


EDGE_REGIONS: dict[str, Region] = {
    **EVERYTHING,
    "no way back": _where(lambda s, epochs: s.factor == 0 and 0 < s.total_iters <= epochs),
    "no epochs": _where(lambda s, epochs: s.total_iters == 0),
    "past the end": _where(lambda s, epochs: epochs >= s.total_steps),
    "empty phase": _where(lambda s, epochs: s.pct_start * s.total_steps == 1),
}


# --- step(epoch) --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Jump:
    """A schedule that is sent to epochs; None is a step to the next one."""

    plan: Single
    bases: tuple[float, ...]
    epochs: tuple[Any, ...]

    def __str__(self) -> str:
        return f"{self.plan} from {', '.join(map(str, self.bases))}, to {self.epochs}"


NEAR, FAR = 9, 130
"""Epochs that are jumped to."""


def _jumps(schedule: Schedule) -> st.SearchStrategy[Jump]:
    def to(plan: Single) -> st.SearchStrategy[Jump]:
        last = schedule.last(plan.settings)
        far = st.integers(0, last or 0)
        if last is None:
            far = st.one_of(st.integers(0, NEAR), st.integers(0, FAR))
        if schedule is cosine_restarts.SCHEDULE:  # which takes parts of an epoch
            far = st.one_of(far, far.map(lambda epoch: epoch / 4))
        each = far if last is not None else st.one_of(far, st.none())
        epochs = st.lists(each, min_size=2, max_size=6)
        return st.builds(Jump, st.just(plan), BASES, epochs.map(tuple))

    return singles(schedule, 1).flatmap(to)


def _jumped(case: Jump) -> Iterator[Jump]:
    """It, and the same at each edge of the schedule, if it has no end."""
    yield case
    schedule, settings = case.plan.schedule, case.plan.settings
    for edge in schedule.edges if schedule.last(settings) is None else ():
        yield replace(case, plan=Single(schedule, settings._replace(**edge)))


def jumps(case: Jump, place: Place) -> Verdict:
    """The rate of an epoch in closed form, wherever the schedule was; and what follows it."""
    run = schedulers.following(case.plan, case.bases)
    if weaker() and run.remembers("_get_closed_form_lr", None) is None:
        return Verdict(INSIDE, elements=1)
    balls = [jumped(case.plan, base, case.epochs) for base in case.bases]
    seen = [run.seen()]
    for epoch in case.epochs:
        run.step(*([] if epoch is None else [epoch]))
        seen.append(run.seen())
    return judged(place, case, balls, seen, count=False)


def _short_log(case: Jump, place: Place) -> bool:
    """Where a logarithm that is a whole number is rounded to less."""
    if case.plan.schedule is not cosine_restarts.SCHEDULE or case.plan.settings.T_mult == 1:
        return False
    first, times = case.plan.settings.T_0, case.plan.settings.T_mult
    return any(
        epoch is not None
        and epoch >= first
        and first * times ** int(math.log(epoch / first * (times - 1) + 1, times))
        != cosine_restarts.period(epoch, case.plan.settings)[1]
        for epoch in case.epochs
    )


JUMP_REGIONS = {"short logarithm": _short_log}


# --- Momentum -----------------------------------------------------------------------------------


SGDS, ADAMS = "momentum", "betas"
"""Of an optimizer that has a momentum, and of one that has betas."""


def _kinds(part: str) -> list[Place]:
    there = [SGDS, ADAMS] if schedulers.there(part) and schedulers.cycles_betas(part) else [SGDS]
    return places(part, there)


@st.composite
def _cycles(draw: st.DrawFn, schedule: Schedule) -> ScheduleRun:
    """Of two groups, long enough to go up and down; most of them do."""
    plan = draw(singles(schedule, 2))
    cycles = draw(st.sampled_from((True, True, True, False)))
    plan = replace(plan, settings=plan.settings._replace(cycle_momentum=cycles))
    if "mode" in schedule.draws and draw(st.booleans()):  # the one that scales step by step
        plan = replace(plan, settings=plan.settings._replace(mode="exp_range"))
    last = schedule.last(plan.settings)
    return ScheduleRun(plan, (0.1, 0.2), 12 if last is None else min(12, last))


def momenta(run: ScheduleRun, place: Place) -> Verdict:
    """Momentum, or the first beta, goes the other way, and nothing else of the group moves."""
    following = schedulers.following(run.plan, run.bases, adam=place.path == ADAMS)
    seen = [*followed(following, run.epochs)]
    balls = []
    kept = schedulers.BETAS if place.path == ADAMS else (schedulers.MOMENTUM,)
    for group, base in enumerate(run.bases):
        plan = run.plan.of_group(group).lifted(number)
        assert isinstance(plan, Single)
        for t, one in enumerate(seen):
            first, others = one.momenta[group][0], one.momenta[group][1:]
            ball = number(kept[0])
            if plan.settings.cycle_momentum:
                assert plan.schedule.momentum is not None
                ball = plan.schedule.momentum(t, number(base), plan.settings)
            balls.append(ball)
            if not ball.contains(first) or others != kept[1:]:
                told = f"{one.momenta[group]} at epoch {t}, group {group}"
                return wrong(place, run, f"has {place.path} {told}; expected {ball}, {kept[1:]}")
    return held(balls)


# --- Other timings ------------------------------------------------------------------------------


def candidates(schedule: Schedule, timing: Timing) -> st.SearchStrategy[ScheduleRun]:
    """Runs in which a timing differs from torch's, nearly all of them."""
    drawn = plans.settings(schedule, timing.shows).map(partial(Single, schedule))
    return st.builds(lambda plan, base: ScheduleRun(plan, (base,), lasts(plan)), drawn, plans.BASES)


def separation(timing: Timing, run: ScheduleRun, place: Place) -> float:
    """How far apart torch's rates and another timing's are, in both radii together."""
    assert isinstance(run.plan, Single)
    pair = (run.plan.schedule.torch, timing)
    return apart(*(stacked(closed(run.plan, t, run.bases[0], run.epochs)) for t in pair))
