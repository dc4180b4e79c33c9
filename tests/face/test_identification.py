"""identify names what a piece of code follows, and never names what it does not."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from oracles.harness.candidates import Candidate, candidates
from oracles.harness.subjects.blackbox import Function
from oracles.identification import identify
from oracles.optimizers.registry import RULES
from oracles.rule import Rule
from tests.support.planted import Planted

NAMED = [rule for rule in RULES.values() if rule.elementwise and not rule.sparse]
"""Rules whose conventions a few plain cases tell apart. Muon's iteration in bfloat16 leaves eight
bits, and masks differ on sparse gradients only."""

SINGLE = [Candidate(rule, (c,)) for rule in NAMED for c in rule.conventions[1:]]


@pytest.mark.parametrize("rule", NAMED, ids=lambda rule: rule.name)
def test_torch_s_own_convention_is_named(rule: Rule) -> None:
    found = identify(Planted(Candidate(rule)), [rule])
    assert [str(c) for c in found.fits] == [f"{rule.name}'s {rule.torch.name}"]


@pytest.mark.parametrize("candidate", SINGLE, ids=str)
def test_a_convention_is_named(candidate: Candidate) -> None:
    found = identify(Planted(candidate), [candidate.rule])
    assert [str(c) for c in found.fits] == [str(candidate)]


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
    return w - h["lr"] * g * (1 + 1e-5)  # a hundred float32 roundings of the rate


def each(one: Callable[..., Any]) -> Callable[..., Any]:
    """A step of one parameter as a step of several, each with a state of its own."""

    def step(params: Any, grads: Any, state: Any, hyper: Any) -> Any:
        pairs = enumerate(zip(params, grads, strict=True))
        return [one(w, g, state.setdefault(i, {}), hyper) for i, (w, g) in pairs]

    return step


@pytest.mark.parametrize("step", [lion, sign_descent, normalized, adabelief, noisy])
def test_what_is_not_in_the_registry_is_not_named(step: Callable[..., Any]) -> None:
    found = identify(Function(each(step)))
    assert found.fits == ()
    assert "follows no known rule" in str(found)
