"""Is what the README says of weight decay and of deviations what rules and ledger say?"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from packaging.version import Version

from oracles.harness.deviations.ledger import ledger
from oracles.optimizers.registry import RULES
from oracles.rule import Rule

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
DECAY = "## What `weight_decay` means in each torch optimizer"
TODAY = "2.13.0"
"""The release whose deviations the README counts."""
SWITCH = "decoupled_weight_decay"


def section(title: str) -> str:
    return README.split(title)[1].split("\n## ")[0]


def table(title: str) -> list[list[str]]:
    """The cells of the table below a title."""
    lines = [line for line in section(title).splitlines() if line.startswith("| ")]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines[2:]]


def rows() -> dict[str, list[str]]:
    """What the table of weight decay says, by optimizer."""
    return {first: rest for first, *rest in table(DECAY)}


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
    h = rule.drawing.trial._replace(weight_decay=0.25)
    gradients = [np.array([1.0, -2.0]), np.array([0.5, 3.0])]
    w = np.array([4.0, -8.0])
    on = rule.run(rule.torch, w, gradients, [h._replace(**{SWITCH: True})] * 2)
    off = rule.run(rule.convention("decoupled_lr"), w, gradients, [h] * 2)
    for (one, _), (other, _) in zip(on, off, strict=True):
        assert np.array_equal(one, other)


def test_flaws_around_the_step_are_counted() -> None:
    """As VERSIONS.md has them, on the CPU on which the releases were run."""
    text = (Path(__file__).parents[2] / "reports" / "VERSIONS.md").read_text(encoding="utf-8")
    there = set()
    for line in text.split("## Known deviations")[1].splitlines():
        owner, row, since, until, *_ = [*map(str.strip, line.strip("|").split("|")), "", "", "", ""]
        if owner not in RULES and (first := re.match(r"[\d.]+", since)):
            last = re.match(r"[\d.]+", until)
            if Version(first[0]) <= Version(TODAY) and (
                until.startswith("still there") or (last and Version(last[0]) >= Version(TODAY))
            ):
                there.add(row)
    assert f"around the step, {len(there)} in 2.13;" in README


def test_deviations_are_counted() -> None:
    """They are listed, each with its reason, by the site (docs/generate.py)."""
    today = sum(row.holds_for(TODAY) for row in ledger())
    said = " ".join(README.split())
    assert f"holds {today} ways in which torch 2.13 leaves its own rules" in said
    assert f"and {len(ledger()) - today} more of earlier releases" in said
