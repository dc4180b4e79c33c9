"""Optimizer classes: what their constructors take, and functional entries made into classes."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
import torch

from oracles.harness.subjects.paths import OptimizerClass
from oracles.rule import Rule


class Functional(torch.optim.Optimizer):
    """An optimizer class around a module's functional entry, e.g. ``torch.optim.sgd.sgd``."""

    function: Callable[..., None]
    states: tuple[str, ...]
    defaults_: Mapping[str, Any]

    def __init__(self, params: Any, **hyper: Any) -> None:
        super().__init__(params, {**self.defaults_, **hyper})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            moved = [p for p in group["params"] if p.grad is not None]
            grads = [p.grad for p in moved]
            buffers = [[self.state[p].get(name) for p in moved] for name in self.states]
            arguments = {name: group[name] for name in self.defaults_}
            sparse = any(g.is_sparse for g in grads)
            type(self).function(moved, grads, *buffers, has_sparse_grad=sparse, **arguments)
            for name, column in zip(self.states, buffers, strict=True):
                for p, buffer in zip(moved, column, strict=True):
                    if buffer is not None:
                        self.state[p][name] = buffer
        return loss


@cache
def accepted(optimizer: OptimizerClass) -> frozenset[str]:
    """Names the constructor takes; with ``**options`` also those of the classes it extends."""
    names: set[str] = set()
    for cls in (optimizer, *optimizer.__mro__[1:]):
        parameters = inspect.signature(cls).parameters
        names |= set(parameters)
        if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            break
    return frozenset(names)


@cache
def takes_tensor(optimizer: OptimizerClass, name: str) -> bool:
    """Whether the constructor, or that of a class it extends, is annotated to take a tensor there.

    Many a class works with one before it says so, or seems to.
    """
    for cls in optimizer.__mro__:
        parameter = inspect.signature(cls).parameters.get(name)
        if parameter is not None and parameter.annotation is not parameter.empty:
            return "Tensor" in str(parameter.annotation)
    return False


@cache
def lacks_functional(optimizer: OptimizerClass, rule: Rule) -> str:
    """Why the function of the optimizer's module cannot be called in its place; empty if it can."""
    if not hasattr(sys.modules[optimizer.__module__], optimizer.__name__.lower()):
        return "its module has no functional entry"
    if "step" in rule.states or rule.start(np.zeros(()), rule.hyper()):
        return "its functional entry leaves it to the class to start the buffers"
    return ""


@cache
def functional(optimizer: OptimizerClass, states: tuple[str, ...]) -> OptimizerClass:
    """The function of the optimizer's module that bears its name in lower case, as a class."""
    function = getattr(sys.modules[optimizer.__module__], optimizer.__name__.lower())
    known = inspect.signature(function).parameters
    defaults = optimizer([torch.zeros(())], lr=1.0).defaults  # required before torch 2.2
    fields = {
        "function": staticmethod(function),
        "states": states,
        "defaults_": {name: value for name, value in defaults.items() if name in known},
    }
    return type("Functional", (Functional,), fields)
