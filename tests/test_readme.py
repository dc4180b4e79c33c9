"""Is what the README says of weight decay what the rules say, which torch is held to?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from oracles import RULES
from oracles.rule import Rule

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
TITLE = "## What `weight_decay` means in each torch optimizer"
SWITCH = "decoupled_weight_decay"


def rows() -> dict[str, list[str]]:
    """The table below the title: the other cells by the name in the first one."""
    section = README.split(TITLE)[1].split("\n## ")[0]
    cells = [
        [cell.strip().strip("`") for cell in line.strip("|").split("|")]
        for line in section.splitlines()
        if line.startswith("| ")
    ]
    return {first: rest for first, *rest in cells[2:]}


def decayed(rule: Rule) -> bool:
    return "weight_decay" in rule.hyper()._fields


def test_every_optimizer_has_a_row() -> None:
    assert list(rows()) == [name for name, rule in RULES.items() if decayed(rule)]


@pytest.mark.parametrize("rule", [r for r in RULES.values() if decayed(r)], ids=lambda r: r.name)
def test_a_row_says_the_default_and_the_convention(rule: Rule) -> None:
    default, convention, meaning = rows()[rule.name]
    assert float(default) == rule.hyper().weight_decay
    assert convention == rule.torch.name
    assert (SWITCH in meaning) == (SWITCH in rule.hyper()._fields)


@pytest.mark.parametrize(
    "rule", [r for r in RULES.values() if SWITCH in r.hyper()._fields], ids=lambda r: r.name
)
def test_the_switch_is_the_other_convention(rule: Rule) -> None:
    """With it on, every number is that of the convention ``decoupled_lr`` with it off."""
    h = rule.trial._replace(weight_decay=0.25)
    gradients = [np.array([1.0, -2.0]), np.array([0.5, 3.0])]
    w = np.array([4.0, -8.0])
    on = rule.run(rule.torch, w, gradients, [h._replace(**{SWITCH: True})] * 2)
    off = rule.run(rule.convention("decoupled_lr"), w, gradients, [h] * 2)
    for (one, _), (other, _) in zip(on, off, strict=True):
        assert np.array_equal(one, other)
