"""TensorFlow 1's optimizers in float64, as TensorFlow 2 keeps them in ``tf.compat.v1.train``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf

from benchmarks.adapters.framework import Arrays, FrameworkOptimizer, Step

TRAIN = tf.compat.v1.train


def _start(name: str, parameters: Arrays, values: Mapping[str, Any]) -> Step:
    variables = [tf.Variable(p) for p in parameters]
    rate = values["learning_rate"]
    others = {name: value for name, value in values.items() if name != "learning_rate"}
    optimizer = getattr(TRAIN, name)(learning_rate=lambda: rate, **others)

    def step(gradients: Arrays, values: Mapping[str, Any]) -> Arrays:
        nonlocal rate
        rate = values["learning_rate"]
        given = [tf.constant(g) for g in gradients]
        optimizer.apply_gradients(zip(given, variables, strict=True))
        return [v.numpy() for v in variables]

    return step


def _optimizer(name: str) -> FrameworkOptimizer:
    own = f"{name}Optimizer"
    return FrameworkOptimizer(f"tf.train.{own}", partial(_start, own), getattr(TRAIN, own))


OPTIMIZERS = tuple(
    map(
        _optimizer,
        ("GradientDescent", "Momentum", "Adam", "Adagrad", "Adadelta", "RMSProp"),
    )
)
