"""Code that steps each group of parameters with numbers of its own, which are written in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import chain

from oracles.harness.candidates import Candidate
from oracles.harness.evidence.effective import with_another_number, with_any_values
from oracles.harness.evidence.exceptions import joined, resting, rests
from oracles.harness.evidence.sifting import Sieve, Sifted, of, undecayed
from oracles.harness.subjects.parameter_names import Kinds
from oracles.rule import Rule


def with_numbers_by_name(sieve: Sieve) -> Sifted:
    """What holds for each parameter that has a name, with numbers of its own, if some differ.

    Those of one kind are solved for, of the most dimensions first: weights are decayed where
    anything is. Others are stepped with the numbers of a kind before, but for a few.
    """
    return _by_kind(sieve, named=True)


def with_numbers_by_dimension(sieve: Sieve) -> Sifted:
    """The same where there are no names: by dimension, or by place."""
    return _by_kind(sieve, named=False)


def _by_kind(sieve: Sieve, *, named: bool) -> Sifted:
    for kinds, rules in _alike(sieve):
        if len(kinds.numbers) > 1 and kinds.by_name is named:
            found = _in_turn(_parts(sieve, kinds, rules))
            counts = Counter(map(str, found.values()))
            if len(counts) > 1:
                main = min(
                    found.values(), key=lambda c: (_factors(c), undecayed(c), -counts[str(c)])
                )
                return joined(str(main), {k: {str(c): c} for k, c in found.items()}, kinds)
    return Sifted()


def _factors(candidate: Candidate) -> int:
    """How many of its arguments are multiplied: whoever has the fewest is said first."""
    return sum(argument.how == "times" for argument in candidate.arguments)


def _alike(sieve: Sieve) -> Iterator[tuple[Kinds, list[Rule]]]:
    """Rules of which code is given the same kinds of parameters."""
    kinds = {rule: sieve.witness.kinds(rule) for rule in filter(sieve.known, sieve.rules)}
    found: dict[tuple[tuple[str, tuple[int, ...]], ...], list[Rule]] = {}
    for rule in kinds:
        found.setdefault(tuple(kinds[rule].numbers.items()), []).append(rule)
    yield from ((kinds[rules[0]], rules) for rules in found.values())


def _parts(sieve: Sieve, kinds: Kinds, rules: Sequence[Rule]) -> dict[str, Sieve]:
    """What is known of each kind, in the order in which they are looked at."""
    told, *_ = sieve.known(rules[0])
    some = sieve.only(*rules)
    parts = {kind: replace(some, cut=of(numbers)) for kind, numbers in kinds.numbers.items()}

    def order(kind: str) -> tuple[bool, int]:
        dimensions = (told.case.parameters[n].initial.ndim for n in kinds.numbers[kind])
        return rests(parts[kind], rules[0]), -max(dimensions)

    return {kind: parts[kind] for kind in sorted(parts, key=order)}


def _in_turn(parts: Mapping[str, Sieve]) -> dict[str, Candidate]:
    """What holds for each of them; nothing if there is one for which nothing does.

    That one is solved for in the place of the first then, which may be two rules' one: where
    nothing is decayed, Adam's and AdamW's. At last groups may differ in any numbers.
    """
    order = [*parts]
    solved = cache(lambda kind: _solved(parts[kind]))
    rules = {candidate.rule for candidate in solved(order[0])}
    for nearly in (_but_one, _but_one, _but_some):
        found: dict[str, Candidate] = {}
        for kind in order:
            there = nearly(parts[kind], [*found.values()]) if found else _of(rules, solved(kind))
            if there is None:
                break
            found[kind] = there
        else:
            return {kind: found[kind] for kind in parts}
        if not found:
            break
        if order == [*parts]:
            order = [kind, *(other for other in order if other != kind)]
    return {}


def _of(rules: Collection[Rule], some: Iterable[Candidate]) -> Candidate | None:
    """The first of some candidates, if it can be of some rules; None if there are none."""
    return min(some, key=lambda candidate: candidate.rule not in rules, default=None)


def _solved(part: Sieve) -> tuple[Candidate, ...]:
    """torch's own, as it is or with some numbers."""
    ways = (part.simplest(0), with_any_values(part, deepest=0))
    return next((found.fits for found in ways if found.fits), ())


def _but_one(whole: Sieve, known: Sequence[Candidate]) -> Candidate | None:
    """What holds for a part: what is known of another, or it with another number."""
    rule = known[0].rule
    part = whole.only(rule)
    if rests(part, rule):
        return resting(rule)
    like = list(dict.fromkeys([*known, known[0].hearing()]))
    if fits := part.sift(rule, like).fits:
        return fits[0]
    return next(chain.from_iterable(with_another_number(part, c) for c in like), None)


def _but_some(whole: Sieve, known: Sequence[Candidate]) -> Candidate | None:
    """The same, or it with any numbers."""
    return _but_one(whole, known) or next(iter(_solved(whole.only(known[0].rule))), None)
