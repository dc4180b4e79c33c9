"""A training loop of torch's that clips its gradients, as torch's documents ask for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from oracles.harness.arithmetic.formats import FULL, FloatArray, round_to
from oracles.harness.cases.windows import Windows
from oracles.harness.subjects.clipping import array
from oracles.harness.subjects.subject import Place

BY_HAND, SCALER = "divided by hand", "grad scaler"
"""How the scale is taken off the gradients."""


def places(part: str) -> list[Place]:
    """With and without a scaler, where this torch has one for the CPU."""
    paths = (BY_HAND, SCALER) if hasattr(torch.amp, "GradScaler") else (BY_HAND,)
    return [Place(part, path, dtype, "cpu") for path in paths for dtype in FULL]


def trained(case: Windows, place: Place) -> list[list[FloatArray]]:
    """The parameters after each step."""
    own = [torch.nn.Parameter(_tensor(w, place)) for w in case.initial]
    h = case.hyper
    optimizer = torch.optim.SGD(own, h.lr, momentum=h.momentum, weight_decay=h.weight_decay)
    loop = _ByScaler(h.scale) if place.path == SCALER else _ByHand(h.scale)
    seen = []
    for window in case.windows:
        optimizer.zero_grad()
        for gradients in window:
            parts = zip(own, gradients, strict=True)
            loss = sum(((w * _tensor(g, place)).sum() for w, g in parts), start=torch.zeros(()))
            loop.scaled(loss / len(window)).backward()
        loop.unscale(optimizer, own)
        torch.nn.utils.clip_grad_norm_(own, h.max_norm)
        loop.step(optimizer)
        seen.append([array(w) for w in own])
    return seen


def _tensor(values: FloatArray, place: Place) -> torch.Tensor:
    rounded = np.array(round_to(place.dtype, values), order="C")
    return torch.from_numpy(rounded).to(getattr(torch, place.dtype))


class _ByHand:
    def __init__(self, scale: float) -> None:
        self.scale = scale

    def scaled(self, loss: Any) -> Any:
        return loss * self.scale

    def unscale(self, optimizer: Any, own: list[Any]) -> None:
        for w in own:
            w.grad.div_(self.scale)

    def step(self, optimizer: Any) -> None:
        optimizer.step()


class _ByScaler:
    def __init__(self, scale: float) -> None:
        self.scaler = torch.amp.GradScaler("cpu", init_scale=scale)

    def scaled(self, loss: Any) -> Any:
        return self.scaler.scale(loss)

    def unscale(self, optimizer: Any, own: list[Any]) -> None:
        self.scaler.unscale_(optimizer)

    def step(self, optimizer: Any) -> None:
        self.scaler.step(optimizer)
        self.scaler.update()
