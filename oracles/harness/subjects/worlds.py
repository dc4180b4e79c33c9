"""torch's global state as a table of context managers: the worlds an optimizer may be asked in.

All that they change is restored, also when the optimizer raises. A world that an older torch lacks
is not in the table. Left out are those that torch documents to change numbers: flushed denormals
(``torch.set_flush_denormal``), faster products of float32 matrices
(``torch.set_float32_matmul_precision``) and the number of threads.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch

from oracles.harness.subjects.subject import World

Entered = Callable[[], AbstractContextManager[Any]]


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """Tensors made of Python numbers have another dtype than float32."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def on_threads(count: int) -> Iterator[None]:
    """So many threads share torch's work."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def default_device() -> AbstractContextManager[Any]:
    """Tensors made without saying where are on the meta device, which is there on every machine.

    It has no memory: what a step creates there in place of the parameter's device shows at once.
    """
    entered: AbstractContextManager[Any] = torch.device("meta")
    return entered


@contextmanager
def autocast() -> Iterator[None]:
    """Products of matrices are computed in bfloat16, on each kind of device there is."""
    with torch.autocast("cpu", torch.bfloat16):
        if not torch.cuda.is_available():
            yield
            return
        with torch.autocast("cuda", torch.bfloat16):
            yield


@contextmanager
def deterministic() -> Iterator[None]:
    """Deterministic kernels where there are any, and nan in all memory that is uninitialized.

    A kernel that has no deterministic form only warns: that torch refuses it is no answer.
    """
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with warnings.catch_warnings(), _filled():
            warnings.filterwarnings("ignore", message=".*deterministic")
            yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])


@contextmanager
def _filled() -> Iterator[None]:
    """Uninitialized memory is filled, where torch has a switch for that and somebody turned it."""
    switches: Any = getattr(torch.utils, "deterministic", None)
    if not hasattr(switches, "fill_uninitialized_memory"):
        yield
        return
    before = switches.fill_uninitialized_memory
    switches.fill_uninitialized_memory = True
    try:
        yield
    finally:
        switches.fill_uninitialized_memory = before


WORLDS: Mapping[World, Entered] = {
    World.PLAIN: nullcontext,
    World.BFLOAT16: partial(default_dtype, torch.bfloat16),
    World.FLOAT64: partial(default_dtype, torch.float64),
    **({World.DEVICE: default_device} if hasattr(torch.device, "__enter__") else {}),
    World.AUTOCAST: autocast,
    World.NO_GRAD: torch.no_grad,
    World.INFERENCE: torch.inference_mode,
    World.DETERMINISTIC: deterministic,
}
"""How each world is entered, as far as this torch has it."""
