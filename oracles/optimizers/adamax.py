r"""Adamax: the rule of ``torch.optim.Adamax``, Adam with the largest gradient for a variance.

Symbols
-------
w  parameter                 g  gradient of the loss          t   number of gradients seen
m  first moment (``exp_avg``)    u  infinity norm (``exp_inf``)    c₁ = 1 − β₁ᵗ
γ  learning rate (lr)        β₁, β₂  decay rates (betas)      ε   term added for stability (eps)
λ  weight decay              n  batch size

The rule (torch's documentation, ``torch.optim.Adamax``; code in ``torch/optim/adamax.py``)
--------------------------------------------------------------------------------------------
1.  descent      d = g + λw            (−g + λw if *maximize*: the decay keeps its sign)
2.  moment       m = β₁m + (1−β₁)d     from 0
3.  norm         u = max(β₂u, |d| + ε)     from 0
4.  move         w = w − ((γ/c₁) m)/u

A parameter without gradient is not touched, nor are its buffers, nor does its t advance. With λ = 0
the decay is left out (which matters when w is infinite).

Where sources disagree
----------------------
* *ε.* Kingma & Ba (2015, arXiv:1412.6980), algorithm 2, have none: u = max(β₂u, |g|), and 0/0
  where the gradient has been 0 since the start. torch and optax add ε to the gradient, inside the
  maximum, where it is remembered and decays with u; torch's documentation shows it there, and yet
  calls it a "term added to the denominator". It is just that in Keras, TensorFlow, MXNet and MLX:
  D = u + ε, the same while the newest gradient is the largest, and not when an older one is. Paddle
  adds ε to the memory, u = max(β₂u + ε, |g|), so that it adds up while gradients are small.
* *Correction.* The paper corrects m only, since a maximum is not biased towards its start at 0.
  MLX corrects nothing.
* *Decay.* As in :mod:`oracles.optimizers.adam`, but there is no switch that decouples it.

How paths compute it
--------------------
``m`` is a ``lerp``. The product (γ/c₁) m comes before the quotient, so it may overflow or underflow
where m/u would not. Without *capturable* c₁ and γ/c₁ are Python numbers; with it t is a float32
tensor, and 1 − β₁ᵗ loses as many digits as β₁ᵗ is close to 1. Under *differentiable* the maximum is
an ``amax`` over a stack of the two, which is the same.

Each convention below is the first one with one of the lines replaced.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from oracles.drawing import Separating
from oracles.numerics import Array, Scalar, ema, scaled
from oracles.optimizers import adam, decay
from oracles.rule import Convention, State, zeros


class Hyper(NamedTuple):
    """Hyperparameters of one step, with torch's names and defaults (all dimensionless)."""

    lr: Scalar = 2e-3
    beta1: Scalar = 0.9
    beta2: Scalar = 0.999
    eps: Scalar = 1e-8
    weight_decay: Scalar = 0
    maximize: bool = False
    batch_size: Scalar = 1


def _norm(u: Array, d: Array, h: Hyper) -> Array:
    return np.maximum(h.beta2 * u, abs(d) + h.eps)


def _bare_norm(u: Array, d: Array, h: Hyper) -> Array:
    return np.maximum(h.beta2 * u, abs(d))


def _denominator(u: Array, t: Scalar, h: Hyper) -> Array:
    return u


@dataclass(frozen=True, kw_only=True)
class AdamaxConvention(Convention):
    """One line for each part of the step; the defaults are torch's.

    Attributes:
        descent: ``(w, g, h) -> d``, what moment and norm see.
        before, after: ``(w, h) -> w``, what happens to w itself around the step.
        correction: ``(β₁, t) -> c₁``.
        norm: ``(u, d, h) -> u``.
        denominator: ``(u, t, h) -> D``, what m is divided by.
    """

    descent: Callable[[Array, Array, Any], Array] = decay.coupled
    before: Callable[[Array, Any], Array] = decay.unchanged
    correction: Callable[[Scalar, Scalar], Scalar] = adam.correction
    norm: Callable[[Array, Array, Hyper], Array] = _norm
    denominator: Callable[[Array, Scalar, Hyper], Array] = _denominator
    after: Callable[[Array, Any], Array] = decay.unchanged


def start(w: Array, h: Hyper) -> State:
    """Moment and norm of zero."""
    return zeros(w, "exp_avg", "exp_inf")


def step(
    w: Array, g: Array, t: Scalar, state: State, h: Hyper, convention: AdamaxConvention
) -> tuple[Array, State]:
    """One step of Adamax.

    Args:
        w: parameter, any shape.
        g: gradient of the mean loss, same shape.
        t: number of gradients seen, this one included.
        state: ``exp_avg`` and ``exp_inf``.
        h: hyperparameters of this step.
        convention: which variant of the rule to follow.

    Returns:
        The new parameter and the new state; the arguments are left as they were.

    >>> h = Hyper(lr=0.5, beta1=0.5, eps=0.5)
    >>> w, state = step(1.0, 1.5, 1, start(1.0, h), h, TORCH)  # c₁ = 1/2, u = 3/2 + 1/2
    >>> float(w), {name: float(value) for name, value in state.items()}
    (0.625, {'exp_avg': 0.75, 'exp_inf': 2.0})
    """
    d = convention.descent(w, g, h)
    w = convention.before(w, h)
    m = ema(state["exp_avg"], d, h.beta1)
    u = convention.norm(state["exp_inf"], d, h)
    c1 = convention.correction(h.beta1, t)
    w = w - scaled(h.lr / c1, m, convention.denominator(u, t, h))
    return convention.after(w, h), {"exp_avg": m, "exp_inf": u}


TORCH = AdamaxConvention(
    name="coupled_unscaled",
    equation="d = g + λw enters moment and norm; u = max(β₂u, |d| + ε)",
    source="torch.optim.Adamax; with λ = 0 also optax.adamax",
)

DECAYS = decay.meanings(TORCH)
"""What else ``weight_decay`` may mean."""

FALLING = frozenset({"falling", "late", "beta2"})
"""Only where an older gradient is the largest does it matter how the norm remembers."""

NORMS: tuple[AdamaxConvention, ...] = (
    replace(
        TORCH,
        name="eps_ignored",
        equation="u = max(β₂u, |d|)",
        source="algorithm 2 of arXiv:1412.6980, which has no ε",
        parts=frozenset({"eps"}),
        norm=_bare_norm,
    ),
    replace(
        TORCH,
        name="eps_outside",
        equation="u = max(β₂u, |d|), D = u + ε",
        source="Keras, TensorFlow (ApplyAdaMax), MXNet and MLX: w −= γ/c₁ · m/(u + ε)",
        parts=FALLING | {"eps"},
        norm=_bare_norm,
        denominator=lambda u, t, h: u + h.eps,
    ),
    replace(
        TORCH,
        name="eps_on_memory",
        equation="u = max(β₂u + ε, |d|)",
        source="paddle.optimizer.Adamax: inf_norm_out = max(β₂ · inf_norm + ε, |grad|)",
        parts=frozenset({"eps"}),
        norm=lambda u, d, h: np.maximum(h.beta2 * u + h.eps, abs(d)),
    ),
    replace(
        TORCH,
        name="norm_forgotten",
        equation="u = |d| + ε: β₂ is not used",
        source="code that overwrites the norm instead of taking the maximum",
        parts=FALLING,
        norm=lambda u, d, h: abs(d) + h.eps,
    ),
    replace(
        TORCH,
        name="norm_undecayed",
        equation="u = max(u, |d| + ε)",
        source="the maximum as AMSGrad takes it, which never forgets",
        parts=FALLING,
        norm=lambda u, d, h: np.maximum(u, abs(d) + h.eps),
    ),
    replace(
        TORCH,
        name="norm_corrected",
        equation="D = u/(1 − β₂ᵗ)",
        source="Adam's second correction left in; section 7.1 of the paper says it is not needed",
        denominator=lambda u, t, h: u / adam.correction(h.beta2, t),
    ),
    replace(
        TORCH,
        name="uncorrected",
        equation="c₁ = 1",
        source="MLX optimizers.Adamax",
        correction=adam.uncorrected,
    ),
    replace(
        TORCH,
        name="correction_late",
        equation="c₁ = 1 − β₁ᵗ⁺¹: the counter starts at 1 and is advanced first",
        source="off-by-one ports; Keras adds the 1 because its counter starts at 0",
        correction=lambda beta, t: adam.correction(beta, t + 1),
    ),
)
"""What else the norm, ε and the correction may be."""

DRAWING = replace(
    adam.DRAWING,
    trial=Hyper(lr=0.5, eps=0.5, weight_decay=0.5),
    full=Separating(
        hyper={
            "lr": (0.1, 0.9),
            "beta1": (0.5, 0.9),
            "beta2": (0.85, 0.95),
            "eps": (0.1, 1),
            "weight_decay": (0.1, 1),
        },
        w=(2, 8),
        g=(1, 2),
    ),
    half=Separating(
        hyper={
            "lr": (1.5, 2),
            "beta1": (0.5, 0.6),
            "beta2": (0.79, 0.82),
            "eps": (1.2, 1.3),
            "weight_decay": (1.3, 1.5),
        },
        w=(1.2, 1.4),
        g=(1, 1.1),
    ),
    free=frozenset({"beta1", "beta2"}),
    steps=(4, 5, 4, 8),
)

RULE = replace(
    adam.RULE,
    name="Adamax",
    symbols="w parameter, g gradient, m first moment, u infinity norm, D denominator, "
    "d descent direction, γ lr, β₁ β₂ betas, ε eps, λ weight decay, c₁ = 1 − β₁ᵗ, n batch size",
    hyper=Hyper,
    step=step,
    conventions=(TORCH, *DECAYS, *NORMS),
    states=("step", "exp_avg", "exp_inf"),
    start=start,
    drawing=DRAWING,
    binding=replace(
        adam.RULE.binding,
        tensor_step=frozenset({"capturable"}),
    ),
)
"""Adam's rule with the norm in place of the variance."""
