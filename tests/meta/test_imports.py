"""Who may know whom: rules know nothing of the harness, and torch enters through subjects only."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import oracles

ROOT = Path(oracles.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))


def imported(file: Path) -> set[str]:
    """Dotted names of all modules a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative imports hide who knows whom"
            names.add(node.module or "")
    return names


def packages(file: Path) -> set[str]:
    return {name.partition(".")[0] for name in imported(file)}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_direction(file: Path) -> None:
    place = file.relative_to(ROOT).parts
    foreign = packages(file) - sys.stdlib_module_names - {"oracles"}
    if place[0] != "harness":
        assert foreign <= {"numpy"}, f"a rule may know NumPy only, not {foreign}"
        known = {name for name in imported(file) if name.startswith("oracles.harness")}
        assert not known, f"a rule knows nothing of the harness, but imports {known}"
        return
    rules = {f"oracles.{rule.stem}" for rule in ROOT.glob("*.py")} - {"oracles.rule"}
    assert not imported(file) & rules, "the harness is the same for all rules"
    if place[1] != "subjects":
        assert "torch" not in foreign, "torch enters through oracles/harness/subjects only"
    assert not foreign & {"pytest", "_pytest", "syrupy"}, "the harness is called by pytest"


def test_oracles_work_without_torch() -> None:
    """An oracle answers a case in a process in which torch cannot be imported."""
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "from oracles import SGD\n"
        "from oracles.harness.case import single\n"
        "from oracles.harness.oracle import Oracle\n"
        "case = single([1.0], [[-32.0]], SGD.hyper(lr=0.5, weight_decay=1.0))\n"
        "print(float(Oracle(SGD, case)().parameters.mid[0, 0, 0]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT.parent
    )
    assert done.stdout.strip() == "16.5"
