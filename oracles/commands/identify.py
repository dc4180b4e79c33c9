"""``oracles identify``: which rule does this code follow?"""

from __future__ import annotations

import argparse
import io
import sys
import warnings
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

from oracles.commands.command import (
    SEVERAL,
    Usage,
    add_given,
    add_profile,
    add_seed,
    imported,
    in_json,
    in_options,
    literal,
    pairs,
    progress,
    several,
)
from oracles.harness.subjects.importing import called
from oracles.identification import KINDS, Identification, identify
from oracles.optimizers.registry import RULES, unknown_rule
from oracles.reports.identification import render
from oracles.schedules.registry import KNOWN

EPILOG = (
    "exit status: 0 if it is named, 1 if nothing fits or it cannot be told, 2 if the call is off"
)


RATES = ("[", "(", *"0123456789")
"""How what is meant for rates may begin, and no module does."""


def add(commands: Any) -> None:
    """Its arguments."""
    parser = commands.add_parser(
        "identify", help="which rule does a piece of code follow, or a recorded run?", epilog=EPILOG
    )
    parser.add_argument(
        "subject",
        nargs="?",
        metavar="MODULE:NAME|FILE",
        help="a step, a class of optimizers or a function that makes one, a training loop (X, y, "
        f"...), a schedule; or a recorded run or rates, {', '.join(KINDS)}; or '[0.1, 0.09, ...]'",
    )
    parser.add_argument(
        "--equation",
        metavar="TEXT",
        help="an update rule as text, e.g. 'v = mu*v + g + wd*w; w -= lr*v'; - reads it from "
        "standard input",
    )
    parser.add_argument(
        "--rule",
        action="extend",
        type=several,
        metavar="RULE",
        help=f"what it may follow, of {', '.join(RULES)}, or what a rate may, of "
        f"{', '.join(KNOWN)}; {SEVERAL} (default: all)",
    )
    add_given(parser)
    parser.add_argument(
        "--value",
        action="extend",
        default=[],
        type=pairs,
        metavar="TORCHS=NUMBER",
        help=f"a hyperparameter that is written in a training loop, e.g. lr=0.1; {SEVERAL}",
    )
    add_seed(parser, ", for what can be stepped: a training loop's rows are fixed")
    add_profile(parser)
    parser.add_argument("--full", action="store_true", help="all numbers to check by hand")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    for name in options.rule or ():
        if name not in (*RULES, *KNOWN):
            raise Usage(unknown_rule(name, (*RULES, *KNOWN)))
    subject = _subject(options)
    given: dict[str, Any] = {
        "equation": sys.stdin.read() if options.equation == "-" else options.equation,
        "names": dict(options.name),
        "fixed": {name: literal(text) for name, text in options.fixed},
        "values": {name: _number(name, text) for name, text in options.value},
        "seed": options.seed,
        "profile": options.profile,
    }
    try:
        # Warnings are of what it is given, not of what it does.
        with warnings.catch_warnings(action="ignore"), redirect_stdout(io.StringIO()) as printed:
            found = identify(subject, options.rule, **given)
            imported_one = subject is not None and not isinstance(subject, Path)
            if imported_one and not (found.loop or found.schedule):
                found = replace(found, name=called(options.subject))
            text = _told(found, options)  # examples are asked for where they are shown
    except (TypeError, ValueError) as error:
        raise Usage(str(error)) from error
    if lines := printed.getvalue().count("\n"):
        progress(f"printed {lines:,} lines, which are not shown")
    print(text)
    return 0 if found.named else 1


def _told(found: Identification, options: argparse.Namespace) -> str:
    if options.json:
        return in_json(found.to_json())
    return render(found, full=options.full, words=in_options)


def _subject(options: argparse.Namespace) -> Any:
    """Whose rule is asked for; None where an equation is given.

    Raises:
        Usage: nothing was given, or two things, or it is not there.
    """
    if (options.subject is None) == (options.equation is None):
        raise Usage("give one of MODULE:NAME, FILE and --equation")
    if options.subject is None:
        return None
    if isinstance(rates := literal(options.subject), list | tuple):
        return rates
    if Path(options.subject).suffix in KINDS:
        return Path(options.subject)
    files = ", ".join(KINDS)
    if Path(options.subject).exists():
        told = "a JSON list is to be written as .jsonl, an entry a line"
        raise Usage(f"{options.subject} is no file that is read; allowed: {files}; {told}")
    if options.subject.startswith(RATES):
        told = f"subject={options.subject!r} is no list of numbers"
        raise Usage(f"{told}; allowed: rates, as '[0.1, 0.09, ...]'")
    try:
        return imported(options.subject)
    except Usage as error:
        if ":" in options.subject:
            raise
        told = f"or a file that ends in {files}; or --equation TEXT; or rates, '[0.1, 0.09, ...]'"
        raise Usage(f"{error}; {told}") from error


def _number(name: str, text: str) -> float:
    number = literal(text)
    if not isinstance(number, bool | int | float):
        raise Usage(f"--value {name}={text} is no number; allowed: {name}=0.1, for example")
    return number
