"""Code that follows a candidate with other values of its arguments than those that are given."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import chain

import numpy as np

from oracles.harness.arguments import Argument, likely, numeric, pairs
from oracles.harness.arithmetic.formats import FloatArray
from oracles.harness.candidates import Candidate, combined
from oracles.harness.evidence.far_off import is_rate
from oracles.harness.evidence.following import in_short_formats, plainly
from oracles.harness.evidence.proving import proven
from oracles.harness.evidence.sifting import DEEP, Sieve, Sifted
from oracles.harness.evidence.solving import SLACK, Problem
from oracles.rule import Rule

NEAREST, CLOSEST = 12, 3
"""How many of the nearest candidates are tried with other values, and torch's own of how many of
their rules with two."""

BOUNDS = frozenset({"step_size_min", "step_size_max"})
"""Numbers that make no difference until they are reached."""

ENOUGH = 8
"""So many moves of elements must be known for each value that something is made of: one move is
explained by one number, whatever the rule is."""


def with_one_argument(sieve: Sieve) -> Sifted:
    """What holds everything with a usual other value of one argument."""
    found = Sifted()
    for count in (0, 1):
        for rule in sieve.rules:
            found += sieve.sift(rule, _with_one(sieve, combined(rule, count)))
        if found.fits:
            break
    return found


def with_two_arguments(sieve: Sieve) -> Sifted:
    """The same of candidates with more conventions, and of two arguments.

    That takes long: only the candidates that are nearest as they are, are tried.
    """
    found = Sifted()
    near = sieve.ranked[:NEAREST]
    more = sorted((c for c in near if c.conventions), key=_size)
    closest = list(dict.fromkeys(c.rule for c in near))[:CLOSEST]
    for candidate in chain(_with_one(sieve, more), _with_two(sieve, map(Candidate, closest))):
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


# --- Values that are in no table ------------------------------------------------------------------

CLOSE = 1e-5
"""Within which part of each step's largest move the first case is explained by what is worth more
work."""

ROUGHLY = 1e-2
"""The same of the second case, whose numbers are of the same sizes."""

NOT_FAR = 0.5
"""By what part of a step's largest move what is extended by another convention may be off."""

USUAL = frozenset({"nesterov", "amsgrad", "centered"})
"""Switches that people write in code of their own, beside conventions."""

EXTENDED = 6
"""How many candidates are tried with one convention more: those that explain the first case best.
"""


def with_any_values(sieve: Sieve) -> Sifted:
    """What holds everything with some values of whatever the code does not take.

    torch's own come first, with switches that the code does not have, and with a factor of one
    argument that it has; then all with one convention; then those that extend the closest of them.
    """
    out, failed = Sifted(), Sifted()
    rules = [rule for rule in sieve.rules if not sieve.aside(rule)]
    pool = [p for rule in rules for p in _own(sieve, rule)]
    for count in range(DEEP + 1):
        closest = {problem: _closest(problem) for problem in pool}
        found = _holding(sieve, closest)
        if found.fits and proven(sieve, found)[0].fits:
            return out + found
        failed, out = failed if failed.fits else found, out + replace(found, fits=())
        pool = _further(sieve, closest) if count else _beside(sieve, rules)
    return replace(out, fits=failed.fits)


Solutions = Mapping[Problem, tuple[FloatArray, float]]
"""Values that bring a candidate closest to the first case, and how far it is off with them."""


def _holding(sieve: Sieve, closest: Solutions) -> Sifted:
    """Those that hold everything and take the fewest numbers, and digits, to be said."""
    found = Sifted()
    for problem, (values, off) in closest.items():
        if off < CLOSE or problem.roundings(values) < SLACK:
            found += sieve.sift(problem.candidate.rule, _whole(sieve, problem, values))
    said = {str(c): (_said(c), c) for c in found.fits}
    least = min((length for length, _ in said.values()), default=None)
    return replace(found, fits=tuple(c for length, c in said.values() if length == least))


def _beside(sieve: Sieve, rules: Sequence[Rule]) -> list[Problem]:
    """All with one convention, and factors beside the conventions of those that are nearest."""
    near = [c for c in sieve.ranked[:NEAREST] if c.conventions and c.rule in rules]
    one = [c for rule in rules for c in combined(rule, 1)]
    more = [p for c in one for each in _switched(sieve, c, USUAL) for p in _problems(sieve, each)]
    return [*(p for c in near for p in _with_factors(sieve, c)), *more]


def _further(sieve: Sieve, closest: Solutions) -> list[Problem]:
    """What has one convention more than those that explain the first case best."""
    off = {problem: off for problem, (_, off) in closest.items() if off < NOT_FAR}
    best = sorted(off, key=lambda problem: off[problem])[:EXTENDED]
    return [p for c in _extended(one.candidate for one in best) for p in _problems(sieve, c)]


def otherwise_written(sieve: Sieve, some: Iterable[Candidate]) -> list[Candidate]:
    """Of candidates with numbers that are written in code those that hold with other ones."""
    found = []
    for candidate in some:
        for problem in _problems(sieve, candidate.hearing(*_unwritten(candidate))):
            heard = candidate.heard(candidate.rule.hyper())
            values = problem.solved(np.array([[float(getattr(heard, n)) for n in problem.names]]))
            if problem.off(values) < CLOSE:
                found += _whole(sieve, problem, values)
    return found


def _unwritten(candidate: Candidate) -> list[Argument]:
    """What becomes of arguments that code does take, and switches."""
    known = numeric(candidate.rule)
    return [a for a in candidate.arguments if a.how != "is" or not {*a.names} & {*known}]


def _forgets(problem: Problem, values: FloatArray) -> bool:
    """Whether two rates are next to nothing that are usually not: signs are explained by any."""
    domains, plain = problem.candidate.rule.drawing.domains, problem.plain
    rates = [is_rate(domains[n]) and bool(x) for n, x in zip(problem.names, plain, strict=True)]
    return int((values[rates] < ROUGHLY).sum()) > 1


def _sound(sieve: Sieve, candidate: Candidate) -> bool:
    """Whether it is no other rule in disguise, of which hardly a number of its own is left.

    Adam that remembers nothing descends by signs, and so does Rprop between bounds that are one.
    """
    rule, h = candidate.rule, candidate.rule.hyper()
    own = [n for n in sieve.lacks(rule) if getattr(h, n)]
    heard = {n: getattr(candidate.heard(h), n) for n in own}
    rates = [n for n in own if is_rate(rule.drawing.domains[n]) and n not in BOUNDS]
    idle = [n for n in own if not heard[n] or (n in rates and heard[n] == 1)]
    return len(idle) < 2 and all(
        _heeds(sieve, candidate, Argument((n,), "is", heard[n] / 2)) for n in rates if heard[n]
    )


def _heeds(sieve: Sieve, candidate: Candidate, other: Argument) -> bool:
    """Whether another number makes any difference to what is known."""
    changed = candidate.hearing(*candidate.arguments, other)
    return any(
        not np.array_equal(plainly(candidate, o), plainly(changed, o), equal_nan=True)
        for o in sieve.known(candidate.rule)
    )


def _said(candidate: Candidate) -> tuple[int, int]:
    """How many numbers it takes to say it, and digits of them.

    Those are said that are not 0, or are and are usually not.
    """
    heard = candidate.heard(candidate.rule.hyper())
    said = {name for argument in candidate.arguments for name in argument.names}
    said |= {name for name in numeric(candidate.rule) if getattr(heard, name)}
    numbers = [getattr(heard, name) for name in said if name in heard._fields]
    numbers += [argument.by for argument in candidate.arguments if argument.how == "times"]
    short = (Decimal(repr(float(number))).normalize() for number in numbers)
    return len(said), sum(len(number.as_tuple().digits) for number in short)


def _closest(problem: Problem) -> tuple[FloatArray, float]:
    """Values that bring it closest to the first case, and how far it is off with them."""
    values = problem.solved(problem.starts())
    return values, problem.off(values)


def _whole(sieve: Sieve, problem: Problem, values: FloatArray) -> list[Candidate]:
    """What explains the first case with values that explain the others, too, if there are some."""
    whole = replace(problem, known=sieve.known(problem.candidate.rule))
    second = replace(whole, known=whole.known[:2][-1:])
    if _forgets(problem, values) or second.off(values) > ROUGHLY:
        return []
    problem, values = problem.simplest(values)
    whole = replace(problem, known=whole.known)
    if not whole.with_values(values).arguments:  # which has been held against them
        return []
    if whole.roundings(values) > SLACK and _sound(sieve, whole.with_values(values)):
        values = whole.solved(values[None])
        if whole.off(values) > CLOSE and whole.roundings(values) > SLACK:
            return []
        whole, values = whole.simplest(values)
    candidate = whole.with_values(values)
    return [candidate] if _sound(sieve, candidate) else []


def _extended(some: Iterable[Candidate]) -> list[Candidate]:
    """Each of them once, with one convention more."""
    found = {}
    for one in some:
        for more in one.hearing().extended():
            ordered = sorted(more.conventions, key=one.rule.conventions.index)
            found[one.rule.name, more.names] = Candidate(one.rule, (*ordered,))
    return list(found.values())


def _own(sieve: Sieve, rule: Rule) -> Iterator[Problem]:
    """torch's own, as it is and with what may be on, or be multiplied."""
    own = Candidate(rule)
    for each in _switched(sieve, own, rule.hyper()._fields):
        yield from _problems(sieve, each)
    yield from _with_factors(sieve, own)


def _switched(sieve: Sieve, own: Candidate, among: Collection[str]) -> Iterator[Candidate]:
    """It, and with each of some switches that the code does not have."""
    yield own
    for name, value in own.rule.hyper()._asdict().items():
        if isinstance(value, bool) and name in among and name not in sieve.takes(own.rule):
            yield own.hearing(Argument((name,), "is", not value))


def _with_factors(sieve: Sieve, candidate: Candidate) -> Iterator[Problem]:
    for name in numeric(candidate.rule):
        if name in sieve.takes(candidate.rule):
            yield from _problems(sieve, candidate, name)


def _problems(sieve: Sieve, candidate: Candidate, factor: str = "") -> Iterator[Problem]:
    """What is not known: all that the code does not take, and a factor of something that it does.

    Each of them by itself if too little is known for all, or some are bounds, which do not show
    until they are reached; and none where a rule's numbers do not show, one by one, in what it
    gives.
    """
    rule, known = candidate.rule, sieve.known(candidate.rule)[:1]
    names = [n for n in numeric(rule) if n not in sieve.takes(rule) or n == factor]
    how = {n: "times" if n == factor else "is" for n in names}
    if known and rule.elementwise and not in_short_formats(rule):
        enough = ENOUGH * len(names) <= sieve.size
        alone = [(n,) for n in names] if BOUNDS & {*names} or not enough else []
        for some in [(*names,), *alone] if enough and names else alone:
            yield Problem(candidate, some, how, known)
