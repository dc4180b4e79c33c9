"""The one walk: of a rule or a part of the loop, every check and then every row of the ledger.

pytest parametrizes over it, and the command line and the workers of ``oracles check -j`` go through
it, so that all of them ask the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from oracles.harness.checks.catalogue import checks
from oracles.harness.checks.check import Check
from oracles.harness.deviations.flaws import Flaw, flaws_of
from oracles.harness.deviations.ledger import Deviation, ledger
from oracles.harness.loop.catalogue import questions
from oracles.harness.loop.question import Question
from oracles.harness.runs.parts import confirm_flaw, run_question
from oracles.harness.runs.runner import confirm, run_check
from oracles.harness.runs.tally import Tally
from oracles.rule import Rule

_REPRODUCER = "known deviation "
"""Before the id of a row of the ledger: the name of the task to run its reproducer."""


@dataclass(frozen=True)
class Task:
    """One thing to ask of the subjects of a rule, or at the sites of a part of the loop.

    Attributes:
        of: the rule, or the name of the part, that they are held to.
        what: a check or question, or a row of a ledger whose reproducer is run.
    """

    of: Rule | str
    what: Check | Deviation | Question | Flaw

    @property
    def whose(self) -> str:
        """The name of the rule or part."""
        return self.of.name if isinstance(self.of, Rule) else self.of

    @property
    def name(self) -> str:
        """How reports and test ids write it."""
        return f"{self.whose}: {self.asks}"

    @property
    def asks(self) -> str:
        """The same without whose it is."""
        if isinstance(self.what, Check | Question):
            return self.what.name
        return f"{_REPRODUCER}{self.what.id}"

    def run(self, there: Sequence[Any], tally: Tally) -> int:
        """Ask; returns how many verdicts decided something, 0 if nobody could be asked.

        Raises:
            Refuted: a subject failed, or a row of the ledger is out of date.
            Vacuous: nothing was decided.
        """
        match self.of, self.what:
            case Rule(), Check():
                return run_check(self.what, self.of, there, tally)
            case Rule(), Deviation():
                return confirm(self.what, self.of, there, tally)
            case _, Question():
                return run_question(self.what, there, tally)
            case _, Flaw():
                return confirm_flaw(self.what, self.whose, there, tally)
        raise TypeError(f"{self.whose} cannot be asked {self.what}")


def row_of(asks: str) -> str:
    """The id of the row whose reproducer a task of that name runs; empty if it runs none.

    >>> row_of("known deviation group-kept"), row_of("agreement")
    ('group-kept', '')
    """
    return asks.removeprefix(_REPRODUCER) if asks.startswith(_REPRODUCER) else ""


def walk_part(part: str) -> Iterator[Task]:
    """All that is asked about a part of the loop, in order."""
    yield from (Task(part, question) for question in questions(part))
    yield from (Task(part, row) for row in flaws_of(part))


def walk(rule: Rule) -> Iterator[Task]:
    """All that is asked about a rule, in order."""
    yield from walk_checks(rule)
    yield from (Task(rule, row) for row in ledger() if rule.name in row.rules)


def walk_checks(rule: Rule) -> Iterator[Task]:
    """What others than torch's class are asked: what torch gets wrong is none of theirs."""
    yield from (Task(rule, check) for check in checks(rule))
