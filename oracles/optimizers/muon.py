r"""Muon: the rule of ``torch.optim.Muon``, for matrices only.

Symbols
-------
w  parameter, A×B matrix    g  gradient of the loss     b  momentum buffer (``momentum_buffer``)
γ  learning rate (lr)       μ  momentum                 λ  weight decay
k  iterations (ns_steps)    ε  least norm (eps)         n  batch size
a, b₃, b₅  coefficients of the iteration (ns_coefficients)

The rule (torch's documentation, ``torch.optim.Muon``; code in ``torch/optim/_muon.py``)
-----------------------------------------------------------------------------------------
1.  momentum     b = μb + (1−μ)g                from 0
2.  look-ahead   u = (1−μ)g + μb                with *nesterov*; otherwise u = b
3.  orthogonal   X = u / max(|u|, ε)            Frobenius norm
                 k times:  X = aX + b₃(XXᵀ)X + b₅(XXᵀ)²X
4.  decay        w = (1 − γλ)w
5.  move         w = w − γ r X                  r = √max(1, A/B)      (None, "original")
                                                r = 0.2 √max(A, B)    ("match_rms_adamw")

The iteration of step 3 (Newton-Schulz) keeps the singular vectors of X and replaces each singular
value σ by p(σ) = aσ + b₃σ³ + b₅σ⁵. With torch's default coefficients it does not converge to 1; it
takes [0.01, 1] to about [0.7, 1.2] in five iterations and lets values wander there. A parameter
without gradient is not touched, nor is its buffer.

X does not depend on the scale of u (while |u| > ε); it changes its sign with u and is transposed
with u.

Where sources disagree
----------------------
* *Momentum.* torch's documentation has b = μb + g and u = g + μb; the code averages. The one is the
  other divided by 1−μ, in b and in u alike, which step 3 takes out again: parameters are the same
  at constant μ, buffers are not. Only where one line is averaged and the other is not do directions
  differ.
* *Coefficients.* (3.4445, −4.7750, 2.0315) are Jordan's (kellerjordan.github.io/posts/muon). The
  convergent cubic (3/2, −1/2, 0) is older (Björck & Bowie 1971); the limit of both is the polar
  factor UVᵀ, which Carlson et al. (2015) compute by a singular value decomposition.
* *ε.* Jordan adds it to the norm; torch takes the larger of the two.
* *Rate.* Jordan: √max(1, A/B), for weights stored as (out, in); in JAX and Keras kernels are
  (in, out) and the ratio turns over. Liu et al. (2025, arXiv:2502.16982, section 2.2) have
  0.2 √max(A, B).
* *Decay.* torch, Jordan and Liu et al. decay by γλ, with the γ that no r has multiplied.

How paths compute it
--------------------
There is one path, a for-loop. Step 3 runs in bfloat16 whatever the dtype of w is, so parameters of
float64 have eight correct bits of X, and less after iterations, which magnify what is rounded away.
How much less is derived for one iteration and for one row or column, and measured for two or more
of both (``oracles/harness/arithmetic/newton_schulz.py``).

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
    Coefficients,
    Scalar,
    ema,
    in_bfloat16,
    kept_like,
    lerp,
    newton_schulz,
    norm,
    zeros_like,
)
from oracles.optimizers import decay
from oracles.optimizers.refusal import negative, no_batch, outside
from oracles.rule import Binding, Convention, Rule, State


class Hyper(NamedTuple):
    """Hyperparameters of one step, with torch's names and defaults (all dimensionless)."""

    lr: Scalar = 1e-3
    weight_decay: Scalar = 0.1
    momentum: Scalar = 0.95
    nesterov: bool = True
    ns_a: Scalar = 3.4445
    ns_b: Scalar = -4.775
    ns_c: Scalar = 2.0315
    eps: Scalar = 1e-7
    ns_steps: Scalar = 5
    adjust_lr_fn: str | None = None
    batch_size: Scalar = 1


def _descent(w: Array, g: Array, h: Hyper) -> Array:
    return g


def _momentum(b: Array | None, g: Array, h: Hyper) -> Array:
    return ema(zeros_like(g) if b is None else b, g, h.momentum)


def _direction(g: Array, b: Array, h: Hyper) -> Array:
    return lerp(g, b, h.momentum) if h.nesterov else b


def _scaled(u: Array, h: Hyper) -> Array:
    return u / np.maximum(norm(u), h.eps)


def _iterated(x: Array, h: Hyper) -> Array:
    return newton_schulz(x, (h.ns_a, h.ns_b, h.ns_c), int(h.ns_steps))


def _taller(a: int, b: int) -> float:
    return math.sqrt(max(1, a / max(b, 1)))


def _longest(a: int, b: int) -> float:
    return 0.2 * math.sqrt(max(a, b))  # torch's literal


def _ratio(shape: tuple[int, int], h: Hyper) -> float:
    return (_longest if h.adjust_lr_fn == "match_rms_adamw" else _taller)(*shape)


@dataclass(frozen=True, kw_only=True)
class MuonConvention(Convention):
    """One line for each part of the step; the defaults are torch's.

    Attributes:
        descent: ``(w, g, h) -> g``, what momentum sees.
        momentum: ``(b or None, g, h) -> b``.
        direction: ``(g, b, h) -> u``.
        scaled: ``(u, h) -> X``, before the iterations.
        iterated: ``(X, h) -> X``.
        before, after: ``(w, h) -> w``, what happens to w itself around the step.
        ratio: ``((A, B), h) -> r``.
    """

    descent: Callable[[Array, Array, Any], Array] = _descent
    momentum: Callable[[Array | None, Array, Hyper], Array] = _momentum
    direction: Callable[[Array, Array, Hyper], Array] = _direction
    scaled: Callable[[Array, Hyper], Array] = _scaled
    iterated: Callable[[Array, Hyper], Array] = _iterated
    before: Callable[[Array, Any], Array] = decay.shrunk_lr
    ratio: Callable[[tuple[int, int], Hyper], float] = _ratio
    after: Callable[[Array, Any], Array] = decay.unchanged


def step(
    w: Array, g: Array, t: Scalar, state: State, h: Hyper, convention: MuonConvention
) -> tuple[Array, State]:
    """One step of Muon.

    Args:
        w: parameter, two dimensions.
        g: gradient of the mean loss, same shape.
        t: not used: all that Muon remembers is in its buffer.
        state: ``{"momentum_buffer": b}``, or empty before the first step.
        h: hyperparameters of this step.
        convention: which variant of the rule to follow.

    Returns:
        The new parameter and the new state; the arguments are left as they were.

    >>> h = Hyper(lr=0.5, momentum=0.5, nesterov=False, ns_steps=0, weight_decay=0.5)
    >>> w, g = np.array([[1.0, 2.0]]), np.array([[6.0, 8.0]])
    >>> w, state = step(w, g, 1, {}, h, TORCH)  # X = (3, 4)/5, w = ¾w − ½X
    >>> np.round(w, 4).tolist(), state["momentum_buffer"].tolist()
    ([[0.45, 1.1]], [[3.0, 4.0]])
    """
    g = convention.descent(w, g, h)
    b = convention.momentum(state.get("momentum_buffer"), g, h)
    u = convention.direction(g, b, h)
    x = convention.iterated(convention.scaled(in_bfloat16(u), h), h)
    w = convention.before(w, h)
    w = w - (h.lr * convention.ratio(w.shape, h)) * kept_like(x, w)
    return convention.after(w, h), {"momentum_buffer": b}


TORCH = MuonConvention(
    name="decoupled_lr",
    equation="w = (1 − γλ)w before the step; b averages g; X iterated from u/max(|u|, ε)",
    source="torch.optim.Muon; Moonlight (arXiv:2502.16982) with match_rms_adamw",
)

BARE = replace(TORCH, fixed={"ns_steps": 0})
"""Without iterations, which magnify what rounding does to a difference and not the difference."""

LARGE = replace(BARE, fixed={"ns_steps": 0, "lr": 4.0})
"""With steps beside which the rounding of w is nothing."""

ONCE = replace(TORCH, fixed={"ns_steps": 1, "lr": 4.0}, parts=frozenset({"row"}))
"""With an iteration of one singular value, whose enclosure is tight."""

DECAYS = (
    replace(
        BARE,
        name="coupled_unscaled",
        equation="b averages g + λw",
        source="L2 regularization, as weight_decay of torch.optim.SGD",
        parts=decay.DECAY | {"checkered"},
        descent=lambda w, g, h: decay.plus(g, h.weight_decay, w, h),
        before=decay.unchanged,
    ),
    *decay.meanings(
        BARE,
        decay.DECAY,
        table=decay.DECOUPLED[:-1],  # the last one needs maximize, which Muon lacks
        decoupled={
            "source": "decay that is not scaled by the rate, as in TensorFlow Addons",
        },
        decay_after={
            "source": "norm_coefficient_post of ONNX ai.onnx.preview.training Adam, applied to "
            "Muon",
        },
        decay_ignored={
            "equation": "no decay",
            "source": "github.com/KellerJordan/Muon before weight decay was added",
        },
    ),
)
"""What else ``weight_decay`` may mean."""

DIRECTIONS = (
    replace(
        LARGE,
        name="momentum_ignored",
        equation="u = g",
        source="code that keeps the buffer and follows the gradient",
        parts=frozenset({"momentum", "checkered"}),
        direction=lambda g, b, h: g,
    ),
    replace(
        LARGE,
        name="first_step_whole",
        equation="b starts as the first g, and averages afterwards",
        source="the first buffer of torch.optim.SGD",
        parts=frozenset({"momentum", "checkered"}),
        momentum=lambda b, g, h: g if b is None else _momentum(b, g, h),
    ),
    replace(
        LARGE,
        name="nesterov_ignored",
        equation="u = b although nesterov is set",
        source="code that keeps the flag and drops the look-ahead",
        parts=frozenset({"momentum", "nesterov", "checkered", "full"}),
        direction=lambda g, b, h: b,
    ),
    replace(
        LARGE,
        name="nesterov_unaveraged",
        equation="u = g + μb with the averaged b",
        source="torch's documentation of the look-ahead joined with its code of the buffer",
        parts=frozenset({"momentum", "nesterov", "checkered", "full"}),
        direction=lambda g, b, h: g + h.momentum * b if h.nesterov else b,
    ),
)
"""What else may be orthogonalized."""


def _iterating(coefficients: Coefficients) -> Callable[[Array, Hyper], Array]:
    """The iteration with other coefficients than those that are given."""
    return lambda x, h: newton_schulz(x, coefficients, int(h.ns_steps))


ORTHOGONALS = (
    replace(
        ONCE,
        name="normalized",
        equation="X = u/max(|u|, ε), without iterations",
        source="normalized gradient descent; Muon with the iteration forgotten",
        iterated=lambda x, h: x,
    ),
    replace(
        ONCE,
        name="cubic",
        equation="X = 3/2 X − 1/2 (XXᵀ)X, k times",
        source="Björck & Bowie 1971; the iteration Muon's is named after",
        iterated=_iterating((1.5, -0.5, 0)),
    ),
    replace(
        ONCE,
        name="quintic",
        equation="X = 15/8 X − 5/4 (XXᵀ)X + 3/8 (XXᵀ)²X, k times",
        source="the convergent iteration of the same degree, whose slope at 0 is half as steep",
        iterated=_iterating((1.875, -1.25, 0.375)),
    ),
    replace(
        BARE,
        name="eps_added",
        equation="X starts as u/(|u| + ε)",
        source="github.com/KellerJordan/Muon (X / (X.norm() + 1e-7)); optax.contrib.muon",
        parts=frozenset({"eps"}),
        scaled=lambda u, h: u / (norm(u) + h.eps),
    ),
)
"""What else the orthogonal factor may be."""

RATES = (
    replace(
        BARE,
        name="adjust_swapped",
        equation="r = 0.2 √max(A, B) by default, √max(1, A/B) on match_rms_adamw",
        source="ports of Moonlight's Muon, whose only ratio is the one torch calls match_rms_adamw",
        ratio=lambda shape, h: (_taller if h.adjust_lr_fn == "match_rms_adamw" else _longest)(
            *shape
        ),
    ),
    replace(
        BARE,
        name="adjust_turned",
        equation="r = √max(1, B/A)",
        parts=frozenset({"oblong"}),
        source="code for weights stored as (in, out), as JAX and Keras have them",
        ratio=lambda shape, h: (
            _ratio(shape, h) if h.adjust_lr_fn == "match_rms_adamw" else _taller(*shape[::-1])
        ),
    ),
)
"""What else the learning rate may be multiplied by."""


def constraint(h: Hyper) -> str | None:
    """Why torch refuses these hyperparameters, or None; too many iterations, at the step only."""
    known = h.adjust_lr_fn in (None, "original", "match_rms_adamw")
    return (
        negative(h, "lr", "momentum", "weight_decay")
        or outside(h, "ns_steps", h.ns_steps < 100, "less than 100")
        or outside(h, "adjust_lr_fn", known, "original, match_rms_adamw")
        or no_batch(h)
    )


TRIPLES = {3.4445: (-4.775, 2.0315), 1.5: (-0.5, 0.0), 1.875: (-1.25, 0.375)}
"""Coefficients that belong together, by the first of them: others diverge."""


def nearest_allowed(h: Hyper) -> Hyper:
    """Coefficients that belong together, and the decay capped as elsewhere.

    Each of the three is drawn by itself; the first one decides, and brings its own b₃ and b₅.
    """
    b, c = TRIPLES.get(h.ns_a, (h.ns_b, h.ns_c))
    capped: Hyper = decay.nearest_allowed(h._replace(ns_b=b, ns_c=c))
    return capped


DRAWING = Drawing(
    domains={
        "lr": Domain(special=(1.0, 0.5, 0.1, 1e-3, 1.0, 0.5, 0.1, 1e-3, 0.0), low=1e-3, high=2.0),
        "weight_decay": Domain(special=(0.1, 0.0, 1.0, 0.1), low=1e-3, high=2.0),
        "momentum": Domain(special=(0.95, 0.5, 0.0, 0.9), low=0.05, high=0.99),
        "ns_a": Domain(special=(3.4445, 3.4445, 1.5, 3.4445, 1.875)),
        "ns_b": Domain(special=(-4.775,)),
        "ns_c": Domain(special=(2.0315,)),
        "eps": Domain(special=(1e-7, 0.5, 1e-7), low=1e-7, high=2.0),
        "ns_steps": Domain(special=(5, 1, 0, 2, 5, 3)),
        "adjust_lr_fn": Domain(special=(None, "match_rms_adamw", "original")),
    },
    nearest_allowed=nearest_allowed,
    with_buffers=lambda h: h._replace(momentum=h.momentum or 0.5),
    trial=Hyper(lr=0.5, weight_decay=0.5),
    full=Separating(
        hyper={
            "lr": (0.4, 0.6),
            "weight_decay": (0.1, 0.5),
            "momentum": (0.85, 0.9),
            "eps": (0.1, 0.2),
        },
        w=(2, 8),
        g=(0.5, 2),
    ),
    half=Separating(
        hyper={
            "lr": (0.4, 0.6),
            "weight_decay": (1.2, 1.6),
            "momentum": (0.85, 0.9),
            "eps": (0.1, 0.2),
        },
        w=(0.2, 0.25),
        g=(0.95, 1.05),
    ),
    shapes=((1, 4), (3, 1), (2, 3), (5, 2), (1, 17), (3, 3), (4, 16), (9, 5)),
)

RULE = Rule(
    name="Muon",
    symbols="w parameter (A×B), g gradient, b momentum buffer, u what is orthogonalized, X its "
    "orthogonal factor after k = ns_steps iterations, a b₃ b₅ ns_coefficients, γ lr, r its ratio, "
    "μ momentum, λ weight decay, ε eps, n batch size",
    hyper=Hyper,
    step=step,
    conventions=(TORCH, *DECAYS, *DIRECTIONS, *ORTHOGONALS, *RATES),
    states=("momentum_buffer",),
    constraint=constraint,
    elementwise=False,
    measured=lambda shape, h: min(shape) > 1 and h.ns_steps > 1,
    drawing=DRAWING,
    binding=Binding(
        tuples={"ns_coefficients": ("ns_a", "ns_b", "ns_c")},
    ),
)
