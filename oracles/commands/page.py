"""``oracles page``: reports as static HTML, with a feed and badges beside it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from oracles.commands.command import Usage, add_reports, writable
from oracles.reports.environments import releases


def add(commands: Any) -> None:
    """Its arguments."""
    parser = commands.add_parser(
        "page",
        help="the reports of `oracles matrix` as static HTML",
        epilog="exit status: 0, or 2 if the call is off",
    )
    add_reports(parser)
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("site"),
        metavar="FOLDER",
        help="where the page is written (default: %(default)s)",
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from oracles.reports.matrix import recorded
    from oracles.reports.page import write

    try:
        reports = recorded(releases(options.releases), options.folder)
        if not reports:
            raise Usage(
                f"folder={str(options.folder)!r} has no report of any release of "
                f"{options.releases.name}; `oracles matrix --folder {options.folder}` makes them"
            )
        writable(options.output / "index.html")
        compared = f"{len(reports)} reports, each compared with each"
        print(f"{compared}: some seconds a release", file=sys.stderr)
        write(options.output, reports)
        print(options.output / "index.html")
    except (OSError, ValueError) as error:
        raise Usage(str(error)) from error
    return 0
