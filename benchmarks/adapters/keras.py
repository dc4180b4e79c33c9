"""Keras in float64, on JAX: ``optimizer.apply(gradients)``.

(Its NumPy backend imports JAX as well.)
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("JAX_ENABLE_X64", "true")

import jax
import keras
import numpy as np

from benchmarks.adapters.framework import Arrays, FrameworkOptimizer, Step

keras.config.set_floatx("float64")

Make = Callable[..., Any]


def _start(make: Make, parameters: Arrays, values: Mapping[str, Any]) -> Step:
    variables = [keras.Variable(p, dtype=str(p.dtype)) for p in parameters]
    optimizer = make(**values)
    optimizer.build(variables)

    def step(gradients: Arrays, values: Mapping[str, Any]) -> Arrays:
        optimizer.learning_rate = values["learning_rate"]
        optimizer.apply([keras.ops.convert_to_tensor(g) for g in gradients])
        return [np.asarray(keras.ops.convert_to_numpy(v)) for v in variables]

    return step


def _regularized(parameters: Arrays, values: Mapping[str, Any]) -> Step:
    """SGD on a loss that has the penalty of ``regularizers.L2``, by JAX's derivative of it."""

    def told(values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in values.items() if name != "regularizers.L2"}

    held = parameters
    inner = _start(keras.optimizers.SGD, parameters, told(values))

    def step(gradients: Arrays, values: Mapping[str, Any]) -> Arrays:
        nonlocal held
        penalty = keras.regularizers.L2(values["regularizers.L2"])
        whole = [
            g + np.asarray(jax.grad(penalty)(jax.numpy.asarray(w)))
            for g, w in zip(gradients, held, strict=True)
        ]
        held = inner(whole, told(values))
        return held

    return step


def _optimizer(name: str) -> FrameworkOptimizer:
    make = getattr(keras.optimizers, name)
    return FrameworkOptimizer(f"keras.{name}", partial(_start, make), make)


OPTIMIZERS = (
    _optimizer("SGD"),
    FrameworkOptimizer("keras.SGD(regularizers.L2)", _regularized, keras.optimizers.SGD),
    _optimizer("Adam"),
    _optimizer("AdamW"),
    _optimizer("Adamax"),
    _optimizer("Nadam"),
    _optimizer("Adagrad"),
    _optimizer("Adadelta"),
    _optimizer("RMSprop"),
)
