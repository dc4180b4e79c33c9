"""Case in, enclosures out: what every correct implementation may answer, in every dtype at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracles.drawing import Hyper
from oracles.harness.arithmetic.enclosure import Enclosure, enter, quiet
from oracles.harness.arithmetic.formats import (
    DTYPES,
    FLOAT64,
    FORMATS,
    SMALLEST,
    TENSOR,
    FloatArray,
    Format,
    Wide,
    WideArray,
    loosened,
    mixed,
    round_each,
    round_to,
    uniform,
)
from oracles.harness.cases.case import Case, Parameter, dtype_of
from oracles.numerics import Scalar
from oracles.rule import Convention, Rule, State

PYTHON: frozenset[str] = frozenset()
"""No scalar is a tensor: hyperparameters and the count of steps are Python numbers."""


@dataclass(frozen=True)
class Margin:
    """Which texts of a rule an enclosure holds; by default torch's, rounded once an operation.

    A rule can be written in many ways that are the same by algebra: sums in another order, a
    correction folded into the step size, a decay and a move in one expression. Each rounds
    elsewhere. Where every operation is charged several roundings, any text is inside that makes no
    more of them, of numbers of that size, where the rule's own text makes one; fused operations and
    wider intermediates make fewer, and products that underflow may be flushed to zero. What stays
    outside are texts that add and take away numbers larger than any the rule has, and sums that
    are flushed. (``tests/harness/test_margin.py`` holds it to that.)

    Attributes:
        roundings: how many each operation is charged.
        scalars: what hyperparameters, counters and what is made of them are kept in: a dtype.
    """

    roundings: int = 1
    scalars: str = "float64"

    @cached_property
    def of_torch(self) -> bool:
        """Whether it holds torch's own text and no other."""
        return self == Margin()

    @cached_property
    def numbers(self) -> Format:
        """What numbers without dimension compute in."""
        if self.of_torch:
            return FLOAT64
        return replace(loosened(FORMATS[self.scalars], self.roundings), numbers=None)

    def number(self, value: Any) -> Any:
        """A hyperparameter or a count, as a text holds it."""
        exact = Enclosure.exact(value)
        return exact if self.of_torch else enter(exact, self.numbers)

    def count(self, t: int) -> Any:
        """The number of gradients seen, which every format holds."""
        return t if self.of_torch else self.number(t)

    def arrays(self, format: Format) -> Format:
        """What arrays of a format compute in."""
        if self.of_torch:
            return format
        return replace(loosened(format, self.roundings), numbers=self.numbers)


TORCH_TEXT = Margin()


@dataclass(frozen=True)
class Balls:
    """Midpoints and radii, shape (precisions, steps, elements).

    Elements are laid out as :attr:`Case.offsets` says.
    """

    mid: WideArray
    rad: WideArray

    @cached_property
    def divisor(self) -> WideArray:
        """The radii, with the smallest number there is in place of 0: what shares are taken of."""
        return np.maximum(self.rad, SMALLEST)

    @cached_property
    def bounded(self) -> list[bool]:
        """For each precision, whether no radius is infinite."""
        return [bool(rad.max(initial=0.0) < np.inf) for rad in self.rad]


@dataclass(frozen=True)
class Enclosures:
    """The oracle's answer to a case.

    Attributes:
        precisions: what the first dimension of all balls stands for.
        parameters: after each step.
        states: after each step, by name; meaningful where ``present``.
        present: by state name, (steps, elements): whether the buffer exists by then.
        start: the initial values as each precision holds them, shape (precisions, elements).
    """

    precisions: tuple[str, ...]
    parameters: Balls
    states: Mapping[str, Balls]
    present: Mapping[str, NDArray[np.bool_]]
    start: FloatArray

    @cached_property
    def buffered(self) -> tuple[str, ...]:
        """Names of the states that exist at some step."""
        return tuple(name for name, present in self.present.items() if present.any())

    def row(self, precision: str) -> int:
        """Where a precision is in the first dimension."""
        return self.precisions.index(precision)

    @cached_property
    def moves(self) -> list[tuple[int, int]]:
        """For each precision, the parameter element-steps that moved, and those below radius."""
        mid, rad = self.parameters.mid, self.parameters.rad
        before = np.concatenate([self.start[:, None], mid[:, :-1]], axis=1)
        with np.errstate(invalid="ignore"):
            move = np.abs(mid - before)
        moved = (move > 0).sum(axis=(1, 2)).tolist()
        below_radius = ((move > 0) & (move < rad)).sum(axis=(1, 2)).tolist()
        return list(zip(moved, below_radius, strict=True))


class Oracle:
    """Answers to one case, each computed once and only when asked for.

    Those of a case whose parameters have moved before go on ``since`` then.

    >>> from oracles import RULES
    >>> from oracles.harness.cases.case import single
    >>> rule = RULES["SGD"]
    >>> oracle = Oracle(rule, single([1.0], [[-32.0]], rule.hyper(lr=0.1, weight_decay=1.0)))
    >>> balls = oracle().parameters
    >>> row = oracle().row("float32")
    >>> f"{balls.mid[row, 0, 0]:.3f} ± {balls.rad[row, 0, 0]:.0e}"
    '4.100 ± 8e-07'
    """

    def __init__(
        self,
        rule: Rule,
        case: Case,
        since: Since | None = None,
        margin: Margin = TORCH_TEXT,
    ) -> None:
        self.rule = rule
        self.case = case
        self.since = since
        self.margin = margin
        self._answers: dict[tuple[str, frozenset[str]], Enclosures] = {}

    def __call__(
        self, convention: Convention | None = None, tensors: frozenset[str] = PYTHON
    ) -> Enclosures:
        """What implementations of ``convention`` (default: torch's) may answer.

        ``tensors`` names the scalars a path computes with as 0-d float32 tensors: hyperparameters,
        and ``"step"`` for the number of gradients seen.
        """
        convention = convention or self.rule.torch
        key = (convention.name, tensors)
        if key not in self._answers:
            self._answers[key] = enclose(
                self.rule, convention, self.case, tensors, self.since, self.margin
            )
        return self._answers[key]

    @cached_property
    def measured(self) -> bool:
        """Whether some parameter's radius rests on a measurement."""
        last = self.case.steps - 1
        return any(self.measures(number, last) for number in range(len(self.case.parameters)))

    def measures(self, number: int, step: int) -> bool:
        """Whether a parameter's radius at that step rests on measurements up to then."""
        shape = self.case.parameters[number].initial.shape
        schedule = self.case.group_of(number).schedule[: step + 1]
        return any(self.rule.measured(shape, h) for h in schedule)


@dataclass(frozen=True)
class Since:
    """Where the parameters of a case stand before its first step, if they have moved before.

    Attributes:
        seen: gradients that each of them has seen.
        states: their buffers, elements end to end, as numbers of each one's format.
    """

    seen: int
    states: Mapping[str, FloatArray]

    def state(self, rule: Rule, batch: _Batch, tensors: frozenset[str]) -> State:
        """A parameter's buffers, in the shapes and formats that the rule keeps them in."""
        number = TENSOR if tensors else FLOAT64
        return {
            name: _known(self.states[name][batch.where], batch.w, shape, number)
            for name, shape in _shapes(rule, batch.w.shape, batch.schedule[0]).items()
        }


@lru_cache(maxsize=256)
@np.errstate(all="ignore")
def _shapes(rule: Rule, shape: tuple[int, ...], h: Hyper) -> dict[str, tuple[int, ...]]:
    """The shapes of a parameter's buffers: those of a step on plain numbers."""
    one = np.ones(shape)
    _, state = rule.step(one, one, 1, rule.start(one, h), h, rule.torch)
    return {name: np.shape(buffer) for name, buffer in state.items()}


def _known(values: FloatArray, w: Enclosure, shape: tuple[int, ...], number: Format) -> Enclosure:
    """A buffer that fills its parameter, in its own shape again, as exact numbers."""
    if not shape and w.ndim:
        return Enclosure.exact(values[0], number)
    whole = values.reshape(w.shape)
    own = whole[tuple(slice(n) for n in shape)]
    exact = Enclosure.exact(own, w.format)
    exact.nonnegative = bool(np.all(own >= 0))
    return exact


@quiet
def enclose(
    rule: Rule,
    convention: Convention,
    case: Case,
    tensors: frozenset[str] = PYTHON,
    since: Since | None = None,
    margin: Margin = TORCH_TEXT,
) -> Enclosures:
    """Follow a convention through a case in enclosure arithmetic, on all the case's precisions.

    Parameters that share hyperparameters and have their gradients at the same steps go through an
    elementwise rule as one array; another rule gets each parameter by itself, in its shape. So does
    any rule that goes on from somewhere.
    """
    shape = (len(case.precisions), case.steps, case.offsets[-1])
    filled = Enclosures(
        case.precisions,
        _empty(shape),
        {name: _empty(shape) for name in rule.states},
        {name: np.zeros(shape[1:], dtype=bool) for name in rule.states},
        np.empty((shape[0], shape[2])),
    )
    count = Enclosure.tensor if "step" in tensors else margin.count
    together = rule.elementwise and since is None
    for batch in _batches(convention, case, margin, together=together):
        hypers = [exactly(h, tensors, margin) for h in batch.schedule]
        trajectory = rule.run(
            convention,
            batch.w,
            batch.gradients,
            hypers,
            decays=batch.decays,
            late=batch.late,
            count=count,
            seen=since.seen if since else 0,
            state=since.state(rule, batch, tensors) if since else None,
        )
        filled.start[batch.rows, batch.where] = batch.laid(batch.w.mid)
        for t, (value, state) in enumerate(trajectory):
            _scatter(filled.parameters, t, batch, value)
            for name in rule.states:
                if (buffer := state.get(name)) is None:
                    continue
                _scatter(filled.states[name], t, batch, buffer)
                filled.present[name][t, batch.where] = True
    return filled


def exactly(h: Hyper, tensors: frozenset[str] = PYTHON, margin: Margin = TORCH_TEXT) -> Hyper:
    """Hyperparameters as 0-d enclosures; switches and words are left as they are.

    Those named in ``tensors`` are rounded to float32, the others are exact, as Python holds them.
    """
    return _entered(h, tensors, margin, *h)


@lru_cache(maxsize=256, typed=True)  # by type: 1 equals True, and NamedTuples of two rules may
def _entered(h: Hyper, tensors: frozenset[str], margin: Margin, *values: Any) -> Hyper:
    """Values are those of h, each of which is told apart by its type as well."""
    return type(h)(
        *(
            value
            if value is None or isinstance(value, bool | str)
            else (Enclosure.tensor if name in tensors else margin.number)(value)
            for name, value in zip(h._fields, values, strict=True)
        )
    )


@dataclass(frozen=True)
class _Batch:
    """Parameters that go through a rule as one array.

    Attributes:
        schedule: their hyperparameters at each step.
        decays: whether the convention decays them.
        late: whether they joined after construction.
        where: their elements in the case's end-to-end layout.
        rows: the precisions the first dimension of the array stands for, or one precision without
            dimension.
        w, gradients: their values.
    """

    schedule: Sequence[Hyper]
    decays: bool
    late: bool
    where: Any
    rows: slice | int
    w: Enclosure
    gradients: list[Enclosure | None]

    def laid(self, values: Any) -> Any:
        """Values that broadcast to the array, as its elements are laid end to end."""
        if isinstance(self.rows, slice):
            return values
        return np.broadcast_to(values, self.w.shape).ravel()


def _batches(
    convention: Convention, case: Case, margin: Margin, *, together: bool
) -> Iterator[_Batch]:
    alike: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    groups = {}
    for index, group, parameter in case.walk():
        pattern = tuple(g is not None for g in parameter.gradients)
        alone = () if together else (index,)
        key = (id(group), pattern, convention.decays(parameter.initial.ndim), *alone)
        alike[key].append(index)
        groups[key] = group
    for key, members in alike.items():
        common = (groups[key].schedule, key[2], groups[key].joins > 0)
        if together:
            where, w, gradients = _gather(case, members, margin)
            yield _Batch(*common, where, slice(None), w, gradients)
            continue
        (index,) = members
        where = slice(case.offsets[index], case.offsets[index + 1])
        for row, precision in enumerate(case.precisions):
            shaped = lifted(case.parameters[index], dtype_of(precision, index), margin)
            yield _Batch(*common, where, row, *shaped)


def lifted(
    parameter: Parameter, dtype: str, margin: Margin = TORCH_TEXT
) -> tuple[Enclosure, list[Enclosure | None]]:
    """One parameter and its gradients, in its own shape and one dtype."""
    format = margin.arrays(uniform(dtype))

    def entered(values: FloatArray) -> Enclosure:
        return Enclosure.exact(round_to(dtype, values), format)

    gradients = [None if g is None else entered(g) for g in parameter.gradients]
    return entered(parameter.initial), gradients


def _empty(shape: tuple[int, ...]) -> Balls:
    return Balls(np.zeros(shape, dtype=Wide), np.zeros(shape, dtype=Wide))


def _gather(
    case: Case, members: list[int], margin: Margin
) -> tuple[slice | NDArray[np.intp], Enclosure, list[Enclosure | None]]:
    """The members' values end to end, a row for each precision, rounded to each one's dtype."""
    # Parameters that share a schedule and a pattern of gradients differ in values alone, so one
    # evaluation serves them all, in all dtypes.
    parameters = [case.parameters[i] for i in members]
    spans = [np.arange(case.offsets[i], case.offsets[i + 1]) for i in members]
    where = np.concatenate(spans)
    steps = [t for t, g in enumerate(parameters[0].gradients) if g is not None]
    drawn = np.stack(
        [
            np.concatenate([p.initial.ravel() for p in parameters]),
            *(np.concatenate([p.gradients[t].ravel() for p in parameters]) for t in steps),  # type: ignore[union-attr]
        ]
    )
    dtypes = [[dtype_of(precision, i) for i in members] for precision in case.precisions]
    rounded, own = _rounded(drawn, dtypes, [len(span) for span in spans])
    format = margin.arrays(own)
    values = [Enclosure.exact(row, format) for row in rounded]
    gradients: list[Enclosure | None] = [None] * case.steps
    for t, value in zip(steps, values[1:], strict=True):
        gradients[t] = value
    return where, values[0], gradients


def _rounded(
    drawn: FloatArray, dtypes: Sequence[Sequence[str]], sizes: Sequence[int]
) -> tuple[FloatArray, Format]:
    """Rows of values in the dtypes of each precision's members, (rows, precisions, elements).

    Numbers of one dtype, which most cases ask for, are rounded and computed with at less cost.
    """
    if len(kinds := {dtype for row in dtypes for dtype in row}) == 1:
        (dtype,) = kinds
        shape = (len(drawn), len(dtypes), drawn.shape[1])
        return np.broadcast_to(round_to(dtype, drawn)[:, None], shape), uniform(dtype)
    # Every value is rounded to every dtype at once, and each element takes the row of its own.
    which = np.stack([np.repeat([DTYPES.index(d) for d in row], sizes) for row in dtypes])
    rows = np.arange(len(drawn))[:, None, None]
    return round_each(drawn)[which, rows, np.arange(drawn.shape[1])], mixed(which)


def _scatter(balls: Balls, t: int, batch: _Batch, value: Scalar) -> None:
    """Write an array, or whatever broadcasts to the parameter, where the batch's elements are."""
    mid, rad = (value.mid, value.rad) if isinstance(value, Enclosure) else (value, 0)
    balls.mid[batch.rows, t, batch.where] = batch.laid(mid)
    balls.rad[batch.rows, t, batch.where] = batch.laid(rad)
