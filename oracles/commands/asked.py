"""Code of one's own, as ``oracles check MODULE:NAME`` asks it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from oracles.checking import Checking
from oracles.commands.command import (
    SEVERAL,
    Usage,
    add_given,
    in_json,
    in_options,
    literal,
    natural,
    positive,
    several,
)
from oracles.harness.arithmetic.formats import DTYPES
from oracles.harness.evidence.settings import PROFILES
from oracles.harness.loop.catalogue import PARTS
from oracles.harness.runs.workers import cores
from oracles.harness.subjects.arrays import KINDS
from oracles.inquiry import RULE, Found, answer
from oracles.report import Report
from oracles.reports.checked import show
from oracles.reports.text import plain, say

TIME_LIMIT = 60.0
"""In seconds, for each round of cases that is drawn."""

OPTIONS: Mapping[str, Any] = {
    "name": [],
    "fixed": [],
    "within": None,
    "not_promised": [],
    "arrays": None,
    "time_limit": None,
    "expect_checks": None,
    "json": False,
}
"""What only code of one's own is told, by default."""

STRICT: Mapping[str, Any] = {
    "path": [],
    "device": [],
    "jobs": cores(),
    "report": None,
}
"""What only torch's classes and their clones are told."""


def add(group: Any) -> None:
    """Its arguments."""
    add_given(group)
    group.add_argument(
        "--within",
        type=positive,
        metavar="RADII",
        help="how far off it may be, in radii of torch's own enclosure (default: no bound)",
    )
    group.add_argument(
        "--not-promised",
        action="extend",
        type=several,
        metavar="PROMISE",
        help=f"a promise that it does not make, e.g. deepcopy; {SEVERAL}",
    )
    group.add_argument(
        "--arrays",
        choices=KINDS,
        help="what a functional step computes with (default: the first of them that it takes)",
    )
    group.add_argument(
        "--time-limit",
        type=positive,
        metavar="SECONDS",
        help=f"after which it is ended; one question may take a third of it (default: "
        f"{TIME_LIMIT:g}, and {TIME_LIMIT * PROFILES['thorough']:g} with --profile thorough)",
    )
    group.add_argument(
        "--expect-checks",
        type=natural,
        metavar="N",
        help="fail unless that many questions have an answer, however they are answered",
    )
    group.add_argument("--json", action="store_true", help="print the report as JSON, and no more")
    group.set_defaults(**OPTIONS)


def refuse(options: argparse.Namespace, of: Mapping[str, Any] = OPTIONS) -> None:
    """Options that would have no effect.

    Raises:
        Usage: one was given.
    """
    for name, default in of.items():
        if getattr(options, name) != default:
            own = "code of your own, without --as-torch"
            who = own if of is OPTIONS else "torch's classes, and with --as-torch"
            raise Usage(f"--{name.replace('_', '-')} is for {who}")


def run(options: argparse.Namespace) -> int:
    """Ask; returns the exit status.

    Raises:
        Usage: an option has a value that is not allowed, or there is nobody to ask.
    """
    refuse(options, STRICT)
    checking = _checking(options)
    console = plain()
    report = checking.report(dict(_watched(checking, options, console)))
    if not report.imported:
        raise Usage(f"{report.name} {report.fault}")
    if options.json:
        print(in_json(report.to_json()))
    else:
        show(report, console, full=options.verbose, words=in_options)
    return max(int(not report.ok), _counted(report, options.expect_checks))


def limit(options: argparse.Namespace) -> float:
    """Seconds after which code of one's own is ended."""
    return float(options.time_limit or TIME_LIMIT * PROFILES[options.profile])


def _checking(options: argparse.Namespace) -> Checking:
    if options.rule and len(options.rule) > 1:
        raise Usage("--rule is given once for code of your own: it follows one rule")
    if options.rule and options.rule[0] in PARTS:
        raise Usage(f"--rule {options.rule[0]} is for torch's own, not for {options.subject}")
    try:
        return Checking(
            options.subject,
            options.rule[0] if options.rule else None,
            names=dict(options.name),
            fixed={name: literal(text) for name, text in options.fixed},
            dtypes=options.dtype or DTYPES,
            within=options.within,
            not_promised=options.not_promised,
            arrays=options.arrays,
            time_limit=limit(options),
            seed=options.seed,
            profile=options.profile,
        )
    except ValueError as error:
        raise Usage(str(error)) from error


def _watched(
    checking: Checking, options: argparse.Namespace, console: Console
) -> Iterator[tuple[str, Any]]:
    """The answers; the first one is told at once and, on a terminal, how far it is."""
    if options.json:
        yield from _begun(checking)
        return
    say(console, f"asking {options.subject}")
    # No thread of its own redraws the line: processes are forked meanwhile.
    columns = TextColumn("asked: {task.description}"), TimeElapsedColumn()
    with Progress(
        *columns,
        console=console,
        transient=True,
        auto_refresh=False,
        redirect_stdout=False,
        redirect_stderr=False,
        disable=not console.is_terminal,
    ) as progress:
        line = progress.add_task("")
        for question, told in _begun(checking):
            progress.update(line, description=question, refresh=True)
            found = answer({question: told}, RULE)
            if isinstance(found, Found) and found.identification.named:  # else it is a fault
                say(console, in_options(str(found.identification)))
            yield question, told


def _begun(checking: Checking) -> Iterator[tuple[str, Any]]:
    """The answers.

    Raises:
        Usage: there is nobody who could be asked.
        ModuleNotFoundError: it is an optimizer, and torch is not there.
    """
    answers = checking.answers()
    try:
        first = next(answers)
    except (ValueError, TypeError) as error:
        raise Usage(str(error)) from error
    yield from chain([first], answers)


def _counted(report: Report, expected: int | None) -> int:
    """The status that the number of answers makes."""
    if expected is None or report.asked == expected:
        return 0
    print(f"oracles: {report.asked} checks were asked; {expected} expected", file=sys.stderr)
    return 1
