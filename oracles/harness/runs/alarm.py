"""Code that is interrupted when its time is up, where it can be."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

AGAIN = 0.1
"""Seconds after which code that is to end, and goes on, is told so again."""


class TimeIsUp(BaseException):
    """Some code has had its time."""


@contextmanager
def alarm(seconds: float | None) -> Iterator[None]:
    """In the main thread :class:`TimeIsUp` is raised then, again and again until it is heard.

    Nothing is raised where the system has no such alarm, and if there is no limit.

    >>> with alarm(60):
    ...     print("done in time")
    done in time
    """
    if seconds is None or not hasattr(signal, "setitimer"):
        yield
        return

    def ring(*_: Any) -> None:
        raise TimeIsUp

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
