"""Paddle in float64, on the CPU: ``optimizer.step()`` after a backward pass."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import paddle

from benchmarks.adapters.framework import Arrays, FrameworkOptimizer, Step

paddle.set_default_dtype("float64")


def _start(name: str, parameters: Arrays, values: Mapping[str, Any]) -> Step:
    members = [_parameter(p) for p in parameters]
    optimizer = getattr(paddle.optimizer, name)(parameters=members, **values)

    def step(gradients: Arrays, values: Mapping[str, Any]) -> Arrays:
        optimizer.set_lr(float(values["learning_rate"]))
        loss = sum((m * paddle.to_tensor(g)).sum() for m, g in zip(members, gradients, strict=True))
        loss.backward()
        optimizer.step()
        optimizer.clear_grad()
        return [m.numpy() for m in members]

    return step


def _parameter(values: Any) -> Any:
    initial = paddle.nn.initializer.Assign(np.array(values))
    shape, dtype = list(values.shape), str(values.dtype)
    return paddle.create_parameter(shape, dtype, default_initializer=initial)


def _optimizer(name: str) -> FrameworkOptimizer:
    make = getattr(paddle.optimizer, name)
    return FrameworkOptimizer(f"paddle.{name}", partial(_start, name), make)


OPTIMIZERS = tuple(
    map(
        _optimizer,
        (
            *("SGD", "Momentum", "Adam", "AdamW", "Adamax", "NAdam", "RAdam"),
            *("Adagrad", "Adadelta", "RMSProp"),
        ),
    )
)
