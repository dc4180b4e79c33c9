"""Workers: the same report whoever does it, one that dies is named, and Ctrl-C leaves nobody."""

from __future__ import annotations

import io
import operator
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from oracles import cli
from oracles.commands.check import AHEAD
from oracles.harness.runs.outcome import FAILED, NOT_ASKED, OK, Outcome
from oracles.harness.runs.tally import Line, Tally
from oracles.harness.runs.workers import Died, in_order
from oracles.harness.subjects.subject import Place
from oracles.reports.progress import Running

ROOT = Path(__file__).parents[2]

SHORT = ["check", "--profile", "ci", "--rule", "SGD", "--path", "foreach", "--dtype", "float32"]
"""A part of the check that takes moments."""

NEGATED: Any = operator.neg
"""What workers find without importing this."""

Ran = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module", autouse=True)
def server() -> None:
    """Start what all workers here are forked from with what those of the command find imported.

    There is one in each process that has workers; whoever starts it says what it imports.
    """
    assert [*in_order(NEGATED, [1, 2], 2, ahead=AHEAD)] == [-1, -2]


@pytest.fixture
def ran(capsys: pytest.CaptureFixture[str]) -> Iterator[Ran]:
    """The command in this process, which has imported what it needs: status, output and errors.

    It loads a profile of Hypothesis; that of this run is loaded again afterwards.
    """
    profile = settings.get_current_profile_name()
    yield lambda *arguments: (cli.main(arguments), *capsys.readouterr())
    settings.load_profile(profile)


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_results_come_in_order(jobs: int) -> None:
    assert [*in_order(NEGATED, [3, 1, 2], jobs)] == [-3, -1, -2]


def test_what_is_of_one_is_done_by_one() -> None:
    """And others by whoever has time; the results are in order all the same."""
    whose_process = "(__import__('time').sleep(0.01), __import__('os').getpid())"
    errands = ["0", *[whose_process] * 4, "5"]
    first, *whose, last = in_order(eval, errands, 2, of_one=lambda errand: "getpid" in errand)
    assert (first, last) == (0, 5)
    assert len({*whose}) == 1


def test_what_is_of_one_is_done_by_others_if_that_one_dies() -> None:
    errands = ["__import__('os')._exit(3)", "1", "__import__('os')._exit(4)", "2"]
    told = [*in_order(eval, errands, 2, of_one=lambda errand: errand != "2")]
    assert told == [Died(3), 1, Died(4), 2]


@pytest.mark.parametrize("jobs", [1, 2])
def test_errors_of_our_own_are_raised(jobs: int) -> None:
    results = in_order(NEGATED, [1, "x", 2], jobs)
    assert next(results) == -1
    with pytest.raises(TypeError, match="bad operand"):
        next(results)


def test_who_dies_is_replaced() -> None:
    assert [*in_order(os._exit, [3, 4, 5], 2)] == [Died(3), Died(4), Died(5)]


FORKS = """
import os, pathlib, time
if other := os.fork():
    pathlib.Path({path!r}).write_text(str(other))
    os._exit(3)
time.sleep(60)
"""
"""What ends a process while one that it has forked keeps its pipe open."""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nobody forks here")
def test_who_leaves_a_process_behind_is_gone_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "other"
    assert [*in_order(exec, [FORKS.format(path=str(path))], 2)] == [Died(3)]
    os.kill(int(path.read_text()), signal.SIGKILL)  # which raises if that one was waited for


def test_a_death_has_a_name() -> None:
    (died,) = in_order(signal.raise_signal, [signal.SIGTERM], 2)
    assert str(died) == "the process that asked died of signal SIGTERM"
    assert str(Died(3)) == "the process that asked died of exit code 3"


@pytest.mark.slow
def test_the_report_is_the_same_whoever_does_it(ran: Ran) -> None:
    one, two = (ran(*SHORT, "-v", "-j", jobs) for jobs in "12")
    status, output, errors = one
    assert (status, errors) == (0, "")
    assert "ok        SGD: agreement\n" in output
    assert "\x1b" not in output
    assert two == one


@pytest.mark.slow
def test_the_task_that_kills_is_named_and_the_others_are_done(
    ran: Ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed by an optimizer that takes its process along, once, whichever process is first."""
    (tmp_path / "killing.py").write_text(
        "import os, torch\n"
        "class SGD(torch.optim.SGD):\n"
        "    steps = 0\n"
        "    def step(self, closure=None):\n"
        "        SGD.steps += 1\n"
        "        if SGD.steps == 7 and first():\n"
        "            os._exit(3)\n"
        "        return super().step(closure)\n"
        "def first():\n"
        "    try:\n"
        "        return os.open('killed', os.O_CREAT | os.O_EXCL)\n"
        "    except FileExistsError:\n"
        "        return None\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    status, output, _ = ran(*SHORT, "-j", "2", "--as-torch", "killing:SGD")
    assert status == 1
    assert output.count("the process that asked died of exit code 3") == 1
    assert "FAILED    SGD: " in output
    assert ", 1 FAILED" in output or "1 FAILED, " in output


@pytest.fixture
def heeding() -> Iterator[None]:
    """Ctrl-C is heeded here, also where whoever has started this run ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupted_soak_reports(
    ran: Ran, heeding: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By an optimizer that is at its hundredth step when somebody presses Ctrl-C."""
    (tmp_path / "interrupting.py").write_text(
        "import signal, torch\n"
        "class SGD(torch.optim.SGD):\n"
        "    steps = 0\n"
        "    def step(self, closure=None):\n"
        "        SGD.steps += 1\n"
        "        if SGD.steps == 100:\n"
        "            signal.raise_signal(signal.SIGINT)\n"
        "        return super().step(closure)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    arguments = ("interrupting:SGD", "--path", "foreach", "--seconds", "999")
    status, output, errors = ran("soak", *arguments)
    assert (status, errors) == (130, "")
    assert "INCOMPLETE: Ctrl-C after 0 of 1" in output
    assert "element-steps compared" in output


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows knows no process groups to interrupt")
def test_an_interrupted_check_reports_and_leaves_nobody() -> None:
    call = [sys.executable, "-m", "oracles.cli", "check", "-v", "-j", "2"]
    pipe: Any = subprocess.PIPE
    with subprocess.Popen(
        call,
        stdout=pipe,
        stderr=pipe,
        text=True,
        cwd=ROOT,
        start_new_session=True,
        preexec_fn=interruptible,
    ) as running:
        assert running.stdout is not None
        while not running.stdout.readline().startswith("ok"):
            assert running.poll() is None
        os.killpg(running.pid, signal.SIGINT)
        try:  # it returns once nobody is left who has inherited these pipes
            output, error = running.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            raise
    assert (running.returncode, error) == (130, "")
    assert "INCOMPLETE: Ctrl-C after" in output
    assert "element-steps compared" in output


def interruptible() -> None:
    """What shells start in the background ignores Ctrl-C, and so do its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def watched(out: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> str:
    """What is seen of a run of three tasks, one of which fails."""
    monkeypatch.setattr(sys, "stdout", out)
    with Running(3, Tally(), verbose=False) as running:
        words = (OK, FAILED, NOT_ASKED)
        running.optimizer("SGD", [(word, Outcome(word, "why" * 50)) for word in words])
    return out.getvalue()


SAID = f"FAILED    SGD: FAILED\n{'why' * 50}\nFAILED    SGD: 1 ok, 1 FAILED, 1 not asked\n"


class Pipe(io.StringIO):
    """What is at the other end of it has been flushed."""

    arrived = ""

    def flush(self) -> None:
        self.arrived = self.getvalue()


def test_nobody_watches_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said of an optimizer comes at once."""
    pipe = Pipe()
    assert watched(pipe, monkeypatch) == pipe.arrived == SAID


def test_a_fault_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    """By the first who meets it, beside whatever is new; others are named, and with -v all told."""
    alike = "is 1 off (and 2 more subjects fail in the same way)"
    faults = {"loop": alike, "other loop": alike}
    failed = [
        ("agreement", Outcome(FAILED, "is 1 off\nis 1 off\nis 1 off", faults=faults)),
        ("zero_grad to none", Outcome(FAILED, "is 2 off", faults={"loop": "is 2 off"})),
        ("pickle", Outcome(FAILED, "is 3 off", faults={"loop": "is 3 off", "X": "raised X"})),
        ("deepcopy", Outcome(FAILED, "is 4 off\nraised X", faults={"X": "raised X", "loop": ""})),
        ("closure", Outcome(FAILED, "is 5 off", faults={"loop": "is 5 off"})),
        ("order", Outcome(FAILED, "has died")),
        ("splitting", Outcome(FAILED, "has died")),
    ]
    with Running(7, Tally(), verbose=False) as running:
        running.optimizer("SGD", failed)
    assert capsys.readouterr().out.splitlines() == [
        "FAILED    SGD: agreement",
        "is 1 off (and 2 more subjects fail in the same way)",
        "FAILED    SGD: pickle",
        "raised X",
        "FAILED    SGD: order",
        "has died",
        "          2 other questions fail in the same way as agreement: zero_grad to none, closure",
        "          another question fails in the same way as pickle: deepcopy",
        "          another question fails in the same way as order: splitting",
        "FAILED    SGD: 7 FAILED",
    ]
    with Running(7, Tally(), verbose=True) as running:
        running.optimizer("SGD", failed)
    said = capsys.readouterr().out
    assert all(f"FAILED    SGD: {asks}\n{outcome.text}\n" in said for asks, outcome in failed)


def test_what_the_ledger_leaves_nothing_of_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """Where each case that was drawn has met it; not where one was asked."""
    met = [Place("SGD", path, "float16", "cpu") for path in ("fused", "foreach", "for-loop", "a")]
    asked, tally = Place("SGD", "default", "float16", "cpu"), Tally()
    for place in (*met, asked):
        tally.leave_out("a row", place)
    tally.lines[asked] = Line(runs=1)
    with Running(1, Tally(), verbose=True) as running:
        running.optimizer("SGD", [("agreement", Outcome(OK, tally=tally))])
    told = ", ".join(map(str, met[:3]))
    assert (
        f"\n          nothing left to ask by a row: {told} and 1 more\n" in capsys.readouterr().out
    )


def test_a_terminal_shows_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    seen = watched(Terminal(), monkeypatch)
    assert all(line in seen for line in SAID.split("\n"))
    assert "SGD" in seen
    assert "3/3" in seen
    assert "1 failed" in seen
    assert "\x1b[3" not in seen.replace("\x1b[3A", "")  # no colour


def test_ctrl_c_is_noted() -> None:
    with Running(3, Tally(), verbose=False) as running:
        raise KeyboardInterrupt
    assert running.interrupted
