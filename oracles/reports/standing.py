"""Where releases stand: what came of their checks, as a page shows it.

A *band* is one state through several releases in a row, so that what never changed is one cell of a
table, however many releases there are. Rows whose bands are the same are one row.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby

from oracles.harness.deviations import flaws
from oracles.harness.deviations.flaws import Flaw
from oracles.harness.deviations.ledger import Deviation
from oracles.harness.runs.walk import row_of
from oracles.harness.subjects.subject import Place
from oracles.reports.changes import path_of, where
from oracles.reports.comparison import Index
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
    """A place or a check in one release: its worst state, what is said of it, where more is.

    A number has no state.
    """

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
    """What is told of a name through the releases: of paths with some dtypes, of checks, a number.

    Attributes:
        name: or names, with semicolons between.
        detail: dtypes.
        bands: what is told.
        link: where more is said of the name.
    """

    name: str
    detail: str
    bands: Bands
    link: str = ""

    @property
    def steady(self) -> bool:
        """Whether it is the same in each release, and no more is said of it."""
        return len(self.bands) == 1 and not self.bands[0][0].link


@dataclass(frozen=True)
class Bar:
    """Checks at places by state, in so many releases in a row, of which this is the first."""

    release: str
    wide: int
    counts: Mapping[str, int]

    @property
    def shares(self) -> list[tuple[str, float]]:
        """Of each state, in hundredths."""
        whole = sum(self.counts.values()) or 1
        return [(state, 100 * n / whole) for state in STATES if (n := self.counts.get(state, 0))]

    @property
    def told(self) -> str:
        """The bar in words."""
        return ", ".join(f"{n:,} {state}" for state in STATES if (n := self.counts.get(state, 0)))


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
        bars: checks at places by state; at a place that is absent, as many as there are checks.
        places: a row for the paths and dtypes that stand alike.
        steady: a row for the checks that stand alike, and the same in each release.
        checks: a row for the others that stand alike.
        known: a row for each known deviation.
        counts: the bars as numbers, a row for each state.
        shares: the largest share of a radius that was used, a row for each dtype.
        failures: by release, the newest first, what failed.
        absent: by reason, the paths that some releases lack, and which.
    """

    bars: tuple[Bar, ...]
    places: tuple[Row, ...]
    steady: tuple[Row, ...]
    checks: tuple[Row, ...]
    known: tuple[Row, ...]
    counts: tuple[Row, ...]
    shares: tuple[Row, ...]
    failures: Mapping[str, Sequence[Failure]]
    absent: Mapping[tuple[str, str], Sequence[str]]


def standing(optimizer: str, releases: Sequence[Release]) -> Standing:
    """Where an optimizer stands in each of the releases."""
    there = (place for release in releases for place in release.cells)
    places = [*dict.fromkeys(place for place in there if place.optimizer == optimizer)]
    counts = [_counts(release, places) for release in releases]
    checks = [*_checks(optimizer, releases)]
    alike = [*together(row for row in checks if not row.link)]
    return Standing(
        tuple(_bars(counts, releases)),
        tuple(_places(optimizer, places, releases)),
        tuple(row for row in alike if row.steady),
        tuple(row for row in alike if not row.steady),
        tuple(row for row in checks if row.link),
        tuple(_numbers(counts)),
        tuple(_shares(places, releases)),
        {r.name: found for r in reversed(releases) if (found := [*_failures(optimizer, r)])},
        _reasons(releases, places),
    )


def together(rows: Iterable[Row]) -> Iterator[Row]:
    """Rows of which the same is told, as one.

    >>> said = bands([Cell("passed", "passed")])
    >>> [row.name for row in together([Row("foreach", "", said), Row("fused", "", said)])]
    ['foreach; fused']
    """
    alike: dict[tuple[str, Bands], list[str]] = defaultdict(list)
    for row in rows:
        alike[row.detail, row.bands].append(row.name)
    for (detail, through), names in alike.items():
        yield Row("; ".join(names), detail, through)


def _bars(counts: Sequence[Mapping[str, int]], releases: Sequence[Release]) -> Iterator[Bar]:
    pairs = zip(counts, releases, strict=True)
    for alike, group in groupby(pairs, key=lambda pair: pair[0]):
        names = [release.name for _, release in group]
        yield Bar(names[0], len(names), alike)


def _numbers(counts: Sequence[Mapping[str, int]]) -> Iterator[Row]:
    for state in STATES:
        if any(each.get(state) for each in counts):
            yield Row(state, "", _of_numbers(f"{each.get(state, 0):,}" for each in counts))


def _of_numbers(texts: Iterable[str]) -> Bands:
    return bands(Cell("", text) for text in texts)


def _shares(places: Iterable[Place], releases: Sequence[Release]) -> Iterator[Row]:
    kinds: dict[str, list[Place]] = defaultdict(list)
    for place in places:
        kinds[place.dtype].append(place)
    for dtype, these in kinds.items():
        yield Row(dtype, "", _of_numbers(_share(these, release) for release in releases))


def _share(places: Iterable[Place], release: Release) -> str:
    there = [release.share(place) for place in places if place in release.cells]
    return f"{max(there):.3g}" if there else "–"


def _counts(release: Release, known: Sequence[Place]) -> Mapping[str, int]:
    states = {place: release.states(place) for place in known}
    counts = sum(states.values(), Counter[str]())
    asked = {cell["check"] for place in known for cell in release.cells.get(place, ())}
    counts[ABSENT] = max(1, len(asked)) * sum(not states[place] for place in known)
    return counts


def _places(optimizer: str, known: Sequence[Place], releases: Sequence[Release]) -> Iterator[Row]:
    """A row for each path and those of its dtypes that stand alike; of such paths one."""
    alike: dict[tuple[str, Bands], list[str]] = defaultdict(list)
    for place in known:
        through = bands(
            Cell.of(
                release.states(place), f"{optimizer}-known", f"{optimizer}-{release.name}-fails"
            )
            for release in releases
        )
        alike[path_of(place), through].append(place.dtype)
    order = {path: number for number, path in enumerate(dict.fromkeys(map(path_of, known)))}
    rows = sorted(alike.items(), key=lambda row: order[row[0][0]])
    return together(Row(path, ", ".join(kinds), through) for (path, through), kinds in rows)


def _checks(optimizer: str, releases: Sequence[Release]) -> Iterator[Row]:
    """A row for each check, and for each deviation that was there, which is linked."""
    for check in dict.fromkeys(c for r in releases for o, c in r.index.checks if o == optimizer):
        cells = [_of_check(optimizer, check, release) for release in releases]
        states = {cell.state for cell in cells}
        id = row_of(check)
        if id and DEVIATES in states:
            yield Row(id, "", bands(map(_brief, cells)), anchor(id))
        elif not id or FAILED in states:
            yield Row(check, "", bands(cells))


def anchor(id: str) -> str:
    """Where on the page a known deviation is told.

    >>> anchor("Rprop cannot step on shards")
    'known-Rprop-cannot-step-on-shards'
    """
    return f"known-{id}".replace(" ", "-")


def _of_check(optimizer: str, check: str, release: Release) -> Cell:
    """What came of a check at all places together; it may fail at none, and yet altogether."""
    states = Counter(state_of(line) for _, line in release.by_check.get((optimizer, check), ()))
    altogether = release.index.checks.get((optimizer, check), {}).get("outcome", ABSENT)
    failures = f"{optimizer}-{release.name}-fails"
    cell = Cell.of(states, "", failures)
    if altogether == "failed" and cell.state != FAILED:
        return Cell(FAILED, FAILED, failures)
    return cell


def _brief(cell: Cell) -> Cell:
    """The same of a known deviation, in a table of them."""
    text = "–" if cell.state == ABSENT else cell.text.removesuffix(" known")
    return replace(cell, text=text)


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
        paths[path_of(place)].append(place)
    reasons: dict[tuple[str, str], list[str]] = defaultdict(list)
    for release in releases:
        for path, places in paths.items():
            why = next(filter(None, map(release.index.why, places)), "")
            if why and not any(place in release.cells for place in places):
                reasons[path, why].append(release.name)
    return reasons


@dataclass(frozen=True)
class Span:
    """Of which optimizers a known deviation was there when.

    Attributes:
        optimizers: whose.
        seen: of each release, whether it was there.
        since, until: in words.
    """

    optimizers: tuple[str, ...]
    seen: tuple[bool, ...]
    since: str
    until: str


@dataclass(frozen=True)
class History:
    """A known deviation through the releases."""

    id: str
    row: Deviation | Flaw | None
    spans: tuple[Span, ...]

    @property
    def optimizers(self) -> list[str]:
        return [name for span in self.spans for name in span.optimizers]


def sightings(
    releases: Sequence[Release],
) -> Mapping[tuple[str, str], Mapping[str, Sequence[Place]]]:
    """By optimizer and row of the ledger, in which releases its reproducer failed, and where."""
    seen: dict[tuple[str, str], dict[str, list[Place]]] = defaultdict(lambda: defaultdict(list))
    for release in releases:
        for place, check in release.index.confirmed:
            seen[place.optimizer, row_of(check)][release.name].append(place)
    return seen


def histories(releases: Sequence[Release]) -> Iterator[History]:
    """Of each row of the ledger, of whom and in which releases its reproducer failed."""
    seen: dict[str, dict[str, Container[str]]] = defaultdict(dict)
    for (optimizer, id), there in sightings(releases).items():
        seen[id][optimizer] = there
    told = {row.id: row for row in flaws.known()}
    names = [release.name for release in releases]
    order = {name: number for number, name in enumerate(releases[-1].index.header["rules"])}
    for id, found in seen.items():
        alike: dict[tuple[bool, ...], list[str]] = defaultdict(list)
        for optimizer in sorted(found, key=lambda name: order.get(name, len(order))):
            alike[tuple(name in found[optimizer] for name in names)].append(optimizer)
        spans = (Span(tuple(whose), flags, *when(flags, names)) for flags, whose in alike.items())
        yield History(id, told.get(id), tuple(spans))


def when(seen: Sequence[bool], releases: Sequence[str]) -> tuple[str, str]:
    """Since when and until when it was there, in words, and which in between lack it.

    >>> when([True, False, True, False], ["2.1.2", "2.2.2", "2.3.1", "2.4.1"])
    ('2.1.2 or before', '2.3.1, not in 2.2.2')
    """
    there = [place for place, flag in enumerate(seen) if flag]
    first, last = there[0], there[-1]
    away = [releases[place] for place in range(first, last) if not seen[place]]
    since = releases[first] if first else f"{releases[first]} or before"
    until = releases[last] if last < len(seen) - 1 else "still there"
    return since, f"{until}, not in {' and '.join(away)}" if away else until
