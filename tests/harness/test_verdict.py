"""A verdict looks at everything: every step, every buffer, what is missing, what is undecided."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from oracles.harness.arithmetic.formats import Wide
from oracles.harness.cases.case import Case, single
from oracles.harness.oracle import Balls, Enclosures, Oracle
from oracles.harness.subjects.subject import Answer
from oracles.harness.verdict import INSIDE, OUTSIDE, UNDECIDED, fits, judge, separation
from oracles.optimizers.sgd import RULE
from tests.support.told import Told

BUFFER = "momentum_buffer"
H = RULE.hyper(lr=0.5, momentum=0.5, weight_decay=0.25, batch_size=4)
CASE = replace(single([1.0, -2.0], [[1.0, 3.0]] * 3, H), precisions=("float64",))
SUBJECT = Told("float64")


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
    assert ": momentum_buffer expected" in verdict.sentence


def test_the_share_is_the_largest_of_all() -> None:
    """Of the parameter's, half a radius off, and the buffer's, which is exact."""
    oracle, answer = Oracle(RULE, CASE), right()
    mid, rad = (x[0] for x in (oracle().parameters.mid, oracle().parameters.rad))
    answer.parameters[0, 0] += float(rad[0, 0]) / 2
    share = judge(oracle, SUBJECT, answer).share
    assert share == float(np.max(np.abs(answer.parameters - mid) / rad))
    assert 0 < share < 1


def test_the_convention_that_fits_is_named() -> None:
    answer = right(convention="batch_scaled")
    assert fits(Oracle(RULE, CASE), SUBJECT, answer) == ["batch_scaled"]
    assert "the values fit batch_scaled" in judge(Oracle(RULE, CASE), SUBJECT, answer).sentence


def test_values_without_their_buffer_fit_nothing() -> None:
    answer = right(convention="batch_scaled")
    answer.present[BUFFER][-1] = False
    assert fits(Oracle(RULE, CASE), SUBJECT, answer) == []


def test_the_element_most_radii_off_is_named() -> None:
    """Of 1 and 2^30 the large one is further off, and by fewer of its larger radii."""
    case = replace(single([1.0, 2.0**30], [[1.0, 1.0]], H), precisions=("float64",))
    oracle, answer = Oracle(RULE, case), right(case)
    small, large = oracle().parameters.rad[0, 0].astype(np.float64)
    assert large > 1e6 * small
    answer.parameters[0] += 2.0**20 * small, 4 * large
    assert "step 1, parameter 0[0] (float64)" in judge(oracle, SUBJECT, answer).sentence


def test_of_one_step_the_parameter_is_named_first() -> None:
    answer = right()
    answer.parameters[1, 0] += 1e-9
    answer.states[BUFFER][1, 0] += 1e-3
    sentence = judge(Oracle(RULE, CASE), SUBJECT, answer).sentence
    assert "step 2, parameter 0[0] (float64)" in sentence
    assert "step 2, momentum_buffer of" not in sentence


def balls(*each: tuple[float, float]) -> Enclosures:
    """A parameter after one step, from midpoints and radii."""
    mid, rad = np.array(each, dtype=Wide).T.reshape(2, 1, 1, len(each))
    return Enclosures(("float64",), Balls(mid, rad), {}, {}, np.zeros((1, len(each))))


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        ([(0, 3)], [(4, 1)], 1.0),  # they touch
        ([(0, 3)], [(6, 1)], 1.5),
        ([(6, 1)], [(0, 3)], 1.5),
        ([(0, 3), (0, 1)], [(6, 1), (9, 2)], 3.0),
        ([(5, 0)], [(5, 0)], 0.0),
        ([(0, 3), (0, np.inf), (np.inf, 0)], [(6, 1), (9, 1), (9, 1)], 1.5),
    ],
)
def test_separation_by_hand(
    one: list[tuple[float, float]], other: list[tuple[float, float]], apart: float
) -> None:
    """The distance of the midpoints in terms of both radii together, where it is largest."""
    assert separation(balls(*one), balls(*other), "float64") == apart


def test_what_hangs_on_a_rounding_is_counted_and_not_judged() -> None:
    """γg may overflow: of some elements that one is undecided; if all do, all is."""
    largest = np.finfo(np.float64).max
    h = RULE.hyper(lr=2.0)
    for finite, undecided, outcome in ((1, 1, INSIDE), (1, 2, INSIDE), (0, 1, UNDECIDED)):
        gradient = [largest] * undecided + [1.0] * finite
        case = single(np.ones(len(gradient)), [gradient], h)
        case = replace(case, precisions=("float64",), edge=finite == 0)
        answer = right(case)
        answer.parameters[0, :undecided] = np.nan
        verdict = judge(Oracle(RULE, case), SUBJECT, answer)
        assert (verdict.outcome, verdict.undecided) == (outcome, undecided)
        assert verdict.edge == case.edge
        assert not verdict.failed


def test_answers_differ_in_any_part() -> None:
    assert right().has_the_bits_of(right())
    for change in ("parameters", "states", "present"):
        answer = right()
        if change == "parameters":
            answer.parameters[-1, -1] += 1
        elif change == "states":
            answer.states[BUFFER][0, 0] += 1
        else:
            answer.present[BUFFER][0, 0] = False
        assert not right().has_the_bits_of(answer)


def test_a_sentence_tells_the_hyperparameters_of_its_step() -> None:
    schedule = (H, H._replace(lr=0.125), H)
    case = replace(single([1.0, -2.0], [[1.0, 3.0]] * 3, schedule), precisions=("float64",))
    answer = right(case)
    answer.parameters[1, 0] += 1
    sentence = judge(Oracle(RULE, case), SUBJECT, answer).sentence
    assert "at step 2" in sentence and "lr=0.125" in sentence
