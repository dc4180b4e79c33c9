"""What released versions of torch get wrong around a step, as rows of data.

``flaws.toml`` holds the rows and says what their fields mean. Where a row of ``deviations.toml``
has a case of an optimizer, one of these has a few lines of Python that a person can run, or put
into an issue.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from oracles.harness.deviations.ledger import Deviation, ledger
from oracles.harness.deviations.row import Row, read
from oracles.harness.subjects.processes import Rank, ask
from oracles.harness.subjects.subject import Place

FLAWS = Path(__file__).with_name("flaws.toml")


@dataclass(frozen=True, kw_only=True)
class Flaw(Row):
    """One row of the ledger; with no paths, dtypes or devices it is about all of them.

    Attributes:
        parts: the classes or functions of torch that it is about.
        questions: names of those that fail where it shows, each of which knows the region.
        reproducer: a program that asserts what should hold.
        ranks: how many processes run it, each in the process group of all; 0: it runs by itself.
        raises: words of the errors it ends in: kinds, or ``kind: message``, or a part of that.
    """

    parts: tuple[str, ...]
    questions: tuple[str, ...]
    reproducer: str
    ranks: int = 0
    raises: tuple[str, ...] = ("AssertionError",)

    def concerns(self, question: str | None, place: Place) -> bool:
        """Whether the row is about a question, or any, at a place."""
        return question in (None, *self.questions) and all(
            not names or name in names
            for names, name in (
                (self.parts, place.optimizer),
                (self.paths, place.path),
                (self.dtypes, place.dtype),
                (self.devices, place.device),
            )
        )

    def shows(self) -> bool:
        """Whether the reproducer fails here.

        Raises:
            Exception: it fails in another way, which tells nothing of what the row says.
        """
        try:
            if self.ranks:
                ask(self.ranks, program, self.reproducer, self.id)
            else:
                program(self.reproducer, self.id)
        except Exception as error:
            if not any(words in f"{type(error).__name__}: {error}" for words in self.raises):
                raise
            return True
        return False


def program(text: str, name: str, rank: Rank | None = None) -> None:
    """Run a reproducer, in this process or as one of the ranks of a world.

    What torch advises meanwhile is no failure, even where warnings are made errors.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(compile(text, name, "exec"), {"__name__": name})


@cache
def flaws() -> tuple[Flaw, ...]:
    """All rows.

    Raises:
        ValueError: a row lacks a field, or has one that is not known.
    """
    return tuple(read(FLAWS, Flaw))


def known() -> tuple[Deviation | Flaw, ...]:
    """All rows of both ledgers."""
    return (*ledger(), *flaws())


def flaws_of(part: str) -> tuple[Flaw, ...]:
    """The rows about one part."""
    return tuple(row for row in flaws() if part in row.parts)


@cache
def active(part: str, torch_version: str) -> tuple[Flaw, ...]:
    """The rows about a part that hold for a version of torch."""
    return tuple(row for row in flaws_of(part) if row.holds_for(torch_version))
