"""Stints of a few places, and subjects that fail them."""

from __future__ import annotations

from typing import Any

import torch

from oracles.commands.chosen import Choice


class HalfDecay(torch.optim.SGD):
    """Wrong: decays half as much as it was told."""

    def step(self, closure: Any = None) -> Any:
        told = [group["weight_decay"] for group in self.param_groups]
        for group, decay in zip(self.param_groups, told, strict=True):
            group["weight_decay"] = decay / 2
        super().step(closure)
        for group, decay in zip(self.param_groups, told, strict=True):
            group["weight_decay"] = decay


class LateSpot(torch.optim.SGD):
    """Wrong: one element of long parameters moves from the second step with momentum on."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        late = [p for p, state in self.state.items() if state.get("momentum_buffer") is not None]
        super().step(closure)
        for p in late:
            if p.numel() > 300:
                p.view(-1)[77] += 1


def choice(optimizer: type | None = None) -> Choice:
    """Torch's SGD, or one of these, on a few places."""
    name = f"{optimizer.__module__}:{optimizer.__qualname__}" if optimizer else None
    return Choice(name, ("for-loop", "foreach"), ("float64", "bfloat16"), ("cpu",))
