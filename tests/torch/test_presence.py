"""Is every path still there? What torch 2.13 has on a CPU, later releases must have.

A path is absent if torch refuses it with a message that is known, and what is absent is not asked:
without this, a release that begins to refuse a path would make the suite shorter, and no test red.

    python -m tests.torch.test_presence        writes what the installed torch has
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from packaging.version import Version

from oracles.harness.subjects.selection import select
from oracles.harness.subjects.torch_optim import quiet
from oracles.optimizers.registry import RULES
from oracles.rule import Rule

KEPT = Path(__file__).with_name("presence.json")
SINCE = "2.13"

SPARSE = "sparse gradients"


def present(rule: Rule) -> dict[str, list[str]]:
    """The dtypes each path of a rule's optimizer is there in, and takes sparse gradients in."""
    found: dict[str, list[str]] = {}
    for subject in select(rule, on=("cpu",))[0]:
        found.setdefault(subject.path.name, []).append(subject.dtype)
        if subject.takes_sparse:
            found.setdefault(f"{subject.path.name}, {SPARSE}", []).append(subject.dtype)
    return found


@pytest.mark.skipif(
    Version(torch.__version__) < Version(SINCE), reason=f"older than what is kept, torch {SINCE}"
)
@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)
def test_what_was_there_is_there(rule: Rule) -> None:
    kept = json.loads(KEPT.read_text(encoding="utf-8"))[rule.name]
    now = present(rule)
    lost = {path: sorted(set(dtypes) - set(now.get(path, []))) for path, dtypes in kept.items()}
    assert kept
    assert not {path: dtypes for path, dtypes in lost.items() if dtypes}


def test_every_rule_is_kept() -> None:
    assert set(json.loads(KEPT.read_text(encoding="utf-8"))) == set(RULES)


if __name__ == "__main__":
    quiet()
    table = {rule.name: present(rule) for rule in RULES.values()}
    lines = [
        f"{json.dumps(name)}: {{\n"
        + ",\n".join(f"  {json.dumps(path)}: {json.dumps(d)}" for path, d in paths.items())
        + "\n}"
        for name, paths in table.items()
    ]
    KEPT.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
