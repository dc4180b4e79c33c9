"""Several processes for one list of errands, whose results come in the order of the list.

A worker is handed one errand at a time, so that the one whose errand kills it is known by name.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import connection
from typing import Any, Generic, TypeVar

Errand = TypeVar("Errand")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Died:
    """The result of an errand whose worker was gone before it had one.

    Attributes:
        code: its exit code; if negative, the signal that ended it.
    """

    code: int

    def __str__(self) -> str:
        names = {-number: f"signal {number.name}" for number in signal.Signals}
        return f"the process that asked died of {names.get(self.code, f'exit code {self.code}')}"


@dataclass(frozen=True)
class _Raised:
    """An errand raised, which is our own error: those of subjects are results."""

    error: Exception


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
) -> Generator[Result | Died, None, None]:
    """The results of ``work`` on each errand, in their order, each as soon as those before it.

    Closing the iterator, or an exception inside the loop over it, ends the workers at once.

    Args:
        work: what is done; it and its results are pickled if there are workers.
        errands: on what.
        jobs: number of processes; 1 does everything in this one.
        ahead: modules that workers find imported, where they can be forked.

    Raises:
        Exception: what ``work`` raised, with its traceback as a note.
    """
    if jobs == 1:
        yield from map(work, errands)
        return
    crew = _Crew(work, ahead)
    try:
        yield from crew.results(errands, min(jobs, len(errands)))
    finally:
        crew.end()


class _Worker(Generic[Errand, Result]):
    """One process, and the errand it is on."""

    def __init__(self, context: Any, work: Callable[[Errand], Result]) -> None:
        self.number: int | None = None
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, work), daemon=True)
        self.process.start()
        theirs.close()  # so that the end of the process is the end of the file

    def take(self, number: int, errand: Errand) -> None:
        self.number = number
        with suppress(OSError):  # it is gone, which reading tells, too
            self.connection.send(errand)

    def result(self) -> Result | Died | _Raised:
        """What has come of the errand."""
        try:
            received = self.connection.recv()
        except (EOFError, OSError):
            self.process.join()
            return Died(self.process.exitcode or 0)
        self.number = None
        result: Result | _Raised = received
        return result


class _Crew(Generic[Errand, Result]):
    """The workers of one list of errands."""

    def __init__(self, work: Callable[[Errand], Result], ahead: Sequence[str]) -> None:
        # Linux can fork from a process that has imported torch and nothing else happened in.
        self.context: Any = multiprocessing.get_context(
            "forkserver" if sys.platform == "linux" else "spawn"
        )
        self.work = work
        self.workers: list[_Worker[Errand, Result]] = []
        if sys.platform == "linux":
            self.context.set_forkserver_preload([*ahead])
            from multiprocessing import forkserver

            with uninterrupted():  # which it inherits
                forkserver.ensure_running()

    def results(self, errands: Sequence[Errand], jobs: int) -> Iterator[Result | Died]:
        todo, done = deque(enumerate(errands)), dict[int, Result | Died | _Raised]()
        for number in range(len(errands)):
            while number not in done:
                self._hand_out(todo, jobs)
                done |= self._collected()
            result = done.pop(number)
            if isinstance(result, _Raised):  # in its turn, as without workers
                raise result.error
            yield result

    def end(self) -> None:
        """Kill all: none has anything to put in order."""
        with uninterrupted():
            for worker in self.workers:
                worker.process.kill()
            for worker in self.workers:
                worker.process.join()
                worker.connection.close()

    def _hand_out(self, todo: deque[tuple[int, Errand]], jobs: int) -> None:
        """Keep everybody busy, and as many as were wanted."""
        for worker in self.workers:
            if worker.number is None and todo:
                worker.take(*todo.popleft())
        while todo and len(self.workers) < jobs:
            self.workers.append(_Worker(self.context, self.work))
            self.workers[-1].take(*todo.popleft())

    def _collected(self) -> dict[int, Result | Died | _Raised]:
        """Wait for a result, and take all there are; who died is off the list."""
        busy = {w.connection: w for w in self.workers if w.number is not None}
        collected: dict[int, Result | Died | _Raised] = {}
        for ready in connection.wait([*busy]):
            worker = busy[ready]
            number = worker.number
            assert number is not None
            collected[number] = worker.result()
            if isinstance(collected[number], Died):
                self.workers.remove(worker)
        return collected


def _serve(pipe: Any, work: Callable[[Any], Any]) -> None:
    """What a worker does, until nobody is at the other end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever is interrupted ends us
    try:
        while True:
            pipe.send(_outcome(work, pipe.recv()))
    except (EOFError, OSError):
        return


def _outcome(work: Callable[[Any], Any], errand: Any) -> Any:
    try:
        return work(errand)
    except Exception as error:
        error.add_note(traceback.format_exc())
        return _Raised(error)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ctrl-C is for others, and processes started here inherit that."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
