"""What questions about rates have in common: runs of a plan, and what is said of their rates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from types import MappingProxyType

from hypothesis import strategies as st

from oracles.harness.arithmetic.enclosure import Enclosure
from oracles.harness.arithmetic.radii import stacked, used
from oracles.harness.cases import plans
from oracles.harness.loop.question import wrong
from oracles.harness.rates import enclosed, held_as_torch, off, weaker
from oracles.harness.subjects import schedulers
from oracles.harness.subjects.schedulers import Following, Seen
from oracles.harness.subjects.subject import Place
from oracles.harness.verdict import INSIDE, Verdict, held
from oracles.schedules.composed import Plan, Single
from oracles.schedules.schedule import Schedule

PLAIN, TENSOR = "plain", "tensor lr"
"""Rates that are numbers, and rates that are kept in tensors."""

KEPT, REPLACED = "tensors kept", "puts another tensor in the place of a rate at {}"
"""That rates stay the tensors that they are."""

EPOCHS = 16
"""The most that are followed."""

BASES = st.lists(plans.BASES, min_size=1, max_size=3).map(tuple)

Balls = list[list[Enclosure]]
"""By group and epoch."""


@dataclass(frozen=True)
class ScheduleRun:
    """A plan, followed from the base rates of some groups for some epochs.

    Attributes:
        plan: what is followed.
        bases: the rates.
        epochs: how many.
        shared: whether the groups have one tensor in common, where rates are in tensors.
    """

    plan: Plan
    bases: tuple[float, ...]
    epochs: int
    shared: bool = False

    def __str__(self) -> str:
        together = " in one tensor" if self.shared else ""
        return f"{self.plan} from {', '.join(map(str, self.bases))}{together}"

    def start(self, place: Place) -> Following:
        """Somebody who follows it there."""
        tensor = place.path == TENSOR
        return schedulers.following(
            self.plan, self.bases, tensor=tensor, shared=tensor and self.shared
        )

    def balls(self, place: Place, edits: Mapping[int, float] = MappingProxyType({})) -> Balls:
        """The rates of each group, where somebody edits those of the first."""
        tensor = place.path == TENSOR
        return [
            enclosed(
                self.plan.of_group(i), base, self.epochs, tensor=tensor, edits={} if i else edits
            )
            for i, base in enumerate(self.bases)
        ]


def singles(schedule: Schedule, groups: int) -> st.SearchStrategy[Single]:
    """A schedule with settings, some of which may be lists where there are groups."""
    settings = plans.settings(schedule)
    if groups > 1 and schedule.listed:
        settings = st.one_of(settings, plans.by_group(schedule, groups))
    return settings.map(partial(Single, schedule))


@st.composite
def runs(draw: st.DrawFn, schedule: Schedule) -> ScheduleRun:
    """Of one schedule, for as long as it lasts or shorter."""
    bases = draw(BASES)
    shared = len(bases) > 1 and draw(st.booleans())
    plan = draw(singles(schedule, 1 if shared else len(bases)))
    epochs = draw(plans.evenly(0, lasts(plan)))
    return ScheduleRun(plan, bases[:1] * len(bases) if shared else bases, epochs, shared)


def lasts(plan: Single) -> int:
    """The epochs for which a schedule can be followed."""
    last = plan.schedule.last(plan.settings)
    return EPOCHS if last is None else min(EPOCHS, last)


def places(part: str, paths: Sequence[str] = (PLAIN, TENSOR)) -> list[Place]:
    """Those of the paths that this torch has, if it has the part."""
    if not schedulers.there(part):
        return []
    kept = [path for path in paths if path != TENSOR or schedulers.keeps_tensors()]
    return [Place(part, path, "float32" if path == TENSOR else "float64", "cpu") for path in kept]


def followed(run: Following, epochs: int) -> Iterator[Seen]:
    """What there is at each epoch."""
    yield run.seen()
    for _ in range(epochs):
        run.step()
        yield run.seen()


def tensors(run: ScheduleRun, place: Place) -> Verdict:
    """Whether each rate that is a tensor is the same one at each epoch."""
    seen = [] if weaker() else followed(run.start(place), run.epochs)
    for epoch, one in enumerate(seen):
        if not one.kept:
            return wrong(place, run, REPLACED.format(epoch))
    return Verdict(INSIDE, elements=len(run.bases))


def judged(
    place: Place, case: object, balls: Balls, seen: Sequence[Seen], *, count: bool = True
) -> Verdict:
    """Whether all rates are inside, and are what the scheduler says they are.

    Epochs are counted, too, unless they are jumped to.
    """
    got = [list(rates) for rates in zip(*(one.rates for one in seen), strict=True)]
    for told in off(balls, got):
        return wrong(place, case, str(told))
    for epoch, one in enumerate(seen):
        if count and one.epoch not in (None, epoch):
            return wrong(place, case, f"counts {one.epoch} epochs at {epoch}")
        if one.told != one.rates:
            return wrong(place, case, f"tells {one.told} at epoch {epoch}, and sets {one.rates}")
        if not one.kept and held_as_torch():
            return wrong(place, case, REPLACED.format(epoch))
    share = used(stacked(chain(*balls)), [*chain(*got)])
    return held(chain(*balls), share=share)
