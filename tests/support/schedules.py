"""Schedules of one's own, as people write them."""

from __future__ import annotations

import math
import os
from typing import Any

import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR

from tests.support import clock

Base: Any = getattr(torch.optim.lr_scheduler, "LRScheduler", None)
if Base is None:  # before torch 2.0
    Base = torch.optim.lr_scheduler._LRScheduler  # noqa: SLF001


class ClosedCosine(Base):  # type: ignore[misc]
    """Cosine annealing by its closed form, in another text than torch's."""

    def __init__(self, optimizer: Any, T_max: int, eta_min: float = 0.0, last_epoch: int = -1):
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        done = math.sin(math.pi / 2 * self.last_epoch / self.T_max) ** 2
        return [base * (1 - done) + self.eta_min * done for base in self.base_lrs]


class FlooredCosine(ClosedCosine):
    """The same, and it stays at the floor."""

    def get_lr(self) -> list[Any]:
        done = math.sin(math.pi / 2 * min(self.last_epoch / self.T_max, 1)) ** 2
        return [base * (1 - done) + self.eta_min * done for base in self.base_lrs]


class Impatient(torch.optim.lr_scheduler.ReduceLROnPlateau):
    """A plateau's machine that bears one bad step less."""

    def step(self, metrics: Any, epoch: Any = None) -> None:  # type: ignore[override]
        self.patience -= 1
        super().step(metrics, epoch)
        self.patience += 1


def warm_up(step: int, lr: float, total_iters: int) -> float:
    return lr * min(1.0, (step + 1) / total_iters)


def annealed(optimizer: Any) -> Any:
    return CosineAnnealingLR(optimizer, T_max=10, eta_min=0.01)


def in_turn(optimizer: Any) -> Any:
    warm = LinearLR(optimizer, start_factor=0.25, total_iters=4)
    return SequentialLR(optimizer, [warm, CosineAnnealingLR(optimizer, T_max=8)], [4])


class Unready(torch.optim.lr_scheduler.ExponentialLR):
    """Cannot be built."""

    def __init__(self, optimizer: Any, gamma: float) -> None:
        raise TypeError("not like that")


class Hanging(torch.optim.lr_scheduler.ExponentialLR):
    """Never makes a step."""

    def step(self, epoch: Any = None) -> None:
        if self.last_epoch == 0:
            clock.hang()
        super().step(epoch)


class HalfHanging(torch.optim.lr_scheduler.ExponentialLR):
    """Never gives its state."""

    def state_dict(self) -> Any:
        clock.hang()


class Vanishing(torch.optim.lr_scheduler.ExponentialLR):
    """Ends its process where its state is loaded."""

    def load_state_dict(self, state_dict: Any) -> None:
        os._exit(3)
