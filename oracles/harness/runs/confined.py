"""Questions about somebody's code, asked in a process of its own, which can be ended.

Such code may hang, exit or crash. A question that it does not survive is lost, with the reason, and
the others are asked of a new process.
"""

from __future__ import annotations

import importlib
import importlib.util
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from oracles.harness.runs.processes import Child, Gone, Raised

Interview = Callable[[Mapping[str, Any]], Iterator[tuple[str, Callable[[], Any]]]]
"""Told the answers there are, by question, it goes on with the next questions, each with a function
that answers it. It sees new answers in the same mapping."""

SHARE = 1 / 3
"""How much of the time one question may take: one that hangs leaves some for the others."""

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
        seconds: for all questions together.

    Raises:
        Exception: what our own part of a question raised, with its traceback as a note.
    """
    known: dict[str, Any] = {}
    end = time.monotonic() + seconds
    before = -1
    while len(known) > before:  # a process that asks nothing at all is the last one
        before = len(known)
        child = _started(interview, known)
        try:
            while isinstance(question := _received(child, end - time.monotonic()), str):
                answer = _received(child, min(seconds * SHARE, end - time.monotonic()))
                if isinstance(answer, Lost) and time.monotonic() >= end:
                    break  # it might have had one
                known[question] = answer
                yield question, answer
                if isinstance(answer, Lost):
                    break
        finally:
            _ended(child)
        if question == _DONE:
            return
        if time.monotonic() >= end:
            question = Lost("the time was up")
            break
    yield REST, question


def _started(interview: Interview, known: Mapping[str, Any]) -> Child:
    """The process that asks; a forked one knows classes that have no name to be imported by."""
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    return Child(context, _serve, interview, known)


def _received(child: Child, seconds: float) -> Any:
    """The next that it says, or that it is lost.

    Raises:
        Exception: our own part of it raised.
    """
    try:
        said = child.received(seconds)
    except TimeoutError:
        return Lost(f"does not return within {seconds:.2g} s")
    if isinstance(said, Gone):
        return Lost(f"{'is ended by' if said.code < 0 else 'ends its process with'} {said}")
    if isinstance(said, Raised):
        raise said.error
    return said


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
