"""What ``weight_decay`` does, or may mean, whatever the rest of a rule is.

Symbols: w parameter, g gradient, d descent direction, γ lr, λ weight_decay, n batch size (SGD's
equations call it m, after the question this project began with; elsewhere m is a moment). With
λ = 0 decay is left out, which matters when w is infinite.

Two tables follow, of rules that add λw to d (:data:`COUPLED`) and of rules that shrink w
(:data:`DECOUPLED`): what ``weight_decay`` means to other code, each row by the fields of a
convention that it replaces.
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
    """The gradient to descend along: −g under *maximize*.

    >>> from oracles.optimizers.sgd import Hyper
    >>> signed(2.0, Hyper(maximize=True))
    -2.0
    """
    return -g if h.maximize else g


def plus(d: Array, coefficient: Scalar, w: Array, h: Hyper) -> Array:
    """``d + coefficient w``, left out without weight decay.

    >>> from oracles.optimizers.sgd import Hyper
    >>> plus(2.0, 0.5, 4.0, Hyper(weight_decay=0.5)), plus(2.0, 0, float("inf"), Hyper())
    (4.0, 2.0)
    """
    return d if h.weight_decay == 0 else d + coefficient * w


def coupled(w: Array, g: Array, h: Hyper) -> Array:
    """``g + λw``: L2 regularization, which keeps its sign under *maximize*.

    >>> from oracles.optimizers.sgd import Hyper
    >>> coupled(4.0, 1.0, Hyper(weight_decay=0.5, maximize=True))
    1.0
    """
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
    """``(1 − γλ) w``: decoupled decay, scaled by the learning rate.

    >>> from oracles.optimizers.sgd import Hyper
    >>> shrunk_lr(4.0, Hyper(lr=0.5, weight_decay=0.5))
    3.0
    """
    return shrunk(w, h.lr * h.weight_decay, h)


def shrunk_batch_scaled(w: Array, h: Hyper) -> Array:
    """``(1 − γλ/n) w``: the batch size divides the decay."""
    return shrunk(w, h.lr * h.weight_decay / h.batch_size, h)


def shrunk_sign_flipped(w: Array, h: Hyper) -> Array:
    """``(1 − γλ) w``, but ``(1 + γλ) w`` under *maximize*."""
    return shrunk(w, -h.lr * h.weight_decay if h.maximize else h.lr * h.weight_decay, h)


def shrunk_bare(w: Array, h: Hyper) -> Array:
    """``(1 − λ) w``: decoupled decay, whatever the learning rate."""
    return shrunk(w, h.weight_decay, h)


def nearest_allowed(h: Hyper) -> Any:
    """Cap the decay where γλ > 1, beyond which ``(1 − γλ)w`` changes its sign and may grow.

    The nearest λ is 1/γ, which leaves nothing of w.

    >>> from oracles.optimizers.sgd import Hyper
    >>> nearest_allowed(Hyper(lr=0.5, weight_decay=3.0)).weight_decay
    2.0
    """
    return h._replace(weight_decay=1 / h.lr) if h.lr * h.weight_decay > 1 else h


DECAY = frozenset({"weight_decay"})

WITH_EPS = DECAY | {"eps"}
"""Where d is divided by a root of its own square, the first step is the sign of d, whatever the
decay is: with ε there is a difference."""

Row = Mapping[str, Any]

SHRINKING: tuple[Row, ...] = (
    {
        "name": "decoupled",
        "equation": "w = (1 − λ)w before the step",
        "source": "AdamW of TensorFlow Addons and Chainer: the decay is not scaled by the rate",
        "before": shrunk_bare,
    },
    {
        "name": "decay_after_lr",
        "equation": "w = (1 − γλ)w after the step",
        "source": "training loops that call p.mul_(1 - lr * wd) after optimizer.step()",
        "before": unchanged,
        "after": shrunk_lr,
    },
    {
        "name": "decay_after",
        "equation": "w = (1 − λ)w after the step",
        "source": "norm_coefficient_post of ONNX ai.onnx.preview.training Adam",
        "before": unchanged,
        "after": shrunk_bare,
    },
    {
        "name": "decay_ignored",
        "equation": "d = g",
        "source": "an optimizer built without weight_decay, or a group that overrides it with 0",
        "before": unchanged,
    },
)
"""What both tables have: λw is no part of d, nor does w shrink by γλ before the step."""

COUPLED: tuple[Row, ...] = (
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
    *({**row, "descent": undecayed} for row in SHRINKING),
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

DECOUPLED: tuple[Row, ...] = (
    {
        "name": "batch_scaled",
        "equation": "w = (1 − γλ/n)w before the step",
        "source": "scratch code that divides the penalty by the batch size",
        "parts": frozenset({"batch_size"}),
        "before": shrunk_batch_scaled,
    },
    *SHRINKING,
    {
        "name": "decay_sign_flipped",
        "equation": "w = (1 + γλ)w under maximize: the decay grows w",
        "source": "code that negates the learning rate to maximize",
        "parts": frozenset({"maximize"}),
        "before": shrunk_sign_flipped,
    },
)
"""What each variant replaces in a rule that shrinks w by γλ before the step."""


def meanings(
    torch: C,
    parts: frozenset[str] = WITH_EPS,
    table: tuple[Row, ...] = COUPLED,
    **said: Row,
) -> tuple[C, ...]:
    """What else ``weight_decay`` may mean in a rule.

    Args:
        torch: the rule's first convention, with the fields ``before`` and ``after``, and
            ``descent`` where λw is part of d.
        parts: what a case must set for any of them to be seen.
        table: the variants.
        said: by variant, the equation and source that the rule has of its own, and further parts.

    >>> from oracles.optimizers.adamw import TORCH
    >>> [c.name for c in meanings(TORCH, table=DECOUPLED[:2])]
    ['batch_scaled', 'decoupled']
    >>> meanings(TORCH, batch_sclaed={"source": "an old port"})
    Traceback (most recent call last):
        ...
    ValueError: 'batch_sclaed' is no variant of weight decay; nothing can be said of it

    Raises:
        ValueError: something is said of a variant that the table does not have.
    """
    for name in sorted(said.keys() - {row["name"] for row in table}):
        raise ValueError(f"{name!r} is no variant of weight decay; nothing can be said of it")
    return tuple(replace(torch, **_joined(row, said.get(row["name"], {}), parts)) for row in table)


def _joined(row: Row, own: Row, parts: frozenset[str]) -> dict[str, Any]:
    """A row with what a rule has of its own; whatever asks for parts is heard."""
    needed = parts.union(row.get("parts", ()), own.get("parts", ()))
    return {**row, **own, "parts": needed}
