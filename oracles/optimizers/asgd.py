r"""Averaged stochastic gradient descent: the rule of ``torch.optim.ASGD``.

Symbols
-------
w  parameter             g  gradient of the loss       w̄  average of w (``ax``)
γ  learning rate (lr)    η  rate in force (``eta``)    μ   weight of the newest w (``mu``)
ℓ  decay term (lambd)    α  power (alpha)              t₀  when to start averaging (t0)
λ  weight decay          n  batch size                 t   number of gradients seen

The rule (code in ``torch/optim/asgd.py``; torch's documentation has no equations)
----------------------------------------------------------------------------------
1.  descent      d = g + λw                    (−g + λw if *maximize*: the decay keeps its sign)
2.  move         w = (1 − ℓη)w − ηd            η starts at γ
3.  average      w̄ = w̄ + μ(w − w̄)              μ starts at 1, w̄ at 0: then w̄ is a copy of w
4.  next rate    η = γ / (1 + ℓγt)^α
5.  next weight  μ = 1 / max(1, t − t₀)

η and μ are made at the end of a step for the next one, from the hyperparameters of *this* step: an
lr that changes acts one step late, and so does t₀. The average never enters w; it is for whoever
reads ``ax``. With λ = 0 the term λw is left out (which matters when w is infinite).

Where sources disagree
----------------------
* *Whose rule it is.* torch cites Polyak & Juditsky (1992); rate, decay and names are those of
  Bottou's sgd package (svmasgd; Xu 2011, arXiv:1107.2490), which counts t from 0: the first
  step has η = γ, and the second one γ/(1 + ℓγ)^α.
* *Decay.* w = (1 − ℓη)w − ηd is the same as w − η(d + ℓw), so ℓ and λ are one L2 regularization
  written twice, d + ℓw = g + (λ + ℓ)w; but ℓ slows η down as well, and its default is not 0.
* *Power.* From torch 2.0 to 2.3 the foreach path had γ / (1 + ℓγt^α), while the for-loop and the
  package raise the whole bracket (pytorch pull request 126375).
* *Start.* Averaging does not begin at t₀ but two steps later: the μ made at t₀ + 1 is still 1, so
  w̄ forgets all that was before the w of step t₀ + 2.

How paths compute it
--------------------
η and μ are 0-d float32 tensors, whatever the parameter is: a float64 parameter moves by a rate that
is good to seven digits (``float32_states`` of :data:`RULE` says so). foreach has t in a float32
tensor as well, and capturable paths everything; foreach writes the move as w − η(d + ℓw). The
for-loop copies w where μ is 1, others add the difference, which gives nan for an infinite w.

Each convention below is the first one with one of the lines replaced. What w̄ does is in the state
and is judged there: no convention of averaging is among them, because w does not show it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from oracles.drawing import Domain, Drawing, Separating
from oracles.numerics import Array, Scalar, either, lerp, one, zeros_like
from oracles.optimizers import decay
from oracles.optimizers.refusal import negative, no_batch
from oracles.rule import Binding, Convention, Rule, State


class Hyper(NamedTuple):
    """Hyperparameters of one step, with torch's names and defaults (all dimensionless)."""

    lr: Scalar = 1e-2
    lambd: Scalar = 1e-4
    alpha: Scalar = 0.75
    t0: Scalar = 1e6
    weight_decay: Scalar = 0
    maximize: bool = False
    batch_size: Scalar = 1


def _in_force(eta: Scalar, t: Scalar, h: Hyper) -> Scalar:
    return eta


def _rate(t: Scalar, h: Hyper) -> Scalar:
    return h.lr / (1 + h.lambd * h.lr * t) ** h.alpha


def _moved(w: Array, d: Array, eta: Scalar, h: Hyper) -> Array:
    return either(w * (1 - h.lambd * eta) - eta * d, w - eta * (d + h.lambd * w))


def _averaged(ax: Array, w: Array, mu: Scalar) -> Array:
    return lerp(ax, w, mu, literal=True)


def _weight(t: Scalar, h: Hyper) -> Scalar:
    return one(h.t0) / np.maximum(1, t - h.t0)


@dataclass(frozen=True, kw_only=True)
class ASGDConvention(Convention):
    """One line for each part of the step; the defaults are torch's.

    Attributes:
        descent: ``(w, g, h) -> d``.
        before, after: ``(w, h) -> w``, what happens to w itself around the step.
        in_force: ``(η, t, h) -> η``, the rate of this step.
        moved: ``(w, d, η, h) -> w``.
        rate: ``(t, h) -> η``, the rate of the next step.
    """

    descent: Callable[[Array, Array, Any], Array] = decay.coupled
    before: Callable[[Array, Any], Array] = decay.unchanged
    in_force: Callable[[Scalar, Scalar, Hyper], Scalar] = _in_force
    moved: Callable[[Array, Array, Scalar, Hyper], Array] = _moved
    rate: Callable[[Scalar, Hyper], Scalar] = _rate
    after: Callable[[Array, Any], Array] = decay.unchanged


def start(w: Array, h: Hyper) -> State:
    """The first rate is γ; the first average becomes w, because the first weight is 1."""
    return {"eta": h.lr, "mu": 1, "ax": zeros_like(w)}


def step(
    w: Array, g: Array, t: Scalar, state: State, h: Hyper, convention: ASGDConvention
) -> tuple[Array, State]:
    """One step of ASGD.

    Args:
        w: parameter, any shape.
        g: gradient of the mean loss, same shape.
        t: number of gradients seen, this one included.
        state: ``ax``, and ``eta`` and ``mu``, which have no dimensions.
        h: hyperparameters of this step.
        convention: which variant of the rule to follow.

    Returns:
        The new parameter and the new state; the arguments are left as they were.

    >>> h = Hyper(lr=0.5, lambd=0.5, alpha=1.0)
    >>> w, state = step(4.0, 1.0, 1, start(4.0, h), h, TORCH)  # w = (1 − ½·½)4 − ½
    >>> w, state["ax"], state["eta"]  # η = ½ / (1 + ½·½)
    (2.5, 2.5, 0.4)
    """
    eta = convention.in_force(state["eta"], t, h)
    d = convention.descent(w, g, h)
    w = convention.before(w, h)
    w = convention.moved(w, d, eta, h)
    w = convention.after(w, h)
    ax = _averaged(state["ax"], w, state["mu"])
    return w, {"eta": convention.rate(t, h), "mu": _weight(t, h), "ax": ax}


TORCH = ASGDConvention(
    name="coupled_unscaled",
    equation="d = g + λw; w = (1 − ℓη)w − ηd with the η of the step before",
    source="torch.optim.ASGD; also mindspore.nn.ASGD",
)

LAMBD = frozenset({"lambd"})
"""The default is so small that only rates of many steps would show it."""

DECAYS = decay.meanings(
    TORCH,
    decay.DECAY,
    decoupled_lr={"equation": "w = (1 − γλ)w before the step; d = g", "parts": LAMBD},
)
"""What else ``weight_decay`` may mean, which here needs no ε to be seen. Decay scaled by the rate
differs by the product of λ and ℓ, and by how late a rate acts."""

RATES = (
    replace(
        TORCH,
        name="rate_of_this_step",
        equation="η = γ/(1 + ℓγt)^α for step t itself, the first one included",
        source="ports that compute η before the move; Bottou's package counts t from 0",
        parts=LAMBD,
        in_force=lambda eta, t, h: _rate(t, h),
    ),
    replace(
        TORCH,
        name="lr_at_once",
        equation="η = γ/(1 + ℓγ(t−1))^α with the γ of this step",
        source="what a scheduler is expected to do; the same at constant lr",
        parts=frozenset({"schedule"}),
        in_force=lambda eta, t, h: _rate(t - 1, h),
    ),
    replace(
        TORCH,
        name="rate_constant",
        equation="η = γ",
        source="plain averaged SGD, as Polyak & Juditsky 1992 write it for a constant gain",
        parts=LAMBD,
        rate=lambda t, h: h.lr,
    ),
    replace(
        TORCH,
        name="alpha_ignored",
        equation="η = γ/(1 + ℓγt): α = 1",
        source="Bottou's package without averaging (svmsgd)",
        parts=LAMBD | {"alpha"},
        rate=lambda t, h: _rate(t, h._replace(alpha=1)),
    ),
    replace(
        TORCH,
        name="power_of_t",
        equation="η = γ/(1 + ℓγt^α)",
        source="torch.optim.ASGD(foreach=True) from torch 2.0 to 2.3",
        parts=LAMBD | {"alpha"},
        rate=lambda t, h: h.lr / (1 + h.lambd * h.lr * t**h.alpha),
    ),
)
"""What else the rate may be."""

TERMS = (
    replace(
        TORCH,
        name="lambd_ignored",
        equation="w = w − ηd: ℓ slows η down and does not decay w",
        source="code that takes lambd for a parameter of the schedule alone",
        parts=LAMBD,
        moved=lambda w, d, eta, h: w - eta * d,
    ),
    replace(
        TORCH,
        name="lambd_unscaled",
        equation="w = (1 − ℓ)w − ηd",
        source="decay as TensorFlow Addons and Chainer scale it: by no rate",
        parts=LAMBD,
        moved=lambda w, d, eta, h: w * (1 - h.lambd) - eta * d,
    ),
    replace(
        TORCH,
        name="lambd_after",
        equation="w = (1 − ℓη)(w − ηd)",
        source="code that decays after the move",
        parts=LAMBD,
        moved=lambda w, d, eta, h: (w - eta * d) * (1 - h.lambd * eta),
    ),
)
"""What else ℓ may decay."""


def constraint(h: Hyper) -> str | None:
    """Why torch's constructor refuses these hyperparameters, or None.

    Until 2.14 it took an ℓ and an α below zero.
    """
    return negative(h, "lr", "lambd", "alpha", "weight_decay") or no_batch(h)


def nearest_allowed(h: Hyper) -> Hyper:
    """Cap both decays where γλ or γℓ is above 1: ℓ as λ is, and for the same reason."""
    h = decay.nearest_allowed(h)
    return h._replace(lambd=1 / h.lr) if h.lr * h.lambd > 1 else h


DRAWING = Drawing(
    domains={
        "lr": Domain(special=(1.0, 0.5, 0.1, 1e-2, 1.0, 0.5, 0.1, 1e-2, 0.0), low=1e-4, high=2.0),
        "lambd": Domain(special=(1e-4, 1.0, 0.5, 0.1, 0.0), low=1e-4, high=4.0),
        "alpha": Domain(special=(0.75, 0.5, 1.0, 0.0), low=0.1, high=2.0),
        "t0": Domain(special=(1e6, 0.0, 1.1, 0.3, 2.0), low=0.1, high=10.0),
        "weight_decay": Domain(special=(0.0, 1.0, 0.1, 1e-2), low=1e-4, high=4.0),
    },
    nearest_allowed=nearest_allowed,
    trial=Hyper(lr=0.5, lambd=0.5, t0=0.0, weight_decay=0.5),
    full=Separating(
        hyper={
            "lr": (0.1, 0.9),
            "lambd": (0.2, 1),
            "alpha": (0.25, 0.5),
            "weight_decay": (0.1, 1),
        },
        w=(2, 8),
        g=(0.5, 2),
    ),
    half=Separating(
        hyper={
            "lr": (0.6, 0.7),
            "lambd": (0.55, 0.65),
            "alpha": (0.25, 0.3),
            "weight_decay": (0.7, 1),
        },
        w=(1.5, 2),
        g=(0.8, 1.2),
    ),
)

RULE = Rule(
    name="ASGD",
    symbols="w parameter, g gradient, w̄ average (ax), d descent direction, γ lr, η the rate in "
    "force (eta), ℓ lambd, α alpha, λ weight decay, n batch size",
    hyper=Hyper,
    step=step,
    conventions=(TORCH, *DECAYS, *RATES, *TERMS),
    states=("step", "eta", "mu", "ax"),
    constraint=constraint,
    start=start,
    drawing=DRAWING,
    binding=Binding(
        tensor_step=frozenset({"foreach", "capturable"}),
        float32_states=("eta", "mu"),
    ),
)
