"""``oracles identify``: which rule does this code follow?"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from oracles.commands.command import Usage, imported
from oracles.identification import KINDS, identify
from oracles.optimizers.registry import RULES
from oracles.reports.identification import render

EPILOG = (
    "exit status: 0 if it is named, 1 if nothing fits or it cannot be told, 2 if the call is off"
)


def add(commands: Any) -> None:
    """Its arguments."""
    parser = commands.add_parser(
        "identify", help="which rule does a piece of code follow, or a recorded run?", epilog=EPILOG
    )
    parser.add_argument(
        "subject",
        nargs="?",
        metavar="MODULE:NAME|FILE",
        help="a step, a class of optimizers or a function that makes one; or a recorded run, "
        f"{', '.join(KINDS)}",
    )
    parser.add_argument(
        "--equation",
        metavar="TEXT",
        help="an update rule as text, e.g. 'v = mu*v + g + wd*w; w -= lr*v'; - reads it from "
        "standard input",
    )
    parser.add_argument(
        "--rule",
        choices=RULES,
        action="append",
        metavar="RULE",
        help=f"what it may follow, of {', '.join(RULES)}; may be given again (default: all)",
    )
    parser.add_argument(
        "--name",
        action="append",
        default=[],
        metavar="TORCHS=OWN",
        help="what it calls a hyperparameter, e.g. lr=speed; may be given again",
    )
    parser.add_argument("--full", action="store_true", help="all numbers to check by hand")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    subject = _subject(options)
    names = {} if options.equation else _names(options.name)  # which a text was read with
    try:
        found = identify(subject, options.rule, names=names)
    except (TypeError, ValueError) as error:
        raise Usage(str(error)) from error
    if options.json:
        print(json.dumps(found.to_json(), ensure_ascii=False, indent=2))
    else:
        print(render(found, full=options.full))
    return 0 if found.fits else 1


def _subject(options: argparse.Namespace) -> Any:
    """Whose rule is asked for.

    Raises:
        Usage: nothing was given, or two things, or it is not there.
    """
    if (options.subject is None) == (options.equation is None):
        raise Usage("give one of MODULE:NAME, FILE and --equation")
    if options.equation is not None:
        return _equation(options)
    if Path(options.subject).suffix in KINDS:
        return Path(options.subject)
    if ":" not in options.subject:
        raise Usage(
            f"{options.subject!r} is nothing that can be asked; allowed: package.module:name, or a "
            f"file that ends in {', '.join(KINDS)}"
        )
    return imported(options.subject)


def _equation(options: argparse.Namespace) -> Any:
    from oracles.harness.subjects.equations import EquationError, read

    text = sys.stdin.read() if options.equation == "-" else options.equation
    try:
        return read(text, _names(options.name))
    except EquationError as error:
        raise Usage(f"--equation: {error}") from error


def _names(pairs: list[str]) -> dict[str, str]:
    named = dict(pair.partition("=")[::2] for pair in pairs)
    for torchs, own in named.items():
        if not (torchs and own):
            raise Usage(f"--name={torchs!r} names nothing; allowed: lr=speed, for example")
    return named
