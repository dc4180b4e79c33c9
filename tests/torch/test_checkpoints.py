"""Do checkpoints that an older torch wrote load in this one, and continue on the rule?

``checkpoints/<version>.pt`` holds, for every optimizer that version had, parameters and
``state_dict`` in the middle of a case. ``python -m tests.torch.test_checkpoints`` writes the file
of the torch that runs it, from whose answers nothing is expected but that they lie inside the
enclosure.
"""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from packaging.version import Version

from oracles.harness.cases.case import Case, Group, Parameter
from oracles.harness.checks.names import AGREEMENT as GENERAL
from oracles.harness.deviations.ledger import active
from oracles.harness.oracle import Oracle
from oracles.harness.subjects.paths import PATHS
from oracles.harness.subjects.run import Run
from oracles.harness.subjects.torch_optim import TorchSubject
from oracles.harness.verdict import INSIDE, judge
from oracles.optimizers.registry import RULES
from oracles.rule import Rule

FOLDER = Path(__file__).with_name("checkpoints")
FILES = sorted(FOLDER.glob("*.pt"), key=lambda path: Version(path.stem))
STEPS, SAVED = 4, 2
"""Steps of the case, and after how many of them it was saved."""


def case_for(rule: Rule) -> Case:
    """Two parameters, one of them without a gradient at the step that was saved last."""
    shape = (rule.drawing.shapes or ((2, 3),))[-1]
    rng = np.random.Generator(np.random.PCG64(11))
    values = rng.uniform(0.5, 2, (2, 1 + STEPS, *shape))
    first, second = (
        Parameter(own[0], tuple(own[1:]), gradient_layout=rule.gradient_layout) for own in values
    )
    gaps = (second.gradients[0], None, *second.gradients[2:])
    second = Parameter(second.initial, gaps, gradient_layout=rule.gradient_layout)
    return Case(
        (Group((first, second), (rule.drawing.remembering(rule.drawing.trial),) * STEPS),),
        ("float32",),
    )


def started(rule: Rule) -> Run:
    """The case until it is saved, on the path torch takes if nobody says."""
    optimizer = getattr(torch.optim, rule.name, None)
    if optimizer is None:
        pytest.skip(f"this torch.optim has no {rule.name}")
    run = TorchSubject(rule, optimizer, PATHS[0], "float32").start(case_for(rule))
    for t in range(SAVED):
        run.load(t)
        run.step()
        run.record()
    return run


@cache
def read(path: Path) -> dict[str, Any]:
    return dict(torch.load(path))


@pytest.mark.one_in(3)
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)
def test_a_checkpoint_continues(rule: Rule, path: Path) -> None:
    if Version(path.stem) > Version(Version(torch.__version__).base_version):
        pytest.skip(f"torch {torch.__version__} is older than the checkpoint")
    if rule.name not in read(path):
        pytest.skip(f"torch {path.stem} had no {rule.name}")
    saved = deepcopy(read(path)[rule.name])  # whose tensors steps would change
    run = started(rule)
    for row in active(rule.name, path.stem):
        if row.covers(GENERAL, run.subject, run.case):
            pytest.skip(f"{rule.name} of torch {path.stem} was on no rule to continue: {row.id}")
    with torch.no_grad():
        for p, value in zip(run.parameters, saved["parameters"], strict=True):
            p.copy_(value)
    run.optimizer.load_state_dict(saved["optimizer"])
    for t in range(SAVED, STEPS):
        run.load(t)
        run.step()
        run.record()
    verdict = judge(Oracle(rule, run.case), run.subject, run.answer())
    assert verdict.outcome == INSIDE, verdict.sentence


def test_there_are_checkpoints() -> None:
    """Of the oldest torch this suite runs on, and of newer ones."""
    assert [path.stem for path in FILES][:1] == ["1.13.1"]
    assert len(FILES) >= 3


def write() -> None:
    """Write this torch's file, for those optimizers that it has."""
    checkpoints = {}
    for rule in RULES.values():
        if hasattr(torch.optim, rule.name):
            run = started(rule)
            checkpoints[rule.name] = {
                "parameters": [p.detach() for p in run.parameters],
                "optimizer": run.optimizer.state_dict(),
            }
    FOLDER.mkdir(exist_ok=True)
    torch.save(checkpoints, FOLDER / f"{Version(torch.__version__).base_version}.pt")


if __name__ == "__main__":
    write()
