"""What commands share: exit statuses, calls that are off, and types of arguments."""

from __future__ import annotations

import argparse
import math
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from oracles.harness.subjects import importing
from oracles.harness.subjects.subject import SubjectError

STATUSES = (
    "exit status: 0 if all is as expected, 1 if something failed, 2 if the call is off, 130 if "
    "Ctrl-C ended it"
)

INTERRUPTED = 128 + signal.SIGINT
"""As shells report it."""


class Usage(ValueError):
    """The call cannot be carried out as it stands."""


def progress(said: str) -> None:
    """Say how far it is, beside what is printed."""
    print(said, file=sys.stderr, flush=True)


@contextmanager
def ending_once() -> Iterator[None]:
    """Ctrl-C and SIGTERM end what goes on, and with it what it made; a second one changes nothing.

    Raises:
        SystemExit: with the status that shells report of the signal.
    """

    def end(number: int, _: Any) -> None:
        for each in before:
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def positive(text: str) -> float:
    """A number above 0: of seconds, or of radii."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a finite number above 0")
    return value


def natural(text: str) -> int:
    """A whole number from 0 on."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 0 on")
    return int(text)


def count(text: str) -> int:
    """A whole number from 1 on."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1 on")
    return int(text)


def imported(name: str) -> Any:
    """What ``package.module:name`` is.

    Raises:
        Usage: it is not there, or its module cannot be imported.
    """
    try:
        return importing.imported(name)
    except SubjectError as error:
        raise Usage(f"subject={name!r} cannot be imported: {error.sentence}") from error


def optimizer(name: str) -> Any:
    """The class of optimizers that ``package.module:Class`` is.

    Raises:
        Usage: it is not there, or is no such class.
    """
    found = imported(name)
    if not isinstance(found, type) or not hasattr(found, "step"):
        raise Usage(f"subject={name!r} has no step: it is no class of optimizers")
    return found
