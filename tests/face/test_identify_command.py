"""What oracles identify prints, as text and as JSON, and its exit status."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest

from oracles.cli import main
from oracles.reports.identification import ELSEWHERE

SCHEMA = json.loads((files("oracles") / "reports/identification.schema.json").read_text("utf-8"))

CODE = """
def scratch(params, grads, state, lr, wd, m):
    return [w - lr * (g + wd / m * w) for w, g in zip(params, grads)]

def torchs(params, grads, state, lr, wd):
    return [w - lr * (g + wd * w) for w, g in zip(params, grads)]

def none_known(params, grads, state, lr):
    return [w - lr * (g + 0.1 * abs(g)) for w, g in zip(params, grads)]

def loud(params, grads, state, lr, wd):
    print("at step")
    return torchs(params, grads, state, lr, wd)

halved = lambda params, grads, state, lr: [w - lr / 2 * g for w, g in zip(params, grads)]

def raises(params, grads, state, lr):
    raise RuntimeError("not today")

def fit(X, y, speed, epochs):
    w = 0 * X[0]
    for _ in range(epochs):
        w = w - speed * X.T @ (X @ w - y) / len(y)
    return w

def needs(X, y, lr, passes, kind):
    return fit(X, y, lr, passes) if kind == "plain" else None
"""


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of somebody's, in the current folder."""
    (tmp_path / "somebodys.py").write_text(CODE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(__import__("sys").modules, "somebodys", raising=False)
    return "somebodys"


def identified(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    status = main(["identify", "--rule", "SGD", *arguments])
    return status, capsys.readouterr().out


def test_what_has_no_name_is_called_as_it_was_asked(
    code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _, text = identified(capsys, f"{code}:halved")
    assert text.startswith("halved follows SGD's coupled_unscaled, lr × 0.5")


def test_a_step_with_numbers_to_check(
    code: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    status, text = identified(capsys, f"{code}:scratch")
    assert status == 0
    assert text.startswith("scratch follows SGD's batch_scaled.\n")
    assert "torch has coupled_unscaled: d = g + λw" in text
    told = " ".join(text.split())
    given = "w = 1, g = 1, lr = 0.1, weight_decay = 1.0, batch_size = 2"
    assert f"{given} coupled_unscaled (torch), " in told
    assert "nesterov_ignored 0.8 0.85" in told
    assert ELSEWHERE not in text


def test_torch_s_own_rule_says_where_else_to_look(
    code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, text = identified(capsys, f"{code}:torchs")
    assert status == 0
    assert text.startswith("torchs follows SGD's coupled_unscaled.\n\nThis is torch's own rule")
    assert "batch_scaled" in text.partition("Not told apart")[2]


@pytest.mark.parametrize(
    ("name", "summary"),
    [
        ("none_known", "none_known follows no known rule (267 variants were ruled out"),
        ("raises", "raises cannot be asked: RuntimeError: not today"),
    ],
    ids=["none_known", "raises"],
)
def test_nothing_is_named(
    code: str, capsys: pytest.CaptureFixture[str], name: str, summary: str
) -> None:
    status, text = identified(capsys, f"{code}:{name}")
    assert status == 1
    assert text.startswith(summary)
    paste = "--equation='lr_t = 0.1*0.95**t; w -= lr_t*g'"
    assert (paste in " ".join(text.split())) == ("no known rule" in summary)


def test_what_code_prints_is_not_in_what_is_said_of_it(
    code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["identify", "--rule", "SGD", "--json", f"{code}:loud"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["subject"] == "loud"
    assert re.fullmatch(r"printed [\d,]+ lines, which are not shown\n", said.err)


@pytest.mark.parametrize("name", ["scratch", "none_known", "raises"])
def test_json_is_what_its_schema_says(
    code: str, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    _, text = identified(capsys, f"{code}:{name}", "--json")
    told = json.loads(text)
    jsonschema.validate(told, SCHEMA)
    assert told["subject"] == name


def test_a_record_and_an_equation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "hand.jsonl"
    rows = '{"w": 1, "g": -32, "speed": 0.1, "weight_decay": 1, "m": 2}\n{"w": 4.15}\n'
    path.write_text(rows, encoding="utf-8")
    status, text = identified(capsys, str(path), "--name", "lr=speed")
    assert status == 0 and text.startswith("hand follows SGD's batch_scaled.\n")
    assert "(step 1, w)" in text
    status, text = identified(capsys, "--equation", "v = mu*v + g + wd*w; w -= lr*v")
    assert status == 0 and "follows SGD's coupled_unscaled.\n" in text


OFF = {
    "nothing": ([], "give one of MODULE:NAME, FILE and --equation"),
    "two things": (["a:b", "--equation", "w -= lr*g"], "give one of"),
    "no such thing": (["json:gone"], "json:gone cannot be imported: raises AttributeError: "),
    "no such file": (["gone.csv"], "gone.csv cannot be read"),
    "no kind of thing": (
        ["gone.txt"],
        "is not MODULE:NAME, as gone:txt; or a file that ends in",
    ),
    "rates without commas": (["0.1 0.09"], "is no list of numbers; allowed: rates, as '[0.1, "),
    "rates that are none": (["[0.1, nan]"], "subject='[0.1, nan]' is no list of numbers"),
    "a folder": (["."], ". is no file that is read; allowed: .npz, .csv, .jsonl; a JSON list is"),
    "nothing to ask": (["sys:path"], "cannot be asked"),
    "a name that a step has not": (
        ["somebodys:torchs", "--name", "lr=w"],
        "--name lr=w: torchs",
    ),
    "a name that a loop has not": (["somebodys:fit", "--name", "lr=w"], "--name lr=w: fit has no"),
    "a value of nothing": (["somebodys:fit", "--value", "lrr=1"], "--value: 'lrr' is not known"),
    "a value that is none": (["somebodys:fit", "--value", "lr=x"], "--value lr=x is no number"),
    "a fixed argument": (["somebodys:torchs", "--fixed", "w=1"], "--fixed w=1: torchs has no 'w'"),
    "a role": (["--equation", "w -= a*g", "--name", "lrr=a"], "--equation: --name: 'lrr' is no"),
    "a name without role": (["--equation", "w -= a*g + b*w"], "such as --name lr=a"),
    "no gradient": (["--equation", "w -= a*q"], "another is told by --name gradient=OWN"),
    "no equation": (["--equation", "w -= "], "--equation: "),
}


@pytest.mark.parametrize("command", [["identify"], ["check"], ["check", "--as-torch"], ["soak"]])
def test_a_module_that_raises_is_a_sentence(
    command: list[str], code: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / f"{code}.py").write_text("raise RuntimeError('not today')", encoding="utf-8")
    assert main([*command, f"{code}:scratch"]) == 2
    assert "cannot be imported: raises RuntimeError: not today" in capsys.readouterr().err


@pytest.mark.parametrize("what", OFF)
def test_a_call_that_is_off(what: str, code: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, message = OFF[what]
    assert main(["identify", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_what_a_loop_is_told(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Its names, its arguments and the numbers that are written in it, by options."""
    status, text = identified(capsys, f"{code}:fit")
    assert status == 1 and "--name lr=OWN" in text and "names=" not in text
    assert identified(capsys, f"{code}:fit", "--name", "lr=speed")[0] == 0
    status, text = identified(capsys, f"{code}:needs", "--name", "epochs=passes")
    assert status == 1 and "a value for it by --fixed NAME=VALUE" in " ".join(text.split())
    told = ["--name", "epochs=passes", "--fixed", "kind=plain"]
    assert identified(capsys, f"{code}:needs", *told)[0] == 0
    fixed = ["--fixed", "speed=0.25", "--value", "lr=0.25"]
    status, text = identified(capsys, f"{code}:fit", *fixed)
    assert status == 0 and "lr is 0.25 in it" in text
    with pytest.raises(SystemExit, match="2"):
        main(["identify", f"{code}:fit", "--name", "lr"])
    assert "argument --name: lr is not NAME=VALUE" in capsys.readouterr().err


def test_soak_speaks_of_itself(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["soak", "--help"])
    text = capsys.readouterr().out
    assert "--as-torch" not in text and "convention" not in text
