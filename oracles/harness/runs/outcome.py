"""What has come of one task, in words and counters that travel between processes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from oracles.harness.runs.runner import Refuted
from oracles.harness.runs.tally import Tally
from oracles.harness.verdict import Vacuous

OK = "ok"
FAILED = "FAILED"
NOT_ASKED = "not asked"
"""No subject could be asked that."""
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
    """

    word: str
    text: str = ""
    notes: tuple[str, ...] = ()
    tally: Tally = field(default_factory=Tally)


def outcome(todo: Callable[[Tally], int], tally: Tally) -> Outcome:
    """Do it, counting in ``tally``, and say how it went."""
    try:
        return Outcome(OK if todo(tally) else NOT_ASKED, tally=tally)
    except (Refuted, Vacuous) as failure:
        return Outcome(FAILED, str(failure), tuple(getattr(failure, "__notes__", ())), tally)
