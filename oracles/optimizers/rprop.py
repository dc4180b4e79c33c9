r"""Resilient backpropagation: the rule of ``torch.optim.Rprop``.

Symbols
-------
w   parameter               g   gradient of the loss        g₋  last gradient heeded (``prev``)
s   step size, one for each element (``step_size``)         γ   first step size (lr)
η₋, η₊  factors (etas)      Δ₋, Δ₊  bounds of s (step_sizes)

The rule (code in ``torch/optim/rprop.py``)
-------------------------------------------
1.  turn         σ = sign(g g₋)                    (−g if *maximize*); g₋ starts at 0
2.  step size    s = η₊s  where σ > 0              the gradient kept its sign
                 s = η₋s  where σ < 0              it turned
                 s = s    where σ = 0              s starts at γ
3.  bounds       s = min(max(s, Δ₋), Δ₊)           at every step, the first one included
4.  halt         g = 0    where σ < 0
5.  move         w = w − s sign(g),  g₋ = g

Only the sign of g matters to w. After a turn the element waits for one step, and the step after
that is as a first one: g₋ is 0, so s stays. γ is read once, when the state is made: an lr that a
scheduler changes afterwards moves nothing. The bounds are read at each step. There is no decay.

Where sources disagree
----------------------
* *Turning.* torch's documentation cites Riedmiller & Braun (1993, "A direct adaptive method for
  faster backpropagation learning"), who take the last move back where σ < 0. torch does not: it is
  the iRprop⁻ of Igel & Hüsken (2000, "Improving the Rprop learning algorithm", section 2), who name
  four variants. Rprop⁺ takes the move back and waits, Rprop⁻ moves on with the smaller s, and
  iRprop⁺ takes it back only if the loss rose, which no rule can know that sees gradients alone.
* *Bounds.* torch's documentation bounds s only where σ ≠ 0, and so do the papers and optax. The
  code bounds it always: a γ outside [Δ₋, Δ₊] is never used (remark of a reviewer, pytorch pull
  request 63866). The two are the same if γ is inside.
* *Factors.* The documentation's input line names η₊/₋ "(etaplus, etaminus)"; the tuple is
  ``(etaminus, etaplus)``.
* *Lag.* optax 0.2.8 returns the update of the step before, and none at the first step.

How paths compute it
--------------------
g g₋ may underflow to 0, where a product of signs would not: then s stays and w moves. The sign of
a nan is 0, so a nan in g moves nothing and is no turn, and so is an infinite g after g₋ = 0. The
code finds turns by comparing factors with η₋: where a short format rounds η₋ to 1, it takes σ = 0
for a turn, and w never moves.

Each convention below is the first one with one of the lines replaced.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from oracles.drawing import Domain, Drawing, Separating
from oracles.numerics import Array, Scalar, zeros_like
from oracles.optimizers import decay
from oracles.optimizers.refusal import negative, no_batch
from oracles.rule import Binding, Convention, Rule, State


class Hyper(NamedTuple):
    """Hyperparameters of one step, with torch's names and defaults (all dimensionless)."""

    lr: Scalar = 1e-2
    etaminus: Scalar = 0.5
    etaplus: Scalar = 1.2
    step_size_min: Scalar = 1e-6
    step_size_max: Scalar = 50
    maximize: bool = False
    batch_size: Scalar = 1


class Turn(NamedTuple):
    """What a step knows before it moves, each of the parameter's shape.

    Attributes:
        sign: σ = sign(g g₋).
        before: g₋, the gradient heeded at the step before.
        size: s of the step before.
    """

    sign: Array
    before: Array
    size: Array


def sign(x: Array) -> Array:
    """−1, 0 or 1; a nan has the sign 0, as ``torch.sign`` has it and NumPy has not."""
    return np.where(x > 0, 1, np.where(x < 0, -1, 0))


def _sign(g: Array, before: Array) -> Array:
    return sign(g * before)


def _resized(turn: Turn, size: Array, h: Hyper) -> Array:
    shrunk = np.where(turn.sign < 0, size * h.etaminus, size)
    return np.where(turn.sign > 0, size * h.etaplus, shrunk)


def _bounded(turn: Turn, size: Array, h: Hyper) -> Array:
    return np.minimum(np.maximum(size, h.step_size_min), h.step_size_max)


def _halted(turn: Turn, g: Array) -> Array:
    return np.where(turn.sign < 0, zeros_like(g), g)


def _moved(turn: Turn, w: Array, g: Array, size: Array) -> Array:
    return w - sign(g) * size


def _remembered(g: Array, h: Hyper) -> Array:
    return g


@dataclass(frozen=True, kw_only=True)
class RpropConvention(Convention):
    """One line for each part of the step; the defaults are torch's.

    Attributes:
        sign: ``(g, g₋) -> σ``.
        resized: ``(turn, s, h) -> s``.
        bounded: ``(turn, s, h) -> s``.
        halted: ``(turn, g) -> g``.
        moved: ``(turn, w, g, s) -> w``.
        remembered: ``(g, h) -> g₋``.
    """

    sign: Callable[[Array, Array], Array] = _sign
    resized: Callable[[Turn, Array, Hyper], Array] = _resized
    bounded: Callable[[Turn, Array, Hyper], Array] = _bounded
    halted: Callable[[Turn, Array], Array] = _halted
    moved: Callable[[Turn, Array, Array, Array], Array] = _moved
    remembered: Callable[[Array, Hyper], Array] = _remembered


def start(w: Array, h: Hyper) -> State:
    """No gradient so far, and a step size of γ."""
    return {"prev": zeros_like(w), "step_size": np.full_like(w, h.lr)}


def step(
    w: Array, g: Array, t: Scalar, state: State, h: Hyper, convention: RpropConvention
) -> tuple[Array, State]:
    """One step of Rprop.

    Args:
        w: parameter, any shape.
        g: gradient of the mean loss, same shape.
        t: not used: what Rprop knows of the past is in its buffers.
        state: ``prev`` and ``step_size``.
        h: hyperparameters of this step.
        convention: which variant of the rule to follow.

    Returns:
        The new parameter and the new state; the arguments are left as they were.

    >>> h = Hyper(lr=0.5, etaplus=2.0)
    >>> state = start(np.zeros(2), h)
    >>> w, state = step(np.zeros(2), np.array([3.0, -1.0]), 1, state, h, TORCH)
    >>> w, state = step(w, np.array([1.0, 1.0]), 2, state, h, TORCH)  # one goes on, one turned
    >>> w.tolist(), state["step_size"].tolist(), state["prev"].tolist()
    ([-1.5, 0.5], [1.0, 0.25], [1.0, 0.0])
    """
    g = decay.signed(g, h)
    turn = Turn(convention.sign(g, state["prev"]), state["prev"], state["step_size"])
    size = convention.bounded(turn, convention.resized(turn, turn.size, h), h)
    g = convention.halted(turn, g)
    w = convention.moved(turn, w, g, size)
    return w, {"prev": convention.remembered(g, h), "step_size": size}


TORCH = RpropConvention(
    name="irprop_minus",
    equation="g = 0 where σ < 0: the element waits, and the next step is as a first one",
    source="torch.optim.Rprop; also Paddle, MindSpore; iRprop⁻ of Igel & Hüsken 2000",
)

TURNING = frozenset({"turning"})

TURNS = (
    replace(
        TORCH,
        name="rprop_minus",
        equation="w = w − s sign(g) where σ < 0 too, with the smaller s",
        source="Rprop⁻ of Igel & Hüsken 2000, algorithm 2",
        parts=TURNING,
        halted=lambda turn, g: g,
    ),
    replace(
        TORCH,
        name="rprop_plus",
        equation="w = w + s₋ sign(g₋) where σ < 0: the last move is taken back",
        source="Riedmiller & Braun 1993, the paper torch cites; Rprop⁺ of Igel & Hüsken 2000",
        parts=TURNING,
        moved=lambda turn, w, g, size: np.where(
            turn.sign < 0, w + sign(turn.before) * turn.size, _moved(turn, w, g, size)
        ),
    ),
    replace(
        TORCH,
        name="turn_remembered",
        equation="w waits where σ < 0, but g₋ = g: the next step knows the new sign",
        source="ports that mask the move and store the gradient as it came",
        parts=TURNING | {"late"},
        halted=lambda turn, g: g,
        moved=lambda turn, w, g, size: np.where(turn.sign < 0, w, _moved(turn, w, g, size)),
    ),
    replace(
        TORCH,
        name="lagging",
        equation="w = w − s₋ sign(g₋) where σ ≥ 0: the update of the step before",
        source="optax.rprop 0.2.8 (scale_by_rprop returns state.prev_updates)",
        moved=lambda turn, w, g, size: np.where(
            turn.sign < 0, w, w - sign(turn.before) * turn.size
        ),
    ),
    replace(
        TORCH,
        name="zero_grows",
        equation="s = η₊s where σ ≥ 0, the first step included",
        source="code that writes >= for >, or starts g₋ as the first g",
        sign=lambda g, before: np.where(_sign(g, before) < 0, _sign(g, before), 1),
    ),
    replace(
        TORCH,
        name="ascent_forgotten",
        equation="g₋ is kept unsigned: under maximize every agreement is a turn",
        source="code that negates the gradient for the move and stores the one it was given",
        parts=frozenset({"maximize"}),
        remembered=decay.signed,
    ),
)
"""What else a turn may be, or do."""

SIZES = (
    replace(
        TORCH,
        name="factors_swapped",
        equation="s = η₋s where σ > 0, s = η₊s where σ < 0",
        source="etas read as (etaplus, etaminus), the order torch's documentation names them in",
        resized=lambda turn, size, h: _resized(
            turn, size, h._replace(etaminus=h.etaplus, etaplus=h.etaminus)
        ),
    ),
    replace(
        TORCH,
        name="size_forgotten",
        equation="s = γη±: the factors act on this step's γ instead of the last s",
        source="code that multiplies group['lr'] and keeps no step size",
        parts=frozenset({"schedule"}),
        resized=lambda turn, size, h: _resized(turn, np.full_like(size, h.lr), h),
    ),
    replace(
        TORCH,
        name="first_unbounded",
        equation="s is bounded only where σ ≠ 0",
        source="torch's own documentation; Riedmiller & Braun 1993; optax.rprop",
        parts=frozenset({"step_size_max"}),
        bounded=lambda turn, size, h: np.where(turn.sign == 0, size, _bounded(turn, size, h)),
    ),
    replace(
        TORCH,
        name="unbounded",
        equation="s is never bounded",
        source="code that drops step_sizes",
        parts=frozenset({"step_size_max"}),
        bounded=lambda turn, size, h: size,
    ),
    replace(
        TORCH,
        name="magnitude",
        equation="w = w − sg: the gradient itself, not its sign",
        source="step sizes taken for learning rates, as in the delta-bar-delta rule of Jacobs 1988",
        moved=lambda turn, w, g, size: w - size * g,
    ),
)
"""What else the step size may be."""


def _no_etas(h: Hyper) -> str | None:
    if 0 < h.etaminus < 1 < h.etaplus:
        return None
    return f"etas={(h.etaminus, h.etaplus)!r} is not allowed; allowed: 0 < etaminus < 1 < etaplus"


def constraint(h: Hyper) -> str | None:
    """Why torch's constructor refuses these hyperparameters, or None."""
    return negative(h, "lr") or _no_etas(h) or no_batch(h)


def nearest_allowed(h: Hyper) -> Hyper:
    """Factors that are on their side of 1: those drawn, or the default ones in place of both.

    One factor alone could not be taken from the defaults: only the pair is known to be allowed.
    """
    if constraint(h) is None:
        return h
    return h._replace(etaminus=Hyper().etaminus, etaplus=Hyper().etaplus)


DRAWING = Drawing(
    domains={
        "lr": Domain(special=(0.1, 1.0, 0.5, 1e-2, 0.0), low=1e-3, high=4.0),
        "etaminus": Domain(special=(0.5, 0.25), low=0.1, high=0.9),
        "etaplus": Domain(special=(1.2, 1.5, 2.0), low=1.05, high=3.0),
        "step_size_min": Domain(special=(1e-6, 0.25, 1e-2, 1e-6, 0.0), low=1e-6, high=0.5),
        "step_size_max": Domain(special=(50, 1.0, 0.3, 50), low=0.1, high=50.0),
    },
    nearest_allowed=nearest_allowed,
    trial=Hyper(lr=0.5),
    full=Separating(
        hyper={"lr": (0.2, 0.9), "step_size_max": (0.05, 0.15)},
        w=(2, 16),
        g=(2, 4),
    ),
    half=Separating(
        hyper={"lr": (0.5, 0.9), "step_size_max": (0.1, 0.2)},
        w=(1.5, 2),
        g=(2, 3),
    ),
    free=frozenset({"etaminus", "etaplus"}),
)

RULE = Rule(
    name="Rprop",
    symbols="w parameter, g gradient, g₋ the one before (prev), σ sign(g g₋), s step size, "
    "s₋ the one before, γ lr, η₋ η₊ etas, Δ₋ Δ₊ step_sizes",
    hyper=Hyper,
    step=step,
    conventions=(TORCH, *TURNS, *SIZES),
    states=("step", "prev", "step_size"),
    constraint=constraint,
    start=start,
    drawing=DRAWING,
    binding=Binding(
        tuples={
            "etas": ("etaminus", "etaplus"),
            "step_sizes": ("step_size_min", "step_size_max"),
        },
    ),
)
