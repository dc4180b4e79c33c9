"""What a piece of code was not asked: conventions that no case told apart, and which case would."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from oracles.drawing import LATE, PARTS, SHAPED
from oracles.harness.arithmetic.formats import FULL, FloatArray
from oracles.harness.candidates import Candidate, trajectory
from oracles.harness.evidence.effective import otherwise_written
from oracles.harness.evidence.following import held
from oracles.harness.evidence.observation import Observation
from oracles.harness.evidence.proving import off_far
from oracles.harness.evidence.settings import settings
from oracles.harness.evidence.sifting import MARGINS, Sieve

OTHER_NUMBERS = "other values of the numbers that are written in it"


@dataclass(frozen=True)
class Untold:
    """Candidates that hold all that is known as well as the simplest one does.

    Attributes:
        candidates: these.
        needs: what would tell them apart from it; empty if nothing is known to be lacking but
            digits.
    """

    candidates: tuple[Candidate, ...]
    needs: tuple[str, ...]


def untold(sieve: Sieve, fit: Candidate) -> tuple[Untold, ...]:
    """What holds everything with one convention more, by what would tell it from ``fit``."""
    more = list(fit.extended())
    left = sieve.sift(fit.rule, more)
    seen = [replace(o, case=fit.of(o.case)) for o in sieve.observations(fit.rule)]
    found: dict[tuple[str, ...], list[Candidate]] = {}
    written = any(argument.how == "is" for argument in fit.arguments)
    others = [c for c in more if written and c not in (*left.fits, *left.open)]
    if rewritten := sieve.sift(fit.rule, otherwise_written(sieve, others)).fits:
        found[(OTHER_NUMBERS,)] = list(rewritten)
    for candidate in (*left.fits, *left.open):
        parts = candidate.conventions[-1].parts
        needs = absent(parts, seen)
        if needs or not (same(sieve, fit, candidate) or off_far(sieve, candidate)):
            found.setdefault((*(needs or more_of(parts, seen)),), []).append(candidate)
    return tuple(Untold(tuple(members), needs) for needs, members in found.items())


def same(sieve: Sieve, one: Candidate, other: Candidate) -> bool:
    """Whether they are one rule by algebra: so they are where cases in which rules part do not.

    Where NAdam's momentum is constant, it averages with β₁, whichever of both it averages with.
    """
    for setting in settings(one.rule, sieve.takes(one.rule)):
        with np.errstate(all="ignore"):
            told = trajectory(other.rule, other.convention, other.of(setting.case))
            rows = [*map(np.ravel, told)]
        each = np.split(np.arange(len(rows)), len(setting.case.parameters))
        answer = np.concatenate([np.stack([rows[n] for n in some]) for some in each], axis=1)
        if held(one, Observation(setting.what, setting.case, answer), MARGINS[0]) is None:
            return False
    return True


def absent(parts: frozenset[str], seen: Sequence[Observation]) -> list[str]:
    """The parts that no case has, in words."""
    return [_words(part, seen) for part in sorted(parts) if not any(has(o, part) for o in seen)]


def more_of(parts: frozenset[str], seen: Sequence[Observation]) -> list[str]:
    """In words, those whose values may have been too small to show, or that show in time."""
    if max(o.case.steps for o in seen) == 1:
        return ["a second step"]
    numbers = sorted(parts - set(PARTS) - {"batch_size"})
    return [f"a larger {' or '.join(numbers)}" for _ in numbers[:1]]


def _words(part: str, seen: Sequence[Observation]) -> str:
    if part in PARTS:
        return PARTS[part]
    if any(isinstance(getattr(o.case.groups[0].schedule[0], part), bool) for o in seen):
        return f"{part}=True"
    return "batch_size > 1" if part == "batch_size" else f"{part} != 0"


def has(observation: Observation, part: str) -> bool:
    """Whether a case has what tells some conventions apart: a hyperparameter, or a word of PARTS.

    >>> from oracles import RULES
    >>> from oracles.harness.cases.case import single
    >>> case = single([1.0], [[2.0], [1.0]], RULES["SGD"].hyper(lr=0.5, momentum=0.5))
    >>> seen = Observation("", case, np.zeros((2, 1)))
    >>> [part for part in ("momentum", "weight_decay", "schedule", "falling") if has(seen, part)]
    ['momentum', 'falling']
    """
    if part in PARTS:
        return _PRESENT[part](observation)
    (group,) = observation.case.groups
    values = [getattr(h, part) for h in group.schedule]
    return any(v > 1 for v in values) if part == "batch_size" else any(values)


def _gradients(observation: Observation) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Each gradient with the next one."""
    for p in observation.case.parameters:
        given = [g for g in p.gradients if g is not None]
        yield from pairwise(given)


def _some(test: Callable[[FloatArray, FloatArray], Any]) -> Callable[[Observation], bool]:
    return lambda o: any(bool(np.any(test(g, after))) for g, after in _gradients(o))


def _shaped(test: Callable[[tuple[int, ...]], bool]) -> Callable[[Observation], bool]:
    return lambda o: any(test(p.initial.shape) for p in o.case.parameters)


_PRESENT: dict[str, Callable[[Observation], bool]] = {
    **{name: _shaped(test) for name, test in SHAPED.items()},
    "schedule": lambda o: len({h.lr for h in o.case.groups[0].schedule}) > 1,
    "falling": _some(lambda g, after: abs(after) < abs(g)),
    "rising": _some(lambda g, after: abs(after) > abs(g)),
    "turning": _some(lambda g, after: g * after < 0),
    "checkered": _some(lambda g, after: abs(after * g.flat[0] - g * after.flat[0]) > 0),
    "missing": _some(lambda g, after: (g == 0) != (after == 0)),
    "late": lambda o: o.case.steps >= LATE[0],
    "full": lambda o: o.dtype in FULL,
}
"""By word, whether a case has it."""
