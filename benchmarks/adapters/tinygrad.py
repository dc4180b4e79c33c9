"""tinygrad in float64, on the device that is set, or its Python one."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

os.environ.setdefault("DEV", "PYTHON")
os.environ.setdefault("OPTIM_DTYPE", "float64")
os.environ.setdefault("DEFAULT_FLOAT", "FLOAT64")

import numpy as np
from tinygrad import Context, Tensor
from tinygrad.nn import optim

from benchmarks.adapters.framework import Arrays, FrameworkOptimizer, Step

Make = Callable[..., Any]


def _start(make: Make, parameters: Arrays, values: Mapping[str, Any]) -> Step:
    tensors = [Tensor(p).contiguous().realize() for p in parameters]
    optimizer = make(tensors, **values)

    def step(gradients: Arrays, values: Mapping[str, Any]) -> Arrays:
        optimizer.lr.assign(Tensor([float(values["lr"])])).realize()
        for tensor, g in zip(tensors, gradients, strict=True):
            tensor.grad = Tensor(g)
        with Context(TRAINING=1):
            optimizer.step()
        return [np.asarray(tensor.numpy()) for tensor in tensors]

    return step


OPTIMIZERS = (
    FrameworkOptimizer("tinygrad.SGD", partial(_start, optim.SGD), optim.SGD),
    FrameworkOptimizer(
        "tinygrad.SGD(classic)", partial(_start, partial(optim.SGD, classic=True)), optim.SGD
    ),
    FrameworkOptimizer("tinygrad.Adam", partial(_start, optim.Adam), optim.Adam),
    FrameworkOptimizer("tinygrad.AdamW", partial(_start, optim.AdamW), optim.AdamW),
)
