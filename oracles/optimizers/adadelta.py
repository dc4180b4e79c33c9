r"""Adadelta: the rule of ``torch.optim.Adadelta``.

Symbols
-------
w  parameter              g  gradient of the loss     Δ  update
v  mean square of the gradient (``square_avg``)       u  mean square of Δ (``acc_delta``)
γ  learning rate (lr)     ρ  decay rate (rho)         ε  term added for stability (eps)
λ  weight decay           n  batch size

The rule (torch's documentation, ``torch.optim.Adadelta``; code in ``torch/optim/adadelta.py``)
------------------------------------------------------------------------------------------------
1.  descent      d = g + λw            (−g + λw if *maximize*: the decay keeps its sign)
2.  gradients    v = ρv + (1−ρ)d²      from 0
3.  update       Δ = (√(u + ε) / √(v + ε)) d      with the u of earlier steps
4.  updates      u = ρu + (1−ρ)Δ²      from 0
5.  move         w = w − γΔ

A parameter without gradient is not touched, nor are its averages. With λ = 0 the decay is left out
(which matters when w is infinite). ε starts it all: with u = 0 the first Δ is of size √ε, and with
ε = 0 nothing would ever move (0/0 where d is 0, too). t enters nothing, though torch counts it.

Where sources disagree
----------------------
* *Learning rate.* Zeiler (2012, arXiv:1212.5701, algorithm 1) has none: Δ already has the units of
  w, so γ = 1 there and in torch's default. Keras' default of 0.001 makes another optimizer of it.
  u holds the Δ of the paper, before γ (torch, Keras, optax); code which accumulates what it
  subtracts has γ²u instead.
* *ε.* In the paper it is under both roots (its equation 9, RMS[x] = √(E[x²] + ε)): torch, Keras,
  optax, Paddle. Outside of them, as Adam has it, the first Δ is of size ε and not √ε.
* *Order.* Algorithm 1 has the new v below and the old u above the fraction line, and so has torch.
* *Decay.* The paper has none. As everywhere, λw may be part of d or shrink w itself.
* torch's documentation says of ε that it is added to the denominator; it is in the numerator too,
  where it matters more.

How paths compute it
--------------------
``1 − ρ`` is a Python number. The for-loop and foreach divide the roots first and multiply the
quotient by d. There is no fused path.

Each convention below is the first one with one of the lines replaced.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from oracles.drawing import Domain, Drawing, Separating
from oracles.numerics import Array, Scalar, ema_of_squares
from oracles.optimizers import decay
from oracles.optimizers.refusal import negative, no_batch, outside
from oracles.rule import Convention, Rule, State, zeros


class Hyper(NamedTuple):
    """Hyperparameters of one step, with torch's names and defaults (all dimensionless)."""

    lr: Scalar = 1.0
    rho: Scalar = 0.9
    eps: Scalar = 1e-6
    weight_decay: Scalar = 0
    maximize: bool = False
    batch_size: Scalar = 1


def _average(mean: Array, x: Array, h: Hyper) -> Array:
    return ema_of_squares(mean, x, h.rho)


def _root(mean: Array, h: Hyper) -> Array:
    return np.sqrt(mean + h.eps)


def _ratio(u: Array, v: Array, h: Hyper) -> Array:
    return _root(u, h) / _root(v, h)


def _move(w: Array, delta: Array, h: Hyper) -> Array:
    return w - h.lr * delta


@dataclass(frozen=True, kw_only=True)
class AdadeltaConvention(Convention):
    """One line for each part of the step; the defaults are torch's.

    Attributes:
        descent: ``(w, g, h) -> d``.
        before, after: ``(w, h) -> w``, what happens to w itself around the step.
        average: ``(mean square, x, h) -> mean square``, how v and u go on.
        used: ``(v before, v after) -> v``, which of the two is under the fraction line.
        ratio: ``(u, v, h) -> Δ/d``.
        remembered: ``(Δ, d, h) -> x``, whose square u averages.
        move: ``(w, Δ, h) -> w``.
    """

    descent: Callable[[Array, Array, Any], Array] = decay.coupled
    before: Callable[[Array, Any], Array] = decay.unchanged
    average: Callable[[Array, Array, Hyper], Array] = _average
    used: Callable[[Array, Array], Array] = lambda old, new: new
    ratio: Callable[[Array, Array, Hyper], Array] = _ratio
    remembered: Callable[[Array, Array, Hyper], Array] = lambda delta, d, h: delta
    move: Callable[[Array, Array, Hyper], Array] = _move
    after: Callable[[Array, Any], Array] = decay.unchanged


def start(w: Array, h: Hyper) -> State:
    """Averages of zero."""
    return zeros(w, "square_avg", "acc_delta")


def step(
    w: Array, g: Array, t: Scalar, state: State, h: Hyper, convention: AdadeltaConvention
) -> tuple[Array, State]:
    """One step of Adadelta.

    Args:
        w: parameter, any shape.
        g: gradient of the mean loss, same shape.
        t: not used: the averages are not corrected.
        state: ``square_avg`` and ``acc_delta``.
        h: hyperparameters of this step.
        convention: which variant of the rule to follow.

    Returns:
        The new parameter and the new state; the arguments are left as they were.

    >>> h = Hyper(lr=1.0, rho=0.75, eps=0.25)
    >>> w, state = step(1.0, 1.0, 1, start(1.0, h), h, TORCH)  # v = 1/4, Δ = √¼ / √½
    >>> round(float(w), 4), state["square_avg"], round(float(state["acc_delta"]), 4)
    (0.2929, 0.25, 0.125)
    """
    d = convention.descent(w, g, h)
    w = convention.before(w, h)
    v = convention.average(state["square_avg"], d, h)
    u = state["acc_delta"]
    delta = convention.ratio(u, convention.used(state["square_avg"], v), h) * d
    u = convention.average(u, convention.remembered(delta, d, h), h)
    w = convention.move(w, delta, h)
    return convention.after(w, h), {"square_avg": v, "acc_delta": u}


TORCH = AdadeltaConvention(
    name="coupled_unscaled",
    equation="d = g + λw enters both averages; Δ = √(u+ε)/√(v+ε) d; w = w − γΔ",
    source="torch.optim.Adadelta; without λ also Keras, optax and Paddle",
)

DECAYS = decay.meanings(TORCH)
"""What else ``weight_decay`` may mean. ε is needed to see it: while it is small, Δ is too."""

EPS = frozenset({"eps"})
"""With ε in use; without, u and therefore Δ remain so small that nothing shows beside w."""

MEMORY = EPS | {"rho"}
"""With averages that soon hold as much as ε."""


UPDATES = (
    replace(
        TORCH,
        name="lr_ignored",
        equation="w = w − Δ",
        source="arXiv:1212.5701 algorithm 1; Chainer AdaDelta: no learning rate",
        parts=EPS,
        move=lambda w, delta, h: w - delta,
    ),
    replace(
        TORCH,
        name="lr_remembered",
        equation="u = ρu + (1−ρ)(γΔ)²",
        source="code that accumulates what it subtracts",
        parts=MEMORY,
        remembered=lambda delta, d, h: h.lr * delta,
    ),
    replace(
        TORCH,
        name="gradient_remembered",
        equation="u = ρu + (1−ρ)d²: the squared gradient where the squared update belongs",
        source="code that reuses one running average for both roots",
        parts=MEMORY,
        remembered=lambda delta, d, h: d,
    ),
    replace(
        TORCH,
        name="updates_ignored",
        equation="Δ = d/√(v + ε)",
        source="RMSprop, which Adadelta is without its numerator (arXiv:1212.5701 section 3.1)",
        parts=EPS,
        elsewhere="RMSprop",
        ratio=lambda u, v, h: 1 / _root(v, h),
    ),
    replace(
        TORCH,
        name="square_late",
        equation="Δ = √(u+ε)/√(v+ε) d with the v before this step's d²",
        source="code that updates both averages after the step",
        parts=MEMORY,
        used=lambda old, new: old,
    ),
    replace(
        TORCH,
        name="eps_outside",
        equation="Δ = (√u + ε)/(√v + ε) d",
        source="ε outside the roots, as Adam and torch's RMSprop have it",
        parts=EPS,
        ratio=lambda u, v, h: (np.sqrt(u) + h.eps) / (np.sqrt(v) + h.eps),
    ),
    replace(
        TORCH,
        name="eps_above_only",
        equation="Δ = √(u+ε)/√v d",
        source="code that sees the need to start u and trusts v",
        parts=EPS,
        ratio=lambda u, v, h: _root(u, h) / np.sqrt(v),
    ),
    replace(
        TORCH,
        name="rootless",
        equation="Δ = (u+ε)/(v+ε) d",
        source="code that leaves both roots out, since they seem to cancel",
        parts=MEMORY,
        ratio=lambda u, v, h: (u + h.eps) / (v + h.eps),
    ),
    replace(
        TORCH,
        name="summed",
        equation="v = ρv + d², u = ρu + Δ²",
        source="code that leaves the factor 1 − ρ out, as momentum does",
        parts=EPS,
        average=lambda mean, x, h: h.rho * mean + x * x,
    ),
    replace(
        TORCH,
        name="rho_swapped",
        equation="v = (1−ρ)v + ρd², and u in the same way",
        source="code in which rho is the weight of the new value",
        parts=MEMORY,
        average=lambda mean, x, h: _average(mean, x, h._replace(rho=1 - h.rho)),
    ),
)
"""What else the averages, ε and γ may do."""


def constraint(h: Hyper) -> str | None:
    """Why torch's constructor refuses these hyperparameters, or None."""
    return (
        negative(h, "lr", "eps", "weight_decay")
        or outside(h, "rho", 0 <= h.rho <= 1, "0 <= rho <= 1")
        or no_batch(h)
    )


DRAWING = Drawing(
    domains={
        "lr": Domain(special=(1.0, 0.5, 0.1, 2.0, 1.0, 0.5, 1.0, 1e-2, 0.0), low=1e-3, high=4.0),
        "rho": Domain(special=(0.9, 0.5, 0.0, 0.9, 0.95, 1.0), low=0.05, high=0.99),
        "eps": Domain(special=(1e-6, 0.5, 1e-3, 1e-6), low=1e-6, high=1.0, least_in_half=1e-2),
        "weight_decay": Domain(special=(0.0, 1.0, 0.1, 1e-2), low=1e-4, high=4.0),
    },
    nearest_allowed=decay.nearest_allowed,
    trial=Hyper(lr=0.5, eps=0.5, weight_decay=0.5),
    full=Separating(
        hyper={
            "lr": (0.1, 0.9),
            "rho": (0.6, 0.9),
            "eps": (0.1, 0.9),
            "weight_decay": (0.1, 1),
        },
        w=(2, 8),
        g=(0.5, 2),
    ),
    half=Separating(
        hyper={
            "lr": (2.5, 2.7),
            "rho": (0.25, 0.3),
            "eps": (0.5, 0.6),
            "weight_decay": (0.7, 1),
        },
        w=(1.5, 2),
        g=(1.2, 1.6),
    ),
)

RULE = Rule(
    name="Adadelta",
    symbols="w parameter, g gradient, d descent direction, v mean square of d, u mean square of Δ, "
    "Δ update, γ lr, ρ rho, ε eps, λ weight decay, n batch size",
    hyper=Hyper,
    step=step,
    conventions=(TORCH, *DECAYS, *UPDATES),
    states=("step", "square_avg", "acc_delta"),
    constraint=constraint,
    start=start,
    drawing=DRAWING,
)
