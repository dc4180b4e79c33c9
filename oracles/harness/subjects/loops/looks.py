"""Looks at parameters and their gradients: a few elements of each, read and never written."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn.parameter import is_lazy

from oracles.harness.watching.events import Gradient, Look, Values

ELEMENTS = 4
"""So many elements of each tensor are looked at: those with the largest gradients there were."""

WIDE = 2**16
"""Among so many elements the largest are looked for."""


class Looks:
    """All parameters that are looked at, by number.

    A gradient is held from one look to the next, so that no new one can be taken for it: memory
    that is free is given to the next tensor.

    Args:
        alike: other processes look at the same elements, whatever their gradients are.
    """

    def __init__(self, *, alike: bool = False) -> None:
        self.alike = alike
        self.tensors: list[torch.Tensor] = []
        self.first: list[torch.Tensor | None] = []
        self._numbers: dict[int, int] = {}
        self._where: list[torch.Tensor | None] = []
        self._held: list[torch.Tensor | None] = []
        self._which: list[int] = []
        self._dark: set[int] = set()

    def number(self, tensor: torch.Tensor) -> int:
        """The number of a parameter, which is looked at from now on."""
        if id(tensor) not in self._numbers:
            self._numbers[id(tensor)] = len(self.tensors)
            self.tensors.append(tensor)
            self.first.append(None if is_lazy(tensor) else tensor.detach().clone())
            self._where.append(None)
            self._held.append(None)
            self._which.append(0)
        return self._numbers[id(tensor)]

    def known(self, tensor: torch.Tensor) -> int | None:
        """The number of a parameter, if it has one."""
        return self._numbers.get(id(tensor))

    def look(self, *, weights: bool = True) -> Look:
        """All of them, as they are now; or the gradients alone."""
        numbers = range(len(self.tensors))
        gradients = tuple(map(self._gradient, numbers))
        return Look(gradients, tuple(map(self._weight, numbers)) if weights else ())

    def _gradient(self, number: int) -> Gradient | None:
        gradient = gradient_of(self.tensors[number])
        if gradient is not self._held[number]:
            self._held[number] = gradient
            self._which[number] += 1
        if gradient is None:
            return None
        if self._where[number] is None and number not in self._dark and readable(gradient):
            self._choose(number, gradient)
        values = _values(gradient, self._where[number])
        return Gradient(self._which[number], _version(gradient), values)

    def _choose(self, number: int, gradient: torch.Tensor) -> None:
        """Choose where a parameter is looked at; nowhere if its elements cannot be had."""
        try:
            where = _spread(gradient) if self.alike else _largest(gradient)
            _ = _values(gradient, where), _values(self.tensors[number], where)
            self._where[number] = where
        except (RuntimeError, TypeError):  # of tensors that are no plain ones
            self._dark.add(number)

    def _weight(self, number: int) -> Values:
        return _values(self.tensors[number], self._where[number])

    def still(self, number: int) -> bool:
        """Whether no bit of a parameter is another than at first."""
        first, now = self.first[number], self.tensors[number].detach()
        if first is None or first.shape != now.shape or first.device != now.device:
            return False
        return bool(torch.equal(first, now))


def gradient_of(tensor: torch.Tensor) -> torch.Tensor | None:
    """The gradient of a parameter; a tensor inside a graph keeps none."""
    return tensor.grad if tensor.is_leaf or tensor.retains_grad else None


def readable(tensor: torch.Tensor) -> bool:
    """Whether elements can be read: numbers that lie in memory."""
    return (
        not is_lazy(tensor)
        and tensor.layout is torch.strided
        and tensor.is_floating_point()
        and tensor.device.type != "meta"
        and local(tensor).numel() > 0
    )


def local(tensor: Any) -> torch.Tensor:
    """What this process has of a tensor that is spread over several."""
    found: torch.Tensor = tensor.detach()
    return found.to_local() if hasattr(found, "to_local") else found


def _largest(gradient: torch.Tensor) -> torch.Tensor:
    """Where the largest elements are, among :data:`WIDE` of them at most."""
    flat = local(gradient).flatten()
    apart = max(1, flat.numel() // WIDE)
    sizes = torch.nan_to_num(flat[::apart].float().abs(), nan=0.0, posinf=0.0)
    return sizes.topk(min(ELEMENTS, sizes.numel())).indices * apart


def _spread(gradient: torch.Tensor) -> torch.Tensor:
    """Some elements, from the first to the last."""
    last = local(gradient).numel() - 1
    return torch.linspace(0, last, ELEMENTS, device=gradient.device).round().long()


def _values(tensor: torch.Tensor, where: torch.Tensor | None) -> Values:
    """Some elements; what is no number is one object, so that it is the same as itself."""
    if where is None or tensor.layout is not torch.strided or not tensor.is_floating_point():
        return ()
    found = torch.take(local(tensor), where).tolist()
    return (
        tuple(found) if sum(found) < math.inf else tuple(v if v == v else math.nan for v in found)
    )


def _version(tensor: torch.Tensor) -> int:
    """How often torch has written into a tensor; -1 where it does not count that."""
    return -1 if tensor.is_inference() else int(tensor._version)  # noqa: SLF001 there is no other way to it


def all_finite(tensor: torch.Tensor) -> bool:
    """Whether all elements are numbers: their sum is one, or else each is looked at."""
    if not readable(tensor):
        return True
    values = local(tensor)
    return math.isfinite(float(values.sum())) or bool(torch.isfinite(values).all())


def mark(tensor: torch.Tensor) -> int:
    """A number made of all bits of a tensor: where it is another, the bits are others."""
    if not readable(tensor):
        return 0
    bits = {8: torch.int64, 4: torch.int32, 2: torch.int16, 1: torch.int8}
    flat = local(tensor).contiguous().flatten().view(bits[tensor.element_size()])
    weights = torch.arange(1, flat.numel() + 1, device=flat.device)
    return int((flat.to(torch.int64) * weights).sum())
