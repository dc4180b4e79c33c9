"""Several processes for one list of errands, whose results come in the order of the list.

A worker is handed one errand at a time, so that the one whose errand kills it is known by name.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import connection
from typing import Any, Generic, TypeVar

from oracles.harness.runs.processes import SLICE, Child, Gone, Raised

Errand = TypeVar("Errand")
Result = TypeVar("Result")


class Died(Gone):
    """The result of an errand whose worker was gone before it had one."""

    def __str__(self) -> str:
        return f"the process that asked died of {super().__str__()}"


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "process_cpu_count"):
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_order(
    work: Callable[[Errand], Result],
    errands: Sequence[Errand],
    jobs: int = 1,
    *,
    ahead: Sequence[str] = (),
    of_one: Callable[[Errand], bool] = lambda errand: False,
) -> Generator[Result | Died, None, None]:
    """The results of ``work`` on each errand, in their order, each as soon as those before it.

    Closing the iterator, or an exception inside the loop over it, ends the workers at once.

    Args:
        work: what is done; it and its results are pickled if there are workers.
        errands: on what.
        jobs: number of processes; 1 does everything in this one.
        ahead: modules that workers find imported, where they can be forked.
        of_one: which errands one worker does, before any others: what they start for themselves is
            started once.

    Raises:
        Exception: what ``work`` raised, with its traceback as a note.
    """
    if jobs == 1:
        yield from map(work, errands)
        return
    crew = _Crew(work, ahead)
    try:
        yield from crew.results(errands, min(jobs, len(errands)), of_one)
    finally:
        crew.end()


def begun(ahead: Sequence[str]) -> Any:
    """What workers are started by, which from now on imports modules for them on Linux.

    It can fork them from a process that has imported torch and that nothing else happened in. Who
    knows early that there will be workers need not wait for that process.
    """
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    from multiprocessing import forkserver

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*ahead])
    with uninterrupted():  # which it inherits
        forkserver.ensure_running()
    return context


@dataclass(eq=False)
class _Worker:
    """One process, and the number of the errand it is on."""

    child: Child
    number: int | None = None

    def take(self, number: int, errand: Any) -> None:
        self.number = number
        self.child.send(errand)

    def result(self) -> Any:
        """What has come of the errand."""
        result = self.child.received()
        if isinstance(result, Gone):
            return Died(result.code)
        self.number = None
        return result


class _Crew(Generic[Errand, Result]):
    """The workers of one list of errands."""

    def __init__(self, work: Callable[[Errand], Result], ahead: Sequence[str]) -> None:
        self.context: Any = begun(ahead)
        self.work = work
        self.workers: list[_Worker] = []
        self.todo, self.of_one = deque[tuple[int, Errand]](), deque[tuple[int, Errand]]()

    def results(
        self, errands: Sequence[Errand], jobs: int, of_one: Callable[[Errand], bool]
    ) -> Iterator[Result | Died]:
        for number, errand in enumerate(errands):
            (self.of_one if of_one(errand) else self.todo).append((number, errand))
        done = dict[int, Any]()
        for number in range(len(errands)):
            while number not in done:
                self._hand_out(jobs)
                done |= self._collected()
            result = done.pop(number)
            if isinstance(result, Raised):  # in its turn, as without workers
                raise result.error
            yield result

    def end(self) -> None:
        """Kill all: none has anything to put in order."""
        with uninterrupted():
            for worker in self.workers:
                worker.child.process.kill()
            for worker in self.workers:
                worker.child.end()

    def _hand_out(self, jobs: int) -> None:
        """Keep everybody busy, and as many as were wanted."""
        for worker in self.workers:
            if worker.number is None and (queue := self._queue(worker)):
                worker.take(*queue.popleft())
        while len(self.workers) < jobs and (self.todo or (self.of_one and not self.workers)):
            self.workers.append(_Worker(Child(self.context, _serve, self.work, daemon=True)))
            self.workers[-1].take(*self._queue(self.workers[-1]).popleft())

    def _queue(self, worker: _Worker) -> deque[tuple[int, Errand]]:
        """From which errands a worker is handed the next one."""
        return self.of_one if self.of_one and worker is self.workers[0] else self.todo

    def _collected(self) -> dict[int, Any]:
        """Wait for a result, and take all there are; who died is off the list."""
        busy = {worker.number: worker for worker in self.workers if worker.number is not None}
        ready = connection.wait([worker.child.pipe for worker in busy.values()], SLICE)
        collected: dict[int, Any] = {}
        for number, worker in busy.items():
            if worker.child.pipe in ready or worker.child.gone:
                collected[number] = worker.result()
            if isinstance(collected.get(number), Died):
                self.workers.remove(worker)
        return collected


def _serve(pipe: Any, work: Callable[[Any], Any]) -> None:
    """What a worker does, until nobody is at the other end."""
    with suppress(EOFError, OSError):
        while True:
            pipe.send(_outcome(work, pipe.recv()))


def _outcome(work: Callable[[Any], Any], errand: Any) -> Any:
    try:
        return work(errand)
    except Exception as error:
        return Raised.noted(error)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ctrl-C is for others, and processes started here inherit that."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
