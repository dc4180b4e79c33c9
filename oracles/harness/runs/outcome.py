"""What has come of one task, in words and counters that travel between processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from oracles.harness.promise import Line, Word
from oracles.harness.runs.runner import Refuted
from oracles.harness.runs.tally import Tally
from oracles.harness.verdict import Vacuous

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
    """

    word: str
    text: str = ""
    notes: tuple[str, ...] = ()
    tally: Tally = field(default_factory=Tally)
    seconds: float = 0.0

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
    try:
        word = OK if todo(tally) else NOT_ASKED
    except (Refuted, Vacuous) as failure:
        word, text, notes = FAILED, str(failure), tuple(getattr(failure, "__notes__", ()))
    return Outcome(word, text, notes, tally, time.perf_counter() - start)


WORDS = {OK: Word.KEPT, FAILED: Word.BROKEN}


def line_of(name: str, told: Outcome) -> Line:
    """What has come of a check or a question, as that of a promise is told."""
    return Line(name, WORDS.get(told.word, Word.NOT_ASKED), told.text.split("\n")[0])
