"""Where a convention is torch's, and how far from it otherwise: found by trying.

Nothing here is derived from a rule's text. One thing is changed at a time in a case all of whose
other values are general, and enclosures say whether the two still part.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import product
from typing import Any

import numpy as np

from oracles.drawing import Hyper, Range
from oracles.harness.arithmetic.formats import FloatArray
from oracles.harness.candidates import trajectory
from oracles.harness.cases.case import Case, Group, Parameter
from oracles.harness.oracle import Oracle
from oracles.harness.verdict import separation
from oracles.rule import Convention, Rule

ROWS = 7
"""The batch size: no power of two, and not 1."""

INNER = 0.382
"""Where in a range a value is taken: nobody's special one."""

SEEDS = (0, 1, 2)
"""Of values and rates: what is the same in one case may differ in another."""

SHAPES = {"w has at most one dimension": (3,), "w has several dimensions": (2, 3)}
"""A vector and a matrix."""

RATES = (1.0, 0.5, 0.75)
"""What a schedule multiplies the learning rate by, in turn."""

SIZES = (1.0, 4.0, 0.25)
"""What all of them are multiplied by, by seed: a bound may be reached in one case only."""

NEAR = 1e-3
"""How far apart trajectories are in plain float64, in terms of the parameters, beyond which no
enclosure need be asked whether that is rounding. Also in terms of how far they part otherwise: a
change that leaves more does not make them the same."""


def same(rule: Rule, convention: Convention, *, enclosed: bool = True) -> tuple[str, ...]:
    """Conditions under which a convention is the same as torch's, each enough by itself.

    All switches are off but those that a condition or the convention's parts name.

    Args:
        rule: whose convention it is.
        convention: one that is not its first.
        enclosed: whether enclosures follow the rule; otherwise only the same bits are the same.

    >>> from oracles.optimizers.sgd import RULE
    >>> same(RULE, RULE.convention("batch_scaled"))
    ('weight_decay = 0', 'batch_size = 1')
    >>> same(RULE, RULE.convention("bias_undecayed"))
    ('weight_decay = 0', 'w has several dimensions')
    """
    left: dict[str, bool] = {}
    for h, seed in product(_general(rule, convention), SEEDS):
        case = general_case(rule, h, seed=seed)
        if agree(rule, convention, case, enclosed=enclosed):
            continue  # nothing of it shows here
        most = NEAR * _measured(rule, convention, case)[0]
        for words, changed in _changed(rule, convention, h, seed):
            if left.get(words, True):
                left[words] = agree(rule, convention, changed, most, enclosed=enclosed)
    return tuple(words for words, alike in left.items() if alike)


def _changed(rule: Rule, convention: Convention, h: Hyper, seed: int) -> Iterator[tuple[str, Case]]:
    """Cases with one thing changed, and what that is."""
    for name, value in _special(rule, h):
        changed = h._replace(**{name: value})
        if name not in convention.fixed and rule.constraint(changed) is None:
            yield f"{name} = {value}", general_case(rule, changed, seed=seed)
    yield "lr never changes", general_case(rule, h, rates=(1.0,), seed=seed)
    for words, shape in SHAPES.items():
        if not rule.drawing.shapes:
            yield words, general_case(rule, h, shapes=(shape,), seed=seed)


def at_defaults(rule: Rule) -> Case:
    """Ten steps with torch's default arguments, in batches of several rows."""
    return general_case(rule, rule.hyper(batch_size=ROWS), rates=(1.0,), steps=10)


def share_of_way(rule: Rule, convention: Convention, case: Case) -> float:
    """How far a convention is from torch's at most, in terms of torch's way from its start."""
    apart, _, way = _measured(rule, convention, case)
    return apart / way


def _general(rule: Rule, convention: Convention) -> Iterator[Hyper]:
    """Hyperparameters of which none is special: all of them, then only what a convention needs.

    Not everything shows in both: clipping needs a large update, a floor a small one.
    """
    default = rule.hyper()
    spans = {n: s for n, s in rule.drawing.full.hyper.items() if n in default._fields}
    flags = {n: n in convention.parts for n, v in default._asdict().items() if isinstance(v, bool)}
    for names in (spans.keys(), {"lr", *spans.keys() & convention.parts}):
        values = {name: _inner(spans[name]) for name in names} | flags | dict(convention.fixed)
        h = default._replace(**values, batch_size=ROWS)
        for name in spans:  # what the rule does not allow beside the rest
            if rule.constraint(h) is not None and name not in convention.parts:
                h = h._replace(**{name: getattr(default, name)})
        if rule.constraint(h) is None:
            yield h


def _inner(span: Range) -> float:
    low, high = span
    return float(low + (high - low) * INNER)


def _special(rule: Rule, h: Hyper) -> Iterator[tuple[str, Any]]:
    """Values that may leave something out: switches turned, numbers at 0, and at 1 if they may be.

    They may be where the rule's cases have a 1.
    """
    for name, value in h._asdict().items():
        if isinstance(value, bool):
            yield name, not value
        elif name == "batch_size":
            yield name, 1
        elif name in rule.drawing.domains:
            if name != "lr":
                yield name, 0
            if 1 in rule.drawing.domains[name].special:
                yield name, 1


@lru_cache(maxsize=1024)
def general_case(
    rule: Rule,
    h: Hyper,
    *,
    rates: tuple[float, ...] = RATES,
    shapes: tuple[tuple[int, ...], ...] = tuple(SHAPES.values()),
    steps: int = 8,
    seed: int = 0,
) -> Case:
    """A case in float64 whose values vary in sign and size; of one seed always the same."""
    lr = h.lr * SIZES[seed]
    schedule = tuple(h._replace(lr=lr * rates[t % len(rates)]) for t in range(steps))
    return Case((Group(_parameters(rule, shapes, steps, seed), schedule),), ("float64",))


@cache
def _parameters(
    rule: Rule, shapes: tuple[tuple[int, ...], ...], steps: int, seed: int
) -> tuple[Parameter, ...]:
    rng = np.random.Generator(np.random.PCG64(seed))
    spans = rule.drawing.full

    def array(span: Range, shape: tuple[int, ...]) -> FloatArray:
        signs = rng.choice([-1.0, 1.0], shape)
        values: FloatArray = signs * rng.uniform(*span, shape) * rng.choice([0.5, 1.0, 2.0])
        return values

    def gradient(shape: tuple[int, ...]) -> FloatArray:
        values = array(spans.g, shape)
        if rule.sparse:
            values[rng.random(shape) < 0.3] = 0.0
        return values

    return tuple(
        Parameter(
            array(spans.w, shape),
            tuple(gradient(shape) for _ in range(steps)),
            gradient_layout=rule.gradient_layout,
        )
        for shape in rule.drawing.shapes[2:4] or shapes
    )


def agree(
    rule: Rule,
    convention: Convention,
    case: Case,
    most: float = np.inf,
    *,
    enclosed: bool = True,
) -> bool:
    """Whether torch's convention moves at all, and nothing but rounding is between it and another.

    They are at ``most`` so far apart, and their enclosures meet everywhere.
    """
    apart, largest, way = _measured(rule, convention, case)
    if apart == 0 or not enclosed:
        return way > 0 and apart == 0
    if not (way > 0 and apart <= min(NEAR * largest, most)):
        return False
    oracle = _oracle(rule, case)
    return separation(oracle(), oracle(convention), "float64") <= 1


@lru_cache(maxsize=1024)
def _oracle(rule: Rule, case: Case) -> Oracle:
    """The oracle of a case, in which all conventions are set beside torch's."""
    return Oracle(rule, case)


def _measured(rule: Rule, convention: Convention, case: Case) -> tuple[float, float, float]:
    """In float64: how far two conventions are apart, the largest parameter, and torch's way."""
    ours, largest, way = _torchs(rule, case)
    with np.errstate(all="ignore"):
        theirs = trajectory(rule, convention, case)
        offs = [float(np.abs(b - a).max()) for a, b in zip(ours, theirs, strict=True)]
    return max(0.0, *offs), largest, way


@lru_cache(maxsize=1024)
def _torchs(rule: Rule, case: Case) -> tuple[list[FloatArray], float, float]:
    """torch's trajectory, its largest parameter, and how far it goes from its start."""
    with np.errstate(all="ignore"):
        found = [*trajectory(rule, rule.torch, case)]
        starts = [p.initial for p in case.parameters for _ in range(case.steps)]
        sizes = [float(np.abs(w).max()) for w in found]
        ways = [float(np.abs(w - start).max()) for w, start in zip(found, starts, strict=True)]
    return found, max(0.0, *sizes), max(0.0, *ways)
