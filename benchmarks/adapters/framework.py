"""What frameworks have in common: arrays in, arrays out, under names of their own."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np

from oracles.dictionary.arguments import ARGUMENTS, Names
from oracles.drawing import Hyper
from oracles.harness.arithmetic.formats import FloatArray, round_to
from oracles.harness.cases.case import Case
from oracles.harness.subjects.subject import SubjectError, answering
from oracles.optimizers.registry import RULES
from oracles.rule import Rule

Arrays = list[FloatArray]
Step = Callable[[Arrays, Mapping[str, Any]], Arrays]
"""``(gradients, values) -> parameters``: a step under these values, by the framework's names."""

Start = Callable[[Arrays, Mapping[str, Any]], Step]
"""``(parameters, values) -> step``: what begins with these parameters."""


SMALLEST = 5e-324
"""The least number of float64."""


@dataclass(frozen=True)
class FrameworkOptimizer:
    """An optimizer of a framework, as a black box.

    Attributes:
        name: ``framework.Optimizer``, one of :data:`ARGUMENTS`.
        start: what makes one.
        signature: whose defaults are its own.
        beside: by its own name, defaults of what the signature leaves out.
        above_zero: by torch's name, what it refuses to have at 0, and is given the least number
            instead, which no sum notices.
        biased: what makes one whose vectors are biases, where ``start`` does not.
        always: by torch's name, what it acts with and takes no argument for.
        dtype: the longest in which it computes.
    """

    name: str
    start: Start
    signature: Callable[..., Any]
    beside: Mapping[str, Any] = field(default_factory=dict)
    above_zero: frozenset[str] = frozenset()
    biased: Start | None = None
    always: Mapping[str, Any] = field(default_factory=dict)
    dtype: str = "float64"

    @property
    def rule(self) -> str:
        """Whose name it bears."""
        return ARGUMENTS[self.name][0]

    @property
    def names(self) -> Names:
        """By torch's name, what it calls what it takes."""
        return ARGUMENTS[self.name][1]

    @property
    def defaults(self) -> dict[str, Any]:
        """What it takes where nothing is given, by its own name; None is off."""
        parameters = inspect.signature(self.signature).parameters
        found = dict(self.beside)
        found |= {own: parameters[own].default for own in self.names.values() if own in parameters}
        for name, members in parameters.items():
            if isinstance(members.default, list):
                found |= {f"{name}[{i}]": value for i, value in enumerate(members.default)}
        return {
            own: found[own] for own in self.names.values() if own in found and _said(found[own])
        }

    @property
    def acts_by(self) -> Rule:
        """The rule whose name it bears, with what it always acts with as its default."""
        rule = RULES[self.rule]
        return replace(rule, hyper=partial(rule.hyper, **self.always)) if self.always else rule

    def takes(self, rule: Rule) -> frozenset[str]:
        return frozenset(self.names) & frozenset(rule.hyper()._fields)

    def run(self, rule: Rule, case: Case, dtype: str = "float64") -> FloatArray:
        if dtype == "float64" != self.dtype:
            raise SubjectError(f"computes in {self.dtype}")
        (group,) = case.groups
        kind = np.dtype(dtype)
        rounded = [round_to(dtype, p.initial).astype(kind) for p in group.parameters]
        with answering(), np.errstate(all="ignore"):
            step = self.start(rounded, self.given(group.schedule[0]))
            rows = []
            for t, h in enumerate(group.schedule):
                gradients = [self._gradient(p.gradients[t], dtype) for p in group.parameters]
                rows.append(self._row(step(gradients, self.given(h))))
        return np.stack(rows)

    def decays_biases(self, rule: Rule) -> bool | None:
        """Whether a vector shrinks where gradients are 0; None if it takes no weight decay."""
        if "weight_decay" not in self.names:
            return None
        values = self.given(rule.drawing.trial._replace(batch_size=8))
        ones, zeros = ([make(s, self.dtype) for s in (3, (2, 3))] for make in (np.ones, np.zeros))
        step = (self.biased or self.start)(ones, values)
        moved, _ = step(zeros, values)
        return bool(np.any(np.asarray(moved) != 1))

    def given(self, h: Hyper) -> dict[str, Any]:
        """Hyperparameters by its own names; what it calls by none it is not told."""
        values = h._asdict()
        values |= {name: SMALLEST for name in self.above_zero if values.get(name) == 0}
        return {own: values[name] for name, own in self.names.items() if name in values}

    @staticmethod
    def _gradient(values: FloatArray | None, dtype: str) -> FloatArray:
        if values is None:
            raise ValueError("every parameter has a gradient at every step here")
        return round_to(dtype, values).astype(np.dtype(dtype))

    @staticmethod
    def _row(parameters: Sequence[Any]) -> FloatArray:
        return np.concatenate([np.ravel(np.asarray(p)).astype(np.float64) for p in parameters])


@dataclass(frozen=True)
class Framework:
    """A framework and those of its optimizers that are asked.

    Attributes:
        package: what is installed to have it.
        module: what is imported to see whether it is there.
        adapter: the module beside this one that runs it.
    """

    package: str
    module: str
    adapter: str

    @property
    def installed(self) -> bool:
        """Whether it can be asked here."""
        return importlib.util.find_spec(self.module) is not None

    @property
    def version(self) -> str:
        """Of what is installed."""
        return importlib.metadata.version(self.package)

    def optimizers(self) -> tuple[FrameworkOptimizer, ...]:
        """Its optimizers."""
        module = importlib.import_module(f"benchmarks.adapters.{self.adapter}")
        found: tuple[FrameworkOptimizer, ...] = module.OPTIMIZERS
        return found


FRAMEWORKS: Mapping[str, Framework] = MappingProxyType(
    {
        framework.package: framework
        for framework in (
            Framework("scikit-learn", "sklearn", "sklearn"),
            Framework("keras", "keras", "keras"),
            Framework("optax", "optax", "optax"),
            Framework("onnx", "onnx", "onnx"),
            Framework("mlx", "mlx", "mlx"),
            Framework("mxnet", "mxnet", "mxnet"),
            Framework("tinygrad", "tinygrad", "tinygrad"),
            Framework("paddlepaddle", "paddle", "paddle"),
            Framework("mindspore", "mindspore", "mindspore"),
            Framework("tensorflow-cpu", "tensorflow", "tensorflow1"),
            Framework("chainer", "chainer", "chainer"),
        )
    }
)
"""By the package that is installed to have it."""


def _said(default: Any) -> bool:
    """Whether a default is a number or none."""
    return default is None or isinstance(default, int | float)


def installed() -> Iterable[Framework]:
    """Those that can be asked here."""
    return [framework for framework in FRAMEWORKS.values() if framework.installed]
