"""How a subject is asked: build, load gradients, step, read back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch

from oracles.drawing import Hyper
from oracles.harness.arithmetic.formats import FloatArray
from oracles.harness.cases.case import MIXED, Case, Group, Parameter
from oracles.harness.subjects.classes import accepted, capturable_anywhere
from oracles.harness.subjects.paths import OptimizerClass, Wrap
from oracles.harness.subjects.subject import Answer, SteppedSubject, answering
from oracles.harness.subjects.tensors import (
    LAYOUTS,
    as_float64,
    end_to_end,
    filling,
    gaps,
    paired,
    pickled,
    prepared,
    sparse,
    through_a_file,
    writable,
    write,
    zeros,
)
from oracles.harness.subjects.worlds import Entered


class Built(SteppedSubject, Protocol):
    """A stepped subject whose optimizer is built from a class.

    Attributes:
        optimizer: the class that is asked.
        factory: what builds it: the class, or its functional entry in a class.
    """

    @property
    def optimizer(self) -> OptimizerClass: ...
    @property
    def factory(self) -> OptimizerClass: ...


SCALE = 8.0
"""Loss scale on the grad scaler path: a power of two, so unscaling is exact."""


NEVER = 2**31 - 1


FORGOTTEN = 0.375
"""Learning rate of an optimizer that is about to load another one's state."""


@dataclass(frozen=True)
class Handed:
    """A group as it was handed over, and what it was then."""

    table: dict[str, Any]
    given: dict[str, Any]
    members: tuple[torch.Tensor, ...]

    @property
    def changes(self) -> list[str]:
        """Entries that came, went or changed since."""
        now = {name: _plain(value) for name, value in self.table.items() if name != "params"}
        same = len(self.table["params"]) == len(self.members) and all(
            one is other for one, other in zip(self.table["params"], self.members, strict=True)
        )
        names = sorted(name for name in now | self.given if now.get(name) != self.given.get(name))
        return names if same else [*names, "params"]


class Run:
    """A subject in the middle of a case.

    Calls into the optimizer are made in a world; all else is done outside of it.
    """

    def __init__(self, subject: Built, case: Case, world: Entered = nullcontext) -> None:
        self.subject = subject
        self.case = case
        self._world = world
        self._grad_mode = torch.is_grad_enabled()
        self._handed: list[Handed] = []
        self._loaded: dict[str, Any] = {}
        captured = subject.path.switches.get("capturable")
        self._capturable = (
            partial(capturable_anywhere, subject.optimizer) if captured else nullcontext
        )
        self._prepared = prepared(case, subject.dtype, subject.place.device)
        self.parameters = [self._parameter(i, p) for i, p in enumerate(case.parameters)]
        self.optimizer = self._build()
        self.scaler = self._scaler() if subject.path.wrap is Wrap.SCALER else None
        compiled = subject.path.wrap is Wrap.COMPILE
        self._compiled = torch.compile(self.optimizer.step) if compiled else None
        self._rows: list[torch.Tensor] = []
        self._absent = zeros(case, subject.dtype, subject.place.device)
        self._present: dict[str, list[list[bool]]] = {name: [] for name in subject.rule.states}

    def members(self, group: Group) -> list[torch.Tensor]:
        """The tensors of a group."""
        return [self.parameters[i] for i, g, _ in self.case.walk() if g is group]

    def load(self, t: int, *, gradients: bool = True) -> None:
        """Put step ``t``'s hyperparameters and gradients in place; bring in groups that join."""
        for group in self.case.groups:
            if group.joins == t > 0:
                table = self._hand(self._table(group, t))
                with self._calling():
                    self.optimizer.add_param_group(table)
        joined = [group for group in self.case.groups if group.joins <= t]
        for table, group in zip(self.optimizer.param_groups, joined, strict=True):
            if t > group.joins and group.schedule[t] != group.schedule[t - 1]:
                self._reschedule(table, group.schedule[t])
        if gradients:
            for number, p in enumerate(self.parameters):
                self._put(number, p, self._prepared[number][1 + t])

    def _put(self, number: int, p: torch.Tensor, drawn: torch.Tensor | None) -> None:
        """Overwrite the last gradient where there is one, as a backward pass does.

        A buffer that aliases ``.grad`` shows then. Gradients that cannot be written in place
        (expanded, sparse, inside a graph) are replaced.
        """
        old = p.grad
        if drawn is None:
            p.grad = None
        elif old is None or self.subject.path.graph or not writable(old):
            p.grad = self._gradient(number, drawn)
        else:
            with torch.no_grad():
                old.copy_(self._in_numbers_of(p, drawn))

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of the optimizer, through the grad scaler on its path.

        A scaler refuses to step when there is no gradient at all, and takes no closure.
        """
        with self._calling(), self._capturable():
            if self.scaler is not None and any(p.grad is not None for p in self.parameters):
                loss = self.scaler.step(self.optimizer)
                self.scaler.update()
                return loss
            step: Callable[..., Any] = self._compiled or self.optimizer.step
            return step(closure) if closure is not None else step()

    def record(self) -> None:
        """Remember parameters and buffers as they are now."""
        tensors = list(self.parameters)
        states = [self.optimizer.state.get(p, {}) for p in self.parameters]
        for name, present in self._present.items():
            buffers = [state.get(name) for state in states]
            present.append([b is not None for b in buffers])
            tensors += [
                nothing if buffer is None else filling(buffer, p)
                for nothing, buffer, p in zip(self._absent, buffers, self.parameters, strict=True)
            ]
        self._rows.append(end_to_end(tensors))

    def answer(self) -> Answer:
        """What was recorded."""
        sizes = [p.initial.size for p in self.case.parameters]
        names = self.subject.rule.states
        rows = as_float64(self._rows).reshape(len(self._rows), 1 + len(names), sum(sizes))
        present = np.array([*self._present.values()], dtype=bool)
        each = np.repeat(present.reshape(len(names), len(self._rows), len(sizes)), sizes, axis=2)
        return Answer(
            rows[:, 0],
            {name: rows[:, 1 + i] for i, name in enumerate(names)},
            dict(zip(names, each, strict=True)),
        )

    def saved(self) -> dict[str, Any]:
        """``state_dict`` through a file."""
        return dict(through_a_file(self.optimizer.state_dict()))

    def restart(self, how: str) -> None:
        """Continue with a copy of the optimizer: ``state_dict``, ``deepcopy`` or ``pickle``."""
        if how == "state_dict":
            with answering():
                saved = self.saved()
            self.optimizer = self._build(len(self.optimizer.param_groups))
            for table in self.optimizer.param_groups:
                table["lr"] = FORGOTTEN
            with answering():
                self.optimizer.load_state_dict(saved)
        else:
            copy = deepcopy if how == "deepcopy" else pickled
            with answering():
                self.parameters, self.optimizer = copy((self.parameters, self.optimizer))

    def set_counters(self, seen: int) -> None:
        """Let every parameter have seen so many gradients."""
        for state in self.optimizer.state.values():
            if torch.is_tensor(state["step"]):
                state["step"] = torch.full_like(state["step"], seen)
            else:
                state["step"] = seen

    def gradients(self) -> list[FloatArray | None]:
        """What ``.grad`` holds now."""
        return [
            None if p.grad is None else as_float64([end_to_end([p.grad])])[0]
            for p in self.parameters
        ]

    def surroundings(self) -> dict[str, Any]:
        """Everything a step must leave alone, as values that can be compared."""
        between = [
            gaps(p)
            for p, drawn in zip(self.parameters, self.case.parameters, strict=True)
            if drawn.layout == "strided" and p.ndim
        ]
        random = [torch.get_rng_state()]
        if "cuda" in self.subject.place.device:
            random.append(torch.cuda.get_rng_state())
        return {
            "memory between the elements of a strided parameter": between,
            "the hyperparameters": self._hyperparameters(),
            "the defaults": {k: _plain(v) for k, v in self.optimizer.defaults.items()},
            "grad mode": self._grad_mode,
            "torch's default dtype": torch.get_default_dtype(),
            "the random state": [state.numpy().tobytes() for state in random],
            "which tensors require grad": [p.requires_grad for p in self.parameters],
            "where the parameters live": [p.data_ptr() for p in self.parameters],
            "the identity of the parameters": [
                id(p) for table in self.optimizer.param_groups for p in table["params"]
            ],
            "the identity of the gradients": [id(p.grad) for p in self.parameters],
        }

    def strays(self) -> list[str]:
        """State that is not the rule's: unknown names, empty entries, keys that are no parameter.

        ``optimizer.state`` is a ``defaultdict``: merely looking a parameter up leaves an entry,
        which then is in every ``state_dict``.
        """
        own = {id(p): number for number, p in enumerate(self.parameters)}
        known = {own[id(k)]: v for k, v in self.optimizer.state.items() if id(k) in own}
        keys = [f"state of {type(k).__name__}" for k in self.optimizer.state if id(k) not in own]
        names = {name for entry in self.optimizer.state.values() for name in entry}
        empty = [
            f"an empty entry for parameter {number}"
            for number, entry in known.items()
            if all(value is None for value in entry.values())
        ]
        return keys + sorted(names - set(self.subject.rule.states)) + empty

    def kinds(self) -> list[dict[str, str]]:
        """Of what is kept for each parameter, by name: the dtype, and the kind of device."""
        return [
            {name: _kind(value) for name, value in self.optimizer.state.get(p, {}).items()}
            for p in self.parameters
        ]

    def altered(self) -> list[str]:
        """Which entries of the groups handed over are no longer what they were."""
        return sorted({name for handed in self._handed for name in handed.changes})

    def spoil(self) -> None:
        """Reuse the groups handed over for something else, as whoever made them may."""
        for handed in self._handed:
            write(handed.table, "lr", FORGOTTEN)
            handed.table["params"].clear()
        self._handed.clear()

    def reload(self) -> list[str]:
        """Let another optimizer load this one's ``state_dict``, with no file in between.

        Returns:
            What of the ``state_dict`` changed when it was loaded, and which hyperparameters of the
            new optimizer change when it is edited afterwards.
        """
        with self._calling():
            given = self._loaded = self.optimizer.state_dict()
        before = _frozen(given)
        self.optimizer = self._build(len(self.optimizer.param_groups))
        with self._calling():
            self.optimizer.load_state_dict(given)
        changed = [part for part, was in before.items() if _frozen(given.get(part)) != was]
        loaded = self._hyperparameters()
        for table in given["param_groups"]:
            write(table, "lr", FORGOTTEN)
        return changed + ["hyperparameters"] * (self._hyperparameters() != loaded)

    def shared(self) -> list[str]:
        """The kept tensors that change when those of the ``state_dict`` it loaded do."""
        before = self._kept()
        with torch.no_grad():
            for value in (v for entry in self._loaded["state"].values() for v in entry.values()):
                if torch.is_tensor(value):
                    value.copy_((value == 1) + 1)  # whatever it was, it is another number
        return [name for name, was in self._kept().items() if was != before[name]]

    def _kept(self) -> dict[str, Any]:
        """What the optimizer keeps for all parameters, by name."""
        entries = [self.optimizer.state.get(p, {}) for p in self.parameters]
        names = sorted({name for entry in entries for name in entry})
        return {name: _frozen([entry.get(name) for entry in entries]) for name in names}

    def _hyperparameters(self) -> list[dict[str, Any]]:
        """Each group's, as values that can be compared."""
        return [
            {k: _plain(v) for k, v in table.items() if k != "params"}
            for table in self.optimizer.param_groups
        ]

    def zero_grad(self, *, set_to_none: bool) -> None:
        """``optimizer.zero_grad``."""
        with answering():
            self.optimizer.zero_grad(set_to_none=set_to_none)

    def closure_step(self) -> tuple[list[bool], bool]:
        """A step with a closure: grad mode at each call, and whether its value came back."""
        calls: list[bool] = []
        loss = torch.tensor(2.5)

        def closure() -> torch.Tensor:
            calls.append(torch.is_grad_enabled())
            return loss

        with torch.no_grad():
            returned = self.step(closure)
        return calls, returned is loss

    def _build(self, groups: int | None = None) -> torch.optim.Optimizer:
        joined = [g for g in self.case.groups if g.joins == 0]
        tables = [self._table(g, 0) for g in (self.case.groups[:groups] if groups else joined)]
        defaults = {k: v for k, v in tables[0].items() if k != "params"}
        handed = [self._hand(table) for table in tables]
        with self._calling():
            built: torch.optim.Optimizer = self.subject.factory(
                handed, **defaults, **self.subject.path.switches
            )
        return built

    @contextmanager
    def _calling(self) -> Iterator[None]:
        """Around every call into the optimizer: in the world, and what it raises is an answer.

        A grad mode that it leaves behind is noted, and does not spoil what comes next.
        """
        before = torch.is_grad_enabled()
        try:
            with self._world(), answering():
                yield
        finally:
            self._grad_mode = torch.is_grad_enabled()
            if self._grad_mode is not before:
                torch.set_grad_enabled(before)

    def _hand(self, table: dict[str, Any]) -> dict[str, Any]:
        """Remember a group that is handed over."""
        given = {name: _plain(value) for name, value in table.items() if name != "params"}
        self._handed.append(Handed(table, given, tuple(table["params"])))
        return table

    def _table(self, group: Group, t: int) -> dict[str, Any]:
        return {"params": self.members(group), **self._hyper(group.schedule[t])}

    def _hyper(self, h: Hyper) -> dict[str, Any]:
        # An older torch lacks some; the batch size is the oracle's alone, unless a class asks.
        known = accepted(self.subject.optimizer)
        arguments = self.subject.rule.arguments(h)
        values = {name: value for name, value in arguments.items() if name in known}
        for name in self.subject.path.tensors:
            values[name] = self._scalar(arguments[name])
        return values

    def _scalar(self, value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(self._scalar(member) for member in value)
        dtype = getattr(torch, scalar_dtype(self.subject.dtype))
        return torch.tensor(value, dtype=dtype, requires_grad=self.subject.path.graph)

    def _reschedule(self, table: dict[str, Any], h: Hyper) -> None:
        """As torch's schedulers do it: tensors are filled in place, numbers replaced."""
        graph, tensors = self.subject.path.graph, self.subject.path.tensors
        for name, value in self.subject.rule.arguments(h).items():
            if name in tensors and graph:
                table[name] = self._scalar(value)
            elif name in tensors:
                with answering():  # it may keep another tensor there, or none
                    _fill(table[name], value)
            elif name in table:
                table[name] = value

    def _scaler(self) -> Any:
        device = self.subject.place.device
        with answering():
            scaler = torch.amp.GradScaler(device, init_scale=SCALE, growth_interval=NEVER)
            scaler.scale(torch.zeros((), device=device))  # creates the scale lazily
        return scaler

    def _parameter(self, number: int, p: Parameter) -> torch.Tensor:
        values = LAYOUTS[p.layout](self._prepared[number][0].clone())
        if self._is_complex(p):
            values = paired(values)
        # A leaf that requires grad cannot be changed in place while grad mode is on, which is what
        # a differentiable step does.
        return values.requires_grad_(not self.subject.path.switches.get("differentiable"))

    def _is_complex(self, p: Parameter) -> bool:
        """Whether a parameter's numbers are handed over in pairs, as complex ones."""
        return (
            self.subject.path.wrap is Wrap.COMPLEX
            and p.layout == p.gradient_layout == "contiguous"
            and p.initial.ndim > 0
            and p.initial.shape[-1] % 2 == 0
        )

    def _gradient(self, number: int, drawn: torch.Tensor) -> torch.Tensor:
        """A gradient of its own, laid out as the case says."""
        values = self._in_numbers_of(self.parameters[number], drawn.clone())
        layout = self.case.parameters[number].gradient_layout
        if layout == "sparse":
            return sparse(values, halved=not self.subject.rule.linear)
        return LAYOUTS[layout](values)

    def _in_numbers_of(self, p: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
        """A gradient as its parameter gets it: scaled on the scaler's path, complex if that is."""
        values = drawn if self.scaler is None else drawn * self.scaler.get_scale()
        return paired(values) if p.is_complex() else values


def scalar_dtype(precision: str) -> str:
    """Of hyperparameters given as tensors: torch's default, unless a parameter would notice."""
    return "float64" if precision in ("float64", MIXED) else "float32"


def _fill(held: Any, value: Any) -> None:
    """Write a hyperparameter into the tensor, or the tensors, that hold it."""
    if isinstance(held, tuple):
        for one, part in zip(held, value, strict=True):
            one.fill_(part)
    else:
        held.fill_(value)


def _kind(value: Any) -> str:
    """How a value is kept.

    >>> _kind(torch.tensor(1.0)), _kind(1)
    ('float32 on cpu', 'int')
    """
    if not torch.is_tensor(value):
        return type(value).__name__
    return f"{str(value.dtype).removeprefix('torch.')} on {value.device.type}"


def _frozen(value: Any) -> Any:
    """Nested data with the bits of its tensors in place of them, to be compared with later ones."""
    if torch.is_tensor(value):
        return _kind(value), as_float64([end_to_end([value])]).tobytes()
    if isinstance(value, dict):
        return {name: _frozen(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_frozen(member) for member in value]
    return value


def _plain(value: Any) -> Any:
    """A hyperparameter as a value that can be compared."""
    if isinstance(value, tuple):
        return tuple(_plain(part) for part in value)
    return value.tolist() if torch.is_tensor(value) else value
