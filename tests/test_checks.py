"""The list of checks, each asked of every path and dtype of an optimizer of torch at once.

Within one example all paths are asked, because drawing a case costs more than asking one more
subject; a failing check names each subject that fails, one sentence each.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from oracles.harness.checks.catalogue import checks
from oracles.harness.checks.check import Check
from oracles.harness.runs.runner import run_check
from oracles.harness.runs.tally import Tally
from oracles.harness.subjects.torch_optim import TorchSubject
from oracles.optimizers.registry import RULES
from oracles.rule import Rule

ALL = [(rule, check) for rule in RULES.values() for check in checks(rule)]


@pytest.mark.parametrize(("rule", "check"), ALL, ids=[f"{r.name}: {c.name}" for r, c in ALL])
def test_check(
    rule: Rule, check: Check, subjects_of: Callable[[Rule], list[TorchSubject]], tally: Tally
) -> None:
    if not run_check(check, rule, subjects_of(rule), tally):
        pytest.skip("no chosen subject can be asked this")
