"""A name that is misspelled is answered with the one that was meant, in every door."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import oracles
from oracles.cli import main
from oracles.harness.subjects.equations import read
from oracles.naming import nearest


def step(params: Any, grads: Any, state: Any, lr: float) -> Any:
    return [w - lr * g for w, g in zip(params, grads, strict=True)]


def fit(X: Any, y: Any, lr: float, epochs: int) -> Any: ...


CALLS: dict[str, tuple[Callable[[], Any], str]] = {
    "a rule": (lambda: oracles.check(step, "adamm"), "Adam"),
    "a rule in other letters": (lambda: oracles.check(step, "sgd"), "SGD"),
    "a convention": (lambda: oracles.check(step, "SGD's batch-scaled"), "batch_scaled"),
    "a dtype": (lambda: oracles.check(step, dtypes=["float46"]), "float64"),
    "a kind of arrays": (lambda: oracles.check(step, arrays="Jax"), "jax"),
    "a promise": (
        lambda: oracles.check(step, not_promised=["determinstic"], dtypes=[]),
        "deterministic",
    ),
    "a rule to identify": (lambda: oracles.identify(step, ["Addam"]), "Adam"),
    "torch's name of an argument": (lambda: oracles.identify(step, names={"lrr": "lr"}), "lr"),
    "that of a loop": (lambda: oracles.identify(fit, names={"epoch": "n"}), "epochs"),
    "a value": (lambda: oracles.identify(fit, values={"momentun": 0.5}), "momentum"),
    "a preset": (lambda: oracles.translate({}, "keras.sdg", "SGD"), "keras.SGD"),
    "a rule with conventions": (lambda: oracles.translate({}, "SDG/batch_scaled", "SGD"), "SGD"),
    "an argument of a preset": (
        lambda: oracles.translate({"learning_rat": 1}, "keras.SGD", "SGD"),
        "learning_rate",
    ),
    "a rule to explain": (lambda: oracles.explain("Addam"), "Adam"),
    "a convention to explain": (lambda: oracles.explain("Adam", "epshat"), "eps_hat"),
    "a check": (
        lambda: oracles.parametrize_with_checks([step], expected_failures={"ordr": ""}),
        "order",
    ),
    "a role": (lambda: read("w -= a*g", {"lrr": "a"}), "lr"),
}


@pytest.mark.parametrize("call", CALLS)
def test_in_python(call: str) -> None:
    ask, meant = CALLS[call]
    with pytest.raises(ValueError, match=rf"\(did you mean {meant!r}\?\); allowed: "):
        ask()


COMMANDS = {
    "chekc": ("check", "argument COMMAND: 'chekc' is not known"),
    "check --rule Addam --jobs 1": ("Adam", "--rule='Addam' is not known"),
    "check --profile thorogh": ("thorough", "argument --profile: 'thorogh' is not known"),
    "check x:y --no-promised z": ("--not-promised", "--no-promised is no option of oracles check"),
    "identify x:y --rule Addam": ("Adam", "--rule='Addam' is not known"),
    "identify x:y --quation=z": ("--equation", "--quation is no option of oracles identify"),
    "explain Addam": ("Adam", "oracles: 'Addam' is not known"),
    "translate --from keras.SDG --to SGD": ("keras.SGD", "'keras.SDG' is nobody's name"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_on_the_command_line(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    meant, told = COMMANDS[command]
    status: Any
    try:
        status = main(command.split())
    except SystemExit as off:
        status = off.code
    assert status == 2
    assert f"{told} (did you mean {meant!r}?); allowed: " in capsys.readouterr().err


def test_an_option_of_all_checks() -> None:
    with pytest.raises(TypeError, match=r"'wihtin' is no option .*did you mean 'within'"):
        oracles.parametrize_with_checks([step], wihtin=1)


def test_what_is_like_nothing_is_not_guessed() -> None:
    assert nearest("Lion", oracles.RULES) == ""
