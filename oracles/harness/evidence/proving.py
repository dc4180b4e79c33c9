"""Whether what fits still holds where code may turn out to follow something else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from oracles.harness.candidates import Candidate
from oracles.harness.evidence.following import held, near
from oracles.harness.evidence.nearness import Near, nearness
from oracles.harness.evidence.observation import Observation
from oracles.harness.evidence.parts import of
from oracles.harness.evidence.settings import MANY
from oracles.harness.evidence.sifting import Sieve, Sifted
from oracles.harness.evidence.witnesses import Witness


def proven(sieve: Sieve, found: Sifted) -> tuple[Sifted, Near | None]:
    """What is left of what fits when it is asked far off, and how the first of it failed.

    Where something else holds for some parameters, each kind of them must be held by something.
    """
    far = sieve.witness.far
    if far is None or not found.fits:
        return found, None
    if found.exceptions:
        failed = next(_unheld(sieve, found, far), None)
        return (found, None) if failed is None else (replace(found, fits=()), failed)
    off = {candidate: _off(sieve, candidate, far) for candidate in found.fits}
    left = tuple(candidate for candidate in off if off[candidate] is None)
    return replace(found, fits=left), off[found.fits[0]]


def _unheld(sieve: Sieve, found: Sifted, far: Witness) -> Iterator[Near]:
    """How what fits fails for kinds of parameters that nothing that was said holds for."""
    some = (found.fits[0], *(exception.candidate for exception in found.exceptions))
    for numbers in far.kinds(found.fits[0].rule).values():
        off = [_off(sieve, candidate, of(far, numbers)) for candidate in some]
        if None not in off:
            yield from filter(None, off[:1])


def _off(sieve: Sieve, candidate: Candidate, far: Witness) -> Near | None:
    """How far a candidate is off in the first case that it does not hold; None if it holds all."""
    for observation in replace(sieve, witness=far).known(candidate.rule):
        if not near(candidate, observation) or _left(candidate, observation, sieve):
            return replace(nearness(candidate, [observation]), where=observation.what)
    return None


def _left(candidate: Candidate, observation: Observation, sieve: Sieve) -> bool:
    """Whether a short run has left the margin; of a long one to be near is enough, and cheaper."""
    long = observation.case.steps >= MANY
    return not long and held(candidate, observation, sieve.margin) is None
