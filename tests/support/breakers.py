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


class FirstDecay(Clean):
    """Decays all groups as the first one."""

    def update(self, p: Any, g: Any, group: Group) -> None:
        super().update(p, g, {**group, "wd": self.param_groups[0]["wd"]})


class LastSign(Clean):
    """Maximizes by all groups or by none."""

    def groups(self) -> list[Group]:
        last = self.param_groups[-1]["maximize"]
        return [{**group, "maximize": last} for group in self.param_groups]


class OneMomentum(Clean):
    """Remembers as long in all groups as in the first one."""

    def update(self, p: Any, g: Any, group: Group) -> None:
        super().update(p, g, {**group, "mu": self.param_groups[0]["mu"]})


class DecaysTwo(Clean):
    """Does not decay the third parameter."""

    def update(self, p: Any, g: Any, group: Group) -> None:
        third = len(group["params"]) > 2 and p is group["params"][2]
        super().update(p, g, {**group, "wd": 0.0} if third else group)


class DecaysVectors(Clean):
    """Does not decay what has no dimensions."""

    def update(self, p: Any, g: Any, group: Group) -> None:
        super().update(p, g, group if p.ndim else {**group, "wd": 0.0})


class Counted(Clean):
    """Warms up by how many steps it has made, whoever had gradients then."""

    def groups(self) -> list[Group]:
        self.defaults["t"] = self.defaults.get("t", 0) + 1
        return super().groups()

    def rate(self, p: Any, group: Group) -> float:
        since = self.state[p].setdefault("since", self.defaults["t"])
        return super().rate(p, group) * (0.5 if since > 1 else 1)


class Otherwise(Clean):
    """Steps what has no dimensions by Python's numbers, which is the same but for roundings."""

    def update(self, p: Any, g: Any, group: Group) -> None:
        if p.ndim:
            return super().update(p, g, group)
        state = self.state[p]
        d = g.item() + group["wd"] * p.item()
        state["v"] = p.new_tensor(group["mu"] * state["v"].item() + d if "v" in state else d)
        p.copy_(torch.tensor(p.item() - group["lr"] * state["v"].item()))
        return None


class DecaysWhole(Clean):
    """Does not decay in float16; no promise says that, as its rule does."""

    def update(self, p: Any, g: Any, group: Group) -> None:
        half = p.dtype is torch.float16
        super().update(p, g, {**group, "wd": 0.0} if half else group)


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


class Rehoused(Clean):
    """Goes on with parameters of its own."""

    def groups(self) -> list[Group]:
        stepped = [{**group} for group in self.param_groups]
        for group in self.param_groups:
            group["params"] = [p.detach().clone() for p in group["params"]]
        return stepped


class Cleaning(Clean):
    """Takes gradients away once they are used."""

    def update(self, p: Any, g: Any, group: Group) -> None:
        super().update(p, g, group)
        p.grad = None


class Unrecorded(Clean):
    def evaluated(self, closure: Callable[[], Any] | None) -> Any:
        return None if closure is None else closure()


class Twice(Clean):
    def evaluated(self, closure: Callable[[], Any] | None) -> Any:
        super().evaluated(closure)
        return super().evaluated(closure)


class Coupled(Clean):
    """Takes larger steps where some parameter has no gradient."""

    def rate(self, p: Any, group: Group) -> float:
        alone = any(other.grad is None for other in group["params"])
        return super().rate(p, group) * (2 if alone else 1)


class Idle(Clean):
    """Shrinks all where nobody has a gradient."""

    def groups(self) -> list[Group]:
        params = [p for group in self.param_groups for p in group["params"]]
        for p in params if all(p.grad is None for p in params) else ():
            p.mul_(0.5)
        return super().groups()


class Settled(Clean):
    """Keeps the learning rate it was built with."""

    def rate(self, p: Any, group: Group) -> float:
        return float(self.defaults["lr"])


class Rested(Clean):
    """Adam's way with a learning rate of zero: 0/0."""

    def rate(self, p: Any, group: Group) -> float:
        rate = super().rate(p, group)
        return rate or float("nan")


class Keeping(Clean):
    def zero_grad(self, set_to_none: bool = True) -> None:
        super().zero_grad(set_to_none=True)


class Halving(Clean):
    def zero_grad(self, set_to_none: bool = True) -> None:
        super().zero_grad(set_to_none)
        for p in (p for group in self.param_groups for p in group["params"]):
            p.grad = None if p.grad is None else torch.ones_like(p)


class Aliasing(Clean):
    """Its momentum is the gradient itself at first, and not a copy."""

    def update(self, p: Any, g: Any, group: Group) -> None:
        if group["wd"] or "v" in self.state[p]:
            super().update(p, g, group)
        else:
            self.state[p]["v"] = g
            p.sub_(self.rate(p, group) * g)


class Same(dict[str, Any]):
    """A state that is the same object in every copy."""

    def __deepcopy__(self, memo: Any) -> Same:
        return self


class Twin(Clean):
    """Its copies go on with the same buffers."""

    def update(self, p: Any, g: Any, group: Group) -> None:
        state = self.state[p].setdefault("shared", Same())
        state.setdefault("v", torch.zeros_like(p)).mul_(group["mu"]).add_(g)
        p.sub_(group["lr"] * state["v"])


class Overflowing(Clean):
    """Writes where its parameters begin in memory, one place further."""

    def update(self, p: Any, g: Any, group: Group) -> None:
        super().update(p, g, group)
        if p.ndim == 1 and not p.is_contiguous():
            p.as_strided((1,), (1,), p.storage_offset() + 1).zero_()


class Copying(Clean):
    """Steps a copy of parameters that do not lie side by side."""

    def update(self, p: Any, g: Any, group: Group) -> None:
        super().update(p.contiguous(), g, group)


class Uneven(Clean):
    """Steps by another rule where gradients do not lie side by side."""

    def update(self, p: Any, g: Any, group: Group) -> None:
        super().update(p, g if g.is_contiguous() else 2 * g, group)


class Askew(Clean):
    """Steps by another rule where parameters do not lie side by side."""

    def update(self, p: Any, g: Any, group: Group) -> None:
        super().update(p, g if p.is_contiguous() else 2 * g, group)


class Vectors(Clean):
    """Leaves what has no dimensions."""

    def update(self, p: Any, g: Any, group: Group) -> None:
        if p.ndim:
            super().update(p, g, group)


class Crowded(Clean):
    """Takes larger steps beside what has no dimensions."""

    def rate(self, p: Any, group: Group) -> float:
        return super().rate(p, group) * (2 if any(q.ndim == 0 for q in group["params"]) else 1)


class Unfolding(Clean):
    """Gives a dimension to what has none, at its last step."""

    def update(self, p: Any, g: Any, group: Group) -> None:
        super().update(p, g, group)
        if p.ndim == 0 and self.state[p]["t"] == 8:
            p.data = p.data[None]


WAYS: dict[str, tuple[str, type[Clean]]] = {
    "its param_groups hold other objects than it was given": (
        "parameters stay themselves",
        Rehoused,
    ),
    "takes the gradient of parameter 0 away at step 1": ("gradients", Cleaning),
    "calls the closure while gradients are not recorded": ("closure", Unrecorded),
    "does not call the closure": ("closure", Deaf),
    "calls the closure 2 times in one step": ("closure", Twice),
    "steps to other bits when another parameter has no gradient": ("missing gradients", Coupled),
    "moves parameters that have no gradients": ("missing gradients", Idle),
    "does not step as one that was built with the learning rate written into its groups": (
        "edited lr",
        Settled,
    ),
    "does not heed a learning rate that is edited between steps": ("edited lr", Stubborn),
    "makes parameters that are not finite at a learning rate of zero": ("lr of zero", Rested),
    "zero_grad(set_to_none=False) leaves None": ("zero_grad", Keeping),
    "zero_grad leaves a gradient that is not zero": ("zero_grad", Halving),
    "steps to other bits when gradients are zeroed between steps": ("zero_grad", Aliasing),
    "is moved by the steps of the one that goes on after load_state_dict": (
        "state_dict in mid-run",
        Twin,
    ),
    "writes between the elements of a non-contiguous parameter": (
        "non-contiguous parameters",
        Overflowing,
    ),
    "does not move non-contiguous parameters": ("non-contiguous parameters", Copying),
    "leaves its rule on non-contiguous parameters": ("non-contiguous parameters", Askew),
    "leaves its rule on non-contiguous gradients": ("non-contiguous gradients", Uneven),
    "parameter 2 is stepped otherwise than one like it": ("independence", DecaysTwo),
    "steps to other bits in a group with its own weight_decay": ("groups", FirstDecay),
    "steps to other bits in a group with its own momentum": ("groups", OneMomentum),
    "steps to other bits in a group with its own maximize": ("groups", LastSign),
    "leaves its rule on a parameter without dimensions": ("0-d parameters", DecaysVectors),
    "does not move a parameter without dimensions": ("0-d parameters", Vectors),
    "steps to other bits beside a parameter without dimensions": ("0-d parameters", Crowded),
    "changes the shape of a parameter without dimensions": ("0-d parameters", Unfolding),
}
"""By the sentence that is said of it: a promise, and who breaks it in that way."""


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
    "late steps": Counted,
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
