r"""RAdam: the rule of ``torch.optim.RAdam``, Adam that waits until its variance is worth using.

Symbols
-------
w  parameter                 g  gradient of the loss          t   number of gradients seen
m  first moment (``exp_avg``)    v  second moment (``exp_avg_sq``)   cᵢ = 1 − βᵢᵗ
ρ  length of the average behind v, ρ∞ its limit          r   rectification
γ  learning rate (lr)        β₁, β₂  decay rates (betas)      ε   term added for stability (eps)
λ  weight decay              n  batch size

The rule (torch's documentation, ``torch.optim.RAdam``; code in ``torch/optim/radam.py``)
------------------------------------------------------------------------------------------
1.  descent      d = g + λw            (−g + λw if *maximize*: the decay keeps its sign)
                 with *decoupled_weight_decay* instead: w = (1 − γλ)w, d = g
2.  moments      m = β₁m + (1−β₁)d     v = β₂v + (1−β₂)d²     both from 0
3.  length       ρ∞ = 2/(1−β₂) − 1     ρ = ρ∞ − 2tβ₂ᵗ/c₂
4.  move         ρ > 5:   w = w − γ m/c₁ · r√c₂/(√v + ε),
                          r² = (ρ−4)(ρ−2)ρ∞ / ((ρ∞−4)(ρ∞−2)ρ)
                 else:    w = w − γ m/c₁

A parameter without gradient is not touched, nor are its moments, nor does its t advance. With λ = 0
the decay is left out (which matters when w is infinite). ρ grows from 1 to ρ∞. It passes 5 at the
sixth step if β₂ is 0.9 or 0.999, later if it is smaller, and never if β₂ <= 2/3, where ρ∞ <= 5 and
RAdam is gradient descent with a corrected momentum.

Where sources disagree
----------------------
* *Threshold.* Liu et al. (2020, arXiv:1908.03265), algorithm 2, rectify where ρ > 4, from where on
  r is real. Their code and optax begin at ρ = 5, torch above it; a comment in their code calls that
  more conservative.
* *Until then.* The paper's move and torch's is γm/c₁. The authors' code makes it only with
  ``degenerated_to_sgd``, which is off unless asked for: w waits, and is not decayed either.
* *ε.* The paper has none. torch, as the authors' code, adds it to the uncorrected √v, which is
  the ε̂ of Kingma & Ba (2015, end of section 2); Adam in the same torch adds it to √v/√c₂, and
  so do optax and TensorFlow Addons here. torch's multi-tensor code had none before 2.0,
  and its documentation had it under the root.
* *Decay.* As in :mod:`oracles.optimizers.adam`; the authors' code decouples it.

How paths compute it
--------------------
Without *capturable* everything that has no dimension is a Python number. With it t is a float32
tensor, hence also ρ, which is a small difference of large numbers and loses as many digits as ρ∞ is
larger than ρ. At β₂ = 0.999 it is off by 0.04, at 0.9999 by several units: what should be ρ₂ = 2 is
computed as 6.3, and the wait is over. Which branch is taken where ρ is that near 5 is open.

√c₂ divided by a tensor is torch's reciprocal and a product. Multi-tensor code has one formula for
both branches, w − m/((√v + ε)/a) − bm with a = γr√c₂/c₁ and b = 0, or a = 0 and b = γ/c₁: v is
looked at, and may spoil w, before it is of use.

Each convention below is the first one with one of the lines replaced.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from oracles.drawing import Domain, Separating
from oracles.numerics import Array, Scalar, either, ema, ema_of_squares
from oracles.optimizers import adam, decay
from oracles.rule import Convention, State, zeros


class Hyper(NamedTuple):
    """Hyperparameters of one step, with torch's names and defaults (all dimensionless)."""

    lr: Scalar = 1e-3
    beta1: Scalar = 0.9
    beta2: Scalar = 0.999
    eps: Scalar = 1e-8
    weight_decay: Scalar = 0
    maximize: bool = False
    decoupled_weight_decay: bool = False
    batch_size: Scalar = 1


def _limit(h: Hyper) -> Scalar:
    return 2 / (1 - h.beta2) - 1


def _rectification(length: Scalar, limit: Scalar) -> Scalar:
    return np.sqrt((length - 4) * (length - 2) * limit / ((limit - 4) * (limit - 2) * length))


def _scale(v: Array, c2: Scalar, h: Hyper) -> Array:
    return 1 / (np.sqrt(v) + h.eps) * np.sqrt(c2)


def _momentum_alone(moved: Array, scale: Array) -> Array:
    return moved


@dataclass(frozen=True, kw_only=True)
class RAdamConvention(Convention):
    """One line for each part of the step; the defaults are torch's.

    Attributes:
        descent: ``(w, g, h) -> d``, what the moments see.
        before, after: ``(w, h) -> w``, what happens to w itself around the step.
        correction: ``(β₁, t) -> c₁``.
        limit: ``h -> ρ∞``.
        threshold: the ρ that has to be passed.
        rectification: ``(ρ, ρ∞) -> r``.
        scale: ``(v, c₂, h)`` -> what γm/c₁ is multiplied by, next to r, once ρ is large enough.
        waiting: ``(γm/c₁, scale)`` -> by what w moves until then.
    """

    descent: Callable[[Array, Array, Any], Array] = adam.TORCH.descent
    before: Callable[[Array, Any], Array] = adam.TORCH.before
    correction: Callable[[Scalar, Scalar], Scalar] = adam.correction
    limit: Callable[[Hyper], Scalar] = _limit
    threshold: int = 5
    rectification: Callable[[Scalar, Scalar], Scalar] = _rectification
    scale: Callable[[Array, Scalar, Hyper], Array] = _scale
    waiting: Callable[[Array, Array], Array] = _momentum_alone
    after: Callable[[Array, Any], Array] = decay.unchanged

    def length(self, t: Scalar, h: Hyper) -> Scalar:
        """``ρ = ρ∞ − 2tβ₂ᵗ/(1 − β₂ᵗ)``."""
        return self.limit(h) - 2 * t * h.beta2**t / (1 - h.beta2**t)


def start(w: Array, h: Hyper) -> State:
    """Moments of zero."""
    return zeros(w, "exp_avg", "exp_avg_sq")


def step(
    w: Array, g: Array, t: Scalar, state: State, h: Hyper, convention: RAdamConvention
) -> tuple[Array, State]:
    """One step of RAdam.

    Args:
        w: parameter, any shape.
        g: gradient of the mean loss, same shape.
        t: number of gradients seen, this one included.
        state: ``exp_avg`` and ``exp_avg_sq``.
        h: hyperparameters of this step.
        convention: which variant of the rule to follow.

    Returns:
        The new parameter and the new state; the arguments are left as they were.

    >>> h = Hyper(lr=0.5, beta1=0.5, beta2=0.5)
    >>> w, state = step(1.0, 2.0, 1, start(1.0, h), h, TORCH)  # ρ∞ = 3: it never exceeds 5
    >>> float(w), state  # w = 1 − ½ · 1/½
    (0.0, {'exp_avg': 1.0, 'exp_avg_sq': 2.0})
    """
    d = convention.descent(w, g, h)
    w = convention.before(w, h)
    m = ema(state["exp_avg"], d, h.beta1)
    v = ema_of_squares(state["exp_avg_sq"], d, h.beta2)
    c1, c2 = convention.correction(h.beta1, t), adam.correction(h.beta2, t)
    length, limit = convention.length(t, h), convention.limit(h)
    long = length > convention.threshold
    # Where r is not asked for, 5 stands for both lengths: its formula may have no value there.
    rectification = convention.rectification(np.where(long, length, 5), np.where(long, limit, 5))
    moved = either(m / c1 * h.lr, m * (h.lr / c1))
    scale = convention.scale(v, c2, h)
    w = w - np.where(long, moved * scale * rectification, convention.waiting(moved, scale))
    return convention.after(w, h), {"exp_avg": m, "exp_avg_sq": v}


TORCH = RAdamConvention(
    name="coupled_unscaled",
    equation="d = g + λw enters both moments; from ρ > 5 on w = w − γ m/c₁ · r√c₂/(√v + ε)",
    source="torch.optim.RAdam",
)


LATE = frozenset({"late", "beta2"})
"""ρ > 5 takes six steps, and more where β₂ is not large; at 0.999 it is near 5 before."""

DECAYS = decay.meanings(TORCH, decay.WITH_EPS | LATE)
"""What else ``weight_decay`` may mean. While w waits, λw in the moment is nearly λw in w."""

WAITING: tuple[RAdamConvention, ...] = (
    replace(
        TORCH,
        name="threshold_of_four",
        equation="rectified from ρ > 4 on",
        source="algorithm 2 of arXiv:1908.03265",
        parts=LATE,
        threshold=4,
    ),
    replace(
        TORCH,
        name="limit_unshifted",
        equation="ρ∞ = 2/(1−β₂)",
        source="code that drops the 1, so that every ρ is too long by it",
        parts=LATE,
        limit=lambda h: 2 / (1 - h.beta2),
    ),
    replace(
        TORCH,
        name="waiting_still",
        equation="w = w while ρ <= 5",
        source="RAdam of the paper's authors, whose degenerated_to_sgd is off by default",
        waiting=lambda moved, scale: 0,
    ),
    replace(
        TORCH,
        name="waiting_adaptively",
        equation="w = w − γ m/c₁ · √c₂/(√v + ε) while ρ <= 5",
        source="code that leaves out r alone while it has no value",
        waiting=lambda moved, scale: moved * scale,
    ),
    replace(
        TORCH,
        name="unrectified",
        equation="r = 1",
        source="Adam that follows momentum for five steps",
        parts=LATE,
        rectification=lambda length, limit: 1,
    ),
    replace(
        TORCH,
        name="first_uncorrected",
        equation="c₁ = 1",
        source="code that takes r for the whole of the correction",
        correction=adam.uncorrected,
    ),
)
"""When else w may move, and how far."""

SCALES: tuple[RAdamConvention, ...] = (
    replace(
        TORCH,
        name="second_uncorrected",
        equation="w = w − γ m/c₁ · r/(√v + ε)",
        source="code that takes r for the correction of v",
        parts=LATE,
        scale=lambda v, c2, h: 1 / (np.sqrt(v) + h.eps),
    ),
    replace(
        TORCH,
        name="eps_ignored",
        equation="w = w − γ m/c₁ · r√c₂/√v",
        source="the paper; torch's multi-tensor code up to 1.13 (pytorch PR 70230 asks why)",
        parts=LATE | {"eps"},
        scale=lambda v, c2, h: 1 / np.sqrt(v) * np.sqrt(c2),
    ),
    replace(
        TORCH,
        name="eps_corrected",
        equation="w = w − γ m/c₁ · r/(√v/√c₂ + ε)",
        source="optax.radam, TensorFlow Addons RectifiedAdam; Adam in torch itself",
        parts=LATE | {"eps"},
        scale=lambda v, c2, h: 1 / (np.sqrt(v) / np.sqrt(c2) + h.eps),
    ),
    replace(
        TORCH,
        name="eps_inside",
        equation="w = w − γ m/c₁ · r√c₂/√(v + ε)",
        source="torch's documentation up to 1.13, though not its code",
        parts=LATE | {"eps"},
        scale=lambda v, c2, h: 1 / np.sqrt(v + h.eps) * np.sqrt(c2),
    ),
)
"""What else the adaptive part may be."""

DRAWING = replace(
    adam.DRAWING,
    domains={
        **adam.DRAWING.domains,
        "beta2": Domain(special=(0.999, 0.9, 0.5, 0.75, 0.95, 0.0), low=0.1, high=0.999),
    },
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
        g=(0.1, 0.5),
    ),
    half=Separating(
        hyper={
            "lr": (0.5, 0.62),
            "beta1": (0.5, 0.6),
            "beta2": (0.94, 0.95),
            "eps": (0.06, 0.08),
            "weight_decay": (0.8, 1),
        },
        w=(0.02, 0.03),
        g=(0.015, 0.02),
    ),
    free=frozenset({"beta1"}),
    steps=(7, 8, 7),
)

RULE = replace(
    adam.RULE,
    name="RAdam",
    symbols="w parameter, g gradient, m and v first and second moment, d descent direction, γ lr, "
    "β₁ β₂ betas, ε eps, λ weight decay, cᵢ = 1 − βᵢᵗ, ρ length of the average behind v, ρ∞ its "
    "limit, r rectification, n batch size",
    hyper=Hyper,
    step=step,
    conventions=(TORCH, *DECAYS, *WAITING, *SCALES),
    states=("step", "exp_avg", "exp_avg_sq"),
    start=start,
    drawing=DRAWING,
    binding=replace(
        adam.RULE.binding,
        tensor_step=frozenset({"capturable"}),
    ),
)
"""Adam's rule with a wait."""
