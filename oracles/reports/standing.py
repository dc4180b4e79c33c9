"""Where releases stand: what came of their checks, as a page shows it.

A *band* is one state through several releases in a row, so that what never changed is one cell of a
table, however many releases there are.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

from oracles.harness.deviations import flaws
from oracles.harness.deviations.flaws import Flaw
from oracles.harness.deviations.ledger import Deviation
from oracles.harness.subjects.subject import Place
from oracles.reports.changes import where
from oracles.reports.comparison import Index
from oracles.reports.fingerprint import KNOWN
from oracles.reports.run_report import BAD, JsonLine, Result

PASSED, DEVIATES, FAILED, UNDECIDED, ABSENT = "passed", "deviates", "fails", "undecided", "absent"
LEFT_OUT, NOT_ASKED = "left out", "not asked"
STATES = (PASSED, DEVIATES, LEFT_OUT, FAILED, UNDECIDED, NOT_ASKED, ABSENT)
"""What came of a check at a place, in the order of a bar."""

SHOWN = 10
"""Sentences of one failure that are shown."""

STATE_OF = {
    Result.PASSED: PASSED,
    Result.CONFIRMED: DEVIATES,
    Result.LEFT_OUT: LEFT_OUT,
    Result.UNDECIDED: UNDECIDED,
    Result.NOT_ASKED: NOT_ASKED,
    **dict.fromkeys(BAD, FAILED),
}


@dataclass(frozen=True)
class Release:
    """One torch, as the page shows it."""

    name: str
    index: Index

    @cached_property
    def cells(self) -> Mapping[Place, Sequence[JsonLine]]:
        """What was asked at each place."""
        found: dict[Place, list[JsonLine]] = defaultdict(list)
        for (place, _), line in self.index.cells.items():
            found[place].append(line)
        return found

    @cached_property
    def by_check(self) -> Mapping[tuple[str, str], Sequence[tuple[Place, JsonLine]]]:
        """By optimizer and check, what came of it where."""
        found: dict[tuple[str, str], list[tuple[Place, JsonLine]]] = defaultdict(list)
        for (place, check), line in self.index.cells.items():
            found[place.optimizer, check].append((place, line))
        return found

    def states(self, place: Place) -> Counter[str]:
        """How many checks came out how at a place; none where it is absent."""
        return Counter(state_of(cell) for cell in self.cells.get(place, ()))

    def share(self, place: Place) -> float:
        """The largest share of a radius that was used there."""
        return max((cell.get("share", 0.0) for cell in self.cells.get(place, ())), default=0.0)


def state_of(cell: JsonLine) -> str:
    """The state of a check at a place."""
    return STATE_OF[Result(cell["outcome"])]


@dataclass(frozen=True)
class Cell:
    """A place or a check in one release: its worst state, what is said of it, where more is."""

    state: str
    text: str
    link: str = ""

    @classmethod
    def of(cls, states: Mapping[str, int], known: str, failures: str) -> Cell:
        """What is to be told of so many checks or places in each state."""
        if states.get(FAILED):
            return cls(FAILED, f"{states[FAILED]} fail", failures)
        if states.get(DEVIATES):
            return cls(DEVIATES, f"{states[DEVIATES]} known", known)
        found = next((s for s in (PASSED, LEFT_OUT, UNDECIDED, NOT_ASKED) if states.get(s)), ABSENT)
        return cls(found, found)


Bands = tuple[tuple[Cell, int], ...]
"""Cells, each with the number of releases in a row that it stands for."""


def bands(cells: Iterable[Cell]) -> Bands:
    """Cells that are the same in neighbouring releases, as one.

    >>> [(cell.text, wide) for cell, wide in bands([Cell("passed", "passed")] * 3)]
    [('passed', 3)]
    """
    return tuple((cell, len([*alike])) for cell, alike in groupby(cells))


@dataclass(frozen=True)
class Row:
    """A path with some dtypes, or a check, through the releases."""

    name: str
    detail: str
    bands: Bands


@dataclass(frozen=True)
class Failure:
    """A check that failed in one release.

    Attributes:
        line: of the report, on the check altogether.
        where: in words, where it failed.
        places: the same, each with what was found.
    """

    line: JsonLine
    where: str
    places: Sequence[tuple[Place, JsonLine]]

    @property
    def text(self) -> str:
        """The first sentences, and the minimal case."""
        found = dict.fromkeys(cell.get("text", "") for _, cell in self.places)
        lines = (self.line.get("text") or "\n".join(filter(None, found))).splitlines()
        more = [f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
        told = "\n".join((*lines[:SHOWN], *more))
        return "\n\n".join(filter(None, (told, self.line.get("case", ""))))

    @property
    def command(self) -> str:
        """What shows it again, at the first of the places."""
        command: str = (self.places[0][1] if self.places else self.line)["command"]
        return command


@dataclass(frozen=True)
class Standing:
    """An optimizer through the releases.

    Attributes:
        counts: by release, checks at places by state; at a place that is absent, as many as there
            are checks.
        places: a row for each path, and for its dtypes that differ.
        checks: a row for each check and each known deviation.
        failures: by release, the newest first, what failed.
        absent: by reason, the paths that some releases lack, and which.
    """

    counts: tuple[Mapping[str, int], ...]
    places: tuple[Row, ...]
    checks: tuple[Row, ...]
    failures: Mapping[str, Sequence[Failure]]
    absent: Mapping[tuple[str, str], Sequence[str]]

    @property
    def bars(self) -> list[list[tuple[str, float]]]:
        """Of each release, the shares of the states, in hundredths."""
        return [
            [(s, 100 * counts[s] / (sum(counts.values()) or 1)) for s in STATES if counts.get(s)]
            for counts in self.counts
        ]

    @property
    def told(self) -> list[str]:
        """The bars in words."""
        return [
            ", ".join(f"{counts[s]:,} {s}" for s in STATES if counts.get(s))
            for counts in self.counts
        ]


def dtypes(releases: Iterable[Release]) -> list[str]:
    """All that some release was asked in."""
    return [*dict.fromkeys(place.dtype for release in releases for place in release.cells)]


def standing(optimizer: str, releases: Sequence[Release]) -> Standing:
    """Where an optimizer stands in each of the releases."""
    places = (place for release in releases for place in release.cells)
    known = [*dict.fromkeys(place for place in places if place.optimizer == optimizer)]
    return Standing(
        tuple(_counts(release, known) for release in releases),
        tuple(_places(optimizer, known, releases)),
        tuple(_checks(optimizer, releases)),
        {r.name: found for r in reversed(releases) if (found := [*_failures(optimizer, r)])},
        _reasons(releases, known),
    )


def _counts(release: Release, known: Sequence[Place]) -> Mapping[str, int]:
    states = {place: release.states(place) for place in known}
    counts = sum(states.values(), Counter[str]())
    asked = {cell["check"] for place in known for cell in release.cells.get(place, ())}
    counts[ABSENT] = max(1, len(asked)) * sum(not states[place] for place in known)
    return counts


def at(place: Place) -> str:
    """A path, and the device if it is another one than the CPU."""
    return place.path if place.device == "cpu" else f"{place.path} on {place.device}"


def _places(optimizer: str, known: Sequence[Place], releases: Sequence[Release]) -> Iterator[Row]:
    """A row for each path, and for those of its dtypes that stand alike."""
    alike: dict[tuple[str, Bands], list[str]] = defaultdict(list)
    for place in known:
        through = bands(
            Cell.of(
                release.states(place), f"known-{optimizer}", f"{optimizer}-{release.name}-fails"
            )
            for release in releases
        )
        alike[at(place), through].append(place.dtype)
    order = {path: number for number, path in enumerate(dict.fromkeys(map(at, known)))}
    for (path, through), kinds in sorted(alike.items(), key=lambda row: order[row[0][0]]):
        yield Row(path, ", ".join(kinds), through)


def _checks(optimizer: str, releases: Sequence[Release]) -> Iterator[Row]:
    for check in dict.fromkeys(c for r in releases for o, c in r.index.checks if o == optimizer):
        known = f"{optimizer}-{check.removeprefix(KNOWN).strip()}"
        yield Row(check, "", bands(_of_check(optimizer, check, known, r) for r in releases))


def _of_check(optimizer: str, check: str, known: str, release: Release) -> Cell:
    """What came of a check at all places together; it may fail at none, and yet altogether."""
    states = Counter(state_of(line) for _, line in release.by_check.get((optimizer, check), ()))
    altogether = release.index.checks.get((optimizer, check), {}).get("outcome", ABSENT)
    cell = Cell.of(states, known, f"{optimizer}-{release.name}-fails")
    return Cell(FAILED, FAILED, cell.link) if altogether == "failed" != cell.state else cell


def _failures(optimizer: str, release: Release) -> Iterator[Failure]:
    """Of an optimizer, in one release."""
    for (name, check), line in release.index.checks.items():
        if name != optimizer:
            continue
        cells = release.by_check.get((name, check), ())
        failed = [(place, cell) for place, cell in cells if Result(cell["outcome"]) in BAD]
        if failed or line["outcome"] == "failed":
            everywhere = {place for place in release.cells if place.optimizer == optimizer}
            yield Failure(line, where((place for place, _ in failed), everywhere), failed)


def _reasons(
    releases: Sequence[Release], known: Sequence[Place]
) -> Mapping[tuple[str, str], Sequence[str]]:
    """By path and reason, the releases that lack the path altogether."""
    paths: dict[str, list[Place]] = defaultdict(list)
    for place in known:
        paths[at(place)].append(place)
    reasons: dict[tuple[str, str], list[str]] = defaultdict(list)
    for release in releases:
        everywhere = {p.optimizer: why for p, why in release.index.absent.items() if not p.dtype}
        for path, places in paths.items():
            if not any(place in release.cells for place in places):
                whys = [release.index.absent.get(p) or everywhere.get(p.optimizer) for p in places]
                if why := next(filter(None, whys), ""):
                    reasons[path, why].append(release.name)
    return reasons


@dataclass(frozen=True)
class History:
    """A known deviation through the releases; ``seen`` says of each whether it was there."""

    optimizer: str
    id: str
    seen: tuple[bool, ...]
    since: str
    until: str
    row: Deviation | Flaw | None


def histories(releases: Sequence[Release]) -> Iterator[History]:
    """Of each row of the ledger, in which releases its reproducer failed."""
    seen: dict[tuple[str, str], set[str]] = defaultdict(set)
    for release in releases:
        for (optimizer, check), cells in release.by_check.items():
            if any(line["outcome"] == Result.CONFIRMED for _, line in cells):
                seen[optimizer, check.removeprefix(KNOWN).strip()].add(release.name)
    told = {row.id: row for row in flaws.known()}
    names = [release.name for release in releases]
    order = releases[-1].index.header["rules"]
    for (optimizer, id), found in sorted(seen.items(), key=lambda item: order.index(item[0][0])):
        there = [name for name in names if name in found]
        since = f"{there[0]} or before" if there[0] == names[0] else there[0]
        until = "still there" if there[-1] == names[-1] else there[-1]
        flags = tuple(name in found for name in names)
        yield History(optimizer, id, flags, since, until, told.get(id))
