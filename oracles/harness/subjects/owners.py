"""Optimizers built from a rule and the hyperparameters of a step, on one of their paths."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import torch

from oracles.drawing import Hyper
from oracles.harness.subjects.classes import accepted
from oracles.harness.subjects.paths import OptimizerClass
from oracles.harness.subjects.subject import lack
from oracles.rule import Rule

PATHS: Mapping[str, Mapping[str, bool]] = MappingProxyType(
    {"for-loop": {"foreach": False}, "foreach": {"foreach": True}, "fused": {"fused": True}}
)
"""The ways through an optimizer's step, and the switches that take them."""


def paths_of(cls: OptimizerClass) -> list[str]:
    """The paths an optimizer has; one that has no choice has a for-loop."""
    known = accepted(cls)
    return [path for path, told in PATHS.items() if path == "for-loop" or known >= told.keys()]


def owner(
    rule: Rule, h: Hyper, members: Sequence[torch.Tensor], path: str
) -> torch.optim.Optimizer:
    """torch's optimizer of a rule; what an older one does not take, it is not given."""
    cls = getattr(torch.optim, rule.name)
    given = {**rule.arguments(h), **PATHS[path]}
    built: torch.optim.Optimizer = cls(
        members, **{name: value for name, value in given.items() if name in accepted(cls)}
    )
    return built


def lacks(name: str, path: str, trial: Callable[[], object]) -> str:
    """Why an optimizer has no such path where it is tried; empty if it has."""
    if not all(switch in accepted(getattr(torch.optim, name)) for switch in PATHS[path]):
        return f"{name} takes no {', '.join(PATHS[path])}"
    return lack(trial)
