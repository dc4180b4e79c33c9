"""A class of schedulers of one's own, as ``oracles check MODULE:NAME --rule SCHEDULE`` asks it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from oracles.commands import asked
from oracles.commands.command import Usage, in_json
from oracles.reports.text import FAILED, plain, say
from oracles.schedule_checking import ALL, check_schedule

ALSO = ("json", "not_promised", "time_limit")
"""Options of other code that it has, too."""

OPTIMIZERS: Mapping[str, Any] = {n: v for n, v in asked.OPTIONS.items() if n not in ALSO}


def is_one(options: argparse.Namespace) -> bool:
    """Whether a schedule is named as the rule of a class of one's own."""
    return bool(options.subject is not None and options.rule and options.rule[0] in ALL)


def run(options: argparse.Namespace) -> int:
    """Ask; returns the exit status.

    Raises:
        Usage: an option is for optimizers, or there is nobody to ask.
    """
    for name, default in {**OPTIMIZERS, **asked.STRICT, "dtype": [], "as_torch": False}.items():
        if getattr(options, name) != default:
            raise Usage(f"--{name.replace('_', '-')} is for optimizers, and no schedule has it")
    if len(options.rule) > 1:
        raise Usage(f"a class of schedulers is held to one schedule, here {options.rule[0]}")
    console = plain()
    if not options.json:
        say(console, f"asking {options.subject}")
    try:
        report = check_schedule(
            options.subject,
            options.rule[0],
            not_promised=options.not_promised,
            seed=options.seed,
            profile=options.profile,
            time_limit=asked.limit(options),
        )
    except (TypeError, ValueError) as error:
        raise Usage(str(error)) from error
    if options.json:
        print(in_json(report.to_json()))
    for line in () if options.json else str(report).splitlines():
        head = FAILED if line.startswith(FAILED) else ""
        say(console, line.removeprefix(head), head)
    return int(not report.ok)
