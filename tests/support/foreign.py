"""Optimizers in the style of third-party packages, each of which follows a known convention.

They subclass ``torch.optim.Optimizer`` and have nothing else of torch's optimizers: not the names
of arguments and states, not where the count of steps is, not the order of operations. Rules whose
first convention is torch's are there as often as others, of Keras, TensorFlow or the authors of a
paper.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

Names = Mapping[str, str]

State = dict[str, Any]


class Package(torch.optim.Optimizer):
    """What these have in common: a loop over parameters, and a count in the group.

    Attributes:
        arguments: those of the constructor, with their defaults.
    """

    arguments: ClassVar[dict[str, Any]] = {}

    def __init__(self, params: Iterable[Any], **given: Any) -> None:
        unknown = given.keys() - self.arguments.keys()
        if unknown:
            raise TypeError(f"{type(self).__name__} has no {', '.join(sorted(unknown))}")
        super().__init__(params, {**self.arguments, **given})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of all parameters that have a gradient."""
        loss = None if closure is None else torch.enable_grad()(closure)()
        for group in self.param_groups:
            group["calls"] = group.get("calls", 0) + 1
            for p in group["params"]:
                if p.grad is not None:
                    self.update(p.data, p.grad.data, self.state[p], group)
        return loss

    def update(self, w: torch.Tensor, g: torch.Tensor, s: State, o: State) -> None:
        """Change ``w`` in place; ``s`` is its state and ``o`` the options of its group."""
        raise NotImplementedError


def buffer(s: State, name: str, w: torch.Tensor, value: float = 0.0) -> torch.Tensor:
    """The buffer of that name, full of ``value`` at first."""
    if name not in s:
        s[name] = torch.full_like(w, value)
    kept: torch.Tensor = s[name]
    return kept


@dataclass(frozen=True, eq=False)
class Foreign:
    """An optimizer that is not torch's, and what it follows.

    Attributes:
        rule, convention: what it computes.
        cls: its class.
        names: for each argument of torch's that it has, what it calls it. Members of a tuple are
            named as the rule names them (``beta1``).
    """

    rule: str
    convention: str
    cls: type[Package]
    names: Names

    @property
    def id(self) -> str:
        """How tests name it."""
        return f"{self.rule}-{self.convention}-{self.cls.__name__}"

    def make(self, params: Iterable[Any], **torch_names: Any) -> torch.optim.Optimizer:
        """It, from arguments under torch's names.

        Raises:
            TypeError: it has no such argument.
        """
        unknown = torch_names.keys() - self.names.keys()
        if unknown:
            raise TypeError(f"{self.id} has nothing for {', '.join(sorted(unknown))}")
        return self.cls(params, **{self.names[name]: v for name, v in torch_names.items()})


class HeavyBall(Package):
    arguments: ClassVar = {"eta": 1e-2, "mom": 0.0, "l2": 0.0}

    def update(self, w: torch.Tensor, g: torch.Tensor, s: State, o: State) -> None:
        v = buffer(s, "speed", w)
        v.mul_(o["mom"]).add_(g + o["l2"] * w)
        w.sub_(o["eta"] * v)


class KerasSGD(Package):
    arguments: ClassVar = {"learning_rate": 1e-2, "momentum": 0.0, "nesterov": False}

    def update(self, w: torch.Tensor, g: torch.Tensor, s: State, o: State) -> None:
        m = buffer(s, "momentum_slot", w)
        m.copy_(m * o["momentum"] - g * o["learning_rate"])
        w.add_(m * o["momentum"] - g * o["learning_rate"] if o["nesterov"] else m)


class SGDW(Package):
    arguments: ClassVar = {"lr": 1e-2, "beta": 0.9, "wd": 0.0}

    def update(self, w: torch.Tensor, g: torch.Tensor, s: State, o: State) -> None:
        v = buffer(s, "mom", w)
        v.mul_(o["beta"]).add_(g)
        w.copy_(w - o["lr"] * o["wd"] * w - o["lr"] * v)


class ScratchSGD(Package):
    """Loss and penalty divided by the number of rows."""

    arguments: ClassVar = {"alpha": 0.1, "lmbda": 0.0, "m": 1}

    def update(self, w: torch.Tensor, g: torch.Tensor, s: State, o: State) -> None:
        w.copy_(w - (o["alpha"] / o["m"]) * (o["m"] * g + o["lmbda"] * w))


class EmaSGD(Package):
    arguments: ClassVar = {"lr": 1e-2, "decay": 0.9}

    def update(self, w: torch.Tensor, g: torch.Tensor, s: State, o: State) -> None:
        m = buffer(s, "ema", w)
        m.add_((1 - o["decay"]) * (g - m))
        w.sub_(o["lr"] * m)


class AdamL2(Package):
    arguments: ClassVar = {"alpha": 1e-3, "b1": 0.9, "b2": 0.999, "epsilon": 1e-8, "l2": 0.0}

    def update(self, w: torch.Tensor, g: torch.Tensor, s: State, o: State) -> None:
        d, t = g + o["l2"] * w, o["calls"]
        m, v = buffer(s, "mean", w), buffer(s, "var", w)
        m.add_((1 - o["b1"]) * (d - m))
        v.add_((1 - o["b2"]) * (d * d - v))
        scale = math.sqrt(1 - o["b2"] ** t)
        size = o["alpha"] * scale / (1 - o["b1"] ** t)
        w.sub_(size * m / (v.sqrt() + o["epsilon"] * scale))


class TensorFlowAdam(AdamL2):
    """ε as TensorFlow has it: beside the uncorrected root."""

    def update(self, w: torch.Tensor, g: torch.Tensor, s: State, o: State) -> None:
        scale = math.sqrt(1 - o["b2"] ** o["calls"])
        super().update(w, g, s, {**o, "epsilon": o["epsilon"] / scale})


class OptaxAmsgrad(Package):
    """The maximum of corrected moments."""

    arguments: ClassVar = {"learning_rate": 1e-3, "b1": 0.9, "b2": 0.999, "eps": 1e-8}

    def update(self, w: torch.Tensor, g: torch.Tensor, s: State, o: State) -> None:
        mu, nu, best = (buffer(s, name, w) for name in ("mu", "nu", "nu_max"))
        mu.mul_(o["b1"]).add_((1 - o["b1"]) * g)
        nu.mul_(o["b2"]).add_((1 - o["b2"]) * g**2)
        mu_hat, nu_hat = (x / (1 - b ** o["calls"]) for x, b in ((mu, o["b1"]), (nu, o["b2"])))
        torch.maximum(best, nu_hat, out=best)
        w.add_(-o["learning_rate"] * (mu_hat / (best.sqrt() + o["eps"])))


class PlainAdam(Package):
    """Without any correction, as MLX has it by default."""

    arguments: ClassVar = {"learning_rate": 1e-3, "beta_1": 0.9, "beta_2": 0.999, "eps": 1e-8}

    def update(self, w: torch.Tensor, g: torch.Tensor, s: State, o: State) -> None:
        m, v = buffer(s, "m", w), buffer(s, "v", w)
        m.mul_(o["beta_1"]).add_((1 - o["beta_1"]) * g)
        v.mul_(o["beta_2"]).add_((1 - o["beta_2"]) * g.square())
        w.sub_(o["learning_rate"] * m / (v.sqrt() + o["eps"]))


def _hatted(w: torch.Tensor, g: torch.Tensor, s: State, o: State) -> torch.Tensor:
    """m̂/(√v̂ + ε), with a count of its own for each parameter."""
    s["seen"] = s.get("seen", 0) + 1
    m, v = buffer(s, "m", w), buffer(s, "v", w)
    m.copy_(o["b1"] * m + (1 - o["b1"]) * g)
    v.copy_(o["b2"] * v + (1 - o["b2"]) * g * g)
    m_hat, v_hat = m / (1 - o["b1"] ** s["seen"]), v / (1 - o["b2"] ** s["seen"])
    update: torch.Tensor = m_hat / (torch.sqrt(v_hat) + o["eps"])
    return update


class AdamWLike(Package):
    """The update with the decay in it."""

    arguments: ClassVar = {"lr": 1e-3, "b1": 0.9, "b2": 0.999, "eps": 1e-8, "wd": 0.0}

    def update(self, w: torch.Tensor, g: torch.Tensor, s: State, o: State) -> None:
        w.add_(_hatted(w, g, s, o) + o["wd"] * w, alpha=-o["lr"])


class LateDecay(AdamWLike):
    """Decay after the move, as transformers' AdamW had it."""

    def update(self, w: torch.Tensor, g: torch.Tensor, s: State, o: State) -> None:
        w.sub_(o["lr"] * _hatted(w, g, s, o))
        w.sub_(o["lr"] * o["wd"] * w)


class BareDecay(AdamWLike):
    """Decay that no rate scales."""

    def update(self, w: torch.Tensor, g: torch.Tensor, s: State, o: State) -> None:
        w.copy_(w - o["wd"] * w - o["lr"] * _hatted(w, g, s, o))


class AdamaxLike(Package):
    arguments: ClassVar = {"lr": 2e-3, "b1": 0.9, "b2": 0.999, "eps": 1e-8}

    def update(self, w: torch.Tensor, g: torch.Tensor, s: State, o: State) -> None:
        m, u = buffer(s, "m", w), buffer(s, "inf", w)
        m.mul_(o["b1"]).add_((1 - o["b1"]) * g)
        u.copy_(torch.where(u * o["b2"] > g.abs() + o["eps"], u * o["b2"], g.abs() + o["eps"]))
        w.sub_(o["lr"] * (m / (1 - o["b1"] ** o["calls"])) / u)


class KerasAdamax(AdamaxLike):
    """ε outside the maximum."""

    def update(self, w: torch.Tensor, g: torch.Tensor, s: State, o: State) -> None:
        m, u = buffer(s, "m", w), buffer(s, "u", w)
        m.add_((g - m) * (1 - o["b1"]))
        u.copy_(torch.maximum(o["b2"] * u, g.abs()))
        w.sub_((o["lr"] * m) / ((1 - o["b1"] ** o["calls"]) * (u + o["eps"])))


class NadamW(Package):
    """A momentum without schedule, as timm and optax have it."""

    arguments: ClassVar = {"lr": 2e-3, "b1": 0.9, "b2": 0.999, "eps": 1e-8}

    def update(self, w: torch.Tensor, g: torch.Tensor, s: State, o: State) -> None:
        t, b1, b2 = o["calls"], o["b1"], o["b2"]
        m, v = buffer(s, "m", w), buffer(s, "v", w)
        m.mul_(b1).add_((1 - b1) * g)
        v.mul_(b2).add_((1 - b2) * g * g)
        m_hat = b1 * m / (1 - b1 ** (t + 1)) + (1 - b1) * g / (1 - b1**t)
        w.sub_(o["lr"] * m_hat / ((v / (1 - b2**t)).sqrt() + o["eps"]))


class RectifiedAdam(Package):
    """The rectification as its authors write it; below the threshold, momentum alone."""

    arguments: ClassVar = {"lr": 1e-3, "b1": 0.9, "b2": 0.999, "eps": 1e-8}
    waits: ClassVar = False

    def update(self, w: torch.Tensor, g: torch.Tensor, s: State, o: State) -> None:
        t, b1, b2 = o["calls"], o["b1"], o["b2"]
        m, v = buffer(s, "m", w), buffer(s, "v", w)
        m.mul_(b1).add_((1 - b1) * g)
        v.mul_(b2).add_((1 - b2) * g * g)
        most = (1 + b2) / (1 - b2)
        n = most - 2 * t * b2**t / (1 - b2**t)
        if n > 5:
            r = (1 - b2**t) * (n - 4) / (most - 4) * (n - 2) / n * most / (most - 2)
            w.sub_(o["lr"] * math.sqrt(r) / (1 - b1**t) * m / (v.sqrt() + o["eps"]))
        elif not self.waits:
            w.sub_(o["lr"] / (1 - b1**t) * m)


class WaitingRectifiedAdam(RectifiedAdam):
    """degenerated_to_sgd=False."""

    waits: ClassVar = True


class SumOfSquares(Package):
    """Adagrad whose rate falls."""

    arguments: ClassVar = {"eta": 1e-2, "fall": 0.0, "delta": 1e-10, "l2": 0.0, "start": 0.0}

    def update(self, w: torch.Tensor, g: torch.Tensor, s: State, o: State) -> None:
        d = g + o["l2"] * w
        total = buffer(s, "total", w, o["start"])
        total.addcmul_(d, d)
        w.sub_(o["eta"] * d / (total.sqrt() + o["delta"]) / (1 + (o["calls"] - 1) * o["fall"]))


class KerasAdagrad(SumOfSquares):
    """A sum that starts at 0.1."""

    arguments: ClassVar = {**SumOfSquares.arguments, "start": 0.1}


class Zeiler(Package):
    arguments: ClassVar = {"rate": 1.0, "gamma": 0.9, "epsilon": 1e-6}

    def update(self, w: torch.Tensor, g: torch.Tensor, s: State, o: State) -> None:
        eg, ex = buffer(s, "eg2", w), buffer(s, "ex2", w)
        eg.mul_(o["gamma"]).add_((1 - o["gamma"]) * g * g)
        dx = -((ex + o["epsilon"]) / (eg + o["epsilon"])).sqrt() * g
        ex.mul_(o["gamma"]).add_((1 - o["gamma"]) * dx * dx)
        w.add_(o["rate"] * dx)


class RmsLike(Package):
    """ε outside the root."""

    arguments: ClassVar = {"lr": 1e-2, "rho": 0.99, "eps": 1e-8, "mom": 0.0}

    def update(self, w: torch.Tensor, g: torch.Tensor, s: State, o: State) -> None:
        v, trace = buffer(s, "rms", w), buffer(s, "trace", w)
        v.add_((1 - o["rho"]) * (g * g - v))
        trace.mul_(o["mom"]).add_(g / (v.sqrt() + o["eps"]))
        w.sub_(o["lr"] * trace)


class KerasRms(RmsLike):
    """ε inside the root."""

    def update(self, w: torch.Tensor, g: torch.Tensor, s: State, o: State) -> None:
        v, trace = buffer(s, "rms", w), buffer(s, "trace", w)
        v.copy_(o["rho"] * v + (1 - o["rho"]) * g.square())
        trace.mul_(o["mom"]).add_(g * torch.rsqrt(v + o["eps"]))
        w.sub_(o["lr"] * trace)


class Resilient(Package):
    """Signs and masks."""

    arguments: ClassVar = {"delta0": 0.1, "minus": 0.5, "plus": 1.2, "least": 1e-6, "most": 50.0}

    def update(self, w: torch.Tensor, g: torch.Tensor, s: State, o: State) -> None:
        last, size = buffer(s, "sign", w), buffer(s, "delta", w, o["delta0"])
        agree = g.sign() * last
        size.mul_(1 + (o["plus"] - 1) * (agree > 0) + (o["minus"] - 1) * (agree < 0))
        size.clamp_(o["least"], o["most"])
        last.copy_(g.sign() * (agree >= 0))
        w.sub_(size * last)


class Bottou(Package):
    """Averaged SGD without its average."""

    arguments: ClassVar = {"gamma": 1e-2, "lam": 1e-4, "power": 0.75, "l2": 0.0}

    def update(self, w: torch.Tensor, g: torch.Tensor, s: State, o: State) -> None:
        rate = o["gamma"] / (1 + o["lam"] * o["gamma"] * (o["calls"] - 1)) ** o["power"]
        w.sub_(rate * (g + (o["l2"] + o["lam"]) * w))


class Factored(Package):
    """Adafactor with transformers' factors, and torch's floors and decay."""

    arguments: ClassVar = {
        "lr": 1e-2,
        "power": -0.8,
        "floor": 1e-3,
        "least": 1e-3,
        "clip": 1.0,
        "wd": 0.0,
    }

    def decay(self, alpha: float, o: State) -> float:
        return float(o["lr"] * o["wd"])

    def update(self, w: torch.Tensor, g: torch.Tensor, s: State, o: State) -> None:
        fresh = o["calls"] ** o["power"]
        alpha = max(o["least"], w.square().mean().sqrt().item()) * min(o["lr"], o["calls"] ** -0.5)
        rows, columns = buffer(s, "r", w[:, :1]), buffer(s, "c", w[:1])
        rows.add_(fresh * (g.square().mean(1, keepdim=True) - rows))
        columns.add_(fresh * (g.square().mean(0, keepdim=True) - columns))
        scale = (rows / rows.mean().clamp(min=o["floor"])).sqrt() * columns.sqrt()
        u = g / scale.clamp(min=o["floor"])
        u = u / max(1.0, u.square().mean().sqrt().item() / o["clip"])
        w.copy_(w * (1 - self.decay(alpha, o)) - alpha * u)


class RelativelyDecayed(Factored):
    """Decay scaled by the step size."""

    def decay(self, alpha: float, o: State) -> float:
        return float(alpha * o["wd"])


class Moonlight(Package):
    """Muon in the parameter's own dtype, with the momentum that is no average."""

    arguments: ClassVar = {"lr": 1e-3, "mom": 0.95, "wd": 0.1, "rounds": 5}

    def update(self, w: torch.Tensor, g: torch.Tensor, s: State, o: State) -> None:
        b = buffer(s, "mom_buf", w)
        b.mul_(o["mom"]).add_(g)
        u = g + o["mom"] * b
        x = u / u.norm()
        for _ in range(o["rounds"]):
            a = x @ x.T
            x = 3.4445 * x + (-4.775 * a + 2.0315 * a @ a) @ x
        ratio = max(1.0, w.shape[0] / w.shape[1]) ** 0.5
        w.copy_(w * (1 - o["lr"] * o["wd"]) - o["lr"] * ratio * x)


class RowAdam(Package):
    """Adam of the elements that a sparse gradient stores."""

    arguments: ClassVar = {"lr": 1e-3, "b1": 0.9, "b2": 0.999, "eps": 1e-8}

    def update(self, w: torch.Tensor, g: torch.Tensor, s: State, o: State) -> None:
        g = g.coalesce()
        at, d = tuple(g.indices()), g.values()
        m, v = buffer(s, "m", w), buffer(s, "v", w)
        m[at] = o["b1"] * m[at] + (1 - o["b1"]) * d
        v[at] = o["b2"] * v[at] + (1 - o["b2"]) * d * d
        c1, c2 = 1 - o["b1"] ** o["calls"], 1 - o["b2"] ** o["calls"]
        w[at] -= o["lr"] * math.sqrt(c2) * m[at] / (c1 * (v[at].sqrt() + o["eps"]))


_B: Names = {"beta1": "b1", "beta2": "b2", "eps": "eps"}

FOREIGN = (
    Foreign(
        "SGD",
        "coupled_unscaled",
        HeavyBall,
        {"lr": "eta", "momentum": "mom", "weight_decay": "l2"},
    ),
    Foreign(
        "SGD",
        "lr_in_velocity",
        KerasSGD,
        {"lr": "learning_rate", "momentum": "momentum", "nesterov": "nesterov"},
    ),
    Foreign("SGD", "decoupled_lr", SGDW, {"lr": "lr", "momentum": "beta", "weight_decay": "wd"}),
    Foreign(
        "SGD",
        "batch_scaled",
        ScratchSGD,
        {"lr": "alpha", "weight_decay": "lmbda", "batch_size": "m"},
    ),
    Foreign("SGD", "ema_momentum", EmaSGD, {"lr": "lr", "momentum": "decay"}),
    *(
        Foreign(
            "Adam",
            convention,
            cls,
            {**_B, "lr": "alpha", "eps": "epsilon", "weight_decay": "l2"},
        )
        for convention, cls in (("coupled_unscaled", AdamL2), ("eps_hat", TensorFlowAdam))
    ),
    Foreign("Adam", "amsgrad_corrected", OptaxAmsgrad, {**_B, "lr": "learning_rate"}),
    Foreign(
        "Adam",
        "uncorrected",
        PlainAdam,
        {"lr": "learning_rate", "beta1": "beta_1", "beta2": "beta_2", "eps": "eps"},
    ),
    Foreign("Adam", "decoupled_lr", AdamWLike, {**_B, "lr": "lr", "weight_decay": "wd"}),
    *(
        Foreign("AdamW", convention, cls, {**_B, "lr": "lr", "weight_decay": "wd"})
        for convention, cls in (
            ("decoupled_lr", AdamWLike),
            ("decay_after_lr", LateDecay),
            ("decoupled", BareDecay),
        )
    ),
    Foreign("Adamax", "coupled_unscaled", AdamaxLike, {**_B, "lr": "lr"}),
    Foreign("Adamax", "eps_outside", KerasAdamax, {**_B, "lr": "lr"}),
    Foreign("NAdam", "constant_momentum", NadamW, {**_B, "lr": "lr"}),
    Foreign("RAdam", "coupled_unscaled", RectifiedAdam, {**_B, "lr": "lr"}),
    Foreign("RAdam", "waiting_still", WaitingRectifiedAdam, {**_B, "lr": "lr"}),
    Foreign(
        "Adagrad",
        "coupled_unscaled",
        SumOfSquares,
        {
            "lr": "eta",
            "lr_decay": "fall",
            "eps": "delta",
            "weight_decay": "l2",
            "initial_accumulator_value": "start",
        },
    ),
    Foreign(
        "Adagrad",
        "accumulator_tenth",
        KerasAdagrad,
        {"lr": "eta", "lr_decay": "fall", "eps": "delta", "weight_decay": "l2"},
    ),
    Foreign(
        "Adadelta", "coupled_unscaled", Zeiler, {"lr": "rate", "rho": "gamma", "eps": "epsilon"}
    ),
    *(
        Foreign(
            "RMSprop",
            convention,
            cls,
            {"lr": "lr", "alpha": "rho", "eps": "eps", "momentum": "mom"},
        )
        for convention, cls in (("coupled_unscaled", RmsLike), ("eps_inside", KerasRms))
    ),
    Foreign(
        "Rprop",
        "irprop_minus",
        Resilient,
        {
            "lr": "delta0",
            "etaminus": "minus",
            "etaplus": "plus",
            "step_size_min": "least",
            "step_size_max": "most",
        },
    ),
    Foreign(
        "ASGD",
        "coupled_unscaled",
        Bottou,
        {"lr": "gamma", "lambd": "lam", "alpha": "power", "weight_decay": "l2"},
    ),
    *(
        Foreign(
            "Adafactor",
            convention,
            cls,
            {
                "lr": "lr",
                "beta2_decay": "power",
                "eps1": "floor",
                "eps2": "least",
                "d": "clip",
                "weight_decay": "wd",
            },
        )
        for convention, cls in (
            ("decoupled_lr", Factored),
            ("decay_relative", RelativelyDecayed),
        )
    ),
    Foreign(
        "Muon",
        "decoupled_lr",
        Moonlight,
        {"lr": "lr", "momentum": "mom", "weight_decay": "wd", "ns_steps": "rounds"},
    ),
    Foreign("SparseAdam", "masked", RowAdam, {**_B, "lr": "lr"}),
)
