"""Every faulty part of the loop is caught by the question that is named for it.

``python -m pytest tests/meta/test_loop_zoo.py -k GradScaler`` asks about one part;
``python -m tests.meta.luck`` plants each under many seeds.
"""

from __future__ import annotations

import pytest

from oracles.harness.loop.catalogue import PARTS, questions
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


def caught(specimen: Specimen) -> str | None:
    """How its question refutes it; empty if that does not, None if this torch leaves none to ask.

    There may be no place of its path, or the ledger may leave all cases out.
    """
    question, tally = named(specimen), Tally()
    asked, _ = sites(specimen.part, specimen.paths)
    try:
        with hurried(), specimen.planted():
            run_question(question, asked, tally)
    except Refuted as told:
        return str(told)
    return "" if tally.lines else None


@pytest.mark.parametrize("specimen", ZOO, ids=str)
def test_a_faulty_part_is_caught(specimen: Specimen) -> None:
    told = caught(specimen)
    if told is None:
        pytest.skip(f"this torch cannot be asked: {specimen.caught_by}")
    assert told, "not caught"
    assert " raised " not in told, "caught by an accident of its own"


@pytest.mark.parametrize("part", PARTS)
def test_every_question_has_a_faulty_part(part: str) -> None:
    """A question that has caught nobody has never been seen to fail.

    Those that reject a variant ask what another one asks, where the variant is proven to differ.
    """
    asked = {q.name for q in questions(part) if q.rejects is None and q.places()}
    assert asked <= {specimen.caught_by for specimen in ZOO if specimen.part == part}


def test_specimens_have_names_of_their_own() -> None:
    assert len({str(s) for s in ZOO}) == len(ZOO)
