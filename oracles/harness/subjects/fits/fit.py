"""Somebody else's training loop: a function ``fit(X, y, lr=..., epochs=...)``, or a class with one.

It is called with small data and 0, 1, 2, ... epochs, so that what it returns is where its weights
were after each. What its arguments are called, in which form it takes labels, where it starts and
where in its answer the weights are is found by looking.
"""

from __future__ import annotations

import contextlib
import inspect
import random
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from oracles.harness.arithmetic.formats import FloatArray
from oracles.harness.subjects.aliases import matched
from oracles.harness.subjects.fits.answers import BIASES, WEIGHTS, Reading, _likely, numbers
from oracles.harness.subjects.fits.forms import Form, forms
from oracles.harness.subjects.fits.names import DATA, HYPER, LOOP, QUIET, START
from oracles.harness.subjects.subject import SubjectError, answering
from oracles.harness.subjects.surroundings import undisturbed
from oracles.harness.training.data import FEATURES
from oracles.naming import name_of


@dataclass(frozen=True)
class Call:
    """One call: the data, the loop's own arguments, and hyperparameters by torch's names."""

    form: Form
    m: int
    batch: int
    epochs: int
    hyper: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True, eq=False)
class Fit:
    """A training loop that is asked for nothing but the weights it ends with.

    Attributes:
        subject: a function ``(X, y, ...)``, or a class whose instances have ``fit(X, y, ...)``.
        names: torch's names of hyperparameters (or ``epochs``, ``batch_size``, ...), and what the
            code calls them, where that is none of the usual names.
        fixed: further arguments, always given.
        values: hyperparameters that are written in the code, by torch's names.

    >>> def fit(X, y, eta, epochs):
    ...     w = 0 * X[0]
    ...     for _ in range(epochs):
    ...         w = w - eta * X.T @ (X @ w - y) / len(y)
    ...     return w
    >>> box = Fit(fit)
    >>> box.arguments(("lr", "momentum"))
    {'lr': 'eta', 'epochs': 'epochs'}
    """

    subject: Callable[..., Any]
    names: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, float] = field(default_factory=dict)
    _answers: dict[Call, dict[str, FloatArray] | SubjectError] = field(default_factory=dict)
    _readings: dict[Call, list[Reading]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return name_of(self.subject)

    @cached_property
    def makes(self) -> bool:
        """Whether it is a class of estimators, and no function."""
        return hasattr(self.subject, "fit")

    @cached_property
    def own(self) -> dict[str, inspect.Parameter]:
        """Its arguments beside the data, those of the constructor included."""
        own = {p.name: p for p in _trained(self.subject) if p.name not in self._data}
        return own | ({p.name: p for p in _named(self.subject)} if self.makes else {})

    @cached_property
    def _data(self) -> list[str]:
        """What it calls rows and labels: usual names, or else its first two arguments."""
        return _told(self.subject) or [p.name for p in _trained(self.subject)[:2]]

    def arguments(self, wanted: tuple[str, ...]) -> dict[str, str]:
        """Of the loop's own names and those that are wanted: what the code calls them."""
        own = {n: p for n, p in self.own.items() if not isinstance(p.default, str)}
        left = [name for name in own if name not in self.fixed]
        loop = {}
        for name, aliases in {**LOOP, **START}.items():
            free = [a for a in (self.names.get(name), *aliases) if a in left]
            if free and (name in LOOP or self.own[free[0]].default is inspect.Parameter.empty):
                loop[name] = free[0]
                left.remove(free[0])
        found = {n: own for n, own in self.names.items() if n in wanted and own in left}
        left = [name for name in left if name not in found.values()]
        found |= matched(left, [name for name in wanted if name not in found], HYPER)
        return {name: found[name] for name in wanted if name in found} | loop

    def takes(self, wanted: tuple[str, ...]) -> frozenset[str]:
        """Which of the names it can be given."""
        return frozenset(self.arguments(wanted))

    def unknown(self, wanted: tuple[str, ...]) -> list[str]:
        """What it calls the numbers that nothing is known of: they stay at their defaults."""
        known = {*self.arguments(wanted).values(), *self.fixed}
        numbers = (int, float)
        return [
            name
            for name, p in self.own.items()
            if name not in known and isinstance(p.default, numbers) and p.default is not False
        ]

    def forms(self) -> Iterator[Form]:
        """In which it may want its data."""
        return forms(told="start" in self.takes(()))

    def leaves(self, call: Call) -> dict[str, FloatArray]:
        """All numbers in the answer to a call, by where they are.

        Raises:
            SubjectError: the code raised.
        """
        if call not in self._answers:
            try:
                self._answers[call] = self._ask(call)
            except SubjectError as error:
                self._answers[call] = error
        told = self._answers[call]
        if isinstance(told, SubjectError):
            raise told
        return told

    def _ask(self, call: Call) -> dict[str, FloatArray]:
        hyper = dict(call.hyper)
        values = {**QUIET, **call.form.beginning(), **hyper}
        values |= {"epochs": call.epochs, "batch_size": call.batch}
        known = self.arguments(tuple(hyper))
        given = {own: values[name] for name, own in known.items()} | dict(self.fixed)
        missing = [n for n, p in self.own.items() if p.default is p.empty and n not in given]
        if missing:
            raise SubjectError(
                f"{self.name} needs {', '.join(missing)}, which is not known; allowed: a value for "
                "it by fixed={...}, or its meaning by names={...}"
            )
        with surrounded(), answering():
            return dict(numbers(self._answer(call.form.data(call.m), given)))

    def _answer(self, data: tuple[Any, Any], given: Mapping[str, Any]) -> Any:
        rows = dict(zip(self._data, data, strict=True))
        if not self.makes:
            return self._returned(self.subject(**rows, **given))
        built = {p.name for p in _named(self.subject)}
        estimator = self.subject(**{k: v for k, v in given.items() if k in built})
        returned = estimator.fit(**rows, **{k: v for k, v in given.items() if k not in built})
        return estimator if returned is None else self._returned(returned)

    def _returned(self, answer: Any) -> Any:
        """What it returns.

        Raises:
            SubjectError: that has not trained.
        """
        if inspect.isgenerator(answer):
            raise SubjectError(
                f"{self.name} is a generator, which trains as far as somebody goes through it; "
                "allowed: a function that does, and returns the last weights"
            )
        return answer

    def readings(self, call: Call) -> list[Reading]:
        """Where the weights may be, the likeliest first: what has their size and moves.

        Raises:
            SubjectError: the code raised, or answers twice in two ways.
        """
        if call not in self._readings:
            self._readings[call] = self._looked_for(call)
        return self._readings[call]

    def random(self, call: Call) -> bool:
        """Whether a second call that is the same has another answer.

        Raises:
            SubjectError: the code raised.
        """
        one, other = self.leaves(call), self._ask(call)
        return {p: v.tobytes() for p, v in one.items()} != {
            p: v.tobytes() for p, v in other.items()
        }

    def _chance(self, none: Call) -> str:
        """What is drawn by chance, as calls for no epochs tell."""
        with contextlib.suppress(SubjectError):
            if self.random(none):
                return " before the first epoch: its initial weights are drawn, and want a seed"
            return ", and those for no epochs do not: it draws in its epochs, as who shuffles rows"
        return ""

    def moving(self, call: Call) -> dict[str, FloatArray]:
        """What another epoch changes in its answer, by where it is.

        Raises:
            SubjectError: the code raised.
        """
        before = self.leaves(call)
        after = self.leaves(replace(call, epochs=call.epochs + 1))
        return {
            path: value
            for path, value in after.items()
            if path in before
            and value.shape == before[path].shape
            and np.isfinite(value).all()
            and not np.array_equal(value, before[path])
        }

    def _looked_for(self, call: Call) -> list[Reading]:
        if self.random(call):
            why = self._chance(replace(call, epochs=0))
            raise SubjectError(f"{self.name} is random: two calls that are the same differ{why}")
        moving = self.moving(call)
        sized = {
            n: [p for p, v in moving.items() if v.size == n] for n in (1, FEATURES, FEATURES + 1)
        }
        biases = [*_likely(sized[1], BIASES), None]
        both = _likely(sized[FEATURES + 1], WEIGHTS)
        return [
            *(Reading(w, b) for w in _likely(sized[FEATURES], WEIGHTS) for b in biases),
            *(Reading(w, first=first) for w in both for first in (True, False)),
            *(Reading(w, hidden=True) for w in _likely(sized[FEATURES], WEIGHTS)),
        ]


def _named(function: Any) -> list[inspect.Parameter]:
    """The arguments that can be given by name."""
    each = inspect.signature(function).parameters.values()
    return [p for p in each if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


def _trained(subject: Any) -> list[inspect.Parameter]:
    """The arguments of what trains: the function itself, or ``fit`` of a class, without self."""
    return _named(subject.fit)[1:] if hasattr(subject, "fit") else _named(subject)


def _told(subject: Any) -> list[str]:
    """What rows and labels are called, if both have usual names."""
    names = [p.name for p in _trained(subject)]
    found = [next((n for n in names if n.lower() in usual), "") for usual in DATA]
    return found if all(found) else []


def is_fit(subject: Any) -> bool:
    """Whether something is called as a training loop is: with rows and labels.

    >>> is_fit(lambda X, y, lr, epochs: None), is_fit(lambda params, grads, state: None)
    (True, False)
    """
    try:
        return callable(subject) and bool(_told(subject))
    except ValueError:  # what is written in C may have no signature
        return False


@contextlib.contextmanager
def surrounded() -> Iterator[None]:
    """Around each call: the same random numbers, nothing printed, and all as it was afterwards."""
    with undisturbed(), np.errstate(all="ignore"):
        random.seed(0)
        np.random.seed(0)  # noqa: NPY002 (what code that is asked draws from)
        if torch := sys.modules.get("torch"):
            torch.random.default_generator.manual_seed(0)  # torch's own writes down who called it
        yield
