"""``oracles translate``: which number do I type?"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from fractions import Fraction
from typing import Any

from oracles.commands.command import Usage, in_json
from oracles.layout import shown

STATUSES = "exit status: 0 if there are numbers, 1 if there are none, and why, 2 if the call is off"


def add(commands: Any) -> None:
    """Its arguments."""
    parser = commands.add_parser(
        "translate",
        help="which numbers do in one convention or framework what others do in another",
        epilog=STATUSES,
    )
    parser.add_argument(
        "--from", dest="source", metavar="WHO", help="whose numbers they are, e.g. keras.SGD"
    )
    parser.add_argument(
        "--to", dest="target", metavar="WHO", help="whose are wanted, e.g. SGD/decoupled"
    )
    parser.add_argument(
        "values",
        nargs="*",
        metavar="NAME=VALUE",
        help="lr=0.1, lr=0.1,0.05 (one a step), nesterov=True, m=32 (the batch size), ...",
    )
    parser.add_argument("--json", action="store_true", help="as translation.schema.json has it")
    parser.add_argument("--list", action="store_true", help="who can be named, and what is known")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from oracles.reports.translation import as_json, lines, listed
    from oracles.translation import translate

    if options.list and options.json:
        raise Usage("--list is text; --json is for numbers: --from WHO --to WHO NAME=VALUE --json")
    if options.list:
        print("\n".join(shown(line, sys.stdout, " " * 6) for line in listed()))
        return 0
    if not (options.source and options.target):
        raise Usage("translate needs --from WHO and --to WHO; oracles translate --list shows them")
    pairs = [_value(text) for text in options.values]
    values = dict(pairs)
    for name, times in Counter(name for name, _ in pairs).items():
        if times > 1:
            raise Usage(f"{name} is given {times} times; allowed: once, e.g. {name}=0.1,0.05")
    try:
        found = translate(values, options.source, options.target)
    except ValueError as error:
        raise Usage(str(error)) from error
    if options.json:
        print(in_json(as_json(found)))
    else:
        print("\n".join(shown(line, sys.stdout) for line in lines(found)))
    return int(found.refusal is not None)


def _value(text: str) -> tuple[str, Any]:
    """A name and its value: a number, several with commas between, or a switch."""
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise Usage(f"{text!r} is not allowed; allowed: NAME=VALUE, e.g. lr=0.1")
    parts = [_one(part) for part in value.split(",")]
    return name, parts if len(parts) > 1 else parts[0]


SWITCHED = {"true": True, "false": False, "none": None}


def _one(text: str) -> Any:
    """What is written as Python has it, or as a fraction; all else as it is, to be refused."""
    if text.lower() in SWITCHED:
        return SWITCHED[text.lower()]
    try:
        return Fraction(text) if "/" in text else float(text)
    except (ValueError, ZeroDivisionError):
        return text
