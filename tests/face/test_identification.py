"""identify names what a piece of code follows, and never names what it does not."""

from __future__ import annotations

import gc
import random
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from benchmarks import pairs
from oracles.harness.candidates import Candidate, candidates, combined
from oracles.harness.evidence.witnesses import Asked
from oracles.harness.subjects.blackbox import Function
from oracles.harness.subjects.foreign import ForeignOptimizer
from oracles.harness.subjects.trace import Trace
from oracles.identification import identify
from oracles.optimizers.registry import RULES
from oracles.reports.identification import render
from oracles.rule import Rule
from tests.support.foreign import FOREIGN, Foreign, Moonlight
from tests.support.marks import slow
from tests.support.planted import Planted
from tests.support.rewrites import REWRITES, Rewrite

NAMED = list(RULES.values())

SINGLE = [Candidate(rule, (c,)) for rule in NAMED for c in rule.conventions[1:]]


@pytest.mark.one_in(2)
@pytest.mark.parametrize("rule", NAMED, ids=lambda rule: rule.name)
def test_torch_s_own_convention_is_named(rule: Rule) -> None:
    found = identify(Planted(Candidate(rule)), [rule])
    assert [str(c) for c in found.fits] == [f"{rule.name}'s {rule.torch.name}"]


@pytest.mark.one_in(16)
@pytest.mark.parametrize("candidate", SINGLE, ids=str)
def test_a_convention_is_named(candidate: Candidate) -> None:
    found = identify(Planted(candidate), [candidate.rule])
    assert [str(c) for c in found.fits] == [str(candidate)]


@pytest.mark.parametrize(
    ("word", "status"),
    [("named", 0), ("named among others", 0), ("simpler", 0), ("others named", 1), ("refused", 1)],
)
def test_what_is_said_wrong_of_a_pair_is_an_error(
    word: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pairs, "combined", lambda rule, members: [Candidate(rule)])
    monkeypatch.setattr(pairs, "outcome", lambda candidate: word)
    assert pairs.main(["SGD"]) == status


def same(one: Candidate, other: Candidate) -> bool:
    """Whether no case of identification tells them apart: they are one by algebra."""
    return any(str(c) == str(other) for c in identify(Planted(one), [one.rule]).fits)


PAIRS = [
    pair
    for rule in NAMED
    for pair in random.Random(rule.name).sample(
        [c for c in candidates(rule, 2) if len(c.conventions) == 2], 4
    )
]


LATE = [("Rprop", ("rprop_minus", "zero_grows")), ("Muon", ("cubic", "eps_added"))]
"""Pairs of which one shows far off alone."""


@pytest.mark.one_in(2)
@pytest.mark.parametrize(("rule", "names"), LATE)
def test_one_of_two_conventions_may_show_far_off_alone(rule: str, names: tuple[str, str]) -> None:
    """What tells conventions apart is held by the other one as well."""
    (pair,) = (c for c in combined(RULES[rule], 2) if c.names == {*names})
    assert [str(c) for c in identify(Planted(pair), [rule]).fits] == [str(pair)]


@pytest.mark.one_in(14)
@pytest.mark.parametrize("candidate", PAIRS, ids=str)
def test_a_pair_is_named_or_equals_something_simpler(candidate: Candidate) -> None:
    found = identify(Planted(candidate), [candidate.rule])
    if [str(c) for c in found.fits] != [str(candidate)]:
        assert found.fits
        assert all(len(c.conventions) < 2 or same(c, candidate) for c in found.fits)


def lion(w: Any, g: Any, state: dict[str, Any], h: dict[str, Any]) -> Any:
    m = state.get("m", 0 * w)
    state["m"] = h["beta2"] * m + (1 - h["beta2"]) * g
    decayed = w * (1 - h["lr"] * h["weight_decay"])
    return decayed - h["lr"] * np.sign(h["beta1"] * m + (1 - h["beta1"]) * g)


def sign_descent(w: Any, g: Any, state: dict[str, Any], h: dict[str, Any]) -> Any:
    return w - h["lr"] * np.sign(g + h["weight_decay"] * w)


def normalized(w: Any, g: Any, state: dict[str, Any], h: dict[str, Any]) -> Any:
    return w - h["lr"] * g / np.linalg.norm(g)


def adabelief(w: Any, g: Any, state: dict[str, Any], h: dict[str, Any]) -> Any:
    t = state["t"] = state.get("t", 0) + 1
    m = state["m"] = h["beta1"] * state.get("m", 0 * w) + (1 - h["beta1"]) * g
    s = h["beta2"] * state.get("s", 0 * w) + (1 - h["beta2"]) * (g - m) ** 2 + h["eps"]
    state["s"] = s
    c1, c2 = 1 - h["beta1"] ** t, 1 - h["beta2"] ** t
    return w - h["lr"] * (m / c1) / (np.sqrt(s / c2) + h["eps"])


def noisy(w: Any, g: Any, state: dict[str, Any], h: dict[str, Any]) -> Any:
    return w - h["lr"] * g * (1 + 1e-5 * np.sin(g))  # a hundred float32 roundings


def each(one: Callable[..., Any]) -> Callable[..., Any]:
    """A step of one parameter as a step of several, each with a state of its own."""

    def step(params: Any, grads: Any, state: Any, hyper: Any) -> Any:
        pairs = enumerate(zip(params, grads, strict=True))
        return [one(w, g, state.setdefault(i, {}), hyper) for i, (w, g) in pairs]

    return step


def lamb(w: Any, g: Any, state: dict[str, Any], h: dict[str, Any]) -> Any:
    t = state["t"] = state.get("t", 0) + 1
    m = state["m"] = h["beta1"] * state.get("m", 0 * w) + (1 - h["beta1"]) * g
    v = state["v"] = h["beta2"] * state.get("v", 0 * w) + (1 - h["beta2"]) * g**2
    c1, c2 = 1 - h["beta1"] ** t, 1 - h["beta2"] ** t
    u = m / c1 / (np.sqrt(v / c2) + h["eps"]) + h["weight_decay"] * w
    return w - h["lr"] * np.linalg.norm(w) / np.linalg.norm(u) * u


def adan(w: Any, g: Any, state: dict[str, Any], h: dict[str, Any]) -> Any:
    change = g - state.get("g", g)
    m = state["m"] = h["beta1"] * state.get("m", 0 * w) + (1 - h["beta1"]) * g
    d = state["d"] = h["beta2"] * state.get("d", 0 * w) + (1 - h["beta2"]) * change
    n = state["n"] = 0.99 * state.get("n", 0 * w) + 0.01 * (g + h["beta2"] * change) ** 2
    state["g"] = g
    u = (m + h["beta2"] * d) / (np.sqrt(n) + h["eps"])
    return (w - h["lr"] * u) / (1 + h["lr"] * h["weight_decay"])


def whitened(w: Any, g: Any, state: dict[str, Any], h: dict[str, Any]) -> Any:
    """Shampoo's way, with one side."""
    two = g.reshape(len(g), -1)
    s = state["s"] = state.get("s", np.eye(len(two))) + two @ two.T
    values, vectors = np.linalg.eigh(s)
    return w - h["lr"] * ((vectors / np.sqrt(values)) @ vectors.T @ two).reshape(g.shape)


def prodigal(w: Any, g: Any, state: dict[str, Any], h: dict[str, Any]) -> Any:
    """A rate that grows with the distance from the start, as in D-Adaptation and Prodigy."""
    far = np.abs(w - state.setdefault("start", w)).max() + 1e-3
    return w - h["lr"] * far * (g + h["weight_decay"] * w)


OTHERS = (lion, sign_descent, normalized, adabelief, noisy, lamb, adan, whitened, prodigal)

SOME = ("SGD", "Adam", "RMSprop")
"""Rules whose kin these are; the first of them is held against all rules, which takes longer."""


@pytest.mark.one_in(2)
@pytest.mark.parametrize(
    "step", slow(OTHERS, lion, sign_descent, normalized, noisy, whitened, prodigal)
)
def test_what_is_not_in_the_registry_is_not_named(step: Callable[..., Any]) -> None:
    among = [RULES[name] for name in (RULES if step is lion else SOME)]
    found = identify(Function(each(step)), among)
    assert found.fits == ()
    assert "follows no known rule" in str(found)


@dataclass(frozen=True)
class Rewritten(Function):
    """An honest rewrite of a rule, which has no place for some of its hyperparameters."""

    lacks: frozenset[str] = frozenset()

    def takes(self, rule: Rule) -> frozenset[str]:
        members = {m for name in self.lacks for m in rule.binding.tuples.get(name, (name,))}
        return super().takes(rule) - members - {"batch_size"}


TEXTS = [r for r in REWRITES if not r.constant and r.rule in {rule.name for rule in NAMED}]
"""Those that hold whatever changes from step to step."""


@pytest.mark.one_in(25)
@pytest.mark.parametrize("text", TEXTS, ids=lambda text: f"{text.rule}-{text.name}")
def test_other_texts_of_a_rule_are_that_rule(text: Rewrite) -> None:
    """Whoever writes it otherwise, and whatever is kept in float32."""
    rule = RULES[text.rule]
    found = identify(Rewritten(text.step, lacks=text.lacks), [rule])
    assert [str(c) for c in found.fits] == [f"{rule.name}'s {rule.torch.name}"]
    assert text.float32_scalars or found.scalars == "float64"


@pytest.mark.one_in(3)
@pytest.mark.parametrize("text", TEXTS, ids=lambda text: f"{text.rule}-{text.name}")
def test_what_keeps_numbers_in_float32_shows_it(text: Rewrite) -> None:
    witness = Asked(Rewritten(text.step, lacks=text.lacks))
    assert witness.short(RULES[text.rule]) == text.float32_scalars


def keeping_what_it_is_told_once(
    params: Any, grads: Any, state: Any, lr: Any, betas: Any, eps: Any, momentum_decay: Any
) -> Any:
    """NAdam as Paddle has it: learning rates come step by step, in float64."""
    b1, b2, e, psi = (float(np.float32(x)) for x in (*betas, eps, momentum_decay))
    t = state["t"] = state.get("t", 0) + 1
    mu, after = (b1 * (1 - 0.5 * 0.96 ** (n * psi)) for n in (t, t + 1))
    product = state["product"] = state.get("product", 1) * mu
    found = []
    for k, (w, d) in enumerate(zip(params, grads, strict=True)):
        m = state["m", k] = b1 * state.get(("m", k), 0) + (1 - b1) * d
        v = state["v", k] = b2 * state.get(("v", k), 0) + (1 - b2) * d * d
        u = (1 - mu) / (1 - product) * d + after / (1 - product * after) * m
        found.append(w - lr * u / (np.sqrt(v / (1 - b2**t)) + e))
    return found


@pytest.mark.slow
def test_what_torch_keeps_in_float32_hides_nobody_who_keeps_more_in_it() -> None:
    found = identify(keeping_what_it_is_told_once, ["NAdam"])
    assert str(found) == "keeping_what_it_is_told_once follows NAdam's coupled_unscaled"
    assert found.scalars == "float32"


def test_who_keeps_something_in_float32_may_have_that_step_to_blame() -> None:
    """What it is that is kept, a rate or a buffer, is not known."""

    def step(params: Any, grads: Any, state: Any, lr: float) -> Any:
        return [w - float(np.float32(lr)) * g for w, g in zip(params, grads, strict=True)]

    found = identify(step, ["SGD"])
    assert found.torchs
    said = render(found, width=1000)
    assert "It keeps something in float32." in said and "the step is not why" not in said


SAID_OTHERWISE = {
    "OptaxAmsgrad": "amsgrad_corrected, amsgrad = True whatever is given",  # it has no switch
    "Moonlight": "decoupled_lr, eps = 0.0 whatever is given",  # it has none
    "Bottou": "lr_at_once",  # which it is, where the rate changes
}
"""Of these classes something else is said, with the reason."""

NAMEABLE = [f for f in FOREIGN if f.rule in {rule.name for rule in NAMED}]


@pytest.mark.one_in(9)
@pytest.mark.parametrize(
    "foreign", slow(NAMEABLE, Moonlight, by=lambda one: one.cls), ids=lambda one: one.id
)
def test_optimizers_of_other_packages_are_named(foreign: Foreign) -> None:
    rule = RULES[foreign.rule]
    found = identify(ForeignOptimizer(foreign.cls, foreign.names), [rule])
    convention = SAID_OTHERWISE.get(foreign.cls.__name__, foreign.convention)
    assert str(found.fits[0]) == f"{rule.name}'s {convention}"
    assert len(found.fits) == 1 or found.fits[0].arguments


def plain(params: Any, grads: Any, state: Any, lr: float) -> Any:
    return [w - lr * g for w, g in zip(params, grads, strict=True)]


def loop(X: Any, y: Any, lr: float, epochs: int) -> Any:
    return np.zeros(X.shape[1])


TRACE = Trace("run", {"w": np.ones((2, 1))}, {"w": np.ones((1, 1))}, {"lr": (0.5,)})

OFF: dict[str, tuple[Any, dict[str, Any], str]] = {
    "no rules": (plain, {"rules": []}, r"rules=\[\] names no rule; allowed: SGD, Adam"),
    "a name": (plain, {"names": {"nonsense": "lr"}}, "names: 'nonsense' is not known; allowed: lr"),
    "a name of a loop": (loop, {"names": {"nonsense": "lr"}}, "'nonsense' is not .* epochs"),
    "a name in a record": (TRACE, {"names": {"nonsense": "lr"}}, "'nonsense' is not known"),
    "what a record has not": (
        TRACE,
        {"names": {"lr": "speed"}},
        "'lr': 'speed'}: the record has no 'speed'",
    ),
    "what a loop has not": (loop, {"names": {"lr": "speed"}}, r"names=.*: loop has no 'speed'"),
    "what a step has not": (plain, {"names": {"lr": "speed"}}, r"names=.*: plain has no 'speed'"),
    "what is fixed in none": (plain, {"fixed": {"speed": 1}}, r"fixed=\{'speed': 1\}: plain has"),
    "a value": (loop, {"values": {"nonsense": 3}}, "values: 'nonsense' is not known; allowed: lr"),
    "a value of a step": (plain, {"values": {"momentum": 3}}, "values=.* training loop"),
    "a record's": (TRACE, {"fixed": {"lr": 3}}, r"fixed=\{'lr': 3\}: a record"),
    "a box's": (Function(plain), {"fixed": {"lr": 3}}, "fixed=.* itself"),
    "a box's name": (Function(plain), {"names": {"lr": "lr"}}, "names=.* itself"),
}


@pytest.mark.parametrize("what", OFF)
def test_arguments_that_would_be_lost(what: str) -> None:
    subject, given, words = OFF[what]
    with pytest.raises(ValueError, match=words):
        identify(subject, **given)


def test_code_is_let_go_once_all_is_said() -> None:
    def step(params: Any, grads: Any, state: Any, lr: float) -> Any:
        return [w - lr * np.sin(g) for w, g in zip(params, grads, strict=True)]

    alive = weakref.ref(step)
    assert identify(step, ["SGD"]).fits == ()
    del step
    gc.collect()
    assert alive() is None
