"""check says which rule, and how accurate; a wrong or strange subject is one sentence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import oracles


def adam(params: Any, grads: Any, state: Any, lr: Any, b1: Any, b2: Any, eps: Any) -> Any:
    """Adam with its counter in float32, as frameworks keep it that have no float64."""
    t = state["t"] = state.get("t", 0) + 1
    moved = []
    for i, (w, g) in enumerate(zip(params, grads, strict=True)):
        m = state["m", i] = b1 * state.get(("m", i), 0 * w) + (1 - b1) * g
        v = state["v", i] = b2 * state.get(("v", i), 0 * w) + (1 - b2) * g * g
        c1, c2 = (float(1 - np.float32(b) ** np.float32(t)) for b in (b1, b2))
        moved.append(w - lr * (m / c1) / (np.sqrt(v / c2) + eps))
    return moved


def test_torch_s_own_is_within_its_own_enclosure() -> None:
    report = oracles.check(torch.optim.Adam)
    assert str(report.found) == "Adam follows Adam's coupled_unscaled"
    assert {a.dtype for a in report.accuracies} >= {"float64", "float32"}  # CPUs had no float16
    assert all(a.radii <= 1 for a in report.accuracies)


def test_the_operation_that_loses_digits_is_named() -> None:
    report = oracles.check(adam, "Adam", dtypes=["float64", "float32"])
    double, single = report.accuracies
    assert report.follows
    assert report.found.scalars == "float32"
    assert double.radii > 1e3
    assert double.cause == "counters in float32, so that 1 − βᵗ loses digits"
    assert single.radii <= 1
    assert str(report).startswith("adam follows Adam's coupled_unscaled; float64 within ")


def test_a_dtype_that_is_not_taken_is_told() -> None:
    report = oracles.check(adam, "Adam", dtypes=["bfloat16"])
    assert [dtype for dtype, _ in report.refused] == ["bfloat16"]


def test_names_of_one_s_own() -> None:
    class Mine(torch.optim.Optimizer):
        def __init__(self, params: Any, speed: float = 0.1, shrink: float = 0.0) -> None:
            super().__init__(params, {"speed": speed, "shrink": shrink})

        @torch.no_grad()
        def step(self, closure: Any = None) -> Any:
            for group in self.param_groups:
                for p in group["params"]:
                    p.mul_(1 - group["speed"] * group["shrink"]).sub_(group["speed"] * p.grad)

    report = oracles.check(
        Mine, "SGD", names={"lr": "speed", "weight_decay": "shrink"}, dtypes=["float64"]
    )
    assert report.follows


def raising(params: Any, grads: Any, state: Any, hyper: Any) -> Any:
    raise RuntimeError("not today")


def test_code_that_raises_follows_nothing() -> None:
    report = oracles.check(raising, "SGD")
    assert not report.follows
    assert str(report) == "raising cannot be asked: RuntimeError: not today"


def test_a_call_that_is_off() -> None:
    with pytest.raises(ValueError, match="rule='Lion' is not known; allowed: SGD"):
        oracles.check(adam, "Lion")
    with pytest.raises(TypeError, match="subject=3 cannot be asked; allowed"):
        oracles.check(3)
