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


FLOORS = (
    "oracles.rule",
    "oracles.optimizers",
    "oracles.harness",
    "oracles.reports",
    "oracles.cli",
    "oracles",
)
"""From the ground up: nobody imports from a floor above their own."""


def floor(name: str) -> int:
    """How high a module lives: at its longest prefix among :data:`FLOORS`."""
    homes = [i for i, home in enumerate(FLOORS) if f"{name}.".startswith(f"{home}.")]
    return min(homes, key=lambda i: -len(FLOORS[i]))


def dotted(file: Path) -> str:
    """The module that a file is."""
    parts = file.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_direction(file: Path) -> None:
    own = dotted(file)
    above = {n for n in imported(file) if n.startswith("oracles") and floor(n) > floor(own)}
    assert not above, f"{own} imports from floors above its own: {above}"
    foreign = packages(file) - sys.stdlib_module_names - {"oracles"}
    if floor(own) <= FLOORS.index("oracles.optimizers"):
        assert foreign <= {"numpy"}, f"a rule may know NumPy only, not {foreign}"
    if not own.startswith("oracles.harness.subjects"):
        assert "torch" not in foreign, "torch enters through oracles/harness/subjects only"
    assert not foreign & {"pytest", "_pytest", "syrupy"}, "the harness is called by pytest"


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
