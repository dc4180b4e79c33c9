r"""RMSprop: the rule of ``torch.optim.RMSprop``, centered or not, with momentum.

Symbols
-------
w  parameter              g  gradient of the loss       b  momentum buffer (``momentum_buffer``)
v  mean square of the gradient (``square_avg``)         a  its mean (``grad_avg``)
γ  learning rate (lr)     α  smoothing constant (alpha) ε  term added for stability (eps)
μ  momentum               λ  weight decay               n  batch size
t  number of gradients seen

The rule (torch's documentation, ``torch.optim.RMSprop``; code in ``torch/optim/rmsprop.py``)
----------------------------------------------------------------------------------------------
1.  descent      d = g + λw            (−g + λw if *maximize*: the decay keeps its sign)
2.  square       v = αv + (1−α)d²      from 0
3.  variance     ṽ = v                 or, if *centered*, a = αa + (1−α)d from 0, ṽ = v − a²
4.  denominator  D = √ṽ + ε
5.  velocity     b = d/D               or, with μ > 0, b = μb + d/D from 0
6.  move         w = w − γb

A parameter without gradient is not touched, nor are its buffers. With λ = 0 the decay is left out
(which matters when w is infinite). While μ is 0 the buffer of earlier steps waits. t enters
nothing, though torch counts it.

ṽ is never negative: v and a are averages with the same weights, whose sum is 1 − αᵗ, so ṽ >= αᵗv by
the Cauchy-Schwarz inequality. But it is the difference of two rounded numbers, and where it is
smaller than their rounding (small α, or gradients that hardly change for long) it can come out
negative. torch takes the root of it nevertheless, and w is nan: with 4,096 constant gradients drawn
between 1 and 2, α = 0.99 and torch 2.13, the first one after 138 steps in bfloat16, 313 in float16,
1,209 in float32 and 3,188 in float64. An enclosure says "unknown" there, which is a verdict of
"undecided": correct rounding may give a number or nan.

Where sources disagree
----------------------
* *Origin.* Tieleman & Hinton (2012, Coursera lecture 6.5e, slide 29) have no ε, no momentum and no
  centering. Centering is from Graves (2013, arXiv:1308.0850, section 4.2), who puts ε inside
  the root and γ inside the buffer.
* *ε.* Outside the root: torch, MLX, Chainer, bitsandbytes. Inside: Keras, optax, Paddle,
  TensorFlow 1, MXNet and MindSpore (centered; else MindSpore's CPU kernel has it outside in blocks
  of eight numbers, and inside in what is left over).
* *Start.* TensorFlow 1 starts v at 1, timm's ``RMSpropTF`` with it: the first steps are short.
  Elsewhere v starts at 0 and, uncorrected, makes them 1/√(1−α) times too long.
* *Momentum.* Graves, Keras, optax and TensorFlow 1 keep γ inside the buffer, b = μb + γ d/D. The
  two are the same at a constant γ. torch rejected the change (pytorch issue 32545).
* *Decay.* L2 regularization enters v (torch); Keras shrinks w by γλ beside it.
* torch's documentation says that TensorFlow interchanges the root and ε. That is so for its v1 and
  for Keras.

How paths compute it
--------------------
``1 − α`` is a Python number. a is a ``lerp`` (``mul`` and ``add`` before 2.1). There is no fused
path. With a γ that is a tensor, capturable foreach multiplies b by −γ or, without momentum, first
divides D by −γ.

Each convention below is the first one with one of the lines replaced.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from oracles.drawing import Domain, Drawing, Separating
from oracles.numerics import Array, Scalar, ema, ema_of_squares, scaled, zeros_like
from oracles.optimizers import decay
from oracles.optimizers.refusal import negative, no_batch
from oracles.rule import Convention, Rule, State, zeros


class Hyper(NamedTuple):
    """Hyperparameters of one step, with torch's names and defaults (all dimensionless)."""

    lr: Scalar = 1e-2
    alpha: Scalar = 0.99
    eps: Scalar = 1e-8
    weight_decay: Scalar = 0
    momentum: Scalar = 0
    centered: bool = False
    maximize: bool = False
    batch_size: Scalar = 1


def _started(v: Array, t: Scalar) -> Array:
    return v


def _square(v: Array, d: Array, h: Hyper) -> Array:
    return ema_of_squares(v, d, h.alpha)


def _variance(v: Array, old: Array, new: Array) -> Array:
    return v - new * new


def _denominator(variance: Array, t: Scalar, h: Hyper) -> Array:
    return np.sqrt(variance) + h.eps


def _velocity(b: Array, d: Array, denominator: Array, h: Hyper) -> Array:
    return h.momentum * b + d / denominator


def _move(w: Array, b: Array, denominator: Array, h: Hyper) -> Array:
    return w - h.lr * b


@dataclass(frozen=True, kw_only=True)
class RMSpropConvention(Convention):
    """One line for each part of the step; the defaults are torch's.

    Attributes:
        descent: ``(w, g, h) -> d``.
        before, after: ``(w, h) -> w``, what happens to w itself around the step.
        started: ``(v, t) -> v``, the mean square before it goes on.
        square: ``(v, d, h) -> v``.
        variance: ``(v, a before, a after) -> ṽ``, if centered.
        denominator: ``(ṽ, t, h) -> D``.
        velocity: ``(b, d, D, h) -> b``, with momentum.
        move: ``(w, b, D, h) -> w``, with momentum.
    """

    descent: Callable[[Array, Array, Any], Array] = decay.coupled
    before: Callable[[Array, Any], Array] = decay.unchanged
    started: Callable[[Array, Scalar], Array] = _started
    square: Callable[[Array, Array, Hyper], Array] = _square
    variance: Callable[[Array, Array, Array], Array] = _variance
    denominator: Callable[[Array, Scalar, Hyper], Array] = _denominator
    velocity: Callable[[Array, Array, Array, Hyper], Array] = _velocity
    move: Callable[[Array, Array, Array, Hyper], Array] = _move
    after: Callable[[Array, Any], Array] = decay.unchanged


def start(w: Array, h: Hyper) -> State:
    """Averages and a buffer of zero, those that are in use."""
    used = {"square_avg": True, "grad_avg": h.centered, "momentum_buffer": h.momentum != 0}
    return zeros(w, *(name for name, there in used.items() if there))


def step(
    w: Array, g: Array, t: Scalar, state: State, h: Hyper, convention: RMSpropConvention
) -> tuple[Array, State]:
    """One step of RMSprop.

    Args:
        w: parameter, any shape.
        g: gradient of the mean loss, same shape.
        t: number of gradients seen; torch's rule does not use it.
        state: ``square_avg``, ``grad_avg`` if centered, ``momentum_buffer`` once there is momentum.
        h: hyperparameters of this step.
        convention: which variant of the rule to follow.

    Returns:
        The new parameter and the new state; the arguments are left as they were.

    >>> h = Hyper(lr=0.5, alpha=0.75, eps=1.0)
    >>> w, state = step(1.0, 2.0, 1, start(1.0, h), h, TORCH)  # v = 1, D = 1 + 1
    >>> float(w), state
    (0.5, {'square_avg': 1.0})
    """
    d = convention.descent(w, g, h)
    w = convention.before(w, h)
    v = convention.square(convention.started(state["square_avg"], t), d, h)
    state = {**state, "square_avg": v}
    if h.centered:
        a = ema(state["grad_avg"], d, h.alpha)
        v = convention.variance(v, state["grad_avg"], a)
        state["grad_avg"] = a
    denominator = convention.denominator(v, t, h)
    if h.momentum == 0:
        return convention.after(w - scaled(h.lr, d, denominator), h), state
    b = state.get("momentum_buffer", zeros_like(w))  # torch has none if μ was 0 at first
    b = convention.velocity(b, d, denominator, h)
    w = convention.move(w, b, denominator, h)
    return convention.after(w, h), {**state, "momentum_buffer": b}


TORCH = RMSpropConvention(
    name="coupled_unscaled",
    equation="d = g + λw enters v, a and b; D = √ṽ + ε; b = μb + d/D",
    source="torch.optim.RMSprop",
)

DECAYS = decay.meanings(TORCH)
"""What else ``weight_decay`` may mean. ε is needed to see it: at the first step d/√v is a sign."""

SQUARES = (
    replace(
        TORCH,
        name="accumulator_one",
        equation="v starts at 1",
        source="tf.compat.v1.train.RMSPropOptimizer (its rms slot is made of ones); timm RMSpropTF",
        started=lambda v, t: v + 1 if t == 1 else v,
    ),
    replace(
        TORCH,
        name="corrected",
        equation="D = √(ṽ/(1 − αᵗ)) + ε",
        source="optax.rmsprop(bias_correction=True); Adam with β₁ = 0",
        denominator=lambda v, t, h: np.sqrt(v / (1 - h.alpha**t)) + h.eps,
    ),
    replace(
        TORCH,
        name="alpha_swapped",
        equation="v = (1−α)v + αd²",
        source="code in which alpha is the weight of the new value, as pandas' ewm(alpha=) has it",
        parts=frozenset({"alpha"}),
        square=lambda v, d, h: _square(v, d, h._replace(alpha=1 - h.alpha)),
    ),
    replace(
        TORCH,
        name="eps_inside",
        equation="D = √(ṽ + ε)",
        source="Keras, optax, Paddle, TensorFlow 1",
        parts=frozenset({"alpha", "eps"}),
        denominator=lambda v, t, h: np.sqrt(v + h.eps),
    ),
    replace(
        TORCH,
        name="rootless",
        equation="D = ṽ + ε",
        source="code that forgets the root of root mean square",
        parts=frozenset({"alpha"}),
        denominator=lambda v, t, h: v + h.eps,
    ),
    replace(
        TORCH,
        name="centered_ignored",
        equation="ṽ = v although centered is set",
        source="MLX, Chainer and bitsandbytes, which have no such switch",
        parts=frozenset({"centered", "alpha"}),
        variance=lambda v, old, new: v,
    ),
    replace(
        TORCH,
        name="centered_late",
        equation="ṽ = v − a² with the a before this step's d",
        source="code that updates the mean after the step",
        parts=frozenset({"centered", "alpha"}),
        variance=lambda v, old, new: v - old * old,
    ),
)
"""What else the denominator may be."""

MOMENTA = (
    replace(
        TORCH,
        name="lr_in_buffer",
        equation="b = μb + γ d/D, w = w − b",
        source="arXiv:1308.0850 section 4.2; Keras, optax, TensorFlow 1; timm RMSpropTF",
        parts=frozenset({"momentum", "schedule"}),
        velocity=lambda b, d, denominator, h: h.momentum * b + h.lr * (d / denominator),
        move=lambda w, b, denominator, h: w - b,
    ),
    replace(
        TORCH,
        name="momentum_inside",
        equation="b = μb + d, w = w − γ b/D",
        source="code that follows Adam, whose denominator is applied to the averaged gradient",
        # While D stays the same, it does not matter when it divides.
        parts=frozenset({"momentum", "alpha", "rising"}),
        velocity=lambda b, d, denominator, h: h.momentum * b + d,
        move=lambda w, b, denominator, h: w - h.lr * (b / denominator),
    ),
    replace(
        TORCH,
        name="ema_momentum",
        equation="b = μb + (1−μ) d/D",
        source="moving-average momentum",
        parts=frozenset({"momentum"}),
        velocity=lambda b, d, denominator, h: h.momentum * b + (1 - h.momentum) * (d / denominator),
    ),
    replace(
        TORCH,
        name="momentum_ignored",
        equation="b = d/D although μ > 0",
        source="Chainer and MLX RMSprop, which have no momentum",
        parts=frozenset({"momentum"}),
        velocity=lambda b, d, denominator, h: d / denominator,
    ),
)
"""What else ``momentum`` may mean."""


def constraint(h: Hyper) -> str | None:
    """Why torch's constructor refuses these hyperparameters, or None."""
    return negative(h, "lr", "alpha", "eps", "weight_decay", "momentum") or no_batch(h)


def _capped(h: Hyper) -> Hyper:
    """With the decay at most where γλ/√(1−α) = ½: beyond, w would feed its own errors back.

    1/√(1−α) is what the first step is too long by, v being that much too small.
    """
    room = (1 - h.alpha) ** 0.5 / 2
    return h._replace(weight_decay=room / h.lr) if h.lr * h.weight_decay > room else h


def nearest_allowed(h: Hyper) -> Hyper:
    """Cap the decay, and keep a centered variance clear of its own rounding.

    The first one is α(1−α)d², later ones may be as small as αᵗd². Decay makes tiny gradients of
    zeros, whose squares underflow, and follows the errors of w, unless ε keeps steps short.
    """
    if not h.centered:
        return _capped(h)
    calm = h.weight_decay >= 0.1 and h.eps >= 0.5
    return _capped(
        h._replace(alpha=min(max(h.alpha, 0.6), 0.9), weight_decay=h.weight_decay if calm else 0.0)
    )


DRAWING = Drawing(
    domains={
        "lr": Domain(special=(1.0, 0.5, 0.1, 1e-2, 1.0, 0.5, 0.1, 1e-2, 0.0), low=1e-4, high=2.0),
        "alpha": Domain(special=(0.99, 0.5, 0.9, 0.0, 0.99, 0.5), low=0.1, high=0.99),
        "eps": Domain(special=(1e-8, 0.5, 1e-3, 1e-8), low=1e-8, high=1.0, least_in_half=0.1),
        "weight_decay": Domain(special=(0.0, 1.0, 0.1, 1e-2), low=1e-4, high=4.0),
        "momentum": Domain(special=(0.0, 0.5, 0.9, 0.0), low=1e-3, high=0.999),
    },
    nearest_allowed=nearest_allowed,
    with_buffers=lambda h: h._replace(momentum=h.momentum or 0.5),
    trial=Hyper(lr=0.5, alpha=0.5, eps=0.5, weight_decay=0.5, momentum=0.5),
    full=Separating(
        hyper={
            "lr": (0.1, 0.9),
            "alpha": (0.6, 0.9),
            "eps": (0.1, 1),
            "weight_decay": (0.1, 1),
            "momentum": (0.3, 0.9),
        },
        w=(2, 8),
        g=(0.5, 2),
    ),
    half=Separating(
        hyper={
            "lr": (1, 1.2),
            "alpha": (0.65, 0.7),
            "eps": (2, 3),
            "weight_decay": (0.7, 1),
            "momentum": (0.7, 0.9),
        },
        w=(1.5, 2),
        g=(0.8, 1.2),
    ),
)

RULE = Rule(
    name="RMSprop",
    symbols="w parameter, g gradient, d descent direction, v mean square of d, a mean of d, ṽ v or "
    "v − a², D denominator, b momentum buffer, γ lr, α alpha, ε eps, μ momentum, λ weight decay, "
    "n batch size",
    hyper=Hyper,
    step=step,
    conventions=(TORCH, *DECAYS, *SQUARES, *MOMENTA),
    states=("step", "square_avg", "grad_avg", "momentum_buffer"),
    constraint=constraint,
    start=start,
    drawing=DRAWING,
)
