"""Which candidate is the nearest where none fits, and where it holds."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from functools import cache

from oracles.harness.candidates import Candidate
from oracles.harness.evidence.nearness import RIGHT, Near, nearness
from oracles.harness.evidence.proving import proven
from oracles.harness.evidence.settings import AGAIN, ALL
from oracles.harness.evidence.sifting import DEEP, Sieve, Sifted
from oracles.harness.evidence.witnesses import Recorded

LIKE = 0.5
"""A candidate is near that has more of the moves right than that, or is nowhere off by as much of a
step's largest."""

FEW = 12
"""Of so many that are nearest where all is on, the nearest everywhere is looked for."""


def nearest(sieve: Sieve) -> Near | None:
    """The candidate that has whole cases right, else the nearest one in all, if it is near.

    Who is right where an argument is off has all lines right but those that this argument is in.
    Of a record it is told in its words what the candidate leaves aside.
    """

    @cache
    def off(candidate: Candidate) -> Near:
        return nearness(candidate, sieve.known(candidate.rule))

    right = {} if isinstance(sieve.witness, Recorded) else _right(sieve, off)
    some = right or dict.fromkeys(sieve.ranked[:FEW], frozenset[str]())
    if not some:
        return None
    candidate = min(some, key=lambda c: (-len(some[c]), off(c).typical, off(c).largest))
    rule, witness = candidate.rule, sieve.witness
    beside = witness.unread(rule) if isinstance(witness, Recorded) else sorted(sieve.aside(rule))
    near = _placed(sieve, off(candidate), some[candidate])
    if near.share == 1:  # where it is off, if not by much
        near = proven(sieve, Sifted((candidate,)))[1] or near
    like = near.share > LIKE or near.largest < LIKE or near.where
    return replace(near, aside=(*beside,)) if like else None


def _right(sieve: Sieve, off: Callable[[Candidate], Near]) -> dict[Candidate, frozenset[str]]:
    """Of the simplest candidates that have cases right the nearest, and what extends it there.

    Conventions that nothing speaks for do not make a candidate another one's better; of those that
    replace a line that does not matter in these cases, one may be what the code is like elsewhere.
    A rule that leaves an argument of the code aside is right where that one does little.
    """
    whole = [c for c in sieve.ranked if not sieve.aside(c.rule)]
    for count in range(DEEP + 1):
        some = [c for c in whole if len(c.conventions) == count]
        if found := {c: cases for c in some if (cases := sieve.right(c))}:
            first = min(found, key=lambda c: (-len(found[c]), off(c).typical))
            reach = off(first).typical - RIGHT
            more = {c: sieve.right(c) for c in first.extended() if off(c).typical < reach}
            return {first: found[first]} | {c: more[c] for c in more if more[c] >= found[first]}
    return {}


def _placed(sieve: Sieve, near: Near, right: Collection[str]) -> Near:
    """It with the cases in which it holds or, if it does where all is on, in which it does not."""
    there = dict.fromkeys(told.what for told in sieve.known(near.candidate.rule))
    alone = ALL not in right
    told = [what for what in there if (what in right) == alone and what not in (ALL, AGAIN)]
    where = " and ".join(f"{'at' if '=' in what else 'with'} {what}" for what in told)
    return replace(near, where=where, alone=alone and bool(where))
