r"""AdamW: the rule of ``torch.optim.AdamW``, which is Adam's with decoupled decay.

Symbols
-------
w  parameter                      g  gradient of the loss            t  number of gradients seen
m  first moment (``exp_avg``)     v  second moment (``exp_avg_sq``)
v̄  largest v so far (``max_exp_avg_sq``)
γ  learning rate (lr)             β₁, β₂  decay rates (betas)        ε  term for stability (eps)
λ  weight decay                   c₁ = 1 − β₁ᵗ, c₂ = 1 − β₂ᵗ         n  batch size

The rule (torch's documentation, ``torch.optim.AdamW``; code in ``torch/optim/adam.py``)
-----------------------------------------------------------------------------------------
1.  descent      w = (1 − γλ)w,  d = g     (−g if *maximize*)
2.  moments      m = β₁m + (1−β₁)d     v = β₂v + (1−β₂)d²       both from 0
3.  maximum      v = v̄ = max(v̄, v)     with *amsgrad* only; what enters is v, not v/c₂
4.  denominator  D = √v/√c₂ + ε
5.  move         w = w − (γ/c₁) m/D

λ is 0.01 unless given. All lines but the first are those of :mod:`oracles.optimizers.adam`. Since
torch 2.7 the class is ``Adam(decoupled_weight_decay=True)`` under another name; before, it was a
copy of the code.

Where sources disagree
----------------------
Loshchilov & Hutter (2019, arXiv:1711.05101), algorithm 2, line 12, subtract ηλw, where η is a
schedule multiplier that starts at 1 and not the learning rate α: ``decoupled`` below, as TensorFlow
Addons and Chainer have it. torch, Keras, optax, Paddle and MLX scale the decay by the learning
rate, so the λ of the paper is γλ there. ONNX shrinks after the step.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from oracles.numerics import Scalar
from oracles.optimizers import adam, decay
from oracles.rule import carried_over


class Hyper(NamedTuple):
    """Hyperparameters of one step, with torch's names and defaults (all dimensionless)."""

    lr: Scalar = 1e-3
    beta1: Scalar = 0.9
    beta2: Scalar = 0.999
    eps: Scalar = 1e-8
    weight_decay: Scalar = 1e-2
    amsgrad: bool = False
    maximize: bool = False
    batch_size: Scalar = 1


TORCH = replace(
    adam.TORCH,
    name="decoupled_lr",
    equation="w = (1 − γλ)w before the step; λw enters no moment",
    source="torch.optim.AdamW; also optax.adamw, Keras, Paddle, tinygrad, MLX",
    descent=decay.undecayed,
    before=decay.shrunk_lr,
)

COUPLED = replace(
    adam.TORCH,
    source="torch.optim.Adam(weight_decay=): L2 regularization",
    parts=decay.WITH_EPS,
    elsewhere="Adam",
    descent=decay.coupled,
    before=decay.unchanged,
)

DECAYS = (COUPLED, *decay.meanings(TORCH, table=decay.DECOUPLED))
"""What else ``weight_decay`` may mean."""

DRAWING = replace(
    adam.DRAWING,
    trial=Hyper(lr=0.5, eps=0.5, weight_decay=0.5),
)

RULE = replace(
    adam.RULE,
    name="AdamW",
    hyper=Hyper,
    conventions=(
        TORCH,
        *DECAYS,
        *carried_over(adam.MOMENTS, adam.TORCH, to=TORCH),
    ),
    drawing=DRAWING,
)
"""Adam's rule with its first line replaced."""
