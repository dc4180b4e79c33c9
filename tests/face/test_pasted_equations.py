"""identify names what a pasted text follows, among all rules, and never names what it does not."""

from __future__ import annotations

import json
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from oracles.harness.subjects.equations import read
from oracles.identification import identify
from oracles.reports.identification import render
from oracles.scheduling import own_rate
from tests import support
from tests.support.marks import slow

IDENTIFIED = Draft202012Validator(
    json.loads((files("oracles") / "reports/identification.schema.json").read_text("utf-8"))
)

# Not those whose switches are always on, nor those in which dampening is left when momentum is not:
# torch has none then.
DOCUMENT = Path(support.__file__).with_name("pasted.toml")
PASTED = tomllib.loads(DOCUMENT.read_text("utf-8"))["pasted"]
PLAIN = [r for r in PASTED if not ("flags" in r or "dampening" in r["text"] or "τ" in r["text"])]
SAMPLE = PLAIN[::3]


@pytest.mark.one_in(12)
@pytest.mark.parametrize("row", SAMPLE, ids=lambda row: f"{row['rule']}-{row['convention']}")
def test_a_text_is_identified_among_all_rules(row: dict[str, str]) -> None:
    found = identify(read(row["text"]))
    assert f"{row['rule']}'s {row['convention']}" in map(str, found.fits)


OTHERS = {
    "Lion": "c = β1 m + (1-β1) g; w = w*(1 - lr*wd) - lr*sign(c); m = β2 m + (1-β2) g",
    "sign descent": "w -= lr*sign(g + wd*w)",
    "AdaBelief": "m = β1 m + (1-β1) g; s = β2 s + (1-β2)(g - m)² + ε; w -= lr*m/(√s + ε)",
    "a sum of roots": "s += |g|; w -= lr*g/(√s + ε)",
    "momentum squared": "v = μ² v + g; w -= lr*v",
}


@pytest.mark.slow
@pytest.mark.parametrize("text", OTHERS.values(), ids=OTHERS)
def test_what_is_no_known_rule_is_not_named(text: str) -> None:
    assert not identify(read(text)).fits


@pytest.mark.slow
def test_an_ascent_is_a_switch_that_is_always_on() -> None:
    found = identify(equation="w += κ*(g - wd*w)", names={"lr": "κ"})
    assert str(found.fits[0]) == "SGD's coupled_unscaled, maximize = True whatever is given"


SEVERAL = {
    "letters in a font, in hats": (
        r"\boldsymbol{m}_t \leftarrow \beta_1 \boldsymbol{m}_{t-1} + (1-\beta_1)\boldsymbol{g}_t"
        "\n"
        r"\boldsymbol{v}_t \leftarrow \beta_2 \boldsymbol{v}_{t-1} + (1-\beta_2)\boldsymbol{g}_t^2"
        "\n"
        r"\hat{\boldsymbol{m}}_t \leftarrow \frac{\boldsymbol{m}_t}{1-\beta_1^t}"
        "\n"
        r"\hat{\mathbf{v}}_t \leftarrow \frac{\boldsymbol{v}_t}{1-\beta_2^t}"
        "\n"
        r"\boldsymbol{\theta}_t \leftarrow \boldsymbol{\theta}_{t-1} - \alpha \left("
        r"\frac{\hat{\boldsymbol{m}}_t}{\sqrt{\hat{\boldsymbol{v}}_t}+\epsilon}"
        r" + \lambda\boldsymbol{\theta}_{t-1}\right)",
        "AdamW's decoupled_lr",
    ),
    "v̂ of the first version of Dozat's paper": (
        "m = β1 m + (1-β1) g; v = β2 v + (1-β2) g²; m̂ = β1 m/(1-β1^(t+1)) + (1-β1) g/(1-β1^t); "
        "v̂ = β2 v/(1-β2^t); w -= lr*m̂/(√(v̂) + ε)",
        "NAdam's constant_momentum with variance_shrunk",
    ),
    "the same v̂ below another root": (
        "t = t + 1; m = β1 m + (1-β1) g; v = β2 v + (1-β2) g²; "
        "m̂ = β1 m/(1-β1^(t+1)) + (1-β1) g/(1-β1^t); w -= lr*m̂/√(β2 v/(1-β2^t) + ε)",
        "NAdam's constant_momentum with variance_shrunk with eps_inside",
    ),
    "C": (
        "  float grad = g[i];  // of this row\n  /* both\n     moments */\n"
        "  m[i] = beta1 * m[i] + (1.0f - beta1) * grad;\n"
        "  v[i] = beta2 * v[i] + (1.f - beta2) * grad * grad;\n"
        "  const float denom = sqrtf(v[i] / (1.0f - powf(beta2, t))) + 1e-8f;\n"
        "  w[i] -= lr * (m[i] / (1.0f - powf(beta1, t)) / denom + weight_decay * w[i]);  // W\n",
        "AdamW's decoupled_lr",
    ),
    "optax, whose steps are a count": (
        "mu = (1-b1)*g + b1*mu; nu = (1-b2)*g**2 + b2*nu; "
        "p = p - learning_rate*(mu/(1 - b1**count))/(jnp.sqrt(nu/(1 - b2**count)) + eps)",
        "Adam's coupled_unscaled",
    ),
    "a heavy ball, which remembers where it was": (
        "w_{t+1} = w_t - α ∇f(w_t) + β (w_t - w_{t-1})",
        "SGD's lr_in_velocity",
    ),
    "means in brackets": (
        r"E[g^2]_t = \gamma E[g^2]_{t-1} + (1 - \gamma) g^2_t"
        "\n"
        r"\Delta \theta_t = - \frac{\sqrt{E[\Delta \theta^2]_{t-1} + \epsilon}}"
        r"{\sqrt{E[g^2]_t + \epsilon}} g_t"
        "\n"
        r"E[\Delta \theta^2]_t = \gamma E[\Delta \theta^2]_{t-1} + (1 - \gamma) \Delta \theta^2_t"
        "\n"
        r"\theta_{t+1} = \theta_t + \Delta \theta_t",
        "Adadelta's coupled_unscaled, lr = 1.0 whatever is given",
    ),
    "a product that begins at 1": (
        "a_0 = 1; b_0 = 1; a = a*beta1; b *= beta2; m = beta1*m + (1-beta1)*g; "
        "v = beta2*v + (1-beta2)*g*g; var -= lr*sqrt(1-b)/(1-a)*m/(sqrt(v)+epsilon)",
        "Adam's eps_hat",
    ),
    "a rate that falls by a power": (
        "eta = lr/(1 + lambd*lr*t)**alpha; w = (1 - lambd*eta)*w - eta*g",
        "ASGD's rate_of_this_step",
    ),
    "what is another rule, too": (
        "v = rho*v + (1-rho)*g**2; w -= lr*g/sqrt(v + eps)",
        "RMSprop's eps_inside",
    ),
    "a rate of its own": (
        "lr_t = 0.1*0.95**t; w -= lr_t*(g + wd*w)",
        "SGD's coupled_unscaled, with a learning rate of its own, lr_t = 0.1*0.95**t: "
        "it follows ExponentialLR's one_ahead with gamma=0.95 from 0.1",
    ),
    "a rate that is made in several lines": (
        "c = 1/(1 + decay*t)\nlr_t = lr*c\nv = momentum*v - lr_t*g\nw = w + v",
        "SGD's lr_in_velocity, with a learning rate of its own, c = 1/(1 + decay*t); lr_t = lr*c",
    ),
    "a rate that is the rule's own": (
        "η = lr/(1 + 0.01*(t-1)); s += g²; w -= η*g/(√s + ε)",
        "Adagrad's coupled_unscaled, lr_decay = 0.01 whatever is given",
    ),
    "a factor that is made before": (
        "b = 0.9; warm = min(1, t/10); m = b*m + g; w -= lr*warm*m",
        "SGD's coupled_unscaled, momentum = 0.9 whatever is given, with a learning rate of its "
        "own, b = 0.9; warm = min(1, t/10); lr*warm: it follows LinearLR's from_zero with "
        "start_factor=0.1, end_factor=1, total_iters=9",
    ),
    "a rate by a cosine": (
        "lr_t = 0.5*lr*(1 + cos(π*(t-1)/100)); w -= lr_t*g",
        "SGD's coupled_unscaled, with a learning rate of its own, lr_t = 0.5*lr*"
        "(1 + cos(π*(t-1)/100)): it follows CosineAnnealingLR's to_floor with T_max=100, eta_min=0",
    ),
    "a rate by whole numbers": (
        "lr_t = 0.1*0.5**((t-1)//10); w -= lr_t*g",
        "SGD's coupled_unscaled, with a learning rate of its own, lr_t = 0.1*0.5**((t-1)//10): "
        "it follows StepLR's staircase with step_size=10, gamma=0.5 from 0.1",
    ),
    "a rate without a name": (
        "m = β1 m + (1-β1) g; v = β2 v + (1-β2) g²; "
        "w -= lr*min(1, t/10)*m/(1-β1^t)/(√(v/(1-β2^t)) + ε)",
        "Adam's coupled_unscaled, with a learning rate of its own, lr*min(1, t/10): "
        "it follows LinearLR's from_zero with start_factor=0.1, end_factor=1, total_iters=9",
    ),
}


RATES = {
    "0.1*0.95**t": "ExponentialLR's one_ahead with gamma=0.95 from 0.1",
    "0.1*min(1, t/100)": "LinearLR's from_zero with start_factor=0.01, end_factor=1, "
    "total_iters=99 from 0.1",
    "0.1*0.95**(t-1)": "ExponentialLR's per_epoch with gamma=0.95 from 0.1",
    "lr*exp(-0.05*t)": "ExponentialLR's one_ahead with gamma=0.951229424501",
    "lr/(1 + 0.01*t)": "ExponentialLR's inverse_time with gamma=0.99, one epoch ahead",
    "0.1*0.5**int((t-1)/10)": "StepLR's staircase with step_size=10, gamma=0.5 from 0.1",
    "0.1*0.5**math.floor(epoch/10)": "StepLR's staircase with step_size=10, gamma=0.5 from 0.1",
    "0.2*min(1, (epoch+1)/5)": "LinearLR's from_zero with start_factor=0.2, end_factor=1, "
    "total_iters=4 from 0.2",
    "lr/sqrt(t)": "get_inverse_sqrt_schedule's flat_from_one with num_warmup_steps=1",
    "0.1/(1 + 0.01*t)": "ExponentialLR's inverse_time with gamma=0.99 from 0.1, one epoch ahead",
    "lr*min(1, t/1000)": "LinearLR's from_zero with start_factor=0.001, end_factor=1, "
    "total_iters=999",
    "lr*min(t/4000, (t/4000)**-0.5)": "NoamLR's from_one with model_size=1, warmup_steps=4000, "
    "factor=63.2455532034",
    "3e-4*min(1, t/500)*(0.5*(1 + cos(π*(t-500)/5000)) if t > 500 else 1)": "get_cosine_schedule_"
    "with_warmup's from_zero with num_warmup_steps=500, num_training_steps=5500, num_cycles=0.5 "
    "from 0.0003, one epoch ahead",
    "lr*max(0, 1 - (t-1)/5000)": "PolynomialLR's to_zero with total_iters=5000, power=1",
    "0.01*(1 - (t-1)/100)**0.9": "PolynomialLR's to_zero with total_iters=100, power=0.9 from 0.01",
    "lr*t/1000": None,
    "0.1*0.95**epoch": "ExponentialLR's per_epoch with gamma=0.95 from 0.1",
}
"""What a text's own rate follows, near and far."""


ENDLESS_RAMP = (
    "rises by 0.001 × the base rate a step from 0.001 × the base rate: "
    "so begin LinearLR, CyclicLR, OneCycleLR and every warm-up"
)


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    "text", slow(RATES, "lr*exp(-0.05*t)", "lr/(1 + 0.01*t)"), ids=lambda text: text[:24]
)
def test_a_rate_is_asked_as_far_as_it_takes(text: str) -> None:
    rated = read(f"η_t = {text}; w -= η_t*g").rated
    assert rated is not None
    told = str(own_rate(rated[1]).schedule)
    assert told.partition(" ")[2] == (f"follows {RATES[text]}" if RATES[text] else ENDLESS_RAMP)


def test_what_was_at_the_step_before_makes_no_rate_of_this_one() -> None:
    assert read("c_t = 0.9**t; lr_t = lr*c_{t-1}; w -= lr_t*g").rated is None


@pytest.mark.parametrize(
    ("text", "until"),
    [
        ("μ_t = 0.5 if t < 200 else 0.9; v = μ_t*v + g; w -= lr*v", 128),
        ("μ_t = 0.5 if t < 90 else 0.5; v = μ_t*v + g; w -= lr*v", 0),
    ],
    ids=["later", "seen"],
)
def test_a_text_is_known_up_to_the_last_step_that_was_asked(text: str, until: int) -> None:
    found = identify(equation=text, rules=["SGD"])
    later = f", up to step {until}" if until else ""
    said = "SGD's coupled_unscaled, momentum = 0.5 whatever is given"
    assert str(found) == f"the equation follows {said}{later}"
    assert found.until == until
    assert not list(IDENTIFIED.iter_errors(json.loads(json.dumps(found.to_json()))))


@pytest.mark.one_in(8)
@pytest.mark.parametrize("what", SEVERAL)
def test_a_text_is_all_that_it_is(what: str) -> None:
    text, said = SEVERAL[what]
    alone = "own" in what + said  # others are looked through for long before it is
    found = identify(equation=text, rules=[said.partition("'s ")[0]] if alone else None)
    assert str(found) == f"the equation follows {said}"
    assert not list(IDENTIFIED.iter_errors(json.loads(json.dumps(found.to_json()))))


@pytest.mark.slow
def test_what_is_one_rule_by_algebra_is_not_left_open() -> None:
    """With a constant μ it is β₁ that the moment averages with, and a product of them is β₁ᵗ."""
    found = identify(equation=SEVERAL["v̂ of the first version of Dozat's paper"][0])
    left = {c.names - found.fits[0].names for u in found.untold for c in u.candidates}
    assert not left & {frozenset({"scheduled_moment"}), frozenset({"product_of_betas"})}
    assert all(u.needs for u in found.untold)


@pytest.mark.slow
def test_of_what_is_near_a_rule_it_is_told_where_they_part() -> None:
    text = (
        "t = t + 1; m = β1 m + (1-β1) g; v = β2 v + (1-β2) g²; "
        "m̂ = β1 m/(1-β1^(t+1)) + (1-β1) g/(1-β1^t); w -= lr*m̂/(√(β2 v/(1-β2^(t+1))) + ε)"
    )
    found = identify(equation=text, rules=["NAdam"])
    assert found.nearest is not None and not found.fits
    assert str(found.nearest.candidate) == "NAdam's constant_momentum with variance_shrunk"
    (example,) = found.examples
    assert (example.given, round(example.expected, 6), round(example.got, 6)) == (
        "w = 1, g = 1, lr = 0.1, beta1 = 0.5, beta2 = 0.5",
        0.811438,
        0.76906,
    )
    assert "constant_momentum: μₜ = β₁" in render(found)


ENDLESS = {
    "w -= lr*g/(g - g)": "gives inf from step 1 on: w = ",
    "v = g**2 - μ*v; w -= lr*g/sqrt(v)": "gives nan from step 2 on: w = ",
}


@pytest.mark.slow
@pytest.mark.parametrize("text", ENDLESS, ids=("inf", "nan"))
def test_what_makes_no_numbers_is_told_so(text: str) -> None:
    found = identify(read(text), ["Adadelta", "AdamW"])
    assert not found.fits and str(found).startswith(
        f"the equation cannot be asked: {ENDLESS[text]}"
    )


def test_a_text_is_no_path_and_a_path_no_text() -> None:
    with pytest.raises(ValueError, match=r"equation: line 1, column 6: invalid syntax"):
        identify(equation="w -= ")
    with pytest.raises(ValueError, match=r"an update rule as text is equation='\.\.\.'"):
        identify("w -= lr*g")
    for subject, equation in ((None, None), ("run.csv", "w -= lr*g")):
        with pytest.raises(ValueError, match="give one of subject and equation"):
            identify(subject, equation=equation)
