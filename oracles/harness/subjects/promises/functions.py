"""What a functional step promises: a table.

Arrays are compared to the bit with those of another run of the same code.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from oracles.harness.arithmetic.formats import FloatArray, alike
from oracles.harness.cases.case import Case
from oracles.harness.promise import FEW, NotAsked, Promise
from oracles.harness.subjects.blackbox import Function
from oracles.harness.subjects.subject import answering
from oracles.harness.subjects.surroundings import SURROUNDING_PROMISES
from oracles.rule import Rule

Numbers = list[FloatArray]


@dataclass(frozen=True)
class FunctionTrial:
    """A function that can be stepped, again and again from the start.

    Attributes:
        box: the function.
        rule: whose hyperparameters it is given.
        case: parameters, gradients and hyperparameters.
        known: whether it follows that rule.
    """

    box: Function
    rule: Rule
    case: Case
    known: bool = False
    dtype: str = "float32"

    def start(self, numbers: Sequence[int] = (0, 1)) -> FunctionRun:
        """Parameters of these numbers, before the first step."""
        kinds = self.case.parameters  # beyond the second they are as the first ones
        initial = [kinds[n % len(kinds)].initial for n in numbers]
        params = [self.box.arrays.array(values, self.dtype) for values in initial]
        return FunctionRun(self, tuple(numbers), params)

    def run(self, numbers: Sequence[int] = (0, 1)) -> Numbers:
        """The numbers after all steps."""
        return self.start(numbers).steps().read()


@dataclass
class FunctionRun:
    """Arrays and state in the middle of it."""

    trial: FunctionTrial
    numbers: tuple[int, ...]
    params: list[Any]
    state: dict[Any, Any] = field(default_factory=dict)

    def gradients(self, t: int) -> list[Any]:
        """Of a step; new ones at each call."""
        everything = self.trial.box.gradients(self.trial.case, t, self.trial.dtype)
        return [copy.copy(everything[n % len(everything)]) for n in self.numbers]

    def step(self, t: int, grads: list[Any] | None = None) -> None:
        """One step.

        Raises:
            SubjectError: the function raised.
        """
        (group,) = self.trial.case.groups
        given = self.gradients(t) if grads is None else grads
        self.params = self.trial.box.stepped(
            self.params, given, self.state, self.trial.rule, group.schedule[t]
        )

    def steps(self, first: int = 0, last: int | None = None) -> FunctionRun:
        """Several."""
        for t in range(first, self.trial.case.steps if last is None else last):
            self.step(t)
        return self

    def read(self) -> Numbers:
        """What the parameters are now."""
        return read(self.trial, self.params)


def read(trial: FunctionTrial, arrays: Sequence[Any]) -> Numbers:
    """Arrays as float64."""
    with answering():
        return [np.array(trial.box.arrays.read(array)) for array in arrays]


def same(one: Numbers, other: Numbers) -> bool:
    """Whether all numbers are the same to the bit, but for the sign of a zero."""
    return len(one) == len(other) and all(map(alike, one, other))


def moves(trial: FunctionTrial) -> str:
    """Every parameter is moved."""
    run = trial.start()
    before = run.read()
    after = run.steps().read()
    still = [n for n, (a, b) in enumerate(zip(before, after, strict=False)) if same([a], [b])]
    return f"leaves parameter {still[0]} where it was" if still else ""


def stays_finite(trial: FunctionTrial) -> str:
    """Finite numbers stay finite."""
    run = trial.start()
    for t in range(trial.case.steps):
        run.step(t)
        if not all(np.isfinite(values).all() for values in run.read()):
            return f"returns numbers that are not finite from step {t + 1} on"
    return ""


def kinds_kept(trial: FunctionTrial) -> str:
    """As many arrays are returned as were given, of their shapes and dtypes."""
    run = trial.start()
    for t in range(trial.case.steps):
        before = [_kind(p) for p in run.params]
        run.step(t)
        after = [_kind(p) for p in run.params]
        if len(before) != len(after):
            return f"returns {len(after)} parameters for {len(before)}"
        for was, now in zip(before, after, strict=True):
            if was != now:
                return f"returns {now[1]} of shape {now[0]} for {was[1]} of shape {was[0]}"
    return ""


def _kind(array: Any) -> tuple[Any, str]:
    dtype = getattr(array, "dtype", type(array).__name__)
    return tuple(getattr(array, "shape", ())), str(dtype).removeprefix("torch.")


def gradients_kept(trial: FunctionTrial) -> str:
    """Gradients are after a step what they were before."""
    run = trial.start()
    for t in range(trial.case.steps):
        grads = run.gradients(t)
        run.step(t, grads)
        if len(grads) != len(run.numbers) or not same(
            read(trial, grads), read(trial, run.gradients(t))
        ):
            return f"changes the gradients it is given, at step {t + 1}"
    return ""


def inputs_kept(trial: FunctionTrial) -> str:
    """Parameters are changed in place and nothing else is returned, or left as they were."""
    run = trial.start()
    for t in range(trial.case.steps):
        given, before = list(run.params), run.read()
        run.step(t)
        in_place = all(a is b for a, b in zip(given, run.params, strict=False))
        if not in_place and not same(before, read(trial, given)):
            return f"changes the parameters it is given and returns others, at step {t + 1}"
    return ""


def deterministic(trial: FunctionTrial) -> str:
    """The same numbers give the same bits."""
    return "" if same(trial.run(), trial.run()) else "two runs on the same numbers give other bits"


def independent(trial: FunctionTrial) -> str:
    """A parameter's step hangs on itself alone, if the rule is one of this registry."""
    together = trial.run()
    for n, values in enumerate(together):
        if not same(trial.run((n,)), [values]):
            if not trial.known:
                raise NotAsked("it couples parameters, as the rule it follows may")
            return f"parameter {n} is stepped otherwise alone"
    many = trial.run(range(FEW)) if trial.known else []
    other = [n for n, values in enumerate(many) if not same([values], [together[n % 2]])]
    return f"parameter {other[0]} is stepped otherwise than one like it" if other else ""


def order(trial: FunctionTrial) -> str:
    """The order in which parameters are given changes nothing."""
    reverse = trial.run((1, 0))[::-1]
    return "" if same(reverse, trial.run()) else "steps to other bits when they are reversed"


def state_is_all(trial: FunctionTrial) -> str:
    """What a step remembers is in the state that it is given, and nowhere else."""
    whole, half = trial.run(), trial.case.steps // 2
    run, other = trial.start(), trial.start((1, 0))
    for t in range(trial.case.steps):
        run.step(t)
        other.step(t)
    if not same(run.read(), whole):
        return "steps to other bits when another run is stepped in turns"
    run = trial.start().steps(0, half)
    with answering():
        run.params, run.state = copy.deepcopy((run.params, run.state))
    return "" if same(run.steps(half).read(), whole) else "does not continue from copies"


_RUN = ("shapes and dtypes", "moves", "finite", "deterministic")

FUNCTION_PROMISES: tuple[Promise, ...] = (
    Promise("shapes and dtypes", "what comes back is of the kind of what was given", kinds_kept),
    Promise("moves", "every parameter is moved", moves, _RUN[:1]),
    Promise("finite", "finite numbers stay finite", stays_finite, _RUN[:2]),
    Promise("gradients", "gradients are after a step what they were before", gradients_kept),
    Promise("inputs", "parameters are changed in place, or left as they were", inputs_kept),
    Promise("deterministic", "the same numbers give the same bits", deterministic, _RUN[:3]),
    Promise("independence", "a parameter's step hangs on itself alone", independent, _RUN),
    Promise("order", "the order of parameters changes nothing", order, (*_RUN, "independence")),
    Promise("state", "what is remembered is in the state that is given", state_is_all, _RUN),
    *SURROUNDING_PROMISES,
)
"""In the order in which they are asked."""
