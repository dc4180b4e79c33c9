"""The command ``oracles``: it parses, calls and prints; what it does is in ``oracles.commands``."""

from __future__ import annotations

import argparse
import atexit
import gc
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version

from oracles.commands.command import (
    INTERRUPTED,
    JSON,
    STATUSES,
    Parser,
    Usage,
    in_options,
    missing,
    refuse,
)

UNREAD = 128 + 13
"""As shells report SIGPIPE, which Windows does not know."""

COMMANDS = (
    "check",
    "loop",
    "identify",
    "translate",
    "explain",
    "compare",
    "matrix",
    "page",
    "soak",
)
"""In the order in which help lists them; modules of ``oracles.commands``."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit status, as :data:`STATUSES` says."""
    atexit.register(gc.freeze)  # what is there at the end need not be looked through once more
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        parser = _parser(given)
        if not given:
            parser.print_help(sys.stderr)
            return 2
        options = parser.parse_args(given)
        status: int = options.run(options)
    except Usage as error:
        refuse(in_options(str(error)), as_json=JSON in given)
        return 2
    except ModuleNotFoundError as error:
        if not (told := missing(error)):
            raise
        refuse(told, as_json=JSON in given)
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


def _parser(given: Sequence[str] = ()) -> argparse.ArgumentParser:
    """Of the command that is called, which waits for no other; of all where none is."""
    parser = Parser(
        prog="oracles",
        description="Which rule does an optimizer follow, and what changed?",
        epilog=STATUSES,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print it")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    called = given[:1] if given and given[0] in COMMANDS else COMMANDS
    for command in called:
        import_module(f"oracles.commands.{command}").add(commands)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
