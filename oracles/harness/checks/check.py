"""A check: a question with the cases it is asked on, and who answers it well."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import strategies as st

from oracles.harness.cases.case import Case
from oracles.harness.oracle import Oracle
from oracles.harness.subjects.paths import Path
from oracles.harness.subjects.subject import SteppedSubject, World
from oracles.harness.verdict import Verdict
from oracles.rule import Convention

Ask = Callable[[SteppedSubject, Oracle], Verdict]


SHARE = 1 / 12
"""Examples of a check of weight 1 for each one of the profile: many optimizers share the time."""


@dataclass(frozen=True)
class Check:
    """One question.

    Attributes:
        name: as reports and the ledger write it.
        cases: strategy for the rule's cases; ``among`` are the precisions of those who will be
            asked.
        ask: asks one subject.
        applies: which paths it can be asked on.
        world: the global state of torch it is asked in; who lacks it is not asked.
        rejects: the convention it proves to be another one, if that is its purpose.
        weight: its share of the examples, relative to the others.
        shrinks: whether a failing case is simplified; one that takes a second would take minutes.
    """

    name: str
    cases: Callable[..., st.SearchStrategy[Case]]
    ask: Ask
    applies: Callable[[Path], bool] = lambda path: True
    world: World = World.PLAIN
    rejects: Convention | None = None
    weight: float = 1.0
    shrinks: bool = True

    def examples(self, of_profile: int) -> int:
        """How many cases to ask where a test of its own would ask ``of_profile``.

        Hypothesis begins with the simplest there is, which shows little: it comes on top.
        """
        return 1 + round(of_profile * self.weight * SHARE)
