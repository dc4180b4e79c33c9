"""``update_bn``, asked for the statistics it takes and the model it leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from oracles.harness.arithmetic.formats import FULL, FloatArray
from oracles.harness.cases.passes import Data, Pass
from oracles.harness.subjects.averaging import swa_utils
from oracles.harness.subjects.clipping import array, tensor
from oracles.harness.subjects.subject import Place

HANDED: dict[str, Callable[[torch.Tensor], Any]] = {
    "tensors": lambda batch: batch,
    "tuples": lambda batch: (batch, torch.zeros(len(batch))),
    "lists": lambda batch: [batch, None],
}
"""How a loader hands a batch over."""


def places(part: str) -> list[Place]:
    """On the CPU: CUDA's kernels take moments by Welford's method, which rounds otherwise."""
    return [Place(part, path, dtype, "cpu") for path in HANDED for dtype in FULL]


def taken(case: Data, place: Place) -> tuple[FloatArray, FloatArray, int, float | None]:
    """Mean and variance, of how many batches, and the momentum afterwards."""
    dtype = getattr(torch, place.dtype)
    layer: Any = torch.nn.BatchNorm1d(len(case.mean), momentum=case.momentum, dtype=dtype)
    with torch.no_grad():
        layer.running_mean.copy_(tensor(case.mean, place.dtype))
        layer.running_var.copy_(tensor(case.var, place.dtype))
        layer.num_batches_tracked.fill_(case.tracked)
    loader = (HANDED[place.path](tensor(batch, place.dtype)) for batch in case.batches)
    swa_utils().update_bn(loader, torch.nn.Sequential(layer, torch.nn.ReLU()), device="cpu")
    mean, var = array(layer.running_mean), array(layer.running_var)
    return mean, var, int(layer.num_batches_tracked), layer.momentum


class Broken(Exception):
    """What a loader raises."""


def left(case: Pass, place: Place) -> str:
    """What is not as it was after a pass, as a sentence goes on; empty if everything is."""
    middle: Any = torch.nn.ReLU()
    if case.normalized:
        tracking = case.layer == "tracking"
        middle = torch.nn.BatchNorm1d(2, momentum=case.momentum, track_running_stats=tracking)
    model = torch.nn.Sequential(middle, torch.nn.Dropout())
    for module, training in zip((model, *model), case.training, strict=True):
        module.training = training
    seen: list[torch.Tensor] = []
    raised = False
    try:
        swa_utils().update_bn(_loader(case, place, seen), model)
    except Broken:
        raised = True
    return _strayed(case, model, len(seen), raised)


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
    if case.normalized and model[0].momentum != case.momentum:
        return f"leaves momentum={model[0].momentum}"
    if tuple(module.training for module in (model, *model)) != case.training:
        return "leaves modules training that did not, or the other way round"
    return ""
