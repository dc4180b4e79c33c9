"""A case: one question to a subject, without its answer.

Values are float64 and are rounded to the subject's dtype before anybody computes with them, so one
case can be asked in every dtype. ``dtype="mixed"`` gives neighbouring parameters different dtypes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import count
from typing import Any

import numpy as np

from oracles.drawing import Hyper
from oracles.harness.arithmetic.formats import DTYPES, FloatArray
from oracles.naming import unknown
from oracles.rule import Rule

MIXED = "mixed"
PRECISIONS = (*DTYPES, MIXED)
"""What a subject's dtype can be: one dtype for all parameters, or all four side by side."""

LAYOUTS = ("contiguous", "transposed", "strided")
GRADIENT_LAYOUTS = (*LAYOUTS, "expanded", "sparse")
"""``expanded`` repeats the first row with stride 0; ``sparse`` is COO."""


@dataclass(frozen=True, eq=False)
class Parameter:
    """One parameter: where it starts and the gradient it gets at each step (None: no gradient)."""

    initial: FloatArray
    gradients: tuple[FloatArray | None, ...]
    layout: str = "contiguous"
    gradient_layout: str = "contiguous"

    def __post_init__(self) -> None:
        for name, allowed in (("layout", LAYOUTS), ("gradient_layout", GRADIENT_LAYOUTS)):
            if getattr(self, name) not in allowed:
                value = getattr(self, name)
                raise ValueError(unknown(f"{name}={value!r} is not known", value, allowed))
        for t, gradient in enumerate(self.gradients):
            if gradient is not None and gradient.shape != self.initial.shape:
                raise ValueError(
                    f"gradients[{t}] has shape {gradient.shape}; its parameter has "
                    f"{self.initial.shape}"
                )

    def each(self, change: Callable[[FloatArray], FloatArray]) -> Parameter:
        """The same with what is made of its values, and of each gradient that it has."""
        gradients = tuple(None if g is None else change(g) for g in self.gradients)
        return replace(self, initial=change(self.initial), gradients=gradients)

    def cut(self) -> Parameter:
        """Its first element, with as many dimensions."""
        return self.each(lambda values: values[(slice(1),) * values.ndim])

    def dense(self) -> Parameter:
        """The same in one block of memory; gradients that are sparse stay so."""
        kept = self.gradient_layout if self.gradient_layout == "sparse" else "contiguous"
        return replace(self, layout="contiguous", gradient_layout=kept)


@dataclass(frozen=True, eq=False)
class Group:
    """Parameters that share hyperparameters.

    Attributes:
        parameters: in the order the optimizer gets them.
        schedule: the hyperparameters in force at each step of the case.
        joins: the step before which ``add_param_group`` brings the group in.
    """

    parameters: tuple[Parameter, ...]
    schedule: tuple[Hyper, ...]
    joins: int = 0


@dataclass(frozen=True, eq=False)
class Case:
    """Groups of parameters and as many steps as each schedule is long.

    Raises:
        ValueError: schedules or gradients of different lengths, a first group that joins late, or
            a gradient for a group that has not joined.
    """

    groups: tuple[Group, ...]
    precisions: tuple[str, ...] = PRECISIONS
    """The dtypes it is to be asked in."""
    edge: bool = False
    """Whether values were put at the edge of the finite range on purpose."""
    elapsed: int = 0
    """What counters are set to after the first step, by a check that does so."""

    def __post_init__(self) -> None:
        if not self.groups or self.groups[0].joins:
            raise ValueError("groups must not be empty, and the first one joins at step 0")
        joins = [group.joins for group in self.groups]
        if joins != sorted(joins):
            raise ValueError(f"groups must be in the order they join; they join at {joins}")
        for i, group in enumerate(self.groups):
            if len(group.schedule) != self.steps:
                raise ValueError(
                    f"groups[{i}].schedule has {len(group.schedule)} steps; groups[0] has "
                    f"{self.steps}"
                )
            for parameter in group.parameters:
                if len(parameter.gradients) != self.steps:
                    raise ValueError(
                        f"a parameter of groups[{i}] has {len(parameter.gradients)} gradients; "
                        f"the case has {self.steps} steps"
                    )
                if any(g is not None for g in parameter.gradients[: group.joins]):
                    raise ValueError(f"groups[{i}] has a gradient before it joins")

    @property
    def steps(self) -> int:
        return len(self.groups[0].schedule)

    def has(self, gradient_layout: str) -> bool:
        """Whether some parameter's gradients are laid out so."""
        return any(p.gradient_layout == gradient_layout for p in self.parameters)

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """All parameters, group after group."""
        return tuple(p for group in self.groups for p in group.parameters)

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """Where each parameter begins when all are laid end to end; the last entry is the size."""
        sizes = [p.initial.size for p in self.parameters]
        return tuple(int(n) for n in np.cumsum([0, *sizes]))

    def walk(self) -> Iterator[tuple[int, Group, Parameter]]:
        """``(index, group, parameter)`` for every parameter, group after group."""
        index = 0
        for group in self.groups:
            for parameter in group.parameters:
                yield index, group, parameter
                index += 1

    def locate(self, element: int) -> tuple[int, tuple[int, ...]]:
        """Parameter number and index within it of an element of the end-to-end layout."""
        number = int(np.searchsorted(self.offsets, element, side="right")) - 1
        shape = self.parameters[number].initial.shape
        index = np.unravel_index(element - self.offsets[number], shape) if shape else ()
        return number, tuple(int(i) for i in index)

    def group_of(self, number: int) -> Group:
        """The group parameter ``number`` belongs to."""
        return next(group for index, group, _ in self.walk() if index == number)

    def cut(self, numbers: Collection[int]) -> Case:
        """The same case with the first element alone of each of these parameters.

        >>> from oracles import RULES
        >>> case = single([1.0, 2.0], [[0.5, 0.25], None], RULES["SGD"].hyper(lr=0.1))
        >>> [p.gradients[0].tolist() for p in case.cut([0]).parameters]
        [[0.5]]
        """
        return self._with(numbers, Parameter.cut)

    def dense(self, numbers: Collection[int]) -> Case:
        """The same case with each of these parameters, and its gradients, in one block of memory.

        >>> from oracles import RULES
        >>> case = single([1.0], [[0.5]], RULES["SGD"].hyper(lr=0.1), layout="strided")
        >>> case.dense([0]).parameters[0].layout
        'contiguous'
        """
        return self._with(numbers, Parameter.dense)

    def rescheduled(self, change: Callable[[Hyper], Hyper]) -> Case:
        """The same case with what is made of the hyperparameters of each step.

        >>> from oracles import RULES
        >>> case = single([1.0], [[0.5]], RULES["SGD"].hyper(lr=0.1))
        >>> case.rescheduled(lambda h: h._replace(lr=0.2)).groups[0].schedule[0].lr
        0.2
        """
        groups = (replace(g, schedule=tuple(map(change, g.schedule))) for g in self.groups)
        return replace(self, groups=tuple(groups))

    def regrouped(self, change: Callable[[Parameter], Iterable[Parameter]]) -> Case:
        """The same groups with what becomes of each of their parameters."""
        groups = (
            replace(g, parameters=tuple(q for p in g.parameters for q in change(p)))
            for g in self.groups
        )
        return replace(self, groups=tuple(groups))

    def _with(self, numbers: Collection[int], change: Callable[[Parameter], Parameter]) -> Case:
        number = count()
        return self.regrouped(lambda p: [change(p) if next(number) in numbers else p])


def dtype_of(precision: str, number: int) -> str:
    """Dtype of parameter ``number`` on that precision."""
    return DTYPES[number % len(DTYPES)] if precision == MIXED else precision


def turns(precisions: Collection[str]) -> int:
    """How many parameters it takes until each dtype that they are asked in has had its turn."""
    return len(DTYPES) if MIXED in precisions else 1


def single(w: Any, gradients: Any, schedule: Any, **options: Any) -> Case:
    """A case of one parameter, from anything NumPy can read.

    >>> from oracles import RULES
    >>> case = single([1.0, 2.0], [[0.5, 0.5], None], RULES["SGD"].hyper(lr=0.1))
    >>> case.steps, case.offsets
    (2, (0, 2))

    Args:
        w: initial value.
        gradients: one per step; None for a step without gradient.
        schedule: one Hyper, or one per step.
        **options: further fields of :class:`Parameter`.
    """
    steps = len(gradients)
    if isinstance(schedule, tuple) and hasattr(schedule, "_fields"):
        schedule = (schedule,) * steps
    arrays = tuple(None if g is None else np.asarray(g, dtype=np.float64) for g in gradients)
    parameter = Parameter(np.asarray(w, dtype=np.float64), arrays, **options)
    return Case((Group((parameter,), tuple(schedule)),))


def of_ones(gradients: Iterable[float], schedule: Any, dimensions: int = 1, **options: Any) -> Case:
    """A case of one element, which is 1 at first, for people to follow.

    >>> from oracles import RULES
    >>> case = of_ones((1, -1), RULES["SGD"].hyper(lr=0.5), dimensions=2)
    >>> case.parameters[0].initial.tolist(), case.steps
    ([[1.0]], 2)

    Args:
        gradients: one per step.
        schedule: one Hyper, or one per step.
        dimensions: of the parameter.
        **options: further fields of :class:`Parameter`.
    """
    shape = (1,) * dimensions
    arrays = [np.full(shape, float(g)) for g in gradients]
    return single(np.ones(shape), arrays, schedule, **options)


@cache
def plain(rule: Rule, gradient_layout: str | None = None) -> Case:
    """Two steps that ask for nothing but the rule: whoever has a path at all takes them."""
    layout = gradient_layout or rule.gradient_layout
    h = rule.undecayed(rule.drawing.trial) if layout == "sparse" else rule.drawing.trial
    one = np.ones((rule.drawing.shapes or ((2,),))[0])
    parameter = Parameter(one, (one, one), gradient_layout=layout)
    return Case((Group((parameter,) * len(DTYPES), (h, h)),))


def from_data(rule: Rule, data: Mapping[str, Any]) -> Case:
    """Read a case from plain data (a TOML or JSON table).

    ``data`` has ``steps``, hyperparameters common to all steps under ``hyper`` (those that change
    are lists, one entry a step), and ``parameters``: tables with ``initial``, ``gradients`` (an
    empty list for a step without gradient) and optional layouts; with ``shape``, values are
    repeated to fill it. Several groups are tables of ``hyper`` and ``parameters`` under ``groups``,
    and of the step before which one ``joins``. ``elapsed`` may be given.

    Raises:
        ValueError: a list of hyperparameters or gradients is not ``steps`` long.
    """
    groups = data.get("groups", [data])
    read = tuple(_group(rule, data["steps"], table) for table in groups)
    return Case(read, elapsed=data.get("elapsed", 0))


def _group(rule: Rule, steps: int, table: Mapping[str, Any]) -> Group:
    hyper = table["hyper"]
    for name, value in hyper.items():
        if isinstance(value, list) and len(value) != steps:
            raise ValueError(f"hyper.{name} has {len(value)} entries; the case has {steps} steps")
    schedule = tuple(
        rule.hyper(**{k: v[t] if isinstance(v, list) else v for k, v in hyper.items()})
        for t in range(steps)
    )
    parameters = tuple(
        _parameter({"gradient_layout": rule.gradient_layout, **table})
        for table in table["parameters"]
    )
    return Group(parameters, schedule, table.get("joins", 0))


def _parameter(table: Mapping[str, Any]) -> Parameter:
    def array(values: Any) -> FloatArray:
        read = np.asarray(values, dtype=np.float64)
        return np.broadcast_to(read, table.get("shape", read.shape))

    options = {k: v for k, v in table.items() if k not in ("initial", "gradients", "shape")}
    gradients = tuple(None if g == [] else array(g) for g in table["gradients"])
    return Parameter(array(table["initial"]), gradients, **options)
