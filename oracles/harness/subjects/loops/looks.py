"""Looks at parameters and their gradients: a few elements of each, read and never written."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import accumulate
from typing import Any, NamedTuple

import torch
from torch._utils import _flatten_dense_tensors
from torch.nn.parameter import is_lazy

from oracles.harness.watching.events import UNSEEN, Elements, Look

ELEMENTS = 4
"""So many elements of each tensor are looked at: those with the largest gradients there were."""

WIDE = 2**16
"""Among so many elements the largest are looked for."""


flat: Callable[[Sequence[Any]], torch.Tensor] = _flatten_dense_tensors
"""All elements of some tensors in one, of the smallest dtype that holds them all."""

SMALL = 2**11
"""Tensors of so many elements are copied whole sooner than some of their elements are taken."""

PLANS = 16
"""How many ways to read several tensors are kept."""

PLAIN = frozenset({torch.Tensor, torch.nn.Parameter})
"""What can be laid beside others."""


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
        self._where: dict[int, torch.Tensor] = {}
        self._held: list[torch.Tensor | None] = []
        self._which: list[int] = []
        self._dark: set[int] = set()
        self._of_gradients, self._of_weights = Reader(self._where), Reader(self._where)

    def follow(self, tensors: Iterable[torch.Tensor]) -> None:
        """Parameters that are looked at from now on."""
        for tensor in tensors:
            if id(tensor) not in self._numbers:
                self._numbers[id(tensor)] = len(self.tensors)
                self.tensors.append(tensor)
                self.first.append(None if is_lazy(tensor) else tensor.detach().clone())
                self._held.append(None)
                self._which.append(0)

    def number(self, tensor: torch.Tensor) -> int:
        """The number of a parameter, which is looked at from now on."""
        self.follow([tensor])
        return self._numbers[id(tensor)]

    def numbers(self, tensors: Iterable[torch.Tensor]) -> list[int]:
        """The numbers of parameters that are looked at."""
        return [self._numbers[id(tensor)] for tensor in tensors]

    def known(self, tensor: torch.Tensor) -> int | None:
        """The number of a parameter, if it has one."""
        return self._numbers.get(id(tensor))

    def look(self, *, weights: bool = True) -> Look:
        """All of them, as they are now; or the gradients alone."""
        gradients = [t.grad if t.is_leaf or t.retains_grad else None for t in self.tensors]
        for number, (gradient, held) in enumerate(zip(gradients, self._held, strict=True)):
            if gradient is not held:
                self._changed(number, gradient)
        with torch.set_grad_enabled(False):
            there = [n for n in self._where if gradients[n] is not None]
            return Look(
                tuple(self._which),
                tuple([g if g is None else _version(g) for g in gradients]),
                self._of_gradients.read(there, [gradients[n] for n in there]),
                self._of_weights.read([*self._where], [self.tensors[n] for n in self._where])
                if weights
                else UNSEEN,
            )

    def _changed(self, number: int, gradient: torch.Tensor | None) -> None:
        """A parameter has another gradient; by its first one it is chosen where to look."""
        self._held[number] = gradient
        self._which[number] += 1
        if number in self._where or gradient is None:
            return
        if number not in self._dark and readable(gradient):
            self._choose(number, gradient)

    def _choose(self, number: int, gradient: torch.Tensor) -> None:
        """Choose where a parameter is looked at; nowhere if its elements cannot be had."""
        try:
            where = _spread(gradient) if self.alike else _largest(gradient)
            _ = _taken(gradient, where), _taken(self.tensors[number], where)
            self._where[number] = where
        except (RuntimeError, TypeError):  # of tensors that are no plain ones
            self._dark.add(number)

    def still(self, number: int) -> bool:
        """Whether no bit of a parameter is another than at first."""
        first, now = self.first[number], self.tensors[number].detach()
        if first is None or first.shape != now.shape or first.device != now.device:
            return False
        return bool(torch.equal(first, now))


class Reader:
    """Some elements of many tensors, had by few calls.

    Small tensors are laid into one, of which all elements are taken at once; of each of the large
    ones some are taken. Whatever cannot be laid beside others is read by itself.

    Args:
        where: by the number of the parameter, which elements.
    """

    def __init__(self, where: Mapping[int, torch.Tensor]) -> None:
        self.where = where
        self._plans: dict[tuple[tuple[int, ...], tuple[int, ...]], _Plan] = {}
        self._ends: dict[int, int] = {}

    def read(self, numbers: Sequence[int], tensors: Sequence[Any]) -> Elements:
        """Those of parameters with some numbers, in these tensors of theirs."""
        if not numbers:
            return UNSEEN
        if PLAIN.issuperset(map(type, tensors)):
            with suppress(RuntimeError, IndexError):  # they are on several devices, say
                return self._at_once(numbers, tensors)
        values = [_taken(t, self.where[n]) for n, t in zip(numbers, tensors, strict=True)]
        return Elements(numbers, list(map(len, values)), [v for each in values for v in each])

    def _at_once(self, numbers: Sequence[int], tensors: Sequence[Any]) -> Elements:
        shapes = tuple(numbers), tuple([tensor.numel() for tensor in tensors])
        if shapes not in self._plans:
            if len(self._plans) == PLANS:  # others have gradients at each step
                self._plans.clear()
            self._plans[shapes] = self._planned(*shapes)
        plan = self._plans[shapes]
        parts = [torch.take(tensors[place], where) for place, where in plan.large]
        if plan.small:
            row = flat([tensors[place] for place in plan.small] if parts else tensors)
            parts.insert(0, torch.take(row, plan.index))
        row = flat(parts) if len(parts) > 1 else parts[0]
        return Elements(plan.parameters, plan.counts, row.tolist())

    def _planned(self, numbers: Sequence[int], sizes: Sequence[int]) -> _Plan:
        """How tensors of these sizes are read.

        Raises:
            IndexError: one is smaller than it was.
        """
        for number, size in zip(numbers, sizes, strict=True):
            if self._end(number) > size:
                raise IndexError(number)
        small = [place for place, size in enumerate(sizes) if size <= SMALL]
        large = [place for place, size in enumerate(sizes) if size > SMALL]
        starts = accumulate((sizes[place] for place in small[:-1]), initial=0)
        index = [self.where[numbers[p]] + s for p, s in zip(small, starts, strict=bool(small))]
        ordered = [numbers[place] for place in (*small, *large)]
        return _Plan(
            small,
            torch.cat(index) if index else None,
            [(place, self.where[numbers[place]]) for place in large],
            ordered,
            [self.where[number].numel() for number in ordered],
        )

    def _end(self, number: int) -> int:
        """How many elements a parameter has at least."""
        if number not in self._ends:
            self._ends[number] = int(self.where[number].max()) + 1
        return self._ends[number]


class _Plan(NamedTuple):
    """How some tensors are read.

    Attributes:
        small: places of those that are laid into one.
        index: where their elements are in it.
        large: places of the others, and where their elements are.
        parameters, counts: of which parameters elements come, in order, and how many of each.
    """

    small: Sequence[int]
    index: Any
    large: Sequence[tuple[int, torch.Tensor]]
    parameters: Sequence[int]
    counts: Sequence[int]


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


def _taken(tensor: Any, where: torch.Tensor) -> list[float]:
    """Some elements of one tensor, as numbers; none if there are none to be had."""
    if tensor.layout is not torch.strided or not tensor.is_floating_point():
        return []
    if int(where.max()) >= local(tensor).numel():
        return []
    found: list[float] = torch.take(local(tensor), where.to(tensor.device)).tolist()
    return found


def _version(tensor: torch.Tensor) -> int:
    """How often torch has written into a tensor; -1 where it does not count that."""
    return -1 if tensor.is_inference() else int(tensor._version)  # noqa: SLF001 there is no other way to it


def infinite(tensors: Sequence[Any]) -> Iterator[int]:
    """The places of those that have elements which are not finite."""
    small: list[Any] = []
    finite = False
    if PLAIN.issuperset(map(type, tensors)):
        small = [tensor for tensor in tensors if tensor.numel() <= SMALL]
    with torch.set_grad_enabled(False), suppress(RuntimeError):
        finite = bool(small) and math.isfinite(float(flat(small).sum()))
    known = set(map(id, small)) if finite else set()
    for place, tensor in enumerate(tensors):
        if id(tensor) not in known and not all_finite(tensor):
            yield place


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
