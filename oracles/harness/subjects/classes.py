"""Optimizer classes: what their constructors take, functional entries as classes, and guards."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

import torch

from oracles.harness.subjects.paths import OptimizerClass
from oracles.rule import Rule


@cache
def accepted(optimizer: OptimizerClass) -> frozenset[str]:
    """Names the constructor takes; with ``**options`` also those of the classes it extends."""
    names: set[str] = set()
    for cls in optimizer.__mro__:
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
def lacks_functional(optimizer: OptimizerClass) -> str:
    """Why the function of the optimizer's module cannot be called in its place; empty if it can."""
    if not hasattr(module_of(optimizer), optimizer.__name__.lower()):
        return "its module has no functional entry"
    if not hasattr(optimizer, "_init_group"):
        return "its step alone knows how to start the buffers"
    return ""


@cache
def functional(optimizer: OptimizerClass, rule: Rule) -> OptimizerClass:
    """The class with the function that bears its name, e.g. ``torch.optim.sgd.sgd``, for a step.

    The function is told the hyperparameters and no path. The class starts the buffers, since most
    functions expect them to be there; what a function makes itself is put where the class keeps it.
    """
    function = getattr(module_of(optimizer), optimizer.__name__.lower())
    known = inspect.signature(function).parameters

    def advance(self: Any, group: dict[str, Any]) -> None:
        _, *names = inspect.signature(self._init_group).parameters
        columns: dict[str, list[Any]] = {name: [] for name in names}
        # Until 2.6 AdamW's wanted a switch among the columns.
        switches = {name: group[name] for name in columns if isinstance(group.get(name), bool)}
        self._init_group(group, *(columns | switches).values())
        moved, grads, *_ = columns.values()
        given: dict[str, Any] = {
            **columns,
            **dict(zip(known, (moved, grads), strict=False)),  # each module calls them otherwise
            "has_sparse_grad": any(g.is_sparse for g in grads),
            "has_complex": any(p.is_complex() for p in moved),
        }
        for name in rule.arguments(rule.hyper()):
            members = rule.binding.tuples.get(name, ())
            if members and members[0] in known:
                given |= zip(members, group[name], strict=True)
            elif name in group:
                given[name] = group[name]
        function(**{name: given[name] for name in known if name in given})
        for name in rule.states:
            column = next((c for label, c in columns.items() if label.startswith(name)), [])
            for p, buffer in zip(moved, column, strict=False):
                if buffer is not None and self.state[p].get(name) is None:
                    self.state[p][name] = buffer

    @torch.no_grad()
    def step(self: Any, closure: Any = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            advance(self, group)
        return loss

    return type("Functional", (optimizer,), {"step": step})


def module_of(optimizer: OptimizerClass) -> Any:
    """Where its code is: some classes say that they are from ``torch.optim`` itself."""
    return sys.modules[getattr(optimizer.__init__, "__module__", optimizer.__module__)]


GUARD = "_get_capturable_supported_devices"


@contextmanager
def capturable_anywhere(optimizer: OptimizerClass) -> Iterator[None]:
    """Let a capturable optimizer step where torch guards it against devices without graphs.

    The guard is about capture; the arithmetic behind it runs anywhere, and so does what it is held
    to here.
    """
    guards = {module: getattr(module, GUARD) for module in _guarded(optimizer)}
    for module, guard in guards.items():
        setattr(module, GUARD, partial(_with_cpu, guard))
    try:
        yield
    finally:
        for module, guard in guards.items():
            setattr(module, GUARD, guard)


@cache
def _guarded(optimizer: OptimizerClass) -> frozenset[Any]:
    """The modules of its code that have such a guard."""
    modules = {module_of(cls) for cls in optimizer.__mro__[:-1]}
    return frozenset(module for module in modules if hasattr(module, GUARD))


def _with_cpu(guard: Callable[..., list[str]], *args: Any, **options: Any) -> list[str]:
    return [*guard(*args, **options), "cpu"]
