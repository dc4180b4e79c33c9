"""A report on somebody's code as a person reads it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial

from rich.console import Console
from rich.table import Table
from rich.text import Text

from oracles.harness.promise import Line, Word
from oracles.optimizers.registry import RULES
from oracles.report import Report
from oracles.reports.text import FAILED, columns, printed, put, say

SPARSE = {name for name, rule in RULES.items() if rule.sparse}
"""Rules whose gradients optimizers of dense ones need not take."""

STYLES = {Word.KEPT: "green", Word.BROKEN: "bold red"}


def render(report: Report, *, full: bool = False, width: int | None = None) -> str:
    """The report as text: figures, faults, and the line that can be quoted.

    With ``full``, each promise, too.
    """
    return printed(partial(show, report, full=full), width)


def show(
    report: Report, console: Console, *, full: bool = False, words: Callable[[str], str] = str
) -> None:
    """Print the report; sentences in the words of whoever has asked."""
    if report.accuracies or report.refused or report.failed:
        put(console, _accuracies(report))
    if report.promises:
        say(console, _counted(report.promises))
    if report.promises and full:
        put(console, _promises(report.promises))
    for sentence in report.faults():
        say(console, words(sentence), FAILED)
    for sentence in remarks(report):
        say(console, words(sentence))
    say(console, words(str(report)), style="bold")


def remarks(report: Report) -> list[str]:
    """What is no fault, and is not to be passed over: what was not asked, and what was printed."""
    reasons: dict[str, list[str]] = {}
    for line in report.promises:
        if line.word is Word.NOT_PROMISED:
            reasons.setdefault("not promised", []).append(line.name)
        if line.word is Word.NOT_ASKED and not line.why.endswith("is broken"):
            reasons.setdefault(f"not asked ({line.why})", []).append(line.name)
    sparse = report.claim is not None and report.claim.rule.sparse
    followed = {candidate.rule.name for candidate in report.found.fits} if report.found else set()
    for rule, why in report.declined.items():
        if rule in followed:
            reasons.setdefault(f"{why} in some settings", []).append(rule)
        elif not followed and (sparse or rule not in SPARSE):
            reasons.setdefault(f"{why} when asked as these are", []).append(rule)
    if report.found and report.found.unread:
        why = "left at their defaults, as its rule has no such hyperparameters"
        reasons[why] = list(report.found.unread)
    told = [f"{why}: {', '.join(names)}" for why, names in reasons.items()]
    if report.found and report.found.missed:
        told.append(f"not all of it was seen: {report.found.missed}")
    if report.printed:
        told.append(f"printed {report.printed:,} lines, which are not shown")
    return told


def _counted(lines: tuple[Line, ...]) -> str:
    counts = Counter(line.word for line in lines)
    return f"promises: {', '.join(f'{counts[word]} {word}' for word in Word if counts[word])}"


def _accuracies(report: Report) -> Table:
    table = columns("accuracy", "radii", "ulps", "seen at", "where it is lost")
    for a in report.accuracies:
        style = "bold red" if a in report.too_far else ""
        figures = f"{a.radii:.2g}", f"{a.ulps:.2g}", a.setting, a.cause
        table.add_row(a.dtype, *figures, style=style)
    for dtype, why in (*report.refused, *report.failed):
        table.add_row(dtype, "none", "", "", why)
    return table


def _promises(lines: tuple[Line, ...]) -> Table:
    table = columns("promise", "", "")
    for line in lines:
        table.add_row(line.name, Text(line.word, style=STYLES.get(line.word, "")), line.why)
    return table
