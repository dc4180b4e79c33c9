"""What was seen of a training loop, as a person reads it."""

from __future__ import annotations

from functools import partial

from rich.console import Console
from rich.text import Text

from oracles.reports.text import printed
from oracles.watching import LoopReport


def render(report: LoopReport, width: int | None = None) -> str:
    """The report as text: faults, what to do, doubts, and the line that can be quoted."""
    return printed(partial(show, report), width)


def show(report: LoopReport, console: Console) -> None:
    """Print the report."""
    for found in report.findings:
        console.print(Text.assemble(("FAILED    ", "bold red"), str(found)), soft_wrap=True)
        console.print(f"          what to do: {found.advice}", soft_wrap=True)
    for doubt in report.doubts:
        console.print(f"could not tell {doubt.sentence}", soft_wrap=True)
        console.print(f"          what would: {doubt.advice}", soft_wrap=True)
    for sentence in report.follows:
        console.print(sentence, soft_wrap=True)
    console.print(Text(str(report), style="bold"), soft_wrap=True)
