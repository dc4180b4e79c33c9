"""Tallies add up and travel, the report shows what matters, and the command's status says it."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from oracles import cli, files
from oracles.commands import check
from oracles.harness.cases.case import PRECISIONS
from oracles.harness.checks.catalogue import checks
from oracles.harness.runs import profiles, walk
from oracles.harness.runs.runner import Refuted
from oracles.harness.runs.tally import Line, Tally, vacuities
from oracles.harness.subjects.subject import EVERYWHERE, Place
from oracles.harness.verdict import INSIDE, OUTSIDE, UNDECIDED, Verdict
from oracles.optimizers.sgd import RULE
from oracles.reports.terminal import render
from oracles.schedules.registry import SCHEDULES

HERE = Place("SGD", "for-loop", "float32", "cpu")
FUSED = Place("SGD", "fused", "float32", "cpu")


def tally(**lists: str) -> Tally:
    """One of everything, so that whatever is lost on the way is missed."""
    made = Tally()
    line = made.lines.setdefault(HERE, Line())
    line.add(Verdict(INSIDE, str, 10, 2, 4, 3, 0.5))
    line.add(Verdict(OUTSIDE, lambda: "wrong", 10, share=3.0))
    line.add(Verdict(UNDECIDED, str, 1, 1))
    line.add(Verdict(INSIDE, str, 4, 1, edge=True))
    made.cases["agreement"] += 2
    made.reject("SGD", "batch_scaled", 7.0)
    made.reject("SGD", "batch_scaled", 5.0)
    for _ in range(3):
        made.leave_out("fused-cpu-layout", FUSED)
    made.rerun(lists.get("confirmed", "fused-cpu-layout"), FUSED, fails=True)
    made.rerun(lists.get("healed", "fused-late-gradient"), FUSED, fails=False)
    made.absent[FUSED] = "no kernel"
    return made


def test_a_line_counts() -> None:
    seen = tally().lines[HERE]
    assert (seen.runs, seen.failed, seen.empty, seen.elements) == (4, 1, 1, 25)
    assert (seen.undecided_share, seen.edge_share) == ((0.2 + 1) / 3, 0.25)
    assert (seen.below_radius_share, seen.unresolved_share, seen.share) == (3 / 4, 1 / 4, 3.0)


def test_the_whole_is_the_sum_of_its_lines() -> None:
    seen = tally()
    seen.lines[HERE._replace(optimizer="Adam")] = Line(runs=2, unresolved=1, elements=9, share=0.5)
    assert seen.whole("Adam") == seen.lines[HERE._replace(optimizer="Adam")]
    assert (seen.whole().runs, seen.whole().elements, seen.whole().share) == (6, 34, 3.0)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (Line(runs=500, edge=100, undecided=4, undecided_edge=50, unresolved=50), []),
        (
            Line(runs=500, edge=100, undecided=4.4),
            ["Adam: 1.1% of the elements were undecided; allowed 1%"],
        ),
        (
            Line(runs=400, unresolved=41),
            ["Adam: 10.2% of the verdicts were unresolved; allowed 10%"],
        ),
        (Line(runs=299, unresolved=299), []),
    ],
)
def test_a_run_that_decided_little_is_vacuous(line: Line, said: list[str]) -> None:
    """Of each optimizer for itself, over all its paths."""
    seen = Tally()
    seen.lines[HERE._replace(optimizer="Adam")] = line
    seen.lines[HERE._replace(optimizer="SGD")] = Line(runs=4000, elements=10**6)
    assert vacuities(seen) == said
    assert all(f"VACUOUS {sentence}" in render(seen) for sentence in said)


def test_half_precision_may_be_blunt() -> None:
    seen = Tally()
    seen.lines[Place("Adam", "foreach", "bfloat16", "cpu")] = Line(runs=4000, unresolved=4000)
    assert not vacuities(seen)


def test_tallies_merge_and_travel() -> None:
    both = Tally.from_json(tally().to_json())
    assert both == tally()
    both.merge(Tally.from_json(tally(confirmed="a", healed="b").to_json()))
    assert both.lines[HERE].runs == 8
    assert both.lines[HERE].share == 3.0
    assert both.cases["agreement"] == 4
    assert both.rejected["SGD", "batch_scaled"] == (4, 5.0)
    assert both.deviations == {"fused-cpu-layout": {FUSED: 6}}
    assert both.confirmed == {"fused-cpu-layout": {FUSED}, "a": {FUSED}}
    assert both.healed == {"fused-late-gradient": {FUSED}, "b": {FUSED}}


@pytest.mark.parametrize(("mine", "other"), [(5.0, 3.0), (3.0, 5.0)])
def test_of_separations_the_smallest_is_kept(mine: float, other: float) -> None:
    """Whichever run saw it, and by a run that saw none."""
    both, merged = Tally(), Tally()
    for tally, separation in ((both, mine), (merged, other)):
        tally.reject("SGD", "batch_scaled", separation)
    both.merge(merged)
    assert both.rejected == {("SGD", "batch_scaled"): (2, 3.0)}
    none = Tally()
    none.merge(both)
    assert none.rejected == both.rejected


def test_what_is_absent_stays_so_in_a_merge() -> None:
    one, other = Tally(), Tally()
    adam = FUSED._replace(optimizer="Adam")
    one.absent[FUSED] = "no kernel"
    other.absent[adam] = "none either"
    expected = {FUSED: "no kernel", adam: "none either"}
    for seen in (Tally(), other):
        one.merge(seen)
    assert one.absent == expected
    one.merge(Tally())
    assert one.absent == expected


def test_the_report_shows_what_matters() -> None:
    seen = tally()
    seen.lines[Place("SGD", "fused", "float16", "cpu")] = Line(runs=1, share=0.25)
    text = render(seen)
    rows = {line.split("  ")[0]: line for line in text.splitlines()}
    assert "–" in rows["SGD [for-loop, cpu]"]
    assert "1 FAILED" in rows["SGD [for-loop, cpu]"]
    assert "absent" in rows["SGD [fused, cpu]"]
    assert "0.250" in rows["SGD [fused, cpu]"]
    assert "5 radii" in rows["SGD batch_scaled"]
    assert "still fails" in rows["fused-cpu-layout"]
    assert "HEALED" in rows["fused-late-gradient"]
    assert "no kernel" in text
    assert "30.00% of them are undecided" in text.replace("\n", " ")
    assert "25.0% at the edge" in text.replace("\n", " ")


def test_the_short_report_adds_up_each_optimizer() -> None:
    seen = tally()
    seen.lines[Place("SGD", "fused", "float16", "cpu")] = Line(runs=1, share=0.25)
    seen.lines[Place("Adam", "fused", "float16", "cpu")] = Line(runs=2, failed=1, share=7.0)
    seen.absent |= {
        Place("Adam", "functional", dtype, "cpu"): "" for dtype in ("float16", "float32")
    }
    rows = {
        line.split("  ")[0].strip(): line.split() for line in render(seen, full=False).splitlines()
    }
    assert rows["SGD"] == ["SGD", "5", "0.250", "1", "FAILED", "1,", "5"]
    assert rows["Adam"] == ["Adam", "2", "1", "FAILED", "–", "–"]
    assert rows["functional"][-1] == "Adam"
    assert rows["fused (float32)"][-1] == "SGD"
    assert "no kernel" not in render(seen, full=False)


def test_rejections_are_of_the_optimizer_by_that_very_name() -> None:
    seen = Tally()
    for name, separation in (("Adam", 5.0), ("AdamW", 3.0)):
        seen.lines[HERE._replace(optimizer=name)] = Line(runs=1)
        seen.reject(name, "batch_scaled", separation)
    rows = {line.split()[0]: line.split() for line in render(seen, full=False).splitlines()}
    assert rows["Adam"][-2:] == ["1,", "5"]
    assert rows["AdamW"][-2:] == ["1,", "3"]


def test_each_optimizer_has_one_line() -> None:
    """Of the longest name, in all dtypes, with the largest numbers, where no terminal is."""
    seen, longest = Tally(), max(SCHEDULES, key=len)
    for dtype in PRECISIONS:
        seen.lines[Place(longest, "plain", dtype, "cpu")] = Line(runs=1000, share=0.5)
        seen.lines[Place("SGD", "for-loop", dtype, "cpu")] = Line(runs=99_999, share=0.5)
    for number in range(15):
        seen.reject(longest, f"wrong {number}", 4.82e299)
    (row,) = (line for line in render(seen, full=False).splitlines() if line.startswith(longest))
    assert row.split()[1:] == ["5,000", *["0.500"] * 5, "15,", "4.82e+299"]


def test_an_optimizer_that_is_nowhere_is_absent() -> None:
    seen = Tally()
    seen.absent[Place("Muon", EVERYWHERE, "", "")] = "this torch.optim has no Muon"
    assert "Muon, everywhere  this torch.optim has no Muon" in render(seen)
    assert "everywhere  Muon" in render(seen, full=False)


def test_of_many_paths_that_the_same_lack_the_first_are_named() -> None:
    seen = tally()
    for path in ("foreach", "fused", "capturable", "compiled", "hooked"):
        seen.absent[HERE._replace(path=path)] = "no such argument"
    assert "fused; foreach; capturable and 2 more  SGD" in render(seen, full=False)
    assert "SGD, hooked (float32) " in render(seen)


def test_what_one_device_lacks_is_not_absent_altogether() -> None:
    seen = tally()
    seen.lines[Place("SGD", "fused", "float32", "cuda")] = Line(runs=1)
    assert "SGD, fused, cpu (float32)  no kernel" in render(seen)
    assert "fused, cpu  SGD" in render(seen, full=False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["check", "--path", "fore"],
            "path='fore' is not there (did you mean 'foreach'?); allowed: ",
        ),
        (["check", "--device", "xla"], "device='xla' is not there; allowed: cpu"),
        (["check", "--rule", "SGD", "--path", "plain"], "path='plain' is not there; allowed: "),
        (["check", "--rule", "StepLR", "--path", "plane"], "(did you mean 'plain'?)"),
        (["soak", "--dtype", "float8"], "dtype='float8' is not there (did you mean 'float64'?)"),
        (["check", "--rule", "SGD", "--report", "tests"], "tests cannot be written: is a folder"),
        (
            ["check", "--as-torch", "nowhere:X"],
            "nowhere:X cannot be imported: ",
        ),
        (["check", "--as-torch", "tests.meta.zoo"], "'tests.meta.zoo' is not MODULE:NAME"),
        (
            ["check", "--as-torch", "tests.meta.zoo:X"],
            "raises AttributeError: module 'tests.meta.zoo' has no",
        ),
        (["check", "--as-torch", "tests.meta.zoo:ZOO"], "it is no class of optimizers"),
        (["check", "--as-torch"], "--as-torch asks a class of your own"),
        (["check", "", "--as-torch", "--rule", "SGD"], "'' is not MODULE:NAME"),
        (["soak", ""], "'' is not MODULE:NAME"),
        (["check", "--rule", "Lion"], "--rule='Lion' is not known; allowed: SGD"),
    ],
)
def test_a_call_that_is_off(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is refused before anybody is asked."""
    jobs = ["--jobs", "1"] if arguments[0] == "check" else []
    assert cli.main([*arguments, *jobs]) == 2
    said = capsys.readouterr().err
    assert message in said and "questions" not in said


def test_what_is_no_file_is_let_alone(tmp_path: Path) -> None:
    """A device that is replaced is gone for all; a link is followed."""
    pipe, link, kept = tmp_path / "pipe", tmp_path / "link", tmp_path / "kept"
    os.mkfifo(pipe)
    for place in (pipe, Path(os.devnull), Path("/dev/stdout")):
        with pytest.raises(OSError, match="is a device or a pipe, and is to be a file"):
            files.make_room(place)
        with pytest.raises(OSError, match="is a device or a pipe"):
            files.write(place, b"")
    assert pipe.is_fifo()
    link.symlink_to(kept.name)
    files.write(link, b"seen")
    assert link.is_symlink() and kept.read_bytes() == b"seen"


@pytest.mark.parametrize("seconds", ["-5", "0", "nan", "inf", "abc"])
def test_a_soak_takes_some_time(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(["soak", "--seconds", seconds])
    assert f"{seconds} is not a finite number above 0" in capsys.readouterr().err


@pytest.mark.parametrize("jobs", ["0", "-1", "1.5", "x"])
def test_somebody_has_to_do_it(jobs: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(["check", f"--jobs={jobs}"])
    assert f"{jobs} is not a whole number from 1 on" in capsys.readouterr().err


@pytest.mark.parametrize("seed", ["-1", "1.5", "x"])
def test_a_seed_is_a_whole_number(seed: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(["soak", "--seed", seed])
    assert f"{seed} is not a whole number from 0 on" in capsys.readouterr().err


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command walks one check of a rule, in the profile of this run."""
    monkeypatch.setattr(walk, "checks", lambda rule: checks(rule)[:1])
    monkeypatch.setattr(profiles, "load", lambda name, seed=0: None)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("optimizer", "status"), [("torch.optim:SGD", 0), ("tests.meta.zoo:BatchScaledDecay", 1)]
)
def test_the_status_says_whether_a_class_follows_the_rule(
    optimizer: str,
    status: int,
    brief: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And a fault that two questions meet is told once."""
    certain = ("agreement", "rejects batch_scaled")
    asked = [check for check in checks(RULE) if check.name in certain]
    monkeypatch.setattr(walk, "checks", lambda rule: asked)
    said = cli.main(["check", "-j", "1", "--path", "foreach", "--as-torch", optimizer])
    output = capsys.readouterr().out
    assert said == status
    assert ("FAILED" in output) == ("the values fit batch_scaled" in output) == bool(status)
    same = "          another question fails in the same way as agreement: rejects batch_scaled\n"
    assert output.count(same) == output.count("BatchScaledDecay [foreach, ") == status


def test_who_cannot_be_built_is_one_sentence(
    brief: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(walk, "checks", lambda rule: checks(rule)[:2])
    one = ["tests.support.hostile:Unbuilt", "--as-torch", "--rule", "SGD", "--dtype", "float64"]
    assert cli.main(["check", "-j", "1", *one]) == 1
    said = capsys.readouterr().out
    assert said.count("hostile:Unbuilt cannot be built: raises ValueError: not today") == 1
    assert "FAILED    SGD: 2 FAILED" in said


def refuse(*args: Any, **options: Any) -> int:
    raise Refuted("planted")


@pytest.mark.parametrize(
    ("module", "name", "planted"),
    [(check, "vacuities", lambda tally: ["planted"]), (walk, "confirm", refuse)],
    ids=["vacuities", "confirm"],
)
def test_the_status_says_what_else_is_wrong(
    module: Any, name: str, planted: Any, brief: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = ["check", "-j", "1", "--rule", "SGD", "--path", "foreach"]
    assert cli.main(call) == 0
    monkeypatch.setattr(module, name, planted)
    assert cli.main(call) == 1


@pytest.mark.parametrize(("does", "status"), [(refuse, 1), (lambda *args, **options: 1, 0)])
def test_the_status_says_how_a_soak_went(
    does: Any, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("oracles.harness.runs.soak.soak", does)
    assert cli.main(["soak", "--rule", "SGD", "--path", "foreach"]) == status
    assert ("planted" in capsys.readouterr().out) == bool(status)


def nothing_decided(*args: Any) -> int:
    print("at step")
    return 0


def test_who_can_be_asked_nothing_is_no_success(
    brief: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(walk, "run_check", nothing_decided)
    call = ["check", "-j", "1", "--path", "foreach", "--as-torch", "torch.optim:SGD"]
    assert cli.main(call) == 1
    said = capsys.readouterr().out
    assert "VACUOUS   SGD: 1 not asked" in said
    assert "at step" not in said  # code of one's own may print


@pytest.fixture
def hooks(pytestconfig: pytest.Config) -> Any:
    """The suite's ``conftest.py``, as pytest has loaded it."""
    (found,) = (
        plugin
        for plugin in pytestconfig.pluginmanager.get_plugins()
        if getattr(plugin, "__file__", None) == str(pytestconfig.rootpath / "conftest.py")
    )
    return found


def test_a_worker_hands_its_tally_to_the_controller(hooks: Any) -> None:
    output: dict[str, str] = {}
    worker = SimpleNamespace(stash={hooks.TALLY: tally()}, workeroutput=output)
    hooks.pytest_sessionfinish(SimpleNamespace(config=worker, exitstatus=0))
    controller = SimpleNamespace(stash={hooks.TALLY: tally()})
    hooks.pytest_testnodedown(SimpleNamespace(workeroutput=output, config=controller))
    twice = tally()
    twice.merge(tally())
    assert controller.stash[hooks.TALLY] == twice


@pytest.mark.parametrize(("runs", "status"), [(299, 0), (300, 1)])
def test_a_vacuous_run_fails(runs: int, status: int, hooks: Any) -> None:
    seen = Tally()
    seen.lines[HERE] = Line(runs=runs, undecided=runs)
    session = SimpleNamespace(config=SimpleNamespace(stash={hooks.TALLY: seen}), exitstatus=0)
    hooks.pytest_sessionfinish(session)
    assert session.exitstatus == status
