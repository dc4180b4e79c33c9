"""Questions about ranks that run out of batches before others do."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from hypothesis import strategies as st

from oracles.harness.cases.plans import evenly
from oracles.harness.loop.question import Question, rejections
from oracles.harness.loop.ranks import asked
from oracles.harness.loop.ranks.asked import judged, places, trainings, world
from oracles.harness.subjects import processes, ranks
from oracles.harness.subjects.subject import Place
from oracles.harness.training import shards as cases
from oracles.harness.training.ranks import Held, Told, enclosed, separation, uneven
from oracles.harness.training.shards import Uneven
from oracles.harness.verdict import Verdict
from oracles.loop.part import Variant
from oracles.loop.uneven import PART

WHERE = asked.PAIR, asked.EXACT_PAIR, asked.TRIO


def questions(part: str) -> tuple[Question, ...]:
    """What is asked about ``Join``."""
    return (
        Question(
            part,
            "divides as told",
            _uneven,
            followed,
            partial(places, part, *WHERE),
            regions=REGIONS,
            weight=6,
        ),
        *rejections(
            part,
            PART.variants[1:],
            _telling,
            followed,
            apart,
            partial(places, part, WHERE[0]),
        ),
    )


def _stale(case: Uneven, place: Place) -> bool:
    return case.partitioned and len({*case.counts[: world(place)]}) > 1


REGIONS = {"a partition of a rank that is out": _stale}


def _uneven() -> st.SearchStrategy[Uneven]:
    """Ranks that take 1 to 3 steps of 2 or 3, one of them all that there are.

    The first two, who are in every world, take as many only where torch can step by partitions.
    """
    several = cases.shards(micros=(1, 2)).filter(lambda shards: len(shards) > 1)
    drawn = trainings(shards=several, divided=st.just(False))
    return drawn.flatmap(
        lambda training: st.builds(
            Uneven,
            st.just(training),
            st.tuples(*[evenly(1, len(training.shards))] * cases.MOST),
            st.booleans(),
            st.booleans(),
        ).filter(lambda case: case.partitioned or case.counts[0] != case.counts[1])
    )


def _telling(way: Variant) -> st.SearchStrategy[Uneven]:
    return _uneven().map(lambda case: replace(case, partitioned=False))


def leads(case: Uneven, place: Place, way: Variant) -> Held:
    """Where a way leads."""
    return uneven(case, world(place), way, enclosed(place.dtype))


def apart(way: Variant, case: Uneven, place: Place) -> float:
    """How far torch's way leads from another one."""
    return separation(leads(case, place, PART.torch), leads(case, place, way))


def followed(case: Uneven, place: Place) -> Verdict:
    """Each rank is where the gradients of those that have a batch lead, and at the end of all."""
    told: Told = processes.ask(world(place), ranks.uneven, case, place)
    fits = partial(asked.fitting, PART.variants, partial(leads, case, place), told)
    return judged(place, case, told, leads(case, place, PART.torch), fits)
