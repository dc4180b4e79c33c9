"""What an update rule may call, on plain numbers and arrays of NumPy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

Number = Any
"""A float, or an array of floats."""


def _times(scale: Number | None, x: Number) -> Number:
    return x if scale is None else scale * x


def _add(input: Number, other: Number, third: Number = None, alpha: Number = None) -> Number:
    """torch's ``add``; with three operands, that of torch before 1.5: ``add(scale, tensor)``."""
    return input + (_times(alpha, other) if third is None else other * third)


def _addcmul(x: Number, a: Number, b: Number, c: Number = None, value: Number = None) -> Number:
    return x + (_times(value, a * b) if c is None else a * b * c)


def _addcdiv(x: Number, a: Number, b: Number, c: Number = None, value: Number = None) -> Number:
    return x + (_times(value, a) / b if c is None else a * b / c)


def _clamp(input: Number, min: Number = None, max: Number = None) -> Number:
    input = input if min is None else np.maximum(input, min)
    return input if max is None else np.minimum(input, max)


_CALLS: Mapping[Callable[..., Any], str] = {
    lambda x: np.sqrt(x): "sqrt sqrtf",
    lambda x: 1 / np.sqrt(x): "rsqrt rsqrtf",
    lambda x: 1 / x: "reciprocal",
    lambda x: x * x: "square",
    lambda x: np.abs(x): "abs absolute fabs fabsf",
    lambda x: -x: "neg negative",
    lambda x: np.cos(x): "cos cosf",
    lambda x: np.exp(x): "exp expf",
    lambda x: np.sign(x): "sign sgn",
    lambda x: np.floor(x): "floor floorf",
    lambda x: np.ceil(x): "ceil ceilf",
    lambda x: np.trunc(x): "int trunc truncf",
    lambda x, decimals=0: np.round(x, int(decimals)): "round",
    _add: "add assign_add",
    lambda input, other, alpha=None: input - _times(alpha, other): "sub subtract assign_sub",
    lambda input, other: input * other: "mul multiply",
    lambda input, other: input / other: "div divide true_divide",
    lambda input, exponent: input**exponent: "pow power powf",
    lambda input, end, weight: input + weight * (end - input): "lerp",
    _addcmul: "addcmul",
    _addcdiv: "addcdiv",
    lambda input, other: np.maximum(input, other): "max maximum fmax fmaxf clamp_min",
    lambda input, other: np.minimum(input, other): "min minimum fmin fminf clamp_max",
    _clamp: "clamp clip",
    lambda x: x * 1: "clone",
    lambda x: x: "detach item float conj",
    lambda input, other: other: "copy assign",
    lambda x, memory_format=None: x * 0: "zeros_like zero",
    lambda condition, x, y: np.where(condition, x, y): "where",
}
FUNCTIONS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {name: function for function, names in _CALLS.items() for name in names.split()}
)
"""By name. As methods they are called on their first argument, which those that end in ``_`` change
in place."""

KNOWN = ", ".join(names.partition(" ")[0] for names in _CALLS.values()) + "; + - * / // % **"
"""The usual name of each, and the signs beside them."""
