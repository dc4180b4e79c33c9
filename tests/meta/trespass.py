"""Trespasses: optimizers that follow torch's global state, or reach into what they were handed.

In the plain world, and on arguments nobody uses again, most of them are right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from oracles.harness.checks.names import GROUPS, KEPT, LOADED, SURROUNDINGS, UNSHARED
from oracles.harness.subjects.classes import accepted, takes_tensor
from oracles.harness.subjects.paths import PATHS
from oracles.harness.subjects.subject import World
from oracles.harness.subjects.worlds import WORLDS
from oracles.rule import Rule
from tests.meta.planting import PLANTED, Around, Group, Specimen, swapped

RATES = tuple(path.name for path in PATHS if "lr" in path.tensors and not path.graph)

Needs = Callable[[Rule, Any], bool]
Before = Callable[[Any], Iterator[None]]


def the_same(*worlds: World) -> tuple[str, ...]:
    """The checks that ask in these worlds."""
    return tuple(f"the same under {world}" for world in worlds)


@dataclass(frozen=True)
class Trespass:
    """One way to trespass.

    Attributes:
        broken: what goes before the optimizer's class, under its name.
        caught_by: checks that must find it.
        needs: whether a rule and torch's class of it have what it breaks.
        paths: the paths it is planted in.
    """

    broken: type
    caught_by: tuple[str, ...]
    needs: Needs
    paths: tuple[str, ...]


TRESPASSES: list[Trespass] = []


def caught(
    *by: str, needs: Needs = lambda rule, optimizer: True, paths: tuple[str, ...] = PLANTED
) -> Callable[[type], type]:
    """Enter a class whose methods replace the optimizer's."""

    def enter(broken: type) -> type:
        TRESPASSES.append(Trespass(broken, by, needs, paths))
        return broken

    return enter


def around(*by: str, **options: Any) -> Callable[[Before], Before]:
    """Enter something that happens around the step."""

    def enter(before: Before) -> Before:
        caught(*by, **options)(type(before.__name__, (Around,), {"around": before}))
        return before

    return enter


# --- following the world ---------------------------------------------------------------------


def _is_bfloat16() -> bool:
    return torch.get_default_dtype() == torch.bfloat16


def _is_float64() -> bool:
    return torch.get_default_dtype() == torch.float64


def _is_elsewhere() -> bool:
    return torch.empty(0).device.type == "meta"


def _casts() -> bool:
    one = torch.ones(1, 1)
    return (one @ one).dtype == torch.bfloat16


SIGNS: dict[World, Callable[[], bool]] = {
    World.BFLOAT16: _is_bfloat16,
    World.FLOAT64: _is_float64,
    World.DEVICE: _is_elsewhere,
    World.AUTOCAST: _casts,
    World.NO_GRAD: lambda: not torch.is_grad_enabled(),
    World.INFERENCE: torch.is_inference_mode_enabled,
    World.DETERMINISTIC: torch.are_deterministic_algorithms_enabled,
}
"""How each world can be told from within."""


def _follower(world: World) -> type:
    """Steps twice as far in one world."""

    class Follower:
        def step(self, closure: Any = None) -> Any:
            factor = 2 if SIGNS[world]() else 1
            with swapped(self, lambda _, group: {"lr": group["lr"] * factor}):
                return super().step(closure)  # type: ignore[misc]

    Follower.__name__ = f"follows_{world.name.lower()}"
    return Follower


for _world in SIGNS:
    if _world in WORLDS:
        caught(*the_same(_world))(_follower(_world))


@around(*the_same(World.BFLOAT16))
def computes_in_default_dtype(opt: Any) -> Iterator[None]:
    """The new parameter passes through the default dtype."""
    yield
    for _, p in opt.moving():
        p.copy_(p.to(torch.get_default_dtype()))


@around(
    *the_same(World.BFLOAT16),
    KEPT,
    needs=lambda rule, optimizer: bool(rule.states),
)
def keeps_state_in_default_dtype(opt: Any) -> Iterator[None]:
    """What is kept has the default dtype."""
    yield
    for _, p in opt.moving():
        for name, value in opt.state[p].items() if p in opt.state else ():
            kept = torch.as_tensor(value, dtype=torch.get_default_dtype())
            opt.state[p][name] = kept


@around(*the_same(World.AUTOCAST))
def multiplies_matrices(opt: Any) -> Iterator[None]:
    """The new parameter is a product of matrices, which autocast computes in bfloat16."""
    yield
    for _, p in opt.moving():
        one = torch.ones(1, 1, dtype=p.dtype, device=p.device)
        p.copy_((p.reshape(-1, 1) @ one).reshape(p.shape))


def _fills(rule: Rule, optimizer: Any) -> bool:
    """Whether this torch fills memory that is uninitialized, when asked to."""
    switches = getattr(torch.utils, "deterministic", None)
    return hasattr(switches, "fill_uninitialized_memory")


@around(*the_same(World.DETERMINISTIC), needs=_fills)
def reads_uninitialized_memory(opt: Any) -> Iterator[None]:
    """What was in fresh memory is taken for zeros."""
    yield
    for _, p in opt.moving():
        p.add_(torch.empty_like(p))


# --- reaching into what was handed over ------------------------------------------------------


class CopiesGroups:
    """Keeps copies of the groups it is handed: what torch's own class does not do."""

    def add_param_group(self, group: Group) -> None:
        super().add_param_group({**group, "params": [*group["params"]]})  # type: ignore[misc]


class CopiesLoaded:
    """Loads a copy of what it is handed: what torch's own class does since 2.1 no more."""

    def load_state_dict(self, state: Any) -> None:
        super().load_state_dict(deepcopy(state))  # type: ignore[misc]


@caught(GROUPS, paths=("default",))
class EditsHandedGroup(CopiesGroups):
    """Fills a default into the group that it was handed."""

    def add_param_group(self, group: Group) -> None:
        super().add_param_group(group)
        group["fused"] = False


@caught(GROUPS, paths=("default",))
class FollowsHandedList(CopiesGroups):
    """Keeps the caller's list of parameters."""

    param_groups: list[Group]

    def add_param_group(self, group: Group) -> None:
        super().add_param_group(group)
        self.param_groups[-1]["params"] = group["params"]


@caught(LOADED)
class EditsLoadedState(CopiesLoaded):
    """Writes into the ``state_dict`` it loads."""

    def load_state_dict(self, state: Any) -> None:
        super().load_state_dict(state)
        state["param_groups"][0]["params"] = []


def _rate_may_be_tensor(rule: Rule, optimizer: Any) -> bool:
    return "foreach" in accepted(optimizer) and takes_tensor(optimizer, "lr")


@caught(LOADED, needs=_rate_may_be_tensor, paths=RATES)
class SharesLoadedRate(CopiesLoaded):
    """Takes over the learning rate of the ``state_dict`` it loads, where that is a tensor."""

    param_groups: list[Group]

    def load_state_dict(self, state: Any) -> None:
        super().load_state_dict(state)
        for own, given in zip(self.param_groups, state["param_groups"], strict=True):
            own["lr"] = given["lr"]


@caught(UNSHARED, needs=lambda rule, optimizer: bool(rule.states))
class SharesLoadedState(CopiesLoaded):
    """Takes over the tensors of the ``state_dict`` it loads."""

    param_groups: list[Group]
    state: dict[Any, Any]

    def load_state_dict(self, state: Any) -> None:
        super().load_state_dict(state)
        own = [p for group in self.param_groups for p in group["params"]]
        for number, entry in state["state"].items():
            self.state[own[number]] = dict(entry)


@around(SURROUNDINGS, needs=_rate_may_be_tensor, paths=RATES)
def overwrites_tensor_rate(opt: Any) -> Iterator[None]:
    """A learning rate that is a tensor is scaled in place, and left so."""
    yield
    for group in opt.param_groups:
        if torch.is_tensor(group["lr"]):
            group["lr"].add_(1)


@around(SURROUNDINGS)
def edits_defaults(opt: Any) -> Iterator[None]:
    """A step notes something among the defaults."""
    yield
    opt.defaults["steps"] = opt.defaults.get("steps", 0) + 1


@around(SURROUNDINGS, needs=lambda rule, optimizer: not rule.eager)
def looks_state_up(opt: Any) -> Iterator[None]:
    """Looking for state makes an empty entry where there is none."""
    yield
    for _, p in opt.waiting():
        opt.state[p].get("step")


@caught(SURROUNDINGS)
class LeavesGradMode:
    """A step leaves grad mode turned over."""

    def step(self, closure: Any = None) -> Any:
        loss = super().step(closure)  # type: ignore[misc]
        torch.set_grad_enabled(not torch.is_grad_enabled())
        return loss


@cache
def trespassers(rule: Rule) -> tuple[Specimen, ...]:
    """Every trespass that a rule's optimizer can commit; none where torch lacks that."""
    optimizer = getattr(torch.optim, rule.name, None)
    if optimizer is None:
        return ()
    return tuple(
        Specimen(planted(rule, trespass.broken), trespass.caught_by, trespass.paths)
        for trespass in TRESPASSES
        if trespass.needs(rule, optimizer)
    )


def planted(rule: Rule, broken: type) -> Any:
    """torch's class of a rule behind what breaks it."""
    bases = (broken, getattr(torch.optim, rule.name))
    return type(f"{rule.name}_{broken.__name__}", bases, {"__module__": __name__})
