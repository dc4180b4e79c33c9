"""What ranks are asked to do in tests of the ranks themselves, and what is wrong meanwhile."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest import mock

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import oracles
from oracles.harness.subjects import processes
from oracles.harness.subjects.processes import Errand, Rank
from oracles.harness.subjects.ranks import whole
from oracles.harness.subjects.sharded import mesh
from oracles.harness.subjects.subject import Place
from tests.support import light


def added(number: float, rank: Rank) -> float:
    """The sum over ranks of a number and each one's own."""
    total = torch.tensor([number + rank.number])
    dist.all_reduce(total)
    return float(total)


def killed(rank: Rank) -> float:
    """The last rank is ended by a signal while the others wait for it."""
    if rank.number == rank.world - 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return added(0, rank)


def exits(rank: Rank) -> float:
    if rank.number == rank.world - 1:
        os._exit(3)
    return added(0, rank)


def raises(rank: Rank) -> float:
    if rank.number == rank.world - 1:
        raise ValueError("a number that is not there")
    return added(0, rank)


def waits(rank: Rank) -> float:
    """The last rank hangs while the others wait for it."""
    light.hangs(rank)
    return added(0, rank)


def unspeakable(rank: Rank) -> object:
    """An answer that cannot be handed over."""
    return lambda: rank


@contextmanager
def doubled() -> Iterator[None]:
    """Sums over ranks that are twice what they should be."""
    proper = dist.all_reduce

    def twice(tensor: torch.Tensor) -> None:
        proper(tensor)
        tensor *= 2

    with mock.patch.object(dist, "all_reduce", twice):
        yield


@contextmanager
def dying() -> Iterator[None]:
    """The last rank dies in its first backward pass."""

    def killed(*given: object) -> None:
        if dist.get_rank() == dist.get_world_size() - 1:
            os.kill(os.getpid(), signal.SIGKILL)

    with mock.patch.object(torch.Tensor, "backward", killed):
        yield


def example(wrapper: str, micros: int, copies: int, rank: Rank) -> list[float]:
    """Weight and bias after the step of the example that this project began with.

    Its two rows, each so many times, are dealt to the ranks, or all of them to each rank where
    there are several micro-batches.
    """
    model = nn.Linear(1, 1)
    nn.init.ones_(model.weight)
    nn.init.ones_(model.bias)
    x, y = torch.tensor([[2.0], [4.0]]), torch.tensor([[7.0], [11.0]])
    if micros == 1:
        x, y = (rows[rank.number : rank.number + 1] for rows in (x, y))
    batches = [(x.repeat(copies, 1), y.repeat(copies, 1))] * micros
    outer, owner = _wrapped(wrapper, model)
    for rows, targets in batches:
        loss: torch.Tensor = nn.functional.mse_loss(outer(rows), targets) / micros
        loss.backward()  # type: ignore[no-untyped-call]
    owner.step()
    return [float(whole(p)) for p in (model.weight, model.bias)]


def watched_shards(alike: bool, rank: Rank) -> list[str]:
    """What is told of a right loop around ``fully_shard``, or also of its ranks."""
    from torch.distributed.fsdp import fully_shard

    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    fully_shard(model, mesh=mesh(Place("", f"{dist.get_world_size()} ranks", "", "cpu")))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with oracles.watch(optimizer, model=model, ranks=alike) as report:
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.randn(2, 3)).square().mean().backward()
            optimizer.step()
    return [*map(str, (*report.findings, *report.doubts))]


def _wrapped(wrapper: str, model: nn.Module) -> tuple[Any, Any]:
    """The model under a wrapper, and an optimizer with lr 0.1 and a weight decay of 1."""
    from torch.distributed.algorithms.model_averaging.averagers import PeriodicModelAverager
    from torch.distributed.optim import PostLocalSGDOptimizer, ZeroRedundancyOptimizer

    told: dict[str, Any] = {"lr": 0.1, "weight_decay": 1.0}
    if wrapper == "fully_shard":
        from torch.distributed.fsdp import fully_shard

        fully_shard(model, mesh=mesh(Place("", f"{dist.get_world_size()} ranks", "", "cpu")))
        return model, torch.optim.SGD(model.parameters(), **told)
    if wrapper == "PostLocalSGDOptimizer":  # which shares parameters after the step
        inner = torch.optim.SGD(model.parameters(), **told)
        return model, PostLocalSGDOptimizer(inner, PeriodicModelAverager(period=2))
    outer = DistributedDataParallel(model)
    if wrapper == "ZeroRedundancyOptimizer":
        return outer, ZeroRedundancyOptimizer(outer.parameters(), torch.optim.SGD, **told)
    return outer, torch.optim.SGD(outer.parameters(), **told)


def partly_used(users: Sequence[int], rank: Rank) -> list[float] | None:
    """The gradient of a parameter that some ranks use, whose own is the rank's number plus 1."""

    class Sometimes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.always, self.sometimes = (nn.Parameter(torch.ones(1)) for _ in range(2))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            z = self.always * x
            return z + self.sometimes * x if rank.number in users else z

    outer = DistributedDataParallel(Sometimes(), find_unused_parameters=True)
    outer(torch.tensor([rank.number + 1.0])).sum().backward()
    gradient = outer.module.sometimes.grad
    return None if gradient is None else gradient.tolist()


def mixed(rank: Rank) -> str:
    """What clipping says of a DTensor beside a plain tensor."""
    from torch.distributed.tensor import Shard, distribute_tensor

    dealt = distribute_tensor(torch.ones(2), mesh(Place("", "2 ranks", "", "cpu")), [Shard(0)])
    parameters = [nn.Parameter(dealt), nn.Parameter(torch.ones(2))]
    for p in parameters:
        p.grad = torch.ones_like(p)
    try:
        nn.utils.clip_grad_norm_(parameters, 1.0)
    except RuntimeError as error:
        return str(error)
    return ""


Planted = Callable[[], AbstractContextManager[None]]
"""What is wrong in a rank while it is on an errand; it can be imported by its name."""


@contextmanager
def planting(planted: Planted) -> Iterator[None]:
    """Inside, ranks enter what is planted before each errand, and leave it after."""
    plain = processes.ask

    def ask(world: int, errand: Errand, *given: Any) -> list[Any]:
        return plain(world, _inside, planted, errand, *given)

    with mock.patch.object(processes, "ask", ask):
        yield


def _inside(planted: Planted, errand: Errand, *given: Any) -> Any:
    with planted():
        return errand(*given)
