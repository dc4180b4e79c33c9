"""Looks at parameters and their gradients: a few elements of each, read and never written."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import accumulate
from operator import is_
from typing import Any, NamedTuple

import numpy as np
import torch
from torch._utils import _flatten_dense_tensors
from torch.nn.parameter import is_lazy

from oracles.harness.arithmetic.formats import FloatArray
from oracles.harness.watching.events import UNSEEN, Elements, Look, Seen

ELEMENTS = 4
"""So many elements of each tensor are looked at: those with the largest gradients there were."""

WIDE = 2**16
"""Among so many elements the largest are looked for."""


flat: Callable[[Sequence[Any]], torch.Tensor] = _flatten_dense_tensors
"""All elements of some tensors in one, of the smallest dtype that holds them all."""

SMALL = 2**11
"""Tensors of so many elements are copied whole sooner than some of their elements are taken."""

ALIKE = 4
"""So many small tensors are laid into one sooner than each is read."""

PLANS = 256
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
        self._leaves = True
        self._held: list[torch.Tensor | None] = []
        self._which: list[int] = []
        self._seen: list[Seen] = []
        self._dark: set[int] = set()
        self._of_gradients, self._of_weights = Reader(self._where), Reader(self._where)

    def follow(self, tensors: Sequence[torch.Tensor]) -> None:
        """Parameters that are looked at from now on."""
        if self._numbers.keys() >= {*map(id, tensors)}:
            return
        for tensor in tensors:
            if id(tensor) not in self._numbers:
                self._numbers[id(tensor)] = len(self.tensors)
                self.tensors.append(tensor)
                self.first.append(None if is_lazy(tensor) else tensor.detach().clone())
                self._leaves &= tensor.is_leaf
                self._held.append(None)
                self._which.append(0)

    def number(self, tensor: torch.Tensor) -> int:
        """The number of a parameter, which is looked at from now on."""
        return self.numbers([tensor])[0]

    def numbers(self, tensors: Sequence[torch.Tensor]) -> list[int]:
        """The numbers of parameters, which are looked at from now on."""
        self.follow(tensors)
        return [*map(self._numbers.__getitem__, map(id, tensors))]

    def known(self, tensor: torch.Tensor) -> int | None:
        """The number of a parameter, if it has one."""
        return self._numbers.get(id(tensor))

    def look(self, *, weights: bool = True) -> Look:
        """All of them, as they are now; or the gradients alone."""
        gradients = self._gradients(self.tensors)
        if not all(map(is_, gradients, self._held)):
            self._hold(range(len(gradients)), gradients)
        seen = Seen(range(len(gradients)), self._which.copy(), _versions(gradients), UNSEEN)
        self._seen = []
        return self._looked(seen, [*self._where], weights=weights)

    def glance(self, numbers: Sequence[int]) -> Look:
        """Some of them, as they are now, and the gradients of all others as they were seen last."""
        if len(numbers) == len(self.tensors):
            return self.look()
        gradients = self._gradients([self.tensors[n] for n in numbers])
        self._hold(numbers, gradients)
        seen = Seen(numbers, [self._which[n] for n in numbers], _versions(gradients), UNSEEN)
        return self._looked(seen, [n for n in numbers if n in self._where], weights=True)

    def _gradients(self, tensors: Sequence[torch.Tensor]) -> list[torch.Tensor | None]:
        """Those of parameters; a tensor inside a graph keeps none."""
        if self._leaves:
            return [t.grad for t in tensors]
        return [t.grad if t.is_leaf or t.retains_grad else None for t in tensors]

    def _looked(self, seen: Seen, numbers: Sequence[int], *, weights: bool) -> Look:
        """What is seen, with elements of some parameters."""
        held, tensors, of_weights = self._held, self.tensors, UNSEEN
        there = [n for n in numbers if held[n] is not None]
        with torch.set_grad_enabled(False):
            elements = self._of_gradients.read(there, [held[n] for n in there])
            if weights:
                of_weights = self._of_weights.read(numbers, [tensors[n] for n in numbers])
        self._seen.append(seen._replace(elements=elements))
        return Look(self._seen, len(self._seen), of_weights)

    def _hold(self, numbers: Sequence[int], gradients: Sequence[torch.Tensor | None]) -> None:
        """The gradients of parameters; by its first one it is chosen where to look at each."""
        held, which = self._held, self._which
        for number, gradient in zip(numbers, gradients, strict=True):
            if gradient is not held[number]:
                held[number] = gradient
                which[number] += 1
        if len(self._where) + len(self._dark) == len(self.tensors):
            return
        for number, gradient in self.given(numbers).items():
            if number not in self._where and number not in self._dark and readable(gradient):
                self._choose(number, gradient)

    def given(self, numbers: Iterable[int]) -> dict[int, torch.Tensor]:
        """The gradients that the last look has found, by the number of the parameter."""
        held = self._held
        return {n: gradient for n in numbers if (gradient := held[n]) is not None}

    def infinite(self, gradients: Mapping[int, torch.Tensor]) -> Iterator[int]:
        """Whose gradients, which the last look has found, have elements that are not finite."""
        finite = self._of_gradients.finite()
        for number, gradient in gradients.items():
            if number not in finite and not all_finite(gradient):
                yield number

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
    ones, and of a few, some are taken. Whatever cannot be laid beside others is read by itself.

    Args:
        where: by the number of the parameter, which elements.
    """

    def __init__(self, where: Mapping[int, torch.Tensor]) -> None:
        self.where = where
        self._plans: dict[tuple[int, ...], _Plan] = {}
        self._ends: dict[int, int] = {}
        self._laid: tuple[frozenset[int], torch.Tensor] | None = None

    def read(self, numbers: Sequence[int], tensors: Sequence[Any]) -> Elements:
        """Those of parameters with some numbers, in these tensors of theirs."""
        self._laid = None
        if not numbers:
            return UNSEEN
        if PLAIN.issuperset(map(type, tensors)):
            with suppress(RuntimeError, IndexError):  # they are on several devices, say
                return self._at_once(tuple(numbers), tensors)
        values = [_taken(t, self.where[n]) for n, t in zip(numbers, tensors, strict=True)]
        row = np.array([v for each in values for v in each])
        return Elements(numbers, list(map(len, values)), row)

    def finite(self) -> frozenset[int]:
        """The small ones that were read last, if no element of them is infinite or no number."""
        if self._laid is None or not math.isfinite(float(self._laid[1].sum())):
            return frozenset()
        return self._laid[0]

    def _at_once(self, numbers: tuple[int, ...], tensors: Sequence[Any]) -> Elements:
        """By a plan, which is kept if it still holds.

        Raises:
            IndexError: a tensor has another size than it had.
        """
        plan = self._plans.pop(numbers, None) or self._planned(numbers, tensors)
        parts = [torch.take(tensors[place], where) for place, where in plan.alone]
        if plan.blocks:
            rows = [lay([tensors[p] for p in places]).flatten() for lay, places in plan.blocks]
            row = _one(rows)
            if row.numel() != plan.size:
                raise IndexError(plan.size)
            parts.insert(0, torch.take(row, plan.index))
            self._laid = plan.small, row
        if len(self._plans) >= PLANS:  # others have gradients at each step
            del self._plans[next(iter(self._plans))]
        self._plans[numbers] = plan
        return Elements(plan.parameters, plan.counts, _array(_one(parts)))

    def _planned(self, numbers: Sequence[int], tensors: Sequence[Any]) -> _Plan:
        """How tensors of these shapes are read.

        Raises:
            IndexError: one is smaller than it was.
        """
        sizes = [tensor.numel() for tensor in tensors]
        for number, size in zip(numbers, sizes, strict=True):
            if self._end(number) > size:
                raise IndexError(number)
        blocks = _blocks({p: tensors[p].shape for p, size in enumerate(sizes) if size <= SMALL})
        small = [place for _, places in blocks for place in places]
        alone = sorted(set(range(len(sizes))) - set(small))
        starts = accumulate((sizes[place] for place in small[:-1]), initial=0)
        index = [self.where[numbers[p]] + s for p, s in zip(small, starts, strict=bool(small))]
        ordered = [numbers[place] for place in (*small, *alone)]
        return _Plan(
            blocks,
            sum(sizes[place] for place in small),
            torch.cat(index) if index else None,
            [(place, self.where[numbers[place]]) for place in alone],
            ordered,
            [self.where[number].numel() for number in ordered],
            frozenset(numbers[place] for place in small),
        )

    def _end(self, number: int) -> int:
        """How many elements a parameter has at least."""
        if number not in self._ends:
            self._ends[number] = int(self.where[number].max()) + 1
        return self._ends[number]


class _Plan(NamedTuple):
    """How some tensors are read.

    Attributes:
        blocks: what lays small ones into one, and their places.
        size: how many elements all blocks have.
        index: where those that are read are in them.
        alone: places of the others, and where their elements are.
        parameters, counts: of which parameters elements come, in order, and how many of each.
        small: the parameters that are in blocks.
    """

    blocks: Sequence[tuple[Callable[[Any], torch.Tensor], Sequence[int]]]
    size: int
    index: Any
    alone: Sequence[tuple[int, torch.Tensor]]
    parameters: Sequence[int]
    counts: Sequence[int]
    small: frozenset[int]


def _blocks(
    shapes: Mapping[int, torch.Size],
) -> list[tuple[Callable[[Any], torch.Tensor], Sequence[int]]]:
    """Which are laid into one: those whose shapes differ in the first size alone, and the others.

    Args:
        shapes: of small tensors, by their place.
    """
    alike: dict[tuple[int, ...], list[int]] = {}
    for place, shape in shapes.items():
        alike.setdefault((len(shape), *shape[1:]), []).append(place)
    several = [
        (torch.cat if key[0] else torch.stack, p) for key, p in alike.items() if len(p) >= ALIKE
    ]
    others = sorted(shapes.keys() - {place for _, places in several for place in places})
    return [*several, *([(flat, others)] if len(others) >= ALIKE else [])]


def _array(row: torch.Tensor) -> FloatArray:
    """A row as an array, which is made sooner than numbers are; NumPy has no bfloat16."""
    found: FloatArray = (row.float() if row.dtype is torch.bfloat16 else row).cpu().numpy()
    return found


def _one(rows: Sequence[torch.Tensor]) -> torch.Tensor:
    return flat(rows) if len(rows) > 1 else rows[0]


def _versions(tensors: Sequence[torch.Tensor | None]) -> list[int | None]:
    """How often torch has written into each; -1 where it does not count that."""
    try:
        return [None if t is None else t._version for t in tensors]  # noqa: SLF001 there is no other way to it
    except RuntimeError:
        counts = {t: -1 if t.is_inference() else int(t._version) for t in tensors if t is not None}  # noqa: SLF001 the same
        return [None if t is None else counts[t] for t in tensors]


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
