"""Does a backward pass come through a differentiable step, with derivatives that differences show?

``test_differentiable.py`` has SGD's by its learning rate and decay, exactly. Here every rule's are
asked by parameter and gradient, from a state that some steps have filled, of torch's ``gradcheck``:
a step that writes in place into what autograd has kept raises, and one that cuts the graph gives
zeros. Its tolerances are its own; what a step computes is held to enclosures elsewhere.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch
from packaging.version import Version

from oracles.harness.subjects.classes import accepted, takes_tensor
from oracles.optimizers.registry import RULES
from oracles.rule import Rule

pytestmark = pytest.mark.skipif(
    Version(torch.__version__) < Version("2.13"), reason="derivatives are those of 2.13"
)

Tensor = torch.Tensor

START = [1.0, -0.5, 0.25]
BEFORE = ([0.5, 0.25, -1.0], [0.25, -0.5, -0.75])
GRADIENT = [1.0, 0.75, -0.25]
"""No two alike and none zero, so that no maximum and no sign is about to change."""

OPTIONS: dict[str, list[dict[str, Any]]] = {
    "SGD": [{"momentum": 0.5, "nesterov": True}, {"momentum": 0.5, "dampening": 0.25}],
    "Adam": [{"amsgrad": True}],
    "AdamW": [{"amsgrad": True}],
    "RMSprop": [{"centered": True}, {"momentum": 0.5}],
    "NAdam": [{"decoupled_weight_decay": True}],
    "RAdam": [{"decoupled_weight_decay": True}, {"betas": (0.5, 0.5)}],
}
"""What else is asked of a class: each runs other lines of its step."""

CASES = [
    (rule, {**options, **extra})
    for rule in RULES.values()
    if "differentiable" in accepted(getattr(torch.optim, rule.name, object))
    for options in ({}, *OPTIONS.get(rule.name, ()))
    for extra in ({}, {"weight_decay": 0.25}, {"maximize": True})
    if set(extra) <= set(accepted(getattr(torch.optim, rule.name)))
]


NUMBERS = ("Adamax", "Adagrad", "Adadelta", "RMSprop")
"""Rules whose kernels take learning rates as numbers only, outside of the graph."""


def boxable(rule: Rule) -> list[str]:
    """Hyperparameters that a class takes as tensors inside the graph."""
    class_ = getattr(torch.optim, rule.name)
    names = ("lr", "weight_decay") if rule.name not in NUMBERS else ()
    unsaid = ("weight_decay",) if rule.name in ("Adam", "AdamW") else ()
    return [name for name in names if takes_tensor(class_, name) or name in unsaid]


def filled(class_: Any, options: dict[str, Any]) -> dict[str, Any]:
    """The state after some steps outside of any graph, for an optimizer that steps inside one.

    They are as many as RAdam takes until its variance is due.
    """
    p = torch.tensor(START, dtype=torch.float64)
    optimizer = class_([p], lr=0.25, foreach=False, **options)
    for gradient in BEFORE * 3:
        p.grad = torch.tensor(gradient, dtype=torch.float64)
        optimizer.step()
    saved: dict[str, Any] = optimizer.state_dict()
    for group in saved["param_groups"]:
        group.update(differentiable=True, foreach=None)
    return saved


KEPT = ("momentum", "amsgrad", "centered")
"""Options with which a later step writes into what an earlier one has kept for its derivative."""

ENDURING = [
    (rule, options)
    for rule, options in CASES
    if rule.name not in ("Adamax", "Rprop") and not options.keys() & set(KEPT)
]
"""Those that come through several steps; of Adamax and Rprop, too, a second one does not."""


@pytest.mark.one_in(3)
@pytest.mark.parametrize(
    ("rule", "options"), ENDURING, ids=lambda one: getattr(one, "name", None) or " ".join(one)
)
def test_derivatives_come_through_three_steps(rule: Rule, options: dict[str, Any]) -> None:
    """By betas, too, which Adam takes as tensors."""

    def stepped(start: Tensor, *rest: Tensor) -> Tensor:
        p, own = start.clone(), dict(options)
        if len(rest) == 5:
            own["betas"] = rest[3:]
        optimizer = getattr(torch.optim, rule.name)([p], lr=0.25, differentiable=True, **own)
        for gradient in rest[:3]:
            p.grad = gradient.clone()
            optimizer.step()
        return p

    betas = (0.5, 0.75) if rule.name in ("Adam", "AdamW") else ()
    values = [START, *BEFORE, GRADIENT, *betas]
    leaves = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in values]
    assert torch.autograd.gradcheck(stepped, leaves)


@pytest.mark.one_in(3)
@pytest.mark.parametrize(
    ("rule", "options"), CASES, ids=lambda one: getattr(one, "name", None) or " ".join(one)
)
def test_derivatives_come_through(rule: Rule, options: dict[str, Any]) -> None:
    """By the learning rate and the decay, too, where they may be tensors."""
    class_ = getattr(torch.optim, rule.name)
    saved = filled(class_, options)
    given = {"lr": 0.25, **options}
    boxed = [n for n in boxable(rule) if n in given]

    def stepped(start: Tensor, gradient: Tensor, *rates: Tensor) -> Tensor:
        p = start.clone()
        optimizer = class_([p], differentiable=True, **options)
        optimizer.load_state_dict(deepcopy(saved))
        optimizer.param_groups[0].update(zip(boxed, rates, strict=True))
        p.grad = gradient.clone()
        optimizer.step()
        return p

    values = [START, GRADIENT, *(given[name] for name in boxed)]
    leaves = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in values]
    assert torch.autograd.gradcheck(stepped, leaves)
