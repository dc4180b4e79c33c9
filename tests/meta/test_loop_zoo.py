"""Every faulty part of the loop is caught by the question that is named for it.

``python -m pytest tests/meta/test_loop_zoo.py -k GradScaler`` asks about one part;
``python -m tests.meta.luck GradScaler`` plants each of its faults under many seeds.
"""

from __future__ import annotations

import pytest
import torch

from oracles.harness.deviations.flaws import active
from oracles.harness.loop.catalogue import PARTS, questions
from oracles.harness.verdict import ERRORED
from oracles.schedules.registry import SCHEDULES
from tests.meta.loop_faults import ZOO, caught
from tests.meta.loop_zoo import Specimen
from tests.support.daily import SLOW, TASKS
from tests.support.marks import BY_NAME, skip_before

SINCE = {
    "CyclicLR: momentum goes the same way": ("2.2", "groups did not say between which momenta"),
    "CyclicLR: momentum is not scaled": ("2.2", "groups did not say between which momenta"),
    "ReduceLROnPlateau: nothing is told before a metric": ("2.2", "it told no rates"),
    "clip_grad_norm_: each tensor by its own length": ("2.1", "empty ones had no largest element"),
    "backward: the scale grows within a window": ("2.3", "a CPU had no scaler"),
}
"""Faults that lean on what torch has since a release."""


@pytest.mark.one_in(6)
@pytest.mark.parametrize("specimen", ZOO, ids=str)
def test_a_faulty_part_is_caught(specimen: Specimen) -> None:
    if specimen.part in (*SCHEDULES, "SWALR"):
        skip_before("2.0", BY_NAME)
    skip_before(*SINCE.get(str(specimen), ("0", "")))
    told = caught(specimen)
    if told is None:
        pytest.skip(f"this torch cannot be asked: {specimen.caught_by}")
    assert told, "not caught"
    assert ERRORED not in told, "caught by an accident of its own"


@pytest.mark.parametrize("part", PARTS)
def test_every_question_has_a_faulty_part(part: str) -> None:
    """A question that has caught nobody has never been seen to fail.

    Those that reject a variant ask what another one asks, where the variant is proven to differ.
    """
    asked = {q.name for q in questions(part) if q.rejects is None and q.places()}
    idle = asked - {specimen.caught_by for specimen in ZOO if specimen.part == part}
    assert not idle - {q for flaw in active(part, torch.__version__) for q in flaw.questions}


def test_what_catches_somebody_is_asked_by_day() -> None:
    """Of some part: of which takes turns (``daily.py``)."""
    daily = {task.asks for task in TASKS if task.name not in SLOW}
    assert {specimen.caught_by for specimen in ZOO} <= daily


def test_specimens_have_names_of_their_own() -> None:
    assert len({str(s) for s in ZOO}) == len(ZOO)
