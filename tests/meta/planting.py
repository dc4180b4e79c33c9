"""What wrong optimizers are made with: something around a real step, and the checks that find it.

What happens before and after the step is written as a generator, split at the ``yield`` where the
real step happens, so that one wrong thing can be planted in any optimizer and every path of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

PLANTED = ("for-loop", "foreach", "fused", "differentiable")
"""The paths a wrong optimizer is planted in, as far as the optimizer has them."""

SCALED = ("for-loop, grad scaler", "fused, grad scaler")

Wrong = Callable[[Any], Iterator[None]]
"""``optimizer -> generator``: what happens before and after its step."""

Group = dict[str, Any]


class Around:
    """An optimizer with something happening around its step; goes before the class it breaks."""

    around: Wrong
    param_groups: list[Group]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.steps = 0
        self.built = [dict(group) for group in self.param_groups]
        self.founded = len(self.built)

    def add_param_group(self, param_group: Group) -> None:
        super().add_param_group(param_group)  # type: ignore[misc]
        if hasattr(self, "built"):
            self.built.append(dict(self.param_groups[-1]))

    def step(self, closure: Any = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        with torch.no_grad():
            wrapped = type(self).around(self)
            next(wrapped)
        super().step()  # type: ignore[misc]
        with torch.no_grad():
            next(wrapped, None)
        return loss

    def moving(self) -> Iterator[tuple[Group, Any]]:
        """Every group and parameter that has a gradient now."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    yield group, p

    def waiting(self) -> Iterator[tuple[Group, Any]]:
        """Every group and parameter that has none."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    yield group, p


@dataclass(frozen=True)
class Specimen:
    """One wrong optimizer, the checks that claim to catch it, and the paths it is planted in."""

    optimizer: Any
    caught_by: tuple[str, ...]
    paths: tuple[str, ...] = PLANTED

    def __str__(self) -> str:
        return str(self.optimizer.__name__)


@contextmanager
def swapped(opt: Any, change: Callable[[int, Group], Mapping[str, Any]]) -> Iterator[None]:
    """Other hyperparameters in every group; ``change`` gets its number and what it has."""
    kept = []
    for number, group in enumerate(opt.param_groups):
        new = change(number, group)
        kept.append({name: group[name] for name in new})
        group.update(new)
    yield
    for group, old in zip(opt.param_groups, kept, strict=True):
        group.update(old)
