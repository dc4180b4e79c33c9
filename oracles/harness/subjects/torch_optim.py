"""``torch.optim`` classes as subjects: build, load gradients, step, read back."""

from __future__ import annotations

import io
import pickle
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import cache, cached_property, partial
from typing import Any

import numpy as np
import torch

from oracles.harness.arithmetic.formats import FloatArray
from oracles.harness.cases.case import (
    MIXED,
    Case,
    Group,
    Parameter,
    plain,
)
from oracles.harness.subjects.classes import (
    accepted,
    functional,
    lacks_functional,
    module_of,
    takes_tensor,
)
from oracles.harness.subjects.paths import FOREACH, LACKS, OptimizerClass, Path
from oracles.harness.subjects.subject import Answer, SubjectError, answering
from oracles.harness.subjects.tensors import (
    LAYOUTS,
    as_float64,
    end_to_end,
    filling,
    gaps,
    paired,
    prepared,
    sparse,
    writable,
    zeros,
)
from oracles.rule import Hyper, Rule

SCALE = 8.0
"""Loss scale on the grad scaler path: a power of two, so unscaling is exact."""

NEVER = 2**31 - 1

FORGOTTEN = 0.375
"""Learning rate of an optimizer that is about to load another one's state."""


@dataclass(frozen=True)
class Subject:
    """One optimizer class on one path, dtype and device.

    The rule says which hyperparameters it is given and which buffers are read back. On several
    devices, their names joined by ``+``, the parameters take turns.
    """

    rule: Rule
    optimizer: OptimizerClass
    path: Path
    dtype: str
    device: str = "cpu"

    def __str__(self) -> str:
        name = getattr(self.optimizer, "__name__", str(self.optimizer))
        return f"{name} [{self.path.name}, {self.dtype}, {self.device}]"

    @property
    def version(self) -> str:
        """The version of torch, as the deviations ledger looks it up."""
        return str(torch.__version__)

    @cached_property
    def of_torch(self) -> bool:
        """Whether it is torch's class or extends it: what torch gets wrong excuses nobody else."""
        return any(
            cls.__name__ == self.rule.name and cls.__init__.__module__.startswith("torch.optim")
            for cls in self.optimizer.__mro__
        )

    @cached_property
    def running(self) -> Path:
        """The path whose code runs: where nobody chooses, torch takes foreach on some devices."""
        if self.path.switches or self.path.wrap not in (None, "functional"):
            return self.path
        places = [torch.empty(0, device=place) for place in self.device.split("+")]
        choose = getattr(module_of(torch.optim.Optimizer), "_default_to_fused_or_foreach", None)
        if choose is None or "foreach" not in accepted(self.optimizer):
            return self.path
        _, foreach = choose(places, differentiable=False, use_fused=False)
        return FOREACH if foreach else self.path

    @cached_property
    def tensors(self) -> frozenset[str]:
        """Scalars this path computes with as 0-d float32 tensors, as the oracle is to be told.

        Where any is a tensor, the learning rate is taken for one, too: that costs one rounding of
        the radius and saves an oracle.
        """
        if self.path.wrap == "compile":  # whatever may change between calls is a tensor there
            return frozenset({"lr", "step"})
        counted = any(self.running.switches.get(switch) for switch in self.rule.tensor_step)
        given = self.path.tensors if scalar_dtype(self.dtype) == "float32" else ()
        if self.dtype == MIXED and "betas" in self.path.tensors:
            given = ("betas",)  # cast to each parameter's dtype before anything is computed
        names = {member for name in given for member in self.rule.tuples.get(name, (name,))}
        if (given or counted) and scalar_dtype(self.dtype) == "float32":
            names |= {"lr"}
        if counted:
            names |= {"step"}
        return frozenset(names)

    @property
    def takes_sparse(self) -> bool:
        """Whether this path steps on sparse gradients of this dtype."""
        where = (self.rule, self.optimizer, self.path, self.dtype, self.device)
        return self.rule.sparse or (
            self.path.sparse and not absent(*where, gradient_layout="sparse")
        )

    @cached_property
    def foreign(self) -> dict[str, Any]:
        """Hyperparameters of the rule that this constructor lacks, with their defaults."""
        defaults = self.rule.hyper()
        known = set(accepted(self.optimizer))
        for name in known & set(self.rule.tuples):
            known |= set(self.rule.tuples[name])
        return {
            name: getattr(defaults, name)
            for name in defaults._fields
            if name not in known and name != "batch_size"
        }

    def takes(self, case: Case) -> bool:
        """Whether the case leaves alone what the constructor (of an older torch) lacks."""
        return not self.foreign or all(
            getattr(h, name) == default
            for group in case.groups
            for h in group.schedule
            for name, default in self.foreign.items()
        )

    @cached_property
    def factory(self) -> OptimizerClass:
        """What builds the optimizer: the class, or its functional entry in a class."""
        if self.path.wrap == "functional":
            return functional(self.optimizer, self.rule)
        return self.optimizer

    def start(self, case: Case) -> Run:
        """Build parameters and optimizer, before the first step."""
        return Run(self, case)

    def ask(self, case: Case) -> Answer:
        """Run a whole case and read parameters and buffers after every step."""
        run = self.start(case)
        for t in range(case.steps):
            run.load(t)
            run.step()
            run.record()
        return run.answer()


class Run:
    """A subject in the middle of a case."""

    def __init__(self, subject: Subject, case: Case) -> None:
        self.subject = subject
        self.case = case
        self._prepared = prepared(case, subject.dtype, subject.device)
        self.parameters = [self._parameter(i, p) for i, p in enumerate(case.parameters)]
        self.optimizer = self._build()
        self.scaler = self._scaler() if subject.path.wrap == "scaler" else None
        compiled = subject.path.wrap == "compile"
        self._compiled = torch.compile(self.optimizer.step) if compiled else None
        self._rows: list[torch.Tensor] = []
        self._present: dict[str, list[list[bool]]] = {name: [] for name in subject.rule.states}

    def members(self, group: Group) -> list[torch.Tensor]:
        """The tensors of a group."""
        return [self.parameters[i] for i, g, _ in self.case.walk() if g is group]

    def load(self, t: int, *, gradients: bool = True) -> None:
        """Put step ``t``'s hyperparameters and gradients in place; bring in groups that join."""
        for group in self.case.groups:
            if group.joins == t > 0:
                with answering():
                    self.optimizer.add_param_group(self._table(group, t))
        joined = [group for group in self.case.groups if group.joins <= t]
        for table, group in zip(self.optimizer.param_groups, joined, strict=True):
            if t > group.joins and group.schedule[t] != group.schedule[t - 1]:
                self._reschedule(table, group.schedule[t])
        if gradients:
            for i, p in enumerate(self.case.parameters):
                self._put(self.parameters[i], self._gradient(i, p, t))

    def _put(self, p: torch.Tensor, gradient: torch.Tensor | None) -> None:
        """Overwrite the last gradient where there is one, as a backward pass does.

        A buffer that aliases ``.grad`` shows then. Gradients that cannot be written in place
        (expanded, sparse, inside a graph) are replaced.
        """
        old = p.grad
        if old is None or gradient is None or self.subject.path.graph or not writable(old):
            p.grad = gradient
        else:
            with torch.no_grad():
                old.copy_(gradient)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of the optimizer, through the grad scaler on its path.

        A scaler refuses to step when there is no gradient at all, and takes no closure.
        """
        with answering(), lifted(self.subject):
            if self.scaler is not None and any(p.grad is not None for p in self.parameters):
                loss = self.scaler.step(self.optimizer)
                self.scaler.update()
                return loss
            step: Callable[..., Any] = self._compiled or self.optimizer.step
            return step(closure) if closure is not None else step()

    def record(self) -> None:
        """Remember parameters and buffers as they are now."""
        tensors = list(self.parameters)
        for name in self.subject.rule.states:
            buffers = [self.optimizer.state.get(p, {}).get(name) for p in self.parameters]
            self._present[name].append([b is not None for b in buffers])
            absent = zeros(self.case, self.subject.dtype, self.subject.device)
            tensors += [
                nothing if buffer is None else filling(buffer, p)
                for nothing, buffer, p in zip(absent, buffers, self.parameters, strict=True)
            ]
        self._rows.append(end_to_end(tensors))

    def answer(self) -> Answer:
        """What was recorded."""
        sizes = [p.initial.size for p in self.case.parameters]
        names = self.subject.rule.states
        rows = as_float64(self._rows).reshape(len(self._rows), 1 + len(names), sum(sizes))
        return Answer(
            rows[:, 0],
            {name: rows[:, 1 + i] for i, name in enumerate(names)},
            {
                name: np.repeat(np.array(self._present[name], dtype=bool), sizes, axis=1)
                for name in names
            },
        )

    def saved(self) -> dict[str, Any]:
        """``state_dict`` through a file."""
        file = io.BytesIO()
        torch.save(self.optimizer.state_dict(), file)
        file.seek(0)
        return dict(torch.load(file))

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
            copy = deepcopy if how == "deepcopy" else _pickled
            with answering():
                self.parameters, self.optimizer = copy((self.parameters, self.optimizer))

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
        hyper = [
            {k: _plain(v) for k, v in table.items() if k != "params"}
            for table in self.optimizer.param_groups
        ]
        random = [torch.get_rng_state()]
        if "cuda" in self.subject.device:
            random.append(torch.cuda.get_rng_state())
        return {
            "memory between the elements of a strided parameter": between,
            "the hyperparameters": hyper,
            "grad mode": torch.is_grad_enabled(),
            "the random state": [state.numpy().tobytes() for state in random],
            "which tensors require grad": [p.requires_grad for p in self.parameters],
            "where the parameters live": [p.data_ptr() for p in self.parameters],
            "the identity of the parameters": [
                id(p) for table in self.optimizer.param_groups for p in table["params"]
            ],
            "the identity of the gradients": [id(p.grad) for p in self.parameters],
        }

    def strays(self) -> list[str]:
        """State that is not the rule's: unknown names, or keyed by something not a parameter."""
        own = {id(p) for p in self.parameters}
        keys = [f"state of {type(k).__name__}" for k in self.optimizer.state if id(k) not in own]
        names = {name for state in self.optimizer.state.values() for name in state}
        return keys + sorted(names - set(self.subject.rule.states))

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
        with answering():
            built: torch.optim.Optimizer = self.subject.factory(
                tables, **defaults, **self.subject.path.switches
            )
        return built

    def _table(self, group: Group, t: int) -> dict[str, Any]:
        return {"params": self.members(group), **self._hyper(group.schedule[t])}

    def _hyper(self, h: Hyper) -> dict[str, Any]:
        # An older torch lacks some; the batch size is the oracle's alone, unless a class asks.
        known = accepted(self.subject.optimizer)
        arguments = self.subject.rule.arguments(h)
        values = {name: value for name, value in arguments.items() if name in known}
        for name in self.subject.path.tensors:
            values[name] = self._scalar(values[name])
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
                _fill(table[name], value)
            elif name in table:
                table[name] = value

    def _scaler(self) -> Any:
        device = self.subject.device
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
            self.subject.path.wrap == "complex"
            and p.layout == p.gradient_layout == "contiguous"
            and p.initial.ndim > 0
            and p.initial.shape[-1] % 2 == 0
        )

    def _gradient(self, number: int, p: Parameter, t: int) -> torch.Tensor | None:
        drawn = self._prepared[number][1 + t]
        if drawn is None:
            return None
        values: torch.Tensor = drawn.clone()
        if self.scaler is not None:
            values *= self.scaler.get_scale()
        if self._is_complex(p):
            return paired(values)
        if p.gradient_layout == "sparse":
            return sparse(values, halved=not self.subject.rule.linear)
        return LAYOUTS[p.gradient_layout](values)


def _pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


def scalar_dtype(axis: str) -> str:
    """Of hyperparameters given as tensors: torch's default, unless a parameter would notice."""
    return "float64" if axis in ("float64", MIXED) else "float32"


def _fill(held: Any, value: Any) -> None:
    """Write a hyperparameter into the tensor, or the tensors, that hold it."""
    if isinstance(held, tuple):
        for one, part in zip(held, value, strict=True):
            one.fill_(part)
    else:
        held.fill_(value)


def _plain(value: Any) -> Any:
    """A hyperparameter as a value that can be compared."""
    if isinstance(value, tuple):
        return tuple(_plain(part) for part in value)
    return value.tolist() if torch.is_tensor(value) else value


@contextmanager
def lifted(subject: Subject) -> Iterator[None]:
    """Let a capturable optimizer step where torch guards it against devices without graphs.

    The guard is about capture; the arithmetic behind it runs anywhere, and so does what it is held
    to here.
    """
    name = "_get_capturable_supported_devices"
    modules = {module_of(cls) for cls in subject.optimizer.__mro__[:-1]}
    guards = {module: getattr(module, name) for module in modules if hasattr(module, name)}
    if not subject.path.switches.get("capturable"):
        guards = {}
    for module, guard in guards.items():
        setattr(module, name, partial(_with_cpu, guard))
    try:
        yield
    finally:
        for module, guard in guards.items():
            setattr(module, name, guard)


def _with_cpu(guard: Callable[..., list[str]], *args: Any, **options: Any) -> list[str]:
    return [*guard(*args, **options), "cpu"]


@cache
def absent(
    rule: Rule,
    optimizer: OptimizerClass,
    path: Path,
    dtype: str,
    device: str,
    gradient_layout: str | None = None,
) -> str:
    """Why this optimizer has no such path here; empty if it has it.

    Asks the constructor's signature first and then tries the steps of :func:`plain`. Only an
    error that :data:`LACKS` knows makes the path absent; one that raises anything else is there,
    and broken, which the checks will say.
    """
    if path.wrap == "functional" and (lack := lacks_functional(optimizer)):
        return lack
    if path.wrap == "scaler" and "+" in device:
        return "a grad scaler is for one kind of device"
    for name in (*path.switches, *path.tensors):
        if name not in accepted(optimizer):
            return f"{optimizer.__name__} takes no {name}="
    for name in path.tensors:
        if not takes_tensor(optimizer, name):
            return f"{optimizer.__name__} takes no tensor for {name}="
    try:
        Subject(rule, optimizer, path, dtype, device).ask(plain(rule, gradient_layout))
    except SubjectError as error:
        if any(re.search(lack, str(error)) for lack in LACKS):
            return str(error)
    return ""


def devices() -> list[str]:
    """The devices torch says are there, and those that parameters can be spread over."""
    found = ["cpu"]
    if torch.cuda.is_available():
        found += ["cuda", "cpu+cuda"]
    if torch.cuda.device_count() > 1:
        found.append("cuda:0+cuda:1")
    if torch.backends.mps.is_available():
        found.append("mps")
    return found


def quiet() -> None:
    """One thread, and no warnings about what is meant so.

    The same filters, with their reasons, are in ``pyproject.toml``: pytest has its own.
    """
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", message="The .grad attribute of a Tensor that is not a leaf")
    warnings.filterwarnings("ignore", message="You are using `torch.load`")
    warnings.filterwarnings("ignore", message="ComplexHalf support is experimental")
    warnings.filterwarnings("ignore", message="Sparse invariant checks are implicitly disabled")
