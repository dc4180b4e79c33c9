"""Every optimizer that this torch exports has a rule, and every rule is in the registry."""

from __future__ import annotations

import inspect
from dataclasses import replace

import numpy as np
import pytest
import torch
from packaging.version import Version

from oracles.drawing import PARTS
from oracles.harness.cases.case import single
from oracles.harness.oracle import Oracle
from oracles.optimizers.registry import REPLAYED, RULES
from oracles.rule import Rule

EXPORTED = {
    name: value
    for name, value in vars(torch.optim).items()
    if inspect.isclass(value)
    and issubclass(value, torch.optim.Optimizer)
    and value is not torch.optim.Optimizer
}

SINCE = {"Adafactor": "2.5", "Muon": "2.9"}
"""The release that brought an optimizer, where the oldest one supported has none."""


@pytest.mark.parametrize("name", EXPORTED)
def test_every_optimizer_has_a_rule(name: str) -> None:
    assert name in list(RULES | REPLAYED)


@pytest.mark.parametrize("name", RULES)
def test_every_rule_has_an_optimizer(name: str) -> None:
    """What a rule is not asked of, because torch has no such class, is older than the class."""
    older = Version(torch.__version__) < Version(SINCE.get(name, "0"))
    assert (name in EXPORTED) != older


@pytest.mark.parametrize(("name", "rule"), RULES.items(), ids=RULES)
def test_a_rule_is_filed_under_its_name(name: str, rule: Rule) -> None:
    assert rule.name == name
    assert next(iter(rule.drawing.domains)) == "lr"
    names = [convention.name for convention in rule.conventions]
    assert len(set(names)) == len(names) > 3, "a convention is known by its name"
    assert all(c.equation and c.source for c in rule.conventions)
    switches = {n for n, value in rule.hyper()._asdict().items() if isinstance(value, bool)}
    drawn = switches | set(rule.drawing.domains) | {"batch_size"}
    assert drawn == set(rule.hyper()._fields), "a hyperparameter that is never drawn"


def test_a_convention_needs_only_parts_that_cases_know() -> None:
    """Cases pass over a word they do not know, and would be built without what it stands for."""
    rule = RULES["SGD"]
    misspelt = replace(rule.torch, name="misspelt", parts=frozenset({"momentum", "oblnog"}))
    with pytest.raises(ValueError, match="SGD's convention 'misspelt' has the part 'oblnog'") as e:
        replace(rule, conventions=(rule.torch, misspelt))
    _, allowed = str(e.value).split("; allowed: ")
    assert set(allowed.split(", ")) == {*rule.hyper()._fields, *PARTS}


def test_every_part_is_one_that_a_convention_needs() -> None:
    asked = {part for rule in RULES.values() for c in rule.conventions for part in c.parts}
    assert PARTS.keys() <= asked


@pytest.mark.one_in(3)
@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)
def test_the_smallest_decay_is_a_decay(rule: Rule) -> None:
    """Divided by a batch size it underflows; whether there is any must not hang on that."""
    if "weight_decay" not in rule.hyper()._fields:
        pytest.skip(f"{rule.name} takes no weight_decay")
    h = rule.drawing.trial._replace(weight_decay=5e-324, batch_size=3)
    w = np.ones((rule.drawing.shapes or ((2,),))[-1])
    oracle = Oracle(rule, single(w, [w], h))
    for convention in rule.conventions:
        assert np.isfinite(oracle(convention).parameters.mid).all(), convention.name


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)
def test_a_settled_decay_does_not_turn_a_parameter(rule: Rule) -> None:
    h = rule.hyper()
    if "weight_decay" not in h._fields:
        pytest.skip(f"{rule.name} takes no weight_decay")
    for lr, weight_decay in ((2.0, 4.0), (1.0, 2.5), (0.5, 2.0)):
        settled = rule.drawing.nearest_allowed(h._replace(lr=lr, weight_decay=weight_decay))
        assert settled.lr * settled.weight_decay <= 1
