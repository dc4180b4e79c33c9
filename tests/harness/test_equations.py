"""Pasted update rules: what they mean, what is refused and how, and that nothing else happens."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracles import RULES
from oracles.harness.arithmetic.enclosure import holds
from oracles.harness.candidates import candidates
from oracles.harness.cases.case import Case, Group, Parameter
from oracles.harness.oracle import Margin, Oracle
from oracles.harness.subjects.equations import Equation, EquationError, read
from oracles.harness.subjects.equations.functions import FUNCTIONS
from oracles.harness.subjects.equations.indices import indexed
from oracles.harness.subjects.equations.roles import HYPER
from oracles.harness.subjects.equations.spelling import spelled
from oracles.harness.subjects.subject import SubjectError
from tests import support


@dataclass(frozen=True)
class Pasted:
    """A text as people write it, and what it follows."""

    rule: str
    convention: str
    text: str
    flags: Mapping[str, Any] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.rule}-{self.convention}"


DOCUMENT = Path(support.__file__).with_name("pasted.toml")
PASTED = [Pasted(**row) for row in tomllib.loads(DOCUMENT.read_text("utf-8"))["pasted"]]


def case(equation: Equation, pasted: Pasted) -> Case:
    """One that uses all that the text takes, with a learning rate that changes."""
    rule, rng = RULES[pasted.rule], np.random.default_rng(1)
    spans = rule.drawing.full
    drawn = {n: rng.uniform(*s) for n, s in spans.hyper.items() if n in equation.takes(rule)}
    drawn |= {"batch_size": 7}
    h = rule.hyper()._replace(**drawn, **pasted.flags)
    assert rule.constraint(h) is None
    schedule = tuple(h._replace(lr=h.lr * factor) for factor in (1, 0.5, 0.75, 1))
    signs = rng.choice([-1.0, 1.0], (5, 3))
    w, *gradients = signs * [rng.uniform(*span, 3) for span in (spans.w, *[spans.g] * 4)]
    return Case((Group((Parameter(w, tuple(gradients)),), schedule),), ("float64",))


def followed(equation: Equation, pasted: Pasted) -> set[str]:
    """The conventions that hold what the text computes: all of the rule's, or is it torch's?"""
    rule, asked = RULES[pasted.rule], case(equation, pasted)
    answer = equation.run(rule, asked)
    oracle = Oracle(rule, asked, margin=Margin(16))
    torchs = pasted.convention == rule.torch.name
    found = set()
    for candidate in candidates(rule, 0 if torchs else 1):
        balls = oracle(candidate.convention).parameters
        if holds(balls.mid[0], balls.rad[0], answer).all():
            found.add(candidate.convention.name)
    return found


@pytest.mark.one_in(4)
@pytest.mark.parametrize("pasted", PASTED, ids=str)
def test_a_text_follows_what_it_spells(pasted: Pasted) -> None:
    """torch's own convention (which others may equal where a part is lacking), or another alone."""
    assert followed(read(pasted.text, pasted.names), pasted) == {pasted.convention}


def roles(text: str, names: Mapping[str, str] | None = None) -> Mapping[str, str]:
    return read(text, names).program.roles


ROLES = {
    "w -= α*g": {"alpha": "lr"},
    "v = α v + g; w -= η v": {"alpha": "momentum", "eta": "lr"},
    "v = α v + (1-α) g²; w -= γ g/√v": {"alpha": "rho", "gamma": "lr"},
    "v += (1-α)*(g² - v); w -= γ g/√v": {"alpha": "rho", "gamma": "lr"},
    "v.mul_(α).addcmul_(g, g, value=1-α); w -= γ g/√v": {"alpha": "rho", "gamma": "lr"},
    "v = β v + g; w -= α v": {"beta": "momentum", "alpha": "lr"},
    "v = ρ v + g; w -= ε v": {"rho": "momentum", "epsilon": "lr"},
    "v = ρ v + g²; w -= lr*g/(√v + ε)": {"rho": "rho", "epsilon": "eps", "lr": "lr"},
    "G += g²; w -= lr/(1 + decay*t) g/(√G + ε)".replace(" g/", "*g/"): {"decay": "lr_decay"},
    "w = w - lr*(g + decay*w)": {"decay": "weight_decay"},
    "m = g + λ/n*w; w -= lr*m": {"lambda_": "weight_decay", "n": "batch_size"},
    "w -= lr*(g + λ/m*w)": {"lambda_": "weight_decay", "m": "batch_size"},
    "g = p.grad; p -= self.lr*g": {"p__grad": "gradient", "lr": "lr"},
    "v .= μ .* v .+ g; w .-= η .* v": {"mu": "momentum", "eta": "lr"},
    "v.mul_(β2).addcmul_(g, g.conj(), value=1 - β2); w -= lr*g/√v": {"beta2": "beta2"},
    "w = μ w + p.grad; p -= lr*w": {"p": "parameter", "p__grad": "gradient", "mu": "momentum"},
    "m = β_{1,t} m + (1-β_{1,t}) g; v = β_{2,t} v + (1-β_{2,t}) g²; w -= lr m/√(v)": {
        "beta1": "beta1",
        "beta2": "beta2",
    },
    "if t == 0:\n v = g\nelse:\n v = mu*v + g\nw -= lr*v": {"t": "t-1"},
    "d = g + λ*w\nif t == 0:\n v = d\nelse:\n v = mu*v + d\nw -= lr*v": {"t": "t-1"},
    "lr_t = 0.1*0.95**epoch; w -= lr_t*g": {"epoch": "t-1"},
    "lr_t = 0.1*0.95**num_updates; w -= lr_t*g": {"num_updates": "t-1"},
    "m_{t+1} = β1 m_t + g_t; w_{t+1} = w_t - η m_{t+1}/(1-β1^{t+1})": {"t": "t-1", "eta": "lr"},
}


@pytest.mark.parametrize("text", ROLES, ids=range(len(ROLES)))
def test_roles_follow_from_the_text(text: str) -> None:
    assert ROLES[text].items() <= roles(text).items()


def test_what_is_said_beats_what_is_guessed() -> None:
    names = {"parameter": "q", "gradient": "e", "momentum": "κ"}
    assert roles("u = κ u + e; q -= α u", names) == {
        "q": "parameter",
        "e": "gradient",
        "kappa": "momentum",
        "alpha": "lr",
    }


REFUSED = {
    "w -= lr*foo(g)": ("'foo' is no function", 1, 9),
    "w -= lr*g\nw -= lr * h": ("h is not understood: write its value in its place", 2, 11),
    "lr_t = lr*(1 + cos(π*t/T)); w -= lr_t*g": ("T is not understood: write its value", 1, 24),
    "lr_t = 0.1*gamma**t; w -= lr_t*g": ("gamma is not understood: write its value", 1, 12),
    "lr_t = 0.1*0.95**n_calls; w -= lr_t*g": ("such as names={'t': 'n_calls'}", 1, 18),
    "w -= lr*g.__class__": ("'_' means nothing", 1, 11),
    "w -= lr*g.real": ("allowed: data, grad", 1, 9),
    "__import__('os').system('true')": ("'_' means nothing", 1, 1),
    "import os": ("Import is no part", 1, 1),
    "w = [x for x in g]": ("GeneratorExp", 1, 5),
    "w -= (lambda: g)()": ("invalid syntax", 1, 13),
    "for p in params:\n    p -= lr*g": ("For is no part", 1, 1),
    "w -= lr*exec('w')": ("means nothing", 1, 14),
    "w = w - lr*g/n w": ("(a/b)·c", 1, 9),
    "w = w - √g w": ("how far does the root reach", 1, 9),
    "w = w - √g²": ("how far does the root reach", 1, 9),
    "w = w - lr*(g": ("never closed", 1, 12),
    "w = w - lr*g)": ("unmatched ')'", 1, 13),
    "w - lr*g": ("a statement assigns something", 1, 1),
    "w + g = lr": ("cannot assign", 1, 1),
    "a, b = w": ("a name is needed for each value", 1, 1),
    "lr = lr*β1; w -= lr*g": ("lr changes", 1, 6),
    "lr_t = lr_{t-1}*β1; w -= lr_t*g": ("lr changes", 1, 8),
    "lr = lr + ρ*g; w -= lr*g": ("lr changes", 1, 6),
    "w -= lr*wd*w; w -= lr*grad(w)": ("and w is assigned above it", 1, 23),
    "w -= lr*wd*w; w -= lr*∇f(w)": ("and w is assigned above it", 1, 23),
    "w -= lr*grad(w + v)": ("elsewhere than at the parameter", 1, 9),
    "w -= lr if g is w else g": ("whether a name is None", 1, 12),
    "w -= g/t; t += 1": ("counted after it was read", 1, 8),
    "w = w @ g": ("'@' means nothing", 1, 7),
    "w = w - β(g)": ("'beta' is no function", 1, 9),
    "w = w - 1e999*g": ("of at most 1e+100", 1, 9),
    "w = w - add(g)": ("missing a required argument", 1, 9),
    "w = w - ∇f(w + v)": ("elsewhere than at the parameter", 1, 9),
    "y = w + v; v = μ v - η ∇f(y); w = w + v": ("elsewhere than at the parameter", 1, 24),
    "if wd:\nw -= g": ("expected an indented block", 2, 1),
    "v_t = β v_{t-2} + g; w -= lr*v_t": ("is of two steps", 1, 9),
    "v_t = β1 v_{t-1} + g; v_{t+1} = g; w -= lr*v_t": ("is of two steps", 1, 1),
    "w_{t+1} = w_t - lr v_{t+1}; v_{t+1} = mu v_t + g_t": (
        "v_{t+1} is read above the line that gives it",
        *(1, 20),
    ),
    "w' = w - lr*v'; v' = mu*v + g": ("v' is read above", 1, 13),
    "w -= lr*v_t; v = mu*v + g": ("v_t is read above", 1, 9),
    "w -= lr*η_t*g; η_t = 1/t": ("η_t is read above", 1, 9),
    "w -= lr*g[0]": ("an index is a step's", 1, 10),
    "w -= lr*self.g[-1]": ("an index is a step's", 1, 15),
    "x[k+1] = x[k] - lr*g[k]": ("an index is a step's", 1, 2),
    "w -= lr[g]": ("an index is a step's", 1, 8),
    "v_t = μ*v_t-1 + g_t; w = w - lr*v_t": ("Write v_{t-1}, or v_t - 1 with spaces", 1, 12),
    "vₜ₊₁ = μ*vₜ + g; wₜ+1 = wₜ - lr*vₜ₊₁": ("Write v_{t-1}, or v_t - 1 with", 1, 20),
    r"w -= lr*\sqrt[3]{g}": ("a root of another order", 1, 9),
    "w -= lr*g/||g||": ("a norm is of all elements", 1, 12),
    "v = momentum*v + g // momentum\nw -= lr*v": ("a comment, or a division", 1, 20),
    "v = momentum*v + g % momentum": ("a comment, or a division", 1, 20),
    "w = w -- lr*g": ("twice less, or a dash", 1, 7),
    "x^{k+1} = x^k - t^{(k)} g": ("t is the number of a step, and has none", 1, 17),
    "v = (t == 1) ? g : mu*v + g; w -= lr*v": ("a choice is written 'a if c else b'", 1, 14),
    "w' = w^t - lr g": ("a power, or a step's number? Write w_t for", 1, 6),
    "w = w - lr g^t": ("a power, or a step's number? Write g_t", 1, 12),
    "v = μ v + g; w -= lr v^{t-1}": ("a power, or a step's number? Write v_t", 1, 22),
    "w -= lr*√2g": ("how far does the root reach", 1, 6),
    "w -= lr g √-2g": ("how far does the root reach", 1, 6),
    "w -= -√2 g": ("how far does the root reach", 1, 6),
    "w_t = w_{t-1} - lr_{t-1} g + lr_t": ("of the step before is not kept", 1, 17),
    "w -= lr*g + η*w": ("would both be lr", 1, 13),
    "w -= β*g": ("beta is not understood", 1, 6),
    "w -= lr*(g + warm)": ("warm is not understood: say what it is, such as names={'eps'", 1, 14),
    "lr_t = d**-0.5*t**-0.5; w -= lr_t*g": ("d is not understood: write its value", 1, 8),
    "r = t**-0.5*d^{-0.5}; w -= r*g": ("d is not understood: write its value", 1, 13),
    "w -= lr*ceiling(g)": ("max, min, clamp, clone, detach, copy, zeros_like, where; + - *", 1, 9),
    "m = β1 m + g; w -= lr*m/(1-β1**(t+1))": ("names={'t-1': 't'}", 1, 33),
    "m = β1 m + g\nu = m/(1+β1**(t+1)) + g/(1+β1**t)\nw -= lr*u": (
        "t stands beside t + 1, and may be 1 or 0 at the first: if it is 1, write t = t + 1 above",
        *(2, 15),
    ),
    "d = g/2; e = d; d += w; w -= lr*e": ("may be one array", 1, 33),
    "v = 0; v = μ v + g; w -= lr*v": ("write v_0 = …", 1, 1),
    "Π = μ Π; w -= lr*g/(1 - Π)": ("multiplied it stays there: write Pi_0 = 1", 1, 1),
    "P *= μ; w -= lr*g/(1 - P)": ("multiplied it stays there: write P_0 = 1", 1, 1),
    "if g > 0:\n    w -= g": ("cannot be computed", 1, 1),
    "m̂ = g; w = w - lr*m̂ $ @": ("'@' means nothing", 1, 25),
    "": ("none is found", 0, 0),
    "d = g + w": ("as parameter none is found", 0, 0),
    "w = w*2": ("as gradient none is found", 0, 0),
    "w -= g; x -= g": ("w and x may each be it", 0, 0),
}


@pytest.mark.parametrize("text", REFUSED, ids=range(len(REFUSED)))
def test_an_error_says_what_and_where(text: str) -> None:
    reason, line, column = REFUSED[text]
    with pytest.raises(EquationError) as caught:
        read(text)
    assert reason in caught.value.reason
    assert (caught.value.line, caught.value.column) == (line, column)


def test_places_stay_where_they_are_below_names() -> None:
    changed = [pasted.text for pasted in PASTED if indexed(pasted.text) != pasted.text]
    assert len(changed) >= 5
    assert all(len(indexed(text)) == len(text) for text in changed)


@pytest.mark.parametrize("text", ["a_1" * 40, "a" * 20_000, "x_{1}^" * 3000], ids=len)
def test_a_text_is_spelled_in_time(text: str) -> None:
    """A name that can be parted at each of its underscores was, in all ways."""
    with suppress(EquationError):
        spelled(text)


def test_the_caret_is_below_what_is_meant() -> None:
    """A hat takes no room of its own."""
    with pytest.raises(EquationError) as caught:
        read("v = g\nm̂ = foo(v)")
    _, shown, caret = str(caught.value).split("\n")
    assert shown == "    m̂ = foo(v)"
    assert caret == "        ^"


@pytest.mark.parametrize(
    ("names", "reason"),
    [({"speed": "g"}, "'speed' is no role"), ({"lr": "v"}, "'v' is not given to the text")],
)
def test_names_that_are_not_there(names: dict[str, str], reason: str) -> None:
    with pytest.raises(EquationError, match=reason):
        read("w -= g", names)


def test_a_rule_without_what_the_text_takes_is_not_asked() -> None:
    equation = read("m = β1 m + (1-β1) g; v = β2 v + (1-β2) g²; w -= lr*m/(√v + ε)")
    asked = case(equation, Pasted("Adam", "uncorrected", ""))
    with pytest.raises(SubjectError, match="SGD does not have all of"):
        equation.run(RULES["SGD"], asked)


DAMPENED = "if t == 1:\n  v = g\nelse:\n  v = mu*v + g/2\nw -= lr*v"

SAME = {
    "v' = μ v + g; w' = w − η (μ v + v')": "u = v; v = mu*v + g; w -= lr*(mu*u + v)",
    "v.mul_(mu).add_(g); w -= lr*v_old": "u = v; v = mu*v + g; w -= lr*u",
    "v_t = μ v_{t-1} + g; w -= lr*(v_t + v_{t-1})": "u = v; v = mu*v + g; w -= lr*(v + u)",
    "w -= lr*(g - g_{t-1})": "w -= lr*(g - h); h = g",
    "w -= lr g²_t": "w -= lr*g**2",
    "w -= lr (g_t - g^{2}_{t-1})": "w -= lr*(g - h**2); h = g",
    "w -= lr ∇ f (w)": "w -= lr*g",
    "w' = w*(1 - lr*wd); w' = w' - lr*grad(w)": "w -= lr*wd*w; w -= lr*w.grad",
    "d = grad(w); w -= lr*wd*w; w -= lr*d": "w -= lr*wd*w; w -= lr*g",
    "θ -= lr*grad(loss, θ)": "θ -= lr*g",
    "momentum = mu*momentum + g; w -= lr*momentum": "v = mu*v + g; w -= lr*v",
    "d_t = mu*d_{t-1} + g; w -= lr*d_t": "v = mu*v + g; w -= lr*v",
    "w_{i} -= lr g_{i}": "w -= lr*g",
    "w -= lr sqrt (|g|)": "w -= lr*abs(g)**0.5",
    r"w -= \frac{lr}{2} \sqrt{|g|}": "w -= lr/2*sqrt(abs(g))",
    "w -= lr μ²ᵗ g": "w -= lr*μ**(2*t)*g",
    "w -= lr * 2^{-1} g": "w -= lr*0.5*g",
    "a = b = g; a.mul_(2); w -= lr*b": "w -= lr*(g*2)",
    "w.copy_(w - lr*w.grad)": "w -= lr*g",
    "s_0 = lr; s = 2 s; w -= s g": "if t == 1:\n    s = lr\ns = 2*s\nw -= s*g",
    "w -= lr*(g if g > 0 else 2*g)": "w -= lr*where(g > 0, g, 2*g)",
    "w -= lr*(√2)g + (lr*√2)g": "w -= lr*sqrt(2)*g + lr*sqrt(2)*g",
    "f = g; w -= 2f": "w -= 2*g",
    "w -= 2.f*g + 1e-3f*w": "w -= 2*g + 0.001*w",
    "g *= 2; w -= lr*g": "w -= lr*(g*2)",
    r"w -= {\frac {lr}{2}} g \oslash (1 + g \circ g)": "w -= lr/2*g/(1 + g*g)",
    "w -= lr*g⊘(1 + |g||g|)": "w -= lr*g/(1 + abs(g)*abs(g))",
    r"w -= lr \nabla_w \mathcal{L}_{i}(w)": "w -= lr*g",
    r"w -= lr \frac{\partial \mathcal{L}}{\partial w}": "w -= lr*g",
    "w_{t+1, i} = w_{t, i} - lr g_{t, ii}": "w -= lr*g",
    "w -= lr*g;  % of this step": "w -= lr*g",
    "if t % 2 == 0:\n  w -= lr*g": "w -= lr*g*(1 - t % 2)",
    "w -= lr*g[t]": "w -= lr*g",
    "v[t] = mu*v[t-1] + g[t]; w[t+1] = w[t] - lr*v[t]": "v = mu*v + g; w -= lr*v",
    "w[n + 1] = w[n] - lr (g[n] - g[n − 1])": "w -= lr*(g - h); h = g",
    "v = group['betas'][0]*v + g; w -= lr*v": "v = mu*v + g; w -= lr*v",
    r"w = w - lr g \quad (2)": "w -= lr*g",
    r"w = w - lr g, \qquad(3.1a) \\": "w -= lr*g",
    "d = g    (2)\nw -= lr*d\t(3)": "w -= lr*g",
    r"d = g \tag{1} \\ w = w - lr d \label{eq:w} \nonumber": "w -= lr*g",
    "v_new = g if v is None else mu*v + g/2; w -= lr*v_new": DAMPENED,
    "if v is None:\n  v_t = g_t\nelse:\n  v_t = μ v_{t-1} + g_t/2\nw -= lr*v_t": DAMPENED,
    "b = bufs[i]\nif b is None:\n  b = g.clone()\n  bufs[i] = b\nelse:\n  "
    "b.mul_(mu).add_(g, alpha=0.5)\nw -= lr*b": DAMPENED,
    "d = 0 if v is None else v*1\nv.mul_(mu).add_(g)\nw -= d": "u = v; v = mu*v + g; w -= u",
    "s_0 = lr; s_t = 2 s_{t-1}; w -= s_t g_t + g_{t-1}": "s_0 = lr; s = 2 s; w -= s g + h; h = g",
    "if 'v' not in state:\n  v = g\nw -= lr*v": "if v is None:\n  v = g\nw -= lr*v",
}


@pytest.mark.parametrize("text", SAME, ids=range(len(SAME)))
def test_two_texts_compute_the_same(text: str) -> None:
    """To the bit; each is what the other is in plain signs."""
    asked = case(read("v = mu*v + g; w -= lr*v"), Pasted("SGD", "coupled_unscaled", ""))
    one, other = (read(x).run(RULES["SGD"], asked) for x in (text, SAME[text]))
    assert (one == other).all()


def test_functions_of_c_have_their_names_of_float_too() -> None:
    for name in (
        "sqrt",
        "rsqrt",
        "fabs",
        "cos",
        "exp",
        "floor",
        "ceil",
        "trunc",
        "pow",
        "fmax",
        "fmin",
    ):
        assert FUNCTIONS[f"{name}f"] is FUNCTIONS[name]


def test_float32_is_float32() -> None:
    """Numbers meet arrays as Python's numbers do, whatever function they are from."""
    asked = case(read("w -= lr*g"), Pasted("SGD", "coupled_unscaled", ""))
    (parameter,) = asked.groups[0].parameters
    g = np.asarray(parameter.gradients[0], np.float32)
    answer = read("w = w*0 + sqrt(2)*g*g*g*g*g").run(RULES["SGD"], asked, "float32")
    assert (answer[0] == float(np.sqrt(2.0)) * g * g * g * g * g).all()


@pytest.mark.parametrize(
    "text",
    [
        "(" * 100_000,
        "w = " + "(" * 150,
        "w = " + "-" * 1400 + "g",
        "w = " + "+".join("g" * 700),
        "w = " + "√" * 150 + "g",
        "w = " + "g if t else " * 200 + "g",
        "w = " + "g^(" * 60,
        "w = " + "|" * 150,
        "w = g" + ".sqrt()" * 200,
        "\n".join(" " * n + "if t:" for n in range(150)),
        "w -= g # " + "x" * 1_000_000,
        "if t:\n w -= g\n" + "elif t:\n w -= g\n" * 150,
        "w = " + "9" * 15_000,
        "w = g" + "^9" * 400,
        "\\hat{" * 3000,
        "w = g[" + " " * 19_000,
        "w = g //" + " " * 9_000 + "g" * 9_000 + ")",
        "'" * 19_000,
        "\\" * 19_999,
        "_" * 19_999,
        "\u0302" * 19_999,
    ],
    ids=range(21),
)
def test_hostile_texts_are_one_error(text: str) -> None:
    with pytest.raises(EquationError):
        read(text)


PIECES = """w g v m t β₁ ᵗ ² ̂ √ ( ) | + - * / ^ ** = += ; , . { } [ ] 1 0.5 1e9 : _ \\ \\frac{
\\hat < ' if else is None not in state sqrt( x.add_( alpha= lr eps _{t-1} _{t+1} ∇ ← _new .grad
v_0 self. betas[0] \\\\ \\text{ dL/dw"""
pieces = st.lists(st.sampled_from([*PIECES.split(), " ", "\n", "\n    "]), max_size=30)
PLACES = st.integers(0, 200)


@st.composite
def edited(draw: st.DrawFn) -> str:
    """A text as people write it, with a piece of it replaced."""
    text, start = draw(st.sampled_from(PASTED)).text, draw(PLACES)
    return text[:start] + draw(st.sampled_from(PIECES.split())) + text[start + draw(PLACES) // 40 :]


texts = st.one_of(st.text(max_size=60), pieces.map(" ".join), pieces.map("".join), edited())


@given(texts)
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing but an EquationError comes out, whatever goes in."""
    with suppress(EquationError):
        assert read(text).hyper <= {*HYPER, "rho"}
