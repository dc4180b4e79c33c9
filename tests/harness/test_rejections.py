"""A rejection of a variant rests on cases that prove it to be another one, and says by how much."""

from __future__ import annotations

import pytest
from hypothesis import find, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from oracles.harness.loop.question import rejections
from oracles.harness.subjects.subject import Place
from oracles.harness.verdict import INSIDE, Verdict
from oracles.loop.part import Variant
from oracles.schedules.plateau import PART

EXACT, COARSE = (Place("it", "plain", dtype, "cpu") for dtype in ("float64", "float32"))


def apart(other: Variant, case: int, place: Place) -> float:
    """Half as far in float32."""
    return float(case) if place == EXACT else case / 2


def test_cases_prove_it_in_float32_and_the_verdict_says_how_far_it_is() -> None:
    (question,) = rejections(
        "it",
        PART.variants[1:2],
        lambda other: st.integers(0, 3),
        lambda case, place: Verdict(INSIDE, elements=case),
        apart,
        lambda: (EXACT, COARSE),
    )
    assert find(question.cases(), lambda case: True) == 3
    with pytest.raises(NoSuchExample):
        find(question.cases(), lambda case: case < 3, settings=settings(max_examples=20))
    assert question.rejects == PART.variants[1].name
    told = [question.ask(3, place) for place in (EXACT, COARSE)]
    assert [(one.elements, one.separation) for one in told] == [(3, 3.0), (3, 1.5)]
