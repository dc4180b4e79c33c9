"""``torch.amp.GradScaler``, asked for its scale and for the steps it lets through."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch

from oracles.harness.cases.scaling import Iteration, ScaledRun, Values
from oracles.harness.scaled import Trace
from oracles.harness.subjects.owners import lacks, owner
from oracles.harness.subjects.subject import Place
from oracles.harness.subjects.tensors import pickled, tensor, through_a_file
from oracles.harness.subjects.torch_optim import cpu_and_cuda
from oracles.loop.scaler import OWNERS, Settings


def scaler_class() -> Any:
    """The class, where this torch has it: before 2.3 for CUDA only."""
    if hasattr(torch.amp, "GradScaler"):
        return torch.amp.GradScaler
    return torch.cuda.amp.GradScaler


def build(settings: Settings, device: str, **options: Any) -> Any:
    """A scaler."""
    return scaler_class()(*placed(device), **settings._asdict(), **options)


def started(settings: Settings, device: str, **options: Any) -> Any:
    """A scaler that has scaled something: it makes its scale lazily."""
    scaler = build(settings, device, **options)
    scaler.scale(torch.zeros((), device=device))
    return scaler


def placed(device: str) -> tuple[str, ...]:
    """What tells a scaler its device, where there is a choice."""
    return (device,) if hasattr(torch.amp, "GradScaler") else ()


def scaled_devices() -> list[str]:
    """The devices for which this torch has a scaler."""
    scaled = hasattr(torch.amp, "GradScaler")
    return [device for device in cpu_and_cuda() if scaled or device != "cpu"]


@cache
def lacking(name: str, path: str, dtype: str, device: str) -> str:
    """Why an optimizer has no such path behind a scaler; empty if it has."""
    gradient = (((1.0,),),)
    trial = ScaledRun(Settings(8.0), (name,), gradient, (Iteration(gradient),))
    place = Place("GradScaler", path, dtype, device)
    return lacks(name, path, lambda: followed(trial, place))


def parameters(values: Sequence[Values], dtype: str, device: str) -> list[torch.Tensor]:
    """Parameters of one optimizer."""
    return [tensor(own, dtype, device).requires_grad_() for own in values]


def followed(run: ScaledRun, place: Place) -> Trace:
    """Scale, step and update, iteration by iteration, as torch's documentation has it."""
    owned = [parameters(own, place.dtype, place.device) for own in run.starts]
    owners = [
        owner(*OWNERS[name], own, place.path) for name, own in zip(run.owners, owned, strict=True)
    ]
    scaler, seen = build(run.settings, place.device), Trace()
    for number, iteration in enumerate(run.iterations):
        if how := run.taken_over(number):
            scaler = taken_over(scaler, how, place.device)
        if iteration.factors is not None:
            set_factors(scaler, *iteration.factors)
        _backward(scaler, owned, iteration, place)
        for own, optimizer in zip(owned, owners, strict=True):
            if iteration.unscale:
                scaler.unscale_(optimizer)
            if iteration.clip is not None:
                torch.nn.utils.clip_grad_norm_(own, iteration.clip)
        for optimizer in owners:
            scaler.step(optimizer)
        scaler.update(*(() if iteration.new_scale is None else (iteration.new_scale,)))
        seen.scales.append(scaler.get_scale())
        seen.trackers.append(scaler.state_dict()["_growth_tracker"])
        seen.weights.append([[p.detach().double().tolist() for p in own] for own in owned])
    return seen


def _backward(
    scaler: Any, owned: Sequence[Sequence[torch.Tensor]], iteration: Iteration, place: Place
) -> None:
    """Gradients of losses that are linear, one loss to an optimizer."""
    losses = []
    for own, gradients in zip(owned, iteration.gradients, strict=True):
        for p in own:
            p.grad = None
        drawn = [tensor(g, place.dtype, place.device) for g in gradients]
        losses.append(sum((p * g).sum() for p, g in zip(own, drawn, strict=True)))
    for loss in scaler.scale(losses):
        loss.backward()


def set_factors(scaler: Any, growth: float, backoff: float, interval: int) -> None:
    """Set what a scaler can be told in mid-run."""
    scaler.set_growth_factor(growth)
    scaler.set_backoff_factor(backoff)
    scaler.set_growth_interval(interval)


def taken_over(scaler: Any, how: str, device: str) -> Any:
    """Another scaler that knows what this one remembers."""
    if how == "pickled":
        return pickled(scaler)
    if how == "deepcopied":
        return copy.deepcopy(scaler)
    make = started if how == "loaded later" else build
    fresh = make(Settings(2.0, 16.0, 0.75, 7), device)
    fresh.load_state_dict(through_a_file(scaler.state_dict()))
    return fresh
