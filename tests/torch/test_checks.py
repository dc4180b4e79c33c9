"""The walk: every check and every row of the ledger, asked of each path and dtype of torch at once.

Within one example all paths are asked, because drawing a case costs more than asking one more
subject; a failing check names each subject that fails, one sentence each.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from oracles.harness.runs.outcome import FAILED, NOT_ASKED, Outcome, outcome
from oracles.harness.runs.tally import Tally
from oracles.harness.runs.walk import Task, walk
from oracles.harness.subjects.torch_optim import TorchSubject
from oracles.optimizers.registry import RULES
from oracles.rule import Rule

TASKS = [task for rule in RULES.values() for task in walk(rule)]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_task(
    task: Task,
    subjects_of: Callable[[Rule], list[TorchSubject]],
    recorded: Callable[[Outcome], None],
) -> None:
    told = outcome(partial(task.run, subjects_of(task.rule)), Tally())
    recorded(told)
    if told.word == FAILED:
        pytest.fail("\n".join([told.text, *told.notes]), pytrace=False)
    if told.word == NOT_ASKED:
        pytest.skip("no chosen subject can be asked this")
