"""Options, header, fixtures and summary of a run. The questions are in ``tests/``."""

from __future__ import annotations

import gc
import importlib.metadata
import json
import platform
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import settings

from oracles import files
from oracles.commands.command import SEVERAL, several
from oracles.everybody import EVERYBODY, present, refuse_unknown
from oracles.harness.runs import profiles
from oracles.harness.runs.outcome import Outcome
from oracles.harness.runs.tally import Tally, vacuities
from oracles.harness.subjects.description import device_name
from oracles.harness.subjects.paths import CHOICES
from oracles.harness.subjects.torch_optim import TorchSubject, devices, quiet
from oracles.layout import ELSEWHERE
from oracles.optimizers.registry import RULES
from oracles.reports.terminal import render
from oracles.rule import Rule
from tests.support.recorder import PROPERTY, Recorder

profiles.load()
pytest.register_assert_rewrite("tests.support.byhand")  # it has tests that others extend
TALLY = pytest.StashKey[Tally]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("oracles", "which subjects are asked (default: all there are)")
    for option, example in CHOICES.items():
        group.addoption(
            f"--{option}",
            action="extend",
            type=several,
            default=[],
            metavar=option.upper(),
            help=f"ask only this {option}, e.g. {example!r}; {SEVERAL}",
        )
    group.addoption(
        "--oracles-report",
        type=Path,
        metavar="FILE",
        help="keep what was seen there, for `oracles compare`; compressed if it ends in .xz; its "
        "folder is made",
    )


def pytest_configure(config: pytest.Config) -> None:
    quiet()
    config.stash[TALLY] = Tally()
    try:
        refuse_unknown(EVERYBODY, *_chosen(config))
        path = config.getoption("--oracles-report")
        if path and not hasattr(config, "workerinput"):
            files.make_room(path)
    except (ValueError, OSError) as error:
        raise pytest.UsageError(str(error)) from error
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Recorder(path.absolute(), *_chosen(config)))


def _chosen(config: pytest.Config) -> list[list[str]]:
    return [config.getoption(f"--{option}") for option in CHOICES]


def pytest_report_header(config: pytest.Config) -> list[str]:
    names = [f"{device} ({device_name(device)})" for device in devices() if "+" not in device]
    profile = settings.get_current_profile_name()
    return [
        f"torch {torch.__version__}, NumPy {np.__version__}, Python {platform.python_version()}, "
        f"midpoints in {np.finfo(np.longdouble).nmant + 1} bits",
        f"devices: {', '.join(names)}; "
        f"Hypothesis {importlib.metadata.version('hypothesis')}, profile {profile}",
    ]


@pytest.fixture(scope="session", autouse=True)
def as_wide_as_ever() -> Iterator[None]:
    """What commands print in tests is as wide on every terminal."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(ELSEWHERE))
        yield


@pytest.fixture(scope="session")
def present_of(pytestconfig: pytest.Config) -> Callable[[str], list[Any]]:
    """Whom to ask of a rule or a part of the loop, on each chosen path, dtype and device."""

    @cache
    def asked(name: str) -> list[Any]:
        there, missing = present(name, *_chosen(pytestconfig))
        pytestconfig.stash[TALLY].absent |= missing
        return there

    return asked


@pytest.fixture(scope="session")
def subjects_of(present_of: Callable[[str], list[Any]]) -> Callable[[Rule], list[TorchSubject]]:
    """Whom to ask of a rule: its optimizer on each chosen path, dtype and device that is there."""
    return lambda rule: present_of(rule.name)


@pytest.fixture(scope="session")
def subjects(subjects_of: Callable[[Rule], list[TorchSubject]]) -> list[TorchSubject]:
    """Everything there is to ask, of all rules."""
    return [subject for rule in RULES.values() for subject in subjects_of(rule)]


@pytest.fixture(scope="session")
def tally(pytestconfig: pytest.Config) -> Tally:
    """Where this run is counted."""
    return pytestconfig.stash[TALLY]


@pytest.fixture
def recorded(
    pytestconfig: pytest.Config, record_property: Callable[[str, object], None]
) -> Callable[[Outcome], None]:
    """To be told what came of a task: counts it, and hands it over if there is to be a report."""

    def record(told: Outcome) -> None:
        pytestconfig.stash[TALLY].merge(told.tally)
        if pytestconfig.getoption("--oracles-report"):
            record_property(PROPERTY, told.to_json())

    return record


@pytest.hookimpl(tryfirst=True)  # before what is slow is left out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of a table that is marked ``one_in``, all but one in so many are slow."""
    seen = Counter[str]()
    for item in items:
        mark = item.get_closest_marker("one_in")
        if mark is None or item.get_closest_marker("slow"):
            continue
        table, _, _ = item.nodeid.partition("[")
        if seen[table] % mark.args[0]:
            item.add_marker(pytest.mark.slow)
        seen[table] += 1


def pytest_collection_finish(session: pytest.Session) -> None:
    """What has been imported stays: the garbage collector need not look through it again.

    What comes on top is looked through seldom.
    """
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of ``pytest -n`` hands its tally to the controller, which judges the whole."""
    tally, output = session.config.stash[TALLY], getattr(session.config, "workeroutput", None)
    if output is not None:
        output["tally"] = json.dumps(tally.to_json())
    elif vacuities(tally):
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """The controller of ``pytest -n`` adds a worker's tally to its own."""
    handed = getattr(node, "workeroutput", {}).get("tally")
    if handed:
        node.config.stash[TALLY].merge(Tally.from_json(json.loads(handed)))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    tally = config.stash[TALLY]
    if tally.lines or tally.confirmed or tally.healed:
        terminalreporter.section("oracles")
        terminalreporter.write_line(render(tally, full=config.get_verbosity() > 0))
