"""Right optimizers in forms that nobody has foreseen, and what each of them follows.

They are not texts of the rules in this package, and share no code with them.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch.optim import Optimizer

Params = Iterable[Any]


class FoldedAdamW(Optimizer):
    """Both corrections are in the size of the step, the decay in one expression with it."""

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(params, {"lr": lr, "b": betas, "eps": eps, "wd": weight_decay, "t": 0})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            group["t"] += 1
            b1, b2 = group["b"]
            root = math.sqrt(1 - b2 ** group["t"])
            size = group["lr"] * root / (1 - b1 ** group["t"])
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["m"], state["v"] = torch.zeros_like(p), torch.zeros_like(p)
                m, v, g = state["m"], state["v"], p.grad
                m += (1 - b1) * (g - m)
                v *= b2
                v += (1 - b2) * g**2
                p -= size * m / (v.sqrt() + root * group["eps"]) + group["lr"] * group["wd"] * p
        return loss


def look_ahead(
    params: list[Any], grads: list[Any], state: dict[str, Any], lr: float, mu: float
) -> list[Any]:
    """Nesterov's momentum as Sutskever writes it; what is kept and returned looks ahead."""
    ahead = []
    for number, (w, g) in enumerate(zip(params, grads, strict=True)):
        before = state.get(f"v{number}", np.zeros_like(w))
        velocity = mu * before - lr * g
        state[f"v{number}"] = velocity
        behind = w - mu * before
        ahead.append(behind + velocity + mu * velocity)
    return ahead


class InAClosure(Optimizer):
    """Adam that takes no step without a closure."""

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})

    def step(self, closure: Any) -> Any:  # type: ignore[override]
        with torch.enable_grad():
            loss = closure()
        for group in self.param_groups:
            (b1, b2), lr = group["betas"], group["lr"]
            for p in (p for p in group["params"] if p.grad is not None):
                s = self.state[p]
                t = s["t"] = s.get("t", 0) + 1
                m = s["m"] = b1 * s.get("m", 0) + (1 - b1) * p.grad
                v = s["v"] = b2 * s.get("v", 0) + (1 - b2) * p.grad * p.grad
                with torch.no_grad():
                    p -= lr * (m / (1 - b1**t)) / ((v / (1 - b2**t)).sqrt() + group["eps"])
        return loss


class Lookahead(Optimizer):
    """Zhang et al.'s wrapper around torch's own Adam, with k = 1 and α = 1: Adam itself.

    As most wrappers it does not call what it extends, and has no ``state_dict`` of its own.
    """

    def __init__(
        self, params: Params, lr: float = 1e-3, weight_decay: float = 0.0, k: int = 1
    ) -> None:
        self.inner = torch.optim.Adam(params, lr=lr, weight_decay=weight_decay, foreach=False)
        self.slow = {p: p.detach().clone() for group in self.param_groups for p in group["params"]}
        self.k, self.taken = k, 0

    @property
    def param_groups(self) -> Any:  # type: ignore[override]
        return self.inner.param_groups

    @property
    def state(self) -> Any:  # type: ignore[override]
        return self.inner.state

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        loss = self.inner.step(closure)
        self.taken += 1
        if self.taken % self.k == 0:
            for p, slow in self.slow.items():
                slow += 1.0 * (p - slow)
                p.copy_(slow)
        return loss


def by_name(
    params: Params, lr: float = 1e-3, weight_decay: float = 1e-2, eps: float = 1e-8
) -> Optimizer:
    """AdamW as language models are trained: what has one dimension is not decayed."""
    listed = list(params)
    if listed and isinstance(listed[0], dict):
        return torch.optim.AdamW(listed, lr=lr, weight_decay=weight_decay, eps=eps)
    named = {f"{'weight' if p.ndim > 1 else 'bias'}.{n}": p for n, p in enumerate(listed)}
    decayed = [p for name, p in named.items() if name.startswith("weight")]
    others = [p for name, p in named.items() if name.startswith("bias")]
    groups: list[dict[str, Any]] = [{"params": decayed}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(
        [g for g in groups if g["params"]], lr=lr, weight_decay=weight_decay, eps=eps
    )


Transformation = tuple[Callable[..., Any], Callable[..., Any]]


def _adam(b1: float, b2: float, eps: float) -> Transformation:
    def init(params: Any) -> Any:
        return 0, [0 * w for w in params], [0 * w for w in params]

    def update(updates: Any, state: Any, params: Any) -> Any:
        t, m, v = state
        t += 1
        m = [b1 * a + (1 - b1) * g for a, g in zip(m, updates, strict=True)]
        v = [b2 * a + (1 - b2) * g * g for a, g in zip(v, updates, strict=True)]
        found = [
            (a / (1 - b1**t)) / ((b / (1 - b2**t)) ** 0.5 + eps) for a, b in zip(m, v, strict=True)
        ]
        return found, (t, m, v)

    return init, update


def _decayed(rate: float) -> Transformation:
    def update(updates: Any, state: Any, params: Any) -> Any:
        return [u + rate * w for u, w in zip(updates, params, strict=True)], state

    return (lambda params: ()), update


def _scaled(rate: float) -> Transformation:
    return (lambda params: ()), (lambda updates, state, params: ([-rate * u for u in updates], ()))


def _chain(*parts: Transformation) -> Transformation:
    def init(params: Any) -> Any:
        return tuple(init(params) for init, _ in parts)

    def update(updates: Any, states: Any, params: Any) -> Any:
        after = []
        for (_, one), state in zip(parts, states, strict=True):
            updates, state = one(updates, state, params)
            after.append(state)
        return updates, tuple(after)

    return init, update


def chained(params: Any, grads: Any, state: dict[str, Any], hyper: Mapping[str, Any]) -> Any:
    """AdamW made of closures that are chained, as optax has it."""
    init, update = _chain(
        _adam(hyper["beta1"], hyper["beta2"], hyper["eps"]),
        _decayed(hyper["weight_decay"]),
        _scaled(hyper["lr"]),
    )
    before = state["opt"] if "opt" in state else init(params)
    updates, state["opt"] = update(grads, before, params)
    return [w + u for w, u in zip(params, updates, strict=True)]


class Updater:
    """A class of NumPy's times, with ``update``."""

    def __init__(self, lr: float, momentum: float, decay: float) -> None:
        self.lr, self.momentum, self.decay = lr, momentum, decay
        self.velocity: dict[int, Any] = {}

    def update(self, key: int, w: Any, g: Any) -> None:
        """Change one parameter in place."""
        g = g + self.decay * w
        if self.momentum:
            self.velocity[key] = self.momentum * self.velocity[key] + g if self.velocity else g
            g = self.velocity[key]
        w -= self.lr * g


def updated(
    params: Any, grads: Any, state: dict[int, Any], lr: float, momentum: float, decay: float
) -> None:
    """How an :class:`Updater` is asked: what it remembers is handed over."""
    for key, (w, g) in enumerate(zip(params, grads, strict=True)):
        one = Updater(lr, momentum, decay)
        one.velocity = state.setdefault(key, {})
        one.update(key, w, g)


class Flat(Optimizer):
    """SGD on one long vector of all parameters, in float64 whatever they are.

    Between steps it remembers in their dtype: load_state_dict knows no other.
    """

    def __init__(
        self, params: Params, lr: float = 0.1, momentum: float = 0.0, weight_decay: float = 0.0
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "long": None}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            there = [p for p in group["params"] if p.grad is not None]
            if not there:
                continue
            flat = torch.cat([p.reshape(-1).double() for p in there])
            slopes = torch.cat([p.grad.reshape(-1).double() for p in there])
            slopes = slopes + group["weight_decay"] * flat
            long = torch.cat(
                [self.state[p].get("v", torch.zeros_like(p)).reshape(-1).double() for p in there]
            )
            long = group["momentum"] * long + slopes
            flat = flat - group["lr"] * long
            at = 0
            for p in there:
                p.copy_(flat[at : at + p.numel()].reshape(p.shape))
                self.state[p]["v"] = long[at : at + p.numel()].reshape(p.shape).to(p.dtype)
                at += p.numel()
        return loss


class WholeHistory(Optimizer):
    """Adagrad that keeps every gradient, and sums their squares anew at each step."""

    def __init__(self, params: Params, lr: float = 0.01, eps: float = 1e-10) -> None:
        super().__init__(params, {"lr": lr, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    history = self.state[p].setdefault("history", [])
                    history.append(p.grad.clone())
                    root = torch.stack(history).square().sum(0).sqrt()
                    p.addcdiv_(p.grad, root + group["eps"], value=-group["lr"])
        return loss


class Variance(Optimizer):
    """Centered RMSprop by the means of g and g², the first step's as all others."""

    def __init__(
        self,
        params: Params,
        lr: float = 0.01,
        alpha: float = 0.99,
        eps: float = 1e-8,
        momentum: float = 0.0,
        centered: bool = False,
    ) -> None:
        defaults = {"lr": lr, "a": alpha, "eps": eps, "mom": momentum, "centered": centered}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                s = self.state[p]
                keep, new = group["a"], 1 - group["a"]
                s["square"] = keep * s.get("square", 0 * p) + new * p.grad**2
                s["mean"] = keep * s.get("mean", 0 * p) + new * p.grad
                spread = s["square"] - group["centered"] * s["mean"] ** 2
                s["buffer"] = group["mom"] * s.get("buffer", 0 * p) + p.grad / (
                    torch.sqrt(spread) + group["eps"]
                )
                p.copy_(p - group["lr"] * s["buffer"])
        return loss


class Slotted(Optimizer):
    """AMSGrad by ``torch.where``, its state in one tensor a parameter."""

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        amsgrad: bool = True,
        l2: float = 0.0,
    ) -> None:
        defaults = {"lr": lr, "b1": beta1, "b2": beta2, "e": epsilon, "ams": amsgrad, "l2": l2}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            b1, b2 = group["b1"], group["b2"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["slots"], state["t"] = p.new_zeros((3, *p.shape)), 0
                state["t"] += 1
                m, v, top = state["slots"]
                g = torch.add(p.grad, p, alpha=group["l2"])
                m.copy_(m * b1 + g * (1 - b1))
                v.copy_(v * b2 + g * g * (1 - b2))
                top.copy_(torch.where(v > top, v, top))
                used = top if group["ams"] else v
                first = m * (1 / (1 - b1 ** state["t"]))
                second = (used / (1 - b2 ** state["t"])).sqrt() + group["e"]
                p.sub_(first / second, alpha=group["lr"])
        return loss


class Bound(torch.optim.NAdam):
    """torch's NAdam, extended by a hook and a switch that change nothing."""

    def __init__(self, params: Params, clip: float | None = None, **options: Any) -> None:
        super().__init__(params, **options)
        self.clip = clip


plain_sgd = functools.partial(torch.optim.SGD, nesterov=True, momentum=0.9)
"""torch's SGD, two arguments of it bound."""


def sparse_sums(
    params: Any, grads: Any, state: dict[str, Any], lr: float, wd: float, n: int
) -> Any:
    """Gradients of a sum and the decay as its own loss, both divided by the batch at the end."""
    return [w - (lr / n) * (n * g + n * wd * w) for w, g in zip(params, grads, strict=True)]


class Passing(Optimizer):
    """Its groups call the rate as torch does, and it passes over what it does not know."""

    def __init__(self, params: Params, learning_rate: float = 0.1, **others: Any) -> None:
        super().__init__(params, {"lr": learning_rate})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p -= group["lr"] * p.grad
        return loss


class Bare:
    """Has no groups: its rate is an attribute."""

    def __init__(self, params: Params, lr: float) -> None:
        self.params, self.lr = list(params), lr

    @torch.no_grad()
    def step(self) -> None:
        for p in self.params:
            if p.grad is not None:
                p -= self.lr * p.grad


def configured(params: Any, grads: Any, state: dict[str, Any], cfg: Any) -> Any:
    """Reads its settings as attributes."""
    return [w - cfg.lr * g for w, g in zip(params, grads, strict=True)]


PLAIN_FORMS = (Passing, Bare, configured)
"""What is gradient descent, whatever is asked of it."""


ODD_FORMS: Mapping[Any, str] = {
    FoldedAdamW: "AdamW's decoupled_lr",
    look_ahead: "SGD's lr_in_velocity, nesterov = True whatever is given",
    InAClosure: "Adam's coupled_unscaled",
    Lookahead: "Adam's coupled_unscaled",
    by_name: "AdamW's decoupled_lr",
    chained: "AdamW's decoupled_lr",
    updated: "SGD's coupled_unscaled",
    Flat: "SGD's coupled_unscaled",
    WholeHistory: "Adagrad's coupled_unscaled",
    Variance: "RMSprop's coupled_unscaled",
    Slotted: "Adam's coupled_unscaled",
    Bound: "NAdam's coupled_unscaled",
    plain_sgd: "SGD's coupled_unscaled",
    sparse_sums: "SGD's coupled_unscaled",
}
"""By the form, the first of what it is said to follow."""
