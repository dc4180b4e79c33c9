r"""SparseAdam: the rule of ``torch.optim.SparseAdam``, Adam on the elements that have a gradient.

Symbols
-------
w  parameter                      g  gradient of the loss            t  number of gradients seen
m  first moment (``exp_avg``)     v  second moment (``exp_avg_sq``)
γ  learning rate (lr)             β₁, β₂  decay rates (betas)        ε  term for stability (eps)
c₁ = 1 − β₁ᵗ, c₂ = 1 − β₂ᵗ

The rule (torch's documentation, ``torch.optim.SparseAdam``; code in ``torch/optim/_functional.py``)
--------------------------------------------------------------------------------------------------
Of the elements that the sparse gradient stores, and of no others:

1.  moments      m = m + (1−β₁)(g − m)     v = v + (1−β₂)(g² − v)     both from 0 (−g if *maximize*)
2.  move         w = w − (γ√c₂/c₁) m/(√v + ε)

All other elements keep w, m and v as they are. Here, as in ``Tensor.to_sparse``, an element is
stored where g ≠ 0; a gradient may store zeros as well (in a row of ``nn.Embedding`` that was looked
up), and those do move. t counts the parameter's gradients, also those that store nothing: an
element whose gradient comes late is corrected as if it had been there from the start.

Where sources disagree
----------------------
* *ε.* It is added to the uncorrected √v, as at the end of section 2 of Kingma & Ba (2015,
  arXiv:1412.6980); ``torch.optim.Adam`` adds it to √v/√c₂, as their algorithm 1 does. torch's
  documentation of this class does not say which, and the default is 1e-8 in both: here it counts
  1/√c₂ times as much, thirty times at the first step with β₂ = 0.999.
* *Missing elements.* The rule "approximates" Adam, as the documentation puts it: Adam's moments
  decay where the gradient is 0, and w goes on moving. TensorFlow and Keras do that on sparse
  gradients, too; LazyAdam of TensorFlow Addons, MXNet (``lazy_update``) and Paddle (``lazy_mode``)
  do as torch.
* *Correction.* DGL's SparseAdam counts steps row by row, so that each row is corrected from its own
  start. It is no convention below because it keeps a counter that torch does not have.

There is no weight decay: it would move the elements that are missing.

How paths compute it
--------------------
There is one path, in plain Python numbers: no foreach, fused, capturable or differentiable.

Each convention below is the first one with one of the lines replaced.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from oracles.drawing import Domain, Drawing
from oracles.numerics import Array, Scalar, ema, scaled
from oracles.optimizers import adam, decay
from oracles.optimizers.refusal import no_batch, no_beta, outside
from oracles.rule import Binding, Convention, Rule, State, carried_over, named, zeros


class Hyper(NamedTuple):
    """Hyperparameters of one step, with torch's names and defaults (all dimensionless)."""

    lr: Scalar = 1e-3
    beta1: Scalar = 0.9
    beta2: Scalar = 0.999
    eps: Scalar = 1e-8
    maximize: bool = False
    batch_size: Scalar = 1


Correction = Callable[[Scalar, Scalar], Scalar]


def _denominator(v: Array, c2: Scalar, h: Hyper) -> Array:
    return np.sqrt(v) + h.eps


def _where_stored(g: Array, new: Array, old: Array) -> Array:
    return np.where(g == 0, old, new)


def _everywhere(g: Array, new: Array, old: Array) -> Array:
    return new


@dataclass(frozen=True, kw_only=True)
class SparseAdamConvention(Convention):
    """One line for each part of the step; the defaults are torch's.

    Attributes:
        remembered, moved: ``(g, new, old)`` -> which of the two moments, and parameters, are at
            elements of that gradient.
        first_correction, second_correction: ``(β, t) -> c``.
        denominator: ``(v, c₂, h) -> D``, what m is divided by, next to γ√c₂/c₁.
    """

    remembered: Callable[[Array, Array, Array], Array] = _where_stored
    moved: Callable[[Array, Array, Array], Array] = _where_stored
    first_correction: Correction = adam.correction
    second_correction: Correction = adam.correction
    denominator: Callable[[Array, Scalar, Any], Array] = _denominator


def start(w: Array, h: Hyper) -> State:
    """Moments of zero."""
    return zeros(w, "exp_avg", "exp_avg_sq")


def step(
    w: Array, g: Array, t: Scalar, state: State, h: Hyper, convention: SparseAdamConvention
) -> tuple[Array, State]:
    """One step of SparseAdam.

    Args:
        w: parameter, any shape.
        g: gradient of the mean loss, same shape; where it is 0, it stores nothing.
        t: number of gradients seen, this one included.
        state: ``exp_avg`` and ``exp_avg_sq``.
        h: hyperparameters of this step.
        convention: which variant of the rule to follow.

    Returns:
        The new parameter and the new state; the arguments are left as they were.

    >>> h = Hyper(lr=0.5, beta1=0.5, beta2=0.75, eps=1.0)
    >>> w = np.array([1.0, 1.0])  # √c₂/c₁ = 1, D = 1 + 1
    >>> w, state = step(w, np.array([2.0, 0.0]), 1, start(w, h), h, TORCH)
    >>> w.tolist(), state["exp_avg"].tolist()
    ([0.75, 1.0], [1.0, 0.0])
    """
    d = decay.signed(g, h)
    m, v = state["exp_avg"], state["exp_avg_sq"]
    m = convention.remembered(g, ema(m, d, h.beta1, literal=True), m)
    v = convention.remembered(g, ema(v, d * d, h.beta2, literal=True), v)
    c1, c2 = convention.first_correction(h.beta1, t), convention.second_correction(h.beta2, t)
    rate = h.lr * np.sqrt(c2) / c1
    w = convention.moved(g, w - scaled(rate, m, convention.denominator(v, c2, h)), w)
    return w, {"exp_avg": m, "exp_avg_sq": v}


TORCH = SparseAdamConvention(
    name="masked",
    equation="w, m and v stay where g is not stored; D = √v + ε, and the step is γ√c₂/c₁",
    source="torch.optim.SparseAdam; also LazyAdam of TensorFlow Addons",
)

MISSING = frozenset({"missing"})

MASKS = (
    replace(
        TORCH,
        name="dense",
        equation="m = β₁m, v = β₂v where g is missing, and w moves on",
        source="Adam of TensorFlow and Keras on sparse gradients; torch.optim.Adam on to_dense()",
        parts=MISSING,
        remembered=_everywhere,
        moved=_everywhere,
    ),
    replace(
        TORCH,
        name="moments_dense",
        equation="m = β₁m, v = β₂v where g is missing; w stays",
        source="code that masks the move and decays the moments as a whole",
        parts=MISSING | {"late", "falling", "beta1"},
        remembered=_everywhere,
    ),
    replace(
        TORCH,
        name="move_dense",
        equation="m and v stay where g is missing; w moves by them all the same",
        source="code that masks the moments and moves the parameter as a whole",
        parts=MISSING,
        moved=_everywhere,
    ),
)
"""What else may happen to elements without gradient."""

EPS = frozenset({"eps"})

DENOMINATORS = (
    replace(
        TORCH,
        name="eps_corrected",
        equation="D = √v + ε√c₂: ε is added to the corrected root",
        source="torch.optim.Adam; algorithm 1 of arXiv:1412.6980",
        parts=EPS,
        denominator=lambda v, c2, h: np.sqrt(v) + h.eps * np.sqrt(c2),
    ),
    replace(
        TORCH,
        name="eps_inside",
        equation="D = √(v + ε)",
        source="ε under the root, as Keras, optax and Paddle have it in RMSprop",
        parts=EPS | {"beta2"},
        denominator=lambda v, c2, h: np.sqrt(v + h.eps),
    ),
    replace(
        TORCH,
        name="eps_ignored",
        equation="D = √v",
        source="code that knows no element with a gradient to have v = 0",
        parts=EPS,
        denominator=lambda v, c2, h: np.sqrt(v),
    ),
    *carried_over(
        named(adam.MOMENTS, "uncorrected", "second_uncorrected", "correction_late"),
        adam.TORCH,
        to=TORCH,
    ),
)
"""What else ε and the correction may be."""


def constraint(h: Hyper) -> str | None:
    """Why torch's constructor refuses these hyperparameters, or None."""
    return (
        outside(h, "lr", h.lr > 0, "more than 0")
        or outside(h, "eps", h.eps > 0, "more than 0")
        or no_beta(h, "beta1", "beta2")
        or no_batch(h)
    )


def _allowed(name: str, domain: Domain) -> Domain:
    """Adam's domain without the 0, which only betas may be here."""
    special = tuple(v for v in domain.special if v or name.startswith("beta"))
    return replace(domain, special=special)


DRAWING = Drawing(
    domains={
        name: _allowed(name, domain)
        for name, domain in adam.DRAWING.domains.items()
        if name != "weight_decay"
    },
    trial=Hyper(lr=0.5, eps=0.5),
    full=adam.DRAWING.full,
    half=adam.DRAWING.half,
)

RULE = Rule(
    name="SparseAdam",
    symbols="w parameter, g gradient, m and v first and second moment, D denominator, γ lr, "
    "β₁ β₂ betas, ε eps, cᵢ = 1 − βᵢᵗ",
    hyper=Hyper,
    step=step,
    conventions=(TORCH, *MASKS, *DENOMINATORS),
    states=("step", "exp_avg", "exp_avg_sq"),
    constraint=constraint,
    start=start,
    sparse=True,
    drawing=DRAWING,
    binding=Binding(
        tuples=adam.RULE.binding.tuples,
    ),
)
