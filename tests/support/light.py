"""What ranks that have no torch are asked to do, which start in a tenth of the time."""

from __future__ import annotations

import os
import time

from oracles.harness.subjects.processes import Rank


def join(rank: Rank) -> None:
    """There is no group to enter."""


def whose(rank: Rank) -> int:
    """The process of a rank."""
    return os.getpid()


def hangs(rank: Rank) -> None:
    """The last rank does not come back."""
    while rank.number == rank.world - 1:
        time.sleep(1)
