"""Looks at parameters and their gradients: a few elements of each, read and never written."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate, pairwise
from operator import attrgetter, is_
from typing import Any, NamedTuple

import numpy as np
import torch
from torch._utils import _flatten_dense_tensors
from torch.nn.parameter import is_lazy

from oracles.harness.arithmetic.formats import FloatArray
from oracles.harness.watching.events import UNSEEN, Elements, Look, Places, Seen

ELEMENTS = 4
"""So many elements of each tensor are looked at: in each of as many parts of it, that with the
largest gradient there was."""

WIDE = 2**16
"""Among so many elements the largest are looked for."""


flat: Callable[[Sequence[Any]], torch.Tensor] = _flatten_dense_tensors
"""All elements of some tensors in one, of the smallest dtype that holds them all."""

SMALL = 2**11
"""Tensors of so many elements are copied whole sooner than some of their elements are taken."""

FEW = 2**7
"""Of tensors that have so many elements together all are kept, as numbers: sooner than by any call
that makes a tensor. What of them is looked at is chosen when the loop is over."""

ALIKE = 4
"""So many small tensors are laid into one sooner than each is read."""

PLANNED = 2**18
"""Of so many tensors it is kept how they are read together."""

PLAIN = frozenset({torch.Tensor, torch.nn.Parameter})
"""What can be laid beside others."""

ALL = slice(None)

GRADIENT, VERSION, TRAINABLE = map(attrgetter, ("grad", "_version", "requires_grad"))
SIZE, NUMBERS = torch.Tensor.numel, torch.Tensor.tolist
"""What is asked of each tensor: mapped, none of it is a call of Python's."""

Key = tuple[tuple[int, ...], tuple[int, ...]]
"""Numbers of parameters: whose gradients are read, and which are read themselves."""


class Some(NamedTuple):
    """Parameters that are looked at together, by number."""

    numbers: tuple[int, ...] = ()
    tensors: Sequence[torch.Tensor] = ()


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
        self._every = Some()
        self._leaves = True
        self._held: list[torch.Tensor | None] = []
        self._which: list[int] = []
        self._seen: list[Seen] = []
        self._dark: set[int] = set()
        self._reader = Reader(self._where)

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
        self._every = Some(tuple(range(len(self.tensors))), self.tensors)

    def number(self, tensor: torch.Tensor) -> int:
        """The number of a parameter, which is looked at from now on."""
        return self.some([tensor]).numbers[0]

    def some(self, tensors: Sequence[torch.Tensor]) -> Some:
        """Parameters, each once, which are looked at from now on."""
        self.follow(tensors)
        numbers = tuple(dict.fromkeys(self._numbers[id(tensor)] for tensor in tensors))
        return Some(numbers, [self.tensors[n] for n in numbers])

    def known(self, tensor: torch.Tensor) -> int | None:
        """The number of a parameter, if it has one."""
        return self._numbers.get(id(tensor))

    def look(self, *, weights: bool = True) -> Look:
        """All of them, as they are now; or the gradients alone."""
        return self.glance(self._every, weights=weights)

    def glance(self, some: Some, *, weights: bool = True) -> Look:
        """Some of them, as they are now, and the gradients of all others as they were seen last."""
        numbers, gradients = some.numbers, self._gradients(some)
        if not all(map(is_, gradients, map(self._held.__getitem__, numbers))):
            self._hold(numbers, gradients)
        which, versions = tuple(map(self._which.__getitem__, numbers)), _versions(gradients)
        there, own = numbers, self._readable(some)
        if None in versions or own is not some:
            there = tuple(n for n in own.numbers if self._held[n] is not None)
            gradients = [self._held[n] for n in there]
        own = own if weights else Some()
        elements, of_weights = self._reader.read(there, gradients, *own)
        if len(numbers) == len(self.tensors):
            self._seen = []
        self._seen.append(Seen(numbers, which, versions, elements))
        return Look(self._seen, len(self._seen), of_weights)

    def after(self, some: Some, look: Look) -> Look:
        """The same parameters, after a step that writes into no gradient behind torch's counters.

        Where these have not gone on, the gradients are those that were seen.
        """
        gradients = self._gradients(some)
        same = all(map(is_, gradients, map(self._held.__getitem__, some.numbers)))
        if not same or look.latest.versions != _versions(gradients):
            return self.glance(some)
        of_weights = self._reader.read((), (), *self._readable(some))[1]
        return Look(look.seen, look.until, of_weights)

    def _readable(self, some: Some) -> Some:
        """Those of which elements are read."""
        if len(self._where) == len(self.tensors):
            return some
        own = tuple(n for n in some.numbers if n in self._where)
        return Some(own, [self.tensors[n] for n in own])

    def _gradients(self, some: Some) -> list[torch.Tensor | None]:
        """Those of parameters; a tensor inside a graph keeps none."""
        if self._leaves:
            return [*map(GRADIENT, some.tensors)]
        return [t.grad if t.is_leaf or t.retains_grad else None for t in some.tensors]

    def _hold(self, numbers: Sequence[int], gradients: Sequence[torch.Tensor | None]) -> None:
        """The gradients of parameters; by its first one it is chosen where to look at each."""
        held, which = self._held, self._which
        for number, gradient in zip(numbers, gradients, strict=True):
            if gradient is not held[number]:
                held[number] = gradient
                which[number] += 1
        if len(self._where) + len(self._dark) < len(self.tensors):
            self._find(numbers, gradients)

    def _find(self, numbers: Sequence[int], gradients: Sequence[torch.Tensor | None]) -> None:
        """Choose where to look at parameters for which that is not known."""
        for number, gradient in zip(numbers, gradients, strict=True):
            new = number not in self._where and number not in self._dark
            if gradient is not None and new and readable(gradient):
                self._choose(number, gradient)

    def derived(self, gradients: Mapping[int, torch.Tensor]) -> Elements:
        """Elements of gradients that are those of no parameter yet, by its number."""
        self._find([*gradients], [*gradients.values()])
        there = tuple(n for n in gradients if n in self._where)
        return self._reader.read(there, [gradients[n] for n in there], (), ())[0]

    def infinite(self, numbers: Sequence[int]) -> tuple[int, ...] | None:
        """Whose gradients, which the last look has found, have elements that are not finite.

        None if that can be read when the loop is over: they were kept whole.
        """
        if self._reader.kept:
            return None
        finite = self._reader.finite()
        if finite.issuperset(numbers):
            return ()
        rest = [(n, g) for n in numbers if n not in finite and (g := self._held[n]) is not None]
        return tuple(n for n, gradient in rest if not all_finite(gradient))

    def zeros(self, some: Some) -> tuple[int, ...]:
        """Which require no gradient, and have one of zeros."""
        if all(map(TRAINABLE, some.tensors)):
            return ()
        frozen = [n for n in some.numbers if not self.tensors[n].requires_grad]
        return tuple(n for n in frozen if (g := self._held[n]) is not None and _zeros(g))

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
        return in_memory(local(now)) and bool(torch.equal(first, now))


class Reader:
    """Some elements of many tensors, had by few calls.

    Of a few small tensors all numbers are kept. Of many, small ones are laid into one, of which all
    elements are taken at once; of each of the large ones some are taken. Whatever cannot be laid
    beside others is read by itself.

    Args:
        where: by the number of the parameter, which elements.

    Attributes:
        kept: all numbers of what was read last are kept.
    """

    def __init__(self, where: Mapping[int, torch.Tensor]) -> None:
        self.where = where
        self._plans: dict[Key, _Plan] = {}
        self._planned = 0
        self._ends: dict[int, int] = {}
        self.kept = False
        self._last: tuple[_Plan, torch.Tensor | None, Sequence[Any]] | None = None

    def read(
        self,
        there: tuple[int, ...],
        gradients: Sequence[Any],
        numbers: tuple[int, ...],
        tensors: Sequence[Any],
    ) -> tuple[Elements, Elements]:
        """Those of some gradients and of some parameters, each by the numbers of these."""
        self._last, self.kept = None, False
        key, every = (there, numbers), [*gradients, *tensors]
        if every and PLAIN.issuperset(map(type, gradients)):
            try:
                plan = self._plans.get(key) or self._plan(key, every)
                self.kept = plan.whole and sum(map(SIZE, every)) == plan.size
                row = [*map(NUMBERS, every)] if self.kept else self._taken(plan, every)
                given = Elements(plan.gradients, row) if there else UNSEEN
                return given, Elements(plan.weights, row) if numbers else UNSEEN
            except (RuntimeError, IndexError, TypeError):  # of several devices, or of other sizes
                self._plans.pop(key, None)
                self._last, self.kept = None, False
        return self._apart(there, gradients), self._apart(numbers, tensors)

    def _apart(self, numbers: tuple[int, ...], tensors: Sequence[Any]) -> Elements:
        """Each by itself."""
        values = [_taken(t, self.where[n]) for n, t in zip(numbers, tensors, strict=True)]
        row = np.array([v for each in values for v in each])
        return Elements(Places(numbers, [*map(len, values)], ALL), row)

    def finite(self) -> frozenset[int]:
        """The gradients that were read last whose sums are finite: so are all their elements."""
        if self._last is None:
            return frozenset()
        plan, row, tensors = self._last
        small = plan.small if row is None or math.isfinite(row.sum()) else frozenset[int]()
        numbers = plan.gradients.parameters
        large = [p for p, *_ in plan.alone if p < len(numbers)]
        return small.union(numbers[p] for p in large if math.isfinite(tensors[p].detach().sum()))

    def _taken(self, plan: _Plan, tensors: Sequence[Any]) -> FloatArray:
        """Elements of all, without the tensors that they are elements of.

        Raises:
            IndexError: a tensor has another size than it had.
        """
        if plan.whole:
            raise IndexError(plan.size)
        self._last = plan, None, tensors
        recording = torch.is_grad_enabled()
        torch.set_grad_enabled(False)
        try:
            parts = [take(tensors[place], where) for place, take, where in plan.alone]
            if plan.blocks:
                row = _one([lay([tensors[p] for p in places]) for lay, places in plan.blocks])
                if row.numel() != plan.size:
                    raise IndexError(plan.size)
                parts.insert(0, _by_torch(row, plan.index))
                self._last = plan, row, tensors
        finally:
            torch.set_grad_enabled(recording)
        return np.concatenate(parts) if len(parts) > 1 else parts[0]

    def _plan(self, key: Key, tensors: Sequence[Any]) -> _Plan:
        """How tensors of these shapes are read; it is kept.

        Raises:
            IndexError: one is smaller than it was.
            TypeError: a parameter is no plain tensor.
        """
        if not PLAIN.issuperset(map(type, tensors)):
            raise TypeError
        every = [number for numbers in key for number in numbers]
        sizes = [tensor.numel() for tensor in tensors]
        for number, size in zip(every, sizes, strict=True):
            if self._end(number) > size:
                raise IndexError(number)
        where = [self.where[number] for number in every]
        planned = _whole if sum(sizes) <= FEW else _in_blocks
        if self._planned > PLANNED:  # others have gradients at each step
            self._plans.clear()
            self._planned = 0
        self._planned += len(every)
        plan = self._plans[key] = planned(key, where, tensors)
        return plan

    def _end(self, number: int) -> int:
        """How many elements a parameter has at least."""
        if number not in self._ends:
            self._ends[number] = int(self.where[number].max()) + 1
        return self._ends[number]


class _Plan(NamedTuple):
    """How some tensors are read.

    Attributes:
        gradients, weights: whose elements are read.
        size: how many elements all small ones have.
        small: the parameters whose gradients are small.
        whole: all tensors are kept whole.
        blocks: what lays small ones into one, and their places.
        index: which of these are taken.
        alone: places of the others, what takes their elements, and which.
    """

    gradients: Places
    weights: Places
    size: int
    small: frozenset[int] = frozenset()
    whole: bool = False
    blocks: Sequence[tuple[Callable[[Any], torch.Tensor], Sequence[int]]] = ()
    index: Any = None
    alone: Sequence[tuple[int, Callable[[Any, Any], FloatArray], Any]] = ()


def _whole(key: Key, where: Sequence[torch.Tensor], tensors: Sequence[torch.Tensor]) -> _Plan:
    """All numbers are kept, one tensor after the other."""
    ends = [0, *accumulate(tensor.numel() for tensor in tensors)]
    spots = [w.cpu().numpy() + start for w, start in zip(where, ends, strict=False)]
    spans = [slice(*ends) for ends in pairwise(ends)]
    gradients, weights = _places(key, spots)
    return _Plan(gradients._replace(spans=spans[: len(key[0])]), weights, ends[-1], whole=True)


def _in_blocks(key: Key, where: Sequence[torch.Tensor], tensors: Sequence[torch.Tensor]) -> _Plan:
    """Of all tensors elements are taken: of small ones when they are laid into one."""
    there, numbers = key
    every = (*there, *numbers)
    sizes = [tensor.numel() for tensor in tensors]
    blocks = _blocks({p: tensors[p].shape for p, size in enumerate(sizes) if size <= SMALL})
    small = [place for _, places in blocks for place in places]
    alone = sorted(set(range(len(sizes))) - set(small))
    starts = [0, *accumulate(sizes[place] for place in small)]
    index = [where[p] + start for p, start in zip(small, starts, strict=False)]
    ends = [0, *accumulate(where[p].numel() for p in (*small, *alone))]
    spots = {p: np.arange(*ends) for p, ends in zip((*small, *alone), pairwise(ends), strict=True)}
    return _Plan(
        *_places(key, [spots[p] for p in range(len(every))]),
        starts[-1],
        frozenset(every[p] for p in small if p < len(there)),
        False,
        blocks,
        torch.cat(index) if index else None,
        [(place, *_taking(tensors[place], where[place])) for place in alone],
    )


def _places(key: Key, spots: Sequence[Any]) -> tuple[Places, Places]:
    """Of gradients and of parameters: where their elements are, of all one after the other."""
    there, numbers = key
    first, second = spots[: len(there)], spots[len(there) :]
    gradients, weights = (
        Places(own, [*map(len, some)], np.concatenate(some) if some else ALL)
        for own, some in ((there, first), (numbers, second))
    )
    return gradients, weights


def _taking(
    tensor: torch.Tensor, where: torch.Tensor
) -> tuple[Callable[[Any, Any], FloatArray], Any]:
    """What takes elements of one tensor: NumPy, where it can, has them sooner."""
    if tensor.device.type == "cpu" and tensor.dtype is not torch.bfloat16 and tensor.dim():
        return _by_numpy, np.unravel_index(where.numpy(), tensor.shape)
    return _by_torch, where


def _by_numpy(tensor: Any, where: Any) -> FloatArray:
    found: FloatArray = tensor.detach().numpy()[where]
    return found


def _by_torch(tensor: Any, where: torch.Tensor) -> FloatArray:
    return _array(torch.take(tensor, where))


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
    """A row as an array; NumPy has no bfloat16."""
    found: FloatArray = (row.float() if row.dtype is torch.bfloat16 else row).cpu().numpy()
    return found


def _one(rows: Sequence[torch.Tensor]) -> torch.Tensor:
    return flat(rows) if len(rows) > 1 else rows[0]


def _versions(tensors: Sequence[torch.Tensor | None]) -> tuple[int | None, ...]:
    """How often torch has written into each; -1 where it does not count that."""
    try:
        return tuple(map(VERSION, tensors))
    except (AttributeError, RuntimeError):  # of None, of what was made in inference mode
        each = [None if t is None else -1 if t.is_inference() else VERSION(t) for t in tensors]
        return tuple(each)


def readable(tensor: torch.Tensor) -> bool:
    """Whether elements can be read: numbers that lie in memory."""
    return (
        not is_lazy(tensor)
        and tensor.layout is torch.strided
        and tensor.is_floating_point()
        and in_memory(local(tensor))
    )


def in_memory(tensor: torch.Tensor) -> bool:
    """Whether it has elements, and they lie in memory.

    Those of meta and of fake tensors do not, nor do those of a whole parameter that
    ``fully_shard`` has given back after a pass: to read these ends the process.
    """
    whole: Any = tensor
    try:  # before torch 2.0 that had no name
        storage = (getattr(whole, "untyped_storage", None) or whole.storage)()
    except (NotImplementedError, RuntimeError):  # of what stands for other tensors, as in vmap
        return False
    return storage.device.type != "meta" and tensor.numel() > 0 and storage.nbytes() > 0


def local(tensor: Any) -> torch.Tensor:
    """What this process has of a tensor that is spread over several."""
    found: torch.Tensor = tensor.detach()
    return found.to_local() if hasattr(found, "to_local") else found


def _largest(gradient: torch.Tensor) -> torch.Tensor:
    """Where in each part the largest element is, among :data:`WIDE` of all at most."""
    flat = local(gradient).flatten()
    apart = max(1, flat.numel() // WIDE)
    sizes = torch.nan_to_num(flat[::apart].float().abs(), nan=0.0, posinf=0.0)
    parts = sizes.tensor_split(min(ELEMENTS, sizes.numel()))
    starts = accumulate(map(torch.Tensor.numel, parts[:-1]), initial=0)
    return torch.stack([part.argmax() + n for part, n in zip(parts, starts, strict=True)]) * apart


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


def dealt_out(tensor: Any) -> bool:
    """Whether ranks are to have different parts of a tensor."""
    return not all(placement.is_replicate() for placement in getattr(tensor, "placements", ()))


def all_finite(tensor: torch.Tensor) -> bool:
    """Whether all elements are numbers: their sum is one, or else each is looked at."""
    if not readable(tensor):
        return True
    values = local(tensor)
    return math.isfinite(float(values.sum())) or bool(torch.isfinite(values).all())


def mark(tensor: torch.Tensor) -> int:
    """A number made of all bits of a tensor: where it is another, the bits are others.

    Of one that is dealt out to ranks, each of which has another part, it is 0.
    """
    if dealt_out(tensor) or not readable(tensor):
        return 0
    bits = {8: torch.int64, 4: torch.int32, 2: torch.int16, 1: torch.int8}
    flat = local(tensor).contiguous().flatten().view(bits[tensor.element_size()])
    weights = torch.arange(1, flat.numel() + 1, device=flat.device)
    return int((flat.to(torch.int64) * weights).sum())


def _zeros(gradient: torch.Tensor) -> bool:
    return readable(gradient) and not bool(local(gradient).any())
