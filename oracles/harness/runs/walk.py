"""The one walk: of a rule, every check and then every row of the ledger.

pytest parametrizes over it, and the command line and the workers of ``oracles check -j`` go through
it, so that all of them ask the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from oracles.harness.checks.catalogue import checks
from oracles.harness.checks.check import Check
from oracles.harness.deviations.ledger import Deviation, ledger
from oracles.harness.runs.runner import confirm, run_check
from oracles.harness.runs.tally import Tally
from oracles.harness.subjects.subject import SteppedSubject
from oracles.rule import Rule


@dataclass(frozen=True)
class Task:
    """One thing to ask of a rule's subjects.

    Attributes:
        rule: what they are held to.
        what: a check, or a row of the ledger whose reproducer is run.
    """

    rule: Rule
    what: Check | Deviation

    @property
    def name(self) -> str:
        """How reports and test ids write it."""
        return f"{self.rule.name}: {self.asks}"

    @property
    def asks(self) -> str:
        """The same without whose it is."""
        if isinstance(self.what, Check):
            return self.what.name
        return f"known deviation {self.what.id}"

    def run(self, subjects: Sequence[SteppedSubject], tally: Tally) -> int:
        """Ask; returns how many verdicts decided something, 0 if nobody could be asked.

        Raises:
            Refuted: a subject failed, or a row of the ledger is out of date.
            Vacuous: nothing was decided.
        """
        if isinstance(self.what, Check):
            return run_check(self.what, self.rule, subjects, tally)
        return confirm(self.what, self.rule, subjects, tally)


def walk(rule: Rule) -> Iterator[Task]:
    """All that is asked about a rule, in order."""
    yield from walk_checks(rule)
    yield from (Task(rule, row) for row in ledger() if rule.name in row.rules)


def walk_checks(rule: Rule) -> Iterator[Task]:
    """What others than torch's class are asked: what torch gets wrong is none of theirs."""
    yield from (Task(rule, check) for check in checks(rule))
