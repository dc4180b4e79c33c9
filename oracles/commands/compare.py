"""``oracles compare``: what changed from one torch to another."""

from __future__ import annotations

import argparse
import json
from typing import Any

from oracles.commands.command import Usage, ending_once, progress


def add(commands: Any) -> None:
    """Its arguments."""
    parser = commands.add_parser(
        "compare",
        help="what changed from one torch to another",
        epilog="exit status: 0 if nothing is worse, 1 if a rule or a default changed, a failure or "
        "a known deviation is new, or a place or an argument is gone; 2 if the call is off, or a "
        "report was cut",
    )
    for name, which in (("before", "earlier"), ("after", "later")):
        parser.add_argument(
            name,
            help=f"the {which} one: a file that --report wrote, or a version of torch, which is "
            "run in an environment that is made for it and removed",
        )
    parser.add_argument("-v", "--verbose", action="store_true", help="each place for itself")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="for a program")
    form.add_argument("--markdown", action="store_true", help="for a comment on a pull request")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from oracles.reports.changes import markdown, terminal
    from oracles.reports.comparison import compare
    from oracles.reports.environments import NotMade

    try:
        with ending_once():
            comparison = compare(options.before, options.after, tell=progress)
    except (ValueError, OSError, NotMade) as error:
        raise Usage(str(error)) from error
    if options.json:
        print(json.dumps(comparison.to_json(), ensure_ascii=False))
    elif options.markdown:
        print(markdown(comparison), end="")
    else:
        print(terminal(comparison, full=options.verbose))
    return int(bool(comparison.worse))
