"""A zoo of wrong optimizers: each is ``torch.optim.SGD`` with one thing broken.

Those that break what every optimizer has are in ``sabotage.py``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch

from oracles.harness.checks.names import AGREEMENT, GRADIENTS
from tests.meta.planting import PLANTED, Around, Specimen
from tests.meta.planting import swapped as swapped_in


class Wrong(Around, torch.optim.SGD):
    """SGD with something happening around its step."""

    def __init__(self, params: Any, lr: Any = 1e-3, batch_size: int = 1, **options: Any) -> None:
        super().__init__(params, lr, **options)
        self.first_lr = self.param_groups[0]["lr"]
        for group in self.param_groups:
            group.setdefault("batch_size", batch_size)


_SIGNATURE = inspect.signature(torch.optim.SGD)
_BATCH_SIZE = inspect.Parameter("batch_size", inspect.Parameter.KEYWORD_ONLY, default=1)
# Says that it takes what this torch's SGD takes, and the batch size, which the harness then gives.
Wrong.__signature__ = _SIGNATURE.replace(  # type: ignore[attr-defined]
    parameters=[*_SIGNATURE.parameters.values(), _BATCH_SIZE]
)

ZOO: list[Specimen] = []

Broken = Callable[["Wrong"], Iterator[None]]


def wrong(*caught_by: str, paths: tuple[str, ...] = PLANTED) -> Callable[[Broken], Broken]:
    """Enter a wrong optimizer, named after the function, into the zoo."""

    def enter(around: Broken) -> Broken:
        name = around.__name__.title().replace("_", "")
        made = type(name, (Wrong,), {"around": around, "__doc__": around.__doc__})
        made.__module__ = __name__
        globals()[name] = made  # so that it can be pickled
        ZOO.append(Specimen(made, caught_by or (AGREEMENT,), paths))
        return around

    return enter


def swapped(opt: Wrong, **changes: Callable[[dict[str, Any]], Any]) -> AbstractContextManager[None]:
    """Other hyperparameters in every group, made of what it has."""
    return swapped_in(opt, lambda _, g: {name: change(g) for name, change in changes.items()})


def decay_of(group: dict[str, Any]) -> float:
    return float(group["weight_decay"])


# --- the conventions of other frameworks -----------------------------------------------------


@wrong(AGREEMENT, "rejects batch_scaled")
def batch_scaled_decay(opt: Wrong) -> Iterator[None]:
    """g + (λ/m)w."""
    with swapped(opt, weight_decay=lambda g: g["weight_decay"] / g["batch_size"]):
        yield


@wrong(AGREEMENT, "rejects coupled_doubled")
def doubled_decay(opt: Wrong) -> Iterator[None]:
    """g + 2λw."""
    with swapped(opt, weight_decay=lambda g: g["weight_decay"] * 2):
        yield


@wrong(AGREEMENT, "rejects decoupled_lr")
def decoupled_decay(opt: Wrong) -> Iterator[None]:
    """w ← (1 − γλ)w before an undecayed step."""
    for group, p in opt.moving():
        p.mul_(1 - group["lr"] * decay_of(group))
    with swapped(opt, weight_decay=lambda g: 0.0):
        yield


@wrong(AGREEMENT, "rejects decoupled")
def decoupled_without_lr(opt: Wrong) -> Iterator[None]:
    """w ← (1 − λ)w before an undecayed step."""
    for group, p in opt.moving():
        p.mul_(1 - decay_of(group))
    with swapped(opt, weight_decay=lambda g: 0.0):
        yield


@wrong(AGREEMENT, "rejects decay_after_lr")
def decay_after_step(opt: Wrong) -> Iterator[None]:
    """w ← (1 − γλ)w after an undecayed step."""
    with swapped(opt, weight_decay=lambda g: 0.0):
        yield
    for group, p in opt.moving():
        p.mul_(1 - group["lr"] * decay_of(group))


@wrong(AGREEMENT, "rejects decay_after")
def decay_after_without_lr(opt: Wrong) -> Iterator[None]:
    """w ← (1 − λ)w after an undecayed step."""
    with swapped(opt, weight_decay=lambda g: 0.0):
        yield
    for group, p in opt.moving():
        p.mul_(1 - decay_of(group))


@wrong(AGREEMENT, "rejects decay_drift")
def drifting_decay(opt: Wrong) -> Iterator[None]:
    """w ← w − γλ after an undecayed step."""
    with swapped(opt, weight_decay=lambda g: 0.0):
        yield
    for group, p in opt.moving():
        p.sub_(group["lr"] * decay_of(group))


@wrong(AGREEMENT, "rejects decay_ignored")
def no_decay(opt: Wrong) -> Iterator[None]:
    """λ is ignored."""
    with swapped(opt, weight_decay=lambda g: 0.0):
        yield


@wrong()
def negated_decay(opt: Wrong) -> Iterator[None]:
    """g − λw."""
    with swapped(opt, weight_decay=lambda g: -g["weight_decay"]):
        yield


@wrong(AGREEMENT, "rejects decay_sign_flipped")
def decay_flips_under_maximize(opt: Wrong) -> Iterator[None]:
    """−(g + λw) under maximize."""
    with swapped(
        opt, weight_decay=lambda g: -g["weight_decay"] if g["maximize"] else g["weight_decay"]
    ):
        yield


@wrong(AGREEMENT, "rejects bias_undecayed")
def bias_left_out(opt: Wrong) -> Iterator[None]:
    """Vectors and scalars are not decayed."""
    for group, p in opt.moving():
        if p.ndim <= 1:
            g = p.grad.to_dense()
            sign = -1 if group["maximize"] else 1
            p.grad = g - sign * decay_of(group) * p
    yield


@wrong()
def buffer_without_decay(opt: Wrong) -> Iterator[None]:
    """λw is added to the direction but kept out of the buffer."""
    moves = [(p, group["lr"] * decay_of(group) * p) for group, p in opt.moving()]
    with swapped(opt, weight_decay=lambda g: 0.0):
        yield
    for p, move in moves:
        p.sub_(move)


# --- momentum --------------------------------------------------------------------------------


@wrong(AGREEMENT, "rejects first_step_dampened")
def dampened_first_step(opt: Wrong) -> Iterator[None]:
    """The first buffer is (1−τ)d."""
    new = [(g, p) for g, p in opt.moving() if not opt.state[p] and g["momentum"] != 0]
    before = [p.clone() for _, p in new]
    yield
    for (group, p), old in zip(new, before, strict=True):
        p.copy_(old + (p - old) * (1 - group["dampening"]))
        opt.state[p]["momentum_buffer"].mul_(1 - group["dampening"])


@wrong(AGREEMENT, "rejects ema_momentum")
def averaging_momentum(opt: Wrong) -> Iterator[None]:
    """b = μb + (1−μ)d, from the second step on."""
    with swapped(opt, dampening=lambda g: g["momentum"]):
        yield


@wrong()
def dampening_ignored(opt: Wrong) -> Iterator[None]:
    """τ is ignored."""
    with swapped(opt, dampening=lambda g: 0.0):
        yield


@wrong()
def momentum_forgotten(opt: Wrong) -> Iterator[None]:
    """The buffer is dropped after each step."""
    yield
    for _, p in opt.moving():
        opt.state[p].pop("momentum_buffer", None)


@wrong()
def momentum_ignored(opt: Wrong) -> Iterator[None]:
    """μ is taken for 0."""
    with swapped(opt, momentum=lambda g: 0.0):
        yield


@wrong(AGREEMENT, "rejects nesterov_ignored")
def nesterov_flag_ignored(opt: Wrong) -> Iterator[None]:
    """The look-ahead is left out."""
    with swapped(opt, nesterov=lambda g: False):
        yield


@wrong(AGREEMENT, "rejects nesterov_undecayed")
def look_ahead_without_decay(opt: Wrong) -> Iterator[None]:
    """The look-ahead is g + μb, without λw."""
    kept = [(group, p, p.clone()) for group, p in opt.moving() if group["nesterov"]]
    yield
    for group, p, old in kept:
        p.add_(group["lr"] * decay_of(group) * old)


@wrong(AGREEMENT, "rejects nesterov_squared")
def look_ahead_squared(opt: Wrong) -> Iterator[None]:
    """The look-ahead is (1+μ)d + μ²b with the new b."""
    kept = [(group, p, p.clone()) for group, p in opt.moving() if group["nesterov"]]
    yield
    for group, p, old in kept:
        mu, b = group["momentum"], opt.state[p]["momentum_buffer"]
        d = (-p.grad if group["maximize"] else p.grad) + decay_of(group) * old
        p.sub_(group["lr"] * (mu * d + (mu * mu - mu) * b))


@wrong()
def always_nesterov(opt: Wrong) -> Iterator[None]:
    """The look-ahead is taken whether asked for or not."""
    with swapped(opt, nesterov=lambda g: g["momentum"] > 0):
        yield


@wrong()
def nesterov_forgets_at_third_step(opt: Wrong) -> Iterator[None]:
    """The look-ahead is left out from the third step on."""
    opt.steps += 1
    with swapped(opt, nesterov=lambda g: g["nesterov"] and opt.steps < 3):
        yield


@wrong(AGREEMENT, "rejects lr_in_velocity")
def lr_in_velocity(opt: Wrong) -> Iterator[None]:
    """The buffer holds what was added at the learning rate of its step."""
    for group, p in opt.moving():
        old, buffer = opt.state[p].get("lr"), opt.state[p].get("momentum_buffer")
        if old and buffer is not None and group["lr"]:
            buffer.mul_(old / group["lr"])
    yield
    for group, p in opt.moving():
        if group["momentum"]:
            opt.state[p]["lr"] = float(group["lr"])


@wrong()
def buffer_is_the_gradient(opt: Wrong) -> Iterator[None]:
    """The first buffer is the gradient itself, which the next backward pass overwrites."""
    yield
    for _, p in opt.moving():
        buffer = opt.state[p].get("momentum_buffer")
        if buffer is not None and torch.equal(buffer.to_dense(), p.grad.to_dense()):
            opt.state[p]["momentum_buffer"] = p.grad


# --- signs, rates, groups --------------------------------------------------------------------


@wrong()
def maximize_ignored(opt: Wrong) -> Iterator[None]:
    """maximize is ignored."""
    with swapped(opt, maximize=lambda g: False):
        yield


@wrong()
def stale_lr(opt: Wrong) -> Iterator[None]:
    """The learning rate of the constructor is used for ever."""
    with swapped(opt, lr=lambda g: opt.first_lr):
        yield


@wrong()
def rounded_lr(opt: Wrong) -> Iterator[None]:
    """The learning rate passes through float32."""
    with swapped(
        opt, lr=lambda g: torch.tensor(float(g["lr"]), dtype=torch.float32).double().item()
    ):
        yield


@wrong(AGREEMENT, "the order of parameters does not matter")
def last_parameter_forgotten(opt: Wrong) -> Iterator[None]:
    """The last of several parameters of a group does not move."""
    kept = [
        (p, p.clone())
        for group in opt.param_groups
        for p in group["params"][1:][-1:]
        if p.grad is not None
    ]
    yield
    for p, old in kept:
        p.copy_(old)


@wrong()
def no_decay_at_zero_gradient(opt: Wrong) -> Iterator[None]:
    """Elements whose gradient is exactly zero are not decayed."""
    kept = [(p, p.clone(), p.grad.to_dense() == 0) for _, p in opt.moving()]
    yield
    for p, old, still in kept:
        p.copy_(torch.where(still, old, p))


# --- numbers and memory ----------------------------------------------------------------------


# Not on foreach, where torch itself does this: see foreach-nesterov-gradient in the ledger.
@wrong(GRADIENTS, paths=("for-loop", "fused", "differentiable"))
def look_ahead_in_gradient(opt: Wrong) -> Iterator[None]:
    """The look-ahead is added to .grad itself where no decay or maximize made a copy of it."""
    yield
    for group, p in opt.moving():
        if group["nesterov"] and decay_of(group) == 0 and not group["maximize"]:
            p.grad = p.grad + group["momentum"] * opt.state[p]["momentum_buffer"]
