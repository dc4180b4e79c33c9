"""``oracles page``: reports as static HTML, with a feed and badges beside it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from oracles.commands.command import Usage
from oracles.reports.environments import RELEASES, releases


def add(commands: Any) -> None:
    """Its arguments."""
    parser = commands.add_parser(
        "page",
        help="the reports of `oracles matrix` as static HTML",
        epilog="exit status: 0, or 2 if the call is off",
    )
    parser.add_argument("--releases", type=Path, default=RELEASES, metavar="FILE", help="which")
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path("reports"),
        help="where the reports are (default: %(default)s)",
    )
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
        write(options.output, recorded(releases(options.releases), options.folder))
    except ModuleNotFoundError as error:
        raise Usage(
            f"this needs Jinja2 (pip install 'optimizer-oracles[page]'): {error}"
        ) from error
    except (OSError, ValueError) as error:
        raise Usage(str(error)) from error
    return 0
