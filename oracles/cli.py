"""The command ``oracles``: it parses, calls and prints; what it does is in ``oracles.commands``."""

from __future__ import annotations

import argparse
import atexit
import gc
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version

from oracles.commands import check, compare, explain, identify, loop, matrix, page, soak, translate
from oracles.commands.command import INTERRUPTED, STATUSES, Parser, Usage, in_options

UNREAD = 128 + 13
"""As shells report SIGPIPE, which Windows does not know."""

COMMANDS = (check, loop, identify, translate, explain, compare, matrix, page, soak)
"""In the order in which help lists them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit status, as :data:`STATUSES` says."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
    except Usage as error:
        print(f"oracles: {in_options(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # before there was anything to report
        return INTERRUPTED
    except BrokenPipeError:  # whoever reads has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing more is flushed
        return UNREAD
    return status


class _Version(argparse.Action):
    """Look for the version only if it is asked for: a checkout need not be installed."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"oracles {version('optimizer-oracles')}")
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="oracles", description="Conformance of optimizer update rules.", epilog=STATUSES
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print it")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return parser


# What is there at the end need not be looked through once more.
atexit.register(gc.freeze)

if __name__ == "__main__":
    raise SystemExit(main())
