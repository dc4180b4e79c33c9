"""Of all tasks of the walk, those that are slow: ``-m slow`` asks them, on every push.

By day all is asked of SGD, agreement of each rule, and whatever else is asked of many rules or
parts is asked of one in so many. Who that is takes turns from one check to the next, so that each
check is asked of somebody, and somebody is asked what finds each kind of wrong optimizer of the zoo
and each faulty part of the loop (``meta/test_zoo.py``, ``meta/test_loop_zoo.py``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import filterfalse
from zlib import crc32

from oracles.everybody import EVERYBODY, tasks_of
from oracles.harness.checks import names
from oracles.harness.checks.check import Check
from oracles.harness.runs.walk import Task

TASKS = [task for name in EVERYBODY for task in tasks_of(name)]

WHOLE = "SGD"
"""The rule of which everything is asked each time."""

TURNS = 7
"""Of so many rules or parts, one is asked by day what is asked of them all."""

ALONE = (f"NAdam: {names.LATE}", f"SparseAdam: {names.LATE}", f"SparseAdam: {names.SPARSE}")
"""Tasks that find what no other rule can have wrong; they take no turns."""

PICKLED = names.COPIED[-1]

ELSEWHERE = (
    names.SPLITTING,
    names.TRANSPOSING,
    names.ORDER,
    names.TO_NONE,
    PICKLED,
    names.KEPT,
)
"""Checks that catch nobody whom no other one catches."""


def _beside(task: Task) -> bool:
    """Whether other checks that are asked of the same rule ask as much.

    To reject a convention is to agree with torch's in a case that parts the two.
    """
    if not isinstance(task.what, Check):
        return False
    rejects = task.what.rejects
    return task.asks in ELSEWHERE or (rejects is not None and rejects.name != "batch_scaled")


def _not_in_turn(tasks: Iterable[Task]) -> Iterator[Task]:
    """Of those that ask the same, all but one of each ``TURNS``."""
    alike: dict[str, list[Task]] = defaultdict(list)
    for task in tasks:
        alike[task.asks].append(task)
    for asks, those in alike.items():
        turn = crc32(asks.encode()) % min(TURNS, len(those))
        yield from (task for place, task in enumerate(those) if place % TURNS != turn)


_OTHERS = [
    task
    for task in TASKS
    if task.whose != WHOLE and task.asks != names.AGREEMENT and task.name not in ALONE
]

SLOW = {
    task.name for task in [*filter(_beside, _OTHERS), *_not_in_turn(filterfalse(_beside, _OTHERS))]
}
"""The names of those that are."""
