"""What ``weight_decay`` does, or may mean, whatever the rest of a rule is.

Symbols: w parameter, g gradient, d descent direction, γ lr, λ weight_decay, n batch size. With
λ = 0 decay is left out, which matters when w is infinite.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from oracles.drawing import Hyper
from oracles.numerics import Array, Scalar
from oracles.rule import Convention

C = TypeVar("C", bound=Convention)


def signed(g: Array, h: Hyper) -> Array:
    """The gradient to descend along: −g under *maximize*."""
    return -g if h.maximize else g


def plus(d: Array, coefficient: Scalar, w: Array, h: Hyper) -> Array:
    """``d + coefficient w``, left out without weight decay."""
    return d if h.weight_decay == 0 else d + coefficient * w


def coupled(w: Array, g: Array, h: Hyper) -> Array:
    """``g + λw``: L2 regularization."""
    return plus(signed(g, h), h.weight_decay, w, h)


def undecayed(w: Array, g: Array, h: Hyper) -> Array:
    """``g``: no decay here."""
    return signed(g, h)


def unchanged(w: Array, h: Hyper) -> Array:
    """``w``: no decay here."""
    return w


def shrunk(w: Array, coefficient: Scalar, h: Hyper) -> Array:
    """``(1 − coefficient) w``, left out without weight decay."""
    return w if h.weight_decay == 0 else w * (1 - coefficient)


def shrunk_lr(w: Array, h: Hyper) -> Array:
    """``(1 − γλ) w``: decoupled decay, scaled by the learning rate."""
    return shrunk(w, h.lr * h.weight_decay, h)


def shrunk_bare(w: Array, h: Hyper) -> Array:
    """``(1 − λ) w``: decoupled decay, whatever the learning rate."""
    return shrunk(w, h.weight_decay, h)


def nearest_allowed(h: Hyper) -> Any:
    """Cap the decay where γλ > 1 would make w grow."""
    return h._replace(weight_decay=1 / h.lr) if h.lr * h.weight_decay > 1 else h


DECAY = frozenset({"weight_decay"})

WITH_EPS = DECAY | {"eps"}
"""Where d is divided by a root of its own square, the first step is the sign of d, whatever the
decay is: with ε there is a difference."""

ROWS: tuple[Mapping[str, Any], ...] = (
    {
        "name": "batch_scaled",
        "equation": "d = g + (λ/n)w",
        "source": "scratch code that divides loss and penalty by n; scikit-learn MLPClassifier",
        "parts": frozenset({"batch_size"}),
        "descent": lambda w, g, h: plus(signed(g, h), h.weight_decay / h.batch_size, w, h),
    },
    {
        "name": "decoupled_lr",
        "equation": "w = (1 − γλ)w before the step; λw enters no moment",
        "source": "AdamW of arXiv:1711.05101 with schedule multiplier γ; Keras, bitsandbytes "
        "Adam(weight_decay=)",
        "descent": undecayed,
        "before": shrunk_lr,
    },
    {
        "name": "decoupled",
        "equation": "w = (1 − λ)w before the step",
        "source": "AdamW of TensorFlow Addons and Chainer: the decay is not scaled by the rate",
        "descent": undecayed,
        "before": shrunk_bare,
    },
    {
        "name": "decay_after_lr",
        "equation": "w = (1 − γλ)w after the step",
        "source": "training loops that call p.mul_(1 - lr * wd) after optimizer.step()",
        "descent": undecayed,
        "before": unchanged,
        "after": shrunk_lr,
    },
    {
        "name": "decay_after",
        "equation": "w = (1 − λ)w after the step",
        "source": "norm_coefficient_post of ONNX ai.onnx.preview.training Adam",
        "descent": undecayed,
        "before": unchanged,
        "after": shrunk_bare,
    },
    {
        "name": "decay_ignored",
        "equation": "d = g",
        "source": "an optimizer built without weight_decay, or a group that overrides it with 0",
        "descent": undecayed,
        "before": unchanged,
    },
    {
        "name": "decay_sign_flipped",
        "equation": "d = −(g + λw) under maximize: the decay grows w",
        "source": "code that negates after adding the decay",
        "parts": frozenset({"maximize"}),
        "descent": lambda w, g, h: signed(plus(g, h.weight_decay, w, h), h),
    },
)
"""What each variant replaces in a rule whose λw is part of d; ``parts`` are those beside the
decay's own."""


def meanings(torch: C, parts: frozenset[str] = WITH_EPS) -> tuple[C, ...]:
    """What else ``weight_decay`` may mean in a rule that adds λw to d.

    Args:
        torch: the rule's first convention, with the fields ``descent``, ``before`` and ``after``.
        parts: what a case must set for any of them to be seen.
    """
    return tuple(
        replace(torch, **{**row, "parts": parts | row.get("parts", frozenset())}) for row in ROWS
    )
