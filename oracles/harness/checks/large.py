"""Checks of size: long vectors and long lists, each element of which is held to its enclosure."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from oracles.harness.arithmetic.enclosure import holds
from oracles.harness.cases.large import Enlarged
from oracles.harness.oracle import Oracle
from oracles.harness.subjects.subject import Answer, SteppedSubject
from oracles.harness.verdict import Verdict, compared, judge

THREADS = 3
"""An odd number, so that shares are not halves. Also, on a machine of two cores they are more than
can run, and OpenMP's then sleep while they wait; two would spin, and cost more than the work."""


def enlarged(subject: SteppedSubject, oracle: Oracle) -> Verdict:
    """Every element of a large answer is inside the enclosure of the element that it repeats."""
    return _held(subject, oracle, subject.ask(_case(oracle).whole))


def threaded(subject: SteppedSubject, oracle: Oracle) -> Verdict:
    """The same where several threads share the work."""
    case = oracle.case
    if not isinstance(case, Enlarged):  # the ledger's are written out
        return judge(oracle, subject, subject.ask_on_threads(case, THREADS))
    return _held(subject, oracle, subject.ask_on_threads(case.whole, THREADS))


def _case(oracle: Oracle) -> Enlarged:
    assert isinstance(oracle.case, Enlarged)
    return oracle.case


def _held(subject: SteppedSubject, oracle: Oracle, answer: Answer) -> Verdict:
    """What the extremes of all that repeats one element say: if both are inside, so are all."""
    verdicts = [judge(oracle, subject, extreme) for extreme in _extremes(_case(oracle), answer)]
    worse = max(verdicts, key=lambda verdict: (verdict.failed, verdict.share))
    explain = partial(_located, subject, oracle, answer, worse)
    copies = answer.parameters.shape[1] / max(1, oracle.case.offsets[-1])
    return replace(
        worse,
        explain=explain if worse.failed else str,
        elements=round(copies * worse.elements),
        undecided=round(copies * worse.undecided),
    )


def _extremes(case: Enlarged, answer: Answer) -> tuple[Answer, Answer]:
    """The least and the largest of all that repeats one element.

    A nan is the least where there is nothing else, and the largest where there is any, so that both
    are inside only where all are.
    """
    parameters = case.folded(answer.parameters, np.fmin, np.maximum)
    states = {n: case.folded(each, np.fmin, np.maximum) for n, each in answer.states.items()}
    present = {
        n: case.folded(each, np.logical_and, np.logical_or) for n, each in answer.present.items()
    }
    least, most = (
        Answer(
            parameters[i],
            {name: each[i] for name, each in states.items()},
            {name: each[i] for name, each in present.items()},
        )
        for i in range(2)
    )
    return least, most


def _located(subject: SteppedSubject, oracle: Oracle, answer: Answer, worse: Verdict) -> str:
    """The sentence about the element that is repeated, and where the first one outside is."""
    case = _case(oracle)
    outside = _outside(subject, oracle, answer)
    sizes = [p.initial.size for p in case.whole.parameters]
    text = f"{worse.sentence}; asked of {len(sizes)} parameters of up to {max(sizes)} elements"
    if not outside.any():
        return text
    number, index = case.whole.locate(int(np.argmax(outside)))
    at = f"{number}{list(index) if index else ''}"
    return f"{text}: {np.count_nonzero(outside)} are outside, the first in parameter {at}"


def _outside(subject: SteppedSubject, oracle: Oracle, answer: Answer) -> NDArray[np.bool_]:
    """Which elements leave their enclosure at some step."""
    enclosures = oracle(tensors=subject.tensors)
    row, where = enclosures.row(subject.dtype), _case(oracle).stands_for
    outside = np.zeros(len(where), dtype=bool)
    for _, balls, values in compared(enclosures, answer):
        mid, rad = balls.mid[row][:, where], balls.rad[row][:, where]
        outside |= ~holds(mid, rad, values).all(axis=0)
    return outside
