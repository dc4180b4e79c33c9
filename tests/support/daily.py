"""Of all tasks of the walk, those that are slow: ``-m slow`` asks them, on every push.

Each check is asked of some rules each time, and each rule so many that every wrong optimizer of the
zoo would be caught, and every faulty part of the loop (``meta/test_zoo.py`` holds that).
"""

from __future__ import annotations

from oracles.everybody import EVERYBODY, tasks_of
from oracles.harness.checks import names
from oracles.harness.checks.check import Check
from oracles.harness.deviations.ledger import Deviation
from oracles.harness.runs.walk import Task
from tests.support.marks import again

TASKS = [task for name in EVERYBODY for task in tasks_of(name)]

QUICK = ("SGD", "Adam", "Muon")
"""Rules of which everything is asked each time."""

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
    if task.whose in QUICK or not isinstance(task.what, Check):
        return False
    rejects = task.what.rejects
    return task.asks in ELSEWHERE or (rejects is not None and rejects.name != "batch_scaled")


_REPRODUCED = [task for task in TASKS if isinstance(task.what, Deviation)]

SLOW = {
    task.name for task in [*filter(_beside, TASKS), *again(_REPRODUCED, lambda task: task.asks, 2)]
}
"""Their names; of a deviation that many rules have, two show whether it is still there."""
