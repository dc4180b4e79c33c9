"""Code that is handed tensors which lie otherwise in memory, or have other shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from oracles.harness.arithmetic.formats import FloatArray
from oracles.harness.cases.case import Case, Parameter
from oracles.harness.subjects.blackbox import BlackBox, shapes_for, unread
from oracles.rule import Rule

Way = Callable[[BlackBox], BlackBox]
"""A way to hand tensors to a piece of code."""


@dataclass(frozen=True)
class Around:
    """A piece of code that is asked in a way of its own."""

    box: BlackBox

    @property
    def name(self) -> str:
        return self.box.name

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        return shapes_for(self.box)

    def unread(self, rule: Rule) -> Mapping[str, Any]:
        return unread(self.box, rule)

    def takes(self, rule: Rule) -> frozenset[str]:
        return self.box.takes(rule)


@dataclass(frozen=True)
class LaidOut(Around):
    """A piece of code whose parameters or gradients do not lie side by side.

    Attributes:
        where: fields of its parameters, and the layouts they get.
    """

    where: Mapping[str, Any]

    def run(self, rule: Rule, case: Case, dtype: str = "float64") -> FloatArray:
        (group,) = case.groups
        members = tuple(replace(p, **self.where) for p in group.parameters)
        laid_out = replace(case, groups=(replace(group, parameters=members),))
        return self.box.run(rule, laid_out, dtype)


@dataclass(frozen=True)
class WithoutDimensions(Around):
    """A piece of code that is given parameters without dimensions for those of one element."""

    shapes: ClassVar[tuple[tuple[int, ...], ...]] = ((1,), (2, 3))

    def run(self, rule: Rule, case: Case, dtype: str = "float64") -> FloatArray:
        (group,) = case.groups
        members = tuple(_bare(p) if p.initial.shape == (1,) else p for p in group.parameters)
        return self.box.run(
            rule, replace(case, groups=(replace(group, parameters=members),)), dtype
        )


def _bare(p: Parameter) -> Parameter:
    gradients = tuple(g if g is None else g.reshape(()) for g in p.gradients)
    return replace(p, initial=p.initial.reshape(()), gradients=gradients)
