"""optax, with JAX in float64.

A transformation is made anew at each step, with that step's numbers, and goes on from the state of
the last: optax keeps no hyperparameters in it. ``sgd`` has no weight decay; the usual way to give
it one, ``chain(add_decayed_weights(...), sgd(...))``, is asked in its place. ``adam`` and
``amsgrad`` are two functions, which are asked as one that has a switch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import numpy as np
import optax

from benchmarks.adapters.framework import Arrays, FrameworkOptimizer, Step

jax.config.update("jax_enable_x64", True)

Make = Callable[..., Any]


def _start(make: Make, parameters: Arrays, values: Mapping[str, Any]) -> Step:
    params = [jax.numpy.asarray(p) for p in parameters]
    state = make(**values).init(params)

    def step(gradients: Arrays, values: Mapping[str, Any]) -> Arrays:
        nonlocal params, state
        given = [jax.numpy.asarray(g) for g in gradients]
        updates, state = make(**values).update(given, state, params)
        params = optax.apply_updates(params, updates)
        return [np.asarray(p) for p in params]

    return step


def _decayed_sgd(weight_decay: float, **values: Any) -> Any:
    return optax.chain(optax.add_decayed_weights(weight_decay), optax.sgd(**values))


def _adam(amsgrad: bool, **values: Any) -> Any:
    return (optax.amsgrad if amsgrad else optax.adam)(**values)


def _optimizer(name: str, make: Make | None = None) -> FrameworkOptimizer:
    own = getattr(optax, name)
    return FrameworkOptimizer(f"optax.{name}", partial(_start, make or own), own)


OPTIMIZERS = (
    _optimizer("sgd", _decayed_sgd),
    _optimizer("adam", _adam),
    _optimizer("adamw"),
    _optimizer("adamax"),
    _optimizer("adamaxw"),
    _optimizer("nadam"),
    _optimizer("nadamw"),
    _optimizer("radam"),
    _optimizer("adagrad"),
    _optimizer("adadelta"),
    _optimizer("rmsprop"),
)
