"""Who may know whom: rules know nothing of the harness, and torch enters through subjects only."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import oracles

ROOT = Path(oracles.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))


def dotted(file: Path) -> str:
    """The module that a file is."""
    parts = file.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {dotted(file): file for file in FILES}


@cache
def imported(file: Path) -> frozenset[str]:
    """Dotted names of all modules a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative imports hide who knows whom"
            module = node.module or ""
            inner = {f"{module}.{alias.name}" for alias in node.names}
            names |= (inner & set(MODULES)) or {module}
    return frozenset(names)


FLOORS = (
    "oracles.files",
    "oracles.naming",
    "oracles.layout",
    "oracles.numerics",
    "oracles.drawing",
    "oracles.rule",
    "oracles.optimizers",
    "oracles.loop.part",
    "oracles.schedules",
    "oracles.loop",
    "oracles.harness.arithmetic",
    "oracles.harness.cases",
    "oracles.harness.subjects.paths",
    "oracles.harness.subjects.subject",
    "oracles.harness.subjects.aliases",
    "oracles.harness.subjects.parameter_names",
    "oracles.harness.subjects.blackbox",
    "oracles.harness.subjects.trace",
    "oracles.harness.subjects.trace_files",
    "oracles.harness",
    "oracles.harness.subjects.equations",
    "oracles.harness.subjects",
    "oracles.harness.evidence",
    "oracles.harness.checks",
    "oracles.harness.loop",
    "oracles.harness.deviations",
    "oracles.harness.runs",
    "oracles.everybody",
    "oracles.movement",
    "oracles.explanation",
    "oracles.schedule_explanation",
    "oracles.fitting",
    "oracles.dictionary",
    "oracles.scheduling",
    "oracles.identification",
    "oracles.accuracy",
    "oracles.strictness",
    "oracles.inquiry",
    "oracles.schedule_checking",
    "oracles.report",
    "oracles.checking",
    "oracles.watching",
    "oracles.translation",
    "oracles.pytest_plugin",
    "oracles.reports",
    "oracles.commands",
    "oracles.cli",
    "oracles.__main__",
    "oracles",
)
"""From the ground up: nobody imports from a floor above their own."""


def floor(module: str) -> str:
    """Where a module lives: the longest of :data:`FLOORS` that it is below."""
    return max((home for home in FLOORS if f"{module}.".startswith(f"{home}.")), key=len)


def _packages(module: str) -> set[str]:
    """Which packages that are neither ours nor Python's a module imports."""
    packages = {name.partition(".")[0] for name in imported(MODULES[module])}
    return packages - sys.stdlib_module_names - {"oracles"}


def _inner(module: str) -> set[str]:
    """Whom of our own a module imports."""
    return {*imported(MODULES[module])} & {*MODULES}


def test_arrows_run_down_only() -> None:
    height = {module: FLOORS.index(floor(module)) for module in MODULES}
    up = [(one, other) for one in MODULES for other in _inner(one) if height[other] > height[one]]
    assert not up, "imports from a floor above its own"


def test_the_harness_is_the_same_for_all_rules() -> None:
    inside = [module for module in MODULES if module.startswith("oracles.harness")]
    known = [(one, other) for one in inside for other in _inner(one)]
    assert not [pair for pair in known if floor(pair[1]) == "oracles.optimizers"]


def test_no_circle() -> None:
    """A module may be imported first, whichever it is."""
    graph = {
        name: _inner(name) - {name}
        for name in MODULES
        if name != "oracles"  # which names what it exports for type checkers only
    }
    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize(
    ("package", "homes"),
    {
        "torch": ["oracles.harness.subjects"],
        "pytest": ["oracles.pytest_plugin"],
        "_pytest": [],
        "syrupy": [],
    }.items(),
)
def test_a_package_is_imported_at_home_only(package: str, homes: list[str]) -> None:
    """Torch enters through subjects, and pytest calls the harness."""
    assert {floor(module) for module in MODULES if package in _packages(module)} <= {*homes}


def test_rules_and_parts_know_numpy_only() -> None:
    lower = FLOORS[: FLOORS.index("oracles.loop") + 1]
    foreign = {module: _packages(module) for module in MODULES if floor(module) in lower}
    assert not {module: known for module, known in foreign.items() if not known <= {"numpy"}}


def test_importing_oracles_is_cheap() -> None:
    """The face imports what it exports when it is asked for it, and then no torch.

    Nor does the command to refuse code of which there is no package.
    """
    program = (
        "import sys; import oracles\n"
        "heavy = ('torch', 'hypothesis', 'rich', 'numpy', 'oracles.rule')\n"
        "print([name for name in heavy if name in sys.modules])\n"
        "assert oracles.RULES and oracles.Verdict and oracles.__version__\n"
        "print([name for name in heavy[:3] if name in sys.modules])\n"
        "from oracles.cli import main\n"
        "asked = [main(['check', 'nowhere:X']), main(['check', 'nowhere:X', '--rule', 'StepLR'])]\n"
        "print(asked, 'torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    told = done.stdout.splitlines()
    assert told[:2] == ["[]", "[]"] and told[-1] == "[2, 2] False", done.stderr


NEEDING = (
    "check --rule Adam -j 1",
    "check --rule LinearLR",
    "check --rule GradScaler",
    "identify types:SimpleNamespace",
    "soak --seconds 1",
    "loop os:getpid",
)
"""Calls that cannot be carried out without torch."""


@pytest.mark.slow
def test_a_rule_is_told_without_torch() -> None:
    """The command starts, and says what a step of NumPy follows, where torch cannot be imported.

    What cannot be told says how torch is installed.
    """
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "from oracles.cli import main\n"
        f"off = [main(command.split()) for command in {NEEDING}]\n"
        "try: import tests.meta.mutants\n"
        "except ModuleNotFoundError as error: print(error, file=sys.stderr)\n"
        "print(off, main(['identify', '--rule', 'SGD', '--equation', 'w -= lr*g']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT.parent
    )
    assert "follows SGD's coupled_unscaled" in done.stdout, done.stderr
    assert done.stdout.splitlines()[-1] == f"{[2] * len(NEEDING)} 0"
    assert "this needs what the suite needs (pip install '.[test]')" in done.stderr
    told = "oracles: this needs torch (pip install 'optimizer-oracles[torch]')"
    assert done.stderr.count(told) == len(NEEDING) == done.stderr.count("\n") - 1


def test_oracles_work_without_torch() -> None:
    """An oracle answers a case in a process in which torch cannot be imported."""
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "from oracles import RULES\n"
        "from oracles.harness.cases.case import single\n"
        "from oracles.harness.oracle import Oracle\n"
        "case = single([1.0], [[-32.0]], RULES['SGD'].hyper(lr=0.5, weight_decay=1.0))\n"
        "print(float(Oracle(RULES['SGD'], case)().parameters.mid[0, 0, 0]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT.parent
    )
    assert done.stdout.strip() == "16.5"


def test_the_face_is_imported_without_torch() -> None:
    """Recorded runs, pasted equations and translations need none, and do not wait for it."""
    doors = (
        "checking",
        "explanation",
        "identification",
        "schedule_checking",
        "scheduling",
        "translation",
    )
    program = "\n".join(
        ("import sys; sys.modules['torch'] = None", *(f"import oracles.{door}" for door in doors))
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT.parent)
