"""``oracles explain``: what an optimizer computes, and what else may be taken for it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from oracles import files
from oracles.commands.command import Usage
from oracles.explanation import ALL, Explanation, explain
from oracles.schedule_explanation import ALL as SCHEDULES
from oracles.schedule_explanation import explain_schedule

KINDS = (".png", ".svg")
"""Of pictures."""


def add(commands: Any) -> None:
    """Its arguments."""
    parser = commands.add_parser(
        "explain", help="what an optimizer computes, and what else may be taken for it"
    )
    parser.add_argument(
        "rule",
        choices=(*ALL, *SCHEDULES),
        metavar="RULE",
        help=f"of {', '.join(ALL)}; or a schedule, of {', '.join(SCHEDULES)}",
    )
    parser.add_argument(
        "--convention", metavar="NAME", help="set only this one beside torch's (default: all)"
    )
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument(
        "--picture", metavar="FILE", type=Path, help=f"draw it, too: {' or '.join(KINDS)}"
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    if options.rule in SCHEDULES:
        return _schedule(options)
    try:
        explanation = explain(options.rule, options.convention)
    except ValueError as error:
        raise Usage(str(error)) from error
    if options.picture:
        _draw(explanation, options.picture)
    if options.json:
        print(json.dumps(explanation.to_json(), ensure_ascii=False, indent=2))
    else:
        print(explanation)
    return 0


def _schedule(options: argparse.Namespace) -> int:
    """The same of a schedule, whose conventions are timings.

    Raises:
        Usage: it has no such timing, or there is to be a picture.
    """
    if options.picture:
        raise Usage("--picture is for optimizers")
    try:
        explanation = explain_schedule(options.rule, options.convention)
    except ValueError as error:
        raise Usage(f"--convention: {error}") from error
    told = json.dumps(explanation.to_json(), ensure_ascii=False, indent=2)
    print(told if options.json else explanation)
    return 0


def _draw(explanation: Explanation, path: Path) -> None:
    """Write the picture.

    Raises:
        Usage: it cannot be drawn or written.
    """
    from oracles.reports.picture import picture

    given = f"--picture={str(path)!r}"
    if path.suffix not in KINDS:
        raise Usage(f"{given} is of no known kind; allowed: {', '.join(KINDS)}")
    if not explanation.differences:
        raise Usage(f"{given}: {explanation.rule.torch.name!r} is torch's, nothing parts from it")
    try:
        files.write(path, picture(explanation, path.suffix[1:]))
    except ModuleNotFoundError as error:
        need = "pip install 'optimizer-oracles[plot]'"
        raise Usage(f"{given} needs matplotlib ({need}): {error}") from error
    except OSError as error:
        raise Usage(f"{given} cannot be written: {error}") from error
