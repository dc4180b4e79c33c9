"""Loops that accumulate gradients, with one fault each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch

from oracles.harness.cases.accumulating import Batch
from oracles.harness.subjects import accumulating
from oracles.harness.subjects.accumulating import Loop
from tests.meta.loop_scaling import planted
from tests.meta.loop_zoo import Specimen

OPTIMIZER, TENSOR = torch.optim.Optimizer, torch.Tensor
REAL: Any = SimpleNamespace(
    loss=Loop.loss,
    window=Loop.window,
    backward=accumulating.backward,
    zero_grad=OPTIMIZER.zero_grad,
    clip=torch.nn.utils.clip_grad_norm_,
    post_hook=getattr(OPTIMIZER, "register_step_post_hook", None),
    pre_hook=getattr(OPTIMIZER, "register_step_pre_hook", None),
)
"""The right ones."""


# --- By what losses are multiplied ----------------------------------------------------------------


def undivided(self: Loop, window: Sequence[Batch]) -> list[float]:
    return [1.0 for _ in window]


def divided_twice(self: Loop, window: Sequence[Batch]) -> list[float]:
    total = sum(len(b.rows) for b in window)
    mean = self.case.reduction == "mean"
    return [len(b.rows) / total / self.case.k if mean else 1.0 for b in window]


def mean_of_means(self: Loop, window: Sequence[Batch]) -> list[float]:
    return [1 / len(window) if self.case.reduction == "mean" else 1.0 for _ in window]


def by_the_plan(self: Loop, window: Sequence[Batch]) -> list[float]:
    return [1 / self.case.k if self.case.reduction == "mean" else 1.0 for _ in window]


def padding_weighs(self: Loop, window: Sequence[Batch]) -> list[float]:
    sizes = [len(b.rows) + b.padding for b in window]
    return [n / sum(sizes) if self.case.reduction == "mean" else 1.0 for n in sizes]


def sums_divided(self: Loop, window: Sequence[Batch]) -> list[float]:
    total = sum(len(b.rows) for b in window)
    return [len(b.rows) / total for b in window]


def padding_counted(self: Loop, batch: Batch) -> torch.Tensor:
    loss: torch.Tensor = REAL.loss(self, batch)
    if self.case.reduction == "sum":
        return loss
    return loss * len(batch.rows) / (len(batch.rows) + batch.padding)


# --- When gradients are cleared, clipped and stepped on -------------------------------------------


def cleared_each(self: Loop, losses: Iterator[torch.Tensor]) -> None:
    for loss in losses:
        REAL.zero_grad(self.optimizer)
        REAL.backward(loss if self.scaler is None else self.scaler.scale(loss))


def clipped_each(self: Loop, losses: Iterator[torch.Tensor]) -> None:
    for loss in losses:
        REAL.backward(loss if self.scaler is None else self.scaler.scale(loss))
        if self.case.clip is not None:
            REAL.clip(self.parameters, self.case.clip)


def stepped_each(self: Loop, losses: Iterator[torch.Tensor]) -> None:
    kept = list(losses)
    for loss in kept[:-1]:
        gradients = torch.autograd.grad(loss, self.parameters)
        for p, g in zip(self.parameters, gradients, strict=True):
            p.grad = g
        self.optimizer.step()
        REAL.zero_grad(self.optimizer)
    REAL.backward(kept[-1] if self.scaler is None else self.scaler.scale(kept[-1]))


def scale_grows_within(self: Loop, losses: Iterator[torch.Tensor]) -> None:
    for loss in losses:
        REAL.backward(loss if self.scaler is None else self.scaler.scale(loss))
        if self.scaler is not None:
            self.scaler.update(2 * self.scaler.get_scale())


def last_lost(self: Loop, losses: Iterator[torch.Tensor]) -> None:
    kept = list(losses)
    for loss in kept[: max(1, len(kept) - 1)]:
        REAL.backward(loss if self.scaler is None else self.scaler.scale(loss))


def everywhere(accumulate: Callable[..., None]) -> dict[str, Any]:
    """All ways of accumulating replaced by one."""
    return {"ACCUMULATE": dict.fromkeys(accumulating.ACCUMULATE, accumulate)}


def short_dropped(self: Loop, window: Sequence[Batch]) -> None:
    if len(window) == self.case.k:
        REAL.window(self, window)
    else:
        self.gradients = [[0.0] * p.numel() for p in self.parameters]


def decayed_each(self: Loop, window: Sequence[Batch]) -> None:
    _with_decay(self, window, len(window))


def decay_divided(self: Loop, window: Sequence[Batch]) -> None:
    _with_decay(self, window, 1 / len(window))


def _with_decay(self: Loop, window: Sequence[Batch], factor: float) -> None:
    (group,) = self.optimizer.param_groups
    held = group["weight_decay"]
    group["weight_decay"] = held * factor
    REAL.window(self, window)
    group["weight_decay"] = held


def counted_each(self: Loop, window: Sequence[Batch]) -> None:
    for entry in self.optimizer.state.values():
        if "step" in entry:
            entry["step"] += len(window) - 1
    REAL.window(self, window)


def never_cleared(self: Any, set_to_none: bool = True) -> None:
    pass


def first_cleared(self: Any, set_to_none: bool = True) -> None:
    self.param_groups[0]["params"][0].grad = None


def zeros_not_written(self: Any, set_to_none: bool = True) -> None:
    if set_to_none:
        REAL.zero_grad(self)


def clipped_apart(parameters: Any, *args: Any, **kwargs: Any) -> None:
    for p in parameters:
        REAL.clip([p], *args, **kwargs)


def overwritten(loss: torch.Tensor) -> None:
    """A pass that leaves its own gradient in the place of the sum, but for the first parameter."""
    leaves = [node.variable for node in _leaves(loss.grad_fn)]
    for p in leaves[1:]:
        p.grad = None
    REAL.backward(loss)


def _leaves(node: Any) -> list[Any]:
    if node is None:
        return []
    own = [node] if hasattr(node, "variable") else []
    return own + [leaf for following, _ in node.next_functions for leaf in _leaves(following)]


# --- Hooks ----------------------------------------------------------------------------------------


def hooked_twice(self: Any, hook: Any) -> Any:
    REAL.post_hook(self, hook)
    return REAL.post_hook(self, hook)


def hooked_before(self: Any, hook: Any) -> Any:
    return REAL.pre_hook(self, hook)


def never_hooked(self: Any, hook: Any) -> None:
    return None


def before_accumulation(self: Any, hook: Any) -> Any:
    return self.register_hook(lambda gradient: hook(self))


def stepped_and_kept(optimizer: Any, _: Any) -> None:
    optimizer.step()


WINDOWS, HOOKS, BACKWARD = "windows", "step hooks", "steps in backward"

LOOPS: tuple[tuple[str, Any, dict[str, Any], str], ...] = (
    ("losses not divided", Loop, {"shares": undivided}, WINDOWS),
    ("losses divided twice", Loop, {"shares": divided_twice}, WINDOWS),
    ("a mean of means", Loop, {"shares": mean_of_means}, WINDOWS),
    ("divided by the plan", Loop, {"shares": by_the_plan}, WINDOWS),
    ("padding weighs", Loop, {"shares": padding_weighs}, WINDOWS),
    ("sums divided", Loop, {"shares": sums_divided}, "as one batch"),
    ("padding counted in the mean", Loop, {"loss": padding_counted}, WINDOWS),
    ("cleared for each micro-batch", accumulating, everywhere(cleared_each), WINDOWS),
    ("clipped after each micro-batch", accumulating, everywhere(clipped_each), WINDOWS),
    ("stepped after each micro-batch", accumulating, everywhere(stepped_each), WINDOWS),
    ("the scale grows within a window", accumulating, everywhere(scale_grows_within), WINDOWS),
    ("the last micro-batch lost", accumulating, everywhere(last_lost), WINDOWS),
    ("short windows dropped", Loop, {"window": short_dropped}, WINDOWS),
    ("decayed for each micro-batch", Loop, {"window": decayed_each}, WINDOWS),
    ("decay divided by micro-batches", Loop, {"window": decay_divided}, "as one batch"),
    ("micro-batches counted as steps", Loop, {"window": counted_each}, WINDOWS),
    ("never cleared", OPTIMIZER, {"zero_grad": never_cleared}, WINDOWS),
    ("only the first parameter cleared", OPTIMIZER, {"zero_grad": first_cleared}, WINDOWS),
    ("zeros not written", OPTIMIZER, {"zero_grad": zeros_not_written}, WINDOWS),
    ("clipped one by one", torch.nn.utils, {"clip_grad_norm_": clipped_apart}, WINDOWS),
    ("overwritten by each pass", accumulating, {"backward": overwritten}, WINDOWS),
    ("gradients kept in backward", accumulating, {"_stepped": stepped_and_kept}, BACKWARD),
    *(
        (
            ("hooks called twice", OPTIMIZER, {"register_step_post_hook": hooked_twice}, HOOKS),
            (
                "hooks called too early",
                OPTIMIZER,
                {"register_step_post_hook": hooked_before},
                HOOKS,
            ),
            ("hooks never called", OPTIMIZER, {"register_step_pre_hook": never_hooked}, HOOKS),
        )
        if REAL.pre_hook
        else ()
    ),
    *(
        (
            (
                "a step before gradients are there",
                TENSOR,
                {"register_post_accumulate_grad_hook": before_accumulation},
                BACKWARD,
            ),
        )
        if accumulating.steps_in_backward()
        else ()
    ),
)

SPECIMENS: tuple[Specimen, ...] = tuple(
    Specimen(name, "backward", partial(planted, owner, **others), question)
    for name, owner, others, question in LOOPS
)
