"""The walk: every check and every row of a ledger, asked of each path and dtype of torch at once.

Within one example all paths are asked, because drawing a case costs more than asking one more
subject; a failing check names each subject that fails, one sentence each.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from oracles.harness.runs.outcome import FAILED, NOT_ASKED, Outcome, outcome
from oracles.harness.runs.tally import Tally
from oracles.harness.runs.walk import Task
from tests.support.daily import SLOW, TASKS
from tests.support.marks import slow


@pytest.mark.parametrize(
    "task", slow(TASKS, *SLOW, by=lambda task: task.name), ids=lambda task: task.name
)
def test_task(
    task: Task,
    present_of: Callable[[str], list[Any]],
    recorded: Callable[[Outcome], None],
) -> None:
    told = outcome(partial(task.run, present_of(task.whose)), Tally())
    recorded(told)
    if told.word == FAILED:
        pytest.fail("\n".join([told.text, *told.notes]), pytrace=False)
    if told.word == NOT_ASKED:
        left = ", ".join(told.tally.deviations)
        pytest.skip(f"known to fail: {left}" if left else "no chosen subject can be asked this")
