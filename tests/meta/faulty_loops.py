"""Training loops with one fault each, by the name under which ``oracles.watch`` tells it.

A loop is given what watches it, as the right ones of ``tests/support/loops.py`` are.
"""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import copy
import math
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import clip_grad_norm_, clip_grad_value_

from tests.support.training import HOOKS, SCALER, Loop, batches, grad_scaler, mlp, sgd


class Planted(NamedTuple):
    """A loop with a fault.

    Attributes:
        fault: its name.
        loop: the loop.
        whole: whether it shows only where the training is watched to its end, by ``check_loop``.
    """

    fault: str
    loop: Loop
    whole: bool = False


FAULTY: dict[str, Planted] = {}
"""By the name of the loop, those that this torch can run."""

ABSENT: set[str] = set()
"""Faults of loops that it cannot run."""

SAID: dict[str, list[str]] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
"""By the name of the loop, each sentence that is said of it."""


def planted(fault: str, *, whole: bool = False, there: bool = True) -> Callable[[Loop], Loop]:
    """Enter a loop into the list, if this torch has what it needs."""

    def enter(loop: Loop) -> Loop:
        if there:
            FAULTY[loop.__name__] = Planted(fault, loop, whole)
        else:
            ABSENT.add(fault)
        return loop

    return enter


@planted("never cleared")
def zero_grad_forgotten(watch: Any) -> None:
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model):
        for x, y in batches():
            F.cross_entropy(model(x), y).backward()
            optimizer.step()


@planted("never cleared")
def zero_grad_forgotten_in_a_closure(watch: Any) -> None:
    model = mlp()
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=3)
    ((x, y),) = batches(1)

    def closure() -> torch.Tensor:
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        return loss

    with watch(optimizer, model=model):
        for _ in range(2):
            optimizer.step(closure)


@planted("never cleared", there=HOOKS)
def zero_grad_forgotten_in_the_backward_pass(watch: Any) -> None:
    """Steps are made as soon as a gradient is there, and the gradient stays."""
    model = mlp()
    optimizers = {p: torch.optim.SGD([p], lr=0.1) for p in model.parameters()}
    for p in model.parameters():
        p.register_post_accumulate_grad_hook(lambda p: optimizers[p].step())
    with watch([*optimizers.values()], model=model):
        for x, y in batches():
            F.cross_entropy(model(x), y).backward()


@planted("never cleared")
def gradients_added_by_hand(watch: Any) -> None:
    """There is no backward pass, and nothing clears what was added."""
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model):
        for x, y in batches():
            inputs: Any = model.parameters()  # which torch takes, and types as no sequence
            found = torch.autograd.grad(F.cross_entropy(model(x), y), inputs)
            for p, g in zip(model.parameters(), found, strict=True):
                p.grad = g if p.grad is None else p.grad + g
            optimizer.step()


@planted("never cleared")
def unfrozen_and_never_cleared(watch: Any) -> None:
    """What is cleared was chosen before the body came."""
    model = mlp()
    optimizer = sgd(model[2])
    with watch(optimizer, model=model):
        for n, (x, y) in enumerate(batches(6)):
            if n == 2:
                optimizer.add_param_group({"params": [*model[0].parameters()]})
            model[2].zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()


@planted("never cleared")
def joins_with_what_had_piled_up(watch: Any) -> None:
    """It comes between a pass and the step, with the gradients of all passes."""
    model = mlp()
    optimizer = sgd(model[2])
    with watch(optimizer, model=model):
        for n, (x, y) in enumerate(batches()):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            if n == 2:
                optimizer.add_param_group({"params": [*model[0].parameters()]})
            optimizer.step()


@planted("stale gradient")
def another_model_cleared(watch: Any) -> None:
    """Only the head is cleared; the body's gradient stays where a pass does not reach it."""
    body, head = nn.Linear(3, 3), nn.Linear(3, 2)
    optimizer = torch.optim.SGD([*body.parameters(), *head.parameters()], lr=0.1)
    with watch(optimizer, model=[body, head]):
        for n, (x, y) in enumerate(batches()):
            head.zero_grad()
            F.cross_entropy(head(body(x) if n == 0 else x), y).backward()
            optimizer.step()


@planted("gradients used twice")
def two_steps_for_a_pass(watch: Any) -> None:
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model):
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            optimizer.step()


@planted("one loss twice")
def backward_twice_on_a_kept_graph(watch: Any) -> None:
    """Once for the loss, and once more for what was to be looked at."""
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model):
        for x, y in batches():
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward(retain_graph=True)
            loss.backward()
            optimizer.step()


@planted("cleared before the step")
def zero_grad_too_late(watch: Any) -> None:
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model):
        for x, y in batches():
            F.cross_entropy(model(x), y).backward()
            optimizer.zero_grad(set_to_none=False)
            optimizer.step()


@planted("cleared before the step")
def backward_after_the_step(watch: Any) -> None:
    """What a pass computes is cleared at the top of the next round; the first step has no pass."""
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model):
        for x, y in batches():
            optimizer.zero_grad()
            optimizer.step()
            F.cross_entropy(model(x), y).backward()


@planted("cleared between micro-batches")
def zero_grad_for_each_micro_batch(watch: Any) -> None:
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model, loss="mean"):
        for n, (x, y) in enumerate(batches(8)):
            optimizer.zero_grad()
            (F.cross_entropy(model(x), y) / 4).backward()
            if n % 4 == 3:
                optimizer.step()


@planted("cleared between micro-batches")
def zero_grad_in_the_middle(watch: Any) -> None:
    """The losses do not say how many there are; whoever watches does."""
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model, accumulation=4):
        for n, (x, y) in enumerate(batches(8)):
            if n % 2 == 0:
                optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            if n % 4 == 3:
                optimizer.step()


@planted("step after each micro-batch")
def step_for_each_micro_batch(watch: Any) -> None:
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model, accumulation=4):
        for x, y in batches(8):
            (F.cross_entropy(model(x), y) / 4).backward()
            optimizer.step()
            optimizer.zero_grad()


@planted("step after each micro-batch", there=HOOKS)
def step_within_each_micro_batch(watch: Any) -> None:
    model = mlp()
    optimizers = {p: torch.optim.SGD([p], lr=0.1) for p in model.parameters()}

    def move(p: Any) -> None:
        optimizers[p].step()
        optimizers[p].zero_grad()

    for p in model.parameters():
        p.register_post_accumulate_grad_hook(move)
    with watch([*optimizers.values()], model=model, accumulation=2):
        for x, y in batches():
            (F.cross_entropy(model(x), y) / 2).backward()


@planted("no gradient")
def no_backward_pass(watch: Any) -> None:
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model):
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(model(x), y)
            optimizer.step()


@planted("no gradient")
def loss_cut_off(watch: Any) -> None:
    """What is differentiated is not what depends on the parameters."""
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model):
        for x, y in batches():
            optimizer.zero_grad()
            out = torch.tensor(model(x).tolist(), requires_grad=True)
            F.cross_entropy(out, y).backward()
            optimizer.step()


@planted("sum for mean")
def sum_of_rows(watch: Any) -> None:
    model = mlp()
    optimizer = sgd(model, lr=0.01)
    criterion = nn.CrossEntropyLoss(reduction="sum")
    with watch(optimizer, model=model, loss="mean"):
        for x, y in batches():
            optimizer.zero_grad()
            criterion(model(x), y).backward()
            optimizer.step()


@planted("mean for sum")
def mean_of_rows(watch: Any) -> None:
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model, loss="sum"):
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()


@planted("accumulation undivided")
def accumulation_undivided(watch: Any) -> None:
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model, loss="mean"):
        for n, (x, y) in enumerate(batches(8)):
            F.cross_entropy(model(x), y).backward()
            if n % 4 == 3:
                optimizer.step()
                optimizer.zero_grad()


@planted("accumulation undivided", there=SCALER)
def accumulation_undivided_with_a_scaler(watch: Any) -> None:
    """The mean is written as a sum over rows, the scale is undone, and nothing divides by 4."""
    scaler = grad_scaler(init_scale=1000.0)
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model, scaler=scaler, loss="mean"):
        for n, (x, y) in enumerate(batches(8)):
            loss = F.cross_entropy(model(x), y, reduction="none").sum() / len(x)
            scaler.scale(loss).backward()
            if n % 4 == 3:
                scaler.unscale_(optimizer)
                clip_grad_norm_(model.parameters(), 0.1)
                scaler.step(optimizer)
                scaler.update()
                optimizer.zero_grad()


@planted("accumulation divided twice")
def accumulation_divided_twice(watch: Any) -> None:
    """Each loss is divided, and then the gradients are."""
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model, loss="mean"):
        for n, (x, y) in enumerate(batches(8)):
            (F.cross_entropy(model(x), y) / 4).backward()
            if n % 4 == 3:
                for p in model.parameters():
                    assert p.grad is not None
                    p.grad.mul_(0.25)
                optimizer.step()
                optimizer.zero_grad()


@planted("mean of unequal means")
def unequal_micro_batches(watch: Any) -> None:
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model, loss="mean"):
        for sizes in ((8, 8, 3), (8, 8, 3)):
            for rows in sizes:
                ((x, y),) = batches(1, rows)
                (F.cross_entropy(model(x), y) / 3).backward()
            optimizer.step()
            optimizer.zero_grad()


@planted("short window")
def last_window_divided_as_the_others(watch: Any) -> None:
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model, loss="mean"):
        for n, (x, y) in enumerate(batches(10)):
            (F.cross_entropy(model(x), y) / 4).backward()
            if n % 4 == 3 or n == 9:
                optimizer.step()
                optimizer.zero_grad()


def _scaled(
    watch: Any,
    step: Callable[[nn.Module, Any, Any], None],
    scale: bool = True,
    init_scale: float = 1024.0,
) -> None:
    """A loop with a scaler."""
    model = mlp()
    optimizer = sgd(model)
    scaler = grad_scaler(init_scale=init_scale)
    with watch(optimizer, model=model, scaler=scaler):
        for x, y in batches():
            optimizer.zero_grad()
            scaler.scale(torch.zeros(1))  # another loss, which may have been scaled
            loss = F.cross_entropy(model(x), y)
            (scaler.scale(loss) if scale else loss).backward()
            step(model, optimizer, scaler)
            scaler.update()


@planted("never unscaled", there=SCALER)
def step_without_the_scaler(watch: Any) -> None:
    def step(model: nn.Module, optimizer: Any, scaler: Any) -> None:
        optimizer.step()
        scaler.unscale_(optimizer)  # too late

    _scaled(watch, step)


@planted("unscaled twice", there=SCALER)
def unscaled_by_hand_as_well(watch: Any) -> None:
    def step(model: nn.Module, optimizer: Any, scaler: Any) -> None:
        for p in model.parameters():
            assert p.grad is not None
            p.grad /= scaler.get_scale()
        scaler.step(optimizer)

    _scaled(watch, step)


@planted("never scaled", there=SCALER)
def scale_forgotten(watch: Any) -> None:
    _scaled(watch, lambda model, optimizer, scaler: scaler.step(optimizer), scale=False)


@planted("never scaled", there=SCALER)
def scale_forgotten_and_looked_at(watch: Any) -> None:
    def step(model: Any, optimizer: Any, scaler: Any) -> None:
        scaler.get_scale()
        scaler.step(optimizer)

    _scaled(watch, step, scale=False)


@planted("scaled in part", there=SCALER)
def scaled_and_added_to_unscaled(watch: Any) -> None:
    model = mlp()
    optimizer = sgd(model)
    scaler = grad_scaler()
    with watch(optimizer, model=model, scaler=scaler):
        for x, y in batches():
            optimizer.zero_grad()
            scaler.scale(F.cross_entropy(model(x), y)).backward()
            scaler.unscale_(optimizer)
            scaler.scale(model(x).square().mean()).backward()
            scaler.step(optimizer)
            scaler.update()


@planted("scaled in part", there=SCALER)
def one_of_two_losses_scaled(watch: Any) -> None:
    model = mlp()
    optimizer = sgd(model)
    scaler = grad_scaler()
    with watch(optimizer, model=model, scaler=scaler):
        for x, y in batches():
            optimizer.zero_grad()
            scaler.scale(F.cross_entropy(model(x), y)).backward()
            model(x).square().mean().backward()
            scaler.step(optimizer)
            scaler.update()


@planted("not finite")
def not_finite(watch: Any) -> None:
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model):
        for n, (x, y) in enumerate(batches(3)):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            (loss * math.nan if n == 2 else loss).backward()
            optimizer.step()


@planted("clips scaled gradients", there=SCALER)
def clipped_before_unscaling(watch: Any) -> None:
    def step(model: nn.Module, optimizer: Any, scaler: Any) -> None:
        clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)

    _scaled(watch, step)


@planted("clips scaled gradients", there=SCALER)
def clipped_before_unscaling_with_a_log(watch: Any) -> None:
    def step(model: nn.Module, optimizer: Any, scaler: Any) -> None:
        logged.append(scaler.get_scale())
        clip_grad_norm_(model.parameters(), 1.5)
        scaler.step(optimizer)

    logged: list[float] = []
    _scaled(watch, step)


@planted("clips scaled gradients", there=SCALER)
def scaled_norm_that_overflows(watch: Any) -> None:
    """The scaler finds zeros, which are finite, and makes its step."""

    def step(model: nn.Module, optimizer: Any, scaler: Any) -> None:
        clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)

    _scaled(watch, step, init_scale=2.0**100)


@planted("clips to zeros")
def norm_that_overflows(watch: Any) -> None:
    """Each element is finite, and the sum of their squares is not."""
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model):
        for n, (x, y) in enumerate(batches()):
            optimizer.zero_grad()
            (F.cross_entropy(model(x), y) * (1e30 if n == 2 else 1)).backward()
            clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()


@planted("clips to zeros", there=SCALER)
def unscaled_norm_that_overflows(watch: Any) -> None:
    model = mlp()
    optimizer = sgd(model)
    scaler = grad_scaler(init_scale=4.0)
    with watch(optimizer, model=model, scaler=scaler):
        for x, y in batches():
            optimizer.zero_grad()
            scaler.scale(F.cross_entropy(model(x), y) * 1e30).backward()
            scaler.unscale_(optimizer)
            clip_grad_norm_(model.parameters(), 1.0)
            scaler.step(optimizer)
            scaler.update()


@planted("clips each micro-batch")
def clipped_for_each_micro_batch(watch: Any) -> None:
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model, loss="mean"):
        for n, (x, y) in enumerate(batches(8)):
            (F.cross_entropy(model(x), y) / 4).backward()
            clip_grad_norm_(model.parameters(), 0.05)
            if n % 4 == 3:
                optimizer.step()
                optimizer.zero_grad()


@planted("clips each micro-batch")
def clips_each_part_of_a_head(watch: Any) -> None:
    """Nobody trains the body, but its gradients are cleared."""
    model = mlp()
    optimizer = sgd(model[2])
    with watch(optimizer, model=model):
        for n, (x, y) in enumerate(batches(8)):
            (F.cross_entropy(model(x), y) / 4).backward()
            clip_grad_norm_(model.parameters(), 0.05)
            if n % 4 == 3:
                optimizer.step()
                model.zero_grad()


@planted("clips after the step")
def clipped_after_the_step(watch: Any) -> None:
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model):
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            clip_grad_value_(model.parameters(), 0.01)


@planted("clips nothing")
def clips_a_generator(watch: Any) -> None:
    """It has no parameters any more when it is given for the second time."""
    model = mlp()
    parameters = model.parameters()
    optimizer = sgd(model)
    with watch(optimizer, model=model):
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            clip_grad_norm_(parameters, 0.1)
            optimizer.step()


@planted("clips no gradient")
def clips_before_the_pass(watch: Any) -> None:
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model):
        for x, y in batches():
            optimizer.zero_grad(set_to_none=True)
            clip_grad_norm_(model.parameters(), 0.1)
            F.cross_entropy(model(x), y).backward()
            optimizer.step()


@planted("clips no gradient")
def clips_what_was_cleared(watch: Any) -> None:
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model):
        for x, y in batches():
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            clip_grad_norm_(model.parameters(), 0.1)


@planted("clips what piles up")
def norm_of_what_is_not_trained(watch: Any) -> None:
    """Gradients of the body, which is not frozen, are cleared by nobody."""
    model = mlp()
    optimizer = sgd(model[2])
    with watch(optimizer, model=model):
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            clip_grad_norm_(model.parameters(), 0.1)
            optimizer.step()


@planted("schedule per micro-batch")
def schedule_for_each_micro_batch(watch: Any) -> None:
    model = mlp()
    optimizer = sgd(model)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 3)
    with watch(optimizer, model=model, scheduler=schedule):
        for n, (x, y) in enumerate(batches(12)):
            (F.cross_entropy(model(x), y) / 4).backward()
            if n % 4 == 3:
                optimizer.step()
                optimizer.zero_grad()
            schedule.step()


@planted("schedule made anew")
def scheduler_built_in_each_epoch(watch: Any) -> None:
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model):
        for _ in range(3):
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 3)
            for x, y in batches(2):
                optimizer.zero_grad()
                F.cross_entropy(model(x), y).backward()
                optimizer.step()
            schedule.step()


@planted("schedule made anew")
def steps_that_never_come(watch: Any) -> None:
    """Each begins to count to two."""
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model):
        for x, y in batches():
            schedule = torch.optim.lr_scheduler.StepLR(optimizer, 2)
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            schedule.step()


@planted("average before the step")
def averaged_before_the_step(watch: Any) -> None:
    model = mlp()
    optimizer = sgd(model)
    average = torch.optim.swa_utils.AveragedModel(model)
    with watch(optimizer, model=model):
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            average.update_parameters(model)
            optimizer.step()


@planted("average of nobody")
def average_of_a_copy(watch: Any) -> None:
    """What is averaged is the model as it was before it was copied."""
    untrained = mlp()
    model = copy.deepcopy(untrained)
    optimizer = sgd(model)
    average = torch.optim.swa_utils.AveragedModel(untrained)
    with watch(optimizer, model=model):
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            average.update_parameters(untrained)


@planted("schedule per micro-batch")
def polynomial_for_each_part(watch: Any) -> None:
    model = mlp()
    optimizer = sgd(model)
    schedule = torch.optim.lr_scheduler.PolynomialLR(optimizer, 4)
    with watch(optimizer, model=model, scheduler=schedule):
        for n, (x, y) in enumerate(batches(8)):
            (F.cross_entropy(model(x), y) / 2).backward()
            if n % 2:
                optimizer.step()
                optimizer.zero_grad()
            schedule.step()


def _forgotten(watch: Any, made: Callable[[Any], Any]) -> None:
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model, scheduler=made(optimizer)):
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()


@planted("schedule never advances", whole=True)
def schedule_forgotten(watch: Any) -> None:
    _forgotten(watch, lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 1))


@planted("schedule never advances", whole=True)
def plateau_forgotten(watch: Any) -> None:
    _forgotten(watch, torch.optim.lr_scheduler.ReduceLROnPlateau)


@planted("schedule never advances", whole=True)
def schedule_before_the_averages_forgotten(watch: Any) -> None:
    model = mlp()
    optimizer = sgd(model)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 3)
    late = torch.optim.swa_utils.SWALR(optimizer, swa_lr=0.05)
    with watch(optimizer, model=model, scheduler=[schedule, late]):
        for epoch in range(4):
            for x, y in batches(2):
                optimizer.zero_grad()
                F.cross_entropy(model(x), y).backward()
                optimizer.step()
            if epoch > 1:
                late.step()


def _too_early(watch: Any, *, at_the_top: bool, placed: bool = False) -> None:
    model = mlp()
    optimizer = sgd(model)
    schedule = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 8)
    with watch(optimizer, model=model, scheduler=schedule):
        if placed:
            schedule.step(0)
        for x, y in batches():
            if at_the_top:
                schedule.step()
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            if not at_the_top:
                schedule.step()
            optimizer.step()


@planted("schedule before the step")
def schedule_right_before_the_step(watch: Any) -> None:
    _too_early(watch, at_the_top=False)


@planted("schedule before the step", whole=True)
def schedule_at_the_top(watch: Any) -> None:
    _too_early(watch, at_the_top=True)


@planted("schedule before the step")
def schedule_put_back_before_the_step(watch: Any) -> None:
    _too_early(watch, at_the_top=False, placed=True)


@planted("schedule before the step")
def schedule_at_the_top_of_epochs(watch: Any) -> None:
    model = mlp()
    optimizer = sgd(model)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    with watch(optimizer, model=model, scheduler=schedule):
        for _ in range(2):
            schedule.step()
            for x, y in batches(2):
                optimizer.zero_grad()
                F.cross_entropy(model(x), y).backward()
                optimizer.step()


@planted("schedule at a skipped step", there=SCALER)
def schedule_at_a_skipped_step(watch: Any) -> None:
    model = mlp()
    optimizer = sgd(model)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    scaler = grad_scaler()
    with watch(optimizer, model=model, scheduler=schedule, scaler=scaler):
        for n, (x, y) in enumerate(batches()):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            scaler.scale(loss * math.inf if n == 1 else loss).backward()
            scaler.step(optimizer)
            scaler.update()
            schedule.step()


@planted("rate overwritten")
def rate_set_by_hand(watch: Any) -> None:
    model = mlp()
    optimizer = sgd(model)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.9**epoch)
    with watch(optimizer, model=model, scheduler=schedule):
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            optimizer.param_groups[0]["lr"] *= 0.5
            schedule.step()


@planted("rate overwritten")
def cut_overwritten(watch: Any) -> None:
    """A plateau cuts the rate, and a schedule that is stepped after it knows nothing of that."""
    model = mlp()
    optimizer = sgd(model)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.9**epoch)
    with watch(optimizer, model=model):
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            plateau.step(1.0)
            schedule.step()


@planted("rate overwritten")
def cut_that_lasts_a_step(watch: Any) -> None:
    """The plateau is one of epochs, and the schedule goes on after each step."""
    model = mlp()
    optimizer = sgd(model)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=9)
    with watch(optimizer, model=model):
        for _ in range(3):
            for x, y in batches(2):
                optimizer.zero_grad()
                F.cross_entropy(model(x), y).backward()
                optimizer.step()
                schedule.step()
            plateau.step(1.0)


@planted("schedule of nobody")
def schedule_of_a_former_optimizer(watch: Any) -> None:
    model = mlp()
    schedule = torch.optim.lr_scheduler.ExponentialLR(sgd(model), 0.5)
    optimizer = sgd(model)
    with watch(optimizer, model=model, scheduler=schedule):
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            schedule.step()


@planted("dead parameters")
def model_copied_after_the_optimizer(watch: Any) -> None:
    model = mlp()
    optimizer = sgd(model)
    model = copy.deepcopy(model)
    with watch(optimizer, model=model):
        for x, y in batches():
            model.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()


@planted("dead parameters")
def head_replaced_after_the_optimizer(watch: Any) -> None:
    model = mlp()
    groups: list[dict[str, Any]] = [
        {"params": model[0].parameters()},
        {"params": model[2].parameters(), "lr": 0.5},
    ]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    model[2] = nn.Linear(6, 2)
    with watch(optimizer, model=model):
        for x, y in batches():
            model.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()


@planted("dead parameters")
def head_with_more_outputs(watch: Any) -> None:
    """The other layers of its group are alive."""
    model = mlp()
    optimizer = sgd(model)
    model[2] = nn.Linear(6, 3)
    with watch(optimizer, model=model):
        for x, y in batches():
            model.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()


@planted("listed twice")
def parameter_listed_twice(watch: Any) -> None:
    model = mlp()
    optimizer = sgd(model)
    optimizer.param_groups[0]["params"].append(model[0].weight)
    with watch(optimizer, model=model):
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()


@planted("two optimizers, one gradient")
def shared_by_two_optimizers(watch: Any) -> None:
    body, actor, value = nn.Linear(3, 4), nn.Linear(4, 2), nn.Linear(4, 1)
    one = torch.optim.Adam([*body.parameters(), *actor.parameters()], lr=0.01)
    other = torch.optim.Adam([*body.parameters(), *value.parameters()], lr=0.01)
    with watch([one, other], model=[body, actor, value]):
        for x, y in batches():
            one.zero_grad()
            other.zero_grad()
            F.cross_entropy(actor(body(x)), y).backward()
            value(body(x)).square().mean().backward()
            one.step()
            other.step()


@planted("lost in rounding")
def steps_too_small_for_bfloat16(watch: Any) -> None:
    model = mlp().bfloat16()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-5)
    with watch(optimizer, model=model):
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(model(x.bfloat16()).float(), y).backward()
            optimizer.step()


@planted("frozen and moving")
def frozen_with_zeros(watch: Any) -> None:
    """Frozen in the middle, with a gradient that is cleared to zeros, and decay."""
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model):
        for n, (x, y) in enumerate(batches()):
            if n == 2:
                model[0].requires_grad_(False)
            optimizer.zero_grad(set_to_none=False)
            F.cross_entropy(model(x), y).backward()
            optimizer.step()


def _exempt(watch: Any, *words: str) -> None:
    """Parameters whose names have one of some words are not decayed."""
    torch.manual_seed(5)
    model = nn.Sequential()
    for name, layer in {
        "first": nn.Linear(3, 6),
        "norm": nn.LayerNorm(6),
        "second": nn.Linear(6, 6),
        "ln": nn.LayerNorm(6),
        "head": nn.Linear(6, 2),
    }.items():
        model.add_module(name, layer)
    named = dict(model.named_parameters())
    exempt = [name for name in named if any(word in name for word in words)]
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for name, p in named.items() if name not in exempt], "weight_decay": 0.1},
            {"params": [named[name] for name in exempt], "weight_decay": 0.0},
        ],
        lr=0.01,
    )
    with watch(optimizer, model=model):
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()


@planted("exemption of some")
def names_that_some_have(watch: Any) -> None:
    _exempt(watch, "bias", "norm.weight")


@planted("optimizer made anew")
def optimizer_in_the_loop(watch: Any) -> None:
    model = mlp()
    optimizers = [torch.optim.Adam(model.parameters(), lr=0.01) for _ in range(4)]
    with watch(optimizers, model=model):
        for optimizer, (x, y) in zip(optimizers, batches(), strict=True):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()


class Deaf(torch.optim.SGD):
    """It takes a closure, and does not call it."""

    def step(self, closure: Any = None) -> Any:
        return super().step()


@planted("closure never called")
def closure_never_called(watch: Any) -> None:
    model = mlp()
    optimizer = Deaf(model.parameters(), lr=0.1)
    ((x, y),) = batches(1)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        return loss

    with watch(optimizer, model=model):
        for _ in range(3):
            optimizer.step(closure)


@planted("left in eval mode")
def left_in_eval_mode(watch: Any) -> None:
    model = mlp(norm=True)
    optimizer = sgd(model)
    model.train()
    with watch(optimizer, model=model):
        for _ in range(3):
            for x, y in batches(2):
                optimizer.zero_grad()
                F.cross_entropy(model(x), y).backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                for x, y in batches(2):
                    F.cross_entropy(model(x), y)


@planted("decay divided by a count")
def decay_divided_by_the_rows(watch: Any) -> None:
    """Somebody has divided the decay by the batch size, as the losses are."""
    model = mlp()
    optimizer = sgd(model, weight_decay=0.1 / 8)
    with watch(optimizer, model=model, weight_decay=0.1):
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()


@planted("left in eval mode")
def left_in_eval_by_a_function(watch: Any) -> None:
    model = mlp(norm=True)
    optimizer = sgd(model)

    @torch.no_grad()
    def validate() -> float:
        model.eval()
        model.eval()  # which is as good as once
        return sum(float(F.cross_entropy(model(x), y)) for x, y in batches(2))

    with watch(optimizer, model=model):
        for n, (x, y) in enumerate(batches(5)):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            if n == 1:
                validate()


class BatchScaled(torch.optim.SGD):
    """An optimizer that divides its decay by the batch size, which it is told."""

    def step(self, closure: Any = None) -> Any:
        decay = self.param_groups[0]["weight_decay"]
        self.param_groups[0]["weight_decay"] = decay / 8
        super().step(closure)
        self.param_groups[0]["weight_decay"] = decay


@planted("decay divided by a count")
def decay_divided_by_the_optimizer(watch: Any) -> None:
    model = mlp()
    optimizer = BatchScaled(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    with watch(optimizer, model=model):
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()


@planted("decay multiplied with a count")
def decay_for_each_micro_batch(watch: Any) -> None:
    """The gradients are a sum over four micro-batches, so somebody has multiplied the decay."""
    model = mlp()
    optimizer = sgd(model, weight_decay=0.4)
    with watch(optimizer, model=model, weight_decay=0.1):
        for n, (x, y) in enumerate(batches(12)):
            (F.cross_entropy(model(x), y) / 4).backward()
            if n % 4 == 3:
                optimizer.step()
                optimizer.zero_grad()


class Traced(torch.optim.SGD):
    """A step that goes by the gradients which there were when it was traced."""

    def step(self, closure: Any = None) -> Any:
        if not hasattr(self, "traced"):
            self.traced = [p for p in self.param_groups[0]["params"] if p.grad is not None]
        every = self.param_groups[0]["params"]
        self.param_groups[0]["params"] = self.traced
        super().step(closure)
        self.param_groups[0]["params"] = every


@planted("left behind")
def traced_without_some_gradients(watch: Any) -> None:
    """At the first step the first layer had no gradient."""
    model = mlp()
    optimizer = Traced(model.parameters(), lr=0.1)
    with watch(optimizer, model=model):
        for n, (x, y) in enumerate(batches(5)):
            optimizer.zero_grad()
            model[0].requires_grad_(n > 0)
            F.cross_entropy(model(x), y).backward()
            optimizer.step()


@planted("raises")
def backward_twice(watch: Any) -> None:
    model = mlp()
    optimizer = sgd(model)
    ((x, y),) = batches(1)
    loss = F.cross_entropy(model(x), y)
    with watch(optimizer, model=model):
        for _ in range(2):
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


@planted("no step")
def no_step(watch: Any) -> None:
    model = mlp()
    with watch(sgd(model), model=model):
        for x, y in batches():
            F.cross_entropy(model(x), y).backward()
