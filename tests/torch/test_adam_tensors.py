"""Adam's and AdamW's hyperparameters in tensors: which loop takes them, and what it makes of them.

The checks ask the paths that torch documents; these are the branches behind them.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any
from unittest.mock import patch

import pytest
import torch
from packaging.version import Version

from oracles.harness.cases.case import single
from oracles.harness.checks.contract import gradients_kept
from oracles.harness.oracle import Oracle
from oracles.harness.subjects.classes import functional, module_of
from oracles.harness.subjects.paths import Path
from oracles.harness.subjects.torch_optim import TorchSubject
from oracles.harness.verdict import INSIDE, judge
from oracles.optimizers.registry import RULES
from oracles.rule import Rule

pytestmark = pytest.mark.skipif(
    Version(torch.__version__) < Version("2.13"), reason="older releases take fewer tensors"
)

adams = pytest.mark.parametrize("rule", [RULES["Adam"], RULES["AdamW"]], ids=lambda rule: rule.name)

PATHS = (
    Path("for-loop", {"foreach": False}),
    Path("differentiable", {"differentiable": True}),
    Path("in the graph", {"differentiable": True}, graph=True),
)

GIVEN = ("lr", "betas", "weight_decay")


def parameters(*dtypes: torch.dtype) -> list[torch.Tensor]:
    found = [torch.tensor([1.0, -0.5], dtype=dtype) for dtype in dtypes]
    for p in found:
        p.grad = torch.tensor([0.25, 2.0], dtype=p.dtype)
    return found


def stepped(rule: Rule, *dtypes: torch.dtype, **options: Any) -> list[torch.Tensor]:
    owned = parameters(*dtypes)
    optimizer = getattr(torch.optim, rule.name)(owned, **options)
    for _ in range(3):
        optimizer.step()
    return owned


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
@pytest.mark.parametrize("given", [("betas",), ("lr",), ("weight_decay",), GIVEN], ids=str)
@adams
def test_tensors_follow_the_rule(rule: Rule, given: tuple[str, ...], path: Path) -> None:
    """Inside of a graph and outside; outside, gradients are left as they were, too."""
    h = rule.hyper(lr=0.5, beta1=0.5, beta2=0.75, weight_decay=0.25, eps=0.125)
    case = single([1.0, -0.5], [[0.25, 2.0], [-1.0, 0.5], [0.5, 0.5]], h)
    own = replace(path, tensors=given)
    subject = TorchSubject(rule, getattr(torch.optim, rule.name), own, "float64")
    verdict = judge(Oracle(rule, case), subject, subject.ask(case))
    assert verdict.outcome == INSIDE, verdict.sentence
    if not path.graph:
        kept = gradients_kept(subject, Oracle(rule, case))
        assert kept.outcome == INSIDE, kept.sentence


@adams
def test_betas_may_have_another_dtype(rule: Rule) -> None:
    """They are the same numbers in each: all are short binary fractions."""
    betas, dtypes = (0.5, 0.75), (torch.float32, torch.float64, torch.float32)
    boxed = tuple(torch.tensor(beta, dtype=torch.float64) for beta in betas)
    one, other = (stepped(rule, *dtypes, betas=given, foreach=False) for given in (betas, boxed))
    assert all(torch.equal(p, q) for p, q in zip(one, other, strict=True))


def refused(rule: Rule, words: str, told: dict[str, Any], **given: Any) -> None:
    """A step that is told a path through the functional entry refuses what its group was given."""
    class_ = getattr(torch.optim, rule.name)
    module, name = module_of(class_), rule.name.lower()
    with patch.object(module, name, partial(getattr(module, name), **told)):
        made = functional.__wrapped__(class_, rule)
    owned = parameters(torch.float32)
    optimizer = made(owned)
    optimizer.param_groups[0].update(given)
    with pytest.raises((RuntimeError, ValueError), match=words):
        optimizer.step()
    assert owned[0].tolist() == [1.0, -0.5]


@adams
def test_the_foreach_loop_refuses_tensors_unless_it_is_captured(rule: Rule) -> None:
    half, three = torch.tensor(0.5), torch.tensor(0.75)
    refuse = partial(refused, rule)
    refuse("lr as a Tensor", {"foreach": True}, lr=half)
    refuse("beta1 as a Tensor", {"foreach": True}, betas=(half, 0.75))
    refuse("beta2 as a Tensor", {"foreach": True}, betas=(0.5, three))
    captured = {"foreach": True, "capturable": True}
    refuse("lr must be 1-element", captured, lr=torch.full((2,), 0.5))
    refuse("beta1 must be 1-element", captured, betas=(torch.full((2,), 0.5), 0.75))
    refuse("beta2 must be 1-element", captured, betas=(0.5, torch.full((2,), 0.75)))
    for empty in ({"lr": torch.ones(0)}, {"betas": (torch.ones(0), 0.5)}):
        refuse("must be 1-element", captured, **empty)
    refuse("must be 1-element", captured, betas=(0.5, torch.ones(0)))


@adams
def test_a_rate_that_becomes_a_tensor_is_refused_when_it_is_met(rule: Rule) -> None:
    owned = parameters(torch.float32)
    optimizer = getattr(torch.optim, rule.name)(owned, foreach=True)
    optimizer.param_groups[0]["lr"] = torch.tensor(0.5)
    with pytest.raises(RuntimeError, match="lr as a Tensor"):
        optimizer.step()
    assert owned[0].tolist() == [1.0, -0.5]


@adams
def test_the_constructor_says_which_tensor_it_refuses(rule: Rule) -> None:
    class_ = getattr(torch.optim, rule.name)
    with pytest.raises(ValueError, match=r"betas\[0\] as a Tensor"):
        class_(parameters(torch.float32), foreach=True, betas=(torch.tensor(0.5),) * 2)


@adams
def test_a_count_inside_the_graph_is_refused(rule: Rule) -> None:
    owned = parameters(torch.float32)
    optimizer = getattr(torch.optim, rule.name)(owned, differentiable=True)
    optimizer.step()
    before = owned[0].tolist()
    optimizer.state[owned[0]]["step"].requires_grad_()
    with pytest.raises(RuntimeError, match="not supported for `step`"):
        optimizer.step()
    assert owned[0].tolist() == before
