"""Does a compiled step follow the rule?

``torch.compile`` writes other kernels: it fuses operations, keeps halves in float32 in between, and
has the count of steps as a tensor on every path. Compiling takes seconds for each optimizer (and a
minute before the first one), so only the thorough profile asks; one case in four dtypes shows all
of a step's lines.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import settings

import oracles
from oracles.harness.arithmetic.formats import DTYPES
from oracles.harness.cases.case import MIXED, Case, Group, Parameter
from oracles.harness.oracle import Oracle
from oracles.harness.runs.profiles import EXAMPLES
from oracles.harness.runs.tally import Tally
from oracles.harness.subjects.paths import Path, Wrap
from oracles.harness.subjects.torch_optim import TorchSubject, absent
from oracles.harness.verdict import INSIDE, judge
from oracles.optimizers.registry import RULES
from oracles.rule import Rule

pytestmark = [
    pytest.mark.skipif(
        settings().max_examples < EXAMPLES["thorough"],
        reason="compiling takes minutes: --hypothesis-profile=thorough",
    ),
    # What torch's own compiler imports and calls is deprecated in places, and it warns of half
    # formats side by side.
    pytest.mark.filterwarnings(
        "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"
    ),
]


COMPILED = (
    Path("compiled", wrap=Wrap.COMPILE),
    Path("compiled, tensor lr", wrap=Wrap.COMPILE, tensors=("lr",)),
)
"""Paths that cost seconds each, and are asked here alone."""

LATE = {"all": (0, 1), "some": (1,)}
"""Whose gradients are absent at the first step, where a step is traced."""


def case_for(rule: Rule) -> Case:
    """Three steps, the learning rate halved before the last, decay where there is any."""
    shape = (rule.drawing.shapes or ((5, 7),))[-1]
    rng = np.random.Generator(np.random.PCG64(3))
    members = tuple(
        Parameter(
            rng.uniform(0.5, 2, shape),
            tuple(rng.uniform(-2, 2, (3, *shape))),
            gradient_layout=rule.gradient_layout,
        )
        for _ in DTYPES
    )
    h = rule.drawing.trial
    return Case((Group(members, (h, h, h._replace(lr=h.lr / 2))),), (MIXED,))


@pytest.mark.parametrize("path", COMPILED, ids=lambda path: path.name)
@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)
def test_a_compiled_step_follows_the_rule(rule: Rule, path: Path, tally: Tally) -> None:
    optimizer = getattr(torch.optim, rule.name, None)
    if optimizer is None or not hasattr(torch, "compile"):
        pytest.skip(f"this torch has no torch.compile or no {rule.name}")
    torch.compiler.reset()
    if reason := absent(rule, optimizer, path, MIXED, "cpu"):
        pytest.skip(reason)
    subject = TorchSubject(rule, optimizer, path, MIXED)
    case = case_for(rule)
    verdict = judge(Oracle(rule, case), subject, subject.ask(case))
    tally.add(subject.place, verdict)
    assert verdict.outcome == INSIDE, verdict.sentence


def late_case(rule: Rule, late: tuple[int, ...]) -> Case:
    """Two parameters; some have no gradient when the step is traced, the first none at step 3."""
    rng = np.random.Generator(np.random.PCG64(5))
    gradients = [list(rng.uniform(-2, 2, (4, 5, 7))) for _ in range(2)]
    for number in late:
        gradients[number][0] = None
    gradients[0][2] = None
    members = tuple(Parameter(rng.uniform(0.5, 2, (5, 7)), tuple(own)) for own in gradients)
    return Case((Group(members, (rule.drawing.trial,) * 4),), ("float32",))


@pytest.mark.parametrize("late", LATE)
@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_gradients_that_were_absent_when_a_step_was_traced(
    name: str, late: str, tally: Tally
) -> None:
    """They are stepped on when they come: the graph is traced again."""
    if not hasattr(torch, "compile"):
        pytest.skip("this torch has no torch.compile")
    torch.compiler.reset()
    rule = RULES[name]
    if reason := absent(rule, getattr(torch.optim, name), COMPILED[0], "float32", "cpu"):
        pytest.skip(reason)
    torch.compiler.reset()
    subject = TorchSubject(rule, getattr(torch.optim, name), COMPILED[0], "float32")
    case = late_case(rule, LATE[late])
    verdict = judge(Oracle(rule, case), subject, subject.ask(case))
    tally.add(subject.place, verdict)
    assert verdict.outcome == INSIDE, verdict.sentence


def test_who_watches_a_loop_is_not_compiled_with_it() -> None:
    """The graphs of a step with its backward pass are torch's and the loop's own."""
    if not hasattr(torch, "compile"):
        pytest.skip("this torch has no torch.compile")
    torch.compiler.reset()
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    traced: list[str] = []

    def backend(module: Any, _: Any) -> Any:
        traced.extend(node.stack_trace or "" for node in module.graph.nodes)
        return module.forward

    @torch.compile(backend=backend)
    def step() -> None:
        optimizer.zero_grad()
        model(torch.ones(2, 3)).square().mean().backward()
        optimizer.step()

    with oracles.watch(optimizer, model=model, loss="mean") as report:
        for _ in range(3):
            step()
    assert report.ok
    assert report.seen == "3 steps of SGD after 3 backward passes"
    assert not [place for place in traced if f"{os.sep}loops{os.sep}" in place]
