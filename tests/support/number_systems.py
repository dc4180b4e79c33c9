"""One case in several number systems: what the text of a rule gives in each, and its enclosure.

A system that rounds no worse than a format does gives values inside that format's enclosures. Three
are asked: float64 as NumPy has it, rationals, which round nothing, and 200 bits for what has roots.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache, reduce
from typing import Any, NamedTuple

import mpmath
import numpy as np

from oracles.drawing import Hyper
from oracles.harness.arithmetic.enclosure import holds
from oracles.harness.arithmetic.formats import FloatArray, round_to
from oracles.harness.cases.case import Case, Group, Parameter
from oracles.harness.oracle import enclose
from oracles.numerics import lerp
from oracles.rule import Convention, Rule
from tests.support.many_bits import BITS
from tests.support.rooted import Rooted, lifted
from tests.support.witness import Number, admits, rational

WEIGHT = "w"
"""What the parameter is called among its buffers."""

COUNTS = ("ns_steps",)
"""Hyperparameters that say how often something is done: integers in every system."""

GIVEN = {"eps1": 2.0**-7}
"""Hyperparameters that are left to the format by default, with what they are here."""

Values = list[dict[str, Any]]
"""A parameter and its buffers after each step: arrays of the parameter's shape, by name."""


Place = tuple[int, ...]
"""Of an element in its parameter; () is all of it."""


class Floats(np.ndarray[Any, Any]):
    """Arrays of float64."""


@lerp.register(Floats)
def _lerp(start: Any, end: Any, weight: float, *, literal: bool = False) -> Any:
    """In the form that torch computes; the others leave digits behind of what is forgotten."""
    if literal or abs(weight) < 0.5:
        return start + weight * (end - start)
    return end - (end - start) * (1 - weight)


@dataclass(frozen=True)
class System:
    """A number system.

    Attributes:
        lift: what makes an array of it, or a number where there are no dimensions.
        number: what makes a number of it, of hyperparameters for one.
    """

    name: str
    lift: Callable[[FloatArray], Any]
    number: Callable[[Any], Any]

    def hyper(self, h: Hyper) -> Hyper:
        """Hyperparameters; counts stay what they are."""
        return _hyper(self.number, h)


@lru_cache(maxsize=64, typed=True)  # by type: NamedTuples of two rules may be equal
def _hyper(number: Callable[[Any], Any], h: Hyper) -> Hyper:
    counts = {name: getattr(h, name) for name in COUNTS if name in h._fields}
    return lifted(h, number)._replace(**counts)


FLOATS = System("float64", lambda values: values.view(Floats), lambda x: x)
RATIONALS = System("rationals", np.frompyfunc(Rooted, 1, 1), Rooted)
MANY_BITS = System("many bits", np.frompyfunc(mpmath.mpf, 1, 1), mpmath.mpf)


def exact(value: Any) -> Number:
    """A number of any system as the rational it is; infinities and nans as floats.

    A complex one, which is a root of something negative, is none.
    """
    if isinstance(value, mpmath.mpc):
        return math.nan
    if not isinstance(value, mpmath.mpf):
        return rational(value)
    if not mpmath.isfinite(value):
        return float(value)
    significand, exponent = abs(value).man_exp
    size: Fraction = Fraction(significand) * Fraction(2) ** exponent
    return size if value > 0 else -size


def shortened(rule: Rule, case: Case) -> Case:
    """The same case with few elements, of values that each of its precisions holds."""
    extent = 2 if rule.elementwise else 3

    def cut(values: FloatArray) -> FloatArray:
        kept = values[tuple(slice(extent) for _ in values.shape)]
        return reduce(lambda x, dtype: round_to(dtype, x), case.precisions, kept)

    def short(p: Parameter) -> Parameter:
        gradients = tuple(None if g is None else cut(g) for g in p.gradients)
        return replace(p, initial=cut(p.initial), gradients=gradients)

    def given(h: Hyper) -> Hyper:
        return h._replace(**{n: x for n, x in GIVEN.items() if getattr(h, n, x) is None})

    groups = (
        replace(
            g, parameters=tuple(map(short, g.parameters)), schedule=tuple(map(given, g.schedule))
        )
        for g in case.groups
    )
    return replace(case, groups=tuple(groups))


@dataclass(frozen=True)
class Course:
    """A parameter, or one of its elements, under a convention.

    Attributes:
        decays: whether the convention decays the parameter.
    """

    rule: Rule
    convention: Convention
    group: Group
    parameter: Parameter
    decays: bool

    @property
    def shape(self) -> tuple[int, ...]:
        return self.parameter.initial.shape

    def follow(self, system: System) -> Iterator[dict[str, Any]]:
        """What there is after each step, as far as it is defined (only floats have a 1/0)."""
        p = self.parameter
        run = self.rule.run(
            self.convention,
            system.lift(p.initial),
            [None if g is None else system.lift(g) for g in p.gradients],
            [system.hyper(h) for h in self.group.schedule],
            decays=self.decays,
            late=self.group.joins > 0,
            count=system.number,
        )
        with suppress(ArithmeticError):
            for w, state in run:
                yield {name: self._laid(x) for name, x in {WEIGHT: w, **state}.items()}

    def _laid(self, value: Any) -> Any:
        return np.broadcast_to(np.asarray(value), self.shape) if self.shape else value

    def answers(self) -> Iterator[tuple[Place, str, Values]]:
        """What each number system gives, and where in the parameter."""
        yield (), FLOATS.name, list(self.follow(FLOATS))
        if self.rule.elementwise:
            yield from ((at, *element.exactly()) for at, element in self.elements())
        else:
            yield (), MANY_BITS.name, list(self.follow(MANY_BITS))

    def elements(self) -> Iterator[tuple[Place, Course]]:
        p = self.parameter
        for at in np.ndindex(self.shape):
            gradients = tuple(None if g is None else g[at] for g in p.gradients)
            yield (
                at,
                replace(self, parameter=replace(p, initial=p.initial[at], gradients=gradients)),
            )

    def exactly(self) -> tuple[str, Values]:
        """In rationals, where all numbers are rational, and in many bits otherwise."""
        values: Values = []
        for step in self.follow(RATIONALS):
            if any(x != x for x in step.values()):  # nan: there is a root, so begin again
                return MANY_BITS.name, list(self.follow(MANY_BITS))
            values.append(step)
        return RATIONALS.name, values


def courses(rule: Rule, convention: Convention, case: Case) -> Iterator[tuple[slice, Course]]:
    """Every parameter of a case, and where it is when all are laid end to end."""
    for index, group, parameter in case.walk():
        decays = convention.decays(parameter.initial.ndim)
        where = slice(*case.offsets[index : index + 2])
        yield where, Course(rule, convention, group, parameter, decays)


class Compared(NamedTuple):
    """One element, or all of them, of a parameter or a buffer, beside its enclosures.

    Attributes:
        inside: whether they hold it.
        known: whether none of them is left open.
    """

    system: str
    step: int
    name: str
    element: str
    inside: bool
    known: bool


def compared(rule: Rule, convention: Convention, case: Case) -> Iterator[Compared]:
    """Follow a convention through a case whose values all its precisions hold."""
    enclosures = enclose(rule, convention, case)
    balls = {WEIGHT: enclosures.parameters, **enclosures.states}
    with mpmath.workprec(BITS), np.errstate(all="ignore"):
        for where, course in courses(rule, convention, case):
            shape = (len(case.precisions), case.steps, *course.shape)
            parts: dict[str, list[Any]] = {
                name: [x[:, :, where].reshape(shape) for x in (ball.mid, ball.rad)]
                for name, ball in balls.items()
            }
            for at, system, values in course.answers():
                element = f"{where.start}{at or ''}"
                for t, name in ((t, name) for t, step in enumerate(values) for name in step):
                    mid, rad = (x[(slice(None), t, *at)] for x in parts[name])
                    inside = _within(mid, rad, values[t][name])
                    known = bool(np.isfinite(rad).all())
                    yield Compared(system, t + 1, name, element, inside, known)


def _within(mid: Any, rad: Any, value: Any) -> bool:
    if np.asarray(value).dtype != object:
        return bool(holds(mid, rad, value).all())
    numbers = _exact(value)
    # Most are inside by far, which floats that are off by 2^-53 of themselves show faster.
    rough = np.asarray(numbers, dtype=float)
    if np.all(np.abs(rough - mid) + 2.0**-52 * np.abs(rough) < rad * (1 - 2.0**-50)):
        return True
    return bool(np.all(_admits(mid, rad, numbers)))


_exact = np.frompyfunc(exact, 1, 1)
_admits = np.frompyfunc(admits, 3, 1)
