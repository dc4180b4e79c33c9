"""torch's own classes as people build them: with nothing, or with numbers that are written."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import pytest
import torch

from oracles.identification import identify
from oracles.optimizers.registry import RULES
from oracles.rule import Rule

OWN = {
    rule: getattr(torch.optim, name) for name, rule in RULES.items() if hasattr(torch.optim, name)
}


def wanting(cls: type) -> bool:
    """Whether it is not built without a learning rate, as SGD is not in old releases."""
    default = inspect.signature(cls).parameters["lr"].default
    return not isinstance(default, (float, torch.Tensor))


@pytest.mark.one_in(7)
@pytest.mark.parametrize("rule", OWN, ids=lambda rule: str(rule.name))
def test_what_is_built_with_nothing_is_torch_s_own(rule: Rule) -> None:
    """And it is not the simplest of other rules that its defaults do not tell from it."""
    cls = OWN[rule]
    if wanting(cls):
        pytest.skip(f"this torch builds no {rule.name} without a learning rate")
    told = identify(lambda params: cls(params))
    lr = f"lr = {rule.hyper().lr!r} whatever is given"
    assert str(told).endswith(f" follows {rule.name}'s {rule.torch.name}, {lr}")
    assert told.torchs


@pytest.mark.one_in(7)
@pytest.mark.parametrize("rule", OWN, ids=lambda rule: str(rule.name))
def test_a_written_rate_is_found(rule: Rule) -> None:
    """No rule sums over elements, or computes in so short a format, that it is not."""
    cls = OWN[rule]
    told = identify(lambda params: cls(params, lr=0.03), [rule])
    assert str(told).endswith(f"{rule.name}'s {rule.torch.name}, lr = 0.03 whatever is given")


WRITTEN: Mapping[str, tuple[Mapping[str, float], str]] = {
    "Adafactor": ({"lr": 0.05, "weight_decay": 0.1}, "lr = 0.05 and weight_decay = 0.1"),
    "Muon": (
        {"lr": 0.02, "weight_decay": 0.01, "momentum": 0.9},
        "lr = 0.02, weight_decay = 0.01 and momentum = 0.9",
    ),
    "ASGD": ({"weight_decay": 1e-3}, "lr = 0.01 and weight_decay = 0.001"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", [rule.name for rule in OWN if rule.name in WRITTEN])
def test_several_written_numbers_are_found(name: str) -> None:
    given, said = WRITTEN[name]
    rule = RULES[name]
    told = identify(lambda params: OWN[rule](params, **given), [rule])
    assert f"{rule.name}'s {rule.torch.name}, {said} whatever is given" in str(told)


@pytest.mark.slow
def test_the_decay_that_another_rule_has_by_default_is_no_other_rule() -> None:
    """AdamW with Adam's decay goes by Adam's name, whatever the number is."""

    def make(params: Any, lr: float) -> torch.optim.Optimizer:
        return torch.optim.Adam(params, lr=lr, weight_decay=0.01)

    told = identify(make, ["Adam", "AdamW"])
    assert str(told) == (
        "make follows Adam's coupled_unscaled, weight_decay = 0.01 whatever is given"
    )
