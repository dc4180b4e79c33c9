"""``torch.amp.GradScaler``, asked for what it promises beside numbers."""

from __future__ import annotations

import inspect
import pickle
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from operator import methodcaller
from types import MappingProxyType
from typing import Any, NamedTuple

import torch

from oracles.harness.cases.scaling import MEMBERS, SHAPE, Extreme, Found, Skips
from oracles.harness.subjects.classes import accepted
from oracles.harness.subjects.owners import PATHS
from oracles.harness.subjects.paths import OptimizerClass
from oracles.harness.subjects.scaling import build, placed, scaler_class
from oracles.harness.subjects.subject import Place
from oracles.harness.subjects.tensors import strided, transposed
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
    return {f"{name}, {path}": (cls, path) for name, cls in classes.items() for path in _paths(cls)}


def _paths(cls: OptimizerClass) -> Iterator[str]:
    """The paths an optimizer has; one that has no choice has a for-loop."""
    for path, switches in PATHS.items():
        if all(name in accepted(cls) for name in switches) or path == "for-loop":
            yield path


def made(name: str, members: Sequence[torch.Tensor]) -> torch.optim.Optimizer:
    """An optimizer by what names it, with all that it can keep."""
    cls, path = optimizers()[name]
    known = accepted(cls)
    given = {k: v for k, v in (dict(OPTIONS) | dict(PATHS[path])).items() if k in known}
    owner: torch.optim.Optimizer = cls(members, **given)
    return owner


Kept = list[dict[str, torch.Tensor]]
"""A parameter and its state, by name, for each parameter."""


def kept(members: Sequence[torch.Tensor], owner: torch.optim.Optimizer) -> Kept:
    """Copies of all that a step may change."""
    return [
        {"parameter": p.detach().clone()}
        | {k: torch.as_tensor(v).clone() for k, v in owner.state.get(p, {}).items()}
        for p in members
    ]


def differs(one: Kept, other: Kept) -> str:
    """What of the first is not to the bit what it is in the second; empty if nothing."""
    for number, (a, b) in enumerate(zip(one, other, strict=True)):
        for name, value in a.items():
            if name not in b or not torch.equal(value, b[name]):
                told = b[name].tolist() if name in b else "absent"
                return f"{name} of parameter {number} is {value.tolist()}, not {told}"
    return ""


def skipping(case: Skips, place: Place) -> str:
    """What a run behind a scaler, which skips, has that one without those iterations has not.

    And what a skipped step changes; empty if there is nothing.
    """
    scaler = build(Settings(case.scale, 2.0, 0.5, 10**6), place.device)
    scaler.scale(torch.zeros((), device=place.device))
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
            if told := differs(before, after):
                return f"changes what it skips at iteration {t + 1}: before it, {told}"
            continue
        alone.load(t, 1.0)
        alone.owner.step()
        if told := differs(after, kept(alone.members, alone.owner)):
            return f"goes on differently after what was skipped, at iteration {t + 1}: {told}"
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

    def load(self, t: int, scale: float, *, spoilt: bool = False) -> None:
        """Put an iteration's gradients in place."""
        for i, p in enumerate(self.members):
            g = self._values(1 + t, i) * scale
            if spoilt and i == 0:
                g.view(-1)[self.case.at] = self.case.spoilt
            p.grad = g.to_sparse(1) if self.sparse else g


# --- Which gradients are found to be spoilt -------------------------------------------------------


def finds(case: Found, place: Place) -> str:
    """What is wrong with how a gradient is checked and unscaled; empty if nothing is."""
    layout = "contiguous" if (place.dtype, case.layout) == ("bfloat16", "complex") else case.layout
    values = torch.arange(
        1.0, case.size + 1, dtype=getattr(torch, place.dtype), device=place.device
    )
    right = values / 4
    if case.at is not None:
        values[case.at] = case.spoilt
    p = torch.zeros_like(_laid(values, layout)).requires_grad_()
    p.grad = _laid(values, layout)
    owner = torch.optim.SGD([p], lr=1.0)
    scaler = build(Settings(4.0), place.device)
    scaler.scale(torch.zeros((), device=place.device))
    scaler.unscale_(owner)
    scaler.step(owner)
    moved = _flat(p.detach())
    if case.at is not None:
        return "" if not moved.any() else f"steps on {case.spoilt} at {case.at}"
    return "" if torch.equal(moved, -right) else f"moves by {moved.tolist()}"


def _laid(values: torch.Tensor, layout: str) -> torch.Tensor:
    """A column of numbers, laid out."""
    if layout == "complex":
        return torch.complex(values, torch.zeros_like(values))
    column = values.reshape(-1, 1)
    if layout == "sparse":
        return column.to_sparse(1)
    return {"strided": strided, "transposed": transposed}.get(layout, lambda v: v)(column)


def _flat(values: torch.Tensor) -> torch.Tensor:
    dense = values.to_dense() if values.is_sparse else values
    return (dense.real if dense.is_complex() else dense).reshape(-1)


def steps_finitely(case: Extreme, place: Place) -> str:
    """What a step makes of a parameter that is neither left alone nor finite."""
    p = torch.zeros(1, device=place.device, requires_grad=True)
    p.grad = torch.full((1,), case.gradient, device=place.device)
    scaler = build(Settings(1.0), place.device)
    scaler.scale(torch.zeros((), device=place.device))
    scaler.update(case.scale)
    owner = torch.optim.SGD([p], lr=1.0)
    scaler.step(owner)
    scaler.update()
    return "" if bool(torch.isfinite(p).all()) else f"steps to {p.item()}"


# --- What may be called when ----------------------------------------------------------------------


class Stage:
    """A scaler and an optimizer with a gradient, in the middle of an iteration."""

    def __init__(self, device: str, *, ready: bool = True, **options: Any) -> None:
        self.device = device
        self.p = self.parameter()
        self.owner = torch.optim.SGD([self.p], lr=0.5)
        self.scaler = build(Settings(8.0), device, **options)
        if ready:
            self.scaler.scale(torch.zeros((), device=device))

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
        raise RuntimeError("there is CUDA")
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        scaler = scaler_class()(*placed("cuda"))
    if seen and not scaler.is_enabled():
        raise RuntimeError(str(seen[0].message))


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
    Call("a scale in a graph", lambda s: s.scaler.update(s.tensor([1.0]).requires_grad_())),
    Call("a scale elsewhere", lambda s: s.scaler.update(torch.ones(1, device="meta"))),
    Call("growth by 1", lambda s: build(Settings(growth_factor=1.0), s.device)),
    Call("backoff by 1", lambda s: build(Settings(backoff_factor=1.0), s.device)),
    Call("scaling for CUDA without CUDA", _for_nothing),
    Call("no scaling for CUDA", _quietly_disabled, refused=False),
    Call("two optimizers", _two_optimizers, refused=False),
    Call("iteration after iteration", _again, refused=False),
    Call("pickling between iterations", _copied_between, refused=False),
    Call("a scale in a tensor", lambda s: s.scaler.update(s.tensor(4.0)), refused=False),
    Call(ONE_ELEMENT, lambda s: s.scaler.update(s.tensor([4.0])), refused=False),
    Call("a scale as a number", lambda s: s.scaler.update(4.0), refused=False),
)
"""What is refused, and what beside it is not."""


def allows(call: Call, place: Place) -> str:
    """What is wrong with how calls are taken; empty if nothing is."""
    if "fused" in call.name and "Adam, fused" not in optimizers():
        return ""
    stage = Stage(place.device, ready=call.ready)
    try:
        call.program(stage)
    except Exception as error:
        return "" if call.refused else f"refuses them: {error}"
    return "takes them" if call.refused else ""


# --- A scaler that is disabled, and other promises ------------------------------------------------


class Pair(NamedTuple):
    """Two outputs by name."""

    first: torch.Tensor
    second: torch.Tensor


NAMED = "a named tuple"

OUTPUTS: Mapping[str, Callable[[torch.Tensor, torch.Tensor], Any]] = MappingProxyType(
    {
        "a tensor": lambda a, b: a,
        "a list": lambda a, b: [a, b],
        "a tuple": lambda a, b: (a, b),
        "lists in a tuple": lambda a, b: ([a], [b, [a]]),
        NAMED: Pair,
        "an iterator": lambda a, b: iter([a, b]),
    }
)
"""What may be scaled."""


def scales(kind: str, place: Place) -> str:
    """What is wrong with how outputs are scaled; empty if nothing is."""
    a, b = torch.ones((), device=place.device), torch.full((2,), 3.0, device=place.device)
    for enabled, factor in ((True, 8.0), (False, 1.0)):
        scaler = build(Settings(8.0), place.device, enabled=enabled)
        given, right = OUTPUTS[kind](a, b), OUTPUTS[kind](a * factor, b * factor)
        got = scaler.scale(given)
        if not enabled and got is not given:
            return "hands over something else when it is disabled"
        if kind == "an iterator":
            got, right = list(got), list(right)
        if type(got) is not type(right) or not _same(got, right):
            return f"makes {got} of {right}"
    return ""


def _same(one: Any, other: Any) -> bool:
    if torch.is_tensor(one):
        return torch.equal(one, other)
    return len(one) == len(other) and all(map(_same, one, other))


GETTERS = ("get_growth_factor", "get_backoff_factor", "get_growth_interval")

DEFAULTS, CHOSEN = Settings(), Settings(8.0, 4.0, 0.25, 3)


def _settings(s: Settings) -> dict[str, Any]:
    """What the documentation says a ``state_dict`` has, before anything was scaled."""
    saved = s._asdict()
    return {"scale": saved.pop("init_scale"), **saved, "_growth_tracker": 0}


def _getters(s: Settings) -> dict[str, tuple[Callable[[Any], Any], Any]]:
    return {
        f"{name}()": (methodcaller(name), value) for name, value in zip(GETTERS, s[1:], strict=True)
    }


Says = Mapping[str, tuple[Callable[[Any], Any], Any]]

DISABLED: Says = MappingProxyType(
    {
        "get_scale()": (methodcaller("get_scale"), 1.0),
        "is_enabled()": (methodcaller("is_enabled"), False),
        "state_dict()": (methodcaller("state_dict"), {}),
        "load_state_dict({})": (methodcaller("load_state_dict", {}), None),
        "load_state_dict(...)": (methodcaller("load_state_dict", _settings(CHOSEN)), None),
        "update()": (methodcaller("update"), None),
        "update(2.0)": (methodcaller("update", 2.0), None),
        **_getters(DEFAULTS),
    }
)
"""What a disabled scaler says: the call, and the answer."""


def _enabled(s: Settings) -> Says:
    return {
        "get_scale()": (methodcaller("get_scale"), s.init_scale),
        "is_enabled()": (methodcaller("is_enabled"), True),
        "state_dict()": (methodcaller("state_dict"), _settings(s)),
        **_getters(s),
    }


SAYS: Mapping[str, tuple[Callable[[str], Any], Says]] = MappingProxyType(
    {
        "disabled": (lambda device: build(DEFAULTS, device, enabled=False), DISABLED),
        "by default": (lambda device: scaler_class()(*placed(device)), _enabled(DEFAULTS)),
        "told": (lambda device: build(CHOSEN, device), _enabled(CHOSEN)),
    }
)
"""Scalers of several kinds, and what each of them says."""


def says(asked: tuple[str, str], place: Place) -> str:
    """What a scaler answers instead of what it should."""
    kind, name = asked
    made, answers = SAYS[kind]
    call, right = answers[name]
    got = call(made(place.device))
    same = got == right and type(got) is type(right)
    return "" if same else f"says {got!r}, and not {right!r}"


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
        if told := differs(kept(behind.members, behind.owner), kept(alone.members, alone.owner)):
            return f"is not the step itself at iteration {t + 1}: {told}"
    return ""


def hooked(case: Skips, place: Place) -> str:
    """In which iterations hooks of a step are called, if those are not those that step."""
    run = _Run(case, place)
    if not hasattr(run.owner, "register_step_post_hook"):
        return ""
    calls: list[int] = []
    run.owner.register_step_post_hook(lambda *_: calls.append(1))
    scaler = build(Settings(case.scale, 2.0, 0.5, 10**6), place.device)
    scaler.scale(torch.zeros((), device=place.device))
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
    scalers = [build(Settings(case.scale), place.device) for _ in range(2)]
    for run, scaler in zip((again, once), scalers, strict=True):
        scaler.scale(torch.zeros((), device=place.device))
        run.load(0, case.scale)
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
