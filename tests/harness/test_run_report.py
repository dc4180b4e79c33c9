"""A run as a file: whole or refused, what its schema says, and the same from several processes."""

from __future__ import annotations

import json
import platform
import shlex
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from jsonschema import Draft202012Validator

import conftest
from oracles import cli
from oracles.commands import check
from oracles.everybody import EVERYBODY, present, refuse_unknown
from oracles.harness.checks.catalogue import checks
from oracles.harness.runs import profiles, walk
from oracles.harness.runs.outcome import OK, Outcome
from oracles.harness.runs.tally import Line, Tally
from oracles.harness.runs.walk import Task
from oracles.harness.subjects.description import REQUIRED, arguments
from oracles.harness.subjects.selection import select
from oracles.harness.subjects.subject import Place
from oracles.harness.verdict import ERRORED, INSIDE, OUTSIDE, UNDECIDED, Verdict
from oracles.optimizers.sgd import RULE
from oracles.reports import run_report
from oracles.reports.run_report import Chosen, Invalid, Kind, Result, RunReport, read, write
from tests.meta.zoo import BatchScaledDecay  # type: ignore[attr-defined]
from tests.support.recorder import PROPERTY, Recorder
from tests.support.reported import CHECKS, DTYPES, PATHS, of_torch, run

SCHEMA = Draft202012Validator(json.loads(run_report.SCHEMA.read_bytes()))
TASK = next(iter(walk.walk(RULE)))
HERE = Place("SGD", "foreach", "float64", "cpu")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


class Raising(torch.optim.SGD):
    """Takes the first step, and names a folder instead of taking the next one."""

    def step(self, closure: Any = None) -> Any:
        raise RuntimeError(f"{Path(__file__).absolute()} has no step")


@pytest.fixture(scope="module", params=[None, BatchScaledDecay, Raising])
def whole(request: pytest.FixtureRequest) -> RunReport:
    """Of torch, and of two that fail: a wrong rule, and one that raises."""
    return run(request.param) if request.param else of_torch()


@pytest.mark.one_in(3)
def test_every_line_is_what_the_schema_says(whole: RunReport, tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", whole)
    written = lines(tmp_path / "a.jsonl")
    for line in written:
        SCHEMA.validate(line)
    assert {line["kind"] for line in written} == {*Kind}


def test_the_schema_refuses_what_it_does_not_know() -> None:
    Draft202012Validator.check_schema(SCHEMA.schema)
    for line in of_torch().lines:
        assert not SCHEMA.is_valid({**line, "host": "here"})


def test_no_line_names_a_folder_or_a_host(whole: RunReport, tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", whole)
    text = (tmp_path / "a.jsonl").read_text(encoding="utf-8")
    for private in (str(Path(__file__).parents[2]), str(Path.home()) + "/", f" {platform.node()} "):
        assert private not in text


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("No such file: '/home/somebody'", "No such file: ''"),
        ("No such file: '/root'", "No such file: ''"),
        (r"'C:\Users\Jane Doe\x.py'", "'x.py'"),
        (repr(r"C:\Users\Jane Doe\x.py"), "'x.py'"),
        ('File "/home/somebody/my dir/x.py", line 3', 'File "x.py", line 3'),
        ("'~/my dir/lib/' or ~/lib/x.py", "'' or x.py"),
        ("a '/', 1/2, 'a'/b and 'c'/'d'", "a '/', 1/2, 'a'/b and 'c'/'d'"),
        ("'https://example.org/a' of (1-b)/2", "'https://example.org/a' of (1-b)/2"),
    ],
    ids=["home", "root", "Windows", "as repr", "a blank", "a tilde", "fractions", "a link"],
)
def test_of_a_path_nothing_is_left_but_the_file(said: str, told: str) -> None:
    assert run_report.scrub(said) == told


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.xz"])
def test_what_is_written_is_read(name: str, tmp_path: Path) -> None:
    write(tmp_path / name, of_torch())
    assert read(tmp_path / name) == of_torch()


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.xz"])
def test_a_file_that_was_cut_anywhere_is_refused(name: str, tmp_path: Path) -> None:
    write(tmp_path / name, of_torch())
    data, cut = (tmp_path / name).read_bytes(), tmp_path / f"cut-{name}"
    ends = [n + 1 for n, byte in enumerate(data) if byte == ord("\n")]
    for end in {*ends[:-1], *range(0, len(data), 997), len(data) - 2, len(data) - 1}:
        cut.write_bytes(data[:end])
        with pytest.raises(Invalid, match=r"was cut|no report"):
            read(cut)


def test_a_file_with_a_line_less_or_other_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write(path, of_torch())
    first, *middle, last = path.read_bytes().splitlines(keepends=True)
    for kept in (
        [first, *middle[1:], last],
        [first, *middle[1:], middle[0], last],
        [first.replace(b'"suite":"', b'"suite":"9'), *middle, last],
    ):
        path.write_bytes(b"".join(kept))
        with pytest.raises(Invalid, match="its footer does not fit"):
            read(path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "does not begin with a header"),
        (b'{"kind":"footer"}\n', "does not begin with a header"),
        (b"[1]\n", "no report of a run"),
        (b"passed\n", "no report of a run"),
        (b'{"kind":"header","schema":99}\n', "schema=99; allowed: 1"),
    ],
)
def test_what_is_no_report_is_refused(data: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(Invalid, match=message):
        read(tmp_path / "a")


def test_a_wrong_optimizer_fails_where_it_was_asked_with_a_command_that_shows_it() -> None:
    for optimizer, result in ((BatchScaledDecay, Result.FAILED), (Raising, Result.ERRORED)):
        whole = run(optimizer, ["agreement"])
        failed = [c for c in whole.of(Kind.CELL) if c["outcome"] == result]
        assert failed
        for cell in failed:
            place = f"--path {cell['path']} --dtype {cell['dtype']} --device cpu"
            assert place in cell["command"]
            own = f"{optimizer.__name__} [{cell['path']}, {cell['dtype']}, cpu]"
            assert all(line.startswith(own) for line in filter(None, cell["text"].split("\n")))
        (told,) = whole.of(Kind.CHECK)
        assert told["outcome"] == "failed"
        assert "case=Case(" in told["case"]
        assert {cell["text"] for cell in failed if cell["text"]} <= {*told["text"].split("\n")}


@pytest.mark.parametrize(
    ("outcomes", "result"),
    [
        ([], Result.NOT_ASKED),
        ([INSIDE, UNDECIDED], Result.PASSED),
        ([UNDECIDED], Result.UNDECIDED),
        ([INSIDE, ERRORED], Result.ERRORED),
        ([INSIDE, ERRORED, OUTSIDE], Result.FAILED),
    ],
)
def test_what_came_of_a_check_at_a_place(outcomes: list[str], result: Result) -> None:
    tally = Tally()
    for verdict in outcomes:
        tally.add(HERE, Verdict(verdict, elements=2))
    assert cell(TASK, tally).get("outcome") == result


def test_a_place_that_a_deviation_keeps_from_being_asked_is_not_passed() -> None:
    tally = Tally()
    tally.leave_out("foreach-nesterov-expanded", HERE)
    told = cell(TASK, tally)
    assert told["outcome"] == Result.LEFT_OUT
    assert told["left_out"] == {"foreach-nesterov-expanded": 1}
    tally.lines[HERE] = Line(runs=3, share=0.25)
    told = cell(TASK, tally)
    assert (told["outcome"], told["runs"], told["share"]) == (Result.PASSED, 3, 0.25)


@pytest.mark.parametrize(
    ("fails", "result"), [(True, Result.CONFIRMED), (False, Result.HEALED), (None, None)]
)
def test_a_row_of_the_ledger_is_told_where_it_belongs(fails: bool, result: Result | None) -> None:
    row = next(task for task in walk.walk(RULE) if task.asks.startswith("known deviation"))
    tally = Tally()
    if fails is not None:
        tally.rerun("an id", HERE, fails=fails)
    assert cell(row, tally).get("outcome") == result


def test_a_place_that_fails_is_given_its_own_sentence() -> None:
    tally = Tally()
    tally.add(HERE, Verdict(OUTSIDE, elements=2))
    other = HERE._replace(dtype="float32")
    assert cell(TASK, tally, f"{other} is wrong\n{HERE} is, too")["text"] == f"{HERE} is, too"


def cell(task: Task, tally: Tally, text: str = "") -> Any:
    """Of one place, in a report of one task."""
    told = Outcome(OK, text, tally=tally)
    subjects, _ = select(RULE, [HERE.path], [HERE.dtype], [HERE.device])
    found = run_report._about(RULE.name, Chosen(), [(task, told)], subjects, {})  # noqa: SLF001
    return next((line for kind, line in found if kind == Kind.CELL), {})


def test_defaults_are_told_without_the_addresses_of_objects() -> None:
    def make(params: Any, lr: float, momentum: float = 0.5, other: object = object(), **more: Any):  # type: ignore[no-untyped-def]
        """An optimizer of somebody's."""

    told = {"lr": REQUIRED, "momentum": "0.5", "other": "<object object>"}
    assert arguments(make) == told
    assert arguments(lambda *args, **more: None) is None  # whatever it may be


def test_the_defaults_of_everybody_are_told() -> None:
    """Of functions that take no parameters to begin with, and of those that take nothing, too."""
    there = {name: subjects for name in EVERYBODY for subjects in [present(name)[0]] if subjects}
    told = {name: arguments(subjects[0].optimizer) for name, subjects in there.items()}
    assert told["Adam"] and told["Adam"]["lr"] == "0.001"
    for name, argument in (("StepLR", "step_size"), ("clip_grad_norm_", "max_norm")):
        taken = told[name]
        assert taken and taken[argument] == REQUIRED
    if "get_ema_avg_fn" in told:
        assert told["get_ema_avg_fn"] == {"decay": "0.999"}
        assert told["get_swa_avg_fn"] == {}


def test_check_takes_the_command_of_each_place() -> None:
    parser = cli._parser()  # noqa: SLF001
    for name in EVERYBODY:
        for subject in present(name)[0]:
            words = shlex.split(Chosen().command(name, subject.place))
            chosen = parser.parse_args(words[1:])
            refuse_unknown(chosen.rule, chosen.path, chosen.dtype, chosen.device)
            assert (chosen.rule, chosen.path) == ([name], [subject.place.path])


# From pytest


def handed(tmp_path: Path, *reports: Any, **session: Any) -> Path:
    """Where the recorder wrote what it was told, if it did."""
    path = tmp_path / "a.jsonl"
    recorder = Recorder(path, PATHS, DTYPES, ["cpu"])
    for told in reports:
        recorder.pytest_runtest_logreport(told)
    config = SimpleNamespace(getoption=lambda name: None)
    state = {"shouldstop": False, "shouldfail": False, **session}
    recorder.pytest_sessionfinish(SimpleNamespace(config=config, **state))
    return path


def said(asks: str, told: Outcome | None = None, text: str = "") -> pytest.TestReport:
    """What pytest says of a test, after its way from another process."""
    properties = [(PROPERTY, told.to_json())] if told else []
    return pytest.TestReport(
        f"tests/torch/test_checks.py::test_task[SGD: {asks}]",
        ("", None, ""),
        {},
        "passed" if told and told.word == OK else "failed",
        text,
        "call",
        user_properties=json.loads(json.dumps(properties)),
    )


def test_tests_hand_their_outcomes_over(tmp_path: Path) -> None:
    """In whatever order they come, from several processes: the file has that of the walk."""
    tally = Tally(cases=Counter(agreement=7), lines={HERE: Line(runs=3, share=0.25)})
    told = [said(asks, Outcome(OK, tally=tally)) for asks in CHECKS]
    once = read(handed(tmp_path, *told)).lines
    assert read(handed(tmp_path, *reversed(told))).lines == once
    cells = [line for line in once if line["kind"] == Kind.CELL and line.get("runs")]
    assert [line["check"] for line in cells] == [*CHECKS]


def test_a_test_that_took_its_process_with_it_has_failed(tmp_path: Path) -> None:
    path = handed(tmp_path, said("agreement", text="worker 'gw0' crashed"))
    (told,) = read(path).of(Kind.CHECK)
    assert (told["outcome"], told["text"]) == ("failed", "worker 'gw0' crashed")


@pytest.mark.parametrize("state", ["shouldstop", "shouldfail"])
def test_a_run_that_was_stopped_leaves_no_report(state: str, tmp_path: Path) -> None:
    assert not handed(tmp_path, said("agreement", Outcome(OK)), **{state: "enough"}).exists()


# From the command


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command walks one check of a rule, in the profile of this run."""
    monkeypatch.setattr(walk, "checks", lambda rule: checks(rule)[:1])
    monkeypatch.setattr(walk, "ledger", lambda: ())
    monkeypatch.setattr(profiles, "load", lambda name, seed=0: None)


CALL = ["check", "-j", "1", "--rule", "SGD", "--path", "foreach", "--dtype", "float64", "--report"]


def test_the_command_writes_what_it_saw(brief: None, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.jsonl.xz"
    assert cli.main([*CALL, str(path), "--seed", "7"]) == 0
    whole = read(path)
    chosen = whole.header["chosen"]
    assert (chosen["paths"], chosen["seed"]) == (["foreach"], 7)
    (told,) = whole.of(Kind.CELL)
    assert (told["check"], told["outcome"]) == ("agreement", "passed")


def test_pytest_refuses_a_report_that_cannot_be_written(tmp_path: Path) -> None:
    """And makes its folder, as the command does."""
    options = {"--path": [], "--dtype": [], "--device": [], "--oracles-report": tmp_path}
    config = SimpleNamespace(getoption=options.get, stash={}, pluginmanager=Told())
    with pytest.raises(pytest.UsageError, match="is a folder"):
        conftest.pytest_configure(config)  # type: ignore[arg-type]
    options["--oracles-report"] = tmp_path / "deep" / "a.jsonl"
    conftest.pytest_configure(config)  # type: ignore[arg-type]
    (recorder,) = config.pluginmanager.told
    assert recorder.path == options["--oracles-report"] and recorder.path.parent.is_dir()


class Told:
    """Is told of plugins."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def register(self, plugin: Any) -> None:
        self.told.append(plugin)


def test_an_interrupted_command_writes_nothing(
    brief: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*asked: Any) -> Outcome:
        raise KeyboardInterrupt

    monkeypatch.setattr(check, "answered", interrupt)
    assert cli.main([*CALL, str(tmp_path / "a.jsonl")]) == 130
    assert not [*tmp_path.iterdir()]
