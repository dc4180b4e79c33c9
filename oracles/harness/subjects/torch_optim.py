"""Who is asked: ``torch.optim``'s classes, and others of their kind, on one path and device."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import torch

from oracles.harness.cases.case import MIXED, Case, plain
from oracles.harness.subjects.classes import (
    accepted,
    functional,
    lacks_functional,
    module_of,
    takes_tensor,
)
from oracles.harness.subjects.paths import FOREACH, OptimizerClass, Path, Wrap
from oracles.harness.subjects.presence import SPARSE, expected_arguments, expects
from oracles.harness.subjects.run import Run, scalar_dtype
from oracles.harness.subjects.subject import Answer, Place, World, lack
from oracles.harness.subjects.worlds import WORLDS, on_threads
from oracles.rule import Rule


@dataclass(frozen=True)
class TorchSubject:
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
        return str(self.place)

    @cached_property
    def place(self) -> Place:
        name = getattr(self.optimizer, "__name__", str(self.optimizer))
        return Place(name, self.path.name, self.dtype, self.device)

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
    def effective_path(self) -> Path:
        """The path whose code runs: where nobody chooses, torch takes foreach on some devices."""
        if self.path.switches or self.path.wrap not in (None, Wrap.FUNCTIONAL):
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
        if self.path.wrap is Wrap.COMPILE:  # whatever may change between calls is a tensor there
            return frozenset({"lr", "step"})
        counted = any(
            self.effective_path.switches.get(switch) for switch in self.rule.binding.tensor_step
        )
        given = self.path.tensors if scalar_dtype(self.dtype) == "float32" else ()
        if self.dtype == MIXED and "betas" in self.path.tensors:
            given = ("betas",)  # cast to each parameter's dtype before anything is computed
        names = self._members(given)
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
    def unsupported(self) -> dict[str, Any]:
        """Hyperparameters of the rule that this constructor lacks, with their defaults."""
        defaults = self.rule.hyper()
        known = self._members(accepted(self.optimizer))
        if self.optimizer is getattr(torch.optim, self.rule.name, None):
            known |= self._members(expected_arguments(self.rule.name, self.version))
        return {
            name: getattr(defaults, name)
            for name in defaults._fields
            if name not in known and name != "batch_size"
        }

    def _members(self, names: Iterable[str]) -> set[str]:
        """The hyperparameters behind arguments, some of which hold several."""
        return {one for name in names for one in self.rule.binding.tuples.get(name, (name,))}

    def takes(self, case: Case) -> bool:
        """Whether the case leaves alone what the constructor (of an older torch) lacks."""
        return not self.unsupported or all(
            getattr(h, name) == default
            for group in case.groups
            for h in group.schedule
            for name, default in self.unsupported.items()
        )

    @cached_property
    def factory(self) -> OptimizerClass:
        """What builds the optimizer: the class, or its functional entry in a class."""
        if self.path.wrap is Wrap.FUNCTIONAL:
            return functional(self.optimizer, self.rule)
        return self.optimizer

    def has(self, world: World) -> bool:
        """Whether this torch has such a global state."""
        return world in WORLDS

    def inherits(self, method: str) -> bool:
        """Whether that method is ``torch.optim.Optimizer``'s own: its faults are torch's."""
        base = getattr(torch.optim.Optimizer, method)
        return getattr(self.optimizer, method, None) is base

    def start(self, case: Case, world: World = World.PLAIN) -> Run:
        """Build parameters and optimizer, before the first step."""
        return Run(self, case, WORLDS[world])

    def ask(self, case: Case) -> Answer:
        """Run a whole case and read parameters and buffers after every step."""
        run = self.start(case)
        for t in range(case.steps):
            run.load(t)
            run.step()
            run.record()
        return run.answer()

    def ask_on_threads(self, case: Case, threads: int) -> Answer:
        """Run a whole case where so many threads share the work.

        oneMKL chooses a kernel at a process's first root, and threads that take it at once may get
        a coarse one, once (https://github.com/pytorch/pytorch/issues/188792): one thread takes it.
        """
        for dtype in (torch.float32, torch.float64):
            torch.ones(1, dtype=dtype).sqrt()
        with on_threads(threads):
            return self.ask(case)


@cache
def absent(
    rule: Rule,
    optimizer: OptimizerClass,
    path: Path,
    dtype: str,
    device: str,
    gradient_layout: str | None = None,
) -> str:
    """Why this optimizer has no such path here; empty if it has it, or is expected to have it.

    What torch's own class must have is asked whatever it says: its refusal is then a failure.
    """
    own = optimizer is getattr(torch.optim, rule.name, None) and device == "cpu"
    name = f"{path.name}, {SPARSE}" if gradient_layout == "sparse" else path.name
    if own and expects(rule.name, name, dtype, torch.__version__):
        return ""
    return refusal(rule, optimizer, path, dtype, device, gradient_layout)


def refusal(
    rule: Rule,
    optimizer: OptimizerClass,
    path: Path,
    dtype: str,
    device: str,
    gradient_layout: str | None = None,
) -> str:
    """In which words it refuses the path; empty if it does not.

    Asks the constructor's signature first and then tries the steps of :func:`plain`.
    """
    if path.wrap is Wrap.FUNCTIONAL and (why := lacks_functional(optimizer)):
        return why
    if path.wrap is Wrap.SCALER and "+" in device:
        return "a grad scaler is for one kind of device"
    for name in (*path.switches, *path.tensors):
        if name not in accepted(optimizer):
            return f"{optimizer.__name__} takes no {name}="
    for name in path.tensors:
        if not takes_tensor(optimizer, name):
            return f"{optimizer.__name__} takes no tensor for {name}="
    subject = TorchSubject(rule, optimizer, path, dtype, device)
    return lack(lambda: subject.ask(plain(rule, gradient_layout)))


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


def single_devices() -> list[str]:
    """All devices, each by itself."""
    return [device for device in devices() if "+" not in device]


def cpu_and_cuda() -> list[str]:
    """Those of the two that are there."""
    return [device for device in devices() if device in ("cpu", "cuda")]


def quiet() -> None:
    """One thread, and no warnings about what is meant so.

    The same filters, with their reasons, are in ``pyproject.toml``: pytest has its own.
    """
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", message="The .grad attribute of a Tensor that is not a leaf")
    warnings.filterwarnings("ignore", message="You are using `torch.load`")
    warnings.filterwarnings("ignore", message="ComplexHalf support is experimental")
    warnings.filterwarnings("ignore", message="Sparse invariant checks are implicitly disabled")
    warnings.filterwarnings("ignore", message="Generating overly large repr")
