"""Questions in a process of their own: whatever happens to it, the other answers come."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any
from unittest import mock

import pytest

from oracles.harness.runs import confined as module
from oracles.harness.runs.confined import PATIENCE, REST, SHARE, Lost, at_once, confined, late
from tests.support import clock

Asked = tuple[str, Callable[[], Any]]


def exits() -> Any:
    os._exit(3)


def interrupts() -> Any:
    raise KeyboardInterrupt


def closes_all_and_hangs() -> Any:
    os.closerange(3, 64)
    clock.hang()


def leaves_a_process_behind() -> Any:
    """One that keeps the pipe open."""
    if os.fork() == 0:
        time.sleep(1e6)
    os._exit(3)


def interview(middle: Callable[[], Any], known: Mapping[str, Any]) -> Iterator[Asked]:
    """Three questions; the last one hangs on the first answer."""
    yield "first", partial(int, "3")
    yield "middle", middle
    yield "last", partial(str, known["first"])


@pytest.mark.parametrize(
    ("middle", "why"),
    [
        (exits, "ends its process with exit code 3"),
        (partial(signal.raise_signal, signal.SIGTERM), "is ended by signal SIGTERM"),
        (clock.hang, late(1)),
        (closes_all_and_hangs, late(1)),
        (interrupts, "raises KeyboardInterrupt"),
        pytest.param(
            leaves_a_process_behind,
            "ends its process with exit code 3",
            marks=pytest.mark.skipif(not hasattr(os, "fork"), reason="nobody forks here"),
        ),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else None,
)
def test_a_lost_question_leaves_the_others(middle: Callable[[], Any], why: str) -> None:
    seconds = 3 if middle in (clock.hang, closes_all_and_hangs) else 600
    with clock.stopped():
        told = dict(confined(partial(interview, middle), seconds))
    assert told == {"first": 3, "middle": Lost(why), "last": "3"}


def test_answers_are_the_same_in_this_process() -> None:
    todo = partial(interview, partial(dict[str, Any]().get, "nothing"))
    told = [("first", 3), ("middle", None), ("last", "3")]
    assert [*at_once(todo)] == [*confined(todo, 600)] == told


def test_nothing_comes_after_the_time() -> None:
    told = dict(confined(partial(interview, clock.hang), 1e-3))
    assert "last" not in told
    assert told[REST] == Lost("the time was up")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody can tell how much is worked")
def test_of_time_in_which_a_process_does_not_work_little_counts() -> None:
    """Right code waits for others on a busy machine; one that works all the time has its limit."""
    limit = 6.0
    ended = {}
    for works in (False, True):
        with clock.stopped() as time_is:
            worked = mock.patch.object(module, "_worked", lambda _, at=time_is: at.now)
            with worked if works else nullcontext():
                told = dict(confined(partial(interview, clock.hang), limit))
            ended[works] = time_is.now
        assert told["middle"] == Lost(late(limit * SHARE))
    assert ended[True] < PATIENCE * limit * SHARE <= ended[False]


@pytest.mark.skipif(sys.platform != "linux", reason="only forked processes know what is local")
def test_it_is_told_why_the_rest_was_not_asked() -> None:
    def todo(known: Mapping[str, Any]) -> Iterator[Asked]:
        yield "first", partial(int, "3")
        exits()
        yield "last", partial(int, "7")

    told = dict(confined(todo, 600))
    assert told == {"first": 3, REST: Lost("ends its process with exit code 3")}


def test_our_own_errors_are_raised() -> None:
    with pytest.raises(ValueError, match="invalid literal") as caught:
        dict(confined(partial(interview, partial(int, "x")), 600))
    assert "in _serve" in "".join(caught.value.__notes__)


class Particular(Exception):
    """It holds what goes to no other process, whoever has taught errors to be pickled."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.lock = threading.Lock()


def _particular() -> None:
    raise Particular("our fault")


def test_our_own_errors_that_go_to_no_other_process_are_told_in_words() -> None:
    with pytest.raises(RuntimeError, match="Particular: our fault") as caught:
        dict(confined(partial(interview, _particular), 600))
    assert "in _particular" in "".join(caught.value.__notes__)


@pytest.mark.skipif(sys.platform != "linux", reason="only forked processes know what is local")
def test_what_is_asked_may_be_local() -> None:
    def todo(known: Mapping[str, Any]) -> Iterator[Asked]:
        yield "it", lambda: os.getpid()

    assert dict(confined(todo, 600))["it"] != os.getpid()
