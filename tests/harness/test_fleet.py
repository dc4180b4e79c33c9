"""A soak on many processes: the sums of one, whoever is killed, and failures in one place."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis.database import DirectoryBasedExampleDatabase, InMemoryExampleDatabase

from oracles import cli
from oracles.commands import soak as soak_command
from oracles.commands.chosen import subjects
from oracles.commands.soak import devices, work
from oracles.harness.runs import fleet, soak
from oracles.harness.runs.fleet import Done
from oracles.harness.runs.runner import Refuted
from oracles.harness.runs.soak import Stint, kept
from oracles.harness.runs.tally import Tally
from oracles.harness.subjects.description import device_name
from oracles.optimizers.registry import RULES
from oracles.optimizers.sgd import RULE
from oracles.rule import Rule
from tests.support.fleet import STINTS, seen
from tests.support.stints import HalfDecay, LateSpot, choice

needs_dask = pytest.mark.skipif(
    importlib.util.find_spec("distributed") is None, reason="there is no distributed here"
)


def ran(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A Python program with our modules, in a process of its own."""
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.slow
@needs_dask
def test_a_worker_that_is_killed_loses_nothing_and_counts_nothing_twice(tmp_path: Path) -> None:
    """Two real processes; the sums are the same to the bit as those of one."""
    done = ran("-m", "tests.support.fleet", str(tmp_path), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "process").exists()
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["came"] == [stint.seed for stint in STINTS]
    alone = Tally()
    for stint in STINTS:
        alone.merge(seen(stint))
    assert Tally.from_json(told["tally"]) == alone


def test_a_place_says_on_what_it_was_asked() -> None:
    tally = Tally.from_json(work(choice(), Stint("SGD", 5, cases=2)).tally)
    assert {place.device for place in tally.lines} == {f"cpu {device_name('cpu')}"}
    assert tally.cases.total() == 2


def test_a_stint_is_part_of_its_seed() -> None:
    """Cases are the same, whoever asks them."""
    whole, parts = work(choice(), Stint("SGD", 5, cases=3)), Tally()
    for number in range(3):
        parts.merge(Tally.from_json(work(choice(), Stint("SGD", 5, number, 1)).tally))
    assert parts == Tally.from_json(whole.tally)


def test_a_failure_is_shrunk_where_it_happened() -> None:
    done = work(choice(HalfDecay), Stint("SGD", 1, cases=200))
    assert "lr=1.0 momentum=0.0 dampening=0.0 weight_decay=1.0 nesterov=False" in done.failure
    assert "parameter 0, contiguous [1]: [1.]; gradients [0.]" in done.failure
    assert done.failure.endswith(f"of seed=1)\non cpu {device_name('cpu')}")


@pytest.mark.slow
def test_what_has_failed_is_asked_first_and_is_small_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From a database that was filled from what another process has found."""
    done = work(choice(LateSpot), Stint("SGD", 1, cases=200))
    database, tried = InMemoryExampleDatabase(), []
    for key, value in done.examples:
        database.save(key, value)
    (stint,) = kept("SGD", database)
    right = soak.simplified

    def simplified(*given: Any) -> Any:
        tried.append(given)
        return right(*given)

    monkeypatch.setattr(soak, "simplified", simplified)
    counts = []
    for store in (None, database):
        tried.clear()
        there, _ = subjects(choice(LateSpot), "SGD")
        with pytest.raises(Refuted) as refuted:
            soak.work(RULE, there, stint, Tally(), database=store)
        assert f"(case {stint.first} of seed=1)" in str(refuted.value)
        counts.append(len(tried))
    assert counts[1] < counts[0]


CALL = ["soak", f"{HalfDecay.__module__}:HalfDecay", "--rule", "SGD", "--path", "for-loop"]


def test_a_plain_soak_keeps_what_failed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A second one, of another seed, asks that before it draws anything."""
    call = [*CALL, "--dtype", "float64", "--database", str(tmp_path), "--seconds", "20"]
    assert cli.main(call) == 1
    (stint,) = kept("SGD", DirectoryBasedExampleDatabase(tmp_path))
    told = f"(case {stint.first} of seed=0)"
    assert told in capsys.readouterr().out
    assert cli.main([*call, "--seed", "12345"]) == 1
    said = capsys.readouterr().out
    assert told in said and "1 cases, 1 verdicts" in said


def test_the_command_gathers_what_workers_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a fleet of this process alone."""
    monkeypatch.setattr(fleet, "local", lambda workers: nullcontext(Client()))
    call = [*CALL, "--dtype", "float64", "--database", str(tmp_path), "--seconds", "600"]
    assert cli.main([*call, "--workers", "3"]) == 1
    said = capsys.readouterr().out
    assert f"by workers: 1 with {devices()}" in said
    assert "FAILED    SGD: soak\nHalfDecay [for-loop, float64, cpu]" in said
    found = [*kept("SGD", DirectoryBasedExampleDatabase(tmp_path))]
    assert any(f"(case {stint.first} of seed={stint.seed})" in said for stint in found)
    assert cli.main([*call, "--workers", "3", "--seed", "7"]) == 1
    assert f"(case {found[0].first} of seed={found[0].seed})" in capsys.readouterr().out


@pytest.mark.slow
def test_a_fleet_that_finds_nothing_wrong_is_good(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fleet, "local", lambda workers: nullcontext(Client()))
    monkeypatch.setattr(fleet, "seeds", lambda seed: iter([seed]))
    call = ["soak", "--rule", "SGD", "--rule", "SparseAdam", "--path", "default", "-v"]
    assert cli.main([*call, "--workers", "1", "--seconds", "600"]) == 0
    said = capsys.readouterr().out
    assert "ok        SGD: soak" in said and "ok        SparseAdam: soak" in said
    assert f"cpu {device_name('cpu')}" in said and "32 cases" in said


def test_parts_of_the_loop_are_left_to_check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def asks(rule: Rule, *_: Any, **__: Any) -> int:
        asked.append(rule.name)
        return 1

    monkeypatch.setattr(soak, "soak", asks)
    assert cli.main(["soak"]) == 0
    assert asked == [name for name in RULES if hasattr(torch.optim, name)]
    assert cli.main(["soak", "--rule", "StepLR"]) == 2
    assert "'StepLR' is no optimizer's" in capsys.readouterr().err


def test_without_dask_it_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert cli.main(["soak", "--rule", "SGD", "--workers", "2"]) == 2
    assert "pip install 'optimizer-oracles[fleet]'" in capsys.readouterr().err


def unreachable(*_: Any) -> Any:
    raise OSError("nobody is there")


def test_other_hosts_may_have_other_devices(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Which are refused where they are asked."""
    monkeypatch.setattr(soak_command, "_client", unreachable)
    call = ["soak", "--rule", "SGD", "--device", "elsewhere"]
    assert cli.main([*call, "--workers", "2"]) == 2
    assert "device='elsewhere' is not there" in capsys.readouterr().err
    assert cli.main([*call, "--scheduler", "tcp://127.0.0.1:9"]) == 2
    assert "cannot be reached: nobody is there" in capsys.readouterr().err


@pytest.mark.parametrize("address", ["xx://a", ""])
def test_what_is_no_address_is_refused(
    address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And not taken for none."""

    def remote(address: str) -> Any:
        raise ValueError("unknown address scheme")  # as Dask does

    monkeypatch.setattr(fleet, "remote", remote)
    call = ["soak", "--rule", "SGD", "--seconds", "0.01"]
    assert cli.main([*call, "--scheduler", address]) == 2
    said = f"scheduler={address!r} cannot be reached: unknown address scheme"
    assert said in capsys.readouterr().err


def test_a_scheduler_without_workers_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fleet, "remote", lambda address: nullcontext(Deserted()))
    assert cli.main(["soak", "--rule", "SGD", "--scheduler", "tcp://127.0.0.1:9"]) == 2
    assert "scheduler='tcp://127.0.0.1:9' has no workers" in capsys.readouterr().err


def test_what_fails_among_the_workers_is_not_blamed_on_reaching_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(soak_command, "_client", lambda options: nullcontext(Client()))
    monkeypatch.setattr(soak_command, "_gather", unreachable)
    with pytest.raises(OSError, match=r"^nobody is there"):
        cli.main(["soak", "--rule", "SGD", "--workers", "2"])


class Client:
    """As a scheduler's, whose workers are this process; some of its futures never come."""

    def ncores(self) -> dict[str, int]:
        return {"one": 1}

    def run(self, told: Any) -> dict[str, Any]:
        return {"one": told()}

    def submit(self, work: Any, stint: Stint, *, pure: bool) -> Any:
        assert not pure
        return Future(work, stint)


class Deserted(Client):
    """Of a scheduler whose workers are gone, or have not come yet."""

    def run(self, told: Any) -> dict[str, Any]:
        return {}

    def submit(self, work: Any, stint: Stint, *, pure: bool) -> Any:
        raise AssertionError("nobody will do this")


class Future:
    def __init__(self, work: Any, stint: Stint) -> None:
        self.work, self.stint = work, stint

    def result(self) -> Any:
        return self.work(self.stint)


@needs_dask
def test_a_stint_that_kills_everybody_is_a_failure_of_its_own() -> None:
    from distributed import KilledWorker

    def killing(stint: Stint) -> Done:
        if stint.seed == 1:
            raise KilledWorker("stint", None, 3)
        return Done(seen(stint).to_json())

    stints = [Stint("SGD", seed, cases=4) for seed in range(3)]
    found = [*fleet.results(Client(), killing, iter(stints))]
    assert [stint for stint, _ in found] == stints
    assert [bool(done.failure) for _, done in found] == [False, True, False]
    assert found[1][1].failure.endswith("(4 cases of seed=1)")
