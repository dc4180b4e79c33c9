"""``torch.nn.utils``' clipping of gradients, asked for what it leaves of them."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from oracles.harness.arithmetic.formats import DTYPES, FloatArray
from oracles.harness.cases.case import PRECISIONS, dtype_of
from oracles.harness.cases.clipping import Gradients
from oracles.harness.subjects.subject import Place, is_lack
from oracles.harness.subjects.tensors import LAYOUTS, array, tensor
from oracles.harness.subjects.torch_optim import single_devices

PATHS: dict[str, dict[str, bool]] = {
    "default": {},
    "foreach": {"foreach": True},
    "for-loop": {"foreach": False},
}
"""By name, with what is passed for it."""


@dataclass(frozen=True)
class Clipped:
    """What clipping leaves.

    Attributes:
        gradients: one a parameter; None where it has none.
        total: the length that is told, if one is.
        dtype: of that.
        strayed: what is not as it was and ought to be, in words; empty if everything is.
    """

    gradients: tuple[FloatArray | None, ...]
    total: FloatArray | None = None
    dtype: str = ""
    strayed: str = ""


def places(part: str, dtypes: Iterable[str] = PRECISIONS) -> list[Place]:
    """Where this torch has a function."""
    function = getattr(torch.nn.utils, part, None)
    if function is None:
        return []
    chosen = "foreach" in inspect.signature(function).parameters
    asked = [
        Place(part, path, dtype, device)
        for path in (PATHS if chosen else ("default",))
        for dtype in dtypes
        for device in single_devices()
    ]
    return [place for place in asked if not lacking(place)]


@cache
def lacking(place: Place) -> bool:
    """Whether a kernel is missing there, as a trial says; what else it raises is to be asked."""
    try:
        clip(Gradients((np.ones(1),) * len(DTYPES)), place)
    except (RuntimeError, TypeError) as error:
        return is_lack(error)
    return False


def parameters(case: Gradients, place: Place) -> list[torch.nn.Parameter]:
    """Parameters that have those gradients, in the place's dtype and on its device.

    Every second one has been frozen since; torch clips what it still has.
    """
    return [_parameter(i, g, case.layout, place) for i, g in enumerate(case.arrays)]


def _parameter(
    number: int, gradient: FloatArray | None, layout: str, place: Place
) -> torch.nn.Parameter:
    dtype = dtype_of(place.dtype, number)
    made = {"dtype": getattr(torch, dtype), "device": place.device}
    if gradient is None:
        return torch.nn.Parameter(torch.ones(2, **made))
    parameter = torch.nn.Parameter(torch.ones(gradient.shape, **made), number % 2 == 0)
    parameter.grad = LAYOUTS[layout](tensor(gradient, dtype, place.device))
    return parameter


Way = Callable[[list[Any]], Any]
"""How parameters, or gradients, are handed over."""


def sparse(case: Gradients, place: Place) -> Clipped | None:
    """What is left of gradients that are kept sparse; None if that is refused."""
    own = parameters(case, place)
    for p in own:
        p.grad = None if p.grad is None else p.grad.to_sparse()
    before = [p.grad for p in own]
    try:
        told = _ASK[place.optimizer](list, own, case, PATHS[place.path])
    except (RuntimeError, NotImplementedError):
        return None
    return clipped(own, before, told)


def clip(case: Gradients, place: Place, way: Way = list, **options: Any) -> Clipped:
    """Ask the function that the place names; further options are its own."""
    own = parameters(case, place)
    listed = own if case.listed is None else [own[i] for i in case.listed]
    before = [p.grad for p in own]
    told = _ASK[place.optimizer](way, listed, case, PATHS[place.path] | options)
    return clipped(own, before, told)


def clipped(own: list[torch.nn.Parameter], before: list[Any], told: Any = None) -> Clipped:
    """What is left of the gradients of parameters, and whether they are the tensors from before."""
    gradients = tuple(None if p.grad is None else array(p.grad) for p in own)
    if told is None:
        return Clipped(gradients, strayed=_strayed(own, before))
    dtype = str(told.dtype).removeprefix("torch.")
    return Clipped(gradients, array(told), dtype, _strayed(own, before))


def _strayed(own: list[torch.nn.Parameter], before: list[Any]) -> str:
    if any(p.grad is not gradient for p, gradient in zip(own, before, strict=True)):
        return "puts other tensors in the place of gradients"
    if any(not bool((p.detach() == 1).all()) for p in own):
        return "changes parameters"
    return ""


def _norm(way: Way, listed: list[torch.nn.Parameter], case: Gradients, options: Any) -> Any:
    return torch.nn.utils.clip_grad_norm_(way(listed), case.limit, case.order, **options)


def _value(way: Way, listed: list[torch.nn.Parameter], case: Gradients, options: Any) -> Any:
    return torch.nn.utils.clip_grad_value_(way(listed), case.limit, **options)


def _total(way: Way, listed: list[torch.nn.Parameter], case: Gradients, options: Any) -> Any:
    gradients = [p.grad for p in listed if p.grad is not None]
    return torch.nn.utils.get_total_norm(way(gradients), case.order, **options)


def _given(way: Way, listed: list[torch.nn.Parameter], case: Gradients, options: Any) -> Any:
    """The length is handed over in the dtype in which it would be told."""
    dtypes = {p.grad.dtype for p in listed if p.grad is not None}
    dtype = dtypes.pop() if len(dtypes) == 1 else torch.float64
    device = listed[0].device if listed else "cpu"
    given = torch.tensor(case.given, dtype=dtype, device=device)
    return torch.nn.utils.clip_grads_with_norm_(way(listed), case.limit, given, **options)


_ASK: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "clip_grad_norm_": _norm,
        "clip_grad_value_": _value,
        "get_total_norm": _total,
        "clip_grads_with_norm_": _given,
    }
)

WAYS: Mapping[str, Way] = MappingProxyType(
    {
        "a tuple": tuple,
        "a generator": lambda listed: (p for p in listed),
        "an iterator": iter,
        "the values of a dict": lambda listed: dict(enumerate(listed)).values(),
    }
)


def varieties(case: Gradients, place: Place) -> Iterator[tuple[str, Clipped]]:
    """What comes of other ways to hand over the same, by their names."""
    for name, way in WAYS.items():
        yield name, clip(case, place, way)
    if len([g for g in case.arrays if g is not None]) == len(case.arrays) == 1:
        yield "a tensor alone", clip(case, place, lambda listed: listed[0])
    limit: Any = torch.tensor(case.limit, dtype=torch.float64)
    yield "a limit in a tensor", clip(replace(case, limit=limit), place)
    if place.optimizer in ("clip_grad_norm_", "get_total_norm"):
        yield "error_if_nonfinite", clip(case, place, error_if_nonfinite=True)


def in_a_graph(case: Gradients, place: Place) -> Clipped:
    """What is left of gradients that can be differentiated themselves."""
    return clip(case, place, _requiring)


def _requiring(listed: list[Any]) -> list[Any]:
    """As they are after ``backward(create_graph=True)``."""
    for each in listed:
        gradient = each.grad if isinstance(each, torch.nn.Parameter) else each
        if gradient is not None:
            gradient.requires_grad_()
    return listed


def refusal(case: Gradients, place: Place) -> str:
    """What is wrong with how a length that is not finite is refused; empty if nothing is."""
    own = parameters(case, place)
    before = _numbers(own)
    options = PATHS[place.path] | {"error_if_nonfinite": True}
    try:
        _ASK[place.optimizer](list, own, case, options)
    except RuntimeError:
        same = all(itertools.starmap(np.array_equal, zip(before, _numbers(own), strict=True)))
        return "" if same else "changes gradients, and then refuses their length"
    return "takes a length that is not finite, with error_if_nonfinite"


def _numbers(own: list[torch.nn.Parameter]) -> list[FloatArray]:
    """The gradients there are, without nan, which equals nothing."""
    return [np.nan_to_num(array(p.grad), nan=7.0) for p in own if p.grad is not None]
