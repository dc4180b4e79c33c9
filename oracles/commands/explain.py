"""``oracles explain``: what an optimizer computes, and what else may be taken for it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from oracles import files
from oracles.commands.command import Usage, in_json, in_options
from oracles.explanation import ALL, Explanation, explain
from oracles.loop.registry import PARTS_OF_LOOP
from oracles.naming import unknown
from oracles.schedule_explanation import ALL as SCHEDULES
from oracles.schedule_explanation import LOOP, ScheduleExplanation, explain_schedule
from oracles.schedules.registry import KNOWN

KINDS = (".png", ".svg")
"""Of pictures."""


def add(commands: Any) -> None:
    """Its arguments."""
    parser = commands.add_parser(
        "explain", help="what an optimizer computes, and what else may be taken for it"
    )
    parser.add_argument(
        "rule",
        metavar="RULE",
        help=f"of {', '.join(ALL)}; a schedule, of {', '.join(SCHEDULES)}; or another part of the "
        f"loop, of {', '.join(PARTS_OF_LOOP)}",
    )
    parser.add_argument(
        "--convention", metavar="NAME", help="set only this one beside torch's (default: all)"
    )
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument(
        "--picture",
        metavar="FILE",
        type=Path,
        help=f"draw an optimizer or a schedule, too: {' or '.join(KINDS)}",
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    try:
        told = _explained(options)
    except ValueError as error:
        raise Usage(in_options(str(error))) from error
    print(in_json(told.to_json()) if options.json else told)
    return 0


def _explained(options: argparse.Namespace) -> Explanation | ScheduleExplanation:
    """What there is to be said; the picture is drawn, too.

    Raises:
        ValueError: there is no such rule, or no such convention of it, or there can be no picture.
    """
    name, convention = options.rule, options.convention
    if name not in (*ALL, *LOOP):
        raise Usage(_nothing_of(name))
    if options.picture and name not in (*ALL, *KNOWN):
        allowed = "optimizers, and schedules that need no others"
        raise Usage(f"--picture: {name} has no line of its own; allowed: {allowed}")
    told = explain(name, convention) if name in ALL else explain_schedule(name, convention)
    if options.picture:
        _draw(told, convention, options.picture)
    return told


def _nothing_of(name: str) -> str:
    from oracles.everybody import EVERYBODY

    if name in EVERYBODY:
        return (
            f"{name} has no equation of its own: it is to leave all numbers as they are, and "
            f"`oracles check --rule {name}` asks whether it does"
        )
    return unknown(f"{name!r} is not known", name, [*ALL, *LOOP])


def _draw(told: Explanation | ScheduleExplanation, convention: str | None, path: Path) -> None:
    """Write the picture.

    Raises:
        Usage: it cannot be drawn or written.
        ModuleNotFoundError: matplotlib is not there.
    """
    from oracles.reports.picture import picture

    given = f"--picture={str(path)!r}"
    if path.suffix not in KINDS:
        raise Usage(f"{given} is of no known kind; allowed: {', '.join(KINDS)}")
    if not (told.differences if isinstance(told, Explanation) else told.others):
        raise Usage(f"{given}: {convention!r} parts from nothing, as it is the first")
    try:
        files.write(path, picture(told, path.suffix[1:]))
    except OSError as error:
        raise Usage(f"{given} cannot be written: {error.strerror}") from error
