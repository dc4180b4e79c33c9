"""Code that is interrupted: until it hears, and nobody else afterwards."""

from __future__ import annotations

import signal
import time

import pytest

from oracles.harness.runs.alarm import TimeIsUp, alarm

LONG = 60.0
"""Seconds that nothing here takes, unless there is no alarm."""

pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there are no alarms")


def hears_it_the_second_time() -> None:
    try:
        time.sleep(LONG)
    except TimeIsUp:
        time.sleep(LONG)


def test_it_is_raised_until_it_is_heard_and_never_again() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(TimeIsUp), alarm(0.01):
        hears_it_the_second_time()
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_without_a_limit_there_is_none() -> None:
    with alarm(None):
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
