"""What released versions of torch get wrong around a step, as rows of data.

``flaws.toml`` holds the rows and says what their fields mean. Where a row of ``deviations.toml``
has a case of an optimizer, one of these has a few lines of Python that a person can run, or put
into an issue.
"""

from __future__ import annotations

import tomllib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from oracles.harness.deviations.ledger import Deviation, ledger
from oracles.harness.subjects.processes import Rank, ask
from oracles.harness.subjects.subject import Place

FLAWS = Path(__file__).with_name("flaws.toml")


@dataclass(frozen=True)
class Flaw:
    """One row of the ledger.

    Attributes:
        parts: the classes or functions of torch that it is about.
        id: its short name.
        questions: names of those that fail where it shows.
        region: by which each of these questions knows the cases in which it shows.
        versions: of torch, found by running them.
        reason: what happens, and where in the code.
        upstream: the issue or pull request nearest to it; empty if none was found.
        reproducer: a program that ends in an ``assert`` of what should hold.
        ranks: how many processes run it, each in the process group of all; 0: it runs by itself.
        paths, dtypes, devices: of the places where it shows; empty: of all.
    """

    parts: tuple[str, ...]
    id: str
    questions: tuple[str, ...]
    region: str
    versions: SpecifierSet
    reason: str
    upstream: str
    reproducer: str
    ranks: int = 0
    paths: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.reason} {self.upstream}".strip()

    def holds_for(self, torch_version: str) -> bool:
        """Whether the row says that this version of torch deviates."""
        return _contains(self.versions, torch_version)

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
        """Whether the reproducer fails here, in whatever way."""
        try:
            if self.ranks:
                ask(self.ranks, program, self.reproducer, self.id)
            else:
                program(self.reproducer, self.id)
        except Exception:
            return True
        return False


@cache
def _contains(versions: SpecifierSet, torch_version: str) -> bool:
    """Asked again for each case at each site."""
    return versions.contains(Version(torch_version).base_version)


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
    return tuple(_rows())


def _rows() -> Iterator[Flaw]:
    for table in tomllib.loads(FLAWS.read_text(encoding="utf-8")).get("deviation", ()):
        for name in ("parts", "questions", "paths", "dtypes", "devices"):
            table[name] = tuple(table.get(name, ()))
        try:
            table["versions"] = SpecifierSet(table["versions"])
            yield Flaw(**table)
        except (TypeError, KeyError) as error:
            raise ValueError(f"deviation {table.get('id')!r}: {error}") from error


def known() -> tuple[Deviation | Flaw, ...]:
    """All rows of both ledgers."""
    return (*ledger(), *flaws())


def flaws_of(part: str) -> tuple[Flaw, ...]:
    """The rows about one part."""
    return tuple(row for row in flaws() if part in row.parts)
