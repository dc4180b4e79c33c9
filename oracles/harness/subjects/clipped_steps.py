"""A training loop of torch's that clips its gradients, as torch's documents ask for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from oracles.harness.arithmetic.formats import FULL, FloatArray
from oracles.harness.cases.clipped_steps import Arrays, ClippedLoop
from oracles.harness.subjects.subject import Place
from oracles.harness.subjects.tensors import array, tensor


class Loop:
    """Micro-batches, then one step; the scale is taken off by hand."""

    def __init__(self, case: ClippedLoop, place: Place) -> None:
        h = case.hyper
        self.case, self.dtype = case, place.dtype
        self.own = [torch.nn.Parameter(tensor(w, place.dtype)) for w in case.initial]
        self.optimizer = torch.optim.SGD(
            self.own, h.lr, momentum=h.momentum, weight_decay=h.weight_decay
        )

    def take(self, window: Sequence[Arrays]) -> list[FloatArray]:
        """One step; the parameters after it."""
        self.optimizer.zero_grad()
        for gradients in window:
            self.backward(self.loss(gradients) / len(window))
        self.unscale()
        self.clip()
        self.step()
        return [array(w) for w in self.own]

    def loss(self, gradients: Arrays) -> Any:
        """One whose gradients are these."""
        return sum(
            (w * tensor(g, self.dtype)).sum() for w, g in zip(self.own, gradients, strict=True)
        )

    def backward(self, loss: Any) -> None:
        (loss * self.case.hyper.scale).backward()

    def unscale(self) -> None:
        for w in self.own:
            w.grad.div_(self.case.hyper.scale)  # type: ignore[union-attr]

    def clip(self) -> None:
        torch.nn.utils.clip_grad_norm_(self.own, self.case.hyper.max_norm)

    def step(self) -> None:
        self.optimizer.step()


class Scaled(Loop):
    """The same behind a grad scaler."""

    def __init__(self, case: ClippedLoop, place: Place) -> None:
        super().__init__(case, place)
        self.scaler = torch.amp.GradScaler("cpu", init_scale=case.hyper.scale)

    def backward(self, loss: Any) -> None:
        self.scaler.scale(loss).backward()

    def unscale(self) -> None:
        self.scaler.unscale_(self.optimizer)

    def step(self) -> None:
        self.scaler.step(self.optimizer)
        self.scaler.update()


LOOPS: dict[str, type[Loop]] = {"divided by hand": Loop, "grad scaler": Scaled}


def places(part: str) -> list[Place]:
    """With and without a scaler, where this torch has one for the CPU."""
    there = [path for path in LOOPS if path != "grad scaler" or hasattr(torch.amp, "GradScaler")]
    return [Place(part, path, dtype, "cpu") for path in there for dtype in FULL]


def trained(case: ClippedLoop, place: Place) -> list[list[FloatArray]]:
    """The parameters after each step."""
    loop = LOOPS[place.path](case, place)
    return [loop.take(window) for window in case.windows]
