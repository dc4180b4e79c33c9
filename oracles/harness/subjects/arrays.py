"""The arrays that a functional step may compute with."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

import numpy as np

from oracles.harness.arithmetic.formats import DTYPES
from oracles.harness.subjects.blackbox import NUMPY, Arrays


def _torch() -> Arrays:
    import torch

    def read(array: torch.Tensor) -> Any:
        return array.detach().to(torch.float64).cpu().numpy()

    return Arrays(
        "torch",
        DTYPES,
        lambda values, dtype: torch.from_numpy(np.array(values)).to(getattr(torch, dtype)),
        read,
    )


def _jax() -> Arrays:
    import jax
    import jax.numpy as jnp

    def make(values: Any, dtype: str) -> Any:
        with jax.enable_x64(True):
            return jnp.asarray(values, dtype)

    return Arrays(
        "jax",
        DTYPES,
        make,
        lambda array: np.asarray(array).astype(np.float64),
        lambda: jax.enable_x64(True),
    )


KINDS: Mapping[str, Callable[[], Arrays]] = MappingProxyType(
    {"numpy": lambda: NUMPY, "torch": cache(_torch), "jax": cache(_jax)}
)
"""By name, in the order in which they are tried where none is named: code that computes with
operators alone gives the same numbers in all of them."""


def there() -> list[str]:
    """The kinds whose library is installed.

    >>> "numpy" in there()
    True
    """
    return [name for name in KINDS if importlib.util.find_spec(name) is not None]
