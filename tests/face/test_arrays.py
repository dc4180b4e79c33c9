"""A functional step may compute with NumPy's arrays or torch's; JAX's: ``tox -e jax``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import oracles
from oracles.harness.promise import Word


def either(params: Any, grads: Any, state: Any, lr: Any, mu: Any) -> Any:
    """A step of operators alone."""
    for i, g in enumerate(grads):
        state[i] = mu * state[i] + g if i in state else g
    return [w - lr * state[i] for i, w in enumerate(params)]


def of_torch(params: Any, grads: Any, state: Any, lr: Any) -> Any:
    return [torch.sub(w, g, alpha=lr) for w, g in zip(params, grads, strict=True)]


def of_numpy(params: Any, grads: Any, state: Any, lr: Any) -> Any:
    return [np.subtract(w, lr * g, dtype=w.dtype) for w, g in zip(params, grads, strict=True)]


def in_place(params: Any, grads: Any, state: Any, lr: Any) -> None:
    for w, g in zip(params, grads, strict=True):
        w.sub_(g, alpha=lr)


@pytest.mark.one_in(3)
@pytest.mark.parametrize(
    ("step", "arrays", "taken"),
    [
        (either, None, 3),
        (either, "torch", 4),
        (of_torch, None, 4),
        (in_place, None, 4),
        (of_numpy, None, 3),
    ],
)
def test_a_step_is_given_the_arrays_that_it_takes(step: Any, arrays: Any, taken: int) -> None:
    report = oracles.check(step, "SGD", arrays=arrays, within=1)
    assert report.ok, str(report)
    assert len(report.accuracies) == taken  # NumPy has no bfloat16
    assert {line.word for line in report.promises} == {Word.KEPT}


@pytest.mark.parametrize("step", [either, of_torch, in_place, of_numpy])
def test_what_a_step_follows_is_found_on_the_arrays_that_it_takes(step: Any) -> None:
    assert oracles.identify(step, ["SGD"]).torchs


def test_arrays_that_it_does_not_take() -> None:
    report = oracles.check(of_torch, "SGD", arrays="numpy")
    assert str(report).startswith("of_torch cannot be stepped: raises TypeError: sub()")


def test_arrays_that_nobody_has() -> None:
    with pytest.raises(
        ValueError, match=r"arrays='cupy' is not known.*; allowed: numpy, torch, jax"
    ):
        oracles.check(either, arrays="cupy")
