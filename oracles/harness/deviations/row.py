"""What the rows of both ledgers have, and how they are read."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from packaging.specifiers import SpecifierSet
from packaging.version import Version


@dataclass(frozen=True, kw_only=True)
class Row:
    """Something that released versions of torch get wrong.

    Attributes:
        id: its short name.
        region: by which the cases in which it shows are known.
        versions: of torch, found by running them.
        reason: what happens, and where in the code.
        upstream: the issue or pull request nearest to it; empty if none was found.
        paths, dtypes, devices: of the places where it shows.
    """

    id: str
    region: str
    versions: SpecifierSet
    reason: str
    upstream: str
    paths: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.reason} {self.upstream}".strip()

    def holds_for(self, torch_version: str) -> bool:
        """Whether the row says that this version of torch deviates."""
        return self.versions.contains(Version(torch_version).base_version)


RowT = TypeVar("RowT", bound=Row)


def read(file: Path, kind: type[RowT]) -> Iterator[RowT]:
    """All rows of a ledger.

    Raises:
        ValueError: a row lacks a field, or has one that is not known.
    """
    for table in tomllib.loads(file.read_text(encoding="utf-8"))["deviation"]:
        lists = {name: tuple(value) for name, value in table.items() if isinstance(value, list)}
        try:
            yield kind(**table | lists | {"versions": SpecifierSet(table["versions"])})
        except (TypeError, KeyError) as error:
            raise ValueError(f"deviation {table.get('id')!r}: {error}") from error
