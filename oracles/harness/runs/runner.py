"""Let Hypothesis look for a case on which a subject fails a check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import Phase, given, settings

from oracles.harness.cases.case import PRECISIONS, Case
from oracles.harness.checks.catalogue import checks
from oracles.harness.checks.check import Check
from oracles.harness.deviations.ledger import Deviation, active, usable
from oracles.harness.oracle import Oracle
from oracles.harness.runs.asking import ask, concerned, examine
from oracles.harness.runs.tally import Tally, count_decided
from oracles.harness.subjects.subject import SteppedSubject
from oracles.harness.verdict import Verdict
from oracles.rule import Rule

SHOWN = 6
"""Failing subjects spelled out for one case; the others are counted."""


class Refuted(AssertionError):
    """A subject failed a check; the message holds one sentence for each."""


@dataclass(frozen=True)
class Report:
    """The sentences of failing verdicts, a line each.

    They are written when they are read, which those of cases tried while shrinking never are.
    """

    failures: Sequence[Verdict]

    def __str__(self) -> str:
        lines = [verdict.sentence for verdict in self.failures[:SHOWN]]
        if len(self.failures) > SHOWN:
            lines.append(f"... and {len(self.failures) - SHOWN} more subjects fail this case")
        return "\n".join(lines)


def run_check(check: Check, rule: Rule, subjects: Sequence[SteppedSubject], tally: Tally) -> int:
    """Ask a check's question on as many cases as the current Hypothesis profile says.

    Returns:
        The number of verdicts that decided something, all of them good; 0 if no subject can be
        asked.

    Raises:
        Refuted: a subject failed; Hypothesis has shrunk the case.
        Vacuous: most elements were undecided.
    """
    seen = Tally()
    there = {s.dtype for s in subjects if check.applies(s.path) and usable(check.name, s)}
    among = tuple(precision for precision in PRECISIONS if precision in there)

    profile = settings()
    phases = [p for p in profile.phases if check.shrinks or p is not Phase.shrink]

    @settings(max_examples=check.examples(profile.max_examples), phases=phases)
    @given(check.cases(rule, among=among))
    def refute(case: Case) -> None:
        failures = examine(check, subjects, Oracle(rule, case), seen)
        if failures:
            raise Refuted(Report(failures))

    # The example database files examples under the name of the function that failed on them.
    refute.__name__ = f"{rule.name}: {check.name}"
    try:
        refute()
    finally:
        tally.merge(seen)
    return count_decided(check.name, seen)


def confirm(row: Deviation, rule: Rule, subjects: Sequence[SteppedSubject], tally: Tally) -> int:
    """Run a deviation's reproducer: it fails where the row says so, and passes elsewhere.

    Elsewhere it may fail for a reason that another row of that version knows.

    Returns:
        The number of subjects asked.

    Raises:
        Refuted: it has healed, or it is back, or its region does not hold it.
    """
    check = next(check for check in checks(rule) if check.name == row.check)
    case = row.reproducer(rule)
    oracle = Oracle(rule, case)
    asked, stale = 0, []
    for subject in subjects:
        if not concerned(check, subject, case) or not row.covers(check.name, subject, case):
            continue
        asked += 1
        verdict = ask(check, subject, oracle)
        if row.holds_for(subject.version):
            tally.rerun(row.id, subject.place, fails=verdict.failed)
            if not verdict.failed:
                stale.append(
                    f"{row.id} has healed on {subject.place} in torch {subject.version}: bound its "
                    f"versions ({row.versions}) in deviations.toml; what it was: {row}"
                )
            continue
        others = active(rule.name, subject.version)
        if verdict.failed and not any(o.covers(check.name, subject, case) for o in others):
            tally.add(subject.place, verdict)
            stale.append(f"{row.id} is back: {verdict.sentence}; what it was: {row}")
    if stale:
        raise Refuted("\n".join(stale))
    return asked
