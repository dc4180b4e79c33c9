"""Somebody's optimizer on a few small parameters: what its promises are asked on."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

import numpy as np
import torch

from oracles.harness.candidates import Candidate
from oracles.harness.promise import NotAsked
from oracles.harness.subjects.aliases import matched
from oracles.harness.subjects.foreign import ForeignOptimizer, arguments_of, key_of, write_rate
from oracles.harness.subjects.handing import TENSORS
from oracles.harness.subjects.laid_out import Way
from oracles.harness.subjects.subject import SubjectError, answering, first_taken
from oracles.harness.subjects.tensors import dense, rows

Bits = dict[int, torch.Tensor]
"""Parameters by their numbers."""

STEPS = 8
"""RAdam's first steps may be none, until its sixth."""

HALF = STEPS // 2

OTHER_BITS = "steps to other bits"

SHAPES = (((3,), (2, 3)), ((2, 3), (3, 2)))
"""Of the two parameters; some rules take matrices only. Who chooses by names has more of them."""

REQUIRED: Mapping[str, float] = {"lr": 0.01}
"""What is given where there is no default."""

EXTRAS: Sequence[Mapping[str, float]] = (
    {"momentum": 0.9, "weight_decay": 0.01},
    {"momentum": 0.9},
    {},
)
"""What is given, by torch's names, so that a step has something to remember."""


@dataclass(frozen=True)
class Arrangement:
    """How a piece of code can be stepped at all.

    Attributes:
        shapes: of the parameters.
        options: for its constructor.
        closure: whether its step needs one.
    """

    shapes: tuple[tuple[int, ...], ...]
    options: Mapping[str, Any]
    closure: bool = False


def arranged(box: ForeignOptimizer) -> Arrangement:
    """The first arrangement in which it takes a step.

    Raises:
        SubjectError: there is none; the error of the first.
    """
    ways = (
        Arrangement(shapes, _options(box, extras), closure)
        for closure, shapes, extras in itertools.product(
            (False, True), filter(None, (*SHAPES, box.shapes)), EXTRAS
        )
    )
    return first_taken(ways, lambda way: Trial(box, way).start().step(0))


def warm() -> None:
    """Build an optimizer: the first one of a process imports much of torch."""
    torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)


def _options(box: ForeignOptimizer, extras: Mapping[str, Any]) -> dict[str, Any]:
    own = matched(box.accepts, [*REQUIRED, *extras]) | {
        name: box.names[name] for name in (*REQUIRED, *extras) if name in box.names
    }
    given = {own[name]: value for name, value in extras.items() if name in own}
    lr = own.get("lr")
    if lr is not None and not (isinstance(box.make, type) and _defaulted(box.make, lr)):
        given[lr] = REQUIRED["lr"]
    return {name: value for name, value in given.items() if name not in box.fixed}


def _defaulted(cls: type, name: str) -> bool:
    """Whether a constructor has a number for that by default."""
    return isinstance(arguments_of(cls).get(name), (int, float))


@dataclass(frozen=True)
class Trial:
    """A piece of code that can be stepped, again and again from the start.

    Attributes:
        box: the code.
        arrangement: how it is stepped.
        candidate: the rule it follows, if that is known.
        follows: whether it does so in these ways to be handed tensors.
        seed: of the numbers that it is given.
    """

    box: ForeignOptimizer
    arrangement: Arrangement
    candidate: Candidate | None = None
    follows: Callable[[Sequence[Way]], bool] | None = None
    seed: int = 0

    def made(self, parameters: Any, **options: Any) -> Any:
        """An optimizer of these parameters.

        Raises:
            SubjectError: there is none.
        """
        given = {**self.arrangement.options, **options, **self.box.fixed}
        with answering():
            return self.box.built(parameters, given)

    @property
    def chooses(self) -> bool:
        """Whether it may leave parameters out, as a function that makes an optimizer may."""
        return not isinstance(self.box.make, type)

    def without_names(self) -> None:
        """For what is asked of groups, which whoever looks at names makes.

        Raises:
            NotAsked: this one does.
        """
        if self.box.form != TENSORS:
            raise NotAsked(f"it takes {self.box.form}, and makes its own groups")

    def start(self, numbers: Sequence[int] | None = None, /, **options: Any) -> TrialRun:
        """Parameters of these numbers, or all, and their optimizer, before the first step.

        Raises:
            NotAsked: it chooses among its parameters, and takes no such part of them.
        """
        params = self.parameters() if numbers is None else {n: self.parameter(n) for n in numbers}
        try:
            return TrialRun(self, params, self.made([*params.values()], **options))
        except SubjectError:
            if not self.chooses or len(params) == len(self.arrangement.shapes):
                raise
            raise NotAsked("it chooses among its parameters, and takes no such part") from None

    def run(self, numbers: Sequence[int] | None = None, /, **options: Any) -> Bits:
        """The same after all steps."""
        return self.start(numbers, **options).steps().bits()

    def parameters(self) -> Bits:
        """All of them."""
        return {n: self.parameter(n) for n in range(len(self.arrangement.shapes))}

    def parameter(self, number: int) -> torch.Tensor:
        """The same at each call, and each time a new one; beyond the second as the first ones."""
        kind = number % len(self.arrangement.shapes)
        return torch.nn.Parameter(values(kind, -1, self.arrangement.shapes[kind], self.seed))

    def gradient(self, number: int, t: int) -> torch.Tensor:
        """The same at each call, and each time a new one."""
        kind = number % len(self.arrangement.shapes)
        given = values(kind, t, self.arrangement.shapes[kind], self.seed)
        return rows(given) if self.box.sparse_only else given

    def _own(self, name: str) -> str | None:
        return self.box.names.get(name) or matched(self.box.accepts, [name]).get(name)

    @property
    def undecayed(self) -> dict[str, float]:
        """What turns its decay off, if it is on."""
        own = self._own("weight_decay")
        return {own: 0.0} if own and own in self.arrangement.options else {}

    @property
    def lr(self) -> str:
        """What it calls its learning rate.

        Raises:
            NotAsked: it has none.
        """
        own = self._own("lr")
        if own is None or own in self.box.fixed:
            raise NotAsked("it takes no learning rate")
        return own

    @cached_property
    def key(self) -> str:
        """What its groups call it: a constructor may have another name for it.

        Raises:
            NotAsked: it has none.
        """
        run = self.start()
        with answering():
            (group, *_) = run.optimizer.param_groups
            return key_of(group, self.lr)

    def without_rates(self, run: TrialRun) -> None:
        """For what is asked of groups that have the learning rate which was given.

        Raises:
            NotAsked: whoever makes its own groups has given them others.
        """
        with answering():
            groups = run.optimizer.param_groups
            rates = {float(group.get(key_of(group, self.lr), 0.0)) for group in groups}
        if len(rates) > 1:
            raise NotAsked("its groups have learning rates of their own")

    def without_closure(self) -> None:
        """For what is asked of steps that need no closure.

        Raises:
            NotAsked: this one does.
        """
        if self.arrangement.closure:
            raise NotAsked("its step needs a closure")

    def without_sparse(self) -> None:
        """For what is asked of gradients that have all their elements.

        Raises:
            NotAsked: this one takes no such gradients.
        """
        if self.box.sparse_only:
            raise NotAsked("it takes sparse gradients only")


def values(number: int, t: int, shape: tuple[int, ...], seed: int) -> torch.Tensor:
    """Numbers away from zero and from each other's, in float32."""
    return torch.tensor(_values(number, t, shape, seed))


@cache
def _values(number: int, t: int, shape: tuple[int, ...], seed: int) -> Any:
    rng = np.random.Generator(np.random.PCG64([number, t + 1, seed]))
    signs = rng.choice([-1.0, 1.0], shape)
    return np.asarray(signs * rng.uniform(0.25, 2.0, shape), np.float32)


@dataclass
class TrialRun:
    """Parameters and their optimizer, in the middle of it.

    Attributes:
        trial: whose.
        params: by number.
        optimizer: of them.
        missing: numbers of those that get no gradients.
    """

    trial: Trial
    params: dict[int, torch.Tensor]
    optimizer: Any
    missing: frozenset[int] = field(default_factory=frozenset)

    @property
    def held(self) -> set[int]:
        """Which objects its groups hold; who has none is asked what else moves parameters."""
        with answering():
            groups = getattr(self.optimizer, "param_groups", [{"params": [*self.params.values()]}])
            return {id(p) for group in groups for p in group["params"]}

    @property
    def chosen(self) -> list[int]:
        """The numbers of those that are to be stepped: a function may leave some out."""
        held = self.held if self.trial.chooses else {*map(id, self.params.values())}
        return [n for n, p in self.params.items() if id(p) in held]

    def load(self, t: int) -> None:
        """Put the gradients of a step where they belong."""
        for n, p in self.params.items():
            p.grad = None if n in self.missing else self.trial.gradient(n, t)

    def step(self, t: int) -> Any:
        """One step.

        Raises:
            SubjectError: the optimizer raised.
        """
        with answering():
            self.load(t)
            if self.trial.arrangement.closure:
                return self.optimizer.step(self.closure(t))
            return self.optimizer.step()

    def steps(self, first: int = 0, last: int = STEPS) -> TrialRun:
        """Several."""
        for t in range(first, last):
            self.step(t)
        return self

    def closure(self, t: int, calls: list[bool] | None = None) -> Callable[[], Any]:
        """A loss whose gradients are those of step ``t``, wherever the parameters are."""

        def loss() -> torch.Tensor:
            if calls is not None:
                calls.append(torch.is_grad_enabled())
            for p in self.params.values():
                p.grad = None
            given = [
                (p * self.trial.gradient(n, t)).sum()
                for n, p in self.params.items()
                if n not in self.missing
            ]
            total = torch.stack(given).sum()
            if total.requires_grad:
                torch.autograd.backward(total)
            return total.detach()

        return loss

    def bits(self) -> Bits:
        """What the parameters are now."""
        return {n: p.detach().clone() for n, p in self.params.items()}

    def reset(self, lr: float) -> TrialRun:
        """Write a learning rate into all groups, where schedulers write."""
        with answering():
            for group in self.optimizer.param_groups:
                write_rate(group, self.trial.lr, lr)
        return self

    def reloaded(self, through: Callable[[Any], Any]) -> TrialRun:
        """Another optimizer, of copies of the parameters, with this one's state."""
        params = {n: copied(p) for n, p in self.params.items()}
        other = TrialRun(self.trial, params, self.trial.made([*params.values()]), self.missing)
        with answering():
            other.optimizer.load_state_dict(through(self.optimizer.state_dict()))
        return other

    def duplicated(self, duplicate: Callable[[Any], Any]) -> TrialRun:
        """Copies of parameters and optimizer, made together."""
        for p in self.params.values():
            p.grad = None
        with answering():
            params, optimizer = duplicate((self.params, self.optimizer))
        return TrialRun(self.trial, params, optimizer, self.missing)


def copied(p: torch.Tensor) -> torch.Tensor:
    """Another parameter of the same value."""
    return torch.nn.Parameter(p.detach().clone())


def same(one: Mapping[int, torch.Tensor], other: Mapping[int, torch.Tensor]) -> bool:
    """Whether all are the same to the bit, but for the sign of a zero."""
    return one.keys() == other.keys() and all(equal(one[n], other[n]) for n in one)


def equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors are the same to the bit, but for the sign of a zero."""
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        return False
    one, other = dense(one), dense(other)
    return bool(((one == other) | (one.isnan() & other.isnan())).all())


def rates(trial: Trial) -> tuple[float, float]:
    """Two learning rates."""
    rate = float(trial.arrangement.options.get(trial.lr, 0.01))
    return rate, rate / 4


def lacks(run: TrialRun, name: str) -> str:
    """A sentence if its groups have no such entry, nor torch's in its place."""
    with answering():
        there = all(key_of(group, name) in group for group in run.optimizer.param_groups)
    return "" if there else f"keeps no {name!r} in its param_groups"


def compared(one: Bits, other: Bits, when: str) -> str:
    """A sentence if they are not the same."""
    return "" if same(one, other) else f"{OTHER_BITS} {when}"


def short(value: Any) -> str:
    """A value on one line, and not a long one."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # what it returns may be anything
        text = f"a {type(value).__name__}"
    return text if len(text) <= 40 else f"{text[:37]}..."
