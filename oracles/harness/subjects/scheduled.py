"""Whoever says what the learning rate is: a scheduler, a function of the epoch, or a list of rates.

Whatever it is, it is asked for the rates of epochs 0 to n, in float64. Only schedulers need torch.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from math import inf, isfinite
from numbers import Real
from types import MappingProxyType
from typing import Any, Protocol

from oracles.harness.subjects.subject import SubjectError, answering
from oracles.naming import name_of, unknown
from oracles.schedules.composed import Chained, Plan, Sequential, Single
from oracles.schedules.registry import KNOWN, SCHEDULES

EPOCH = (
    *("t", "epoch", "epochs", "step", "steps", "count", "iteration", "it", "n", "num_updates"),
    *("current_step", "global_step"),
)
"""What the first argument of a function of the epoch is called, where nobody says otherwise."""

TIME = "epoch"
"""That argument among names."""

BASE = ("base", "base_lr", "lr", "lr0", "initial_lr", "init_lr", "init_value", "peak_lr", "gamma0")
"""What the base rate is called in it."""

CURRENT = "lr"
"""What Keras' LearningRateScheduler gives by that name is the rate of the epoch before."""

OWNER = ("optimizer", "opt", "optim", "o")
"""What the first argument of a scheduler is called."""

STEPS = ("step", "step_update")
"""What a scheduler is stepped by, whatever class it is of."""

ENDS = ("total_iters", "T_max", "total_steps", "num_training_steps", "t_initial")
"""Settings that say when a schedule ends: beyond it many a function has no rate."""

LIKE = (
    (
        *ENDS,
        *("T", "total", "max_iter", "max_iters", "max_steps", "max_epochs", "num_steps"),
        *("num_epochs", "n_steps", "n_epochs", "decay_steps", "epochs", "steps"),
    ),
    ("num_warmup_steps", "warmup_steps", "warmup_t", "warmup", "warmup_epochs", "warmup_iters"),
    ("eta_min", "lr_min", "min_lr", "lr_end", "end_lr", "final_lr"),
)
"""Names of settings that may mean the same: how long it goes on, how long it rises, its floor."""

BELOW = "goes below 0"
"""What a line does past its end where nobody stops it."""

FACTORS, LAMBDA = "factors", "lr_lambda"
"""The list of factors that oracles have, and torch's argument of which it is the values."""


@dataclass(frozen=True)
class Seen:
    """Rates that are known of whoever is given no settings.

    Attributes:
        near: from epoch 0 on, all of them.
        base: the base rate, if it is known.
        beside: base rates, and rates by epoch that go with them: what gives those that are near
            gives these as well.
        ahead: how many epochs there were before the first step.
        written: numbers of which the base rate is one; None where it may be any.
        off: how far each of those that are near may be from what it was before somebody wrote it
            down in a few digits; nothing where all digits are there.
    """

    near: Sequence[float]
    base: float | None = None
    beside: Sequence[tuple[float | None, Mapping[int, float]]] = ()
    ahead: int = 0
    written: Collection[float] | None = None
    off: Sequence[float] = ()


class Scheduled(Protocol):
    """Whoever has rates.

    Attributes:
        name: of it.
        takes: the settings that it takes, by torch's names, and its own names for them.
        scaled: whether it takes the base rate.
        logged: whether its rates may be made of more than the epoch, as of a metric.
        current: whether that may be meant to be another one, as nobody has said that it is not.
        ends: where its rates end, and why, as far as it was asked; empty where they do not.
    """

    name: str
    takes: Mapping[str, str] = MappingProxyType({})
    scaled: bool = False
    logged: bool = False
    current: bool = False
    ends: str = ""

    def alone(self) -> Iterator[Scheduled]:
        """The same, given no settings; then given no base rate, either, where it can do without."""
        if self.takes:
            other = copy(self)
            other.takes, other.ends = {}, ""
            yield other

    def seen(self) -> Iterator[Seen]:
        """Its rates where it is given no settings: one reading after the other, until one tells.

        Raises:
            SubjectError: it raised, or gave no numbers.
        """

    def rates(self, base: float, epochs: int, settings: Mapping[str, Any]) -> list[float]:
        """Those of epochs 0 to ``epochs``.

        Raises:
            SubjectError: it raised, or gave no numbers.
        """

    def far(self, base: float, settings: Mapping[str, Any]) -> dict[int, float]:
        """Rates of epochs far away; of whoever has to be stepped to them, none."""
        return {}

    def shown(self) -> Plan | None:
        """The plan that it shows that it follows, by torch's names."""
        return None

    def given(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Settings by its own names; where we have a list of factors, torch is given a function."""
        values = {own: settings[torchs] for torchs, own in self.takes.items()}
        if own := self.takes.get(FACTORS):
            factors = settings[FACTORS]
            values[own] = lambda t: factors[t % len(factors)]
        return values


MOST = 200
"""Epochs that are asked for, where nothing says how many there are."""

FARTHER = (MOST, 10 * MOST, 60 * MOST)
"""The same of whoever can be asked for any: as many as it takes until its rates are told. The
longest warm-up that people write has 10,000 steps (T5)."""

FAR = tuple(m * 10**n for n in (2, 3, 4) for m in (3, 5, 10, 20))
"""Epochs that are looked at beside."""

START, OTHER = 0.5, 0.3
"""Base rates for those who take one: at 1 a share of it would be itself. What goes with one of
them alone is not made of its product with something."""


class Function(Scheduled):
    """A function ``(epoch, ...)`` of which some arguments are settings, and one the base rate.

    Args:
        function: that.
        names: torch's names of settings, and its own for them.
        fixed: further arguments.
        before: how many epochs there were before the first step.
        written: numbers that are written in it, of which one may be the base rate.
    """

    def __init__(
        self,
        function: Any,
        names: Mapping[str, str],
        fixed: Mapping[str, Any],
        before: int = 0,
        written: Collection[float] = (),
    ) -> None:
        self.name = name_of(function)
        self._function, self._fixed = function, dict(fixed)
        self._before, self._written = before, written
        self._known: dict[tuple[int, float], float] = {}  # by epoch and base rate
        first = parameters(function)[0]
        if (said := names.get(TIME, first)) != first:
            told = f"names={{{TIME!r}: {said!r}}}: the epoch is the first argument of {self.name}"
            raise ValueError(unknown(told, said, [first]))
        names = {torchs: name for torchs, name in names.items() if torchs != TIME}
        own = wanted(function, names, fixed)
        bases = [name for name in BASE if name != "base_lr" or "max_lr" not in own]
        self._base = next((name for name in own if name in (names.get("base"), *bases)), None)
        self.scaled, self.current = self._base is not None, self._base == CURRENT
        self.current &= "base" not in names
        self.takes = named([name for name in own if name != self._base], names, self.name)

    def alone(self) -> Iterator[Scheduled]:
        yield from super().alone()
        if self.scaled:
            other = copy(self)
            own = {"takes": {}, "scaled": False, "current": False, "_base": None}
            name = f"{self.name}, called with its defaults,"
            vars(other).update(own, name=name, ends="", _known={})
            yield other

    def rates(self, base: float, epochs: int, settings: Mapping[str, Any]) -> list[float]:
        return [*self._at(range(epochs + 1), base, settings).values()]

    def far(self, base: float, settings: Mapping[str, Any]) -> dict[int, float]:
        """Those that are finite numbers, up to the first that it has not; factors are near ones."""
        found: dict[int, float] = {}
        with suppress(SubjectError):
            for t in () if FACTORS in self.takes else FAR:
                found |= self._at((t,), base, settings)
        return {t: rate for t, rate in found.items() if isfinite(rate)}

    def seen(self) -> Iterator[Seen]:
        own, base = self._at, START if self.scaled else None
        beside = [(base, own(FAR, START, {}))]
        if self.scaled:
            beside += [(OTHER, own((*range(SHORTEST), *FAR), OTHER, {}))]
        for last in FARTHER:
            near = own(range(-self._before, last + 1), START, {})
            based = not self.scaled and self._may_be_base(near[-self._before], near[0])
            for ahead in sorted({0, self._before}, reverse=based):
                moved = [(b, {t + ahead: r for t, r in far.items()}) for b, far in beside]
                written = self._written if ahead and not self.scaled else None
                rates = [rate for t, rate in near.items() if t >= -ahead]
                yield Seen(rates, base, moved, ahead, written)
            late = {r for t, r in (*near.items(), *beside[0][1].items()) if t > last // 2}
            if last not in near or len(late) == 1:  # that is all there is
                break
        if not self.scaled:  # of one base rate nothing tells what is made of its product
            yield from rounded([rate for t, rate in near.items() if 0 <= t <= MOST])

    def _may_be_base(self, before: float, first: float) -> bool:
        """Whether the rate before the first one may be what it begins with, and that is not seen.

        0 is no base rate, and one that is written is.
        """
        return before != 0 and (before in self._written or first not in self._written)

    def _at(
        self, epochs: Iterable[int], base: float, settings: Mapping[str, Any]
    ) -> dict[int, float]:
        """By epoch; those from its end on for which it has no finite rate are not there.

        Where a setting says when it ends, a line that goes on below 0 has ended as well.

        Raises:
            SubjectError: it raised before its end, or gave no number.
        """
        given = self.given(settings)
        if self._base is not None:
            given[self._base] = base
        ends = {self.takes[name]: settings[name] for name in ENDS if name in self.takes}
        end = max(ends.values()) if ends else inf if self.takes else SHORTEST
        known = {} if settings else self._known
        found: dict[int, float] = {}
        for t in epochs:
            try:
                if (t, base) not in known:
                    with answering():
                        known[t, base] = float(self._function(t, **given, **self._fixed))
                found[t] = known[t, base]
            except SubjectError as error:
                if t < end:
                    raise
                why = error.sentence
            else:  # as an array's root of what is below 0
                why = "" if isfinite(found[t]) else f"gives {found[t]}"
                lost = t * sys.float_info.epsilon * max(base, *found.values())  # in so many steps
                why = BELOW if ends and found[t] < -lost else why
            if why and t >= end:
                found.pop(t, None)
                where = f"past {max(ends, key=lambda n: ends[n])}" if ends else f"at epoch {t}"
                self.ends = f"{where} it {why}"
                break
        return found


FEWEST, FULL = 3, 15
"""Digits of the longest of some numbers: with fewer they tell nothing, and with more they are whole
in float64."""


class Listed(Scheduled):
    """Rates that somebody has written down, from epoch 0 on.

    Raises:
        ValueError: they are too few to tell anything, or not finite.
    """

    logged = True

    def __init__(self, rates: Sequence[float], name: str = "the list") -> None:
        self.name, self.all = name, rates
        if len(rates) < SHORTEST:
            told = f"{len(rates)} rates tell nothing" if rates else f"{name} is empty"
            raise ValueError(f"{told}; allowed: {SHORTEST} rates and more")
        for place, rate in enumerate(rates):
            if not isfinite(rate):
                raise ValueError(f"entry {place} of {name} is {rate}; allowed: finite numbers")

    def rates(self, base: float, epochs: int, settings: Mapping[str, Any]) -> list[float]:
        return [*self.all[: epochs + 1]]

    def seen(self) -> Iterator[Seen]:
        """As they are; then as if they had so many digits."""
        yield Seen(self.all)
        yield from rounded(self.all)


def rounded(rates: Sequence[float]) -> Iterator[Seen]:
    """Rates as if they had so many decimals, or so many digits.

    A number has the digits that it shows, and zeros after them. Whoever writes a list by hand
    leaves away what seems not to matter, in one number more than in another.
    """
    shown = [Decimal(repr(rate)).normalize() for rate in rates if isfinite(rate)]
    most = max(len(number.as_tuple().digits) for number in shown or [Decimal()])
    if len(shown) < len(rates) or not FEWEST <= most < FULL:
        return
    ends = [int(number.as_tuple().exponent) if number else 0 for number in shown]
    readings = [(min(ends),) * len(ends)]
    for digits in range(most, FEWEST - 1, -1):
        last = (n.adjusted() + 1 - digits if n else min(ends) for n in shown)
        readings.append((*map(min, last, ends),))
    for places in dict.fromkeys(readings):
        yield Seen(rates, off=[0.5 * 10.0**place for place in places])


METRICS = (["metrics"], ["metric"])
"""What the first argument of ``step`` is, where a scheduler goes by that and by no epoch."""


class Made(Scheduled):
    """A class of schedulers, or a function that makes one of an optimizer."""

    scaled = True

    def __init__(self, make: Any, names: Mapping[str, str], fixed: Mapping[str, Any]) -> None:
        self.name = name_of(make)
        self._make, self._fixed = make, dict(fixed)
        by_metric = (
            isinstance(make, type) and parameters(getattr(make, "step", None))[1:2] in METRICS
        )
        self.takes = {} if by_metric else named(wanted(make, names, fixed), names, self.name)

    def rates(self, base: float, epochs: int, settings: Mapping[str, Any]) -> list[float]:
        from oracles.harness.subjects import schedulers  # which needs torch

        with answering():
            run = schedulers.Following(
                schedulers.optimizer([base]),
                lambda owner: self._make(owner, **self.given(settings), **self._fixed),
            )
            if parameters(getattr(run.scheduler, "step", None))[:1] in METRICS:
                raise SubjectError(
                    "it goes by a metric, and by no epoch: as ReduceLROnPlateau it is asked by "
                    "oracles.check_schedule"
                )
            found = [run.rates()[0]]
        try:
            for _ in range(epochs):
                with answering():
                    run.step()
                    found += run.rates()
        except SubjectError as error:
            if self.takes or len(found) < SHORTEST:
                raise
            self.ends = f"at epoch {len(found)} it {error.sentence}"
        return found

    def seen(self) -> Iterator[Seen]:
        """For as long as the plan lasts that it shows, and at another base rate beside.

        A floor is a rate or a share of the base rate: at one base rate alone they are the same.
        """
        schedule = getattr(self._plan, "schedule", None)
        last = schedule and schedule.last(self._plan.settings)  # type: ignore[union-attr]
        near, other = (
            self.rates(base, MOST if last is None else min(last, MOST), {})
            for base in (START, OTHER)
        )
        yield Seen(near, START, [(OTHER, dict(enumerate(other)))])

    def shown(self) -> Plan | None:
        return self._plan

    @cached_property
    def _plan(self) -> Plan | None:
        from oracles.harness.subjects import schedulers

        with answering(), schedulers.unwarned():
            return read(self._make(schedulers.optimizer([1.0]), **self._fixed), MOST)


def parameters(function: Any) -> list[str]:
    """The names of what can be given to it."""
    return [p.name for p in _each(function)]


def accepts(function: Any, name: str) -> bool:
    """Whether it can be given an argument of that name."""
    try:
        inspect.signature(function).bind_partial(**{name: None})
    except TypeError:
        return False
    except ValueError:  # it is one of C's
        return True
    return True


def wanted(function: Any, names: Mapping[str, str], fixed: Mapping[str, Any]) -> list[str]:
    """What it takes beside its first argument: settings, and whatever else it needs."""
    known = {*SETTINGS, *names.values(), *BASE, LAMBDA}
    _, *rest = [*_each(function)]
    return [
        p.name for p in rest if p.name not in fixed and (p.name in known or p.default is p.empty)
    ]


SETTINGS = {name for schedule in KNOWN.values() for name in schedule.draws}


def _each(function: Any) -> list[inspect.Parameter]:
    try:
        each = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # it is one of C's
        return []
    return [p for p in each if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


def named(own: Sequence[str], names: Mapping[str, str], subject: str) -> dict[str, str]:
    """Settings by torch's names, and the subject's names for them.

    Raises:
        ValueError: it has no argument of a name that is said to be its own.
    """
    for torchs, said in names.items():
        if said not in own and torchs != "base":
            told = f"names={{{torchs!r}: {said!r}}}: {subject} has no {said!r}"
            raise ValueError(unknown(told, said, own))
    by_own = {said: torchs for torchs, said in names.items()}
    return {by_own.get(name, FACTORS if name == LAMBDA else name): name for name in own}


def is_scheduler(subject: Any) -> bool:
    """Whether it is a class of schedulers, or makes one of an optimizer."""
    if isinstance(subject, type):
        bases = {base.__name__ for base in subject.__mro__}
        if bases & {"LRScheduler", "_LRScheduler", "ReduceLROnPlateau"}:
            return True
        if hasattr(subject, "zero_grad") or not any(hasattr(subject, name) for name in STEPS):
            return False
    return callable(subject) and parameters(subject)[:1] != [] and parameters(subject)[0] in OWNER


def in_a_row(subject: Any) -> list[float] | None:
    """The numbers of a list, or of what has one dimension, also as text; None if it has none."""
    entries = subject.tolist() if getattr(subject, "ndim", None) == 1 else subject
    told = isinstance(entries, Sequence) and not isinstance(entries, str | bytes)
    if told and all(isinstance(entry, Real | str) for entry in entries):
        with suppress(ValueError, OverflowError):
            return [float(entry) for entry in entries]
    return None


def is_scheduled(subject: Any, names: Mapping[str, str] = MappingProxyType({})) -> bool:
    """Whether it says what the learning rate is: see the classes here.

    >>> is_scheduled(lambda t, base, gamma: base * gamma**t), is_scheduled([0.1, 0.05])
    (True, True)
    """
    if isinstance(subject, Listed) or in_a_row(subject) is not None or is_scheduler(subject):
        return True
    if isinstance(subject, type) or not callable(subject):
        return False
    return parameters(subject)[:1] != [] and parameters(subject)[0] in (*EPOCH, names.get(TIME))


def gives_a_rate(function: Any) -> bool:
    """Whether a function gives a number for 0, which is all that it needs: its epoch, maybe.

    >>> gives_a_rate(lambda k: 0.1 * 0.9**k), gives_a_rate(lambda params: params[0])
    (True, False)
    """
    if isinstance(function, type) or not callable(function):
        return False
    needed = [p for p in _each(function) if p.default is p.empty]
    if [p.kind for p in needed] == [inspect.Parameter.POSITIONAL_OR_KEYWORD]:
        with suppress(SubjectError), answering():
            return isfinite(function(0))
    return False


def scheduled(subject: Any, names: Mapping[str, str], fixed: Mapping[str, Any]) -> Scheduled:
    """Who is asked for the rates of a subject that :func:`is_scheduled`.

    Raises:
        ValueError: it has no argument of a name that was said to be its own, or what
            :class:`Listed` refuses.
    """
    if isinstance(subject, Function | Listed):
        return subject
    if (rates := in_a_row(subject)) is not None:
        return Listed(rates)
    return Made(subject, names, fixed) if is_scheduler(subject) else Function(subject, names, fixed)


SHORTEST = 4
"""Rates that are needed: two settle a base rate and a setting."""


# --- What a scheduler shows of itself -------------------------------------------------------------


def read(scheduler: Any, epochs: int) -> Plan | None:
    """The plan that a scheduler's attributes name, if they name one of torch's."""
    parts = getattr(scheduler, "_schedulers", None)
    if parts is not None:
        plans = [read(part, epochs) for part in parts]
        if None in plans:
            return None
        milestones = getattr(scheduler, "_milestones", None)
        together: Any = tuple(plans)
        return Chained(together) if milestones is None else Sequential(together, (*milestones,))
    for base in type(scheduler).__mro__:
        if base.__name__ in SCHEDULES:
            schedule = SCHEDULES[base.__name__]
            values = {n: _attribute(scheduler, n, epochs) for n in schedule.settings._fields}  # type: ignore[attr-defined]
            known = {n: value for n, value in values.items() if value is not None}
            return Single(schedule, schedule.settings(**known))
    return None


def _attribute(scheduler: Any, name: str, epochs: int) -> Any:
    """A setting, wherever torch's classes keep it; None where they do not."""
    group = scheduler.optimizer.param_groups[0]
    found: dict[str, Callable[[], Any]] = {
        FACTORS: lambda: _factors(scheduler.lr_lambdas[0], epochs),
        "milestones": lambda: tuple(sorted(scheduler.milestones.elements())),
        "swa_lr": lambda: group["swa_lr"],
        "anneal_strategy": lambda: _strategy(scheduler),
        "base_lr": lambda: scheduler.base_lrs[0],
        "max_lr": lambda: (
            scheduler.max_lrs[0] if hasattr(scheduler, "max_lrs") else group["max_lr"]
        ),
        "step_size_up": lambda: round(scheduler.total_size * scheduler.step_ratio),
        "step_size_down": lambda: round(scheduler.total_size * (1 - scheduler.step_ratio)),
        "div_factor": lambda: group["max_lr"] / group["initial_lr"],
        "final_div_factor": lambda: group["initial_lr"] / group["min_lr"],
        "three_phase": lambda: len(scheduler._schedule_phases) == 3,  # noqa: SLF001
        "pct_start": lambda: _share(scheduler),
    }
    try:
        value = found[name]() if name in found else getattr(scheduler, name)
        return value[0] if isinstance(value, list) else value
    except (AttributeError, KeyError, TypeError):
        return None


def _factors(function: Callable[[int], Any], epochs: int) -> tuple[float, ...]:
    """As many as it has."""
    found: list[float] = []
    with suppress(SubjectError):
        for t in range(epochs + 1):
            with answering():
                found.append(float(function(t)))
    return tuple(found)


def _strategy(scheduler: Any) -> Any:
    for name in ("_anneal_func_type", "_anneal_strategy"):
        if hasattr(scheduler, name):
            return getattr(scheduler, name)
    return None


def _share(scheduler: Any) -> float:
    """Of a cycle's first phase, which ends a step before."""
    return float((scheduler._schedule_phases[0]["end_step"] + 1) / scheduler.total_steps)  # noqa: SLF001
