"""MLX in float64, on the CPU, which alone has that format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import mlx.core as mx
import numpy as np
from mlx import optimizers

from benchmarks.adapters.framework import Arrays, FrameworkOptimizer, Step

mx.set_default_device(mx.cpu)

Make = Callable[..., Any]


def _start(make: Make, parameters: Arrays, values: Mapping[str, Any]) -> Step:
    held = {str(i): _array(p) for i, p in enumerate(parameters)}
    optimizer = make(**_told(values))

    def step(gradients: Arrays, values: Mapping[str, Any]) -> Arrays:
        nonlocal held
        optimizer.learning_rate = float(values["learning_rate"])
        given = {str(i): _array(g) for i, g in enumerate(gradients)}
        held = optimizer.apply_gradients(given, held)
        mx.eval(held, optimizer.state)
        return [np.asarray(held[name]) for name in held]

    return step


def _array(values: Any) -> Any:
    return mx.array(values, dtype=getattr(mx, str(values.dtype)))


def _told(values: Mapping[str, Any]) -> dict[str, Any]:
    """With betas in one argument."""
    told = dict(values)
    if "betas[0]" in told:
        told["betas"] = [told.pop("betas[0]"), told.pop("betas[1]")]
    return told


def _optimizer(name: str, *, corrected: bool = False) -> FrameworkOptimizer:
    make = getattr(optimizers, name)
    own = f"mlx.{name}(bias_correction)" if corrected else f"mlx.{name}"
    start = partial(_start, partial(make, bias_correction=True) if corrected else make)
    return FrameworkOptimizer(own, start, make, above_zero=frozenset({"eps"}))


OPTIMIZERS = (
    _optimizer("SGD"),
    _optimizer("Adam"),
    _optimizer("Adam", corrected=True),
    _optimizer("AdamW"),
    _optimizer("AdamW", corrected=True),
    _optimizer("Adamax"),
    _optimizer("Adagrad"),
    _optimizer("AdaDelta"),
    _optimizer("RMSprop"),
)
