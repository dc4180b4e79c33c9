"""Checks of values: what a subject computes is inside the right enclosure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from operator import itemgetter

import numpy as np

from oracles.harness.cases.case import Parameter
from oracles.harness.oracle import Oracle
from oracles.harness.subjects.subject import Answer, SteppedSubject, Subject
from oracles.harness.verdict import Vacuous, Verdict, describe, judge, separation
from oracles.rule import Convention


def agreement(subject: SteppedSubject, oracle: Oracle) -> Verdict:
    """Parameters and buffers are inside torch's enclosure at every step."""
    return judge(oracle, subject, subject.ask(oracle.case))


def rejection(convention: Convention, subject: SteppedSubject, oracle: Oracle) -> Verdict:
    """The case separates the two conventions, and the subject is inside the right one.

    Disjoint enclosures make it outside the wrong one: what is held here beyond agreement is that
    there are such cases, and how far apart they are.

    Raises:
        Vacuous: the case does not separate them (a fault of its strategy).
    """
    right, wrong = (oracle(c, subject.tensors) for c in (None, convention))
    apart = separation(right, wrong, subject.dtype)
    if apart <= 1:
        raise Vacuous(
            f"the case does not separate {convention.name} from {oracle.rule.torch.name} in "
            f"{subject.dtype} (separation {apart:.3g}); {describe(oracle.case)}"
        )
    return replace(judge(oracle, subject, subject.ask(oracle.case)), separation=apart)


def splitting(subject: SteppedSubject, oracle: Oracle) -> Verdict:
    """A parameter cut into two, flattened, stays inside the enclosure of the whole."""

    def halves(p: Parameter) -> Iterator[Parameter]:
        flat, middle = p.dense().each(np.ravel), p.initial.size // 2
        for half in (slice(middle), slice(middle, None)):
            yield flat.each(itemgetter(half))

    return judge(oracle, subject, subject.ask(oracle.case.regrouped(halves)))


def transposing(subject: SteppedSubject, oracle: Oracle) -> Verdict:
    """Transposed parameters and gradients give the transposed result."""
    case = oracle.case
    turned = case.regrouped(lambda p: [p.dense().each(np.transpose)])
    places = [
        start + np.arange(p.initial.size).reshape(p.initial.shape).T.ravel()
        for start, p in zip(case.offsets, case.parameters, strict=False)
    ]
    back = np.argsort(np.concatenate(places))
    return judge(oracle, subject, subject.ask(turned)[:, back])


def zeroed(set_to_none: bool, subject: SteppedSubject, oracle: Oracle) -> Verdict:
    """``zero_grad`` before the last step: no gradient, or a zero one that still decays."""
    case = oracle.case
    run = subject.start(case)
    for t in range(case.steps):
        last = t == case.steps - 1
        run.load(t, gradients=not last)
        if last:
            run.zero_grad(set_to_none=set_to_none)
        run.step()
        run.record()
    return judge(oracle, subject, run.answer())


def skipped(subject: Subject, oracle: Oracle) -> Verdict:
    """A step the grad scaler skips, because a gradient is not finite, changes nothing."""
    case = oracle.case
    finite = [
        all(g is None or np.isfinite(g).all() for g in at_step)
        for at_step in zip(*(p.gradients for p in case.parameters), strict=True)
    ]

    def without(p: Parameter) -> Iterator[Parameter]:
        kept = tuple(g if ok else None for g, ok in zip(p.gradients, finite, strict=True))
        yield replace(p, gradients=kept)

    expected = Oracle(oracle.rule, case.regrouped(without))
    return judge(expected, subject, _unstarted(expected, subject.ask(case)))


def _unstarted(expected: Oracle, answer: Answer) -> Answer:
    """The answer without buffers that hold what they start from before their first step is due.

    (A step that is skipped may create them; one that starts from something else shows.)
    """
    rule, present = expected.rule, dict(answer.present)
    group = expected.case.groups[0]
    start = rule.start(np.zeros(()), group.schedule[0])
    for name, value in {"step": 0, **start}.items():
        if name in present:
            early = present[name] & ~expected().present[name] & (answer.states[name] == value)
            present[name] = present[name] & ~early
    return replace(answer, present=present)
