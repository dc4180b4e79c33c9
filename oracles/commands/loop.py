"""``oracles loop MODULE:FUNCTION``: what does not hold in a training loop?"""

from __future__ import annotations

import argparse
from typing import Any

from oracles.commands.command import SEVERAL, STATUSES, Usage, count, in_json, positive, several
from oracles.harness.watching.events import MEAN, SUM
from oracles.reports.text import plain
from oracles.reports.watched import show
from oracles.watching import check_loop

TIME_LIMIT = 60.0
"""Seconds that a training may take, if nothing else is said."""


def add(commands: Any) -> None:
    """Its arguments."""
    parser = commands.add_parser(
        "loop",
        help="run a function that trains: what does not hold in it?",
        epilog=f"{STATUSES}; what could not be told is a question that is open, and no failure",
    )
    parser.add_argument(
        "fit", metavar="MODULE:FUNCTION", help="a function that trains, without arguments"
    )
    parser.add_argument(
        "--steps",
        type=count,
        metavar="N",
        help="end it after so many steps of its optimizers (default: when it ends by itself)",
    )
    parser.add_argument(
        "--loss",
        choices=(MEAN, SUM),
        help="what a step is to follow, of the losses of all its rows (default: either)",
    )
    parser.add_argument(
        "--accumulation", type=count, metavar="N", help="how many backward passes make a step"
    )
    parser.add_argument(
        "--weight-decay",
        type=float,  # check_loop says what is allowed, and 0 is
        metavar="NUMBER",
        help="as it is meant, where a group has any",
    )
    parser.add_argument(
        "--allow",
        action="extend",
        default=[],
        type=several,
        metavar="FAULT",
        help=f'a fault that is meant so, e.g. "never cleared"; {SEVERAL}',
    )
    parser.add_argument(
        "--time-limit",
        type=positive,
        default=TIME_LIMIT,
        metavar="SECONDS",
        help="after which it is ended (default: %(default)g)",
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON, and no more")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    try:
        report = check_loop(
            options.fit,
            steps=options.steps,
            loss=options.loss,
            accumulation=options.accumulation,
            weight_decay=options.weight_decay,
            allow=options.allow,
            time_limit=options.time_limit,
        )
    except (TypeError, ValueError) as error:
        raise Usage(str(error)) from error
    if options.json:
        print(in_json(report.to_json()))
    else:
        show(report, plain())
    return int(not report.ok)
