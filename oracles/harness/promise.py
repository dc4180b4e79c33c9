"""What a step promises beside its values: a promise is a record, what comes of it is a line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from oracles.harness.subjects.subject import SubjectError

FEW = 5
"""So many parameters that one is neither the first nor the last, nor the second."""


class Word(StrEnum):
    """What comes of a promise."""

    KEPT = "kept"
    BROKEN = "broken"
    NOT_PROMISED = "not promised"
    NOT_ASKED = "not asked"


class NotAsked(Exception):
    """The promise cannot be asked of this code; the message says why."""


@dataclass(frozen=True)
class Promise:
    """One thing that whoever calls a step relies on.

    Attributes:
        name: as reports, options and expected failures write it.
        sentence: what is promised.
        ask: looks, and says how it is broken; empty if it is kept.
        after: promises without which this one has no meaning: where one of them is broken, its
            fault would be told again.
    """

    name: str
    sentence: str
    ask: Callable[[Any], str]
    after: tuple[str, ...] = ()


@dataclass(frozen=True)
class Line:
    """What has come of one promise.

    Attributes:
        name: of the promise.
        word: kept, broken, not promised or not asked.
        why: how it is broken, or why it was not asked.
    """

    name: str
    word: Word
    why: str = ""


def line(promise: Promise, trial: Any, known: Mapping[str, Line]) -> Line:
    """Ask one promise, unless it hangs on one that is not kept."""
    for name in promise.after:
        earlier = known.get(name, Line(name, Word.KEPT))
        if earlier.word is Word.NOT_ASKED:
            return Line(promise.name, Word.NOT_ASKED, earlier.why)
        if earlier.word is not Word.KEPT:
            return Line(promise.name, Word.NOT_ASKED, f"{name} is {earlier.word}")
    try:
        why = promise.ask(trial)
    except NotAsked as reason:
        return Line(promise.name, Word.NOT_ASKED, str(reason))
    except SubjectError as error:
        why = error.sentence
    return Line(promise.name, Word.BROKEN if why else Word.KEPT, why)


def faults(lines: Iterable[Line]) -> list[str]:
    """One sentence for each fault: promises that break in the same way are counted, not repeated.

    >>> lines = [Line(name, Word.BROKEN, "raises KeyError: 't'") for name in ("pickle", "deepcopy")]
    >>> faults(lines)
    ["pickle: raises KeyError: 't' (and 1 further promise breaks in the same way)"]
    """
    told: dict[str, list[str]] = {}
    lines = list(lines)
    for one in lines:
        if one.word is Word.BROKEN:
            told.setdefault(one.why, []).append(one.name)
    return [
        f"{first}: {why}{_further(len(others), _hanging(lines, first))}"
        for why, (first, *others) in told.items()
    ]


def _hanging(lines: Iterable[Line], name: str) -> int:
    return sum(one.why == f"{name} is broken" for one in lines)


def _further(same: int, hanging: int) -> str:
    """How many others a fault takes along."""
    parts = []
    if same:
        verb = "promise breaks" if same == 1 else "promises break"
        parts.append(f"and {same} further {verb} in the same way")
    if hanging:
        parts.append(f"so that {hanging} {'others were' if hanging > 1 else 'other was'} not asked")
    return f" ({', '.join(parts)})" if parts else ""
