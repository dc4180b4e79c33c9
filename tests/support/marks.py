"""Parametrizations that several test modules share."""

from __future__ import annotations

import pytest

from oracles.optimizers.registry import RULES

each_rule = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)

each_convention = pytest.mark.parametrize(
    ("rule", "convention"),
    [
        pytest.param(rule, convention, id=f"{rule.name}-{convention.name}")
        for rule in RULES.values()
        for convention in rule.conventions
    ],
)
