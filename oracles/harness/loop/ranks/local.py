"""Questions about ranks that step by themselves and meet now and then."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from hypothesis import strategies as st

from oracles.harness.loop.question import Question, rejections
from oracles.harness.loop.ranks import asked
from oracles.harness.loop.ranks.asked import agreed, judged, places, trainings, world
from oracles.harness.subjects import checkpointed, processes, ranks
from oracles.harness.subjects.subject import Place
from oracles.harness.training import shards as cases
from oracles.harness.training.ranks import Held, Told, enclosed, separation, trajectory
from oracles.harness.training.shards import Training
from oracles.harness.verdict import Verdict
from oracles.loop.local_steps import PART, sharing
from oracles.loop.part import Variant

WHERE = asked.PAIR, asked.EXACT_PAIR, asked.TRIO

STEPS = 5
"""Enough for a warm-up and two meetings."""


@dataclass(frozen=True)
class Local:
    """A training whose ranks share gradients for so many steps, and then meet in each period."""

    training: Training
    warmup: int
    period: int

    def __str__(self) -> str:
        return f"{self.training}; warmup_steps={self.warmup} period={self.period}"


def _halved(case: Local, place: Place) -> bool:
    return case.training.halving


REGIONS = {"rates that change after loading": _halved}


def questions(part: str) -> tuple[Question, ...]:
    """What is asked about ``PostLocalSGDOptimizer``."""
    return (
        Question(part, "meets in time", local, followed, partial(places, part, *WHERE), weight=2),
        Question(
            part,
            "goes on from its state",
            partial(local, periods=(2, 3)),
            meets_again,
            partial(places, part, WHERE[0]),
            regions=REGIONS,
            weight=2,
        ),
        *rejections(
            part,
            PART.variants[1:],
            lambda _: local(),
            followed,
            apart,
            partial(places, part, WHERE[0]),
        ),
    )


def local(periods: tuple[int, int] = (1, 3)) -> st.SearchStrategy[Local]:
    """Trainings whose ranks share gradients for 0 to 2 steps, and meet after so many."""
    drawn = trainings(
        shards=cases.shards(steps=STEPS, least=STEPS - 1, micros=(1, 2)),
        halving=st.sampled_from((False, False, False, True)),  # which torch loads wrongly
    )
    # A warm-up of 1 and the longest period show most.
    among = (*range(periods[0], periods[1] + 1), periods[1])
    return st.builds(Local, drawn, st.sampled_from((0, 1, 2, 1)), st.sampled_from(among))


def leads(case: Local, place: Place, way: Variant) -> Held:
    """Where a way leads."""
    shared = sharing(way, case.warmup, case.period)
    return trajectory(case.training, world(place), shared, enclosed(place.dtype))


def apart(way: Variant, case: Local, place: Place) -> float:
    """How far torch's way leads from another one."""
    return separation(leads(case, place, PART.torch), leads(case, place, way))


def followed(case: Local, place: Place) -> Verdict:
    """Each rank is where its own steps and the meetings lead."""
    given = case.training, place, case.warmup, case.period
    told: Told = processes.ask(world(place), ranks.local, *given)
    fits = partial(asked.fitting, PART.variants, partial(leads, case, place), told)
    return judged(place, case, told, leads(case, place, PART.torch), fits)


def meets_again(case: Local, place: Place) -> Verdict:
    """Who is loaded goes on as who was saved does, to the bit."""
    given = case.training, place, case.warmup, case.period
    return agreed(place, case, processes.ask(world(place), checkpointed.meetings, *given))
