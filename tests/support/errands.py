"""What ranks are asked to do in tests of the ranks themselves."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import torch
import torch.distributed as dist

from oracles.harness.subjects.processes import Rank
from tests.support import light


def added(number: float, rank: Rank) -> float:
    """The sum over ranks of a number and each one's own."""
    total = torch.tensor([number + rank.number])
    dist.all_reduce(total)
    return float(total)


def killed(rank: Rank) -> float:
    """The last rank is ended by a signal while the others wait for it."""
    if rank.number == rank.world - 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return added(0, rank)


def exits(rank: Rank) -> float:
    if rank.number == rank.world - 1:
        os._exit(3)
    return added(0, rank)


def raises(rank: Rank) -> float:
    if rank.number == rank.world - 1:
        raise ValueError("a number that is not there")
    return added(0, rank)


def waits(rank: Rank) -> float:
    """The last rank hangs while the others wait for it."""
    light.hangs(rank)
    return added(0, rank)


def unspeakable(rank: Rank) -> object:
    """An answer that cannot be handed over."""
    return lambda: rank


@contextmanager
def doubled() -> Iterator[None]:
    """Sums over ranks that are twice what they should be."""
    proper = dist.all_reduce

    def twice(tensor: torch.Tensor) -> None:
        proper(tensor)
        tensor *= 2

    with mock.patch.object(dist, "all_reduce", twice):
        yield
