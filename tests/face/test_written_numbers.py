"""Numbers that are written in texts and in code are found, all at once, and said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from oracles.harness.candidates import Candidate
from oracles.harness.evidence.newton import step_toward
from oracles.harness.subjects.equations import read
from oracles.identification import Identification, identify
from oracles.optimizers.registry import RULES
from oracles.reports.identification import render
from tests.support.marks import slow

ALL = (*RULES,)

TEXTS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "two": (
        "v = 0.9*v + g; w -= 0.1*v",
        ("SGD", "Adam"),
        "SGD's coupled_unscaled, lr = 0.1 and momentum = 0.9",
    ),
    "three, in place": (
        "d_p = d_p.add(p, alpha=5e-4); buf.mul_(0.87).add_(d_p); p.add_(buf, alpha=-0.05)",
        ("SGD",),
        "SGD's coupled_unscaled, lr = 0.05, momentum = 0.87 and weight_decay = 0.0005",
    ),
    "a look ahead, which is a switch": (
        "g = g + 0.0005*w; v = 0.9*v + g; w -= 0.1*(g + 0.9*v)",
        ("SGD",),
        "SGD's coupled_unscaled, lr = 0.1, momentum = 0.9, weight_decay = 0.0005 "
        "and nesterov = True",
    ),
    "four": (
        "m = 0.95*m + 0.05*g; v = 0.98*v + 0.02*g**2; m_hat = m/(1-0.95**t); "
        "v_hat = v/(1-0.98**t); w -= 0.003*m_hat/(sqrt(v_hat)+1e-6)",
        ALL,
        "Adam's coupled_unscaled, lr = 0.003, beta1 = 0.95, beta2 = 0.98 and eps = 1e-06",
    ),
    "five, some of which are torch's": (
        "m = 0.9*m + 0.1*g; v = 0.95*v + 0.05*g²; "
        "w -= 3e-4*(m/(1-0.9**t)/(√(v/(1-0.95**t))+1e-8) + 0.1*w)",
        ("AdamW",),
        "AdamW's decoupled_lr, lr = 0.0003, beta2 = 0.95 and weight_decay = 0.1",
    ),
    "beside a convention": (
        "v = 0.95*v + 0.05*g**2; w -= 0.003*g/sqrt(v + 1e-6)",
        ("RMSprop",),
        "RMSprop's eps_inside, lr = 0.003, alpha = 0.95 and eps = 1e-06",
    ),
    "torch's own number is near one that is right": (
        "m = 0.9*m + 0.1*g; v = 0.98*v + 0.02*g**2; "
        "w -= lr*sqrt(1-0.98**t)/(1-0.9**t)*m/(sqrt(v)+1e-9)",
        ("Adam",),
        "Adam's eps_hat, beta2 = 0.98 and eps = 1e-09",
    ),
    "none but a switch, beside two": (
        "v = mu*v - lr*g; w = w + mu*mu*v - (1+mu)*lr*g",
        ("SGD",),
        "SGD's lr_in_velocity with nesterov_squared, nesterov = True",
    ),
    "beside two, and a switch": (
        "v = 0.9*v - lr*g; w = w + 0.9*0.9*v - 1.9*lr*g",
        ("SGD",),
        "SGD's lr_in_velocity with nesterov_squared, momentum = 0.9 and nesterov = True",
    ),
    "beside a convention, where others make no difference": (
        "m = b1*m+(1-b1)*g; v = b2*v+(1-b2)*g**2; "
        "w -= 0.001*sqrt(1-b2**t)/(1-b1**t)*m/(sqrt(v)+1e-8)",
        ("Adam",),
        "Adam's eps_hat, lr = 0.001",
    ),
    "beside two": (
        "m = 0.8*m + 0.2*g; v = 0.97*v + 0.03*g**2; w -= 0.01*m/sqrt(v + 1e-3)",
        ("Adam",),
        "Adam's eps_inside with uncorrected, lr = 0.01, beta1 = 0.8, beta2 = 0.97 and eps = 0.001",
    ),
    "beside a convention and a switch": (
        "s = 0.95*s+0.05*g**2; a = 0.95*a + 0.05*g; w -= lr*g/sqrt(s - a**2 + 1e-6)",
        ("RMSprop",),
        "RMSprop's eps_inside, alpha = 0.95, eps = 1e-06 and centered = True",
    ),
    "beside a count of rows, which few cases differ in": (
        "v = 0.9*v + g + 0.1/m*w; w -= 0.01*v",
        ("SGD",),
        "SGD's batch_scaled, lr = 0.01, momentum = 0.9 and weight_decay = 0.1",
    ),
    "beside a sum of losses": (
        "v = 0.9*v + m*g + 0.1*w; w -= 0.01*v",
        ("SGD",),
        "SGD's coupled_unscaled, gradient × batch_size, lr = 0.01, momentum = 0.9 "
        "and weight_decay = 0.1",
    ),
    "a sum": (
        "s += g*g; w -= 0.5*g/(sqrt(s) + 1e-7)",
        ("Adagrad",),
        "Adagrad's coupled_unscaled, lr = 0.5 and eps = 1e-07",
    ),
    "a valley in which they make up for one another": (
        "s = 0.95*s + 0.05*g**2; d = sqrt(u + 1e-6)/sqrt(s + 1e-6)*g; u = 0.95*u + 0.05*d**2; "
        "w -= 0.5*d",
        ("Adadelta",),
        "Adadelta's coupled_unscaled, lr = 0.5 and rho = 0.95",
    ),
    "such a valley, in which they are far from torch's": (
        "s = 0.95*s + 0.05*g**2; d = sqrt(u + 1e-5)/sqrt(s + 1e-5)*g; u = 0.95*u + 0.05*d**2; "
        "w -= 0.3*d",
        ("Adadelta",),
        "Adadelta's coupled_unscaled, lr = 0.3, rho = 0.95 and eps = 1e-05",
    ),
    "such a valley, which the first case does not leave": (
        "s = 0.9*s + 0.1*g**2; d = sqrt(u + 1e-8)/sqrt(s + 1e-8)*g; u = 0.9*u + 0.1*d**2; "
        "w -= 0.7*d",
        ("Adadelta",),
        "Adadelta's coupled_unscaled, lr = 0.7 and eps = 1e-08",
    ),
    "of many digits, all of which show": (
        "v += 3*g**2; w -= 0.1*g/(sqrt(v) + 1e-8)",
        ("Adagrad",),
        "Adagrad's coupled_unscaled, lr = 0.0577350269189626 and eps = 5.77350269189626e-09",
    ),
    "of many digits, before what is said in few": (
        "m = 0.9*m + 0.1*g; v = 0.999*v + 0.001*g**2; "
        "w -= 0.001*m/(1-0.9**t)/(sqrt(0.999*v/(1-0.999**t)) + 1e-8)",
        ("Adam", "NAdam"),
        "Adam's coupled_unscaled, lr = 0.00100050037531277 and eps = 1.00050037531277e-08",
    ),
    "torch's own before others": (
        "v = 0.99*v + 0.01*g**2; w -= 0.1*g/sqrt(v + 0.001)",
        ("Adadelta", "RMSprop"),
        "RMSprop's eps_inside, lr = 0.1 and eps = 0.001",
    ),
    "of few digits, beside a convention more": (
        "t = t + 1; m = 0.9*m + 0.1*g; v = 0.999*v + 0.001*g**2; "
        "w -= 0.002*(0.9*m/(1-0.9**(t+1)) + 0.1*g/(1-0.9**t))/(sqrt(0.999*v/(1-0.999**t)) + 1e-8)",
        ("NAdam",),
        "NAdam's constant_momentum with variance_shrunk, lr = 0.002",
    ),
    "what is RMSprop by that name": (
        "v = 0.9*v + 0.1*g**2; w -= lr*g/sqrt(v + 1e-6)",
        ("Adadelta", "RMSprop"),
        "RMSprop's eps_inside, alpha = 0.9 and eps = 1e-06",
    ),
    "no number that may be any large one": (
        "t = t + 1; m = 0.9*m + 0.1*g; v = 0.999*v + 0.001*g**2; "
        "w -= 0.02*(0.9*m/(1-0.9**(t+1)) + 0.1*g/(1-0.9**t))/(sqrt(v/(1-0.999**t)) + 1e-8)",
        ("NAdam",),
        "NAdam's constant_momentum, lr = 0.02",
    ),
}


LONG = (
    "four",
    "beside a convention",
    "beside two",
    "beside a convention and a switch",
    "of many digits, all of which show",
    "of many digits, before what is said in few",
    "of few digits, beside a convention more",
    "what is RMSprop by that name",
    "no number that may be any large one",
    "five, some of which are torch's",
    "beside a count of rows, which few cases differ in",
    "such a valley, which the first case does not leave",
)


@pytest.mark.one_in(4)
@pytest.mark.parametrize("what", slow(TEXTS, *LONG))
def test_numbers_of_a_text(what: str) -> None:
    text, rules, said = TEXTS[what]
    assert str(identify(read(text), rules)) == f"the equation follows {said} whatever is given"


KIN = ("Adam", "Adagrad", "RMSprop")
WRONG: dict[str, tuple[str, tuple[str, ...]]] = {
    "Yogi": ("m = 0.9*m+0.1*g; v -= 0.001*sign(v - g**2)*g**2; w -= 0.01*m/(sqrt(v)+0.001)", KIN),
    "Lion": ("u = sign(0.9*m+0.1*g); m = 0.99*m+0.01*g; w -= 0.001*u", ("Adam", "Rprop")),
    "sign descent": ("w -= 0.001*sign(g)", ("Adam", "Rprop")),
    "clipped": ("v = 0.9*v + clip(g, -1, 1); w -= 0.1*v", ("SGD", "RAdam")),
    "momentum of its own kind": ("m = 0.9*m+0.1*g; w -= 0.1*(0.3*g + 0.7*m)", ("SGD",)),
    "two momenta": ("a = 0.5*a+g; b = 0.9*b+g; w -= 0.05*(a+b)", ("SGD",)),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", slow(WRONG, "Yogi", "Lion", "sign descent", "clipped"))
def test_no_numbers_make_a_rule_of_what_is_none(what: str) -> None:
    text, rules = WRONG[what]
    found = identify(read(text), rules)
    assert not found.fits and found.written


def test_what_points_the_same_way_has_one_solution() -> None:
    """Two values of which only a sum shows, and one that does not show; nothing is damped."""
    slopes = np.array([[[3.0, 4.0], [6.0, 8.0], [0.0, 0.0]]])
    moves = step_toward(slopes, np.array([[-3.0, -4.0]]), np.zeros(1))
    assert np.allclose(slopes[0].T @ moves[0], [3.0, 4.0], rtol=1e-6)
    assert moves[0, 2] == 0


class Heavy(torch.optim.Optimizer):
    """Momentum and decay are written in the body."""

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    v = self.state[p].setdefault("v", torch.zeros_like(p))
                    p -= group["lr"] * v.mul_(0.85).add_(p.grad + 0.002 * p)


class OwnAdam(torch.optim.Adam):
    """Other defaults than torch's, which cannot be given."""

    def __init__(self, params: Any, lr: float = 1e-3) -> None:
        super().__init__(params, lr=lr, betas=(0.85, 0.97), eps=1e-5, weight_decay=0.01)


class Closed(torch.optim.SGD):
    """Nothing of it can be given, not even the learning rate."""

    def __init__(self, params: Any) -> None:
        super().__init__(params, lr=0.05, momentum=0.8)


def made(params: Any, lr: float) -> Any:
    return torch.optim.RMSprop(params, lr=lr, alpha=0.95, eps=1e-6, momentum=0.9)


def bounded(params: Any, lr: float) -> Any:
    return torch.optim.Rprop(params, lr=lr, step_sizes=(1e-6, 0.01))


def scaled(params: Any, lr: float, batch_size: int) -> Any:
    """What a schedule writes from then on is relative to that rate."""
    return torch.optim.SGD(params, lr=lr * batch_size / 256, momentum=0.9)


def halved(params: Any, lr: float, weight_decay: float) -> Any:
    return torch.optim.SGD(params, lr=2 * lr, weight_decay=weight_decay / 2, momentum=0.9)


def nudged(params: Any, lr: float) -> Any:
    """Nearer to what it is given than bfloat16 can tell, and in a tensor."""
    return torch.optim.SGD(params, lr=torch.tensor(1.005 * lr, dtype=torch.float64), momentum=0.9)


def stepped(params: Any, grads: Any, state: Any) -> Any:
    t = state["t"] = state.get("t", 0) + 1
    found = []
    for i, (w, g) in enumerate(zip(params, grads, strict=True)):
        m = state["m", i] = 0.8 * state.get(("m", i), 0 * w) + 0.2 * g
        v = state["v", i] = 0.97 * state.get(("v", i), 0 * w) + 0.03 * g * g
        found.append(w - 0.02 * m / (1 - 0.8**t) / (np.sqrt(v / (1 - 0.97**t)) + 1e-5))
    return found


CODE: dict[Callable[..., Any], tuple[str, str]] = {
    Heavy: ("SGD", "coupled_unscaled, momentum = 0.85 and weight_decay = 0.002"),
    OwnAdam: (
        "Adam",
        "coupled_unscaled, beta1 = 0.85, beta2 = 0.97, eps = 1e-05 and weight_decay = 0.01",
    ),
    Closed: ("SGD", "coupled_unscaled, lr = 0.05 and momentum = 0.8"),
    made: ("RMSprop", "coupled_unscaled, alpha = 0.95, eps = 1e-06 and momentum = 0.9"),
    bounded: ("Rprop", "irprop_minus, step_size_max = 0.01"),
    scaled: ("SGD", "coupled_unscaled, lr × 0.00390625, lr × batch_size, momentum = 0.9"),
    halved: ("SGD", "coupled_unscaled, lr × 2.0, weight_decay × 0.5, momentum = 0.9"),
    nudged: ("SGD", "coupled_unscaled, lr × 1.005, momentum = 0.9"),
    stepped: ("Adam", "coupled_unscaled, lr = 0.02, beta1 = 0.8, beta2 = 0.97 and eps = 1e-05"),
}


@pytest.mark.slow
@pytest.mark.parametrize("code", CODE, ids=lambda code: code.__name__)
def test_numbers_of_code(code: Callable[..., Any]) -> None:
    rule, said = CODE[code]
    assert str(identify(code, [rule])) == (
        f"{code.__name__} follows {rule}'s {said} whatever is given"
    )


def left_open(found: Identification) -> dict[str, tuple[str, ...]]:
    """By the words of conventions with their numbers, what would tell them."""

    def words(candidate: Candidate) -> str:
        return str(candidate).partition("'s ")[2].removesuffix(" whatever is given")

    return {words(c): u.needs for u in found.untold for c in u.candidates}


@pytest.mark.slow
def test_what_other_numbers_give_as_well() -> None:
    """Where the learning rate is always the same, it may be a part of the decay, or of b."""
    found = identify(read("v = 0.9*v + g; w = w - 0.1*v - 0.001*w"), ["SGD"])
    fit = "lr = 0.1, momentum = 0.9 and weight_decay = 0.01"
    other = "lr = 0.1, momentum = 0.9 and weight_decay = 0.001"
    assert list(map(str, found.fits)) == [
        f"SGD's decoupled_lr, {fit} whatever is given",
        f"SGD's decoupled, {other} whatever is given",
    ]
    said = left_open(found)
    assert said[f"decoupled_lr with lr_in_velocity, {fit}"] == ("a learning rate that changes",)
    other = "lr = 1.0, momentum = 0.9 and weight_decay = 0.001"
    assert "numbers that are written in it" in said[f"decoupled_lr with ema_momentum, {other}"][0]


@pytest.mark.slow
def test_numbers_that_are_torch_s_are_said_too() -> None:
    text = (
        "m = 0.9*m + (1-0.9)*g; v = 0.999*v + (1-0.999)*g*g; "
        "w -= 0.001*m/(1-0.9**t)/(sqrt(v/(1-0.999**t))+1e-8)"
    )
    found = identify(read(text), ["Adam"])
    assert found.assumed == {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
    said = "Written in it as torch's defaults are: beta1 = 0.9, beta2 = 0.999, eps = 1e-08."
    assert said in render(found, width=100)


def test_numbers_by_hand_are_those_that_are_written() -> None:
    """A convention is not ruled out because the code has another rate than torch's default."""
    found = identify(read("v = 0.9*v + g; w = w - 0.1*v"), ("SGD",))
    rejected = {c.names for example in found.examples for c in example.rejected}
    assert rejected == {frozenset({"ema_momentum"})}
