"""What clipping does beside the questions: other kinds of gradients, and what it refuses."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from torch.nn.utils import clip_grad_norm_, clip_grad_value_

from oracles.harness.cases.clipping import Gradients
from oracles.harness.loop.clipping import values
from oracles.harness.subjects.subject import Place
from oracles.loop.clipping import CLIPPING

PARTS = [part.name for part in CLIPPING]
LIMITS = {1.0: 7.0, 2.0: 5.0, math.inf: 4.0}
"""Lengths of (3, 0, −4) by order."""


def parameter(*values: Any) -> torch.nn.Parameter:
    made = torch.nn.Parameter(torch.zeros(len(values), dtype=torch.tensor(values).dtype))
    made.grad = torch.tensor(values)
    return made


def test_every_function_that_clips_has_an_oracle() -> None:
    """But the one whose name has lost its underscore."""
    there = {name for name in dir(torch.nn.utils) if "clip" in name or "total_norm" in name}
    known = {part.name for part in CLIPPING}
    assert there - {"clip_grad", "clip_grad_norm"} <= known
    assert {"clip_grad_norm_", "clip_grad_value_"} <= there


@pytest.mark.parametrize("arguments", [(1.0,), (1.0, math.inf), (1.0, 1.0, True)])
@pytest.mark.parametrize("last", [-4.0, math.inf])
def test_the_old_name_does_the_same(arguments: tuple[Any, ...], last: float) -> None:
    """And refuses a length that is not finite where it is told to."""
    old, new = parameter(3.0, last), parameter(3.0, last)
    if last == math.inf and True in arguments[2:]:
        with pytest.warns((FutureWarning, UserWarning)), pytest.raises(RuntimeError):
            torch.nn.utils.clip_grad_norm([old], *arguments)
        return
    with pytest.warns((FutureWarning, UserWarning), match="clip_grad_norm_"):
        told = torch.nn.utils.clip_grad_norm([old], *arguments)
    assert torch.equal(told, clip_grad_norm_([new], *arguments))
    assert old.grad is not None and new.grad is not None
    torch.testing.assert_close(old.grad, new.grad, rtol=0, atol=0, equal_nan=True)


@pytest.mark.skipif(
    not hasattr(torch.nn.utils, "clip_grads_with_norm_"), reason="this torch has no such function"
)
@pytest.mark.parametrize(
    ("given", "dtype", "edge"),
    [
        (0.0, "float16", True),
        (0.0, "bfloat16", False),
        (0.0, "mixed", False),
        (1.0, "float16", False),
    ],
)
def test_no_length_and_epsilon_are_at_the_edge_of_float16(
    given: float, dtype: str, edge: bool
) -> None:
    """What a quotient by them is hangs on whether a kernel keeps subnormal numbers."""
    case = Gradients((np.array([0.5, -1.0]),), limit=0.0, given=given)
    verdict = values(case, Place("clip_grads_with_norm_", "default", dtype, "cpu"))
    assert (verdict.failed, verdict.edge, verdict.undecided > 0) == (False, edge, edge)


@pytest.mark.parametrize(("order", "length"), [(1.0, 12.0), (2.0, 74**0.5), (math.inf, 7.0)])
def test_complex_numbers_are_as_long_as_they_are(order: float, length: float) -> None:
    """|3 + 4i| = 5; clipping keeps their direction."""
    w = parameter(3 + 4j, -7 + 0j)
    told = clip_grad_norm_([w], length / 2, order)
    assert told.item() == pytest.approx(length, rel=2**-20)
    assert w.grad is not None
    halves = torch.tensor([1.5 + 2j, -3.5])
    torch.testing.assert_close(w.grad, halves, rtol=2**-20, atol=0)


def test_complex_numbers_have_no_order() -> None:
    with pytest.raises((RuntimeError, NotImplementedError)):
        clip_grad_value_([parameter(3 + 4j)], 1.0)


def test_gradients_that_share_memory_are_refused() -> None:
    w = torch.nn.Parameter(torch.zeros(3))
    w.grad = torch.tensor([3.0]).expand(3)
    for clip in (clip_grad_norm_, clip_grad_value_):
        with pytest.raises(RuntimeError):
            clip([w], 1.0)
    assert w.grad.tolist() == [3.0] * 3


def taken(part: str, w: torch.nn.Parameter, **options: Any) -> Any:
    """Ask a function about one parameter, if this torch has it, and it chooses between loops."""
    function = getattr(torch.nn.utils, part, None)
    if function is None or "foreach" not in inspect.signature(function).parameters:
        pytest.skip("this torch has one loop only")
    assert w.grad is not None
    given: dict[str, tuple[Any, ...]] = {
        "get_total_norm": ([w.grad],),
        "clip_grads_with_norm_": ([w], 1.0, torch.ones((), device=w.device)),
    }
    return function(*given.get(part, ([w], 1.0)), **options)


@contextmanager
def kernels_for_lists() -> Iterator[set[str]]:
    """The names of those that are called meanwhile."""
    called: set[str] = set()

    def noting(kernel: str) -> Any:
        real = getattr(torch, kernel)

        @wraps(real)
        def noted(*args: Any, **kwargs: Any) -> Any:
            called.add(kernel)
            return real(*args, **kwargs)

        return noted

    kernels = [kernel for kernel in dir(torch) if kernel.startswith("_foreach")]
    with patch.multiple(torch, **{kernel: noting(kernel) for kernel in kernels}):
        yield called


@pytest.mark.parametrize("options", [{}, {"foreach": None}, {"foreach": True}, {"foreach": False}])
@pytest.mark.filterwarnings("ignore:.*clip_grad_norm")
@pytest.mark.parametrize("part", [*PARTS, "clip_grad_norm"])
def test_the_loop_runs_that_is_asked_for(part: str, options: dict[str, Any]) -> None:
    """Kernels for lists of tensors, or for each; lists where nothing is said, on the CPU."""
    with kernels_for_lists() as called:
        taken(part, parameter(3.0, -4.0), **options)
    kernels = 1 if part in ("get_total_norm", "clip_grads_with_norm_") else 2
    assert len(called) == (0 if options.get("foreach") is False else kernels)


@pytest.mark.filterwarnings("ignore:.*clip_grad_norm")
@pytest.mark.parametrize("part", [*PARTS, "clip_grad_norm"])
def test_lists_are_asked_for_where_there_are_none(part: str) -> None:
    """On a device without kernels for lists that is an error; each by itself goes without one."""
    w = torch.nn.Parameter(torch.ones(2, device="meta"))
    w.grad = torch.ones(2, device="meta")
    with kernels_for_lists() as called:
        for options in ({}, {"foreach": None}, {"foreach": False}):
            taken(part, w, **options)
    assert not called
    with pytest.raises(RuntimeError, match="foreach"):
        taken(part, w, foreach=True)


@pytest.mark.parametrize("part", ["clip_grad_norm_", "get_total_norm"])
def test_what_is_not_said(part: str) -> None:
    """The Euclidean norm, whatever it is."""
    w = parameter(3.0, -4.0)
    assert taken(part, w) == 5
    assert taken(part, parameter(3.0, math.inf)) == math.inf


def test_a_tensor_without_dimensions_has_a_length() -> None:
    if not hasattr(torch.nn.utils, "get_total_norm"):
        pytest.skip("this torch has none")
    assert torch.nn.utils.get_total_norm(torch.tensor(-3.0)) == 3


@pytest.mark.parametrize("part", PARTS)
def test_a_function_has_its_own_name(part: str) -> None:
    function = getattr(torch.nn.utils, part, None)
    if function is None:
        pytest.skip("this torch has none")
    assert part in function.__name__
    assert function.__doc__


def test_an_order_may_be_text() -> None:
    assert clip_grad_norm_([parameter(3.0, -4.0)], 1.0, "inf") == 4  # type: ignore[arg-type]


def test_an_empty_generator_is_told_of() -> None:
    """By releases that tell of it; and nothing else is."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        clip_grad_norm_((w for w in [parameter(3.0)]), 1.0)
        clip_grad_norm_([], 1.0)
        assert not told
        clip_grad_norm_((w for w in list[torch.Tensor]()), 1.0)
    assert all("empty generator" in str(one.message) for one in told)
    assert len(told) == ("empty generator" in inspect.getsource(clip_grad_norm_))


def test_a_limit_below_0_turns_gradients_round() -> None:
    """torch refuses none: M/(N + ε) is what it is."""
    w = parameter(3.0, -4.0)
    clip_grad_norm_([w], -5.0)
    assert w.grad is not None
    torch.testing.assert_close(w.grad, torch.tensor([-3.0, 4.0]), rtol=2**-20, atol=0)


def test_measuring_by_an_infinite_limit_is_not_harmless() -> None:
    """∞/∞: where the length is infinite, all gradients become nan, and not one alone."""
    w, v = parameter(math.inf), parameter(1.0)
    assert clip_grad_norm_([w, v], math.inf).item() == math.inf
    assert v.grad is not None
    assert math.isnan(v.grad.item())


@pytest.fixture(scope="module")
def mesh() -> Iterator[Any]:
    """A mesh of this process alone, which needs no port."""
    distributed = pytest.importorskip("torch.distributed")
    tensor = pytest.importorskip("torch.distributed.tensor", exc_type=ImportError)
    meshes = pytest.importorskip("torch.distributed.device_mesh", exc_type=ImportError)
    if not hasattr(tensor, "distribute_tensor"):
        pytest.skip("this torch has distributed tensors elsewhere")
    if not (distributed.is_available() and distributed.is_gloo_available()):
        pytest.skip("this torch has no gloo")
    if distributed.is_initialized():
        pytest.skip("somebody else's group of processes is there")
    store = distributed.HashStore()
    distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        yield meshes.init_device_mesh("cpu", (1,))
    finally:
        distributed.destroy_process_group()


@pytest.mark.filterwarnings("ignore:DTensor random operators")
@pytest.mark.parametrize("order", LIMITS)
@pytest.mark.parametrize("foreach", [None, False, True])
@pytest.mark.parametrize("placement", ["Shard", "Replicate"])
def test_a_distributed_tensor_of_one_process(
    mesh: Any, order: float, foreach: bool | None, placement: str
) -> None:
    """The same bits as a tensor; the length is a distributed tensor, too."""
    tensor: Any = torch.distributed.tensor
    how = [tensor.Shard(0)] if placement == "Shard" else [tensor.Replicate()]
    plain, spread = [parameter(3.0, 0.0), parameter(-4.0)], []
    for w in plain:
        assert w.grad is not None
        own = torch.nn.Parameter(tensor.distribute_tensor(w.detach(), mesh, how))
        own.grad = tensor.distribute_tensor(w.grad.clone(), mesh, how)
        spread.append(own)
    told = clip_grad_norm_(plain, 2.0, order, foreach=foreach)
    of_all: Any = clip_grad_norm_(spread, 2.0, order, foreach=foreach)
    assert told.item() == of_all.full_tensor().item() == LIMITS[order]
    for w, own in zip(plain, spread, strict=True):
        left: Any = own.grad
        assert w.grad is not None
        assert torch.equal(w.grad, left.full_tensor())
