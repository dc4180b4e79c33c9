"""JAX's arrays, where JAX is installed: ``tox -e jax``."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import pytest

import oracles


def adam(params: Any, grads: Any, state: Any, lr: Any, b1: Any, b2: Any, eps: Any) -> Any:
    t = state["t"] = state.get("t", 0) + 1
    moved = []
    for i, (w, g) in enumerate(zip(params, grads, strict=True)):
        m = state["m", i] = b1 * state.get(("m", i), jnp.zeros_like(w)) + (1 - b1) * g
        v = state["v", i] = b2 * state.get(("v", i), jnp.zeros_like(w)) + (1 - b2) * g * g
        moved.append(w - lr * (m / (1 - b1**t)) / (jnp.sqrt(v / (1 - b2**t)) + eps))
    return moved


def compiled(params: Any, grads: Any, state: Any, lr: Any) -> Any:
    return jax.jit(lambda ws, gs: [w - lr * g for w, g in zip(ws, gs, strict=True)])(params, grads)


@pytest.mark.parametrize(("step", "rule"), [(adam, "Adam"), (compiled, "SGD")])
def test_a_step_of_jax_is_named(step: Any, rule: str) -> None:
    report = oracles.check(step, rule, arrays="jax", dtypes=["float64", "float32", "bfloat16"])
    assert report.follows, str(report)
    assert not report.broken, report.faults()
    assert [a.dtype for a in report.accuracies] == ["float64", "float32", "bfloat16"]
