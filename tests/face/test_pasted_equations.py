"""identify names what a pasted text follows, among all rules, and never names what it does not."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from oracles.harness.subjects.equations import read
from oracles.identification import identify
from tests import support

# Not those whose switches are always on, nor those in which dampening is left when momentum is not:
# torch has none then.
DOCUMENT = Path(support.__file__).with_name("pasted.toml")
PASTED = tomllib.loads(DOCUMENT.read_text("utf-8"))["pasted"]
PLAIN = [r for r in PASTED if not ("flags" in r or "dampening" in r["text"] or "τ" in r["text"])]
SAMPLE = PLAIN[::3]


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


@pytest.mark.parametrize("text", OTHERS.values(), ids=OTHERS)
def test_what_is_no_known_rule_is_not_named(text: str) -> None:
    assert not identify(read(text)).fits


def test_an_ascent_is_a_switch_that_is_always_on() -> None:
    found = identify(equation="w += κ*(g - wd*w)", names={"lr": "κ"})
    assert str(found.fits[0]) == "SGD's coupled_unscaled, maximize = True whatever is given"


ENDLESS = {
    "w -= lr*g/(g - g)": "gives inf from step 1 on: w = ",
    "v = g**2 - μ*v; w -= lr*g/sqrt(v)": "gives nan from step 2 on: w = ",
}


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
