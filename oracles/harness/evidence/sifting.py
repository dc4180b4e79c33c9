"""Which candidates hold all that is known of a piece of code, the simplest ones first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from oracles.harness.candidates import MOST, Candidate, combined
from oracles.harness.evidence.following import held, near
from oracles.harness.evidence.witnesses import Witness
from oracles.harness.oracle import Margin
from oracles.harness.subjects.subject import SubjectError
from oracles.rule import Rule

ROUNDINGS = 16
"""How many roundings a text may make where a rule's own makes one. Rules that differ do so by parts
of the numbers themselves, which in float64 is ten orders of magnitude more."""

MARGINS = (Margin(ROUNDINGS), Margin(ROUNDINGS, scalars="float32"))
"""The narrower one first: who is inside it needs no wider one. JAX and MLX keep scalars in
float32."""

Without = Mapping[Rule, frozenset[str]]
"""By rule, the hyperparameters that stay at their defaults."""


@dataclass(frozen=True)
class Sifted:
    """What is left of some candidates.

    Attributes:
        fits: those that hold everything, and for which something speaks.
        open: those that hold everything only because their margin holds almost anything.
        ruled_out: how many do not.
    """

    fits: tuple[Candidate, ...] = ()
    open: tuple[Candidate, ...] = ()
    ruled_out: int = 0

    def __add__(self, other: Sifted) -> Sifted:
        return Sifted(
            self.fits + other.fits, self.open + other.open, self.ruled_out + other.ruled_out
        )


def simplest(witness: Witness, without: Without, margin: Margin) -> Sifted:
    """All candidates, up to those with the fewest conventions of which some fits.

    Those with more conventions have some that nothing speaks for.
    """
    found = Sifted()
    for count in range(MOST + 1):
        for rule, names in without.items():
            found += sift(witness, rule, combined(rule, count), margin, names)
        if found.fits:
            break
    return found


def sift(
    witness: Witness,
    rule: Rule,
    pool: Iterable[Candidate],
    margin: Margin,
    without: frozenset[str],
) -> Sifted:
    """Which of a rule's candidates hold everything."""
    pool = list(pool)
    left = pool
    spoken_for: set[Candidate] = set()
    try:
        for observation in witness.observations(rule, without):
            told = {c: held(c, observation, margin) for c in left if near(c, observation)}
            left = [c for c in left if told.get(c) is not None]
            spoken_for |= {c for c in left if told[c]}
            if not left:
                break
    except SubjectError:  # the code does not take what this rule's cases are
        left = []
    return Sifted(
        tuple(c for c in left if c in spoken_for),
        tuple(c for c in left if c not in spoken_for),
        len(pool) - len(left),
    )
