"""``pytest --oracles-report FILE``: what comes of each task of the walk, kept as a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from oracles.everybody import EVERYBODY, present, tasks_of
from oracles.harness.runs.outcome import FAILED, Outcome
from oracles.harness.subjects.subject import Place
from oracles.reports.run_report import Chosen, report, write

PROPERTY = "oracles"
"""Under which a test hands over the outcome of its task, from whatever process it runs in."""

TEST = "::test_task["
"""Which test asks a task; its name follows, in brackets."""


class Recorder:
    """A plugin of the process that is told of all tests."""

    def __init__(self, path: Path, *chosen: Sequence[str]) -> None:
        self.path, self.chosen = path, [tuple(names) for names in chosen]
        self.told: dict[str, Outcome] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test without an outcome did not come so far, or took its process with it."""
        _, asked, name = report.nodeid.partition(TEST)
        handed: Any = dict(report.user_properties).get(PROPERTY)
        if not asked or report.when == "teardown":
            return
        if handed:
            self.told[name.removesuffix("]")] = Outcome.from_json(handed)
        elif report.failed:
            self.told[name.removesuffix("]")] = Outcome(FAILED, str(report.longrepr))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: Any) -> None:
        """A run that was stopped leaves no report, which would be taken for a whole one."""
        tasks = (task for name in EVERYBODY for task in tasks_of(name))
        told = [(task, self.told[task.name]) for task in tasks if task.name in self.told]
        if told and not (session.shouldstop or session.shouldfail):
            write(self.path, report(self._asked(session.config), told, self._subjects))

    def _asked(self, config: pytest.Config) -> Chosen:
        paths, dtypes, devices = self.chosen
        profile, seed = settings.get_current_profile_name(), config.getoption("--hypothesis-seed")
        return Chosen(paths, dtypes, devices, profile=profile, seed=seed)

    def _subjects(self, name: str) -> tuple[Sequence[Any], Mapping[Place, str]]:
        return present(name, *self.chosen)
