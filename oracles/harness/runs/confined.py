"""Questions about somebody's code, asked in a process of its own, which can be ended.

Such code may hang, exit or crash. A question that it does not survive is lost, with the reason, and
the others are asked of a new process.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oracles.harness.runs.processes import Child, Gone, Raised

Interview = Callable[[Mapping[str, Any]], Iterator[tuple[str, Callable[[], Any]]]]
"""Told the answers there are, by question, it goes on with the next questions, each with a function
that answers it. It sees new answers in the same mapping."""

SHARE = 1 / 3
"""How much of the time one question may take: one that hangs leaves some for the others."""

PATIENCE = 3
"""So many times its limit a process may last that the machine does not let work, or that sleeps."""

REST = "all that was not asked"
"""The last question, where there are others that were not asked; its answer says why."""


@dataclass(frozen=True)
class Lost:
    """There is no answer.

    Attributes:
        why: what the code did instead.
    """

    why: str

    def __str__(self) -> str:
        return self.why


def late(seconds: float) -> str:
    """What code does that takes longer, or what is asked of it.

    >>> late(20)
    'gives no answer within 20 s; if it is only slow, raise --time-limit (in Python time_limit=)'
    """
    more = "if it is only slow, raise --time-limit (in Python time_limit=)"
    return f"gives no answer within {seconds:.2g} s; {more}"


_DONE = ("no more questions",)


def answers(interview: Interview, time_limit: float | None) -> Iterator[tuple[str, Any]]:
    """Questions and answers, as they come; within a time limit in a process of their own."""
    if time_limit is None:
        return at_once(interview)
    if importlib.util.find_spec("torch"):  # a step on NumPy's arrays needs none
        importlib.import_module("oracles.harness.subjects.trial").warm()
    return confined(interview, time_limit)


def at_once(interview: Interview) -> Iterator[tuple[str, Any]]:
    """Questions and their answers, in this process."""
    known: dict[str, Any] = {}
    for question, ask in interview(known):
        known[question] = ask()
        yield question, known[question]


def confined(interview: Interview, seconds: float) -> Iterator[tuple[str, Any]]:
    """Questions and their answers, as they come; those that are lost as :class:`Lost`.

    When the time is up, no more come, and whatever is being asked has no answer. :data:`REST` is
    the last one then, and where a process does not live to ask anything.

    Args:
        interview: what is asked; it and its answers are pickled where processes are not forked.
        seconds: for all questions together, of what a process works, if it does.

    Raises:
        Exception: what our own part of a question raised, with its traceback as a note.
    """
    known: dict[str, Any] = {}
    time_left = _Left(seconds)
    before = -1
    while len(known) > before:  # a process that asks nothing at all is the last one
        before = len(known)
        child = _started(interview, known)
        try:
            while isinstance(question := time_left.received(child), str):
                answer = time_left.received(child, seconds * SHARE)
                if isinstance(answer, Lost) and not time_left:
                    break  # it might have had one
                known[question] = answer
                yield question, answer
                if isinstance(answer, Lost):
                    break
        finally:
            _ended(child)
        if question == _DONE:
            return
        if not time_left:
            question = Lost("the time was up")
            break
    yield REST, question


def _started(interview: Interview, known: Mapping[str, Any]) -> Child:
    """The process that asks; a forked one knows classes that have no name to be imported by."""
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    return Child(context, _serve, interview, known)


@dataclass
class _Left:
    """The time that is left; while a process waits for others to work, little of it goes by."""

    seconds: float

    def __bool__(self) -> bool:
        return self.seconds > 0

    def received(self, child: Child, most: float = math.inf) -> Any:
        """The next that a process says, or that it is lost.

        Raises:
            Exception: our own part of it raised.
        """
        seconds, spent = min(most, self.seconds), _spending(child.process.pid)
        try:
            while (left := seconds - spent()) > 0:
                try:
                    said = child.received(left)
                except TimeoutError:
                    continue
                return _told(said)
        finally:
            self.seconds -= spent()
        return Lost(late(seconds))


def _told(said: Any) -> Any:
    """What a process has said, or that it is lost.

    Raises:
        Exception: our own part of it raised.
    """
    if isinstance(said, Gone):
        return Lost(f"{'is ended by' if said.code < 0 else 'ends its process with'} {said}")
    if isinstance(said, Raised):
        raise said.error
    return said


def _spending(process: int) -> Callable[[], float]:
    """The seconds that a process spends from now on.

    Those that it works: on a busy machine right code waits for others. Of those that it sleeps
    every so many, so that it has an end.
    """
    began, before = time.monotonic(), _worked(process)

    def spent() -> float:
        wall = time.monotonic() - began
        return min(wall, max(_worked(process) - before, wall / PATIENCE))

    return spent


def _worked(process: int) -> float:
    """The CPU's seconds of a process; the wall's where nobody can tell."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, AttributeError):  # the system keeps no such file
        return time.monotonic()


def _ended(child: Child) -> None:
    """Kill it, and whatever it has started."""
    with suppress(ProcessLookupError, PermissionError, AttributeError):
        os.killpg(child.process.pid, signal.SIGKILL)
    child.end()


def _serve(pipe: Any, interview: Interview, known: dict[str, Any]) -> None:
    """What the process does. It leaves nothing behind: no handlers at exit, no waiting threads."""
    if hasattr(os, "setsid"):
        os.setsid()
    _silence()
    try:
        for question, ask in interview(known):
            if question in known:
                continue
            pipe.send(question)
            known[question] = ask()
            pipe.send(known[question])
        pipe.send(_DONE)
    except Exception as error:
        pipe.send(Raised.noted(error))
    except BaseException as error:  # nobody else can interrupt us
        pipe.send(Lost(f"raises {type(error).__name__}"))
    finally:
        os._exit(0)


def _silence() -> None:
    """Whatever is printed without being heard goes nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    sys.stdout = sys.stderr = os.fdopen(nowhere, "w", encoding="utf-8")
