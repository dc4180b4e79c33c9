"""Cases made of other cases."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from oracles.harness.cases.case import Case, Group, Parameter


def regrouped(case: Case, change: Callable[[Parameter], Iterable[Parameter]]) -> Case:
    """The same groups with what becomes of each of their parameters."""
    groups = [
        Group(tuple(q for p in g.parameters for q in change(p)), g.schedule, g.joins)
        for g in case.groups
    ]
    return replace(case, groups=tuple(groups))


def mapped(p: Parameter, change: Callable[[Any], Any]) -> Parameter:
    """Another parameter, laid out plainly; sparse gradients stay sparse."""
    gradients = tuple(None if g is None else change(g) for g in p.gradients)
    layout = "sparse" if p.gradient_layout == "sparse" else "contiguous"
    return Parameter(change(p.initial), gradients, gradient_layout=layout)
