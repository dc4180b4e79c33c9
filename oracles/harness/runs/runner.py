"""Let Hypothesis look for a case on which a subject fails a check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import Phase, given, settings

from oracles.harness.cases.case import PRECISIONS, Case
from oracles.harness.checks.catalogue import checks
from oracles.harness.checks.check import SHARE, Check, Draw
from oracles.harness.checks.names import AGREEMENT
from oracles.harness.deviations.ledger import Deviation, known, usable
from oracles.harness.oracle import Oracle
from oracles.harness.runs.asking import ask, concerned, examine
from oracles.harness.runs.profiles import filed, seeded
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
        Refuted: a subject failed; Hypothesis has shrunk the case, unless agreement fails on it.
        Vacuous: most elements were undecided.
    """
    seen = Tally()
    search = _Search(check, rule, subjects, seen)
    there = {s.dtype for s in subjects if check.applies(s.path) and usable(check.name, s)}
    among = tuple(precision for precision in PRECISIONS if precision in there)

    try:
        for draw in check.draws(rule, settings().max_examples * SHARE, among):
            _hunt(search, draw)
    except Refuted as failure:
        raise noted(search.refuted(), failure) from None
    finally:
        tally.merge(seen)
    if search.found:
        raise search.refuted()
    return count_decided(check.name, seen)


def _hunt(search: _Search, draw: Draw) -> None:
    """Ask some cases; the first that is failed is made smaller."""
    phases = [p for p in settings().phases if search.check.shrinks or p is not Phase.shrink]

    @seeded(draw.name)
    @settings(max_examples=draw.number, phases=phases, database=filed(draw.name))
    @given(draw.cases)
    def refute(case: Case) -> None:
        search.ask(case)

    refute.__name__ = draw.name  # in what Hypothesis says of it
    refute()


def noted(refuted: Refuted, failure: Refuted) -> Refuted:
    """With what Hypothesis has noted of a failure."""
    for note in getattr(failure, "__notes__", ()):
        refuted.add_note(note)
    return refuted


class _Search:
    """A search for a case that a subject fails, and for a small one.

    To shrink a case is to ask hundreds, of which one path alone is asked. None are where agreement
    fails on the first case as well: the check of agreement shows a small one of those.
    """

    def __init__(
        self, check: Check, rule: Rule, subjects: Sequence[SteppedSubject], seen: Tally
    ) -> None:
        self.check, self.rule, self.subjects, self.seen = check, rule, subjects, seen
        self.asked = subjects
        self.found: tuple[Oracle, list[Verdict]] | None = None
        self.over = False

    def ask(self, case: Case) -> None:
        """Ask a case; raises if somebody fails it and there may be a smaller one."""
        if self.over:
            return
        oracle = Oracle(self.rule, case)
        failures = examine(self.check, self.asked, oracle, self.seen)
        if not failures:
            return
        if self.found is None:
            self.asked = self._on_the_path_that_fails(oracle)
            self.over = self._shown_elsewhere(oracle)
        self.found = oracle, failures
        if not self.over:
            raise Refuted

    def _on_the_path_that_fails(self, oracle: Oracle) -> Sequence[SteppedSubject]:
        """The subjects, one a dtype, of the first path that fails; all if none fails again."""
        for one in self.subjects:
            if examine(self.check, [one], oracle, Tally()):
                return [s for s in self.subjects if s.place == one.place._replace(dtype=s.dtype)]
        return self.subjects

    def _shown_elsewhere(self, oracle: Oracle) -> bool:
        general = next(check for check in checks(self.rule) if check.name == AGREEMENT)
        return self.check.name != AGREEMENT and bool(examine(general, self.asked, oracle, Tally()))

    def refuted(self) -> Refuted:
        """Everybody who fails the last case that somebody failed, and in what."""
        assert self.found is not None
        oracle, failures = self.found
        return Refuted(Report(examine(self.check, self.subjects, oracle, Tally()) or failures))


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
        if verdict.failed and not known(check.name, subject, case):
            tally.add(subject.place, verdict)
            stale.append(f"{row.id} is back: {verdict.sentence}; what it was: {row}")
    if stale:
        raise Refuted("\n".join(stale))
    return asked
