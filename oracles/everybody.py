"""All rules and all parts of the loop by their names: what is asked of each, and who is there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from oracles.harness.loop.catalogue import PARTS, questions
from oracles.harness.runs.parts import sites
from oracles.harness.runs.walk import Task, walk, walk_part
from oracles.harness.subjects.subject import Place
from oracles.optimizers.registry import RULES

EVERYBODY = (*RULES, *PARTS)
"""The names of all rules and parts, in the order in which they are walked."""


def tasks_of(name: str) -> Iterator[Task]:
    """All that is asked about a rule or a part of the loop."""
    return walk(RULES[name]) if name in RULES else walk_part(name)


def present(
    name: str,
    paths: Sequence[str] = (),
    dtypes: Sequence[str] = (),
    devices: Sequence[str] = (),
    *,
    optimizer: Any = None,
) -> tuple[list[Any], dict[Place, str]]:
    """Who is asked of a rule or a part, and by place why others are absent; this needs torch."""
    from oracles.harness.subjects.selection import select

    if name in RULES:
        return select(RULES[name], paths, dtypes, devices, optimizer=optimizer)
    return sites(name, paths, dtypes, devices)


def refuse_unknown(
    names: Iterable[str], paths: Sequence[str], dtypes: Sequence[str], devices: Sequence[str]
) -> None:
    """Refuse paths, dtypes and devices that none of these rules and parts has; this needs torch.

    Raises:
        ValueError: with those there are.
    """
    from oracles.harness.subjects.selection import refuse_places

    parts = [name for name in names if name in PARTS] if paths else []
    others = [place.path for name in parts for ask in questions(name) for place in ask.places()]
    refuse_places(paths, dtypes, devices, others)
