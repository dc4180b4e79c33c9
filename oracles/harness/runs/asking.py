"""One case, asked of every subject it concerns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial

from oracles.harness.cases.case import Case
from oracles.harness.checks.check import Ask, Check
from oracles.harness.checks.names import AGREEMENT
from oracles.harness.checks.values import agreement
from oracles.harness.deviations.ledger import outside
from oracles.harness.oracle import Oracle
from oracles.harness.runs.tally import Tally
from oracles.harness.subjects.subject import SteppedSubject, SubjectError
from oracles.harness.verdict import Fault, Verdict, errored


def examine(
    check: Check, subjects: Iterable[SteppedSubject], oracle: Oracle, tally: Tally
) -> list[Verdict]:
    """Ask every subject the case concerns; returns the verdicts that failed.

    Subjects in a region of the deviations ledger are counted there, and asked what is outside.
    """
    failures = []
    asked = [s for s in subjects if concerned(check, s, oracle.case)]
    tally.cases[check.name] += bool(asked)
    oracles = {oracle.case: oracle}
    for subject in asked:
        row, rest = outside(check.name, subject, oracle.case)
        if row is not None:
            tally.leave_out(row.id, subject.place)
        if rest is None:
            continue
        if rest not in oracles:
            oracles[rest] = Oracle(oracle.rule, rest)
        verdict = ask(check, subject, oracles[rest])
        tally.add(subject.place, verdict)
        if verdict.failed:
            failures.append(verdict)
        elif check.rejects is not None and verdict.separation is not None:
            tally.reject(subject.place.optimizer, check.rejects.name, verdict.separation)
    return failures


def concerned(check: Check, subject: SteppedSubject, case: Case) -> bool:
    """Whether the check can ask this subject this case."""
    path = subject.path
    return (
        subject.dtype in case.precisions
        and check.applies(path)
        and subject.has(check.world)
        and (not case.has("sparse") or subject.takes_sparse)
        and (path.expanded or not case.has("expanded"))
        and (path.nonfinite or not case.edge)
        and subject.takes(case)
    )


def ask(check: Check, subject: SteppedSubject, oracle: Oracle) -> Verdict:
    """The check's verdict, or an errored one if the subject raised; other errors are our own."""
    verdict = _asked(check.ask, subject, oracle)
    if not verdict.failed:
        return verdict
    return replace(verdict, fault=partial(_fault, verdict, check, subject, oracle))


def _fault(verdict: Verdict, check: Check, subject: SteppedSubject, oracle: Oracle) -> Fault:
    """It is agreement's in that loop where plain steps of the case fail in the same way."""
    plain, loop = _asked(agreement, subject, oracle), subject.effective_path.loop
    if plain.failed and plain.wrong == verdict.wrong:
        return Fault(f"{AGREEMENT}{' raises' * bool(plain.wrong)}", loop)
    return Fault(verdict.wrong) if verdict.wrong else Fault(check.name, loop)


def _asked(question: Ask, subject: SteppedSubject, oracle: Oracle) -> Verdict:
    try:
        return question(subject, oracle)
    except SubjectError as error:
        return errored(oracle.case, subject, error)
