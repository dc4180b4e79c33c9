"""Questions about training on several ranks: what each of them holds after each step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from hypothesis import strategies as st

from oracles.harness.loop.question import Question, wrong
from oracles.harness.subjects import processes, ranks
from oracles.harness.subjects.subject import Place
from oracles.harness.training import shards as cases
from oracles.harness.training.ranks import Told, enclosed, off, separation, share, trajectory
from oracles.harness.training.shards import Training
from oracles.harness.verdict import INSIDE, Verdict
from oracles.loop.ranks import SHARING, STEPPED, TORCH, Sharing
from oracles.rule import Rule

Asked = Callable[..., Any]
"""An errand of :mod:`oracles.harness.subjects.ranks`."""

MEAN = "mean over ranks"


def questions(part: str) -> tuple[Question, ...]:
    """What is asked about ``DistributedDataParallel``."""
    everywhere = partial(
        places, part, (2, "float64"), (2, "float32"), (3, "float32"), (4, "float64")
    )
    return (
        Question(
            part, MEAN, trainings, partial(followed, ranks.data_parallel), everywhere, weight=4
        ),
        *(
            Question(
                part,
                f"rejects {sharing.name}",
                partial(separating, sharing),
                partial(rejected, ranks.data_parallel, sharing),
                partial(places, part, (2, "float32")),
                rejects=sharing.name,
            )
            for sharing in SHARING[1:]
        ),
    )


def places(part: str, *wanted: tuple[int, str]) -> list[Place]:
    """Worlds of so many ranks with parameters of a dtype, where there can be any."""
    return [
        Place(part, f"{number} ranks", dtype, "cpu") for number, dtype in wanted if ranks.there()
    ]


def world(place: Place) -> int:
    """How many ranks a place has.

    >>> world(Place("DistributedDataParallel", "2 ranks", "float64", "cpu"))
    2
    """
    return int(place.path.split()[0])


def trainings(**fixed: st.SearchStrategy[Any]) -> st.SearchStrategy[Training]:
    """Any training, but for what is fixed."""

    def stepped(rule: Rule) -> st.SearchStrategy[Training]:
        drawn = {
            "groups": st.tuples(cases.hypers(rule)),
            "shards": cases.shards(),
            "reduction": st.sampled_from(("mean", "sum")),
            "tied": st.booleans(),
            "divided": st.booleans(),
        }
        return st.builds(Training, st.just(rule), **drawn | fixed)

    return st.sampled_from(STEPPED).flatmap(stepped)


def separating(sharing: Sharing) -> st.SearchStrategy[Training]:
    """Trainings on which two ranks show that a way of sharing is not torch's."""
    rule = STEPPED[-1] if sharing.name == "parameters_averaged" else STEPPED[0]
    windows = (2, 3) if "micro" in sharing.name else (1, 3)
    drawn = trainings(
        groups=st.tuples(cases.hypers(rule, decays=True)),
        shards=cases.shards(micros=windows, unequal=sharing.name == "weighted_by_rows"),
    )
    return drawn.map(lambda training: replace(training, rule=rule)).filter(
        lambda training: apart(training, sharing, 2, "float32") > 1
    )


def apart(training: Training, sharing: Sharing, number: int, dtype: str) -> float:
    """How far torch's way leads from another one."""
    numbers = enclosed(dtype)
    one, other = (list(trajectory(training, number, way, numbers)) for way in (TORCH, sharing))
    return separation(one, other)


def followed(errand: Asked, training: Training, place: Place) -> Verdict:
    """Each rank is, after each step, where torch's rule and the mean over ranks lead."""
    told: Told = processes.ask(world(place), errand, training, place.dtype)
    expected = list(trajectory(training, world(place), TORCH, enclosed(place.dtype)))
    for each in off(expected, told):
        return wrong(place, training, f"at {each}; {fits(training, place, told)}")
    elements = sum(len(values) for steps in told for step in steps for values in step)
    return Verdict(INSIDE, elements=elements, share=share(expected, told))


def rejected(errand: Asked, sharing: Sharing, training: Training, place: Place) -> Verdict:
    """The same, where another way of sharing is proven to lead elsewhere."""
    proof = apart(training, sharing, world(place), place.dtype)
    return replace(followed(errand, training, place), separation=proof)


def fits(training: Training, place: Place, told: Told) -> str:
    """Which ways of sharing explain what was told."""
    numbers = enclosed(place.dtype)
    known = [
        sharing.name
        for sharing in SHARING
        if not any(off(list(trajectory(training, world(place), sharing, numbers)), told))
    ]
    return f"on this case the values fit {', '.join(known)}" if known else "no known way fits"
