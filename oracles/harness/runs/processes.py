"""A process that works for this one, says what has come of it, and can be ended."""

from __future__ import annotations

import math
import pickle
import signal
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

SLICE = 0.02
"""Seconds between two looks at whether a process is there: one that it has forked may keep its pipe
open."""


@dataclass(frozen=True)
class Gone:
    """A process has ended without saying more.

    Attributes:
        code: its exit code; if negative, the signal that ended it.

    >>> str(Gone(3)), str(Gone(-int(signal.SIGTERM)))
    ('exit code 3', 'signal SIGTERM')
    """

    code: int

    def __str__(self) -> str:
        names = {-number: f"signal {number.name}" for number in signal.Signals}
        return names.get(self.code, f"exit code {self.code}")


@dataclass(frozen=True)
class Raised:
    """An error of our own, which is to be raised here; those of subjects are results."""

    error: Exception

    @classmethod
    def noted(cls, error: Exception) -> Raised:
        """With where it was raised, which no traceback here would show.

        What cannot go from process to process goes as its words.
        """
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            error = RuntimeError(f"{type(error).__name__}: {error}")
        error.add_note(traceback.format_exc())
        return cls(error)


class Child:
    """A process, and the pipe to it.

    Args:
        context: of :mod:`multiprocessing`.
        serve: what the process does, ``serve(pipe, *given)``.
        given: arguments of it, which are pickled where processes are not forked.
        daemon: whether it may start no processes, and ends with this one.
    """

    def __init__(
        self, context: Any, serve: Callable[..., None], *given: Any, daemon: bool = False
    ) -> None:
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(serve, theirs, *given), daemon=daemon)
        self.process.start()
        theirs.close()  # so that the end of the process is the end of the file

    def send(self, what: Any) -> None:
        """Tell it something, if it is there."""
        with suppress(OSError):  # it is gone, which reading tells, too
            self.pipe.send(what)

    @property
    def gone(self) -> bool:
        """Whether it has ended, and all that it said was read."""
        return self.process.exitcode is not None and not self.pipe.poll()

    def received(self, seconds: float = math.inf) -> Any:
        """The next that it says, or :class:`Gone`.

        Raises:
            TimeoutError: it says nothing in that time.
        """
        end = time.monotonic() + seconds
        while not self.pipe.poll(SLICE):
            if self.gone:
                return Gone(self.process.exitcode)
            if time.monotonic() > end:
                raise TimeoutError
        try:
            return self.pipe.recv()
        except (EOFError, OSError):  # it ends, or has closed its end and goes on
            while self.process.exitcode is None:
                if time.monotonic() > end:
                    raise TimeoutError from None
                time.sleep(SLICE)  # joining it waits for a file of its own, which it closes, too
            return Gone(self.process.exitcode)

    def end(self) -> None:
        """Kill it: it has nothing to put in order."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _serve(serve: Callable[..., None], *given: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever is interrupted ends us
    serve(*given)
