"""Runs of conventions of any rule, in exact numbers, on what is drawn: what translations are for.

SGD runs on fractions. Rules that take roots run in 200 bits, where two trajectories that are one by
algebra agree in all but the last of them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np

from oracles.dictionary.counterexample import Spoken, text
from oracles.dictionary.entry import Entry, Manner
from oracles.drawing import Hyper, Range
from oracles.rule import Rule
from tests.support.many_bits import same
from tests.support.number_systems import MANY_BITS

F = Fraction
SIZES = (2, 3, 5, 8)

Schedules = Callable[[list[Hyper]], list[Hyper]]


def between(rule: Rule, name: str, rng: random.Random) -> Any:
    """A value of a hyperparameter, where conventions are told apart."""
    default = getattr(rule.hyper(), name)
    if name == "batch_size":
        return F(rng.choice(SIZES))
    if isinstance(default, bool):
        return name != "decoupled_weight_decay" and rng.random() < 0.5
    span = rule.drawing.full.hyper.get(name)
    if span is None:
        return default if default is None or isinstance(default, str) else F(str(default))
    return _within(span, rng)


def steps(rule: Rule) -> int:
    """How many show what a rule does."""
    return max(rule.drawing.steps, default=4)


def _within(span: Range, rng: random.Random) -> Fraction:
    low, high = (F(str(x)) for x in span)
    return low + (high - low) * F(rng.randrange(1, 64), 64)


ONCE = ("initial_accumulator_value", "ns_steps")
"""What is said at construction, beside switches."""


def drawn(rule: Rule, rng: random.Random) -> list[Hyper]:
    """Hyperparameters of some steps, all of which change but switches and what is said once."""
    first = {name: between(rule, name, rng) for name in rule.hyper()._fields}
    once = (*ONCE, *(["alpha"] if first.get("centered") else []))  # else v − a² is negative
    kept = {n: v for n, v in first.items() if isinstance(v, bool) or n in once}
    return [
        rule.hyper(**{**{name: between(rule, name, rng) for name in first}, **kept})
        for _ in range(steps(rule))
    ]


def _put(**values: Any) -> Schedules:
    return lambda schedule: [h._replace(**values) for h in schedule]


def _held(name: str) -> Schedules:
    return lambda schedule: [h._replace(**{name: getattr(schedule[0], name)}) for h in schedule]


def as_drawn(schedule: list[Hyper]) -> list[Hyper]:
    """Which meets a condition."""
    return schedule


OFF = ("weight_decay", "momentum", "eps", "dampening", "lr_decay", "initial_accumulator_value")
SWITCHES = ("nesterov", "maximize", "amsgrad", "centered")
STEADY = ("lr", "momentum", "batch_size", "eps")

MEETING: dict[str, Schedules] = {
    **{f"{name}=0": _put(**{name: F(0)}) for name in OFF},
    **{f"{name}=False": _put(**{name: False}) for name in SWITCHES},
    **{f"while {name} is constant": _held(name) for name in STEADY},
    "while lr and weight_decay are constant": lambda schedule: _held("lr")(
        _held("weight_decay")(schedule)
    ),
    "batch_size=1": _put(batch_size=F(1)),
    "initial_accumulator_value=0.1": _put(initial_accumulator_value=F(1, 10)),
    "momentum_decay=1": _put(momentum_decay=F(1)),
    "momentum_decay >= 10000": _put(momentum_decay=F(10000)),
}
"""By condition, what makes a schedule meet it."""

DEGENERATE = frozenset(
    {
        "momentum is not switched on or off",
        "momentum is not 0",
        "momentum is not 1",
        "dampening is not 1",
        "lr is not 0",
        "lr times weight_decay is not 1",
        "lr_decay < 1",
        "alpha < 1",
        "for matrices: there is no way to decay a bias",
    }
)
"""Conditions that all that is drawn meets, and outside of which there are no numbers."""

FAILING: dict[str, Schedules] = {
    **{f"{name}=False": _put(**{name: True}) for name in SWITCHES},
    "centered=False": lambda schedule: [
        h._replace(centered=True, alpha=schedule[0].alpha) for h in schedule
    ],
    **{condition: as_drawn for condition in MEETING if not condition.endswith("False")},
}
"""By condition, what makes a schedule fail it."""


def conditions(entry: Entry) -> list[str]:
    """Those of an entry, in words."""
    return entry.range.words.split(", ") if entry.narrow else []


def meeting(entry: Entry, schedule: list[Hyper], *, but: str = "") -> list[Hyper]:
    """A schedule that meets an entry's conditions: all, or all but one."""
    for condition in conditions(entry):
        if condition not in DEGENERATE:
            change = FAILING if condition == but else MEETING
            schedule = change[condition](schedule)
    return schedule


def values(rule: Rule, rng: random.Random) -> tuple[Any, list[Any]]:
    """A parameter and its gradients, as arrays of fractions."""
    shape = (rule.drawing.shapes or ((1,),))[0]

    def array(span: Range) -> Any:
        flat = [rng.choice((-1, 1)) * _within(span, rng) for _ in range(int(np.prod(shape)))]
        return np.array(flat, dtype=object).reshape(shape)

    spans = rule.drawing.full
    return array(spans.w), [array(spans.g) for _ in range(steps(rule))]


precise = np.frompyfunc(lambda x: mpmath.mpf(x.numerator) / x.denominator, 1, 1)


def lifted(rule: Rule, schedule: Sequence[Hyper]) -> list[Hyper]:
    """Hyperparameters in the numbers that a rule is run in."""
    if rule.name == "SGD":
        return list(schedule)
    return [
        MANY_BITS.hyper(
            h._replace(**{n: precise(v) for n, v in h._asdict().items() if isinstance(v, F)})
        )
        for h in schedule
    ]


def run(spoken: Spoken, schedule: Sequence[Hyper], drew: tuple[Any, list[Any]], ndim: int) -> Any:
    """The parameter after each step, under a schedule in the numbers that the rule is run in."""
    w, gradients = drew
    if spoken.rule.name == "SGD":
        return np.stack(spoken.run(w, gradients, schedule, ndim=ndim))
    given = [precise(g) for g in gradients]
    try:
        return np.stack(spoken.run(precise(w), given, schedule, ndim=ndim, count=mpmath.mpf))
    except TypeError:  # the root of a negative variance, which mpmath has and NumPy does not take
        return np.array(mpmath.nan)


def alike(one: Any, other: Any) -> bool:
    """Whether two trajectories are one."""
    if isinstance(one.flat[0], Fraction):
        return bool((one == other).all())
    return same(one, other)


def trade(
    entry: Entry,
    rule: Rule,
    schedule: list[Hyper],
    drew: tuple[Any, list[Any]],
    also: Manner = frozenset(),
    ndim: int = 0,
) -> bool:
    """Whether the trajectories on both sides of an entry are one, ``also`` with more beside it.

    Of a parameter with so many dimensions: one, where an entry is not about matrices alone.
    """
    one = (entry.beside | also | {entry.drops}) - {""}
    other = entry.after(one)
    ndim = ndim or (2 if "matrices" in entry.range.words else 1)
    numbers = lifted(rule, schedule)
    reached = entry.apply(numbers)
    if entry.vectors:
        reached = [h._replace(**entry.vectors) for h in reached]
    return alike(
        run(text(rule.name, one), numbers, drew, ndim),
        run(text(rule.name, other), reached, drew, ndim),
    )
