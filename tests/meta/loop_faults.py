"""All faulty parts of the loop, and the question that is to catch each."""

from __future__ import annotations

from unittest import SkipTest
from unittest.mock import patch

from oracles.harness.loop.catalogue import questions
from oracles.harness.loop.question import Question
from oracles.harness.runs import parts
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


class Caught(Refuted, SkipTest):
    """Something is wrong: Hypothesis stops at a skip, asks nothing again and prints nothing."""


def caught(specimen: Specimen) -> set[str] | None:
    """Its verdicts where its question refutes it; no verdict if that does not.

    None if this torch leaves hardly anybody to ask: there may be no place of its path, or the
    ledger may leave most cases out.
    """
    question, tally = named(specimen), Tally()
    asked, _ = parts.sites(specimen.part, specimen.paths)
    try:
        with hurried(), patch.object(parts, "Refuted", Caught), specimen.planted():
            parts.run_question(question, asked, tally)
    except Caught as told:
        return {verdict.outcome for verdict in told.args[0].failures}
    decided = sum(line.runs for line in tally.lines.values())
    left_out = sum(places.total() for places in tally.deviations.values())
    return set() if decided > left_out else None
