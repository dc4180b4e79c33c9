"""What code takes, refuses, leaves aside or computes in does not hide its rule."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import oracles
from oracles.harness.arguments import Argument
from oracles.harness.candidates import Candidate
from oracles.harness.evidence.accepted import accepted
from oracles.harness.promise import Word
from oracles.harness.subjects.blackbox import Function
from oracles.harness.subjects.foreign import ForeignOptimizer
from oracles.identification import identify
from oracles.optimizers.registry import RULES
from oracles.reports.checked import render
from tests.support.marks import skip_before


class Own(torch.optim.Optimizer):
    """Steps each parameter by itself: ``move(group, state, p, g)`` returns its new value."""

    def __init__(self, params: Any, **defaults: Any) -> None:
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in (p for p in group["params"] if p.grad is not None):
                p.copy_(self.move(group, self.state[p], p, p.grad))
        return loss

    def move(self, group: Any, state: Any, w: torch.Tensor, g: torch.Tensor) -> Any:
        raise NotImplementedError


class Keras(Own):
    """Keras' SGD: two conventions at once."""

    def __init__(
        self, params: Any, lr: float = 0.01, momentum: float = 0.0, weight_decay: float = 0.0
    ) -> None:
        super().__init__(params, lr=lr, momentum=momentum, weight_decay=weight_decay)

    def move(self, group: Any, state: Any, w: torch.Tensor, g: torch.Tensor) -> Any:
        state["v"] = group["momentum"] * state.get("v", 0 * w) - group["lr"] * g
        return w * (1 - group["lr"] * group["weight_decay"]) + state["v"]


@pytest.mark.slow
def test_a_rule_that_knows_all_arguments_comes_first() -> None:
    """Without momentum Keras' SGD is Adadelta's ``square_late``, which is simpler."""
    found = identify(Keras)
    assert list(map(str, found.fits)) == ["SGD's decoupled_lr with lr_in_velocity"]


class Doubling(Keras):
    """Momentum as nobody has it."""

    def move(self, group: Any, state: Any, w: torch.Tensor, g: torch.Tensor) -> Any:
        state["v"] = group["momentum"] ** 2 * state.get("v", 0 * w) + g
        return w * (1 - group["lr"] * group["weight_decay"]) - group["lr"] * state["v"]


@pytest.mark.slow
def test_what_it_follows_while_an_argument_rests_is_no_rule_of_its() -> None:
    found = identify(Doubling)
    assert not found.named and found.nearest is not None
    told = "SGD's coupled_unscaled, which has all moves right while momentum is left alone"
    assert str(found).endswith(f"nearest is {told})")
    assert found.to_json()["nearest"]["aside"] == ["momentum"]
    assert not oracles.check(Doubling, "SGD", dtypes=[]).follows


class Stale(torch.optim.SGD):
    """Nesterov's step with the momentum of the step before."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        for h in self.param_groups:
            for w in h["params"]:
                state, d = self.state[w], -w.grad if h["maximize"] else w.grad
                d = d + h["weight_decay"] * w
                old = state.get("b", d)
                fresh = h["momentum"] * old + (1 - h["dampening"]) * d if "b" in state else d
                state["b"] = fresh
                move = d + h["momentum"] * old if h["nesterov"] else fresh
                w.sub_(h["lr"] * (move if h["momentum"] else d))
        return None


@pytest.mark.slow
def test_a_case_that_is_off_says_more_than_arguments_that_rest() -> None:
    found = identify(Stale, ["SGD", "Adadelta"])
    told = "nearest is SGD's nesterov_ignored, which holds else, but at nesterov=True is off by"
    assert told in str(found)


class Warming(torch.optim.RAdam):
    """Gradient descent for as long as RAdam's average is short."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        self.count = getattr(self, "count", 0) + 1
        if self.count > 5:
            return super().step(closure)
        for group in self.param_groups:
            for w in group["params"]:
                g = -w.grad if group.get("maximize") else w.grad
                w.sub_(group["lr"] * (g + group["weight_decay"] * w))
        return None


@pytest.mark.slow
def test_what_it_follows_for_a_while_it_does_not_while_arguments_rest() -> None:
    skip_before("2.2", "RAdam had no decoupled_weight_decay")
    found = identify(Warming, ["SGD", "RAdam"])
    assert found.nearest is not None and found.nearest.where == "over 128 steps"
    assert str(found).endswith("step's largest, but knows no beta1 or decoupled_weight_decay)")


def rms(params: Any, grads: Any, state: Any, lr: float, decay: float, eps: float) -> Any:
    """RMSprop as optax names it: its ``decay`` is no weight's."""
    moved = []
    for n, (w, g) in enumerate(zip(params, grads, strict=True)):
        state[n] = decay * state.get(n, 0) + (1 - decay) * g * g
        moved.append(w - lr * g / (np.sqrt(state[n]) + eps))
    return moved


class Rms(torch.optim.Optimizer):
    """The same as a class."""

    def __init__(self, params: Any, lr: float = 0.01, decay: float = 0.9, eps: float = 1e-8):
        super().__init__(params, {"lr": lr, "decay": decay, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for p in group["params"]:
                v = self.state[p].setdefault("v", torch.zeros_like(p))
                v.mul_(group["decay"]).addcmul_(p.grad, p.grad, value=1 - group["decay"])
                p.addcdiv_(p.grad, self.root(v, group["eps"]), value=-group["lr"])

    def root(self, v: torch.Tensor, eps: float) -> torch.Tensor:
        return v.sqrt() + eps


@pytest.mark.parametrize("code", [rms, Rms])
def test_a_name_that_is_told_is_no_other_s(code: Any) -> None:
    found = identify(code, ["RMSprop"], names={"alpha": "decay"})
    assert str(found).startswith(f"{code.__name__} follows RMSprop's coupled_unscaled")


def greek(params: Any, grads: Any, state: Any, η: float, μ: float, λ: float) -> Any:
    for n, (w, g) in enumerate(zip(params, grads, strict=True)):
        state[n] = μ * state.get(n, 0.0) + g + λ * w
        w -= η * state[n]
    return params


def test_greek_letters_are_the_names_of_arguments() -> None:
    assert Function(greek).takes(RULES["SGD"]) >= {"lr", "momentum", "weight_decay"}
    assert str(identify(greek, ["SGD"])) == "greek follows SGD's coupled_unscaled"


def capped(params: Any, grads: Any, state: Any, lr: float, cap: float = math.inf) -> Any:
    """Descent whose gradients have a limit, if one is given."""
    return [w - lr * g.clip(-cap, cap) for w, g in zip(params, grads, strict=True)]


def test_a_limit_that_is_infinite_is_left_alone() -> None:
    found = identify(capped)
    assert str(found) == "capped follows SGD's coupled_unscaled, while cap is left alone"


class Switched(Own):
    """optimi's SGD: ``dampening`` is a switch between two conventions of momentum."""

    def __init__(
        self, params: Any, lr: float, momentum: float = 0.0, dampening: bool = False
    ) -> None:
        super().__init__(params, lr=lr, momentum=momentum, dampening=dampening)

    def move(self, group: Any, state: Any, w: torch.Tensor, g: torch.Tensor) -> Any:
        new = 1 - group["momentum"] if group["dampening"] else 1
        state["v"] = group["momentum"] * state.get("v", 0 * w) + new * g
        return w - group["lr"] * state["v"]


@pytest.mark.parametrize(
    ("on", "convention"), [(False, "coupled_unscaled"), (True, "ema_momentum")]
)
def test_a_switch_is_none_of_torch_s_numbers(on: bool, convention: str) -> None:
    found = identify(Switched, fixed={"dampening": True} if on else {})
    assert list(map(str, found.fits)) == [f"SGD's {convention}"]
    assert not found.ignores


def switched(params: Any, lr: float, momentum: float = 0.0, dampening: bool = False) -> Switched:
    return Switched(params, lr, momentum, dampening)


def test_so_it_is_in_a_function_that_makes_one() -> None:
    found = identify(switched)
    assert list(map(str, found.fits)) == ["SGD's coupled_unscaled"]
    assert not found.ignores


def test_what_a_rule_does_not_allow_is_not_set() -> None:
    """torch allows no Nesterov without momentum, where it is gradient descent."""
    rule = oracles.RULES["SGD"]
    always = Candidate(rule, arguments=(Argument(("nesterov",), "is", True),))
    assert always.heard(rule.hyper(momentum=0.5)).nesterov
    assert not always.heard(rule.hyper()).nesterov


class Tensors(Keras):
    """torchao's: the learning rate is a tensor, and must stay one."""

    def __init__(self, params: Any, lr: float = 0.01, momentum: float = 0.0) -> None:
        super().__init__(params, lr, momentum)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        super().add_param_group(param_group)
        for group in self.param_groups:
            group["lr"] = torch.as_tensor(group["lr"], dtype=torch.float64)

    def move(self, group: Any, state: Any, w: torch.Tensor, g: torch.Tensor) -> Any:
        if not isinstance(group["lr"], torch.Tensor):
            raise RuntimeError("lr was changed to a non-Tensor object")
        return super().move(group, state, w, g)


def test_a_rate_that_is_a_tensor_stays_one() -> None:
    report = oracles.check(Tensors, "SGD's lr_in_velocity", dtypes=["float64"])
    assert report.ok
    assert report.accuracies[0].radii < 2


class Short(Own):
    """bitsandbytes' RMSprop: everything is computed in float32."""

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        centered: bool = False,
    ) -> None:
        if centered:
            raise NotImplementedError("Centered RMSprop is not supported!")
        super().__init__(params, lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay)

    def move(self, group: Any, state: Any, w: torch.Tensor, g: torch.Tensor) -> Any:
        w, g = w.float(), g.float()
        g = g + group["weight_decay"] * w
        kept = group["alpha"] * state.get("s", 0 * w)
        state["s"] = kept + (1 - group["alpha"]) * g * g
        return w - group["lr"] * g / (state["s"].sqrt() + group["eps"])


class Decay:
    """labml's: an object, which is called."""

    def __call__(self, w: torch.Tensor) -> torch.Tensor:
        return w


class Objects(Own):
    """Its ``weight_decay`` is no number."""

    def __init__(self, params: Any, lr: float = 0.01, weight_decay: Decay = Decay()) -> None:  # noqa: B008
        if not isinstance(weight_decay, Decay):
            raise TypeError("'float' object is not callable")
        super().__init__(params, lr=lr)

    def move(self, group: Any, state: Any, w: torch.Tensor, g: torch.Tensor) -> Any:
        return w - group["lr"] * g


def test_an_object_is_none_of_torch_s_numbers() -> None:
    found = identify(Objects, ["SGD"])
    assert list(map(str, found.fits)) == ["SGD's coupled_unscaled"]


REQUIRED: Any = object()
"""As packages mark an argument that must be given."""


class Sentinel(Keras):
    """adamp's SGDP: ``lr=required``."""

    def __init__(self, params: Any, lr: float = REQUIRED, momentum: float = 0.0) -> None:
        if lr is REQUIRED:
            raise ValueError("no value of required optimization parameter lr")
        super().__init__(params, lr, momentum)


def test_a_sentinel_stands_for_what_must_be_given() -> None:
    assert list(map(str, identify(Sentinel).fits)) == ["SGD's lr_in_velocity"]


@pytest.mark.slow
def test_code_that_computes_in_float32_is_asked_in_that() -> None:
    report = oracles.check(Short, "RMSprop", dtypes=["float64", "float32"])
    assert report.ok
    double, single = report.accuracies
    assert double.radii > 2**20  # of 29 bits that are lost some are hidden by the others
    assert double.cause == "computes in float32"
    assert single.radii < 2


class Refused(Short):
    """Takes no float64."""

    def step(self, closure: Any = None) -> Any:
        if any(p.dtype == torch.float64 for group in self.param_groups for p in group["params"]):
            raise TypeError("expected float32")
        return super().step(closure)


@pytest.mark.slow
def test_so_is_code_that_refuses_float64() -> None:
    assert list(map(str, identify(Refused).fits)) == ["RMSprop's coupled_unscaled"]


class Unhurried(Keras):
    """bitsandbytes' SGD: no momentum of 0."""

    def __init__(
        self, params: Any, lr: float = 0.01, momentum: float = 0.0, weight_decay: float = 0.0
    ) -> None:
        if momentum == 0:
            raise NotImplementedError("SGD without momentum is not supported!")
        super().__init__(params, lr=lr, momentum=momentum, weight_decay=weight_decay)


@pytest.mark.slow
def test_a_setting_that_is_refused_is_left_out_and_told() -> None:
    report = oracles.check(Unhurried, "SGD's decoupled_lr with lr_in_velocity", dtypes=["float32"])
    assert report.follows
    assert report.accuracies
    told = "raises NotImplementedError: SGD without momentum is not supported! in some settings"
    assert f"{told}: SGD" in render(report)


class Steadfast(Own):
    """bitsandbytes' Adagrad: two of torch's arguments must be 0."""

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
    ) -> None:
        if lr_decay or initial_accumulator_value:
            raise ValueError("not supported!")
        super().__init__(params, lr=lr, weight_decay=weight_decay, eps=eps)

    def move(self, group: Any, state: Any, w: torch.Tensor, g: torch.Tensor) -> Any:
        g = g + group["weight_decay"] * w
        state["s"] = state.get("s", 0 * w) + g * g
        return w - group["lr"] * g / (state["s"].sqrt() + group["eps"])


def either(params: Any, grads: Any, state: Any, lr: Any, momentum: Any, weight_decay: Any) -> Any:
    """Takes one of two, but not both."""
    if momentum and weight_decay:
        raise ValueError("not supported!")
    return [w - lr * g for w, g in zip(params, grads, strict=True)]


def nothing(params: Any, grads: Any, state: Any, lr: Any, momentum: Any) -> Any:
    raise ValueError("not supported!")


def test_of_what_is_refused_together_each_is_tried_beside_those_before_it() -> None:
    adagrad, sgd = oracles.RULES["Adagrad"], oracles.RULES["SGD"]
    assert accepted(ForeignOptimizer(Steadfast), adagrad) == {"lr", "weight_decay", "eps"}
    assert accepted(Function(either), sgd) == {"lr", "momentum"}
    assert accepted(Function(nothing), sgd) == {"lr", "momentum"}  # nothing is to be learnt


@pytest.mark.slow
def test_an_argument_that_takes_its_default_only_is_left_there() -> None:
    report = oracles.check(Steadfast, dtypes=["float64"])
    assert report.found
    assert list(map(str, report.found.fits)) == ["Adagrad's coupled_unscaled"]
    assert report.accuracies[0].radii < 2
    assert "raises ValueError: not supported! in some settings: Adagrad" in render(report)


def test_its_steps_run_on_one_thread_and_others_on_those_there_were() -> None:
    seen: list[int] = []

    class Threaded(Own):
        def step(self, closure: Any = None) -> Any:
            seen.append(torch.get_num_threads())
            return super().step(closure)

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        identify(Threaded, ["SGD"])
        assert {*seen} == {1} and torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


@pytest.mark.slow
def test_numbers_that_its_rule_does_not_have_are_told() -> None:
    """AdaBound is Adam until its bounds close in, which they do by numbers of its own."""

    class Bounded(Keras):
        def __init__(self, params: Any, lr: float = 0.1, final_lr: float = 0.1) -> None:
            super().__init__(params, lr=lr, momentum=0.0, weight_decay=0.0)

    def step(params: Any, grads: Any, state: Any, lr: float, gamma: float = 1e-3) -> Any:
        return [w - lr * g for w, g in zip(params, grads, strict=True)]

    assert identify(Bounded, ["SGD"]).unread == ("final_lr",)
    assert identify(Bounded, ["SGD"], fixed={"final_lr": 0.5}).unread == ()
    assert identify(step, ["SGD"]).unread == ("gamma",)
    told = "left at their defaults, as its rule has no such hyperparameters: gamma"
    assert told in render(oracles.check(step, "SGD", dtypes=[]))
    assert identify(step, ["SGD"], names={"lr": "lr"}).to_json()["unread"] == ["gamma"]


class Single(Own):
    """timm's Adafactor: of torch's two ε it has one under the name of both."""

    def __init__(self, params: Any, lr: float = 0.1, eps: float = 1e-30) -> None:
        super().__init__(params, lr=lr, eps=eps)

    def move(self, group: Any, state: Any, w: torch.Tensor, g: torch.Tensor) -> Any:
        return w - group["lr"] * g / (g.square() + group["eps"]).sqrt()


@pytest.mark.slow
def test_one_number_is_not_torch_s_two() -> None:
    assert ForeignOptimizer(Single).takes(oracles.RULES["Adafactor"]) == {"lr"}
    assert ForeignOptimizer(Single).takes(oracles.RULES["Adam"]) == {"lr", "eps"}
    assert not identify(Single).fault


def _with_momentum(params: Any, grads: Any, state: Any, hyper: Any) -> Any:
    for i, (w, g) in enumerate(zip(params, grads, strict=True)):
        d = 0 if g is None else g + hyper["weight_decay"] * w
        state[i] = d if i not in state else hyper["momentum"] * state[i] + d
    return [w - hyper["lr"] * state[i] for i, w in enumerate(params)]


def _by_the_batch(params: Any, grads: Any, state: Any, hyper: Any) -> Any:
    share = hyper["weight_decay"] / hyper["batch_size"]
    return [w - hyper["lr"] * (g + share * w) for w, g in zip(params, grads, strict=True)]


def _unpacked(params: Any, grads: Any, state: Any, **hyper: Any) -> Any:
    return _by_the_batch(params, grads, state, hyper)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "said"),
    [
        (_with_momentum, "SGD's coupled_unscaled"),
        (_by_the_batch, "SGD's batch_scaled"),
        (_unpacked, "SGD's batch_scaled"),
    ],
)
def test_what_is_handed_in_a_dict_is_not_taken(step: Any, said: str) -> None:
    """Muon's and ASGD's names are in it, too, and the code looks at none of them."""
    assert str(identify(step).fits[0]) == said


class Hiding(Own):
    """What it takes stands in no signature, but in its defaults."""

    def __init__(self, params: Any, **given: Any) -> None:
        known = {"lr": 0.1, "weight_decay": 0.0}
        if given.keys() - known:
            raise TypeError(f"it has no {given.keys() - known}")
        super().__init__(params, **(known | given))

    def move(self, group: Any, state: Any, w: torch.Tensor, g: torch.Tensor) -> Any:
        return w - group["lr"] * (g + group["weight_decay"] * w)


def test_what_stands_in_no_signature_is_found_by_trying() -> None:
    found = identify(Hiding, ["SGD"])
    assert found.torchs and found.seen is not None
    assert [*found.seen.hyper] == ["lr", "weight_decay"]


class Nest(torch.optim.SGD):
    """An heir that fixes an argument, beside which torch refuses others."""

    def __init__(self, params: Any, lr: float = 0.1, momentum: float = 0.9, **others: Any) -> None:
        super().__init__(params, lr=lr, momentum=momentum, nesterov=True, **others)


class OneRate(torch.optim.SGD):
    def __init__(self, params: Any, **others: Any) -> None:
        super().__init__(params, lr=0.1, **others)


@pytest.mark.parametrize(("heir", "argument"), [(Nest, "nesterov"), (OneRate, "lr")])
def test_what_an_heir_fixes_is_not_given(heir: Any, argument: str) -> None:
    accepts = {*ForeignOptimizer(heir).accepts}
    assert accepts == {*ForeignOptimizer(torch.optim.SGD).accepts} - {argument}


def test_what_is_fixed_is_so_whatever_is_given() -> None:
    told = "Nest follows SGD's coupled_unscaled, nesterov = True whatever is given"
    assert str(identify(Nest, ["SGD"])) == told


def in_pairs(params: Any, grads: Any, state: Any, lr: float, betas: Any, eps: float = 1e-8) -> Any:
    state["t"] = t = state.get("t", 0) + 1
    for i, (w, g) in enumerate(zip(params, grads, strict=True)):
        m, v = state.get(i, (0.0, 0.0))
        m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g * g
        state[i] = m, v
        root = np.sqrt(v / (1 - betas[1] ** t)) + eps
        w -= lr * m / (1 - betas[0] ** t) / root


def by_default(params: Any, grads: Any, state: Any, lr: float, betas: Any = (0.9, 0.99)) -> Any:
    return in_pairs(params, grads, state, lr, betas)


@pytest.mark.slow
@pytest.mark.parametrize("step", [in_pairs, by_default])
def test_a_function_takes_torch_s_pairs(step: Any) -> None:
    found = identify(step, ["Adam", "Adafactor"])
    assert str(found) == f"{step.__name__} follows Adam's coupled_unscaled"
    assert found.seen is not None and "beta2 from 0 to" in str(found.seen)


def renamed(params: Any, grads: Any, state: Any, lr: float, b: Any = (0.9, 0.99)) -> Any:
    return in_pairs(params, grads, state, lr, b)


def test_a_pair_that_is_told() -> None:
    rule = oracles.RULES["Adam"]
    assert Function(renamed, {"betas": "b"}).takes(rule) == {"lr", "beta1", "beta2"}
    assert Function(renamed).unread(rule) == {"b": (0.9, 0.99)}


def numbered(params: Any, grads: Any, state: Any, lr: float, nesterov: int = 0) -> Any: ...
def dampened(params: Any, grads: Any, state: Any, lr: float, dampening: bool = True) -> Any: ...


def test_a_function_s_switch_is_none_of_torch_s_numbers() -> None:
    rule = oracles.RULES["SGD"]
    assert Function(numbered).takes(rule) == {"lr", "nesterov"}
    assert Function(dampened).takes(rule) == {"lr"}


def by_heart(params: Any) -> Any:
    return torch.optim.AdamW(params, lr=6e-4, betas=(0.9, 0.95), weight_decay=0.1)


def unusual(params: Any, speed: float = 0.1) -> Any:
    return torch.optim.SGD(params, lr=speed)


@pytest.mark.slow
def test_what_takes_nothing_has_all_written_in_it() -> None:
    numbers = "lr = 0.0006, beta2 = 0.95 and weight_decay = 0.1 whatever is given"
    assert str(identify(by_heart)) == f"by_heart follows AdamW's decoupled_lr, {numbers}"
    assert "say which argument it is" in str(identify(unusual))
    with pytest.raises(ValueError, match="by_heart has no 'lr'; allowed: none, as it has no arg"):
        identify(by_heart, names={"lr": "lr"})


def with_its_state(params: Any, grads: Any, state: Any, lr: float) -> Any:
    return [w - lr * g for w, g in zip(params, grads, strict=True)], state


def in_a_dict(params: Any, grads: Any, state: Any, lr: float) -> Any:
    return {"params": params}


@pytest.mark.parametrize(("step", "kind"), [(with_its_state, "tuple"), (in_a_dict, "dict")])
def test_what_returns_more_than_parameters_is_told_so(step: Any, kind: str) -> None:
    told = f"returns {kind}, where the list of parameters is wanted"
    assert told in str(identify(step, ["SGD"]))


@pytest.mark.parametrize("empty", [[], ()])
def test_what_returns_no_parameters_is_told_so(empty: Any) -> None:
    def forgotten(params: Any, grads: Any, state: Any, lr: float) -> Any:
        return empty

    assert "returns 0 elements for" in str(identify(forgotten, ["SGD"]))


def stateless(params: Any, grads: Any, lr: float = 0.1) -> Any: ...


def test_a_step_without_its_state_is_told_so() -> None:
    with pytest.raises(TypeError, match="takes 'lr' where a step is given its state"):
        identify(stateless, ["SGD"])


class Averaging(Rms):
    """With ε inside the root; its argument may be taken for a weight decay."""

    def root(self, v: torch.Tensor, eps: float) -> torch.Tensor:
        return (v + eps).sqrt()


def test_a_decay_of_nearly_1_is_that_of_averages() -> None:
    assert str(identify(Averaging, ["RMSprop"])) == "Averaging follows RMSprop's eps_inside"


class Misnamed(Averaging):
    def __init__(
        self, params: Any, lr: float = 0.01, decay: float = 0.4, eps: float = 1e-8
    ) -> None:
        super().__init__(params, lr, decay, eps)


@pytest.mark.slow
def test_what_forgets_nothing_is_no_answer() -> None:
    """Misnamed it is nearest to an Adadelta whose averages stay where they are."""
    assert "follows no known rule" in str(identify(Misnamed))


# --- a learning rate that is read once ---


class ReadsOnce(Own):
    """Gradient descent with the learning rate that it was built with."""

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        super().__init__(params, lr=lr)
        self.lr = lr

    def move(self, group: Any, state: Any, w: torch.Tensor, g: torch.Tensor) -> Any:
        return w - self.lr * g


def test_who_reads_its_learning_rate_once_is_asked_with_that() -> None:
    report = oracles.check(ReadsOnce, "SGD", dtypes=["float32"])
    found = report.found
    assert found is not None
    assert str(found) == (
        "ReadsOnce follows SGD's coupled_unscaled, with the learning rate that it was built with"
    )
    assert (found.deaf, found.torchs) == (True, False)
    assert max(accuracy.radii for accuracy in report.accuracies) <= 1
    assert "edited lr" in {line.name for line in report.promises if line.word is Word.BROKEN}


@pytest.mark.parametrize("cls", [torch.optim.SGD, torch.optim.Rprop])
def test_a_rule_that_needs_its_learning_rate_once_is_not_called_deaf(cls: type) -> None:
    assert not identify(cls, [cls.__name__]).deaf


# --- steps that are not what they are told ---


class Decaying(torch.optim.SGD):
    """Its own schedule, in its own groups."""

    def step(self, closure: Any = None) -> Any:
        loss = super().step(closure)
        for group in self.param_groups:
            group["lr"] *= 0.95
        return loss


class Elsewhere(torch.optim.SGD):
    """Sharpness-aware: by the gradient at other weights than its own."""

    def step(self, closure: Any = None) -> Any:
        params = [p for group in self.param_groups for p in group["params"]]
        closure()
        with torch.no_grad():
            before = [p.clone() for p in params]
            for p in params:
                p += 0.05 * p.grad
        closure()
        with torch.no_grad():
            for p, value in zip(params, before, strict=True):
                p.copy_(value)
        return super().step()


def test_who_changes_its_own_rate_is_not_torch_s() -> None:
    assert not identify(Decaying, ["SGD"]).fits


def test_who_asks_for_gradients_elsewhere_follows_no_step() -> None:
    assert "closure for gradients at other weights" in identify(Elsewhere, ["SGD"]).fault
