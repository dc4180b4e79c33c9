"""Hypothesis strategies that build cases.

Nothing is drawn and thrown away. A case is drawn as one byte string, and every decision is read
from it in turn (:class:`Choices`): first the structure, then the values through a table sorted from
simple to hard. One draw instead of dozens is cheap, every example is fresh (Hypothesis varies
examples whose parts are drawn alike, and most of its examples would be such variations), and zero
bytes are the simplest decisions, so that a failing case shrinks to one a person can read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial, wraps
from typing import Any, TypeVar

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from oracles.drawing import Domain, Range
from oracles.harness.arithmetic.formats import FORMATS, FloatArray
from oracles.harness.cases.case import (
    AXES,
    LAYOUTS,
    MIXED,
    Case,
    Group,
    Parameter,
)
from oracles.rule import Convention, Hyper, Rule

T = TypeVar("T")

LONGEST = 320
"""Elements of the longest vector: several SIMD blocks of every dtype (32 float16 in 512 bits,
unrolled four times by some kernels) and a tail."""

SHAPES: tuple[tuple[int, ...], ...] = (
    *((1,), (), (2,), (3,), (2, 3), (5,), (0,), (3, 1), (1, 4), (2, 3, 2), (3, 0, 2)),
    *((2, 1, 3, 2), (7,), (8,), (9,), (4, 4), (17,), (3, 11), (33,), (5, 13)),
)

LONG_SHAPES: tuple[tuple[tuple[int, ...], ...], ...] = (
    *(((509,),), ((16, 32),), ((384,), (125,))),
    ((7,), (3,), (2, 2), (5,), (1,), ()),
)
"""Shapes of a soaked case's parameters: long enough that the oracle's cost is spread over many
elements, with a tail that fills no SIMD register; and short ones, all tail (a deviation of the
fused CPU kernel leaves half-precision vectors out; these are what remains to be asked of it)."""

STEPS = (1, 2, 3, 2, 1, 2, 3, 2, 1, 2, 3, 2, 1, 2, 3, 2, 1, 2, 4, 3, 1, 5, 2, 7, 12)

RATIOS = {"falling": 0.5, "rising": 2.0, "turning": -1.0}
"""What a gradient is to the one before, by the part of a case that asks for it."""

SHAPED: dict[str, Callable[[tuple[int, ...]], bool]] = {
    "vector": lambda shape: len(shape) < 2,
    "matrix": lambda shape: len(shape) > 1,
    "oblong": lambda shape: shape[0] != shape[1],
    "row": lambda shape: 1 in shape,
}
"""Which shapes a part of a case asks for."""

LATE = (4, 5, 6)
"""Numbers of steps of a case that is to show what two or three do not."""

BATCH_SIZES = (1, 2, 3, 7, 16, 32, 100, 256, 1000, 1096, 4096)

_SIMPLE = (0, 1, -1, 2, 0.5, -2, -0.5, 3, 4, -3, 1.5, 0.25, 0.1, -0.1, 10, -10)


def _table() -> FloatArray:
    """65,536 values from simple to hard: full-length significands, four decades, both signs."""
    rng = np.random.Generator(np.random.PCG64(20))
    size = 2**16
    magnitude = np.ldexp(rng.uniform(0.5, 1, size), rng.integers(-9, 4, size))
    values: FloatArray = magnitude * rng.choice([-1.0, 1.0], size)
    values[rng.random(size) < 1 / 16] = 0.0
    values[: len(_SIMPLE)] = _SIMPLE
    values[len(_SIMPLE) : 256] = np.round(values[len(_SIMPLE) : 256], 1)
    return values


VALUES = _table()


def _edges() -> FloatArray:
    """Values at the edge of each format: zero, subnormal, smallest normal, largest, inf, nan."""
    values = [0.0, 1.0, -1.0, 2.0, np.inf, -np.inf, np.nan]
    for format in FORMATS.values():
        tiny, largest = float(2 * format.eta) or 5e-324, float(format.largest)
        normal = tiny / (2 * float(format.u))
        values += [tiny, -tiny, 3 * tiny, normal, -normal * 0.75, largest, -largest, 0.6 * largest]
    return np.array(values)


EDGES = _edges()

SMALL_EDGES = EDGES[np.abs(EDGES) <= 1]
"""Those that a rule which looks at whole parameters is asked: one large element decides all others,
and whether its square still counts hangs on what a kernel accumulates in."""

STRUCTURE, CODES = 192, 128
"""Bytes read for decisions, and two-byte codes read for values."""


class Choices:
    """Decisions read from a byte string; beyond its end all of them are the simplest.

    Args:
        raw: the bytes.
        among: the axes there are to choose from.
    """

    def __init__(self, raw: bytes, among: Sequence[str] = AXES) -> None:
        self.among = among
        self._raw = raw[:STRUCTURE]
        self._at = 0
        self._codes = np.frombuffer(raw[STRUCTURE:], dtype=">u2").astype(np.int64)
        self._arrays = 0

    def index(self, count: int) -> int:
        """A number below ``count``, at most 65,536; a few counts are favoured by less than 2 %."""
        width = 1 if count <= 4 else 2
        raw = self._raw[self._at : self._at + width]
        self._at += width
        return int.from_bytes(raw, "big") % count

    def pick(self, options: Sequence[T]) -> T:
        """One of the options; the first is the simplest."""
        return options[self.index(len(options))]

    def yes(self) -> bool:
        """A coin; no is simpler."""
        return self.index(2) == 1

    def codes(self, size: int) -> NDArray[np.int64]:
        """Codes for an array; those that serve again are multiplied apart (0 stays 0).

        Every array has a place of its own, so that one that shrinks leaves the others alone, and
        keeps its last elements: those are simplified last.
        """
        at = 16 * (self._arrays + 1) - size + np.arange(size)
        self._arrays += 1
        return self._codes[at % len(self._codes)] * (2 * (at // 16) + 1) % len(VALUES)

    def array(self, shape: tuple[int, ...]) -> FloatArray:
        """An array of table values."""
        return VALUES[self.codes(math.prod(shape))].reshape(shape)

    def edge_array(self, shape: tuple[int, ...], *, small: bool = False) -> FloatArray:
        """An array of :data:`EDGES` (or the small ones) with ordinary values between them."""
        among = SMALL_EDGES if small else EDGES
        codes = self.codes(math.prod(shape))
        edges = among[codes % len(among)]
        return np.where(codes % 8 < 5, edges, VALUES[codes]).reshape(shape)


def strategy(build: Callable[..., Case]) -> Callable[..., st.SearchStrategy[Case]]:
    """Make of a builder ``(choices, rule, ...) -> Case`` a function that gives its strategy.

    That also takes ``among``, the axes of whom its cases will be asked.
    """
    size = STRUCTURE + 2 * CODES

    @wraps(build)
    def strategy_of(
        rule: Rule, *, among: Sequence[str] = AXES, **options: Any
    ) -> st.SearchStrategy[Case]:
        raw = st.binary(min_size=size, max_size=size)
        return raw.map(lambda drawn: build(Choices(drawn, among), rule, **options))

    return strategy_of


@cache
def _numbers(domain: Domain) -> tuple[Any, ...]:
    """Special values, and as many full-length numbers log-uniform over the domain's range."""
    if not domain.high:
        return domain.special
    rng = np.random.Generator(np.random.PCG64(7))
    drawn = np.exp(rng.uniform(math.log(domain.low), math.log(domain.high), 1000))
    return (*domain.special * (1000 // len(domain.special)), *drawn.tolist())


def _number(choices: Choices, domain: Domain, axes: Sequence[str]) -> Any:
    """A value from the domain, large enough for the axes."""
    value = choices.pick(_numbers(domain))
    if value is None or _fine(axes) or not domain.coarse:
        return value
    return max(value, domain.coarse)


def _fine(axes: Sequence[str]) -> bool:
    """Whether all parameters have 24 bits or more."""
    return set(axes) <= {"float64", "float32"}


def _shape(choices: Choices, rule: Rule) -> tuple[int, ...]:
    """From 0-d and empty to 4-d, and vectors of every length up to :data:`LONGEST`."""
    if rule.shapes:
        return choices.pick(rule.shapes)
    number = choices.index(len(SHAPES) * 3 // 2)
    return SHAPES[number] if number < len(SHAPES) else (1 + choices.index(LONGEST),)


def _small_shape(choices: Choices, rule: Rule, *options: tuple[int, ...]) -> tuple[int, ...]:
    """One of the options, or of the shapes the rule takes."""
    return choices.pick(rule.shapes or options)


def _made(
    rule: Rule,
    initial: FloatArray,
    gradients: Sequence[FloatArray | None],
    layout: str = "contiguous",
    gradient_layout: str = "contiguous",
) -> Parameter:
    """A parameter whose gradients are sparse where the rule takes no others."""
    if rule.sparse:
        gradient_layout = rule.gradient_layout
    return Parameter(initial, tuple(gradients), layout, gradient_layout)


def _hyper(choices: Choices, rule: Rule, axes: Sequence[str]) -> Hyper:
    """One set of hyperparameters the rule allows."""
    values: dict[str, Any] = {
        name: choices.yes()
        for name, default in rule.hyper()._asdict().items()
        if isinstance(default, bool)
    }
    values |= {name: _number(choices, domain, axes) for name, domain in rule.domains.items()}
    return rule.settle(rule.hyper(**values, batch_size=choices.pick(BATCH_SIZES)))


def _schedule(choices: Choices, rule: Rule, steps: int, axes: Sequence[str]) -> tuple[Hyper, ...]:
    """Constant hyperparameters or, as often, one that changes between steps."""
    first = _hyper(choices, rule, axes)
    if steps == 1 or not choices.yes():
        return (first,) * steps
    # The first domain is the learning rate, which is what schedules change most.
    names = tuple(rule.domains)
    changing = choices.pick((*names, *names[:1] * len(names)))
    domain = rule.domains[changing]
    if changing != names[0] and 0 in domain.special and choices.yes():  # switched on later
        zero = domain.special[domain.special.index(0)]  # a count of none is a whole number
        first = rule.settle(first._replace(**{changing: zero}))
    return (
        first,
        *(
            rule.settle(first._replace(**{changing: _number(choices, domain, axes)}))
            for _ in range(steps - 1)
        ),
    )


def _steps(choices: Choices, rule: Rule) -> int:
    return choices.pick(rule.steps or STEPS)


def _scale(choices: Choices, schedule: tuple[Hyper, ...]) -> float:
    """1, or about the learning rate: a parameter much larger than its updates swallows them."""
    lr = schedule[0].lr
    return choices.pick((1.0, 2.0 ** math.floor(math.log2(lr)) if lr else 1.0))


def _presence(choices: Choices, steps: int, joins: int) -> list[bool]:
    """At which steps a parameter has a gradient: mostly all, or from a late one, or with gaps."""
    mode = choices.index(5)
    if mode < 3:
        return [t >= joins for t in range(steps)]
    if mode == 3:
        late = joins + choices.index(steps - joins + 1)
        return [t >= late for t in range(steps)]
    bits = choices.index(2**steps)
    return [t >= joins and bool(bits >> t & 1) for t in range(steps)]


def _parameter(
    choices: Choices,
    rule: Rule,
    steps: int,
    *,
    joins: int = 0,
    scale: float = 1.0,
    plain: bool = True,
    gaps: bool = True,
) -> Parameter:
    """One parameter with its gradients; ``scale`` multiplies the initial value.

    A ``plain`` one is contiguous, and so are its gradients; without ``gaps`` none is missing.
    """
    shape = _shape(choices, rule)
    layout = gradient_layout = "contiguous"
    if not plain and math.prod(shape) > 1:  # layouts differ where there are elements to lay out
        layout = choices.pick(LAYOUTS)
        # Most gradients are laid out as their parameter is.
        gradient_layout = choices.pick((layout, layout, *LAYOUTS, "expanded"))
    initial = choices.array(shape) * scale
    gradients = []
    for present in _presence(choices, steps, joins) if gaps else [True] * steps:
        gradient = choices.array(shape) if present else None
        if gradient is not None and gradient_layout == "expanded":
            gradient = np.broadcast_to(gradient[:1], shape)
        gradients.append(gradient)
    return _made(rule, initial, gradients, layout, gradient_layout)


def _axes(choices: Choices, options: Sequence[str] = (*AXES[:2], *AXES)) -> tuple[str, ...]:
    """One dtype for the whole case: every dtype is reached, and each example stays cheap.

    float64 and float32 come twice as often: they tell most, and their moves are rarely swallowed.
    """
    return (choices.pick([axis for axis in options if axis in choices.among] or options),)


@strategy
def cases(choices: Choices, rule: Rule, *, lasting: bool = False) -> Case:
    """The general case: groups, schedules, shapes, layouts, missing gradients, late groups.

    A ``lasting`` one has two steps at least, and a first parameter that moves at each of them, so
    that there is something to remember in the middle and at the end.
    """
    axes = _axes(choices)
    steps = max(_steps(choices, rule), 2 if lasting else 1)
    plain = choices.index(3) < 2  # for all parameters: one odd layout stops a whole fused path
    groups: list[Group] = []
    for _ in range(choices.pick((1, 1, 1, 2, 1, 1, 1, 2, 1, 1, 3))):
        joins = groups[-1].joins + choices.index(steps - groups[-1].joins) if groups else 0
        schedule = _schedule(choices, rule, steps, axes)
        members: list[Parameter] = []
        # Neighbouring parameters of a mixed case take the dtypes in turn: four show all.
        for _ in range(4 if MIXED in axes and not groups else choices.pick((1, 1, 2, 1, 1, 3))):
            scale = _scale(choices, schedule)
            gaps = bool(groups or members) or not lasting
            members.append(
                _parameter(choices, rule, steps, joins=joins, scale=scale, plain=plain, gaps=gaps)
            )
        groups.append(Group(tuple(members), schedule, joins))
    return Case(tuple(groups), axes)


def long_case(choices: Choices, rule: Rule) -> Case:
    """A case for soaking: one group of long parameters, or of tails, in every dtype."""
    steps, edge = choices.pick((2, 3, 4, 1)), choices.index(16) == 15
    schedule = _schedule(choices, rule, steps, AXES)
    small = not rule.elementwise
    array = partial(choices.edge_array, small=small) if edge else choices.array
    scale = 1.0 if edge else _scale(choices, schedule)
    gaps = choices.index(4) == 3
    members = []
    for shape in rule.shapes[-3:] or choices.pick(LONG_SHAPES):
        layout = choices.pick(LAYOUTS) if len(shape) > 1 else "contiguous"
        present = [not gaps or choices.index(4) > 0 for _ in range(steps)]
        gradients = tuple(array(shape) if there else None for there in present)
        members.append(_made(rule, array(shape) * scale, gradients, layout, layout))
    return Case((Group(tuple(members), schedule),), AXES, edge)


@strategy
def lone_cases(choices: Choices, rule: Rule) -> Case:
    """One small contiguous parameter, one hyperparameter switched on, and only what that needs.

    Some shortcuts in code are taken only where nothing else is asked for.
    """
    axes = _axes(choices)
    steps = 1 + choices.index(3)
    h = rule.hyper(lr=_number(choices, rule.domains["lr"], axes))
    name = choices.pick([name for name in h._fields if name not in ("lr", "batch_size")])
    domain = rule.domains.get(name)
    # A switch that is on unless it is turned off is turned off.
    value = not getattr(h, name) if domain is None else _number(choices, domain, axes)
    h = h._replace(**{name: value})
    for needed, domain in rule.domains.items():
        if rule.constraint(h) is None:
            break
        helped = h._replace(**{needed: choices.pick([v for v in _numbers(domain) if v])})
        h = helped if needed != "lr" and rule.constraint(helped) is None else h
    shape = _small_shape(choices, rule, (2,), (1,), (7,), (2, 3))
    gradients = [choices.array(shape) for _ in range(steps)]
    parameter = _made(rule, choices.array(shape), gradients)
    return Case((Group((parameter,), (h,) * steps),), axes)


@strategy
def eventful_cases(choices: Choices, rule: Rule) -> Case:
    """Two groups of one parameter: gradients with gaps, momentum, and a group that joins late.

    General cases have these now and then; here each case has all of them. With one parameter a
    group, no parameter's buffer is younger than another's.
    """
    axes = _axes(choices)
    steps = 3 + choices.index(3)
    groups = []
    for joins in (0, 1 + choices.index(steps - 1)):
        schedule = tuple(rule.remembering(h) for h in _schedule(choices, rule, steps, axes))
        shape = _small_shape(choices, rule, (2,), (1,), (7,), (2, 3))
        bits = choices.index(2**steps) | 1 << joins  # present as soon as it has joined
        gradients = [
            choices.array(shape) if t >= joins and bits >> t & 1 else None for t in range(steps)
        ]
        parameter = _made(rule, choices.array(shape), gradients)
        groups.append(Group((parameter,), schedule, joins))
    return Case(tuple(groups), axes)


@strategy
def edge_cases(choices: Choices, rule: Rule) -> Case:
    """One small parameter whose values lie at the edge of the formats, for up to three steps."""
    axes = _axes(choices)
    steps = 1 + choices.index(3)
    schedule = _schedule(choices, rule, steps, axes)
    shape = _small_shape(choices, rule, (4,), (1,), (19,))
    array = partial(choices.edge_array, small=not rule.elementwise)
    gradients = [array(shape) for _ in range(steps)]
    parameter = _made(rule, array(shape), gradients)
    return Case((Group((parameter,), schedule),), axes, edge=True)


@strategy
def sparse_cases(choices: Choices, rule: Rule) -> Case:
    """Sparse gradients, which torch takes only without weight decay."""
    axes = _axes(choices)
    steps = 1 + choices.index(4)
    schedule = tuple(rule.undecayed(h) for h in _schedule(choices, rule, steps, axes))
    first, *others = (_parameter(choices, rule, steps) for _ in range(1 + choices.index(3)))
    members = [
        replace(p, gradient_layout="sparse" if p.initial.ndim else rule.gradient_layout)
        for p in (_with_dimensions(first), *others)
    ]
    return Case((Group(tuple(members), schedule),), axes)


def _with_dimensions(p: Parameter) -> Parameter:
    """A parameter without dimensions as a vector of one element: something must be sparse."""
    gradients = tuple(None if g is None else np.atleast_1d(g) for g in p.gradients)
    return replace(p, initial=np.atleast_1d(p.initial), gradients=gradients)


@strategy
def skipping_cases(choices: Choices, rule: Rule) -> Case:
    """Finite gradients but for one step, at which one element is not."""
    axes = _axes(choices)
    steps = 1 + choices.index(4)
    schedule = _schedule(choices, rule, steps, axes)
    shape = _small_shape(choices, rule, (2,), (1,), (5,), (2, 3))
    gradients = [choices.array(shape) for _ in range(steps)]
    gradients[choices.index(steps)].flat[0] = choices.pick((math.inf, -math.inf, math.nan))
    parameter = _made(rule, choices.array(shape), gradients)
    return Case((Group((parameter,), schedule),), axes)


@strategy
def parting_cases(choices: Choices, rule: Rule, convention: Convention) -> Case:
    """Cases in which ``convention`` must differ from the rule's first one, by construction.

    The parts that tell them apart are switched on, and a gradient has the sign of its parameter,
    so the terms add up instead of cancelling (unless it is to turn); what could make up for a
    difference (all that the rule does not call free) is off unless it is such a part. What remains
    -- shape, values, rates, batch size -- is drawn. That the two do part is proven by enclosures.
    """
    axes = _axes(choices, AXES[:2]) if "fine" in convention.parts else _axes(choices)
    parting = rule.fine if _fine(axes) else rule.coarse
    parts = convention.parts
    steps = choices.pick(rule.steps or LATE) if "late" in parts else 2 + choices.index(2)

    def within(span: Range) -> float:
        low, high = span
        return float(low * (high / low) ** (choices.index(1000) / 999))

    values: dict[str, Any] = {
        name: within(span)
        for name, span in parting.hyper.items()
        if name == "lr" or name in parts or (name in rule.free and choices.yes())
    }
    values |= {
        name: choices.pick(domain.special)
        for name, domain in rule.domains.items()
        if not domain.high and name in parts and name not in parting.hyper
    }
    values |= {
        name: name in parts
        for name, default in rule.hyper()._asdict().items()
        if isinstance(default, bool)
    }
    values["batch_size"] = choices.pick(BATCH_SIZES[1:] if "batch_size" in parts else BATCH_SIZES)
    h = rule.hyper(**{**values, **convention.fixed})
    lowered = h._replace(lr=h.lr / 4) if "schedule" in parts else h
    schedule = tuple(lowered if t % 2 else h for t in range(steps))
    options = rule.shapes or ((3,), (1,), (40,), (200,), (2, 3), (4, 3))
    tests = [test for part, test in SHAPED.items() if part in parts]
    shape = choices.pick([s for s in options if all(test(s) for test in tests)])
    sign = np.where(choices.array(shape) < 0, -1.0, 1.0)

    def between(span: Range) -> FloatArray:
        low, high = span
        return np.asarray(sign * (low + (high - low) * (np.abs(choices.array(shape)) % 1)))

    ratio = math.prod(RATIOS[part] for part in parts if part in RATIOS)
    gradients = [between(parting.g) * ratio**t for t in range(steps)]
    squares = sum(np.indices(shape))
    if "checkered" in parts:
        gradients = [g * np.where((squares + t) % 2, 1, 4) for t, g in enumerate(gradients)]
    if "missing" in parts:
        gradients = [g * ((squares + t) % 2 == 0) for t, g in enumerate(gradients)]
    parameter = _made(rule, between(parting.w), gradients)
    return Case((Group((parameter,), schedule),), axes)
