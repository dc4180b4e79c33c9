"""A comparison as a person reads it: on a terminal, and in a pull request."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from rich.console import Console

from oracles.harness.runs.walk import row_of
from oracles.harness.subjects.subject import Place
from oracles.reports.comparison import WORSE, Change, Comparison, Difference
from oracles.reports.text import columns, line, printed, put

OF_DEVIATIONS = frozenset({Change.DEVIATES, Change.DEVIATES_THERE, Change.CONFORMS})
"""Changes that are about rows of the ledger."""

OF_ARGUMENTS = frozenset({Change.DEFAULT, Change.ARGUMENT_GONE, Change.ARGUMENT_NEW})

NAMED = OF_ARGUMENTS | frozenset(
    {
        Change.DEVIATES,
        Change.CONFORMS,
        Change.FIRST_ASKED,
        Change.UNASKED,
    }
)
"""Changes that have a row for each thing they are about."""

REASONED = frozenset({Change.VANISHED, Change.UNKNOWN})
"""Changes that have a row for each reason."""

COLUMNS = ("what", "optimizers", "about", "where")


HEADED = ("suite", "hypothesis", "numpy", "python", "system", "threads", "midpoints")


def title(comparison: Comparison) -> list[str]:
    """Which two torches, and what else differs between the runs and may be the reason."""
    before, after = comparison.before, comparison.after
    pairs = [(key, before[key], after[key]) for key in HEADED]
    pairs += [(key, before["chosen"][key], after["chosen"][key]) for key in ("profile", "seed")]
    kinds, now = before["devices"], after["devices"]
    pairs += [(device, kind, now.get(device, "not there")) for device, kind in kinds.items()]
    return [
        f"torch {before['torch']}, now {after['torch']}",
        *(f"{name} {old}, now {new}" for name, old, new in pairs if old != new),
    ]


@dataclass(frozen=True)
class Row:
    """Differences that are told together; each path and dtype they are about is named.

    Attributes:
        change: of what kind.
        optimizers: whose.
        where: paths and dtypes.
        about: checks, arguments, reasons or an amount.
    """

    change: Change
    optimizers: tuple[str, ...]
    where: str
    about: str

    @property
    def cells(self) -> tuple[str, str, str, str]:
        """As :data:`COLUMNS` says."""
        return self.change, ", ".join(self.optimizers), self.about, self.where


def rows(comparison: Comparison) -> list[Row]:
    """What changed, the worst first; of several optimizers at once where it is the same."""
    groups: dict[tuple[Change, str, str], list[Difference]] = defaultdict(list)
    for d in comparison.differences:
        apart = d.about if d.change in NAMED else d.detail if d.change in REASONED else ""
        groups[d.change, d.optimizer, apart].append(d)
    everywhere: dict[str, set[Place]] = defaultdict(set)
    for place in (*comparison.same, *(d.place for d in comparison.differences if d.path)):
        everywhere[place.optimizer].add(place)
    alike: dict[tuple[Change, str, str], list[str]] = defaultdict(list)
    for (change, optimizer, _), group in groups.items():
        at = where((d.place for d in group), everywhere[optimizer])
        alike[change, at, about(group)].append(optimizer)
    return [Row(change, tuple(names), at, what) for (change, at, what), names in alike.items()]


def where(places: Iterable[Place], everywhere: set[Place]) -> str:
    """Paths and dtypes in words; dtypes are named where they are not all of ``everywhere``.

    >>> one, other = (Place("SGD", "foreach", dtype, "cpu") for dtype in ("float64", "float32"))
    >>> both = {one, other, one._replace(path="fused")}
    >>> where([one, other], {one, other}), where([one, other], both), where([one], both)
    ('everywhere', 'foreach', 'foreach (float64)')
    """
    named = dict.fromkeys(place for place in places if place.path)
    if named and {*named} == everywhere:
        return "everywhere"
    dtypes: dict[str, list[str]] = defaultdict(list)
    for place in named:
        dtypes[path_of(place)].append(place.dtype)
    paths: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for path, these in dtypes.items():
        paths[tuple(these)].append(path)
    every = {place.dtype for place in everywhere}
    return "; ".join(
        "; ".join(names) + (f" ({', '.join(these)})" if {*these} != every else "")
        for these, names in paths.items()
    )


def path_of(place: Place) -> str:
    """A path, and the device if it is another one than the CPU."""
    return place.path if place.device == "cpu" else f"{place.path} on {place.device}"


def about(group: list[Difference]) -> str:
    """What differences are about; of many checks the first, and how many there are."""
    first = group[0]
    if first.change == Change.DEVIATES_THERE:
        return ", ".join(dict.fromkeys(row_of(d.about) for d in group))
    if first.change == Change.ROUNDING:
        return max(group, key=lambda d: d.ulps).detail
    if first.change in REASONED and first.detail:
        return first.detail
    names = [*dict.fromkeys(row_of(d.about) or d.about for d in group if d.about)]
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    told = first.detail if first.change in OF_ARGUMENTS else ""
    return ": ".join(filter(None, [f"{names[0]}{more}" if names else "", told]))


def verdict(comparison: Comparison) -> str:
    """What matters, in one line."""
    worse = worst(comparison)
    others = len(comparison.same) - comparison.exact
    same = f"{comparison.exact} places are as they were, to the bit"
    same += f", and {others} as far as checks tell" if others else ""
    failing = f"; {comparison.failing} fail in both" if comparison.failing else ""
    return f"{f'WORSE: {worse}' if worse else 'nothing is worse'}; {same}{failing}"


def worst(comparison: Comparison) -> str:
    """What is worse, and how often; empty if nothing is."""
    counts = Counter(difference.change for difference in comparison.worse)
    return ", ".join(f"{change} {number}" for change, number in counts.items())


def terminal(comparison: Comparison, *, full: bool = False, width: int | None = None) -> str:
    """What changed, as a table; if ``full``, then each place, with what shows it."""
    return printed(partial(_show, comparison, full=full), width)


def _show(comparison: Comparison, console: Console, *, full: bool) -> None:
    console.print("; ".join(title(comparison)))
    if comparison.differences:
        table = columns(*COLUMNS)
        for row in rows(comparison):
            change, *others = row.cells
            table.add_row(f"WORSE {change}" if row.change in WORSE else change, *others)
        put(console, table)
    for d in comparison.differences if full else ():
        at = f"{d.place}" if d.path else d.optimizer
        told = [f"{d.change}: {at}", d.about, d.detail.split("\n")[0], d.command]
        console.print("; ".join(filter(None, told)), soft_wrap=True)
    for (optimizer, check), places in comparison.known.items() if full else ():
        console.print(f"in both: {optimizer}, {check}, at {places} places", soft_wrap=True)
    console.print(verdict(comparison))


def markdown(comparison: Comparison) -> str:
    """The same for a comment on a pull request."""
    torch, *others = title(comparison)
    lines = [f"### {torch}", "", verdict(comparison)]
    if others:
        lines += ["", f"Also different: {'; '.join(others)}."]
    if comparison.differences:
        lines += ["", line(COLUMNS), line("---" for _ in COLUMNS)]
        for row in rows(comparison):
            change, *others = row.cells
            lines.append(line((f"**{change}**" if row.change in WORSE else change, *others)))
    return "\n".join(lines) + "\n"
