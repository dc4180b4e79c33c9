"""What is known of a training loop of torch while it runs, and the log of it afterwards."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from operator import is_
from typing import Any

import torch
from torch.nn.parameter import is_lazy

from oracles.harness.subjects.loops.looks import Looks, Some, dealt_out, mark
from oracles.harness.subjects.loops.losses import parameters
from oracles.harness.watching.events import (
    Built,
    Event,
    Log,
    Look,
    Meant,
    Model,
    Optimizer,
    Parameter,
    Scheduler,
    Stepped,
    Told,
    Used,
    Values,
)
from oracles.schedules.registry import SCHEDULES

SWITCHES = frozenset({"params", "initial_lr", "foreach", "fused", "capturable", "differentiable"})
"""What a group has beside settings of its rule."""

FIXED = frozenset({bool, int, float, str, type(None)})
"""Types of settings that cannot be written into."""

LENGTHS = {
    "CosineAnnealingLR": "T_max",
    "OneCycleLR": "total_steps",
    "PolynomialLR": "total_iters",
}
"""Schedules that come to an end, and where they have its step."""

TORCHS = frozenset(kind for kind in vars(torch.optim).values() if isinstance(kind, type))
"""Classes of optimizers that are torch's own."""

STEP_HOOKS = ("_optimizer_step_pre_hooks", "_optimizer_step_post_hooks")
"""Where an optimizer has code of the user's that runs within its steps."""

MODAL = ("Dropout", "BatchNorm")
"""Parts of the names of modules that work otherwise in training mode."""


class Recorder:
    """Events as they come, and who takes part in them, by number.

    Attributes:
        meant: what was said of the loop.
        every: whether all optimizers are asked about, and not only those that were given.
        note: keeps an event: something has happened.
    """

    def __init__(self, meant: Meant, *, every: bool) -> None:
        self.meant = meant
        self.every = every
        self.looks = Looks(alike=meant.ranks)
        self.events: list[Event] = []
        self.note = self.events.append
        self.optimizers: list[Any] = []
        self.schedulers: list[Any] = []
        self.models: list[torch.nn.Module] = []
        self.averages: list[Any] = []
        self.told: dict[tuple[int, int], Told] = {}
        self._steps = Counter[int]()
        self._optimizers: dict[int, dict[str, Any]] = {}
        self._schedulers: dict[int, dict[str, Any]] = {}
        self._bases: dict[int, Any] = {}
        self._known: dict[tuple[int, ...], tuple[int, Any]] = {}
        self._given: list[int] = []
        self._reached: list[torch.Tensor] | None = None
        self._groups: dict[int, list[Any]] = {}
        self._taken: tuple[Any, Some, Look] = None, Some(), Look()
        self._owned: dict[int, tuple[list[torch.Tensor], Some]] = {}
        self._settings: dict[int, tuple[list[Any], tuple[Mapping[str, Any], ...]]] = {}

    def optimizer(self, optimizer: Any, *, given: bool = False) -> int:
        """The number of an optimizer; all its parameters are looked at from now on."""
        number = self.number(optimizer, given=given)
        self._members(optimizer)
        return number

    def number(self, optimizer: Any, *, given: bool = False) -> int:
        """The number of an optimizer.

        One that is wrapped around another and has the same groups is the same.
        """
        key = (id(optimizer), *map(id, optimizer.param_groups))
        if (known := self._known.get(key)) is not None:
            return known[0]
        alike = (other for other in self.optimizers if _same_groups(other, optimizer))
        number = _place(self.optimizers, next(alike, optimizer))
        self._known[key] = number, (optimizer, *optimizer.param_groups)  # nobody else has their ids
        if number not in self._optimizers:
            self._optimizers[number] = {
                "watched": given or self.every,
                "fresh": not any(optimizer.state.values()),
                "torchs": type(optimizer) in TORCHS,
                "hooked": False,
            }
        return number

    def _members(self, optimizer: Any) -> Some:
        """Its parameters, which are looked at from now on, each once."""
        tensors = [p for group in optimizer.param_groups for p in group["params"]]
        known, members = self._owned.get(id(optimizer), ([], Some()))
        if len(known) != len(tensors) or not all(map(is_, known, tensors)):
            members = self.looks.some(tensors)
            self._owned[id(optimizer)] = tensors, members
        return members

    def scheduler(self, scheduler: Any) -> int:
        """The number of a scheduler."""
        number = _place(self.schedulers, scheduler)
        if number not in self._schedulers:
            name = type(scheduler).__name__
            torchs = type(scheduler) is getattr(torch.optim.lr_scheduler, name, None)
            closed = torchs and name in SCHEDULES and SCHEDULES[name].following is None
            owner = getattr(scheduler, "optimizer", None)
            bases = {base.__name__ for base in type(scheduler).__mro__}
            self._schedulers[number] = {
                "name": name,
                "optimizer": self.optimizer(owner) if hasattr(owner, "param_groups") else None,
                "fresh": getattr(scheduler, "last_epoch", None) == 0,
                "closed": closed,
                "length": getattr(scheduler, LENGTHS.get(name, ""), None),
                "metric": "ReduceLROnPlateau" in bases,
                "last": "SWALR" in bases,
            }
        return number

    def built(self, scheduler: Any) -> None:
        """A scheduler was built, and has set rates."""
        owner = self._schedulers[self.scheduler(scheduler)]["optimizer"]
        self.based(scheduler)
        if owner is not None:
            self.note(Built(optimizer=owner, rates=self.rates(scheduler)))

    def based(self, scheduler: Any) -> bool:
        """Whether the first rates of a scheduler were set since this was asked, or it was built."""
        number, bases = self.scheduler(scheduler), getattr(scheduler, "base_lrs", None)
        groups = getattr(getattr(scheduler, "optimizer", None), "param_groups", [])
        before = self._bases.get(number, [group.get("initial_lr") for group in groups])
        self._bases[number] = bases and [*bases]
        return bool(bases) and bases != before

    def model(self, model: torch.nn.Module, *, given: bool = False) -> None:
        """A model; its parameters are looked at from now on."""
        if not any(known is model for known in self.models):
            self.looks.follow(parameters_of(model))
            self.models.append(model)
            if given:
                self._given.append(len(self.models) - 1)

    def averaged(self, average: Any, model: torch.nn.Module) -> tuple[int, tuple[int, ...]]:
        """The number of an averaged model, and those of the parameters that it is told."""
        tensors = parameters_of(model)
        return _place(self.averages, average), self.looks.some(tensors).numbers

    def renew(self) -> None:
        """Look at the parameters that models have by now, from now on."""
        for model in self.models:
            self.looks.follow(parameters_of(model))

    def reached(self, roots: Any) -> None:
        """A pass begins; of the first one it is kept which parameters it reaches."""
        if self._given and self._reached is None:
            self._reached = list(parameters(roots))

    def training(self) -> tuple[bool, ...]:
        """By the number of the model, whether it is in training mode."""
        return tuple(model.training for model in self.models)

    def settings(self, optimizer: Any) -> tuple[Mapping[str, Any], ...]:
        """What the groups of an optimizer have, as numbers.

        They are those of the time before, if there are the very same values.
        """
        groups = self._groups[id(optimizer)] = [*optimizer.param_groups]
        values = [value for group in groups for value in group.values()]
        known, settings = self._settings.get(id(optimizer), ([], ()))
        if len(known) != len(values) or not all(map(is_, known, values)):
            settings = tuple(map(_numbers, groups))
            if all(_fixed(v) for group in groups for n, v in group.items() if n != "params"):
                self._settings[id(optimizer)] = values, settings
        return settings

    def rates(self, scheduler: Any) -> Values:
        """The rates that a scheduler sets; none where the groups are others than they were.

        They are after a state was loaded, whose rates nobody has set by hand.
        """
        owner = getattr(scheduler, "optimizer", None)
        groups = getattr(owner, "param_groups", [])
        before = self._groups.get(id(owner), groups)
        self._groups[id(owner)] = list(groups)
        same = len(before) == len(groups) and all(map(is_, before, groups))
        return tuple(float(group.get("lr", math.nan)) for group in groups) if same else ()

    def used(self, optimizer: Any, number: int, *, told: bool = False) -> Used:
        """The gradients that an optimizer takes now; its step may have been told more."""
        members = self._members(optimizer)
        look = self.looks.glance(members)
        self._taken = optimizer, members, look
        return Used(
            look=look,
            optimizer=number,
            groups=self.settings(optimizer),
            infinite=self.looks.infinite(members.numbers),
            frozen=self.looks.zeros(members),
            unscaling=told or getattr(optimizer, "grad_scale", None) is not None,
        )

    def stepped(self, optimizer: Any, number: int, calls: int | None) -> Stepped:
        """A step that an optimizer has made."""
        self._steps[number] += 1
        hooked = any(map(vars(optimizer).get, STEP_HOOKS))
        self._optimizers[number]["hooked"] |= hooked
        mine, members, taken = self._taken
        alone = mine is optimizer and self.events[-1].look is taken
        if alone and type(optimizer) in TORCHS and not hooked:
            look = self.looks.after(members, taken)
        else:
            look = self.looks.glance(self._members(optimizer))
        return Stepped(look=look, optimizer=number, calls=calls)

    def steps(self, number: int | None = None) -> int:
        """How many steps there were, of one optimizer or of all."""
        return self._steps.total() if number is None else self._steps[number]

    def tell(self, number: int, own: Look) -> None:
        """Keep what other processes are told of a step that was just made."""
        members = [p for group in self.optimizers[number].param_groups for p in group["params"]]
        places = [None if dealt_out(p) else self.looks.number(p) for p in members]
        used = next(
            e for e in reversed(self.events) if isinstance(e, Used) and e.optimizer == number
        )
        self.told[number, self.steps(number)] = Told(
            tuple(map(mark, members)),
            tuple(_values(own, n) for n in places),
            tuple(_values(used.look, n) for n in places),
        )

    def log(
        self,
        *,
        whole: bool,
        error: str = "",
        cut: float | None = None,
        ranks: Sequence[Mapping[tuple[int, int], Told]] = (),
    ) -> Log:
        """All of it, without any tensor."""
        models = list(self._models())
        return Log(
            tuple(map(self._settled, self.events)),
            tuple(self._parameters()),
            tuple(self._optimizer(number) for number in range(len(self.optimizers))),
            tuple(map(self._scheduler, range(len(self.schedulers)))),
            tuple(models),
            tuple(tuple(p.shape) for p in self._reached or () if self.looks.known(p) is None),
            self.meant,
            whole,
            error,
            cut,
            tuple(ranks),
        )

    def _settled(self, event: Event) -> Event:
        """An event, with what is read off when the loop is over."""
        if isinstance(event, Used) and event.infinite is None and event.look:
            return replace(event, infinite=event.look.latest.elements.infinite())
        return event

    def _optimizer(self, number: int) -> Optimizer:
        kinds = [type(optimizer).__name__ for optimizer in self.optimizers]
        groups = tuple(
            tuple(self.looks.number(p) for p in group["params"])
            for group in self.optimizers[number].param_groups
        )
        kept, own = _remembers(self.optimizers[number]), self._optimizers[number]
        return Optimizer(_numbered(kinds, number), groups, remembers=kept, **own)

    def _scheduler(self, number: int) -> Scheduler:
        parts = [p for s in self.schedulers for p in getattr(s, "_schedulers", ())]
        mine = any(part is self.schedulers[number] for part in parts)
        return Scheduler(part=mine, **self._schedulers[number])

    def _models(self) -> Iterator[Model]:
        """All of them, in the order of their numbers."""
        for number, model in enumerate(self.models):
            known = map(self.looks.known, parameters_of(model))
            modal = any(
                part in type(module).__name__ for module in model.modules() for part in MODAL
            )
            parameters = tuple(n for n in known if n is not None)
            name = _numbered([type(m).__name__ for m in self.models], number)
            yield Model(name, parameters, number in self._given, modal)

    def _parameters(self) -> Iterator[Parameter]:
        names = self._names()
        kinds = self._kinds()
        for number, tensor in enumerate(self.looks.tensors):
            yield Parameter(
                names.get(number, f"parameter {number}"),
                () if is_lazy(tensor) else tuple(tensor.shape),
                str(tensor.dtype).removeprefix("torch."),
                tensor.requires_grad,
                self.looks.still(number),
                kinds.get(number),
            )

    def _names(self) -> dict[int, str]:
        """By number: what the largest model calls a parameter, or where its optimizer has it."""
        found: dict[int, str] = {}
        for place, optimizer in enumerate(self.optimizers):
            several = f" of {self._optimizer(place).name}" if len(self.optimizers) > 1 else ""
            for n, group in enumerate(optimizer.param_groups):
                for m, tensor in enumerate(group["params"]):
                    found[self.looks.number(tensor)] = f"parameter {m} of group {n}{several}"
        models = [(model, tensors_of(model)) for model in self.models]
        whole = [pair for pair in models if not any(_within(pair[1], m) for _, m in models)]
        for place, (_, tensors) in enumerate(whole):
            name = _numbered([type(model).__name__ for model, _ in whole], place)
            for own, tensor in tensors.items():
                if (known := self.looks.known(tensor)) is not None:
                    found[known] = f"{own} of {name}" if len(whole) > 1 else own
        return found

    def _kinds(self) -> dict[int, tuple[str, str]]:
        """By number: the class of the module that has a parameter, and its name there."""
        return {
            known: (type(module).__name__, name)
            for model in self.models
            for module in model.modules()
            for name, tensor in vars(module)["_parameters"].items()
            if tensor is not None and (known := self.looks.known(tensor)) is not None
        }


def tensors_of(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The parameters of a model by name, without asking it."""
    return {
        f"{place}.{name}" if place else name: tensor
        for place, module in model.named_modules()
        for name, tensor in vars(module)["_parameters"].items()
        if tensor is not None
    }


def parameters_of(model: torch.nn.Module) -> list[torch.Tensor]:
    """The parameters of a model, without asking it."""
    each = (vars(module)["_parameters"].values() for module in model.modules())
    return [tensor for own in each for tensor in own if tensor is not None]


def _same_groups(one: Any, other: Any) -> bool:
    """Whether two optimizers are one, or share the groups themselves."""
    mine = {id(group) for group in other.param_groups}
    return one is other or any(id(group) in mine for group in one.param_groups)


def _remembers(optimizer: Any) -> bool:
    """Whether an optimizer keeps tensors from one step to the next."""
    states = (s.values() for s in optimizer.state.values() if isinstance(s, Mapping))
    return any(torch.is_tensor(v) and v.dim() for state in states for v in state)


def _place(known: list[Any], one: Any) -> int:
    """Where something is in a list, to which it is added if it is not there."""
    for place, other in enumerate(known):
        if other is one:
            return place
    known.append(one)
    return len(known) - 1


def _numbered(names: Sequence[str], place: int) -> str:
    """One of some names, with a number if it was there before."""
    before = names[:place].count(names[place])
    return f"{names[place]} ({before + 1})" if before else names[place]


def _within(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    """Whether another model has all parameters of a model, and more."""
    mine, all_ = ({id(tensor) for tensor in tensors.values()} for tensors in (one, other))
    return mine < all_


def _numbers(group: Mapping[str, Any]) -> Mapping[str, Any]:
    """The settings of a group that are numbers, or tuples of numbers."""
    plain = {n: _plain(v) for n, v in group.items() if n not in SWITCHES}
    return {n: number for n, number in plain.items() if number != ()}


def _fixed(value: Any) -> bool:
    """Whether a setting is what it was if it is the same object."""
    return type(value) in FIXED or (type(value) is tuple and all(map(_fixed, value)))


def _plain(value: Any) -> Any:
    """A setting as a number or a tuple of numbers; nothing if it is neither."""
    if isinstance(value, tuple | list):
        numbers = tuple(map(_plain, value))
        return numbers if all(isinstance(n, float) for n in numbers) else ()
    if isinstance(value, torch.Tensor):
        return float(value) if value.numel() == 1 else ()
    return float(value) if isinstance(value, bool | int | float) else ()


def _values(look: Look | None, parameter: int | None) -> Values:
    found = None if look is None or parameter is None else look.gradient(parameter)
    return found.values if found and all(map(math.isfinite, found.values)) else ()
