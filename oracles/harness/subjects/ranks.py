"""What a rank of a process group does: ``torch.distributed``, asked on several processes at once.

These functions are errands (:mod:`oracles.harness.subjects.processes`): each rank runs them with a
case, and hands back what it holds.
"""

from __future__ import annotations

import sys
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
from oracles.harness.training.shards import Rows, Training, inputs

TIMEOUT = timedelta(seconds=10 * LIMIT)
"""Of torch's own, which is never to be the first one: it names nobody."""

Held = list[list[float]]
"""The elements of each parameter, end to end."""


def there() -> bool:
    """Whether ranks can be started here: they are forked, and talk by gloo."""
    return sys.platform == "linux" and dist.is_available() and hasattr(dist, "ProcessGroupGloo")


def join(rank: Rank) -> None:
    """Enter the process group of a world."""
    torch.set_num_threads(1)
    met = Path(rank.folder, "met").as_uri()
    dist.init_process_group(
        "gloo", init_method=met, rank=rank.number, world_size=rank.world, timeout=TIMEOUT
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
        self.second = Term(others[0], dtype) if others else self.first

    def forward(self, x: Tensor, back: Tensor) -> Tensor:
        z: Tensor = self.first(x) + self.second(back) + self.bias
        return z


def held(model: nn.Module) -> Held:
    """What the parameters are on this rank."""
    return [p.detach().double().reshape(-1).tolist() for p in model.parameters()]


def optimizer(training: Training, model: nn.Module) -> torch.optim.Optimizer:
    """torch's optimizer of the rule, with a group for each parameter or for all of them."""
    parameters = list(model.parameters())
    split = [[p] for p in parameters] if len(training.groups) > 1 else [parameters]
    groups = [
        {"params": members, **arguments(training, number)} for number, members in enumerate(split)
    ]
    made: torch.optim.Optimizer = getattr(torch.optim, training.rule.name)(groups, lr=1.0)
    return made


def arguments(training: Training, parameter: int) -> dict[str, Any]:
    """A parameter's hyperparameters, as torch's constructor takes them."""
    told = training.rule.arguments(training.hyper(parameter))
    del told["batch_size"]
    return told


def backward(training: Training, model: nn.Module, rows: Rows, windows: int) -> None:
    """The gradients of the loss of a micro-batch, one of so many in a step."""
    dtype = next(model.parameters()).dtype
    x, back, y = (torch.tensor(part.tolist(), dtype=dtype) for part in inputs(rows))
    errors = model(x, back) - y
    loss = (errors * errors).sum() * 0.5
    loss = loss / len(y) if training.reduction == "mean" else loss
    (loss / windows if training.divided else loss).backward()


def steps(
    training: Training,
    model: nn.Module,
    owner: Any,
    rank: Rank,
    apart: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Iterator[None]:
    """Train, a step at a time; all but the last micro-batch of a step are ``apart``."""
    for step in training.rows(rank.world):
        owner.zero_grad()
        for j, mine in enumerate(step, start=1):
            with nullcontext() if j == len(step) else apart():
                backward(training, model, mine[rank.number], len(step))
        owner.step()
        yield


def data_parallel(training: Training, dtype: str, rank: Rank) -> list[Held]:
    """Under ``DistributedDataParallel``: what this rank holds after each step."""
    inner = Model(training, getattr(torch, dtype))
    options: dict[str, Any] = dict.fromkeys(training.options, True)
    model = DistributedDataParallel(inner, **options)
    owner = optimizer(training, model)
    return [held(inner) for _ in steps(training, model, owner, rank, model.no_sync)]
