"""``torch.optim.lr_scheduler`` against oracles of its schedules: what the rate is at epoch t."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from oracles.harness.arithmetic.enclosure import Enclosure
from oracles.harness.cases import plans
from oracles.harness.rates import closed, enclosed, off
from oracles.harness.subjects import schedulers
from oracles.schedules.composed import Chained, Plan, Sequential, Single
from oracles.schedules.registry import SCHEDULES
from oracles.schedules.schedule import Schedule

HERE = {name: schedule for name, schedule in SCHEDULES.items() if schedulers.there(name)}
RELATIVE = {name: s for name, s in HERE.items() if not s.momentum}
"""Those that go by the rate the optimizer was built with, and so can be composed."""

COMPOSED = {"SequentialLR", "ChainedScheduler", "ReduceLROnPlateau"}
CLOSED = {n: s for n, s in RELATIVE.items() if s.following and n != "MultiplicativeLR"}
"""Those that know a closed form beside their recurrence, for ``step(epoch)``."""

each_schedule = pytest.mark.parametrize("schedule", HERE.values(), ids=list(HERE))
bases = st.lists(plans.BASES, min_size=1, max_size=3)
epochs = st.integers(0, 16)


def refute(plan: Plan, starts: list[float], got: list[list[float]]) -> None:
    """Fail with the first rate that no rounding explains."""
    balls = [enclosed(plan, base, len(got[0]) - 1) for base in starts]
    for wrong in off(balls, got):
        pytest.fail(f"{plan} from {starts} {wrong}")


def test_every_schedule_of_torch_has_an_oracle() -> None:
    assert set(schedulers.classes()) == set(HERE) | {n for n in COMPOSED if schedulers.there(n)}


@each_schedule
@given(st.data(), bases, epochs)
def test_rates(schedule: Schedule, data: Any, starts: list[float], until: int) -> None:
    plan = Single(schedule, data.draw(plans.settings(schedule)))
    until = min(until, getattr(plan.settings, "total_steps", until + 1) - 1)
    refute(plan, starts, schedulers.stepped(plan, starts, until))


@each_schedule
@given(st.data())
def test_other_timings_are_rejected(schedule: Schedule, data: Any) -> None:
    """Wherever a variant is proven to differ, torch's rate is outside of it."""
    plan = Single(schedule, data.draw(plans.settings(schedule)))
    until = getattr(plan.settings, "total_steps", 9) - 1
    (got,) = schedulers.stepped(plan, [0.5], until)
    torchs = closed(plan, schedule.torch, 0.5, until)
    for timing in schedule.timings[1:]:
        for mine, ball, rate in zip(torchs, closed(plan, timing, 0.5, until), got, strict=True):
            if abs(mine.mid - ball.mid) > mine.rad + ball.rad:
                assert not ball.contains(rate), f"{plan} is {timing.name}: {timing.equation}"


@pytest.mark.parametrize("schedule", CLOSED.values(), ids=list(CLOSED))
@given(st.data(), plans.BASES, epochs)
def test_jumping_to_an_epoch(schedule: Schedule, data: Any, base: float, until: int) -> None:
    """``step(epoch)`` computes the closed form."""
    plan = Single(schedule, data.draw(plans.settings(schedule)))
    (got,) = schedulers.jumped(plan, [base], until)
    for wrong in off([closed(plan, schedule.torch, base, until)], [got]):
        pytest.fail(f"{plan} {wrong}")


@pytest.mark.parametrize("name", ["CyclicLR", "OneCycleLR"])
@pytest.mark.parametrize("cls", [torch.optim.SGD, torch.optim.Adam])
@given(st.data())
def test_momentum(name: str, cls: Any, data: Any) -> None:
    """Momentum, or the first beta, goes the other way."""
    schedule = HERE[name]
    plan = Single(schedule, data.draw(plans.settings(schedule)))
    options = {"momentum": 0.5} if cls is torch.optim.SGD else {}
    owner = cls([torch.zeros(1)], lr=0.1, **options)
    with schedulers.unwarned():
        scheduler = schedulers.build(plan, owner)
        for t in range(8):
            assert schedule.momentum is not None
            lifted = plan.lifted(Enclosure.exact).settings
            ball = schedule.momentum(t, Enclosure.exact(0.1), lifted)
            group = owner.param_groups[0]
            got = group["momentum"] if options else group["betas"][0]
            assert ball.contains(got), f"{plan} at {t}: expected {ball}, got {got}"
            scheduler.step()


singles = plans.singles(RELATIVE)


@given(plans.chains(singles), bases, epochs)
def test_chains(plan: Chained, starts: list[float], until: int) -> None:
    refute(plan, starts, schedulers.stepped(plan, starts, until))


@given(plans.chains(st.one_of(singles, plans.chains(singles))), epochs)
def test_chains_of_chains(plan: Chained, until: int) -> None:
    refute(plan, [1.0], schedulers.stepped(plan, [1.0], until))


@dataclass(frozen=True)
class Deviation:
    """What some torch gets wrong: a plan that shows it, and the plans it shows in.

    Attributes:
        name: its name.
        reproducer: the smallest plan.
        covers: whether it may show in a plan.
        reason: what torch does there.
        upstream: where that is known.
    """

    name: str
    reproducer: Sequential
    covers: Callable[[Sequential], bool]
    reason: str
    upstream: str = ""

    def __str__(self) -> str:
        return self.name

    def shows(self) -> bool:
        """Whether this torch still does it."""
        try:
            got = schedulers.stepped(self.reproducer, [1.0], 3)
        except (NotImplementedError, AttributeError, TypeError):
            return True
        return any(off([enclosed(self.reproducer, 1.0, 3)], got))


def single(name: str, **settings: Any) -> Single:
    return Single(SCHEDULES[name], SCHEDULES[name].settings(**settings))


HALVED, TENTH = single("ExponentialLR", gamma=0.5), single("StepLR", step_size=1, gamma=0.1)
DEVIATIONS = (
    Deviation(
        "a product goes on",
        Sequential((HALVED, single("MultiplicativeLR", factors=(0.9,))), (2,)),
        lambda plan: any(
            isinstance(part, Single) and part.schedule.name == "MultiplicativeLR"
            for part in plan.parts[1:]
        ),
        "MultiplicativeLR has no closed form, so that at its milestone SequentialLR multiplies the "
        "rate that the schedule before has left by f(0), which nothing else uses",
    ),
    Deviation(
        "a composition first",
        Sequential((Chained((HALVED, TENTH)), HALVED), (3,)),
        lambda plan: not isinstance(plan.parts[0], Single),
        "SequentialLR steps a composition at its head once more as it is built",
        "https://github.com/pytorch/pytorch/issues/196243",
    ),
    Deviation(
        "a composition later",
        Sequential((HALVED, Chained((HALVED, TENTH))), (2,)),
        lambda plan: not all(isinstance(part, Single) for part in plan.parts[1:]),
        "at its milestone SequentialLR asks a composition for a rate of its own, which it has not",
        "https://github.com/pytorch/pytorch/issues/132745",
    ),
)
KNOWN = [row for row in DEVIATIONS if row.shows()]


@pytest.mark.parametrize("row", DEVIATIONS, ids=str)
def test_a_deviation_shows_where_it_is_known(row: Deviation) -> None:
    assert row.covers(row.reproducer)
    assert row in KNOWN, f"{row} has healed in torch {torch.__version__}: {row.reason}"


def sequential(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Sequential]:
    """Sequences in which this torch is not known to be wrong."""
    return plans.sequences(parts).filter(lambda plan: not any(row.covers(plan) for row in KNOWN))


@given(sequential(plans.singles({n: s for n, s in RELATIVE.items() if n != "MultiplicativeLR"})))
def test_sequences(plan: Sequential) -> None:
    refute(plan, [1.0, 0.1], schedulers.stepped(plan, [1.0, 0.1], 14))


@each_schedule
@given(st.data())
def test_rates_in_tensors(schedule: Schedule, data: Any) -> None:
    """A rate in a tensor stays that tensor, and takes no other one's values with it."""
    plan = Single(schedule, data.draw(plans.settings(schedule)))
    owner = schedulers.optimizer([0.5, 0.25], tensor=True)
    held = [group["lr"] for group in owner.param_groups]
    with schedulers.unwarned():
        scheduler = schedulers.build(plan, owner)
        for t in range(6):
            assert all(
                g["lr"] is tensor for g, tensor in zip(owner.param_groups, held, strict=True)
            )
            for group, base in zip(owner.param_groups, (0.5, 0.25), strict=True):
                ball = enclosed(plan, base, t, tensor=True)[t]
                assert ball.contains(group["lr"].item()), f"{plan} at {t}: {ball}, {group['lr']}"
            scheduler.step()


RESUMED = plans.singles(HERE)
Build = Callable[[Plan, list[float]], tuple[Any, Any]]


def saved(owner: Any, scheduler: Any) -> tuple[Any, Any]:
    """Both state dicts, through a file."""
    file = io.BytesIO()
    torch.save((owner.state_dict(), scheduler.state_dict()), file)
    file.seek(0)
    return torch.load(file, weights_only=False)  # type: ignore[no-any-return]


def scheduler_first(plan: Plan, starts: list[float], kept: tuple[Any, Any]) -> tuple[Any, Any]:
    """As torch's documentation asks for: both built, then both loaded."""
    owner = schedulers.optimizer(starts)
    scheduler = schedulers.build(plan, owner)
    scheduler.load_state_dict(kept[1])
    owner.load_state_dict(kept[0])
    return owner, scheduler


def optimizer_first(plan: Plan, starts: list[float], kept: tuple[Any, Any]) -> tuple[Any, Any]:
    """Both built; the optimizer is loaded before the scheduler."""
    owner = schedulers.optimizer(starts)
    scheduler = schedulers.build(plan, owner)
    owner.load_state_dict(kept[0])
    scheduler.load_state_dict(kept[1])
    return owner, scheduler


def optimizer_loaded_before(
    plan: Plan, starts: list[float], kept: tuple[Any, Any]
) -> tuple[Any, Any]:
    """The scheduler is built on an optimizer that is loaded already.

    Its constructor takes a step, which sets the rate, and loading does not set it back.
    """
    owner = schedulers.optimizer(starts)
    owner.load_state_dict(kept[0])
    scheduler = schedulers.build(plan, owner)
    scheduler.load_state_dict(kept[1])
    return owner, scheduler


def followed(owner: Any, scheduler: Any, steps: int) -> Iterator[list[float]]:
    for _ in range(steps):
        owner.step()
        scheduler.step()
        yield schedulers.current(owner)


def resumed(plan: Plan, how: Any, at: int, steps: int) -> tuple[list[Any], list[Any]]:
    """The rates after a checkpoint: going on, and going on from it."""
    starts = [0.5, 0.25]
    with schedulers.unwarned():
        owner = schedulers.optimizer(starts)
        scheduler = schedulers.build(plan, owner)
        for _ in followed(owner, scheduler, at):
            pass
        kept = saved(owner, scheduler)
        other = how(plan, starts, kept)
        going_on = [schedulers.current(owner), *followed(owner, scheduler, steps)]
        return going_on, [schedulers.current(other[0]), *followed(*other, steps)]


@pytest.mark.parametrize("how", [scheduler_first, optimizer_first])
@given(st.one_of(RESUMED, plans.chains(singles)), st.integers(0, 7))
def test_resuming(how: Any, plan: Plan, at: int) -> None:
    """To the same bits, at every step."""
    going_on, again = resumed(plan, how, at, 5)
    assert going_on == again, f"{plan} at {at}"
