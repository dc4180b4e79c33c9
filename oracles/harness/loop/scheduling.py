"""Questions about schedules: what the rate is at epoch t."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from hypothesis import strategies as st

from oracles.harness.cases import plans
from oracles.harness.loop.question import Question, wrong
from oracles.harness.rates import closed, enclosed, off, share
from oracles.harness.subjects import schedulers
from oracles.harness.subjects.subject import Place
from oracles.harness.verdict import INSIDE, Verdict
from oracles.schedules.composed import Plan, Single
from oracles.schedules.registry import SCHEDULES
from oracles.schedules.schedule import Schedule, Timing

PLAIN, TENSOR = "plain", "tensor lr"
"""Rates that are numbers, and rates that are kept in tensors."""

RATES = "rates"

TINY = 2.0**-1000
"""In place of a radius of 0, to divide by."""


@dataclass(frozen=True)
class Run:
    """A plan, followed from the base rates of some groups for some epochs."""

    plan: Plan
    bases: tuple[float, ...]
    epochs: int

    def __str__(self) -> str:
        return f"{self.plan} from {', '.join(map(str, self.bases))}"


def questions(part: str) -> tuple[Question, ...]:
    """What is asked about a schedule."""
    schedule = SCHEDULES[part]
    return (
        Question(part, RATES, partial(_runs, schedule), rates, partial(_places, part), weight=4),
        *(
            Question(
                part,
                f"rejects {timing.name}",
                partial(_runs, schedule, differing(timing)),
                partial(rejection, timing),
                partial(_places, part, plain=True),
                rejects=timing.name,
            )
            for timing in schedule.timings[1:]
        ),
    )


def _places(part: str, *, plain: bool = False) -> list[Place]:
    """In numbers, and in tensors where this torch keeps those."""
    kept = {PLAIN: "float64"} | ({TENSOR: "float32"} if schedulers.keeps_tensors() else {})
    return [
        Place(part, path, dtype, "cpu")
        for path, dtype in kept.items()
        if schedulers.there(part) and not (plain and path == TENSOR)
    ]


def _runs(
    schedule: Schedule, among: Callable[[Run], bool] = lambda run: True
) -> st.SearchStrategy[Run]:
    def made(settings: object, bases: list[float], epochs: int) -> Run:
        last = getattr(settings, "total_steps", epochs + 1) - 1
        return Run(Single(schedule, settings), tuple(bases), min(epochs, last))

    bases = st.lists(plans.BASES, min_size=1, max_size=3)
    return st.builds(made, plans.settings(schedule), bases, st.integers(0, 16)).filter(among)


def rates(run: Run, place: Place) -> Verdict:
    """The rate of each group at each epoch."""
    tensor = place.path == TENSOR
    got = schedulers.stepped(run.plan, run.bases, run.epochs, tensor=tensor)
    balls = [enclosed(run.plan, base, run.epochs, tensor=tensor) for base in run.bases]
    for told in off(balls, got):
        return wrong(place, run, str(told))
    return Verdict(INSIDE, elements=sum(map(len, got)), share=share(balls, got))


def differing(timing: Timing) -> Callable[[Run], bool]:
    """Whether a run shows that a timing is not torch's."""

    def differs(run: Run) -> bool:
        assert isinstance(run.plan, Single)
        return separation(run.plan, timing, run.bases[0], run.epochs) > 1

    return differs


def separation(plan: Single, timing: Timing, base: float, epochs: int) -> float:
    """How far apart torch's rates and another timing's are, in both radii together."""
    pairs = zip(
        closed(plan, plan.schedule.torch, base, epochs),
        closed(plan, timing, base, epochs),
        strict=True,
    )
    return max(
        float(abs(one.mid - other.mid) / max(one.rad + other.rad, TINY)) for one, other in pairs
    )


def rejection(timing: Timing, run: Run, place: Place) -> Verdict:
    """torch's rates are its own, where another timing's are proven to be others."""
    assert isinstance(run.plan, Single)
    apart = separation(run.plan, timing, run.bases[0], run.epochs)
    return replace(rates(run, place), separation=apart)
