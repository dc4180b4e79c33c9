"""What torch's kernels make of single operations lies in the enclosures of exact numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from oracles.harness.arithmetic.enclosure import Enclosure
from oracles.harness.arithmetic.formats import DTYPES, FORMATS, round_to
from oracles.numerics import rsqrt

SIZE = 4096
"""Some in a hundred thousand numbers are as far off as a kernel goes, and some in ten nearly so."""

OPERATIONS: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]] = {
    "sum": (lambda x, y: x + y, torch.add),
    "difference": (lambda x, y: x - y, torch.sub),
    "product": (lambda x, y: x * y, torch.mul),
    "quotient": (lambda x, y: x / y, torch.div),
    "root": (lambda x, y: np.sqrt(x), lambda x, y: x.sqrt()),
    "root of a list": (lambda x, y: np.sqrt(x), lambda x, y: torch._foreach_sqrt([x])[0]),  # noqa: SLF001
    "root in place": (lambda x, y: np.sqrt(x), lambda x, y: x.clone().sqrt_()),
    "reciprocal root": (lambda x, y: rsqrt(x), lambda x, y: x.rsqrt()),
    "exponential": (lambda x, y: np.exp(x), lambda x, y: x.exp()),
    "logarithm": (lambda x, y: np.log(x), lambda x, y: x.log()),
    "power": (lambda x, y: x**y, torch.pow),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OPERATIONS)
def test_what_a_kernel_gives_lies_in_the_enclosure(name: str, dtype: str) -> None:
    ours, theirs = OPERATIONS[name]
    rng = np.random.default_rng(1)
    x, y = (round_to(dtype, rng.uniform(0.25, 4, SIZE)) for _ in range(2))
    balls = ours(*(Enclosure.exact(values, FORMATS[dtype]) for values in (x, y)))
    tensors = (torch.tensor(values, dtype=getattr(torch, dtype)) for values in (x, y))
    try:
        answer = theirs(*tensors)
    except RuntimeError as error:
        if "not implemented for 'Half'" not in str(error):
            raise
        pytest.skip(f"this torch has no such kernel: {error}")
    assert balls.contains(answer.double().numpy()).all()
    assert np.isfinite(balls.rad).all()
