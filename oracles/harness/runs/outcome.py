"""What has come of one task, in words and counters that travel between processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from oracles.harness.promise import Line, Word
from oracles.harness.runs.runner import Refuted, Report
from oracles.harness.runs.tally import Tally
from oracles.harness.verdict import Fault, Vacuous, Verdict

OK = "ok"
FAILED = "FAILED"
NOT_ASKED = "not asked"
"""No subject could be asked that, or the ledger knows each case to fail."""
ABSENT = "absent"
"""There was no subject at all."""


@dataclass(frozen=True)
class Outcome:
    """What has come of one task.

    Attributes:
        word: :data:`OK`, :data:`FAILED`, :data:`NOT_ASKED` or :data:`ABSENT`.
        text: why it failed.
        notes: Hypothesis's, on how to see it again.
        tally: what was seen.
        seconds: how long it took.
        faults: what failed, by names that others which meet the same have as well: a sentence
            each, and how many more subjects it is about. Empty where only the text tells.
    """

    word: str
    text: str = ""
    notes: tuple[str, ...] = ()
    tally: Tally = field(default_factory=Tally)
    seconds: float = 0.0
    faults: Mapping[str, str] = field(default_factory=dict)

    @property
    def told(self) -> Mapping[str, str]:
        """What is to be said of each fault, by its name."""
        return self.faults or {self.text: self.text}

    def to_json(self) -> dict[str, Any]:
        """Plain data, for a worker to hand to its controller."""
        return {**vars(self), "notes": [*self.notes], "tally": self.tally.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Outcome:
        """The inverse of :meth:`to_json`."""
        tally = Tally.from_json(data["tally"])
        return cls(**{**data, "notes": tuple(data["notes"]), "tally": tally})


def outcome(todo: Callable[[Tally], int], tally: Tally) -> Outcome:
    """Do it, counting in ``tally``, and say how it went."""
    start = time.perf_counter()
    word, text, notes = OK, "", ()
    faults: Mapping[str, str] = {}
    try:
        word = OK if todo(tally) else NOT_ASKED
    except (Refuted, Vacuous) as failure:
        word, text, notes = FAILED, str(failure), tuple(getattr(failure, "__notes__", ()))
        faults = _faults(failure.args[0])
    return Outcome(word, text, notes, tally, time.perf_counter() - start, faults)


def _faults(told: object) -> dict[str, str]:
    """What is to be said of each fault; loops in which the same is wrong have one sentence."""
    faults = dict[str, list[tuple[Fault, Verdict]]]()
    for verdict in told.failures if isinstance(told, Report) else ():
        if fault := verdict.fault():
            faults.setdefault(fault.what, []).append((fault, verdict))
    return {str(fault): _sentence(own) for own in faults.values() for fault, _ in own}


def _sentence(alike: Sequence[tuple[Fault, Verdict]]) -> str:
    sentence, more = alike[0][1].sentence, len(alike) - 1
    fail = "subject fails" if more == 1 else "subjects fail"
    loops = [*dict.fromkeys(fault.loop for fault, _ in alike)]
    where = f": {', '.join(loops)}" if len(loops) > 1 else ""
    return f"{sentence} (and {more} more {fail} in the same way{where})" if more else sentence


WORDS = {OK: Word.KEPT, FAILED: Word.BROKEN}


def as_line(name: str, todo: Callable[[Tally], int]) -> Line:
    """Do it, and tell what came of a check or a question as of a promise."""
    told = outcome(todo, Tally())
    return Line(name, WORDS.get(told.word, Word.NOT_ASKED), told.text.split("\n")[0], told.faults)
