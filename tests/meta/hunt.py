"""Hunting the mutants of one file, in processes that they may spoil.

A process asks a few mutants, one after another, and in the end the unchanged file, too, what has
caught them: if that is caught now, or if the process ends before, each is asked in one of its own.
"""

from __future__ import annotations

import gc
import os
import sys
import time
import types
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing import connection, get_context
from typing import Any

from hypothesis import Phase, settings

from oracles.harness.runs.profiles import IGNORED
from tests.meta.harmless import Row, excuse
from tests.meta.mutation import Mutant
from tests.meta.questions import Question, Target, questions

PROFILE = "mutants"

NAME = "torch.optim._mutant"
"""Where a mutant lives that is built beside the original."""

PATIENCE = 10
"""How often as long as the unchanged file a mutant may take to answer, and some seconds more."""

BATCH = 40
"""Mutants that share a process."""

FAULT = "this command failed: "


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant.

    Attributes:
        mutant: the change.
        caught: the question that caught it, or what else happened; empty if nothing did.
        reached: how many questions run its place.
        row: the excuse of a survivor, if there is one.
    """

    mutant: Mutant
    caught: str
    reached: int
    row: Row | None = None

    @property
    def unexplained(self) -> bool:
        """Whether it survives without a reason."""
        return not self.caught and self.row is None


@dataclass(frozen=True)
class Effort:
    """How long to look.

    Attributes:
        examples: cases of a check of weight 1.
        questions: the most that a mutant is asked, unless it survives without a reason.
        seed: of the order of questions.
        jobs: mutants at a time.
        verbose: whether to print every mutant, not only survivors without a reason.
    """

    examples: int = 8
    questions: int = 250
    seed: int = 0
    jobs: int = 1
    verbose: bool = False


class Hunt:
    """The questions about one file, and what its mutants answer."""

    def __init__(self, target: Target, effort: Effort) -> None:
        self.target, self.effort = target, effort
        began = time.monotonic()
        self.asked, unfit = questions(target, effort.examples, effort.seed)
        gc.collect()
        gc.freeze()  # so that children share what they only read
        left_out = f" ({unfit} fail without any change and are left out)" if unfit else ""
        spent = time.monotonic() - began
        print(f"{target}: {len(self.asked)} questions{left_out}, {spent:.0f} s", flush=True)
        self._by_line: dict[int, list[int]] = defaultdict(list)
        for number, question in enumerate(self.asked):
            for line in question.lines:
                self._by_line[line].append(number)
        self._timeout = 10 + PATIENCE * self._hold_unchanged()

    def examine(self, chosen: Sequence[Mutant]) -> list[Outcome]:
        """What becomes of each, in the order of the source."""
        most = self.effort.questions
        found = {outcome.mutant: outcome for outcome in self._ask(chosen, most)}
        doubtful = [o.mutant for o in found.values() if o.unexplained and o.reached > most]
        found |= {outcome.mutant: outcome for outcome in self._ask(doubtful, None)}
        return sorted(found.values(), key=lambda o: (o.mutant.start, o.mutant.after))

    def _reaching(self, mutant: Mutant) -> list[Question]:
        numbers = set().union(*(self._by_line.get(line, ()) for line in mutant.lines))
        return [self.asked[number] for number in sorted(numbers)]

    def _ask(self, mutants: Sequence[Mutant], most: int | None) -> Iterator[Outcome]:
        reaching = {mutant: self._reaching(mutant) for mutant in mutants}
        jobs = [(mutant, asked[:most]) for mutant, asked in reaching.items()]
        for mutant, caught, seconds in self._answers(jobs):
            if caught.startswith(FAULT):
                raise SystemExit(f"{self.target}: {mutant}: {caught}; no verdict is to be trusted")
            reached = len(reaching[mutant])
            row = None if caught else excuse(str(self.target), mutant, reached=reached > 0)
            outcome = Outcome(mutant, caught, reached, row)
            if self.effort.verbose or outcome.unexplained:
                print(f"{seconds:6.1f} s  {mutant}  {caught or 'SURVIVED'}", flush=True)
            yield outcome

    def _answers(self, jobs: Sequence[Job]) -> Iterator[tuple[Mutant, str, float]]:
        """What catches each: some at a time, and one by one what is left of those."""
        alone: list[Job] = []
        ask, timeout = partial(verdicts, self.target), self._timeout
        batches = [jobs[i : i + BATCH] for i in range(0, len(jobs), BATCH)]
        for batch, answer, seconds in ask_all(batches, ask, self.effort.jobs, timeout):
            if isinstance(answer, str):
                alone += batch
                continue
            for (mutant, _), caught in zip(batch, answer, strict=True):
                yield mutant, caught, seconds / len(batch)
        for (job,), answer, seconds in ask_all(
            [[job] for job in alone], ask, self.effort.jobs, timeout
        ):
            yield job[0], answer if isinstance(answer, str) else answer[0], seconds

    def _hold_unchanged(self) -> float:
        """Seconds in which the unchanged file answers everything."""
        unchanged = Mutant("unchanged", 0, "", "", range(0), "", self.target.source().encode(), 0)
        ask = partial(verdicts, self.target)
        ((_, answer, seconds),) = ask_all([[(unchanged, self.asked)]], ask, 1, 600.0)
        if answer != [""]:
            raise SystemExit(f"{self.target}: the unchanged file is caught: {answer}")
        return seconds


def verdicts(target: Target, batch: Sequence[Job]) -> list[str]:
    """What catches each mutant, in a process that they may spoil; empty if nothing does.

    Raises:
        Spoilt: the unchanged file is caught afterwards by what has caught a mutant.
    """
    catchers = [catcher(target, mutant, asked) for mutant, asked in batch]
    if len(batch) > 1:
        unchanged = target.plant(target.source())
        if any(one.fails(unchanged) for one in catchers if one and one is not UNIMPORTABLE):
            raise Spoilt
    return ["" if one is None else one.name for one in catchers]


class Spoilt(Exception):
    """What a process says after some mutant in it is not to be trusted."""


UNIMPORTABLE = Question("it cannot be imported", lambda optimizer: True, frozenset())


def catcher(target: Target, mutant: Mutant, asked: Sequence[Question]) -> Question | None:
    """The first question that catches a mutant."""
    try:
        optimizer = target.plant(mutant.source)
    except Exception:
        return UNIMPORTABLE
    return next((question for question in asked if question.fails(optimizer)), None)


def build(source: str, package: str) -> types.ModuleType:
    """A module from source, under :data:`NAME`, so that its relative imports work."""
    module = types.ModuleType(NAME)
    module.__package__ = package
    sys.modules[NAME] = module
    exec(compile(source, f"<{NAME}>", "exec"), module.__dict__)
    return module


Job = tuple[Mutant, list[Question]]
Ask = Callable[[Sequence[Job]], list[str]]


def ask_all(
    waiting: Sequence[Sequence[Job]], ask: Ask, jobs: int, timeout: float
) -> Iterator[tuple[Sequence[Job], list[str] | str, float]]:
    """``(batch, answers, seconds)``, each from a process of its own; or why there is no answer."""
    fork = get_context("fork")
    queue = list(waiting)[::-1]
    running: dict[int, tuple[Any, Any, Sequence[Job], float]] = {}
    while queue or running:
        while queue and len(running) < jobs:
            batch = queue.pop()
            receiver, sender = fork.Pipe(duplex=False)
            process = fork.Process(target=_child, args=(ask, batch, sender), daemon=True)
            process.start()
            sender.close()
            running[process.sentinel] = (process, receiver, batch, time.monotonic())
        connection.wait(list(running), timeout=min(1.0, timeout))
        for key, (process, receiver, batch, began) in list(running.items()):
            seconds = time.monotonic() - began
            if process.is_alive() and seconds < timeout:
                continue
            del running[key]
            if process.is_alive():
                process.kill()
                answer: list[str] | str = "it never ends"
            else:
                answer = _answer(receiver)
            process.join()
            receiver.close()
            yield batch, answer, seconds


def _answer(receiver: Any) -> list[str] | str:
    """What a process that has ended had to say."""
    try:
        answer: list[str] | str = receiver.recv()
    except EOFError:
        return "it crashes"
    return answer


def _child(ask: Ask, batch: Sequence[Job], sender: Any) -> None:
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    try:
        sender.send(ask(batch))
    except BaseException as error:
        sender.send(f"{FAULT}{type(error).__name__}: {error}")


def load_profile(examples: int = 160) -> None:
    """What catches a mutant need not be shrunk, nor be kept for the next run."""
    settings.register_profile(
        PROFILE,
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=(Phase.generate,),
        report_multiple_bugs=False,
        suppress_health_check=IGNORED,
    )
    settings.load_profile(PROFILE)
