"""Impostors: optimizers that follow a rule's own text, with any one of its conventions.

They compute in float64 NumPy and round each result once into the parameter's dtype, so what tells
one from ``torch.optim`` is its convention and nothing else. With a wrong convention one must be
refused; with torch's it must not.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import torch

from oracles.drawing import Hyper
from oracles.numerics import lerp
from oracles.optimizers.registry import RULES
from oracles.rule import Convention, Rule, State


class Impostor(torch.optim.Optimizer):
    """One rule and one of its conventions, with the arguments of torch's class."""

    rule: Rule
    convention: Convention

    def __init__(self, params: Any, **hyper: Any) -> None:
        super().__init__(params, {**self.rule.arguments(self.rule.hyper()), **hyper})
        if self.rule.eager:
            for group in self.param_groups:
                for p in group["params"]:
                    self._remember(p, self.rule.start(_array(p), self._hyper(group, p)), 0)

    def step(self, closure: Any = None) -> Any:
        with torch.enable_grad():
            loss = None if closure is None else closure()
        with torch.no_grad(), np.errstate(all="ignore"):
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        self._follow(p, self._hyper(group, p))
        return loss

    def _follow(self, p: torch.Tensor, h: Hyper) -> None:
        w, g = _array(p), _array(p.grad)
        state = self._recalled(p) or self.rule.start(w, h)
        # A rule without a counter among its states does not look at t.
        t = int(state.get("step", 0)) + 1
        w, state = self.rule.step(w, g, t, state, h, self.convention)
        p.copy_(torch.from_numpy(w).view(p.shape))
        self._remember(p, state, t)

    def _hyper(self, group: dict[str, Any], p: torch.Tensor) -> Hyper:
        values = dict(group)
        for name, members in self.rule.binding.tuples.items():
            values |= zip(members, values[name], strict=True)
        h = self.rule.hyper(**{name: values[name] for name in self.rule.hyper()._fields})
        return h if self.convention.decays(p.ndim) else self.rule.undecayed(h)

    def _recalled(self, p: torch.Tensor) -> dict[str, Any]:
        held = self.state.get(p, {})
        return {k: _array(v) if torch.is_tensor(v) else v for k, v in held.items()}

    def _remember(self, p: torch.Tensor, state: State, t: int) -> None:
        counted = {**state, "step": t} if "step" in self.rule.states else state
        if counted:
            self.state[p] = {name: _kept(value, p) for name, value in counted.items()}


class Numbers(np.ndarray):
    """A float64 array whose ``lerp`` is written as torch's kernels write it."""


@lerp.register(Numbers)
def _lerp(start: Numbers, end: Any, weight: Any, *, literal: bool = False) -> Any:
    apart = end - start
    return start + weight * apart if literal or weight < 0.5 else end - apart * (1 - weight)


def _array(values: Any) -> Numbers:
    """A tensor's numbers; those of one without dimensions as one of one element.

    So that what has no dimensions on the way is known to be one of Python's numbers.
    """
    values = values.to_dense() if values.is_sparse else values
    wide = values.detach().to(torch.float64)
    numbers: Numbers = (wide if wide.ndim else wide.view(1)).numpy().view(Numbers)
    return numbers


def _kept(value: Any, p: torch.Tensor) -> Any:
    """Arrays in the parameter's dtype, and in its shape if they have as many elements."""
    if np.ndim(value) == 0:
        return getattr(value, "item", lambda: value)()
    kept = torch.tensor(value, dtype=p.dtype, device=p.device)
    return kept.view(p.shape) if kept.numel() == p.numel() else kept


def _made(rule: Rule, convention: Convention) -> type[Impostor]:
    title = convention.name.title().replace("_", "")
    made = type(f"{rule.name}{title}", (Impostor,), {"rule": rule, "convention": convention})
    names = ["params", *rule.arguments(rule.hyper())]
    made.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names]
    )
    made.__module__ = __name__
    globals()[made.__name__] = made  # so that it can be pickled
    return made


IMPOSTORS: dict[str, dict[str, type[Impostor]]] = {
    rule.name: {convention.name: _made(rule, convention) for convention in rule.conventions}
    for rule in RULES.values()
}
"""By rule and convention."""
