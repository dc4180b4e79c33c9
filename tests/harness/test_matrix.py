"""Releases are recorded one by one, in environments of their own; and what they say together."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oracles import cli
from oracles.commands.command import ending_once
from oracles.reports import environments, matrix
from oracles.reports.environments import NotMade, needs, releases, requirements
from oracles.reports.matrix import file_of, recorded, versions
from oracles.reports.run_report import Kind, Result, RunReport, read, write
from tests.support.reported import DTYPES, ROW, changed, of_torch

KNOWN = {"1.13.1": ("numpy<2",), "2.3.1": ("numpy<3",), "2.13.0": ()}


@pytest.mark.parametrize(
    ("release", "needed"),
    [
        ("1.12.0", ("numpy<2",)),
        ("1.13.1", ("numpy<2",)),
        ("2.2.9", ("numpy<2",)),
        ("2.3.1", ("numpy<3",)),
        ("2.10", ("numpy<3",)),
        ("3.0", ()),
    ],
)
def test_a_release_needs_what_the_last_known_one_does(
    release: str, needed: tuple[str, ...]
) -> None:
    """By its number, of which 10 comes after 3."""
    assert needs(release, KNOWN) == needed


def test_what_is_installed_differs_in_torch_and_in_what_it_needs() -> None:
    one, other = requirements("1.13.1", ("numpy<2",)), requirements("2.13.0", ())
    assert {*one} - {*other} == {"torch==1.13.1", "numpy<2"}
    assert {*other} - {*one} == {"torch==2.13.0", f"numpy=={np.__version__}"}
    own = {"torch", "numpy", "hypothesis", "packaging", "rich"}
    assert {requirement.split("==")[0] for requirement in other} == own


def test_the_list_of_releases_is_the_one_that_tox_runs() -> None:
    assert "2.13.0" in releases()
    assert releases()["1.13.1"] == ("numpy<2",)


UV = """#!/bin/sh
echo uv "$@" >> "{folder}/commands"
[ "$1" = venv ] || exit {installs}
for made; do :; done
mkdir -p "$made/bin" "$made/site"
cp "{folder}/python" "$made/bin/python"
"""
"""Makes an environment in which nothing is installed."""

PYTHON = """#!/bin/sh
echo python "$@" >> "{folder}/commands"
home=$(dirname "$0")/../site
[ "$1" = -m ] || exec echo "$home"
test -f "$home/oracles/golden/sgd/batch_scaled.json" || exit 3
test -f "$home/oracles/releases.toml" || exit 3
test -z "$PYTHONPATH" || exit 3
{asked}
"""
"""Its interpreter, which knows where packages are and does something else when it is asked."""

ANSWERS = """echo 4 questions about SGD
echo "ok        SGD: 3 ok, 1 not asked"
for report; do :; done
cp "{folder}/report" "$report"
exit 1"""
"""As a check in which something fails."""

WAITS = """sleep 600 &
echo $! > "{folder}/sleeper.part"
mv "{folder}/sleeper.part" "{folder}/sleeper"
wait"""
"""As a check that has workers and is not through with them."""


def maker(folder: Path, asked: str = ANSWERS, installs: int | str = 0) -> None:
    """Put a uv there that makes such environments."""
    told = {"folder": folder, "asked": asked.format(folder=folder), "installs": installs}
    for name, text in (("uv", UV), ("python", PYTHON)):
        (folder / name).write_text(text.format(**told))
        (folder / name).chmod(0o755)
    write(folder / "report", of_torch())


def commands(folder: Path) -> list[list[str]]:
    """What was run."""
    return [line.split() for line in (folder / "commands").read_text().splitlines()]


needs_sh = pytest.mark.skipif(os.name != "posix", reason="the environment maker is a shell script")


@pytest.fixture
def rooms(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where environments are made."""
    (tmp_path / "rooms").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "rooms"))
    return tmp_path / "rooms"


@needs_sh
def test_an_environment_is_made_asked_and_removed(
    rooms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It sees nothing of what is installed here, and whoever waits is told how far it is."""
    monkeypatch.setenv("PYTHONPATH", "somewhere")
    monkeypatch.setattr(shutil, "which", lambda name: str(tmp_path / name))
    maker(tmp_path)
    said: list[str] = []
    environments.record("1.13.1", tmp_path / "a.jsonl", KNOWN, said.append)
    create, install, _, ask = commands(tmp_path)
    assert create[:2] == ["uv", "venv"]
    assert {"torch==1.13.1", "numpy<2"} <= {*install}
    assert ask[1:4] == ["-m", "oracles.cli", "check"]
    assert read(tmp_path / "a.jsonl") == of_torch()
    assert said == [
        "torch 1.13.1: being installed",
        "torch 1.13.1: being asked",
        "torch 1.13.1: ok        SGD: 3 ok, 1 not asked",
    ]
    assert not [*rooms.glob("oracles-*")]


@pytest.mark.parametrize("uv", ["uv", None])
def test_uv_makes_it_where_there_is_one(
    uv: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[Sequence[str | Path]] = []
    monkeypatch.setattr(shutil, "which", lambda name: uv)
    monkeypatch.setattr(environments, "run", lambda command, folder: ran.append(command))
    environments.make(tmp_path / "env", ["torch==2.13.0"])
    create, install = ran
    assert [*create[:2]] == (["uv", "venv"] if uv else [sys.executable, "-m"])
    assert install[-1] == "torch==2.13.0"


@needs_sh
@pytest.mark.parametrize(
    ("asked", "installs", "told"),
    [
        (ANSWERS, 2, "pip install --quiet ended with 2:"),
        ("echo Traceback; exit 1", 0, r"torch 2\.13\.0 could not be asked:\nTraceback"),
        ("echo Traceback; exit 3", 0, "ended with 3:\nTraceback"),
    ],
)
def test_what_fails_is_told(
    asked: str,
    installs: int,
    told: str,
    rooms: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An exception of ours ends with the same status as a check that fails."""
    monkeypatch.setattr(shutil, "which", lambda name: str(tmp_path / name))
    maker(tmp_path, asked, installs)
    with pytest.raises(NotMade, match=told):
        environments.record("2.13.0", tmp_path / "a.jsonl", KNOWN)
    assert not [*rooms.glob("oracles-*")]
    assert not (tmp_path / "a.jsonl").exists()


@needs_sh
def test_a_release_that_is_nowhere_is_told_before_one_is_installed(
    rooms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: str(tmp_path / name))
    maker(tmp_path, installs='$(case "$*" in *9.9.9*) echo 1;; *) echo 0;; esac)')
    assert cli.main(["compare", "2.13.0", "9.9.9"]) == 2
    assert "torch 9.9.9 cannot be installed: " in capsys.readouterr().err
    assert all("--dry-run" in command for command in commands(tmp_path) if command[1] != "venv")
    assert not [*rooms.glob("oracles-*")]


@pytest.mark.slow
@needs_sh
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", [["compare", "2.9.1", "2.13.0"], ["matrix", "--folder", "."]])
def test_who_is_ended_leaves_no_environment_and_no_process(
    command: list[str], number: signal.Signals, rooms: Path, tmp_path: Path
) -> None:
    maker(tmp_path, WAITS)
    variables = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "TMPDIR": str(rooms)}
    process = subprocess.Popen(
        [sys.executable, "-m", "oracles.cli", *command],
        cwd=tmp_path,
        env={**os.environ, **variables, "PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=subprocess.PIPE,
        text=True,
    )
    while process.poll() is None and not (tmp_path / "sleeper").exists():
        time.sleep(0.01)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "being asked" in errors and "Traceback" not in errors
    assert not [*rooms.glob("oracles-*")]
    sleeper = int((tmp_path / "sleeper").read_text())
    assert any(gone(sleeper) for _ in range(600))


def gone(process: int) -> bool:
    """Whether a process was killed, or is only waited for; if not, a tenth of a second later."""
    try:
        told = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return True
    time.sleep(0.1)
    return ") Z " in told


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_does_not_stop_the_tidying(number: signal.Signals) -> None:
    before, tidied = signal.getsignal(number), []

    def tidying() -> None:
        try:
            signal.raise_signal(number)
        finally:
            signal.raise_signal(number)
            tidied.append(number)

    with pytest.raises(SystemExit) as ended, ending_once():
        tidying()
    assert (ended.value.code, tidied) == (128 + number, [number])
    assert signal.getsignal(number) is before


# The matrix


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which releases are asked, of which 2.3.1 cannot be."""
    releases: list[str] = []

    def record(release: str, path: Path, known: Any, tell: Any) -> None:
        releases.append(release)
        if release == "2.3.1":
            raise NotMade("no wheel")
        write(path, of_torch())

    monkeypatch.setattr(matrix, "record", record)
    return releases


def call(folder: Path) -> list[str]:
    listed = folder / "releases.toml"
    listed.write_text("\n".join(f'[[release]]\ntorch = "{release}"' for release in KNOWN))
    return ["matrix", "--releases", str(listed), "--folder", str(folder)]


def test_an_interrupted_run_goes_on_where_it_stopped(
    asked: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is there is not asked again, what was cut is; who cannot be asked stops no other."""
    file_of("1.13.1", tmp_path).write_bytes(b"cut")
    assert cli.main(call(tmp_path)) == 1
    assert "torch 2.3.1: no wheel" in capsys.readouterr().out
    assert asked == [*KNOWN]
    assert cli.main([*call(tmp_path), "--output", str(tmp_path / "site")]) == 1
    assert (tmp_path / "site" / "1.13.1-2.13.0.html").is_file()
    assert asked == [*KNOWN, "2.3.1"]
    assert [*recorded(KNOWN, tmp_path)] == ["1.13.1", "2.13.0"]
    assert "Found by running torch 1.13.1, 2.13.0" in (tmp_path / "VERSIONS.md").read_text()


def test_a_damaged_report_is_not_passed_over(
    asked: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever only shows reports would else compare its neighbours with each other."""
    cli.main(call(tmp_path))
    file_of("1.13.1", tmp_path).write_bytes(b"cut")
    assert cli.main(["page", *call(tmp_path)[1:], "--output", str(tmp_path / "site")]) == 2
    assert "torch-1.13.1.jsonl.xz is no report of a run, or was cut" in capsys.readouterr().err
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[[release]]\nneeds = []", "a release has no torch="),
        ("release", "is no TOML: "),
        ("[tool]", "has no [[release]]; allowed: a file such as "),
        (None, "cannot be read: No such file or directory"),
        ("release = 5", "release=5; allowed: [[release]], a table for each"),
        ('[release]\ntorch = "2.1.2"', "release={'torch': '2.1.2'}; allowed: [[release]]"),
        ('release = ["torch"]', "release=['torch']; allowed: [[release]]"),
        ("[[release]]\ntorch = 2.10", 'torch=2.1 of a release; allowed: a text, as "2.10.0"'),
        (
            '[[release]]\ntorch = "2.1"\nneeds = "numpy<2"',
            "needs='numpy<2' of torch 2.1; allowed: ",
        ),
        ('[[release]]\ntorch = "2.1"\nneeds = [2]', "needs=[2] of torch 2.1; allowed: a list of"),
    ],
    ids=[
        "no torch",
        "no TOML",
        "no release",
        "no file",
        "a number",
        "a table",
        "texts",
        "a number for a release",
        "a text for a list",
        "a number for a need",
    ],
)
def test_a_list_of_releases_that_is_none_is_refused(
    text: str | None,
    told: str,
    asked: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    listed = tmp_path / "a.toml"
    if text is not None:
        listed.write_text(text)
    assert cli.main(["matrix", "--releases", str(listed), "--folder", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert f"oracles: --releases={str(listed)!r}" in said and told in said


def confirmed(whole: RunReport, dtypes: tuple[str, ...]) -> RunReport:
    """The report in which a row of the ledger still fails in some dtypes only."""
    for dtype in DTYPES:
        result = Result.CONFIRMED if dtype in dtypes else Result.NOT_ASKED
        whole = changed(
            whole,
            lambda line, result=result: {**line, "outcome": result},  # type: ignore[misc]
            kind=Kind.CELL,
            check=ROW,
            dtype=dtype,
        )
    return whole


def test_versions_say_since_when_and_until_when() -> None:
    whole, none = of_torch(), confirmed(of_torch(), ())
    some = confirmed(of_torch(), ("float32",))
    told = {
        "1": (whole, whole, whole),
        "2": (none, whole, none),
        "3": (none, some, some),
        "4": (whole, none, some),
    }
    for reports in told.values():
        text = versions(dict(zip(["1.13.1", "2.9.1", "2.10.0"], reports, strict=True)))
        (row,) = (line for line in text.splitlines() if "| foreach-nesterov-gradient |" in line)
        since, until, at = row.split(" | ")[2:5]
        assert (since, until, at) == {
            "1": ("1.13.1 or before", "still there", "foreach"),
            "2": ("2.9.1", "2.9.1", "foreach"),
            "3": ("2.9.1", "still there", "foreach (float32)"),
            "4": ("1.13.1 or before", "still there, not in 2.9.1", "foreach (float32)"),
        }[next(key for key, value in told.items() if value is reports)]


def test_versions_say_what_changed_in_which_release() -> None:
    arguments = next(line["arguments"] for line in of_torch().of(Kind.OPTIMIZER))
    other = changed(
        of_torch(),
        lambda line: {**line, "arguments": {**arguments, "lr": "1.0"}},
        kind=Kind.OPTIMIZER,
    )
    text = versions({"2.9.1": of_torch(), "2.10.0": other, "2.11.0": other})
    rows = [line for line in text.splitlines() if "default changed" in line]
    assert rows == [f"| 2.10.0 | default changed | lr: {arguments['lr']}, now 1.0 |  |"]
    same = versions({"2.9.1": of_torch(), "2.10.0": of_torch()})
    assert "## SGD\n\nNothing, beside known deviations" in same


def test_versions_say_what_the_ledger_does_not_know() -> None:
    entries = {"outcome": "failed", "text": "SGD [foreach] is wrong\nmore", "command": ""}
    wrong = changed(
        of_torch(), lambda line: {**line, **entries}, kind=Kind.CHECK, check="agreement"
    )
    assert "| 2.9.1 | SGD | agreement | SGD [foreach] is wrong |" in versions({"2.9.1": wrong})
    assert "None, in any of these releases." in versions({"2.9.1": replace(of_torch())})
