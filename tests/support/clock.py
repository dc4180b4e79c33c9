"""A clock that stands still while somebody answers, and goes on while they hang.

So a limit is up as soon as that means something, and never while an answer is on its way.
"""

from __future__ import annotations

import mmap
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn
from unittest import mock

from oracles.harness.runs import confined, processes

STEP = 0.1
"""Seconds from one look at the clock to the next while somebody hangs."""

_HANGS = mmap.mmap(-1, 8)
"""The number of the process that hangs, for all that are forked from one another."""


def hanging() -> None:
    """Say that this process never returns."""
    _HANGS[:] = os.getpid().to_bytes(8)


def hang() -> NoReturn:
    """Never return, and say so."""
    hanging()
    while True:
        time.sleep(1)


class Clock:
    """In place of :mod:`time`, for those who wait for an answer."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        """It is later than at the last look if somebody hangs."""
        self.now += STEP * _there(int.from_bytes(_HANGS[:]))
        return self.now

    sleep = staticmethod(time.sleep)


def _there(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return process > 0


@contextmanager
def stopped() -> Iterator[Clock]:
    """Inside, time goes by while somebody hangs; where nobody forks it goes by as ever."""
    _HANGS[:], clock = bytes(8), Clock()
    if sys.platform != "linux":
        yield clock
        return
    with mock.patch.object(confined, "time", clock), mock.patch.object(processes, "time", clock):
        yield clock
