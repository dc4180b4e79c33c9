"""Hypothesis strategies that build cases; nothing is drawn and thrown away.

How decisions are read from what Hypothesis draws is in
:mod:`oracles.harness.cases.choices`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import numpy as np

from oracles.drawing import Domain, Hyper
from oracles.harness.arithmetic.formats import FULL, FloatArray
from oracles.harness.cases.case import LAYOUTS, MIXED, PRECISIONS, Case, Group, Parameter
from oracles.harness.cases.choices import Choices, strategy
from oracles.rule import Rule

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

STEPS = (1, 2, 3, 2, 1, 2, 3, 2, 1, 2, 3, 5, 1, 2, 3, 2, 1, 2, 4, 3, 6, 5, 2, 7, 12)

NONFINITE = (math.inf, -math.inf, math.nan)

BATCH_SIZES = (1, 2, 3, 7, 16, 32, 100, 256, 1000, 1096, 4096)


@cache
def _numbers(domain: Domain) -> tuple[Any, ...]:
    """Special values, and as many full-length numbers log-uniform over the domain's range."""
    if not domain.high:
        return domain.special
    rng = np.random.Generator(np.random.PCG64(7))
    drawn = np.exp(rng.uniform(math.log(domain.low), math.log(domain.high), 1000))
    return (*domain.special * (1000 // len(domain.special)), *drawn.tolist())


def _number(choices: Choices, domain: Domain, precisions: Sequence[str]) -> Any:
    """A value from the domain, large enough for the precisions."""
    value = choices.pick(_numbers(domain))
    if value is None or in_full(precisions) or not domain.least_in_half:
        return value
    return max(value, domain.least_in_half)


def in_full(precisions: Sequence[str]) -> bool:
    """Whether all parameters have 24 bits or more."""
    return set(precisions) <= {*FULL}


def _shape(choices: Choices, rule: Rule) -> tuple[int, ...]:
    """From 0-d and empty to 4-d, and vectors of every length up to :data:`LONGEST`."""
    if rule.drawing.shapes:
        return choices.pick(rule.drawing.shapes)
    number = choices.index(len(SHAPES) * 3 // 2)
    return SHAPES[number] if number < len(SHAPES) else (1 + choices.index(LONGEST),)


def made(
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


def hyper_of(choices: Choices, rule: Rule, precisions: Sequence[str]) -> Hyper:
    """One set of hyperparameters the rule allows."""
    values: dict[str, Any] = {
        name: choices.yes()
        for name, default in rule.hyper()._asdict().items()
        if isinstance(default, bool)
    }
    values |= {
        name: _number(choices, domain, precisions) for name, domain in rule.drawing.domains.items()
    }
    return rule.drawing.nearest_allowed(rule.hyper(**values, batch_size=choices.pick(BATCH_SIZES)))


CHANGES = ("nothing", "all", "rate", "all", "one", "all", "nothing", "one")
"""What of the hyperparameters may change between steps."""


def schedule_of(
    choices: Choices,
    rule: Rule,
    steps: int,
    precisions: Sequence[str],
    like: Hyper | None = None,
) -> tuple[Hyper, ...]:
    """Hyperparameters of each step, of which some or all may change; switches only if they must.

    ``like``: those of another group; mostly at least all but one are the same here.
    """
    changed = partial(_changed, choices, rule, precisions)
    names = tuple(rule.drawing.domains)
    if like is not None and choices.index(4) < 3:
        first = changed(like, (choices.pick(names),))
    else:
        first = hyper_of(choices, rule, precisions)
    change = choices.pick(CHANGES) if steps > 1 else "nothing"
    if change == "nothing":
        return (first,) * steps
    if change == "all":
        before = 1 + choices.index(steps - 1)
        return (first,) * before + (changed(first, names),) * (steps - before)
    name = "lr" if change == "rate" else choices.pick(names)
    special = rule.drawing.domains[name].special
    off = 0 in special and (in_full(precisions) or not rule.drawing.domains[name].least_in_half)
    if change == "one" and off and choices.yes():  # switched on later
        zero = special[special.index(0)]  # a count of none is a whole number
        first = rule.drawing.nearest_allowed(first._replace(**{name: zero}))
    return (first, *(changed(first, (name,)) for _ in range(steps - 1)))


def _changed(
    choices: Choices, rule: Rule, precisions: Sequence[str], h: Hyper, names: Sequence[str]
) -> Hyper:
    """The same with other values of these hyperparameters."""
    domains = rule.drawing.domains
    drawn = {name: _number(choices, domains[name], precisions) for name in names}
    return rule.drawing.nearest_allowed(h._replace(**drawn))


def _steps(choices: Choices, rule: Rule) -> int:
    return choices.pick(rule.drawing.steps or STEPS)


def scale_of(choices: Choices, schedule: tuple[Hyper, ...]) -> float:
    """1, or about the learning rate: moves of a parameter much larger are below its radius."""
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


@dataclass(frozen=True)
class Lead:
    """What the first parameter of a general case has to be, so that the case shows something.

    Attributes:
        shapes: it is one of these, where the rule takes any.
        layouts: it is laid out in one of these ways.
    """

    shapes: tuple[tuple[int, ...], ...] = tuple(shape for shape in SHAPES if 0 not in shape)
    layouts: tuple[str, ...] = ()


def _parameter(
    choices: Choices,
    rule: Rule,
    steps: int,
    *,
    joins: int = 0,
    scale: float = 1.0,
    plain: bool = True,
    lead: Lead | None = None,
) -> Parameter:
    """One parameter with its gradients; ``scale`` multiplies the initial value.

    A ``plain`` one is contiguous, and so are its gradients. One that has to ``lead`` moves at every
    step.
    """
    shape = choices.pick(rule.drawing.shapes or lead.shapes) if lead else _shape(choices, rule)
    array = choices.full_array if lead else choices.array
    layout = gradient_layout = "contiguous"
    if lead and lead.layouts:
        layout = gradient_layout = choices.pick(lead.layouts)
    elif not plain and math.prod(shape) > 1:  # layouts differ where there are elements to lay out
        layout = choices.pick(LAYOUTS)
        # Most gradients are laid out as their parameter is.
        gradient_layout = choices.pick((layout, layout, *LAYOUTS, "expanded"))
    initial = array(shape) * scale
    gradients = []
    for present in [True] * steps if lead else _presence(choices, steps, joins):
        gradient = array(shape) if present else None
        if gradient is not None and gradient_layout == "expanded":
            gradient = np.broadcast_to(gradient[:1], shape)
        gradients.append(gradient)
    return made(rule, initial, gradients, layout, gradient_layout)


def drawn_precision(
    choices: Choices, options: Sequence[str] = (*FULL, *PRECISIONS)
) -> tuple[str, ...]:
    """One dtype for the whole case: every dtype is reached, and each example stays cheap.

    float64 and float32 come twice as often: they tell most, and their moves are rarely below
    the radius.
    """
    return (
        choices.pick([precision for precision in options if precision in choices.among] or options),
    )


def _with_a_rate(rule: Rule, h: Hyper) -> Hyper:
    """The same with a learning rate that is not 0."""
    simplest = rule.drawing.domains["lr"].special[0]
    return h if h.lr else rule.drawing.nearest_allowed(h._replace(lr=simplest))


@strategy
def cases(
    choices: Choices, rule: Rule, *, least: int = 1, members: int = 1, lead: Lead | None = None
) -> Case:
    """The general case: groups, schedules, shapes, layouts, missing gradients, late groups.

    Args:
        choices: what to read decisions from.
        rule: whose case it is.
        least: at least so many steps, so that there is something to remember.
        members: at least so many parameters in the first group.
        lead: what the first parameter has to be; it moves at every step.
    """
    precisions = drawn_precision(choices)
    steps = max(_steps(choices, rule), least)
    plain = choices.index(3) < 2  # for all parameters: one odd layout stops a whole fused path
    groups: list[Group] = []
    for _ in range(choices.pick((1, 1, 1, 2, 1, 1, 1, 2, 1, 1, 3))):
        joins = groups[-1].joins + choices.index(steps - groups[-1].joins) if groups else 0
        like = groups[0].schedule[0] if groups else None
        schedule = schedule_of(choices, rule, steps, precisions, like)
        if lead and not groups:
            schedule = tuple(_with_a_rate(rule, h) for h in schedule)
        # Neighbouring parameters of a mixed case take the dtypes in turn: four show all.
        number = 4 if MIXED in precisions and not groups else choices.pick((1, 1, 2, 1, 1, 3))
        drawn: list[Parameter] = []
        for _ in range(number if groups else max(number, members)):
            first = None if groups or drawn else lead
            scale = scale_of(choices, schedule)
            drawn.append(
                _parameter(choices, rule, steps, joins=joins, scale=scale, plain=plain, lead=first)
            )
        groups.append(Group(tuple(drawn), schedule, joins))
    return Case(tuple(groups), precisions)


def long_case(choices: Choices, rule: Rule) -> Case:
    """A case for soaking: one group of long parameters, or of tails, in every dtype."""
    steps, edge = choices.pick((2, 3, 4, 1)), choices.index(16) == 15
    schedule = schedule_of(choices, rule, steps, PRECISIONS)
    small = not rule.elementwise
    array = partial(choices.edge_array, precision=MIXED, small=small) if edge else choices.array
    scale = 1.0 if edge else scale_of(choices, schedule)
    gaps = choices.index(4) == 3
    members = []
    for shape in rule.drawing.shapes[-3:] or choices.pick(LONG_SHAPES):
        layout = choices.pick(LAYOUTS) if len(shape) > 1 else "contiguous"
        present = [not gaps or choices.index(4) > 0 for _ in range(steps)]
        gradients = tuple(array(shape) if there else None for there in present)
        members.append(made(rule, array(shape) * scale, gradients, layout, layout))
    return Case((Group(tuple(members), schedule),), PRECISIONS, edge)


@strategy
def single_option_cases(choices: Choices, rule: Rule) -> Case:
    """For each hyperparameter a group of one small contiguous parameter with only that switched on.

    And what it needs. Some shortcuts in code are taken only where nothing else is asked for.
    """
    precisions = drawn_precision(choices)
    steps = 1 + choices.index(3)
    shape = choices.pick(rule.drawing.shapes or ((2,), (1,), (7,), (2, 3)))
    groups = []
    for name in rule.hyper()._fields:
        if name not in ("lr", "batch_size"):
            h = _with_one(choices, rule, precisions, name)
            gradients = [choices.array(shape) for _ in range(steps)]
            parameter = made(rule, choices.array(shape), gradients)
            groups.append(Group((parameter,), (h,) * steps))
    return Case(tuple(groups), precisions)


def _with_one(choices: Choices, rule: Rule, precisions: Sequence[str], name: str) -> Hyper:
    """Hyperparameters of which one is switched on, and only what that needs."""
    h = rule.hyper(lr=_number(choices, rule.drawing.domains["lr"], precisions))
    domain = rule.drawing.domains.get(name)
    # A switch that is on unless it is turned off is turned off.
    value = not getattr(h, name) if domain is None else _number(choices, domain, precisions)
    h = h._replace(**{name: value})
    for needed, domain in rule.drawing.domains.items():
        if rule.constraint(h) is None:
            break
        helped = h._replace(**{needed: choices.pick([v for v in _numbers(domain) if v])})
        h = helped if needed != "lr" and rule.constraint(helped) is None else h
    return h


@strategy
def gaps_and_late_groups(choices: Choices, rule: Rule) -> Case:
    """Two groups of one parameter: gradients with gaps, momentum, and a group that joins late.

    General cases have these now and then; here each case has all of them. With one parameter a
    group, no parameter's buffer is younger than another's.
    """
    precisions = drawn_precision(choices)
    steps = 3 + choices.index(3)
    groups: list[Group] = []
    for joins in (0, 1 + choices.index(steps - 1)):
        like = groups[0].schedule[0] if groups else None
        schedule = tuple(
            rule.drawing.remembering(h) for h in schedule_of(choices, rule, steps, precisions, like)
        )
        shape = choices.pick(rule.drawing.shapes or ((2,), (1,), (7,), (2, 3)))
        bits = choices.index(2**steps) | 1 << joins  # present as soon as it has joined
        gradients = [
            choices.array(shape) if t >= joins and bits >> t & 1 else None for t in range(steps)
        ]
        parameter = made(rule, choices.array(shape), gradients)
        groups.append(Group((parameter,), schedule, joins))
    return Case(tuple(groups), precisions)


@strategy
def edge_cases(choices: Choices, rule: Rule) -> Case:
    """One small parameter whose values lie at the edge of the formats, for up to three steps."""
    precisions = drawn_precision(choices)
    steps = 1 + choices.index(3)
    schedule = schedule_of(choices, rule, steps, precisions)
    shape = choices.pick(rule.drawing.shapes or ((4,), (1,), (19,)))
    (precision,) = precisions
    array = partial(choices.edge_array, precision=precision, small=not rule.elementwise)
    gradients = [array(shape) for _ in range(steps)]
    if not rule.elementwise and choices.yes():  # small edges have none of these
        gradients[choices.index(steps)].flat[0] = choices.pick(NONFINITE)
    parameter = made(rule, array(shape), gradients)
    return Case((Group((parameter,), schedule),), precisions, edge=True)


@strategy
def sparse_cases(choices: Choices, rule: Rule) -> Case:
    """Sparse gradients, which torch takes only without weight decay."""
    precisions = drawn_precision(choices)
    steps = 1 + choices.index(4)
    schedule = tuple(rule.undecayed(h) for h in schedule_of(choices, rule, steps, precisions))
    first, *others = (_parameter(choices, rule, steps) for _ in range(1 + choices.index(3)))
    members = [
        replace(p, gradient_layout="sparse" if p.initial.ndim else rule.gradient_layout)
        for p in (_with_dimensions(first), *others)
    ]
    return Case((Group(tuple(members), schedule),), precisions)


def _with_dimensions(p: Parameter) -> Parameter:
    """A parameter without dimensions as a vector of one element: something must be sparse."""
    return p.each(np.atleast_1d)


@strategy
def skipping_cases(choices: Choices, rule: Rule) -> Case:
    """Finite gradients but for one step, at which one element is not."""
    precisions = drawn_precision(choices)
    steps = 1 + choices.index(4)
    schedule = schedule_of(choices, rule, steps, precisions)
    shape = choices.pick(rule.drawing.shapes or ((2,), (1,), (5,), (2, 3)))
    gradients = [choices.array(shape) for _ in range(steps)]
    gradients[choices.index(steps)].flat[0] = choices.pick(NONFINITE)
    parameter = made(rule, choices.array(shape), gradients)
    return Case((Group((parameter,), schedule),), precisions)
