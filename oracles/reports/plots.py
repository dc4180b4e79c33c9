"""Plots of the page, as SVG that takes its colours from the page and says what it shows.

What a plot shows stands in a table beside it, too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from oracles.reports.changes import where
from oracles.reports.comparison import Change, Comparison
from oracles.reports.standing import Release

WIDTH, HEIGHT, LEFT, TOP = 46, 110, 34, 12
"""Of a plot: a release, its height, and the room for numbers beside and above it."""

SPREAD, DOTS = 1.6, 22
"""Distance between dots that stand side by side, and how many do."""

MOST = 1.1
"""The share of a radius that is drawn at the upper edge; what fails may have more."""

LOGS = 12
"""The power of two of a drift that is drawn at the upper edge."""


def shares(optimizer: str, releases: Sequence[Release]) -> str:
    """The largest share of a radius used at each place, a faint dot for each, by release.

    Dots of one release are spread a little, so that many of the same height show.
    """
    dots = []
    for number, release in enumerate(releases):
        places = [place for place in release.cells if place.optimizer == optimizer]
        for index, place in enumerate(places):
            x = LEFT + WIDTH * number + 5 + SPREAD * (index % DOTS)
            y = TOP + HEIGHT * (1 - min(release.share(place), MOST) / MOST)
            dots.append(f"M{x:.0f} {y:.0f}h0")
    lines = [(TOP + HEIGHT * (1 - value / MOST), f"{value:g}") for value in (0, 0.5, 1)]
    return _drawn(
        f"Largest share of the radius used by {optimizer}",
        "A dot for each path, dtype and device, by release; above 1 it fails. The table below has "
        "the largest of each dtype.",
        [release.name for release in releases],
        lines,
        f'<path class="dots" d="{"".join(dict.fromkeys(dots))}"/>',
    )


def largest(
    optimizer: str, releases: Sequence[Release], dtypes: Iterable[str]
) -> list[tuple[str, list[str]]]:
    """The same as numbers: by dtype, the largest share in each release."""
    return [
        (dtype, [_share(optimizer, release, dtype) for release in releases]) for dtype in dtypes
    ]


def _share(optimizer: str, release: Release, dtype: str) -> str:
    places = [p for p in release.cells if (p.optimizer, p.dtype) == (optimizer, dtype)]
    return f"{max(map(release.share, places)):.3g}" if places else "–"


@dataclass(frozen=True)
class Drift:
    """By how many ulps roundings of an optimizer changed at most in a release, and where."""

    release: str
    ulps: float
    where: str

    @property
    def told(self) -> str:
        return f"{self.ulps:.3g}" if math.isfinite(self.ulps) else "cannot be told"


def drifts(optimizer: str, steps: Iterable[tuple[str, Comparison]]) -> list[Drift]:
    """In which releases roundings changed."""
    found = []
    for release, step in steps:
        rounded = [
            d for d in step.differences if (d.optimizer, d.change) == (optimizer, Change.ROUNDING)
        ]
        if rounded:
            told = {d.place for d in step.differences if d.path and d.optimizer == optimizer}
            everywhere = told | {place for place in step.same if place.optimizer == optimizer}
            at = where((d.place for d in rounded), everywhere)
            found.append(Drift(release, max(d.ulps for d in rounded), at))
    return found


def drift(optimizer: str, releases: Sequence[str], found: Sequence[Drift]) -> str:
    """By how many ulps roundings changed, as a bar for each release, of the power of two."""
    bars = []
    for each in found:
        x = LEFT + WIDTH * releases.index(each.release)
        tall = HEIGHT * min(math.log2(1 + each.ulps), LOGS) / LOGS
        bars.append(
            f'<rect x="{x + 8}" y="{TOP + HEIGHT - tall:.1f}" width="28" height="{tall:.1f}"/>'
            f'<text class="told" x="{x + 22}" y="{TOP + HEIGHT - tall - 3:.1f}">'
            f"{each.told if math.isfinite(each.ulps) else '?'}</text>"
        )
    powers = [(TOP + HEIGHT * (1 - log / LOGS), f"{2**log - 1:,}") for log in (0, 4, 8, LOGS)]
    return _drawn(
        f"Drift of {optimizer}'s roundings in ulps",
        "A bar for each release in which golden answers changed inside their radius, as tall as "
        "the logarithm of the largest change since the release before. The table below has them.",
        releases,
        powers,
        f'<g class="bars">{"".join(bars)}</g>',
    )


def _drawn(
    title: str, told: str, releases: Sequence[str], lines: Iterable[tuple[float, str]], body: str
) -> str:
    """A drawing with releases below and numbers at the left."""
    wide, tall = LEFT + WIDTH * len(releases) + 4, TOP + HEIGHT + 20
    grid = "".join(
        f'<line x1="{LEFT}" x2="{wide - 4}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text class="number" x="{LEFT - 4}" y="{y + 3:.1f}">{number}</text>'
        for y, number in lines
    )
    names = "".join(
        f'<text class="told" x="{LEFT + WIDTH * n + 22}" y="{tall - 4}">{name}</text>'
        for n, name in enumerate(releases)
    )
    return (
        f'<svg viewBox="0 0 {wide} {tall}" width="{wide}" height="{tall}" role="img">'
        f"<title>{escape(title)}</title><desc>{escape(told)}</desc>{grid}{names}{body}</svg>"
    )
