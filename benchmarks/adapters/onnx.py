"""The training operators of ONNX (``ai.onnx.preview.training``), by its reference evaluator.

Operators keep nothing: the parameter, what it remembers and the count of updates go in and come
out. The count starts at 0, where ``Momentum`` leaves its first step undampened and ``Adagrad`` its
rate undecayed; for ``Adam`` it starts at 1, because at 0 its correction is left out. ``Momentum``
is asked with beta = 1: its beta is 1 less torch's dampening, but dampens steps without momentum as
well. Attributes are float32 by ONNX's format.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import onnx
from onnx import helper
from onnx.reference import ReferenceEvaluator

from benchmarks.adapters.framework import Arrays, FrameworkOptimizer, Step

DOMAIN = "ai.onnx.preview.training"
KEPT = {"Adam": 2, "Momentum": 1, "Adagrad": 1}
"""How many tensors each remembers."""

FIRST = {"Adam": 1, "Momentum": 0, "Adagrad": 0}
"""What its count of updates starts at."""


def _start(operator: str, parameters: Arrays, values: Mapping[str, Any]) -> Step:
    held = [[p, *(np.zeros_like(p) for _ in range(KEPT[operator]))] for p in parameters]
    if operator == "Adagrad":
        held = [[p, np.full_like(p, values["H"])] for p in parameters]
    count = FIRST[operator]

    def step(gradients: Arrays, values: Mapping[str, Any]) -> Arrays:
        nonlocal held, count
        rate, evaluator = values["R"], _evaluator(operator, values)
        for i, g in enumerate(gradients):
            x, *kept = held[i]
            inputs = [np.asarray(rate, dtype=x.dtype), np.asarray(count), x, g, *kept]
            held[i] = evaluator.run(None, {f"i{k}": value for k, value in enumerate(inputs)})
        count += 1
        return [x for x, *_ in held]

    return step


def _evaluator(operator: str, values: Mapping[str, Any]) -> Any:
    attributes = {name: value for name, value in values.items() if name not in ("R", "H")}
    if operator == "Momentum":
        attributes["beta"] = 1
        attributes["mode"] = "nesterov" if attributes.pop("mode=nesterov") else "standard"
    kept = KEPT[operator]
    node = helper.make_node(
        operator,
        [f"i{k}" for k in range(4 + kept)],
        [f"o{k}" for k in range(1 + kept)],
        domain=DOMAIN,
        **{name: v if isinstance(v, str) else float(v) for name, v in attributes.items()},
    )
    return ReferenceEvaluator(node)


def _optimizer(operator: str, name: str = "") -> FrameworkOptimizer:
    start = partial(_start, operator)
    return FrameworkOptimizer(f"onnx.{name or operator}", start, _signature(operator))


def _signature(operator: str) -> Any:
    """An operator's attributes, as a function would have them."""

    def attributes() -> None: ...

    schema = onnx.defs.get_schema(operator, domain=DOMAIN)
    attributes.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=onnx.helper.get_attribute_value(a.default_value),
            )
            for name, a in schema.attributes.items()
            if not a.required
        ]
    )
    return attributes


OPTIMIZERS = (
    _optimizer("Momentum"),
    _optimizer("Adam"),
    _optimizer("Adam", "Adam(post)"),
    _optimizer("Adagrad"),
)
