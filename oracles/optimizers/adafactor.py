r"""Adafactor: the rule of ``torch.optim.Adafactor``.

Symbols
-------
w  parameter, N elements  g  gradient of the loss     t  number of gradients seen
R  row means of g² (``row_var``, whose last dimension is 1)
C  column means of g² (``col_var``, whose last but one is)
V  estimate of g² (``variance`` where w has less than two dimensions)
u  update                 ρ  relative step size       α  step size
γ  learning rate (lr)     τ  exponent (beta2_decay)   ε₁, ε₂  floors (eps)
d  clipping threshold     λ  weight decay             n  batch size

RMS(x) = |x|/√N is the root mean square of all elements. ε₁ = None stands for the distance from 1 to
the next number of the parameter's dtype.

The rule (torch's documentation, ``torch.optim.Adafactor``; code in ``torch/optim/_adafactor.py``)
----------------------------------------------------------------------------------------------------
1.  descent      g                              (−g if *maximize*)
2.  step size    ρ = min(γ, 1/√t),  α = max(ε₂, RMS(w)) ρ
3.  decay        w = (1 − γλ)w                  after α has looked at w
4.  averages     1 − β₂ = t^τ, so that the first gradient is taken whole
                 dimensions > 1:   R = β₂R + (1−β₂) mean(g² along the last dimension)
                                   C = β₂C + (1−β₂) mean(g² along the last but one)
                                   V = RC / max(mean(R along the last but one), ε₁)
                 otherwise:        V = β₂V + (1−β₂) g²
5.  update       u = g / √max(V, ε₁²)
6.  move         w = w − α u / max(1, RMS(u)/d)

All averages start at 0. A parameter without gradient is not touched, nor does its t advance. Where
there are more than two dimensions, the last two are rows and columns and the others a stack of
matrices; RMS looks at the whole parameter.

Where sources disagree
----------------------
* *Step size.* Shazeer & Stern (2018, arXiv:1804.04235) have no γ, and propose
  ρ = min(10⁻², 1/√t), as tensor2tensor has it; torch and Keras put γ in the place of 10⁻². optax,
  and transformers with ``relative_step=False``, take γ itself: steps then shrink only if a schedule
  says so. ``scale_parameter=False`` (transformers, timm, fairseq) leaves RMS(w) out.
* *ε₁.* The paper adds it to g² before the averages (algorithm 4; tensor2tensor, Keras, optax,
  transformers, all with 10⁻³⁰): its unit is that of V. torch clamps V at its square, where its
  unit is that of √V, and the mean of R at ε₁ itself, where it is that of V.
* *Decay.* The paper has none. torch and Keras scale it by γ; transformers, fairseq and timm by α,
  so that the parameter's own size enters twice; optax not at all.
* *Factors.* optax factors the two largest dimensions, and only if both have 128 elements or more;
  Keras and transformers the last two, as torch; tensor2tensor those of a matrix only.
* *torch's documentation* says that ``weight_decay`` is 1e-2 by default, which is 0, and leaves
  the ε₁ out of the first formula of its note on ε₁, so that 1 would be added to g².

How paths compute it
--------------------
Means of squares are squares of norms. Norms and means accumulate in float32 at least and are
rounded once. ρ, α, RMS and what u is divided by are Python numbers; the norms they are made of were
rounded to the parameter's dtype, and ``max(x, nan)`` is x to Python, so that a gradient that is nan
somewhere leaves other elements finite. With ε₁ = None a group takes the ε₁ of the first dtype it
meets for all of its parameters. ε₁² is zero in any format but float64 if ε₁ is the paper's 1e-30,
and then zero gradients are divided by zero and make nan. A parameter without elements divides by
zero in torch; here it stays as it is.

Each convention below is the first one with one of the lines replaced.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from oracles.drawing import Domain, Drawing, Separating
from oracles.numerics import (
    Array,
    Scalar,
    item,
    larger,
    lerp,
    mean,
    norm,
    one,
    resolution,
    rsqrt,
    zeros_like,
)
from oracles.optimizers import decay
from oracles.optimizers.refusal import negative, no_batch, outside
from oracles.rule import Binding, Convention, Rule, State, zeros

Averages = Callable[[State, Array, Scalar, Scalar], State]


class Hyper(NamedTuple):
    """Hyperparameters of one step, with torch's names and defaults (all dimensionless)."""

    lr: Scalar = 1e-2
    beta2_decay: Scalar = -0.8
    eps1: Scalar | None = None
    eps2: Scalar = 1e-3
    d: Scalar = 1
    weight_decay: Scalar = 0
    maximize: bool = False
    batch_size: Scalar = 1


def _root(size: int) -> Scalar:
    """√size: a whole number, which joins numbers of every kind, or a float64."""
    whole = math.isqrt(size)
    return whole if whole * whole == size else np.sqrt(size)


def rms(x: Array) -> Scalar:
    """Root mean square of all elements, as a Python number; that of none is 0."""
    return item(norm(x)) / _root(max(math.prod(np.shape(x)), 1))


def _mean_square(x: Array, axis: int) -> Array:
    length = norm(x, axis)
    return length * length / max(x.shape[axis], 1)


def _rate(t: Scalar, h: Hyper) -> Scalar:
    return np.minimum(h.lr, 1 / np.sqrt(t))


def _scale(w: Array, h: Hyper) -> Scalar:
    return larger(h.eps2, rms(w))


def _fresh(t: Scalar, h: Hyper) -> Scalar:
    return t**h.beta2_decay


def _averaging(seen: Callable[[Array, Scalar], Array]) -> Averages:
    """Averages of what ``(g², ε₁)`` is seen as, factored where there are rows and columns."""

    def averages(old: State, g: Array, fresh: Scalar, floor: Scalar) -> State:
        if np.ndim(g) < 2:
            return {"variance": lerp(old["variance"], seen(g * g, floor), fresh)}
        rows, columns = (seen(_mean_square(g, axis), floor) for axis in (-1, -2))
        return {
            "row_var": lerp(old["row_var"], rows, fresh),
            "col_var": lerp(old["col_var"], columns, fresh),
        }

    return averages


_averages = _averaging(lambda square, floor: square)


def _whole_squares(old: State, g: Array, fresh: Scalar, floor: Scalar) -> State:
    return {"variance": lerp(old.get("variance", zeros_like(g)), g * g, fresh)}


def _factored(averages: State, floor: Scalar) -> Array:
    if "variance" in averages:
        return averages["variance"]
    rows = averages["row_var"]
    return rows * averages["col_var"] / np.maximum(mean(rows, -2), floor)


def _estimate(averages: State, floor: Scalar) -> Array:
    return np.maximum(_factored(averages, floor), floor * floor)


def _unfloored(averages: State, floor: Scalar) -> Array:
    return _factored(averages, 0)


def _divisor(u: Array, h: Hyper) -> Scalar:
    return larger(1, rms(u) / h.d)


@dataclass(frozen=True, kw_only=True)
class AdafactorConvention(Convention):
    """One line for each part of the step; the defaults are torch's.

    Attributes:
        descent: ``(w, g, h) -> g``, what is averaged and followed.
        rate: ``(t, h) -> ρ``.
        scale: ``(w, h) -> α/ρ``.
        before: ``(w, h) -> w``, what happens to w itself before the step.
        relative: ``(w, α, h) -> w``, the same where it goes by the step size.
        fresh: ``(t, h) -> 1 − β₂``.
        averages: ``(old averages, g, 1 − β₂, ε₁) -> averages``.
        estimate: ``(averages, ε₁) -> V``, with its floor.
        divisor: ``(u, h)``, what clips u.
        after: ``(w, h) -> w``, what happens to w itself after the step.
    """

    descent: Callable[[Array, Array, Any], Array] = decay.undecayed
    rate: Callable[[Scalar, Hyper], Scalar] = _rate
    scale: Callable[[Array, Any], Scalar] = _scale
    before: Callable[[Array, Any], Array] = decay.shrunk_lr
    relative: Callable[[Array, Scalar, Any], Array] = lambda w, alpha, h: w
    fresh: Callable[[Scalar, Hyper], Scalar] = _fresh
    averages: Averages = _averages
    estimate: Callable[[State, Scalar], Array] = _estimate
    divisor: Callable[[Array, Hyper], Scalar] = _divisor
    after: Callable[[Array, Any], Array] = decay.unchanged


def start(w: Array, h: Hyper) -> State:
    """Averages of zero."""
    if np.ndim(w) < 2:
        return zeros(w, "variance")
    rows, columns = (np.sum(w, axis=axis, keepdims=True) for axis in (-1, -2))
    return {"row_var": zeros_like(rows), "col_var": zeros_like(columns)}


def step(
    w: Array, g: Array, t: Scalar, state: State, h: Hyper, convention: AdafactorConvention
) -> tuple[Array, State]:
    """One step of Adafactor.

    Args:
        w: parameter, any shape; one without elements stays as it is.
        g: gradient of the mean loss, same shape.
        t: number of gradients seen, this one included.
        state: ``row_var`` and ``col_var``, or ``variance`` of a w with less than two dimensions.
        h: hyperparameters of this step.
        convention: which variant of the rule to follow.

    Returns:
        The new parameter and the new state; the arguments are left as they were.

    >>> h = Hyper(lr=0.5, eps1=0.5)
    >>> w, g = np.array([3.0, 4.0]), np.array([2.0, 2.0])
    >>> w, state = step(w, g, 1, start(w, h), h, TORCH)
    >>> state["variance"].tolist()  # β₂ = 0 at first: u = (1, 1), α = ½ √(25/2)
    [4.0, 4.0]
    >>> np.round(w, 4).tolist()
    [1.2322, 2.2322]
    """
    floor = resolution(w) if h.eps1 is None else h.eps1
    g = convention.descent(w, g, h)
    alpha = convention.scale(w, h) * convention.rate(t, h)
    w = convention.relative(convention.before(w, h), alpha, h)
    averages = convention.averages(state, g, convention.fresh(t, h), floor)
    u = rsqrt(convention.estimate(averages, floor)) * g
    w = w - (alpha / convention.divisor(u, h)) * u
    return convention.after(w, h), averages


TORCH = AdafactorConvention(
    name="decoupled_lr",
    equation="w = (1 − γλ)w before the step; α = max(ε₂, RMS(w)) min(γ, 1/√t); V ≥ ε₁²",
    source="torch.optim.Adafactor",
)

BATCH_SCALED, DECOUPLED, *OTHERS = decay.DECOUPLED

DECAYS = (
    replace(
        TORCH,
        name="coupled_unscaled",
        equation="g + λw is averaged and followed",
        source="L2 regularization, as weight_decay of torch.optim.Adam",
        parts=decay.DECAY,
        descent=decay.coupled,
        before=decay.unchanged,
    ),
    *decay.meanings(
        TORCH,
        decay.DECAY,
        (
            BATCH_SCALED,
            {
                "name": "decay_relative",
                "equation": "w = (1 − αλ)w: the decay is scaled by RMS(w) and 1/√t too",
                "source": "transformers.Adafactor, fairseq and timm "
                "(p.add_(p, alpha=-weight_decay * lr_t))",
                "before": decay.unchanged,
                "relative": lambda w, alpha, h: decay.shrunk(w, alpha * h.weight_decay, h),
            },
            DECOUPLED,
            {
                "name": "decay_before_rms",
                "equation": "α = max(ε₂, RMS((1 − γλ)w)) ρ",
                "source": "plausible slip: code that decays at the top of the step, as AdamW does",
                "scale": lambda w, h: _scale(decay.shrunk_lr(w, h), h),
            },
            *OTHERS,
        ),
        decoupled={
            "source": "optax.adafactor(weight_decay_rate=), which adds λw to the finished update",
        },
        decay_after={
            "source": "norm_coefficient_post of ONNX ai.onnx.preview.training Adam, applied to "
            "Adafactor",
        },
        decay_ignored={
            "equation": "no decay",
            "source": "the paper's algorithm; an optimizer built without weight_decay",
        },
    ),
)
"""What else ``weight_decay`` may mean."""


SIZES = (
    replace(
        TORCH,
        name="rate_uncapped",
        equation="ρ = γ",
        source="optax.adafactor(learning_rate); transformers.Adafactor(relative_step=False, "
        "scale_parameter=True)",
        rate=lambda t, h: h.lr,
    ),
    replace(
        TORCH,
        name="rate_paper",
        equation="ρ = min(1/100, 1/√t), whatever γ is",
        source="arXiv:1804.04235, its proposed hyperparameters; transformers.Adafactor(lr=None)",
        rate=lambda t, h: np.minimum(one(h.d) / 100, 1 / np.sqrt(t)),
    ),
    replace(
        TORCH,
        name="rate_scaled",
        equation="ρ = γ/√t",
        source="plausible slip: code that decays the learning rate instead of capping it",
        rate=lambda t, h: h.lr / np.sqrt(t),
    ),
    replace(
        TORCH,
        name="size_ignored",
        equation="α = ρ",
        source="transformers.Adafactor(scale_parameter=False), with its own ρ; fairseq and timm",
        scale=lambda w, h: 1,
    ),
    replace(
        TORCH,
        name="size_added",
        equation="α = (ε₂ + RMS(w)) ρ",
        source="plausible slip: code that adds ε, as Adam does",
        parts=frozenset({"eps2"}),
        scale=lambda w, h: h.eps2 + rms(w),
    ),
    replace(
        TORCH,
        name="size_by_norm",
        equation="α = max(ε₂, |w|) ρ",
        source="plausible slip: the norm in place of its mean, as LARS has it",
        parts=frozenset({"full", "matrix"}),
        scale=lambda w, h: larger(h.eps2, item(norm(w))),
    ),
)
"""What else the step size may be."""

ESTIMATES = (
    replace(
        TORCH,
        name="eps_added",
        equation="R and C average g² + ε₁; no floor for V",
        source="arXiv:1804.04235, algorithm 4; keras, optax.adafactor, transformers.Adafactor",
        parts=frozenset({"eps1"}),
        averages=_averaging(lambda square, floor: square + floor),
        estimate=_unfloored,
    ),
    replace(
        TORCH,
        name="eps_unsquared",
        equation="V ≥ ε₁",
        source="plausible slip: code that clamps V and takes the root afterwards",
        parts=frozenset({"eps1"}),
        estimate=lambda averages, floor: np.maximum(_factored(averages, floor), floor),
    ),
    replace(
        TORCH,
        name="unfactored",
        equation="V = β₂V + (1−β₂) g² for matrices too",
        source="optax.adafactor(min_dim_size_to_factor=128), its default, for smaller matrices",
        parts=frozenset({"matrix", "checkered"}),
        averages=_whole_squares,
    ),
    replace(
        TORCH,
        name="beta2_late",
        equation="1 − β₂ = (t + 1)^τ: the counter starts at 1 and is advanced first",
        source="plausible slip: a port that is off by one",
        parts=frozenset({"beta2_decay", "falling", "vector"}),
        fresh=lambda t, h: (t + 1) ** h.beta2_decay,
    ),
    replace(
        TORCH,
        name="beta2_constant",
        equation="1 − β₂ = 1/128 at every step, without bias correction",
        source="plausible slip: β₂ as in Adam, without Adam's correction",
        parts=frozenset({"beta2_decay", "falling", "vector"}),
        fresh=lambda t, h: one(h.d) / 128,
    ),
    replace(
        TORCH,
        name="unclipped",
        equation="w = w − αu",
        source="optax.adafactor(clipping_threshold=None)",
        parts=frozenset({"beta2_decay", "rising", "vector"}),
        divisor=lambda u, h: 1,
    ),
    replace(
        TORCH,
        name="clipped_by_norm",
        equation="u is divided by max(1, |u|/d)",
        source="plausible slip: the norm in place of its mean, as torch.nn.utils.clip_grad_norm_",
        parts=frozenset({"full", "matrix"}),
        divisor=lambda u, h: larger(1, item(norm(u)) / h.d),
    ),
)
"""What else the estimate of g² and the clipping may be."""


def constraint(h: Hyper) -> str | None:
    """Why torch's constructor refuses these hyperparameters, or None."""
    eps = ("eps2",) if h.eps1 is None else ("eps1", "eps2")
    return (
        negative(h, "lr", *eps, "weight_decay")
        or outside(h, "beta2_decay", h.beta2_decay <= 0, "0 or less")
        or outside(h, "d", h.d >= 1, "1 or more")
        or no_batch(h)
    )


DRAWING = Drawing(
    domains={
        "lr": Domain(special=(1.0, 0.5, 0.1, 1e-2, 1.0, 0.5, 0.1, 1e-2, 0.0), low=1e-3, high=2.0),
        "beta2_decay": Domain(special=(-0.8, -0.5, -1.0, -0.8, 0.0, -0.3, -2.0)),
        "eps1": Domain(special=(None, 0.5, 1e-3, None), low=1e-3, high=1.0, least_in_half=1e-2),
        "eps2": Domain(special=(1e-3, 0.5, 0.0, 1e-3), low=1e-4, high=2.0),
        "d": Domain(special=(1.0, 2.0, 1.0), low=1.0, high=4.0),
        "weight_decay": Domain(special=(0.0, 1.0, 0.1, 1e-2), low=1e-4, high=4.0),
    },
    nearest_allowed=decay.nearest_allowed,
    trial=Hyper(lr=0.5, eps1=0.5, weight_decay=0.5),
    full=Separating(
        hyper={
            "lr": (1.4, 1.6),
            "beta2_decay": (-2.2, -1.8),
            "eps1": (3, 4),
            "eps2": (8.5, 10),
            "weight_decay": (0.4, 0.6),
        },
        w=(3, 8),
        g=(-1, -0.6),
    ),
    half=Separating(
        hyper={
            "lr": (1.45, 1.55),
            "beta2_decay": (-2.2, -1.8),
            "eps1": (3, 4),
            "eps2": (4.5, 5),
            "weight_decay": (0.6, 0.64),
        },
        w=(3, 4),
        g=(-0.85, -0.75),
    ),
    free=frozenset({"weight_decay"}),
)

RULE = Rule(
    name="Adafactor",
    symbols="w parameter, g gradient, R and C row and column means of g², V estimate of g², "
    "u update, ρ and α relative and absolute step size, γ lr, τ beta2_decay, ε₁ ε₂ eps, "
    "d clipping threshold, λ weight decay, n batch size",
    hyper=Hyper,
    step=step,
    conventions=(TORCH, *DECAYS, *SIZES, *ESTIMATES),
    states=("step", "row_var", "col_var", "variance"),
    constraint=constraint,
    start=start,
    elementwise=False,
    drawing=DRAWING,
    binding=Binding(
        tuples={"eps": ("eps1", "eps2")},
    ),
)
