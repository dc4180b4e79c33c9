"""Cases far from those that tell conventions apart, where code may turn out to be something else.

A name is a claim about all numbers that code can be given. Guards, caps, floors and clamps show in
none but the largest or the smallest ones, so each hyperparameter, each element's gradient and
parameter is taken to both ends of the magnitudes at which a right text of a rule still computes
with normal numbers, in float32 as well: a square of the smallest gradient, weighted with the
smallest part of an average, is no subnormal one there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np

from oracles.drawing import Domain, Hyper, Range
from oracles.harness.arguments import numeric
from oracles.harness.arithmetic.formats import FloatArray
from oracles.harness.cases.case import Case
from oracles.harness.evidence.settings import (
    DRAWS,
    ROWS,
    SHAPES,
    Draws,
    Scale,
    Setting,
    Shapes,
    Sizes,
    allowed,
    case_of,
    shapes_of,
    within,
)
from oracles.rule import Rule

USUAL: Mapping[str, float] = MappingProxyType(
    {"momentum": 0.9, "weight_decay": 1e-4, "beta2": 0.99}
)
"""What people give where torch's default is 0, or is 1 in bfloat16."""

SIZES = tuple(2.0 ** (10 if t % 16 == 15 else 0) for t in range(20))
"""Of gradients of which the last of sixteen is large, once all is calm."""

ZEROS = (1.0, 0.0, 1.0, 1.0)
"""Of gradients that are all zero once: a step like others, which is counted and forgets."""

MANY, FEWER = 128, 64
"""Steps of a long case in each round of draws, at the rates that people use, which remember for
long; and of one that forgets soon what was."""

TEETH, SWING = 16, 8
"""In how many steps gradients halve before they leap up again, and the power of two that they leap
to."""

LARGE: Mapping[int, tuple[int, ...]] = MappingProxyType({1: (4099,), 2: (130, 33)})
"""Shapes that nobody takes for small ones, by how many dimensions they have."""

ODD: Shapes = ((), (1,), (2, 1, 2), (2, 1, 2, 2), (1, 2, 1, 1, 2))
"""Shapes of other dimensions than the usual ones, and of one element."""

OTHERS = "with other shapes"
"""The case that has these."""

ROW = (1, 1031)
"""The same where nothing is known of large matrices, but what is derived of rows. All pairs of its
elements are still few enough for a text that makes them."""


def far_off(
    rule: Rule, takes: frozenset[str], shapes: Shapes = (), draws: Draws = DRAWS
) -> Iterator[Setting]:
    """Cases in which code may turn out to do something else than it does at first.

    AdaBound is Adam until bounds close in on it, as they do with time and with gradients of other
    sizes; a trust ratio is 1 for parameters that are large beside their moves; a Lookahead waits
    for its sixth step; what is kept for small matrices alone is another rule for large ones; a
    decay that is thought too small to matter is left out at the values that people use; and whoever
    passes over parameters whose gradients are all zero stops the momentum that they have.
    """
    rng = np.random.Generator(np.random.PCG64(draws.seed))
    domains, shapes = rule.drawing.domains, shapes or shapes_of(rule)
    spans = {name: span for name, span in rule.drawing.full.hyper.items() if name in takes}
    values = {name: within(span, rng) for name, span in spans.items()}
    values |= {"batch_size": ROWS} if "batch_size" in takes else {}
    h = allowed(rule, rule.hyper()._replace(**values), spans)
    own = {n: v for n, v in rule.hyper()._asdict().items() if n in spans and v}
    usual = own | {n: v for n, v in USUAL.items() if n in spans}
    rates = {name: v for name, v in (usual | own).items() if is_rate(domains[name])}
    for steps, kept in ((MANY * draws.rounds, rates), (FEWER, {})):
        sizes = tuple(2.0 ** (SWING - t % TEETH) for t in range(steps))
        lr = h.lr / steps if "lr" in takes else h.lr
        calm, small = h._replace(lr=lr, **kept), _whole(2.0**-SWING)
        yield Setting(f"over {steps} steps", case_of(rule, calm, sizes, shapes, rng, small))
    for what, other in _large(rule, h, shapes):
        yield Setting(what, case_of(rule, h, (1.0, 1.0), other, rng))
    plain = allowed(rule, rule.hyper()._replace(**{**values, **usual}), spans)
    yield Setting("at usual values", _of_all_sizes(rule, plain, SIZES, shapes, rng))
    yield from _swept(rule, takes, shapes, rng)
    yield Setting("with gradients of zero", case_of(rule, h, ZEROS, shapes, rng))
    yield from _at_special_values(rule, h, takes, shapes, rng)
    yield from _together(rule, h, takes, shapes, rng)
    if shapes == SHAPES and rule.elementwise and not rule.sparse:
        yield Setting(OTHERS, case_of(rule, h, _few(rule), (*shapes, *ODD), rng))


def _few(rule: Rule) -> tuple[float, ...]:
    """Gradients of the usual size, for as many steps as a rule needs to show all of it."""
    return (1.0,) * max(STEPS, *rule.drawing.steps, 0)


def _together(
    rule: Rule, h: Hyper, takes: frozenset[str], shapes: Shapes, rng: np.random.Generator
) -> Iterator[Setting]:
    """All switches at once, and each without any number that is 0 by default; none without, too.

    In the cases that tell conventions apart each is on, or off, by itself.
    """
    default, steps = rule.hyper()._asdict(), _few(rule)
    switches = [n for n, v in default.items() if v is False and n in takes]
    numbers = [n for n in numeric(rule) if n in takes and not default[n]]
    zeros, every = dict.fromkeys(numbers, 0.0), dict.fromkeys(switches, True)
    found: list[dict[str, Any]] = [every] if len(switches) > 1 else []
    found += [zeros] if len(numbers) > 1 else []
    found += [zeros | {switch: True} for switch in switches] if numbers else []
    for changed in found:
        other = allowed(rule, h._replace(**changed), numbers)
        if rule.constraint(other) is None:
            told = (n if v else f"{n}=0" for n, v in changed.items())
            yield Setting(f"with {', '.join(told)}", case_of(rule, other, steps, shapes, rng))


def _large(rule: Rule, h: Hyper, shapes: Shapes) -> Iterator[tuple[str, Shapes]]:
    """Shapes of which all vectors and the last one are large; where that is unknown, one row."""
    vectors = (LARGE[1] if len(shape) == 1 else shape for shape in shapes[:-1])
    large = LARGE.get(len(shapes[-1]), shapes[-1])
    if rule.measured(large, h):
        yield "with matrices", rule.drawing.shapes[-1:]
        large = ROW
    yield "with large tensors", (*vectors, large)


def _at_special_values(
    rule: Rule, h: Hyper, takes: frozenset[str], shapes: Shapes, rng: np.random.Generator
) -> Iterator[Setting]:
    """What stays as it is in the cases that tell conventions apart, at each value that is known.

    Where little is known of matrices in general, one is asked at a value at which all is: after one
    iteration in a short format its radius is derived.
    """
    steps = _few(rule)
    matrix = rule.drawing.shapes[-1:]
    for name in sorted(takes & rule.drawing.domains.keys() - rule.drawing.full.hyper.keys()):
        for value in dict.fromkeys(rule.drawing.domains[name].special):
            other = rule.drawing.nearest_allowed(h._replace(**{name: value}))
            known = all(not rule.measured(shape, other) for shape in matrix)
            if other != h and rule.constraint(other) is None:
                some = matrix if matrix and known else shapes
                yield Setting(f"at {name}={value}", case_of(rule, other, steps, some, rng))


# --- Both ends of every magnitude -----------------------------------------------------------------

STEPS = 4
"""Of a short case, unless the rule shows too little in so few."""

GRADIENTS, PARAMETERS = (-12.0, 8.0), (-12.0, 8.0)
"""Powers of ten between which elements of gradients and parameters are."""

FINE = (-12.0, -9.0)
"""The same of gradients of which none is large: what hangs on a norm is not seen beside others."""

GRID = 5
"""Sizes of gradients beside each size of a parameter, and the other way round."""

BEYOND = (1e-4, 1e2)
"""What the ends of a hyperparameter's range are multiplied with."""

TO_ONE = 1e-2
"""What is left of the distance of a rate to 1."""

BATCHES = (1, 4096)
"""Rows of a small batch and of a large one."""


def _swept(
    rule: Rule, takes: frozenset[str], shapes: Shapes, rng: np.random.Generator
) -> Iterator[Setting]:
    """The learning rate, what is kept from step to step, and all others at either end.

    Any two of these three are at all of their ends beside one another.
    """
    steps = _few(rule)
    for rate, others in ((1, 0), (0, 1), (1, 1), (0, 0)):
        h, sizes = _at(rule, takes, rate, others), (FINE, GRADIENTS)[rate]
        if rule.elementwise:
            case = _of_all_sizes(rule, h, steps, shapes, rng, sizes)
        else:  # its steps are made of sums over elements
            scales = _whole(10 ** PARAMETERS[rate]), _whole(10 ** sizes[others])
            case = case_of(rule, h, steps, shapes, rng, *scales)
        yield Setting(f"at {_told(rule, h, takes)}", case)


def _of_all_sizes(
    rule: Rule,
    h: Hyper,
    steps: Sizes,
    shapes: Shapes,
    rng: np.random.Generator,
    sizes: Range = GRADIENTS,
) -> Case:
    """Elements of all sizes beside gradients of all sizes, if the rule takes each by itself."""
    if not rule.elementwise:
        return case_of(rule, h, steps, shapes, rng)
    given = tuple(map(_grid, shapes))
    return case_of(rule, h, steps, given, rng, _rows, partial(_columns, sizes))


def _at(rule: Rule, takes: frozenset[str], rate: int, others: int) -> Hyper:
    """Hyperparameters beyond an end of their ranges, or at it where the rule allows no more."""
    h, kept = rule.hyper(), int(rate == others)
    for name, domain in rule.drawing.domains.items():
        if name in takes and domain.high > domain.low:
            end = rate if name == "lr" else kept if is_rate(domain) else others
            some = (h._replace(**{name: value}) for value in ends(domain)[end])
            h = next((one for one in some if _takes(rule, one)), h)
    return h._replace(batch_size=BATCHES[others]) if "batch_size" in takes else h


def _takes(rule: Rule, h: Hyper) -> bool:
    """Whether the rule allows that, and makes finite numbers of it."""
    if rule.constraint(h) is not None:
        return False
    one = np.ones(rule.drawing.shapes[0] if rule.drawing.shapes else (2, 2))
    try:
        with np.errstate(all="ignore"):
            run = rule.run(rule.torch, one, [one] * STEPS, [h] * STEPS)
            return all(np.isfinite(w).all() for w, _ in run)
    except OverflowError:  # of Python's numbers
        return False


def ends(domain: Domain) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The smallest and the largest value of a hyperparameter: beyond its range, and at its end.

    A rate is taken nearer to 1 only: what forgets all at once is gradient descent.

    >>> ends(Domain(special=(), low=0.25, high=0.75)), ends(Domain(special=(), low=0.5, high=2))
    (((0.25,), (0.9975, 0.75)), ((5e-05, 0.5), (200.0, 2)))
    """
    low, high = domain.low, domain.high
    if is_rate(domain):
        return (low,), (1 - TO_ONE * (1 - high), high)
    return (BEYOND[0] * low, low), (BEYOND[1] * high, high)


def is_rate(domain: Domain) -> bool:
    """Whether a hyperparameter is a part that is kept from step to step."""
    return 0 < domain.high < 1


def _grid(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape of as many dimensions for all sizes beside one another."""
    return (GRID, GRID, *shape[2:]) if len(shape) > 1 else (GRID * GRID,)


def _rows(shape: tuple[int, ...]) -> FloatArray:
    """The sizes of parameters."""
    return np.resize(np.repeat(np.logspace(*PARAMETERS, GRID), GRID), shape)


def _columns(sizes: Range, shape: tuple[int, ...]) -> FloatArray:
    """The sizes of gradients."""
    return np.resize(np.tile(np.logspace(*sizes, GRID), GRID), shape)


def _whole(scale: float) -> Scale:
    """One scale for all elements."""
    return lambda shape: scale


def _told(rule: Rule, h: Hyper, takes: frozenset[str]) -> str:
    names = [n for n, d in rule.drawing.domains.items() if n in takes and d.high > d.low]
    return ", ".join(f"{name}={getattr(h, name):.6g}" for name in names)
