"""What hand cases of rules with roots are made of, and the same rules in fifty digits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import mpmath
import numpy as np
import pytest

from oracles.drawing import Hyper
from oracles.harness.arithmetic.formats import FloatArray
from oracles.rule import Rule
from tests.support.many_bits import BITS, same
from tests.support.rooted import Rooted, lifted, path


def numbers(*texts: str) -> tuple[Rooted, ...]:
    """``numbers("3/4", "2")``: rationals as they are written on paper."""
    return tuple(Rooted(text) for text in texts)


START = Rooted(10)
"""Where all cases begin."""


@dataclass(frozen=True)
class Setting:
    """What several hand cases run on, from 10, with torch's answer: the number after each step."""

    gradients: tuple[Fraction | None, ...]
    schedule: tuple[Hyper, ...]
    w: tuple[Fraction, ...]

    def path(self, rule: Rule, name: str) -> list[Any]:
        """Where the convention of that name leads."""
        return path(rule, name, START, self.gradients, self.schedule)


@dataclass(frozen=True)
class Hand:
    """A case worked by hand: what goes in at each step, and what is there after it."""

    schedule: tuple[Hyper, ...]
    gradients: tuple[Rooted, ...]
    w: tuple[Rooted, ...]
    states: Mapping[str, tuple[Rooted, ...]]

    @property
    def rows(self) -> list[Row]:
        """What is there after each step, as :func:`followed` gives it."""
        return [
            (w, {name: values[t] for name, values in self.states.items()})
            for t, w in enumerate(self.w)
        ]


Row = tuple[Any, dict[str, Any]]
"""The parameter and its state after a step."""


def followed(
    rule: Rule, name: str, w: Any, gradients: Sequence[Any], schedule: Sequence[Hyper]
) -> list[Row]:
    """Follow the convention of that name; the count of steps, an int, is left out."""
    run = rule.run(rule.convention(name), w, gradients, schedule)
    return [(w, {k: v for k, v in state.items() if k != "step"}) for w, state in run]


def tells(rule: Rule, name: str, w: Rooted, hand: Hand) -> bool:
    """Whether the convention ends elsewhere than torch's on a case (where roots are rounded)."""
    with mpmath.workprec(BITS):
        gradients = [mpmath.mpmathify(g) for g in hand.gradients]
        schedule = [lifted(h, mpmath.mpmathify) for h in hand.schedule]
        one, other = (
            followed(rule, convention, mpmath.mpmathify(w), gradients, schedule)[-1][0]
            for convention in (name, rule.torch.name)
        )
        return not same(one, other)


def printed(values: FloatArray, digits: int = 4) -> list[float]:
    """As numbers are printed in the tests of other projects."""
    return [float(np.round(x, digits)) for x in values]


class Interleaved:
    """What the two kinds of classes below have in common.

    A ``Test`` class that extends one of them gives it the rule and, by the names of its
    conventions, the cases.

    Attributes:
        other: hyperparameters of steps that have no gradient.
        later: conventions that differ from torch's only where these cases do not lead.
    """

    rule: ClassVar[Rule]
    other: ClassVar[Mapping[str, Any]]
    later: ClassVar[Sequence[str]] = ()
    cases: ClassVar[Mapping[str, Any]]

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Parametrize tests by the convention's name, and those of wrong ones by theirs."""
        wrong = [name for name in self.cases if name != self.rule.torch.name]
        for argument, names in (("name", list(self.cases)), ("wrong", wrong)):
            if argument in metafunc.fixturenames:
                metafunc.parametrize(argument, names)

    def test_every_convention_has_a_case(self) -> None:
        names = [convention.name for convention in self.rule.conventions]
        assert sorted([*self.cases, *self.later]) == sorted(names)

    def interleaved(
        self, name: str, gradients: Sequence[Any], schedule: Sequence[Hyper]
    ) -> list[Row]:
        """The same with a step without gradient before each one."""
        more = [lifted(x) for h in schedule for x in (h._replace(**self.other), h)]
        numbers = [x for g in gradients for x in (None, Rooted(g))]
        return followed(self.rule, name, START, numbers, more)


class ByHand(Interleaved):
    """One case of each convention: a setting, and where it leads there."""

    cases: ClassVar[Mapping[str, tuple[Setting, tuple[Fraction, ...]]]]

    def test_convention(self, name: str) -> None:
        setting, expected = self.cases[name]
        assert setting.path(self.rule, name)[: len(expected)] == list(expected)

    def test_torch_in_every_setting(self, name: str) -> None:
        setting, _ = self.cases[name]
        assert setting.path(self.rule, self.rule.torch.name) == list(setting.w)

    def test_case_tells_the_convention_from_torch(self, wrong: str) -> None:
        setting, w = self.cases[wrong]
        assert w[-1] != setting.w[len(w) - 1]

    def test_a_step_without_gradient_is_no_step(self, name: str) -> None:
        setting, w = self.cases[name]
        steps = len(w)
        rows = self.interleaved(name, setting.gradients[:steps], setting.schedule[:steps])
        before = (START, *w[:-1])
        assert [w for w, _ in rows] == [x for pair in zip(before, w, strict=True) for x in pair]


class ByHandWithBuffers(Interleaved):
    """One case of each convention, with what there is in its buffers."""

    cases: ClassVar[Mapping[str, Hand]]

    def test_convention(self, name: str) -> None:
        case = self.cases[name]
        assert followed(self.rule, name, START, case.gradients, case.schedule) == case.rows

    def test_case_tells_the_convention_from_torch(self, wrong: str) -> None:
        assert tells(self.rule, wrong, START, self.cases[wrong])

    def test_a_step_without_gradient_is_no_step(self, name: str) -> None:
        case = self.cases[name]
        (first, *_), *rows = self.interleaved(name, case.gradients, case.schedule)
        assert first == START
        assert rows == [row for row in case.rows for _ in range(2)][:-1]
