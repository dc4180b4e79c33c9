"""Schedules that torch has none of, in the texts of those who use them; and some that are off."""

from __future__ import annotations

import math
from typing import Any

from torch.optim.lr_scheduler import LambdaLR

# --- Functions of the step ------------------------------------------------------------------------


def bert(step: int, lr: float, num_warmup_steps: int, num_training_steps: int) -> float:
    if step < num_warmup_steps:
        return lr * float(step) / float(max(1, num_warmup_steps))
    left = num_training_steps - step
    return lr * max(0.0, float(left) / float(max(1, num_training_steps - num_warmup_steps)))


def flat(step: int, lr: float, num_warmup_steps: int) -> float:
    return lr * min(1.0, step / num_warmup_steps)


def half_cosine(step: int, lr: float, num_warmup_steps: int, num_training_steps: int) -> float:
    if step < num_warmup_steps:
        return lr * step / num_warmup_steps
    done = (step - num_warmup_steps) / (num_training_steps - num_warmup_steps)
    return lr * max(0.0, math.cos(math.pi / 2 * done) ** 2)


def restarting(
    step: int, lr: float, num_warmup_steps: int, num_training_steps: int, num_cycles: int
) -> float:
    if step < num_warmup_steps:
        return lr * step / num_warmup_steps
    done = (step - num_warmup_steps) / (num_training_steps - num_warmup_steps)
    if done >= 1:
        return 0.0
    return lr * 0.5 * (1 + math.cos(math.pi * ((num_cycles * done) % 1.0)))


def floored(
    it: int, lr: float, num_warmup_steps: int, num_training_steps: int, min_lr: float
) -> float:
    if it < num_warmup_steps:
        return lr * (it + 1) / (num_warmup_steps + 1)
    if it > num_training_steps:
        return min_lr
    done = (it - num_warmup_steps) / (num_training_steps - num_warmup_steps)
    return min_lr + 0.5 * (1.0 + math.cos(math.pi * done)) * (lr - min_lr)


def annotated(step: int, lr: float, model_size: int, factor: float, warmup_steps: int) -> float:
    """The Annotated Transformer's."""
    if step == 0:
        step = 1
    least = min(step ** (-0.5), step * warmup_steps ** (-1.5))
    return float(lr * factor * (model_size ** (-0.5) * least))


def paper(step: int, lr: float, model_size: int, factor: float, warmup_steps: int) -> float:
    """Of who counts from 1."""
    n = step + 1
    least = min(1 / math.sqrt(n), float(n / warmup_steps**1.5))
    return lr * factor / math.sqrt(model_size) * least


def t5(step: int, lr: float, num_warmup_steps: int) -> float:
    return lr / math.sqrt(max(step, num_warmup_steps))


def fairseq(num_updates: int, lr: float, num_warmup_steps: int) -> float:
    if num_updates < num_warmup_steps:
        return num_updates * (lr / num_warmup_steps)
    return float(lr * num_warmup_steps**0.5 * num_updates**-0.5)


def wsd(
    step: int, lr: float, num_warmup_steps: int, num_stable_steps: int, num_decay_steps: int
) -> float:
    if step < num_warmup_steps:
        return lr * step / num_warmup_steps
    into = max(0, step - num_warmup_steps - num_stable_steps) / num_decay_steps
    return lr * 0.5 * (1 + math.cos(math.pi * min(into, 1.0)))


NAMED: dict[Any, str] = {
    bert: "get_linear_schedule_with_warmup's from_zero",
    flat: "get_constant_schedule_with_warmup's from_zero",
    half_cosine: "get_cosine_schedule_with_warmup's from_zero",
    restarting: "get_cosine_with_hard_restarts_schedule_with_warmup's from_zero",
    floored: "get_cosine_with_min_lr_schedule_with_warmup's between",
    annotated: "NoamLR's at_least_one",
    paper: "NoamLR's from_one",
    t5: "get_inverse_sqrt_schedule's flat_first",
    fairseq: "get_inverse_sqrt_schedule's from_zero",
    wsd: "get_wsd_schedule's from_zero",
}
"""What each of them is."""

# --- Some that are off ----------------------------------------------------------------------------


def one_too_many(step: int, lr: float, num_warmup_steps: int, num_training_steps: int) -> float:
    """Its decay ends a step late."""
    return bert(step, lr, num_warmup_steps, num_training_steps + (step >= num_warmup_steps))


def quarter(step: int, lr: float, num_warmup_steps: int, num_training_steps: int) -> float:
    """A quarter of a cosine in place of a half."""
    if step < num_warmup_steps:
        return lr * step / num_warmup_steps
    done = (step - num_warmup_steps) / (num_training_steps - num_warmup_steps)
    return lr * math.cos(math.pi / 2 * min(done, 1.0))


def steep(step: int, lr: float, model_size: int, factor: float, warmup_steps: int) -> float:
    """Its ramp is that of one over the warm-up."""
    n = max(step, 1)
    return float(lr * factor * model_size**-0.5 * min(n**-0.5, n / warmup_steps))


def unscaled(step: int, lr: float, num_warmup_steps: int) -> float:
    """Falls from the top of its ramp at once."""
    return lr * min(step / num_warmup_steps, float(max(step, 1) ** -0.5))


def early(
    step: int, lr: float, num_warmup_steps: int, num_stable_steps: int, num_decay_steps: int
) -> float:
    """Counts what is stable from the beginning."""
    return wsd(step, lr, num_warmup_steps, num_stable_steps - num_warmup_steps, num_decay_steps)


OFF = (one_too_many, quarter, steep, unscaled, early)

# --- What makes a scheduler -----------------------------------------------------------------------


def bert_of_100(optimizer: Any) -> Any:
    return LambdaLR(optimizer, lambda step: bert(step, 1.0, 10, 100))


def noam_of_512(optimizer: Any) -> Any:
    return LambdaLR(optimizer, lambda step: annotated(step, 1.0, 512, 2.0, 40))


class Scheduler:
    """As timm's are: no kin of torch's, and told the epoch that begins."""

    def __init__(self, optimizer: Any) -> None:
        self.optimizer = optimizer
        self.bases = [group["lr"] for group in optimizer.param_groups]

    def step(self, epoch: int) -> None:
        for base, group in zip(self.bases, self.optimizer.param_groups, strict=True):
            group["lr"] = self.at(base, epoch)

    def step_update(self, num_updates: int) -> None: ...

    def at(self, base: float, t: int) -> float:
        raise NotImplementedError


class Epochs(Scheduler):
    """A cosine under a ramp."""

    def __init__(
        self,
        optimizer: Any,
        t_initial: int,
        lr_min: float = 0.0,
        warmup_t: int = 0,
        warmup_lr_init: float = 0.0,
        warmup_prefix: bool = False,
    ) -> None:
        super().__init__(optimizer)
        self.t_initial, self.lr_min, self.warmup_prefix = t_initial, lr_min, warmup_prefix
        self.warmup_t, self.warmup_lr_init = warmup_t, warmup_lr_init
        self.step(0)

    def at(self, base: float, t: int) -> float:
        if t < self.warmup_t:
            return self.warmup_lr_init + t * (base - self.warmup_lr_init) / self.warmup_t
        t -= self.warmup_t * self.warmup_prefix
        if t >= self.t_initial:
            return self.lr_min
        height = 0.5 * (1 + math.cos(math.pi * t / self.t_initial))
        return self.lr_min + (base - self.lr_min) * height


MADE: dict[Any, str] = {
    bert_of_100: "get_linear_schedule_with_warmup's from_zero with num_warmup_steps=10, "
    "num_training_steps=100",
    noam_of_512: "NoamLR's at_least_one with model_size=512, warmup_steps=40, factor=2",
    Epochs: "CosineLRScheduler's by_epoch",
}
"""What each of them is."""
