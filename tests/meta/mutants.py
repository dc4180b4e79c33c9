"""Mutation testing of torch's own optimizers: which one-place changes pass this suite?

    python -m tests.meta.mutants [--optimizer adam ...] [--sample N] [--only REGEX] [--tests]

First the unchanged file answers cases of every check, and which lines of it each answer runs is
noted. Then one place of the file is changed at a time, in memory and in a process of its own (no
file of the installation is touched), and the answers that run that place are asked for again. A
mutant is *caught* if one of them fails, if it cannot be imported, crashes or never ends. With
``--tests``, those that are left go through the tests below as well.

Survivors are printed with the reason why they are no hole, from ``harmless.py``. The exit status is
1 if one has no reason.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import os
import random
import re
import sys
import time
import types
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from itertools import chain, zip_longest
from multiprocessing import connection, get_context
from typing import Any

import pytest
import torch
from hypothesis import Phase, given, settings

from oracles.harness.cases.case import Case
from oracles.harness.checks.catalogue import checks
from oracles.harness.checks.check import Check
from oracles.harness.deviations.ledger import active
from oracles.harness.oracle import Oracle
from oracles.harness.runs.asking import ask, concerned
from oracles.harness.runs.profiles import IGNORED
from oracles.harness.subjects.selection import select
from oracles.harness.subjects.torch_optim import TorchSubject, quiet
from oracles.harness.verdict import Vacuous
from oracles.optimizers.registry import RULES
from oracles.rule import Rule
from tests.meta.harmless import reason
from tests.meta.mutation import Mutant, mutants

TESTS = (
    "tests/torch/test_deviations.py",
    "tests/torch/test_constructor.py",
    "tests/torch/test_refusals.py",
    "tests/torch/test_old_checkpoints.py",
    "tests/torch/test_checkpoints.py",
)
"""What else asks an optimizer, from the suite's own tests; those that are there."""

PROFILE = "mutants"

PYTEST = (
    *("-x", "-q", "-p", "no:cacheprovider", "-p", "no:unraisableexception"),
    f"--hypothesis-profile={PROFILE}",
    # Hypothesis is imported and used here before its plugin is loaded, which both warn of.
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),
    *("-W", "ignore::hypothesis.errors.HypothesisWarning"),
)

NAME = "torch.optim._mutant"
"""Where a mutant lives that is built beside the original."""

TIMEOUT = 120.0
"""Seconds until a mutant counts as endless."""

FAULT = "this command failed: "

HELPERS = (("SparseAdam", "torch.optim._functional"),)
"""Modules that hold an optimizer's arithmetic beside the one its class is in."""


@dataclass(frozen=True)
class Target:
    """A module whose source is mutated, and the rule that its optimizer follows."""

    rule: Rule
    module: str

    def __str__(self) -> str:
        return self.module.rpartition(".")[2]

    def source(self) -> str:
        """The installed text."""
        spec = find_spec(self.module)
        assert spec is not None and spec.origin is not None
        with open(spec.origin, encoding="utf-8") as file:
            return file.read()

    def plant(self, source: str) -> Any:
        """Run another text in the module's place, and return the optimizer that comes of it."""
        module = importlib.import_module(self.module)
        exec(compile(source, str(module.__file__), "exec"), module.__dict__)
        class_ = module.__dict__.get(self.rule.name, getattr(torch.optim, self.rule.name))
        setattr(torch.optim, self.rule.name, class_)
        return class_


def targets() -> dict[str, Target]:
    """All of them, by the names of their files."""
    there = {name: getattr(torch.optim, name) for name in RULES if hasattr(torch.optim, name)}
    # A class may say that it is from torch.optim itself; its methods know better.
    pairs = [*((name, class_.__init__.__module__) for name, class_ in there.items()), *HELPERS]
    found = [Target(RULES[name], module) for name, module in pairs if name in there]
    return {str(target): target for target in found}


@dataclass(frozen=True)
class Question:
    """A case, a check and a subject, and the lines of the module that its answer runs."""

    check: Check
    subject: TorchSubject
    oracle: Oracle
    lines: frozenset[int]

    def fails(self, optimizer: Any) -> bool:
        """Whether another class in the subject's place is found out."""
        try:
            subject = replace(self.subject, optimizer=optimizer)
            return ask(self.check, subject, self.oracle).failed
        except Vacuous:
            return False
        except Exception:  # of the harness itself, which no test would pass over either
            return True


def questions(target: Target, examples: int, seed: int) -> tuple[list[Question], int]:
    """What the unchanged optimizer answers well, in the order it is asked, and what it does not.

    The checks take turns, so that the first few questions of any kind have something of each.
    """
    subjects, _ = select(target.rule, on=("cpu",))
    file = find_spec(target.module)
    assert file is not None and file.origin is not None
    by_check, unfit = [], 0
    alike: dict[frozenset[int], frozenset[int]] = {}
    for check in checks(target.rule):
        asked = []
        for case in drawn(check, target.rule, examples):
            oracle = Oracle(target.rule, case)
            for subject in subjects:
                if not concerned(check, subject, case) or known(check, subject, case):
                    continue
                lines, fails = traced(file.origin, check, subject, oracle)
                unfit += fails
                if not fails:
                    asked.append(Question(check, subject, oracle, alike.setdefault(lines, lines)))
        random.Random(seed).shuffle(asked)
        by_check.append(asked)
    turns = chain.from_iterable(zip_longest(*by_check))
    return [question for question in turns if question is not None], unfit


def known(check: Check, subject: TorchSubject, case: Case) -> bool:
    """Whether the ledger says that this fails."""
    rows = active(subject.rule.name, subject.version)
    return any(row.covers(check.name, subject, case) for row in rows)


def drawn(check: Check, rule: Rule, examples: int) -> list[Case]:
    """As many cases of a check as its weight says; always the same."""
    cases: list[Case] = []

    @settings(max_examples=max(2, round(examples * check.weight)))
    @given(check.cases(rule))
    def draw(case: Case) -> None:
        cases.append(case)

    draw()
    return cases


def traced(
    file: str, check: Check, subject: TorchSubject, oracle: Oracle
) -> tuple[frozenset[int], bool]:
    """The lines of a file that an answer runs, and whether it fails."""
    lines: set[int] = set()

    def trace(frame: types.FrameType, event: str, arg: Any) -> Any:
        if frame.f_code.co_filename != file:
            return None
        lines.add(frame.f_lineno)
        return trace

    oracle(tensors=subject.tensors)  # is not to be traced
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        fails = ask(check, subject, oracle).failed
    except Vacuous:
        fails = True
    finally:
        sys.settrace(before)
    return frozenset(lines), fails


def verdict(
    mutant: Mutant, target: Target, asked: Sequence[Question], most: int, tests: Sequence[str]
) -> str:
    """What catches a mutant, in a process that may be spoilt; empty if nothing does."""
    try:
        optimizer = target.plant(mutant.source)
    except Exception as error:
        return f"cannot be imported: {type(error).__name__}: {error}"
    for question in asked[:most]:
        if question.fails(optimizer):
            return f"check: {question.check.name}"
    if not tests:
        return ""
    first = First()
    status = pytest.main([*PYTEST, *tests], plugins=[first])
    return first.failed or ("" if status == 0 else f"pytest: exit status {int(status)}")


class First:
    """A pytest plugin that remembers the first test that failed."""

    failed = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self.failed:
            self.failed = report.nodeid.removeprefix("tests/")


def build(source: str, package: str) -> types.ModuleType:
    """A module from source, under :data:`NAME`, so that its relative imports work."""
    module = types.ModuleType(NAME)
    module.__package__ = package
    sys.modules[NAME] = module
    exec(compile(source, f"<{NAME}>", "exec"), module.__dict__)
    return module


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant: what caught it, if anything did, and how many questions reach it."""

    mutant: Mutant
    caught: str
    reached: int


def examine(target: Target, chosen: Sequence[Mutant], options: argparse.Namespace) -> list[Outcome]:
    """Ask about each mutant; prints what was asked and how long each took."""
    began = time.monotonic()
    asked, unfit = questions(target, options.examples, options.seed)
    gc.freeze()
    left_out = f" ({unfit} fail without any change and are left out)" if unfit else ""
    print(f"{target}: {len(asked)} questions{left_out}, {time.monotonic() - began:.0f} s")
    by_line: dict[int, set[int]] = defaultdict(set)
    for number, question in enumerate(asked):
        for line in question.lines:
            by_line[line].add(number)

    def reaching(mutant: Mutant) -> list[Question]:
        return [asked[i] for i in sorted(set().union(*(by_line[n] for n in mutant.lines)))]

    tests = [test for test in TESTS if options.tests and os.path.exists(test)]
    unchanged = Mutant("unchanged", 0, "", "", range(0), "", target.source().encode(), 0)
    jobs = [(unchanged, asked), *((mutant, reaching(mutant)) for mutant in chosen)]
    outcomes = []
    ask = partial(verdict, target=target, most=options.questions, tests=tests)
    for mutant, reach, caught, seconds in ask_all(jobs, ask, options.jobs):
        if options.verbose or not caught:
            print(f"{seconds:6.1f} s  {mutant}  {caught or 'SURVIVED'}", flush=True)
        if caught.startswith(FAULT) or (caught and mutant is unchanged):
            raise SystemExit(f"{target}: {mutant}: {caught}; so no verdict is to be trusted")
        if mutant is not unchanged:
            outcomes.append(Outcome(mutant, caught, len(reach)))
    print(f"{target}: {time.monotonic() - began:.0f} s")
    return sorted(outcomes, key=lambda outcome: (outcome.mutant.start, outcome.mutant.after))


Job = tuple[Mutant, list[Question]]


def ask_all(
    waiting: Sequence[Job], ask: Callable[..., str], jobs: int
) -> Iterator[tuple[Mutant, list[Question], str, float]]:
    """``(mutant, questions, what caught it, seconds)``, each from a process of its own."""
    fork = get_context("fork")
    queue = list(waiting)[::-1]
    running: dict[int, tuple[Any, Any, Job, float]] = {}
    while queue or running:
        while queue and len(running) < jobs:
            job = queue.pop()
            receiver, sender = fork.Pipe(duplex=False)
            process = fork.Process(target=_child, args=(ask, job, sender))
            process.start()
            sender.close()
            running[process.sentinel] = (process, receiver, job, time.monotonic())
        connection.wait(list(running), timeout=1)
        for key, (process, receiver, job, began) in list(running.items()):
            seconds = time.monotonic() - began
            if process.is_alive() and seconds < TIMEOUT:
                continue
            del running[key]
            if process.is_alive():
                process.kill()
                caught = "endless"
            else:
                caught = receiver.recv() if receiver.poll() else f"crash: {process.exitcode}"
            process.join()
            yield *job, caught, seconds


def _child(ask: Callable[..., str], job: Job, sender: Any) -> None:
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    try:
        sender.send(ask(job[0], asked=job[1]))
    except BaseException as error:
        sender.send(f"{FAULT}{type(error).__name__}: {error}")


def load_profile() -> None:
    """What catches a mutant need not be shrunk, nor be kept for the next run."""
    settings.register_profile(
        PROFILE,
        max_examples=160,
        derandomize=True,
        database=None,
        deadline=None,
        phases=(Phase.generate,),
        report_multiple_bugs=False,
        suppress_health_check=IGNORED,
    )
    settings.load_profile(PROFILE)


def report(target: Target, outcomes: Sequence[Outcome]) -> int:
    """Print the score by function, what catches, and the survivors; returns how many are holes."""
    print(f"\n{target}: caught / without those that have a reason / all")
    why = {
        o: reason(str(target), o.mutant, reached=o.reached > 0) for o in outcomes if not o.caught
    }
    for name in dict.fromkeys(o.mutant.function for o in outcomes):
        own = [o for o in outcomes if o.mutant.function == name]
        killed = sum(bool(o.caught) for o in own)
        print(f"  {name}: {killed} / {sum(not why.get(o) for o in own)} / {len(own)}")
    counts = Counter(re.split(r"\[|: ", o.caught)[-1 if ": " in o.caught else 0] for o in outcomes)
    print("caught by", ", ".join(f"{what} ({n})" for what, n in counts.most_common() if what))
    for text in dict.fromkeys(filter(None, why.values())):
        print(f"survive: {text}")
        print(*(f"    {o.mutant}" for o in why if why[o] == text), sep="\n")
    holes = [o for o in why if not why[o]]
    print("survive without a reason")
    print(*(f"    {o.mutant}{'' if o.reached else '  (not reached)'}" for o in holes), sep="\n")
    killed = sum(bool(o.caught) for o in outcomes)
    print(f"{target}: {killed} of {len(outcomes)} caught, {len(holes)} survive without a reason")
    return len(holes)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    there = targets()
    options = _options(there).parse_args(arguments)
    quiet()
    load_profile()
    holes = 0
    for name in options.optimizer or there:
        target = there[name]
        chosen = [m for m in mutants(target.source()) if re.search(options.only, str(m))]
        if options.sample and options.sample < len(chosen):
            chosen = random.Random(options.seed).sample(chosen, options.sample)
        if options.list:
            print(*(f"{target}/{mutant}" for mutant in chosen), sep="\n")
        elif chosen:
            holes += report(target, examine(target, chosen, options))
    return int(bool(holes))


def _options(there: dict[str, Target]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.meta.mutants", description=__doc__)
    add = parser.add_argument
    add("--optimizer", nargs="+", choices=there, metavar="FILE", help="files (default: all)")
    add("--sample", type=int, default=0, metavar="N", help="as many mutants of a file (0: all)")
    add("--only", default="", metavar="REGEX", help="only mutants whose description it finds")
    add("--examples", type=int, default=4, help="cases of a check of weight 1")
    add("--questions", type=int, default=600, help="the most that one mutant is asked")
    add("--seed", type=int, default=0, help="of the sample and of the order of questions")
    add("--jobs", type=int, default=1, help="mutants at a time")
    add("--tests", action="store_true", help="send survivors through the suite's tests, too")
    add("--verbose", action="store_true", help="print every mutant, not only those that survive")
    add("--list", action="store_true", help="list the mutants and stop")
    return parser


if __name__ == "__main__":
    sys.exit(main())
