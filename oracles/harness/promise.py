"""What a step promises beside its values: a promise is a record, what comes of it is a line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
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
        faults: what broke it, by names that others which meet the same have as well: a sentence
            each. Empty where only ``why`` tells.
    """

    name: str
    word: Word
    why: str = ""
    faults: Mapping[str, str] = field(default_factory=dict)

    @property
    def told(self) -> Mapping[str, str]:
        """A sentence for each fault, by its name."""
        return self.faults or {self.why: self.why}


@dataclass
class Known:
    """Which faults were met, and by whom at first.

    >>> known = Known()
    >>> known.meet("agreement", ["for-loop", "foreach"])
    ['for-loop', 'foreach']
    >>> known.meet("a closure is called once", ["foreach", "returns None"])
    ['returns None']
    >>> known.first["foreach"]
    'agreement'
    """

    first: dict[str, str] = field(default_factory=dict)

    def meet(self, name: str, faults: Iterable[str]) -> list[str]:
        """Those of the faults that nobody has met before."""
        new = [fault for fault in faults if fault not in self.first]
        self.first |= dict.fromkeys(new, name)
        return new


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


def alike(lines: Iterable[Line]) -> dict[str, tuple[str, int]]:
    """The broken ones with a fault of their own: what is new, and how many have nothing else."""
    known, told, others = Known(), dict[str, str](), Counter[str]()
    for one in lines:
        if one.word is not Word.BROKEN:
            continue
        if new := known.meet(one.name, one.told):
            told[one.name] = "; ".join(dict.fromkeys(one.told[fault] for fault in new))
        else:
            others[known.first[next(iter(one.told))]] += 1
    return {name: (why, others[name]) for name, why in told.items()}


def faults(lines: Iterable[Line]) -> list[str]:
    """One sentence for each fault: promises that break in the same way are counted, not repeated.

    >>> lines = [Line(name, Word.BROKEN, "raises KeyError: 't'") for name in ("pickle", "deepcopy")]
    >>> faults(lines)
    ["pickle: raises KeyError: 't' (and 1 further promise breaks in the same way)"]
    """
    lines = list(lines)
    return [
        f"{first}: {why}{_further(others, _hanging(lines, first))}"
        for first, (why, others) in alike(lines).items()
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
