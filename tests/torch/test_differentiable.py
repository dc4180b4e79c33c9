"""What autograd gets out of a differentiable step: its derivatives by lr and weight decay.

Without momentum, w' = w − γ(g + λw), so for L = Σ c·w'

    ∂L/∂γ = −Σ c(g + λw)        ∂L/∂λ = −γ Σ c·w

All numbers below are small binary fractions, so both sides are exact and compared with ``==``.
"""

from __future__ import annotations

import pytest
import torch

from oracles.harness.subjects.paths import PATHS
from oracles.harness.subjects.torch_optim import absent
from oracles.optimizers.sgd import RULE

GRAPH = next(path for path in PATHS if path.graph)
W, G, C = [1.0, -2.0, 4.0], [0.5, 0.25, -1.0], [1.0, 2.0, -0.5]
LR, DECAY = 0.5, 0.25


def rates() -> tuple[torch.Tensor, torch.Tensor]:
    """Learning rate and weight decay as leaves of a graph."""
    if reason := absent(RULE, torch.optim.SGD, GRAPH, "float32", "cpu"):
        pytest.skip(f"{GRAPH.name}: {reason}")
    return torch.tensor(LR, requires_grad=True), torch.tensor(DECAY, requires_grad=True)


def stepped(
    rates: tuple[torch.Tensor, torch.Tensor], momentum: float
) -> tuple[torch.Tensor, torch.optim.SGD]:
    w = torch.tensor(W)
    w.grad = torch.tensor(G)
    lr, decay = rates
    optimizer = torch.optim.SGD(
        [w], lr=lr, weight_decay=decay, momentum=momentum, differentiable=True
    )
    optimizer.step()
    return w, optimizer


def test_derivatives_of_one_step() -> None:
    given = rates()
    w, _ = stepped(given, momentum=0.0)
    by_rates = torch.autograd.grad((torch.tensor(C) * w).sum(), given)
    by_lr = -sum(c * (g + DECAY * w) for c, g, w in zip(C, G, W, strict=True))
    by_decay = -LR * sum(c * w for c, w in zip(C, W, strict=True))
    assert [d.item() for d in by_rates] == [by_lr, by_decay]


def test_the_first_buffer_is_outside_the_graph() -> None:
    w, optimizer = stepped(rates(), momentum=0.5)
    buffer = optimizer.state[w]["momentum_buffer"]
    assert not buffer.requires_grad
    assert buffer.tolist() == [g + DECAY * w for g, w in zip(G, W, strict=True)]
