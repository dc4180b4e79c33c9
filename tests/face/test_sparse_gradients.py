"""Optimizers that take sparse gradients only, as of embeddings: whose rule do they follow?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

import oracles
from oracles.harness.subjects.foreign import ForeignOptimizer

Rows = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, dict[str, Any], dict[str, Any]], None]
"""A step of those rows of a parameter that have a gradient: ``(w, rows, values, state, group)``."""


class ByRows(torch.optim.Optimizer):
    """Looks at no parameter but through the rows of its gradient."""

    rows: Rows

    def __init__(self, params: Any, lr: float = 0.01, **options: Any) -> None:
        super().__init__(params, {"lr": lr, **options})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    gradient = p.grad.coalesce()
                    (rows,) = gradient.indices()
                    type(self).rows(p, rows, gradient.values(), self.state[p], group)


class RowSGD(ByRows):
    @staticmethod
    def rows(w: Any, rows: Any, g: Any, state: Any, group: Any) -> None:
        w.index_add_(0, rows, g, alpha=-group["lr"])


class RowAdagrad(ByRows):
    def __init__(self, params: Any, lr: float = 0.01, eps: float = 1e-10) -> None:
        super().__init__(params, lr, eps=eps)

    @staticmethod
    def rows(w: Any, rows: Any, g: Any, state: Any, group: Any) -> None:
        squares = state.setdefault("sum", torch.zeros_like(w))
        squares[rows] += g * g
        w[rows] -= group["lr"] * g / (squares[rows].sqrt() + group["eps"])


class LazyAdam(ByRows):
    def __init__(
        self, params: Any, lr: float = 1e-3, betas: Any = (0.9, 0.999), eps: float = 1e-8
    ) -> None:
        super().__init__(params, lr, betas=betas, eps=eps)

    @staticmethod
    def rows(w: Any, rows: Any, g: Any, state: Any, group: Any) -> None:
        m, v = (state.setdefault(name, torch.zeros_like(w)) for name in "mv")
        b1, b2 = group["betas"]
        t = state["step"] = state.get("step", 0) + 1
        m[rows] += (1 - b1) * (g - m[rows])
        v[rows] += (1 - b2) * (g * g - v[rows])
        rate = group["lr"] * (1 - b2**t) ** 0.5 / (1 - b1**t)
        w[rows] -= rate * m[rows] / (v[rows].sqrt() + group["eps"])


class LazyMomentum(ByRows):
    """SGD whose velocities rest where there is no gradient: no rule of torch's does that."""

    def __init__(self, params: Any, lr: float = 0.1, momentum: float = 0.0) -> None:
        super().__init__(params, lr, momentum=momentum)

    @staticmethod
    def rows(w: Any, rows: Any, g: Any, state: Any, group: Any) -> None:
        velocity = state.setdefault("velocity", torch.zeros_like(w))
        velocity[rows] = group["momentum"] * velocity[rows] + g
        w[rows] -= group["lr"] * velocity[rows]


@pytest.mark.one_in(3)
@pytest.mark.parametrize(
    ("optimizer", "rule"),
    [
        (RowSGD, "SGD's coupled_unscaled"),
        (RowAdagrad, "Adagrad's coupled_unscaled"),
        (LazyAdam, "SparseAdam's masked"),
    ],
)
def test_it_is_named(optimizer: Any, rule: str) -> None:
    assert ForeignOptimizer(optimizer).sparse_only
    assert str(oracles.identify(optimizer)).startswith(f"{optimizer.__name__} follows {rule}")


def test_rows_that_are_left_out_are_looked_at() -> None:
    """As long as all rows are there it is SGD, and its name would be a wrong one."""
    told = str(oracles.identify(LazyMomentum))
    assert "no known rule" in told
    assert "nearest is SGD's coupled_unscaled" in told
    assert "gradients of zero" in told


class Either(RowSGD):
    """Takes gradients with all their elements as well, and is asked those."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.add_(p.grad, alpha=-group["lr"])


class NotYet(ByRows):
    """Raises at its first steps, whatever its gradients are."""

    calls = 0

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        type(self).calls += 1
        if self.calls <= len(("without a closure", "with one")):
            raise RuntimeError("not yet")


class Never(ByRows):
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        raise RuntimeError("not at all")


@pytest.mark.parametrize("optimizer", [Either, NotYet, Never, torch.optim.SGD])
def test_who_takes_others_or_none_is_not_taken_for_one(optimizer: Any) -> None:
    assert not ForeignOptimizer(optimizer).sparse_only
