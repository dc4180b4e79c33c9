"""Questions about schedules that are put together: chains and sequences."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from hypothesis import strategies as st

from oracles.harness.arithmetic.enclosure import Enclosure
from oracles.harness.arithmetic.radii import apart, stacked
from oracles.harness.cases import plans
from oracles.harness.loop import changing, resuming
from oracles.harness.loop.question import Question, Region, rejections
from oracles.harness.loop.rating import EPOCHS, PLAIN, ScheduleRun, places
from oracles.harness.loop.resuming import parts, writes
from oracles.harness.loop.scheduling import RATES, rates
from oracles.harness.subjects.schedulers import (
    BUILT_LATER,
    OPTIMIZER_FIRST,
    ORDERS,
    SCHEDULER_FIRST,
)
from oracles.harness.subjects.subject import Place
from oracles.loop.part import Part, Variant
from oracles.schedules import one_cycle
from oracles.schedules.composed import Chained, Plan, Sequential, Single
from oracles.schedules.registry import PARTS, SCHEDULES

CHAIN, SEQUENCE = "ChainedScheduler", "SequentialLR"


def questions(part: str) -> tuple[Question, ...]:
    """What is asked about a composition."""
    return tuple(_questions(PARTS[part]))


def _questions(part: Part) -> Iterator[Question]:
    name, of = part.name, PLANS[part.name]
    there, cases = partial(places, name), partial(_runs, of)
    yield Question(name, RATES, cases, rates, there, REGIONS, weight=8)
    yield replace(changing.edits(name, cases), regions=REGIONS, weight=4)
    yield replace(changing.told(name, cases), regions=REGIONS)
    yield resuming.resuming(name, lambda groups: of(), RESUMED[name], REGIONS)
    yield resuming.loading_twice(name, lambda groups: of(), REGIONS)
    plain = partial(places, name, [PLAIN])
    yield from rejections(name, part.variants[1:], candidates, rates, separation, plain, REGIONS)


RESUMED = {CHAIN: (SCHEDULER_FIRST, OPTIMIZER_FIRST, BUILT_LATER), SEQUENCE: tuple(ORDERS)}
"""A chain has no ``last_epoch``."""


# --- Plans --------------------------------------------------------------------------------------


def _lasting(plan: Single) -> Single:
    """One cycle that is not over before a run is."""
    if plan.schedule is not one_cycle.SCHEDULE:
        return plan
    return replace(plan, settings=plan.settings._replace(total_steps=EPOCHS + 1))


SINGLES = plans.singles(SCHEDULES).map(_lasting)

RARELY = 5
"""One part of a composition in so many is a composition itself."""


def _mostly(plain: st.SearchStrategy[Plan], nested: st.SearchStrategy[Plan]) -> Plans:
    return lambda: st.integers(1, RARELY).flatmap(lambda n: nested if n == RARELY else plain)


Plans = Callable[[], st.SearchStrategy[Plan]]

PARTS_OF_A_PLAN = _mostly(SINGLES, st.one_of(plans.chains(SINGLES), plans.sequences(SINGLES)))

CLOSED = plans.singles({n: s for n, s in SCHEDULES.items() if s.jumps and not s.momentum})
"""Schedules with a closed form, whose rates are all that they set."""

PLANS: dict[str, Plans] = {
    CHAIN: lambda: st.one_of(plans.chains(CLOSED), plans.chains(PARTS_OF_A_PLAN())),
    SEQUENCE: lambda: st.one_of(plans.sequences(CLOSED, 1), plans.sequences(PARTS_OF_A_PLAN())),
}
"""Half of them are such as every torch follows: the ledger leaves out most of what may be drawn."""

FALLING = plans.singles({name: SCHEDULES[name] for name in ("ExponentialLR", "PolynomialLR")})
"""Schedules that are nowhere what they were an epoch before, until they are 0."""

SINCE = st.lists(st.integers(2, 6), min_size=1, max_size=2, unique=True).map(sorted).map(tuple)

IN_TURN = SINCE.flatmap(
    lambda since: st.builds(Sequential, st.tuples(*[FALLING] * (len(since) + 1)), st.just(since))
)

TELLING: dict[str, st.SearchStrategy[Plan]] = {
    "counted_on": IN_TURN,
    "from_last": IN_TURN,
    "one_late": IN_TURN,
    "last_only": st.builds(Chained, st.tuples(FALLING, FALLING)),
    "first_only": st.builds(Chained, st.tuples(FALLING, FALLING)),
    "turned_round": st.builds(
        Chained, st.tuples(FALLING, plans.singles({"LambdaLR": SCHEDULES["LambdaLR"]}))
    ),
}
"""Plans in which another way of composing differs from torch's, nearly all of them."""


def _runs(of: Plans) -> st.SearchStrategy[ScheduleRun]:
    bases = st.lists(plans.BASES, min_size=1, max_size=2).map(tuple)
    return st.builds(ScheduleRun, of(), bases, plans.evenly(0, EPOCHS))


def candidates(variant: Variant) -> st.SearchStrategy[ScheduleRun]:
    """Runs in which another way differs from torch's, nearly all of them."""
    bases = plans.BASES.map(lambda base: (base,))
    return st.builds(ScheduleRun, TELLING[variant.name], bases, st.just(EPOCHS))


def separation(variant: Variant, run: ScheduleRun, place: Place) -> float:
    """How far apart torch's rates and another way's are, in both radii together."""
    plan, base = run.plan.lifted(Enclosure.exact), Enclosure.exact(run.bases[0])
    torch = PARTS[CHAIN if isinstance(plan, Chained) else SEQUENCE].torch
    return apart(*(stacked(each.compute(plan, base, run.epochs)) for each in (torch, variant)))


# --- Regions ------------------------------------------------------------------------------------


def _sequences(plan: Plan) -> Iterator[Sequential]:
    return (part for part in parts(plan) if isinstance(part, Sequential))


def _chains(plan: Plan) -> Iterator[Chained]:
    return (part for part in parts(plan) if isinstance(part, Chained))


def _goes_on(plan: Plan) -> bool:
    """Whether a schedule without a closed form begins at a milestone."""
    return any(
        isinstance(part, Single) and not part.schedule.jumps and milestone > 0
        for whole in _sequences(plan)
        for part, milestone in zip(whole.parts[1:], whole.milestones, strict=True)
    )


def _composed_first(plan: Plan) -> bool:
    return any(not isinstance(whole.parts[0], Single) for whole in _sequences(plan))


def _counted_first(plan: Plan) -> bool:
    """Whether in a composition that begins there is a schedule that counts its own steps."""
    heads = [whole.parts[0] for whole in _sequences(plan)]
    inner = [part for head in heads if not isinstance(head, Single) for part in parts(head)]
    return any(_counts(part) for part in inner)


def _counts(plan: Plan) -> bool:
    return isinstance(plan, Sequential) or (
        isinstance(plan, Single) and plan.schedule.name == "SWALR"
    )


def _composed_later(plan: Plan) -> bool:
    return any(
        not all(isinstance(part, Single) for part in whole.parts[1:]) for whole in _sequences(plan)
    )


def _takes_the_base(plan: Plan) -> bool:
    """Whether a cycle is among others, whose base rates it may take for its own."""
    return sum(isinstance(part, Single) for part in parts(plan)) > 1 and any(
        isinstance(part, Single) and part.schedule.momentum for part in parts(plan)
    )


def _sequence_in_a_chain(plan: Plan) -> bool:
    """Whether a sequence that is built later sets back what another one has set."""
    return any(
        isinstance(part, Sequential) and any(map(writes, whole.parts[:number]))
        for whole in _chains(plan)
        for number, part in enumerate(whole.parts)
    )


def _begins_at_once(plan: Plan) -> bool:
    return any(0 in whole.milestones for whole in _sequences(plan))


def _two_of_a_kind(plan: Plan) -> bool:
    """Whether two schedules keep their rate in the same place of the group."""
    kinds = [part.schedule.name for part in parts(plan) if isinstance(part, Single)]
    return kinds.count("SWALR") > 1


OF_PLANS: dict[str, Callable[[Plan], bool]] = {
    "a product goes on": _goes_on,
    "a composition first": _composed_first,
    "a count of its own in a composition first": _counted_first,
    "a composition later": _composed_later,
    "a cycle among others": _takes_the_base,
    "a sequence in a chain": _sequence_in_a_chain,
    "a milestone at 0": _begins_at_once,
    "two of a kind": _two_of_a_kind,
    "everything": lambda plan: True,
}
"""Plans that some torch follows wrongly."""


def _shows(holds: Callable[[Plan], bool], case: Any, place: Place) -> bool:
    """Whether it holds for the plan of a case, which an edited run is about as well."""
    return holds(getattr(case, "run", case).plan)


REGIONS: dict[str, Region] = {name: partial(_shows, holds) for name, holds in OF_PLANS.items()}
