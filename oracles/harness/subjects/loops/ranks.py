"""What processes tell one another of the loops that they have run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch.distributed as distributed

from oracles.harness.watching.events import Told


def gathered(told: Mapping[tuple[int, int], Told]) -> tuple[Mapping[tuple[int, int], Told], ...]:
    """What each process has to tell, in the order of their ranks; all must ask at once.

    Raises:
        RuntimeError: there are no other processes.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        raise RuntimeError("ranks=True, and torch.distributed is not initialized")
    every: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(every, dict(told))
    return tuple(every)
