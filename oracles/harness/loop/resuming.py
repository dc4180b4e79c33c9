"""Questions about checkpoints: whoever goes on from one goes on to the same rates, to the bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property, partial
from types import MappingProxyType

from hypothesis import strategies as st

from oracles.harness.loop.question import EVERYTHING, Question, Region, wrong
from oracles.harness.loop.rating import followed, places
from oracles.harness.rates import weaker
from oracles.harness.subjects import schedulers
from oracles.harness.subjects.schedulers import BY_CONSTRUCTOR, OPTIMIZER_FIRST, ORDERS, Following
from oracles.harness.subjects.subject import Place
from oracles.harness.verdict import INSIDE, Verdict
from oracles.schedules.composed import Chained, Plan, Sequential, Single

RESUME, TWICE = "resumed", "loaded twice"

BASES = (0.5, 0.25)

AFTER = 3
"""Epochs for which a run goes on after the last checkpoint."""

LAST, LAST_OF_ALL = 9, 4
"""The latest checkpoint, where there is one, and where there is one at every epoch."""

Seen = tuple[object, ...]
"""By :data:`COLUMNS`, what there is at an epoch."""

COLUMNS = ("rates", "get_last_lr()", "momenta", "last_epoch")


@dataclass(frozen=True)
class Checkpoints:
    """A plan, and the epochs after which it is saved.

    Attributes:
        plan: what is followed.
        at: after how many epochs it is saved, in order.
        tensor: whether rates are in tensors.
        plain: whether functions are plain ones, which are not saved.
    """

    plan: Plan
    at: tuple[int, ...]
    tensor: bool
    plain: bool

    def __str__(self) -> str:
        tensors = ", rates in tensors" if self.tensor else ""
        at = ", ".join(map(str, self.at))
        return f"{self.plan}, saved at {at}{tensors}{', plain functions' * self.plain}"

    @property
    def end(self) -> int:
        """The last epoch."""
        return self.at[-1] + AFTER

    @cached_property
    def followed(self) -> tuple[list[Seen], dict[int, schedulers.Kept]]:
        """What there is at each epoch, and what is saved: whatever order it is loaded in."""
        run = Following(self.owner(), partial(schedulers.build, self.plan, plain=self.plain))
        seen, kept = [], {}
        for t, now in enumerate(_followed(run, self.end)):
            seen.append(now)
            if t in self.at:
                kept[t] = schedulers.saved(run)
        return seen, kept

    def resumed(self, order: str, at: int, kept: schedulers.Kept) -> Iterator[Seen]:
        """What there is from a checkpoint to the end, where somebody goes on from it."""
        make = partial(schedulers.build, self.plan, plain=self.plain)
        return _followed(schedulers.resumed(order, self.owner(), make, kept, at), self.end - at)

    def owner(self) -> schedulers.Optimizer:
        """An optimizer that has made no step."""
        return schedulers.optimizer(BASES, tensor=self.tensor)


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
    return Question(part, RESUME, cases, resumed, there, {**regions, **REGIONS}, weight=4)


def loading_twice(
    part: str, of: Plans, regions: Mapping[str, Region] = MappingProxyType({})
) -> Question:
    """A state that is loaded is as it was, so that it can be loaded again."""
    cases, there = partial(_checkpoints, of), partial(places, part, ["plain"])
    return Question(part, TWICE, cases, loaded_twice, there, {**regions, **REGIONS})


def _checkpoints(of: Plans) -> st.SearchStrategy[Checkpoints]:
    """Saved at each of the first epochs and once later; or once, where the ledger knows many."""
    tensors = st.booleans() if schedulers.keeps_tensors() else st.just(False)

    def saved(plan: Plan) -> st.SearchStrategy[Checkpoints]:
        last = plan.schedule.last(plan.settings) if isinstance(plan, Single) else None
        latest = LAST if last is None else max(min(LAST, last - AFTER), 1)
        early = range(min(latest, LAST_OF_ALL) + 1)
        once = st.integers(1, latest).map(lambda late: (late,))
        each = once.map(lambda late: tuple(sorted({*early, *late})))
        at = st.one_of(each, each, once)
        return st.builds(Checkpoints, st.just(plan), at, tensors, st.booleans())

    return of(len(BASES)).flatmap(saved)


def resumed(case: Checkpoints, place: Place) -> Verdict:
    """Rates and momenta after each checkpoint: going on, and going on from it."""
    seen, kept = case.followed
    elements = 0
    for at in sorted(kept):
        if not at and place.path == BY_CONSTRUCTOR:
            continue  # there is no last epoch: it begins, and takes the rate for the base rate
        own = deepcopy(kept[at])  # which another order finds as it was
        for t, got in enumerate(case.resumed(place.path, at, own), at):
            if got != seen[t] and not (weaker() and t == at):
                name, now, before = _parted(got, seen[t])
                told = f"saved at {at}, has {name} {now} at epoch {t}, and had {before}"
                return wrong(place, case, told)
            elements += len(BASES)
    return Verdict(INSIDE, elements=elements)


def loaded_twice(case: Checkpoints, place: Place) -> Verdict:
    """What is loaded the second time goes on as what is loaded the first time."""
    _, kept = case.followed
    for at in kept:
        state = deepcopy(kept[at])
        once, twice = ([*case.resumed(OPTIMIZER_FIRST, at, state)] for _ in range(2))
        for t, (one, other) in enumerate(zip(once, twice, strict=True), at):
            if one != other:
                name, now, before = _parted(other, one)
                told = f"has {name} {now} at epoch {t} where it is loaded again, and had {before}"
                return wrong(place, case, f"saved at {at}, {told}")
    return Verdict(INSIDE, elements=len(kept) * len(BASES))


def _parted(one: Seen, other: Seen) -> tuple[str, object, object]:
    """The first thing that is another one, by name."""
    return next(trio for trio in zip(COLUMNS, one, other, strict=True) if trio[1] != trio[2])


def _followed(run: Following, epochs: int) -> Iterator[Seen]:
    return ((s.rates, s.told, s.momenta, s.epoch) for s in followed(run, epochs))


# --- Regions ------------------------------------------------------------------------------------


def parts(plan: Plan) -> Iterator[Plan]:
    """A plan and all in it."""
    yield plan
    if isinstance(plan, Chained | Sequential):
        for part in plan.parts:
            yield from parts(part)


MARK = 0.171875
"""A rate that nobody computes."""


def writes(plan: Plan, group: int = 0, t: int = 0) -> bool:
    """Whether the step to an epoch writes another rate over the one that it finds.

    That to epoch 0 is made by a scheduler that is built.
    """
    return bool(plan.of_group(group).next(MARK, t, BASES[group]) != MARK)


def _overwritten(case: Checkpoints, place: Place) -> bool:
    """A sequence sets back whatever it finds."""
    return any(isinstance(part, Sequential) for part in parts(case.plan)) or any(
        writes(case.plan, group) for group in range(len(BASES))
    )


def _twice(case: Checkpoints, place: Place) -> bool:
    """Where a step of that very epoch changes the rate, which a constructor takes again."""
    return any(writes(case.plan, t=at) for at in case.at if at)


def _period_forgotten(case: Checkpoints, place: Place) -> bool:
    assert isinstance(case.plan, Single)
    s = case.plan.settings
    return bool(s.T_mult > 1 and case.at[-1] > s.T_0)


def _annealing(case: Checkpoints, place: Place) -> bool:
    assert isinstance(case.plan, Single)
    return bool(case.plan.settings.anneal_epochs > 1)


def _has(name: str, case: Checkpoints, place: Place) -> bool:
    """Whether a schedule is in it."""
    return any(isinstance(p, Single) and p.schedule.name == name for p in parts(case.plan))


REGIONS: dict[str, Region] = {
    "a saw": partial(_has, "CyclicLR"),
    "a plain function of a saw": lambda case, place: case.plain and _has("CyclicLR", case, place),
    "an averaging rate": partial(_has, "SWALR"),
    "annealing": _annealing,
    **EVERYTHING,
    "written over": _overwritten,
    "taken twice": _twice,
    "period forgotten": _period_forgotten,
    "past a period": lambda case, place: case.at[-1] > case.plan.settings.T_0,
    "in tensors": lambda case, place: case.tensor,
}
