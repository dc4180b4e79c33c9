"""A verdict on numbers of which nothing is known is undecided, whoever gives it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings

from oracles.harness.arithmetic.enclosure import Enclosure
from oracles.harness.loop.catalogue import questions
from oracles.harness.loop.judging import held_to
from oracles.harness.loop.ranks.asked import judged
from oracles.harness.loop.ranks.tensors import counted_once
from oracles.harness.subjects import processes
from oracles.harness.subjects.subject import Place
from oracles.harness.verdict import INSIDE, UNDECIDED, held

PLACE = Place("DTensor", "2 ranks", "float32", "cpu")

ASKED = (
    ("StepLR", "rates"),
    ("StepLR", "step(epoch)"),
    ("StepLR", "late groups"),
    ("CyclicLR", "momentum"),
    ("ReduceLROnPlateau", "machine"),
    ("ReduceLROnPlateau", "late groups"),
    ("AveragedModel", "average"),
    ("update_bn", "statistics"),
    ("clip_grad_norm_", "values"),
    ("clip_grad_norm_", "in a step"),
    ("backward", "as one batch"),
)
"""Parts, and questions about them that numbers decide."""


def ball(radius: float) -> Enclosure:
    return Enclosure(np.zeros(2), np.full(2, radius), Enclosure.exact(0.0).format)


class Numbers:
    """What has numbers."""

    def __init__(self, *numbers: Any) -> None:
        self.numbers = numbers

    def flat(self) -> Any:
        return (("it", number) for number in self.numbers)


@pytest.fixture
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Balls that hold everything."""
    everywhere = property(lambda self: np.ones(np.shape(self.mid), bool))
    monkeypatch.setattr(Enclosure, "unknown", everywhere)
    monkeypatch.setattr(
        Enclosure, "contains", lambda self, values: np.ones(np.shape(self.mid), bool)
    )


def first(part: str, name: str) -> tuple[Any, Any, Place]:
    """A question, a case of it, and a place."""
    question = next(q for q in questions(part) if q.name == name)
    if not (places := question.places()):
        pytest.skip(f"this torch has no {part}")
    found: list[Any] = []

    @settings(max_examples=1, phases=[Phase.generate], database=None, derandomize=True)
    @given(question.cases())
    def draw(drawn: Any) -> None:
        found.extend(question.each(drawn))

    draw()
    return question, found[0], places[0]


@pytest.mark.parametrize(("part", "name"), ASKED)
def test_a_question_is_undecided(part: str, name: str, nothing_known: None) -> None:
    question, case, place = first(part, name)
    assert question.ask(case, place).outcome == UNDECIDED


def test_numbers_are_undecided_where_all_are() -> None:
    known, unknown = ball(1.0), ball(np.inf)
    for balls, outcome in (([unknown], UNDECIDED), ([known, unknown], INSIDE), ([known], INSIDE)):
        assert held(balls).outcome == outcome
        zeros = Numbers(*[np.zeros(2) for _ in balls])
        assert held_to(PLACE, None, Numbers(*balls), zeros).outcome == outcome
        told = [[[[0.0, 0.0] for _ in balls]]]
        assert judged(PLACE, "", told, [[balls]], lambda: ()).outcome == outcome


def test_norms_of_tensors_are_undecided(
    nothing_known: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = next(q for q in questions("DTensor") if q.ask is counted_once)
    monkeypatch.setattr(
        processes, "ask", lambda number, errand, spread, *_: [(0.0, [0.0] * len(spread))] * number
    )
    verdicts: list[str] = []

    @settings(max_examples=3, phases=[Phase.generate], database=None, derandomize=True)
    @given(question.cases())
    def ask(case: Any) -> None:
        verdicts.append(counted_once(case, PLACE).outcome)

    ask()
    assert {*verdicts} == {UNDECIDED}
