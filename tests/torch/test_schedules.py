"""``torch.optim.lr_scheduler`` against oracles of its schedules: what the rate is at epoch t."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet

from oracles.harness.arithmetic.enclosure import Enclosure
from oracles.harness.cases import plans
from oracles.harness.rates import closed, enclosed, off
from oracles.harness.subjects import schedulers
from oracles.schedules import plateau
from oracles.schedules.composed import Chained, Plan, Sequential, Single
from oracles.schedules.registry import SCHEDULES
from oracles.schedules.schedule import Schedule
from tests.support.recording import VERSION

HERE = {name: schedule for name, schedule in SCHEDULES.items() if schedulers.there(name)}
RELATIVE = {name: s for name, s in HERE.items() if not s.momentum}
"""Those that go by the rate the optimizer was built with, and so can be composed."""

COMPOSED = {"SequentialLR", "ChainedScheduler", "ReduceLROnPlateau"}
CLOSED = {n: s for n, s in RELATIVE.items() if s.following and n != "MultiplicativeLR"}
"""Those that know a closed form beside their recurrence, for ``step(epoch)``."""

fewer = settings(max_examples=settings().max_examples // 3)
"""A dozen schedules share the time."""

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


@pytest.mark.parametrize("schedule", CLOSED.values(), ids=list(CLOSED))
@fewer
@given(st.data(), plans.BASES, epochs)
def test_jumping_to_an_epoch(schedule: Schedule, data: Any, base: float, until: int) -> None:
    """``step(epoch)`` computes the closed form."""
    plan = Single(schedule, data.draw(plans.settings(schedule)))
    (got,) = schedulers.jumped(plan, [base], until)
    for wrong in off([closed(plan, schedule.torch, base, until)], [got]):
        pytest.fail(f"{plan} {wrong}")


@pytest.mark.parametrize("name", ["CyclicLR", "OneCycleLR"])
@pytest.mark.parametrize("cls", [torch.optim.SGD, torch.optim.Adam])
@fewer
@given(st.data())
def test_momentum(name: str, cls: Any, data: Any) -> None:
    """Momentum, or the first beta, goes the other way."""
    schedule = HERE[name]
    plan = Single(schedule, data.draw(plans.settings(schedule)))
    options = {"momentum": 0.5} if cls is torch.optim.SGD else {}
    owner = cls([torch.zeros(1)], lr=0.1, **options)
    if not schedulers.cycles(plan, owner):
        pytest.skip(f"this torch cycles no {cls.__name__} by {name}")
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


@fewer
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
        versions: of torch, found by running them.
    """

    name: str
    reproducer: Sequential
    covers: Callable[[Sequential], bool]
    reason: str
    upstream: str = ""
    versions: str = ">=1.13"

    def __str__(self) -> str:
        return self.name

    @property
    def here(self) -> bool:
        """Whether this torch is one of them."""
        return VERSION in SpecifierSet(self.versions)

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
        "!=2.6.*,!=2.7.*",
    ),
    Deviation(
        "a composition later",
        Sequential((HALVED, Chained((HALVED, TENTH))), (2,)),
        lambda plan: not all(isinstance(part, Single) for part in plan.parts[1:]),
        "at its milestone SequentialLR asks a composition for a rate of its own, which it has not",
        "https://github.com/pytorch/pytorch/issues/132745",
    ),
)
KNOWN = [row for row in DEVIATIONS if row.here]


@pytest.mark.parametrize("row", DEVIATIONS, ids=str)
def test_a_deviation_shows_where_it_is_known(row: Deviation) -> None:
    assert row.covers(row.reproducer)
    assert row.shows() == row.here, f"{row} in torch {torch.__version__}: {row.reason}"


def sequential(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Sequential]:
    """Sequences in which this torch is not known to be wrong."""
    return plans.sequences(parts).filter(lambda plan: not any(row.covers(plan) for row in KNOWN))


@given(sequential(plans.singles({n: s for n, s in RELATIVE.items() if n != "MultiplicativeLR"})))
def test_sequences(plan: Sequential) -> None:
    refute(plan, [1.0, 0.1], schedulers.stepped(plan, [1.0, 0.1], 14))


@each_schedule
@fewer
@given(st.data())
def test_rates_in_tensors(schedule: Schedule, data: Any) -> None:
    """A rate in a tensor stays that tensor, and takes no other one's values with it."""
    if not schedulers.keeps_tensors():
        pytest.skip("this torch writes numbers over rates in tensors")
    plan = Single(schedule, data.draw(plans.settings(schedule)))
    owner = schedulers.optimizer([0.5, 0.25], tensor=True)
    held = [group["lr"] for group in owner.param_groups]
    balls = [enclosed(plan, base, 5, tensor=True) for base in (0.5, 0.25)]
    scheduler = schedulers.build(plan, owner)
    for expected in zip(*balls, strict=True):
        for group, ball, own in zip(owner.param_groups, expected, held, strict=True):
            assert group["lr"] is own
            assert ball.contains(own.item()), f"{plan}: expected {ball}, got {own}"
        with schedulers.unwarned():
            scheduler.step()


@given(st.one_of(singles, plans.chains(singles)), st.integers(0, 5))
def test_edits_in_mid_run(plan: Plan, when: int) -> None:
    """A rate that is written into the group is what a recurrence goes on from, and no other is."""
    owner = schedulers.optimizer([0.5])
    scheduler = schedulers.build(plan, owner)
    expected = enclosed(plan, 0.5, 8, edits={when: 0.375})
    with schedulers.unwarned():
        for t, ball in enumerate(expected):
            (rate,) = schedulers.current(owner)
            assert ball.contains(rate), f"{plan}, edited at {when}, at {t}: {ball}, got {rate}"
            if t == when:
                owner.param_groups[0]["lr"] = 0.375
            scheduler.step()


ADDED_LATER = [HERE[name] for name in ("StepLR", "MultiStepLR", "ConstantLR", "ExponentialLR")]
"""Schedules that look at nothing but a group's own rate: a group may join whenever it likes.

torch refuses it in all others, in ``zip`` or for want of a key, but LinearLR and PolynomialLR,
which go on with it as if it had been there from the start.
"""


@pytest.mark.parametrize("schedule", ADDED_LATER, ids=lambda s: s.name)
@fewer
@given(st.data(), st.integers(0, 4))
def test_groups_that_join_later(schedule: Schedule, data: Any, joins: int) -> None:
    plan = Single(schedule, data.draw(plans.settings(schedule)))
    owner = schedulers.optimizer([0.5])
    scheduler = schedulers.build(plan, owner)
    expected = enclosed(plan, 0.5, 9, edits={joins: 0.25})
    with schedulers.unwarned():
        for t, ball in enumerate(expected):
            if t > joins:
                assert ball.contains(schedulers.current(owner)[1])
            if t == joins:
                owner.add_param_group({"params": [torch.zeros(1)], "lr": 0.25})
            scheduler.step()


CYCLIC = single("CyclicLR", gamma=0.5, step_size_up=2, step_size_down=2)
Kept = tuple[Any, Any]


def saved(owner: Any, scheduler: Any) -> Kept:
    """Both state dicts, through a file."""
    file = io.BytesIO()
    torch.save((owner.state_dict(), scheduler.state_dict()), file)
    file.seek(0)
    return torch.load(file)  # type: ignore[no-any-return]


def scheduler_first(plan: Plan, kept: Kept) -> tuple[Any, Any]:
    """Both built; the scheduler is loaded first, as torch's documentation has it."""
    owner = schedulers.optimizer(STARTS)
    scheduler = schedulers.build(plan, owner)
    scheduler.load_state_dict(kept[1])
    owner.load_state_dict(kept[0])
    return owner, scheduler


def optimizer_first(plan: Plan, kept: Kept) -> tuple[Any, Any]:
    """Both built; the optimizer is loaded first."""
    owner = schedulers.optimizer(STARTS)
    scheduler = schedulers.build(plan, owner)
    owner.load_state_dict(kept[0])
    scheduler.load_state_dict(kept[1])
    return owner, scheduler


def built_later(plan: Plan, kept: Kept) -> tuple[Any, Any]:
    """The scheduler is built on an optimizer that is loaded already, of which torch warns."""
    owner = schedulers.optimizer(STARTS)
    owner.load_state_dict(kept[0])
    scheduler = schedulers.build(plan, owner)
    scheduler.load_state_dict(kept[1])
    return owner, scheduler


def by_constructor(plan: Plan, kept: Kept) -> tuple[Any, Any]:
    """The scheduler has no state of its own: its constructor is told the last epoch."""
    owner = schedulers.optimizer(STARTS)
    owner.load_state_dict(kept[0])
    return owner, schedulers.build(plan, owner, last_epoch=kept[1]["last_epoch"] - 1)


STARTS = [0.5, 0.25]


@dataclass(frozen=True)
class Lost:
    """What cannot be resumed in some order: the smallest plan that shows it.

    Attributes:
        how: the order.
        plan: the plan.
        at: the epoch of the checkpoint.
        versions: of torch, found by running them.
    """

    how: Any
    plan: Single
    at: int
    versions: str = ">=1.13"

    @property
    def name(self) -> str:
        """Of the schedule."""
        return self.plan.schedule.name

    @property
    def here(self) -> bool:
        """Whether this torch is one of them."""
        return schedulers.there(self.name) and VERSION in SpecifierSet(self.versions)

    def __str__(self) -> str:
        return f"{self.how.__name__}-{self.name}"


OLD = "<2.8"
LOST = (
    Lost(by_constructor, single("StepLR", step_size=1, gamma=0.5), 1),
    Lost(by_constructor, single("MultiStepLR", milestones=(1,), gamma=0.5), 1),
    Lost(by_constructor, single("ConstantLR", factor=0.5, total_iters=1), 1),
    Lost(by_constructor, single("CosineAnnealingWarmRestarts", T_0=1, T_mult=2), 3),
    Lost(by_constructor, single("CosineAnnealingLR", T_max=4, eta_min=0.01), 2, OLD),
    Lost(by_constructor, single("ExponentialLR", gamma=0.5), 1, OLD),
    Lost(by_constructor, single("LinearLR", start_factor=0.5, total_iters=3), 1, OLD),
    Lost(by_constructor, single("MultiplicativeLR", factors=(0.9,)), 1, OLD),
    Lost(by_constructor, single("PolynomialLR", total_iters=3), 1, OLD),
    Lost(built_later, single("LambdaLR", factors=(1.0, 0.5)), 1),
    Lost(built_later, single("MultiStepLR", milestones=(0,), gamma=0.5), 1),
    Lost(built_later, single("ConstantLR", factor=0.5, total_iters=1), 1),
    Lost(built_later, single("LinearLR", start_factor=0.5, total_iters=2), 1),
    Lost(built_later, single("CosineAnnealingWarmRestarts", T_0=2), 1),
    Lost(built_later, single("OneCycleLR"), 1),
    *(
        Lost(how, CYCLIC, 1, versions)
        for how, versions in (
            (built_later, ">=1.13"),
            # A bound method that is kept weakly cannot be saved.
            *((how, "<2") for how in (scheduler_first, optimizer_first, by_constructor)),
        )
    ),
)
"""A constructor takes the step of its epoch: it multiplies once more where that is a milestone
(https://github.com/pytorch/pytorch/issues/65342), or sets the rate of epoch 0 over the one that was
loaded, which loading the schedule does not take back; restarts forget which period they are in."""


def resumable(how: Any) -> dict[str, Schedule]:
    """Schedules that this torch is not known to lose in that order."""
    lost = {row.name for row in LOST if row.how is how and row.here}
    return {name: schedule for name, schedule in HERE.items() if name not in lost}


def resumed(plan: Plan, how: Any, at: int, steps: int = 4) -> tuple[list[Any], list[Any]]:
    """The rates after a checkpoint: going on, and going on from it."""

    def followed(owner: Any, scheduler: Any, steps: int) -> Iterator[list[float]]:
        yield schedulers.current(owner)
        for _ in range(steps):
            owner.step()
            scheduler.step()
            yield schedulers.current(owner)

    owner = schedulers.optimizer(STARTS)
    scheduler = schedulers.build(plan, owner)
    with schedulers.unwarned():
        for _ in followed(owner, scheduler, at):
            pass
        again, scheduler_again = how(plan, saved(owner, scheduler))
        going_on = [*followed(owner, scheduler, steps)]
        return going_on, [*followed(again, scheduler_again, steps)]


@pytest.mark.parametrize("how", [scheduler_first, optimizer_first, built_later, by_constructor])
@fewer
@given(st.data(), st.integers(1, 3))
def test_resuming(how: Any, data: Any, at: int) -> None:
    """To the same bits, from every step on."""
    plan = data.draw(plans.singles(resumable(how)))
    going_on, again = resumed(plan, how, at)
    assert going_on == again, f"{plan} at {at}"


@pytest.mark.parametrize("how", [scheduler_first, optimizer_first])
@fewer
@given(plans.chains(singles), st.integers(0, 3))
def test_resuming_chains(how: Any, plan: Plan, at: int) -> None:
    going_on, again = resumed(plan, how, at)
    assert going_on == again, f"{plan} at {at}"


@pytest.mark.parametrize("row", [row for row in LOST if row.here], ids=str)
def test_what_an_order_loses(row: Lost) -> None:
    assert loses(row), f"{row} can be resumed so in torch {torch.__version__}"


def loses(row: Lost) -> bool:
    """Whether the rates part, or cannot be saved at all."""
    try:
        going_on, again = resumed(row.plan, row.how, row.at)
    except TypeError:
        return True
    return going_on != again


METRICS = st.sampled_from(
    (1.0, 0.5, 0.9, 1.1, -1.0, 0.0, float("nan"), float("inf"), -float("inf"))
)
MACHINES = st.builds(
    plateau.Settings,
    mode=st.sampled_from(("min", "max")),
    factor=st.sampled_from((0.5, 0.1)),
    patience=st.integers(0, 2),
    threshold=st.sampled_from((1e-4, 0.2, 0.0)),
    threshold_mode=st.sampled_from(("rel", "abs")),
    cooldown=st.integers(0, 2),
    min_lr=st.sampled_from((0.0, 0.05, 0.3)),
    eps=st.sampled_from((1e-8, 0.1)),
)


@given(MACHINES, st.lists(METRICS, max_size=14), st.booleans())
def test_plateaus(s: plateau.Settings, metrics: list[float], in_tensors: bool) -> None:
    """State, rate and moment of each reduction, with a floor of its own for each group."""
    owner = schedulers.optimizer([0.5, 0.4])
    floors = [s.min_lr, 2 * s.min_lr]
    options = s._replace(min_lr=floors)._asdict()
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(owner, **options)
    state, rates = plateau.start(s), [0.5, 0.4]
    for number, metric in enumerate(metrics):
        if number == len(metrics) // 2:  # through a checkpoint
            loaded = torch.optim.lr_scheduler.ReduceLROnPlateau(owner, **options)
            loaded.load_state_dict(copy.deepcopy(scheduler.state_dict()))
            scheduler = loaded
        scheduler.step(torch.tensor(metric, dtype=torch.float64) if in_tensors else metric)
        state, reduces = plateau.after(state, metric, s)
        if reduces:
            pairs = zip(rates, floors, strict=True)
            rates = [plateau.reduced(rate, s._replace(min_lr=floor)) for rate, floor in pairs]
        assert schedulers.current(owner) == rates
        seen = (scheduler.best, scheduler.num_bad_epochs, scheduler.cooldown_counter)
        assert seen == (state.best, state.bad, state.cooling)
