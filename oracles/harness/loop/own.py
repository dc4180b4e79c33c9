"""What a class of schedulers of one's own is asked: all that torch's is, and what it need not do.

Each order in which people go on from a checkpoint is a promise of its own here. Some promises a
right class may make in a weaker form, as many of torch's own do: of those it is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from oracles.harness.loop.catalogue import EDITS, LATE, questions
from oracles.harness.loop.plateaus import MACHINE
from oracles.harness.loop.question import Question
from oracles.harness.loop.rating import KEPT, PLAIN, TENSOR, tensors
from oracles.harness.loop.resuming import RESUME, TWICE
from oracles.harness.loop.scheduling import JUMPS, RATES
from oracles.harness.subjects.scheduled import FACTORS, LAMBDA, accepts
from oracles.harness.subjects.schedulers import (
    BUILT_LATER,
    BY_CONSTRUCTOR,
    OPTIMIZER_FIRST,
    SCHEDULER_FIRST,
    home,
)
from oracles.harness.subjects.subject import Place
from oracles.schedules.registry import SCHEDULES

LATER, CONSTRUCTED = f"{RESUME} where built later", f"{RESUME} by last_epoch="

RESUMPTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        RESUME: (SCHEDULER_FIRST, OPTIMIZER_FIRST),
        LATER: (BUILT_LATER,),
        CONSTRUCTED: (BY_CONSTRUCTOR,),
    }
)
"""By promise, the orders in which both are loaded. The first two are as torch documents them."""

REPLACES = "it puts another rate in the place of a tensor, and what is captured keeps the old"

WEAKER: Mapping[str, str] = MappingProxyType(
    {
        EDITS: "it goes by the epoch alone: a rate that is written into a group lasts until the "
        "next step",
        LATE: "it leaves a group that joins later at its own rate",
        LATER: "it sets the first rate where it is built, and the right one at its next step: "
        "torch documents that it is built before the optimizer is loaded",
        JUMPS: "it is sent to no epoch, which torch has deprecated: it has no _get_closed_form_lr",
        KEPT: REPLACES,
        MACHINE: REPLACES,
    }
)
"""Promises that a right class may not make, and what it does in their place; that is held."""


def promises(part: str) -> Iterator[tuple[str, Question]]:
    """What is asked of a class in the place of a part of torch, by name."""
    for question in questions(part):
        if question.name == RESUME:
            for name, orders in RESUMPTIONS.items():
                share = len(orders) / len(RESUMPTIONS[RESUME])
                yield name, replace(_at(question, orders), weight=question.weight * share)
        elif question.rejects is None:
            yield question.name, _at(question, [PLAIN]) if question.name == EDITS else question
        if question.name == RATES:
            yield KEPT, replace(_at(question, [TENSOR]), ask=tensors)


def _at(question: Question, paths: Sequence[str]) -> Question:
    """The same, on some of its paths."""

    def places() -> list[Place]:
        return [place for place in question.places() if place.path in paths]

    return replace(question, places=places)


def lacks(cls: Any, name: str) -> str:
    """Why a class cannot be asked for a promise; empty if it can be."""
    if name in (TWICE, *RESUMPTIONS) and isinstance(cls, type) and not hasattr(cls, "state_dict"):
        return "it has no state_dict"
    if name == CONSTRUCTED and not accepts(cls, "last_epoch"):
        return "it takes no last_epoch"
    return ""


def untaken(name: str, cls: Any) -> list[str]:
    """Settings that torch's class takes, and another does not."""
    settings: Any = SCHEDULES[name].settings
    taken = [LAMBDA if setting == FACTORS else setting for setting in settings._fields]
    torchs = getattr(home(name), name, None)
    return [one for one in taken if accepts(torchs, one) and not accepts(cls, one)]
