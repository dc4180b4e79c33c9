"""The page: reports of one or many releases as static HTML, with a feed and badges beside it.

``index.html`` says where each release stands and what changed when; beside it is a page for any two
of the releases. They ask nothing of the network, and what matters can be read without JavaScript,
which filters and copies; filters are part of the address. ``Jinja2``, of the extra ``page``, fills
in the templates.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from oracles.harness.deviations.flaws import Flaw
from oracles.harness.deviations.ledger import Deviation
from oracles.reports.changes import OF_DEVIATIONS, rows, title, verdict, worst
from oracles.reports.comparison import WORSE, Change, Comparison, Index, between
from oracles.reports.plots import drift, drifts, grids, shares
from oracles.reports.run_report import RunReport
from oracles.reports.standing import (
    DEVIATES,
    FAILED,
    STATES,
    History,
    Release,
    anchor,
    histories,
    standing,
)

if TYPE_CHECKING:
    from jinja2 import Environment

Pair = tuple[str, str]
"""Two releases, the older first."""

COLOURS = {True: "#b3261e", False: "#2e7d32"}
"""Of a badge, by whether something fails."""

SEVERAL = "Of several"
"""Where deviations are told that are not of one optimizer or part alone."""

SHOWN = 20
"""How many places of one kind of change are spelled out."""


def write(folder: Path, reports: Mapping[str, RunReport]) -> None:
    """Write pages, plain data, feed and badges of some releases, oldest first.

    Raises:
        ModuleNotFoundError: there is no Jinja2.
        ValueError: there are no reports.
    """
    from oracles import files

    if not reports:
        raise ValueError("reports are empty: there is nothing to show")
    releases = [Release(name, Index(report)) for name, report in reports.items()]
    pairs = {(a.name, b.name): between(a.index, b.index) for a, b in combinations(releases, 2)}
    steps = {(a, b): pairs[a, b] for a, b in pairwise(reports)}
    environment = _environment()
    written = {
        "index.html": _index(environment, releases, pairs, steps),
        **{file_of(pair): _pair(environment, pair, pairs[pair]) for pair in pairs},
        "changes.json": json.dumps({after: step.to_json() for (_, after), step in steps.items()}),
        "feed.xml": _feed(steps),
        **{f"torch-{release.name}.svg": badge(release) for release in releases},
    }
    for name, text in written.items():
        files.write(folder / name, text.encode())


def file_of(pair: Pair) -> str:
    """The page of two releases."""
    return f"{'-'.join(pair)}.html"


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("oracles.reports", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.globals |= {
        "anchor": anchor,
        "file_of": file_of,
        "of_deviations": OF_DEVIATIONS,
        "quoted": shlex.quote,
        "rows": rows,
        "verdict": verdict,
        "worse": WORSE,
    }
    return environment


def _index(
    environment: Environment,
    releases: Sequence[Release],
    pairs: Mapping[Pair, Comparison],
    steps: Mapping[Pair, Comparison],
) -> str:
    newest = releases[-1].index.header
    names = [release.name for release in releases]
    moved = [(after, step) for (_, after), step in steps.items()]
    drifted = {name: drifts(name, moved) for name in newest["rules"]}
    return environment.get_template("page.html.jinja").render(
        releases=names,
        header=newest,
        steps=[*steps.items()][::-1],
        pairs={pair: len({*_worse(found)}) for pair, found in pairs.items()},
        changes=[*Change],
        standings={name: standing(name, releases) for name in newest["rules"]},
        deviations=_by_owner(histories(releases), newest["rules"]),
        grids=grids(names),
        shares={name: shares(name, releases) for name in newest["rules"]},
        drifts=drifted,
        drift={name: drift(name, names, found) for name, found in drifted.items()},
        states=STATES,
        minimal=minimal,
    )


def _worse(found: Comparison) -> Iterator[Any]:
    return (row for row in rows(found) if row.change in WORSE)


def _by_owner(
    found: Iterator[History], rules: Sequence[str]
) -> Mapping[str, Sequence[tuple[str, History]]]:
    """Deviations of several optimizers, and those of each; each with one that shows it."""
    by: dict[str, list[tuple[str, History]]] = {name: [] for name in (SEVERAL, *rules)}
    for history in found:
        first, *others = history.optimizers
        by.setdefault(SEVERAL if others else first, []).append((first, history))
    return {name: group for name, group in by.items() if group}


def minimal(row: Deviation | Flaw) -> str:
    """What shows a deviation: its case, or its program."""
    return row.reproducer.strip() if isinstance(row, Flaw) else case(row.case)


def case(row: Mapping[str, Any]) -> str:
    """The minimal case of a row of the ledger, as a person reads it.

    >>> print(case({"steps": 1, "hyper": {"lr": 0.5}, "parameters": [{"initial": [1.0]}]}))
    steps=1, lr=0.5
    parameter 0: initial=[1.0]
    """
    first = {key: value for key, value in row.items() if key not in ("hyper", "parameters")}
    hyper = row.get("hyper", {})
    first |= hyper if isinstance(hyper, Mapping) else {"hyper": hyper}
    lines = [_listed(first)]
    for number, parameter in enumerate(row.get("parameters", ())):
        lines.append(f"parameter {number}: {_listed(parameter)}")
    return "\n".join(lines)


def _listed(named: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in named.items())


def _pair(environment: Environment, pair: Pair, found: Comparison) -> str:
    kinds: dict[Change, list[Any]] = {}
    for d in found.worse:
        kinds.setdefault(d.change, []).append(d)
    return environment.get_template("pair.html.jinja").render(
        pair=pair, found=found, title=title(found), kinds=kinds, changes=[*Change], shown=SHOWN
    )


# --- feed and badges ---


def _feed(steps: Mapping[Pair, Comparison]) -> str:
    """Atom: an entry for each release, which says what is worse in it."""
    entries = "".join(
        f"<entry><id>urn:optimizer-oracles:torch-{pair[1]}</id>"
        f"<title>torch {pair[1]}: {escape(worst(step) or 'nothing is worse')}</title>"
        f'<updated>{when(pair[1])}</updated><link href="{file_of(pair)}"/>'
        f"<content>{escape(chr(10).join(_sentences(step)))}</content></entry>"
        for pair, step in [*steps.items()][::-1]
    )
    newest = max((when(after) for _, after in steps), default=when("0"))
    return (
        '<?xml version="1.0" encoding="utf-8"?><feed xmlns="http://www.w3.org/2005/Atom">'
        "<id>urn:optimizer-oracles</id><title>What changed in torch.optim</title>"
        "<author><name>optimizer-oracles</name></author>"
        f"<updated>{newest}</updated>{entries}</feed>"
    )


def when(release: str) -> str:
    """A time that Atom asks for: none that ever was, but the same in each run, and in order.

    >>> when("2.9.1") < when("2.10.0") < when("2.15.0")
    True
    >>> when("2.10.0")
    '1970-01-01T05:50:00Z'
    """
    from datetime import UTC, datetime, timedelta

    from packaging.version import Version

    v = Version(release)
    passed = timedelta(seconds=(100 * v.major + v.minor) * 100 + v.micro)
    return f"{datetime.fromtimestamp(0, UTC) + passed:%Y-%m-%dT%H:%M:%SZ}"


def _sentences(step: Comparison) -> Iterator[str]:
    for row in rows(step):
        yield ": ".join(filter(None, row.cells))


def badge(release: Release) -> str:
    """An image that says at how many places a check fails, and at how many one deviates."""
    states = [release.states(place) for place in release.cells]
    fail, deviate = (sum(s in place for place in states) for s in (FAILED, DEVIATES))
    told = f"{fail} fail, {deviate} deviate"
    left, right = 7 * len(f"torch {release.name}") + 12, 7 * len(told) + 12
    said = f"torch {release.name}: {told} of {len(release.cells)} places"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img" '
        f'font-family="Verdana,sans-serif" font-size="11" fill="#fff"><title>{said}</title>'
        f'<rect width="{left}" height="20" fill="#444"/><rect x="{left}" width="{right}" '
        f'height="20" fill="{COLOURS[bool(fail)]}"/>'
        f'<text x="6" y="14">torch {release.name}</text><text x="{left + 6}" y="14">{told}</text>'
        "</svg>\n"
    )
