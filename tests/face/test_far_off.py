"""Code that is a known rule at first, and another one in long runs or for other tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import oracles
from oracles.harness.evidence.witnesses import others
from oracles.harness.subjects.blackbox import numbers
from oracles.identification import identify
from oracles.reports.identification import render

LONG, LARGE = "over 64 steps", "with large tensors"


def stepping(direction: Callable[[Any, Any, int], Any]) -> Callable[..., Any]:
    """A step along what becomes of a parameter, its gradient and the number of the step."""

    def step(params: Any, grads: Any, state: Any, lr: float) -> Any:
        t = state["t"] = state.get("t", 0) + 1
        return [w - lr * direction(w, g, t) for w, g in zip(params, grads, strict=True)]

    return step


def late(w: Any, g: Any, t: int) -> Any:
    """It goes over to another rule, as SWATS does."""
    return np.sign(g) if t > 50 else g


def bounded(w: Any, g: Any, t: int) -> Any:
    """No gradient is followed beyond a length."""
    return g / max(1.0, np.linalg.norm(g) / 100)


def trusting(w: Any, g: Any, t: int) -> Any:
    """No move is longer than the parameter, as in LAMB."""
    return g * min(1.0, 1e3 * np.linalg.norm(w) / np.linalg.norm(g))


def small(w: Any, g: Any, t: int) -> Any:
    """Matrices of few elements are left to gradient descent."""
    return g if g.size < 64 else np.sign(g)


OFF = {late: LONG, bounded: LONG, trusting: LONG, small: LARGE}


@pytest.mark.parametrize("direction", OFF, ids=lambda direction: direction.__name__)
def test_it_is_not_called_what_it_is_at_first(direction: Callable[..., Any]) -> None:
    found = identify(stepping(direction))
    assert not found.named and found.nearest is not None
    assert found.nearest.where == OFF[direction]
    told = f"nearest is SGD's coupled_unscaled, which holds else, but {OFF[direction]} is off by"
    assert told in str(found)
    assert found.to_json()["nearest"]["where"] == OFF[direction]


def test_what_is_a_rule_everywhere_is_called_so() -> None:
    assert identify(stepping(lambda w, g, t: g)).torchs


@pytest.mark.parametrize("last", [False, True], ids=["to the end", "but late"])
def test_a_rule_with_exceptions_is_asked_for_each_kind(last: bool) -> None:
    """The decay of vectors is divided by the batch size; that of all by 7, in the end."""

    def step(params: Any, grads: Any, state: Any, lr: float, wd: float, m: int) -> Any:
        t = state["t"] = state.get("t", 0) + 1
        by = [1 if w.ndim > 1 else m for w in params]
        over = 7 if last and t > 50 else 1
        return [w - lr * (g + wd / n / over * w) for w, g, n in zip(params, grads, by, strict=True)]

    found = identify(step, ["SGD"])
    assert bool(found.exceptions) == bool(found.fits) == (not last)


# --- numbers of its own ---


def weighed(params: Any, grads: Any, state: Any, lr: float, nu: float = 1.0, k: int = 8) -> Any:
    """As QHM: with a weight of 1 it is gradient descent; and a number that only counts."""
    state["seen"] = state.get("seen", 0) % k
    return [w - lr * nu * g for w, g in zip(params, grads, strict=True)]


def test_a_number_of_its_own_that_matters_is_a_condition() -> None:
    found = identify(weighed, ["SGD"])
    assert (found.unread, found.resting) == (("nu", "k"), ("nu",))
    assert str(found) == "weighed follows SGD's coupled_unscaled, while nu is left alone"
    assert "Left at their defaults, as this rule has no such hyperparameters: nu, k" in render(
        found
    )
    assert oracles.check(weighed, "SGD", dtypes=[]).follows
    assert identify(weighed, ["SGD"], fixed={"nu": 1.0}).resting == ()


def test_a_number_that_matters_in_long_runs_alone_is_a_condition() -> None:
    def ending(params: Any, grads: Any, state: Any, lr: float, horizon: float = 100.0) -> Any:
        t = state["t"] = state.get("t", 0) + 1
        return [w - lr * g * (t < horizon) for w, g in zip(params, grads, strict=True)]

    assert identify(ending, ["SGD"]).resting == ("horizon",)


def test_what_is_a_number_of_its_own() -> None:
    defaults = {"k": 3, "on": True, "none": (), "two": (0.5, 1), "mixed": (1, "a"), "given": 1.0}
    assert numbers(defaults, {"given"}) == {"k": 3, "two": (0.5, 1)}


def test_other_values_of_numbers() -> None:
    assert others(8) == (1, 2)
    assert others(0.5) == (0.25, 1.0)
    assert others(0.0) == (0.5, 2.0)
    assert others((1.0, 3)) == ((0.5, 1), (2.0, 2))


def test_a_decay_that_is_thought_too_small_is_missed() -> None:
    """At the values that people use, which are far from those that tell rules apart."""

    def step(params: Any, grads: Any, state: Any, lr: float, weight_decay: float) -> Any:
        decay = weight_decay if weight_decay >= 1e-3 else 0.0
        return [w - lr * (g + decay * w) for w, g in zip(params, grads, strict=True)]

    found = identify(step)
    assert not found.named and found.nearest is not None
    assert found.nearest.where == "at usual values"
