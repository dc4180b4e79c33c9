"""A check: a question with the cases it is asked on, and who answers it well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import NamedTuple

from hypothesis import strategies as st

from oracles.harness.arithmetic.formats import FULL
from oracles.harness.cases.case import PRECISIONS, Case
from oracles.harness.oracle import Oracle
from oracles.harness.subjects.paths import Path
from oracles.harness.subjects.subject import SteppedSubject, World
from oracles.harness.verdict import Verdict
from oracles.rule import Convention, Rule

Ask = Callable[[SteppedSubject, Oracle], Verdict]


SHARE = 1 / 12
"""Examples of a check of weight 1 for each one of the profile: many optimizers share the time."""


class Draw(NamedTuple):
    """Some of a check's cases.

    Attributes:
        name: by which they are drawn, and filed if somebody fails them.
        number: how many.
        cases: of what.
    """

    name: str
    number: int
    cases: st.SearchStrategy[Case]


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

    def draws(
        self, rule: Rule, examples: float, among: Sequence[str] = PRECISIONS
    ) -> Iterator[Draw]:
        """Its cases for a rule, drawn in classes of precisions.

        As many classes as there are cases to ask, or precisions: of a few cases that are each in
        any of them, some precision would mostly have none.

        Args:
            rule: whose cases.
            examples: of a check of weight 1.
            among: the precisions of those who will be asked.
        """
        number = round(examples * self.weight)
        classes = [among[start::number] for start in range(min(number, len(among)))] or [among]
        turns = cycle([*among, *(precision for precision in FULL if precision in among)])
        shares = Counter(islice(turns, number))
        for own in classes:
            name = f"{rule.name}: {self.name} in {', '.join(own)}"
            # Hypothesis begins with the simplest there is, which shows little: it comes on top.
            count = 1 + sum(shares[precision] for precision in own)
            yield Draw(name, count, self.cases(rule, among=own))
