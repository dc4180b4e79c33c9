"""Exceptions and other values of arguments are found, solved for, and said in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import oracles
from oracles.harness.arguments import numeric
from oracles.harness.arithmetic.formats import round_to
from oracles.harness.candidates import Candidate
from oracles.harness.evidence.solving import Problem
from oracles.harness.evidence.witnesses import Asked
from oracles.harness.subjects.trace import Trace
from oracles.identification import Identification
from oracles.optimizers.registry import RULES
from oracles.rule import Rule
from tests.support.marks import slow
from tests.support.planted import Planted

Value = Callable[[Any, dict[str, Any]], Any]
"""What code takes for an argument: ``(w, h) -> value``."""


def given(name: str) -> Value:
    return lambda w, h: h[name]


LR, DECAY, MOMENTUM = given("lr"), given("weight_decay"), given("momentum")
EPS, BETA2, AMSGRAD = given("eps"), given("beta2"), given("amsgrad")


def sgd(decay: Value = DECAY, lr: Value = LR) -> Callable[..., Any]:
    return lambda w, g, kept, h: w - lr(w, h) * (g + decay(w, h) * w)


def heavy_ball(momentum: Value = MOMENTUM) -> Callable[..., Any]:
    def one(w: Any, g: Any, kept: dict[str, Any], h: dict[str, Any]) -> Any:
        d, mu = g + h["weight_decay"] * w, momentum(w, h)
        kept["b"] = mu * kept["b"] + d if "b" in kept else d
        return w - h["lr"] * (d + mu * kept["b"] if h["nesterov"] else kept["b"])

    return one


def rmsprop(alpha: float) -> Callable[..., Any]:
    def one(w: Any, g: Any, kept: dict[str, Any], h: dict[str, Any]) -> Any:
        v = kept["v"] = alpha * kept.get("v", 0) + (1 - alpha) * g * g
        return w - h["lr"] * g / (np.sqrt(v) + h["eps"])

    return one


def adagrad(outside: float, inside: float = 0.0, decay: Value = DECAY) -> Callable[..., Any]:
    def one(w: Any, g: Any, kept: dict[str, Any], h: dict[str, Any]) -> Any:
        d = g + decay(w, h) * w
        v = kept["v"] = kept.get("v", 0) + d * d
        return w - h["lr"] * d / (np.sqrt(v + inside) + outside)

    return one


def adam(
    decay: Value = DECAY,
    eps: Value = EPS,
    beta2: Value = BETA2,
    largest: Value = AMSGRAD,
) -> Callable[..., Any]:
    def one(w: Any, g: Any, kept: dict[str, Any], h: dict[str, Any]) -> Any:
        t = kept["t"] = kept.get("t", 0) + 1
        b1, b2, d = h["beta1"], beta2(w, h), g + decay(w, h) * w
        m = kept["m"] = b1 * kept.get("m", 0) + (1 - b1) * d
        v = kept["v"] = b2 * kept.get("v", 0) + (1 - b2) * d * d
        if largest(w, h):
            v = kept["largest"] = np.maximum(kept.get("largest", 0), v)
        return w - h["lr"] / (1 - b1**t) * m / (np.sqrt(v / (1 - b2**t)) + eps(w, h))

    return one


def early(w: Any, g: Any, kept: dict[str, Any], h: dict[str, Any]) -> Any:
    """Without momentum it returns before the decay."""
    return w - h["lr"] * g if h["momentum"] == 0 else heavy_ball()(w, g, kept, h)


def early_and_scaled(w: Any, g: Any, kept: dict[str, Any], h: dict[str, Any]) -> Any:
    return early(w, g, kept, {**h, "weight_decay": h["weight_decay"] / h["batch_size"]})


def found(one: Callable[..., Any], rule: str) -> Identification:
    def code(params: Any, grads: Any, state: Any, hyper: Any) -> Any:
        pairs = enumerate(zip(params, grads, strict=True))
        return [one(w, g, state.setdefault(i, {}), hyper) for i, (w, g) in pairs]

    return oracles.identify(code, [rule])


MATRICES: Value = lambda w, h: h["weight_decay"] * (w.ndim > 1)  # noqa: E731
MEAN_LR: Value = lambda w, h: h["lr"] / h["batch_size"]  # noqa: E731

PLANTED: dict[str, tuple[str, Callable[..., Any], str]] = {
    "a bias undecayed": (
        "Adam",
        adam(decay=MATRICES),
        "coupled_unscaled, but decay_ignored for parameters of at most one dimension",
    ),
    "a regime": ("SGD", early, "coupled_unscaled, but decay_ignored where momentum=0"),
    "a regime of a convention": (
        "SGD",
        early_and_scaled,
        "batch_scaled, but decay_ignored where momentum=0",
    ),
    "half a rate": ("SGD", sgd(lr=lambda w, h: h["lr"] / 2), "coupled_unscaled, lr × 0.5"),
    "a penalty without its half": (
        "Adam",
        adam(decay=lambda w, h: 2 * h["weight_decay"]),
        "coupled_unscaled, weight_decay × 2",
    ),
    "a decay whose sign is another one": (
        "SGD",
        sgd(decay=lambda w, h: -h["weight_decay"]),
        "coupled_unscaled, weight_decay × -1",
    ),
    "any factor": (
        "SGD",
        sgd(decay=lambda w, h: 2.5 * h["weight_decay"]),
        "coupled_unscaled, weight_decay × 2.5",
    ),
    "a default of another framework": (
        "Adam",
        adam(eps=lambda w, h: 1e-7),
        "coupled_unscaled, eps = 1e-07 whatever is given",
    ),
    "any constant": (
        "Adam",
        adam(eps=lambda w, h: 0.3),
        "coupled_unscaled, eps = 0.3 whatever is given",
    ),
    "a constant rate of decay": (
        "SGD",
        heavy_ball(lambda w, h: 0.873),
        "coupled_unscaled, momentum = 0.873 whatever is given",
    ),
    "a rate of nothing": (
        "RMSprop",
        rmsprop(0.0),
        "coupled_unscaled, alpha = 0.0 whatever is given",
    ),
    "two constants, one of which is small": (
        "Adagrad",
        adagrad(1e-8, decay=lambda w, h: 0.1),
        "coupled_unscaled, weight_decay = 0.1 and eps = 1e-08 whatever is given",
    ),
    "a number cut short": (
        "Adam",
        adam(beta2=lambda w, h: float(round_to("bfloat16", h["beta2"]))),
        "coupled_unscaled, beta2 in bfloat16",
    ),
    "a constant cut short": (
        "Adam",
        adam(beta2=lambda w, h: 0.99609375),
        "coupled_unscaled, beta2 = 0.99609375 whatever is given",
    ),
    "a switch that is on": (
        "Adam",
        adam(largest=lambda w, h: True),
        "coupled_unscaled, amsgrad = True whatever is given",
    ),
    "a gradient of a sum": (
        "SGD",
        sgd(lr=MEAN_LR),
        "coupled_unscaled, lr / batch_size",
    ),
    "decay times m, rate over m": (  # torch's rule, in units of the mean
        "SGD",
        sgd(
            lambda w, h: h["weight_decay"] * h["batch_size"], lambda w, h: h["lr"] / h["batch_size"]
        ),
        "coupled_unscaled, gradient / batch_size",
    ),
}


@pytest.mark.one_in(6)
@pytest.mark.parametrize("what", slow(PLANTED, "a constant cut short"))
def test_what_the_code_acts_with(what: str) -> None:
    rule, one, expected = PLANTED[what]
    told = found(one, rule)
    assert told.fits
    said = ", but ".join(map(str, (told.fits[0], *told.exceptions)))
    assert said == f"{rule}'s {expected}"


def test_a_number_of_any_size_is_solved_for() -> None:
    def code(params: Any, grads: Any, state: Any, lr: float) -> Any:
        return [w - lr * (g + 3.7 * w) for w, g in zip(params, grads, strict=True)]

    told = oracles.identify(code, ["SGD"])
    assert str(told) == "code follows SGD's coupled_unscaled, weight_decay = 3.7 whatever is given"


@pytest.mark.slow
def test_a_value_that_is_solved_for_beside_a_convention() -> None:
    """Without momentum it is as near as others: several of the nearest are tried."""

    def code(params: Any, grads: Any, state: Any, lr: float) -> Any:
        for i, g in enumerate(grads):
            state[i] = 0.873 * state.get(i, 0) + lr * g
        return [w - state[i] for i, w in enumerate(params)]

    told = oracles.identify(code, ["SGD"])
    assert str(told) == ("code follows SGD's lr_in_velocity, momentum = 0.873 whatever is given")


ADAM_OF_ONE_BETA = """
m = beta2*m + (1 - beta2)*g
v = beta2*v + (1 - beta2)*g**2
w -= lr*(m/(1 - beta2**t))/(sqrt(v/(1 - beta2**t)) + eps)
"""


@pytest.mark.parametrize(
    ("text", "rule", "said"),
    [
        ("v = where(t == 1, g, mu*v + (1-mu)*g); w -= lr*v", "SGD", "dampening = momentum"),
        (ADAM_OF_ONE_BETA, "Adam", "beta1 = beta2"),
    ],
    ids=["momentum", "betas"],
)
def test_one_number_may_stand_for_two(text: str, rule: str, said: str) -> None:
    found = oracles.identify(equation=text, rules=[rule])
    assert str(found) == f"the equation follows {rule}'s coupled_unscaled, {said}"
    assert not found.torchs


@pytest.mark.slow
def test_what_has_everything_is_no_exception() -> None:
    """A threshold between two settings in which all is on has no name."""

    def one(w: Any, g: Any, kept: dict[str, Any], h: dict[str, Any]) -> Any:
        undecayed = h["dampening"] > 0.25
        d = (-g if h["maximize"] else g) + (0 if undecayed else h["weight_decay"]) * w
        if not h["momentum"]:
            return w - h["lr"] * d
        kept["b"] = h["momentum"] * kept["b"] + (1 - h["dampening"]) * d if "b" in kept else d
        return w - h["lr"] * (d + h["momentum"] * kept["b"] if h["nesterov"] else kept["b"])

    assert not any("all" in told.where for told in found(one, "SGD").exceptions)


@pytest.mark.slow
def test_a_trace_that_leaves_a_parameter_undecayed_by_its_name() -> None:
    steps, rng = 5, np.random.Generator(np.random.PCG64(3))
    g = {name: rng.normal(size=(steps, 3)) for name in ("scale", "shift", "weight")}
    w = {name: [rng.normal(size=3)] for name in g}
    for name, t in ((name, t) for name in g for t in range(steps)):
        decay = 0.0 if name == "shift" else 0.1
        w[name].append(w[name][t] - 0.05 * (g[name][t] + decay * w[name][t]))
    hyper = {"lr": (0.05,) * steps, "weight_decay": (0.1,) * steps}
    trace = Trace("run", {name: np.stack(values) for name, values in w.items()}, g, hyper)
    told = oracles.identify(trace)
    assert str(told) == "run follows SGD's coupled_unscaled, but decay_ignored for shift"
    ruled_out = {str(c) for example in told.examples for c in example.rejected}
    assert str(told.fits[0]) not in ruled_out


def recorded(one: Callable[..., Any], **h: float) -> Trace:
    """A run in float64 with hyperparameters that stay what they are."""
    steps, kept, rng = 8, {}, np.random.Generator(np.random.PCG64(3))  # type: ignore[var-annotated]
    g, w = rng.normal(size=(steps, 6)), [rng.normal(size=6)]
    for t in range(steps):
        w.append(one(w[t], g[t], kept, {"weight_decay": 0, "nesterov": False, **h}))
    hyper = {name: (value,) * steps for name, value in h.items()}
    return Trace("run", {"w": np.stack(w)}, {"w": g}, hyper)


SMALL = {
    "outside": (adagrad(1e-8), "coupled_unscaled, eps = 1e-08 whatever is given"),
    "of no table": (adagrad(3e-8), "coupled_unscaled, eps = 3e-08 whatever is given"),
    "inside": (adagrad(0, 1e-7), "eps_inside, eps = 1e-07 whatever is given"),
}


@pytest.mark.slow
@pytest.mark.parametrize("where", SMALL)
def test_a_small_number_in_a_record_is_no_rounding_of_float32(where: str) -> None:
    one, expected = SMALL[where]
    told = oracles.identify(recorded(one, lr=0.1), ["Adagrad"])
    assert str(told) == f"run follows Adagrad's {expected}"
    assert told.scalars == "float64"


@pytest.mark.slow
def test_no_eps_is_seen_beside_a_start_in_float32() -> None:
    """As TensorFlow 1 has it: beside a sum of 0.1 and more its ε would be no rounding's match."""

    def code(
        params: Any, grads: Any, state: Any, lr: float, initial_accumulator_value: float
    ) -> Any:
        if not initial_accumulator_value:
            raise ValueError("initial_accumulator_value must be positive")
        start, rate = float(np.float32(initial_accumulator_value)), float(np.float32(lr))
        sums = state.setdefault("s", [np.full_like(w, start) for w in params])
        for s, g in zip(sums, grads, strict=True):
            s += g * g
        return [w - rate * g / np.sqrt(s) for w, g, s in zip(params, grads, sums, strict=True)]

    told = oracles.identify(code, ["Adagrad"])
    assert [fit.names for fit in told.fits] == [{"eps_ignored"}]


@pytest.mark.slow
def test_small_numbers_beside_others_are_no_rounding_of_float32() -> None:
    """A sum that starts at ε is one with ε inside of the root."""
    told = found(adagrad(0, 1e-7, decay=lambda w, h: 0.1), "Adagrad")
    numbers = "weight_decay = 0.1, initial_accumulator_value = 1e-07 and eps = 0.0"
    assert str(told.fits[0]) == f"Adagrad's coupled_unscaled, {numbers} whatever is given"
    assert told.scalars == "float64"


def test_numbers_cut_to_float32_in_a_record() -> None:
    def one(w: Any, g: Any, kept: dict[str, Any], h: dict[str, Any]) -> Any:
        return heavy_ball()(w, g, kept, {n: float(np.float32(value)) for n, value in h.items()})

    told = oracles.identify(recorded(one, lr=0.1, momentum=0.9), ["SGD"])
    assert str(told) == "run follows SGD's coupled_unscaled, lr and momentum in float32"


def bias_corrections_in_float32(w: Any, g: Any, kept: dict[str, Any], h: dict[str, Any]) -> Any:
    """As where the step's number is a tensor in float32, and nothing else is."""
    t = kept["t"] = kept.get("t", 0) + 1
    b1, b2 = h["beta1"], h["beta2"]
    c1, c2 = (float(1 - np.float32(b) ** np.float32(t)) for b in (b1, b2))
    m = kept["m"] = b1 * kept.get("m", 0) + (1 - b1) * g
    v = kept["v"] = b2 * kept.get("v", 0) + (1 - b2) * g * g
    return w - h["lr"] * m / c1 / (np.sqrt(v / c2) + h["eps"])


@pytest.mark.slow
def test_counters_alone_may_be_in_float32() -> None:
    h = {"lr": 0.1, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}

    def code(
        params: Any, grads: Any, state: Any, lr: float, beta1: float, beta2: float, eps: float
    ) -> Any:
        h = {"lr": lr, "beta1": beta1, "beta2": beta2, "eps": eps}
        pairs = enumerate(zip(params, grads, strict=True))
        return [
            bias_corrections_in_float32(w, g, state.setdefault(i, {}), h) for i, (w, g) in pairs
        ]

    for subject in (code, recorded(bias_corrections_in_float32, **h)):
        told = oracles.identify(subject, ["Adam"])
        assert str(told).endswith("follows Adam's coupled_unscaled")
        assert told.scalars == "float32"


@pytest.mark.slow
def test_the_nearest_is_no_answer() -> None:
    told = found(lambda w, g, kept, h: w - h["lr"] * (g + 0.1 * np.sin(g)), "SGD")
    assert not told.fits
    assert told.nearest is not None
    assert "follows no known rule" in str(told)
    assert "nearest is SGD's coupled_unscaled, which is off by up to 0.0" in str(told)


M, V = "m = b1*m + (1-b1)*g; ", "v = b2*v + (1-b2)*g**2; "
MOVE = "w -= lr*m/(1-b1**t)/(sqrt(v/(1-b2**t))+eps)"


@pytest.mark.one_in(3)
@pytest.mark.parametrize(
    ("text", "rules", "said"),
    [
        pytest.param(
            M + V + "w -= lr*m/(1-b1**(t+1))/(sqrt(v/(1-b2**t))+eps)",
            ["Adam"],
            "coupled_unscaled, which has all moves right at beta1=0, and elsewhere is off by up to",
            marks=pytest.mark.slow,
        ),
        (
            M + V + "w -= lr*lr*wd*w + lr*m/(1-b1**t)/((sqrt(v)+eps)/sqrt(1-b2**t))",
            ["Adam"],
            "eps_hat, which has all moves right at weight_decay=0, and elsewhere is off",
        ),
        (
            "v = mu*v + (1-dampening)*(g + wd*w); w -= lr*v",
            ["SGD"],
            "first_step_dampened, which holds else, but at momentum=0 is off by up to",
        ),
        (
            M + "v = b2*v + (1-b1)*g**2; " + MOVE,
            ["Adam"],
            "second_uncorrected, which is off by up to 0.",
        ),
    ],
    ids=["late count", "beside another line", "where on", "nowhere right"],
)
def test_the_nearest_leads_to_the_line_that_is_off(text: str, rules: list[str], said: str) -> None:
    """Who has whole cases right has all lines right but those of what is off there."""
    assert f"; nearest is {rules[0]}'s {said}" in str(oracles.identify(equation=text, rules=rules))


def test_what_moves_nothing_is_told_so() -> None:
    """As of Adadelta without ε above, which cannot start; numbers for that could be any."""
    starved = (
        "s = rho*s + (1-rho)*g**2; d = sqrt(u)/sqrt(s+eps)*g; u = rho*u + (1-rho)*d**2; w -= d"
    )
    for text in (starved, "w -= 0*lr*g"):
        told = oracles.identify(equation=text)
        assert str(told) == "the equation cannot be asked: moves no parameter"


@pytest.mark.slow
def test_what_is_never_right_and_far_off_is_not_the_nearest() -> None:
    def leaning(w: Any, g: Any, state: Any, h: Any) -> Any:
        state["m"] = h["momentum"] * state.get("m", 0 * w) + g
        return w - h["lr"] * (state["m"] + 0.8 * np.abs(g))

    told = found(leaning, "SGD")
    assert not told.fits and told.nearest is None and not told.examples
    assert str(told).endswith("variants were ruled out)")


@pytest.mark.one_in(3)
@pytest.mark.parametrize("rule", [r for r in RULES.values() if r.elementwise], ids=lambda r: r.name)
def test_values_are_asked_at_once(rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of them give what each gives by itself, and no text asks for each by itself."""
    observation = next(Asked(Planted(Candidate(rule))).observations(rule))
    for convention in rule.conventions:
        names = tuple(numeric(rule))
        candidate = Candidate(rule, (convention,))
        problem = Problem(candidate, names, dict.fromkeys(names, "is"), (observation,))
        rows = problem.starts()[:3]
        each = [problem.answer(row, observation) for row in rows]
        with monkeypatch.context() as patch:
            patch.setattr(Problem, "answer", None)
            together = problem.answers(rows, observation)
        np.testing.assert_allclose(together, each, rtol=1e-12)
