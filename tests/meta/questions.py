"""What a mutant of torch's own file is asked, and which lines of the file each answer runs.

Of an optimizer three kinds: cases of every check on every path; tests of the suite that ask a class
by itself (what it keeps, refuses, and makes of older state); and the recorded runs that LBFGS is
held to. Of a file around the step: cases of the questions of its parts, and their tests.
"""

from __future__ import annotations

import importlib
import inspect
import random
import sys
import types
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from itertools import chain, product, zip_longest
from typing import Any

import pytest
import torch
from hypothesis import given, settings

from oracles.harness.cases.case import Case
from oracles.harness.checks.catalogue import checks
from oracles.harness.checks.check import Check
from oracles.harness.deviations.ledger import known
from oracles.harness.loop.catalogue import PARTS, Home
from oracles.harness.loop.catalogue import questions as asked_of
from oracles.harness.loop.question import Question as Asked
from oracles.harness.oracle import Oracle
from oracles.harness.runs.asking import ask, concerned
from oracles.harness.runs.parts import known_flaw, sites
from oracles.harness.runs.profiles import seeded
from oracles.harness.subjects.selection import select
from oracles.harness.subjects.subject import Place
from oracles.harness.subjects.torch_optim import TorchSubject
from oracles.harness.verdict import Vacuous
from oracles.optimizers.registry import REPLAYED, RULES
from oracles.rule import Rule

TESTS = (
    "tests.torch.test_refusals",
    "tests.torch.test_checkpoints",
    "tests.torch.test_older_states",
    "tests.torch.test_switches",
    "tests.torch.test_loops",
    "tests.torch.test_backward",
)
"""What else asks an optimizer, from the suite's own tests."""

OF_ONE = {
    "Adam": ("tests.torch.test_adam_tensors",),
    "AdamW": ("tests.torch.test_adam_tensors",),
    "SGD": (
        "tests.torch.test_constructor",
        "tests.torch.test_old_checkpoints",
        "tests.torch.test_differentiable",
    ),
    "LBFGS": ("tests.torch.test_lbfgs", "tests.torch.test_lbfgs_deviations"),
}
"""Those that ask a single one."""

REPLAYS = "tests.torch.test_lbfgs_zoo"
"""Where the runs are that LBFGS is asked."""

HELPERS = (("SparseAdam", "torch.optim._functional"),)
"""Modules that hold an optimizer's arithmetic beside the one its class is in."""

QUICK = 100
"""Cases that are asked before anything else."""

Fails = Callable[[Any], bool]
"""Whether an optimizer in the place of torch's is found out."""


Kinds = Sequence[Sequence[tuple[str, Fails]]]
"""Questions by their kind, those that take longest first."""


class Target:
    """A module whose source is mutated."""

    module: str

    def unchanged(self) -> Any:
        """What :meth:`plant` gives of the unchanged source."""
        raise NotImplementedError

    def plant(self, source: str) -> Any:
        """Run another text in the module's place, and return what comes of it and is asked."""
        raise NotImplementedError

    def kinds(self, examples: int) -> Kinds:
        """Everything that it may be asked."""
        raise NotImplementedError

    def __str__(self) -> str:
        return self.module.rpartition(".")[2]

    @property
    def file(self) -> str:
        """Where its source is."""
        spec = find_spec(self.module)
        assert spec is not None and spec.origin is not None
        return spec.origin

    def source(self) -> str:
        """The installed text."""
        with open(self.file, encoding="utf-8") as file:
            return file.read()


@dataclass(frozen=True)
class OfOptimizer(Target):
    """A module, and the name of the optimizer it is about."""

    optimizer: str
    module: str

    def unchanged(self) -> Any:
        return getattr(torch.optim, self.optimizer)

    def plant(self, source: str) -> Any:
        module = importlib.import_module(self.module)
        exec(compile(source, str(module.__file__), "exec"), module.__dict__)
        class_ = module.__dict__.get(self.optimizer, getattr(torch.optim, self.optimizer))
        setattr(torch.optim, self.optimizer, class_)
        return class_

    def kinds(self, examples: int) -> Kinds:
        rule = RULES.get(self.optimizer)
        others = [*tests_of(self), *replays_of(self)]
        return [others, *(cases_of(rule, examples) if rule else ())]


@dataclass(frozen=True)
class Around(Target):
    """A module of what stands around a step, and the tests that ask it beside the questions."""

    module: str
    tests: tuple[str, ...]

    def unchanged(self) -> Any:
        return importlib.import_module(self.module)

    def plant(self, source: str) -> Any:
        """Run another text in the module, wherever its names have been imported, too."""
        module = importlib.import_module(self.module)
        before = {id(value): name for name, value in vars(module).items() if _is_of(value, module)}
        homes = [(other, name, before[id(value)]) for other, name, value in _names_of_all(before)]
        exec(compile(source, str(module.__file__), "exec"), module.__dict__)
        for other, name, own in homes:
            setattr(other, name, vars(module)[own])
        return module

    def kinds(self, examples: int) -> Kinds:
        modules = map(importlib.import_module, self.tests)
        asked = [question for part in self.parts() for question in asked_of(part)]
        return [[*calls(modules)], *(cases_of_part(question, examples) for question in asked)]

    def parts(self) -> list[str]:
        """The parts of the loop that it has the source of."""
        return [part for part, home in PARTS.items() if _is_in(self.module, home, part)]


def _names_of_all(ids: Container[int]) -> list[tuple[Any, str, Any]]:
    """Where certain objects are, under whatever name: ``(module, name, object)``."""
    return [
        (other, name, value)
        for other in [*sys.modules.values()]
        for name, value in [*getattr(other, "__dict__", {}).items()]
        if id(value) in ids
    ]


def _is_of(value: Any, module: types.ModuleType) -> bool:
    return getattr(value, "__module__", None) == module.__name__


def _is_in(module: str, home: Home, part: str) -> bool:
    """Whether a part is there, and its source or that of a class it is made of is in a module."""
    try:
        owner: Any = getattr(importlib.import_module(home.torch), part, None)
    except Exception:  # what an older torch has not, or not for this Python
        return False
    owner = inspect.unwrap(owner) if owner else None
    return any(one.__module__ == module for one in getattr(owner, "__mro__", (owner,)) if one)


AROUND = (
    Around("torch.optim.lr_scheduler", ("tests.torch.test_schedules",)),
    Around("torch.optim.swa_utils", ("tests.torch.test_averaging", "tests.torch.test_schedules")),
    Around("torch.nn.utils.clip_grad", ("tests.torch.test_clipping",)),
    Around("torch.amp.grad_scaler", ("tests.torch.test_scaler",)),
)
"""Files around the step."""


def targets() -> dict[str, Target]:
    """All of them, by the names of their files."""
    names = [name for name in (*RULES, *REPLAYED) if hasattr(torch.optim, name)]
    # A class may say that it is from torch.optim itself; its methods know better.
    pairs = [(name, getattr(torch.optim, name).__init__.__module__) for name in names]
    found = [OfOptimizer(*pair) for pair in (*pairs, *HELPERS) if pair[0] in names]
    there = [target for target in AROUND if find_spec(target.module)]
    return {str(target): target for target in (*found, *there)}


@dataclass(frozen=True)
class Question:
    """Something that the unchanged optimizer answers well.

    Attributes:
        name: what it asks.
        fails: whether another class in the optimizer's place is found out.
        lines: of the module, those that the answer runs.
    """

    name: str
    fails: Fails
    lines: frozenset[int]


def questions(target: Target, examples: int, seed: int) -> tuple[list[Question], int]:
    """What the unchanged optimizer answers well, in the order it is asked, and what it does not.

    Cases come first, which take a thousandth of a second, the checks in turn; then tests and
    replays, which take longer and see what no case shows; then all other cases.
    """
    unchanged = target.unchanged()
    alike: dict[frozenset[int], frozenset[int]] = {}
    kinds, unfit = [], 0
    for kind in target.kinds(examples):
        fit = []
        for name, fails in kind:
            lines, failed = traced(target.file, fails, unchanged)
            unfit += failed
            if lines and not failed:
                fit.append(Question(name, fails, alike.setdefault(lines, lines)))
        random.Random(seed).shuffle(fit)
        kinds.append(fit)
    tests, *by_check = kinds
    turns = [question for question in chain.from_iterable(zip_longest(*by_check)) if question]
    return [*turns[:QUICK], *tests, *turns[QUICK:]], unfit


def traced(file: str, fails: Fails, optimizer: Any) -> tuple[frozenset[int], bool]:
    """The lines of a file that an answer runs, and whether it fails."""
    lines: set[int] = set()

    def trace(frame: types.FrameType, event: str, arg: Any) -> Any:
        if frame.f_code.co_filename != file:
            return None
        lines.add(frame.f_lineno)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        failed = fails(optimizer)
    finally:
        sys.settrace(before)
    return frozenset(lines), failed


# --- Cases of the checks ------------------------------------------------------------------------


def cases_of(rule: Rule, examples: int) -> Iterator[list[tuple[str, Fails]]]:
    """For each check its questions, without those that the ledger knows to fail."""
    subjects, _ = select(rule, on=("cpu",))
    for check in checks(rule):
        if not check.shrinks:  # seconds a case; and threads are not there after a fork
            continue
        asked: list[tuple[str, Fails]] = []
        for case in drawn(check, rule, examples):
            oracle = Oracle(rule, case)
            for subject in subjects:
                if concerned(check, subject, case) and not known(check.name, subject, case):
                    oracle(tensors=subject.tensors)  # is not to be traced
                    asked.append((check.name, partial(disagrees, check, subject, oracle)))
        yield asked


def drawn(check: Check, rule: Rule, examples: int) -> list[Case]:
    """As many cases of a check as its weight says; always the same."""
    cases: list[Case] = []
    for draw in check.draws(rule, examples):

        @seeded(draw.name)
        @settings(max_examples=draw.number)
        @given(draw.cases)
        def keep(case: Case) -> None:
            cases.append(case)

        keep()
    return cases


def disagrees(check: Check, subject: TorchSubject, oracle: Oracle, optimizer: Any) -> bool:
    """Whether the check fails, or the harness, which no test would pass over either."""
    try:
        return ask(check, replace(subject, optimizer=optimizer), oracle).failed
    except Vacuous:
        return False
    except Exception:
        return True


# --- Cases of the questions about a part of the loop ---------------------------------------------


def cases_of_part(question: Asked, examples: int) -> list[tuple[str, Fails]]:
    """Its cases at each place, without those that the ledger knows to fail."""
    there, _ = sites(question.part)
    can = {*question.places()}
    return [
        (f"{question.part}: {question.name}", partial(part_fails, question, case, site.place))
        for case in drawn_of_part(question, examples)
        for site in there
        if site.place in can and not known_flaw(question, case, site)
    ]


def drawn_of_part(question: Asked, examples: int) -> list[Any]:
    """As many cases of a question as its weight says; always the same."""
    cases: list[Any] = []

    @seeded(f"{question.part}: {question.name}")
    @settings(max_examples=max(2, round(examples * question.weight)))
    @given(question.cases())
    def draw(drawn: Any) -> None:
        cases.extend(question.each(drawn))

    draw()
    return cases


def part_fails(question: Asked, case: Any, place: Place, module: Any) -> bool:
    """Whether a question fails, or the harness, where nothing is known of the case yet."""
    try:
        return question.ask(copy(case), place).failed
    except Exception:
        return True


# --- Tests of the suite ---------------------------------------------------------------------------


def tests_of(target: OfOptimizer) -> list[tuple[str, Fails]]:
    """Tests that need nothing but their own parameters, and are not about another rule."""
    names = (*TESTS, *OF_ONE.get(target.optimizer, ()))
    return [*calls(map(importlib.import_module, names), target.optimizer)]


def calls(modules: Iterable[Any], rule: str = "") -> Iterator[tuple[str, Fails]]:
    """Calls of tests that need nothing but their own parameters, of no other rule."""
    tests = [test for module in modules for name, test in vars(module).items() if _is_test(name)]
    for test in tests:
        for arguments in parameters(test):
            if "rule" not in arguments or arguments["rule"].name == rule:
                call = partial(test, **arguments)
                yield f"{test.__module__}.{test.__name__}", partial(raises, call)


def _is_test(name: str) -> bool:
    return name.startswith("test_")


def parameters(test: Any) -> Iterator[dict[str, Any]]:
    """What ``parametrize`` calls a test with; nothing if it needs more than that."""
    marks = [m for m in getattr(test, "pytestmark", ()) if m.name == "parametrize"]
    names = [_names(mark.args[0]) for mark in marks]
    if set(chain(*names)) != set(inspect.signature(test).parameters):
        return
    for rows in product(*(list(mark.args[1]) for mark in marks)):
        values = [row if len(own) > 1 else (row,) for own, row in zip(names, rows, strict=True)]
        yield dict(zip(chain(*names), chain(*values), strict=True))


def _names(given: str | Iterable[str]) -> list[str]:
    return [name.strip() for name in given.split(",")] if isinstance(given, str) else list(given)


def raises(test: partial[None], optimizer: Any) -> bool:
    """Whether a test fails; it finds the optimizer in ``torch.optim``, where it is planted.

    Or in its own module, if that has taken it out of there.
    """
    home, name = vars(sys.modules[test.func.__module__]), getattr(optimizer, "__name__", "")
    if isinstance(home.get(name), type):
        home[name] = optimizer
    try:
        test()
    except pytest.skip.Exception:
        return False
    except (Exception, pytest.fail.Exception):
        return True
    return False


# --- Replays --------------------------------------------------------------------------------------


def replays_of(target: OfOptimizer) -> list[tuple[str, Fails]]:
    """The recorded runs, if it is an optimizer that is replayed."""
    if target.optimizer not in REPLAYED:
        return []
    runs: Sequence[Any] = importlib.import_module(REPLAYS).RUNS
    return [("a run is replayed", partial(strays, run)) for run in runs]


def strays(run: Any, optimizer: Any) -> bool:
    """Whether a recorded run goes where no correct rounding leads."""
    recording = importlib.import_module("tests.support.recording")
    try:
        recording.replayed(run, recording.Seen(), optimizer)
    except Exception:
        return True
    return False
