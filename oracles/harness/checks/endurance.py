"""Checks of many steps: at some of them the oracle goes on from where the subject stands.

What a subject holds before a step -- parameters and buffers, read back exactly -- is where the rule
starts from, so that radii are those of one step however many have gone before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache, partial
from itertools import count, pairwise

import numpy as np

from oracles.harness.arithmetic.formats import FloatArray
from oracles.harness.cases.case import Case, Group, Parameter
from oracles.harness.oracle import Oracle, Since
from oracles.harness.subjects.subject import Answer, SteppedSubject
from oracles.harness.verdict import INSIDE, UNDECIDED, Verdict, judge

WATCHED = (2, 64, 257, 1_000, 1_003)
"""The steps of a long run that are looked at, counted from 1."""


def enduring(subject: SteppedSubject, oracle: Oracle) -> Verdict:
    """In a run of a thousand steps, those that are looked at follow the rule."""
    run = subject.start(oracle.case)
    recorded = []
    for t in range(oracle.case.steps):
        run.load(t)
        run.step()
        if {t + 1, t + 2} & {*WATCHED}:
            run.record()
            recorded.append(t + 1)
    rows = _rows(run.answer())
    answers = dict(zip(recorded, rows, strict=True))
    return _joined(
        [
            _followed(subject, oracle, t, t - 1, answers[t - 1], answers[t])
            for t in WATCHED
            if t in answers
        ]
    )


def late(subject: SteppedSubject, oracle: Oracle) -> Verdict:
    """Steps follow the rule where counters say that many have gone before."""
    case = oracle.case
    run = subject.start(case)
    for t in range(case.steps):
        run.load(t)
        run.step()
        if t == 0:
            run.set_counters(case.elapsed)
        run.record()
    rows = list(enumerate(pairwise(_rows(run.answer()))))
    return _joined([_followed(subject, oracle, t + 2, case.elapsed + t, *both) for t, both in rows])


def _rows(answer: Answer) -> list[Answer]:
    """What was answered at each recorded step."""
    return [answer[t : t + 1] for t in range(len(answer.parameters))]


def _followed(
    subject: SteppedSubject, oracle: Oracle, step: int, seen: int, before: Answer, after: Answer
) -> Verdict:
    """Whether one step, the ``step``-th of the case, leads from one answer to the next."""
    states = tuple((name, each[0].tobytes()) for name, each in before.states.items())
    where = before.parameters[0].tobytes()
    verdict = judge(_going_on(oracle, step, seen, subject.dtype, where, states), subject, after)
    return (
        replace(verdict, explain=partial(_told, verdict, step, seen)) if verdict.failed else verdict
    )


@lru_cache(maxsize=32)  # many paths stand at the same numbers, to the bit
def _going_on(
    oracle: Oracle,
    step: int,
    seen: int,
    precision: str,
    where: bytes,
    states: tuple[tuple[str, bytes], ...],
) -> Oracle:
    """What may come of one step from where somebody stands."""
    case = _one_step(oracle.case, step, np.frombuffer(where), precision)
    since = Since(seen, {name: np.frombuffer(values) for name, values in states})
    return Oracle(oracle.rule, case, since)


def _told(verdict: Verdict, step: int, seen: int) -> str:
    return (
        f"step {step} of a run, where {seen:,} gradients have been seen, taken by itself from the "
        f"state before it: {verdict.sentence}"
    )


def _one_step(case: Case, step: int, start: FloatArray, precision: str) -> Case:
    """That step alone, with parameters that start where they stand, in their precision."""
    number = count()

    def standing(p: Parameter) -> Parameter:
        i = next(number)
        initial = start[case.offsets[i] : case.offsets[i + 1]].reshape(p.initial.shape)
        return replace(p, initial=initial, gradients=p.gradients[step - 1 : step])

    groups = (
        Group(tuple(map(standing, g.parameters)), g.schedule[step - 1 : step]) for g in case.groups
    )
    return Case(tuple(groups), (precision,))


def _joined(verdicts: Sequence[Verdict]) -> Verdict:
    """One verdict on several steps: the first that failed, or what all of them come to."""
    first = next((v for v in verdicts if v.failed), None)
    blank = all(v.outcome == UNDECIDED for v in verdicts)
    return replace(
        first or Verdict(UNDECIDED if blank else INSIDE),
        elements=sum(v.elements for v in verdicts),
        undecided=sum(v.undecided for v in verdicts),
        moved=sum(v.moved for v in verdicts),
        below_radius=sum(v.below_radius for v in verdicts),
        share=max(v.share for v in verdicts),
        measured=any(v.measured for v in verdicts),
    )
