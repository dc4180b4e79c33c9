"""Checks of the contract: what a step promises beside values."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np

from oracles.harness.arithmetic.formats import alike
from oracles.harness.cases.case import Case
from oracles.harness.oracle import Oracle
from oracles.harness.subjects.subject import SteppedSubject
from oracles.harness.verdict import INSIDE, Verdict, broken, judge


def gradients_kept(subject: SteppedSubject, oracle: Oracle) -> Verdict:
    """``.grad`` holds after the step what it held before (unscaled, behind a grad scaler)."""
    case = oracle.case
    run, untouched = subject.start(case), subject.start(case)
    for t in range(case.steps):
        run.load(t)
        untouched.load(t)
        before = untouched.gradients()
        if run.scaler is not None:
            scale = untouched.scaler.get_scale()
            before = [None if g is None else g / scale for g in before]
        run.step()
        for number, (one, other) in enumerate(zip(before, run.gradients(), strict=True)):
            if not alike(one, other):
                return broken(
                    case,
                    subject,
                    f"changed the gradient of parameter {number} at step {t + 1}: "
                    f"{_short(one)} became {_short(other)}",
                )
    return held(case)


def restarts(how: str, subject: SteppedSubject, oracle: Oracle) -> Verdict:
    """Continuing from a copy of the optimizer gives the same bits as continuing."""
    case = oracle.case
    run = subject.start(case)
    for t in range(case.steps):
        if t == (case.steps + 1) // 2:
            run.restart(how)
        run.load(t)
        run.step()
        run.record()
    if not run.answer().has_the_bits_of(subject.ask(case)):
        return broken(case, subject, f"continues to other bits after {how} in mid-run")
    return held(case)


def closure(subject: SteppedSubject, oracle: Oracle) -> Verdict:
    """A closure is called once, with gradients enabled, and its value is returned."""
    case = oracle.case
    run = subject.start(case)
    for t in range(case.steps):
        run.load(t)
        modes, returned = run.closure_step()
        if modes != [True]:
            return broken(case, subject, f"called the closure with grad modes {modes}, not [True]")
        if not returned:
            return broken(case, subject, "does not return the closure's value")
        run.record()
    return judge(oracle, subject, run.answer())


def order(subject: SteppedSubject, oracle: Oracle) -> Verdict:
    """The order of parameters within their groups changes no bit."""
    case = oracle.case
    groups = [replace(g, parameters=g.parameters[::-1]) for g in case.groups]
    answer = subject.ask(replace(case, groups=tuple(groups)))
    numbers = iter(np.split(np.arange(case.offsets[-1]), case.offsets[1:-1]))
    each = [[*islice(numbers, len(group.parameters))] for group in case.groups]
    back = np.argsort(np.concatenate([places for own in each for places in own[::-1]]))
    if not answer[:, back].has_the_bits_of(subject.ask(case)):
        return broken(case, subject, "gives other bits when the parameters are reversed")
    return held(case)


def held(case: Case) -> Verdict:
    """A promise about all elements at every step is kept."""
    return Verdict(INSIDE, elements=case.steps * int(case.offsets[-1]))


def _short(values: Any) -> str:
    return "None" if values is None else np.array2string(np.asarray(values), threshold=6)
