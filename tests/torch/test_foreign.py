"""Every foreign optimizer follows the convention that it is said to follow, and no other.

It runs in float64 and is held to the radius of float32, which leaves 2²⁹ roundings for whatever
order it computes in, and none for another rule: conventions count as others where their float32
enclosures are disjoint.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from oracles.harness.cases.case import Case, Group, Parameter
from oracles.harness.oracle import Enclosures, Oracle
from oracles.optimizers.registry import RULES
from tests.support.foreign import FOREIGN, Foreign

STEPS = {"RAdam": 8}
"""RAdam waits for at least five."""

VALUES: dict[str, Any] = {
    "lr": 0.5,
    "momentum": 0.5,
    "nesterov": True,
    "weight_decay": 0.5,
    "beta1": 0.75,
    "beta2": 0.9375,
    "eps": 0.5,
    "lr_decay": 0.5,
    "initial_accumulator_value": 0.25,
    "rho": 0.75,
    "alpha": 0.75,
    "etaminus": 0.5,
    "etaplus": 1.5,
    "step_size_min": 0.125,
    "step_size_max": 0.75,
    "lambd": 0.5,
    "beta2_decay": -0.75,
    "eps1": 0.125,
    "eps2": 0.25,
    "d": 0.5,
    "ns_steps": 1,
    "batch_size": 4,
}
"""Of each hyperparameter that an optimizer has; float32 holds them all."""


def given(foreign: Foreign) -> dict[str, Any]:
    return {name: VALUES[name] for name in foreign.names}


def changes(foreign: Foreign) -> bool:
    """Whether its convention shows only when the rate changes."""
    return "schedule" in RULES[foreign.rule].convention(foreign.convention).parts


@cache
def case(foreign: Foreign) -> Case:
    """One parameter that float32 holds, and gradients that fall, turn, veer, and are sparse.

    Those of Adafactor are small, so that its floor is felt.
    """
    rule = RULES[foreign.rule]
    rng = np.random.default_rng(2)
    shape = {"Muon": (1, 4)}.get(rule.name, (3, 4))
    steps = STEPS.get(rule.name, 4)
    w, *gradients = (
        rng.integers(4, 25, (1 + steps, *shape)) / 8 * (-1) ** rng.integers(2, size=shape)
    )
    for t, g in enumerate(gradients):
        g /= 16 if rule.name == "Adafactor" else 1
        g *= -0.25 if t % 3 == 2 else 0.5**t
        g[:, t % 2] *= 8
        if rule.sparse:
            g[t % 3] = 0
    switches = {"amsgrad": True} if foreign.convention.startswith("amsgrad") else {}
    h = rule.hyper(**given(foreign), **switches)
    rates = [h.lr / 2 if changes(foreign) and t % 2 else h.lr for t in range(steps)]
    parameter = Parameter(w, tuple(gradients), gradient_layout=rule.gradient_layout)
    return Case((Group((parameter,), tuple(h._replace(lr=rate) for rate in rates)),), ("float32",))


def followed(foreign: Foreign) -> Any:
    """The parameter after each step, in float64; shape (steps, elements)."""
    (group,) = case(foreign).groups
    (parameter,) = group.parameters
    w = torch.tensor(parameter.initial, requires_grad=True)
    made = foreign.make([w], **given(foreign))
    after = []
    for g, h in zip(parameter.gradients, group.schedule, strict=True):
        made.param_groups[0][foreign.names["lr"]] = h.lr
        dense = torch.tensor(g)
        w.grad = dense.to_sparse() if RULES[foreign.rule].sparse else dense
        made.step()
        after.append(w.detach().numpy().ravel().copy())
    return np.array(after)


@cache
def enclosed(foreign: Foreign, convention: str) -> Enclosures:
    rule = RULES[foreign.rule]
    return Oracle(rule, case(foreign))(rule.convention(convention))


def inside(values: Any, answer: Enclosures) -> bool:
    mid, rad = answer.parameters.mid[0], answer.parameters.rad[0]
    assert np.isfinite(rad).all()
    return bool((np.abs(values - mid) <= rad).all())


def disjoint(one: Enclosures, other: Enclosures) -> bool:
    p, q = one.parameters, other.parameters
    return bool((np.abs(p.mid[0] - q.mid[0]) > p.rad[0] + q.rad[0]).any())


each_foreign = pytest.mark.parametrize("foreign", FOREIGN, ids=lambda f: f.id)


@each_foreign
def test_it_follows_its_convention(foreign: Foreign) -> None:
    assert inside(followed(foreign), enclosed(foreign, foreign.convention))


@pytest.mark.one_in(3)
@each_foreign
def test_it_follows_no_other(foreign: Foreign) -> None:
    own = enclosed(foreign, foreign.convention)
    names = [c.name for c in RULES[foreign.rule].conventions]
    others = [n for n in names if disjoint(own, enclosed(foreign, n))]
    assert others
    assert foreign.convention == names[0] or names[0] in others
    values = followed(foreign)
    assert not [n for n in others if inside(values, enclosed(foreign, n))]


@each_foreign
def test_an_argument_it_has_not_is_refused(foreign: Foreign) -> None:
    with pytest.raises(TypeError, match="has nothing for foreach"):
        foreign.make([torch.zeros(1)], foreach=True)


def test_every_rule_is_followed_by_somebody() -> None:
    assert {foreign.rule for foreign in FOREIGN} == set(RULES)
    assert sum(f.convention != RULES[f.rule].torch.name for f in FOREIGN) >= 10
