"""``torch.optim.lr_scheduler``, asked for the rates it sets."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from oracles.schedules.composed import Chained, Plan, Sequential, Single

Optimizer = torch.optim.Optimizer


@contextmanager
def unwarned() -> Iterator[None]:
    """Without torch's advice on how schedulers are called, which is asked on purpose."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def optimizer(bases: Sequence[float], *, tensor: bool = False) -> Optimizer:
    """One parameter in a group for each base rate."""
    groups = [
        {"params": [torch.zeros(1)], "lr": torch.tensor(base) if tensor else base} for base in bases
    ]
    return torch.optim.SGD(groups, lr=1.0, momentum=0.5)


@unwarned()
def build(plan: Plan, owner: Optimizer, **options: Any) -> Any:
    """torch's scheduler for a plan."""
    schedulers = torch.optim.lr_scheduler
    if isinstance(plan, Single):
        return getattr(schedulers, plan.schedule.name)(owner, **_arguments(plan), **options)
    parts = [build(part, owner) for part in plan.parts]  # type: ignore[attr-defined]
    if isinstance(plan, Chained):
        return schedulers.ChainedScheduler(parts)
    assert isinstance(plan, Sequential)
    return schedulers.SequentialLR(owner, parts, list(plan.milestones), **options)


def _arguments(plan: Single) -> dict[str, Any]:
    values: dict[str, Any] = plan.settings._asdict()
    if "factors" in values:  # which stand for a function
        factors = values.pop("factors")
        values["lr_lambda"] = lambda t: factors[t % len(factors)]
    return values


def there(name: str) -> bool:
    """Whether this torch has a schedule of that name."""
    return hasattr(torch.optim.lr_scheduler, name)


def keeps_tensors() -> bool:
    """Whether this torch writes into a rate that is a tensor, and not a number over it."""
    owner = optimizer([1.0], tensor=True)
    held = owner.param_groups[0]["lr"]
    torch.optim.lr_scheduler.ConstantLR(owner)
    return owner.param_groups[0]["lr"] is held


def cycles(plan: Single, owner: Optimizer) -> bool:
    """Whether this torch cycles what an optimizer has: momentum or, in later releases, betas."""
    try:
        build(plan, owner)
    except ValueError:
        return False
    return True


def classes() -> list[str]:
    """The names of all schedules that this torch has."""
    module = torch.optim.lr_scheduler
    bases = {"LRScheduler", "_LRScheduler"}
    return [
        name
        for name, found in vars(module).items()
        if (
            inspect.isclass(found)
            and name not in bases
            and any(base.__name__ in bases for base in found.__mro__)
        )
        or name == "ReduceLROnPlateau"
    ]


def current(owner: Optimizer, name: str = "lr") -> list[float]:
    """What each group has now."""
    return [float(group[name]) for group in owner.param_groups]


def stepped(plan: Plan, bases: Sequence[float], epochs: int, **options: Any) -> list[list[float]]:
    """The rates of each group at epochs 0 to ``epochs``, stepped through one by one."""
    owner = optimizer(bases, **options)
    return _followed(owner, build(plan, owner), epochs, lambda scheduler, t: scheduler.step())


def jumped(plan: Plan, bases: Sequence[float], epochs: int) -> list[list[float]]:
    """The same by ``step(epoch)``, which torch has deprecated and computes in closed form."""
    owner = optimizer(bases)
    return _followed(owner, build(plan, owner), epochs, lambda scheduler, t: scheduler.step(t))


def _followed(
    owner: Optimizer, scheduler: Any, epochs: int, step: Callable[[Any, int], None]
) -> list[list[float]]:
    seen = [current(owner)]
    with unwarned():
        for t in range(1, epochs + 1):
            owner.step()
            step(scheduler, t)
            seen.append(current(owner))
    return [list(rates) for rates in zip(*seen, strict=True)]
