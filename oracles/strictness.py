"""The strict question: is a class a clone of torch's, names, states, paths, edges and all?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from oracles.harness.evidence.settings import Draws
from oracles.harness.promise import Line
from oracles.harness.runs.outcome import as_line
from oracles.harness.runs.profiles import lasting
from oracles.harness.runs.walk import Task, walk_checks
from oracles.rule import Rule


def questions(cls: type, rule: Rule, draws: Draws) -> Iterator[tuple[str, Callable[[], Line]]]:
    """The checks that torch's class is asked, but for what torch is known to get wrong."""
    from oracles.harness.subjects.selection import select

    there, _ = select(rule, optimizer=cls)
    for task in walk_checks(rule):
        yield task.name, partial(_asked, task, there, draws)


def _asked(task: Task, subjects: list[Any], draws: Draws) -> Line:
    with lasting(draws.profile, draws.seed):
        return as_line(task.name, partial(task.run, subjects))
