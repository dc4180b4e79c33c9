"""The smallest numbers that show which of two candidates a piece of code follows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from types import MappingProxyType
from typing import Any

import numpy as np

from oracles.drawing import Hyper
from oracles.harness.candidates import Candidate, combined, trajectory
from oracles.harness.cases.case import Case, of_ones
from oracles.harness.cases.smallest import GLANCE, apart
from oracles.harness.evidence.following import plainly
from oracles.harness.evidence.nearness import nearness
from oracles.harness.evidence.sifting import Sieve
from oracles.harness.evidence.witnesses import Asked
from oracles.harness.subjects.subject import SubjectError
from oracles.rule import Rule

SIMPLE: Mapping[str, float] = MappingProxyType(
    {
        "lr": 0.1,
        "batch_size": 2,
        "weight_decay": 1.0,
        "eps": 1.0,
        "initial_accumulator_value": 1.0,
        "etaplus": 2.0,
        "step_size_max": 2.0,
        "beta2_decay": -1.0,
        "d": 1.0,
    }
)
"""Numbers to reckon with; of others one half is taken."""

GRADIENTS = ((1,), (2,), (1, 1), (1, 2), (2, 1), (1, -1), (1, 1, 1), (4, 2, 1), (1, -1, 1))


@dataclass(frozen=True)
class ByHand:
    """Numbers that a person can check.

    Attributes:
        rejected: candidates that the code does not follow.
        w: the parameter before these steps.
        gradients: one a step.
        settings: the hyperparameters that matter, one of each step where they change.
        where: the place in a record.
        expected: what the rejected candidates give.
        got: what the code gave.
    """

    rejected: tuple[Candidate, ...]
    w: float
    gradients: tuple[float, ...]
    settings: Mapping[str, Any]
    expected: float
    got: float
    where: str = ""

    @property
    def given(self) -> str:
        """What went in, in words."""
        g = ", then ".join(f"{value:.6g}" for value in self.gradients)
        settings = "".join(f", {name} = {value}" for name, value in self.settings.items())
        return f"w = {self.w:.6g}, g = {g}{settings}{self.where}"

    def __str__(self) -> str:
        rejected = " or ".join(map(str, self.rejected))
        return f"{self.given}: {rejected} gives {self.expected:.7g}, the code {self.got:.7g}"


def by_hand(sieve: Sieve, fit: Candidate) -> tuple[ByHand, ...]:
    """Of torch's own convention and each other one, the numbers that rule it out, nearest first.

    With the numbers that are written in the code, which are the same whatever it follows.
    """
    known = sieve.known(fit.rule)
    takes = sieve.takes(fit.rule)
    written = [a for a in fit.arguments if a.how == "is" and not {*a.names} & takes]
    others = [c.hearing(*written) for c in (Candidate(fit.rule), *combined(fit.rule, 1))]
    others = [c for c in others if str(c) != str(fit)]
    others.sort(key=lambda c: (bool(c.conventions), nearness(c, known).typical))
    found: dict[tuple[str, float], ByHand] = {}
    for other in others:
        if example := shown(sieve, fit, other):
            key = example.given, round(example.expected, 12)
            same = found[key].rejected if key in found else ()
            found[key] = replace(example, rejected=(*same, other))
    return tuple(found.values())


def shown(sieve: Sieve, fit: Candidate | None, rejected: Candidate) -> ByHand | None:
    """The smallest numbers that tell a rejected candidate from the one that fits, if there are."""
    if isinstance(sieve.witness, Asked):
        return _asked(sieve, sieve.witness, fit, rejected)
    return _recorded(sieve, fit, rejected)


# --- code that can be asked ---


def _asked(
    sieve: Sieve, witness: Asked, fit: Candidate | None, rejected: Candidate
) -> ByHand | None:
    rule = rejected.rule
    parts = {p for c in (fit, rejected) if c for v in c.conventions for p in v.parts}
    for h, gradients in product(_hypers(rule, parts, sieve.takes(rule)), GRADIENTS):
        case = _case(rule, h, gradients, parts)
        with np.errstate(all="ignore"):
            expected, followed = _last(rejected, case), _last(fit, case) if fit else None
        if followed is not None and not _apart(expected, followed):
            continue
        try:
            got = float(witness.box.run(rule, case)[-1, 0])
        except (SubjectError, ValueError):
            return None
        if _apart(got, followed) if followed is not None else not _apart(expected, got):
            continue
        return ByHand((rejected,), 1.0, gradients, _told(case, sieve.takes(rule)), expected, got)
    return None


def _apart(one: float, other: float) -> bool:
    """Whether two results are seen to be different moves from 1."""
    return apart(one, other, max(abs(one - 1), abs(other - 1)))


def _hypers(rule: Rule, parts: set[str], takes: frozenset[str]) -> Iterator[Hyper]:
    """Hyperparameters with nothing on but what tells two conventions apart, then with more."""
    default = rule.hyper()
    for on in (parts, {*parts, *rule.drawing.full.hyper}):
        h = default
        for name in (n for n in default._fields if n in takes):
            value = getattr(default, name)
            if isinstance(value, bool):
                h = h._replace(**{name: name in parts})
            elif isinstance(value, int | float):
                number = SIMPLE.get(name, 0.5)
                off = h._replace(**{name: 1 if name == "batch_size" else 0.0})
                keep = name in on or name == "lr" or rule.constraint(off) is not None
                h = h._replace(**{name: number}) if keep else off
        if rule.constraint(h) is None:
            yield h


def _case(rule: Rule, h: Hyper, gradients: tuple[float, ...], parts: set[str]) -> Case:
    falling = h._replace(lr=h.lr / 2) if "schedule" in parts else h
    schedule = tuple(falling if t else h for t in range(len(gradients)))
    dimensions = 2 if rule.drawing.shapes else 1
    return of_ones(gradients, schedule, dimensions, gradient_layout=rule.gradient_layout)


def _last(candidate: Candidate, case: Case) -> float:
    """Where a candidate leads the only element."""
    *_, w = trajectory(candidate.rule, candidate.convention, candidate.of(case))
    return float(np.ravel(w)[0])


def _told(case: Case, takes: frozenset[str]) -> dict[str, Any]:
    """The hyperparameters that are not at rest, as they change."""
    (group,) = case.groups
    columns = {n: [getattr(h, n) for h in group.schedule] for n in group.schedule[0]._fields}
    return {
        n: values[0] if len(set(values)) == 1 else ", then ".join(map(str, values))
        for n, values in columns.items()
        if n in takes and any(values) and values[0] != (n == "batch_size")
    }


# --- a record ---


def _recorded(sieve: Sieve, fit: Candidate | None, rejected: Candidate) -> ByHand | None:
    """The first step and element where a candidate leaves a record by more than a glance.

    That is, what it follows: of which a record in a short format may be a good way off.
    """
    takes, kinds = sieve.takes(rejected.rule), [*sieve.witness.kinds(rejected.rule).numbers]
    for observation in sieve.known(rejected.rule):
        expected = plainly(rejected, observation)
        followed = plainly(fit, observation) if fit else observation.answer
        off = np.abs(expected - followed)
        seen = off > GLANCE * observation.moves
        if not seen.any():
            continue
        step = int(np.argmax(seen.any(axis=1)))
        element = int(np.argmax(off[step]))
        number, index = observation.case.locate(element)
        h = observation.case.groups[0].schedule[step]
        return ByHand(
            (rejected,),
            float(observation.before[step, element]),
            (float(observation.gradients[step][element]),),
            {name: value for name, value in h._asdict().items() if name in takes and value},
            float(expected[step, element]),
            float(observation.answer[step, element]),
            f" (step {step + 1}, {kinds[number]}{list(index) if index else ''})",
        )
    return None
