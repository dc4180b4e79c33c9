"""``torch.optim.swa_utils``, asked for the averages it keeps."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch

from oracles.harness.arithmetic.formats import DTYPES, FloatArray
from oracles.harness.cases.averaging import Counters, Point, Pull, Trail
from oracles.harness.cases.case import PRECISIONS, dtype_of
from oracles.harness.subjects.subject import Place, is_lack
from oracles.harness.subjects.tensors import array, tensor, through_a_file

ALONE, BUFFERS = "parameters", "parameters and buffers"
"""Without and with ``use_buffers``."""

Average = Any
"""An ``AveragedModel``."""


def swa_utils() -> Any:
    """The module, as it is now."""
    return torch.optim.swa_utils


def averaged_model() -> Any:
    """The class, as it is now."""
    return swa_utils().AveragedModel


def there(part: str) -> bool:
    """Whether this torch has a function or class of that name."""
    return hasattr(swa_utils(), part)


def places(
    part: str,
    dtypes: Sequence[str] = PRECISIONS,
    paths: Sequence[str] = (ALONE, BUFFERS),
    on: Sequence[str] = ("cpu",),
) -> list[Place]:
    """Where a way to average can be asked."""
    if not there(part):
        return []
    asked = [
        Place(part, path, dtype, device) for path in paths for dtype in dtypes for device in on
    ]
    return [place for place in asked if not lacking(place)]


@cache
def lacking(place: Place) -> bool:
    """Whether a kernel is missing there, as a trial says; what else it raises is to be asked."""
    point = (np.ones(1),) * len(DTYPES)
    try:
        list(averaged(Trail((point,) * 3), place))
    except (RuntimeError, TypeError) as error:
        return is_lack(error)
    return False


class Model(torch.nn.Module):
    """Tensors: parameters and, every second one, buffers. Every second parameter is frozen."""

    def __init__(self, tensors: Sequence[torch.Tensor]) -> None:
        super().__init__()
        for i, own in enumerate(tensors):
            if i % 2:
                self.register_buffer(f"b{i}", own)
            else:
                self.register_parameter(f"w{i}", torch.nn.Parameter(own, i % 4 == 0))

    def tensors(self) -> list[torch.Tensor]:
        """In the order in which they were given."""
        own = {**dict(self.named_parameters()), **dict(self.named_buffers())}
        return [own[name] for name in sorted(own, key=lambda name: int(name[1:]))]


def functions(part: str, decay: float) -> dict[str, Any]:
    """What an ``AveragedModel`` is given for a way to average."""
    match part:
        case "get_swa_avg_fn":
            return {"avg_fn": swa_utils().get_swa_avg_fn()}
        case "get_swa_multi_avg_fn":
            return {"multi_avg_fn": swa_utils().get_swa_multi_avg_fn()}
        case "get_ema_avg_fn":
            return {"avg_fn": swa_utils().get_ema_avg_fn(decay)}
        case "get_ema_multi_avg_fn":
            return {"multi_avg_fn": swa_utils().get_ema_multi_avg_fn(decay)}
    return {}


def built(part: str, model: Any, path: str, decay: float) -> Average:
    """An average of a model."""
    return averaged_model()(model, **functions(part, decay), use_buffers=path == BUFFERS)


def points(trail: Trail, place: Place) -> list[list[torch.Tensor]]:
    """The tensors of each point."""
    return [_tensors(point, place) for point in trail.points]


def _tensors(point: Point, place: Place) -> list[torch.Tensor]:
    return [
        tensor(values, dtype_of(place.dtype, i), place.device) for i, values in enumerate(point)
    ]


def _update(average: Average, model: Model, values: Sequence[torch.Tensor]) -> None:
    """Put other numbers into a model's tensors, and let its average see them."""
    with torch.no_grad():
        for own, new in zip(model.tensors(), values, strict=True):
            own.copy_(new)
    average.update_parameters(model)


def _begun(trail: Trail, place: Place) -> tuple[Average, Model, list[list[torch.Tensor]]]:
    """The average of a model at the first point, that model, and the points that follow."""
    start, *rest = points(trail, place)
    model = Model(start)
    return built(place.optimizer, model, place.path, trail.decay), model, rest


def numbers(average: Average) -> list[FloatArray]:
    """What an average holds now."""
    return [array(own) for own in average.module.tensors()]


def averaged(trail: Trail, place: Place) -> Iterator[tuple[list[FloatArray], str]]:
    """What is held after each update, and what is wrong beside it, in words."""
    average, model, rest = _begun(trail, place)
    for k, point in enumerate(rest, start=1):
        _update(average, model, point)
        yield numbers(average), _strayed(average, model, point, k)


def _strayed(average: Average, model: Model, point: list[torch.Tensor], k: int) -> str:
    pairs = zip(model.tensors(), point, strict=True)
    if not all(torch.equal(own, given) for own, given in pairs):
        return "changes the model"
    if int(average.n_averaged) != k:
        return f"says n_averaged={int(average.n_averaged)}"
    shared = {t.data_ptr() for t in model.tensors() if t.numel()}
    if any(t.data_ptr() in shared for t in average.module.tensors() if t.numel()):
        return "shares memory with the model"
    if any(p.grad_fn is not None for p in average.module.parameters()):
        return "puts the average into a graph"
    return ""


# --- going on elsewhere -------------------------------------------------------------------------


def continued(trail: Trail, place: Place, at: int, way: str) -> tuple[list[FloatArray], int]:
    """What is held at the end, and ``n_averaged``, where after update ``at`` another goes on."""
    average, model, rest = _begun(trail, place)
    for k, point in enumerate(rest, start=1):
        _update(average, model, point)
        if k == at:
            average = WAYS[way](average, place, trail)
    return numbers(average), int(average.n_averaged)


def _from_file(average: Average, place: Place, trail: Trail) -> Average:
    """Into an average of another model, which was averaged as well."""
    state = through_a_file(average.state_dict())
    other = Model([torch.zeros_like(own) for own in points(trail, place)[0]])
    new = built(place.optimizer, other, place.path, trail.decay)
    new.update_parameters(other)
    new.load_state_dict(state)
    return new


def _through_float64(average: Average, place: Place, trail: Trail) -> Average:
    dtypes = [own.dtype for own in average.module.tensors()]
    average.double()
    for (owner, name), dtype in zip(_named(average.module), dtypes, strict=True):
        owner[name].data = owner[name].data.to(dtype)
    return average


def _named(model: Any) -> list[tuple[dict[str, Any], str]]:
    kept = model._parameters, model._buffers  # noqa: SLF001
    return sorted(
        ((owner, name) for owner in kept for name in owner), key=lambda at: int(at[1][1:])
    )


def _copied(average: Average, place: Place, trail: Trail) -> Average:
    """The one that was copied goes another way meanwhile."""
    new = copy.deepcopy(average)
    other = Model([torch.zeros_like(own) for own in points(trail, place)[0]])
    average.update_parameters(other)
    return new


WAYS: dict[str, Callable[[Average, Place, Trail], Average]] = {
    "a checkpoint": _from_file,
    "a deep copy": _copied,
    "float64 and back": _through_float64,
}


def tied(trail: Trail, place: Place) -> tuple[list[FloatArray], str]:
    """What is held at the end of a model that has each tensor under two names."""
    start, *rest = points(trail, place)
    model = Model(start)
    for i, own in enumerate(model.tensors()):
        if i % 2:
            model.register_buffer(f"b{i + TWIN}", own)
        else:
            model.register_parameter(f"w{i + TWIN}", own)  # type: ignore[arg-type]
    average = built(place.optimizer, model, place.path, trail.decay)
    for point in rest:
        _update(average, model, point)
    kept = {int(name[1:]): owner[name] for owner, name in _named(average.module)}
    torn = [i for i in range(len(start)) if kept[i] is not kept[i + TWIN]]
    return numbers(average), f"tears tensor {torn[0]} from its other name" if torn else ""


TWIN = 100
"""From the number of a tensor to that of its other name."""

OWN, OWN_MULTI = "an avg_fn of one's own", "a multi_avg_fn of one's own"


def own_paths() -> list[str]:
    """How this torch takes a function of one's own."""
    taken = inspect.signature(averaged_model()).parameters
    return [path for path, name in ((OWN, "avg_fn"), (OWN_MULTI, "multi_avg_fn")) if name in taken]


def by_own_function(trail: Trail, place: Place) -> Iterator[list[FloatArray]]:
    """What is held after each update by ``4/(n+4)``, n being how many were averaged before."""

    def one(kept: Any, new: Any, n: Any) -> Any:
        # By numbers that are exact in any format: some torches round them to the tensor's own.
        return kept + (new - kept) * 4.0 / (float(n) + 4.0)

    def several(kept: Any, new: Any, n: Any) -> None:
        for old, other in zip(kept, new, strict=True):
            old.copy_(one(old, other, n))

    given: dict[str, Any] = {"avg_fn": one} if place.path == OWN else {"multi_avg_fn": several}
    start, *rest = points(trail, place)
    model = Model(start)
    average = averaged_model()(model, use_buffers=True, **given)
    for point in rest:
        _update(average, model, point)
        yield numbers(average)


def kept_in_float32(trail: Trail, place: Place) -> list[FloatArray]:
    """What is held at the end, where the average alone has been moved to float32."""
    average, model, rest = _begun(trail, place)
    average.float()
    for point in rest:
        _update(average, model, point)
    return numbers(average)


# --- one number ---------------------------------------------------------------------------------


class Single(torch.nn.Module):
    """A parameter and, perhaps, a buffer."""

    def __init__(self, weight: Any, counter: Any = None) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(weight)
        if counter is not None:
            self.register_buffer("counter", counter)


def counted(case: Counters, place: Place) -> list[int]:
    """What is held in the buffer after each update."""
    kind = getattr(torch, case.kind)
    model: Any = Single(torch.ones(1), torch.tensor(0, dtype=kind))
    average = built(place.optimizer, model, BUFFERS, case.decay)
    held = []
    for value in case.values:
        model.counter.fill_(value)
        average.update_parameters(model)
        held.append(int(average.module.counter))
    return held


def pulled(case: Pull, place: Place, stays: int, pulls: int) -> float:
    """Where an average is that saw 1 and then 2, so many times each."""
    model = Single(torch.ones(1, dtype=getattr(torch, place.dtype), device=place.device))
    average = built(place.optimizer, model, place.path, case.decay)
    for value, times in ((1.0, stays), (2.0, pulls)):
        with torch.no_grad():
            model.weight.fill_(value)
        for _ in range(times):
            average.update_parameters(model)
    return float(average.module.weight.detach())


OTHERS: dict[str, tuple[list[tuple[int, ...]], list[tuple[int, ...]]]] = {
    "another shape": ([(2,)], [(2,)]),
    "a shape that is repeated": ([(1,)], [(2,)]),
    "a parameter more": ([(3,), (2,)], [(2,)]),
    "a parameter less": ([], [(2,)]),
    "a buffer more": ([(3,)], [(2,), (2,)]),
    "a buffer less": ([(3,)], []),
}
"""Parameters and buffers of models that are not those of the average, which has (3,) and (2,)."""


def refuses(kind: str, place: Place) -> bool:
    """Whether a model that is not the average's is refused, at the first update or the second."""
    average = built(place.optimizer, _shaped([(3,)], [(2,)]), place.path, 0.5)
    other = _shaped(*OTHERS[kind])
    try:
        average.update_parameters(other)
        average.update_parameters(other)
    except (RuntimeError, ValueError):
        return True
    return False


def _shaped(parameters: list[tuple[int, ...]], buffers: list[tuple[int, ...]]) -> torch.nn.Module:
    model = torch.nn.Module()
    for i, shape in enumerate(parameters):
        model.register_parameter(f"w{i}", torch.nn.Parameter(torch.ones(shape)))
    for i, shape in enumerate(buffers):
        model.register_buffer(f"b{i}", torch.ones(shape))
    return model
