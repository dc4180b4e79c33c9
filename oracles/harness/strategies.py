"""Hypothesis strategies that build cases.

Nothing is drawn and thrown away. Arrays are drawn as one byte string and decoded through a table
sorted from simple to hard: one choice however long the array, and shrinking moves every element
towards 0, 1, -1, 2, ... so that a failing case ends as one a person can read.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from oracles.harness.case import AXES, LAYOUTS, Case, Group, Parameter
from oracles.harness.formats import FORMATS, FloatArray
from oracles.rule import Convention, Domain, Hyper, Rule

LONGEST = 320
"""Elements of the longest vector: several SIMD blocks of every dtype (32 float16 in 512 bits,
unrolled four times by some kernels) and a tail."""

SHAPES: tuple[tuple[int, ...], ...] = (
    *((1,), (), (2,), (3,), (2, 3), (5,), (0,), (3, 1), (1, 4), (2, 3, 2), (3, 0, 2)),
    *((2, 1, 3, 2), (7,), (8,), (9,), (4, 4), (17,), (3, 11), (33,), (5, 13)),
)

STEPS = (1, 2, 3, 1, 2, 4, 3, 2, 5, 8, 12)

BATCH_SIZES = (1, 2, 3, 7, 16, 32, 100, 256, 1000, 1096, 4096)

_SIMPLE = (0, 1, -1, 2, 0.5, -2, -0.5, 3, 4, -3, 1.5, 0.25, 0.1, -0.1, 10, -10)


def _table() -> FloatArray:
    """65,536 values from simple to hard: full-length significands, four decades, both signs."""
    rng = np.random.Generator(np.random.PCG64(20))
    size = 2**16
    magnitude = np.ldexp(rng.uniform(0.5, 1, size), rng.integers(-9, 4, size))
    values = magnitude * rng.choice([-1.0, 1.0], size)
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


def arrays(shape: tuple[int, ...]) -> st.SearchStrategy[FloatArray]:
    """Arrays of table values; long ones repeat 16 drawn codes, each round multiplied apart."""
    size = math.prod(shape)
    drawn = min(size, 16)
    if not drawn:
        return st.just(np.zeros(shape))

    def decode(raw: bytes) -> FloatArray:
        codes = np.frombuffer(raw, dtype=">u2").astype(np.int64)
        rounds = np.arange(size) // drawn
        return VALUES[(np.resize(codes, size) * (2 * rounds + 1)) % len(VALUES)].reshape(shape)

    return st.binary(min_size=2 * drawn, max_size=2 * drawn).map(decode)


def edge_arrays(shape: tuple[int, ...]) -> st.SearchStrategy[FloatArray]:
    """Arrays of :data:`EDGES` with ordinary values between them."""
    size = math.prod(shape)

    def decode(raw: bytes) -> FloatArray:
        codes = np.frombuffer(raw, dtype=np.uint8).astype(np.int64)
        ordinary = VALUES[codes * 257 % len(VALUES)]
        return np.where(codes < 160, EDGES[codes % len(EDGES)], ordinary).reshape(shape)

    return st.binary(min_size=size, max_size=size).map(decode)


def numbers(domain: Domain) -> st.SearchStrategy[float]:
    """Special values first, then 1,000 full-length numbers log-uniform over the domain."""
    rng = np.random.Generator(np.random.PCG64(7))
    low, high = math.log(domain.low), math.log(domain.high)
    drawn = np.exp(rng.uniform(low, high, 1000)).tolist()
    table = [*domain.special, *drawn]
    special = st.sampled_from(domain.special)
    return st.one_of(special, st.sampled_from(table))


def shapes() -> st.SearchStrategy[tuple[int, ...]]:
    """From 0-d and empty to 4-d, and vectors of every length up to :data:`LONGEST`."""
    return st.one_of(
        st.sampled_from(SHAPES[:9]),
        st.sampled_from(SHAPES),
        st.integers(1, LONGEST).map(lambda n: (n,)),
    )


Fixed = dict[str, Any]


@st.composite
def hypers(draw: st.DrawFn, rule: Rule, fixed: Fixed | None = None) -> Hyper:
    """One set of hyperparameters the rule allows; ``fixed`` ones are not drawn."""
    values: Fixed = {
        name: draw(st.booleans())
        for name, default in rule.hyper()._asdict().items()
        if isinstance(default, bool)
    }
    values |= {name: draw(numbers(domain)) for name, domain in rule.domains.items()}
    values["batch_size"] = draw(st.sampled_from(BATCH_SIZES))
    return settle(rule, rule.hyper(**(values | (fixed or {}))))


def settle(rule: Rule, h: Hyper) -> Hyper:
    """The nearest hyperparameters that are allowed and keep the arithmetic finite.

    ``lr·weight_decay`` above 1 would make w grow geometrically, so the decay is capped there.
    """
    if rule.constraint(h) is not None:
        h = h._replace(dampening=0.0) if h.momentum > 0 else h._replace(nesterov=False)
    if h.lr * h.weight_decay > 1:
        h = h._replace(weight_decay=1 / h.lr)
    return h


@st.composite
def schedules(
    draw: st.DrawFn, rule: Rule, steps: int, fixed: Fixed | None = None
) -> tuple[Hyper, ...]:
    """Constant hyperparameters, or (one time in three) ones that change between steps."""
    first = draw(hypers(rule, fixed))
    if steps == 1 or draw(st.integers(0, 2)) < 2:
        return (first,) * steps
    changing = draw(st.sampled_from(sorted(rule.domains)))
    later = [
        settle(rule, first._replace(**{changing: draw(numbers(rule.domains[changing]))}))
        for _ in range(steps - 1)
    ]
    return (first, *later)


def _presence(draw: st.DrawFn, steps: int, joins: int) -> list[bool]:
    """At which steps a parameter has a gradient: mostly all, else from a late step, or with gaps."""
    mode = draw(st.integers(0, 5))
    if mode < 4:
        return [t >= joins for t in range(steps)]
    if mode == 4:
        late = draw(st.integers(joins, steps))
        return [t >= late for t in range(steps)]
    bits = draw(st.integers(0, 2**steps - 1))
    return [t >= joins and bool(bits >> t & 1) for t in range(steps)]


@st.composite
def parameters(
    draw: st.DrawFn,
    steps: int,
    *,
    joins: int = 0,
    scale: float = 1.0,
    values: Callable[[tuple[int, ...]], st.SearchStrategy[FloatArray]] = arrays,
) -> Parameter:
    """One parameter with its gradients; ``scale`` multiplies the initial value."""
    shape = draw(shapes())
    # Layouts differ from one another only where there are elements to lay out.
    layout = draw(st.sampled_from(LAYOUTS)) if math.prod(shape) > 1 else "contiguous"
    options = (*LAYOUTS, "expanded") if math.prod(shape) > 1 else ("contiguous",)
    gradient_layout = draw(st.sampled_from(options))
    gradients = []
    for present in _presence(draw, steps, joins):
        gradient = draw(values(shape)) if present else None
        if gradient is not None and gradient_layout == "expanded":
            gradient = np.broadcast_to(gradient[:1], shape)
        gradients.append(gradient)
    return Parameter(draw(values(shape)) * scale, tuple(gradients), layout, gradient_layout)


def axes() -> st.SearchStrategy[tuple[str, ...]]:
    """One dtype for the whole case; every dtype is reached, and each example stays cheap."""
    return st.sampled_from(AXES).map(lambda axis: (axis,))


@st.composite
def cases(draw: st.DrawFn, rule: Rule) -> Case:
    """The general case: groups, schedules, shapes, layouts, missing gradients, late groups."""
    steps = draw(st.sampled_from(STEPS))
    groups: list[Group] = []
    for _ in range(draw(st.sampled_from((1, 1, 1, 2, 3)))):
        joins = draw(st.integers(groups[-1].joins, steps - 1)) if groups else 0
        schedule = draw(schedules(rule, steps))
        members = []
        for _ in range(draw(st.sampled_from((1, 1, 2, 3)))):
            # A parameter much larger than its updates would swallow them.
            lr = schedule[0].lr
            scale = draw(st.sampled_from((1.0, 2.0 ** math.floor(math.log2(lr)) if lr else 1.0)))
            members.append(draw(parameters(steps, joins=joins, scale=scale)))
        groups.append(Group(tuple(members), schedule, joins))
    return Case(tuple(groups), draw(axes()))


@st.composite
def edge_cases(draw: st.DrawFn, rule: Rule) -> Case:
    """One small parameter whose values lie at the edge of the formats, for up to three steps."""
    steps = draw(st.integers(1, 3))
    schedule = draw(schedules(rule, steps))
    shape = draw(st.sampled_from(((4,), (1,), (19,))))
    gradients = tuple(draw(edge_arrays(shape)) for _ in range(steps))
    parameter = Parameter(draw(edge_arrays(shape)), gradients)
    return Case((Group((parameter,), schedule),), draw(axes()), edge=True)


@st.composite
def sparse_cases(draw: st.DrawFn, rule: Rule) -> Case:
    """Sparse gradients, which torch takes only without weight decay."""
    steps = draw(st.integers(1, 4))
    schedule = draw(schedules(rule, steps, {"weight_decay": 0.0}))
    schedule = tuple(h._replace(weight_decay=0.0) for h in schedule)
    members = [
        replace(p, layout="contiguous", gradient_layout="sparse")
        for p in draw(st.lists(parameters(steps), min_size=1, max_size=3))
        if p.initial.ndim
    ]
    members = members or [Parameter(np.ones(1), (np.ones(1),) * steps, gradient_layout="sparse")]
    return Case((Group(tuple(members), schedule),), draw(axes()))


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
COARSE = Proof((0.6, 0.75), (0.8, 0.95), (0.5, 0.8), (0.7, 1), (3, 4), (2, 3))


@st.composite
def parting_cases(draw: st.DrawFn, rule: Rule, convention: Convention) -> Case:
    """Cases in which ``convention`` must differ from the rule's first one, by construction.

    The parts that tell them apart are switched on, and a gradient has the sign of its parameter,
    so the terms add up instead of cancelling. What remains -- shape, values, rates, batch size,
    the other hyperparameters -- is drawn. That the two do part is then proven by enclosures.
    """
    axes = (draw(st.sampled_from(AXES)),)
    proof = FINE if axes[0] in ("float64", "float32") else COARSE
    parts = convention.parts
    steps = draw(st.integers(2, 3))

    def within(low_high: tuple[float, float]) -> float:
        return float(draw(st.floats(*low_high)))

    def on(part: str) -> bool:
        return part in parts or draw(st.booleans())

    nesterov = on("nesterov") if "dampening" not in parts else False
    momentum = on("momentum") or nesterov
    h = rule.hyper(
        lr=within(proof.lr),
        momentum=within(proof.momentum) if momentum else 0.0,
        dampening=within(proof.dampening) if on("dampening") and not nesterov else 0.0,
        weight_decay=within(proof.weight_decay) if on("weight_decay") else 0.0,
        nesterov=nesterov,
        maximize="maximize" in parts,
        batch_size=draw(st.sampled_from(BATCH_SIZES[1:] if "batch_size" in parts else BATCH_SIZES)),
    )
    halved = h._replace(lr=h.lr / 2)
    schedule = tuple(halved if t % 2 and on("schedule") else h for t in range(steps))
    tall = st.sampled_from(((3,), (1,), (40,), (200,)))
    shape = draw(tall if "vector" in parts else st.one_of(tall, st.just((2, 3))))
    sign = np.sign(draw(arrays(shape)) + 1e-9)

    def between(low_high: tuple[float, float]) -> FloatArray:
        low, high = low_high
        return np.asarray(sign * (low + (high - low) * np.abs(draw(arrays(shape)) % 1)))

    gradients = tuple(between(proof.g) for _ in range(steps))
    return Case((Group((Parameter(between(proof.w), gradients),), schedule),), axes)


@st.composite
def skipping_cases(draw: st.DrawFn, rule: Rule) -> Case:
    """Finite gradients but for one step, at which one element is not."""
    steps = draw(st.integers(1, 4))
    schedule = draw(schedules(rule, steps))
    shape = draw(st.sampled_from(((2,), (1,), (5,), (2, 3))))
    gradients = [draw(arrays(shape)).copy() for _ in range(steps)]
    gradients[draw(st.integers(0, steps - 1))].flat[0] = draw(
        st.sampled_from((math.inf, -math.inf, math.nan))
    )
    parameter = Parameter(draw(arrays(shape)), tuple(gradients))
    return Case((Group((parameter,), schedule),), draw(axes()))
