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


class Replacing(torch.optim.lr_scheduler.ReduceLROnPlateau):
    """The same machine, as torch had it before rates were tensors; late groups keep their rates."""

    def _reduce_lr(self, epoch: Any) -> None:
        for group, least in zip(self.optimizer.param_groups, self.min_lrs, strict=False):
            old = float(group["lr"])
            new = max(old * self.factor, least)
            if old - new > self.eps:
                group["lr"] = new


class Closed(Base):  # type: ignore[misc]
    """Exponential decay by its closed form; with what else a class may get wrong."""

    def __init__(self, optimizer: Any, gamma: float, last_epoch: int = -1):
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        return [base * self.gamma**self.last_epoch for base in self.base_lrs]


class ByLambda(torch.optim.lr_scheduler.LambdaLR):
    """The same, by way of torch's own."""

    def __init__(self, optimizer: Any, gamma: float, last_epoch: int = -1):
        super().__init__(optimizer, lambda t: gamma**t, last_epoch)


class Stepwise(Closed):
    """The same by a recurrence, as older tutorials have it."""

    def get_lr(self) -> list[Any]:
        factor = self.gamma if self.last_epoch > 0 else 1.0
        return [group["lr"] * factor for group in self.optimizer.param_groups]


class Duck:
    """The same by a class of no kin, which counts for itself."""

    def __init__(self, optimizer: Any, gamma: float):
        self.optimizer, self.gamma, self.t = optimizer, gamma, 0
        self.bases = [float(group["lr"]) for group in optimizer.param_groups]

    def step(self) -> None:
        self.t += 1
        for group, base in zip(self.optimizer.param_groups, self.bases, strict=False):
            group["lr"] = base * self.gamma**self.t

    def state_dict(self) -> dict[str, Any]:
        return {"t": self.t, "bases": self.bases}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        vars(self).update(state_dict)


class Updated:
    """The same, told how many updates there were, and without any state, as timm's may be."""

    def __init__(self, optimizer: Any, gamma: float):
        self.optimizer, self.gamma = optimizer, gamma
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", float(group["lr"]))

    def step_update(self, num_updates: int) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * self.gamma**num_updates


class ByUpdates(Updated):
    """As timm's whose length is in updates: epochs are told it for nothing."""

    t_in_epochs = False

    def step(self, epoch: int, metric: Any = None) -> None: ...


class HalfEdited(Closed):
    """Takes a rate that was written into a group for its base rate."""

    last: Any = None

    def get_lr(self) -> list[Any]:
        now = [float(group["lr"]) for group in self.optimizer.param_groups]
        if self.last_epoch and now != self.last:
            self.base_lrs = now
        self.last = rates = [float(rate) for rate in super().get_lr()]
        return rates


class Compounding(Closed):
    """Counts one epoch more each time that it is built."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict({**state_dict, "last_epoch": state_dict["last_epoch"] + 1})


class Uncounted(Duck):
    """Leaves its count out of its state."""

    def state_dict(self) -> dict[str, Any]:
        return {"bases": self.bases}


class FirstForAll(Duck):
    """All groups have the rate of the first."""

    def step(self) -> None:
        super().step()
        for group in self.optimizer.param_groups:
            group["lr"] = self.optimizer.param_groups[0]["lr"]


class Aliasing(Closed):
    """What it tells is what it computes with."""

    def get_last_lr(self) -> list[Any]:
        return [group["lr"] for group in self.optimizer.param_groups]


class Emptied(Closed):
    """Loads a state only once."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict({"last_epoch": state_dict.pop("last_epoch", 0)})


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
