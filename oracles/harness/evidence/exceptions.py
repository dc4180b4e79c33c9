"""Code that follows one candidate but for some parameters, or but for some settings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from oracles.harness.candidates import Candidate
from oracles.harness.evidence.parts import elsewhere, of, where
from oracles.harness.evidence.sifting import Exceptional, Sieve, Sifted
from oracles.rule import Rule


def divided(sieve: Sieve) -> Sifted:
    """What holds for each kind of parameters by itself, or but for one kind of settings."""
    found = [
        answer
        for rule in sieve.rules
        for answer in (*_by_kind(sieve, rule), *_by_setting(sieve, rule))
    ]
    return min(found, key=_complexity, default=Sifted())


def _complexity(found: Sifted) -> int:
    """How much is said of it."""
    parts = [found.fits[0], *(e.candidate for e in found.exceptions)]
    return len(parts) + sum(len(c.conventions) for c in parts)


def _by_kind(sieve: Sieve, rule: Rule) -> Iterator[Sifted]:
    """The rule's simplest candidates for each kind of parameters, if there are some for all."""
    kinds = sieve.witness.kinds(rule)
    fits: dict[str, dict[str, Candidate]] = {}
    for kind, numbers in kinds.items() if len(kinds) > 1 else ():
        part = replace(sieve, witness=of(sieve.witness, numbers), rules={rule: sieve.rules[rule]})
        fits[kind] = {str(c): c for c in part.simplest().fits}
        if not fits[kind]:
            return
    if fits:
        known = {name: c for found in fits.values() for name, c in found.items()}
        count = Counter(name for found in fits.values() for name in found)
        yield _joined(min(known, key=lambda n: (-count[n], len(known[n].conventions))), fits)


def _joined(most: str, fits: dict[str, dict[str, Candidate]]) -> Sifted:
    """What holds for most kinds, and for the others what holds there."""
    main = next(found[most] for found in fits.values() if most in found)
    others: dict[str, tuple[Candidate, list[str]]] = {}
    for kind, found in fits.items():
        if most not in found:
            name, candidate = next(iter(found.items()))
            others.setdefault(name, (candidate, []))[1].append(kind)
    exceptions = (Exceptional(f"for {' and '.join(ks)}", c) for c, ks in others.values())
    return Sifted((main,), exceptions=tuple(exceptions))


def _by_setting(sieve: Sieve, rule: Rule) -> Iterator[Sifted]:
    """Each kind of settings but which the rule's candidates hold, and what holds there."""
    kinds = {observation.what: None for observation in sieve.known(rule)}
    for what in list(kinds)[2:]:  # after those with everything
        one = {rule: sieve.rules[rule]}
        rest = replace(sieve, witness=elsewhere(sieve.witness, what), rules=one).simplest(1)
        if rest.fits:
            there = replace(sieve, witness=where(sieve.witness, what), rules=one).simplest()
            if there.fits:
                named = Exceptional(f"where {what}", there.fits[0])
                yield Sifted(rest.fits[:1], exceptions=(named,))
