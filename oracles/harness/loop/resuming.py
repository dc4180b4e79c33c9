"""Questions about checkpoints: whoever goes on from one goes on to the same rates, to the bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from hypothesis import strategies as st

from oracles.harness.loop.question import Question, Region, wrong
from oracles.harness.loop.rating import places
from oracles.harness.subjects import schedulers
from oracles.harness.subjects.schedulers import OPTIMIZER_FIRST, ORDERS, Following
from oracles.harness.subjects.subject import Place
from oracles.harness.verdict import INSIDE, Verdict
from oracles.schedules.composed import Chained, Plan, Sequential, Single

RESUME, TWICE = "resumed", "loaded twice"

BASES = (0.5, 0.25)

AFTER = 4
"""Epochs for which both are followed."""

LAST = 9
"""The latest checkpoint."""


@dataclass(frozen=True)
class Checkpoint:
    """A plan, saved after some epochs.

    Attributes:
        plan: what is followed.
        at: after how many.
        tensor: whether rates are in tensors.
        plain: whether functions are plain ones, which are not saved.
    """

    plan: Plan
    at: int
    tensor: bool
    plain: bool

    def __str__(self) -> str:
        tensors = ", rates in tensors" if self.tensor else ""
        return f"{self.plan}, saved at {self.at}{tensors}{', plain functions' * self.plain}"

    def start(self) -> Following:
        """Somebody at the checkpoint."""
        made = partial(schedulers.build, self.plan, plain=self.plain)
        run = Following(self.owner(), made)
        for _ in range(self.at):
            run.step()
        return run

    def owner(self) -> schedulers.Optimizer:
        """An optimizer that has made no step."""
        return schedulers.optimizer(BASES, tensor=self.tensor)

    def resumed(self, order: str, kept: schedulers.Kept) -> Following:
        """Somebody who goes on from it."""
        make = partial(schedulers.build, self.plan, plain=self.plain)
        return schedulers.resumed(order, self.owner(), make, kept)


Plans = Callable[[int], st.SearchStrategy[Plan]]
"""Plans for so many groups."""


def resuming(
    part: str,
    of: Plans,
    orders: tuple[str, ...] = tuple(ORDERS),
    regions: Mapping[str, Region] = MappingProxyType({}),
) -> Question:
    """The question, in each order in which people write it."""
    cases = partial(_checkpoints, of)
    there = partial(places, part, orders)
    return Question(part, RESUME, cases, resumed, there, {**regions, **REGIONS}, weight=3)


def loading_twice(
    part: str, of: Plans, regions: Mapping[str, Region] = MappingProxyType({})
) -> Question:
    """A state that is loaded is as it was, so that it can be loaded again."""
    cases, there = partial(_checkpoints, of), partial(places, part, ["plain"])
    return Question(part, TWICE, cases, loaded_twice, there, {**regions, **REGIONS})


def _checkpoints(of: Plans) -> st.SearchStrategy[Checkpoint]:
    tensors = st.booleans() if schedulers.keeps_tensors() else st.just(False)

    def saved(plan: Plan) -> st.SearchStrategy[Checkpoint]:
        last = plan.schedule.last(plan.settings) if isinstance(plan, Single) else None
        latest = LAST if last is None else min(LAST, last - AFTER)
        at = st.integers(1, max(latest, 1))
        return st.builds(Checkpoint, st.just(plan), at, tensors, st.booleans())

    return of(len(BASES)).flatmap(saved)


def resumed(case: Checkpoint, place: Place) -> Verdict:
    """Rates and momenta after the checkpoint: going on, and going on from it."""
    run = case.start()
    again = case.resumed(place.path, schedulers.saved(run))
    for t, (one, other) in enumerate(zip(_followed(run), _followed(again), strict=True), case.at):
        if one != other:
            return wrong(place, case, f"goes on to {other} at epoch {t}, and would have to {one}")
    return Verdict(INSIDE, elements=(AFTER + 1) * len(BASES))


def loaded_twice(case: Checkpoint, place: Place) -> Verdict:
    """What is loaded the second time goes on as what is loaded the first time."""
    kept = schedulers.saved(case.start())
    once, twice = (case.resumed(OPTIMIZER_FIRST, kept) for _ in range(2))
    for one, other in zip(_followed(once), _followed(twice), strict=True):
        if one != other:
            return wrong(place, case, f"goes on to {other}, loaded again, and to {one} before")
    return Verdict(INSIDE, elements=(AFTER + 1) * len(BASES))


def _followed(run: Following) -> Iterator[tuple[object, ...]]:
    for t in range(AFTER + 1):
        seen = run.seen()
        yield seen.rates, seen.told, seen.momenta, seen.epoch
        if t < AFTER:
            run.step()


# --- Regions ------------------------------------------------------------------------------------


def parts(plan: Plan) -> Iterator[Plan]:
    """A plan and all in it."""
    yield plan
    if isinstance(plan, Chained | Sequential):
        for part in plan.parts:
            yield from parts(part)


def _everything(case: Checkpoint, place: Place) -> bool:
    return True


MARK = 0.171875
"""A rate that nobody computes."""


def writes(plan: Plan, group: int = 0) -> bool:
    """Whether a scheduler that is built writes another rate over the one that it finds."""
    return bool(plan.of_group(group).next(MARK, 0, BASES[group]) != MARK)


def _overwritten(case: Checkpoint, place: Place) -> bool:
    """A sequence sets back whatever it finds."""
    return any(isinstance(part, Sequential) for part in parts(case.plan)) or any(
        writes(case.plan, group) for group in range(len(BASES))
    )


def _twice(case: Checkpoint, place: Place) -> bool:
    """Where a step of this very epoch changes the rate, which a constructor takes again."""
    assert isinstance(case.plan, Single)
    s = case.plan.settings
    match case.plan.schedule.name:
        case "StepLR":
            return bool(case.at % s.step_size == 0)
        case "MultiStepLR":
            return case.at in s.milestones
    return bool(case.at == s.total_iters)


def _period_forgotten(case: Checkpoint, place: Place) -> bool:
    assert isinstance(case.plan, Single)
    s = case.plan.settings
    return bool(s.T_mult > 1 and case.at > s.T_0)


def _annealing(case: Checkpoint, place: Place) -> bool:
    assert isinstance(case.plan, Single)
    return bool(case.plan.settings.anneal_epochs > 1)


def _has(name: str, case: Checkpoint, place: Place) -> bool:
    """Whether a schedule is in it."""
    return any(isinstance(p, Single) and p.schedule.name == name for p in parts(case.plan))


REGIONS: dict[str, Region] = {
    "a saw": partial(_has, "CyclicLR"),
    "a plain function of a saw": lambda case, place: case.plain and _has("CyclicLR", case, place),
    "an averaging rate": partial(_has, "SWALR"),
    "annealing": _annealing,
    "everything": _everything,
    "written over": _overwritten,
    "taken twice": _twice,
    "period forgotten": _period_forgotten,
    "past a period": lambda case, place: case.at > case.plan.settings.T_0,
    "in tensors": lambda case, place: case.tensor,
}
