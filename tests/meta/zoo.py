"""A zoo of wrong optimizers: each is ``torch.optim.SGD`` with one thing broken.

Most are wrapped around the real step, so the same wrong rule can be planted in every path: what
they do before and after it is written as a generator, split at the ``yield`` where the real step
happens. Each names the checks that claim to catch it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

Around = Callable[["Wrong"], Iterator[None]]

AGREEMENT = "agreement"
EVENTFUL = "agreement through gaps and late groups"
GRADIENTS = "gradients are left as they were"
SURROUNDINGS = "nothing else changes"
CLOSURE = "a closure is called once"


class Wrong(torch.optim.SGD):
    """SGD with something happening around its step."""

    around: Around
    steps = 0

    def __init__(self, params: Any, lr: Any = 1e-3, batch_size: int = 1, **options: Any) -> None:
        super().__init__(params, lr, **options)
        self.first_lr = self.param_groups[0]["lr"]
        for group in self.param_groups:
            group.setdefault("batch_size", batch_size)

    def step(self, closure: Any = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        with torch.no_grad():
            wrapped = type(self).around(self)
            next(wrapped)
        super().step()
        with torch.no_grad():
            next(wrapped, None)
        return loss

    def moving(self) -> Iterator[tuple[dict[str, Any], Any]]:
        """Every group and parameter that has a gradient now."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    yield group, p


_SIGNATURE = inspect.signature(torch.optim.SGD)
_BATCH_SIZE = inspect.Parameter("batch_size", inspect.Parameter.KEYWORD_ONLY, default=1)
# Says that it takes what this torch's SGD takes, and the batch size, which the harness then gives.
Wrong.__signature__ = _SIGNATURE.replace(  # type: ignore[attr-defined]
    parameters=[*_SIGNATURE.parameters.values(), _BATCH_SIZE]
)


PLANTED = ("for-loop", "foreach", "fused", "differentiable")
"""The paths a wrong optimizer is planted in."""


@dataclass(frozen=True)
class Specimen:
    """One wrong optimizer, the checks that claim to catch it, and the paths it is planted in."""

    optimizer: type[torch.optim.SGD]
    caught_by: tuple[str, ...]
    paths: tuple[str, ...]

    def __str__(self) -> str:
        return self.optimizer.__name__


ZOO: list[Specimen] = []


def wrong(*caught_by: str, paths: tuple[str, ...] = PLANTED) -> Callable[[Around], Around]:
    """Enter a wrong optimizer, named after the function, into the zoo."""

    def enter(around: Around) -> Around:
        name = around.__name__.title().replace("_", "")
        made = type(name, (Wrong,), {"around": around, "__doc__": around.__doc__})
        made.__module__ = __name__
        globals()[name] = made  # so that it can be pickled
        ZOO.append(Specimen(made, caught_by or (AGREEMENT,), paths))
        return around

    return enter


def swapped(opt: Wrong, **changes: Callable[[dict[str, Any]], Any]) -> Callable[[], None]:
    """Put other hyperparameters into every group; the returned function puts them back."""
    kept = [{name: group[name] for name in changes} for group in opt.param_groups]
    for group in opt.param_groups:
        group.update({name: change(dict(group)) for name, change in changes.items()})

    def restore() -> None:
        for group, old in zip(opt.param_groups, kept, strict=True):
            group.update(old)

    return restore


def decay_of(group: dict[str, Any]) -> float:
    return float(group["weight_decay"])


# --- the conventions of other frameworks -----------------------------------------------------


@wrong(AGREEMENT, "rejects batch_scaled")
def batch_scaled_decay(opt: Wrong) -> Iterator[None]:
    """g + (λ/m)w."""
    restore = swapped(opt, weight_decay=lambda g: g["weight_decay"] / g["batch_size"])
    yield
    restore()


@wrong(AGREEMENT, "rejects coupled_doubled")
def doubled_decay(opt: Wrong) -> Iterator[None]:
    """g + 2λw."""
    restore = swapped(opt, weight_decay=lambda g: g["weight_decay"] * 2)
    yield
    restore()


@wrong(AGREEMENT, "rejects decoupled_lr")
def decoupled_decay(opt: Wrong) -> Iterator[None]:
    """w ← (1 − γλ)w before an undecayed step."""
    for group, p in opt.moving():
        p.mul_(1 - group["lr"] * decay_of(group))
    restore = swapped(opt, weight_decay=lambda g: 0.0)
    yield
    restore()


@wrong(AGREEMENT, "rejects decoupled")
def decoupled_without_lr(opt: Wrong) -> Iterator[None]:
    """w ← (1 − λ)w before an undecayed step."""
    for group, p in opt.moving():
        p.mul_(1 - decay_of(group))
    restore = swapped(opt, weight_decay=lambda g: 0.0)
    yield
    restore()


@wrong(AGREEMENT, "rejects decay_after_lr")
def decay_after_step(opt: Wrong) -> Iterator[None]:
    """w ← (1 − γλ)w after an undecayed step."""
    restore = swapped(opt, weight_decay=lambda g: 0.0)
    yield
    restore()
    for group, p in opt.moving():
        p.mul_(1 - group["lr"] * decay_of(group))


@wrong(AGREEMENT, "rejects decay_after")
def decay_after_without_lr(opt: Wrong) -> Iterator[None]:
    """w ← (1 − λ)w after an undecayed step."""
    restore = swapped(opt, weight_decay=lambda g: 0.0)
    yield
    restore()
    for group, p in opt.moving():
        p.mul_(1 - decay_of(group))


@wrong(AGREEMENT, "rejects decay_drift")
def drifting_decay(opt: Wrong) -> Iterator[None]:
    """w ← w − γλ after an undecayed step."""
    restore = swapped(opt, weight_decay=lambda g: 0.0)
    yield
    restore()
    for group, p in opt.moving():
        p.sub_(group["lr"] * decay_of(group))


@wrong(AGREEMENT, "rejects decay_ignored")
def no_decay(opt: Wrong) -> Iterator[None]:
    """λ is ignored."""
    restore = swapped(opt, weight_decay=lambda g: 0.0)
    yield
    restore()


@wrong()
def negated_decay(opt: Wrong) -> Iterator[None]:
    """g − λw."""
    restore = swapped(opt, weight_decay=lambda g: -g["weight_decay"])
    yield
    restore()


@wrong(AGREEMENT, "rejects decay_sign_flipped")
def decay_flips_under_maximize(opt: Wrong) -> Iterator[None]:
    """−(g + λw) under maximize."""
    restore = swapped(
        opt, weight_decay=lambda g: -g["weight_decay"] if g["maximize"] else g["weight_decay"]
    )
    yield
    restore()


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
    restore = swapped(opt, weight_decay=lambda g: 0.0)
    yield
    restore()
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
    restore = swapped(opt, dampening=lambda g: g["momentum"])
    yield
    restore()


@wrong()
def dampening_ignored(opt: Wrong) -> Iterator[None]:
    """τ is ignored."""
    restore = swapped(opt, dampening=lambda g: 0.0)
    yield
    restore()


@wrong()
def momentum_forgotten(opt: Wrong) -> Iterator[None]:
    """The buffer is dropped after each step."""
    yield
    for _, p in opt.moving():
        opt.state[p].pop("momentum_buffer", None)


@wrong()
def momentum_ignored(opt: Wrong) -> Iterator[None]:
    """μ is taken for 0."""
    restore = swapped(opt, momentum=lambda g: 0.0)
    yield
    restore()


@wrong(AGREEMENT, "rejects nesterov_ignored")
def nesterov_flag_ignored(opt: Wrong) -> Iterator[None]:
    """The look-ahead is left out."""
    restore = swapped(opt, nesterov=lambda g: False)
    yield
    restore()


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
    restore = swapped(opt, nesterov=lambda g: g["momentum"] > 0)
    yield
    restore()


@wrong()
def nesterov_forgets_at_third_step(opt: Wrong) -> Iterator[None]:
    """The look-ahead is left out from the third step on."""
    opt.steps += 1
    restore = swapped(opt, nesterov=lambda g: g["nesterov"] and opt.steps < 3)
    yield
    restore()


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


@wrong(EVENTFUL)
def buffer_decays_without_gradient(opt: Wrong) -> Iterator[None]:
    """A parameter without gradient has its buffer shrunk all the same."""
    for group in opt.param_groups:
        for p in group["params"]:
            buffer = opt.state.get(p, {}).get("momentum_buffer")
            if p.grad is None and buffer is not None:
                buffer.mul_(float(group["momentum"]))
    yield


# --- signs, rates, groups --------------------------------------------------------------------


@wrong()
def maximize_ignored(opt: Wrong) -> Iterator[None]:
    """maximize is ignored."""
    restore = swapped(opt, maximize=lambda g: False)
    yield
    restore()


@wrong()
def stale_lr(opt: Wrong) -> Iterator[None]:
    """The learning rate of the constructor is used for ever."""
    restore = swapped(opt, lr=lambda g: opt.first_lr)
    yield
    restore()


@wrong()
def rounded_lr(opt: Wrong) -> Iterator[None]:
    """The learning rate passes through float32."""
    restore = swapped(
        opt, lr=lambda g: torch.tensor(float(g["lr"]), dtype=torch.float32).double().item()
    )
    yield
    restore()


@wrong(EVENTFUL)
def first_group_rules(opt: Wrong) -> Iterator[None]:
    """All groups step with the first group's decay."""
    restore = swapped(opt, weight_decay=lambda g: opt.param_groups[0]["weight_decay"])
    yield
    restore()


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


@wrong(EVENTFUL)
def decays_without_gradient(opt: Wrong) -> Iterator[None]:
    """A parameter without gradient is decayed all the same."""
    for group in opt.param_groups:
        for p in group["params"]:
            if p.grad is None:
                p.mul_(1 - group["lr"] * decay_of(group))
    yield


@wrong()
def no_decay_at_zero_gradient(opt: Wrong) -> Iterator[None]:
    """Elements whose gradient is exactly zero are not decayed."""
    kept = [(p, p.clone(), p.grad.to_dense() == 0) for _, p in opt.moving()]
    yield
    for p, old, still in kept:
        p.copy_(torch.where(still, old, p))


# --- numbers and memory ----------------------------------------------------------------------


@wrong(AGREEMENT, "transposing commutes")
def first_row_forgotten(opt: Wrong) -> Iterator[None]:
    """The first row of a matrix does not move."""
    kept = [(p, p[0].clone()) for _, p in opt.moving() if p.ndim > 1 and p.shape[0]]
    yield
    for p, old in kept:
        p[0] = old


# On the one path that takes sparse gradients in every torch.
@wrong("agreement on sparse gradients", paths=("for-loop",))
def sparse_gradient_twice(opt: Wrong) -> Iterator[None]:
    """A sparse gradient is applied twice."""
    yield
    for group, p in opt.moving():
        if p.grad.is_sparse:
            p.sub_(group["lr"] * p.grad.to_dense())


@wrong(AGREEMENT, "splitting a parameter commutes")
def tail_forgotten(opt: Wrong) -> Iterator[None]:
    """Elements after the last full block of eight do not move."""
    kept = [(p, p.clone()) for _, p in opt.moving() if p.numel() > 8]
    yield
    for p, old in kept:
        full = p.numel() // 8 * 8
        flat, last = p.reshape(-1).clone(), old.reshape(-1)
        flat[full:] = last[full:]
        p.copy_(flat.view(p.shape))


@wrong()
def half_precision_inside(opt: Wrong) -> Iterator[None]:
    """The new parameter passes through bfloat16."""
    yield
    for _, p in opt.moving():
        p.copy_(p.to(torch.bfloat16))


@wrong()
def one_ulp_short(opt: Wrong) -> Iterator[None]:
    """float64 parameters pass through a subtraction that loses the last bits."""
    yield
    for _, p in opt.moving():
        p.copy_((p + 64 * p) - 64 * p)


@wrong("agreement at the edge")
def nonfinite_swallowed(opt: Wrong) -> Iterator[None]:
    """inf and nan gradients are replaced by zero."""
    for _, p in opt.moving():
        p.grad = torch.nan_to_num(p.grad.to_dense(), 0.0, 0.0, 0.0)
    yield


@wrong("agreement at the edge")
def subnormals_flushed(opt: Wrong) -> Iterator[None]:
    """Results below the normal range become zero."""
    yield
    for _, p in opt.moving():
        p.copy_(torch.where(p.abs() < torch.finfo(p.dtype).tiny, torch.zeros_like(p), p))


@wrong(GRADIENTS)
def gradient_overwritten(opt: Wrong) -> Iterator[None]:
    """The decayed gradient is left in .grad."""
    yield
    for group, p in opt.moving():
        p.grad = p.grad + decay_of(group) * p


# Not on foreach, where torch itself does this: see foreach-nesterov-gradient in the ledger.
@wrong(GRADIENTS, paths=("for-loop", "fused", "differentiable"))
def look_ahead_in_gradient(opt: Wrong) -> Iterator[None]:
    """The look-ahead is added to .grad itself where no decay or maximize made a copy of it."""
    yield
    for group, p in opt.moving():
        if group["nesterov"] and decay_of(group) == 0 and not group["maximize"]:
            p.grad = p.grad + group["momentum"] * opt.state[p]["momentum_buffer"]


@wrong(GRADIENTS)
def gradient_cleared(opt: Wrong) -> Iterator[None]:
    """The step also zeroes the gradients."""
    yield
    for _, p in opt.moving():
        p.grad = torch.zeros_like(p)


@wrong(SURROUNDINGS)
def draws_random_numbers(opt: Wrong) -> Iterator[None]:
    """The step advances torch's random state."""
    torch.rand(())
    yield


@wrong(SURROUNDINGS)
def replaces_memory(opt: Wrong) -> Iterator[None]:
    """Parameters move to new memory, so that views of them go stale."""
    yield
    for _, p in opt.moving():
        p.data = p.data.clone()


@wrong(SURROUNDINGS, paths=("for-loop", "foreach", "differentiable"))
def writes_between_elements(opt: Wrong) -> Iterator[None]:
    """The memory between the elements of a strided parameter is overwritten.

    (Not on fused, which does so itself: see fused-cpu-layout in the ledger.)
    """
    yield
    for _, p in opt.moving():
        if p.ndim and p.stride(-1) == 2 and p.shape[-1] > 1:
            wider = p.as_strided((2 * p.shape[-1] - 1,), (1,), p.storage_offset())
            wider[1] = 0.0


@wrong(SURROUNDINGS, paths=("for-loop", "foreach", "fused"))
def freezes_parameters(opt: Wrong) -> Iterator[None]:
    """Parameters no longer require grad after the step."""
    yield
    for _, p in opt.moving():
        p.requires_grad_(False)


@wrong(SURROUNDINGS)
def replaces_gradients(opt: Wrong) -> Iterator[None]:
    """.grad is another tensor with the same values after the step."""
    yield
    for _, p in opt.moving():
        p.grad = p.grad.clone()


@wrong(SURROUNDINGS)
def edits_hyperparameters(opt: Wrong) -> Iterator[None]:
    """The step lowers its own learning rate."""
    yield
    for group in opt.param_groups:
        group["lr"] = group["lr"] * 0.999


@wrong(SURROUNDINGS)
def keeps_more_state(opt: Wrong) -> Iterator[None]:
    """The state grows by something the rule does not have."""
    yield
    for _, p in opt.moving():
        opt.state[p]["last_gradient"] = p.grad.clone()


# --- what is not a wrapped step --------------------------------------------------------------


def other(
    *caught_by: str, paths: tuple[str, ...] = PLANTED
) -> Callable[[type[torch.optim.SGD]], type[torch.optim.SGD]]:
    """Enter a class that breaks something else than what happens around the step."""

    def enter(made: type[torch.optim.SGD]) -> type[torch.optim.SGD]:
        ZOO.append(Specimen(made, caught_by, paths))
        return made

    return enter


@other(CLOSURE)
class ClosureTwice(torch.optim.SGD):
    """The closure is called twice."""

    def step(self, closure: Any = None) -> Any:
        if closure is not None:
            closure()
        return super().step(closure)


@other(CLOSURE)
class ClosureWithoutGradients(torch.optim.SGD):
    """The closure is called with gradients disabled."""

    def step(self, closure: Any = None) -> Any:
        with torch.no_grad():
            loss = closure() if closure is not None else None
        super().step()
        return loss


@other(CLOSURE)
class LossLost(torch.optim.SGD):
    """The closure's value is not returned."""

    def step(self, closure: Any = None) -> Any:
        super().step(closure)


@other("state_dict in mid-run continues")
class StateNotSaved(torch.optim.SGD):
    """state_dict leaves the buffers out."""

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "state": {}}


@other("deepcopy in mid-run continues", "pickle in mid-run continues")
class StateNotCopied(torch.optim.SGD):
    """Copies and pickles start without buffers."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self.state.clear()


@other(EVENTFUL)
class GroupForgotten(torch.optim.SGD):
    """A group that is added later gets the first group's learning rate."""

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        super().add_param_group(param_group)
        if self.state:
            self.param_groups[-1]["lr"] = self.param_groups[0]["lr"]


@other("zero_grad to none", "zero_grad to zero")
class ZeroGradForgets(torch.optim.SGD):
    """zero_grad does nothing."""

    def zero_grad(self, set_to_none: bool = True) -> None:
        pass


@other("a skipped step changes nothing", paths=("fused, grad scaler",))
class ScalerIgnored(torch.optim.SGD):
    """A step that the grad scaler skips decays all the same."""

    def step(self, closure: Any = None) -> Any:
        found_inf = getattr(self, "found_inf", None)
        if found_inf is not None and found_inf.item():
            with torch.no_grad():
                for group in self.param_groups:
                    for p in group["params"]:
                        p.mul_(0.5)
        return super().step(closure)
