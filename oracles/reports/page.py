"""The page: reports of one or many releases as static HTML, with a feed and badges beside it.

Everything is in one file that asks nothing of the network. What matters can be read without
JavaScript, which filters only; filters are part of the address. ``Jinja2``, of the extra ``page``,
fills in ``page.html.jinja``.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from xml.sax.saxutils import escape

from oracles.harness.deviations.flaws import known
from oracles.harness.subjects.subject import Place
from oracles.reports.changes import Row, rows
from oracles.reports.comparison import WORSE, Change, Comparison, compare
from oracles.reports.fingerprint import KNOWN
from oracles.reports.run_report import BAD, JsonLine, Kind, Result, RunReport, place_of

TEMPLATE = "page.html.jinja"

PASSED, DEVIATES, FAILED, UNDECIDED, ABSENT = "passed", "deviates", "fails", "undecided", "absent"
LEFT_OUT, NOT_ASKED = "left out", "not asked"
STATES = (PASSED, DEVIATES, LEFT_OUT, FAILED, UNDECIDED, NOT_ASKED, ABSENT)
"""What came of a check at a place, in the order of a bar."""

STATE_OF = {
    Result.PASSED: PASSED,
    Result.CONFIRMED: DEVIATES,
    Result.LEFT_OUT: LEFT_OUT,
    Result.UNDECIDED: UNDECIDED,
    Result.NOT_ASKED: NOT_ASKED,
    **dict.fromkeys(BAD, FAILED),
}

COLOURS = {True: "#b3261e", False: "#2e7d32"}
"""Of a badge, by whether something fails."""


@dataclass(frozen=True)
class Release:
    """One torch, as the page shows it."""

    name: str
    report: RunReport

    @cached_property
    def cells(self) -> Mapping[Place, Sequence[JsonLine]]:
        """What was asked at each place."""
        found: dict[Place, list[JsonLine]] = defaultdict(list)
        for line in self.report.of(Kind.CELL):
            found[place_of(line)].append(line)
        return found

    @cached_property
    def absent(self) -> Mapping[Place, str]:
        """Why places are not there."""
        lines = self.report.of(Kind.PLACE)
        return {place_of(line): line["reason"] for line in lines if not line["there"]}

    def states(self, place: Place) -> Counter[str]:
        """How many checks came out how at a place; none where it is absent."""
        return Counter(STATE_OF[Result(cell["outcome"])] for cell in self.cells.get(place, ()))

    def share(self, place: Place) -> float:
        """The largest share of a radius that was used there."""
        return max((cell.get("share", 0.0) for cell in self.cells.get(place, ())), default=0.0)


@dataclass(frozen=True)
class Cell:
    """A place in one release: its worst state, and what is said of it."""

    state: str
    text: str

    @classmethod
    def of(cls, states: Mapping[str, int]) -> Cell:
        """What is to be told of so many checks in each state."""
        for state in (FAILED, DEVIATES):
            if states.get(state):
                return cls(state, f"{states[state]} {'fail' if state == FAILED else 'known'}")
        found = next((s for s in (PASSED, LEFT_OUT, UNDECIDED, NOT_ASKED) if states.get(s)), ABSENT)
        return cls(found, found)


@dataclass(frozen=True)
class Line:
    """A path of an optimizer in one release, by dtype."""

    path: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Standing:
    """An optimizer in one release.

    Attributes:
        release: by its number.
        counts: checks at places by state; at a place that is absent, as many as there are checks.
        lines: what is there, path by path.
        absent: by reason, the paths that are not.
        failed: the cells that failed, each with its sentence and a command.
        deviations: by id, in which places.
    """

    release: str
    counts: Mapping[str, int]
    lines: tuple[Line, ...]
    absent: Mapping[str, Sequence[str]]
    failed: tuple[JsonLine, ...]
    deviations: Mapping[str, int]

    @property
    def bar(self) -> list[tuple[str, float]]:
        """Shares of the states, in hundredths."""
        whole = sum(self.counts.values()) or 1
        return [(s, 100 * self.counts[s] / whole) for s in STATES if self.counts.get(s)]

    @property
    def told(self) -> str:
        """The bar in words."""
        return ", ".join(f"{self.counts[s]:,} {s}" for s in STATES if self.counts.get(s))


@dataclass(frozen=True)
class History:
    """A known deviation through the releases; ``seen`` says of each whether it was there."""

    optimizer: str
    id: str
    seen: tuple[bool, ...]
    since: str
    until: str
    reason: str
    upstream: str


@dataclass(frozen=True)
class Changed:
    """A row of what changed in one release."""

    release: str
    row: Row

    @property
    def worse(self) -> bool:
        return self.row.change in WORSE


def write(folder: Path, reports: Mapping[str, RunReport]) -> None:
    """Write page, plain data, feed and badges of some releases, oldest first.

    Raises:
        ModuleNotFoundError: there is no Jinja2.
        ValueError: there are no reports.
    """
    from oracles import files

    if not reports:
        raise ValueError("reports are empty: there is nothing to show")
    releases = [Release(name, report) for name, report in reports.items()]
    steps = {
        after.name: compare(before.report, after.report) for before, after in pairwise(releases)
    }
    written = {
        "index.html": _page(releases, steps),
        "changes.json": json.dumps({name: step.to_json() for name, step in steps.items()}),
        "feed.xml": _feed(steps),
        **{f"torch-{release.name}.svg": badge(release) for release in releases},
    }
    for name, text in written.items():
        files.write(folder / name, text.encode())


def _page(releases: Sequence[Release], steps: Mapping[str, Comparison]) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("oracles.reports", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    newest = releases[-1].report.header
    names = [release.name for release in releases]
    return environment.get_template(TEMPLATE).render(
        releases=names,
        header=newest,
        changed=[*_changed(steps)][::-1],
        changes=[*Change],
        standings={name: _standings(name, releases) for name in newest["rules"]},
        dtypes=_dtypes(releases),
        deviations=[*_histories(releases)],
        plots={name: shares(name, releases) for name in newest["rules"]},
        drifts={name: [*drifts(name, steps)] for name in newest["rules"]},
        states=STATES,
    )


def _changed(steps: Mapping[str, Comparison]) -> Iterator[Changed]:
    """What changed in each release, the best first: the page turns it round."""
    for release, step in steps.items():
        yield from (Changed(release, row) for row in reversed(rows(step)))


def _dtypes(releases: Iterable[Release]) -> list[str]:
    return [*dict.fromkeys(place.dtype for release in releases for place in release.cells)]


def _known(optimizer: str, releases: Iterable[Release]) -> list[Place]:
    """All places that some release has."""
    places = (place for release in releases for place in release.cells)
    return [*dict.fromkeys(place for place in places if place.optimizer == optimizer)]


def _standings(optimizer: str, releases: Sequence[Release]) -> list[Standing]:
    known, dtypes = _known(optimizer, releases), _dtypes(releases)
    return [_standing(release, known, dtypes) for release in releases]


def _standing(release: Release, known: Sequence[Place], dtypes: Sequence[str]) -> Standing:
    states = {place: release.states(place) for place in known}
    paths: dict[str, dict[str, Cell]] = defaultdict(dict)
    for place in known:
        device = "" if place.device == "cpu" else f" on {place.device}"
        paths[f"{place.path}{device}"][place.dtype] = Cell.of(states[place])
    nowhere = Cell.of({})
    there = {path: kinds for path, kinds in paths.items() if {*kinds.values()} != {nowhere}}
    counts = sum(states.values(), Counter[str]())
    asked = {cell["check"] for place in known for cell in release.cells.get(place, ())}
    counts[ABSENT] = max(1, len(asked)) * sum(not states[place] for place in known)
    cells = [cell for place in known for cell in release.cells.get(place, ())]
    met = Counter(
        cell["check"].removeprefix(KNOWN).strip()
        for cell in cells
        if cell["outcome"] == Result.CONFIRMED
    )
    return Standing(
        release.name,
        counts,
        tuple(
            Line(path, tuple(kinds.get(dtype, nowhere) for dtype in dtypes))
            for path, kinds in there.items()
        ),
        _reasons(release, [place for place in known if place.path not in there]),
        tuple(cell for cell in cells if cell["outcome"] in BAD),
        met,
    )


def _reasons(release: Release, places: Iterable[Place]) -> Mapping[str, Sequence[str]]:
    """By reason, the paths that are absent altogether."""
    everywhere = {p.optimizer: why for p, why in release.absent.items() if not p.dtype}
    reasons: dict[str, dict[str, None]] = defaultdict(dict)
    for place in places:
        if why := release.absent.get(place) or everywhere.get(place.optimizer, ""):
            reasons[why][place.path] = None
    return {why: [*paths] for why, paths in reasons.items()}


def _histories(releases: Sequence[Release]) -> Iterator[History]:
    """Of each row of the ledger, in which releases its reproducer failed."""
    seen: dict[tuple[str, str], set[str]] = defaultdict(set)
    for release in releases:
        for cell in release.report.of(Kind.CELL):
            if cell["outcome"] == Result.CONFIRMED:
                id = cell["check"].removeprefix(KNOWN).strip()
                seen[cell["optimizer"], id].add(release.name)
    told = {row.id: row for row in known()}
    names = [release.name for release in releases]
    for (optimizer, id), where in seen.items():
        there = [name for name in names if name in where]
        since = f"{there[0]} or before" if there[0] == names[0] else there[0]
        until = "still there" if there[-1] == names[-1] else there[-1]
        row = told.get(id)
        reason, upstream = (row.reason, row.upstream) if row else ("", "")
        flags = tuple(name in where for name in names)
        yield History(optimizer, id, flags, since, until, reason, upstream)


# --- drawings, feed and badges ---

WIDTH, HEIGHT, STEP = 46, 120, 1.2
"""Of a plot: a release, its height, and the distance between dots that stand side by side."""


def shares(optimizer: str, releases: Sequence[Release]) -> str:
    """The largest share of a radius used at each place, as the path of a drawing: a dot for each.

    Dots of one release are spread a little, so that many of the same height show.
    """
    dots = []
    for number, release in enumerate(releases):
        places = [place for place in release.cells if place.optimizer == optimizer]
        for index, place in enumerate(places):
            x = WIDTH * number + 8 + STEP * (index % 24)
            y = HEIGHT * (1 - min(release.share(place), 1.1) / 1.1)
            dots.append(f"M{x:.0f} {y:.0f}h0")
    return "".join(dots)


def drifts(optimizer: str, steps: Mapping[str, Comparison]) -> Iterator[tuple[str, float]]:
    """In which releases roundings of an optimizer changed, and by how many ulps at most."""
    for release, step in steps.items():
        ulps = [
            d.ulps
            for d in step.differences
            if d.optimizer == optimizer and d.change == Change.ROUNDING
        ]
        if ulps:
            yield release, max(ulps)


def _feed(steps: Mapping[str, Comparison]) -> str:
    """Atom: an entry for each release, which says what is worse in it."""
    entries = "".join(
        f"<entry><id>urn:optimizer-oracles:torch-{release}</id>"
        f"<title>torch {release}: {escape(_summary(step))}</title>"
        f'<updated>1970-01-01T00:00:00Z</updated><link href="index.html?to={release}"/>'
        f"<content>{escape(chr(10).join(_sentences(step)))}</content></entry>"
        for release, step in [*steps.items()][::-1]
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?><feed xmlns="http://www.w3.org/2005/Atom">'
        "<id>urn:optimizer-oracles</id><title>What changed in torch.optim</title>"
        "<author><name>optimizer-oracles</name></author>"
        f"<updated>1970-01-01T00:00:00Z</updated>{entries}</feed>"
    )


def _summary(step: Comparison) -> str:
    counts = Counter(d.change for d in step.worse)
    return ", ".join(f"{change} {n}" for change, n in counts.items()) or "nothing is worse"


def _sentences(step: Comparison) -> Iterator[str]:
    for row in rows(step):
        yield ": ".join(filter(None, row.cells))


def badge(release: Release) -> str:
    """An image that says at how many places a check fails, and at how many one deviates."""
    states = [release.states(place) for place in release.cells]
    fail, deviate = (sum(s in place for place in states) for s in (FAILED, DEVIATES))
    told = f"{fail} fail, {deviate} deviate"
    left, right = 7 * len(f"torch {release.name}") + 12, 7 * len(told) + 12
    title = f"torch {release.name}: {told} of {len(release.cells)} places"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img" '
        f'font-family="Verdana,sans-serif" font-size="11" fill="#fff"><title>{title}</title>'
        f'<rect width="{left}" height="20" fill="#444"/><rect x="{left}" width="{right}" '
        f'height="20" fill="{COLOURS[bool(fail)]}"/>'
        f'<text x="6" y="14">torch {release.name}</text><text x="{left + 6}" y="14">{told}</text>'
        "</svg>\n"
    )
