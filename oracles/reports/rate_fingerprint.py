"""Fingerprint of a schedule: the rates that a torch gives for the golden questions, to the bit.

As in :mod:`oracles.reports.fingerprint` a rate is written down as its distance from the golden one,
in units in the last place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from oracles.harness import golden, golden_rates
from oracles.harness.golden_rates import Vector
from oracles.harness.loop.question import Question
from oracles.harness.runs.parts import Site, known_flaw
from oracles.harness.subjects.subject import SubjectError, answering
from oracles.harness.verdict import ERRORED
from oracles.reports.fingerprint import KNOWN, Token, in_units, tokens
from oracles.schedules.schedule import Schedule


def fingerprint(schedule: Schedule, sites: Sequence[Site]) -> Iterator[dict[str, Any]]:
    """A line for each golden question and each site where the schedule is just followed."""
    from oracles.harness.loop.catalogue import questions
    from oracles.harness.loop.rating import PLAIN, TENSOR  # which needs torch
    from oracles.harness.loop.scheduling import RATES

    (rates,) = (question for question in questions(schedule.name) if question.name == RATES)
    there = [site for site in sites if site.place.path in (PLAIN, TENSOR)]
    for vector in golden_rates.read(schedule, document(schedule)) if there else ():
        for site in there:
            place = site.place
            where = {"dtype": place.dtype, "device": place.device, "paths": [place.path]}
            yield {"question": vector.question.id, **where, **_told(vector, site, rates)}


def document(schedule: Schedule) -> bytes:
    """The golden document of what torch's schedule is to give."""
    name = golden_rates.name(schedule, schedule.torch)
    return (golden.folder() / f"{name}.json").read_bytes()


def _told(vector: Vector, site: Site, rates: Question) -> dict[str, Any]:
    """What comes of a golden question at a site, if the ledger leaves no such case out."""
    from oracles.harness.loop.rating import ScheduleRun, followed, judged

    question = vector.question
    run = ScheduleRun(question.plan, (question.base,), question.epochs)
    if row := known_flaw(rates, run, site):
        return {"outcome": KNOWN, "deviation": row.id}
    try:
        with answering():
            seen = [*followed(run.start(site.place), run.epochs)]
    except SubjectError as error:
        return {"outcome": ERRORED, "text": str(error)}
    verdict = judged(site.place, run, run.balls(site.place), seen)
    values = {"rate": _beside(vector.rates, [one.rates[0] for one in seen], site.place.dtype)}
    if vector.momenta:
        momenta = [one.momenta[0][0] for one in seen]
        values["momentum"] = _beside(vector.momenta, momenta, "float64")
    return {"outcome": verdict.outcome, "values": values}


def _beside(pinned: Sequence[float], given: Sequence[float], dtype: str) -> list[Token]:
    """Numbers, one an epoch, beside the golden ones."""
    expected, got = np.array(pinned)[:, None], np.array(given)[:, None]
    return tokens(got, np.ones_like(got, dtype=bool), *in_units(expected, np.zeros(1), [dtype]))
