"""A verdict looks at everything: every step, every buffer, what is missing, what is undecided."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from oracles.harness.case import Case, single
from oracles.harness.checks import answers_differ
from oracles.harness.oracle import Oracle
from oracles.harness.subjects import Answer
from oracles.harness.verdict import INSIDE, OUTSIDE, UNDECIDED, fits, judge
from oracles.sgd import RULE

BUFFER = "momentum_buffer"
H = RULE.hyper(lr=0.5, momentum=0.5, weight_decay=0.25, batch_size=4)
CASE = replace(single([1.0, -2.0], [[1.0, 3.0]] * 3, H), axes=("float64",))
SUBJECT = SimpleNamespace(dtype="float64", tensors=frozenset())


def right(case: Case = CASE, convention: str = "coupled_unscaled") -> Answer:
    """The midpoints, which every enclosure holds."""
    enclosures = Oracle(RULE, case)(RULE.convention(convention))
    with np.errstate(over="ignore"):
        mid = enclosures.parameters.mid[0].astype(np.float64)
        buffers = {n: balls.mid[0].astype(np.float64) for n, balls in enclosures.states.items()}
    return Answer(mid, buffers, {n: p.copy() for n, p in enclosures.present.items()})


def test_the_midpoints_are_inside() -> None:
    verdict = judge(Oracle(RULE, CASE), SUBJECT, right())
    assert (verdict.outcome, verdict.sentence, verdict.undecided) == (INSIDE, "", 0)
    assert verdict.elements == 2 * 3 * 2  # elements, steps, parameter and buffer
    assert verdict.moved == 2 * 3
    assert verdict.share < 1


@pytest.mark.parametrize("what", ["parameters", BUFFER])
@pytest.mark.parametrize("step", [0, 1, 2])
@pytest.mark.parametrize("element", [0, 1])
def test_one_wrong_number_is_enough(what: str, step: int, element: int) -> None:
    answer = right()
    values = answer.parameters if what == "parameters" else answer.states[BUFFER]
    values[step, element] += 1e-9
    verdict = judge(Oracle(RULE, CASE), SUBJECT, answer)
    assert verdict.outcome == OUTSIDE
    assert verdict.share > 1
    assert f"step {step + 1}" in verdict.sentence
    assert "no known convention fits" in verdict.sentence


@pytest.mark.parametrize("step", [0, 2])
def test_a_missing_buffer_is_enough(step: int) -> None:
    answer = right()
    answer.present[BUFFER][step] = False
    verdict = judge(Oracle(RULE, CASE), SUBJECT, answer)
    assert verdict.outcome == OUTSIDE
    assert f"after step {step + 1}" in verdict.sentence
    assert "a momentum_buffer expected" in verdict.sentence


def test_the_share_is_the_largest_of_all() -> None:
    """Of the parameter's, half a radius off, and the buffer's, which is exact."""
    oracle, answer = Oracle(RULE, CASE), right()
    rad = float(oracle().parameters.rad[0, 0, 0])
    answer.parameters[0, 0] += rad / 2
    assert judge(oracle, SUBJECT, answer).share == pytest.approx(0.5, abs=0.3)


def test_the_convention_that_fits_is_named() -> None:
    answer = right(convention="batch_scaled")
    assert fits(Oracle(RULE, CASE), SUBJECT, answer) == ["batch_scaled"]
    assert "the values fit batch_scaled" in judge(Oracle(RULE, CASE), SUBJECT, answer).sentence


def test_what_hangs_on_a_rounding_is_counted_and_not_judged() -> None:
    """γg may overflow: of two elements one is undecided; with that one alone, all is."""
    largest = np.finfo(np.float64).max
    h = RULE.hyper(lr=2.0)
    for gradient, outcome in (([largest, 1.0], INSIDE), ([largest], UNDECIDED)):
        case = replace(single(np.ones(len(gradient)), [gradient], h), axes=("float64",))
        answer = right(case)
        answer.parameters[0, 0] = np.nan
        verdict = judge(Oracle(RULE, case), SUBJECT, answer)
        assert (verdict.outcome, verdict.undecided) == (outcome, 1)
        assert not verdict.failed


def test_answers_differ_in_any_part() -> None:
    assert not answers_differ(right(), right())
    for change in ("parameters", "states", "present"):
        answer = right()
        if change == "parameters":
            answer.parameters[-1, -1] += 1
        elif change == "states":
            answer.states[BUFFER][0, 0] += 1
        else:
            answer.present[BUFFER][0, 0] = False
        assert answers_differ(right(), answer)
