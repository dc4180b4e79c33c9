"""Ranks that die, raise or hang are named, and nothing is left of them, however they end."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from oracles.harness.loop.catalogue import questions
from oracles.harness.runs.parts import run_question, sites
from oracles.harness.runs.runner import Refuted
from oracles.harness.runs.tally import Tally
from oracles.harness.subjects import processes, ranks
from oracles.harness.subjects.processes import LostRank, Rank, ask
from tests.support import errands, light
from tests.support.errands import planting
from tests.support.hurried import hurried

pytestmark = pytest.mark.skipif(not ranks.there(), reason="no ranks: torch has no gloo here")


def lost(errand: Callable[..., object]) -> LostRank:
    """How it is said that two ranks did not answer."""
    with pytest.raises(LostRank) as told:
        ask(2, errand)
    return told.value


def living(number: int) -> bool:
    """Whether a process runs; one that nobody has waited for has ended."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # the latter if it ends while it is read
        return False


def test_each_rank_answers_in_order() -> None:
    assert ask(2, errands.added, 10.0) == [21.0, 21.0]
    first, second = ask(2, light.whose)
    assert first != second
    assert ask(2, light.whose) == [first, second], "a world is started once"


def test_there_may_be_worlds_of_several_sizes() -> None:
    assert ask(3, errands.added, 0.0) == [3.0] * 3
    assert ask(2, errands.added, 0.0) == [1.0] * 2
    assert not {*ask(3, light.whose)} & {*ask(2, light.whose)}


@pytest.mark.parametrize(
    ("errand", "sentence"),
    [
        (errands.killed, "rank 1 of 2 is ended by signal SIGKILL"),
        (errands.exits, "rank 1 of 2 ends its process with exit code 3"),
        (errands.raises, "rank 1 of 2 raises ValueError: a number that is not there"),
        (errands.waits, "rank 0 is in all_reduce, rank 1 is in hangs: not back within"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_rank_that_does_not_answer_is_named(
    errand: Callable[..., object], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = ask(2, light.whose)
    if errand is errands.waits:
        begun = time.monotonic()
        ask(2, errands.added, 0.0)
        ample = 1 + 9 * (time.monotonic() - begun)  # they would long have been back by then
        monkeypatch.setattr(processes, "LIMIT", ample)
    assert str(lost(errand)).startswith(sentence)
    monkeypatch.undo()
    assert not any(map(living, before)), "its world is ended"
    assert ask(2, errands.added, 0.0) == [1.0, 1.0], "and there is another one"


def test_where_a_rank_raised_is_noted() -> None:
    (note,) = lost(errands.raises).__notes__
    assert "in raises" in note


def test_an_answer_that_cannot_be_handed_over_is_an_error() -> None:
    with pytest.raises((AttributeError, pickle.PicklingError)) as refused:
        pickle.dumps(errands.unspeakable(Rank(0, 2, "")))
    assert f"raises {refused.type.__name__}" in str(lost(errands.unspeakable))


def test_what_is_planted_is_in_the_ranks_and_gone_again() -> None:
    with planting(errands.doubled):
        assert processes.ask(2, errands.added, 0.0) == [2.0, 2.0]
    assert ask(2, errands.added, 0.0) == [1.0, 1.0]


def test_a_question_fails_by_name_if_a_rank_is_lost() -> None:
    """In the middle of a question, after which others can be asked."""
    part = "DistributedDataParallel"
    (site,), _ = sites(part, ["2 ranks"], ["float32"])
    with hurried(), planting(errands.dying), pytest.raises(Refuted) as told:
        run_question(questions(part)[0], [site], Tally())
    assert "rank 1 of 2 is ended by signal SIGKILL" in str(told.value)
    assert str(told.value).startswith(f"{part} [2 ranks, float32, cpu]")
    assert ask(2, errands.added, 0.0) == [1.0, 1.0]


@pytest.fixture
def of_their_own(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Ranks of this test alone, so that those of the others go on; they have no torch."""
    monkeypatch.setattr(processes, "PRELOADED", ("tests.support.light",))
    monkeypatch.setattr(processes._Nursery, "there", None)  # noqa: SLF001
    yield
    processes.end()


@pytest.mark.usefixtures("of_their_own")
def test_nothing_is_left_at_the_end() -> None:
    numbers = ask(2, light.whose)
    nursery = processes._Nursery.there  # noqa: SLF001
    assert nursery is not None
    assert Path(nursery.folder).is_dir()
    processes.end()
    assert not any(map(living, [*numbers, nursery.process.pid]))
    assert not Path(nursery.folder).exists()
    processes.end()  # again, which changes nothing


@pytest.mark.usefixtures("of_their_own")
def test_ranks_whose_errands_need_no_torch_have_none() -> None:
    assert ask(2, light.modules) == [False, False]


@pytest.mark.usefixtures("of_their_own")
def test_nothing_is_left_of_ranks_whose_starter_is_killed() -> None:
    """Not even of those that are on an errand, which nobody tells of it."""
    numbers = ask(2, light.whose)
    nursery = processes._Nursery.there  # noqa: SLF001
    assert nursery is not None
    assert str(lost(light.orphaned)).startswith("the process that starts ranks is gone")
    assert not Path(nursery.folder).exists()
    end = time.monotonic() + processes.LIMIT
    while any(map(living, numbers)) and time.monotonic() < end:
        time.sleep(0.01)
    assert not any(map(living, [*numbers, nursery.process.pid]))
    assert ask(2, light.whose) != numbers, "and there are others"


ASKER = """
import os, signal, sys
from oracles.harness.subjects import processes
from tests.support import light
processes.PRELOADED = ("tests.support.light",)
print(*processes.ask(2, light.whose), flush=True)
print(processes._Nursery.there.process.pid, processes._Nursery.there.folder, flush=True)
sys.stdin.readline()
processes.ask(2, light.hangs)
"""


def test_nothing_is_left_of_one_who_is_killed_while_asking() -> None:
    asker = subprocess.Popen(
        [sys.executable, "-c", ASKER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert asker.stdin
    assert asker.stdout
    numbers = [int(word) for word in asker.stdout.readline().split()]
    nursery, folder = asker.stdout.readline().split()
    assert all(map(living, [*numbers, int(nursery)]))
    asker.stdin.write("\n")
    asker.stdin.flush()
    asker.kill()
    asker.communicate()
    end = time.monotonic() + processes.LIMIT
    while any(map(living, [*numbers, int(nursery)])) and time.monotonic() < end:
        time.sleep(0.01)
    assert not any(map(living, [*numbers, int(nursery)]))
    assert not Path(folder).exists()


def test_a_forked_process_has_ranks_of_its_own() -> None:
    ours = processes._Nursery.of_this_process()  # noqa: SLF001
    if (child := os.fork()) == 0:
        processes.end()  # which are not ours to end
        os._exit(processes._Nursery.there is not None)  # noqa: SLF001
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert living(ours.process.pid)
