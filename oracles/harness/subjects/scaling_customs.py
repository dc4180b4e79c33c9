"""Optimizers of one's own behind ``torch.amp.GradScaler``: what they are handed, and give back."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch

from oracles.harness.subjects.scaling import started
from oracles.harness.subjects.subject import Place
from oracles.loop.scaler import Settings

SCALE = 8.0


class Plain(torch.optim.Optimizer):
    """Notes what its step is called with, and gives something back."""

    def __init__(self, members: list[torch.Tensor]) -> None:
        super().__init__(members, {})
        self.seen: list[Any] = []

    def step(self, *args: Any, **kwargs: Any) -> Any:
        """Nothing but a note."""
        self.seen.append((args, kwargs))
        return "stepped"


class Aware(Plain):
    """Unscales by itself, by what a scaler writes into it."""

    _step_supports_amp_scaling = True

    def step(self, *args: Any, **kwargs: Any) -> Any:
        """Note the scale by which gradients are to be divided, and whether one is spoilt."""
        scale = getattr(self, "grad_scale", None)
        self.seen.append(None if scale is None else float(scale))
        self.seen.append(float(getattr(self, "found_inf", -1.0)))
        return "stepped"


class Older(Plain):
    """Unscales by itself, with the scaler that it is handed."""

    _step_supports_amp_scaling = True

    def step(self, *args: Any, grad_scaler: Any = None, **kwargs: Any) -> Any:
        """Note the scaler."""
        self.seen.append(grad_scaler)
        return "stepped"


class Scene:
    """A scaler, and a parameter of one's own optimizer with a gradient of 16."""

    def __init__(self, cls: type[Plain], device: str, gradient: float = 16.0) -> None:
        self.p = torch.ones(1, device=device, requires_grad=True)
        self.p.grad = torch.full_like(self.p, gradient)
        self.owner = cls([self.p])
        self.scaler = started(Settings(SCALE), device)

    def step(self, **kwargs: Any) -> Any:
        """What the scaler gives back."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            return self.scaler.step(self.owner, **kwargs)

    @property
    def left(self) -> list[str]:
        """What the scaler has left in the optimizer."""
        return [name for name in ("grad_scale", "found_inf") if hasattr(self.owner, name)]


def _plain(device: str) -> tuple[Any, Any]:
    scene = Scene(Plain, device)
    returned = scene.step(extra=3)
    assert scene.p.grad is not None
    return (returned, scene.owner.seen, scene.p.grad.item()), (
        "stepped",
        [((), {"extra": 3})],
        16.0 / SCALE,
    )


def _spoilt_plain(device: str) -> tuple[Any, Any]:
    scene = Scene(Plain, device, float("inf"))
    return (scene.step(), scene.owner.seen), (None, [])


def _aware(device: str, gradient: float = 16.0) -> tuple[Any, Any]:
    scene = Scene(Aware, device, gradient)
    returned = scene.step()
    assert scene.p.grad is not None
    found = float(gradient == float("inf"))
    seen = (returned, scene.owner.seen, scene.left, scene.p.grad.item())
    return seen, ("stepped", [SCALE, found], [], gradient)


def _unscaled(device: str) -> tuple[Any, Any]:
    scene = Scene(Aware, device)
    scene.scaler.unscale_(scene.owner)
    scene.step()
    assert scene.p.grad is not None
    return (scene.owner.seen, scene.left, scene.p.grad.item()), ([None, 0.0], [], 16.0 / SCALE)


def _graded(device: str) -> tuple[Any, Any]:
    scene = Scene(Aware, device)
    scene.owner.grad_scale = torch.full((), 2.0, device=device)  # type: ignore[attr-defined]
    scene.step()
    return scene.owner.seen, [2 * SCALE, 0.0]


def _older(device: str) -> tuple[Any, Any]:
    scene = Scene(Older, device)
    returned = scene.step()
    same = [seen is scene.scaler for seen in scene.owner.seen]
    return (returned, same, scene.left), ("stepped", [True], [])


GRADED = "a scale of its own"

CUSTOMS: Mapping[str, Callable[[str], tuple[Any, Any]]] = MappingProxyType(
    {
        "arguments and results": _plain,
        "a skip": _spoilt_plain,
        "it unscales by itself": _aware,
        "it skips by itself": lambda device: _aware(device, float("inf")),
        "it has been unscaled": _unscaled,
        GRADED: _graded,
        "it takes a scaler": _older,
    }
)
"""What is seen, and what is right."""


def customs(kind: str, place: Place) -> str:
    """What is wrong with what an optimizer of one's own is handed; empty if nothing is."""
    seen, right = CUSTOMS[kind](place.device)
    return "" if seen == right else f"comes to {seen}, and not to {right}"
