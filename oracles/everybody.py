"""All rules and all parts of the loop by their names: what is asked of each, and who is there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from oracles.harness.loop.catalogue import PARTS
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
    """Who is asked of a rule or a part, and by place why others are absent; this needs torch.

    Raises:
        ValueError: a path, dtype or device is unknown or not there.
    """
    from oracles.harness.subjects.selection import refuse_unknown, select

    if name in RULES:
        return select(RULES[name], paths, dtypes, devices, optimizer=optimizer)
    refuse_unknown(paths, dtypes, devices)
    return sites(name, paths, dtypes, devices)
