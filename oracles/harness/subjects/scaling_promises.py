"""``torch.amp.GradScaler``, asked for what it finds, what it scales and what it says of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import methodcaller
from types import MappingProxyType
from typing import Any, NamedTuple

import torch

from oracles.harness.cases.scaling_promises import NUMBER, Extreme, Found
from oracles.harness.subjects.scaling import build, placed, scaler_class, started
from oracles.harness.subjects.subject import Place
from oracles.harness.subjects.tensors import dense, rows, strided, transposed
from oracles.loop.scaler import Settings


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
    others = [_finite(dtype, place.device) for dtype in (case.beside, place.dtype, place.dtype)]
    owner = torch.optim.SGD([*others[: 1 + case.among], p, *others[1 + case.among :]], lr=1.0)
    scaler = started(Settings(4.0), place.device)
    scaler.unscale_(owner)
    scaler.step(owner)
    moved = _flat(p.detach())
    if case.at is not None:
        still = not any(t.any() for t in (moved, *others))
        return "" if still else f"steps on {case.spoilt} at {case.at}"
    if any(other.item() != -2 for other in others):
        return f"moves the parameters beside it to {[o.item() for o in others]}, and not to -2"
    return "" if torch.equal(moved, -right) else f"moves by {moved.tolist()}"


def _finite(dtype: str, device: str) -> torch.Tensor:
    """A parameter with a gradient of 8."""
    other = torch.zeros(1, dtype=getattr(torch, dtype), device=device).requires_grad_()
    other.grad = torch.full_like(other, 8.0)
    return other


def _laid(values: torch.Tensor, layout: str) -> torch.Tensor:
    """A column of numbers, laid out."""
    if layout == "complex":
        return torch.complex(values, torch.zeros_like(values))
    if layout == NUMBER:
        return values.reshape(())
    column = values.reshape(-1, 1)
    if layout == "sparse":
        return rows(column)
    return {"strided": strided, "transposed": transposed}.get(layout, lambda v: v)(column)


def _flat(values: torch.Tensor) -> torch.Tensor:
    values = dense(values)
    return (values.real if values.is_complex() else values).reshape(-1)


def steps_finitely(case: Extreme, place: Place) -> str:
    """What a step makes of a parameter that is neither left alone nor finite."""
    p = torch.zeros(1, device=place.device, requires_grad=True)
    p.grad = torch.full((1,), case.gradient, device=place.device)
    scaler = started(Settings(1.0), place.device)
    scaler.update(case.scale)
    owner = torch.optim.SGD([p], lr=1.0)
    scaler.step(owner)
    scaler.update()
    return "" if bool(torch.isfinite(p).all()) else f"steps to {p.item()}"


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
