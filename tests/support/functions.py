"""Functional steps that several tests ask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def batch_scaled(params: Any, grads: Any, state: Any, lr: Any, wd: Any, n: Any) -> Any:
    """SGD, whose weight decay is divided by the batch size."""
    return [w - lr * (g + wd / n * w) for w, g in zip(params, grads, strict=True)]


def adam_by(correction: Callable[[Any, int], Any]) -> Callable[..., Any]:
    """Adam, which keeps every promise, with ``1 − βᵗ`` as it is told."""

    def adam(params: Any, grads: Any, state: Any, lr: Any, b1: Any, b2: Any, eps: Any) -> Any:
        t = state["t"] = state.get("t", 0) + 1
        moved = []
        for i, (w, g) in enumerate(zip(params, grads, strict=True)):
            m = state["m", i] = b1 * state.get(("m", i), 0 * w) + (1 - b1) * g
            v = state["v", i] = b2 * state.get(("v", i), 0 * w) + (1 - b2) * g * g
            c1, c2 = correction(b1, t), correction(b2, t)
            moved.append(w - lr * (m / c1) / ((v / c2) ** 0.5 + eps))
        return moved

    return adam
