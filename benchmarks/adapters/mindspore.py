"""MindSpore on the CPU: ``optimizer(gradients)``, in float32, which some of its kernels ask for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import mindspore
import numpy as np

from benchmarks.adapters.framework import Arrays, FrameworkOptimizer, Step

mindspore.set_context(mode=mindspore.PYNATIVE_MODE)


def _start(name: str, parameters: Arrays, values: Mapping[str, Any]) -> Step:
    members = [
        mindspore.Parameter(mindspore.Tensor(np.array(p)), name=f"p{number}")
        for number, p in enumerate(parameters)
    ]
    told = {n: float(v) if type(v) is int else v for n, v in values.items()}
    optimizer = getattr(mindspore.nn, name)(members, **told)

    def step(gradients: Arrays, values: Mapping[str, Any]) -> Arrays:
        rate = mindspore.Tensor(values["learning_rate"], mindspore.float32)
        mindspore.ops.assign(optimizer.learning_rate, rate)  # set_data would have no effect
        optimizer(tuple(mindspore.Tensor(np.array(g)) for g in gradients))
        return [m.asnumpy() for m in members]

    return step


def _optimizer(name: str) -> FrameworkOptimizer:
    start = partial(_start, name)
    signature = _signature(getattr(mindspore.nn, name).__init__)
    return FrameworkOptimizer(
        f"mindspore.{name}",
        start,
        signature,
        above_zero=frozenset({"eps"}),
        always={"eps": 1e-8} if name == "Adagrad" else {},
        dtype="float32",
    )


def _signature(init: Any) -> Any:
    """A constructor, or the one that a decorator holds, which does not say so."""
    held = [cell.cell_contents for cell in init.__closure__ or ()]
    return next((one for one in held if getattr(one, "__name__", "") == "__init__"), init)


OPTIMIZERS = tuple(
    map(_optimizer, ("SGD", "Momentum", "Adam", "AdamWeightDecay", "AdaMax", "Adagrad", "RMSProp"))
)
