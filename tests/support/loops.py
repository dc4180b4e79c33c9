"""Right training loops of many styles, each short enough to be read.

A loop is given what watches it, ``watch(optimizer, **meant)``, a context manager, and returns what
it has trained.
"""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import copy
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import clip_grad_norm_, clip_grad_value_
from torch.utils.checkpoint import checkpoint

from tests.support.training import HOOKS, SCALER, Loop, batches, gloo, grad_scaler, mlp, sgd

RIGHT: dict[str, Loop] = {}
"""By name, those that this torch can run."""


def right(loop: Loop) -> Loop:
    """Enter a loop into the list."""
    RIGHT[loop.__name__] = loop
    return loop


def where(there: bool) -> Callable[[Loop], Loop]:
    """Enter a loop into the list, if this torch has what it needs."""
    return right if there else lambda loop: loop


@right
def plain(watch: Any) -> Any:
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model, loss="mean", accumulation=1, weight_decay=0.01):
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return model


@right
def cleared_at_the_end(watch: Any) -> Any:
    model = mlp()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    criterion = nn.CrossEntropyLoss()
    with watch(optimizer, model=model, loss="mean"):
        for x, y in batches():
            criterion(model(x), y).backward()
            optimizer.step()
            model.zero_grad()
    return model


@right
def cleared_to_zeros(watch: Any) -> Any:
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model, loss="mean"):
        for x, y in batches():
            optimizer.zero_grad(set_to_none=False)
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return model


@right
def cleared_by_hand(watch: Any) -> Any:
    """As it was done before there were optimizers: nothing of this is counted by torch."""
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model, loss="mean"):
        for x, y in batches():
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            for p in model.parameters():
                assert p.grad is not None
                p.grad.data.zero_()
    return model


@right
def same_batch_constant_gradient(watch: Any) -> Any:
    """Each step has the very numbers of the step before, and a gradient of its own."""
    w = nn.Parameter(torch.ones(3))
    optimizer = torch.optim.SGD([w], lr=0.5)
    with watch(optimizer, loss="sum"):
        for _ in range(4):
            optimizer.zero_grad()
            (w * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
            optimizer.step()
    return w


@right
def accumulated(watch: Any) -> Any:
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model, loss="mean", accumulation=4):
        for n, (x, y) in enumerate(batches(12)):
            (F.cross_entropy(model(x), y) / 4).backward()
            if n % 4 == 3:
                optimizer.step()
                optimizer.zero_grad()
    return model


@right
def accumulated_then_divided(watch: Any) -> Any:
    """The gradients are divided, not the losses."""
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model, loss="mean"):
        for n, (x, y) in enumerate(batches(9)):
            F.cross_entropy(model(x), y).backward()
            if n % 3 == 2:
                for p in model.parameters():
                    assert p.grad is not None
                    p.grad /= 3
                optimizer.step()
                optimizer.zero_grad()
    return model


@right
def accumulated_unequal(watch: Any) -> Any:
    """Each mean weighs as much as it has rows; the last step has fewer micro-batches."""
    model = mlp()
    optimizer = sgd(model)
    sizes = [[8, 8, 3], [5, 8, 8], [8, 2]]
    with watch(optimizer, model=model, loss="mean"):
        for rows in sizes:
            for count in rows:
                ((x, y),) = batches(1, count)
                (F.cross_entropy(model(x), y) * (count / sum(rows))).backward()
            optimizer.step()
            optimizer.zero_grad()
    return model


@right
def accumulated_sums(watch: Any) -> Any:
    """Sums, divided by the rows of the whole step; tokens that are ignored do not count."""
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model, loss="mean"):
        for _ in range(2):
            parts = batches(3)
            for _, y in parts:
                y[:2] = -100
            total = sum(int((y != -100).sum()) for _, y in parts)
            for x, y in parts:
                loss = F.cross_entropy(model(x), y, reduction="sum")
                (loss / total).backward()
            optimizer.step()
            optimizer.zero_grad()
    return model


@right
def summed(watch: Any) -> Any:
    model = mlp()
    optimizer = sgd(model, lr=0.01)
    with watch(optimizer, model=model, loss="sum"):
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(model(x), y, reduction="sum").backward()
            optimizer.step()
    return model


@right
def several_losses(watch: Any) -> Any:
    """Parts of one loss, each with a backward pass of its own, and one that is put together."""
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model):
        for x, y in batches():
            optimizer.zero_grad()
            out = model(x)
            F.cross_entropy(out, y).backward(retain_graph=True)
            (0.1 * out.square().mean() + 0.01 * model(x).abs().sum()).backward()
            optimizer.step()
    return model


@where(SCALER)
def overflow_left_out(watch: Any) -> Any:
    """To clip what overflows in one place makes zeros of the rest; the scaler leaves out the step.

    The step after it does not reach all that there were zeros of.
    """
    model = mlp()
    first, squash, last = model
    optimizer = sgd(model)
    scaler = grad_scaler()
    with watch(optimizer, model=model, scaler=scaler, loss="mean"):
        for n, (x, y) in enumerate(batches(5)):
            optimizer.zero_grad(set_to_none=False)
            hidden = squash(first(x))
            out = last(hidden.detach() if n in (1, 4) else hidden)
            loss = F.cross_entropy(out, y)
            if n in (0, 3):
                loss = loss + math.inf * last.get_parameter("bias").sum()
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            clip_grad_norm_(model.parameters(), 1.0)
            scaler.step(optimizer)
            scaler.update()
    return model


@where(SCALER)
def scaled(watch: Any) -> Any:
    model = mlp()
    optimizer = sgd(model)
    scaler = grad_scaler()
    with watch(optimizer, model=model, scaler=scaler, loss="mean"):
        for x, y in batches():
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = F.cross_entropy(model(x), y)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
    return model


@where(SCALER)
def scaled_accumulated_clipped_scheduled(watch: Any) -> Any:
    """Everything at once, and one step that is left out, at which the schedule waits."""
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 0.5, total_iters=3)
    scaler = grad_scaler(init_scale=1000.0)
    with watch(optimizer, model=model, scheduler=schedule, scaler=scaler, loss="mean"):
        for n, (x, y) in enumerate(batches(8)):
            loss = F.cross_entropy(model(x), y) / 2
            if n == 2:
                loss = loss * math.inf
            scaler.scale(loss).backward()
            if n % 2:
                scaler.unscale_(optimizer)
                clip_grad_norm_(model.parameters(), 0.05)
                scaler.step(optimizer)
                scale = scaler.get_scale()
                scaler.update()
                optimizer.zero_grad(set_to_none=True)
                if scaler.get_scale() >= scale:
                    schedule.step()
    return model


@where(SCALER)
def scaled_by_hand(watch: Any) -> Any:
    """A scaler's scale, and gradients that are divided by it by hand."""
    model = mlp()
    optimizer = sgd(model)
    scaler = grad_scaler()
    with watch(optimizer, model=model, scaler=scaler, loss="mean"):
        for x, y in batches():
            optimizer.zero_grad()
            scaler.scale(F.cross_entropy(model(x), y)).backward()
            for p in model.parameters():
                assert p.grad is not None
                p.grad.div_(scaler.get_scale())
            optimizer.step()
    return model


@where(SCALER)
def scaled_with_a_scaled_limit(watch: Any) -> Any:
    """Gradients are clipped while they are scaled, and so is the limit, chosen or computed."""
    model = mlp()
    optimizer = sgd(model)
    scaler = grad_scaler()
    with watch(optimizer, model=model, scaler=scaler):
        for n, (x, y) in enumerate(batches()):
            optimizer.zero_grad()
            scaler.scale(F.cross_entropy(model(x), y)).backward()
            limit = math.pi / 10 if n % 2 else 0.25
            clip_grad_norm_(model.parameters(), limit * scaler.get_scale())
            scaler.step(optimizer)
            scaler.update()
    return model


@right
def distributed_data_parallel(watch: Any) -> Any:
    """One process of one, micro-batches without synchronization included."""
    with tempfile.TemporaryDirectory() as folder, gloo(Path(folder) / "store"):
        inner = mlp()
        model = nn.parallel.DistributedDataParallel(inner)
        optimizer = sgd(model)
        with watch(optimizer, model=model, loss="mean", accumulation=2):
            for n, (x, y) in enumerate(batches(6)):
                last = n % 2 == 1
                with nullcontext() if last else model.no_sync():
                    (F.cross_entropy(model(x), y) / 2).backward()
                if last:
                    optimizer.step()
                    optimizer.zero_grad()
    return inner


@right
def clipped_by_norm(watch: Any) -> Any:
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model, loss="mean"):
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            clip_grad_norm_((p for p in model.parameters() if p.requires_grad), 0.1)
            optimizer.step()
    return model


@right
def clipped_by_value(watch: Any) -> Any:
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model, loss="mean"):
        for n, (x, y) in enumerate(batches(6)):
            (F.cross_entropy(model(x), y) / 2).backward()
            if n % 2:
                clip_grad_value_(model.parameters(), 0.01)
                optimizer.step()
                optimizer.zero_grad()
    return model


@right
def norm_measured(watch: Any) -> Any:
    """A norm is logged after each pass and each step, by clipping with no limit."""
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model, loss="mean"):
        for n, (x, y) in enumerate(batches(6)):
            (F.cross_entropy(model(x), y) / 2).backward()
            clip_grad_norm_(model.parameters(), math.inf)
            if n % 2:
                optimizer.step()
                clip_grad_norm_(model.parameters(), math.inf)
                optimizer.zero_grad()
    return model


def _scheduled(watch: Any, build: Callable[[Any], Any], *, per_epoch: bool) -> Any:
    model = mlp()
    optimizer = sgd(model)
    schedule = build(optimizer)
    with watch(optimizer, model=model, scheduler=schedule, loss="mean"):
        for _ in range(3):
            for x, y in batches(2):
                optimizer.zero_grad()
                F.cross_entropy(model(x), y).backward()
                optimizer.step()
                if not per_epoch:
                    schedule.step()
            if per_epoch:
                schedule.step()
    return model


@right
def scheduled_per_step(watch: Any) -> Any:
    return _scheduled(
        watch,
        lambda optimizer: torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.2, total_steps=6),
        per_epoch=False,
    )


@right
def scheduled_per_epoch(watch: Any) -> Any:
    return _scheduled(
        watch, lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 1), per_epoch=True
    )


@right
def scheduled_in_sequence(watch: Any) -> Any:
    schedulers = torch.optim.lr_scheduler
    return _scheduled(
        watch,
        lambda optimizer: schedulers.SequentialLR(
            optimizer,
            [schedulers.LinearLR(optimizer), schedulers.CosineAnnealingLR(optimizer, 4)],
            [2],
        ),
        per_epoch=False,
    )


@right
def scheduled_by_metric(watch: Any) -> Any:
    model = mlp()
    optimizer = sgd(model)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)
    with watch(optimizer, model=model, scheduler=schedule, loss="mean"):
        for _ in range(3):
            for x, y in batches(2):
                optimizer.zero_grad()
                loss = F.cross_entropy(model(x), y)
                loss.backward()
                optimizer.step()
            schedule.step(float(loss.detach()))
    return model


@right
def scheduled_by_hand_at_first(watch: Any) -> Any:
    """A warm-up writes the rates before each of its steps, a schedule per epoch does the rest."""
    model = mlp()
    optimizer = sgd(model)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.9**epoch)
    with watch(optimizer, model=model, scheduler=schedule, loss="mean"):
        for epoch in range(4):
            for n, (x, y) in enumerate(batches(2)):
                done = 2 * epoch + n
                if done < 3:
                    for settings in optimizer.param_groups:
                        settings["lr"] = 0.1 * 0.9**epoch * (done + 1) / 4
                optimizer.zero_grad()
                F.cross_entropy(model(x), y).backward()
                optimizer.step()
            schedule.step()
    return model


@right
def scheduled_by_fraction_of_epochs(watch: Any) -> Any:
    """The schedule is told where it is at each micro-batch, and does not count."""
    model = mlp()
    optimizer = sgd(model)
    schedule = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 2)
    with watch(optimizer, model=model, scheduler=schedule):
        for n, (x, y) in enumerate(batches(8)):
            (F.cross_entropy(model(x), y) / 2).backward()
            if n % 2:
                optimizer.step()
                optimizer.zero_grad()
            schedule.step(n / 4)
    return model


@right
def resumed(watch: Any) -> Any:
    """States of optimizer and schedule are loaded, and another schedule is brought up by steps."""
    model = mlp()
    first = sgd(model)
    first_schedule = torch.optim.lr_scheduler.LambdaLR(first, lambda epoch: 0.5**epoch)
    for x, y in batches(2):
        first.zero_grad()
        F.cross_entropy(model(x), y).backward()
        first.step()
        first_schedule.step()
    optimizer = sgd(model)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.5**epoch)
    with watch(optimizer, model=model, scheduler=schedule, loss="mean"):
        optimizer.load_state_dict(copy.deepcopy(first.state_dict()))
        schedule.load_state_dict(first_schedule.state_dict())
        for x, y in batches(3):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            schedule.step()
    return model


@right
def brought_up_by_steps(watch: Any) -> Any:
    """A schedule is taken up in its middle by stepping it before the training."""
    model = mlp()
    optimizer = sgd(model)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    with watch(optimizer, model=model, scheduler=schedule):
        optimizer.zero_grad()
        schedule.step()
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            schedule.step()
    return model


@right
def hooked(watch: Any) -> Any:
    """Hooks on tensors, modules and steps, some of which change what they are given."""
    model = mlp()
    optimizer = sgd(model)
    noise = torch.Generator().manual_seed(3)
    for p in model.parameters():
        p.register_hook(lambda g: g + 0.01 * torch.randn(g.shape, generator=noise))
    model[0].register_forward_hook(lambda module, given, out: out * 2)

    def clamp(*_: Any) -> None:
        for p in model.parameters():
            p.data.clamp_(-1, 1)

    if hasattr(optimizer, "register_step_post_hook"):
        optimizer.register_step_post_hook(clamp)
    with watch(optimizer, model=model, loss="mean"):
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return model


@where(HOOKS)
def steps_within_the_backward_pass(watch: Any) -> Any:
    """An optimizer for each parameter, which steps as soon as its gradient is there."""
    model = mlp()
    optimizers = {p: torch.optim.SGD([p], lr=0.1, momentum=0.9) for p in model.parameters()}

    def step(p: Any) -> None:
        optimizers[p].step()
        optimizers[p].zero_grad()

    for p in model.parameters():
        p.register_post_accumulate_grad_hook(step)
    with watch([*optimizers.values()], model=model, loss="mean"):
        for x, y in batches():
            F.cross_entropy(model(x), y).backward()
    return model


@where(HOOKS)
def steps_within_the_last_micro_batch(watch: Any) -> Any:
    model = mlp()
    optimizers = {p: torch.optim.AdamW([p], lr=0.01) for p in model.parameters()}
    last = False

    def step(p: Any) -> None:
        if last:
            optimizers[p].step()
            optimizers[p].zero_grad()

    for p in model.parameters():
        p.register_post_accumulate_grad_hook(step)
    with watch([*optimizers.values()], model=model, loss="mean", accumulation=2):
        for n, (x, y) in enumerate(batches()):
            last = n % 2 == 1
            (F.cross_entropy(model(x), y) / 2).backward()
    return model


@right
def line_searched(watch: Any) -> Any:
    model = mlp()
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=4, line_search_fn="strong_wolfe")
    ((x, y),) = batches(1)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        return loss

    with watch(optimizer, model=model, loss="mean"):
        for _ in range(3):
            optimizer.step(closure)
    return model


@right
def by_closures(watch: Any) -> Any:
    """As Lightning calls steps: all of one is in the closure."""
    model = mlp()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 4)

    def training_step(batch: Any) -> torch.Tensor:
        x, y = batch
        return F.cross_entropy(model(x), y)

    with watch(optimizer, model=model, scheduler=schedule, loss="mean"):
        for batch in batches():

            def closure(batch: Any = batch) -> torch.Tensor:
                optimizer.zero_grad()
                loss = training_step(batch)
                loss.backward()
                clip_grad_norm_(model.parameters(), 0.5)
                return loss

            optimizer.step(closure=closure)
            schedule.step()
    return model


@right
def adversarial(watch: Any) -> Any:
    """Two networks, two optimizers; the generator's pass reaches the discriminator, too."""
    torch.manual_seed(5)
    generator, judge = nn.Linear(2, 3), nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    of_judge = torch.optim.Adam(judge.parameters(), lr=0.01)
    of_generator = torch.optim.Adam(generator.parameters(), lr=0.01)
    ones, zeros = torch.ones(8, 1), torch.zeros(8, 1)
    with watch([of_judge, of_generator], model=[generator, judge]):
        for x, _ in batches(6):
            made = generator(x[:, :2])
            of_judge.zero_grad(set_to_none=False)
            F.binary_cross_entropy_with_logits(judge(x), ones).backward()
            F.binary_cross_entropy_with_logits(judge(made.detach()), zeros).backward()
            of_judge.step()
            generator.zero_grad()
            F.binary_cross_entropy_with_logits(judge(made), ones).backward()
            of_generator.step()
    return nn.ModuleList([generator, judge])


@right
def critic(watch: Any) -> Any:
    """Several steps of a critic, whose weights are clamped, for each of the generator."""
    torch.manual_seed(5)
    generator, judge = nn.Linear(2, 3), nn.Linear(3, 1)
    of_judge = torch.optim.RMSprop(judge.parameters(), lr=0.01)
    of_generator = torch.optim.RMSprop(generator.parameters(), lr=0.01)
    with watch([of_judge, of_generator], model=[generator, judge]):
        for n, (x, _) in enumerate(batches(9)):
            of_judge.zero_grad()
            mixed = x.clone().requires_grad_()
            (slope,) = torch.autograd.grad(judge(mixed).sum(), mixed, create_graph=True)
            loss = judge(generator(x[:, :2]).detach()).mean() - judge(x).mean()
            (loss + 10 * (slope.norm(dim=1) - 1).square().mean()).backward()
            of_judge.step()
            for p in judge.parameters():
                p.data.clamp_(-0.5, 0.5)
            if n % 3 == 2:
                of_generator.zero_grad()
                (-judge(generator(x[:, :2])).mean()).backward()
                of_generator.step()
    return nn.ModuleList([generator, judge])


@right
def one_parameter_in_two_optimizers(watch: Any) -> Any:
    """Each optimizer has a loss of its own, and clears before it."""
    model = mlp()
    one, other = sgd(model), torch.optim.Adam(model[0].parameters(), lr=0.01)
    with watch([one, other], model=model):
        for x, y in batches():
            one.zero_grad()
            F.cross_entropy(model(x), y).backward()
            one.step()
            other.zero_grad()
            model[0](x).square().mean().backward()
            other.step()
    return model


@right
def one_optimizer_after_another(watch: Any) -> Any:
    """Adam at first, and then the parameters are LBFGS's."""
    model = mlp()
    ((x, y),) = batches(1)
    first = torch.optim.Adam(model.parameters(), lr=0.01)
    second = torch.optim.LBFGS(model.parameters(), max_iter=3)

    def closure() -> torch.Tensor:
        second.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        return loss

    with watch([first, second], model=model, loss="mean"):
        for _ in range(3):
            first.zero_grad()
            F.cross_entropy(model(x), y).backward()
            first.step()
        for _ in range(2):
            second.step(closure)
    return model


@right
def frozen_backbone(watch: Any) -> Any:
    model = mlp()
    for p in model[0].parameters():
        p.requires_grad_(False)
    groups: list[dict[str, Any]] = [
        {"params": model[0].parameters(), "lr": 0.0},
        {"params": model[2].parameters()},
    ]
    optimizer = torch.optim.SGD(groups, lr=0.1, momentum=0.9, weight_decay=0.1)
    with watch(optimizer, model=model, loss="mean"):
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return model


@right
def unfrozen_in_the_middle(watch: Any) -> Any:
    model = mlp()
    for p in model[0].parameters():
        p.requires_grad_(False)
    optimizer = torch.optim.Adam(model[2].parameters(), lr=0.01)
    with watch(optimizer, model=model, loss="mean"):
        for n, (x, y) in enumerate(batches(6)):
            if n == 3:
                for p in model[0].parameters():
                    p.requires_grad_(True)
                optimizer.add_param_group({"params": model[0].parameters(), "lr": 0.001})
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return model


def layers() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2))


@right
def unfrozen_layer_by_layer(watch: Any) -> Any:
    """Nobody clears the gradients of a layer before it joins: then the optimizer does."""
    model = layers()
    optimizer = sgd(model[4])
    with watch(optimizer, model=model):
        for layer in (None, 2, 0):
            if layer is not None:
                optimizer.add_param_group({"params": [*model[layer].parameters()], "lr": 0.01})
            for x, y in batches(2):
                optimizer.zero_grad()
                F.cross_entropy(model(x), y).backward()
                optimizer.step()
    return model


@right
def unfrozen_with_old_gradients(watch: Any) -> Any:
    """What has hung on a frozen body since an earlier phase is cleared when it joins."""
    model = mlp()
    F.cross_entropy(model(batches()[0][0]), batches()[0][1]).backward()
    model[0].requires_grad_(False)
    optimizer = sgd(model[2])
    with watch(optimizer, model=model):
        for n, (x, y) in enumerate(batches(6)):
            if n == 3:
                model[0].requires_grad_(True)
                optimizer.add_param_group({"params": [*model[0].parameters()]})
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return model


@right
def unfrozen_with_collected_gradients(watch: Any) -> Any:
    """The body, which has stayed where it was, begins with the mean of all passes."""
    model = mlp()
    optimizer = sgd(model[2])
    with watch(optimizer, model=model):
        for n, (x, y) in enumerate(batches()):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            if n == 2:
                for p in model[0].parameters():
                    assert p.grad is not None
                    p.grad /= 3
                optimizer.add_param_group({"params": [*model[0].parameters()]})
            optimizer.step()
    return model


@right
def a_head_and_then_all(watch: Any) -> Any:
    """The optimizer of the second phase takes nothing of what the first one has followed."""
    model = mlp()
    head, whole = sgd(model[2]), sgd(model)
    with watch([head, whole], model=model):
        for n, (x, y) in enumerate(batches()):
            optimizer = head if n < 2 else whole
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return model


@right
def unfrozen_beside_a_plateau(watch: Any) -> Any:
    """A group comes between two schedulers that take turns."""
    model = mlp()
    model[0].requires_grad_(False)
    optimizer = torch.optim.SGD(model[2].parameters(), lr=0.1)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=9)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, [lambda epoch: 0.9**epoch])
    with watch(optimizer, model=model, loss="mean"):
        for n, (x, y) in enumerate(batches(6)):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            schedule.step()
            if n == 3:
                model[0].requires_grad_(True)
                optimizer.add_param_group({"params": model[0].parameters(), "lr": 0.001})
                schedule.base_lrs.append(0.001)
                schedule.lr_lambdas += schedule.lr_lambdas
                plateau.min_lrs.append(0.0)
            plateau.step(1.0)
    return model


@right
def groups_by_name(watch: Any) -> Any:
    """Norms and biases are exempt from decay; the head has a group of its own, which is decayed."""
    torch.manual_seed(5)
    model = nn.Sequential(
        nn.Linear(3, 6), nn.LayerNorm(6), nn.Linear(6, 6), nn.LayerNorm(6), nn.Linear(6, 2)
    )
    body = [p for name, p in model.named_parameters() if not name.startswith("4")]
    groups = [
        {"params": [p for p in body if p.dim() > 1], "weight_decay": 0.1},
        {"params": [p for p in body if p.dim() < 2], "weight_decay": 0.0},
        {"params": model[4].parameters(), "weight_decay": 0.1},
    ]
    optimizer = torch.optim.AdamW(groups, lr=0.01)
    with watch(optimizer, model=model, loss="mean", weight_decay=0.1):
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return model


@right
def nothing_to_exempt(watch: Any) -> Any:
    """The same code for a model that has neither norms nor biases."""
    torch.manual_seed(5)
    model = nn.Sequential(nn.Linear(3, 6, bias=False), nn.Tanh(), nn.Linear(6, 2, bias=False))
    groups = [
        {"params": [p for p in model.parameters() if p.dim() > 1], "weight_decay": 0.1},
        {"params": [p for p in model.parameters() if p.dim() < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=0.01)
    with watch(optimizer, model=model, loss="mean"):
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return model


@right
def averaged_beside(watch: Any) -> Any:
    """A momentum encoder and an average, which follow the model by hand."""
    model = mlp()
    average = torch.optim.swa_utils.AveragedModel(model)
    teacher = copy.deepcopy(model)
    optimizer = sgd(model)
    with watch(optimizer, model=model, loss="mean"):
        for x, _ in batches():
            optimizer.zero_grad()
            with torch.no_grad():
                aim = teacher(x)
            F.mse_loss(model(x), aim + 1).backward()
            optimizer.step()
            average.update_parameters(model)
            with torch.no_grad():
                for p, q in zip(teacher.parameters(), model.parameters(), strict=True):
                    p.lerp_(q, 0.1)
    return nn.ModuleList([model, average, teacher])


def _checkpointed(watch: Any, *, reentrant: bool) -> Any:
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model, loss="mean"):
        for n, (x, y) in enumerate(batches(6)):
            x.requires_grad_()
            middle = checkpoint(model[:2], x, use_reentrant=reentrant)
            (F.cross_entropy(model[2](middle), y) / 2).backward()
            if n % 2:
                optimizer.step()
                optimizer.zero_grad()
    return model


@right
def checkpointed(watch: Any) -> Any:
    return _checkpointed(watch, reentrant=False)


@right
def checkpointed_reentrant(watch: Any) -> Any:
    return _checkpointed(watch, reentrant=True)


@right
def checkpointed_with_its_loss(watch: Any) -> Any:
    """Nothing in the graph of the loss may be unpacked."""
    model = mlp()
    optimizer = sgd(model)

    def loss(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(model(x), y) * 0.5

    with watch(optimizer, model=model):
        for x, y in batches():
            optimizer.zero_grad()
            checkpoint(loss, x.requires_grad_(), y, use_reentrant=False).backward()
            optimizer.step()
    return model


@right
def gradients_by_hand(watch: Any) -> Any:
    """No backward pass: gradients are computed apart and put in place, new or in the old tensor."""
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    with watch(optimizer, model=model, loss="mean"):
        for n, (x, y) in enumerate(batches()):
            found = torch.autograd.grad(F.cross_entropy(model(x), y), [*model.parameters()])
            for p, g in zip(model.parameters(), found, strict=True):
                if p.grad is None or n == 2:
                    p.grad = g
                else:
                    p.grad.data.copy_(g)
            optimizer.step()
    return model


@right
def gradients_added_by_hand(watch: Any) -> Any:
    """Those of two micro-batches, the same ones each time; they are cleared after each step."""
    w = nn.Parameter(torch.ones(3))
    optimizer = torch.optim.SGD([w], lr=0.5)
    with watch(optimizer):
        for _ in range(3):
            for _ in range(2):
                (g,) = torch.autograd.grad((w * torch.tensor([1.0, 2.0, 3.0])).sum(), [w])
                w.grad = g if w.grad is None else w.grad + g
            optimizer.step()
            optimizer.zero_grad()
    return w


@right
def gradients_estimated(watch: Any) -> Any:
    """Evolution strategies: gradients of parameters that require none."""
    model = mlp().requires_grad_(False)
    optimizer = sgd(model, lr=0.01)
    noise = torch.Generator().manual_seed(3)
    with watch(optimizer, model=model):
        for x, y in batches():
            for p in model.parameters():
                move = torch.randn(p.shape, generator=noise)
                p.add_(move, alpha=0.01)
                more = F.cross_entropy(model(x), y)
                p.sub_(move, alpha=0.02)
                less = F.cross_entropy(model(x), y)
                p.add_(move, alpha=0.01)
                p.grad = (more - less) / 0.02 * move
            optimizer.step()
    return model


@where(hasattr(torch, "func"))
def functional(watch: Any) -> Any:
    """Gradients by transformed functions."""
    model = mlp()
    optimizer = sgd(model)
    names = dict(model.named_parameters())

    def loss(parameters: Mapping[str, torch.Tensor], x: Any, y: Any) -> torch.Tensor:
        return F.cross_entropy(torch.func.functional_call(model, dict(parameters), (x,)), y)

    with watch(optimizer, model=model):
        for x, y in batches():
            found = torch.func.grad(loss)({n: p.detach() for n, p in names.items()}, x, y)
            for name, p in names.items():
                p.grad = found[name]
            optimizer.step()
    return model


class Tied(nn.Module):
    """An embedding that is the last layer, too."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.embedding = nn.Embedding(6, 4)
        self.norm = nn.LayerNorm(4)
        self.head = nn.Linear(4, 6, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, words: torch.Tensor) -> Any:
        return self.head(self.norm(self.embedding(words)))


@right
def tied(watch: Any) -> Any:
    model = Tied()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    words = torch.tensor([[0, 1, 2], [3, 4, 0]])
    with watch(optimizer, model=model, loss="mean"):
        for _ in range(3):
            optimizer.zero_grad()
            out = model(words)
            F.cross_entropy(out[:, :-1].reshape(-1, 6), words[:, 1:].reshape(-1)).backward()
            optimizer.step()
    return model


@right
def sparse(watch: Any) -> Any:
    torch.manual_seed(5)
    words, head = nn.Embedding(9, 3, sparse=True), nn.Linear(3, 2)
    of_words = torch.optim.SparseAdam([*words.parameters()], lr=0.01)
    of_head = torch.optim.Adam(head.parameters(), lr=0.01)
    with watch([of_words, of_head], model=[words, head], loss="mean"):
        for n, (_, y) in enumerate(batches(6)):
            (F.cross_entropy(head(words(y + n)), y) / 2).backward()
            if n % 2:
                for optimizer in (of_words, of_head):
                    optimizer.step()
                    optimizer.zero_grad()
    return nn.ModuleList([words, head])


@right
def validated(watch: Any) -> Any:
    """Training and eval mode take turns; early on there is dropout, and batch norm."""
    model = nn.Sequential(mlp(norm=True), nn.Dropout(0.5))
    optimizer = sgd(model)
    with watch(optimizer, model=model, loss="mean"):
        for _ in range(3):
            model.train()
            for x, y in batches(2):
                optimizer.zero_grad()
                F.cross_entropy(model(x), y).backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                for x, y in batches(2):
                    F.cross_entropy(model(x), y)
    return model


@right
def trainer_style(watch: Any) -> Any:
    """As the Trainer of transformers has it: groups by name, accumulation, clipping, warm-up."""
    model = Tied()
    plain = [p for name, p in model.named_parameters() if "norm" not in name]
    rest = [p for name, p in model.named_parameters() if "norm" in name]
    optimizer = torch.optim.AdamW(
        [{"params": plain, "weight_decay": 0.01}, {"params": rest, "weight_decay": 0.0}], lr=0.01
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1, step / 2) * max(0, (6 - step) / 6)
    )
    words = torch.randint(0, 6, (8, 2, 4), generator=torch.Generator().manual_seed(2))
    with watch(optimizer, model=model, scheduler=schedule, loss="mean", accumulation=2):
        model.zero_grad()
        for n, batch in enumerate(words):
            model.train()
            out = model(batch)[:, :-1]
            loss = F.cross_entropy(out.reshape(-1, 6), batch[:, 1:].reshape(-1))
            loss = loss / 2
            loss.backward()
            if (n + 1) % 2 == 0:
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                schedule.step()
                model.zero_grad()
    return model


@right
def sharpness_aware(watch: Any) -> Any:
    """Two passes for each step: the first one is for where the second one is made."""
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model, loss="mean"):
        for x, _ in batches():
            (0.5 * F.mse_loss(model(x), torch.zeros(8, 2))).backward()
            moves = [
                0.05 * p.grad / p.grad.norm() for p in model.parameters() if p.grad is not None
            ]
            with torch.no_grad():
                for p, move in zip(model.parameters(), moves, strict=True):
                    p.add_(move)
            optimizer.zero_grad()
            (0.5 * F.mse_loss(model(x), torch.zeros(8, 2))).backward()
            with torch.no_grad():
                for p, move in zip(model.parameters(), moves, strict=True):
                    p.sub_(move)
            optimizer.step()
            optimizer.zero_grad()
    return model


@right
def gradients_mended(watch: Any) -> Any:
    """Gradients of two tasks are read, cleared, and put together by hand."""
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model, loss="mean"):
        for x, y in batches():
            tasks = []
            for loss in (F.cross_entropy(model(x), y) / 2, model(x).square().mean() / 2):
                optimizer.zero_grad()
                loss.backward()
                tasks.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
            for p, g, h in zip(model.parameters(), *tasks, strict=True):
                p.grad = g + (h if (g * h).sum() > 0 else 0)
            optimizer.step()
    return model


@right
def noise_measured(watch: Any) -> Any:
    """The gradient of another batch is looked at before each step, and cleared."""
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model):
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(model(x[:4]), y[:4]).backward()
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return model


class Lookahead(torch.optim.Optimizer):
    """An optimizer around an optimizer, which goes back half of the way after two steps."""

    def __init__(self, inner: torch.optim.Optimizer) -> None:
        self.inner = inner
        self.count = 0
        self.slow = [[p.detach().clone() for p in g["params"]] for g in inner.param_groups]
        super().__init__(inner.param_groups, {})

    def step(self, closure: Any = None) -> Any:
        loss = self.inner.step(closure)
        self.count += 1
        if self.count % 2 == 0:
            for group, slow in zip(self.inner.param_groups, self.slow, strict=True):
                for p, s in zip(group["params"], slow, strict=True):
                    s.lerp_(p.detach(), 0.5)
                    p.data.copy_(s)
        return loss


@right
def an_optimizer_around_another(watch: Any) -> Any:
    model = mlp()
    optimizer = Lookahead(sgd(model))
    with watch(optimizer, model=model, loss="mean"):
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return model


@right
def master_weights(watch: Any) -> Any:
    """The model is in bfloat16, and an optimizer has copies of its parameters in float32."""
    model = mlp().bfloat16()
    masters = [nn.Parameter(p.detach().float()) for p in model.parameters()]
    optimizer = torch.optim.SGD(masters, lr=0.1, momentum=0.9)
    with watch(optimizer):
        for x, y in batches():
            model.zero_grad()
            F.cross_entropy(model(x.bfloat16()).float(), y).backward()
            for master, p in zip(masters, model.parameters(), strict=True):
                assert p.grad is not None
                master.grad = p.grad.float()
            optimizer.step()
            for master, p in zip(masters, model.parameters(), strict=True):
                p.data.copy_(master.data)
    return model


@right
def in_bfloat16(watch: Any) -> Any:
    """Coarse parameters, and steps that they have room for; the rates of the first are small."""
    model = mlp().bfloat16()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1e-5, total_iters=3)
    with watch(optimizer, model=model, scheduler=schedule):
        for x, y in batches(5):
            optimizer.zero_grad()
            F.cross_entropy(model(x.bfloat16()).float(), y).backward()
            optimizer.step()
            schedule.step()
    return model


@right
def warmed_up_in_bfloat16(watch: Any) -> Any:
    """Only the first steps of a warm-up are seen, which no coarse parameter has room for."""
    model = mlp().bfloat16()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1e-7, total_iters=10**6)
    with watch(optimizer, model=model, scheduler=schedule):
        for x, y in batches(3):
            optimizer.zero_grad()
            F.cross_entropy(model(x.bfloat16()).float(), y).backward()
            optimizer.step()
            schedule.step()
    return model


@right
def experts(watch: Any) -> Any:
    """An expert for each batch, some for none; each has its own optimizer."""
    torch.manual_seed(5)
    gate, parts = mlp(), nn.ModuleList(nn.Linear(2, 2) for _ in range(3))
    optimizers = [sgd(gate), *(torch.optim.Adam(part.parameters(), lr=0.01) for part in parts)]
    with watch(optimizers, model=[gate, parts], loss="mean"):
        for n, (x, y) in enumerate(batches()):
            for optimizer in optimizers:
                optimizer.zero_grad()
            F.cross_entropy(parts[n % 2](gate(x)), y).backward()
            for optimizer in optimizers:
                optimizer.step()
    return nn.ModuleList([gate, parts])


@right
def a_head_that_is_not_used(watch: Any) -> Any:
    model = nn.ModuleDict({"body": mlp(), "pooler": nn.Linear(2, 2)})
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    with watch(optimizer, model=model, loss="mean"):
        for x, y in batches():
            optimizer.zero_grad()
            out = model["body"](x)
            model["pooler"](out)
            F.cross_entropy(out, y).backward()
            optimizer.step()
    return model


@right
def batches_left_out(watch: Any) -> Any:
    """Losses that are not finite are passed over, gradients and all."""
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model, loss="mean"):
        for n, (x, y) in enumerate(batches(6)):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            if n == 2:
                loss = loss * math.nan
            loss.backward()
            if not torch.isfinite(loss):
                optimizer.zero_grad()
                continue
            optimizer.step()
    return model


@right
def through_time(watch: Any) -> Any:
    """Truncated backpropagation: the state goes on, the graph does not."""
    torch.manual_seed(5)
    cell, head = nn.GRUCell(3, 4), nn.Linear(4, 2)
    optimizer = torch.optim.Adam([*cell.parameters(), *head.parameters()], lr=0.01)
    state = torch.zeros(8, 4)
    with watch(optimizer, model=[cell, head], loss="mean"):
        for x, y in batches(6):
            state = cell(x, state.detach())
            optimizer.zero_grad()
            F.cross_entropy(head(state), y).backward()
            optimizer.step()
    return nn.ModuleList([cell, head])


@right
def learning_to_learn(watch: Any) -> Any:
    """Reptile: a new optimizer for each task, from the same start, and a step towards its end."""
    model = mlp()
    meta = torch.optim.SGD(model.parameters(), lr=0.5)
    with watch(meta, model=model):
        for x, y in batches():
            start = copy.deepcopy(model.state_dict())
            inner = torch.optim.Adam(model.parameters(), lr=0.01)
            inner.zero_grad()
            F.cross_entropy(model(x), y).backward()
            inner.step()
            meta.zero_grad()
            for (name, p), q in zip(start.items(), model.parameters(), strict=True):
                q.grad = p - q.detach()
                q.data.copy_(start[name])
            meta.step()
    return model


@right
def reinforced(watch: Any) -> Any:
    """The loss is minus the mean of weighted log-probabilities; the baseline has its own."""
    policy, value = mlp(), nn.Linear(3, 1)
    optimizer = torch.optim.Adam(policy.parameters(), lr=0.01)
    baseline = torch.optim.Adam(value.parameters(), lr=0.01)
    with watch([optimizer, baseline], model=[policy, value]):
        for x, y in batches():
            reward = y - value(x).squeeze(1)
            chosen = policy(x).log_softmax(1).gather(1, y[:, None]).squeeze(1)
            optimizer.zero_grad()
            baseline.zero_grad()
            (-(chosen * reward.detach()).mean()).backward()
            reward.square().mean().backward()
            optimizer.step()
            baseline.step()
    return nn.ModuleList([policy, value])


@right
def half_squares(watch: Any) -> Any:
    """Half of the mean square is a loss, too; four passes of it are added as they are meant."""
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model):
        for n, (x, _) in enumerate(batches(8)):
            (0.5 * F.mse_loss(model(x), torch.zeros(8, 2))).backward()
            if n % 4 == 3:
                optimizer.step()
                optimizer.zero_grad()
    return model


@right
def summed_over_outputs(watch: Any) -> Any:
    """A sum that is divided by all outputs of all micro-batches: four of each."""
    torch.manual_seed(5)
    model = nn.Linear(3, 4)
    optimizer = sgd(model)
    with watch(optimizer, model=model, loss="mean"):
        for n, (x, _) in enumerate(batches(8)):
            loss = F.mse_loss(model(x), torch.zeros(8, 4), reduction="sum")
            (loss / (4 * 8 * 4)).backward()
            if n % 4 == 3:
                optimizer.step()
                optimizer.zero_grad()
    return model


@right
def decayed_by_hand(watch: Any) -> Any:
    """Decay that the loop does itself, outside of the optimizer."""
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with watch(optimizer, model=model, loss="mean"):
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            with torch.no_grad():
                for p in model.parameters():
                    p.mul_(1 - 0.1 * 0.01)
    return model


@right
def one_step(watch: Any) -> Any:
    model = mlp()
    optimizer = sgd(model)
    ((x, y),) = batches(1)
    with watch(optimizer, model=model, loss="mean"):
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        optimizer.zero_grad()
    return model


def fused_on_the_cpu() -> bool:
    """Whether this torch has fused steps there."""
    try:
        torch.optim.AdamW([torch.zeros(1, requires_grad=True)], fused=True)
    except (RuntimeError, TypeError):
        return False
    return True


@where(SCALER and fused_on_the_cpu())
def scaled_and_fused(watch: Any) -> Any:
    """The step unscales the gradients itself, and leaves itself out."""
    model = mlp()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    scaler = grad_scaler()
    with watch(optimizer, model=model, scaler=scaler, loss="mean"):
        for n, (x, y) in enumerate(batches()):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            scaler.scale(loss * math.inf if n == 1 else loss).backward()
            scale = scaler.get_scale()
            scaler.step(optimizer)
            scaler.update()
            if scaler.get_scale() >= scale:
                schedule.step()
    return model


@where(SCALER)
def two_optimizers_one_scaler(watch: Any) -> Any:
    model = mlp()
    one, other = sgd(model[0]), sgd(model[2])
    scaler = grad_scaler()
    with watch([one, other], model=model, scaler=scaler, loss="mean"):
        for x, y in batches():
            one.zero_grad()
            other.zero_grad()
            scaler.scale(F.cross_entropy(model(x), y)).backward()
            for optimizer in (one, other):
                scaler.unscale_(optimizer)
            clip_grad_norm_(model.parameters(), 0.1)
            for optimizer in (one, other):
                scaler.step(optimizer)
            scaler.update()
    return model


@right
def scaled_without_a_scaler(watch: Any) -> Any:
    """Static loss scaling, as it was done before there were scalers."""
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model, loss="mean"):
        for x, y in batches():
            optimizer.zero_grad()
            (F.cross_entropy(model(x), y) * 128).backward()
            for p in model.parameters():
                assert p.grad is not None
                p.grad.data.mul_(1 / 128)
            optimizer.step()
    return model


@right
def graph_of_the_gradient(watch: Any) -> Any:
    """The gradient is a part of a graph, whose own pass is cleared."""
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model):
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward(create_graph=True)
            norm = sum(p.grad.square().sum() for p in model.parameters() if p.grad is not None)
            (0.01 * norm).backward()  # type: ignore[union-attr]
            for p in model.parameters():
                assert p.grad is not None
                p.grad = p.grad.detach()
            optimizer.step()
            model.zero_grad()
    return model


@right
def a_penalty_on_the_gradient(watch: Any) -> Any:
    """A graph of gradients is a graph that is kept: the second pass is no second batch."""
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model, loss="mean"):
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward(create_graph=True)
            slope: Any = model[0].weight.grad
            slope.square().mean().backward()
            for p in model.parameters():
                assert p.grad is not None
                p.grad = p.grad.detach()
            optimizer.step()
    return model


@right
def a_penalty_on_weights(watch: Any) -> Any:
    """It has a pass of its own, and is a mean of squares as the loss is."""
    model = mlp()
    weight: Any = model[0].weight
    optimizer = sgd(model)
    with watch(optimizer, model=model, loss="mean"):
        for x, _ in batches():
            optimizer.zero_grad()
            model(x).square().mean().backward()
            weight.square().mean().backward()
            optimizer.step()
    return model


@right
def halves_of_squares(watch: Any) -> Any:
    """The half is a square's, and the other one of two micro-batches."""
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model, loss="mean", accumulation=2):
        for n, (x, y) in enumerate(batches()):
            loss = 0.5 * F.mse_loss(model(x), F.one_hot(y, 2).float())
            (loss / 2).backward()
            if n % 2:
                optimizer.step()
                optimizer.zero_grad()
    return model


@where(SCALER)
def a_limit_for_scaled_gradients(watch: Any) -> Any:
    """The scale stays what it is, and the limit of 0.5 was multiplied with it."""
    model = mlp()
    optimizer = sgd(model)
    scaler = grad_scaler(growth_interval=10**6)
    with watch(optimizer, model=model, scaler=scaler):
        for x, y in batches():
            optimizer.zero_grad()
            scaler.scale(F.cross_entropy(model(x), y)).backward()
            clip_grad_norm_(model.parameters(), 512.0)
            scaler.step(optimizer)
            scaler.update()
    return model


@right
def noam_from_one(watch: Any) -> Any:
    """The schedule has the rate of the first step twice, and goes on before each step."""
    model = mlp()
    optimizer = sgd(model)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda t: min(max(t, 1) ** -0.5, max(t, 1) * 4**-1.5)
    )
    with watch(optimizer, model=model, scheduler=schedule):
        for x, y in batches(6):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            schedule.step()
            optimizer.step()
    return model


@right
def several_roots(watch: Any) -> Any:
    """One pass of two losses, and passes for some of the parameters."""
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model, loss="mean"):
        for x, y in batches():
            optimizer.zero_grad()
            out = model(x)
            torch.autograd.backward([F.cross_entropy(out, y), out.square().mean()])
            optimizer.step()
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward(inputs=[model[2].weight, model[2].bias])
            optimizer.step()
    return model


@right
def left_over_for_the_next_epoch(watch: Any) -> Any:
    """Five micro-batches an epoch, four for a step: some wait for the next epoch."""
    model = mlp()
    optimizer = sgd(model)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    done = 0
    with watch(optimizer, model=model, scheduler=schedule, loss="mean", accumulation=4):
        for _ in range(3):
            for x, y in batches(5):
                (F.cross_entropy(model(x), y) / 4).backward()
                done += 1
                if done % 4 == 0:
                    optimizer.step()
                    optimizer.zero_grad()
            schedule.step()
    return model


@right
def weighted_and_smoothed(watch: Any) -> Any:
    """Weights of classes in one optimizer's loss, smoothed labels in the other's."""
    one, other = mlp(), mlp()
    weights = torch.tensor([0.3, 0.7])
    optimizers = [sgd(one), sgd(other)]
    with watch(optimizers, model=[one, other], loss="mean"):
        for n, (x, y) in enumerate(batches(6)):
            (F.cross_entropy(one(x), y, weight=weights) / 2).backward()
            (F.cross_entropy(other(x), y, label_smoothing=0.1) / 2).backward()
            if n % 2:
                for optimizer in optimizers:
                    optimizer.step()
                    optimizer.zero_grad()
    return nn.ModuleList([one, other])


@right
def rate_in_a_tensor(watch: Any) -> Any:
    model = mlp()
    optimizer = torch.optim.Adam(
        model.parameters(), lr=torch.tensor(0.01), foreach=False, amsgrad=True
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.9**epoch)
    with watch(optimizer, model=model, scheduler=schedule, loss="mean"):
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            schedule.step()
    return model


@right
def warm_up_beside_the_schedule(watch: Any) -> Any:
    """Two schedules on one optimizer: one per step, one per epoch; a step without gradients."""
    model = mlp()
    optimizer = sgd(model)
    warm = torch.optim.lr_scheduler.LinearLR(optimizer, 0.1, total_iters=4)
    main = torch.optim.lr_scheduler.MultiStepLR(optimizer, [1, 2])
    late = torch.optim.swa_utils.SWALR(optimizer, swa_lr=0.05)
    with watch(optimizer, model=model, scheduler=[warm, main, late]):
        optimizer.zero_grad()
        optimizer.step()
        for epoch in range(2):
            for x, y in batches(2):
                optimizer.zero_grad()
                F.cross_entropy(model(x), y).backward()
                optimizer.step()
                warm.step()
            if epoch < 2:
                main.step()
            else:
                late.step()
    return model


@right
def averaged_from_the_beginning(watch: Any) -> Any:
    """The turn of the schedule that comes before the averages never comes."""
    model = mlp()
    optimizer = sgd(model)
    main = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 3)
    late = torch.optim.swa_utils.SWALR(optimizer, swa_lr=0.05)
    start = 0
    with watch(optimizer, model=model, scheduler=[main, late]):
        for epoch in range(3):
            for x, y in batches(2):
                optimizer.zero_grad()
                F.cross_entropy(model(x), y).backward()
                optimizer.step()
            (late if epoch >= start else main).step()
    return model


@right
def complex_and_large(watch: Any) -> Any:
    """Complex parameters, in memory formats of their own, and one of no elements."""
    torch.manual_seed(5)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 2, 1))
    for p in model.parameters():
        p.data = p.data.contiguous(memory_format=torch.channels_last) if p.dim() == 4 else p.data
    phase, none = nn.Parameter(torch.randn(2, dtype=torch.complex64)), nn.Parameter(torch.ones(0))
    optimizer = torch.optim.SGD([*model.parameters(), phase, none], lr=0.01, momentum=0.9)
    with watch(optimizer, model=model):
        for _ in range(3):
            optimizer.zero_grad()
            out = model(torch.randn(4, 3, 6, 6).contiguous(memory_format=torch.channels_last))
            (out.mean((0, 2, 3)) * phase).abs().square().sum().backward()
            none.grad = torch.ones(0)
            optimizer.step()
    return model


@right
def frozen_for_now(watch: Any) -> Any:
    """The encoder's optimizer is stepped though the encoder is frozen."""
    model = mlp()
    model[0].requires_grad_(False)
    encoder = torch.optim.Adam(model[0].parameters(), lr=0.01, weight_decay=0.1)
    head = torch.optim.Adam(model[2].parameters(), lr=0.01)
    with watch(encoder), watch(head, model=model, loss="mean"):
        for x, y in batches():
            for optimizer in (encoder, head):
                optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            for optimizer in (encoder, head):
                optimizer.step()
    return model


@right
def gradients_replaced(watch: Any) -> Any:
    """After each pass what has been summed up is put into a new tensor."""
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model, loss="mean", accumulation=3):
        for n, (x, y) in enumerate(batches(6)):
            (F.cross_entropy(model(x), y) / 3).backward()
            for p in model.parameters():
                assert p.grad is not None
                p.grad = p.grad.clone() if n % 3 < 2 else p.grad
            if n % 3 == 2:
                optimizer.step()
                optimizer.zero_grad()
    return model


@right
def made_late(watch: Any) -> Any:
    """Parameters get their shapes at the first batch, when the optimizer is there already."""
    torch.manual_seed(5)
    model = nn.Sequential(nn.LazyLinear(4), nn.Tanh(), nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with watch(optimizer, model=model, loss="mean"):
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return model


@right
def gradients_remembered(watch: Any) -> Any:
    """Momentum by hand: half of each gradient stays for the next step."""
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with watch(optimizer, model=model):
        for x, y in batches():
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            for p in model.parameters():
                assert p.grad is not None
                p.grad.mul_(0.5)
    return model


@right
def noise_measured_before_a_short_window(watch: Any) -> Any:
    """A pass is cleared now and then, and the last step has fewer than are said to make one."""
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model, accumulation=2):
        for count in (2, 2, 1):
            ((x, y),) = batches(1)
            F.cross_entropy(model(x[:4]), y[:4]).backward()
            optimizer.zero_grad()
            for x, y in batches(count):
                (F.cross_entropy(model(x), y) / count).backward()
            optimizer.step()
            optimizer.zero_grad()
    return model


@where(SCALER)
def scaled_with_a_limit_for_that(watch: Any) -> Any:
    """The scale is known, and the limit is a multiple of it."""
    model = mlp()
    optimizer = sgd(model)
    scaler = grad_scaler(init_scale=64.0, growth_interval=10**6)
    with watch(optimizer, model=model, scaler=scaler):
        for x, y in batches():
            optimizer.zero_grad()
            scaler.scale(F.cross_entropy(model(x), y)).backward()
            clip_grad_norm_(model.parameters(), 2 * 64.0)
            scaler.step(optimizer)
            scaler.update()
    return model


@where(SCALER)
def an_epoch_of_skipped_steps(watch: Any) -> Any:
    """The schedule counts epochs, whatever becomes of their steps."""
    model = mlp()
    optimizer = sgd(model)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    scaler = grad_scaler()
    with watch(optimizer, model=model, scheduler=schedule, scaler=scaler, loss="mean"):
        for epoch in range(3):
            for x, y in batches(2):
                optimizer.zero_grad()
                loss = F.cross_entropy(model(x), y)
                scaler.scale(loss * math.inf if epoch == 1 else loss).backward()
                scaler.step(optimizer)
                scaler.update()
            schedule.step()
    return model


@right
def rate_changed_by_hand(watch: Any) -> Any:
    """A schedule that multiplies the rate there is: what is set by hand lasts."""
    model = mlp()
    optimizer = sgd(model)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    with watch(optimizer, model=model, scheduler=schedule, loss="mean"):
        for n, (x, y) in enumerate(batches()):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            if n == 1:
                optimizer.param_groups[0]["lr"] *= 0.5
            schedule.step()
    return model


@right
def taken_back(watch: Any) -> Any:
    """A state is saved and loaded in the middle, rates and all, before the schedule goes on."""
    model = mlp()
    optimizer = sgd(model)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.5**epoch)
    with watch(optimizer, model=model, scheduler=schedule, loss="mean"):
        saved = copy.deepcopy((optimizer.state_dict(), schedule.state_dict()))
        for n, (x, y) in enumerate(batches()):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            if n == 2:
                optimizer.load_state_dict(saved[0])
                schedule.load_state_dict(saved[1])
            schedule.step()
    return model


class Fine(torch.optim.Optimizer):
    """Gradient descent on copies in float32, of which coarse parameters are the roundings."""

    def __init__(self, parameters: Any, lr: float) -> None:
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        for settings in self.param_groups:
            for p in settings["params"]:
                fine = self.state[p].setdefault("fine", p.float().clone())
                fine.sub_(p.grad.float(), alpha=settings["lr"])
                p.copy_(fine)


@right
def fine_copies_in_the_optimizer(watch: Any) -> Any:
    model = mlp().bfloat16()
    optimizer = Fine(model.parameters(), lr=1e-6)
    with watch(optimizer, model=model):
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(model(x.bfloat16()).float(), y).backward()
            optimizer.step()
    return model


class Around:
    """What a framework hands out in place of an optimizer."""

    def __init__(self, inner: torch.optim.Optimizer) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


@right
def wrapped_by_a_framework(watch: Any) -> Any:
    model = mlp()
    inner = sgd(model)
    optimizer: Any = Around(inner)
    schedule = torch.optim.lr_scheduler.StepLR(inner, 1)
    with watch(optimizer, model=model, scheduler=schedule, loss="mean"):
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            schedule.step()
    return model


@right
def unpacked_once(watch: Any) -> Any:
    """What a graph keeps is packed away by hooks, and can be had once."""
    model = mlp()
    optimizer = sgd(model)
    kept: dict[int, torch.Tensor] = {}

    def pack(tensor: torch.Tensor) -> int:
        kept[len(kept) + 1000 * len(counts)] = tensor
        return [*kept][-1]

    counts: list[int] = []
    with watch(optimizer, model=model):
        for x, y in batches():
            counts.append(len(kept))
            kept.clear()
            optimizer.zero_grad()
            with torch.autograd.graph.saved_tensors_hooks(pack, kept.pop):
                loss = F.cross_entropy(model(x), y) * 0.5
            loss.backward()
            optimizer.step()
    return model


@right
def a_head_alone(watch: Any) -> Any:
    """The rest is not frozen; its gradients pile up, and no limit is one of their norm."""
    model = mlp()
    optimizer = sgd(model[2])
    with watch(optimizer, model=model, loss="mean"):
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            clip_grad_norm_(model[2].parameters(), 0.1)
            clip_grad_value_(model.parameters(), 0.01)
            clip_grad_norm_(model.parameters(), math.inf)
            optimizer.step()
    return model


@right
def a_head_alone_and_one_norm(watch: Any) -> Any:
    """The limit is one for all gradients, and all are cleared."""
    model = mlp()
    optimizer = sgd(model[2])
    with watch(optimizer, model=model, loss="mean"):
        for n, (x, y) in enumerate(batches()):
            (F.cross_entropy(model(x), y) / 2).backward()
            if n % 2:
                clip_grad_norm_(model.parameters(), 0.01)
                optimizer.step()
                model.zero_grad()
    return model


@right
def a_norm_of_momentum_by_hand(watch: Any) -> Any:
    """The body follows gradients that are never cleared, and one limit is for all of them."""
    model = mlp()
    optimizer = torch.optim.SGD(model[2].parameters(), lr=0.1)
    with watch(optimizer, model=model):
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            clip_grad_norm_(model.parameters(), 0.1)
            optimizer.step()
            for p in model[0].parameters():
                assert p.grad is not None
                p.data.sub_(p.grad, alpha=0.1)
    return model


@right
def tuned_in_eval_mode(watch: Any) -> Any:
    """Batch norm is left as it is, from some epoch on."""
    model = mlp(norm=True)
    optimizer = sgd(model)
    with watch(optimizer, model=model, loss="mean"):
        for epoch in range(3):
            model.train(epoch == 0)
            for x, y in batches(2):
                optimizer.zero_grad()
                F.cross_entropy(model(x), y).backward()
                clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
    return model


@right
def weighted_rows(watch: Any) -> Any:
    """A sum of losses that have weights, which add up to 1; a mean with weights of half."""
    model = mlp()
    optimizer = sgd(model)
    weights = torch.linspace(0.0, 1.0, 8)
    with watch(optimizer, model=model, loss="mean"):
        for n, (x, y) in enumerate(batches(6)):
            losses = F.cross_entropy(model(x), y, reduction="none")
            if n < 2:
                (losses * weights / weights.sum()).sum().backward()
            elif n < 4:
                (losses / len(x)).sum().backward()
            else:
                (losses * (weights / (2 * weights.mean()))).mean().backward()
            if n != 4:
                optimizer.step()
                optimizer.zero_grad()
    return model


@right
def embeddings_first(watch: Any) -> Any:
    """The graph of a large batch is made piece by piece, after the gradients of its outputs."""
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model, loss="mean"):
        for x, y in batches():
            optimizer.zero_grad()
            with torch.no_grad():
                out = model(x)
            out.requires_grad_()
            F.cross_entropy(out, y).backward()
            for part, gradient in zip(x.split(4), out.grad.split(4), strict=True):
                (model(part).flatten() * gradient.flatten()).sum().backward()
            optimizer.step()
    return model


@where(SCALER)
def epochs_with_one_step(watch: Any) -> Any:
    """Of the first steps the scaler leaves out some, and the schedule counts epochs."""
    model = mlp()
    optimizer = sgd(model)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    scaler = grad_scaler()
    with watch(optimizer, model=model, scheduler=schedule, scaler=scaler, loss="mean"):
        for epoch in range(3):
            for n, (x, y) in enumerate(batches(2)):
                optimizer.zero_grad()
                loss = F.cross_entropy(model(x), y)
                scaler.scale(loss if epoch and n else loss * math.inf).backward()
                scaler.step(optimizer)
                scaler.update()
            schedule.step()
    return model


class OfMatrices(torch.optim.SGD):
    """A step that leaves vectors where they are."""

    def step(self, closure: Any = None) -> Any:
        every = self.param_groups[0]["params"]
        self.param_groups[0]["params"] = [p for p in every if p.dim() > 1]
        super().step(closure)
        self.param_groups[0]["params"] = every


@right
def vectors_left_alone(watch: Any) -> Any:
    model = mlp()
    optimizer = OfMatrices(model.parameters(), lr=0.1)
    with watch(optimizer, model=model, loss="mean"):
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return model


@where(hasattr(torch.optim.Optimizer, "register_step_post_hook"))
def put_back_by_a_hook(watch: Any) -> Any:
    """After each step one parameter gets its old values."""
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    bias = [*model.parameters()][1]
    old = bias.detach().clone()

    def put_back(*_: Any) -> None:
        bias.data.copy_(old)

    optimizer.register_step_post_hook(put_back)
    with watch(optimizer, model=model, loss="mean"):
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return model


@right
def noise_before_gradients_are_replaced(watch: Any) -> Any:
    """One pass is cleared, and two make a step, the first by way of a new tensor."""
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model, accumulation=2):
        for first, second in zip(batches(4)[::2], batches(4)[1::2], strict=True):
            for n, (x, y) in enumerate((first, first, second)):
                (F.cross_entropy(model(x), y) / 2).backward()
                if n == 0:
                    optimizer.zero_grad()
                elif n == 1:
                    for p in model.parameters():
                        assert p.grad is not None
                        p.grad = p.grad.clone()
            optimizer.step()
            optimizer.zero_grad()
    return model


@right
def schedule_of_passes(watch: Any) -> Any:
    """Its length is one in micro-batches, and it comes to its end with them."""
    model = mlp()
    optimizer = sgd(model)
    parts = batches(8)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.2, total_steps=len(parts))
    with watch(optimizer, model=model, scheduler=schedule, loss="mean"):
        for n, (x, y) in enumerate(parts):
            (F.cross_entropy(model(x), y) / 2).backward()
            if n % 2:
                optimizer.step()
                optimizer.zero_grad()
            schedule.step()
    return model


@right
def parts_of_one_loss(watch: Any) -> Any:
    """Two means are added by passes of their own: over one graph, or of two kinds."""
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model, loss="mean"):
        for n, (x, y) in enumerate(batches()):
            optimizer.zero_grad()
            out = model(x)
            F.cross_entropy(out, y).backward(retain_graph=n < 2)
            if n < 2:
                F.cross_entropy(-out, y).backward()
            else:
                F.mse_loss(model(x), torch.zeros(8, 2)).backward()
            optimizer.step()
    return model


class Unscaling(torch.optim.SGD):
    """A step that is told the scale."""

    @torch.no_grad()
    def step(self, closure: Any = None, *, scale: float = 1.0) -> Any:
        for p in self.param_groups[0]["params"]:
            p.sub_(p.grad, alpha=self.param_groups[0]["lr"] / scale)


@where(SCALER)
def unscaled_by_the_optimizer(watch: Any) -> Any:
    model = mlp()
    optimizer = Unscaling(model.parameters(), lr=0.1)
    scaler = grad_scaler()
    with watch(optimizer, model=model, scaler=scaler, loss="mean"):
        for x, y in batches():
            optimizer.zero_grad()
            scaler.scale(F.cross_entropy(model(x), y)).backward()
            optimizer.step(scale=scaler.get_scale())
    return model


@right
def explained_after_the_training(watch: Any) -> Any:
    """In eval mode passes are made for what they say of the inputs, by the way and at the end."""
    model = mlp(norm=True)
    optimizer = sgd(model)
    model.train()
    with watch(optimizer, model=model, loss="mean"):
        for x, y in batches(3):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            for x, _ in batches(2):
                model(x)
        for x, _ in batches(2):
            model(x.requires_grad_()).amax(1).sum().backward()
    return model


class EverySecond(torch.optim.SGD):
    """It accumulates by itself: every second step is one, and clears what it has followed."""

    count = 0

    def step(self, closure: Any = None) -> Any:
        self.count += 1
        if self.count % 2 == 0:
            super().step(closure)
            super().zero_grad()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Nothing: it knows when."""


@right
def accumulated_by_the_optimizer(watch: Any) -> Any:
    model = mlp()
    optimizer = EverySecond(model.parameters(), lr=0.1)
    with watch(optimizer, model=model):
        for x, y in batches(6):
            optimizer.zero_grad()
            (F.cross_entropy(model(x), y) / 2).backward()
            optimizer.step()
    return model


@right
def passes_of_their_own_for_each_layer(watch: Any) -> Any:
    """Two passes are made of one loss, each for other parameters."""
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model):
        for x, y in batches():
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward(retain_graph=True, inputs=[*model[0].parameters()])
            loss.backward(inputs=[*model[2].parameters()])
            optimizer.step()
    return model


@right
def looked_at_and_cleared(watch: Any) -> Any:
    """A first pass is for the norms alone."""
    model = mlp()
    optimizer = sgd(model)
    norms = []
    with watch(optimizer, model=model):
        for x, y in batches():
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward(retain_graph=True)
            norms.append([p.grad.norm() for p in model.parameters() if p.grad is not None])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model


@right
def a_loss_that_grows(watch: Any) -> Any:
    """The same tensor is another loss when something was added to it in place."""
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model):
        for x, y in batches():
            optimizer.zero_grad()
            out = model(x)
            loss = F.cross_entropy(out, y)
            loss.backward(retain_graph=True)
            loss -= F.cross_entropy(out, y) - out.square().mean()
            loss.backward()
            optimizer.step()
    return model


@right
def a_schedule_for_each_phase(watch: Any) -> Any:
    """Each comes to its end, and decays by the step."""
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model):
        for _ in range(3):
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 2)
            for x, y in batches(2):
                optimizer.zero_grad()
                F.cross_entropy(model(x), y).backward()
                optimizer.step()
                schedule.step()
            optimizer.param_groups[0]["lr"] = 0.05
    return model


@right
def a_decay_for_each_epoch(watch: Any) -> Any:
    """Whatever was decayed is decayed by a new schedule once more."""
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model):
        for _ in range(4):
            schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
            for group in optimizer.param_groups:
                group.pop("initial_lr", None)
            for x, y in batches(2):
                optimizer.zero_grad()
                F.cross_entropy(model(x), y).backward()
                optimizer.step()
            schedule.step()
    return model


@right
def averaged_at_the_beginning(watch: Any) -> Any:
    """What the step before has made is averaged before the next pass, and once at the end."""
    model = mlp()
    optimizer = sgd(model)
    average = torch.optim.swa_utils.AveragedModel(model)
    with watch(optimizer, model=model):
        for x, y in batches():
            optimizer.zero_grad()
            average.update_parameters(model)
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        average.update_parameters(model)
    return average.module


@right
def a_teacher_of_a_teacher(watch: Any) -> Any:
    """What is averaged is no copy of what is trained: it has other shapes."""
    model, other = mlp(), nn.Linear(3, 2)
    optimizer = sgd(model)
    average = torch.optim.swa_utils.AveragedModel(other)
    with watch(optimizer, model=model):
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            average.update_parameters(other)
    return model


@right
def clipped_now_and_then(watch: Any) -> Any:
    """The first call comes before there is any gradient."""
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model):
        clip_grad_norm_(model.parameters(), 0.1)
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            clip_grad_norm_(model.parameters(), 0.1)
            optimizer.step()
    return model


@right
def averaged_between_two_steps(watch: Any) -> Any:
    """The body is averaged when it has made its step, and the head makes its own."""
    model = mlp()
    body, head = sgd(model[0]), sgd(model[2])
    average = torch.optim.swa_utils.AveragedModel(model)
    with watch([body, head], model=model):
        for x, y in batches():
            model.zero_grad()
            F.cross_entropy(model(x), y).backward()
            body.step()
            average.update_parameters(model)
            head.step()
    return average.module


@right
def averaged_after_each_micro_batch(watch: Any) -> Any:
    model = mlp()
    optimizer = sgd(model)
    average = torch.optim.swa_utils.AveragedModel(model)
    with watch(optimizer, model=model, loss="mean"):
        for n, (x, y) in enumerate(batches()):
            (F.cross_entropy(model(x), y) / 2).backward()
            if n % 2:
                optimizer.step()
                optimizer.zero_grad()
            average.update_parameters(model)
    return average.module


@right
def gradients_copied_in_place(watch: Any) -> Any:
    """A worker computes them; what is trained is in no graph, and is never cleared."""
    model = mlp()
    worker = mlp()
    optimizer = sgd(model)
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    with watch(optimizer, model=[model, worker]):
        for x, y in batches():
            worker.load_state_dict(model.state_dict())
            worker.zero_grad()
            F.cross_entropy(worker(x), y).backward()
            for p, q in zip(model.parameters(), worker.parameters(), strict=True):
                assert p.grad is not None
                assert q.grad is not None
                p.grad.copy_(q.grad)
            optimizer.step()
    return model


@where(SCALER)
def a_penalty_after_the_losses_were_unscaled(watch: Any) -> Any:
    model = mlp()
    optimizer = sgd(model)
    scaler = grad_scaler()
    with watch(optimizer, model=model, scaler=scaler):
        for x, y in batches():
            optimizer.zero_grad()
            scaler.scale(F.cross_entropy(model(x), y)).backward()
            scaler.unscale_(optimizer)
            (0.001 * next(model.parameters()).square().sum()).backward()
            scaler.step(optimizer)
            scaler.update()
    return model


@where(SCALER)
def scaled_by_the_scale_asked_for(watch: Any) -> Any:
    model = mlp()
    optimizer = sgd(model)
    scaler = grad_scaler()
    scaler.scale(torch.ones(1))  # it makes its scale then
    with watch(optimizer, model=model, scaler=scaler, loss="mean"):
        for n, (x, y) in enumerate(batches()):
            (F.cross_entropy(model(x), y) * scaler.get_scale() / 2).backward()
            if n % 2:
                scaler.step(optimizer)
                scaler.update()
                optimizer.zero_grad()
    return model


@right
def norm_measured_after_the_step(watch: Any) -> Any:
    """By a limit that no gradient comes near."""
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model):
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            clip_grad_norm_(model.parameters(), 1e6)
    return model


@right
def norm_measured_for_each_micro_batch(watch: Any) -> Any:
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model, loss="mean"):
        for n, (x, y) in enumerate(batches()):
            (F.cross_entropy(model(x), y) / 2).backward()
            clip_grad_norm_(model.parameters(), 1e6)
            if n % 2:
                optimizer.step()
                optimizer.zero_grad()
    return model


def _rated(watch: Any, build: Callable[[Any], Any], between: Callable[[Any, Any], None]) -> Any:
    """A schedule that is built after a step, and something that is done after two more."""
    model = mlp()
    optimizer = sgd(model)
    schedule: Any = None
    with watch(optimizer, model=model):
        for n, (x, y) in enumerate(batches()):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            schedule = schedule or build(optimizer)
            if n == 2:
                between(optimizer, schedule)
            schedule.step()
    return model


@right
def first_rates_and_rate_set_by_hand(watch: Any) -> Any:
    """The schedule goes on from the rate that was set."""

    def halve(optimizer: Any, schedule: Any) -> None:
        schedule.base_lrs = [rate / 2 for rate in schedule.base_lrs]
        optimizer.param_groups[0]["lr"] /= 2

    return _rated(
        watch, lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda step: 0.9**step), halve
    )


@right
def a_schedule_built_after_a_step(watch: Any) -> Any:
    """It sets the rate when it is built, and is sent ahead."""
    return _rated(
        watch,
        lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda step: 1 / (step + 2)),
        lambda _, schedule: schedule.step(),
    )


@right
def warmed_up_from_a_rate_of_zero(watch: Any) -> Any:
    """No step is to have a rate of 0: the schedule goes on before each."""
    model = mlp()
    optimizer = sgd(model)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, step / 3))
    with watch(optimizer, model=model):
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            schedule.step()
            optimizer.step()
    return model


@right
def a_schedule_taken_up_at_its_second_epoch(watch: Any) -> Any:
    """It is sent ahead by one epoch before the training."""
    model = mlp()
    optimizer = sgd(model)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    with watch(optimizer, model=model):
        schedule.step()
        for _ in range(2):
            for x, y in batches(2):
                optimizer.zero_grad()
                F.cross_entropy(model(x), y).backward()
                optimizer.step()
            schedule.step()
    return model


@right
def a_schedule_taken_up_for_an_epoch(watch: Any) -> Any:
    """It goes on when the epoch is over, and nobody watches it then."""
    model = mlp()
    optimizer = sgd(model)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    with watch(optimizer, model=model):
        schedule.step()
        for x, y in batches(2):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    schedule.step()
    return model


@where(SCALER)
def scaled_by_a_scale_that_is_known(watch: Any) -> Any:
    """It is asked for once, and does not change in so few steps."""
    model = mlp()
    optimizer = sgd(model)
    scaler = grad_scaler()
    scaler.scale(torch.ones(1))
    scale = scaler.get_scale()
    with watch(optimizer, model=model, scaler=scaler, loss="mean"):
        for x, y in batches():
            optimizer.zero_grad()
            (F.cross_entropy(model(x), y) * scale).backward()
            scaler.step(optimizer)
            scaler.update()
    return model


class Dampening:
    """A warm-up that multiplies what a schedule has set, and puts it back before that goes on."""

    def __init__(self, optimizer: torch.optim.Optimizer, steps: int) -> None:
        self.groups, self.steps, self.done = optimizer.param_groups, steps, 0
        self.rates = [group["lr"] for group in self.groups]
        self.dampen()

    def dampen(self) -> None:
        self.done += 1
        for group in self.groups:
            group["lr"] *= min(1.0, self.done / self.steps)

    @contextmanager
    def dampening(self) -> Iterator[None]:
        for group, rate in zip(self.groups, self.rates, strict=True):
            group["lr"] = rate
        yield
        self.rates = [group["lr"] for group in self.groups]
        self.dampen()


def _dampened(watch: Any, build: Callable[[Any], Any]) -> Any:
    model = mlp()
    optimizer = sgd(model)
    schedule = build(optimizer)
    warmup = Dampening(optimizer, 3)
    with watch(optimizer, model=model, scheduler=schedule, loss="mean"):
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            with warmup.dampening():
                schedule.step()
    return model


@right
def warmed_up_by_dampening(watch: Any) -> Any:
    return _dampened(watch, lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda step: 0.9**step))


@right
def warmed_up_by_dampening_what_compounds(watch: Any) -> Any:
    return _dampened(watch, lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.9))


@right
def warmed_up_and_then_cut_at_plateaus(watch: Any) -> Any:
    """Two schedules, one after the other; the first one is over when the other cuts."""
    model = mlp()
    optimizer = sgd(model)
    warmup = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: (epoch + 1) / 3)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)
    with watch(optimizer, model=model, scheduler=[warmup, plateau]):
        for epoch in range(6):
            for x, y in batches(2):
                optimizer.zero_grad()
                F.cross_entropy(model(x), y).backward()
                optimizer.step()
            if epoch < 2:
                warmup.step()
            plateau.step(1.0)
    return model


@right
def cut_at_plateaus_and_then_restarted(watch: Any) -> Any:
    """The second schedule is there from the beginning, and has the second half to itself."""
    model = mlp()
    optimizer = sgd(model)
    restarts = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 2)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)
    with watch(optimizer, model=model, scheduler=[restarts, plateau]):
        for n, (x, y) in enumerate(batches(8)):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            restarts.step() if n > 3 else plateau.step(1.0)
    return model


def _going_on(watch: Any, *, based: bool) -> Any:
    """Cuts of a plateau, and a schedule that goes on from them."""
    model = mlp()
    optimizer = sgd(model)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, factor=0.7)
    group = optimizer.param_groups[0]
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda n: 1 + n / 2 if based else 0.9 * group["lr"] / 0.1
    )
    with watch(optimizer, model=model):
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            rate = group["lr"]
            plateau.step(1.0)
            if based and group["lr"] != rate:
                schedule.base_lrs = [group["lr"]]
            schedule.step()
    return model


@right
def a_schedule_whose_first_rates_are_cut(watch: Any) -> Any:
    return _going_on(watch, based=True)


@right
def a_schedule_of_the_rate_that_there_is(watch: Any) -> Any:
    return _going_on(watch, based=False)


@right
def a_schedule_of_something_else(watch: Any) -> Any:
    """An optimizer that makes no step has the weight of a penalty for a rate."""
    model = mlp()
    optimizer = sgd(model)
    weight = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(weight, 4)
    with watch(optimizer, model=model):
        for x, y in batches():
            optimizer.zero_grad()
            penalty = next(model.parameters()).square().sum()
            (F.cross_entropy(model(x), y) + weight.param_groups[0]["lr"] * penalty).backward()
            optimizer.step()
            schedule.step()
    return model


@right
def averages_of_parts_of_a_model(watch: Any) -> Any:
    model = nn.ModuleList([mlp(), mlp()])
    optimizer = sgd(model[1])
    averages = [torch.optim.swa_utils.AveragedModel(part) for part in model]
    with watch(optimizer, model=model):
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(model[1](x) - model[0](x).detach(), y).backward()
            optimizer.step()
            for average, part in zip(averages, model, strict=True):
                average.update_parameters(part)
    return model


@right
def average_of_a_twin_part_of_which_is_frozen(watch: Any) -> Any:
    """It is trained in another phase."""
    model, twin = mlp(), mlp()
    twin[0].requires_grad_(False)
    optimizer = sgd(model)
    average = torch.optim.swa_utils.AveragedModel(twin)
    with watch(optimizer, model=[model, twin]):
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(model(x) - twin(x), y).backward()
            optimizer.step()
            average.update_parameters(twin)
    return model


@right
def norms_frozen_after_an_epoch(watch: Any) -> Any:
    """By eval mode, which is turned to again after each validation."""
    model = mlp(norm=True)
    optimizer = sgd(model)
    with watch(optimizer, model=model):
        for epoch in range(3):
            model.train(epoch < 1)
            for x, y in batches(2):
                optimizer.zero_grad()
                F.cross_entropy(model(x), y).backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                for x, y in batches(2):
                    F.cross_entropy(model(x), y)
    return model


@right
def nothing_is_to_be_exempt(watch: Any) -> Any:
    """No names are given, and the groups are made all the same."""
    model, names = mlp(norm=True), list[str]()
    named = [(name in names, p) for name, p in model.named_parameters()]
    groups = [
        {"params": [p for exempt, p in named if not exempt], "weight_decay": 0.1},
        {"params": [p for exempt, p in named if exempt], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=0.01)
    with watch(optimizer, model=model, loss="mean"):
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return model


@where(SCALER)
def scaled_by_as_many_as_there_are_rows(watch: Any) -> Any:
    """Sums are divided by their rows, and means by their micro-batches: 8, as the scale is."""
    model = mlp()
    optimizer = sgd(model)
    scaler = grad_scaler(init_scale=8.0)
    with watch(optimizer, model=model, scaler=scaler):
        for sizes, reduction in (((5, 3), "sum"), ((1, 2) * 4, "mean")):
            for rows in sizes:
                ((x, y),) = batches(1, rows)
                loss = F.cross_entropy(model(x), y, reduction=reduction)
                scaler.scale(loss).backward()
            for p in model.parameters():
                assert p.grad is not None
                p.grad /= 8
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
    return model


FUNCTIONAL = hasattr(getattr(torch, "func", None), "stack_module_state")
"""Whether models can be called with parameters of others."""


@where(FUNCTIONAL)
def members_through_one_without_numbers(watch: Any) -> Any:
    """As torch's guide to ensembles has it: the module that is called lies on the meta device."""
    members = [mlp() for _ in range(3)]
    weights, buffers = torch.func.stack_module_state(members)
    base = copy.deepcopy(members[0]).to("meta")
    optimizer = torch.optim.Adam(weights.values(), lr=0.01)

    def called(own: Any, others: Any, x: torch.Tensor) -> Any:
        return torch.func.functional_call(base, (own, others), (x,))

    with watch(optimizer, loss="mean"):
        for x, y in batches():
            outputs = torch.func.vmap(called, in_dims=(0, 0, None))(weights, buffers, x)
            optimizer.zero_grad()
            F.cross_entropy(outputs.flatten(0, 1), y.repeat(3)).backward()
            optimizer.step()
    return nn.ParameterList(weights.values())


@where(FUNCTIONAL)
def memory_was_estimated_before(watch: Any) -> Any:
    """By a step of tensors that have no numbers."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, loss="mean"):
        with FakeTensorMode():
            other = nn.Linear(3, 2)
            fake = torch.optim.Adam(other.parameters())
            other(torch.randn(8, 3)).sum().backward()
            fake.step()
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return model


@right
def rows_weighted_by_their_counts(watch: Any) -> Any:
    """As ``scale_grad_by_freq`` does it, by hand; twos are the number of micro-batches, too."""
    model = nn.Linear(3, 4, bias=False)
    optimizer = sgd(model)
    with watch(optimizer, model=model, loss="mean", accumulation=2):
        for _ in range(3):
            optimizer.zero_grad()
            for x, y in batches(2):
                (F.cross_entropy(model(x), y) / 2).backward()
            assert model.weight.grad is not None
            model.weight.grad /= torch.tensor([1.0, 2.0, 2.0, 2.0])[:, None]
            optimizer.step()
    return model


@right
def embeddings_and_some_biases_exempt(watch: Any) -> Any:
    """What is exempt was chosen by hand, and not by its kind."""
    torch.manual_seed(5)
    model = nn.Sequential(nn.Embedding(7, 3), nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 2))
    exempt = [model[0].weight, model[1].bias]
    decayed = [model[1].weight, *model[3].parameters()]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": exempt, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=0.01)
    with watch(optimizer, model=model, loss="mean"):
        for n in range(4):
            optimizer.zero_grad()
            F.cross_entropy(model((torch.arange(8) + n) % 7), torch.arange(8) % 2).backward()
            optimizer.step()
    return model


@right
def clipped_once_more_after_the_step(watch: Any) -> Any:
    """For a log, which is to have the norms of all layers below one number."""
    model = mlp()
    optimizer = sgd(model)
    with watch(optimizer, model=model, loss="mean"):
        for x, y in batches():
            F.cross_entropy(model(x), y).backward()
            clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            clip_grad_norm_(model[2].parameters(), 0.01)
            optimizer.zero_grad()
    return model
