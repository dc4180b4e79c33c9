r"""Adagrad: the rule of ``torch.optim.Adagrad``.

Symbols
-------
w  parameter              g  gradient of the loss     t  number of gradients seen
s  sum of squares (``sum``)   τ  what it starts at (initial_accumulator_value)
γ  learning rate (lr)     η  its decay (lr_decay)     ε  term added for stability (eps)
λ  weight decay           n  batch size

The rule (torch's documentation, ``torch.optim.Adagrad``; code in ``torch/optim/adagrad.py``)
----------------------------------------------------------------------------------------------
1.  descent      d = g + λw            (−g + λw if *maximize*: the decay keeps its sign)
2.  sum          s = s + d²            from τ
3.  rate         γ̃ = γ / (1 + (t−1)η)
4.  denominator  D = √s + ε
5.  move         w = w − γ̃ d/D

The sum is there from construction on, before any gradient is. A parameter without gradient is not
touched, nor does its t advance, so the rate falls per parameter. With λ = 0 the decay is left out
(which matters when w is infinite). γ, η, λ and ε are those of the step; τ is that of construction.

With τ = 0 and ε = 0 the first step is γ times the sign of d, and 0/0 where d is 0.

Where sources disagree
----------------------
* *Start.* Duchi, Hazan & Singer (2011, JMLR 12, figure 1) have δI + diag(G)^½, that is τ = 0 and
  ε = δ: torch, Paddle, MLX, Chainer. Keras, optax and TensorFlow 1 start the sum at 0.1, so that
  early steps are much shorter. torch's documentation started it at 0 whatever τ until 2.3.
* *ε.* Keras, optax and MXNet add it inside the root, MindSpore 1e-8, which nobody can change;
  TensorFlow 1 has none, its τ is enough.
* *Rate.* The paper has no η. torch counts it from 0, as Lua torch did: the first step is γ itself.
* *Decay.* L2 regularization enters the sum (torch); Keras and MXNet shrink w by γλ beside it.
* *Sum.* Li & Orabona (2019, arXiv:1805.08114) prove convergence for step sizes that leave out the
  gradient they multiply: their sum is one step late. SC-Adagrad (Mukkamala & Hein 2017,
  arXiv:1706.05507) has no root, for strongly convex losses.

How paths compute it
--------------------
γ̃ is a Python number on all paths (``t`` is read out of its tensor) and a double in the fused CPU
kernel; in foreach it was a float32 tensor until 2.0. The for-loop scales d or the quotient by it
(``addcdiv``), foreach scales d first and rounds.

Each convention below is the first one with one of the lines replaced.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from oracles.drawing import Domain, Drawing, Separating
from oracles.numerics import Array, Scalar, scaled, zeros_like
from oracles.optimizers import decay
from oracles.optimizers.refusal import negative, no_batch
from oracles.rule import Convention, Rule, State


class Hyper(NamedTuple):
    """Hyperparameters of one step, with torch's names and defaults (all dimensionless)."""

    lr: Scalar = 1e-2
    lr_decay: Scalar = 0
    weight_decay: Scalar = 0
    initial_accumulator_value: Scalar = 0
    eps: Scalar = 1e-10
    maximize: bool = False
    batch_size: Scalar = 1


def _started(s: Array, t: Scalar, h: Hyper) -> Array:
    return s


def _denominator(s: Array, h: Hyper) -> Array:
    return np.sqrt(s) + h.eps


def _rate(t: Scalar, h: Hyper) -> Scalar:
    return h.lr / (1 + (t - 1) * h.lr_decay)


@dataclass(frozen=True, kw_only=True)
class AdagradConvention(Convention):
    """One line for each part of the step; the defaults are torch's.

    Attributes:
        descent: ``(w, g, h) -> d``.
        before, after: ``(w, h) -> w``, what happens to w itself around the step.
        started: ``(s, t, h) -> s``, the sum before it grows.
        squared: ``(d, g, h) -> x``, whose square the sum grows by.
        used: ``(s before, s after) -> s``, which of the two D is made of.
        denominator: ``(s, h) -> D``.
        rate: ``(t, h) -> γ̃``.
    """

    descent: Callable[[Array, Array, Any], Array] = decay.coupled
    before: Callable[[Array, Any], Array] = decay.unchanged
    started: Callable[[Array, Scalar, Hyper], Array] = _started
    squared: Callable[[Array, Array, Hyper], Array] = lambda d, g, h: d
    used: Callable[[Array, Array], Array] = lambda old, new: new
    denominator: Callable[[Array, Hyper], Array] = _denominator
    rate: Callable[[Scalar, Hyper], Scalar] = _rate
    after: Callable[[Array, Any], Array] = decay.unchanged


def start(w: Array, h: Hyper) -> State:
    """A sum of τ."""
    return {"sum": np.full_like(w, h.initial_accumulator_value)}


def step(
    w: Array, g: Array, t: Scalar, state: State, h: Hyper, convention: AdagradConvention
) -> tuple[Array, State]:
    """One step of Adagrad.

    Args:
        w: parameter, any shape.
        g: gradient of the mean loss, same shape.
        t: number of gradients seen, this one included.
        state: ``{"sum": s}``.
        h: hyperparameters of this step.
        convention: which variant of the rule to follow.

    Returns:
        The new parameter and the new state; the arguments are left as they were.

    >>> h = Hyper(lr=0.5, lr_decay=1.0, eps=1.0)
    >>> w, state = step(1.0, 3.0, 1, start(np.array(1.0), h), h, TORCH)  # D = 3 + 1
    >>> float(w), float(state["sum"])
    (0.625, 9.0)
    >>> w, state = step(w, 4.0, 2, state, h, TORCH)  # D = √(9 + 16) + 1, γ̃ = ½/2
    >>> round(float(w), 4), float(state["sum"])
    (0.4583, 25.0)
    """
    d = convention.descent(w, g, h)
    w = convention.before(w, h)
    before = convention.started(state["sum"], t, h)
    squared = convention.squared(d, g, h)
    s = before + squared * squared
    denominator = convention.denominator(convention.used(before, s), h)
    w = w - scaled(convention.rate(t, h), d, denominator)
    return convention.after(w, h), {"sum": s}


TORCH = AdagradConvention(
    name="coupled_unscaled",
    equation="d = g + λw enters the sum; s starts at τ; D = √s + ε; γ̃ = γ/(1 + (t−1)η)",
    source="torch.optim.Adagrad; also Paddle, MLX and Chainer (without η)",
)

DECAYS = decay.meanings(TORCH)
"""What else ``weight_decay`` may mean. ε is needed to see it: while s is d², d/√s is a sign."""


def _from_a_tenth(s: Array, t: Scalar, h: Hyper) -> Array:
    """``s + 0.1 − τ`` at the first step, written without a literal that rationals would lose."""
    return s + (1 - 10 * h.initial_accumulator_value) / 10 if t == 1 else s


SUMS = (
    replace(
        TORCH,
        name="accumulator_tenth",
        equation="s starts at 0.1 whatever τ is",
        source="the default of Keras Adagrad, optax.adagrad and tf.compat.v1 AdagradOptimizer",
        started=_from_a_tenth,
    ),
    replace(
        TORCH,
        name="start_ignored",
        equation="s starts at 0 whatever τ is",
        source="torch's documentation until 2.3; Paddle and MLX have no τ or default to 0",
        parts=frozenset({"initial_accumulator_value"}),
        started=lambda s, t, h: zeros_like(s) if t == 1 else s,
    ),
    replace(
        TORCH,
        name="sum_undecayed",
        equation="s = s + g²: the decay is in the step and not in the sum",
        source="code that squares p.grad and adds the penalty afterwards",
        parts=decay.WITH_EPS,
        squared=lambda d, g, h: g,
    ),
    replace(
        TORCH,
        name="sum_late",
        equation="D = √s + ε with the s before this step's d²",
        source="the step sizes of arXiv:1805.08114, which leave out the gradient they multiply",
        parts=frozenset({"eps"}),
        used=lambda old, new: old,
    ),
    replace(
        TORCH,
        name="rootless",
        equation="D = s + ε",
        source="SC-Adagrad of arXiv:1706.05507 with a constant δ",
        denominator=lambda s, h: s + h.eps,
    ),
)
"""What else the sum may be."""

RATES = (
    replace(
        TORCH,
        name="eps_inside",
        equation="D = √(s + ε)",
        source="Keras Adagrad, optax scale_by_rss, MXNet AdaGrad",
        parts=frozenset({"eps"}),
        denominator=lambda s, h: np.sqrt(s + h.eps),
    ),
    replace(
        TORCH,
        name="eps_ignored",
        equation="D = √s",
        source="tf.compat.v1.train.AdagradOptimizer, which has no ε",
        parts=frozenset({"eps"}),
        denominator=lambda s, h: np.sqrt(s),
    ),
    replace(
        TORCH,
        name="lr_decay_late",
        equation="γ̃ = γ/(1 + tη): the first step is shortened already",
        source="off-by-one ports that advance the counter first",
        parts=frozenset({"lr_decay"}),
        rate=lambda t, h: h.lr / (1 + t * h.lr_decay),
    ),
    replace(
        TORCH,
        name="lr_decay_ignored",
        equation="γ̃ = γ",
        source="Keras, optax, Paddle, MLX: none of them has η",
        parts=frozenset({"lr_decay"}),
        rate=lambda t, h: h.lr,
    ),
)
"""What else ε and η may do."""


def constraint(h: Hyper) -> str | None:
    """Why torch's constructor refuses these hyperparameters, or None."""
    names = ("lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps")
    return negative(h, *names) or no_batch(h)


DRAWING = Drawing(
    domains={
        "lr": Domain(special=(1.0, 0.5, 0.1, 1e-2, 1.0, 0.5, 0.1, 1e-2, 0.0), low=1e-4, high=2.0),
        "lr_decay": Domain(special=(0.0, 0.5, 0.1, 0.0), low=1e-3, high=2.0),
        "weight_decay": Domain(special=(0.0, 1.0, 0.1, 1e-2), low=1e-4, high=4.0),
        "initial_accumulator_value": Domain(
            special=(0.0, 0.5, 0.1, 0.0), low=1e-3, high=2.0, least_in_half=1e-2
        ),
        "eps": Domain(special=(1e-10, 0.5, 1e-3, 1e-10), low=1e-8, high=1.0, least_in_half=1e-2),
    },
    nearest_allowed=decay.nearest_allowed,
    trial=Hyper(lr=0.5, weight_decay=0.5, eps=0.5),
    full=Separating(
        hyper={
            "lr": (0.1, 0.9),
            "lr_decay": (0.1, 1),
            "weight_decay": (0.1, 1),
            "initial_accumulator_value": (0.2, 1),
            "eps": (0.1, 1),
        },
        w=(2, 8),
        g=(0.25, 0.5),
    ),
    half=Separating(
        hyper={
            "lr": (0.5, 0.62),
            "lr_decay": (0.5, 1),
            "weight_decay": (0.7, 1),
            "initial_accumulator_value": (0.5, 1),
            "eps": (0.8, 1),
        },
        w=(1.5, 2),
        g=(0.3, 0.5),
    ),
    free=frozenset({"lr_decay"}),
)

RULE = Rule(
    name="Adagrad",
    symbols="w parameter, g gradient, s sum of squares, D denominator, d descent direction, γ lr, "
    "γ̃ decayed lr, η lr_decay, τ initial_accumulator_value, ε eps, λ weight decay, n batch size",
    hyper=Hyper,
    step=step,
    conventions=(TORCH, *DECAYS, *SUMS, *RATES),
    states=("step", "sum"),
    constraint=constraint,
    start=start,
    eager=True,  # torch fills the sum in its constructor, with the τ that is there
    drawing=DRAWING,
)
