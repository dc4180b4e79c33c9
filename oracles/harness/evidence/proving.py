"""Whether what fits still holds where code may turn out to follow something else."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

import numpy as np

from oracles.harness.arguments import numeric
from oracles.harness.arithmetic.enclosure import quiet
from oracles.harness.arithmetic.formats import FORMATS
from oracles.harness.candidates import Candidate
from oracles.harness.evidence.far_off import FEWER, OTHERS, is_rate
from oracles.harness.evidence.following import (
    NEAR,
    NEAR_IN_SHORT,
    exact,
    follow,
    held,
    in_short_formats,
    keeps_short,
    near,
    plainly,
    within,
)
from oracles.harness.evidence.nearness import Near, nearness
from oracles.harness.evidence.observation import Observation
from oracles.harness.evidence.sifting import MARGINS, Cut, Sieve, Sifted, of
from oracles.harness.evidence.witnesses import Asked
from oracles.harness.oracle import Margin
from oracles.rule import Rule


def proven(sieve: Sieve, found: Sifted) -> tuple[Sifted, Near | None]:
    """What is left of what fits when it is asked far off, and how the first of it failed.

    Where something else holds for some parameters, each kind of them must be held by something.
    """
    if not found.fits:
        return found, None
    if found.exceptions:
        failed = next(_unheld(sieve, found), None)
        return (found, None) if failed is None else (replace(found, fits=()), failed)
    off = {candidate: _off(sieve, candidate) for candidate in found.fits}
    left = tuple(candidate for candidate in off if off[candidate] is None)
    return replace(found, fits=left), off[found.fits[0]]


def off_far(sieve: Sieve, candidate: Candidate) -> bool:
    """Whether a candidate does not hold where it was not seen to be off, but far off."""
    return _off(sieve, candidate) is not None


def unheld_shapes(sieve: Sieve, found: Sifted) -> tuple[tuple[int, ...], ...]:
    """Shapes of parameters for which nothing holds that was said.

    Who steps some by Python's numbers may round to float32, which is no matter of the rule.
    """
    fit = found.fits[0]
    some = (fit, *(exception.candidate for exception in found.exceptions))

    def left(told: Observation) -> bool:
        shorter = replace(told, dtype="float32")
        return all(_left(c, told, sieve) and held(c, shorter, MARGINS[1]) is None for c in some)

    return tuple(
        parameter.initial.shape
        for told in sieve.beyond(fit.rule)
        if told.what == OTHERS and left(told)
        for number, parameter in enumerate(told.case.parameters)
        if left(told.only([number]))
    )


def _unheld(sieve: Sieve, found: Sifted) -> Iterator[Near]:
    """How what fits fails for kinds of parameters that nothing that was said holds for."""
    fit, some = found.fits[0], [exception.candidate for exception in found.exceptions]
    order = [told.what for told in sieve.beyond(fit.rule)]
    for numbers in sieve.witness.kinds(fit.rule).numbers.values():
        off = [_off(sieve, candidate, of(numbers)) for candidate in (fit, *some)]
        left = [near for near in off if near is not None]
        if len(left) == len(off):  # who holds the longest is meant for these
            yield max(left, key=lambda near: order.index(near.where))


def _off(sieve: Sieve, candidate: Candidate, cut: Cut | None = None) -> Near | None:
    """How far it is off in the first case far off that it does not hold; None if it holds all."""
    for observation in replace(sieve, cut=cut or sieve.cut).beyond(candidate.rule):
        if observation.what != OTHERS and _left(candidate, observation, sieve):
            where = "" if cut else _where(sieve, candidate, observation)
            return replace(nearness(candidate, [observation]), where=where or observation.what)
    return None


def _where(sieve: Sieve, candidate: Candidate, off: Observation) -> str:
    """The hyperparameter that makes a case one that does not hold, or the size of its gradients.

    With what it is in the cases that tell conventions apart in its place, the candidate holds. Of
    a case with a switch on it is not all. Empty if there is no such one.
    """
    far = sieve.witness.far
    if off.case.steps >= FEWER or not isinstance(far, Asked):
        return ""
    rule, (usual, *_) = candidate.rule, sieve.known(candidate.rule)
    first, given = (told.case.groups[0].schedule[0] for told in (usual, off))
    if any(v is True and not getattr(rule.hyper(), n) for n, v in given._asdict().items()):
        return ""
    found = []
    for name in sieve.takes(rule) & {*numeric(rule)}:
        other = far.again(rule, off, sieve.rules[rule], **{name: getattr(first, name)})
        if other is not None and not _left(candidate, other, sieve):
            found.append(f"at {name}={getattr(given, name):.6g}")
    return found[0] if len(found) == 1 else _beyond(sieve, candidate, off, far)


def _beyond(sieve: Sieve, candidate: Candidate, off: Observation, far: Asked) -> str:
    """The largest power of ten up to which gradients are held; empty if 1 is none."""

    def holds(power: int) -> bool:
        calm = far.calmer(candidate.rule, off, sieve.rules[candidate.rule], 10.0**power)
        return calm is not None and not _left(candidate, calm, sieve)

    largest = float(np.nanmax(np.abs(off.gradients), initial=1.0))
    powers = range(math.ceil(math.log10(largest)))
    count = bisect_left(powers, True, key=lambda power: not holds(power))
    return f"{off.what} with gradients beyond 1e{count - 1}" if count else ""


def _left(candidate: Candidate, observation: Observation, sieve: Sieve) -> bool:
    """Whether a run has left the margin; of a long one to be close is enough, and cheaper.

    To be near is enough where radii were measured, which was not done out here. Where the candidate
    makes numbers that are not finite, whoever follows it does, too.
    """
    rule, (group,) = candidate.rule, observation.case.groups
    if exact(candidate, observation):
        return False
    if observation.case.steps >= FEWER:
        out = not within(closeness(sieve, candidate, observation), candidate, observation)
    else:
        out = all(
            held(candidate, observation, m) is None for m in _margins(sieve, observation, rule)
        )
    h = group.schedule[0]
    if out and any(rule.measured(p.initial.shape, h) for p in group.parameters):
        out = not near(candidate, observation)
    made = plainly(candidate, observation)
    if not candidate.arguments:  # of which those are not heard that a rule does not allow
        made = made[np.isfinite(observation.before).all(axis=1)]  # until the code has broken off
    return out and bool(np.isfinite(made).all())


def closeness(sieve: Sieve, candidate: Candidate, observation: Observation) -> float:
    """To which part of its largest moves a long run is held, which no margin of it is as wide as.

    Where all is in float64 it is that of float32 in terms of its roundings; where something is in
    float32 it is the margin that candidates were held to, and what an average may lose beside; of a
    rule that computes in a short format it is the widest radius of the cases in which these were
    measured.
    """
    rule = candidate.rule
    if in_short_formats(rule):
        own = Candidate(rule).hearing(*candidate.arguments)
        return max(_radius(own, one, sieve.margin) for one in sieve.known(rule))
    roundings, single = widened(sieve.margin, rule, observation).roundings, FORMATS["float32"].u
    short = keeps_short(rule)
    if not short and {sieve.margin.scalars, observation.dtype} == {"float64"}:
        return float(NEAR * FORMATS["float64"].u / single * roundings / sieve.margin.roundings)
    margin = MARGINS[1] if short else sieve.margin
    return min(NEAR, _radius(candidate, observation, margin) + float(single * roundings))


@lru_cache(maxsize=64)
@quiet
def _radius(candidate: Candidate, observation: Observation, margin: Margin) -> float:
    """The largest one, in parts of a step's largest move, beside what is slack anyway."""
    wide = (
        float(np.max(np.ravel(ball.rad) - observation.slack[step, w]) / observation.moves[step, 0])
        for w, step, ball in follow(candidate, observation, margin)
    )
    return max(
        0.0, max((radius for radius in wide if radius < NEAR_IN_SHORT), default=NEAR_IN_SHORT)
    )


def _margins(sieve: Sieve, observation: Observation, rule: Rule) -> Iterator[Margin]:
    """Beside the short format of a rule it is not seen what its scalars are in, until far off."""
    yield widened(sieve.margin, rule, observation)
    yield from MARGINS[1:] if in_short_formats(rule) else ()


def widened(margin: Margin, rule: Rule, observation: Observation) -> Margin:
    """Of an average, ``βa + (1−β)x`` is ``x + β(a − x)`` too, whose roundings are 1/(1−β) as large.

    Rates that tell conventions apart are far from 1.
    """
    (group,) = observation.case.groups
    rates = [name for name, domain in rule.drawing.domains.items() if is_rate(domain)]
    rest = min((1 - getattr(group.schedule[0], name) for name in rates), default=1)
    return replace(margin, roundings=math.ceil(margin.roundings / rest)) if rest > 0 else margin
