"""A handful of changes to torch's own source, one or two in each function that steps, are caught.

Those of the constructor and of ``__setstate__`` are left to their own tests, which see no cases.
``python -m tests.meta.mutants`` asks all of them; this is the part of it that every run affords.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import pytest
import torch
from hypothesis import settings

from oracles.harness.checks import checks
from oracles.harness.runner import Refuted, hold
from oracles.harness.subjects.paths import PATHS
from oracles.harness.subjects.selection import select
from oracles.harness.subjects.torch_optim import absent
from oracles.harness.tally import Tally
from oracles.sgd import RULE
from tests.meta import mutants
from tests.meta.mutants import Mutant

# What is not shrunk is long, and Hypothesis warns of printing it.
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")

CHECKS = {check.name: check for check in checks(RULE)}

AGREEMENT = "agreement"


class Row(NamedTuple):
    """One change, and the path and the check that must catch it."""

    function: str
    before: str
    after: str
    path: str
    check: str = AGREEMENT


ROWS = (
    Row("SGD._init_group", '"momentum_buffer"', "('momentum_buffer_')", "for-loop"),
    Row("SGD.step", '"momentum_buffer"', "('momentum_buffer_')", "for-loop"),
    Row(
        "SGD.step",
        "torch.enable_grad()",
        "(__import__('contextlib').nullcontext())",
        "for-loop",
        "a closure is called once",
    ),
    Row("sgd", "dampening", "weight_decay", "default"),
    Row("_single_tensor_sgd", "1 - dampening", "(1 + dampening)", "for-loop"),
    Row("_single_tensor_sgd", "nesterov", "False", "for-loop"),
    Row("_multi_tensor_sgd", "1 - dampening", "1", "foreach"),
    Row("_multi_tensor_sgd", "nesterov", "False", "foreach"),
    Row("_fused_sgd", "maximize", "has_sparse_grad", "fused"),
    Row("_fused_sgd", "nesterov", "maximize", "fused"),
)


@cache
def source() -> str:
    return inspect.getsource(sys.modules[torch.optim.SGD.__module__])


@cache
def found() -> dict[tuple[str, str, str], Mutant]:
    """The first mutant with that change in that function."""
    return {(m.function, m.before, m.after): m for m in reversed(list(mutants.mutants(source())))}


@pytest.fixture
def brief() -> Iterator[None]:
    """A short search that always tries the same cases and shrinks nothing."""
    before = settings.get_current_profile_name()
    mutants.load_profile(examples=20)
    yield
    settings.load_profile(before)


def ask(row: Row, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask a source text the row's check, on the row's path."""
    monkeypatch.setitem(sys.modules, mutants.NAME, sys)  # so that it is taken out afterwards
    optimizer = mutants.build(text, "torch.optim").SGD
    subjects, _ = select(RULE, [row.path], optimizer=optimizer)
    hold(CHECKS[row.check], RULE, subjects, Tally())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.function}: {row.before}")
def test_is_caught(row: Row, brief: None, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant = found().get((row.function, row.before, row.after))
    if mutant is None:
        pytest.skip(f"SGD of torch {torch.__version__} has no such place")
    path = next(p for p in PATHS if p.name == row.path)
    if reason := absent(RULE, torch.optim.SGD, path, "float32", "cpu"):
        pytest.skip(f"{row.path}: {reason}")
    with pytest.raises(Refuted):
        ask(row, mutant.source, monkeypatch)


@pytest.mark.parametrize("path", ["for-loop", "foreach"])
def test_the_unchanged_source_is_not(
    path: str, brief: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(Row("", "", "", path), source(), monkeypatch)


@pytest.mark.filterwarnings("ignore::SyntaxWarning")  # of some mutants, when they are compiled
def test_every_function_is_mutated() -> None:
    """A mutant of each, and each compiles: what the command does not reach it cannot report."""
    functions = {function for function, _, _ in found()}
    assert {"SGD.__init__", "SGD.__setstate__", "SGD.step", "sgd"} <= functions
    assert {"_single_tensor_sgd", "_multi_tensor_sgd"} <= functions
    for mutant in list(found().values())[::25]:
        compile(mutant.source, str(mutant), "exec")


def test_a_change_of_one_place() -> None:
    """Everything but the place stays as it was, whatever characters come before it."""
    text = 'def f(a):\n    "é"\n    b = "é" if a else a + 1  # ü\n    return b\n'
    changed = {str(m): m.source for m in mutants.mutants(text)}
    assert changed["f:3: a + 1 -> (a - 1)"] == text.replace("a + 1", "(a - 1)")
    assert changed["f:4: return b -> return None"] == text.replace("return b", "return None")
    assert not [name for name in changed if name.startswith("f:2")], "a docstring is for readers"
