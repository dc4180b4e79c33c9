"""What all commands share: how they are called, what they take lists by, and how they refuse."""

from __future__ import annotations

import io
import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from torch import optim

import oracles
from oracles import cli
from oracles.commands.command import several
from oracles.harness.subjects.paths import PATHS
from oracles.harness.watching.faults import FAULTS
from oracles.report import Report
from oracles.reports.checked import show
from oracles.reports.text import columns, plain, printed, put

SCHEMA = Path(oracles.__file__).parent / "reports/error.schema.json"
REFUSED = Draft202012Validator(json.loads(SCHEMA.read_bytes()))

OFF = {
    "check LBFGS": "`oracles explain LBFGS` says what it computes",
    "check --rule SGD,LBFGS": "--rule='LBFGS' cannot be asked: it iterates to a criterion",
    "check Adam": "Adam is torch's: ask it by --rule Adam",
    "check -q": "oracles check: -q is no option of oracles check",
    "check --dtype float32,float46": "--dtype='float46' is not there (did you mean 'float64'?)",
    "check x:y --as-torch --within 1": "--within is for code of your own, without --as-torch",
    "check x:y --rule StepLR --as-torch": "--as-torch is for optimizers, and no schedule has it",
    "check x:y --rule GradScaler": "--rule GradScaler is for torch's own, not for x:y",
    "explain torch.optim.Adam": "(did you mean 'Adam'?)",
    "identify gone.csv": "gone.csv cannot be read: No such file or directory\n",
    "identify my.py": "'my.py' names a file; allowed: a module",
    "identify tests.support.breakers:Claen": "no 'Claen', did you mean 'Clean'?",
    "identify torch.optim.Adam": "is not MODULE:NAME, as torch.optim:Adam; or a file that ends in",
    "explain DTensor": "`oracles check --rule DTensor` asks whether it does",
    "explain GradScaler --convention ceilin": "--convention='ceilin' of GradScaler is not known",
    "explain GradScaler --picture a.svg": "--picture: GradScaler has no line of its own; allowed: "
    "optimizers, and schedules that need no others",
    "explain StepLR --convention staircase --picture a.svg": "'staircase' parts from nothing",
    "identify x:y --rule SGD,LBFGS": "--rule='LBFGS' cannot be asked",
    "loop x:y --allow raises,rases": "--allow='rases' is no fault (did you mean 'raises'?)",
    "page reports": "oracles page: reports is no argument of oracles page; allowed: --help",
}


def refused(command: str) -> int | str | None:
    """The status of a call that is off."""
    try:
        return cli.main(command.split())
    except SystemExit as off:
        return off.code


@pytest.mark.parametrize("command", OFF)
def test_a_call_that_is_off_is_told_why(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(command) == 2
    said = capsys.readouterr()
    assert OFF[command] in said.err and not said.out
    assert said.err.count("\n") == 1  # no usage in front of it; and whole where nobody watches


@pytest.mark.parametrize(
    "command",
    ["identify gone.csv", "explain torch.optim.Adam", "check Adam", "loop x:y --seteps 3"],
)
def test_for_a_program_a_refusal_is_json(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    refused(command)
    told = capsys.readouterr().err.partition(": ")[2].strip()
    assert refused(f"{command} --json") == 2
    said = capsys.readouterr()
    document = json.loads(said.out)
    assert not list(REFUSED.iter_errors(document))
    assert (document["error"], said.err) == (told, "")


def test_on_a_terminal_a_refusal_is_as_wide_as_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    for command in ("identify x:y --rule Adma", "check --rul SGD --x"):
        assert refused(command) == 2
        first, *others = capsys.readouterr().err.splitlines()
        assert others and all(line.startswith("    ") for line in others)
        assert max(map(len, (first, *others))) <= 80


@pytest.mark.parametrize("name", [named.name for named in (*PATHS, *FAULTS)])
def test_a_name_with_commas_is_one(name: str) -> None:
    assert several(name) == [name]
    assert several(f"{name},{name}") == [name, name]


class Needs(optim.SGD):
    def __init__(self, params: Any, lr: float, total: int) -> None:
        super().__init__(params, lr)
        self.total = total


def test_who_lacks_an_argument_is_told_how_to_give_it() -> None:
    how = (
        "argument: 'total'; given by fixed={...}, or, if torch has it, by names={'TORCHS': 'total'}"
    )
    assert how in str(oracles.identify(Needs))
    assert how in str(oracles.check(Needs))


@pytest.mark.parametrize(
    ("subject", "said"),
    [
        (lambda t, base, gamma: base * gamma**t, "oracles.identify names the schedule"),
        (optim.lr_scheduler.StepLR, "a class of schedulers is for oracles.check_schedule"),
        (lambda X, y, lr, epochs: None, "is a training loop: oracles.identify says which"),
    ],
    ids=["a schedule", "a class of schedulers", "a training loop"],
)
def test_what_is_no_optimizer_is_sent_to_who_asks_it(subject: Any, said: str) -> None:
    with pytest.raises(TypeError, match=said):
        oracles.check(subject)


def test_a_report_is_as_wide_as_the_terminal() -> None:
    """Elsewhere its sentences are lines, which can be searched for and quoted."""
    report = Report("Mine", fault=f"cannot be stepped: {'x ' * 60}")
    for terminal in (True, False):
        out = io.StringIO()
        show(report, plain(file=out, width=60, force_terminal=terminal, color_system=None))
        lines = out.getvalue().splitlines()
        assert (max(map(len, lines)) <= 60) == terminal == (len(lines) > 2)


@pytest.mark.parametrize(("room", "whole"), [(80, 2), (65, 2), (60, 1)])
def test_a_table_tears_no_word_for_which_there_is_room(room: int, whole: int) -> None:
    """And if there is none, the longest; what is short stays on its line."""
    long = ("CosineAnnealingWarmRestarts", "a-late-group-is-refused")
    table = columns("what", "whose", "which", "")
    table.add_row("three short words", *long, "")
    text = printed(lambda console: put(console, table), room)
    assert max(map(len, text.splitlines())) <= room
    assert sum(word in text for word in long) == whole
    assert ("three short words" in text) == (room == 80)


def test_no_command_is_asked_for_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    said = capsys.readouterr()
    assert all(f"    {command}" in said.err for command in cli.COMMANDS) and not said.out


def test_ctrl_c_while_a_command_is_imported_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "import_module", interrupted)
    assert cli.main(["check"]) == 130


def test_the_package_is_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["oracles", "page", "reports"])
    with pytest.raises(SystemExit, match="2"):
        runpy.run_path(str(Path(oracles.__file__).with_name("__main__.py")), run_name="__main__")
