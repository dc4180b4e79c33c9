"""compare: what changed from one torch to another, and nothing else.

Two reports of runs are held against each other place by place. What is *worse* makes an upgrade
stop: a rule that changed, a failure that is new, a place or an argument that is gone. A rounding
that changed inside the radius is told and is not worse; neither is a place that is new, nor a check
that only the later run was asked.
"""

from __future__ import annotations

import ast
import math
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version

from oracles.harness.runs.walk import row_of
from oracles.harness.subjects.subject import Place
from oracles.harness.verdict import ERRORED, INSIDE, UNDECIDED
from oracles.reports import environments
from oracles.reports.environments import Tell, nobody
from oracles.reports.fingerprint import KNOWN, drift
from oracles.reports.run_report import JsonLine, Kind, Result, RunReport, place_of, read

SCHEMA_VERSION = 1

SCHEMA = Path(__file__).with_suffix(".schema.json")


class Change(StrEnum):
    """What can be said of a place, or of a whole optimizer; the worst first."""

    RULE = "rule changed"
    FAILS = "fails"
    VANISHED = "vanished"
    DEFAULT = "default changed"
    ARGUMENT_GONE = "argument gone"
    DEVIATES = "known to deviate"
    DEVIATES_THERE = "known to deviate where it is new"
    FIRST_ASKED = "fails a check that is new"
    UNASKED = "no longer asked"
    UNKNOWN = "cannot be told"
    ROUNDING = "rounding changed"
    HEALED = "fails no longer"
    CONFORMS = "deviates no longer"
    APPEARED = "appeared"
    ARGUMENT_NEW = "argument new"


WORSE = frozenset(
    {
        Change.RULE,
        Change.FAILS,
        Change.VANISHED,
        Change.DEFAULT,
        Change.ARGUMENT_GONE,
        Change.DEVIATES,
    }
)
"""What a team that is about to upgrade has to look at first."""

FAILURES = frozenset({Result.FAILED, Result.ERRORED})

GOOD = frozenset({INSIDE, UNDECIDED})
"""Outcomes of golden answers that follow the rule, as far as can be said."""

NOWHERE = ("", "", "")
"""Path, dtype and device of what concerns a whole optimizer."""


@dataclass(frozen=True)
class Difference:
    """One thing that changed.

    Attributes:
        change: what kind of thing.
        optimizer: by the name of its rule.
        path, dtype, device: where; empty if it concerns the whole optimizer.
        about: the check, the argument, the row of the ledger or the golden question.
        detail: what is to be said beyond that.
        command: what shows it, on the later torch.
        ulps: by how much a rounding changed at most, in units in the last place; 0 if it is none.
    """

    change: Change
    optimizer: str
    path: str = ""
    dtype: str = ""
    device: str = ""
    about: str = ""
    detail: str = ""
    command: str = ""
    ulps: float = 0.0

    @property
    def worse(self) -> bool:
        """Whether it makes an upgrade stop."""
        return self.change in WORSE

    @property
    def place(self) -> Place:
        return Place(self.optimizer, self.path, self.dtype, self.device)


@dataclass(frozen=True)
class Comparison:
    """What changed between two runs.

    Attributes:
        before, after: their headers.
        differences: the worst first.
        same: places of both, of which there is nothing to tell: every golden answer, if there are
            any, is the same to the bit, and no check fails that did not.
        exact: at how many of them there are golden answers: of parts of the loop, only where a
            schedule is just followed.
        failing: how many checks at how many places fail in both.
        known: by optimizer and row of the ledger, at how many places it deviates in both.
    """

    before: JsonLine
    after: JsonLine
    differences: tuple[Difference, ...]
    same: tuple[Place, ...]
    exact: int
    failing: int
    known: Mapping[tuple[str, str], int]

    @property
    def worse(self) -> tuple[Difference, ...]:
        """Those that make an upgrade stop."""
        return tuple(d for d in self.differences if d.worse)

    def to_json(self) -> dict[str, Any]:
        """Plain data, as ``comparison.schema.json`` says."""
        return {
            "schema": SCHEMA_VERSION,
            "before": dict(self.before),
            "after": dict(self.after),
            "worse": bool(self.worse),
            "differences": [
                {**vars(d), "worse": d.worse, "ulps": d.ulps if 0 < d.ulps < math.inf else None}
                for d in self.differences
            ],
            "same": [list(place) for place in self.same],
            "failing": self.failing,
            "known": [[*key, places] for key, places in self.known.items()],
        }


def compare(
    before: str | Path | RunReport, after: str | Path | RunReport, *, tell: Tell = nobody
) -> Comparison:
    """What changed from one run to another.

    Args:
        before: a report, its file, or a version of torch, which is then run in an environment that
            is made for it and removed.
        after: the same of the later one.
        tell: is told how far a run is, in a line.

    Raises:
        Invalid: a file is no report, or was cut.
        NotMade: a version could not be installed or asked.
        ValueError: the later run was asked less than the earlier one, or neither a file nor a
            version was given.

    >>> def run(lr):
    ...     chosen = {"paths": [], "dtypes": [], "devices": [], "subject": None}
    ...     taken = {"kind": "optimizer", "optimizer": "SGD", "arguments": {"lr": lr}}
    ...     return RunReport({"chosen": chosen, "rules": ["SGD"], "golden": {}}, (taken,))
    >>> [(str(d.change), d.detail) for d in compare(run("0.001"), run("0.01")).differences]
    [('default changed', '0.001, now 0.01')]
    """
    found = [sought(before), sought(after)]  # both, before one of them is run
    if versions := [each for each in found if isinstance(each, str)]:
        environments.refuse_missing(versions, tell)
    return between(*(Index(run(each, tell) if isinstance(each, str) else each) for each in found))


def between(a: Index, b: Index) -> Comparison:
    """What changed from one run to another, of which the lines have been looked through.

    Raises:
        ValueError: the later run was asked less than the earlier one.
    """
    _refuse_less(a.header, b.header)
    found = sorted(
        (d for step in STEPS for d in step(a, b)),
        key=lambda d: [*Change].index(d.change),
    )
    told = {d.place for d in found}
    same = tuple(place for place in a.there if place in b.there and place not in told)
    known = Counter(
        (place.optimizer, check) for place, check in b.confirmed if (place, check) in a.confirmed
    )
    failing = sum(key in a.failing for key in b.failing)
    exact = sum(place in a.answered and place in b.answered for place in same)
    return Comparison(a.header, b.header, tuple(found), same, exact, failing, known)


def sought(which: str | Path | RunReport) -> RunReport | str:
    """A report: itself, or of a file; or the version of torch that is to be run.

    Raises:
        Invalid: the file is no report, or was cut.
        ValueError: it is neither a file nor a version.
    """
    if isinstance(which, RunReport):
        return which
    if isinstance(which, str | Path):  # a number would have lost the 0 of 2.10
        if Path(which).is_file():
            return read(Path(which))
        with suppress(InvalidVersion):
            return str(Version(str(which)))
    raise ValueError(
        f"{which!r} cannot be compared; allowed: the file of a report, or a version of torch as "
        "text, such as '2.13.0'"
    )


def run(release: str, tell: Tell) -> RunReport:
    """The report of a version that is run now.

    Raises:
        NotMade: the version could not be installed or asked.
    """
    with tempfile.TemporaryDirectory(prefix="oracles-") as folder:
        path = Path(folder) / f"torch-{release}.jsonl"
        environments.record(release, path, environments.releases(), tell)
        return read(path)


def _refuse_less(before: JsonLine, after: JsonLine) -> None:
    """Refuse to call good what was not asked.

    Raises:
        ValueError: with what the later run was not asked.
    """
    a, b = before["chosen"], after["chosen"]
    if a["subject"] != b["subject"]:
        raise ValueError(f"two subjects cannot be compared: {a['subject']} and {b['subject']}")
    asked = [(name, a[name], b[name]) for name in ("paths", "dtypes", "devices")]
    for name, wide, narrow in [*asked, ("rules", before["rules"], after["rules"])]:
        if narrow and not (wide and {*wide} <= {*narrow}):
            raise ValueError(
                f"the later run was asked less than the earlier one: {name}={', '.join(narrow)}, "
                f"and before: {', '.join(wide) or 'all'}"
            )


@dataclass(frozen=True)
class Index:
    """A report, by what its lines are about."""

    report: RunReport

    @property
    def header(self) -> JsonLine:
        return self.report.header

    @cached_property
    def there(self) -> dict[Place, JsonLine]:
        return {place_of(line): line for line in self.report.of(Kind.PLACE) if line["there"]}

    @cached_property
    def absent(self) -> dict[Place, str]:
        """By place why; one for a whole optimizer has no dtype."""
        lines = self.report.of(Kind.PLACE)
        return {place_of(line): line["reason"] for line in lines if not line["there"]}

    @cached_property
    def _nowhere(self) -> dict[str, str]:
        return {place.optimizer: why for place, why in self.absent.items() if not place.dtype}

    def why(self, place: Place) -> str:
        """Why a place is absent, or its whole optimizer; empty if neither is said to be."""
        return self.absent.get(place) or self._nowhere.get(place.optimizer, "")

    @cached_property
    def arguments(self) -> dict[str, Mapping[str, str]]:
        return {o["optimizer"]: o["arguments"] for o in self.report.of(Kind.OPTIMIZER)}

    @cached_property
    def checks(self) -> dict[tuple[str, str], JsonLine]:
        lines = self.report.of(Kind.CHECK)
        return {(line["optimizer"], line["check"]): line for line in lines}

    @cached_property
    def cells(self) -> dict[tuple[Place, str], JsonLine]:
        return {(place_of(line), line["check"]): line for line in self.report.of(Kind.CELL)}

    @cached_property
    def outcomes(self) -> dict[tuple[Place, str], str]:
        return {key: cell["outcome"] for key, cell in self.cells.items()}

    @cached_property
    def failing(self) -> dict[tuple[Place, str], str]:
        return {key: outcome for key, outcome in self.outcomes.items() if outcome in FAILURES}

    @cached_property
    def confirmed(self) -> dict[tuple[Place, str], str]:
        outcomes = self.outcomes.items()
        return {key: outcome for key, outcome in outcomes if outcome == Result.CONFIRMED}

    @cached_property
    def placed(self) -> set[tuple[str, str]]:
        """Of which optimizer, which checks fail at some place."""
        return {
            (place.optimizer, check)
            for (place, check), outcome in self.outcomes.items()
            if outcome in (*FAILURES, Result.HEALED)
        }

    @cached_property
    def left_out(self) -> set[tuple[str, str]]:
        """Of which optimizer, of which checks a known deviation leaves nothing at some place."""
        return {
            (place.optimizer, check)
            for (place, check), outcome in self.outcomes.items()
            if outcome == Result.LEFT_OUT
        }

    @cached_property
    def asked(self) -> set[Place]:
        """Places at which something was decided."""
        undecided = (Result.NOT_ASKED, Result.LEFT_OUT, Result.UNDECIDED)
        return {place for (place, _), outcome in self.outcomes.items() if outcome not in undecided}

    @cached_property
    def answers(self) -> dict[tuple[Place, str], JsonLine]:
        return {
            (Place(line["optimizer"], path, line["dtype"], line["device"]), line["question"]): line
            for line in self.report.of(Kind.ANSWER)
            for path in line["paths"]
        }

    @cached_property
    def answered(self) -> set[Place]:
        """Places at which golden questions were asked."""
        return {place for place, _ in self.answers}


def _places(a: Index, b: Index) -> Iterator[Difference]:
    for place in a.there:
        if place not in b.there:
            why = b.why(place) or "not asked there"
            yield Difference(Change.VANISHED, *place, detail=why)
    yield from (Difference(Change.APPEARED, *place) for place in b.there if place not in a.there)


def _arguments(a: Index, b: Index) -> Iterator[Difference]:
    for name, after in b.arguments.items():
        before = a.arguments.get(name, after)
        for argument in {**before, **after}:
            old, new = before.get(argument), after.get(argument)
            if old == new:
                continue
            change, detail = Change.DEFAULT, f"{old}, now {new}"
            if old is None:
                change, detail = Change.ARGUMENT_NEW, f"default {new}"
            elif new is None:
                change, detail = Change.ARGUMENT_GONE, f"was {old} by default"
            elif more := _added(old, new):
                change, detail = Change.ARGUMENT_NEW, f"default now with {more}"
            yield Difference(change, name, *NOWHERE, about=argument, detail=detail)


def _added(old: str, new: str) -> str:
    """What a default that is a call has beside all it had; empty if it is another one.

    >>> _added("Policy(a=1)", "Policy(a=1, b=None)"), _added("Policy(a=1)", "Policy(a=2, b=None)")
    ('b=None', '')
    """
    try:
        had, has = (ast.parse(text, mode="eval").body for text in (old, new))
    except SyntaxError:  # as of an object without a text of its own
        return ""
    if not (isinstance(had, ast.Call) and isinstance(has, ast.Call)):
        return ""
    old_words, new_words = ([ast.unparse(word) for word in each.keywords] for each in (had, has))
    old, new = (" ".join(map(ast.unparse, [each.func, *each.args])) for each in (had, has))
    if old != new or not {*old_words} <= {*new_words}:
        return ""
    return ", ".join(word for word in new_words if word not in old_words)


def _results(a: Index, b: Index) -> Iterator[Difference]:
    """Of each check at each place."""
    others = [key for key, new in b.outcomes.items() if a.outcomes.get(key) != new]
    for place, check in others:
        cell = b.cells[place, check]
        change = _change(
            a.outcomes.get((place, check)),
            cell["outcome"],
            was_there=place in a.there,
            was_asked=(place.optimizer, check) in a.checks,
        )
        if change:
            detail, command = cell.get("text", ""), cell.get("command", "")
            yield Difference(change, *place, about=check, detail=detail, command=command)
    for place, check in a.confirmed:  # a row of the ledger that is no longer about it
        if place in b.there and (place, check) not in b.cells:
            yield Difference(Change.CONFORMS, *place, about=check)


def _change(old: str | None, new: str, *, was_there: bool, was_asked: bool) -> Change | None:
    """What a result at a place says, beside the earlier one."""
    if new in FAILURES and old not in FAILURES:
        return Change.FAILS if was_asked else Change.FIRST_ASKED
    if new == Result.CONFIRMED and old != Result.CONFIRMED:
        if not was_asked:
            return Change.FIRST_ASKED
        return Change.DEVIATES if was_there else Change.DEVIATES_THERE
    if old in FAILURES and new not in FAILURES:
        return Change.HEALED if new == Result.PASSED else Change.UNKNOWN
    if old == Result.CONFIRMED and new != Result.CONFIRMED:
        return Change.CONFORMS
    return None


def _checks(a: Index, b: Index) -> Iterator[Difference]:
    """Of checks that fail at no place: what they decided was too little, or a process died."""
    for (name, check), line in b.checks.items():
        failed = line["outcome"] == "failed" and (name, check) not in b.placed
        if failed and a.checks.get((name, check), {}).get("outcome") != "failed":
            change = Change.FAILS if (name, check) in a.checks else Change.FIRST_ASKED
            said = {"about": check, "detail": line["text"], "command": line["command"]}
            yield Difference(change, name, *NOWHERE, **said)


def _coverage(a: Index, b: Index) -> Iterator[Difference]:
    """Of checks, and of places, that nobody was asked, or at which nothing was, in the later run.

    That one check was not asked at one place may be chance: it depends on the cases drawn. Where a
    known deviation leaves no case to ask, and of its reproducer, the deviation is told.
    """
    for key, line in a.checks.items():
        now = b.checks.get(key, {}).get("outcome", "not asked")
        explained = key in b.left_out or row_of(key[1])
        if line["outcome"] == "passed" and now == "not asked" and not explained:
            yield Difference(Change.UNASKED, key[0], *NOWHERE, about=key[1])
    for place in b.there:
        if place in a.asked and place not in b.asked:
            yield Difference(Change.UNASKED, *place, about="every check")


def _answers(a: Index, b: Index) -> Iterator[Difference]:
    """Of golden questions: a rule that changed, or else by how much the roundings did."""
    before, after = a.header["golden"], b.header["golden"]
    others = {name for name in before.keys() & after.keys() if before[name] != after[name]}
    for name in sorted(others):
        detail = "the golden questions of the two runs are not the same"
        yield Difference(Change.UNKNOWN, name, *NOWHERE, about="golden answers", detail=detail)
    for place, question in a.answers:  # in their order, which a set has not
        lost = (place, question) not in b.answers
        if lost and place in b.asked and place.optimizer not in others:
            yield Difference(Change.UNASKED, *place, about=f"golden question {question}")
    ulps: dict[Place, list[tuple[float, str]]] = defaultdict(list)
    for (place, question), new in b.answers.items():
        old = a.answers.get((place, question))
        if old is None or place.optimizer in others or KNOWN in (old["outcome"], new["outcome"]):
            continue
        told = f"{old['outcome']}, now {new['outcome']}"
        about = {"about": f"golden question {question}", "detail": new.get("text", told)}
        if _same(old, new):
            continue
        if old["outcome"] in GOOD and new["outcome"] in GOOD:
            ulps[place].append((drift(old["values"], new["values"]), question))
        elif new["outcome"] in GOOD:
            yield Difference(Change.HEALED, *place, **about)
        else:
            change = Change.FAILS if new["outcome"] == ERRORED else Change.RULE
            yield Difference(change, *place, **about)
    for place, drifts in ulps.items():
        most, question = max(drifts)
        told = f"at most {most:g} ulp" if math.isfinite(most) else "more than can be told"
        detail = f"{told}, inside the radius"
        about = {"about": f"golden question {question}", "detail": detail}
        yield Difference(Change.ROUNDING, *place, **about, ulps=most)


def _same(old: JsonLine, new: JsonLine) -> bool:
    """Whether two answers are the same to the bit, or refusals, in whatever words."""
    return all(old.get(key) == new.get(key) for key in ("outcome", "values"))


STEPS = (_places, _arguments, _results, _checks, _coverage, _answers)
