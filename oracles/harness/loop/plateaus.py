"""Questions about the schedule that goes by a metric: a machine, step by step."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

from hypothesis import strategies as st

from oracles.harness.arithmetic.enclosure import Enclosure
from oracles.harness.arithmetic.formats import TENSOR as FLOAT32
from oracles.harness.arithmetic.radii import apart, stacked
from oracles.harness.cases import plateaus as cases
from oracles.harness.cases.plateaus import Metrics
from oracles.harness.loop.catalogue import LATE
from oracles.harness.loop.question import EVERYTHING, Question, rejections, wrong
from oracles.harness.loop.rating import PLAIN, TENSOR, places
from oracles.harness.loop.resuming import RESUME
from oracles.harness.rates import weaker, written
from oracles.harness.subjects import schedulers
from oracles.harness.subjects.schedulers import (
    BUILT_LATER,
    OPTIMIZER_FIRST,
    SCHEDULER_FIRST,
    Following,
)
from oracles.harness.subjects.subject import Place
from oracles.harness.verdict import INSIDE, Verdict, held
from oracles.loop.part import Variant
from oracles.schedules import plateau
from oracles.schedules.plateau import PART

MACHINE, AT_ONCE = "machine", "rates told at once"


def questions(part: str) -> tuple[Question, ...]:
    """What is asked about it."""
    return tuple(_questions(part))


def _questions(name: str) -> Iterator[Question]:
    there, plain = partial(places, name), partial(places, name, [PLAIN])
    yield Question(name, MACHINE, cases.told, machine, there, REGIONS, weight=16)
    orders = partial(places, name, [SCHEDULER_FIRST, OPTIMIZER_FIRST, BUILT_LATER])
    yield Question(name, RESUME, _saved, resumed, orders, weight=5)
    yield Question(name, LATE, _joined, joined, plain, weight=2)
    yield Question(name, AT_ONCE, cases.told, told_at_once, there, EVERYTHING)
    yield from rejections(name, PART.variants[1:], cases.telling, machine, separation, plain)


# --- The machine --------------------------------------------------------------------------------


def machine(case: Metrics, place: Place) -> Verdict:
    """What it remembers, each rate, and the moment of each reduction."""
    run = _start(case, place)
    state, rates = plateau.start(case.settings), run.rates()
    told = list[Enclosure]()
    for number, metric in enumerate(case.metrics, 1):
        state, reduces = PART.torch.compute(state, metric, case.settings)
        told += (balls := _after(case, place, rates, reduces=reduces))
        run.tell(metric, boxed=case.boxed)
        seen = run.seen()
        rates = seen.rates
        if off := _wrong(balls, seen, {**_remembered(state), "last_epoch": number}, run):
            return wrong(place, case, f"{off} after {number}")
    return held(told)


def _start(case: Metrics, place: Place) -> Following:
    tensor = place.path == TENSOR
    shared = tensor and case.shared
    return schedulers.plateau(case.bases, _given(case), tensor=tensor, shared=shared)


def _given(case: Metrics) -> dict[str, Any]:
    """What the scheduler is built with."""
    return case.settings._asdict() | ({"min_lr": [*case.floors]} if case.listed else {})


def _after(
    case: Metrics, place: Place, rates: Sequence[float], *, reduces: bool
) -> list[Enclosure]:
    """What each rate may be after a step, in view of what it was."""
    return [
        _ball(case.settings._replace(min_lr=floor), place, rate, reduces=reduces)
        for rate, floor in zip(rates, case.floors, strict=True)
    ]


def _ball(s: plateau.Settings, place: Place, rate: float, *, reduces: bool) -> Enclosure:
    lower = plateau.reduced(rate, s) if reduces else rate
    exact = Enclosure.exact(lower)
    if lower not in (rate, s.min_lr):
        exact = Enclosure.exact(rate) * s.factor
    return exact.to(FLOAT32) if place.path == TENSOR else exact


def _remembered(state: plateau.State) -> dict[str, float]:
    """The state, under torch's names."""
    return {
        "best": state.best,
        "num_bad_epochs": state.bad,
        "cooldown_counter": state.cooling,
    }


def _wrong(
    balls: Sequence[Enclosure], seen: schedulers.Seen, remembered: dict[str, float], run: Following
) -> str:
    """What is not as it should be; a class of one's own need not remember by these names."""
    for group, (ball, rate) in enumerate(zip(balls, seen.rates, strict=True)):
        if not ball.contains(rate):
            return f"sets {rate} in group {group}, not {written(ball)},"
    if seen.told != seen.rates:
        return f"tells {seen.told}, and sets {seen.rates},"
    if not seen.kept and not weaker():
        return "puts another tensor in the place of a rate"
    for name, value in remembered.items():
        if (own := run.remembers(name, value)) != value:
            return f"remembers {name}={own}, not {value},"
    return ""


def told_at_once(case: Metrics, place: Place) -> Verdict:
    """What it tells before any metric is what the rates are."""
    seen = _start(case, place).seen()
    if seen.told != seen.rates:
        return wrong(place, case, f"tells {seen.told} at once, and has {seen.rates}")
    return Verdict(INSIDE, elements=len(case.bases))


# --- Checkpoints --------------------------------------------------------------------------------


def _saved() -> st.SearchStrategy[Saved]:
    return cases.told().map(Saved)


@dataclass(frozen=True)
class Saved:
    """A machine that is saved before the first metric, and after each."""

    case: Metrics

    def __str__(self) -> str:
        return str(self.case)

    @cached_property
    def followed(self) -> tuple[list[schedulers.Seen], list[schedulers.Kept]]:
        """What there is after each metric, and what is saved: whatever order it is loaded in."""
        run = schedulers.plateau(self.case.bases, _given(self.case))
        seen, kept = [], [schedulers.saved(run)]
        for metric in self.case.metrics:
            run.tell(metric)
            kept.append(schedulers.saved(run))
            seen.append(run.seen())
        return seen, kept


def resumed(saved: Saved, place: Place) -> Verdict:
    """Going on, and going on from a checkpoint after any metric: to the same rates, to the bit."""
    case, (seen, kept) = saved.case, saved.followed
    settings = {**case.settings._asdict(), "min_lr": [*case.floors]}
    make = partial(schedulers.by_metric, settings=settings)
    for at, state in enumerate(kept):
        own = deepcopy(state)  # which another order finds as it was
        again = schedulers.resumed(place.path, schedulers.optimizer(case.bases), make, own)
        for metric, one in zip(case.metrics[at:], seen[at:], strict=True):
            again.tell(metric)
            if (other := again.seen()) != one:
                told = f"saved after {at}, goes on to {other.rates}, and would have to {one.rates}"
                return wrong(place, saved, told)
    return Verdict(INSIDE, elements=len(kept))


# --- Late groups --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Joined:
    """A machine that a group joins after some metrics; after all of them, none does."""

    case: Metrics
    at: int

    def __str__(self) -> str:
        return f"{self.case}, joined after {self.at}"


def _joined() -> st.SearchStrategy[Joined]:
    """Groups with one floor for all, so that a late one knows its own."""

    def some(case: Metrics) -> st.SearchStrategy[Joined]:
        return st.builds(Joined, st.just(case), st.integers(0, len(case.metrics)))

    return cases.told().map(lambda case: replace(case, listed=False)).flatmap(some)


JOINS = 0.25
"""The rate of a late group."""


TOO_MANY = re.compile("number of param groups|list index out of range")
"""Words in which torch, and older ones, say that there are more groups than floors."""


def joined(late: Joined, place: Place) -> Verdict:
    """A late group is reduced like all others, or refused."""
    run = _start(late.case, place)
    case = replace(late.case, bases=(*late.case.bases, JOINS))
    state, told = plateau.start(case.settings), list[Enclosure]()
    for number, metric in enumerate(case.metrics):
        if number == late.at:
            run.join(JOINS)
        state, reduces = plateau.after(state, metric, case.settings)
        there = case if number >= late.at and not weaker() else late.case
        rates = run.rates()
        balls = _after(there, place, rates[: len(there.bases)], reduces=reduces)
        told += (balls := [*balls, *map(Enclosure.exact, rates[len(balls) :])])  # which stay
        try:
            run.tell(metric)
        except (ValueError, IndexError, RuntimeError) as error:
            if number < late.at or not (
                isinstance(error, ValueError) or TOO_MANY.search(str(error))
            ):
                raise
            return Verdict(INSIDE, elements=1)
        if off := _wrong(balls, run.seen(), {}, run):
            return wrong(place, late, f"{off} after {number + 1}")
    return held(told)


# --- Other machines -----------------------------------------------------------------------------


def separation(variant: Variant, case: Metrics, place: Place) -> float:
    """How far apart the rates of torch's machine and of another are, in both radii together."""
    return apart(*(stacked(_rates(case, each)) for each in (PART.torch, variant)))


def _rates(case: Metrics, variant: Variant) -> list[Enclosure]:
    """The rates of the first group under a machine of that kind."""
    state, rate, found = plateau.start(case.settings), case.bases[0], []
    for metric in case.metrics:
        state, reduces = variant.compute(state, metric, case.settings)
        rate = plateau.reduced(rate, case.settings) if reduces else rate
        found.append(Enclosure.exact(rate))
    return found


REGIONS: dict[str, Any] = {
    **EVERYTHING,
    "one tensor for all": lambda case, place: place.path == TENSOR and case.shared,
}
