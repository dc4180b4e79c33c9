"""The numbers of a case as torch's tensors, laid out in memory as it says, and back."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from oracles.harness.arithmetic.formats import FloatArray, round_to
from oracles.harness.cases.case import Case, dtype_of
from oracles.harness.subjects.subject import answering

UNTOUCHED = 7.0
"""What fills the gaps between the elements of a strided parameter."""


@lru_cache(maxsize=8)
def prepared(case: Case, precision: str, device: str) -> list[list[Any]]:
    """Each parameter's initial value and gradients as tensors; all paths take copies of these."""

    def one(number: int, values: FloatArray | None) -> torch.Tensor | None:
        if values is None:
            return None
        return tensor(values, dtype_of(precision, number), place(device, number))

    return [
        [one(i, values) for values in (p.initial, *p.gradients)]
        for i, p in enumerate(case.parameters)
    ]


def tensor(values: ArrayLike, dtype: str, device: str = "cpu") -> torch.Tensor:
    """Numbers, rounded to a dtype."""
    rounded = torch.from_numpy(np.array(round_to(dtype, values), order="C"))
    return rounded.to(dtype=getattr(torch, dtype), device=device)


def through_a_file(state: Any, **how: Any) -> Any:
    """What becomes of it that is saved and loaded; ``how`` are arguments of ``torch.load``."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, **how)


def pickled(value: Any) -> Any:
    """What becomes of it that goes through :mod:`pickle`."""
    return pickle.loads(pickle.dumps(value))


def write(table: dict[str, Any], name: str, value: float) -> None:
    """Write a number as torch's schedulers do: into the tensor that is there, or over a number."""
    if torch.is_tensor(table.get(name)):
        table[name].fill_(value)
    else:
        table[name] = value


def place(device: str, number: int) -> str:
    """Where a parameter is, if all are on ``device`` or take turns on several."""
    places = device.split("+")
    return places[number % len(places)]


@lru_cache(maxsize=8)
def zeros(case: Case, precision: str, device: str) -> list[torch.Tensor]:
    """What stands for the buffers that do not exist; all paths read these."""
    return [
        torch.zeros(
            p.initial.size, dtype=getattr(torch, dtype_of(precision, i)), device=place(device, i)
        )
        for i, p in enumerate(case.parameters)
    ]


def transposed(values: torch.Tensor) -> torch.Tensor:
    """Same values, dimensions laid out in reverse order."""
    reverse = tuple(range(values.ndim))[::-1]
    return values.permute(reverse).contiguous().permute(reverse)


def strided(values: torch.Tensor) -> torch.Tensor:
    """Same values, every second place of a wider tensor; the gaps hold :data:`UNTOUCHED`."""
    if values.ndim == 0:
        return values
    wider = values.new_full((*values.shape[:-1], 2 * values.shape[-1]), UNTOUCHED)
    view = wider[..., ::2]
    view.copy_(values)
    return view


def expanded(values: torch.Tensor) -> torch.Tensor:
    """Same values, the first row repeated with stride 0 (rows must be equal)."""
    if values.ndim == 0 or values.shape[0] == 0:
        return values
    return values[:1].clone().expand(values.shape)


def sparse(values: torch.Tensor, *, halved: bool) -> torch.Tensor:
    """Same values, of those that are not zero; every index is there twice, as in a backward pass.

    Each time with one half, so that whoever squares them before they are added up shows; or, where
    they may be added to the parameter one by one, all and nothing, so that this rounds as once.
    """
    once = values.to_sparse()
    indices, numbers = once.indices(), once.values()
    # An infinity, and the last bit of a subnormal number, have no half.
    first = torch.where(numbers / 2 * 2 == numbers, numbers / 2, numbers) if halved else numbers
    second = torch.where(first == numbers, torch.zeros_like(first), first)
    return torch.sparse_coo_tensor(
        torch.cat([indices, indices], dim=1),
        torch.cat([first, second]),
        values.shape,
    )


def rows(values: torch.Tensor) -> torch.Tensor:
    """Same values as a sparse tensor of those rows that are not zero, as of an embedding."""
    return values.to_sparse(min(values.dim(), 1))


def stored(values: torch.Tensor) -> torch.Tensor:
    """Same values as :func:`rows`, or one by one: it stores no zero."""
    by_rows = rows(values)
    return by_rows if bool(by_rows.values().all()) else values.to_sparse()


def dense(values: torch.Tensor) -> torch.Tensor:
    """All its elements, whatever its layout is."""
    return values.to_dense() if values.is_sparse else values


LAYOUTS: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "contiguous": lambda values: values,
    "transposed": transposed,
    "strided": strided,
    "expanded": expanded,
}


def writable(values: torch.Tensor) -> bool:
    """Whether it can be overwritten in place, each element by itself."""
    return not values.is_sparse and 0 not in values.stride()


def gaps(p: torch.Tensor) -> list[float]:
    """What lies between the elements of a :func:`strided` parameter; nothing if it has moved."""
    try:
        wider = p.detach().as_strided((2 * p.numel(),), (1,), p.storage_offset())
    except RuntimeError:  # to memory that ends with it
        return []
    return [float(v) for v in wider[1::2]]


def end_to_end(tensors: list[torch.Tensor]) -> torch.Tensor:
    """All elements end to end; ``torch.cat`` promotes mixed dtypes to one that holds them all."""
    device = tensors[0].device
    with torch.no_grad():
        return torch.cat([_flat(t, device) for t in tensors])


def _flat(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Real numbers without dimensions, on that device; nothing is called that changes nothing."""
    values = _real(values)
    flat = values if values.ndim == 1 else values.reshape(-1)
    return flat if flat.device == device else flat.to(device)


def _real(values: torch.Tensor) -> torch.Tensor:
    values = dense(values)
    return torch.view_as_real(values) if values.is_complex() else values


def paired(values: torch.Tensor) -> torch.Tensor:
    """Neighbouring numbers as one complex number each."""
    with answering():
        return torch.view_as_complex(values.reshape(*values.shape[:-1], values.shape[-1] // 2, 2))


def array(values: torch.Tensor) -> FloatArray:
    """The numbers of a tensor, as they are now."""
    return np.array(dense(values.detach()).cpu().to(torch.float64).numpy())


def filling(buffer: Any, p: torch.Tensor) -> torch.Tensor:
    """A buffer as large as its parameter: counters and factors are repeated to fill it."""
    if not torch.is_tensor(buffer):
        # Python's number may be one that torch's default dtype does not hold; not every device has
        # float64.
        dtype = torch.float64 if p.device.type == "cpu" else None
        buffer = torch.as_tensor(buffer, dtype=dtype, device=p.device)
    held: torch.Tensor = buffer
    if held.shape == p.shape:
        return held
    numbers = _real(held)
    if not numbers.ndim:  # end to end at once, which costs no copy
        return numbers.expand(p.numel() * (2 if p.is_complex() else 1))
    return numbers.expand(torch.view_as_real(p).shape if p.is_complex() else p.shape)


def as_float64(rows: list[torch.Tensor]) -> FloatArray:
    """Rows of equal length as one array, which holds the numbers of every format."""
    stacked = torch.stack(rows) if rows else torch.zeros(0)
    return np.asarray(stacked.cpu().to(torch.float64).numpy())  # not every device has float64
