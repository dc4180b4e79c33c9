"""A name that is misspelled is answered with the one that was meant, in every door."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch

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


def test_of_the_package() -> None:
    for name, meant in {"indentify": "identify", "Watch": "watch"}.items():
        with pytest.raises(
            AttributeError, match=rf"{name}' \(did you mean '{meant}'\?\); allowed: "
        ):
            getattr(oracles, name)


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


def uncalled(check: Any) -> None: ...


def watching(**options: Any) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    with oracles.watch(optimizer, **options):
        pass


KINDS: dict[str, Callable[[], Any]] = {
    "dtypes='float64' is no list; allowed: dtypes=['float64']": lambda: oracles.check(
        step, dtypes="float64"
    ),
    "not_promised=3 is no list; allowed: names in a list": lambda: oracles.check(
        step,
        not_promised=3,  # type: ignore[arg-type]
    ),
    "fixed=['lr'] is no dict; allowed: fixed={'NAME': ...}": lambda: oracles.check(
        step,
        fixed=["lr"],  # type: ignore[arg-type]
    ),
    "within='one' must be a finite number above 0": lambda: oracles.check(
        step,
        within="one",  # type: ignore[arg-type]
    ),
    "rule=\"<class 'torch.optim.adam.Adam'>\" is not known (did you mean 'Adam'?)": (
        lambda: oracles.check(step, torch.optim.Adam)  # type: ignore[arg-type]
    ),
    "rules='Adam' is no list; allowed: rules=['Adam']": lambda: oracles.identify(step, "Adam"),
    "names='lr' is no dict": lambda: oracles.identify(step, names="lr"),  # type: ignore[arg-type]
    "equation=3 is no text": lambda: oracles.identify(equation=3),  # type: ignore[arg-type]
    "values=['lr'] is no dict": lambda: oracles.translate(
        ["lr"],  # type: ignore[arg-type]
        "SGD",
        "SGD",
    ),
    "3 is nobody's name; allowed: text": lambda: oracles.translate(
        {},
        3,  # type: ignore[arg-type]
        "SGD",
    ),
    "not_promised='edges' is no list": lambda: oracles.check_schedule(
        torch.optim.lr_scheduler.StepLR, not_promised="edges"
    ),
    "steps='4' must be a finite number above 0": lambda: oracles.check_loop(
        print,
        steps="4",  # type: ignore[arg-type]
    ),
    "allow='no step' is no list; allowed: allow=['no step']": lambda: watching(allow="no step"),
    "accumulation='4' must be a whole number from 1 on": lambda: watching(accumulation="4"),
    "weight_decay='x' must be a finite number from 0 on": lambda: watching(weight_decay="x"),
    "scheduler='x' has no step()": lambda: watching(scheduler="x"),
    "scaler=3 has no step()": lambda: watching(scaler=[3]),
    "2.1 cannot be compared; allowed: the file": lambda: oracles.compare(
        2.10,  # type: ignore[arg-type]
        "2.13",
    ),
    "subjects=3 is no list": lambda: oracles.parametrize_with_checks(3),
    "expected_failures='rule' is no dict": lambda: oracles.parametrize_with_checks(
        step,
        expected_failures="rule",  # type: ignore[arg-type]
    ),
}


@pytest.mark.parametrize("told", KINDS, ids=lambda told: told.split(" ")[0])
def test_what_is_of_another_kind_is_told_with_what_was_given(told: str) -> None:
    with pytest.raises((TypeError, ValueError), match=re.escape(told)):
        KINDS[told]()


def test_one_subject_need_be_in_no_list() -> None:
    for one in (step, f"{__name__}:step"):
        (mark,) = vars(oracles.parametrize_with_checks(one, dtypes=[])(uncalled))["pytestmark"]
        assert {test.values[0].subject.checking.subject for test in mark.args[1]} == {one}


def test_an_option_of_all_checks() -> None:
    with pytest.raises(TypeError, match=r"'wihtin' is no option .*did you mean 'within'"):
        oracles.parametrize_with_checks([step], wihtin=1)


def test_what_is_like_nothing_is_not_guessed() -> None:
    assert nearest("Lion", oracles.RULES) == ""
