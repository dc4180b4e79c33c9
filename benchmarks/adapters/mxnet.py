"""MXNet in float64, on the CPU: ``optimizer.update(index, weight, gradient, state)``.

Its last release asks NumPy for names that NumPy 1.24 has dropped, which are given back to it here.
What keeps its state in float32 (AdaGrad, AdaDelta, RMSProp) is left out.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from benchmarks.adapters.framework import Arrays, FrameworkOptimizer, Step

for _name in ("bool", "object", "int", "float"):
    if _name not in vars(np):
        setattr(np, _name, {"bool": bool, "object": object, "int": int, "float": float}[_name])
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import mxnet

Make = Callable[..., Any]


def _start(make: Make, parameters: Arrays, values: Mapping[str, Any]) -> Step:
    weights = [_array(p) for p in parameters]
    optimizer = make(**values)
    states = [optimizer.create_state(i, w) for i, w in enumerate(weights)]

    def step(gradients: Arrays, values: Mapping[str, Any]) -> Arrays:
        optimizer.lr = float(values["learning_rate"])
        for i, (w, g, state) in enumerate(zip(weights, gradients, states, strict=True)):
            optimizer.update(i, w, _array(g), state)
        return [w.asnumpy() for w in weights]

    return step


def _array(values: Any) -> Any:
    return mxnet.nd.array(values, dtype=values.dtype)


DECAY = {"wd": inspect.signature(mxnet.optimizer.Optimizer).parameters["wd"].default}
"""What all of them hand on to what they are made of."""


def _optimizer(name: str) -> FrameworkOptimizer:
    make = getattr(mxnet.optimizer, name)
    return FrameworkOptimizer(f"mxnet.{name}", partial(_start, make), make, beside=DECAY)


OPTIMIZERS = tuple(map(_optimizer, ("SGD", "NAG", "Adam", "Adamax", "Nadam")))
