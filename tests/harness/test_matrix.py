"""Releases are recorded one by one, in environments of their own; and what they say together."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oracles import cli
from oracles.reports import environments, matrix
from oracles.reports.environments import NotMade, needs, releases, requirements
from oracles.reports.matrix import file_of, recorded, versions
from oracles.reports.run_report import Kind, Result, RunReport, write
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


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[list[str]]]:
    """What is run to make and ask an environment, of which nothing is installed."""
    commands: list[list[str]] = []
    home = tmp_path / "made" / "site"

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        home.mkdir(parents=True, exist_ok=True)
        if "--report" in command:
            assert (home / "oracles" / "golden" / "sgd" / "batch_scaled.json").is_file()
            assert (home / "oracles" / "releases.toml").is_file()
            assert "PYTHONPATH" not in options["env"]
            write(Path(command[-1]), of_torch())
            shutil.rmtree(home)
        return subprocess.CompletedProcess(command, 0, f"{home}\n")

    monkeypatch.setenv("PYTHONPATH", "somewhere")
    monkeypatch.setattr(subprocess, "run", run)
    yield commands
    assert not [*Path(tmp_path / "rooms").glob("oracles-*")], "an environment was left behind"


@pytest.fixture
def rooms(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where environments are made."""
    (tmp_path / "rooms").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "rooms"))
    return tmp_path / "rooms"


@pytest.mark.parametrize("uv", ["uv", None])
def test_an_environment_is_made_asked_and_removed(
    uv: str | None, made: list[list[str]], rooms: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: uv)
    environments.record("1.13.1", rooms.parent / "a.jsonl", KNOWN)
    create, install, _, ask = made
    assert create[:2] == (["uv", "venv"] if uv else [sys.executable, "-m"])
    assert {"torch==1.13.1", "numpy<2"} <= {*install}
    assert ask[1:4] == ["-m", "oracles.cli", "check"]
    assert (rooms.parent / "a.jsonl").is_file()


def test_what_cannot_be_installed_is_told_and_removed(
    rooms: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 2, "No solution found\n")

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(NotMade, match="ended with 2:\nNo solution found"):
        environments.record("9.9", rooms.parent / "a.jsonl", KNOWN)
    assert not [*rooms.glob("oracles-*")]


def test_a_release_that_writes_no_report_is_told(
    rooms: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception of ours ends with the same status as a check that fails."""
    home = rooms.parent / "made"

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        said = "Traceback" if "--report" in command else str(home)
        return subprocess.CompletedProcess(command, 1 if "--report" in command else 0, said)

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(NotMade, match=r"torch 2\.13\.0 could not be asked:\nTraceback"):
        environments.record("2.13.0", rooms.parent / "a.jsonl", KNOWN)


# The matrix


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which releases are asked, of which 2.3.1 cannot be."""
    releases: list[str] = []

    def record(release: str, path: Path, known: Any) -> None:
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
    assert cli.main(call(tmp_path)) == 1
    assert asked == [*KNOWN, "2.3.1"]
    assert [*recorded(KNOWN, tmp_path)] == ["1.13.1", "2.13.0"]
    assert "Found by running torch 1.13.1, 2.13.0" in (tmp_path / "VERSIONS.md").read_text()


@pytest.mark.parametrize("text", ["[[release]]\nneeds = []", "release"])
def test_a_list_of_releases_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(text)
    assert cli.main(["matrix", "--releases", str(tmp_path / "a.toml")]) == 2


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
    }
    for reports in told.values():
        text = versions(dict(zip(["1.13.1", "2.9.1", "2.10.0"], reports, strict=True)))
        (row,) = (line for line in text.splitlines() if "| foreach-nesterov-gradient |" in line)
        since, until, at = row.split(" | ")[2:5]
        assert (since, until, at) == {
            "1": ("1.13.1 or before", "still there", "foreach"),
            "2": ("2.9.1", "2.9.1", "foreach"),
            "3": ("2.9.1", "still there", "foreach (float32)"),
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
