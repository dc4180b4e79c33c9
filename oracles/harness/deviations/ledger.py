"""The ledger of known deviations: what released versions of torch get wrong, as rows of data.

``deviations.toml`` holds the rows and says what their fields mean. A row's region is a predicate on
cases, by name; they are defined in :mod:`oracles.harness.deviations.regions`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from oracles.harness.cases.case import Case, from_data, plain
from oracles.harness.checks.names import AGREEMENT
from oracles.harness.deviations.regions import REGIONS, Asked
from oracles.harness.deviations.row import Row, read
from oracles.harness.subjects.subject import SteppedSubject
from oracles.rule import Rule

LEDGER = Path(__file__).with_name("deviations.toml")


@dataclass(frozen=True, kw_only=True)
class Deviation(Row):
    """One row of the ledger.

    One with a ``method`` is about that method of ``torch.optim.Optimizer``, and concerns whoever
    inherits it; any other concerns torch's own class of the rule, and what extends that.
    """

    rules: tuple[str, ...]
    check: str
    case: Mapping[str, Any]
    method: str = ""

    def concerns(self, subject: SteppedSubject) -> bool:
        """Whether the row is about this class, path, dtype and device."""
        place = subject.place
        return (
            not {place.path, subject.effective_path.name}.isdisjoint(self.paths)
            and (not self.dtypes or place.dtype in self.dtypes)
            and (not self.devices or not set(self.devices).isdisjoint(place.device.split("+")))
            and (subject.inherits(self.method) if self.method else subject.of_torch)
        )

    def about(self, check: str, subject: SteppedSubject) -> bool:
        """Whether there are cases on which this subject is known to fail this check.

        A deviation from agreement shows in every check that steps the same case.
        """
        return self.check in (check, AGREEMENT) and self.concerns(subject)

    def covers(self, check: str, subject: SteppedSubject, case: Case) -> bool:
        """Whether this subject is known to fail this check on this case."""
        return self.about(check, subject) and self.in_region(
            Asked(subject.rule, case, subject.dtype)
        )

    def in_region(self, asked: Asked) -> bool:
        """Whether the deviation shows there."""
        return _in_region(self.region, asked)

    def reproducer(self, rule: Rule) -> Case:
        """The row's minimal case."""
        return from_data(rule, self.case)


@lru_cache(maxsize=32)  # of one case or two: a long one is megabytes
def _in_region(region: str, asked: Asked) -> bool:
    """Many subjects are asked one case in one precision."""
    return REGIONS[region](asked)


@cache
def ledger() -> tuple[Deviation, ...]:
    """All rows.

    Raises:
        ValueError: a row names an unknown region or lacks a field.
    """
    rows = tuple(read(LEDGER, Deviation))
    for row in rows:
        if row.region not in REGIONS:
            raise ValueError(
                f"deviation {row.id!r}: region={row.region!r} is not known; "
                f"allowed: {', '.join(REGIONS)}"
            )
    return rows


@cache
def active(rule: str, torch_version: str) -> tuple[Deviation, ...]:
    """The rows about a rule that hold for a version of torch."""
    return tuple(r for r in ledger() if rule in r.rules and r.holds_for(torch_version))


def known(check: str, subject: SteppedSubject, case: Case) -> Deviation | None:
    """The first row that knows the subject to fail a check on a case, if one does."""
    rows = active(subject.rule.name, subject.version)
    return next((row for row in rows if row.covers(check, subject, case)), None)


def outside(
    check: str, subject: SteppedSubject, case: Case
) -> tuple[Deviation | None, Case | None]:
    """The row that knows the subject to fail a check on a case, and what of the case none knows.

    That is the case itself where there is no such row, and None where nothing is left.
    """
    row = known(check, subject, case)
    if row is None:
        return None, case
    rows = active(subject.rule.name, subject.version)
    regions = tuple(row.region for row in rows if row.about(check, subject))
    return row, _rest(regions, Asked(subject.rule, case, subject.dtype))


@lru_cache(maxsize=32)
def _rest(regions: tuple[str, ...], asked: Asked) -> Case | None:
    """As much of a case as is in none of the regions.

    Fewer steps before it; or parameters that are in a region by themselves are made dense or, if
    that is not enough, cut to an element, which fills no register.
    """

    def inside(case: Case) -> bool:
        return any(_in_region(region, asked._replace(case=case)) for region in regions)

    case = sooner = asked.case
    while inside(sooner) and sooner.elapsed > 1:
        sooner = replace(sooner, elapsed=sooner.elapsed // 2)
    if not inside(sooner):
        return sooner
    everybody = frozenset(range(len(case.parameters)))
    for less in (case.dense, case.cut):
        if not inside(less(everybody)):
            rest = less([n for n in everybody if inside(less(everybody - {n}))])
            if not inside(rest):
                return rest
    return None


def usable(check: str, subject: SteppedSubject) -> bool:
    """Whether torch itself does two plain steps right, as far as a check sees.

    Where it does not, rows leave everything out, and nothing can be said of the subject.
    """
    return known(check, subject, plain(subject.rule)) is None
