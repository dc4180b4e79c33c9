"""Is every path still there? What torch 2.13 has on a CPU, later releases must have.

python -m tests.torch.test_presence        writes what the installed torch has
"""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest
import torch
from packaging.version import Version

from oracles.files import write
from oracles.harness.cases.case import PRECISIONS
from oracles.harness.checks.catalogue import checks
from oracles.harness.runs.runner import Refuted, run_check
from oracles.harness.runs.tally import Tally
from oracles.harness.subjects.classes import accepted
from oracles.harness.subjects.paths import PATHS
from oracles.harness.subjects.presence import SINCE, SPARSE, TABLE, expects, table
from oracles.harness.subjects.selection import select
from oracles.harness.subjects.torch_optim import quiet, refusal
from oracles.optimizers.registry import RULES
from oracles.rule import Rule


def present(rule: Rule) -> dict[str, list[str]]:
    """The dtypes each path of a rule's optimizer is there in, and takes sparse gradients in."""
    optimizer, found = getattr(torch.optim, rule.name), {}
    for path in PATHS:
        for layout, name in ((None, path.name), ("sparse", f"{path.name}, {SPARSE}")):
            if layout and not (rule.sparse or path.sparse):
                continue
            where = (rule, optimizer, path)
            there = [d for d in PRECISIONS if not refusal(*where, d, "cpu", layout)]
            if there:
                found[name] = there
    return found


def test_every_rule_is_in_the_table() -> None:
    assert set(table()) == set(RULES)
    assert all(table()[name]["paths"] and table()[name]["arguments"] for name in RULES)


def test_a_release_before_the_table_may_lack_anything() -> None:
    assert expects("SGD", "foreach", "float32", str(SINCE))
    assert expects("SGD", "foreach", "float32", f"{SINCE}.0.dev20260101+cpu")
    assert not expects("SGD", "foreach", "float32", "2.12.1")
    assert not expects("SGD", "foreach, capturable", "float32", str(SINCE))


needs_table = pytest.mark.skipif(
    Version(torch.__version__) < SINCE, reason=f"the table is of torch {SINCE}"
)


class Guarded(torch.optim.SGD):
    """Refuses one of its paths in words that make a path absent where none is expected."""

    def step(self, closure: Any = None) -> Any:
        if self.param_groups[0]["foreach"]:
            raise RuntimeError("does not support sparse gradients")
        return super().step(closure)


class Shortened(torch.optim.SGD):
    """Has lost an argument."""

    def __init__(self, params: Any, lr: Any = 1e-3, momentum: Any = 0.0, **switches: Any) -> None:
        super().__init__(params, lr, momentum, foreach=switches.get("foreach"))


Shortened.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
    [
        inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        for name in ("params", "lr", "momentum", "dampening", "nesterov", "maximize", "foreach")
    ]
)


@needs_table
@pytest.mark.parametrize("planted", [Guarded, Shortened])
def test_what_is_lost_is_red_in_the_general_checks(
    planted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be absent in anybody else's class."""
    rule = RULES["SGD"]
    monkeypatch.setattr(torch.optim, "SGD", planted)
    subjects, missing = select(rule, ["foreach"], ["float64"], ["cpu"])
    assert not missing
    with pytest.raises(Refuted):
        run_check(checks(rule)[0], rule, subjects, Tally())


if __name__ == "__main__":
    quiet()
    lines = []
    for rule in RULES.values():
        arguments = sorted(accepted(getattr(torch.optim, rule.name)) - {"params"})
        paths = ",\n".join(
            f"    {json.dumps(path)}: {json.dumps(dtypes)}"
            for path, dtypes in present(rule).items()
        )
        lines.append(
            f'{json.dumps(rule.name)}: {{\n  "arguments": {json.dumps(arguments)},\n'
            f'  "paths": {{\n{paths}\n  }}\n}}'
        )
    write(TABLE, ("{\n" + ",\n".join(lines) + "\n}\n").encode())
