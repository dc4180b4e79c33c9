"""Code that follows a candidate with other values of its arguments than those that are given."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import chain, combinations, product
from operator import itemgetter
from typing import NamedTuple

import numpy as np

from oracles.harness.arguments import GRADIENT, Argument, likely, numeric, pairs
from oracles.harness.arithmetic.formats import FloatArray
from oracles.harness.candidates import Candidate, combined
from oracles.harness.evidence.far_off import FEWER, is_rate
from oracles.harness.evidence.following import in_short_formats, plainly
from oracles.harness.evidence.proving import proven
from oracles.harness.evidence.shorter import in_digits
from oracles.harness.evidence.sifting import DEEP, ROUNDINGS, Sieve, Sifted
from oracles.harness.evidence.solving import OFTEN, SLACK, Problem, solved
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
    """What holds everything with a usual other value of one argument.

    Beside two conventions it is a switch that people write in code of their own.
    """
    found = Sifted()
    for count, ways in ((0, _with_one), (1, _with_one), (2, _with_a_switch)):
        for rule in sieve.rules:
            found += sieve.sift(rule, ways(sieve, combined(rule, count)))
        if found.fits:
            break
    return found


def with_two_arguments(sieve: Sieve) -> Sifted:
    """The same of candidates with more conventions, and of two arguments.

    That takes long: only the candidates that are nearest as they are, are tried.
    """
    found = Sifted()
    near = sieve.ranked[:NEAREST]
    more = sorted((c for c in near if c.conventions), key=lambda c: len(c.conventions))
    closest = list(dict.fromkeys(c.rule for c in near))[:CLOSEST]
    pools = chain(
        ((c.rule, [*_with_one(sieve, [c])]) for c in more),
        ((rule, [*_with_two(sieve, rule)]) for rule in closest),
    )
    for rule, pool in pools:
        sieve.look(rule, pool)
        for candidate in pool:
            found += sieve.sift(rule, [candidate])
            if found.fits:
                return found
    return found


def _with_one(sieve: Sieve, some: Iterable[Candidate]) -> Iterator[Candidate]:
    for candidate in some:
        for argument in likely(candidate.rule, sieve.takes(candidate.rule)):
            yield candidate.hearing(argument)


def _with_a_switch(sieve: Sieve, some: Iterable[Candidate]) -> Iterator[Candidate]:
    for candidate in some:
        yield from _with_one_switch(sieve, candidate, USUAL)


def _with_two(sieve: Sieve, rule: Rule) -> Iterator[Candidate]:
    for two in pairs(likely(rule, sieve.takes(rule))):
        yield Candidate(rule).hearing(*two)


# --- Values that are in no table ------------------------------------------------------------------

CLOSE = 1e-5
"""Within which part of each step's largest move the first case is explained by what is worth more
work."""

NEARLY = 1e-2
"""The same of the second case, whose numbers are of the same sizes."""

NOT_FAR = 0.5
"""By what part of a step's largest move what is extended by another convention may be off."""

USUAL = frozenset({"nesterov", "amsgrad", "centered"})
"""Switches that people write in code of their own, beside conventions."""

FIRST_DIGITS = (1, 2, 3)
"""With how many a number is tried of which there are no more."""

FEW = 4
"""Of so many numbers torch's own are looked for again, by powers, where they were not found."""

EXTENDED = 6
"""How many candidates are tried with one convention more: those that explain the first case best.
"""


def with_any_values(sieve: Sieve, deepest: int = DEEP) -> Sifted:
    """What holds everything with some values of whatever the code does not take.

    torch's own come first, with switches that the code does not have, and with factors of the
    arguments that it has; then all with one convention; then those that extend the closest of them,
    if it is to go as deep as that.
    """
    out, failed = Sifted(), Sifted()
    rules = [rule for rule in sieve.rules if not sieve.aside(rule)]
    pool = [p for rule in rules for p in _own(sieve, rule)]
    for count in range(deepest + 1):
        closest = _closest(pool)
        firsts = [
            first for problem in closest for first in _first(sieve, problem, *closest[problem])
        ]
        for whole in (_whole, _to_the_last_digit):
            found = Sifted()
            for first in firsts:
                found += sieve.sift(first.problem.candidate.rule, whole(sieve, first))
            if proof := proven(sieve, found)[0].fits:
                return out + replace(found, fits=_least(proof))
            failed = failed if failed.fits else replace(found, fits=_least(found.fits))
            out += replace(found, fits=())
        pool = _further(sieve, closest) if count else _beside(sieve, rules)
    return replace(out, fits=failed.fits)


def with_few_digits(sieve: Sieve) -> Sifted:
    """What holds with few digits of what people write, of rules that compute in short formats.

    There nothing is exact, and no more digits can be told.
    """
    found = Sifted()
    for rule in (rule for rule in sieve.rules if in_short_formats(rule) and sieve.known(rule)):
        names = [name for name in (*OFTEN, "momentum") if name in sieve.lacks(rule)]
        known = sieve.known(rule)[:1]
        subsets = (combinations(names, count) for count in range(1, len(names) + 1))
        for some in chain.from_iterable(subsets):
            problem = Problem(Candidate(rule), some, dict.fromkeys(some, "is"), known)
            digits = (in_digits(x, FIRST_DIGITS) for x in problem.solved(problem.starts()))
            pool = dict.fromkeys(product(*digits))
            found += sieve.sift(rule, [problem.with_values(np.array(values)) for values in pool])
            if found.fits:
                return replace(found, fits=_least(found.fits))
    return found


Solutions = dict[Problem, tuple[FloatArray, float]]
"""Values that bring a candidate closest to the first case, and how far it is off with them."""


class First(NamedTuple):
    """What explains the first case.

    Attributes:
        problem, values: with a value of each number.
        fewer, shorter: with as few and as short ones as will do.
    """

    problem: Problem
    values: FloatArray
    fewer: Problem
    shorter: FloatArray


def _first(sieve: Sieve, problem: Problem, values: FloatArray, off: float) -> Iterator[First]:
    """It, if values explain the first case, are nearly right in the second, and are a rule's."""
    second = replace(problem, known=sieve.known(problem.candidate.rule)[:2][-1:])
    explained = off < CLOSE or problem.good(values, SLACK)
    if explained and not _forgets(problem, values) and second.off(values) <= NEARLY:
        fewer, shorter = problem.simplest(values)
        if _sound(sieve, fewer.with_values(shorter)):
            yield First(problem, values, fewer, shorter)


def _least(fits: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """Those that take the fewest numbers, digits and conventions to be said."""
    said = {str(c): ((*_said(c), len(c.conventions)), c) for c in fits}
    least = min((length for length, _ in said.values()), default=None)
    return tuple(c for length, c in said.values() if length == least)


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


def with_another_number(sieve: Sieve, candidate: Candidate) -> Iterator[Candidate]:
    """What holds with another number, factor or switch than a candidate has."""
    rule, known = candidate.rule, sieve.known(candidate.rule)[:1]
    switched = _with_one_switch(sieve, candidate, rule.hyper()._fields)
    yield from sieve.sift(rule, switched).fits
    for name in numeric(rule):
        how = "times" if name in sieve.takes(rule) else "is"
        kept = candidate.hearing(*(a for a in candidate.arguments if name not in a.names))
        problem = Problem(kept, (name,), {name: how}, known)
        values = problem.solved(problem.starts())
        for first in _first(sieve, problem, values, problem.off(values)):
            for whole in (_whole, _to_the_last_digit):
                yield from proven(sieve, sieve.sift(rule, whole(sieve, first)))[0].fits


def otherwise_written(sieve: Sieve, some: Iterable[Candidate]) -> list[Candidate]:
    """Of candidates with numbers that are written in code those that hold with other ones."""
    found = []
    for candidate in some:
        for problem in _problems(sieve, candidate.hearing(*_unwritten(candidate))):
            heard = candidate.heard(candidate.rule.hyper())
            values = problem.solved(np.array([[float(getattr(heard, n)) for n in problem.names]]))
            for first in _first(sieve, problem, values, problem.off(values)):
                found += _whole(sieve, first)
    return found


MOST = 8
"""Digits of a number that somebody has written: those of float32."""


def as_people_write(sieve: Sieve, found: Sifted) -> Sifted:
    """What fits; beside one convention more, where else some number has digits that nobody writes.

    A text whose rate is 0.002 and whose average is 0.999v has that of 0.002/√0.999, and v.
    """
    if all(map(_is_short, found.fits)):
        return found
    others = otherwise_written(sieve, found.fits[0].extended())
    short = tuple(c for c in sieve.sift(found.fits[0].rule, others).fits if _is_short(c))
    shorter = proven(sieve, replace(found, fits=_least(short)))[0]
    return shorter if shorter.fits else found


def _is_short(candidate: Candidate) -> bool:
    numbers = [argument.by for argument in candidate.arguments if argument.how == "is"]
    return all(_digits(number) <= MOST for number in numbers)


def _digits(number: float) -> int:
    return len(Decimal(repr(float(number))).normalize().as_tuple().digits)


def _unwritten(candidate: Candidate) -> list[Argument]:
    """What becomes of arguments that code does take, and switches."""
    known = numeric(candidate.rule)
    return [a for a in candidate.arguments if a.how != "is" or not {*a.names} & {*known}]


def _forgets(problem: Problem, values: FloatArray) -> bool:
    """Whether two rates are next to nothing that are usually not: signs are explained by any."""
    domains, plain = problem.candidate.rule.drawing.domains, problem.plain
    rates = [is_rate(domains[n]) and bool(x) for n, x in zip(problem.names, plain, strict=True)]
    return int((values[rates] < NEARLY).sum()) > 1


def _left(problem: Problem, values: FloatArray) -> float:
    """What is left of the distance of rates to 1, by which roundings of averages are divided."""
    domains = problem.candidate.rule.drawing.domains
    rates = [is_rate(domains[n]) for n in problem.names]
    return float(1 - values[rates].max(initial=0.0))


def _sound(sieve: Sieve, candidate: Candidate) -> bool:
    """Whether it is no other rule in disguise, of which hardly a number of its own is left.

    Adam that remembers nothing descends by signs, and so does Rprop between bounds that are one.
    """
    rule, h = candidate.rule, candidate.rule.hyper()
    own = [n for n in sieve.lacks(rule) if getattr(h, n)]
    heard = {n: getattr(candidate.heard(h), n) for n in own}
    rates = [n for n in own if is_rate(rule.drawing.domains[n]) and n not in BOUNDS]
    idle = [n for n in own if not heard[n] or (n in rates and heard[n] == 1)]
    return (
        len(idle) < 2
        and all(
            _heeds(sieve, candidate, Argument((n,), "is", heard[n] / 2)) for n in rates if heard[n]
        )
        and not any(_unbounded(sieve, candidate, argument) for argument in candidate.arguments)
    )


def _unbounded(sieve: Sieve, candidate: Candidate, argument: Argument) -> bool:
    """Whether a number that is written stands for any large one: it is a convention in disguise.

    With a ψ of thousands NAdam's momentum is β₁ from the first step on.
    """
    (name, *_), value = argument.names, argument.by
    domain = candidate.rule.drawing.domains.get(name)
    if argument.how != "is" or domain is None or is_rate(domain) or value <= domain.high:
        return False
    twice = candidate.hearing(
        *(replace(a, by=2 * value) if a is argument else a for a in candidate.arguments)
    )
    return bool(sieve.sift(candidate.rule, [twice]).fits)


def _heeds(sieve: Sieve, candidate: Candidate, other: Argument) -> bool:
    """Whether another number makes any difference to what is known."""
    changed = candidate.hearing(*candidate.arguments, other)
    return any(
        not np.array_equal(plainly(candidate, o), plainly(changed, o), equal_nan=True)
        for o in sieve.known(candidate.rule)
    )


def _said(candidate: Candidate) -> tuple[int, int, int]:
    """How many numbers it takes to say it, how many of them are not torch's, and their digits.

    Those are said that are not 0, or are and are usually not.
    """
    heard = candidate.heard(candidate.rule.hyper())
    said = {name for argument in candidate.arguments for name in argument.names}
    said |= {name for name in numeric(candidate.rule) if getattr(heard, name)}
    numbers = [getattr(heard, name) for name in said if name in heard._fields]
    numbers += [argument.by for argument in candidate.arguments if argument.how == "times"]
    return len(said), len(candidate.arguments), sum(map(_digits, numbers))


def _closest(pool: Sequence[Problem]) -> Solutions:
    """Values that bring each closest to the first case, and how far it is off with them."""
    found = _solved(pool)
    powers = {
        problem: replace(problem, by_powers=True)
        for problem, (_, off) in found.items()
        if off > CLOSE and not problem.candidate.conventions
        if len(problem.names) <= FEW and problem.small.any()
    }
    others = _solved([*powers.values()])
    return found | {
        one: min(found[one], others[by_powers], key=itemgetter(1))
        for one, by_powers in powers.items()
    }


def _solved(pool: Sequence[Problem]) -> Solutions:
    """The same, all of one kind at once."""
    kinds = defaultdict(list)
    for problem in pool:
        kinds[problem.kind].append(problem)
    values: dict[Problem, FloatArray] = {}
    for some in kinds.values():
        values |= zip(some, solved(some, np.stack([p.starts() for p in some])), strict=True)
    return {problem: (values[problem], problem.off(values[problem])) for problem in pool}


def _whole(sieve: Sieve, first: First) -> list[Candidate]:
    """What explains all cases with the numbers that are written for the first, if it does."""
    problem, values = first.fewer, first.shorter
    whole = replace(problem, known=sieve.known(problem.candidate.rule))
    if not whole.with_values(values).arguments:  # which has been held against them
        return []
    if not whole.good(values, SLACK):
        values = whole.solved(values[None])
        if whole.off(values) > CLOSE and not whole.good(values, SLACK):
            return []
        whole, values = whole.simplest(values)
    return _if_sound(sieve, whole.with_values(values))


def _if_sound(sieve: Sieve, candidate: Candidate) -> list[Candidate]:
    return [candidate] if _sound(sieve, candidate) else []


SOLVED = 6
"""So many cases are solved to the last digit, which more of them tell no better. What comes of it
is held to all."""


def _to_the_last_digit(sieve: Sieve, first: First) -> list[Candidate]:
    """What explains all cases with as many digits as these tell, near and far off."""
    problem = first.problem
    rule = problem.candidate.rule
    known = sieve.known(rule)[:SOLVED]
    short = [o for o in sieve.beyond(rule) if o.case.steps < FEWER and np.isfinite(o.answer).all()]
    near, far, whole = (replace(problem, known=some) for some in (known, short, (*known, *short)))
    values = near.solved(first.values[None])
    if near.off(values) > CLOSE:
        values = replace(near, by_powers=True).solved(values[None])
    values = whole.refined(values)
    if not near.off(values) <= CLOSE:
        return []
    most = max(ROUNDINGS / 2, 2 * near.roundings(values))
    if not (left := _left(far, values)):  # what forgets nothing bounds no rounding
        return []
    wider = max(most, ROUNDINGS / 2 / left, 2 * far.roundings(values))
    values = whole.shortest(values, lambda v: near.good(v, most) and far.good(v, wider))
    return _if_sound(sieve, whole.with_values(values))


def _extended(some: Iterable[Candidate]) -> list[Candidate]:
    """Each of them once, with one convention more, and with or without its switches."""
    found = {}
    for one in chain.from_iterable((one, one.hearing()) for one in some):
        for more in one.extended():
            ordered = sorted(more.conventions, key=one.rule.conventions.index)
            key = one.rule.name, more.names, one.arguments
            found[key] = Candidate(one.rule, (*ordered,), one.arguments)
    return list(found.values())


def _own(sieve: Sieve, rule: Rule) -> Iterator[Problem]:
    """torch's own, as it is and with what may be on, or be multiplied."""
    own = Candidate(rule)
    for each in _switched(sieve, own, rule.hyper()._fields):
        yield from _problems(sieve, each)
    yield from _with_factors(sieve, own)
    for name in (GRADIENT, "lr") if "batch_size" in sieve.takes(rule) else ():
        summed = own.hearing(Argument((name,), "times m"))
        yield from (p for some in ((), ("lr",)) for p in _problems(sieve, summed, *some))


def _switched(sieve: Sieve, own: Candidate, among: Collection[str]) -> Iterator[Candidate]:
    """It, and with each of some switches that the code does not have."""
    yield own
    yield from _with_one_switch(sieve, own, among)


def _with_one_switch(
    sieve: Sieve, candidate: Candidate, among: Collection[str]
) -> Iterator[Candidate]:
    for name, value in candidate.rule.hyper()._asdict().items():
        if isinstance(value, bool) and name in among and name not in sieve.takes(candidate.rule):
            yield candidate.hearing(*candidate.arguments, Argument((name,), "is", not value))


def _with_factors(sieve: Sieve, candidate: Candidate) -> Iterator[Problem]:
    """It with a factor of whatever the code takes."""
    taken = [n for n in numeric(candidate.rule) if n in sieve.takes(candidate.rule)]
    yield from _problems(sieve, candidate, *taken) if taken else ()


def _problems(sieve: Sieve, candidate: Candidate, *factors: str) -> Iterator[Problem]:
    """What is not known: all that the code does not take, and factors of some that it does.

    Each of them by itself if too little is known for all, or some are bounds, which do not show
    until they are reached; none in short formats; and where elements look at one another, which
    takes long, of torch's own alone.
    """
    rule, known = candidate.rule, sieve.known(candidate.rule)[:1]
    names = [n for n in numeric(rule) if n not in sieve.takes(rule) or n in factors]
    how = {n: "times" if n in factors and n in sieve.takes(rule) else "is" for n in names}
    quick = rule.elementwise or not candidate.conventions
    if known and quick and not in_short_formats(rule):
        enough = ENOUGH * len(names) <= sieve.size
        alone = [(n,) for n in names] if BOUNDS & {*names} or not enough else []
        for some in [(*names,), *alone] if enough and names else alone:
            yield Problem(candidate, some, how, known)
