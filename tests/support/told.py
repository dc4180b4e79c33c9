"""A subject whose answers are made up, or come from elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

from oracles.harness.cases.case import Case
from oracles.harness.oracle import PYTHON
from oracles.harness.subjects.subject import Answer, Place


@dataclass(frozen=True)
class Told:
    """Stands for whoever is said to have given an answer, and gives it if it is asked."""

    dtype: str
    tensors: frozenset[str] = PYTHON
    answer: Answer | None = None

    @property
    def place(self) -> Place:
        return Place("told", "elsewhere", self.dtype, "cpu")

    def ask(self, case: Case) -> Answer:
        assert self.answer is not None, "nobody said what it answers"
        return self.answer
