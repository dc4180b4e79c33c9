"""torch's autograd and optimizers in a loop that accumulates gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from types import MappingProxyType
from typing import Any

import torch

from oracles.harness.accumulated import Course
from oracles.harness.cases.accumulating import FEATURES, AccumulatingLoop, Batch
from oracles.harness.subjects.owners import lacks, owner
from oracles.harness.subjects.scaling import build
from oracles.harness.subjects.subject import Place
from oracles.harness.subjects.tensors import tensor
from oracles.loop.accumulation import OWNERS
from oracles.loop.scaler import Settings

SCALE = Settings(8.0, 2.0, 0.5, 1)
"""Of the scaler behind which some loops run: powers of two, which grow after each step."""


class Loop:
    """A linear layer, its optimizer, and what the loop is told to do.

    It does what documentation says: each loss is multiplied by its share of the window's rows,
    gradients are cleared, clipped and stepped on once a window.
    """

    def __init__(self, case: AccumulatingLoop, place: Place) -> None:
        self.case = case
        self._tensor = partial(tensor, dtype=place.dtype, device=place.device)
        self.weight = self._tensor(case.start[:FEATURES]).requires_grad_()
        self.bias = self._tensor(case.start[FEATURES:]).requires_grad_()
        self.optimizer = owner(*OWNERS[case.owner], self.parameters, place.path)
        self.scaler = build(SCALE, place.device) if case.way == "grad scaler" else None
        self.calls: list[tuple[str, list[float]]] = []
        if case.way == "hooked":
            self._hook()

    @property
    def parameters(self) -> list[torch.Tensor]:
        return [self.weight, self.bias]

    def loss(self, batch: Batch) -> torch.Tensor:
        """The mean or sum of squared errors over the rows that are no padding."""
        rows = [self._tensor(row) for row in batch.rows]
        rows += [torch.full_like(rows[0], 3.0)] * batch.padding
        table = torch.stack(rows)
        z = torch.nn.functional.linear(table[:, :FEATURES], self.weight[None], self.bias)[:, 0]
        y = table[:, FEATURES]
        if not batch.padding:
            return torch.nn.functional.mse_loss(z, y, reduction=self.case.reduction)
        mask = torch.arange(len(rows), device=z.device) < len(batch.rows)
        errors = torch.nn.functional.mse_loss(z, y, reduction="none")[mask]
        return errors.sum() / len(batch.rows) if self.case.reduction == "mean" else errors.sum()

    def shares(self, window: Sequence[Batch]) -> list[float]:
        """By what each loss is multiplied."""
        total = sum(len(b.rows) for b in window)
        return [len(b.rows) / total if self.case.reduction == "mean" else 1.0 for b in window]

    def losses(self, window: Sequence[Batch]) -> Iterator[torch.Tensor]:
        """One after another, as a loop computes them."""
        for batch, share in zip(window, self.shares(window), strict=True):
            yield self.loss(batch) * share if share != 1 else self.loss(batch)

    def numbers(self) -> list[float]:
        """Of all parameters, end to end."""
        return [v for p in self.parameters for v in _read(p)]

    def window(self, window: Sequence[Batch]) -> None:
        """Clear, accumulate, clip and step."""
        self.optimizer.zero_grad(set_to_none=self.case.way != "zeros")
        ACCUMULATE[self.case.way](self, self.losses(window))
        if self.scaler is not None:
            self.scaler.unscale_(self.optimizer)
        if self.case.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.parameters, self.case.clip)
        self.gradients = [_read(p.grad) for p in self.parameters]
        if self.scaler is None:
            self.optimizer.step()
        else:
            self.scaler.step(self.optimizer)
            self.scaler.update()

    def _hook(self) -> None:
        for name in ("pre", "post"):
            register = getattr(self.optimizer, f"register_step_{name}_hook", None)
            if register is not None:
                register(partial(self._called, name))

    def _called(self, name: str, *_: Any) -> None:
        self.calls.append((name, self.numbers()))


def _read(values: torch.Tensor | None) -> list[float]:
    assert values is not None
    return [float(v) for v in values.detach().double().cpu().tolist()]


def backward(loss: Any) -> None:
    """A backward pass, as loops call it."""
    loss.backward()


def _pass_by_pass(loop: Loop, losses: Iterator[torch.Tensor]) -> None:
    for loss in losses:
        backward(loss if loop.scaler is None else loop.scaler.scale(loss))


def _at_once(loop: Loop, losses: Iterator[torch.Tensor]) -> None:
    total = sum(losses)
    assert torch.is_tensor(total)
    backward(total)


def _by_hand(loop: Loop, losses: Iterator[torch.Tensor]) -> None:
    for loss in losses:
        for p, g in zip(loop.parameters, torch.autograd.grad(loss, loop.parameters), strict=True):
            p.grad = g if p.grad is None else p.grad + g


ACCUMULATE: Mapping[str, Callable[[Loop, Iterator[torch.Tensor]], None]] = MappingProxyType(
    {
        "backward": _pass_by_pass,
        "one backward": _at_once,
        "zeros": _pass_by_pass,
        "by hand": _by_hand,
        "grad scaler": _pass_by_pass,
        "hooked": _pass_by_pass,
    }
)


def followed(case: AccumulatingLoop, place: Place) -> Course:
    """Where a loop goes."""
    loop, seen = Loop(case, place), Course()
    for window in case.windows:
        loop.window(window)
        seen.gradients.append(loop.gradients)
        seen.weights.append([_read(p) for p in loop.parameters])
    return seen


def hook_calls(
    case: AccumulatingLoop, place: Place
) -> tuple[list[tuple[str, list[float]]], list[Any]]:
    """The calls of step hooks, each with where the parameters were; and where each window began."""
    loop = Loop(case, place)
    began = []
    for window in case.windows:
        began.append(loop.numbers())
        loop.window(window)
    return loop.calls, [*began, loop.numbers()]


def in_backward(case: AccumulatingLoop, place: Place) -> Course:
    """Where a loop goes whose optimizers step in the backward pass, one for each parameter."""
    loop, seen = Loop(case, place), Course()
    for p in loop.parameters:
        own = owner(*OWNERS[case.owner], [p], place.path)
        hook: Any = p.register_post_accumulate_grad_hook
        hook(partial(_stepped, own))
    for window in case.windows:
        for loss in loop.losses(window):
            backward(loss)
        seen.gradients.append(None)
        seen.weights.append([_read(p) for p in loop.parameters])
    return seen


def _stepped(optimizer: torch.optim.Optimizer, _: torch.Tensor) -> None:
    optimizer.step()
    optimizer.zero_grad()


def steps_in_backward() -> bool:
    """Whether this torch has hooks for that."""
    return hasattr(torch.Tensor, "register_post_accumulate_grad_hook")


def has_step_hooks() -> bool:
    """Whether optimizers of this torch have hooks around their steps."""
    return hasattr(torch.optim.Optimizer, "register_step_pre_hook")


@cache
def lacking(name: str, path: str, dtype: str, device: str) -> str:
    """Why an optimizer has no such path there; empty if it has."""
    batch = Batch(((1.0,) * (FEATURES + 1),))
    trial = AccumulatingLoop(name, "mean", 1, ((batch,),), (1.0,) * (FEATURES + 1))
    place = Place("backward", path, dtype, device)
    return lacks(name, path, lambda: followed(trial, place))
