"""``torch.optim.lr_scheduler``, where no question about a schedule goes.

What its classes do epoch by epoch is asked by ``oracles.harness.loop``, through ``test_checks.py``.
"""

from __future__ import annotations

import importlib
import inspect
import re
import warnings
from collections.abc import Callable
from inspect import isclass
from itertools import product
from typing import Any

import pytest
import torch
from packaging.version import Version
from torch.optim import lr_scheduler as schedulers_of_torch

from oracles.harness.deviations.flaws import flaws
from oracles.harness.subjects import schedulers
from oracles.schedules.composed import Single
from oracles.schedules.plateau import Settings, better
from oracles.schedules.registry import PARTS, SCHEDULES

HERE = {name for name in (*SCHEDULES, *PARTS) if schedulers.there(name)}


def classes() -> set[str]:
    """The names of all schedules that this torch has."""
    bases = {"LRScheduler", "_LRScheduler"}
    homes = map(importlib.import_module, schedulers.HOMES)
    found = {name: cls for home in homes for name, cls in vars(home).items() if isclass(cls)}
    theirs = {n for n, cls in found.items() if bases & {base.__name__ for base in cls.__mro__}}
    return (theirs - bases) | {"ReduceLROnPlateau"}  # which older torches derive from nothing


def test_every_schedule_of_torch_has_an_oracle() -> None:
    assert classes() == HERE


class Unknown(schedulers_of_torch.StepLR):
    """A schedule that nobody has written an oracle of."""


def test_one_without_an_oracle_is_told_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedulers_of_torch, "Unknown", Unknown, raising=False)
    assert classes() - HERE == {"Unknown"}


def optimizer() -> Any:
    return schedulers.optimizer([0.5, 0.25])


def other() -> Any:
    """A schedule of somebody else's optimizer."""
    return schedulers_of_torch.StepLR(optimizer(), 1)


def plateau(owner: Any) -> Any:
    return schedulers_of_torch.ReduceLROnPlateau(owner)


def step(owner: Any) -> Any:
    return schedulers_of_torch.StepLR(owner, 1)


def called(name: str) -> Any:
    """torch's class of that name."""
    return getattr(schedulers.home(name), name)


REFUSED: dict[str, Callable[[Any], Any]] = {
    "LambdaLR: Expected 2 lr_lambdas, but got 1": lambda o: {"lr_lambda": [float]},
    "LambdaLR: Expected 2 lr_lambdas, but got 3": lambda o: {"lr_lambda": (float,) * 3},
    "MultiplicativeLR: Expected 2 lr_lambdas, but got 1": lambda o: {"lr_lambda": [float]},
    "MultiplicativeLR: Expected 2 lr_lambdas, but got 3": lambda o: {"lr_lambda": (float,) * 3},
    "MultiplicativeLR: should be a function, but got int": lambda o: {"lr_lambda": [float, 1]},
    "MultiplicativeLR: a function, but got int": lambda o: {"lr_lambda": [1, float]},
    "ConstantLR: expected to be between 0 and 1": lambda o: {"factor": 1.5},
    "ConstantLR: to be between 0 and 1": lambda o: {"factor": -0.5},
    "LinearLR: greater than 0 and less or equal to 1": lambda o: {"start_factor": 0.0},
    "LinearLR: Starting multiplicative factor": lambda o: {"start_factor": 1.5},
    "LinearLR: Ending multiplicative factor": lambda o: {"end_factor": 1.5},
    "LinearLR: Ending multiplicative": lambda o: {"end_factor": -0.5},
    "SequentialLR: same optimizer": lambda o: {"schedulers": [step(o), other()], "milestones": [1]},
    "SequentialLR: number of milestone": lambda o: {"schedulers": [step(o)], "milestones": [1]},
    "SequentialLR: milestone points": lambda o: {"schedulers": [step(o)] * 2, "milestones": []},
    "ReduceLROnPlateau: Factor should be < 1.0": lambda o: {"factor": 1.0},
    "ReduceLROnPlateau: expected 2 min_lrs, got 1": lambda o: {"min_lr": [0.0]},
    "ReduceLROnPlateau: expected 2 min_lrs, got 3": lambda o: {"min_lr": [0.0] * 3},
    "ReduceLROnPlateau: mode best is unknown": lambda o: {"mode": "best"},
    "ReduceLROnPlateau: threshold mode far is unknown": lambda o: {"threshold_mode": "far"},
    "CyclicLR: mode is invalid": lambda o: {"base_lr": 0.1, "max_lr": 1.0, "mode": "square"},
    "CyclicLR: base_lr": lambda o: {"base_lr": [0.1], "max_lr": 1.0},
    "CyclicLR: max_lr": lambda o: {"base_lr": 0.1, "max_lr": [1.0] * 3},
    "CosineAnnealingWarmRestarts: positive integer T_0": lambda o: {"T_0": 0},
    "CosineAnnealingWarmRestarts: integer T_0": lambda o: {"T_0": 1.5},
    "CosineAnnealingWarmRestarts: integer T_mult": lambda o: {"T_0": 1, "T_mult": 0},
    "CosineAnnealingWarmRestarts: T_mult": lambda o: {"T_0": 1, "T_mult": 1.5},
    "OneCycleLR: total_steps": lambda o: {"max_lr": 1.0, "total_steps": 0},
    "OneCycleLR: total_steps, but": lambda o: {"max_lr": 1.0, "total_steps": 9.5},
    "OneCycleLR: OR": lambda o: {"max_lr": 1.0},
    "OneCycleLR: epochs": lambda o: {"max_lr": 1.0, "epochs": 0, "steps_per_epoch": 1},
    "OneCycleLR: integer epochs": lambda o: {"max_lr": 1.0, "epochs": 1.5, "steps_per_epoch": 2},
    "OneCycleLR: integer steps": lambda o: {"max_lr": 1.0, "epochs": 2, "steps_per_epoch": 1.5},
    "OneCycleLR: steps_per_epoch": lambda o: {"max_lr": 1.0, "epochs": 1, "steps_per_epoch": 0},
    "OneCycleLR: float between": lambda o: {"max_lr": 1.0, "total_steps": 9, "pct_start": 1},
    "OneCycleLR: pct_start": lambda o: {"max_lr": 1.0, "total_steps": 9, "pct_start": 1.5},
    "OneCycleLR: between 0 and 1": lambda o: {"max_lr": 1.0, "total_steps": 9, "pct_start": -0.5},
    "OneCycleLR: anneal_strategy": lambda o: {
        "max_lr": 1.0,
        "total_steps": 9,
        "anneal_strategy": "no",
    },
    "SWALR: anneal": lambda o: {"swa_lr": 0.1, "anneal_strategy": "no"},
    "SWALR: equal or greater than 0": lambda o: {"swa_lr": 0.1, "anneal_epochs": -1},
    "SWALR: equal or greater": lambda o: {"swa_lr": 0.1, "anneal_epochs": 1.5},
}
"""By class and what is said of them, arguments that are refused."""


SINCE = {
    "MultiplicativeLR: should be a function, but got int": "2.8",
    "MultiplicativeLR: a function, but got int": "2.8",
    "LinearLR: greater than 0 and less or equal to 1": "2.0",
    "a plateau in a composition": "2.4",
    "no optimizer in a composition": "2.4",
}
"""The release from which something is refused, where the oldest one supported takes it."""


def refused_from(case: str) -> None:
    """Leave a test that an older torch cannot pass."""
    if Version(torch.__version__) < Version(since := SINCE.get(case, "0")):
        pytest.skip(f"refused from torch {since} on")


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_followed_is_refused(case: str) -> None:
    """A setting that is wrong is told before the first epoch, by its name."""
    refused_from(case)
    name, _, said = case.partition(": ")
    owner = optimizer()
    with pytest.raises((ValueError, TypeError), match=re.escape(said)):
        called(name)(owner, **REFUSED[case](owner))


@pytest.mark.parametrize(
    ("name", "options"), [("CyclicLR", {"base_lr": 0.1}), ("OneCycleLR", {"total_steps": 9})]
)
def test_momentum_is_cycled_where_there_is_some(name: str, options: dict[str, Any]) -> None:
    """Adagrad has none: that is told, unless it is not to be cycled."""
    owner = torch.optim.Adagrad([torch.zeros(1)], lr=0.5)
    with pytest.raises(ValueError, match="momentum"):
        called(name)(owner, max_lr=1.0, **options)
    called(name)(owner, max_lr=1.0, cycle_momentum=False, **options)


@pytest.mark.parametrize("name", ["SequentialLR", "ChainedScheduler"])
def test_a_plateau_is_in_no_composition(name: str) -> None:
    """It wants a metric at each step, which compositions have not."""
    refused_from("a plateau in a composition")
    owner = optimizer()
    for parts in ([step(owner), plateau(owner)], [plateau(owner), step(owner)]):
        with pytest.raises(ValueError, match="does not support `ReduceLROnPlateau`"):
            composed(name, owner, parts)


def composed(name: str, owner: Any, parts: list[Any]) -> Any:
    """What puts them together."""
    return called(name)(*((owner, parts, [1]) if name == "SequentialLR" else (parts,)))


@pytest.mark.parametrize("name", ["SequentialLR", "ChainedScheduler"])
def test_a_composition_has_schedules_of_one_optimizer(name: str) -> None:
    owner = optimizer()
    refused_from("no optimizer in a composition")
    with pytest.raises(ValueError, match="same optimizer"):
        composed(name, owner, [step(owner), other()])
    for parts in ([step(owner), object()], [object(), step(owner)]):
        if name == "SequentialLR" or hasattr(parts[0], "optimizer"):
            with pytest.raises(TypeError, match="should have `optimizer` as its attribute"):
                composed(name, owner, parts)
    with pytest.raises(ValueError, match="at least one scheduler"):
        composed(name, owner, [])


def test_a_chain_takes_the_optimizer_of_its_schedules() -> None:
    """It may be said, and must be theirs."""
    known = inspect.signature(called("ChainedScheduler")).parameters
    if "optimizer" not in known:
        pytest.skip("this torch is not told")
    owner = optimizer()
    assert called("ChainedScheduler")([step(owner)], optimizer=owner).optimizer is owner
    with pytest.raises(ValueError, match="same optimizer"):
        called("ChainedScheduler")([step(owner)], optimizer=optimizer())


@pytest.mark.parametrize("name", ["LambdaLR", "MultiplicativeLR"])
def test_a_list_that_is_given_is_not_kept(name: str) -> None:
    """Whoever changes it later changes no rate."""
    owner, functions = optimizer(), [lambda t: 1.0, lambda t: 1.0]
    scheduler = called(name)(owner, functions)
    functions[0] = lambda t: 9.0
    owner.step()
    scheduler.step()
    assert schedulers.current(owner) == [0.5, 0.25]


def test_floors_that_are_given_are_not_kept_and_are_each_groups_own() -> None:
    owner, floors = schedulers.optimizer([0.5, 0.5]), [0.125, 0.375]
    scheduler = called("ReduceLROnPlateau")(owner, patience=0, factor=0.5, min_lr=floors)
    floors[:] = [9.0, 9.0]
    for _ in range(2):
        scheduler.step(1.0)
    assert schedulers.current(owner) == [0.25, 0.375]


def test_a_metric_that_is_given_is_not_kept() -> None:
    """Whoever writes into its tensor later has made nothing better or worse."""
    metric = torch.tensor(1.0)
    scheduler = plateau(optimizer())
    scheduler.step(metric)
    metric.fill_(9.0)
    assert scheduler.best == 1.0


METRICS = (1.0, 0.5, 0.9, 1.1, -1.0, -0.9, 0.0, 0.3, 0.7)
"""None of them is at a threshold of another one."""


@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
@pytest.mark.parametrize("mode", ["min", "max"])
def test_what_is_better(mode: Any, threshold_mode: Any) -> None:
    """Each metric after each other one."""
    settings = Settings(mode=mode, threshold_mode=threshold_mode, threshold=0.25)
    for best, metric in product(METRICS, METRICS):
        scheduler = called("ReduceLROnPlateau")(
            optimizer(), mode=mode, threshold_mode=threshold_mode, threshold=0.25
        )
        scheduler.step(best)
        scheduler.step(metric)
        told = f"{metric} after {best}"
        assert scheduler.num_bad_epochs == int(not better(metric, best, settings)), told


def test_what_is_better_by_hand() -> None:
    """A quarter less, or 0.25 less."""
    rel, abs_ = (Settings(threshold_mode=mode, threshold=0.25) for mode in ("rel", "abs"))
    assert better(0.3, 0.5, rel)
    assert not better(0.3, 0.5, abs_)
    assert better(0.7, 0.5, rel._replace(mode="max"))
    assert not better(0.7, 0.5, abs_._replace(mode="max"))


def test_a_sequence_begins_with_the_first_of_its_schedules() -> None:
    """Also where the second one follows at the very next epoch."""
    owner = optimizer()
    parts = [
        schedulers_of_torch.ConstantLR(owner, 0.5, 9),
        schedulers_of_torch.ExponentialLR(owner, 0.5),
    ]
    scheduler = called("SequentialLR")(owner, parts, [1])
    assert schedulers.current(owner) == [0.25, 0.125] == scheduler.get_last_lr()
    owner.step()
    with schedulers.unwarned():
        scheduler.step()
    assert schedulers.current(owner) == [0.5, 0.25]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("CyclicLR", {"base_lr": 0.1, "max_lr": 1.0}),
        ("OneCycleLR", {"max_lr": 1, "total_steps": 9}),
    ],
)
def test_a_momentum_goes_where_there_is_some(name: str, options: dict[str, Any]) -> None:
    """Adam has betas, and gets no momentum beside them."""
    if not schedulers.cycles_betas(name):
        pytest.skip("this torch cycles no betas")
    owner = schedulers.optimizer([0.5], adam=True)
    called(name)(owner, **options)
    assert "momentum" not in owner.param_groups[0]


def test_a_sequence_tells_the_rate_of_the_schedule_that_is_on() -> None:
    """The second one, where it begins at once."""
    (row,) = (row for row in flaws() if row.id == "a-milestone-at-0")
    if row.holds_for(torch.__version__):
        pytest.skip(f"this torch does not begin with it ({row.id})")
    owner = optimizer()
    parts = [schedulers_of_torch.ConstantLR(owner, 0.5, 9), step(owner)]
    assert called("SequentialLR")(owner, parts, [0]).get_last_lr() == [0.5, 0.25]


def test_a_mode_says_what_it_is_scaled_by() -> None:
    """Cycles in one, steps in another, whatever ``scale_mode`` is said to be."""

    def rates(**options: Any) -> list[float]:
        owner = schedulers.optimizer([0.5])
        scheduler = called("CyclicLR")(owner, 0.0, 1.0, step_size_up=1, **options)
        seen = []
        for _ in range(4):
            owner.step()
            scheduler.step()
            seen += schedulers.current(owner)
        return seen

    assert rates(mode="triangular2", scale_mode="iterations") == [1.0, 0.0, 0.5, 0.0]
    assert rates(mode="exp_range", gamma=0.5, scale_mode="cycle") == [0.5, 0.0, 0.125, 0.0]
    assert rates(mode="own", scale_fn=lambda c: c) == [1.0, 0.0, 2.0, 0.0]


def test_a_state_of_a_cycle_is_not_the_function_s_own() -> None:
    """Whoever changes it has not changed how the cycle goes on."""
    scale = schedulers.Falling(1.0)
    scheduler = called("CyclicLR")(optimizer(), 0.1, 1.0, scale_fn=scale)
    for value in scheduler.state_dict().values():
        if isinstance(value, dict):
            value.clear()
    assert scale.more == 1.0


def test_negative_epochs_and_other_floors_are_refused_by_restarts() -> None:
    scheduler = called("CosineAnnealingWarmRestarts")(optimizer(), 2)
    with pytest.raises(ValueError, match="non-negative epoch"), schedulers.unwarned():
        scheduler.step(-1)
    with schedulers.unwarned():
        scheduler.step(0)
    if "eta_min, but got" not in inspect.getsource(type(scheduler)):
        pytest.skip("this torch takes any floor")
    with pytest.raises(ValueError, match="float or int eta_min"):
        called("CosineAnnealingWarmRestarts")(optimizer(), 2, eta_min="no")


def test_a_part_of_an_epoch_is_counted_as_the_epoch_it_is_of() -> None:
    owner = optimizer()
    scheduler = called("CosineAnnealingWarmRestarts")(owner, 2)
    owner.step()
    with schedulers.unwarned():
        scheduler.step(3.5)
    assert scheduler.last_epoch == 3


@pytest.mark.parametrize(
    "name", sorted(HERE - {"SequentialLR", "ChainedScheduler", "ReduceLROnPlateau"})
)
def test_whoever_computes_a_rate_is_told_how_to_read_it(name: str) -> None:
    """``get_lr`` gives the next rate of most schedules, and not the one that is."""
    plan = Single(SCHEDULES[name], SCHEDULES[name].settings())
    owner = optimizer()
    scheduler = schedulers.build(plan, owner)
    assert any("get_last_lr" in said for said in warned(scheduler.get_lr))


@pytest.mark.parametrize(
    "name", sorted(HERE - {"SequentialLR", "ChainedScheduler", "ReduceLROnPlateau"})
)
def test_whoever_only_steps_is_told_nothing(name: str) -> None:
    owner = optimizer()
    scheduler = schedulers.build(Single(SCHEDULES[name], SCHEDULES[name].settings()), owner)
    owner.step()
    assert not warned(scheduler.step)


@pytest.mark.parametrize("given", [{"epochs": 3}, {"steps_per_epoch": 3}])
def test_a_cycle_needs_epochs_and_the_steps_of_each(given: dict[str, Any]) -> None:
    """Older releases stumble over what is not there."""
    with pytest.raises((ValueError, TypeError)) as told:
        called("OneCycleLR")(optimizer(), 1.0, **given)
    assert "AND" in str(told.value) or "'<=' not supported" in str(told.value)


def test_a_cycle_has_an_end() -> None:
    """And epochs of one step each, if need be."""
    owner = optimizer()
    scheduler = called("OneCycleLR")(owner, 1.0, epochs=3, steps_per_epoch=1)
    with schedulers.unwarned():
        for _ in range(3):  # one more than there are epochs
            scheduler.step()
        with pytest.raises(ValueError, match="Tried to step"):
            scheduler.step()


def test_whoever_is_sent_back_has_a_shorter_period() -> None:
    owner = optimizer()
    scheduler = called("CosineAnnealingWarmRestarts")(owner, 2, T_mult=2)
    owner.step()
    with schedulers.unwarned():
        scheduler.step(3)
        scheduler.step(1)
    assert schedulers.current(owner) == [0.25, 0.125]


def test_whoever_gives_no_rate_is_told() -> None:
    bare: Any = getattr(schedulers_of_torch, "LRScheduler", schedulers_of_torch._LRScheduler)  # noqa: SLF001
    with pytest.raises(NotImplementedError):
        bare(optimizer())


def test_a_schedule_of_ones_own_begins_at_epoch_0() -> None:
    bare: Any = getattr(schedulers_of_torch, "LRScheduler", schedulers_of_torch._LRScheduler)  # noqa: SLF001

    class Own(bare):  # type: ignore[misc]
        def get_lr(self) -> list[float]:
            return [base * 0.5**self.last_epoch for base in self.base_lrs]

    owner = optimizer()
    scheduler = Own(owner)
    assert (scheduler.last_epoch, schedulers.current(owner)) == (0, [0.5, 0.25])


def test_a_state_that_is_taken_stays_as_it_is() -> None:
    """Also of a function that changes later."""
    for name in ("LambdaLR", "MultiplicativeLR"):
        function = schedulers.Factors((1.0, 0.5))
        state = called(name)(optimizer(), function).state_dict()
        function.values = (9.0,)
        assert state["lr_lambdas"][0] == {"values": (1.0, 0.5)}


def test_a_tensor_that_is_given_is_not_kept() -> None:
    """Whoever changes it later changes no peak."""
    if not schedulers.keeps_tensors():
        pytest.skip("this torch takes numbers")
    peak = torch.tensor(1.0)
    owner = schedulers.optimizer([0.5])
    scheduler = called("CyclicLR")(owner, base_lr=0.5, max_lr=peak, step_size_up=2)
    peak.fill_(9.0)
    owner.step()
    scheduler.step()
    assert schedulers.current(owner) == [0.75]


@pytest.mark.parametrize("name", sorted(HERE & SCHEDULES.keys()))
def test_defaults_are_torchs(name: str) -> None:
    """Where a setting has one in torch, it is the one that is taken here, unless it is lent."""
    schedule = SCHEDULES[name]
    schedulers.build(Single(schedule, schedule.settings()), optimizer())
    known = inspect.signature(called(name)).parameters
    for setting, value in schedule.settings()._asdict().items():
        default = known[setting].default if setting in known else inspect.Parameter.empty
        if default is not inspect.Parameter.empty and setting not in schedule.lent:
            assert default == value, setting


OTHERS: dict[str, dict[str, Any]] = {
    "CyclicLR": {"step_size_up": 2000, "step_size_down": None, "scale_mode": "cycle"},
    "OneCycleLR": {"epochs": None, "steps_per_epoch": None, "total_steps": None},
    "ReduceLROnPlateau": Settings()._asdict(),
}
"""Defaults that no setting of a schedule has."""


@pytest.mark.parametrize("name", OTHERS)
def test_defaults_are_as_documented(name: str) -> None:
    given = {"CyclicLR": (0.1, 1.0), "OneCycleLR": (1.0, 9)}
    called(name)(optimizer(), *given.get(name, ()))
    known = inspect.signature(called(name)).parameters
    assert {n: known[n].default for n in OTHERS[name]} == OTHERS[name]


def test_late_groups_have_the_floor_of_all() -> None:
    owner = schedulers.optimizer([0.5])
    scheduler = called("ReduceLROnPlateau")(owner, patience=0, factor=0.5, min_lr=0.375)
    if "default_min_lr" not in inspect.getsource(type(scheduler)):
        pytest.skip("this torch has no floor for groups that come later")
    owner.add_param_group({"params": [torch.zeros(1)], "lr": 0.5})
    for _ in range(2):
        scheduler.step(1.0)
    assert schedulers.current(owner) == [0.375, 0.375]


def test_late_groups_need_floors_of_their_own_where_there_is_a_list() -> None:
    owner = schedulers.optimizer([0.5])
    scheduler = called("ReduceLROnPlateau")(owner, patience=0, min_lr=[0.375])
    owner.add_param_group({"params": [torch.zeros(1)], "lr": 0.5})
    scheduler.step(1.0)
    with pytest.raises((RuntimeError, IndexError)):
        scheduler.step(1.0)


@pytest.mark.parametrize("lacks", [0, 1])
def test_a_last_epoch_needs_the_rates_to_begin_with(lacks: int) -> None:
    owner = optimizer()
    owner.param_groups[1 - lacks]["initial_lr"] = 0.5
    with pytest.raises(KeyError, match=f"not specified in param_groups.{lacks}."):
        schedulers_of_torch.StepLR(owner, 1, last_epoch=3)


@pytest.mark.parametrize("name", sorted(HERE - {"SequentialLR", "ChainedScheduler"}))
def test_only_optimizers_are_scheduled(name: str) -> None:
    others: dict[str, list[Any]] = {
        "CyclicLR": [0.1, 1.0],
        "MultiStepLR": [[1]],
        "ReduceLROnPlateau": [],
    }
    groupless = pytest.raises(TypeError, match="Linear is not an Optimizer")
    grouped = pytest.raises((TypeError, AttributeError))
    with grouped if name in ("LambdaLR", "MultiplicativeLR", "SWALR") else groupless:
        called(name)(torch.nn.Linear(1, 1), *others.get(name, [1]))


def warned(act: Callable[[], object]) -> list[str]:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        act()
    return [str(one.message) for one in told]


def test_a_scheduler_before_the_optimizer_is_told() -> None:
    """Its first rate is left out, which no rate can show."""
    owner = optimizer()
    assert not warned(lambda: step(owner)), "whoever is built has made no step"
    scheduler = step(owner)
    assert "before `optimizer.step()`" in warned(scheduler.step)[0]
    assert not warned(scheduler.step), "it is told once"
    owner = optimizer()
    scheduler = step(owner)
    owner.step()
    assert not warned(scheduler.step)


def test_an_optimizer_that_is_wrapped_later_is_told() -> None:
    """Nobody sees then whether it steps."""
    owner = optimizer()
    scheduler = step(owner)
    owner.step = lambda: None
    assert "has been overridden" in warned(scheduler.step)[0]


def test_an_epoch_is_told_to_be_deprecated() -> None:
    owner = optimizer()
    scheduler = step(owner)
    owner.step()
    assert any("deprecated" in said for said in warned(lambda: scheduler.step(2)))


def test_the_optimizer_steps_as_before() -> None:
    """A scheduler wraps the step of its optimizer; the second one does not wrap it again."""
    w = torch.ones(1, requires_grad=True)
    owner = torch.optim.SGD([w], lr=0.5)
    step(owner)
    wrapped = owner.step
    step(owner)
    assert owner.step is wrapped or owner.step == wrapped
    w.grad = torch.ones(1)
    assert owner.step(lambda: torch.tensor(3.0)) == 3.0
    assert owner.step(closure=lambda: torch.tensor(4.0)) == 4.0
    assert w.item() == 0.0


def test_a_metric_of_an_epoch_is_counted_from_there() -> None:
    scheduler = plateau(optimizer())
    with schedulers.unwarned():
        scheduler.step(1.0, 4)
    assert scheduler.last_epoch == 4
    scheduler.step(1.0)
    assert scheduler.last_epoch == 5
