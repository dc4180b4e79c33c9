"""The smallest numbers in which two conventions differ: a case that is checked with a pencil."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import numpy as np

from oracles.drawing import Hyper
from oracles.harness.arithmetic.formats import FloatArray
from oracles.rule import Convention, Rule

SHAPES = ((1,), (2,), (1, 1), (1, 2), (2, 1), (2, 2))
"""One element where that will do, then what a rule needs that looks at several."""

LONGEST = 8
"""Steps: by then every rule has done all it does."""

GLANCE = 0.01
"""Two results that differ by less of their scale are not told apart at a glance."""

SEEN = (0.1, GLANCE)
"""Which differences are looked for, and which where there are no such ones."""

LARGEST = 100.0
"""Beyond this a result is no small number."""

START = 2.0
"""A number that a factor and a power of it tell from 1."""

PATTERNS = (
    lambda t: 1.0,
    lambda t: 0.0,
    lambda t: float(t % 2 == 0),
    lambda t: (-1.0) ** t,
    lambda t: 2.0**-t,
    lambda t: 2.0**t,
)
"""What the gradient is at each step t, counted from 0."""

RATES = (1.0, 0.5)

ROUND = (0.5, 0.75)
"""Values of other hyperparameters that stay short in a calculation."""


@dataclass(frozen=True, eq=False)
class Smallest:
    """A parameter, its gradients, and where two conventions take it.

    Attributes:
        schedule: the hyperparameters of each step.
        initial: where the parameter starts.
        gradients: one a step.
        first, second: the parameter after the last step, by the rule's first convention and by the
            other.
    """

    schedule: tuple[Hyper, ...]
    initial: FloatArray
    gradients: tuple[FloatArray, ...]
    first: FloatArray
    second: FloatArray

    @property
    def changed(self) -> dict[str, Any]:
        """The hyperparameters that are not the rule's defaults; of those that change, a list."""
        default = type(self.schedule[0])()
        columns = {n: [getattr(h, n) for h in self.schedule] for n in default._fields}
        return {
            name: values[0] if len({*values}) == 1 else values
            for name, values in columns.items()
            if {*values} != {getattr(default, name)}
        }

    @property
    def length(self) -> int:
        """Characters of all its numbers, which is how long it takes to read."""
        arrays = (self.initial, *self.gradients, self.first, self.second)
        numbers = "".join(f"{x:.4g}" for array in arrays for x in array.ravel())
        return len(numbers) + len(str(self.changed))


def smallest(rule: Rule, convention: Convention) -> Smallest | None:
    """The fewest gradients, then digits, that show a convention beside torch's.

    >>> from oracles.optimizers.sgd import RULE
    >>> found = smallest(RULE, RULE.convention("batch_scaled"))
    >>> found.changed
    {'lr': 1.0, 'weight_decay': 0.5, 'batch_size': 2}
    >>> found.initial, found.gradients, found.first, found.second
    (array([2.]), (array([1.]),), array([0.]), array([0.5]))
    """
    ndims = {len(shape) for shape in rule.drawing.shapes or SHAPES}
    shapes = [shape for shape in SHAPES if len(shape) in ndims]
    shapes = shapes[:1] if rule.elementwise else shapes
    runs = {shape: _runs(rule, convention, shape) for shape in shapes}
    sizes = product(shapes, range(1, LONGEST + 1))
    for shape, steps in sorted(sizes, key=lambda size: prod(size[0]) * size[1]):
        ends = [(run.schedule, *end) for run in runs[shape] for end in run.ends()]
        for seen in SEEN:
            found = [
                Smallest(schedule[:steps], initial, gradients[:steps], *both)
                for schedule, (initial, gradients), both in ends
                if _are_seen(*both, seen)
            ]
            if found:
                return min(found, key=lambda example: example.length)
    return None


_Values = tuple[FloatArray, tuple[FloatArray, ...]]
"""A parameter and its gradients."""


class _Run:
    """Two conventions on the same numbers, a step at a time.

    Several parameters are one array here, for rules that look at no other element.
    """

    def __init__(
        self,
        rule: Rule,
        convention: Convention,
        schedule: tuple[Hyper, ...],
        values: Sequence[_Values],
    ) -> None:
        self.schedule, self.values = schedule, values
        initial = np.concatenate([initial for initial, _ in values])
        gradients = [*map(np.concatenate, zip(*(each for _, each in values), strict=True))]
        self._runs = [
            rule.run(c, initial, gradients, schedule, decays=c.decays(initial.ndim))
            for c in (rule.torch, convention)
        ]

    def ends(self) -> Iterator[tuple[_Values, tuple[FloatArray, FloatArray]]]:
        """Where the two are after one more step, for each parameter."""
        with np.errstate(all="ignore"):
            (first, _), (second, _) = map(next, self._runs)
        parts = (np.split(end, len(self.values)) for end in (first, second))
        return zip(self.values, zip(*parts, strict=True), strict=True)


def _are_seen(first: FloatArray, second: FloatArray, seen: float) -> bool:
    """Whether two results are small numbers and seen to differ; nan is neither."""
    small = max(np.abs(first).max(), np.abs(second).max()) < LARGEST
    return bool(small) and apart(first, second, least=seen)


def apart(one: Any, other: Any, scale: Any = 1.0, least: float = GLANCE) -> bool:
    """Whether two results are finite and seen to differ, by so much of their scale.

    >>> apart(0.9, 0.8), apart(0.9, 0.8, scale=100), apart(0.0, 0.0, scale=0.0), apart(1.0, np.inf)
    (True, False, False, False)
    """
    off = np.abs(other - one).max()
    return bool(0 < off < np.inf and off >= least * scale)


def _runs(rule: Rule, convention: Convention, shape: tuple[int, ...]) -> list[_Run]:
    """All that is tried, of one shape."""
    values = [*_values(shape, LONGEST)]
    return [
        _Run(rule, convention, schedule, together)
        for schedule in _schedules(rule, convention, LONGEST)
        for together in ([values] if rule.elementwise else [[each] for each in values])
    ]


def _schedules(rule: Rule, convention: Convention, steps: int) -> Iterator[tuple[Hyper, ...]]:
    """Defaults, but for what a convention needs in order to differ, in round numbers."""
    default = rule.hyper()
    needed = convention.parts - convention.fixed.keys()
    choices: dict[str, tuple[Any, ...]] = {}
    for name, value in default._asdict().items():
        if isinstance(value, bool):
            choices[name] = (name in needed,)
        elif name == "batch_size":
            choices[name] = (2 if name in needed else 1,)
        elif name in needed:
            choices[name] = (value, *ROUND)
        elif name == "weight_decay":
            choices[name] = (0.0,)
    choices["lr"] = RATES
    choices |= {name: (value,) for name, value in convention.fixed.items()}
    halves = (1, 0.5) if "schedule" in needed else (1, 1)
    for values in product(*choices.values()):
        h = default._replace(**dict(zip(choices, values, strict=True)))
        if rule.constraint(h) is None:
            yield tuple(h._replace(lr=h.lr * halves[t % 2]) for t in range(steps))


def _values(shape: tuple[int, ...], steps: int) -> Iterator[_Values]:
    """Parameters and their gradients; where there are several elements they go separate ways."""
    size = np.arange(1.0, 1 + np.prod(shape)).reshape(shape)
    for pattern in PATTERNS:
        yield START * size, tuple(pattern(t) * np.roll(size, t) for t in range(steps))
