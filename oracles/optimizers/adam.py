r"""Adam: the rule of ``torch.optim.Adam``, with AMSGrad and with decoupled decay.

Symbols
-------
w  parameter                      g  gradient of the loss            t  number of gradients seen
m  first moment (``exp_avg``)     v  second moment (``exp_avg_sq``)
v̄  largest v so far (``max_exp_avg_sq``)
γ  learning rate (lr)             β₁, β₂  decay rates (betas)        ε  term for stability (eps)
λ  weight decay                   c₁ = 1 − β₁ᵗ, c₂ = 1 − β₂ᵗ         n  batch size

The rule (torch's documentation, ``torch.optim.Adam``; code in ``torch/optim/adam.py``)
----------------------------------------------------------------------------------------
1.  descent      d = g + λw            (−g + λw if *maximize*: the decay keeps its sign)
                 with *decoupled_weight_decay* instead: w = (1 − γλ)w, d = g
2.  moments      m = β₁m + (1−β₁)d     v = β₂v + (1−β₂)d²       both from 0
3.  maximum      v = v̄ = max(v̄, v)     with *amsgrad* only; what enters is v, not v/c₂
4.  denominator  D = √v/√c₂ + ε
5.  move         w = w − (γ/c₁) m/D

A parameter without gradient is not touched, nor are its moments, nor does its t advance. With λ = 0
the decay is left out (which matters when w is infinite).

Where sources disagree
----------------------
* *Decay.* L2 regularization puts λw into both moments, so that large gradients hardly decay at all
  (Loshchilov & Hutter 2019, arXiv:1711.05101, section 2); *decoupled* decay shrinks w itself. In
  Keras and bitsandbytes the same argument ``weight_decay`` means the latter.
* *ε.* Kingma & Ba (2015, arXiv:1412.6980), algorithm 1, add ε to √v̂ = √(v/c₂): torch, optax,
  Paddle. The rearrangement at the end of their section 2 adds an ε̂ to √v and folds √c₂ into the
  step size; the two are the same only if ε̂ = ε√c₂. TensorFlow, Keras and MXNet take the second
  form with a constant ε. Added inside the root it is another rule again.
* *Correction.* MLX leaves it out by default, as RMSprop with momentum does.
* *AMSGrad.* Reddi, Kale & Kumar (2018, arXiv:1904.09237), algorithm 2, have no bias correction at
  all. torch takes the maximum of raw v and corrects it with today's c₂; optax takes the maximum of
  the corrected v̂. torch's documentation writes v̂ᵐᵃˣ = max(v̂ᵐᵃˣ, v) with the raw v since 2.6 (and
  with v̂ before), so the symbol wears a hat which the code does not give it.

How paths compute it
--------------------
``m`` is a ``lerp``, and so is v where β₂ is a tensor in a graph. Without *capturable* and
*differentiable* c₁, c₂ and γ/c₁ are Python numbers; with them t is a float32 tensor, and 1 − βᵗ
loses as many digits as βᵗ is close to 1. Fused kernels use the same formulas.

Each convention below is the first one with one of the lines replaced.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from oracles.drawing import Domain, Drawing, Separating
from oracles.numerics import Array, Scalar, either, ema, ema_of_squares, one, scaled
from oracles.optimizers import decay
from oracles.optimizers.refusal import negative, no_batch, no_beta
from oracles.rule import Binding, Convention, Rule, State, zeros


class Hyper(NamedTuple):
    """Hyperparameters of one step, with torch's names and defaults (all dimensionless)."""

    lr: Scalar = 1e-3
    beta1: Scalar = 0.9
    beta2: Scalar = 0.999
    eps: Scalar = 1e-8
    weight_decay: Scalar = 0
    amsgrad: bool = False
    maximize: bool = False
    decoupled_weight_decay: bool = False
    batch_size: Scalar = 1


def _descent(w: Array, g: Array, h: Hyper) -> Array:
    return decay.undecayed(w, g, h) if h.decoupled_weight_decay else decay.coupled(w, g, h)


def _before(w: Array, h: Hyper) -> Array:
    return decay.shrunk_lr(w, h) if h.decoupled_weight_decay else w


def correction(beta: Scalar, t: Scalar) -> Scalar:
    """``1 − βᵗ``, the weight of t gradients in an average that started at 0."""
    return 1 - beta**t


def uncorrected(beta: Scalar, t: Scalar) -> Scalar:
    """1: no correction."""
    return one(beta)


def _second_moment(v: Array, d: Array, h: Hyper) -> Array:
    """``β₂v + (1−β₂)d²``, which is a ``lerp`` on some paths."""
    return either(ema_of_squares(v, d, h.beta2), ema(v, d * d, h.beta2))


def _largest(maximum: Array, v: Array, c2: Scalar) -> Array:
    return np.maximum(maximum, v)


def _denominator(v: Array, c2: Scalar, h: Hyper) -> Array:
    return np.sqrt(v) / np.sqrt(c2) + h.eps


@dataclass(frozen=True, kw_only=True)
class AdamConvention(Convention):
    """One line for each part of the step; the defaults are torch's.

    Attributes:
        descent: ``(w, g, h) -> d``, what the moments see.
        before, after: ``(w, h) -> w``, what happens to w itself around the step.
        first_correction, second_correction: ``(β, t) -> c``.
        largest: ``(v̄, v, c₂) -> v̄``.
        denominator: ``(v, c₂, h) -> D``.
    """

    descent: Callable[[Array, Array, Hyper], Array] = _descent
    before: Callable[[Array, Hyper], Array] = _before
    first_correction: Callable[[Scalar, Scalar], Scalar] = correction
    second_correction: Callable[[Scalar, Scalar], Scalar] = correction
    largest: Callable[[Array, Array, Scalar], Array] = _largest
    denominator: Callable[[Array, Scalar, Hyper], Array] = _denominator
    after: Callable[[Array, Hyper], Array] = decay.unchanged


def start(w: Array, h: Hyper) -> State:
    """Moments of zero."""
    names = ("exp_avg", "exp_avg_sq", *(("max_exp_avg_sq",) if h.amsgrad else ()))
    return zeros(w, *names)


def step(
    w: Array, g: Array, t: Scalar, state: State, h: Hyper, convention: AdamConvention
) -> tuple[Array, State]:
    """One step of Adam.

    Args:
        w: parameter, any shape.
        g: gradient of the mean loss, same shape.
        t: number of gradients seen, this one included.
        state: ``exp_avg``, ``exp_avg_sq`` and, with *amsgrad*, ``max_exp_avg_sq``.
        h: hyperparameters of this step.
        convention: which variant of the rule to follow.

    Returns:
        The new parameter and the new state; the arguments are left as they were.

    >>> h = Hyper(lr=0.5, beta1=0.5, beta2=0.75, eps=1.0)
    >>> w, state = step(1.0, 2.0, 1, start(1.0, h), h, TORCH)  # c₁ = 1/2, √c₂ = 1/2, D = 1/½ + 1
    >>> round(float(w), 4), state
    (0.6667, {'exp_avg': 1.0, 'exp_avg_sq': 1.0})
    """
    d = convention.descent(w, g, h)
    w = convention.before(w, h)
    m = ema(state["exp_avg"], d, h.beta1)
    v = _second_moment(state["exp_avg_sq"], d, h)
    moments = {"exp_avg": m, "exp_avg_sq": v}
    c1, c2 = convention.first_correction(h.beta1, t), convention.second_correction(h.beta2, t)
    if h.amsgrad:
        v = convention.largest(state["max_exp_avg_sq"], v, c2)
        moments["max_exp_avg_sq"] = v
    w = w - scaled(h.lr / c1, m, convention.denominator(v, c2, h))
    return convention.after(w, h), moments


TORCH = AdamConvention(
    name="coupled_unscaled",
    equation="d = g + λw enters both moments; D = √v/√c₂ + ε",
    source="torch.optim.Adam; also Paddle, tinygrad",
)

DECAYS = decay.meanings(TORCH)
"""What else ``weight_decay`` may mean."""

AMSGRAD = frozenset({"amsgrad", "falling", "late", "beta2"})
"""The first v is the largest only if gradients fall faster than v grows from its start at 0."""

MOMENTS = (
    replace(
        TORCH,
        name="eps_inside",
        equation="D = √(v/c₂ + ε)",
        source="ε under the root, as Keras, optax and Paddle have it in RMSprop",
        parts=frozenset({"eps"}),
        denominator=lambda v, c2, h: np.sqrt(v / c2 + h.eps),
    ),
    replace(
        TORCH,
        name="eps_hat",
        equation="D = (√v + ε)/√c₂",
        source="the end of section 2 of arXiv:1412.6980; Keras, TensorFlow, MXNet, Chainer",
        parts=frozenset({"eps"}),
        denominator=lambda v, c2, h: (np.sqrt(v) + h.eps) / np.sqrt(c2),
    ),
    replace(
        TORCH,
        name="eps_scaled",
        equation="D = √v/√c₂ + ε√c₂",
        source="code that meets both forms half way and scales ε where √v is corrected already",
        parts=frozenset({"eps"}),
        denominator=lambda v, c2, h: np.sqrt(v) / np.sqrt(c2) + h.eps * np.sqrt(c2),
    ),
    replace(
        TORCH,
        name="uncorrected",
        equation="c₁ = c₂ = 1",
        source="MLX optimizers.Adam(bias_correction=False), its default",
        first_correction=uncorrected,
        second_correction=uncorrected,
    ),
    replace(
        TORCH,
        name="second_uncorrected",
        equation="c₂ = 1",
        source="code that corrects the mean and forgets the variance",
        second_correction=uncorrected,
    ),
    replace(
        TORCH,
        name="correction_late",
        equation="cᵢ = 1 − βᵢᵗ⁺¹: the counter starts at 1 and is advanced first",
        source="off-by-one ports; Keras and optax add the 1 because theirs starts at 0",
        parts=frozenset({"beta2"}),
        first_correction=lambda beta, t: correction(beta, t + 1),
        second_correction=lambda beta, t: correction(beta, t + 1),
    ),
    replace(
        TORCH,
        name="amsgrad_corrected",
        equation="v̄ = max(v̄, v/c₂), D = √v̄ + ε",
        source="optax.amsgrad (scale_by_amsgrad takes the maximum of the corrected moment)",
        parts=AMSGRAD,
        # v̄ is kept in the corrected units, so the denominator must not correct it again.
        largest=lambda maximum, v, c2: np.maximum(maximum, v / c2),
        denominator=lambda v, c2, h: np.sqrt(v) + h.eps if h.amsgrad else _denominator(v, c2, h),
    ),
    replace(
        TORCH,
        name="amsgrad_ignored",
        equation="D = √v/√c₂ + ε although amsgrad is set",
        source="code that keeps the flag and drops the maximum",
        parts=AMSGRAD,
        largest=lambda maximum, v, c2: v,
    ),
)
"""What else the moments, their correction and ε may be."""


def constraint(h: Hyper) -> str | None:
    """Why torch's constructor refuses these hyperparameters, or None."""
    return negative(h, "lr", "eps", "weight_decay") or no_beta(h, "beta1", "beta2") or no_batch(h)


DRAWING = Drawing(
    domains={
        "lr": Domain(special=(1.0, 0.5, 0.1, 1e-3, 1.0, 0.5, 0.1, 1e-3, 0.0), low=1e-4, high=2.0),
        "beta1": Domain(special=(0.9, 0.5, 0.0, 0.9, 0.95), low=0.05, high=0.99),
        "beta2": Domain(
            special=(0.999, 0.5, 0.0, 0.95, 0.999), low=0.1, high=0.999, least_in_half=0.5
        ),
        "eps": Domain(special=(1e-8, 0.5, 1e-3, 1e-8), low=1e-8, high=1.0, least_in_half=1e-2),
        "weight_decay": Domain(special=(0.0, 1.0, 0.1, 1e-2), low=1e-4, high=4.0),
    },
    nearest_allowed=decay.nearest_allowed,
    trial=Hyper(lr=0.5, eps=0.5, weight_decay=0.5),
    full=Separating(
        hyper={
            "lr": (0.1, 0.9),
            "beta1": (0.5, 0.9),
            "beta2": (0.4, 0.6),
            "eps": (0.1, 1),
            "weight_decay": (0.1, 1),
        },
        w=(2, 8),
        g=(1, 1.25),
    ),
    half=Separating(
        hyper={
            "lr": (1.5, 2),
            "beta1": (0.5, 0.6),
            "beta2": (0.55, 0.58),
            "eps": (3, 4),
            "weight_decay": (0.8, 1),
        },
        w=(3, 4),
        g=(0.9, 1.1),
    ),
)

RULE = Rule(
    name="Adam",
    symbols="w parameter, g gradient, m and v first and second moment, v̄ largest v, D denominator, "
    "d descent direction, γ lr, β₁ β₂ betas, ε eps, λ weight decay, cᵢ = 1 − βᵢᵗ, n batch size",
    hyper=Hyper,
    step=step,
    conventions=(TORCH, *DECAYS, *MOMENTS),
    states=("step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"),
    constraint=constraint,
    start=start,
    drawing=DRAWING,
    binding=Binding(
        tuples={"betas": ("beta1", "beta2")},
        tensor_step=frozenset({"capturable", "differentiable"}),
    ),
)
