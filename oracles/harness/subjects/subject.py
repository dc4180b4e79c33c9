"""Who is asked, what they answer, and how they fail to."""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from itertools import starmap
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from oracles.harness.arithmetic.formats import FloatArray, alike
from oracles.harness.cases.case import Case
from oracles.harness.subjects.paths import LACKS, Path
from oracles.rule import Rule

Way = TypeVar("Way")


class World(StrEnum):
    """What torch's global state may be while an optimizer is built and stepped.

    Each is entered around calls into the optimizer only, and left again. What a step computes, and
    the dtype and device of what it keeps, follow from its parameters, gradients and
    hyperparameters; none of these is among them.
    """

    PLAIN = "the plain world"
    BFLOAT16 = "a default dtype of bfloat16"
    FLOAT64 = "a default dtype of float64"
    DEVICE = "another default device"
    AUTOCAST = "autocast"
    NO_GRAD = "no_grad"
    INFERENCE = "inference mode"
    DETERMINISTIC = "deterministic algorithms"


EVERYWHERE = "everywhere"
"""The path of a place that stands for a whole optimizer, or part of the loop."""


class Place(NamedTuple):
    """Where an answer comes from: whose it is, on which path, in which precision, on which device.

    >>> str(Place("SGD", "foreach, tensor lr", "float32", "cpu"))
    'SGD [foreach, tensor lr, float32, cpu]'
    """

    optimizer: str
    path: str
    dtype: str
    device: str

    def __str__(self) -> str:
        return f"{self.optimizer} [{self.path}, {self.dtype}, {self.device}]"


class SubjectError(Exception):
    """The optimizer under test raised; the message says what, the cause is its exception.

    Without a cause, it has done something else that it should not.
    """

    @property
    def sentence(self) -> str:
        """What it does, as a sentence goes on."""
        return f"raises {self}" if self.__cause__ is not None else str(self)


class Declined(SubjectError):
    """It does not take what it is given, or cannot be judged by that: nothing is wrong with it."""


def first_taken(ways: Iterable[Way], tried: Callable[[Way], object]) -> Way:
    """The first way that can be gone; ``tried`` goes it.

    Raises:
        SubjectError: there is none; the error of the first.
    """
    first: SubjectError | None = None
    for way in ways:
        try:
            tried(way)
        except SubjectError as error:
            first = first or error
        else:
            return way
    assert first is not None
    raise first


def told(error: BaseException) -> str:
    """The kind of an error, and the first sentence of its message.

    What follows may list every backend torch knows.
    """
    try:
        reason = str(error).strip().split("\n")[0].split(". ")[0]
    except Exception:  # its message may be made by whoever is asked
        reason = ""
    named = type(error).__name__
    return f"{named}: {reason}" if reason else named


def raised_in(error: BaseException) -> str:
    """The module that has raised an error, by name."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return str(frame.f_globals.get("__name__"))


@contextmanager
def answering() -> Iterator[None]:
    """Around every call into the optimizer: what it raises is its answer, not our error.

    A process that it has forked ends where the call does.

    Raises:
        SubjectError: the optimizer raised.
    """
    process = os.getpid()
    try:
        yield
    except SubjectError:  # it is told already
        raise
    except (Exception, SystemExit) as error:
        raise SubjectError(told(error)) from error
    finally:
        if os.getpid() != process:
            os._exit(0)


def lack(trial: Callable[[], object]) -> str:
    """In which words somebody lacks what is tried (:data:`LACKS`); empty if they have it.

    Whoever raises anything else has it, and has it broken, which the checks will say.
    """
    try:
        with answering():
            trial()
    except SubjectError as error:
        if is_lack(error):
            return str(error)
    return ""


def is_lack(error: Exception) -> bool:
    """Whether an error says that something is not written for a dtype or device."""
    return any(re.search(lack, str(error)) for lack in LACKS)


@dataclass(frozen=True)
class Answer:
    """What a subject computed, as float64 (every dtype fits), elements end to end.

    Attributes:
        parameters: (steps, elements).
        states: by state name, (steps, elements); 0 where the buffer does not exist.
        present: by state name, (steps, elements): whether the buffer exists.
    """

    parameters: FloatArray
    states: Mapping[str, FloatArray]
    present: Mapping[str, NDArray[np.bool_]]

    def __getitem__(self, where: Any) -> Answer:
        """What an index leaves of each array: of the steps, or of the elements at each."""
        return Answer(
            self.parameters[where],
            {name: values[where] for name, values in self.states.items()},
            {name: values[where] for name, values in self.present.items()},
        )

    def has_the_bits_of(self, other: Answer) -> bool:
        """Whether two answers are the same to the bit, buffers and their presence included."""
        pairs: list[tuple[Any, Any]] = [(self.parameters, other.parameters)]
        pairs += [(self.states[name], other.states[name]) for name in self.states]
        pairs += [(self.present[name], other.present[name]) for name in self.present]
        return all(starmap(alike, pairs))


class Subject(Protocol):
    """Whoever answers cases; that is all that judging needs.

    Attributes:
        place: who that is.
        tensors: the scalars that it computes with as 0-d float32 tensors, as the oracle is to be
            told.
    """

    @property
    def place(self) -> Place: ...

    @property
    def dtype(self) -> str:
        """The precision of its parameters: the dtype of its place."""

    @property
    def tensors(self) -> frozenset[str]: ...

    def ask(self, case: Case) -> Answer:
        """Run a whole case.

        Raises:
            SubjectError: the optimizer raised.
        """


class SteppedRun(Protocol):
    """A subject in the middle of a case; what it raises is a :class:`SubjectError`."""

    scaler: Any

    def load(self, t: int, *, gradients: bool = True) -> None: ...
    def step(self, closure: Callable[[], Any] | None = None) -> Any: ...
    def record(self) -> None: ...
    def answer(self) -> Answer: ...
    def gradients(self) -> list[FloatArray | None]: ...
    def surroundings(self) -> dict[str, Any]: ...
    def strays(self) -> list[str]: ...
    def kinds(self) -> list[dict[str, str]]: ...
    def altered(self) -> list[str]: ...
    def spoil(self) -> None: ...
    def reload(self) -> list[str]: ...
    def shared(self) -> list[str]: ...
    def restart(self, how: str) -> None: ...
    def set_counters(self, seen: int) -> None: ...
    def closure_step(self) -> tuple[list[bool], bool]: ...
    def zero_grad(self, *, set_to_none: bool) -> None: ...


class SteppedSubject(Subject, Protocol):
    """A subject that is stepped by hand: what checks of the contract need.

    Attributes:
        rule: what it is held to.
        path: the way through its code that is asked for.
        effective_path: the one whose code runs.
        version: of torch, as the ledger looks it up.
        of_torch: whether it is torch's class or extends it.
        takes_sparse: whether it steps on sparse gradients.
    """

    @property
    def rule(self) -> Rule: ...
    @property
    def path(self) -> Path: ...
    @property
    def effective_path(self) -> Path: ...
    @property
    def version(self) -> str: ...
    @property
    def of_torch(self) -> bool: ...
    @property
    def takes_sparse(self) -> bool: ...

    def takes(self, case: Case) -> bool:
        """Whether the case leaves alone what the constructor lacks."""

    def has(self, world: World) -> bool:
        """Whether there is such a world here."""

    def inherits(self, method: str) -> bool:
        """Whether that method is the one of torch's base class of all optimizers."""

    def start(self, case: Case, world: World = World.PLAIN) -> SteppedRun:
        """Build parameters and optimizer, before the first step."""

    def ask_on_threads(self, case: Case, threads: int) -> Answer:
        """Run a whole case where so many threads share the work."""
