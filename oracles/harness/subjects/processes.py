"""Processes that hold one process group, started once and asked many questions.

A *nursery* imports torch and forks the ranks of a world when they are first needed, which costs a
fiftieth of starting each by itself. It hands an errand to all ranks at once and waits for all their
answers. Where one of them dies, raises or hangs, others may be waiting for it for ever: the whole
world is ended, and the next errand finds a new one. However it ends who asked, the nursery notices
the end of its pipe and leaves nothing behind.

Ranks meet through a file in a temporary folder, and talk on this machine alone.
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import importlib
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NoReturn

from oracles.harness.subjects.subject import SubjectError, told

LIMIT = 60.0
"""Seconds that ranks have for an errand: a thousand times what they need."""

SLACK = 60.0
"""More seconds for the nursery, which imports torch and starts a world first."""

PRELOADED = (
    "oracles.harness.subjects.ahead",
    "oracles.optimizers.registry",
    "oracles.harness.subjects.checkpointed",
    "oracles.harness.subjects.ranks",
)
"""What ranks find imported; the last one has a function ``join``, which each does first."""

LATE = (
    "torch.distributed.algorithms.ddp_comm_hooks.default_hooks",
    "torch.distributed.algorithms.ddp_comm_hooks.post_localSGD_hook",
    "torch.distributed.checkpoint.state_dict",
    "torch.distributed.fsdp",
    "torch.distributed.optim",
    "torch.distributed.tensor",
)
"""What errands import as they need it, and each rank of each world would by itself. Some of it is
not in every torch, or cannot be imported by every Python: who needs that is told by the errand."""

LOOPBACK = {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo"}
"""By which interface ranks talk, unless the environment says so."""

Errand = Callable[..., Any]
"""What every rank does: a function that can be imported by its name. Its last argument is a
:class:`Rank`."""

WHERE, TRACE = signal.SIGUSR1, ".trace"
"""On that signal a rank writes down where it is, into a file with that suffix."""

FRAME = re.compile(r" in (\w+)")
"""A function in such a file, the innermost first."""

PF_EXITING = 0x4
"""Of the flags of a process in Linux: it is being ended."""

PATIENCE = 5.0
"""Seconds to wait for that, or for an orderly end."""


@dataclass(frozen=True)
class Rank:
    """One process of a world, as an errand is told.

    Attributes:
        number: from 0 on.
        world: how many there are.
        folder: for files of all of them, gone with the world.
    """

    number: int
    world: int
    folder: str


class LostRank(SubjectError):
    """Not all ranks of a world have answered; the message says which one did what instead."""


def ask(world: int, errand: Errand, *given: Any) -> list[Any]:
    """What each rank of a world returns.

    Args:
        world: how many ranks.
        errand: what each of them does.
        given: its arguments before the last one.

    Raises:
        LostRank: a rank died, raised or did not return in time. Nothing of its world is left.
    """
    return _Nursery.of_this_process().ask(world, pickle.dumps((errand, given)), LIMIT)


def end() -> None:
    """End all ranks that this process has started. The next errand starts new ones."""
    if _Nursery.there and _Nursery.there.owner == os.getpid():
        _Nursery.there.end()
    _Nursery.there = None


class _Nursery:
    """The nursery as this process sees it."""

    there: _Nursery | None = None

    def __init__(self) -> None:
        self.owner = os.getpid()
        self.folder = tempfile.mkdtemp(prefix="oracles-ranks-")
        self.said = Path(self.folder, "said")
        self.pipe, theirs = Pipe()
        program = (
            f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import serve; "
            f"serve({theirs.fileno()}, {self.folder!r}, {PRELOADED!r})"
        )
        with self.said.open("wb") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-c", program],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                env={**LOOPBACK, **os.environ},
                start_new_session=True,
            )
        theirs.close()  # so that the end of the process is the end of the file

    @classmethod
    def of_this_process(cls) -> _Nursery:
        """The one there is; a forked process has none yet."""
        if cls.there is None or cls.there.owner != os.getpid():
            cls.there = cls()
        return cls.there

    def ask(self, world: int, sent: bytes, seconds: float) -> list[Any]:
        late = False
        try:
            self.pipe.send((world, sent, seconds))
            late = not self.pipe.poll(seconds + SLACK)
            answers = [] if late else self.pipe.recv()
        except (EOFError, OSError):
            answers = []
        except BaseException:  # whoever asks next would be given this answer
            end()
            raise
        if not answers:
            what = "does not answer" if late else "is gone"
            said = self.said.read_text(encoding="utf-8", errors="replace")
            end()
            raise LostRank(f"the process that starts ranks {what}: {said.strip()[-2000:]}")
        if isinstance(answers, Lost):
            lost = LostRank(answers.why)
            if answers.raised:
                lost.add_note(answers.raised)
            raise lost
        return [pickle.loads(answer) for answer in answers]

    def end(self) -> None:
        """End it with all that it has started."""
        self.pipe.close()  # which it is told by, and waits for its ranks to have ended
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(PATIENCE)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


atexit.register(end)


# --- in the nursery ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Lost:
    """Why there is no answer.

    Attributes:
        why: what happened instead.
        raised: the traceback of a rank that raised.
    """

    why: str
    raised: str = ""


def serve(descriptor: int, folder: str, preloaded: Sequence[str]) -> None:
    """What the nursery does, until nobody is at the other end of its pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever is interrupted ends us
    *_, ranks = map(importlib.import_module, preloaded)
    if "torch" in sys.modules:  # errands that have nothing to do with it need none of that
        _import_what_there_is(LATE)
    worlds = _Worlds(Connection(descriptor), folder, pickle.dumps((ranks.join, ())))
    try:
        while True:
            worlds.serve(*worlds.asker.recv())
    except (EOFError, OSError):
        worlds.end()


def _import_what_there_is(names: Sequence[str]) -> None:
    """Import them, and leave out what cannot be."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what torch deprecates of itself
        for name in names:
            with contextlib.suppress(Exception):
                importlib.import_module(name)


class _Worlds:
    """All that the nursery has started, by how many ranks there are."""

    def __init__(self, asker: Connection, folder: str, join: bytes) -> None:
        self.asker = asker
        self.folder = folder
        self.join = join
        self.there: dict[int, _World] = {}

    def serve(self, ranks: int, sent: bytes, seconds: float) -> None:
        """Ask, and hand over what came of it."""
        answers: list[bytes] | Lost = []
        if ranks not in self.there:
            self.there[ranks] = _World(ranks, self._pipes(), self.folder)
            answers = self.there[ranks].ask(self.join, LIMIT, self.asker)
        if not isinstance(answers, Lost):
            answers = self.there[ranks].ask(sent, seconds, self.asker)
        if isinstance(answers, Lost):
            self.there.pop(ranks).end()
        self.asker.send(answers)

    def _pipes(self) -> list[Connection]:
        return [self.asker, *(pipe for world in self.there.values() for pipe in world.pipes)]

    def end(self) -> None:
        """End all ranks, and remove their files."""
        for world in self.there.values():
            world.end()
        shutil.rmtree(self.folder, ignore_errors=True)


class _World:
    """The processes of one group."""

    def __init__(self, ranks: int, others: Sequence[Connection], folder: str) -> None:
        self.folder = tempfile.mkdtemp(dir=folder)
        self.pipes: list[Connection] = []
        self.pids: list[int] = []
        for number in range(ranks):
            ours, theirs = Pipe()
            if (pid := os.fork()) == 0:
                for pipe in (*others, *self.pipes, ours):  # or nobody sees where they end
                    pipe.close()
                _live(theirs, Rank(number, ranks, self.folder))
            theirs.close()
            self.pipes.append(ours)
            self.pids.append(pid)

    def ask(self, sent: bytes, seconds: float, asker: Connection) -> list[bytes] | Lost:
        """The answers of all ranks, or why they are not all there.

        Raises:
            EOFError: whoever asks is gone.
        """
        for pipe in self.pipes:
            with contextlib.suppress(OSError):  # it is gone, which reading tells, too
                pipe.send_bytes(sent)
        end = time.monotonic() + seconds
        answers: dict[int, bytes] = {}
        while late := {pipe: n for n, pipe in enumerate(self.pipes) if n not in answers}:
            ready = wait([*late, asker], max(0.0, end - time.monotonic()))
            if asker in ready:  # who has nothing to say meanwhile
                raise EOFError
            if not ready:
                where = ", ".join(self._where(n) for n in late.values())
                return Lost(f"{where}: not back within {seconds:.3g} s")
            for pipe, number in late.items():
                if pipe in ready:
                    answer = self._heard(number)
                    if isinstance(answer, Lost):
                        return answer
                    answers[number] = answer
        return [answers[n] for n in range(len(self.pipes))]

    def _heard(self, number: int) -> bytes | Lost:
        """What a rank says; if it has failed, because another one is gone, that."""
        answer: bytes | Lost = Lost("")
        with contextlib.suppress(EOFError, OSError):
            answer = self.pipes[number].recv()
        if isinstance(answer, Lost):
            for other, pid in enumerate(self.pids):
                if _is_ending(pid):
                    return Lost(f"rank {other} of {len(self.pids)} {self._ended(other)}")
        return answer

    def _ended(self, number: int) -> str:
        """How a rank ends."""
        _, status = os.waitpid(self.pids[number], 0)
        self.pids[number] = 0
        code = os.waitstatus_to_exitcode(status)
        if code < 0:
            return f"is ended by signal {signal.Signals(-code).name}"
        return f"ends its process with exit code {code}"

    def _where(self, number: int) -> str:
        """Which function a rank is in."""
        os.kill(self.pids[number], WHERE)
        written = Path(self.folder, f"{number}{TRACE}")
        end = time.monotonic() + PATIENCE
        while not (frames := FRAME.findall(written.read_text())) and time.monotonic() < end:
            time.sleep(PATIENCE / 100)
        return f"rank {number} is in {frames[0] if frames else 'no function'}"

    def end(self) -> None:
        """Kill them all: none has anything to put in order."""
        for pid in filter(None, self.pids):
            os.kill(pid, signal.SIGKILL)
        for pid in filter(None, self.pids):
            os.waitpid(pid, 0)
        for pipe in self.pipes:
            pipe.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def _is_ending(pid: int) -> bool:
    """Whether a process is on its way out, which it is before anybody finds its end of a pipe."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return fields[0] == "Z" or bool(int(fields[6]) & PF_EXITING)


# --- in a rank -----------------------------------------------------------------------------------


def _live(pipe: Connection, rank: Rank) -> NoReturn:
    """What a rank does, until nobody is at the other end of its pipe."""
    try:
        with Path(rank.folder, f"{rank.number}{TRACE}").open("w") as written:
            faulthandler.register(WHERE, written, all_threads=False)
            while True:
                pipe.send(_answer(pipe.recv_bytes(), rank))
    finally:
        os._exit(0)


def _answer(sent: bytes, rank: Rank) -> bytes | Lost:
    try:
        errand, given = pickle.loads(sent)
        return pickle.dumps(errand(*given, rank))
    except Exception as error:
        why = f"rank {rank.number} of {rank.world} raises {told(error)}"
        return Lost(why, traceback.format_exc())
