r"""NAdam: the rule of ``torch.optim.NAdam``, Adam with a look-ahead.

Symbols
-------
w  parameter                 g  gradient of the loss          t   number of gradients seen
m  first moment (``exp_avg``)    v  second moment (``exp_avg_sq``)   D   denominator
μₜ momentum of step t        Π  product μ₁μ₂…μₜ (``mu_product``)      c₂ = 1 − β₂ᵗ
γ  learning rate (lr)        β₁, β₂  decay rates (betas)      ψ   momentum decay
λ  weight decay              ε  term added for stability (eps)      n  batch size

The rule (torch's documentation, ``torch.optim.NAdam``; code in ``torch/optim/nadam.py``)
------------------------------------------------------------------------------------------
1.  descent      d = g + λw            (−g + λw if *maximize*: the decay keeps its sign)
                 with *decoupled_weight_decay* instead: w = (1 − γλ)w, d = g
2.  momentum     μₜ = β₁ (1 − ½·0.96^(tψ))     Π = μₜΠ        Π from 1
3.  moments      m = β₁m + (1−β₁)d     v = β₂v + (1−β₂)d²     both from 0
4.  denominator  D = √v/√c₂ + ε
5.  move         w = w − γ (1−μₜ)/(1−Π) d/D − γ μₜ₊₁/(1−Πμₜ₊₁) m/D

A parameter without gradient is not touched, nor is its state, nor does its t advance. With λ = 0
the decay is left out (which matters when w is infinite).

Where sources disagree
----------------------
* *Moment.* Dozat (2016, "Incorporating Nesterov Momentum into Adam", algorithm 2) averages with
  the momentum of the step, m = μₜm + (1−μₜ)g, and Π corrects just that average. torch, Keras and
  MXNet average with β₁ and correct by Π all the same, so that even under a constant gradient
  m/(1−Π) is no average any more. torch's documentation shows what the code does, and cites the
  paper for it.
* *Momentum.* The paper's schedule is ψ = 1/250. Keras has ψ = 1, not adjustable. optax has no
  schedule: μₜ = β₁ and Π = β₁ᵗ, which is algorithm 2 without it.
* *Product.* torch up to 1.13 counted μₜ twice in its second correction, unless it updated all
  parameters at once: ``momentum_twice``.
* *Variance.* The paper writes v̂ = β₂v/(1 − β₂ᵗ); nobody follows it in that factor.
* *Decay, ε.* As in :mod:`oracles.optimizers.adam`.

How paths compute it
--------------------
Π is kept, and multiplied by μₜ, in a 0-d float32 tensor on all paths, also where parameters are
float64, which are then right to some seven digits only; the tensor is float64 if that is torch's
default dtype. (``float32_products`` of :data:`RULE` says so.) Without *capturable* everything else
that has no dimension is a Python number. With it t is a float32 tensor, hence also μₜ and c₂; with
*differentiable* the factors of the move are, since they are made of Π. One parameter after the
other takes √(v/c₂), all at once √v/√c₂.

Each convention below is the first one with one of the lines replaced.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from numbers import Rational
from typing import Any, NamedTuple

import numpy as np

from oracles.drawing import Domain, Separating
from oracles.numerics import Array, Scalar, ema, ema_of_squares, scaled
from oracles.optimizers import adam, decay
from oracles.optimizers.refusal import negative
from oracles.rule import Convention, State, carried_over, named, zeros

BASE = Fraction(96, 100)
"""Dozat's 0.96: its powers with floats are those of torch's literal, and rationals stay exact."""


class Hyper(NamedTuple):
    """Hyperparameters of one step, with torch's names and defaults (all dimensionless)."""

    lr: Scalar = 2e-3
    beta1: Scalar = 0.9
    beta2: Scalar = 0.999
    eps: Scalar = 1e-8
    weight_decay: Scalar = 0
    momentum_decay: Scalar = 4e-3
    maximize: bool = False
    decoupled_weight_decay: bool = False
    batch_size: Scalar = 1


Factors = tuple[Scalar, Scalar]
"""What gradient and moment are multiplied by, without the learning rate."""


def _momentum(t: Scalar, h: Hyper) -> Scalar:
    return h.beta1 * (1 - falling(t * h.momentum_decay) / 2)


def falling(exponent: Scalar) -> Scalar:
    """0.96 to a power; it is up to Python's version which other numbers a fraction meets."""
    return (BASE if isinstance(exponent, Rational) else float(BASE)) ** exponent


def _average(m: Array, d: Array, mu: Scalar, h: Hyper) -> Array:
    return ema(m, d, h.beta1)


def _factors(mu: Scalar, following: Scalar, product: Scalar, t: Scalar, h: Hyper) -> Factors:
    return (1 - mu) / (1 - product), following / (1 - product * following)


@dataclass(frozen=True, kw_only=True)
class NAdamConvention(Convention):
    """One line for each part of the step; the defaults are torch's.

    Attributes:
        descent: ``(w, g, h) -> d``, what the moments see.
        before, after: ``(w, h) -> w``, what happens to w itself around the step.
        momentum: ``(t, h) -> μₜ``.
        average: ``(m, d, μₜ, h) -> m``.
        variance: ``(v, h) -> v``, what the denominator makes of it.
        denominator: ``(v, c₂, h) -> D``.
        factors: ``(μₜ, μₜ₊₁, Π, t, h)`` -> what d/D and m/D are multiplied by, next to γ.
    """

    descent: Callable[[Array, Array, Any], Array] = adam.TORCH.descent
    before: Callable[[Array, Any], Array] = adam.TORCH.before
    momentum: Callable[[Scalar, Hyper], Scalar] = _momentum
    average: Callable[[Array, Array, Scalar, Hyper], Array] = _average
    variance: Callable[[Array, Hyper], Array] = decay.unchanged
    denominator: Callable[[Array, Scalar, Any], Array] = adam.TORCH.denominator
    factors: Callable[[Scalar, Scalar, Scalar, Scalar, Hyper], Factors] = _factors
    after: Callable[[Array, Any], Array] = decay.unchanged


def start(w: Array, h: Hyper) -> State:
    """Moments of zero, and a product of nothing."""
    return {"mu_product": 1, **zeros(w, "exp_avg", "exp_avg_sq")}


def step(
    w: Array, g: Array, t: Scalar, state: State, h: Hyper, convention: NAdamConvention
) -> tuple[Array, State]:
    """One step of NAdam.

    Args:
        w: parameter, any shape.
        g: gradient of the mean loss, same shape.
        t: number of gradients seen, this one included.
        state: ``mu_product``, without dimensions, and ``exp_avg`` and ``exp_avg_sq``.
        h: hyperparameters of this step.
        convention: which variant of the rule to follow.

    Returns:
        The new parameter and the new state; the arguments are left as they were.

    >>> h = Hyper(lr=0.5, beta1=0.5, beta2=0.75, eps=1.0, momentum_decay=0)  # μ = ½ (1 − ½)
    >>> w, state = step(1.0, 2.0, 1, start(1.0, h), h, TORCH)  # Π = 1/4, D = 1/½ + 1
    >>> round(float(w), 4), state["mu_product"]  # 1 − ½ (¾/¾) 2/3 − ½ (¼/(1 − ¼·¼)) 1/3
    (0.6222, 0.25)
    """
    d = convention.descent(w, g, h)
    w = convention.before(w, h)
    mu, following = convention.momentum(t, h), convention.momentum(t + 1, h)
    product = state["mu_product"] * mu
    m = convention.average(state["exp_avg"], d, mu, h)
    v = ema_of_squares(state["exp_avg_sq"], d, h.beta2)
    denominator = convention.denominator(convention.variance(v, h), adam.correction(h.beta2, t), h)
    now, ahead = convention.factors(mu, following, product, t, h)
    w = w - scaled(h.lr * now, d, denominator) - scaled(h.lr * ahead, m, denominator)
    return convention.after(w, h), {"mu_product": product, "exp_avg": m, "exp_avg_sq": v}


TORCH = NAdamConvention(
    name="coupled_unscaled",
    equation="d = g + λw enters both moments; μₜ = β₁(1 − ½·0.96^(tψ)), m averages with β₁",
    source="torch.optim.NAdam; with λ = 0 also MXNet Nadam for a single parameter",
)

DECAYS = decay.meanings(TORCH)
"""What else ``weight_decay`` may mean."""


def _constant(t: Scalar, h: Hyper) -> Scalar:
    return h.beta1


LOOKING_AHEAD: tuple[NAdamConvention, ...] = (
    replace(
        TORCH,
        name="scheduled_moment",
        equation="m = μₜm + (1−μₜ)d",
        source="algorithm 2 of Dozat 2016, which torch cites",
        parts=frozenset({"beta1"}),
        average=lambda m, d, mu, h: ema(m, d, mu),
    ),
    replace(
        TORCH,
        name="constant_momentum",
        equation="μₜ = β₁",
        source="optax.nadam, timm NAdamW: no schedule",
        parts=frozenset({"beta1"}),
        momentum=_constant,
    ),
    replace(
        TORCH,
        name="decay_of_one",
        equation="μₜ = β₁ (1 − ½·0.96^t), whatever ψ is",
        source="Keras Nadam: the factor 0.004 of Keras 2.0's schedule_decay is gone",
        parts=frozenset({"beta1", "momentum_decay"}),
        momentum=lambda t, h: _momentum(t, h._replace(momentum_decay=1)),
    ),
    replace(
        TORCH,
        name="product_restarted",
        equation="Π = μₜ at every step",
        source="code that does not keep the product",
        parts=frozenset({"beta1"}),
        factors=lambda mu, following, product, t, h: _factors(mu, following, mu, t, h),
    ),
    replace(
        TORCH,
        name="product_of_betas",
        equation="β₁ᵗ in place of Π and β₁ᵗ⁺¹ in place of Πμₜ₊₁",
        source="Adam's correction left in",
        factors=lambda mu, following, product, t, h: (
            (1 - mu) / (1 - h.beta1**t),
            following / (1 - h.beta1 ** (t + 1)),
        ),
    ),
    replace(
        TORCH,
        name="uncorrected",
        equation="Π = 0 in the move",
        source="code that follows Nesterov's part of the paper and leaves Adam's correction out",
        factors=lambda mu, following, product, t, h: (1 - mu, following),
    ),
    replace(
        TORCH,
        name="nesterov_ignored",
        equation="w = w − γ/(1 − β₁ᵗ) m/D",
        source="Adam under another name",
        parts=frozenset({"falling"}),
        elsewhere="Adam",
        factors=lambda mu, following, product, t, h: (0, 1 / (1 - h.beta1**t)),
    ),
    replace(
        TORCH,
        name="momentum_twice",
        equation="Πμₜμₜ₊₁ in place of Πμₜ₊₁: Π has been multiplied by μₜ already",
        source="torch 1.13 and earlier, one parameter after the other (nadam.py, mu_product_next)",
        parts=frozenset({"beta1", "momentum_decay", "falling"}),
        factors=lambda mu, following, product, t, h: (
            (1 - mu) / (1 - product),
            following / (1 - product * mu * following),
        ),
    ),
    replace(
        TORCH,
        name="following_ignored",
        equation="μₜ in place of μₜ₊₁, hence Π in place of Πμₜ₊₁",
        source="code that does not look beyond the present step",
        parts=frozenset({"beta1", "momentum_decay"}),
        factors=lambda mu, following, product, t, h: (
            (1 - mu) / (1 - product),
            mu / (1 - product),
        ),
    ),
)
"""What else the look-ahead may be."""


VARIANCES: tuple[NAdamConvention, ...] = (
    replace(
        TORCH,
        name="variance_shrunk",
        equation="D with β₂v in place of v",
        source="algorithm 2 of Dozat 2016, to the letter",
        parts=frozenset({"beta2"}),
        variance=lambda v, h: h.beta2 * v,
    ),
    replace(
        TORCH,
        name="second_uncorrected",
        equation="D = √v + ε",
        source="code that corrects the mean and forgets the variance",
        denominator=lambda v, c2, h: np.sqrt(v) + h.eps,
    ),
    *carried_over(named(adam.MOMENTS, "eps_inside", "eps_hat"), adam.TORCH, to=TORCH),
)
"""What else the variance and ε may be."""


def constraint(h: Hyper) -> str | None:
    """Why torch's constructor refuses these hyperparameters, or None."""
    return negative(h, "momentum_decay") or adam.RULE.constraint(h)


DRAWING = replace(
    adam.DRAWING,
    domains={
        **adam.DRAWING.domains,
        "momentum_decay": Domain(special=(4e-3, 1.0, 0.0, 4e-3), low=1e-4, high=100.0),
    },
    trial=Hyper(lr=0.5, eps=0.5, weight_decay=0.5),
    full=Separating(
        hyper={
            "lr": (0.1, 0.9),
            "beta1": (0.8, 0.9),
            "beta2": (0.5, 0.9),
            "eps": (0.1, 1),
            "weight_decay": (0.1, 1),
            "momentum_decay": (10, 60),
        },
        w=(2, 8),
        g=(0.5, 2),
    ),
    half=Separating(
        hyper={
            "lr": (0.5, 0.62),
            "beta1": (0.93, 0.95),
            "beta2": (0.5, 0.6),
            "eps": (0.33, 0.4),
            "weight_decay": (0.9, 1),
            "momentum_decay": (100, 110),
        },
        w=(0.8, 1),
        g=(0.1, 0.15),
    ),
    free=frozenset({"beta1", "beta2"}),
)

RULE = replace(
    adam.RULE,
    name="NAdam",
    symbols="w parameter, g gradient, m and v first and second moment, D denominator, d descent "
    "direction, γ lr, β₁ β₂ betas, ε eps, λ weight decay, ψ momentum decay, μₜ momentum of step t, "
    "Π product of all μ so far, c₂ = 1 − β₂ᵗ, n batch size",
    hyper=Hyper,
    step=step,
    conventions=(TORCH, *DECAYS, *LOOKING_AHEAD, *VARIANCES),
    states=("step", "mu_product", "exp_avg", "exp_avg_sq"),
    constraint=constraint,
    start=start,
    drawing=DRAWING,
    binding=replace(adam.RULE.binding, float32_products=("mu_product",)),
)
"""Adam's rule with a look-ahead."""
