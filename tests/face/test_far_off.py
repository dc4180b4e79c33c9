"""Code that is a known rule at first, and another one in long runs or for other tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

import numpy as np
import pytest
import torch

import oracles
from oracles.harness.arithmetic.formats import round_to
from oracles.harness.candidates import Candidate
from oracles.harness.evidence.witnesses import others
from oracles.harness.subjects.blackbox import numbers
from oracles.harness.subjects.trace import Trace
from oracles.identification import identify
from oracles.optimizers.muon import Hyper as Muon
from oracles.optimizers.registry import RULES
from oracles.reports.identification import render
from tests.support.marks import needs_muon, slow
from tests.support.planted import Planted

LONG, LARGE = "over 128 steps", "with large tensors"


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


def short(w: Any, g: Any, t: int) -> Any:
    """So are vectors."""
    return g if g.ndim != 1 or g.size < 64 else np.sign(g)


def skipping(params: Any, grads: Any, state: Any, lr: float) -> Any:
    """A step is left out where its gradient is fifty times as long as they are on the average."""
    moved = []
    for n, (w, g) in enumerate(zip(params, grads, strict=True)):
        length = np.linalg.norm(g)
        usual = state.get(n, length)
        state[n] = 0.9 * usual + 0.1 * length
        moved.append(w - lr * g if length <= 50 * usual else w)
    return moved


def test_who_skips_what_is_large_among_calm_gradients_is_no_descent() -> None:
    assert not identify(skipping).named


def sleeping(params: Any, grads: Any, state: Any, lr: float, mu: float) -> Any:
    """Parameters whose gradients are all zero are passed over, whatever momentum they have."""
    moved = []
    for n, (w, g) in enumerate(zip(params, grads, strict=True)):
        state[n] = mu * state.get(n, 0) + g if g.any() else state.get(n, 0)
        moved.append(w - lr * state[n] if g.any() else w)
    return moved


def test_who_passes_over_gradients_of_zero_is_no_descent_with_momentum() -> None:
    found = identify(sleeping)
    assert not found.named and found.nearest is not None
    told = "holds else, but with gradients of zero is off by more than a step moves at all"
    assert told in str(found.nearest)


OFF = {late: LONG, bounded: LONG, trusting: LONG, small: LARGE, short: LARGE}


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


@pytest.mark.slow
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
    def ending(params: Any, grads: Any, state: Any, lr: float, horizon: float = 200.0) -> Any:
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
    assert found.nearest.where == "at weight_decay=0.0001"


# --- guards that show in the largest and the smallest numbers alone ---


def same(value: Any) -> Any:
    return value


def norm(grads: Any) -> float:
    return float(np.sqrt(sum((g * g).sum() for g in grads)))


def shorter(grads: Any, longest: float) -> Any:
    return [g * min(1.0, longest / norm(grads)) for g in grads]


def guarded(**guards: Callable[[Any], Any]) -> Callable[..., Any]:
    """Adam that does something to one of its numbers."""

    def on(what: str) -> Callable[[Any], Any]:
        return guards.get(what, same)

    def step(
        params: Any, grads: Any, state: Any, lr: Any, b1: Any, b2: Any, eps: Any, wd: Any
    ) -> Any:
        t = state["t"] = on("t")(state.get("t", 0) + 1)
        lr, b1, b2, eps, wd = (
            on(n)(v) for n, v in {"lr": lr, "b1": b1, "b2": b2, "eps": eps, "wd": wd}.items()
        )
        found = []
        for n, (w, g) in enumerate(zip(params, on("grads")(grads), strict=True)):
            g = on("g")(g) + wd * on("w")(w)
            m, v = state.get(n, (0.0, 0.0))
            m, v = b1 * m + (1 - b1) * g, on("v")(b2 * v + (1 - b2) * g * g)
            state[n] = m, v
            move = lr * m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps)
            found.append(on("after")(w - on("move")(move)))
        return found

    return step


GUARDS: dict[str, Callable[..., Any]] = {
    "ε has a floor": guarded(eps=lambda eps: max(eps, 1e-7)),
    "ε has a cap": guarded(eps=lambda eps: min(eps, 1.0)),
    "moves are clamped": guarded(move=lambda move: np.clip(move, -3, 3)),
    "small moves are left out": guarded(move=lambda move: np.where(abs(move) < 1e-8, 0, move)),
    "small parameters are set to 0": guarded(after=lambda w: np.where(abs(w) < 1e-8, 0, w)),
    "gradients are clipped": guarded(g=lambda g: np.clip(g, -1e4, 1e4)),
    "their norm is clipped": guarded(grads=lambda grads: shorter(grads, 1e4)),
    "their norm has a floor": guarded(
        grads=lambda grads: [g * max(1.0, 1e-6 / norm(grads)) for g in grads]
    ),
    "small gradients are left out": guarded(g=lambda g: np.where(abs(g) < 1e-8, 0, g)),
    "v has a floor": guarded(v=lambda v: np.maximum(v, 1e-12)),
    "v has a cap": guarded(v=lambda v: np.minimum(v, 1e6)),
    "the rate has a cap": guarded(lr=lambda lr: min(lr, 1.0)),
    "the rate has a floor": guarded(lr=lambda lr: max(lr, 1e-6)),
    "β₁ has a cap": guarded(b1=lambda beta: min(beta, 0.99)),
    "β₂ has a floor": guarded(b2=lambda beta: max(beta, 0.9)),  # which looks like ignoring it
    "decay has a cap": guarded(wd=lambda wd: min(wd, 1.0)),
    "a small decay is left out": guarded(wd=lambda wd: wd * (wd >= 1e-6)),
    "large parameters are not decayed": guarded(w=lambda w: np.where(abs(w) < 1e3, w, 0)),
    "parameters are clamped": guarded(after=lambda w: np.clip(w, -1e4, 1e4)),
    "steps are counted to 100": guarded(t=lambda t: min(t, 100)),
    "steps are counted anew": guarded(t=lambda t: (t - 1) % 100 + 1),
}


@pytest.mark.one_in(8)
@pytest.mark.parametrize("guard", slow(GUARDS, "ε has a floor"))
def test_no_guard_is_passed_over(guard: str) -> None:
    found = identify(GUARDS[guard], ["Adam"])
    assert not found.named
    assert found.seen is None


BEYOND = "at usual values with gradients beyond 1e4"


@pytest.mark.one_in(5)
@pytest.mark.parametrize(
    ("guard", "where"),
    [
        ("ε has a cap", "at eps=100"),
        ("the rate has a cap", "at lr=200"),
        ("decay has a cap", "at weight_decay=400"),
        pytest.param("gradients are clipped", BEYOND, id="large gradients"),
        ("steps are counted anew", LONG),
    ],
)
def test_the_number_that_shows_it_is_told(guard: str, where: str) -> None:
    found = identify(GUARDS[guard], ["Adam"])
    assert found.nearest is not None and found.nearest.where == where


@pytest.mark.parametrize("by", [1.009, 1.0001])
def test_the_rate_of_late_steps_is_the_one_that_is_given(by: float) -> None:
    found = identify(stepping(lambda w, g, t: g * (by if t > 20 else 1.0)), ["SGD"])
    assert found.nearest is not None and found.nearest.where == LONG


def in_float32(step: Callable[..., Any], by: float) -> Callable[..., Any]:
    """The same in that, and after twenty steps at a rate that is multiplied."""

    @wraps(step)
    def rounded(params: Any, grads: Any, state: Any, lr: float, *others: Any, **more: Any) -> Any:
        t = state["steps"] = state.get("steps", 0) + 1
        moved = step(params, grads, state, lr * (by if t > 20 else 1), *others, **more)
        return [np.float32(w) for w in moved]

    return rounded


@pytest.mark.one_in(2)
@pytest.mark.parametrize(
    ("step", "rule", "by"),
    [(stepping(lambda w, g, t: g), "SGD", 1.001), (guarded(), "Adam", 0.997)],
    ids=["SGD", "Adam"],
)
def test_so_it_is_in_float32(step: Callable[..., Any], rule: str, by: float) -> None:
    """Where roundings are seen, which are no part of a step that could be taken for a rate."""
    assert identify(in_float32(step, 1.0), [rule]).torchs
    found = identify(in_float32(step, by), [rule])
    assert found.nearest is not None and found.nearest.where == LONG


def beyond(longer: Callable[[Any, Muon, int], bool]) -> Callable[..., Any]:
    """Muon whose moves are 1.4 times too long for some parameters, settings or steps."""

    def step(params: Any, grads: Any, state: Any, hyper: Any) -> Any:
        h = Muon(**{n: v for n, v in hyper.items() if n in Muon._fields})
        t = state["t"] = state.get("t", 0) + 1
        for n, (w, g) in enumerate(zip(params, grads, strict=True)):
            moved, state[n] = RULES["Muon"].step(w, g, 1, state.get(n, {}), h, RULES["Muon"].torch)
            shrunk = w * (1 - h.lr * h.weight_decay)
            params[n] = shrunk + (moved - shrunk) * (1.4 if longer(w, h, t) else 1.0)

    return step


@pytest.mark.slow
@pytest.mark.parametrize(
    ("longer", "where"),
    [
        (lambda w, h, t: h.lr < 1e-3, "at lr=0.001"),
        (lambda w, h, t: w.size > 1000, LARGE),
        (lambda w, h, t: t > 30, LONG),
    ],
    ids=["at small rates", "of large tensors", "late"],
)
def test_what_computes_in_short_formats_is_held_to_its_margins_as_well(
    longer: Callable[[Any, Muon, int], bool], where: str
) -> None:
    found = identify(beyond(longer), ["Muon"])
    assert found.nearest is not None and found.nearest.where.startswith(where)


def test_small_decay_beside_a_radius_is_asked_for_as_large_as_it_can_be() -> None:
    found = identify(Planted(Candidate(RULES["Muon"])), ["Muon"])
    assert found.torchs and not found.untold


def radam(params: Any, grads: Any, state: Any, lr: Any, b1: Any, b2: Any, eps: Any, wd: Any) -> Any:
    """ε has a floor, in a rule whose rectification float32 would keep few digits of."""
    t = state["t"] = state.get("t", 0) + 1
    longest = 2 / (1 - b2) - 1
    length, found = longest - 2 * t * b2**t / (1 - b2**t), []
    for n, (w, g) in enumerate(zip(params, grads, strict=True)):
        g = g + wd * w
        m, v = state.get(n, (0.0, 0.0))
        m, v = state[n] = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        move = m / (1 - b1**t)
        if length > 5:
            square = (length - 4) * (length - 2) * longest
            square /= (longest - 4) * (longest - 2) * length
            move *= np.sqrt(square * (1 - b2**t)) / (np.sqrt(v) + max(eps, 1e-7))
        found.append(w - lr * move)
    return found


@pytest.mark.slow
def test_what_float64_holds_but_for_one_setting_is_not_in_float32() -> None:
    found = identify(radam, ["RAdam"])
    assert not found.fits and found.nearest is not None
    assert found.nearest.where == "at eps=1e-08"


def test_what_is_ignored_but_for_large_tensors_is_not_ignored() -> None:
    def step(params: Any, grads: Any, state: Any, lr: float, momentum: float, wd: float) -> Any:
        decays = [wd if w.size > 1000 else 0.0 for w in params]
        return [w - lr * (g + d * w) for w, g, d in zip(params, grads, decays, strict=True)]

    found = identify(step, ["SGD"])
    assert found.nearest is not None and found.nearest.where == LARGE


def test_what_is_ignored_everywhere_is_told() -> None:
    def step(params: Any, grads: Any, state: Any, lr: float, momentum: float, wd: float) -> Any:
        return [w - lr * g for w, g in zip(params, grads, strict=True)]

    assert identify(step, ["SGD"]).ignores == {"momentum", "weight_decay"}


def spiking(params: Any, grads: Any, state: Any, lr: Any, b1: Any, b2: Any, eps: Any) -> Any:
    """Adam that leaves gradients out which are far above what is remembered, as SPAM does."""
    t = state["t"] = state.get("t", 0) + 1
    found = []
    for n, (w, g) in enumerate(zip(params, grads, strict=True)):
        m, v = state.get(n, (0.0, 0.0))
        g = np.where((g * g > 5000 * v) & (t > 1), 0, g)
        m, v = state[n] = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        found.append(w - lr * m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps))
    return found


def test_what_is_remembered_is_asked_at_rates_that_forget_as_well() -> None:
    found = identify(spiking, ["Adam"])
    assert found.nearest is not None and found.nearest.where == "over 64 steps"


@pytest.mark.slow
def test_whoever_looks_longer_looks_at_more_steps() -> None:
    late = guarded(t=lambda t: min(t, 1000))
    assert identify(late, ["Adam"]).named
    found = identify(late, ["Adam"], profile="thorough")
    assert found.nearest is not None and found.nearest.where == "over 1280 steps"


def test_it_is_said_in_which_ranges_a_name_holds() -> None:
    found = identify(guarded(), ["Adam"])
    assert found.torchs and found.seen is not None
    assert [*found.seen.hyper] == ["lr", "beta1", "beta2", "eps", "weight_decay"]
    assert found.seen.hyper["eps"] == (0.0, 100.0)
    assert found.seen.steps == 128
    assert (found.seen.dimensions, found.seen.elements) == ((0, 5), (1, 4290))
    assert f"Seen with {found.seen}" in render(found, width=1000)
    assert found.to_json()["seen"]["hyper"]["lr"] == found.seen.hyper["lr"]


def test_a_record_says_in_which_ranges_it_was_made() -> None:
    trace = Trace(
        "mine", {"w": np.array([[1.0], [0.5]])}, {"w": np.array([[2.0]])}, {"lr": (0.25,)}
    )
    seen = identify(trace).seen
    assert seen is not None
    assert str(seen) == (
        "lr from 0.25 to 0.25, gradients of 2 to 2, parameters of 1 to 1 with 1 to 1 dimensions "
        "and 1 to 1 elements, up to 1 steps"
    )


def refusing(params: Any, grads: Any, state: Any, lr: float) -> Any:
    if lr > 1:
        raise ValueError(f"lr={lr}")
    return [w - lr * g for w, g in zip(params, grads, strict=True)]


def test_what_is_refused_was_not_seen() -> None:
    found = identify(refusing, ["SGD"])
    assert found.torchs and found.seen is not None
    assert found.seen.hyper["lr"][1] <= 1


def test_who_makes_no_finite_numbers_where_the_rule_does_is_off() -> None:
    """From its second step on it is asked nothing: no rule makes numbers of what is none."""

    def broken(params: Any, grads: Any, state: Any, lr: float) -> Any:
        return [w - lr * g if lr < 100 else w * np.nan for w, g in zip(params, grads, strict=True)]

    found = identify(broken, ["SGD"])
    assert found.nearest is not None
    assert str(found.nearest).endswith("is off by more than a step moves at all")


@needs_muon
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "value", "where"),
    [
        ("adjust_lr_fn", None, "at adjust_lr_fn=match_rms_adamw"),
        ("ns_coefficients", (3.4445, -4.775, 2.0315), "at ns_a=1.5"),
        ("ns_steps", 5, "at ns_steps=1"),
    ],
    ids=["adjust_lr_fn", "ns_coefficients", "ns_steps"],
)
def test_who_leaves_an_argument_aside_is_off_at_another_value(
    name: str, value: Any, where: str
) -> None:
    """It stays as it is in the cases that tell conventions apart, where this is the rule."""

    class Heedless(torch.optim.Muon):
        def step(self, closure: Any = None) -> Any:
            for group in self.param_groups:
                group[name] = value
            return super().step(closure)  # type: ignore[no-untyped-call]

    found = identify(Heedless, ["Muon"])
    assert found.nearest is not None and found.nearest.where == where


@needs_muon
@pytest.mark.slow
def test_of_a_matrix_it_is_seen_after_one_iteration_which_norm_it_is_divided_by() -> None:
    """Of one row or column all norms of this kind are the same."""

    class Spectral(torch.optim.Muon):
        @torch.no_grad()
        def step(self, closure: Any = None) -> Any:
            for h in self.param_groups:
                for w in h["params"]:
                    b = self.state[w].setdefault("b", torch.zeros_like(w))
                    b.lerp_(w.grad, 1 - h["momentum"])
                    x = b.lerp(w.grad, 1 - h["momentum"]) if h["nesterov"] else b
                    x = x.bfloat16()
                    x = x / torch.linalg.matrix_norm(x.float(), 2).clamp(min=h["eps"]).bfloat16()
                    one, three, five = h["ns_coefficients"]
                    for _ in range(h["ns_steps"]):
                        gram = x @ x.mT
                        x = one * x + (three * gram + five * gram @ gram) @ x
                    (rows, columns) = w.shape
                    ratio = max(1, rows / columns) ** 0.5
                    if h["adjust_lr_fn"] == "match_rms_adamw":
                        ratio = 0.2 * max(rows, columns) ** 0.5
                    w.mul_(1 - h["lr"] * h["weight_decay"]).sub_(h["lr"] * ratio * x)

    found = identify(Spectral, ["Muon"])
    assert found.nearest is not None and found.nearest.where == "at ns_steps=1"


def test_what_makes_no_finite_numbers_of_a_rate_is_no_other_rule() -> None:
    """A rate that bfloat16 holds as 1 divides by 0, in the code as in what it follows."""
    found = identify(guarded(b2=lambda beta: float(round_to("bfloat16", np.array(beta)))), ["Adam"])
    assert str(found.fits[0]) == "Adam's coupled_unscaled, beta2 in bfloat16"


def test_that_none_was_ruled_out_is_not_said() -> None:
    """What is torch's rule at first needs no other one to be looked at."""
    found = identify(stepping(small), ["SGD"])
    assert "known rule (nearest is SGD's coupled_unscaled, which holds else" in str(found)


def test_what_was_ruled_out_before_an_exception_is_counted() -> None:
    """What fits but for matrices, and fails far off, has ruled the others out all the same."""

    def clipped(params: Any, grads: Any, state: Any, lr: float, wd: float) -> Any:
        def step(w: Any, g: Any) -> Any:
            return w - lr * (np.clip(g, -1e4, 1e4) + (wd * w if w.ndim == 1 else 0))

        return [*map(step, params, grads)]

    found = identify(clipped, ["SGD"])
    assert not found.named
    assert found.ruled_out


# --- switches and zeros that are on together, and other shapes ---


Told = Mapping[str, Any]


def usual(g: Any, on: Told) -> Any:
    return g


def everything(w: Any, n: int) -> bool:
    return True


def written(
    g: Callable[[Any, Told], Any] = usual, decayed: Callable[[Any, int], bool] = everything
) -> Callable[..., Any]:
    """Gradient descent on what is made of gradients, which decays some parameters."""

    def step(
        params: Any, grads: Any, state: Any, lr: Any, mu: Any, wd: Any, nesterov: Any, maximize: Any
    ) -> Any:
        on = {"mu": mu, "wd": wd, "nesterov": nesterov, "maximize": maximize}
        moved = []
        for n, (w, given) in enumerate(zip(params, grads, strict=True)):
            d = g(-given if maximize else given, on) + wd * decayed(w, n) * w
            v = state[n] = mu * state.get(n, 0) + d
            moved.append(w - lr * (d + mu * v if nesterov else v))
        return moved

    return step


def centered(g: Any, on: Told) -> Any:
    """As of kernels of convolutions."""
    return g - g.mean(axis=tuple(range(1, g.ndim)), keepdims=True) if g.ndim > 3 else g


TOGETHER: dict[str, tuple[Callable[..., Any], str]] = {
    "a switch is dropped beside another": (
        written(g=lambda g, on: -g if on["nesterov"] and on["maximize"] else g),
        "with nesterov, maximize",
    ),
    "nothing is on": (
        written(g=lambda g, on: g if on["mu"] or on["wd"] else g / 2),
        "with momentum=0, weight_decay=0",
    ),
    "a switch and no number is on": (
        written(g=lambda g, on: g if on["mu"] or not on["maximize"] else g / 2),
        "with momentum=0, weight_decay=0, maximize",
    ),
}


@pytest.mark.parametrize("what", TOGETHER)
def test_nothing_that_comes_together_is_passed_over(what: str) -> None:
    step, where = TOGETHER[what]
    found = identify(step, ["SGD"])
    assert not found.named and found.nearest is not None
    assert found.nearest.where == where


SHAPED: dict[str, tuple[Callable[..., Any], tuple[tuple[int, ...], ...]]] = {
    "kernels are centered": (written(g=centered), ((2, 1, 2, 2), (1, 2, 1, 1, 2))),
    "single numbers are not decayed": (written(decayed=lambda w, n: w.size > 1), ((), (1,))),
    "scalars are not decayed": (written(decayed=lambda w, n: w.ndim > 0), ((),)),
    "three dimensions are not decayed": (written(decayed=lambda w, n: w.ndim != 3), ((2, 1, 2),)),
    "the third is not decayed": (written(decayed=lambda w, n: n != 2), ((),)),
    "vectors alone are not decayed": (written(decayed=lambda w, n: w.ndim != 1), ((),)),
}


@pytest.mark.one_in(8)
@pytest.mark.parametrize("what", SHAPED)
def test_shapes_for_which_a_rule_does_not_hold_are_told(what: str) -> None:
    step, shapes = SHAPED[what]
    found = identify(step, ["SGD"])
    assert found.fits and not found.torchs and found.shapes == shapes
    assert str(found).endswith(f", but not with shapes of {', '.join(map(str, shapes))}")
    assert found.to_json()["shapes"] == [[*shape] for shape in shapes]
    report = oracles.check(step, "SGD", dtypes=[])
    assert any(fault.startswith(str(found)) for fault in report.faults())


def test_who_is_right_in_all_of_that_is_named() -> None:
    found = identify(written(), ["SGD"])
    assert found.torchs and not found.shapes


def test_an_exception_for_a_kind_is_held_to_all_shapes_of_it() -> None:
    """Decay of vectors is divided, and that of single numbers by another number."""

    def step(params: Any, grads: Any, state: Any, lr: float, wd: float, m: int) -> Any:
        by = [m if w.ndim == 1 else 5 if w.ndim == 0 else 1 for w in params]
        return [w - lr * (g + wd / n * w) for w, g, n in zip(params, grads, by, strict=True)]

    found = identify(step, ["SGD"])
    assert found.exceptions and found.shapes == ((),)
