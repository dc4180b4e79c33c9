"""Where ranks are asked, with which trainings, and how what they hold is judged."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Any

from hypothesis import strategies as st

from oracles.harness.loop.question import wrong
from oracles.harness.subjects import ranks
from oracles.harness.subjects.subject import Place
from oracles.harness.training import shards as cases
from oracles.harness.training.ranks import Held, Told, flat, off, share
from oracles.harness.training.shards import Training
from oracles.harness.verdict import INSIDE, OUTSIDE, Verdict, held
from oracles.loop.part import Variant
from oracles.loop.ranks import STEPPED
from oracles.rule import Rule

PAIR, EXACT_PAIR = ("2 ranks", "float32"), ("2 ranks", "float64")
TRIO = ("3 ranks", "float32")
QUARTET = ("4 ranks", "float64")
ROWS = ("2 × 2 ranks", "float64")
"""Worlds and the dtype of the parameters in them."""


def places(
    part: str, *wanted: tuple[str, str], devices: Sequence[str] = ("cpu", "cuda")
) -> list[Place]:
    """Those worlds that there can be, of processes and, where there are enough, of GPUs."""
    if not ranks.there():
        return []
    return [
        Place(part, path, dtype, device)
        for path, dtype in wanted
        for device in devices
        if device == "cpu" or ranks.accelerators() >= world(Place(part, path, dtype, device))
    ]


def world(place: Place) -> int:
    """How many ranks a place has at once; of worlds that follow one another, the largest has.

    >>> world(Place("fully_shard", "2 × 2 ranks", "float64", "cpu"))
    4
    >>> world(Place("set_state_dict", "2 ranks, then 3", "float32", "cpu"))
    3
    """
    worlds = place.path.split(", then ")
    return max(math.prod(int(w) for w in one.split() if w.isdigit()) for one in worlds)


def trainings(
    rules: Sequence[Rule] = STEPPED, **fixed: st.SearchStrategy[Any]
) -> st.SearchStrategy[Training]:
    """Any training, but for what is fixed."""

    def stepped(rule: Rule) -> st.SearchStrategy[Training]:
        drawn = {
            "groups": st.tuples(cases.hypers(rule)),
            "shards": cases.shards(),
            "reduction": st.sampled_from(("mean", "sum")),
            "tied": st.booleans(),
            "divided": st.booleans(),
            "halving": st.booleans(),
        }
        return st.fixed_dictionaries(drawn | fixed).map(lambda told: Training(rule, **told))

    return st.sampled_from(rules).flatmap(stepped)


def words(known: Iterable[str]) -> st.SearchStrategy[tuple[str, ...]]:
    """Some of what a wrapper can be told."""
    each = [st.sampled_from(((), (word,))) for word in sorted(known)]
    return st.tuples(*each).map(lambda chosen: tuple(chain(*chosen)))


def judged(
    place: Place,
    case: Any,
    told: Told,
    expected: Held,
    fits: Callable[[], Iterable[str]],
) -> Verdict:
    """Whether ranks hold what is expected; where they do not, which other ways fit."""
    for each in off(expected, told):
        return Verdict(OUTSIDE, partial(_off, place, case, each, fits))
    return held(flat(expected), share=share(expected, told))


def _off(place: Place, case: Any, where: object, fits: Callable[[], Iterable[str]]) -> str:
    """What is wrong, as a sentence; to look for what fits takes longer than to see it."""
    known = ", ".join(fits())
    end = f"on this case the values fit {known}" if known else "no known way fits"
    return wrong(place, case, f"at {where}; {end}").sentence


def fitting(ways: Iterable[Variant], leads: Callable[[Variant], Held], told: Told) -> Iterator[str]:
    """The ways that lead to what was told."""
    return (way.name for way in ways if not off(leads(way), told))


def agreed(place: Place, case: Any, told: Sequence[Sequence[str]]) -> Verdict:
    """Whether ranks find nothing wrong themselves."""
    for rank, sentences in enumerate(told):
        for sentence in sentences:
            return wrong(place, case, f"rank {rank}: {sentence}")
    return Verdict(INSIDE, elements=len(told))
