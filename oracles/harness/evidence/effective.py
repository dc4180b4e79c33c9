"""Code that follows a candidate with other values of its arguments than those that are given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain

import numpy as np

from oracles.drawing import Hyper
from oracles.harness.arguments import Argument, likely, numeric, pairs
from oracles.harness.arithmetic.formats import FloatArray
from oracles.harness.candidates import Candidate, combined
from oracles.harness.evidence.following import follow, plainly
from oracles.harness.evidence.observation import Observation
from oracles.harness.evidence.sifting import Sieve, Sifted

NEAREST, CLOSEST = 12, 3
"""How many of the nearest candidates are tried with values that are solved for, and torch's own of
how many of their rules with two arguments."""


def with_one_argument(sieve: Sieve) -> Sifted:
    """What holds everything with a usual other value of one argument."""
    found = Sifted()
    for count in (0, 1):
        for rule in sieve.rules:
            found += sieve.sift(rule, _with_one(sieve, combined(rule, count)))
        if found.fits:
            break
    return found


def with_other_arguments(sieve: Sieve) -> Sifted:
    """The same of candidates with more conventions, with any value, and of two arguments.

    That takes long: only torch's own and the candidates that are nearest as they are, are tried.
    """
    found = Sifted()
    own = [Candidate(rule) for rule in sieve.rules]
    by_nearness = sieve.ranked
    near = sorted((c for c in by_nearness[:NEAREST] if c.conventions), key=_size)
    closest = list(dict.fromkeys(c.rule for c in by_nearness[:NEAREST]))[:CLOSEST]
    some = [*own, *near]
    two = _with_two(sieve, map(Candidate, closest))
    for candidate in chain(_with_one(sieve, near), _solved(sieve, some), two):
        found += sieve.sift(candidate.rule, [candidate])
        if found.fits:
            break
    return found


def _size(candidate: Candidate) -> int:
    return len(candidate.conventions)


def _with_one(sieve: Sieve, some: Iterable[Candidate]) -> Iterator[Candidate]:
    for candidate in some:
        for argument in likely(candidate.rule, sieve.takes(candidate.rule)):
            yield candidate.hearing(argument)


def _with_two(sieve: Sieve, some: Iterable[Candidate]) -> Iterator[Candidate]:
    for candidate in some:
        for two in pairs(likely(candidate.rule, sieve.takes(candidate.rule))):
            yield candidate.hearing(*two)


# --- values that are in no table ---

RATES = tuple(np.linspace(0, 0.9999, 12))
SIZES = tuple(np.logspace(-10, 2, 37))
FACTORS = tuple(np.logspace(-4, 4, 33))
"""Where a value is looked for: a rate of decay, a number of any size, or what one is multiplied
with."""

DIGITS = (1, 2, 3, 4, 6, 9, 12, 15, 17)
"""With how many a value is tried: people write few."""


def _solved(sieve: Sieve, some: Iterable[Candidate]) -> Iterator[Candidate]:
    """Candidates with the value of one argument that brings one element where it was seen."""
    for candidate in some:
        known, rule = sieve.known(candidate.rule), candidate.rule
        for name in numeric(rule) if known and rule.elementwise else ():
            spread = SIZES if rule.drawing.domains[name].high > 1 else RATES
            how, grid = ("times", FACTORS) if name in sieve.takes(rule) else ("is", spread)
            for value in _solutions(partial(_with, candidate, name, how), known[0], grid):
                for short in dict.fromkeys(float(f"{value:.{digits}g}") for digits in DIGITS):
                    yield _with(candidate, name, how, short)


def _with(candidate: Candidate, name: str, how: str, value: float) -> Candidate:
    return candidate.hearing(Argument((name,), how, value))


def _solutions(
    of: Callable[[float], Candidate], observation: Observation, grid: Sequence[float]
) -> Iterator[float]:
    """Values with which the candidate gives what was seen of the element they move most.

    The least of all is one of them: beyond it nothing could change its sign.
    """
    rows = answers([of(x) for x in grid], observation)
    rows = np.where(np.isfinite(rows), rows, 0.0)
    spread = rows.max(axis=0) - rows.min(axis=0)
    element = int(np.argmax(spread))
    seen = observation.answer.ravel()[element]
    off = rows[:, element] - seen
    if not spread[element]:
        return
    yield grid[0]
    for number in map(int, np.flatnonzero(np.diff(off > 0))):
        low, high = grid[number], grid[number + 1]
        yield _root(lambda x: float(plainly(of(x), observation).ravel()[element] - seen), low, high)


def answers(some: Sequence[Candidate], observation: Observation) -> FloatArray:
    """What candidates that differ in one number give: (candidates, elements of all steps).

    All at once, where the rule's text takes an array for that number; some texts look whether it
    is 0.
    """
    (group,) = observation.case.groups
    schedule = tuple(_together([c.heard(h) for c in some]) for h in group.schedule)
    case = replace(observation.case, groups=(replace(group, schedule=schedule),))
    found = np.empty((len(some), *observation.answer.shape))
    try:
        with np.errstate(all="ignore"):
            for where, step, w in follow(some[0].hearing(), replace(observation, case=case)):
                found[:, step, where] = w
    except (TypeError, ValueError):
        found = np.stack([plainly(candidate, observation) for candidate in some])
    return found.reshape(len(some), -1)


def _together(some: Sequence[Hyper]) -> Hyper:
    """Hyperparameters of which the numbers that differ are a column."""
    columns = {name: {getattr(h, name): None for h in some} for name in some[0]._fields}
    differ = [name for name, values in columns.items() if len(values) > 1]
    return some[0]._replace(**{n: np.array([[getattr(h, n)] for h in some]) for n in differ})


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a function changes its sign, by the Illinois form of false position."""
    at_low, at_high = function(low), function(high)
    if at_low == 0:
        return low
    for _ in range(100):
        middle = (low * at_high - high * at_low) / (at_high - at_low)
        if not min(low, high) < middle < max(low, high):
            break
        value = function(middle)
        if value == 0:
            return middle
        if (value > 0) != (at_high > 0):
            low, at_low = high, at_high
        else:
            at_low /= 2
        high, at_high = middle, value
    return high
