"""``torch.optim.lr_scheduler``, asked for the rates it sets."""

from __future__ import annotations

import importlib
import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any
from unittest import mock

import torch

from oracles.harness.subjects.tensors import through_a_file, write
from oracles.schedules import cyclic
from oracles.schedules import plateau as plateaus
from oracles.schedules.composed import ByGroup, Chained, Plan, Sequential, Single
from oracles.schedules.registry import SCHEDULES
from oracles.schedules.schedule import Schedule

Optimizer = torch.optim.Optimizer

HOMES = ("torch.optim.lr_scheduler", "torch.optim.swa_utils")
"""Modules that have schedules."""


@contextmanager
def unwarned() -> Iterator[None]:
    """Without torch's advice on how schedulers are called, which is asked on purpose."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


# --- Who is there -------------------------------------------------------------------------------


def home(name: str) -> Any:
    """The module that has a class of that name."""
    return importlib.import_module(SCHEDULES[name].home if name in SCHEDULES else HOMES[0])


def there(name: str) -> bool:
    """Whether this torch has a schedule of that name."""
    return hasattr(home(name), name)


@contextmanager
def planted(name: str, cls: Any) -> Iterator[None]:
    """Another class in the place of torch's."""
    with mock.patch.object(home(name), name, cls):
        yield


@cache
def keeps_tensors() -> bool:
    """Whether this torch writes into a rate that is a tensor, and not a number over it."""
    owner = optimizer([1.0], tensor=True)
    held = owner.param_groups[0]["lr"]
    torch.optim.lr_scheduler.ConstantLR(owner)
    return owner.param_groups[0]["lr"] is held


@cache
def cycles_betas(name: str) -> bool:
    """Whether this torch cycles the first beta by a schedule where there is no momentum."""
    schedule = SCHEDULES[name]
    try:
        build(Single(schedule, schedule.settings()), optimizer([1.0], adam=True))
    except ValueError:
        return False
    return True


# --- Building -----------------------------------------------------------------------------------


def optimizer(
    bases: Sequence[float], *, tensor: bool = False, shared: bool = False, adam: bool = False
) -> Optimizer:
    """One parameter in a group for each base rate.

    Args:
        bases: the rates.
        tensor: whether they are kept in tensors.
        shared: whether it is one tensor for all groups, as it is if given once.
        adam: whether it has betas, and no momentum.
    """
    one = torch.tensor(bases[0])
    groups = [
        {
            "params": [torch.zeros(1)],
            "lr": one if shared else torch.tensor(base) if tensor else base,
        }
        for base in bases
    ]
    if adam:
        return torch.optim.Adam(groups, lr=bases[0], betas=BETAS)
    return torch.optim.SGD(groups, lr=bases[0], momentum=MOMENTUM)


MOMENTUM, BETAS = 0.5, (0.25, 0.75)
"""Before any cycle."""


@unwarned()
def build(
    plan: Plan, owner: Optimizer, *, blank: bool = False, plain: bool = False, **options: Any
) -> Any:
    """torch's scheduler for a plan.

    Args:
        plan: the plan.
        owner: whose rates it sets.
        blank: whether functions in it must be told by a state what they give.
        plain: whether they are plain functions, which no state keeps.
        options: further arguments.
    """
    if isinstance(plan, Single):
        cls = getattr(home(plan.schedule.name), plan.schedule.name)
        given = _left_out(cls, _arguments(plan, blank, plain), _defaults(plan.schedule))
        return cls(owner, **given, **options)
    parts = [build(part, owner, blank=blank, plain=plain) for part in plan.parts]  # type: ignore[attr-defined]
    schedulers = torch.optim.lr_scheduler
    if isinstance(plan, Chained):
        return schedulers.ChainedScheduler(parts)
    assert isinstance(plan, Sequential)
    return schedulers.SequentialLR(owner, parts, list(plan.milestones), **options)


class Factors:
    """Factors, as the function that a scheduler calls with an epoch and keeps in its state."""

    def __init__(self, values: Sequence[float]) -> None:
        self.values = values

    def __call__(self, t: int) -> float:
        return self.values[t % len(self.values)]


class Falling:
    """One over one more, as the function that a cycle is scaled with."""

    def __init__(self, more: float) -> None:
        self.more = more

    def __call__(self, x: float) -> float:
        return 1 / (self.more + x)


def _arguments(plan: Single, blank: bool, plain: bool) -> dict[str, Any]:
    """Settings as torch takes them; an even number of steps as epochs and steps of each."""
    values: dict[str, Any] = plan.settings._asdict()
    if "factors" in values:  # which stand for a function

        def function(factors: Sequence[float]) -> Callable[[int], float]:
            made = Factors((1.0,) if blank and not plain else factors)
            return (lambda t: made(t)) if plain else made

        values["lr_lambda"] = _each(values.pop("factors"), function)
    if values.get("step_size_down") == values.get("step_size_up", ""):
        del values["step_size_down"]  # which is the same by itself
    if values.get("mode") in (cyclic.OF_CYCLE, cyclic.OF_STEP):
        falling = Falling(0.5 if blank and not plain else 1.0)
        values["scale_mode"] = "cycle" if values.pop("mode") == cyclic.OF_CYCLE else "iterations"
        values["scale_fn"] = (lambda x: falling(x)) if plain else falling
    if plan.schedule.name == "OneCycleLR" and values["total_steps"] % 2 == 0:
        values |= {"epochs": values.pop("total_steps") // 2, "steps_per_epoch": 2}
    return {name: _each(value, lambda v: v) for name, value in values.items()}


def _left_out(cls: Any, values: dict[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is so by default, where torch's class has one."""
    optional = _optional(cls)
    return {
        name: value
        for name, value in values.items()
        if not (name in optional and name in defaults and _is(defaults[name], value))
    }


@cache
def _defaults(schedule: Schedule) -> dict[str, Any]:
    """Settings that are torch's by default."""
    every = schedule.settings()._asdict()
    return {name: value for name, value in every.items() if name not in schedule.lent}


@cache
def _optional(cls: Any) -> frozenset[str]:
    """Arguments that have a default."""
    each = inspect.signature(cls).parameters.values()
    return frozenset(one.name for one in each if one.default is not one.empty)


def _is(default: Any, value: Any) -> bool:
    return type(default) is type(value) and bool(default == value)


def _each(value: Any, change: Callable[[Any], Any]) -> Any:
    """A setting, or a list of one for each group."""
    return [change(own) for own in value] if isinstance(value, ByGroup) else change(value)


# --- Following ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """What there is at one epoch.

    Attributes:
        rates: of each group.
        told: what the scheduler says they are.
        kept: whether each rate is the tensor that it was, and no copy of it.
        momenta: the momentum of each group, or its betas.
        epoch: the last one that the scheduler has counted, if it counts them.
    """

    rates: tuple[float, ...]
    told: tuple[float, ...]
    kept: bool
    momenta: tuple[tuple[float, ...], ...]
    epoch: int | None


class Following:
    """An optimizer and its scheduler, epoch by epoch.

    Args:
        owner: the optimizer.
        make: makes the scheduler.
        epoch: at which it begins.
    """

    def __init__(self, owner: Optimizer, make: Callable[[Optimizer], Any], epoch: int = 0) -> None:
        self.owner, self._epoch = owner, epoch
        self._held = [group["lr"] for group in owner.param_groups]
        with unwarned():
            self.scheduler = make(owner)
        self._step = (
            self.scheduler.step_update if _by_updates(self.scheduler) else self.scheduler.step
        )
        self._told = _wants(self._step)

    def step(self, *arguments: Any) -> None:
        """One epoch; a scheduler that counts none is told which one begins."""
        if self._told:
            arguments = arguments or (self._epoch + 1,)
            self._epoch = arguments[0]
        with unwarned():
            self.owner.step()
            self._step(*arguments)

    def tell(self, metric: float, *, boxed: bool = False) -> None:
        """One epoch that ended with a metric, which may be in a tensor."""
        self.step(torch.tensor(metric, dtype=torch.float64) if boxed else metric)

    def remembers(self, name: str, default: Any) -> Any:
        """An attribute of the scheduler."""
        return getattr(self.scheduler, name, default)

    def seen(self) -> Seen:
        """What there is now."""
        rates = self.rates()
        told = getattr(self.scheduler, "get_last_lr", lambda: rates)()
        groups = zip(self.owner.param_groups, self._held, strict=False)
        kept = all(group["lr"] is own for group, own in groups if torch.is_tensor(own))
        epoch = getattr(self.scheduler, "last_epoch", None)
        return Seen(rates, tuple(map(float, told)), kept, tuple(self._momenta()), epoch)

    def rates(self) -> tuple[float, ...]:
        """Of each group."""
        return tuple(current(self.owner))

    def _momenta(self) -> Iterator[tuple[float, ...]]:
        for group in self.owner.param_groups:
            yield tuple(map(float, group["betas"] if "betas" in group else (group["momentum"],)))

    def spoil(self) -> None:
        """Overwrite what the scheduler has told, which must not be what anybody computes with."""
        for rate in getattr(self.scheduler, "get_last_lr", list)():
            if torch.is_tensor(rate):
                rate.fill_(-1.0)

    def write(self, rate: float) -> None:
        """Somebody sets the rate of the first group."""
        write(self.owner.param_groups[0], "lr", rate)

    def join(self, rate: float) -> None:
        """A group joins the optimizer."""
        self.owner.add_param_group({"params": [torch.zeros(1)], "lr": rate})


def _by_updates(scheduler: Any) -> bool:
    """Whether it goes on by updates, as timm's do whose length is not one in epochs."""
    return not hasattr(scheduler, "step") or getattr(scheduler, "t_in_epochs", True) is False


def _wants(step: Callable[..., Any]) -> bool:
    """Whether it must be told something: the epoch that begins, as timm's must, or a metric."""
    try:
        inspect.signature(step).bind()
    except TypeError:
        return True
    except ValueError:  # it is one of C's
        pass
    return False


def current(owner: Optimizer) -> list[float]:
    """The learning rate that each group has now."""
    return [float(group["lr"]) for group in owner.param_groups]


def following(plan: Plan, bases: Sequence[float], **options: Any) -> Following:
    """Somebody who follows a plan."""
    return Following(optimizer(bases, **options), lambda owner: build(plan, owner))


def plateau(bases: Sequence[float], settings: Mapping[str, Any], **options: Any) -> Following:
    """Somebody who goes by a metric."""
    return Following(optimizer(bases, **options), lambda owner: by_metric(owner, settings=settings))


def by_metric(owner: Optimizer, *, settings: Mapping[str, Any], blank: bool = False) -> Any:
    """torch's scheduler that goes by a metric; there is nothing in it to be left blank."""
    cls = torch.optim.lr_scheduler.ReduceLROnPlateau
    return cls(owner, **_left_out(cls, dict(settings), plateaus.Settings()._asdict()))


# --- Resuming -----------------------------------------------------------------------------------


Kept = tuple[Any, Any]
"""The states of an optimizer and of its scheduler."""

Build = Callable[..., Any]
"""``(optimizer, blank=..., last_epoch=...) -> scheduler``."""


def saved(run: Following) -> Kept:
    """Both states, through a file."""
    states = (run.owner.state_dict(), run.scheduler.state_dict())
    return through_a_file(states)  # type: ignore[no-any-return]


def _scheduler_first(owner: Optimizer, make: Build, kept: Kept) -> Any:
    scheduler = make(owner, blank=True)
    scheduler.load_state_dict(kept[1])
    owner.load_state_dict(kept[0])
    return scheduler


def _optimizer_first(owner: Optimizer, make: Build, kept: Kept) -> Any:
    scheduler = make(owner, blank=True)
    owner.load_state_dict(kept[0])
    scheduler.load_state_dict(kept[1])
    return scheduler


def _built_later(owner: Optimizer, make: Build, kept: Kept) -> Any:
    owner.load_state_dict(kept[0])
    scheduler = make(owner, blank=True)
    scheduler.load_state_dict(kept[1])
    return scheduler


def _by_constructor(owner: Optimizer, make: Build, kept: Kept) -> Any:
    owner.load_state_dict(kept[0])
    return make(owner, last_epoch=kept[1]["last_epoch"] - 1)


SCHEDULER_FIRST, OPTIMIZER_FIRST = "loaded: scheduler, optimizer", "loaded: optimizer, scheduler"
BUILT_LATER, BY_CONSTRUCTOR = "built on a loaded optimizer", "built with last_epoch="

ORDERS: Mapping[str, Callable[[Optimizer, Build, Kept], Any]] = {
    SCHEDULER_FIRST: _scheduler_first,
    OPTIMIZER_FIRST: _optimizer_first,
    BUILT_LATER: _built_later,
    BY_CONSTRUCTOR: _by_constructor,
}
"""The orders in which people go on from a checkpoint. torch's documentation has the scheduler built
before the optimizer is loaded, and warns of the third; in the fourth the scheduler has no state of
its own."""


def resumed(how: str, owner: Optimizer, make: Build, kept: Kept, at: int = 0) -> Following:
    """Somebody who goes on from a checkpoint after so many epochs."""
    return Following(owner, lambda owner: ORDERS[how](owner, make, kept), at)
