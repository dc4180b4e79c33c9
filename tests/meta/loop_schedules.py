"""Schedules with one fault each."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from torch.optim import lr_scheduler
from torch.optim.swa_utils import SWALR

from oracles.harness.loop.catalogue import EDITS, LATE, questions
from oracles.harness.loop.changing import TOLD
from oracles.harness.loop.plateaus import AT_ONCE, MACHINE
from oracles.harness.loop.resuming import RESUME, TWICE
from oracles.harness.loop.scheduling import EDGES, JUMPS, LISTS, MOMENTUM, RATES
from oracles.harness.subjects.schedulers import keeps_tensors, planted, there
from oracles.schedules.registry import SCHEDULES
from tests.meta.loop_zoo import Specimen

torchs: Any = SimpleNamespace(**vars(lr_scheduler))
"""torch's classes, also while others are in their place."""

Rate = Callable[[Any, float, dict[str, Any]], Any]
"""``(scheduler, base rate, group) -> rate`` at the epoch that the scheduler is at."""


def setting(cls: Any, rate: Rate) -> Any:
    """The class with another rate."""

    class Faulty(cls):  # type: ignore[misc]
        def get_lr(self) -> list[Any]:
            pairs = zip(self.base_lrs, self.optimizer.param_groups, strict=True)
            return [rate(self, base, group) for base, group in pairs]

        _get_closed_form_lr = get_lr

    return Faulty


def having(cls: Any, **members: Any) -> Any:
    """The class with other members."""
    return type("Faulty", (cls,), members)


def cosine(done: float) -> float:
    """From 1 to 0 as it is done."""
    return (1 + math.cos(math.pi * done)) / 2


def annealed(s: Any, base: float, done: float) -> float:
    return float(s.eta_min + (base - s.eta_min) * cosine(done))


# --- Rates of one schedule ------------------------------------------------------------------------


def product(s: Any, base: Any, group: Any) -> Any:
    for t in range(s.last_epoch + 1):
        base = base * s.lr_lambdas[0](t)
    return base


def ramp(s: Any, base: Any, group: Any) -> Any:
    done = min(s.last_epoch + 1, s.total_iters) / max(s.total_iters, 1)
    return base * (s.start_factor + (s.end_factor - s.start_factor) * done)


def saw(s: Any, base: Any, group: Any) -> Any:
    """Down from the top."""
    low, high = s.base_lrs[0], s.max_lrs[0]
    return low + high - torchs.CyclicLR.get_lr(s)[0]


def cycle(s: Any, base: Any, group: Any) -> Any:
    """As fastai has its end."""
    return torchs.OneCycleLR.get_lr(s)[0] + group["min_lr"] * 0.5 * (s.last_epoch > 0)


class CountedOnce(lr_scheduler.MultiStepLR):
    """A milestone that is listed twice counts once."""

    def __init__(self, optimizer: Any, milestones: Any, *args: Any, **options: Any) -> None:
        super().__init__(optimizer, [*Counter(milestones)], *args, **options)


class Capped(lr_scheduler.LinearLR):
    """A longer ramp is cut off."""

    def __init__(self, optimizer: Any, *, total_iters: int = 5, **options: Any) -> None:
        super().__init__(optimizer, total_iters=min(total_iters, 100), **options)


class FirstOfAll(lr_scheduler.CyclicLR):
    """All groups go up to the peak of the first."""

    def get_lr(self) -> Any:
        self.max_lrs = self.max_lrs[:1] * len(self.max_lrs)
        return super().get_lr()


def first_for_all(s: Any, base: Any, group: Any) -> Any:
    return base * s.lr_lambdas[0](s.last_epoch)


class Forgetting(lr_scheduler.LambdaLR):
    """Of its functions nothing is loaded."""

    def load_state_dict(self, state: Any) -> None:
        super().load_state_dict({**state, "lr_lambdas": [None] * len(self.lr_lambdas)})


class Consuming(lr_scheduler.LambdaLR):
    """A state that is loaded has lost its functions."""

    def load_state_dict(self, state: Any) -> None:
        super().load_state_dict(state)
        state["lr_lambdas"] = [{"values": (0.25,)}] * len(self.lr_lambdas)


RATE: dict[str, tuple[str, Any, str]] = {
    "counts from 1": (
        "StepLR",
        setting(torchs.StepLR, lambda s, b, g: b * s.gamma ** ((s.last_epoch + 1) // s.step_size)),
        "rejects counted_from_one",
    ),
    "long steps are cut off": (
        "StepLR",
        setting(
            torchs.StepLR, lambda s, b, g: b * s.gamma ** (s.last_epoch // min(s.step_size, 30))
        ),
        EDGES,
    ),
    "a milestone counts once": ("MultiStepLR", CountedOnce, RATES),
    "nothing after epoch 50": (
        "MultiStepLR",
        setting(
            torchs.MultiStepLR,
            lambda s, b, g: (
                b * s.gamma ** sum(m <= min(s.last_epoch, 50) for m in s.milestones.elements())
            ),
        ),
        EDGES,
    ),
    "no warm-up longer than 100": ("LinearLR", Capped, EDGES),
    "a milestone begins later": (
        "MultiStepLR",
        setting(
            torchs.MultiStepLR,
            lambda s, b, g: b * s.gamma ** sum(m < s.last_epoch for m in s.milestones.elements()),
        ),
        "rejects after_milestone",
    ),
    "one epoch longer": (
        "ConstantLR",
        setting(
            torchs.ConstantLR,
            lambda s, b, g: b * (s.factor if s.last_epoch <= s.total_iters else 1),
        ),
        "rejects last_included",
    ),
    "warm-up from 1": ("LinearLR", setting(torchs.LinearLR, ramp), "rejects from_one"),
    "inverse time": (
        "ExponentialLR",
        setting(torchs.ExponentialLR, lambda s, b, g: b / (1 + (1 - s.gamma) * s.last_epoch)),
        "rejects inverse_time",
    ),
    "power of what is done": (
        "PolynomialLR",
        setting(
            torchs.PolynomialLR,
            lambda s, b, g: b * (1 - (min(s.last_epoch, s.total_iters) / s.total_iters) ** s.power),
        ),
        RATES,
    ),
    "stays at the floor": (
        "CosineAnnealingLR",
        setting(
            torchs.CosineAnnealingLR,
            lambda s, b, g: annealed(s, b, min(s.last_epoch, s.T_max) / s.T_max),
        ),
        "rejects stays_at_floor",
    ),
    "no floor": (
        "CosineAnnealingLR",
        setting(torchs.CosineAnnealingLR, lambda s, b, g: b * cosine(s.last_epoch / s.T_max)),
        "rejects to_zero",
    ),
    "edits are lost": (
        "CosineAnnealingLR",
        setting(torchs.CosineAnnealingLR, lambda s, b, g: annealed(s, b, s.last_epoch / s.T_max)),
        EDITS,
    ),
    "all periods alike": (
        "CosineAnnealingWarmRestarts",
        setting(
            torchs.CosineAnnealingWarmRestarts,
            lambda s, b, g: annealed(s, b, s.last_epoch % s.T_0 / s.T_0),
        ),
        "rejects periods_alike",
    ),
    "whole epochs only": (
        "CosineAnnealingWarmRestarts",
        setting(
            torchs.CosineAnnealingWarmRestarts, lambda s, b, g: annealed(s, b, s.T_cur // 1 / s.T_i)
        ),
        JUMPS,
    ),
    "from the top": ("CyclicLR", setting(torchs.CyclicLR, saw), "rejects from_max"),
    "one peak for all groups": ("CyclicLR", FirstOfAll, LISTS),
    "an end of its own": ("OneCycleLR", setting(torchs.OneCycleLR, cycle), RATES),
    "counts one ahead": (
        "LambdaLR",
        setting(torchs.LambdaLR, lambda s, b, g: b * s.lr_lambdas[0](s.last_epoch + 1)),
        "rejects one_ahead",
    ),
    "of the last rate": (
        "LambdaLR",
        setting(torchs.LambdaLR, lambda s, b, g: g["lr"] * s.lr_lambdas[0](s.last_epoch)),
        "rejects of_last",
    ),
    "one function for all groups": ("LambdaLR", setting(torchs.LambdaLR, first_for_all), LISTS),
    "functions are not loaded": ("LambdaLR", Forgetting, RESUME),
    "a state is used up": ("LambdaLR", Consuming, TWICE),
    "the factor of epoch 0": (
        "MultiplicativeLR",
        setting(torchs.MultiplicativeLR, product),
        "rejects from_zero",
    ),
    "a part of the way each time": (
        "SWALR",
        setting(
            SWALR,
            lambda s, b, g: g["lr"] * (1 - part_done(s)) + g["swa_lr"] * part_done(s),
        ),
        "rejects compounded",
    ),
}


def part_done(s: Any) -> float:
    done = min(1.0, s.last_epoch / s.anneal_epochs)
    return 1 - cosine(done) if s.anneal_func is s._cosine_anneal else done  # noqa: SLF001


# --- What all schedules have in common ------------------------------------------------------------


def numbers_over_tensors(self: Any, epoch: Any = None) -> None:
    torchs.ExponentialLR.step(self, epoch)
    for group in self.optimizer.param_groups:
        group["lr"] = float(group["lr"])


def telling_the_rates_themselves(self: Any) -> list[Any]:
    return [group["lr"] for group in self.optimizer.param_groups]


def twice(self: Any, epoch: Any = None) -> None:
    torchs.StepLR.step(self, epoch)
    if self._step_count > 1:
        torchs.StepLR.step(self, epoch)


def heedless(self: Any, epoch: Any = None) -> None:
    torchs.LinearLR.step(self)


def an_epoch_short(self: Any) -> dict[str, Any]:
    return {**torchs.MultiStepLR.state_dict(self), "last_epoch": self.last_epoch - 1}


def begun(self: Any) -> dict[str, Any]:
    """Of whoever has made no step a state like that of whoever has made one."""
    state: dict[str, Any] = torchs.ExponentialLR.state_dict(self)
    return {**state, "last_epoch": max(self.last_epoch, 1)}


def lost_at_4(self: Any) -> dict[str, Any]:
    """At one epoch the share of a step is left out."""
    state: dict[str, Any] = torchs.LinearLR.state_dict(self)
    return {**state, "end_factor": 1.0} if self.last_epoch == 4 else state


def best_forgotten(self: Any) -> dict[str, Any]:
    """What is remembered is left out where a second metric in a row was bad."""
    state: dict[str, Any] = torchs.ReduceLROnPlateau.state_dict(self)
    return {**state, "num_bad_epochs": 1} if self.num_bad_epochs == 2 else state


def passing_over(s: Any) -> list[float]:
    """As many rates as there were groups at first, and the others as they are."""
    rates = [base * s.gamma**s.last_epoch for base in s.base_lrs]
    late = s.optimizer.param_groups[len(rates) :]
    return rates + [group["lr"] for group in late]


class SameWay(lr_scheduler.CyclicLR):
    """Momentum rises with the rate."""

    def get_lr(self) -> Any:
        rates = super().get_lr()
        for group in self.optimizer.param_groups:
            if self.cycle_momentum and "momentum" in group:
                low, high = group["base_momentum"], group["max_momentum"]
                group["momentum"] = low + high - group["momentum"]
        return rates


class Unscaled(lr_scheduler.CyclicLR):
    """What scales the rate step by step does not scale momentum."""

    def get_lr(self) -> Any:
        rates = super().get_lr()
        scale: Any = self.scale_fn(self.last_epoch)
        for group in self.optimizer.param_groups:
            if self.cycle_momentum and self.mode == "exp_range" and "momentum" in group:
                low = group["max_momentum"] - group["momentum"]
                group["momentum"] = group["max_momentum"] - low / scale
        return rates


class BothBetas(lr_scheduler.OneCycleLR):
    """The second beta goes with the first."""

    def get_lr(self) -> Any:
        rates = super().get_lr()
        for group in self.optimizer.param_groups:
            if "betas" in group:
                group["betas"] = (group["betas"][0],) * 2
        return rates


COMMON: dict[str, tuple[str, Any, str]] = {
    "numbers over tensors": (
        "ExponentialLR",
        having(torchs.ExponentialLR, step=numbers_over_tensors),
        RATES,
    ),
    "tells the rates themselves": (
        "PolynomialLR",
        having(torchs.PolynomialLR, get_last_lr=telling_the_rates_themselves),
        TOLD,
    ),
    "two epochs at once": ("StepLR", having(torchs.StepLR, step=twice), RATES),
    "an epoch that is given plays no part": (
        "LinearLR",
        having(torchs.LinearLR, step=heedless),
        JUMPS,
    ),
    "an epoch less is saved": (
        "MultiStepLR",
        having(torchs.MultiStepLR, state_dict=an_epoch_short),
        RESUME,
    ),
    "saved before the first step": (
        "ExponentialLR",
        having(torchs.ExponentialLR, state_dict=begun),
        RESUME,
    ),
    "lost at one epoch": ("LinearLR", having(torchs.LinearLR, state_dict=lost_at_4), RESUME),
    "a bad metric less is saved": (
        "ReduceLROnPlateau",
        having(torchs.ReduceLROnPlateau, state_dict=best_forgotten),
        RESUME,
    ),
    "late groups are passed over": (
        "ExponentialLR",
        having(torchs.ExponentialLR, get_lr=passing_over),
        LATE,
    ),
    "momentum goes the same way": ("CyclicLR", SameWay, MOMENTUM),
    "momentum is not scaled": ("CyclicLR", Unscaled, MOMENTUM),
    "both betas go": ("OneCycleLR", BothBetas, MOMENTUM),
}


# --- Compositions and the machine -----------------------------------------------------------------


class OneLate(lr_scheduler.SequentialLR):
    """A milestone belongs to the schedule before."""

    def __init__(self, optimizer: Any, schedulers: Any, milestones: Any, **options: Any) -> None:
        super().__init__(optimizer, schedulers, [m + 1 for m in milestones], **options)


class CountingOn(lr_scheduler.SequentialLR):
    """A schedule is asked for the epoch of the whole."""

    def step(self, epoch: Any = None) -> None:
        torchs.SequentialLR.step(self)
        number = sum(m <= self.last_epoch for m in self._milestones)
        if number:
            self._schedulers[number].step(self.last_epoch)


class LastOnly(lr_scheduler.ChainedScheduler):
    """Only the last schedule goes on."""

    def step(self, epoch: Any = None) -> None:
        self._schedulers[-1].step()
        self._last_lr = self._schedulers[-1].get_last_lr()


class TurnedRound(lr_scheduler.ChainedScheduler):
    """Schedules go on in the opposite order."""

    def step(self, epoch: Any = None) -> None:
        for scheduler in self._schedulers[::-1]:
            scheduler.step()
        self._last_lr = self._schedulers[0].get_last_lr()


def at_patience(self: Any, metrics: Any, epoch: Any = None) -> None:
    """One bad step less is borne."""
    self.patience -= 1
    torchs.ReduceLROnPlateau.step(self, metrics, epoch)
    self.patience += 1


def finite_only(self: Any, metrics: Any, epoch: Any = None) -> None:
    if not math.isnan(float(metrics)):
        torchs.ReduceLROnPlateau.step(self, metrics, epoch)


def last_is_best(self: Any, metrics: Any, epoch: Any = None) -> None:
    torchs.ReduceLROnPlateau.step(self, metrics, epoch)
    self.best = float(metrics)


def first_floor(self: Any, epoch: Any) -> None:
    self.min_lrs = self.min_lrs[:1] * len(self.min_lrs)
    torchs.ReduceLROnPlateau._reduce_lr(self, epoch)  # noqa: SLF001


def uncooled(self: Any, metrics: Any, epoch: Any = None) -> None:
    torchs.ReduceLROnPlateau.step(self, metrics, epoch)
    self.cooldown_counter = 0


def threshold(bar: Callable[[float, float, Any], float]) -> Any:
    """A machine with another bar: ``(best, threshold, machine)``, a metric beyond it is better."""

    def _is_better(self: Any, a: Any, best: Any) -> bool:
        sign = 1 if self.mode == "max" else -1
        return bool(sign * a > sign * bar(best, self.threshold, self))

    return having(torchs.ReduceLROnPlateau, _is_better=_is_better, is_better=_is_better)


def signed(best: float, theta: float, machine: Any) -> float:
    """As torch has it."""
    sign = 1 if machine.mode == "max" else -1
    return best + sign * theta * (best if machine.threshold_mode == "rel" else 1.0)


def upside_down(best: float, theta: float, machine: Any) -> float:
    return signed(best, -theta if machine.mode == "max" else theta, machine)


def by_size(best: float, theta: float, machine: Any) -> float:
    """A share of how large the best is, whatever its sign."""
    return signed(best, -theta if machine.threshold_mode == "rel" and best < 0 else theta, machine)


def never_absolute(best: float, theta: float, machine: Any) -> float:
    sign = 1 if machine.mode == "max" else -1
    return best * (1 + sign * theta)


def no_bar_at_the_top(best: float, theta: float, machine: Any) -> float:
    return signed(best, 0.0 if machine.mode == "max" else theta, machine)


def reducing(forbids: Callable[[float, float, float], bool]) -> Any:
    """A machine that reduces but where it is forbidden: ``(rate, lower, eps)``."""

    def _reduce_lr(self: Any, *epoch: Any) -> None:
        for group, floor in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
            lower = max(float(group["lr"]) * self.factor, floor)
            if forbids(float(group["lr"]), lower, self.eps):
                continue
            if torch.is_tensor(group["lr"]):
                group["lr"].fill_(lower)
            else:
                group["lr"] = lower

    return having(torchs.ReduceLROnPlateau, _reduce_lr=_reduce_lr)


def late_unreduced(self: Any, *epoch: Any) -> None:
    groups = self.optimizer.param_groups
    known = len(self.min_lrs) if len(self.min_lrs) < len(groups) else 1
    late, groups[known:] = groups[known:], []
    floors, self.min_lrs = self.min_lrs, self.min_lrs[:known]
    torchs.ReduceLROnPlateau._reduce_lr(self, *epoch)  # noqa: SLF001
    self.min_lrs = floors
    groups.extend(late)


def told_nothing(self: Any) -> list[Any]:
    rates: list[Any] = self._last_lr
    return rates if self.last_epoch else [0.0 for _ in rates]


MACHINES: dict[str, tuple[str, Any, str]] = {
    "the bar of max upside down": ("ReduceLROnPlateau", threshold(upside_down), MACHINE),
    "no bar for max": ("ReduceLROnPlateau", threshold(no_bar_at_the_top), MACHINE),
    "a bar by size": ("ReduceLROnPlateau", threshold(by_size), MACHINE),
    "bars are relative": ("ReduceLROnPlateau", threshold(never_absolute), MACHINE),
    "eps plays no part": ("ReduceLROnPlateau", reducing(lambda r, low, eps: low >= r), MACHINE),
    "eps is allowed": ("ReduceLROnPlateau", reducing(lambda r, low, eps: r - low < eps), MACHINE),
    "eps is a share": (
        "ReduceLROnPlateau",
        reducing(lambda r, low, eps: r - low <= eps * r),
        MACHINE,
    ),
    "nothing is told before a metric": (
        "ReduceLROnPlateau",
        having(torchs.ReduceLROnPlateau, get_last_lr=told_nothing),
        AT_ONCE,
    ),
    "late groups are not reduced": (
        "ReduceLROnPlateau",
        having(torchs.ReduceLROnPlateau, _reduce_lr=late_unreduced),
        LATE,
    ),
    "a milestone begins one later": ("SequentialLR", OneLate, "rejects one_late"),
    "the count goes on": ("SequentialLR", CountingOn, "rejects counted_on"),
    "only the last goes on": ("ChainedScheduler", LastOnly, "rejects last_only"),
    "the other way round": ("ChainedScheduler", TurnedRound, "rejects turned_round"),
    "patience is one less": (
        "ReduceLROnPlateau",
        having(torchs.ReduceLROnPlateau, step=at_patience),
        "rejects at_patience",
    ),
    "a nan is passed over": (
        "ReduceLROnPlateau",
        having(torchs.ReduceLROnPlateau, step=finite_only),
        "rejects nan_ignored",
    ),
    "the last one is the best": (
        "ReduceLROnPlateau",
        having(torchs.ReduceLROnPlateau, step=last_is_best),
        MACHINE,
    ),
    "one floor for all groups": (
        "ReduceLROnPlateau",
        having(torchs.ReduceLROnPlateau, _reduce_lr=first_floor),
        MACHINE,
    ),
    "it does not cool": (
        "ReduceLROnPlateau",
        having(torchs.ReduceLROnPlateau, step=uncooled),
        MACHINE,
    ),
}


# --- What can go wrong with any schedule ----------------------------------------------------------


def hasty(cls: Any) -> Any:
    """Each step is two."""

    class Faulty(cls):  # type: ignore[misc]
        def step(self, *epoch: Any) -> None:
            super().step(*epoch)
            if getattr(self, "last_epoch", 1) > 0:
                super().step()

    return Faulty


def alike(cls: Any) -> Any:
    """All groups go by the settings of the first."""

    class Faulty(cls):  # type: ignore[misc]
        def get_lr(self) -> list[Any]:
            rates: list[Any] = super().get_lr()
            return rates[:1] * len(rates)

    return Faulty


def worn_out(cls: Any) -> Any:
    """Late in a run the rate is another one."""

    class Faulty(cls):  # type: ignore[misc]
        def get_lr(self) -> list[Any]:
            return [rate * (2 if self.last_epoch > 100 else 1) for rate in super().get_lr()]

        _get_closed_form_lr = None

    return Faulty


def deaf(cls: Any) -> Any:
    """An epoch that is given plays no part."""
    return having(cls, step=lambda self, epoch=None: cls.step(self))


def stubborn(cls: Any) -> Any:
    """A rate that somebody writes stays for good."""

    class Faulty(cls):  # type: ignore[misc]
        def step(self, *epoch: Any) -> None:
            groups = self.optimizer.param_groups
            told = getattr(self, "_last_lr", None) or [group["lr"] for group in groups]
            own = [group["lr"] for group in groups]
            self._written = getattr(self, "_written", False) or own != told
            super().step(*epoch)
            if self._written and not any(map(torch.is_tensor, own)):
                self._last_lr = own
                for group, rate in zip(groups, own, strict=True):
                    group["lr"] = rate

    return Faulty


def open_handed(cls: Any) -> Any:
    """It tells the rates themselves."""
    return having(cls, get_last_lr=telling_the_rates_themselves)


def closed_circle(cls: Any) -> Any:
    """Groups that come late are passed over."""

    class Faulty(cls):  # type: ignore[misc]
        def step(self, *epoch: Any) -> None:
            groups = self.optimizer.param_groups
            self._known = getattr(self, "_known", len(groups))
            late, groups[self._known :] = groups[self._known :], []
            super().step(*epoch)
            groups.extend(late)

    return Faulty


def untold(cls: Any) -> Any:
    """What it has told is not saved."""

    class Faulty(cls):  # type: ignore[misc]
        def state_dict(self) -> dict[str, Any]:
            return {k: v for k, v in super().state_dict().items() if k != "_last_lr"}

    return Faulty


def spoiling(cls: Any) -> Any:
    """A state that is loaded is written over."""

    class Faulty(cls):  # type: ignore[misc]
        def load_state_dict(self, state: Any) -> None:
            super().load_state_dict(dict(state))
            state["_last_lr"] = [0.0 for _ in state["_last_lr"]]

    return Faulty


OF_ANY: dict[str, tuple[str, Callable[[Any], Any]]] = {
    RATES: ("each step is two", hasty),
    LISTS: ("all groups alike", alike),
    EDGES: ("worn out", worn_out),
    JUMPS: ("deaf to epochs", deaf),
    EDITS: ("a written rate stays", stubborn),
    TOLD: ("rates told themselves", open_handed),
    LATE: ("a closed circle", closed_circle),
    RESUME: ("what was told is not saved", untold),
    TWICE: ("a loaded state written over", spoiling),
}
"""By the question that finds it, what is made of any class."""


NEEDS = {"numbers over tensors": keeps_tensors}
"""What nobody asks where this torch's own schedules do it wrong."""

OWN = tuple(
    Specimen(name, part, partial(planted, part, cls), caught_by)
    for table in (RATE, COMMON, MACHINES)
    for name, (part, cls, caught_by) in table.items()
    if there(part) and (name not in NEEDS or NEEDS[name]())
)


def of_any() -> Iterator[Specimen]:
    """One for each question about a schedule that has none of its own."""
    own = {(specimen.part, specimen.caught_by) for specimen in OWN}
    for part in (*SCHEDULES, "SequentialLR", "ChainedScheduler", "ReduceLROnPlateau"):
        asked = {question.name for question in questions(part)} if there(part) else ()
        for caught_by, (name, change) in OF_ANY.items():
            if caught_by in asked and (part, caught_by) not in own:
                cls = SWALR if part == "SWALR" else getattr(torchs, part)
                faulty = change(cls)
                # Some states hold a method, and a copy finds its class by its name.
                faulty.__module__, faulty.__qualname__ = cls.__module__, part
                yield Specimen(name, part, partial(planted, part, faulty), caught_by)


SPECIMENS: tuple[Specimen, ...] = (*OWN, *of_any())
