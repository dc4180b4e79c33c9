"""Hypothesis strategies that build cases.

Nothing is drawn and thrown away. Arrays are drawn as one byte string and decoded through a table
sorted from simple to hard: one choice however long the array, and shrinking moves every element
towards 0, 1, -1, 2, ... so that a failing case ends as one a person can read.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

import numpy as np
from hypothesis import strategies as st

from oracles.harness.case import AXES, LAYOUTS, MIXED, Case, Group, Parameter
from oracles.harness.formats import FORMATS, FloatArray
from oracles.rule import Convention, Domain, Hyper, Rule

T = TypeVar("T")

LONGEST = 320
"""Elements of the longest vector: several SIMD blocks of every dtype (32 float16 in 512 bits,
unrolled four times by some kernels) and a tail."""

SHAPES: tuple[tuple[int, ...], ...] = (
    *((1,), (), (2,), (3,), (2, 3), (5,), (0,), (3, 1), (1, 4), (2, 3, 2), (3, 0, 2)),
    *((2, 1, 3, 2), (7,), (8,), (9,), (4, 4), (17,), (3, 11), (33,), (5, 13)),
)

STEPS = (1, 2, 3, 2, 1, 2, 3, 2, 4, 2, 3, 1, 2, 3, 6, 12)

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



@cache
def _bytes(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size)


def _pick(draw: st.DrawFn, options: Sequence[T]) -> T:
    """One of the options; shrinks towards the first. (An index is cheaper than sampled_from.)"""
    return options[draw(_indices(len(options)))]


@cache
def _indices(count: int) -> st.SearchStrategy[int]:
    return st.integers(0, count - 1)


def _array(draw: st.DrawFn, shape: tuple[int, ...]) -> FloatArray:
    """An array of table values; a long one repeats 16 drawn codes, each round multiplied apart."""
    size = math.prod(shape)
    drawn = min(size, 16)
    if not drawn:
        return np.zeros(shape)
    codes = np.frombuffer(draw(_bytes(2 * drawn)), dtype=">u2").astype(np.int64)
    if size > drawn:
        codes = np.resize(codes, size) * (2 * (np.arange(size) // drawn) + 1) % len(VALUES)
    return VALUES[codes].reshape(shape)


def _edge_array(draw: st.DrawFn, shape: tuple[int, ...]) -> FloatArray:
    """An array of :data:`EDGES` with ordinary values between them."""
    codes = np.frombuffer(draw(_bytes(math.prod(shape))), dtype=np.uint8).astype(np.int64)
    ordinary = VALUES[codes * 257 % len(VALUES)]
    return np.where(codes < 160, EDGES[codes % len(EDGES)], ordinary).reshape(shape)


@cache
def _numbers(domain: Domain) -> tuple[float, ...]:
    """Special values, and as many full-length numbers log-uniform over the domain."""
    rng = np.random.Generator(np.random.PCG64(7))
    drawn = np.exp(rng.uniform(math.log(domain.low), math.log(domain.high), 1000))
    return (*domain.special * (1000 // len(domain.special)), *drawn.tolist())


def _number(draw: st.DrawFn, domain: Domain) -> float:
    return _pick(draw, _numbers(domain))


def _shape(draw: st.DrawFn) -> tuple[int, ...]:
    """From 0-d and empty to 4-d, and vectors of every length up to :data:`LONGEST`."""
    number = draw(_indices(len(SHAPES) * 3 // 2))
    return SHAPES[number] if number < len(SHAPES) else (1 + draw(_indices(LONGEST)),)


Fixed = dict[str, Any]


def _hyper(draw: st.DrawFn, rule: Rule) -> Hyper:
    """One set of hyperparameters the rule allows."""
    values: Fixed = {
        name: bool(draw(_indices(2)))
        for name, default in rule.hyper()._asdict().items()
        if isinstance(default, bool)
    }
    values |= {name: _number(draw, domain) for name, domain in rule.domains.items()}
    return settle(rule, rule.hyper(**values, batch_size=_pick(draw, BATCH_SIZES)))


def settle(rule: Rule, h: Hyper) -> Hyper:
    """The nearest hyperparameters that are allowed and keep the arithmetic finite.

    ``lr·weight_decay`` above 1 would make w grow geometrically, so the decay is capped there.
    """
    if rule.constraint(h) is not None:
        h = h._replace(dampening=0.0) if h.momentum > 0 else h._replace(nesterov=False)
    if h.lr * h.weight_decay > 1:
        h = h._replace(weight_decay=1 / h.lr)
    return h


def _schedule(draw: st.DrawFn, rule: Rule, steps: int) -> tuple[Hyper, ...]:
    """Constant hyperparameters or, as often, one that changes between steps."""
    first = _hyper(draw, rule)
    if steps == 1 or draw(_indices(2)) == 0:
        return (first,) * steps
    # The first domain is the learning rate, which is what schedules change most.
    names = tuple(rule.domains)
    changing = _pick(draw, (*names, *names[:1] * len(names)))
    domain = rule.domains[changing]
    if changing != names[0] and draw(_indices(2)):  # switched on later
        first = settle(rule, first._replace(**{changing: 0.0}))
    return (
        first,
        *(
            settle(rule, first._replace(**{changing: _number(draw, domain)}))
            for _ in range(steps - 1)
        ),
    )


def _presence(draw: st.DrawFn, steps: int, joins: int) -> list[bool]:
    """At which steps a parameter has a gradient: mostly all, else from a late step, or with gaps."""
    mode = draw(_indices(5))
    if mode < 3:
        return [t >= joins for t in range(steps)]
    if mode == 3:
        late = joins + draw(_indices(steps - joins + 1))
        return [t >= late for t in range(steps)]
    bits = draw(_indices(2**steps))
    return [t >= joins and bool(bits >> t & 1) for t in range(steps)]


def _parameter(
    draw: st.DrawFn, steps: int, *, joins: int = 0, scale: float = 1.0, plain: bool = True
) -> Parameter:
    """One parameter with its gradients; ``scale`` multiplies the initial value.

    A ``plain`` one is contiguous, and so are its gradients.
    """
    shape = _shape(draw)
    layout = gradient_layout = "contiguous"
    if not plain and math.prod(shape) > 1:  # layouts differ where there are elements to lay out
        layout = _pick(draw, LAYOUTS)
        # Most gradients are laid out as their parameter is.
        gradient_layout = _pick(draw, (layout, layout, *LAYOUTS, "expanded"))
    gradients = []
    for present in _presence(draw, steps, joins):
        gradient = _array(draw, shape) if present else None
        if gradient is not None and gradient_layout == "expanded":
            gradient = np.broadcast_to(gradient[:1], shape)
        gradients.append(gradient)
    return Parameter(_array(draw, shape) * scale, tuple(gradients), layout, gradient_layout)


def _axes(draw: st.DrawFn) -> tuple[str, ...]:
    """One dtype for the whole case: every dtype is reached, and each example stays cheap.

    float64 and float32 come twice as often: they tell most, and their moves are rarely swallowed.
    """
    return (_pick(draw, (*AXES[:2], *AXES)),)


@st.composite
def cases(draw: st.DrawFn, rule: Rule) -> Case:
    """The general case: groups, schedules, shapes, layouts, missing gradients, late groups."""
    axes = _axes(draw)
    steps = _pick(draw, STEPS)
    plain = draw(_indices(3)) < 2  # for all parameters: one odd layout stops a whole fused path
    groups: list[Group] = []
    for _ in range(_pick(draw, (1, 1, 1, 2, 1, 1, 2, 1, 1, 3))):
        joins = groups[-1].joins + draw(_indices(steps - groups[-1].joins)) if groups else 0
        schedule = _schedule(draw, rule, steps)
        members = []
        # Neighbouring parameters of a mixed case take the dtypes in turn: four show all.
        for _ in range(4 if MIXED in axes and not groups else _pick(draw, (1, 1, 2, 1, 3))):
            # A parameter much larger than its updates would swallow them.
            lr = schedule[0].lr
            scale = _pick(draw, (1.0, 2.0 ** math.floor(math.log2(lr)) if lr else 1.0))
            members.append(_parameter(draw, steps, joins=joins, scale=scale, plain=plain))
        groups.append(Group(tuple(members), schedule, joins))
    return Case(tuple(groups), axes)


@st.composite
def eventful_cases(draw: st.DrawFn, rule: Rule) -> Case:
    """Two groups of one parameter: gradients with gaps, momentum, and a group that joins late.

    General cases have these now and then; here each case has all of them. With one parameter a
    group, no parameter's buffer is younger than another's.
    """
    steps = 3 + draw(_indices(3))
    groups = []
    for joins in (0, 1 + draw(_indices(steps - 1))):
        schedule = tuple(
            settle(rule, h._replace(momentum=h.momentum or 0.5))
            for h in _schedule(draw, rule, steps)
        )
        shape = _pick(draw, ((2,), (1,), (7,), (2, 3)))
        bits = draw(_indices(2**steps)) | 1 << joins  # present as soon as it has joined
        gradients = tuple(
            _array(draw, shape) if t >= joins and bits >> t & 1 else None for t in range(steps)
        )
        groups.append(Group((Parameter(_array(draw, shape), gradients),), schedule, joins))
    return Case(tuple(groups), _axes(draw))


@st.composite
def edge_cases(draw: st.DrawFn, rule: Rule) -> Case:
    """One small parameter whose values lie at the edge of the formats, for up to three steps."""
    steps = 1 + draw(_indices(3))
    schedule = _schedule(draw, rule, steps)
    shape = _pick(draw, ((4,), (1,), (19,)))
    gradients = tuple(_edge_array(draw, shape) for _ in range(steps))
    parameter = Parameter(_edge_array(draw, shape), gradients)
    return Case((Group((parameter,), schedule),), _axes(draw), edge=True)


@st.composite
def sparse_cases(draw: st.DrawFn, rule: Rule) -> Case:
    """Sparse gradients, which torch takes only without weight decay."""
    steps = 1 + draw(_indices(4))
    schedule = tuple(h._replace(weight_decay=0.0) for h in _schedule(draw, rule, steps))
    drawn = [_parameter(draw, steps) for _ in range(1 + draw(_indices(3)))]
    members = [
        Parameter(p.initial, p.gradients, gradient_layout="sparse" if p.initial.ndim else "contiguous")
        for p in drawn
    ]
    return Case((Group(tuple(members), schedule),), _axes(draw))


@st.composite
def skipping_cases(draw: st.DrawFn, rule: Rule) -> Case:
    """Finite gradients but for one step, at which one element is not."""
    steps = 1 + draw(_indices(4))
    schedule = _schedule(draw, rule, steps)
    shape = _pick(draw, ((2,), (1,), (5,), (2, 3)))
    gradients = [_array(draw, shape) for _ in range(steps)]
    gradients[draw(_indices(steps))].flat[0] = _pick(draw, (math.inf, -math.inf, math.nan))
    parameter = Parameter(_array(draw, shape), tuple(gradients))
    return Case((Group((parameter,), schedule),), _axes(draw))


@dataclass(frozen=True)
class Proof:
    """Ranges in which two conventions part visibly: wide ones for formats that resolve them."""

    lr: tuple[float, float]
    momentum: tuple[float, float]
    dampening: tuple[float, float]
    weight_decay: tuple[float, float]
    w: tuple[float, float]
    g: tuple[float, float]


FINE = Proof((0.05, 0.9), (0.1, 0.95), (0.1, 0.9), (0.01, 1), (2, 16), (0.25, 4))
COARSE = Proof((0.5, 0.62), (0.8, 0.95), (0.5, 0.8), (0.7, 1), (3, 4), (2, 3))


@st.composite
def parting_cases(draw: st.DrawFn, rule: Rule, convention: Convention) -> Case:
    """Cases in which ``convention`` must differ from the rule's first one, by construction.

    The parts that tell them apart are switched on, and a gradient has the sign of its parameter,
    so the terms add up instead of cancelling; dampening, look-ahead and schedule, which could
    make up for a difference, are off unless they are such a part. What remains -- shape, values,
    rates, batch size -- is drawn. That the two do part is then proven by enclosures.
    """
    axes = _axes(draw)
    proof = FINE if axes[0] in ("float64", "float32") else COARSE
    parts = convention.parts
    steps = 2 + draw(_indices(2))

    def within(low_high: tuple[float, float]) -> float:
        low, high = low_high
        return float(low * (high / low) ** (draw(_indices(1000)) / 999))

    def drawn(part: str) -> bool:
        return part in parts or bool(draw(_indices(2)))

    h = rule.hyper(
        lr=within(proof.lr),
        momentum=within(proof.momentum) if drawn("momentum") else 0.0,
        dampening=within(proof.dampening) if "dampening" in parts else 0.0,
        weight_decay=within(proof.weight_decay) if drawn("weight_decay") else 0.0,
        nesterov="nesterov" in parts,
        maximize="maximize" in parts,
        batch_size=_pick(draw, BATCH_SIZES[1:] if "batch_size" in parts else BATCH_SIZES),
    )
    lowered = h._replace(lr=h.lr / 4) if "schedule" in parts else h
    schedule = tuple(lowered if t % 2 else h for t in range(steps))
    shape = _pick(draw, ((3,), (1,), (40,), (200,), (2, 3))[: 4 if "vector" in parts else 5])
    sign = np.where(_array(draw, shape) < 0, -1.0, 1.0)

    def between(low_high: tuple[float, float]) -> FloatArray:
        low, high = low_high
        return np.asarray(sign * (low + (high - low) * (np.abs(_array(draw, shape)) % 1)))

    gradients = tuple(between(proof.g) for _ in range(steps))
    return Case((Group((Parameter(between(proof.w), gradients),), schedule),), axes)
