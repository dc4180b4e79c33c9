"""Every optimizer of torch behind its loss scaler, and what a step that is skipped leaves alone."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any

import torch

from oracles.harness.cases.scaling_promises import MEMBERS, SHAPE, Skips
from oracles.harness.subjects.classes import accepted
from oracles.harness.subjects.owners import PATHS, paths_of
from oracles.harness.subjects.paths import OptimizerClass
from oracles.harness.subjects.scaling import build, started
from oracles.harness.subjects.schedulers import unwarned
from oracles.harness.subjects.subject import Place, lack
from oracles.harness.subjects.tensors import rows
from oracles.loop.scaler import Settings

OPTIONS: Mapping[str, Any] = MappingProxyType(
    {"lr": 0.25, "momentum": 0.5, "weight_decay": 0.25, "amsgrad": True, "centered": True}
)
"""What makes optimizers keep all they can keep, where they take it."""

CLOSURES = {"LBFGS"}
"""Optimizers that do not step without a closure, which a scaler refuses."""

SPARSE = {"SparseAdam"}


@cache
def optimizers() -> Mapping[str, tuple[OptimizerClass, str]]:
    """Every optimizer of this torch on every path that a scaler tells apart, by what names it."""
    classes = {
        name: cls
        for name, cls in vars(torch.optim).items()
        if inspect.isclass(cls)
        and issubclass(cls, torch.optim.Optimizer)
        and cls is not torch.optim.Optimizer
        and name not in CLOSURES
    }
    paths = ((name, cls, path) for name, cls in classes.items() for path in paths_of(cls))
    return {f"{name}, {path}": (cls, path) for name, cls, path in paths}


def made(name: str, members: Sequence[torch.Tensor]) -> torch.optim.Optimizer:
    """An optimizer by what names it, with all that it can keep."""
    cls, path = optimizers()[name]
    known = accepted(cls)
    given = {k: v for k, v in (dict(OPTIONS) | dict(PATHS[path])).items() if k in known}
    owner: torch.optim.Optimizer = cls(members, **given)
    return owner


@cache
def lacking(name: str, device: str) -> str:
    """Why an optimizer has no such path there; empty if it has."""
    trial = Skips((False,), 0, 0.0, 1.0, False, (1.0,) * (2 * MEMBERS * math.prod(SHAPE)))
    place = Place("", name, "float32", device)
    return lack(lambda: _Run(trial, place).load(0, 1.0).owner.step())


Kept = list[dict[str, torch.Tensor]]
"""A parameter and its state, by name, for each parameter."""


def kept(members: Sequence[torch.Tensor], owner: torch.optim.Optimizer) -> Kept:
    """Copies of all that a step may change."""
    return [
        {"parameter": p.detach().clone()}
        | {k: torch.as_tensor(v).clone() for k, v in owner.state.get(p, {}).items()}
        for p in members
    ]


def differs(one: Kept, two: Kept) -> str:
    """What of the first is not to the bit what it is in the second; empty if nothing.

    Zeros may be absent there: a step that is skipped may make buffers, but put nothing into them.
    """
    for number, (a, b) in enumerate(zip(one, two, strict=True)):
        for name, value in a.items():
            if not torch.equal(value, b.get(name, torch.zeros_like(value))):
                other = b[name].tolist() if name in b else "absent"
                return f"{name} of parameter {number} is {value.tolist()}, not {other}"
    return ""


def skipping(case: Skips, place: Place) -> str:
    """What a run behind a scaler, which skips, has that one without those iterations has not.

    And what a skipped step changes; empty if there is nothing.
    """
    scaler = started(Settings(case.scale, 2.0, 0.5, 10**6), place.device)
    behind = _Run(case, place)
    alone = _Run(case, place)
    for t, skipped in enumerate(case.skipped):
        behind.load(t, scaler.get_scale(), spoilt=skipped)
        before = kept(behind.members, behind.owner)
        if case.unscale:
            scaler.unscale_(behind.owner)
        scaler.step(behind.owner)
        scaler.update()
        after = kept(behind.members, behind.owner)
        if skipped:
            if off := differs(before, after):
                return f"changes what it skips at iteration {t + 1}: before it, {off}"
            continue
        alone.load(t, 1.0)
        alone.owner.step()
        if off := differs(after, kept(alone.members, alone.owner)):
            return f"goes on differently after what was skipped, at iteration {t + 1}: {off}"
    return ""


class _Run:
    """Parameters and their optimizer."""

    def __init__(self, case: Skips, place: Place) -> None:
        self.case = case
        self.sparse = place.path.partition(",")[0] in SPARSE
        self._kind = {"dtype": getattr(torch, place.dtype), "device": place.device}
        self.members = [self._values(0, i).requires_grad_() for i in range(MEMBERS)]
        self.owner = made(place.path, self.members)

    def _values(self, row: int, i: int) -> torch.Tensor:
        size = SHAPE[0] * SHAPE[1]
        first = (row * MEMBERS + i) * size
        own = self.case.values[first : first + size]
        return torch.tensor(own, **self._kind).reshape(SHAPE)

    def load(self, t: int, scale: float, *, spoilt: bool = False) -> _Run:
        """Put an iteration's gradients in place."""
        for i, p in enumerate(self.members):
            g = self._values(1 + t, i) * scale
            if spoilt and i == 0:
                g.view(-1)[self.case.at] = self.case.spoilt
            p.grad = rows(g) if self.sparse else g
            if i and any(self.case.alone[t : t + 1]):
                p.grad = None
        return self


def steps_disabled(case: Skips, place: Place) -> str:
    """What a run behind a disabled scaler has that one without has not."""
    scaler = build(Settings(case.scale), place.device, enabled=False)
    behind, alone = _Run(case, place), _Run(case, place)
    for t in range(len(case.skipped)):
        for run in (behind, alone):
            run.load(t, 1.0)
        scaler.unscale_(behind.owner)
        scaler.step(behind.owner)
        scaler.update()
        alone.owner.step()
        if off := differs(kept(behind.members, behind.owner), kept(alone.members, alone.owner)):
            return f"is not the step itself at iteration {t + 1}: {off}"
    return ""


@unwarned()
def scheduled(case: Skips, place: Place) -> str:
    """Where a schedule is that takes a smaller scale for a skip, if not where it should be.

    It is looked at after each iteration: a step too many and one too few are two errors, not none.
    """
    run = _Run(case, place)
    scaler = started(Settings(case.scale, 2.0, 0.5, 1), place.device)
    schedule = torch.optim.lr_scheduler.ExponentialLR(run.owner, gamma=0.5)
    for t, skipped in enumerate(case.skipped):
        run.load(t, scaler.get_scale(), spoilt=skipped)
        before = scaler.get_scale()
        scaler.step(run.owner)
        scaler.update()
        if scaler.get_scale() >= before:
            schedule.step()
        steps = case.skipped[: t + 1].count(False)
        rates = [float(group["lr"]) for group in run.owner.param_groups]
        right = [OPTIONS["lr"] * 0.5**steps] * len(rates)
        if rates != right:
            return f"has the rates {rates} after {steps} steps, and not {right}"
    return ""


def hooked(case: Skips, place: Place) -> str:
    """In which iterations hooks of a step are called, if those are not those that step."""
    run = _Run(case, place)
    if not hasattr(run.owner, "register_step_post_hook"):
        return ""
    calls: list[int] = []
    run.owner.register_step_post_hook(lambda *_: calls.append(1))
    scaler = started(Settings(case.scale, 2.0, 0.5, 10**6), place.device)
    for t, skipped in enumerate(case.skipped):
        run.load(t, scaler.get_scale(), spoilt=skipped)
        calls.clear()
        scaler.step(run.owner)
        scaler.update()
        if len(calls) != (not skipped):
            what = "skipped" if skipped else "stepped"
            return f"calls a step hook {len(calls)} times in iteration {t + 1}, which it {what}"
    return ""


def tried_again(case: Skips, place: Place) -> str:
    """What a step has that was interrupted and made again, and one that was not has not."""
    again, once = _Run(case, place), _Run(case, place)
    if not hasattr(again.owner, "register_step_pre_hook"):
        return ""
    scale = 2 * case.scale  # never 1, by which one may divide as often as one likes
    scalers = [started(Settings(scale), place.device) for _ in range(2)]
    for run in (again, once):
        run.load(0, scale)
    hook = again.owner.register_step_pre_hook(_interrupt)
    try:
        scalers[0].step(again.owner)
    except InterruptedError:
        hook.remove()
    for run, scaler in zip((again, once), scalers, strict=True):
        scaler.step(run.owner)
    return differs(kept(again.members, again.owner), kept(once.members, once.owner))


def _interrupt(*_: Any) -> None:
    raise InterruptedError
