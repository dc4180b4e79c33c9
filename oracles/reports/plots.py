"""Plots of the page, as SVG that takes its colours from the page and says what it shows.

What a plot shows stands in a table beside it, too.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from oracles.reports.changes import where
from oracles.reports.comparison import Change, Comparison
from oracles.reports.standing import Release

WIDTH, HEIGHT, LEFT, TOP = 46, 110, 34, 12
"""Of a plot: a release, its height, and the room for numbers beside and above it."""

SPREAD, DOTS = 2, 19
"""Distance between dots that stand side by side, as the page's style has it, and how many do."""

MOST = 1.1
"""The share of a radius that is drawn at the upper edge; what fails may have more."""

LOGS = 12
"""The power of two of a drift that is drawn at the upper edge."""


def shares(optimizer: str, releases: Sequence[Release]) -> str:
    """The largest share of a radius used at each place, a faint dot for each, by release.

    Dots of the same height stand side by side: a dashed line that the page draws as dots.
    """
    strips = []
    for number, release in enumerate(releases):
        places = (place for place in release.cells if place.optimizer == optimizer)
        heights = Counter(round(_height(release.share(place) / MOST)) for place in places)
        for y, many in sorted(heights.items()):
            strips.append(f"M{_left(number) + 5} {y}h{_strip(many):g}")
    return _drawn(
        f"Largest share of the radius used by {optimizer}",
        "shares",
        len(releases),
        f'<path class="dots" d="{"".join(strips)}"/>',
    )


def _strip(dots: int) -> float:
    """How long a line is that is drawn as so many dots."""
    return SPREAD * (min(dots, DOTS) - 1) + 0.5


def _height(part: float) -> float:
    """Where it is drawn what is such a part of the upper edge."""
    return TOP + HEIGHT * (1 - min(part, 1))


def _left(release: int) -> int:
    return LEFT + WIDTH * release


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
        x, y = _left(releases.index(each.release)), _height(math.log2(1 + each.ulps) / LOGS)
        bars.append(
            f'<rect x="{x + 8}" y="{y:.1f}" width="28" height="{TOP + HEIGHT - y:.1f}"/>'
            f'<text class="told" x="{x + 22}" y="{y - 3:.1f}">'
            f"{each.told if math.isfinite(each.ulps) else '?'}</text>"
        )
    return _drawn(
        f"Drift of {optimizer}'s roundings in ulps",
        "drifts",
        len(releases),
        f'<g class="bars">{"".join(bars)}</g>',
    )


def grids(releases: Sequence[str]) -> str:
    """What plots share: lines with numbers at the left, and the releases below."""
    ratios = [(_height(value / MOST), f"{value:g}") for value in (0, 0.5, 1)]
    powers = [(_height(log / LOGS), f"{2**log - 1:,}") for log in (0, 4, 8, LOGS)]
    both = _grid("shares", releases, ratios) + _grid("drifts", releases, powers)
    return f'<svg width="0" height="0" aria-hidden="true"><defs>{both}</defs></svg>'


def _grid(id: str, releases: Sequence[str], lines: Iterable[tuple[float, str]]) -> str:
    marks = "".join(
        f'<line x1="{LEFT}" x2="{_left(len(releases))}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text class="number" x="{LEFT - 4}" y="{y + 3:.1f}">{number}</text>'
        for y, number in lines
    )
    names = "".join(
        f'<text class="told" x="{_left(n) + 22}" y="{TOP + HEIGHT + 16}">{name}</text>'
        for n, name in enumerate(releases)
    )
    return f'<g id="{id}">{marks}{names}</g>'


def _drawn(title: str, grid: str, releases: int, body: str) -> str:
    """A drawing of so many releases on a grid, beside which the page says what it shows."""
    wide, tall = _left(releases) + 4, TOP + HEIGHT + 20
    return (
        f'<svg viewBox="0 0 {wide} {tall}" width="{wide}" height="{tall}" role="img" '
        f'aria-describedby="{grid}-told"><title>{escape(title)}</title>'
        f'<use href="#{grid}"/>{body}</svg>'
    )
