"""The arrays that a functional step may compute with."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

import numpy as np

from oracles.harness.arithmetic.formats import DTYPES, FloatArray, round_to
from oracles.harness.subjects.subject import Declined


@dataclass(frozen=True)
class Arrays:
    """A kind of arrays.

    Attributes:
        name: of the library.
        dtypes: that it has.
        make: such an array, of float64 numbers that the dtype holds.
        read: its numbers in float64.
        around: what calls are made in.
    """

    name: str
    dtypes: Sequence[str]
    make: Callable[[FloatArray, str], Any]
    read: Callable[[Any], FloatArray]
    around: Callable[[], AbstractContextManager[Any]] = nullcontext

    def array(self, values: FloatArray, dtype: str) -> Any:
        """An array of that dtype.

        Raises:
            SubjectError: there are none.
        """
        if dtype not in self.dtypes:
            raise Declined(f"{self.name} has no {dtype}")
        return self.make(round_to(dtype, values), dtype)


NUMPY = Arrays(
    "numpy",
    ("float64", "float32", "float16"),
    lambda values, dtype: values.astype(dtype),
    lambda array: np.asarray(array).astype(np.float64),
)


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
