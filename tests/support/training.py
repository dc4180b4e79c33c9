"""What training loops are made of: a small model, its batches, and what steps and scales it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed as distributed
from torch import nn

Loop = Callable[[Any], Any]

SCALER = hasattr(getattr(torch, "amp", None), "GradScaler")
"""Whether there is a scaler for the CPU."""

HOOKS = hasattr(torch.Tensor, "register_post_accumulate_grad_hook")
"""Whether a hook can be called when a gradient is there."""


@contextmanager
def unwatched(*_: Any, **__: Any) -> Iterator[None]:
    """In place of ``oracles.watch``."""
    yield


def mlp(norm: bool = False) -> nn.Sequential:
    torch.manual_seed(5)
    middle: list[nn.Module] = [nn.BatchNorm1d(6)] if norm else []
    return nn.Sequential(nn.Linear(3, 6), *middle, nn.Tanh(), nn.Linear(6, 2))


def batches(count: int = 4, rows: int = 8) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(11)
    return [
        (
            torch.randn(rows, 3, generator=generator),
            torch.randint(0, 2, (rows,), generator=generator),
        )
        for _ in range(count)
    ]


def sgd(model: nn.Module, **settings: Any) -> torch.optim.SGD:
    return torch.optim.SGD(
        model.parameters(), **{"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01} | settings
    )


def grad_scaler(**settings: Any) -> Any:
    """On the CPU."""
    return torch.amp.GradScaler("cpu", **{"init_scale": 1024.0, **settings})


@contextmanager
def gloo(store: Path, rank: int = 0, size: int = 1) -> Iterator[None]:
    """A process group of gloo."""
    distributed.init_process_group(
        "gloo", init_method=f"file://{store}", rank=rank, world_size=size
    )
    try:
        yield
    finally:
        distributed.destroy_process_group()
