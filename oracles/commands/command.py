"""What commands share: exit statuses, calls that are off, and types of arguments."""

from __future__ import annotations

import argparse
import importlib
import math
import signal
import sys
from typing import Any

STATUSES = (
    "exit status: 0 if all is as expected, 1 if something failed, 2 if the call is off, 130 if "
    "Ctrl-C ended it"
)

INTERRUPTED = 128 + signal.SIGINT
"""As shells report it."""


class Usage(ValueError):
    """The call cannot be carried out as it stands."""


def positive(text: str) -> float:
    """A number of seconds."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a finite number of seconds above 0")
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
    """The class that ``package.module:Class`` names, looked up from the current folder, too."""
    sys.path.insert(0, "")
    module, _, attribute = name.partition(":")
    try:
        if not (module and attribute):
            raise ImportError("there is no module before, or no class after, a colon")
        found = getattr(importlib.import_module(module), attribute, None)
        if found is None:
            raise ImportError(f"{module} has no {attribute}")
    except ImportError as error:
        raise Usage(f"subject={name!r} is not MODULE:CLASS of a class: {error}") from error
    if not isinstance(found, type) or not hasattr(found, "step"):
        raise Usage(f"subject={name!r} has no step: it is no class of optimizers")
    return found
