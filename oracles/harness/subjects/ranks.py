"""What a rank of a process group does: ``torch.distributed``, asked on several processes at once.

These functions are errands (:mod:`oracles.harness.subjects.processes`): each rank runs them with a
case, and hands back what it holds. Of shards and checkpoints there are more beside.
"""

from __future__ import annotations

import sys
import warnings
from collections import ChainMap
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from oracles.harness.subjects.processes import LIMIT, Rank
from oracles.harness.subjects.subject import Place
from oracles.harness.training.shards import Rows, Training, Uneven, inputs

TIMEOUT = timedelta(seconds=10 * LIMIT)
"""Of torch's own, which is never to be the first one: it names nobody."""

DATA_PARALLEL: dict[str, dict[str, Any]] = {
    "gradients are views": {"gradient_as_bucket_view": True},
    "looks for the unused": {"find_unused_parameters": True},
    "the same graph": {"static_graph": True},
    "small buckets": {"bucket_cap_mb": 2**-20},
}
"""What ``DistributedDataParallel`` can be told."""

PARTITIONED: dict[str, dict[str, Any]] = {
    "parameters are views": {"parameters_as_bucket_view": True},
}
"""What ``ZeroRedundancyOptimizer`` can be told."""

Held = list[list[float]]
"""The elements of each parameter, end to end."""


def there() -> bool:
    """Whether ranks can be started here: they are forked, and talk by gloo."""
    return sys.platform == "linux" and dist.is_available() and hasattr(dist, "ProcessGroupGloo")


def accelerators() -> int:
    """How many ranks may have a GPU of their own, and talk by NCCL."""
    return torch.cuda.device_count() if dist.is_available() and dist.is_nccl_available() else 0


def join(rank: Rank) -> None:
    """Enter the process group of a world."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if accelerators() >= rank.world else "gloo",
        init_method=Path(rank.folder, "met").as_uri(),
        rank=rank.number,
        world_size=rank.world,
        timeout=TIMEOUT,
    )


class Term(nn.Module):
    """A product with a weight."""

    def __init__(self, weight: Sequence[float], dtype: torch.dtype) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight


class Model(nn.Module):
    """The model of a :class:`~oracles.harness.training.shards.Training`."""

    def __init__(self, training: Training, dtype: torch.dtype) -> None:
        super().__init__()
        bias, first, *others = training.starts
        self.bias = nn.Parameter(torch.tensor(bias, dtype=dtype))
        self.first = Term(first, dtype)
        self.second = Term(others[0] if others else first, dtype)
        if training.tied:
            self.second.weight = self.first.weight

    def forward(self, x: Tensor, back: Tensor) -> Tensor:
        z: Tensor = self.first(x) + self.second(back) + self.bias
        return z


def model(training: Training, place: Place, rank: Rank) -> Model:
    """The model, where this rank keeps its parameters."""
    if place.device == "cuda":
        torch.cuda.set_device(rank.number)
    return Model(training, getattr(torch, place.dtype)).to(place.device)


def whole(values: Tensor) -> Tensor:
    """All of a tensor, whose shards are on several ranks."""
    full = getattr(values.detach(), "full_tensor", None)
    return values.detach() if full is None else full()


def held(parameters: nn.Module) -> Held:
    """What the parameters are."""
    return [whole(p).double().reshape(-1).tolist() for p in parameters.parameters()]


def groups(training: Training, parameters: nn.Module) -> list[dict[str, Any]]:
    """A group of the optimizer for each parameter, or one for all of them."""
    each = list(parameters.parameters())
    split = [[p] for p in each] if len(training.groups) > 1 else [each]
    return [
        {"params": members, **arguments(training, number)} for number, members in enumerate(split)
    ]


def arguments(training: Training, parameter: int) -> dict[str, Any]:
    """A parameter's hyperparameters, as torch's constructor takes them."""
    told = training.rule.arguments(training.hyper(parameter))
    del told["batch_size"]
    return told


def kind(training: Training) -> Any:
    """torch's class of the rule."""
    return getattr(torch.optim, training.rule.name)


def optimizer(training: Training, parameters: nn.Module) -> Any:
    """torch's optimizer of the rule."""
    return kind(training)(groups(training, parameters), lr=1.0)


def backward(training: Training, parameters: nn.Module, rows: Rows, windows: int) -> None:
    """The gradients of the loss of a micro-batch, one of so many in a step."""
    like = next(parameters.parameters())
    x, back, y = (
        torch.tensor(part.tolist(), dtype=like.dtype, device=like.device) for part in inputs(rows)
    )
    errors = parameters(x, back) - y
    loss = (errors * errors).sum() * 0.5
    loss = loss / windows if training.divided else loss
    (loss / len(y) if training.reduction == "mean" else loss).backward()


def steps(
    training: Training,
    parameters: nn.Module,
    owner: Any,
    rank: Rank,
    apart: Callable[[], AbstractContextManager[None]] = nullcontext,
    among: slice = slice(None),
) -> Iterator[None]:
    """Train, a step at a time; all but the last micro-batch of a step are ``apart``."""
    for step in training.rows(rank.world)[among]:
        owner.zero_grad()
        for j, mine in enumerate(step, start=1):
            with nullcontext() if j == len(step) else apart():
                backward(training, parameters, mine[rank.number], len(step))
        if training.most:
            nn.utils.clip_grad_norm_(parameters.parameters(), training.most)
        owner.step()
        if training.halving:
            halve(owner)
        yield


def halve(owner: Any) -> None:
    """Its learning rates, as a scheduler does it."""
    for group in owner.param_groups:
        group["lr"] /= 2


def told(options: Sequence[str], known: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What a constructor is told."""
    return dict(ChainMap({}, *(known[word] for word in options if word in known)))


def replicated(training: Training, inner: nn.Module) -> DistributedDataParallel:
    """The model under ``DistributedDataParallel``."""
    return DistributedDataParallel(inner, **told(training.options, DATA_PARALLEL))


def data_parallel(training: Training, place: Place, rank: Rank) -> list[Held]:
    """Under ``DistributedDataParallel``: what this rank holds after each step.

    A place may be of a ``ZeroRedundancyOptimizer``, or of a hook that halves gradients as they go.
    """
    from torch.distributed.algorithms.ddp_comm_hooks import default_hooks

    inner = model(training, place, rank)
    outer = replicated(training, inner)
    if hook := getattr(default_hooks, place.optimizer, None):
        outer.register_comm_hook(None, hook)
    owner = OWNERS.get(place.optimizer, optimizer)(training, inner)
    return [held(inner) for _ in steps(training, outer, owner, rank, outer.no_sync)]


class Given(nn.Module):
    """Parameters whose gradient is what they are multiplied with."""

    def __init__(self, start: Sequence[float]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(start, dtype=torch.float64))

    def forward(self, gradient: Tensor) -> Tensor:
        return (self.weight * gradient).sum()


def given(
    start: Sequence[float],
    gradients: Sequence[Sequence[Sequence[float]]],
    lr: float,
    weight_decay: float,
    rank: Rank,
) -> tuple[list[float], list[float]]:
    """The gradient that a rank steps with, of those by rank and micro-batch, and where it leads."""
    inner = Given(start)
    outer, mine = DistributedDataParallel(inner), gradients[rank.number]
    for j, gradient in enumerate(mine, start=1):
        with nullcontext() if j == len(mine) else outer.no_sync():
            outer(torch.tensor(gradient, dtype=torch.float64)).backward()
    torch.optim.SGD(outer.parameters(), lr=lr, weight_decay=weight_decay).step()
    assert inner.weight.grad is not None
    return inner.weight.grad.tolist(), inner.weight.tolist()


def redundant(training: Training, inner: nn.Module) -> Any:
    """A ``ZeroRedundancyOptimizer`` of the rule."""
    from torch.distributed.optim import ZeroRedundancyOptimizer

    options = told(training.options, PARTITIONED)
    return ZeroRedundancyOptimizer(
        groups(training, inner), optimizer_class=kind(training), lr=1.0, **options
    )


OWNERS: dict[str, Callable[[Training, nn.Module], Any]] = {"ZeroRedundancyOptimizer": redundant}
"""Who steps, where it is not the rule's own optimizer."""


def local(training: Training, place: Place, warmup: int, period: int, rank: Rank) -> list[Held]:
    """Stepped by a ``PostLocalSGDOptimizer``, with the hook that shares gradients until then."""
    from torch.distributed.algorithms.ddp_comm_hooks import post_localSGD_hook as hooks

    inner = model(training, place, rank)
    outer = replicated(training, inner)
    state: Any = hooks.PostLocalSGDState
    outer.register_comm_hook(
        state(None, None, warmup, post_local_gradient_allreduce=False), hooks.post_localSGD_hook
    )
    owner = meeting(training, inner, warmup, period)
    return [held(inner) for _ in steps(training, outer, owner, rank, outer.no_sync)]


def meeting(training: Training, inner: nn.Module, warmup: int, period: int) -> Any:
    """A ``PostLocalSGDOptimizer`` of the rule."""
    from torch.distributed.algorithms.model_averaging.averagers import PeriodicModelAverager
    from torch.distributed.optim import PostLocalSGDOptimizer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a period of 1 is no use
        averager = PeriodicModelAverager(period=period, warmup_steps=warmup)
    return PostLocalSGDOptimizer(optimizer(training, inner), averager)


def uneven(case: Uneven, place: Place, rank: Rank) -> list[Held]:
    """Inside ``Join``: what this rank holds after each step of its own, and in the end."""
    from torch.distributed.algorithms.join import Join

    training = case.training
    inner = model(training, place, rank)
    outer = replicated(training, inner)
    owner = redundant(training, inner) if case.partitioned else optimizer(training, inner)
    joined = [outer, owner] if case.partitioned else [outer]
    seen = []
    with Join(joined, divide_by_initial_world_size=case.initial):
        for t, _ in enumerate(steps(training, outer, owner, rank, outer.no_sync), start=1):
            seen.append(held(inner))
            if t == case.counts[rank.number]:
                break
    return [*seen, held(inner)]
