"""The pytest plugin: a test for each check, strict, counted, and not in anybody's way."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

import oracles
from oracles.checking import Checking
from oracles.harness.runs.confined import REST, Lost
from tests.support.breakers import BREAKERS, Clean
from tests.support.functions import batch_scaled
from tests.support.hostile import Unbuilt

ROOT = Path(oracles.__file__).parents[1]

TESTS = """
import oracles

def step(params, grads, state, lr):
    return [w - lr * g for w, g in zip(params, grads)]

def batch_scaled(params, grads, state, lr, wd, n):
    return [w - lr * (g + wd / n * w) for w, g in zip(params, grads)]

@oracles.parametrize_with_checks([step], rule="SGD", within=1, dtypes=["float64", "bfloat16"])
def test_right(check):
    check()

@oracles.parametrize_with_checks(
    [batch_scaled], rule="SGD", dtypes=[], expected_failures={"rule": "scaled by the batch"}
)
def test_known(check):
    check()

@oracles.parametrize_with_checks(
    [step], rule="SGD", dtypes=[], expected_failures={"state": "none is kept"}
)
def test_healed(check):
    check()

@oracles.parametrize_with_checks([batch_scaled], rule="SGD", dtypes=[])
def test_wrong(check):
    check()

@oracles.parametrize_with_checks([step], dtypes=[])
def test_forgotten(check):
    pass
"""


def ran(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """pytest on those tests, in a process and a folder of its own."""
    (folder / "test_mine.py").write_text(TESTS)
    call = [sys.executable, "-m", "pytest", "-p", "oracles.pytest_plugin", "-q", "-rA", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(call, capture_output=True, text=True, cwd=folder, env=environment)


def test_checks_are_tests(tmp_path: Path) -> None:
    done = ran(tmp_path, "--expect-checks", "57")
    told = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "XFAIL"))]
    names = {line.split(" - ")[0].split("::")[1] for line in told}
    assert {name for name in names if not name.startswith("test_forgotten")} == {
        "test_known[batch_scaled-rule]",
        "test_healed[step-state]",
        "test_wrong[batch_scaled-rule]",
    }
    assert sum(name.startswith("test_forgotten") for name in names) == 14
    assert "batch_scaled: rule: batch_scaled follows SGD's batch_scaled; its author" in done.stdout
    assert "does not call the check it is handed" in done.stdout
    assert "SKIPPED [1]" in done.stdout
    assert "numpy has no bfloat16" in done.stdout
    assert "checks were asked" not in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("expected", "status"), [("15", 0), ("16", 1)])
def test_their_number_may_be_locked(expected: str, status: int, tmp_path: Path) -> None:
    done = ran(tmp_path, "-k", "test_right", "--expect-checks", expected)
    assert done.returncode == status, done.stdout
    assert ("15 checks were asked; 16 expected" in done.stdout) == bool(status)


def test_whoever_does_not_use_it_pays_nothing() -> None:
    program = (
        "import sys; import pytest; import oracles.pytest_plugin\n"
        "print([name for name in ('torch', 'numpy', 'hypothesis', 'rich') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "[]\n", done.stderr


def odd(params: Any, grads: Any, state: Any, lr: Any) -> Any:
    return [w - lr * g**3 for w, g in zip(params, grads, strict=True)]


def double(params: Any, grads: Any, state: Any, lr: Any) -> Any:
    if params[0].dtype != "float64":
        raise RuntimeError("not today")
    return [w - lr * g for w, g in zip(params, grads, strict=True)]


@pytest.mark.one_in(3)
@pytest.mark.parametrize(
    ("subject", "options", "ok"),
    [
        (double, {"rule": "SGD", "dtypes": ["float64"], "within": 1}, False),  # at promises
        (batch_scaled, {"rule": "SGD"}, False),
        (batch_scaled, {"dtypes": ["bfloat16", "float32"], "within": 1}, True),
        (batch_scaled, {"dtypes": ["bfloat16"], "within": 1}, False),  # NumPy has none
        (batch_scaled, {"dtypes": ["float32"], "within": 1e-9}, False),
        pytest.param(
            odd, {"not_promised": ["rule"], "dtypes": ["float32"]}, True, marks=pytest.mark.slow
        ),
        pytest.param(
            odd,
            {"not_promised": ["rule"], "dtypes": ["float32"], "within": 1},
            False,
            marks=pytest.mark.slow,
        ),
        (BREAKERS["deepcopy"], {"rule": "SGD", "dtypes": []}, False),
        (Unbuilt, {"rule": "SGD"}, False),
    ],
)
def test_a_report_is_ok_where_no_check_fails(
    subject: Any, options: dict[str, Any], ok: bool
) -> None:
    """Whatever is a fault of the report makes some test red."""
    checking = Checking(subject, **options)
    report = checking.report(dict(checking.answers()))
    assert report.ok is ok
    assert [report.outcome(check)[0] for check in checking.checks()].count(False) >= (not ok)
    assert not ok or all(report.outcome(check)[0] is not False for check in checking.checks())


def test_what_was_not_asked_is_red() -> None:
    checking = Checking(Clean, "SGD", dtypes=["float32"])
    known = dict(islice(checking.answers(), 3))
    report = checking.report({**known, REST: Lost("the time was up")})
    outcomes = {check: report.outcome(check) for check in checking.checks()}
    assert outcomes.pop("rule")[0]
    assert {*outcomes.values()} == {(False, "the time was up")}
    assert len(report.late) == len(outcomes)


def test_a_call_that_is_off() -> None:
    def step(params: list[float], grads: list[float], state: object, lr: float) -> None: ...

    with pytest.raises(ValueError, match="expected_failures has 'x', which is no check; allowed"):
        oracles.parametrize_with_checks([step], expected_failures={"x": "because"})
    with pytest.raises(ValueError, match="as_torch=True is no option of parametrize_with_checks"):
        oracles.parametrize_with_checks([step], as_torch=True)
    with pytest.raises(ValueError, match="rule='Lion' is not known"):
        oracles.parametrize_with_checks([step], rule="Lion")


class Stepping:
    """Code that is an instance, whose repr would tell where it lies in memory."""

    def __call__(self, params: list[float], grads: list[float], state: object, lr: float) -> None:
        raise NotImplementedError


def test_names_of_tests_are_the_same_in_each_process() -> None:
    """A worker of pytest-xdist collects them by itself."""

    @oracles.parametrize_with_checks([partial(partial(Clean)), Stepping()], rule="SGD", dtypes=[])
    def test(check: Any) -> None: ...

    ids = [test.id for (mark,) in [test.pytestmark] for test in mark.args[1]]  # type: ignore[attr-defined]
    assert {name.partition("-")[0] for name in ids} == {"Clean", "Stepping"}


def without_pytest(program: str) -> subprocess.CompletedProcess[str]:
    """A process in which pytest cannot be imported."""
    before = "import sys; sys.modules['pytest'] = None; import oracles\n"
    call = [sys.executable, "-c", before + program]
    return subprocess.run(call, capture_output=True, text=True, cwd=ROOT)


def test_help_needs_no_pytest() -> None:
    done = without_pytest("help(oracles.parametrize_with_checks)")
    assert "A test for each subject and each check" in done.stdout, done.stderr


def test_it_is_said_that_tests_need_pytest() -> None:
    done = without_pytest("oracles.parametrize_with_checks([])")
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ModuleNotFoundError: parametrize_with_checks makes tests of pytest's")
