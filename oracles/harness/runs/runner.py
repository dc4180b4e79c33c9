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
from oracles.harness.runs.tally import Tally
from oracles.harness.subjects.subject import SteppedSubject
from oracles.harness.verdict import Vacuous, Verdict
from oracles.rule import Rule

MAX_UNDECIDED_CHECK = 0.5
"""Largest share of undecided element-steps in the average verdict of one check. At the edge of the
formats a few elements in a hundred hang on a rounding, and of a rule that squares its gradients one
in six."""

MAX_UNDECIDED = 0.01
"""The same of all that an optimizer was asked away from the edge, where cases stay finite."""

MAX_UNRESOLVED = 0.1
"""Largest share of an optimizer's verdicts in float64 and float32 that may be blunt, most of the
moves narrower than their radius. It is one in thirty at most; bfloat16, which resolves eight bits,
makes one in five of RAdam's blunt."""

ENOUGH = 400
"""Verdicts on an optimizer before its shares are judged: those of a few cases jump."""

ENOUGH_CHECK = 20
"""The same of one check, which a narrow choice of subjects is asked a few times only."""

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
    return count_decided(check, seen)


def count_decided(check: Check, seen: Tally) -> int:
    """How many verdicts of a check that nobody failed decided something.

    Raises:
        Vacuous: none did, or most elements were undecided (of :data:`ENOUGH_CHECK` verdicts).
    """
    whole = seen.whole()
    if whole.runs < ENOUGH_CHECK:
        return seen.decided
    share = max(whole.undecided_share, whole.edge_share)
    if share > MAX_UNDECIDED_CHECK:
        raise Vacuous(
            f"{check.name}: {_excess('elements were undecided', share, MAX_UNDECIDED_CHECK)}"
        )
    if seen.lines and not seen.decided:
        raise Vacuous(f"{check.name}: nothing was decided")
    return seen.decided


def vacuities(tally: Tally) -> list[str]:
    """What a run cannot claim to have shown, a line for each optimizer of which little was decided.

    Unlike :func:`shown` this looks at all checks together, so that the shares are of many cases.
    """
    doubts = []
    for name in dict.fromkeys(place.optimizer for place in tally.lines):
        line, fine = tally.whole(name), tally.whole(name, ("float64", "float32"))
        doubts += [
            f"{name}: {_excess(what, share, bound)}"
            for runs, what, share, bound in (
                (line.runs, "elements were undecided", line.undecided_share, MAX_UNDECIDED),
                (fine.runs, "verdicts were unresolved", fine.unresolved_share, MAX_UNRESOLVED),
            )
            if runs >= ENOUGH and share > bound
        ]
    return doubts


def _excess(what: str, share: float, bound: float) -> str:
    return f"{share:.1%} of the {what}; allowed {bound:.0%}"


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
    asked = 0
    for subject in subjects:
        if not concerned(check, subject, case) or not row.covers(check.name, subject, case):
            continue
        asked += 1
        verdict = ask(check, subject, Oracle(rule, case))
        expected = row.holds_for(subject.version)
        others = active(rule.name, subject.version)
        known = any(other.covers(check.name, subject, case) for other in others)
        if verdict.failed and not expected and not known:
            raise Refuted(f"{row.id} is back: {verdict.sentence}; what it was: {row}")
        if expected and not verdict.failed:
            tally.healed.add(row.id)
            raise Refuted(
                f"{row.id} has healed on {subject.place} in torch {subject.version}: bound its "
                f"versions ({row.versions}) in deviations.toml; what it was: {row}"
            )
        if expected:
            tally.confirmed.add(row.id)
    return asked
