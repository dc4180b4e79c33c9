r"""Stochastic gradient descent with momentum: the rule of ``torch.optim.SGD``.

Symbols
-------
w  parameter              g  gradient of the loss     b  momentum buffer (``momentum_buffer``)
γ  learning rate (lr)     λ  weight decay             μ  momentum
τ  dampening              m  batch size               t  number of steps this buffer has seen

The rule (torch's documentation, ``torch.optim.SGD``; code in ``torch/optim/sgd.py``)
------------------------------------------------------------------------------------
1.  descent      d = g + λw            (−g + λw if *maximize*: the decay keeps its sign)
2.  velocity     b = d                 when the parameter's buffer does not exist yet
                 b = μb + (1−τ)d       afterwards
3.  direction    d = b                 or, with *nesterov*, d = d + μb
4.  move         w = w − γd

With μ = 0 steps 2 and 3 are left out and no buffer appears; with λ = 0 the decay term is left out
(which matters when w is infinite). A parameter without gradient is not touched, nor is its buffer,
so "first step" means the first step *with a gradient and μ ≠ 0*, per parameter. γ, λ, μ and τ are
those of the step: nothing is remembered of earlier values but what is in b. (In rules whose m is a
moment the batch size is n.)

Where sources disagree
----------------------
* *Decay.* L2 regularization adds (λ/2)|w|² to the loss, hence λw to the gradient (torch). Written
  as a sum over m rows and divided by m at the end, (1/m)(Σ loss + (λ/2)|w|²), the same λ becomes
  λ/m: the ``batch_scaled`` convention. Keras' ``L2(λ)`` omits the ½, hence 2λ. *Decoupled* decay
  (Loshchilov & Hutter 2019, arXiv:1711.05101, algorithm 1) shrinks w itself and keeps λw out of b;
  whether the shrinkage is scaled by γ differs between frameworks.
* *Momentum.* Sutskever et al. (2013, eq. 3) keep γ inside the velocity, v = μv + γd, w = w − v.
  At constant γ this is the same trajectory with v = γb; when γ changes it is not, as a note in
  torch's documentation says.
* *First step.* torch starts b at the first d, undampened; a buffer that starts at zero is dampened
  at once. The documentation's pseudo-code says "if t > 1" and means the buffer's own t, not the
  optimizer's.
* *Nesterov.* torch's documentation credits Sutskever et al.; the formula is the re-parameterized
  one of Bengio et al. (2012, arXiv:1212.0901, eq. 7), which evaluates g at the looked-ahead point.

Each convention below is the first one with one of its lines replaced.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from oracles.drawing import Domain, Drawing, Separating
from oracles.numerics import Array, Scalar
from oracles.optimizers import decay
from oracles.optimizers.refusal import negative, no_batch
from oracles.rule import Convention, Rule, State


class Hyper(NamedTuple):
    """Hyperparameters of one step, with torch's names and defaults (all dimensionless)."""

    lr: Scalar = 1e-3
    momentum: Scalar = 0
    dampening: Scalar = 0
    weight_decay: Scalar = 0
    nesterov: bool = False
    maximize: bool = False
    batch_size: Scalar = 1


def _unscaled(d: Array, h: Hyper) -> Array:
    return d


def _velocity(b: Array | None, d: Array, h: Hyper) -> Array:
    return d if b is None else h.momentum * b + (1 - h.dampening) * d


def _direction(g: Array, d: Array, b: Array, h: Hyper) -> Array:
    return d + h.momentum * b if h.nesterov else b


def _move(w: Array, d: Array, h: Hyper) -> Array:
    return w - h.lr * d


@dataclass(frozen=True, kw_only=True)
class SGDConvention(Convention):
    """One line for each part of the step; the defaults are torch's.

    Attributes:
        descent: ``(w, g, h) -> d``, what the velocity sees.
        before, after: ``(w, h) -> w``, what happens to w itself around the step.
        scaled: ``(d, h) -> d``, in which units the velocity is kept: torch's are the gradient's.
        velocity: ``(b or None, d, h) -> b``.
        direction: ``(g, d, b, h) -> d``, where w goes; g is the signed gradient without decay, in
            the velocity's units.
        move: ``(w, d, h) -> w``.
    """

    descent: Callable[[Array, Array, Hyper], Array] = decay.coupled
    before: Callable[[Array, Hyper], Array] = decay.unchanged
    scaled: Callable[[Array, Hyper], Array] = _unscaled
    velocity: Callable[[Array | None, Array, Hyper], Array] = _velocity
    direction: Callable[[Array, Array, Array, Hyper], Array] = _direction
    move: Callable[[Array, Array, Hyper], Array] = _move
    after: Callable[[Array, Hyper], Array] = decay.unchanged


def step(
    w: Array, g: Array, t: Scalar, state: State, h: Hyper, convention: SGDConvention
) -> tuple[Array, State]:
    """One step of SGD.

    Args:
        w: parameter, any shape.
        g: gradient of the mean loss, same shape.
        t: not used: all that SGD remembers is in its buffer.
        state: ``{"momentum_buffer": b}``, or empty before the first step with momentum.
        h: hyperparameters of this step.
        convention: which variant of the rule to follow.

    Returns:
        The new parameter and the new state; the arguments are left as they were.

    >>> h = Hyper(lr=0.5, momentum=0.5, weight_decay=0.25)
    >>> w, state = step(4.0, 1.0, 1, {}, h, TORCH)  # d = 1 + 4/4, b = d
    >>> w, state
    (3.0, {'momentum_buffer': 2.0})
    >>> w, state = step(w, 0.25, 2, state, h, TORCH)  # d = 1/4 + 3/4, b = 2/2 + d
    >>> w, state
    (2.0, {'momentum_buffer': 2.0})
    """
    d = convention.scaled(convention.descent(w, g, h), h)
    w = convention.before(w, h)
    if h.momentum != 0:
        b = convention.velocity(state.get("momentum_buffer"), d, h)
        state = {"momentum_buffer": b}
        d = convention.direction(convention.scaled(decay.signed(g, h), h), d, b, h)
    return convention.after(convention.move(w, d, h), h), state


TORCH = SGDConvention(
    name="coupled_unscaled",
    equation="d = g + λw",
    source="torch.optim.SGD; also tinygrad, Paddle, MindSpore, MLX, optax add_decayed_weights",
)


DECAYS = (
    *decay.meanings(
        TORCH,
        decay.DECAY,
        batch_scaled={
            "equation": "d = g + (λ/m)w",
            "source": "scratch code that divides loss and penalty by m; scikit-learn MLPClassifier "
            "and MLPRegressor (_multilayer_perceptron.py, _compute_loss_grad: += alpha·coef, /= n)",
        },
        decoupled_lr={
            "equation": "w = (1 − γλ)w before the step; λw never enters b",
            "source": "SGDW of arXiv:1711.05101 with its schedule multiplier equal to γ; Keras SGD "
            "weight_decay=, timm SGDW",
            "parts": {"momentum"},
        },
        decoupled={"source": "TensorFlow Addons SGDW (weight_decay_optimizers.py)"},
        decay_after={
            "source": "norm_coefficient_post of ONNX ai.onnx.preview.training Adam, applied to SGD",
        },
        decay_sign_flipped={
            "source": "code that negates after adding the decay, or minimizes −loss with λ negated "
            "too",
        },
    ),
    replace(
        TORCH,
        name="coupled_doubled",
        equation="d = g + 2λw",
        source="Keras regularizers.L2(λ): penalty λ|w|² without the ½",
        parts=decay.DECAY,
        descent=lambda w, g, h: decay.plus(decay.signed(g, h), 2 * h.weight_decay, w, h),
    ),
    replace(
        TORCH,
        name="decay_drift",
        equation="w = w − γλ after the step: a constant, whatever w is",
        source="torch-optimizer 0.3 SGDW (sgdw.py: p.data.add_(weight_decay, alpha=-lr)), a bug",
        parts=decay.DECAY,
        descent=decay.undecayed,
        after=lambda w, h: w - h.lr * h.weight_decay,
    ),
    replace(
        TORCH,
        name="bias_undecayed",
        equation="λ = 0 for parameters of at most one dimension",
        source="timm create_optimizer_v2, scikit-learn, MXNet and MindSpore (by name)",
        parts=decay.DECAY | {"vector"},
        decays=lambda ndim: ndim > 1,
    ),
)
"""What else ``weight_decay`` may mean. Without momentum, decoupled decay is the same as coupled."""


def _from_zero(b: Array | None, d: Array, h: Hyper) -> Array:
    dampened = (1 - h.dampening) * d
    return dampened if b is None else h.momentum * b + dampened


def _moving_average(b: Array | None, d: Array, h: Hyper) -> Array:
    average = (1 - h.momentum) * d
    return average if b is None else h.momentum * b + average


VELOCITIES = (
    replace(
        TORCH,
        name="lr_in_velocity",
        equation="v = μv + (1−τ)γd, w = w − v",
        source="Sutskever et al. 2013 eq. 3; Keras, Chainer MomentumSGD, MXNet, scikit-learn MLP",
        parts=frozenset({"momentum", "schedule"}),
        scaled=lambda d, h: h.lr * d,
        move=lambda w, d, h: w - d,
    ),
    replace(
        TORCH,
        name="first_step_dampened",
        equation="b starts at 0: b = (1−τ)d at the first step too",
        source="MLX optimizers.SGD",
        parts=frozenset({"momentum", "dampening"}),
        velocity=_from_zero,
    ),
    replace(
        TORCH,
        name="ema_momentum",
        equation="b = μb + (1−μ)d from b = 0, no dampening",
        source="moving-average momentum, e.g. optax.ema before scaling; not dampening=μ, which "
        "leaves the first step whole",
        parts=frozenset({"momentum"}),
        velocity=_moving_average,
    ),
)
"""What else the velocity may be."""

LOOKING_AHEAD = (
    replace(
        TORCH,
        name="nesterov_undecayed",
        equation="d = g + μb: the look-ahead leaves λw out",
        source="the documentation of MXNet 1.x NAG, weight − lr (grad + momentum · state), which "
        "is the standard form only at wd = 0; what it runs has λ in both, and remembers that of "
        "the weight it has just written",
        parts=decay.DECAY | {"momentum", "nesterov"},
        direction=lambda g, d, b, h: _direction(g, g, b, h),
    ),
    replace(
        TORCH,
        name="nesterov_squared",
        equation="d = (1+μ)d + μ²b with the new b (the standard form has the old one)",
        source="Chainer NesterovAG (nesterov_ag.py: param += momentum² · v after v's update)",
        parts=frozenset({"momentum", "nesterov"}),
        direction=lambda g, d, b, h: (
            (1 + h.momentum) * d + h.momentum * h.momentum * b if h.nesterov else b
        ),
    ),
    replace(
        TORCH,
        name="nesterov_ignored",
        equation="d = b although nesterov is set",
        source="code that keeps the flag and drops the look-ahead",
        parts=frozenset({"momentum", "nesterov"}),
        direction=lambda g, d, b, h: b,
    ),
)
"""What else *nesterov* may mean."""


def _blind(h: Hyper) -> str | None:
    if h.nesterov and (h.momentum <= 0 or h.dampening != 0):
        return "nesterov=True needs momentum > 0 and dampening = 0"
    return None


def constraint(h: Hyper) -> str | None:
    """Why torch's constructor refuses these hyperparameters, or None."""
    return negative(h, "lr", "momentum", "weight_decay", nan=True) or _blind(h) or no_batch(h)


def nearest_allowed(h: Hyper) -> Hyper:
    """Make room for what is allowed, and cap the decay as :func:`decay.nearest_allowed` does.

    Nesterov needs momentum and no dampening. What was drawn of momentum is kept: where there is
    some, the dampening gives way, and where there is none, Nesterov does.
    """
    if constraint(h) is not None:
        h = h._replace(dampening=0.0) if h.momentum > 0 else h._replace(nesterov=False)
    capped: Hyper = decay.nearest_allowed(h)
    return capped


DRAWING = Drawing(
    domains={
        "lr": Domain(special=(1.0, 0.5, 0.1, 1e-3, 1.0, 0.5, 0.1, 1e-3, 0.0), low=1e-6, high=4.0),
        "momentum": Domain(special=(0.0, 0.5, 0.9, 1.0), low=1e-3, high=0.999),
        "dampening": Domain(special=(0.0, 0.5, 1.0), low=1e-3, high=0.999),
        "weight_decay": Domain(special=(0.0, 1.0, 0.1, 1e-4), low=1e-6, high=4.0),
    },
    nearest_allowed=nearest_allowed,
    with_buffers=lambda h: h._replace(momentum=h.momentum or 0.5),
    trial=Hyper(lr=0.5, momentum=0.5, weight_decay=0.5),
    full=Separating(
        hyper={
            "lr": (0.05, 0.9),
            "momentum": (0.1, 0.95),
            "dampening": (0.1, 0.9),
            "weight_decay": (0.01, 1),
        },
        w=(2, 16),
        g=(0.25, 4),
    ),
    half=Separating(
        hyper={
            "lr": (0.5, 0.62),
            "momentum": (0.8, 0.95),
            "dampening": (0.5, 0.8),
            "weight_decay": (0.7, 1),
        },
        w=(3, 4),
        g=(2, 3),
    ),
    free=frozenset({"momentum", "weight_decay"}),
)

RULE = Rule(
    name="SGD",
    symbols="w parameter, g gradient, b momentum buffer, v velocity, d descent direction, γ lr, "
    "λ weight decay, μ momentum, τ dampening, m batch size",
    hyper=Hyper,
    step=step,
    conventions=(TORCH, *DECAYS, *VELOCITIES, *LOOKING_AHEAD),
    states=("momentum_buffer",),
    constraint=constraint,
    linear=True,
    drawing=DRAWING,
)
