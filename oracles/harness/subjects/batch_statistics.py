"""``update_bn``, asked for the statistics it takes and the model it leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from oracles.harness.arithmetic.formats import FULL, FloatArray
from oracles.harness.cases.batch_statistics import Data, Pass
from oracles.harness.subjects.averaging import swa_utils
from oracles.harness.subjects.subject import Place
from oracles.harness.subjects.tensors import array, tensor

HANDED: dict[str, Callable[[torch.Tensor], Any]] = {
    "tensors": lambda batch: batch,
    "tuples": lambda batch: (batch, torch.zeros(len(batch))),
    "lists": lambda batch: [batch, None],
}
"""How a loader hands a batch over."""


def places(part: str) -> list[Place]:
    """On the CPU: CUDA's kernels take moments by Welford's method, which rounds otherwise."""
    return [Place(part, path, dtype, "cpu") for path in HANDED for dtype in FULL]


class Beside(torch.nn.Module):
    """Layers that all see the same batch."""

    def __init__(self, *layers: torch.nn.Module) -> None:
        super().__init__()
        self.layers = torch.nn.ModuleList(layers)

    def forward(self, batch: torch.Tensor) -> list[torch.Tensor]:
        """What each makes of it."""
        return [layer(batch) for layer in self.layers]


OTHER = 0.75
"""The momentum of another layer, which no case has."""

Taken = tuple[FloatArray, FloatArray, int, float | None]
"""Mean and variance of a layer, of how many batches, and its momentum afterwards."""


def taken(case: Data, place: Place) -> list[tuple[float | None, Taken]]:
    """The momentum of each of two layers before, and what it has taken."""
    momenta = case.momentum, OTHER
    layers = [_layer(case, momentum, place.dtype) for momentum in momenta]
    loader = (HANDED[place.path](tensor(batch, place.dtype)) for batch in case.batches)
    swa_utils().update_bn(loader, Beside(*layers, torch.nn.ReLU()), device="cpu")
    return [(momentum, _of(layer)) for momentum, layer in zip(momenta, layers, strict=True)]


def _of(layer: Any) -> Taken:
    mean, var = array(layer.running_mean), array(layer.running_var)
    return mean, var, int(layer.num_batches_tracked), layer.momentum


def _layer(case: Data, momentum: float | None, dtype: str) -> Any:
    """A layer that knows what it knows before."""
    layer: Any = torch.nn.BatchNorm1d(
        len(case.mean), momentum=momentum, dtype=getattr(torch, dtype)
    )
    with torch.no_grad():
        layer.running_mean.copy_(tensor(case.mean, dtype))
        layer.running_var.copy_(tensor(case.var, dtype))
        layer.num_batches_tracked.fill_(case.tracked)
    return layer


class Broken(Exception):
    """What a loader raises."""


def left(case: Pass, place: Place) -> str:
    """What is not as it was after a pass, as a sentence goes on; empty if everything is."""
    layers = [_normalization(case, momentum) for momentum in (case.momentum, OTHER)]
    model = torch.nn.Sequential(*layers, torch.nn.Dropout())
    for module, training in zip((model, *model), case.training, strict=True):
        module.training = training
    seen: list[torch.Tensor] = []
    raised = False
    try:
        swa_utils().update_bn(_loader(case, place, seen), model)
    except Broken:
        raised = True
    return _strayed(case, model, len(seen), raised)


def _normalization(case: Pass, momentum: float | None) -> torch.nn.Module:
    """A layer, or what stands where none is."""
    if not case.normalized:
        return torch.nn.ReLU()
    tracking = case.layer == "tracking"
    return torch.nn.BatchNorm1d(2, momentum=momentum, track_running_stats=tracking)


def _loader(case: Pass, place: Place, seen: list[torch.Tensor]) -> Iterator[Any]:
    for number in range(2):
        if case.fails and number:
            raise Broken
        batch = torch.tensor([[1.0, 2.0], [3.0, 5.0]])
        seen.append(batch)
        yield HANDED[place.path](batch)


def _strayed(case: Pass, model: Any, seen: int, raised: bool) -> str:
    if seen != (case.normalized and 2 - case.fails):
        return f"asks for {seen} batches"
    if raised != (case.normalized and case.fails):
        return "keeps an error of the loader to itself"
    momenta = [layer.momentum for layer in model[:2]] if case.normalized else []
    if momenta not in ([], [case.momentum, OTHER]):
        return f"leaves momenta of {momenta}"
    if tuple(module.training for module in (model, *model)) != case.training:
        return "leaves modules training that did not, or the other way round"
    return ""
