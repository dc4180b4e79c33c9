"""A tally as tables a person can read, for pytest's summary and the command line."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from functools import partial

from rich.console import Console
from rich.table import Table

from oracles.harness.deviations.flaws import known
from oracles.harness.runs.tally import Line, Tally, vacuities
from oracles.harness.subjects.subject import Place
from oracles.reports.progress import SHOWN
from oracles.reports.text import printed, put

SHARES = "largest share of the radius used"


NONE = "–"
"""In a cell in which nothing was asked."""


def render(tally: Tally, *, full: bool = True, width: int | None = None) -> str:
    """The report as text: of each path and convention or, if not ``full``, of each optimizer."""
    return printed(partial(_show, tally, full=full), width)


def _show(tally: Tally, console: Console, *, full: bool) -> None:
    if tally.lines:
        put(console, _paths(tally) if full else _optimizers(tally))
    if tally.rejected and full:
        put(console, _conventions(tally))
    if tally.deviations or tally.confirmed or tally.healed:
        put(console, _deviations(tally))
    if tally.absent:
        put(console, _absent(tally) if full else _lacking(tally))
    console.print(_sum(tally))
    for sentence in vacuities(tally):
        console.print(f"VACUOUS {sentence}")


def _sum(tally: Tally) -> str:
    whole = tally.whole()
    measured = f"; {whole.measured:,} verdicts rest on a measurement" if whole.measured else ""
    return (
        f"{sum(tally.cases.values()):,} cases, {whole.runs:,} verdicts, "
        f"{whole.elements:,} element-steps compared; {whole.undecided_share:.2%} of them are "
        f"undecided, as rounding may take them to either side of a limit ({whole.edge_share:.1%} "
        f"at the edge of the formats; each verdict counts alike); "
        f"{whole.below_radius_share:.1%} of the moves are narrower than their radius{measured}"
    )


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, header_style="bold", pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right", overflow="fold")
    return table


def _optimizers(tally: Tally) -> Table:
    """What was seen of each optimizer, over all its paths."""
    dtypes = sorted({place.dtype for place in tally.lines})
    table = _table(SHARES, "optimizer", "verdicts", *dtypes, "rejected, by")
    for name in sorted({place.optimizer for place in tally.lines}):
        lines: dict[str, Line] = defaultdict(Line)
        for place, line in tally.lines.items():
            if place.optimizer == name:
                lines[place.dtype].merge(line)
        told = [least for (whose, _), (_, least) in tally.rejected.items() if whose == name]
        table.add_row(
            name,
            f"{tally.whole(name).runs:,}",
            *(_cell(lines.get(dtype), absent=False) for dtype in dtypes),
            f"{len(told)}, {min(told):.3g}" if told else NONE,
        )
    return table


def _paths(tally: Tally) -> Table:
    """Largest share of the radius used, by path and dtype; a failure shows as its count."""
    dtypes = sorted({place.dtype for place in tally.lines})
    table = _table(SHARES, "subject", "verdicts", *dtypes)
    rows: dict[tuple[str, str, str], dict[str, Line]] = defaultdict(dict)
    for (optimizer, path, dtype, device), line in tally.lines.items():
        rows[optimizer, path, device][dtype] = line
    for (optimizer, path, device), cells in rows.items():
        runs = sum(line.runs for line in cells.values())
        shown = [
            _cell(cells.get(dtype), Place(optimizer, path, dtype, device) in tally.absent)
            for dtype in dtypes
        ]
        table.add_row(f"{optimizer} [{path}, {device}]", f"{runs:,}", *shown)
    return table


def _cell(line: Line | None, absent: bool) -> str:
    if line is None:
        return "absent" if absent else NONE
    return f"{line.failed} FAILED" if line.failed else f"{line.share:.3f}"


def _conventions(tally: Tally) -> Table:
    table = _table("conventions rejected", "convention", "verdicts", "smallest separation")
    for (optimizer, name), (count, smallest) in tally.rejected.items():
        table.add_row(f"{optimizer} {name}", f"{count:,}", f"{smallest:.3g} radii")
    return table


def _deviations(tally: Tally) -> Table:
    table = _table("known deviations of this torch", "deviation", "left out", "its reproducer")
    for row in known():
        met = tally.deviations.get(row.id, Counter()).total()
        state = "HEALED" if row.id in tally.healed else ""
        state = state or ("still fails" if row.id in tally.confirmed else "not run")
        if met or state != "not run":
            table.add_row(row.id, f"{met:,}", state)
    return table


def _absent(tally: Tally) -> Table:
    """What this torch lacks: by reason, the paths and where."""
    table = Table(title="absent here", title_justify="left", box=None, show_header=False)
    places: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for optimizer, path, dtype, reason in _missing(tally):
        places[optimizer, path, reason].append(dtype)
    for (optimizer, path, reason), dtypes in places.items():
        table.add_row(f"{optimizer}, {path}{_among(dtypes)}", reason)
    return table


def _lacking(tally: Tally) -> Table:
    """What this torch lacks: by path and dtypes, whose it would be; of many paths the first."""
    title = "absent here (why: -v)"
    table = Table(title=title, title_justify="left", box=None, show_header=False)
    dtypes: dict[tuple[str, str], list[str]] = defaultdict(list)
    for optimizer, path, dtype, _ in _missing(tally):
        dtypes[path, optimizer].append(dtype)
    optimizers: dict[str, list[str]] = defaultdict(list)
    for (path, optimizer), lacked in dtypes.items():
        some = set(lacked) < {place.dtype for place in tally.lines}
        optimizers[f"{path}{_among(lacked) if some else ''}"].append(optimizer)
    alike: dict[str, list[str]] = defaultdict(list)
    for path, names in optimizers.items():
        alike[", ".join(sorted(names))].append(path)
    for whose, paths in alike.items():
        more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
        table.add_row(f"{'; '.join(paths[:SHOWN])}{more}", whose)
    return table


def _missing(tally: Tally) -> Iterator[tuple[str, str, str, str]]:
    """What is absent: optimizer, path, dtype and why.

    Where several devices are asked, a path bears its device's name.
    """
    several = len({place.device for place in tally.lines}) > 1
    for (optimizer, path, dtype, device), reason in tally.absent.items():
        yield optimizer, f"{path}, {device}" if several and device else path, dtype, reason


def _among(dtypes: Iterable[str]) -> str:
    return f" ({', '.join(named)})" if (named := list(filter(None, dict.fromkeys(dtypes)))) else ""
