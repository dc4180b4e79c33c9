"""Code that follows one candidate but for some parameters, or but for some settings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from oracles.harness.arguments import Argument
from oracles.harness.candidates import Candidate
from oracles.harness.evidence.effective import with_one_argument
from oracles.harness.evidence.sifting import (
    STILL,
    Cut,
    Exceptional,
    Sieve,
    Sifted,
    of,
    still,
    undecayed,
)
from oracles.harness.subjects.parameter_names import Kinds
from oracles.rule import Rule


def divided(sieve: Sieve) -> Sifted:
    """What holds for each kind of parameters by itself, or but for one kind of settings."""
    names = [rule.name for rule in sieve.rules]
    found = [
        answer
        for rule in sieve.rules
        for answer in (*_by_kind(sieve, rule), *_by_setting(sieve, rule))
        if not answer.fits[0].goes_by(names)
    ]
    return min(found, key=_complexity, default=Sifted())


def _complexity(found: Sifted) -> int:
    """How much is said of it."""
    parts = [found.fits[0], *(e.candidate for e in found.exceptions)]
    return len(parts) + sum(len(c.conventions) + len(c.arguments) for c in parts)


def rests(part: Sieve, rule: Rule) -> bool:
    """Whether nothing of what is looked at is ever stepped."""
    known = part.known(rule)
    return bool(known) and all(told.at_rest for told in known)


def resting(rule: Rule) -> Candidate:
    """What then holds."""
    return Candidate(rule).hearing(STILL)


def _by_kind(sieve: Sieve, rule: Rule) -> Iterator[Sifted]:
    """The rule's simplest candidates for each kind of parameters, if there are some for all."""
    kinds = sieve.witness.kinds(rule)
    fits: dict[str, dict[str, Candidate]] = {}
    for kind, numbers in kinds.numbers.items() if len(kinds.numbers) > 1 else ():
        part = replace(sieve.only(rule), cut=of(numbers))
        simplest = (resting(rule),) if rests(part, rule) else part.simplest().fits
        if not simplest and kinds.by_name:
            simplest = with_one_argument(part).fits
        fits[kind] = {str(c): c for c in simplest}
        if not fits[kind]:
            return
    if fits:
        known = {name: c for found in fits.values() for name, c in found.items()}
        most = min(known, key=lambda name: _order(known[name], fits, kinds))
        yield joined(most, fits, kinds)


def _order(
    candidate: Candidate, fits: dict[str, dict[str, Candidate]], kinds: Kinds
) -> tuple[int, ...]:
    """What is said first of all: of two kinds what holds for both, else the simplest that steps.

    Of equals what is decayed: that norms and biases are not is the exception.
    """
    said = len(candidate.conventions) + len(candidate.arguments)
    count = sum(str(candidate) in found for found in fits.values())
    simple = (said, -count) if kinds.by_name else (-count, said)
    return still(candidate), simple[0], undecayed(candidate), simple[1]


def joined(most: str, fits: dict[str, dict[str, Candidate]], kinds: Kinds) -> Sifted:
    """What holds for all kinds but some, and for these what holds there."""
    main = next(found[most] for found in fits.values() if most in found)
    others: dict[str, tuple[Candidate, list[str]]] = {}
    for kind, found in fits.items():
        if most not in found:
            name, candidate = next(iter(found.items()))
            others.setdefault(name, (candidate, []))[1].append(kind)
    exceptions = (
        Exceptional(f"for {kinds.spoken_of(some)}", _outspoken(c, main), main.arguments)
        for c, some in others.values()
    )
    return Sifted((main,), exceptions=tuple(exceptions))


def _outspoken(candidate: Candidate, main: Candidate) -> Candidate:
    """It with what nothing becomes of, where something does elsewhere."""
    if still(candidate):
        return candidate
    said = {name for argument in candidate.arguments for name in argument.names}
    said |= {"weight_decay"} if undecayed(candidate) else set()
    h = candidate.rule.hyper()
    plain = (
        Argument((name,), "is", getattr(h, name))
        if argument.how == "is"
        else Argument((name,), "times", 1)
        for argument in main.arguments
        for name in argument.names
        if name not in said
    )
    return candidate.hearing(*candidate.arguments, *plain)


def _by_setting(sieve: Sieve, rule: Rule) -> Iterator[Sifted]:
    """Each kind of settings but which the rule's candidates hold, and what holds there."""
    kinds = {observation.what: None for observation in sieve.known(rule)}
    for what in list(kinds)[2:]:  # after those with everything
        one = sieve.only(rule)
        rest = replace(one, cut=_settings(what, there=False)).simplest(1)
        if rest.fits:
            there = replace(one, cut=_settings(what, there=True)).simplest()
            if there.fits:
                named = Exceptional(f"where {what}", there.fits[0])
                yield Sifted(rest.fits[:1], exceptions=(named,))


def _settings(what: str, *, there: bool) -> Cut:
    """Where the settings are of one kind, or of any other."""
    return lambda told: told if (told.what == what) is there else None
