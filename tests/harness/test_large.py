"""Large cases: what is repeated, and that no element of an answer is passed over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from oracles.harness.cases.case import Case, Group, Parameter
from oracles.harness.cases.large import Enlarged
from oracles.harness.checks.large import enlarged
from oracles.harness.oracle import Oracle
from oracles.harness.subjects.selection import select
from oracles.harness.subjects.subject import Answer, SteppedSubject
from oracles.optimizers.registry import RULES

SGD = RULES["SGD"]
H = SGD.hyper(lr=0.5, momentum=0.5)


def case(copies: tuple[tuple[int, int], ...]) -> Enlarged:
    """Parameters of three and of two elements, for two steps."""
    members = tuple(
        Parameter(values, (values + 1, values - 2))
        for values in (np.array([1.0, 2.0, 3.0]), np.array([5.0, 7.0]))
    )
    return Enlarged((Group(members, (H, H)),), ("float32",), copies=copies)


def subject() -> SteppedSubject:
    ((found, *_), _) = select(SGD, ("for-loop",), ("float32",), ("cpu",))
    return found


def altered(alter: Callable[[Answer], None]) -> SteppedSubject:
    """A subject whose answer is changed before it is handed over."""
    inner = subject()

    def ask(case: Case) -> Answer:
        answer = inner.ask(case)
        alter(answer)
        return answer

    stand_in: Any = SimpleNamespace(
        ask=ask, place=inner.place, dtype=inner.dtype, tensors=inner.tensors
    )
    return stand_in  # type: ignore[no-any-return]


COPIES = ((0, 8), (1, 5), (0, 3))


class TestWhole:
    def test_values_are_repeated_until_they_fill_the_parameter(self) -> None:
        first, second, third = case(COPIES).whole.parameters
        assert first.initial.tolist() == [1, 2, 3, 1, 2, 3, 1, 2]
        assert second.gradients[0].tolist() == [6, 8, 6, 8, 6]  # type: ignore[union-attr]
        assert third.initial.tolist() == [1, 2, 3]

    def test_a_missing_gradient_is_missing(self) -> None:
        small = case(((0, 7),))
        gone = replace(small.parameters[0], gradients=(None, small.parameters[0].gradients[1]))
        small = replace(small, groups=(Group((gone,), (H, H)),))
        assert small.whole.parameters[0].gradients[0] is None

    def test_each_element_stands_for_one(self) -> None:
        places = case(COPIES).stands_for
        assert places.tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 3, 4, 3, 4, 3, 0, 1, 2]

    def test_folding_takes_all_that_repeat_an_element(self) -> None:
        values = np.arange(16.0)[None]
        least, most = case(COPIES).folded(values, np.fmin, np.maximum)
        assert least.tolist() == [[0, 1, 2, 8, 9]]
        assert most.tolist() == [[13, 14, 15, 12, 11]]


class TestVerdict:
    def test_torch_is_inside(self) -> None:
        verdict = enlarged(subject(), Oracle(SGD, case(COPIES)))
        assert not verdict.failed
        assert verdict.elements == 2 * 2 * 16  # two steps, parameters and momentum
        assert verdict.undecided == 0

    @pytest.mark.one_in(3)
    @pytest.mark.parametrize("element", range(16))
    @pytest.mark.parametrize("wrong", [0.25, -0.25, np.nan, np.inf])
    def test_every_element_counts(self, element: int, wrong: float) -> None:
        def alter(answer: Answer) -> None:
            answer.parameters[1, element] += wrong

        small = case(COPIES)
        verdict = enlarged(altered(alter), Oracle(SGD, small))
        assert verdict.failed
        number, (index,) = small.whole.locate(element)
        assert f"1 are outside, the first in parameter {number}[{index}]" in verdict.sentence

    def test_a_buffer_that_is_missing_somewhere_counts(self) -> None:
        def alter(answer: Answer) -> None:
            answer.present["momentum_buffer"][1, 9] = False

        verdict = enlarged(altered(alter), Oracle(SGD, case(COPIES)))
        assert verdict.failed
        assert "momentum_buffer expected" in verdict.sentence
