"""Every faulty part of the loop is caught by the question that is named for it.

``python -m pytest tests/meta/test_loop_zoo.py -k GradScaler`` asks about one part.
"""

from __future__ import annotations

import pytest

from oracles.harness.loop.catalogue import questions
from oracles.harness.loop.question import Question
from oracles.harness.runs.parts import run_question, sites
from oracles.harness.runs.runner import Refuted
from oracles.harness.runs.tally import Tally
from tests.meta.loop_accumulating import SPECIMENS as LOOPS
from tests.meta.loop_averaging import SPECIMENS as AVERAGES
from tests.meta.loop_clipping import SPECIMENS as CLIPPERS
from tests.meta.loop_ranks import SPECIMENS as RANKS
from tests.meta.loop_scaling import SPECIMENS as SCALERS
from tests.meta.loop_schedules import SPECIMENS as SCHEDULES
from tests.meta.loop_zoo import Specimen
from tests.support.hurried import hurried

ZOO: tuple[Specimen, ...] = (*SCHEDULES, *SCALERS, *LOOPS, *AVERAGES, *CLIPPERS, *RANKS)


def named(specimen: Specimen) -> Question:
    """The question that is to find it."""
    return next(q for q in questions(specimen.part) if q.name == specimen.caught_by)


@pytest.mark.parametrize("specimen", ZOO, ids=str)
def test_a_faulty_part_is_caught(specimen: Specimen) -> None:
    question = named(specimen)
    asked, _ = sites(specimen.part, specimen.paths)
    if not {site.place for site in asked} & {*question.places()}:
        pytest.skip(f"this torch cannot be asked: {question.name}")
    with hurried(), specimen.planted(), pytest.raises(Refuted) as told:
        run_question(question, asked, Tally())
    assert " raised " not in str(told.value), "caught by an accident of its own"


def test_specimens_have_names_of_their_own() -> None:
    assert len({str(s) for s in ZOO}) == len(ZOO)
