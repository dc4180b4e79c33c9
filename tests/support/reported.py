"""Reports of short runs, and what is changed in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache, partial
from typing import Any

from oracles.harness.runs.outcome import outcome
from oracles.harness.runs.tally import Tally
from oracles.harness.runs.walk import walk
from oracles.harness.subjects.selection import select
from oracles.optimizers.sgd import RULE
from oracles.reports.run_report import Chosen, JsonLine, Kind, Result, RunReport, report

PATHS = ("for-loop", "foreach")
DTYPES = ("float64", "float32")
ROW = "known deviation foreach-nesterov-gradient"
CHECKS = ("agreement", "rejects batch_scaled", ROW)


def run(optimizer: Any = None, checks: Iterable[str] = CHECKS) -> RunReport:
    """A few checks of SGD on a few places, asked now."""
    subjects = select(RULE, PATHS, DTYPES, ["cpu"], optimizer=optimizer)
    told = [
        (task, outcome(partial(task.run, subjects[0]), Tally()))
        for task in walk(RULE)
        if task.asks in checks
    ]
    return report(Chosen(PATHS, DTYPES, ("cpu",)), told, lambda name: subjects)


@cache
def of_torch() -> RunReport:
    """That of the installed torch, which is asked once; as if each check had met every place."""
    whole = run()
    for check in CHECKS[:2]:
        whole = changed(whole, _passed, kind=Kind.CELL, check=check)
    return whole


def _passed(line: dict[str, Any]) -> JsonLine:
    return {**line, "outcome": Result.PASSED}


def changed(
    whole: RunReport, change: Callable[[dict[str, Any]], JsonLine | None], /, **which: Any
) -> RunReport:
    """The report with the lines changed that have those entries; None takes a line out."""
    lines = [change(dict(line)) if {**line, **which} == {**line} else line for line in whole.lines]
    return RunReport(whole.header, tuple(line for line in lines if line is not None))
