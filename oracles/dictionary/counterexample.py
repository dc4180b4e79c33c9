"""What manners do on a small case, and where two of them part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from oracles.dictionary.decays import OWN_NAMES
from oracles.dictionary.entry import SPOKEN, Manner, Schedule
from oracles.drawing import Hyper
from oracles.harness.candidates import Candidate
from oracles.harness.cases.case import of_ones
from oracles.harness.oracle import Balls, Oracle
from oracles.optimizers.registry import RULES
from oracles.rule import Rule


@dataclass(frozen=True)
class Spoken:
    """A manner as text that runs.

    Attributes:
        candidate: the rule and its conventions.
        summed: whether gradients are those of a sum of losses.
        biased: whether parameters of at most one dimension are decayed.
        fixed: hyperparameters that make it what it is.
    """

    candidate: Candidate
    summed: bool = False
    biased: bool = True
    fixed: Mapping[str, Any] | None = None

    @property
    def rule(self) -> Rule:
        return self.candidate.rule

    @property
    def convention(self) -> Any:
        """All lines in one."""
        whole = self.candidate.convention
        return whole if self.biased else replace(whole, decays=lambda ndim: ndim > 1)

    def hyper(self, h: Hyper) -> Hyper:
        """Hyperparameters of the dictionary's rule as those of the text's."""
        known = self.rule.hyper()._fields
        values = {name: value for name, value in h._asdict().items() if name in known}
        return self.rule.hyper(**{**values, **(self.fixed or {})})

    def gradients(self, gradients: Sequence[Any], schedule: Schedule) -> list[Any]:
        """What the text is given of gradients of the mean loss."""
        if not self.summed:
            return list(gradients)
        return [g * h.batch_size for g, h in zip(gradients, schedule, strict=True)]

    def run(
        self, w: Any, gradients: Sequence[Any], schedule: Schedule, *, ndim: int = 2, **options: Any
    ) -> list[Any]:
        """The parameter after each step, in whatever numbers it is given in."""
        convention = self.convention
        run = self.rule.run(
            convention,
            w,
            self.gradients(gradients, schedule),
            [self.hyper(h) for h in schedule],
            decays=convention.decays(ndim),
            **options,
        )
        return [value for value, _ in run]


def text(rule: str, manner: Manner) -> Spoken:
    """A manner of a rule as text that runs: AdamW's decay by the batch is in AdamW's text.

    >>> text("Adam", frozenset({"decoupled_batch_scaled"})).candidate
    <AdamW's batch_scaled>
    """
    names = manner - SPOKEN.keys()
    fixed = {"decoupled_weight_decay": True} if "switched" in manner else None
    for form, own in OWN_NAMES.items():
        if form in manner:
            rule, names = "AdamW", names | {own}
    conventions = tuple(RULES[rule].convention(name) for name in sorted(names))
    candidate = Candidate(RULES[rule], conventions)
    return Spoken(candidate, "sum_loss" in manner, "bias_undecayed" not in manner, fixed)


GRADIENTS: Sequence[Sequence[float]] = (
    (1, -1, 1),
    (1, 0.5, 0.25, 0.125),
    (1, 0, 0, 0, 0, 0),
    (0.5, 1, 2, 4),
)
"""What small cases are tried with, at w = 1."""


@dataclass(frozen=True)
class Example:
    """A small case on which numbers that were carried over do something else.

    Attributes:
        gradients: of the mean loss, at each step; w starts at 1.
        source, target: the numbers at each step, by torch's name.
        expected, got: w after each step, by the source's rule and by the target's.
        step: the first one, from 1 on, after which enclosures of the two are disjoint.
    """

    gradients: tuple[float, ...]
    source: tuple[Mapping[str, Any], ...]
    target: tuple[Mapping[str, Any], ...]
    expected: tuple[float, ...]
    got: tuple[float, ...]
    step: int

    def __str__(self) -> str:
        shown = ", ".join(f"{g:g}" for g in self.gradients[: self.step])
        expected, got = _told_apart(self.expected[self.step - 1], self.got[self.step - 1])
        return (
            f"w = 1, g = {shown}: w is {expected} after step {self.step}, "
            f"and {got} with the numbers carried over"
        )


def _told_apart(one: float, other: float) -> tuple[str, str]:
    """Two numbers in nine digits, or in as many as tell them apart.

    >>> _told_apart(0.25, 1 / 3), _told_apart(1 + 2**-40, 1)
    (('0.25', '0.333333333'), ('1.000000000001', '1'))
    """
    written = ((f"{one:.{n}g}", f"{other:.{n}g}") for n in range(9, 18))
    return next((pair for pair in written if pair[0] != pair[1]), (repr(one), repr(other)))


def parting(one: Spoken, other: Spoken, schedule: Schedule, carried: Schedule) -> Example | None:
    """The first small case on which the two provably part, if there is one.

    >>> from oracles.optimizers.sgd import Hyper
    >>> torch, scaled = text("SGD", frozenset()), text("SGD", frozenset({"batch_scaled"}))
    >>> h = [Hyper(lr=0.5, weight_decay=0.5, batch_size=4)]
    >>> print(parting(scaled, torch, h, h))
    w = 1, g = 1: w is 0.4375 after step 1, and 0.25 with the numbers carried over
    """
    for gradients in GRADIENTS:
        mine, theirs = (_lasting(s, len(gradients)) for s in (schedule, carried))
        expected = _balls(one, gradients, mine)
        got = _balls(other, gradients, theirs)
        apart = np.abs(expected.mid - got.mid) > expected.rad + got.rad
        if apart.any():
            return Example(
                tuple(gradients),
                tuple(_numbers(one.hyper(h)) for h in mine),
                tuple(_numbers(other.hyper(h)) for h in theirs),
                _floats(expected),
                _floats(got),
                int(apart[0, :, 0].argmax()) + 1,
            )
    return None


def _floats(balls: Balls) -> tuple[float, ...]:
    with np.errstate(over="ignore"):
        return tuple(balls.mid[0, :, 0].astype(float).tolist())


def _lasting(schedule: Schedule, steps: int) -> list[Hyper]:
    """A schedule of so many steps, the last of which goes on."""
    return [schedule[min(t, len(schedule) - 1)] for t in range(steps)]


def _balls(spoken: Spoken, gradients: Sequence[float], schedule: Schedule) -> Balls:
    numbers = [type(h)(**_numbers(h)) for h in schedule]
    given = spoken.gradients(gradients, numbers)
    case = of_ones(given, [spoken.hyper(h) for h in numbers], dimensions=2)
    oracle = Oracle(spoken.rule, case)
    answer = oracle(spoken.convention)
    row, balls = answer.row("float64"), answer.parameters
    return Balls(balls.mid[row : row + 1], balls.rad[row : row + 1])


def _numbers(h: Hyper) -> dict[str, Any]:
    """As floats, which hold what is typed."""
    return {
        name: value if value is None or isinstance(value, bool | str) else float(value)
        for name, value in h._asdict().items()
    }
