"""``oracles matrix``: a report of each release of torch, one environment at a time."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from oracles.commands.command import Usage, add_reports, ending_once, progress, writable
from oracles.reports.environments import releases


def add(commands: Any) -> None:
    """Its arguments."""
    parser = commands.add_parser(
        "matrix",
        help="run the releases of torch one by one, and write what changed when",
        epilog="An environment is made for each release, asked, and removed. What has been "
        "recorded is not asked again, so that an interrupted run goes on where it stopped. Exit "
        "status: 0 if all releases are recorded, 1 if one could not be installed or asked, 2 if "
        "the call is off.",
    )
    add_reports(parser)
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        help="also write what `oracles page` does there",
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from oracles import files
    from oracles.reports.matrix import record_missing, recorded, versions
    from oracles.reports.page import write

    try:
        known = releases(options.releases)
        for folder in filter(None, (options.folder, options.output)):
            writable(folder / "VERSIONS.md")
        failed = 0
        with ending_once():
            for release, error in record_missing(known, options.folder, progress):
                print(f"torch {release}: {error or 'recorded'}", flush=True)
                failed += bool(error)
        reports = recorded(known, options.folder)
    except (OSError, ValueError) as error:
        raise Usage(str(error)) from error
    if reports:
        files.write(options.folder / "VERSIONS.md", versions(reports).encode())
    if reports and options.output:
        write(options.output, reports)
    return int(bool(failed))
