"""A fleet: stints of a soak on many processes, of this host or of others, by Dask's scheduler.

Each stint asks some cases of a seed of its own, and what it has seen counts when it is done. Of a
worker that is gone the scheduler gives the stints to others, from their beginning: nothing is lost
and nothing counts twice. Results come in the order of the stints, so that sums are the same to the
bit, whoever did what. ``distributed``, of the extra ``fleet``, brings the scheduler.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from oracles.harness.runs.tally import Tally
from oracles.harness.runs.workers import uninterrupted

if TYPE_CHECKING:
    from distributed import Client

    from oracles.harness.runs.soak import Stint

STINT = 16
"""Cases of one stint, which takes a second or two."""

AHEAD = 2
"""Stints for each thread that are handed out before the first of them is done."""

ALONE = threading.Lock()
"""Held by who asks: torch's settings are of the process, however many threads a worker has."""


@dataclass(frozen=True)
class Done:
    """What has come of a stint.

    Attributes:
        tally: what was seen, as plain data.
        failure: what is said of the shrunk case, if a subject failed.
        examples: what an example database is to keep of it.
    """

    tally: dict[str, Any]
    failure: str = ""
    examples: tuple[tuple[bytes, bytes], ...] = ()


def seeds(seed: int) -> Iterator[int]:
    """A seed for each stint.

    >>> from itertools import islice
    >>> len({*islice(seeds(0), 100), *islice(seeds(1), 100)})
    200
    """
    number = 0
    while True:
        sequence = np.random.SeedSequence(seed, spawn_key=(number,))
        yield int(sequence.generate_state(1, np.uint64)[0])
        number += 1


def results(
    client: Client, work: Callable[[Stint], Done], stints: Iterator[Stint]
) -> Iterator[tuple[Stint, Done]]:
    """What comes of the stints, in their order.

    Args:
        client: of the scheduler.
        work: what is done; it is pickled, and so are its results.
        stints: taken one by one, as there is room for them.
    """
    waiting: deque[tuple[Stint, Any]] = deque()
    while True:
        room = AHEAD * max(1, sum(client.ncores().values()))
        while len(waiting) < room and (stint := next(stints, None)) is not None:
            waiting.append((stint, client.submit(work, stint, pure=False)))
        if not waiting:
            return
        stint, future = waiting.popleft()
        yield stint, _done(stint, future)


def _done(stint: Stint, future: Any) -> Done:
    """What has come of a stint; whoever kills all that ask it has failed."""
    from distributed import KilledWorker

    try:
        done: Done = future.result()
    except KilledWorker:
        told = f"every process that asked died of it\n({stint.cases} cases of seed={stint.seed})"
        return Done(Tally().to_json(), told)
    return done


@contextmanager
def local(workers: int) -> Iterator[Client]:
    """So many processes of this host, of one thread each."""
    from distributed import Client, LocalCluster

    with uninterrupted():  # Ctrl-C is for us, and we end them
        cluster = LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address=None,
            memory_limit=0,
            silence_logs=logging.CRITICAL,
        )
    with cluster, Client(cluster) as client:
        yield client


@contextmanager
def remote(address: str) -> Iterator[Client]:
    """The workers of a scheduler that is there.

    Raises:
        OSError: it cannot be reached.
        ValueError: that is no address.
    """
    from distributed import Client

    with Client(address) as client:
        yield client
