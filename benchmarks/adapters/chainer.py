"""Chainer in float64, on NumPy: ``optimizer.update()`` of a link whose parameters have gradients.

Its last release asks NumPy for names that NumPy 1.24 has dropped, which are given back to it here.
Weight decay is a hook, or an argument of Adam's.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from benchmarks.adapters.framework import Arrays, FrameworkOptimizer, Step

for _name in ("bool", "object", "int", "float", "complex"):
    if _name not in vars(np):
        setattr(np, _name, getattr(__import__("builtins"), _name))
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import chainer

HOOK = "WeightDecay"
OFF = {HOOK: None}
"""Without the hook nothing decays."""

RATES = ("lr", "alpha")
"""What a learning rate is called; RMSprop's alpha is none."""


def _start(make: Callable[..., Any], parameters: Arrays, values: Mapping[str, Any]) -> Step:
    link = chainer.Link()
    with link.init_scope():
        for number, values_ in enumerate(parameters):
            setattr(link, f"p{number}", chainer.Parameter(np.array(values_)))
    members = [getattr(link, f"p{number}") for number in range(len(parameters))]
    given = {name: value for name, value in values.items() if name != HOOK}
    optimizer = make(**given)
    optimizer.setup(link)
    rate = next(name for name in RATES if name in given)
    if HOOK in values:
        optimizer.add_hook(chainer.optimizer_hooks.WeightDecay(values[HOOK]))

    def step(gradients: Arrays, values: Mapping[str, Any]) -> Arrays:
        setattr(optimizer, rate, values[rate])
        for member, gradient in zip(members, gradients, strict=True):
            member.grad = np.array(gradient)
        optimizer.update()
        return [np.array(member.array) for member in members]

    return step


def _optimizer(name: str, **options: Any) -> FrameworkOptimizer:
    make = getattr(chainer.optimizers, name)
    return FrameworkOptimizer(f"chainer.{name}", partial(_start, make), make, beside=OFF, **options)


OPTIMIZERS = (
    _optimizer("SGD"),
    _optimizer("MomentumSGD"),
    _optimizer("NesterovAG", always={"nesterov": True}),
    _optimizer("Adam"),
    _optimizer("AdamW"),
    _optimizer("AMSGrad", always={"amsgrad": True}),
    _optimizer("RMSprop"),
    _optimizer("AdaGrad"),
)
