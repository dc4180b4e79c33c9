"""What was seen of a training loop, as a person reads it."""

from __future__ import annotations

from functools import partial

from rich.console import Console

from oracles.reports.text import FAILED, printed, say
from oracles.watching import LoopReport


def render(report: LoopReport, width: int | None = None) -> str:
    """The report as text: faults, what to do, doubts, and the line that can be quoted."""
    return printed(partial(show, report), width)


def show(report: LoopReport, console: Console) -> None:
    """Print the report."""
    for found in report.findings:
        say(console, str(found), FAILED)
        say(console, f"what to do: {found.advice}", " " * 10)
    for doubt in report.doubts:
        say(console, f"could not tell {doubt.sentence}")
        say(console, f"what would: {doubt.advice}", " " * 10)
    for sentence in report.follows:
        say(console, sentence)
    say(console, str(report), style="bold")
