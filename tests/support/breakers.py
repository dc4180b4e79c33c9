"""A correct optimizer that keeps every promise, and others that break one promise each."""

from __future__ import annotations

import copy
import gc
import os
import random
from collections.abc import Callable, Iterable
from typing import Any

import torch

Group = dict[str, Any]


class Clean(torch.optim.Optimizer):
    """SGD with momentum in a text of its own: names, states and order of operations."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.1,
        mu: float = 0.0,
        wd: float = 0.0,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, {"lr": lr, "mu": mu, "wd": wd, "maximize": maximize})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step."""
        loss = self.evaluated(closure)
        for group in self.groups():
            for p in group["params"]:
                if p.grad is not None:
                    self.update(p, -p.grad if group["maximize"] else p.grad, group)
        return loss

    def evaluated(self, closure: Callable[[], Any] | None) -> Any:
        """What a step returns."""
        return None if closure is None else torch.enable_grad()(closure)()

    def groups(self) -> list[Group]:
        """What is stepped."""
        groups: list[Group] = self.param_groups
        return groups

    def update(self, p: Any, g: Any, group: Group) -> None:
        """One step of one parameter."""
        d = g + group["wd"] * p
        state = self.state[p]
        state["t"] = state.get("t", 0) + 1
        state["v"] = group["mu"] * state["v"] + d if "v" in state else d
        p.sub_(self.rate(p, group) * state["v"])

    def rate(self, p: Any, group: Group) -> float:
        """Its learning rate."""
        return float(group["lr"])


class Frozen(Clean):
    """Leaves parameters that have no gradients any more."""

    def update(self, p: Any, g: Any, group: Group) -> None:
        super().update(p, g, group)
        p.requires_grad_(False)


class Still(Clean):
    def update(self, p: Any, g: Any, group: Group) -> None:
        if p.ndim > 1:
            super().update(p, g, group)


class Infinite(Clean):
    def update(self, p: Any, g: Any, group: Group) -> None:
        super().update(p, g, group)
        if self.state[p]["t"] == 5:
            p.mul_(float("inf"))


class Rebinding(Clean):
    def update(self, p: Any, g: Any, group: Group) -> None:
        super().update(p, g, group)
        p.data = p.detach().clone()


class DecaysGradients(Clean):
    def update(self, p: Any, g: Any, group: Group) -> None:
        g.add_(p, alpha=group["wd"])
        super().update(p, g, {**group, "wd": 0.0})


class Noisy(Clean):
    noise = random.Random(0)

    def rate(self, p: Any, group: Group) -> float:
        return super().rate(p, group) * (1 + 1e-3 * self.noise.random())


class Averaging(Clean):
    """Right for two parameters."""

    def rate(self, p: Any, group: Group) -> float:
        return super().rate(p, group) * 2 / sum(len(g["params"]) for g in self.param_groups)


class FirstOnly(Clean):
    """Looks at which parameter comes first, where there are two."""

    def rate(self, p: Any, group: Group) -> float:
        first, *others = group["params"]
        return super().rate(p, group) * (2 if others and first.ndim == 2 else 1)


class Talkative(Clean):
    def evaluated(self, closure: Callable[[], Any] | None) -> Any:
        return 0.0 if closure is None else super().evaluated(closure)


class Deaf(Clean):
    def evaluated(self, closure: Callable[[], Any] | None) -> Any:
        return None


class Stale(Clean):
    """Steps on the gradients that were there before the closure made others."""

    def evaluated(self, closure: Callable[[], Any] | None) -> Any:
        params = [p for group in self.param_groups for p in group["params"]]
        before = [p.grad for p in params]
        loss = super().evaluated(closure)
        for p, grad in zip(params, before, strict=True):
            p.grad = p.grad if grad is None else grad
        return loss


class Zealous(Clean):
    """No gradient is a gradient of zero."""

    def groups(self) -> list[Group]:
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    self.update(p, torch.zeros_like(p), group)
        return super().groups()


class Punctual(Clean):
    """Has buffers for those that were there at the first step of their group."""

    def update(self, p: Any, g: Any, group: Group) -> None:
        if p not in self.state and group.get("begun"):
            raise KeyError("v")
        super().update(p, g, group)
        if p is group["params"][-1] or group["params"][-1].grad is None:
            group["begun"] = True


class OneRate(Clean):
    def rate(self, p: Any, group: Group) -> float:
        return float(self.param_groups[0]["lr"])


class Founders(Clean):
    """Steps the groups there were at first."""

    def __init__(self, params: Any, **given: Any) -> None:
        super().__init__(params, **given)
        self.defaults["founders"] = len(self.param_groups)

    def groups(self) -> list[Group]:
        return super().groups()[: self.defaults["founders"]]


class Stubborn(Clean):
    """Keeps the learning rate of its first step."""

    def rate(self, p: Any, group: Group) -> float:
        return float(self.state[p].setdefault("rate", group["lr"]))


class Unscheduled(Clean):
    def rate(self, p: Any, group: Group) -> float:
        return float(group["initial_lr" if "initial_lr" in group else "lr"])


class Dividing(Clean):
    def rate(self, p: Any, group: Group) -> float:
        return 1 / (1 / super().rate(p, group))


class Forgetful(Clean):
    def zero_grad(self, set_to_none: bool = True) -> None:
        super().zero_grad(set_to_none)
        self.state.clear()


class Cold(Clean):
    """Loads its groups only."""

    def load_state_dict(self, state_dict: Any) -> None:
        super().load_state_dict(state_dict)
        self.state.clear()


class Unsaved(Clean):
    def state_dict(self) -> Any:
        return {**super().state_dict(), "clock": lambda: 0}


class Shallow(Clean):
    def __deepcopy__(self, memo: Any) -> Any:
        return type(self)(copy.deepcopy([{**group} for group in self.param_groups], memo))


class Unpickled(Clean):
    def __deepcopy__(self, memo: Any) -> Any:
        other = Clean.__new__(type(self))
        other.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return other

    def __reduce__(self) -> Any:
        raise TypeError("cannot be pickled")


class FlatParameters(Clean):
    def update(self, p: Any, g: Any, group: Group) -> None:
        p.view(-1)
        super().update(p, g, group)


class FlatGradients(Clean):
    def update(self, p: Any, g: Any, group: Group) -> None:
        g.view(-1)
        super().update(p, g, group)


class Counting(Clean):
    def rate(self, p: Any, group: Group) -> float:
        return super().rate(p, group) * (1 if len(p) else 2)


class Largest(Clean):
    def rate(self, p: Any, group: Group) -> float:
        return super().rate(p, group) * (1 if p.abs().max() else 2)


class Listed(Clean):
    def __init__(self, params: Any, **given: Any) -> None:
        if not any(True for _ in params):
            raise ValueError("there are no parameters")
        super().__init__(params, **given)


class Minimizer(Clean):
    def groups(self) -> list[Group]:
        return [{**group, "maximize": False} for group in self.param_groups]


class Sweeping(Clean):
    """Clears all gradients there are, at its last step."""

    def update(self, p: Any, g: Any, group: Group) -> None:
        super().update(p, g, group)
        if self.state[p]["t"] == 8:
            mine = {id(p) for group in self.param_groups for p in group["params"]}
            for other in gc.get_objects():
                if type(other) is torch.nn.Parameter and id(other) not in mine:
                    other.grad = None


class Drawing(Clean):
    def rate(self, p: Any, group: Group) -> float:
        torch.rand(1)
        return super().rate(p, group)


class Widening(Clean):
    def rate(self, p: Any, group: Group) -> float:
        torch.set_default_dtype(torch.float64)
        return super().rate(p, group)


class Patching(Clean):
    def rate(self, p: Any, group: Group) -> float:
        torch.optim.SGD = Clean  # type: ignore[misc, assignment]
        return super().rate(p, group)


class Forking(Clean):
    def rate(self, p: Any, group: Group) -> float:
        if self.state[p]["t"] == 1 and (other := os.fork()):
            os.waitpid(other, 0)
        return super().rate(p, group)


BREAKERS: dict[str, type[Clean]] = {
    "parameters stay themselves": Frozen,
    "moves": Still,
    "finite": Infinite,
    "in place": Rebinding,
    "gradients": DecaysGradients,
    "deterministic": Noisy,
    "independence": Averaging,
    "order": FirstOnly,
    "no result": Talkative,
    "closure": Deaf,
    "closure's gradients": Stale,
    "missing gradients": Zealous,
    "late gradients": Punctual,
    "groups": OneRate,
    "group added later": Founders,
    "edited lr": Stubborn,
    "scheduler": Unscheduled,
    "lr of zero": Dividing,
    "zero_grad": Forgetful,
    "state_dict in mid-run": Cold,
    "state_dict as bytes": Unsaved,
    "deepcopy": Shallow,
    "pickle": Unpickled,
    "non-contiguous parameters": FlatParameters,
    "non-contiguous gradients": FlatGradients,
    "0-d parameters": Counting,
    "empty parameters": Largest,
    "any iterable": Listed,
    "maximize": Minimizer,
    "other tensors": Sweeping,
    "random state": Drawing,
    "global switches": Widening,
    "functions of libraries": Patching,
} | ({"one process": Forking} if hasattr(os, "fork") else {})
"""By promise, who breaks that one and no other."""
