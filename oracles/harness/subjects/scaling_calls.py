"""``torch.amp.GradScaler``, asked which calls it refuses, and in which order."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from oracles.harness.subjects.scaling import build, placed, scaler_class, started
from oracles.harness.subjects.scaling_skips import lacking
from oracles.harness.subjects.subject import Place, raised_in
from oracles.loop.scaler import Settings


class Said(Exception):
    """What is refused without an error."""


class Stage:
    """A scaler and an optimizer with a gradient, in the middle of an iteration."""

    def __init__(self, device: str, *, ready: bool = True, **options: Any) -> None:
        self.device = device
        self.p = self.parameter()
        self.owner = torch.optim.SGD([self.p], lr=0.5)
        self.scaler = (started if ready else build)(Settings(8.0), device, **options)

    def parameter(self, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        """One, with a gradient of 8."""
        p = torch.ones(1, dtype=dtype, device=self.device, requires_grad=True)
        p.grad = torch.full_like(p, 8.0)
        return p

    def closure(self) -> torch.Tensor:
        """What a step may want to call."""
        self.p.grad = torch.full_like(self.p, 8.0)
        return self.p.sum()

    def tensor(self, values: Any) -> torch.Tensor:
        """Some numbers there."""
        return torch.tensor(values, device=self.device)


def _unscaled_twice(s: Stage) -> None:
    s.scaler.unscale_(s.owner)
    s.scaler.unscale_(s.owner)


def _unscaled_after_step(s: Stage) -> None:
    s.scaler.step(s.owner)
    s.scaler.unscale_(s.owner)


def _stepped_twice(s: Stage) -> None:
    s.scaler.step(s.owner)
    s.scaler.step(s.owner)


def _fused_twice(s: Stage) -> None:
    owner = torch.optim.Adam([s.p], fused=True)
    s.scaler.step(owner)
    s.scaler.step(owner)


def _pickled_within(s: Stage) -> None:
    s.scaler.unscale_(s.owner)
    pickle.dumps(s.scaler)


def _half(s: Stage) -> None:
    s.scaler.unscale_(torch.optim.SGD([s.parameter(torch.float16)], lr=0.5))


def _without_gradient(s: Stage) -> None:
    s.p.grad = None
    s.scaler.step(s.owner)


def _for_nothing(s: Stage) -> None:
    """A scaler for CUDA, where there is none, says so and is disabled."""
    if torch.cuda.is_available():
        raise Said("there is CUDA")
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        scaler = scaler_class()()
    if seen and not scaler.is_enabled():
        raise Said(str(seen[0].message))


def _quietly_disabled(s: Stage) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scaler_class()(*placed("cuda"), enabled=False)


def _two_optimizers(s: Stage) -> None:
    other = torch.optim.SGD([s.parameter()], lr=0.5)
    for owner in (s.owner, other):
        s.scaler.unscale_(owner)
    for owner in (s.owner, other):
        s.scaler.step(owner)
    s.scaler.update()


def _going_on_after_pickling(s: Stage) -> None:
    pickle.dumps(s.scaler)
    s.scaler.unscale_(s.owner)
    s.scaler.step(s.owner)


def _again(s: Stage) -> None:
    for _ in range(2):
        s.scaler.unscale_(s.owner)
        s.scaler.step(s.owner)
        s.scaler.update()


def _copied_between(s: Stage) -> None:
    s.scaler.step(s.owner)
    s.scaler.update()
    pickle.dumps(s.scaler)


@dataclass(frozen=True)
class Call:
    """Calls in some order.

    Attributes:
        name: what is done.
        program: the calls.
        refused: whether one of them is to be refused.
        ready: whether something has been scaled before.
    """

    name: str
    program: Callable[[Stage], object]
    refused: bool = True
    ready: bool = True

    def __str__(self) -> str:
        return self.name


CLOSURE, ONE_ELEMENT = "a closure by position", "a scale in a tensor with a dimension"

CALLS: tuple[Call, ...] = (
    Call("unscale_ twice", _unscaled_twice),
    Call("unscale_ after step", _unscaled_after_step),
    Call("step twice", _stepped_twice),
    Call("a fused step twice", _fused_twice),
    Call("step before scale", lambda s: s.scaler.step(s.owner), ready=False),
    Call("unscale_ before scale", lambda s: s.scaler.unscale_(s.owner), ready=False),
    Call("update before scale", lambda s: s.scaler.update(), ready=False),
    Call("update to a scale before scale", lambda s: s.scaler.update(2.0), ready=False),
    Call("update without step", lambda s: s.scaler.update()),
    Call("step without any gradient", _without_gradient),
    Call("a closure by name", lambda s: s.scaler.step(s.owner, closure=s.closure)),
    Call(CLOSURE, lambda s: s.scaler.step(s.owner, s.closure)),
    Call("unscale_ of float16", _half),
    Call("pickling within an iteration", _pickled_within),
    Call("loading nothing", lambda s: s.scaler.load_state_dict({})),
    Call("scaling what is no tensor", lambda s: s.scaler.scale(1.0)),
    Call("two scales", lambda s: s.scaler.update(s.tensor([1.0, 2.0]))),
    Call("a scale in a graph", lambda s: s.scaler.update(s.tensor(1.0).requires_grad_())),
    Call("a scale elsewhere", lambda s: s.scaler.update(torch.ones(1, device="meta"))),
    Call("growth by 1", lambda s: build(Settings(growth_factor=1.0), s.device)),
    Call("backoff by 1", lambda s: build(Settings(backoff_factor=1.0), s.device)),
    Call("scaling for CUDA without CUDA", _for_nothing),
    Call("no scaling for CUDA", _quietly_disabled, refused=False),
    Call("two optimizers", _two_optimizers, refused=False),
    Call("iteration after iteration", _again, refused=False),
    Call("pickling between iterations", _copied_between, refused=False),
    Call("going on after pickling", _going_on_after_pickling, refused=False),
    Call("a scale in a tensor", lambda s: s.scaler.update(s.tensor(4.0)), refused=False),
    Call(ONE_ELEMENT, lambda s: s.scaler.update(s.tensor([4.0])), refused=False),
    Call("a scale as a number", lambda s: s.scaler.update(4.0), refused=False),
)
"""What is refused, and what beside it is not."""


def allows(call: Call, place: Place) -> str:
    """What is wrong with how calls are taken; empty if nothing is."""
    if "fused" in call.name and lacking("Adam, fused", place.device):
        return ""
    stage = Stage(place.device, ready=call.ready)
    try:
        call.program(stage)
    except Exception as error:
        if not (isinstance(error, Said) or _is_of_torch(error)):
            raise
        return "" if call.refused else f"refuses them: {error}"
    return "takes them" if call.refused else ""


def _is_of_torch(error: Exception) -> bool:
    """Whether torch has raised it: a name that it has no more is missed here, and is no refusal."""
    return raised_in(error).partition(".")[0] == "torch"
