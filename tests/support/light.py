"""What ranks that have no torch are asked to do, which start in a tenth of the time."""

from __future__ import annotations

import os
import signal
import sys
import time

from oracles.harness.subjects.processes import Rank


def join(rank: Rank) -> None:
    """There is no group to enter."""


def whose(rank: Rank) -> int:
    """The process of a rank."""
    return os.getpid()


def modules(rank: Rank) -> bool:
    """Whether a rank has torch."""
    return "torch" in sys.modules


def orphaned(rank: Rank) -> None:
    """The last rank kills the process that has started it, and none comes back."""
    if rank.number == rank.world - 1:
        os.kill(os.getppid(), signal.SIGKILL)
    while True:
        time.sleep(1)


def hangs(rank: Rank) -> None:
    """The last rank does not come back."""
    while rank.number == rank.world - 1:
        time.sleep(1)
