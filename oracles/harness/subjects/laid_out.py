"""Code that is handed tensors which lie otherwise in memory, or have other shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from oracles.harness.arithmetic.formats import FloatArray
from oracles.harness.cases.case import Case
from oracles.harness.subjects.blackbox import BlackBox, shapes_for, unread, vocabulary
from oracles.harness.subjects.parameter_names import Vocabulary
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

    @property
    def vocabulary(self) -> Vocabulary:
        return vocabulary(self.box)

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
        laid_out = case.regrouped(lambda p: [replace(p, **self.where)])
        return self.box.run(rule, laid_out, dtype)


@dataclass(frozen=True)
class WithoutDimensions(Around):
    """A piece of code that is given parameters without dimensions for those of one element."""

    shapes: ClassVar[tuple[tuple[int, ...], ...]] = ((1,), (2, 3))

    def run(self, rule: Rule, case: Case, dtype: str = "float64") -> FloatArray:
        return self.box.run(rule, case.regrouped(lambda p: [p.each(_bare)]), dtype)


def _bare(values: FloatArray) -> FloatArray:
    return values.reshape(()) if values.shape == (1,) else values
