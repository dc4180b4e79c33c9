"""A handful of changes to torch's own sources, in each function that steps, are caught.

Those of constructors and of ``__setstate__`` are left to their own tests, which see no cases.
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

from oracles.harness.checks.catalogue import checks
from oracles.harness.deviations.ledger import usable
from oracles.harness.runs.runner import Refuted, run_check
from oracles.harness.runs.tally import Tally
from oracles.harness.subjects.paths import PATHS
from oracles.harness.subjects.selection import select
from oracles.harness.subjects.torch_optim import TorchSubject, absent
from oracles.optimizers.registry import RULES
from tests.meta import mutants
from tests.meta.mutation import Mutant
from tests.meta.mutation import mutants as mutants_of
from tests.meta.planting import AGREEMENT

# What is not shrunk is long, and Hypothesis warns of printing it.
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")

WRITTEN_FOR = "2.13.0"
"""The release of torch that has every place the rows name."""


class Row(NamedTuple):
    """One change, and the path and the check that must catch it."""

    rule: str
    function: str
    before: str
    after: str
    path: str
    check: str = AGREEMENT


ROWS = (
    Row("SGD", "SGD._init_group", '"momentum_buffer"', "('momentum_buffer_')", "for-loop"),
    Row("SGD", "SGD.step", '"momentum_buffer"', "('momentum_buffer_')", "for-loop"),
    Row(
        "SGD",
        "SGD.step",
        "torch.enable_grad()",
        "(__import__('contextlib').nullcontext())",
        "for-loop",
        "a closure is called once",
    ),
    Row("SGD", "sgd", "dampening", "weight_decay", "default"),
    Row("SGD", "_single_tensor_sgd", "1 - dampening", "(1 + dampening)", "for-loop"),
    Row("SGD", "_single_tensor_sgd", "nesterov", "False", "for-loop"),
    Row("SGD", "_multi_tensor_sgd", "1 - dampening", "1", "foreach"),
    Row("SGD", "_multi_tensor_sgd", "nesterov", "False", "foreach"),
    Row("SGD", "_fused_sgd", "maximize", "has_sparse_grad", "fused"),
    Row("SGD", "_fused_sgd", "nesterov", "maximize", "fused"),
    Row("Adam", "_single_tensor_adam", "1 - device_beta1", "1", "for-loop"),
    Row("Adam", "_multi_tensor_adam", "1 - beta2 ** _get_value(step)", "1", "foreach"),
    Row("Adam", "_fused_adam", "not decoupled_weight_decay", "False", "fused"),
    Row("AdamW", "adamw", "eps", "weight_decay", "functional"),
    Row("AdamW", "adamw", "beta1", "beta2", "functional"),
    Row("Adamax", "_single_tensor_adamax", "1 - beta1 ** _get_value(step_t)", "1", "for-loop"),
    Row(
        "Adamax",
        "_multi_tensor_adamax",
        "not maximize and weight_decay == 0",
        "False",
        "foreach",
        "gradients are left as they were",
    ),
    Row("NAdam", "_single_tensor_nadam", "step + 1", "1", "for-loop"),
    Row("NAdam", "_multi_tensor_nadam", "1.0 - mu", "(1.0 + mu)", "foreach"),
    Row("RAdam", "_single_tensor_radam", "rho_t > 5.0", "False", "for-loop"),
    Row("RAdam", "_multi_tensor_radam", "rho_t - 4", "(rho_t + 4)", "foreach"),
    Row("Adagrad", "_single_tensor_adagrad", "step - 1", "(step + 1)", "for-loop"),
    Row(
        "Adagrad",
        "_multi_tensor_adagrad",
        "weight_decay != 0 or maximize",
        "True",
        "foreach",
        "gradients are left as they were",
    ),
    Row("Adadelta", "_single_tensor_adadelta", "1 - rho", "1", "for-loop"),
    Row("Adadelta", "_multi_tensor_adadelta", "1 - rho", "1", "foreach"),
    Row("RMSprop", "_single_tensor_rmsprop", "centered", "False", "for-loop"),
    Row("RMSprop", "_multi_tensor_rmsprop", "1 - alpha", "1", "foreach"),
    Row("Rprop", "_single_tensor_rprop", "-1", "1", "for-loop"),
    Row("Rprop", "_multi_tensor_rprop", "-1", "1", "foreach"),
    Row("ASGD", "_single_tensor_asgd", "1 / max(1, step - t0)", "1", "for-loop"),
    Row("ASGD", "_multi_tensor_asgd", "1 / max(1, _get_value(step) - t0)", "1", "foreach"),
    Row("Adafactor", "_single_tensor_adafactor", "1 / (step_float**0.5)", "1", "for-loop"),
    Row("Adafactor", "_multi_tensor_adafactor", "1 / (s.item() ** 0.5)", "1", "foreach"),
    Row("Muon", "_single_tensor_muon", "1 - lr * weight_decay", "1", "default"),
    Row("Muon", "_adjust_lr", '"match_rms_adamw"', "('match_rms_adamw_')", "default"),
    Row("SparseAdam", "SparseAdam.step", '"exp_avg_sq"', "('exp_avg_sq_')", "default"),
)


@cache
def source(rule: str) -> str:
    return inspect.getsource(sys.modules[getattr(torch.optim, rule).__init__.__module__])


@cache
def found(rule: str) -> dict[tuple[str, str, str], Mutant]:
    """The first mutant with that change in that function."""
    every = reversed(list(mutants_of(source(rule))))
    return {(m.function, m.before, m.after): m for m in every}


@pytest.fixture
def brief() -> Iterator[None]:
    """A short search that always tries the same cases and shrinks nothing."""
    before = settings.get_current_profile_name()
    mutants.load_profile()
    yield
    settings.load_profile(before)


def ask(row: Row, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask a source text the row's check, on the row's path."""
    rule = RULES[row.rule]
    monkeypatch.setitem(sys.modules, mutants.NAME, sys)  # so that it is taken out afterwards
    optimizer = getattr(mutants.build(text, "torch.optim"), row.rule)
    subjects, _ = select(rule, [row.path], optimizer=optimizer)
    check = next(check for check in checks(rule) if check.name == row.check)
    run_check(check, rule, subjects, Tally())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.function}: {row.before}")
def test_is_caught(row: Row, brief: None, monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(torch.optim, row.rule):
        pytest.skip(f"torch {torch.__version__} has no {row.rule}")
    mutant = found(row.rule).get((row.function, row.before, row.after))
    if mutant is None:
        assert torch.__version__.split("+")[0] != WRITTEN_FOR, "a slip of the pen"
        pytest.skip(f"{row.rule} of torch {torch.__version__} has no such place")
    path = next(p for p in PATHS if p.name == row.path)
    class_ = getattr(torch.optim, row.rule)
    if reason := absent(RULES[row.rule], class_, path, "float32", "cpu"):
        pytest.skip(f"{row.path}: {reason}")
    if not usable(AGREEMENT, TorchSubject(RULES[row.rule], class_, path, "float32")):
        pytest.skip(f"{row.path}: torch {torch.__version__} itself is wrong there")
    with pytest.raises(Refuted):
        ask(row, mutant.source, monkeypatch)


@pytest.mark.parametrize("path", ["for-loop", "foreach"])
def test_the_unchanged_source_is_not(
    path: str, brief: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(Row("SGD", "", "", "", path), source("SGD"), monkeypatch)


@pytest.mark.filterwarnings("ignore::SyntaxWarning")  # of some mutants, when they are compiled
def test_every_function_is_mutated() -> None:
    """A mutant of each, and each compiles: what the command does not reach it cannot report."""
    functions = {function for function, _, _ in found("SGD")}
    assert {"SGD.__init__", "SGD.__setstate__", "SGD.step", "sgd"} <= functions
    assert {"_single_tensor_sgd", "_multi_tensor_sgd"} <= functions
    for mutant in list(found("SGD").values())[::25]:
        compile(mutant.source, str(mutant), "exec")


def test_a_change_of_one_place() -> None:
    """Everything but the place stays as it was, whatever characters come before it."""
    text = 'def f(a):\n    "é"\n    b = "é" if a else a + 1  # ü\n    return b\n'
    changed = {str(m): m.source for m in mutants_of(text)}
    assert changed["f:3: a + 1 -> (a - 1)"] == text.replace("a + 1", "(a - 1)")
    assert changed["f:4: return b -> return None"] == text.replace("return b", "return None")
    assert not [name for name in changed if name.startswith("f:2")], "a docstring is for readers"


def test_the_lines_of_a_place() -> None:
    """Of the innermost statement; of a statement with a body, those before it."""
    text = "def f(a=0):\n    if (a\n            == 1):\n        a = [\n            2]\n"
    lines = {str(m): [*m.lines] for m in mutants_of(text)}
    assert lines["f:1: 0 -> 1"] == [2, 3, 4, 5]
    assert lines["f:3: 1 -> 2"] == [2, 3]
    assert lines["f:5: 2 -> 3"] == [4, 5]
