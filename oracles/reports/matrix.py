"""The matrix: a report of each release of torch, and what they say together.

A release is recorded in an environment of its own (:mod:`oracles.reports.environments`), and what
is recorded is not asked again. ``VERSIONS.md`` then says for each optimizer what changed when, and
of each known deviation in which releases it was seen: found by running them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from oracles.harness.deviations.flaws import known
from oracles.reports.changes import OF_DEVIATIONS, Row, rows, where
from oracles.reports.comparison import Index, between
from oracles.reports.environments import NotMade, Tell, nobody, record
from oracles.reports.run_report import Invalid, Kind, RunReport, read
from oracles.reports.standing import Release, sightings, when
from oracles.reports.text import line


def file_of(release: str, folder: Path) -> Path:
    """Where a release is recorded."""
    return folder / f"torch-{release}.jsonl.xz"


def record_missing(
    known: Mapping[str, Sequence[str]], folder: Path, tell: Tell = nobody
) -> Iterator[tuple[str, str]]:
    """Record the releases that are not, one by one; yields each with the reason if it failed."""
    for release in known:
        if _is_recorded(file_of(release, folder)):
            continue
        try:
            record(release, file_of(release, folder), known, tell)
            yield release, ""
        except NotMade as error:
            yield release, str(error)


def recorded(known: Iterable[str], folder: Path) -> dict[str, RunReport]:
    """By release, in order, the reports that there are.

    Raises:
        Invalid: one is damaged; without it, what it saw would be told of the release after it.
        OSError: one cannot be read.
    """
    files = {release: file_of(release, folder) for release in known}
    return {release: read(file) for release, file in files.items() if file.exists()}


def _is_recorded(file: Path) -> bool:
    """Whether there is a report; a damaged one is to be made anew."""
    try:
        read(file)
    except (Invalid, OSError):
        return False
    return True


def versions(reports: Mapping[str, RunReport]) -> str:
    """What the releases say together, as Markdown."""
    releases = {name: Release(name, Index(report)) for name, report in reports.items()}
    newest = [*reports.values()][-1].header
    kernels: dict[str, list[str]] = defaultdict(list)
    for release, report in reports.items():
        kernels[report.header["devices"].get("cpu", "unknown")].append(release)
    told = "; ".join(f"{kind} in {', '.join(names)}" for kind, names in kernels.items())
    lines = [
        "# What changed in torch.optim, and when",
        "",
        f"Found by running torch {', '.join(reports)}, each with the same questions, on one CPU "
        f"({newest['system']}), and comparing each release with the one before it. torch's kernels "
        f"use {told}: where that changes, roundings may, too. `oracles matrix` writes this page; "
        "do not edit it.",
    ]
    changed = _changed([*releases.values()])
    for optimizer in newest["rules"]:
        lines += ["", f"## {optimizer}", "", *_history(changed[optimizer])]
    return "\n".join([*lines, *_deviations(releases), *_failures(reports)]) + "\n"


def _changed(releases: Sequence[Release]) -> Mapping[str, list[tuple[str, Row]]]:
    """By optimizer, what changed in which release."""
    changed: dict[str, list[tuple[str, Row]]] = defaultdict(list)
    for before, after in pairwise(releases):
        for row in rows(between(before.index, after.index)):
            if row.change not in OF_DEVIATIONS:
                for optimizer in row.optimizers:
                    changed[optimizer].append((after.name, row))
    return changed


def _history(changed: Sequence[tuple[str, Row]]) -> Iterator[str]:
    if not changed:
        yield "Nothing, beside known deviations (below)."
        return
    yield from (line(("torch", "what", "about", "where")), line(["---"] * 4))
    for release, row in changed:
        yield line((release, row.change, row.about, row.where))


def _deviations(releases: Mapping[str, Release]) -> Iterator[str]:
    """Of each row of the ledger, where it was seen, since when and until when."""
    upstream = {row.id: row.upstream for row in known()}
    yield from ("", "## Known deviations", "")
    columns = ("optimizer", "deviation", "since", "until", "where, in the last of them", "upstream")
    yield from (line(columns), line(["---"] * len(columns)))
    for (optimizer, id), seen in sightings([*releases.values()]).items():
        since, until = when([name in seen for name in releases], [*releases])
        *_, (last, places) = seen.items()
        index = releases[last].index
        there = {p for p in (*index.there, *index.absent) if p.optimizer == optimizer and p.dtype}
        yield line((optimizer, id, since, until, where(places, there), upstream.get(id, "")))


def _failures(reports: Mapping[str, RunReport]) -> Iterator[str]:
    """What fails and no row of the ledger knows."""
    yield from ("", "## Failures that the ledger does not know", "")
    failed = [
        (release, check)
        for release, report in reports.items()
        for check in report.of(Kind.CHECK)
        if check["outcome"] == "failed"
    ]
    if not failed:
        yield "None, in any of these releases."
        return
    yield from (line(("torch", "optimizer", "check", "first sentence")), line(["---"] * 4))
    for release, check in failed:
        yield line((release, check["optimizer"], check["check"], check["text"].split("\n")[0]))
