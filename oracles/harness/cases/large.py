"""Cases that subjects are asked large and oracles small: long vectors, and long lists of them.

Kernels walk memory in pieces, and a fault may sit past the first one. The pieces there are:

    registers         up to 64 bytes, unrolled four times by some kernels
    32,768 elements   what one thread takes at least (``at::internal::GRAIN_SIZE``)
    65,536 elements   a chunk of CUDA's multi-tensor kernels (``kChunkSize``, MultiTensorApply.cuh)
    110 ... 30        tensors in one launch of those, by how many lists they walk at once
                      (``depth_to_max_tensors`` there)

The 320 chunks of one launch are out of reach: twenty million elements would take seconds each time.

An enclosure of so many elements would cost more than all else. Rules that look at no other element
give equal elements equal results, so a few values are repeated until they fill the long vector: the
oracle answers for each of them once, and every element of the subject's answer is held to that. The
number of values is a prime, so that no piece ends where they begin anew.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracles.drawing import Hyper
from oracles.harness.cases.case import Case, Group, Parameter, turns
from oracles.harness.cases.choices import Choices, strategy
from oracles.harness.cases.strategies import drawn_precision, made, scale_of, schedule_of
from oracles.rule import Rule

PERIOD = 31
"""Values that are repeated: a prime, and more than the shortest SIMD register holds."""

GRAIN, CHUNK = 32_768, 65_536
TENSORS = (110, 64, 48, 36, 30)


def _around(*boundaries: int) -> tuple[int, ...]:
    """One element before, at and past each of some boundaries."""
    return tuple(n + d for n in boundaries for d in (1, 0, -1))


LONG = (*_around(CHUNK, 2 * CHUNK), 3 * GRAIN + 17)
"""Elements of the longest parameter: past a thread's share, around CUDA's chunks."""

LESS_LONG = (*_around(GRAIN, 512, 1024, 4096), 2 * GRAIN + 9, 331)
"""Of the others."""

MATRICES = ((182, 181), (2, GRAIN // 2 + 1), (GRAIN + 1,), (GRAIN // 4 + 1, 4), (33, 31, 33))
"""Shapes of somewhat more elements than one thread takes."""

LEAST = 67
"""Parameters of a group of many: fewer than two launches of 36 are not what is asked here."""

MANY = tuple(
    n
    for tensors in TENSORS
    for n in _around(tensors * (110 // tensors + 1), 2 * tensors)
    if n >= LEAST
)
"""Parameters of a group: around two launches, and around those that make more than 110."""

DISTINCT = 12
"""Different parameters in a long list: a multiple of the dtypes, which take turns, and of nothing
that ends a launch of one dtype."""


@dataclass(frozen=True, eq=False)
class Enlarged(Case):
    """A case of one group that subjects are asked large.

    Attributes:
        copies: for each parameter that subjects are given, the number of the one in this case whose
            values it repeats, and how many elements it has.
    """

    copies: tuple[tuple[int, int], ...] = ()

    def cut(self, numbers: Collection[int]) -> Case:
        """Itself: it is asked for its size."""
        return self

    @cached_property
    def whole(self) -> Case:
        """What subjects are asked."""
        (group,) = self.groups
        members = tuple(_repeated(group.parameters[i], size) for i, size in self.copies)
        return Case((replace(group, parameters=members),), self.precisions)

    @cached_property
    def stands_for(self) -> NDArray[np.intp]:
        """For each element of the whole, the one of this case that it repeats."""
        return np.concatenate(
            [
                self.offsets[i] + np.arange(size) % self.parameters[i].initial.size
                for i, size in self.copies
            ]
        )

    @cached_property
    def _alike(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Elements of the whole, those that repeat one element together; where each one begins."""
        order = np.argsort(self.stands_for, kind="stable")
        return order, np.searchsorted(self.stands_for[order], np.arange(self.offsets[-1]))

    def folded(self, values: NDArray[Any], *by: np.ufunc) -> list[NDArray[Any]]:
        """All elements that repeat one of this case become one; each of ``by`` says which."""
        order, starts = self._alike
        alike = np.take(values, order, axis=1)  # which costs more than all that follows
        return [np.asarray(one.reduceat(alike, starts, axis=1)) for one in by]


def _repeated(p: Parameter, size: int) -> Parameter:
    """A parameter whose values repeat until they are so many; itself, if they are."""
    if size == p.initial.size:
        return p
    return p.each(lambda values: np.resize(values, size))


def _opening(choices: Choices, rule: Rule) -> tuple[tuple[str, ...], tuple[Hyper, ...], float]:
    """Precisions, the hyperparameters of a step or two, and how large parameters are."""
    precisions = drawn_precision(choices)
    steps = 1 + choices.index(2)
    schedule = schedule_of(choices, rule, steps, precisions)
    return precisions, schedule, scale_of(choices, schedule)


@strategy
def long_cases(choices: Choices, rule: Rule, *, alone: bool = False) -> Enlarged:
    """Vectors past a thread's share and a kernel's chunk, by one element or some, for two steps.

    The longest one is not ``alone`` in most cases.
    """
    precisions, schedule, scale = _opening(choices, rule)
    steps = len(schedule)
    others = turns(precisions) - 1 or int(not alone)
    sizes = [choices.pick(LONG), *(choices.pick(LESS_LONG) for _ in range(others))]
    first = choices.index(len(sizes))  # in a mixed case each dtype has the longest one in turn
    sizes = [*sizes[first:], *sizes[:first]]
    layout = choices.pick(("contiguous", "contiguous", "contiguous", "strided"))
    members = tuple(
        made(
            rule,
            choices.full_array((PERIOD,)) * scale,
            [choices.full_array((PERIOD,)) for _ in range(steps)],
            layout,
            layout,
        )
        for _ in sizes
    )
    return Enlarged((Group(members, schedule),), precisions, copies=tuple(enumerate(sizes)))


@strategy
def matrix_cases(choices: Choices, rule: Rule) -> Case:
    """A matrix past a thread's share, in full, for rules whose elements look at one another.

    What is repeated would be another question to those: the mean of a longer row is rounded more
    often.
    """
    precisions, schedule, scale = _opening(choices, rule)
    steps = len(schedule)
    drawn = choices.full_array
    shapes = [choices.pick(MATRICES), *((3, 2),) * (turns(precisions) - 1)]
    first = choices.index(len(shapes))
    members = tuple(
        made(rule, drawn(shape) * scale, [drawn(shape) for _ in range(steps)])
        for shape in (*shapes[first:], *shapes[:first])
    )
    return Case((Group(members, schedule),), precisions)


@strategy
def many_cases(choices: Choices, rule: Rule) -> Enlarged:
    """A group of some hundred parameters, of few elements each, for two steps."""
    precisions, schedule, scale = _opening(choices, rule)
    steps = len(schedule)
    gaps = choices.yes()
    members = []
    for _ in range(DISTINCT):
        shape = choices.pick(rule.drawing.shapes or ((3,), (1,), (2, 2), (8,)))
        missing = choices.index(2 * steps) if gaps else steps  # the step without gradient, if any
        gradients = [None if t == missing else choices.full_array(shape) for t in range(steps)]
        members.append(made(rule, choices.full_array(shape) * scale, gradients))
    copies = [(i % DISTINCT, members[i % DISTINCT].initial.size) for i in range(choices.pick(MANY))]
    return Enlarged((Group(tuple(members), schedule),), precisions, copies=tuple(copies))
