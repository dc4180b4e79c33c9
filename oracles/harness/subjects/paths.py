"""The implementation paths of a torch optimizer, as rows of data.

Which of them an installed torch has is found by looking: at the constructor's signature, and by a
trial step. Nothing here compares version numbers.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from oracles.harness.subjects import SubjectError

OptimizerClass = Any
"""``type[torch.optim.Optimizer]``, which type checkers do not take for hashable."""


@dataclass(frozen=True)
class Path:
    """One way through an optimizer's code.

    Attributes:
        name: as reports and ``--path`` write it.
        switches: constructor arguments that select it.
        tensors: hyperparameters given as 0-d tensors instead of Python numbers.
        wrap: what happens around the step: ``"functional"`` calls the module's function in place
            of the class, ``"scaler"`` steps through a ``GradScaler``.
        graph: whether those tensors require grad, so that the step itself can be differentiated.
        sparse: whether it takes sparse gradients.
        nonfinite: whether it steps on inf and nan gradients (a ``GradScaler`` skips those).
        expanded: whether it takes gradients whose elements share memory (a ``GradScaler`` unscales
            gradients in place, which torch refuses for those).
    """

    name: str
    switches: Mapping[str, bool] = field(default_factory=lambda: MappingProxyType({}))
    tensors: tuple[str, ...] = ()
    wrap: str | None = None
    graph: bool = False
    sparse: bool = False
    nonfinite: bool = True
    expanded: bool = True

    def __hash__(self) -> int:
        return hash(self.name)


def _row(name: str, *, foreach: bool | None = None, **options: Any) -> Path:
    """A path by its name, whose first word is the switch it turns on."""
    switches = dict(options.pop("switches", {}))
    if foreach is not None:
        switches["foreach"] = foreach
    return Path(name, MappingProxyType(switches), **options)


FUSED = {"fused": True}

PATHS = (
    _row("default", sparse=True),
    _row("for-loop", foreach=False, sparse=True),
    _row("foreach", foreach=True, sparse=True),
    _row("fused", switches=FUSED),
    _row("differentiable", switches={"differentiable": True}),
    _row(
        "differentiable, tensors in the graph",
        switches={"differentiable": True},
        tensors=("lr", "weight_decay"),
        graph=True,
    ),
    _row("for-loop, tensor lr", foreach=False, tensors=("lr",)),
    _row("foreach, tensor lr", foreach=True, tensors=("lr",)),
    _row("fused, tensor lr", switches=FUSED, tensors=("lr",)),
    _row("for-loop, tensor weight_decay", foreach=False, tensors=("weight_decay",)),
    _row("foreach, tensor weight_decay", foreach=True, tensors=("weight_decay",)),
    _row("functional", wrap="functional", sparse=True),
    _row("for-loop, grad scaler", foreach=False, wrap="scaler", nonfinite=False, expanded=False),
    _row("fused, grad scaler", switches=FUSED, wrap="scaler", nonfinite=False, expanded=False),
)


class Functional(torch.optim.Optimizer):
    """An optimizer class around a module's functional entry, e.g. ``torch.optim.sgd.sgd``."""

    function: Callable[..., None]
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
            buffers = [self.state[p].get("momentum_buffer") for p in moved]
            arguments = {name: group[name] for name in self.defaults_}
            sparse = any(g.is_sparse for g in grads)
            type(self).function(moved, grads, buffers, has_sparse_grad=sparse, **arguments)
            for p, buffer in zip(moved, buffers, strict=True):
                if buffer is not None:
                    self.state[p]["momentum_buffer"] = buffer
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
def functional(optimizer: OptimizerClass) -> OptimizerClass:
    """The function of the optimizer's module that bears its name in lower case, as a class."""
    function = getattr(sys.modules[optimizer.__module__], optimizer.__name__.lower())
    known = inspect.signature(function).parameters
    defaults = optimizer([torch.zeros(())], lr=1.0).defaults  # required before torch 2.2
    fields = {
        "function": staticmethod(function),
        "defaults_": {name: value for name, value in defaults.items() if name in known},
    }
    return type("Functional", (Functional,), fields)


LACKS = {
    r"not implemented for '\w+'": "a kernel is not written for a dtype",
    r"Could not run 'aten::": "an operator is not written for a device or layout",
    r"`fused=True` requires all the params": "the fused kernel is not written for a device",
    r"doesn't support float64": "MPS has no float64",
    r"argument 'alpha' must be Number": "a tensor cannot be part of the graph (before torch 2.7)",
    r"'torch.amp' has no attribute 'GradScaler'": "no scaler for all devices (before torch 2.3)",
    r"Attempting to unscale FP16 gradients": "a grad scaler unscales no float16 parameters itself",
}
"""How torch says that it lacks something: pattern of the message, and what it means."""


@cache
def absent(
    optimizer: OptimizerClass,
    path: Path,
    dtype: str,
    device: str,
    gradient_layout: str = "contiguous",
) -> str:
    """Why this optimizer has no such path here; empty if it has it.

    Asks the constructor's signature first and then tries two plain steps. Only an error that
    :data:`LACKS` knows makes the path absent; one that raises anything else is there, and broken,
    which the checks will say.
    """
    if path.wrap == "functional":
        module = sys.modules[optimizer.__module__]
        if not hasattr(module, optimizer.__name__.lower()):
            return "its module has no functional entry"
    for name in path.switches:
        if name not in accepted(optimizer):
            return f"{optimizer.__name__} takes no {name}="
    try:
        _trial(optimizer, path, dtype, device, gradient_layout)
    except SubjectError as error:
        if any(re.search(lack, str(error)) for lack in LACKS):
            return str(error)
    return ""


def _trial(
    optimizer: OptimizerClass,
    path: Path,
    dtype: str,
    device: str,
    gradient_layout: str,
) -> None:
    from oracles.harness.case import Case, Group, Parameter
    from oracles.harness.formats import DTYPES
    from oracles.harness.subjects.torch_optim import Subject
    from oracles.sgd import Hyper

    one = np.ones(2)
    parameter = Parameter(one, (one, one), gradient_layout=gradient_layout)
    decay = 0.0 if gradient_layout == "sparse" else 0.5
    schedule = (Hyper(lr=0.5, momentum=0.5, weight_decay=decay),) * 2
    each_dtype = (parameter,) * len(DTYPES)
    Subject(optimizer, path, dtype, device).ask(Case((Group(each_dtype, schedule),)))
