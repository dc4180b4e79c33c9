"""oracles check MODULE:NAME: what it prints, and how it ends."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
from referencing import Registry
from referencing.jsonschema import DRAFT202012

import oracles
from oracles import cli
from oracles.harness.promise import Line, Word
from oracles.report import Report
from oracles.reports.checked import render
from tests.support.breakers import BREAKERS, Clean
from tests.support.hostile import Unbuilt

CHECK, IDENTIFICATION = (
    json.loads(files("oracles.reports").joinpath(f"{name}.schema.json").read_text("utf-8"))
    for name in ("check", "identification")
)
WITHIN = DRAFT202012.create_resource(IDENTIFICATION)
SCHEMA = jsonschema.Draft202012Validator(
    CHECK, registry=Registry().with_resource("identification.schema.json", WITHIN)
)

CLEAN = "tests.support.breakers:Clean"
ASKED = ["check", "--rule", "SGD", "--dtype", "float64"]
"""A quick check."""


@pytest.mark.one_in(5)
@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ([CLEAN, "--within", "1"], 0, "Clean follows SGD's coupled_unscaled; float64 within 0."),
        ([CLEAN, "--within", "0.1"], 1, "FAILED    float64 is off by 0."),
        ([CLEAN, "--expect-checks", "37"], 0, "promises: 35 kept"),
        ([CLEAN, "--expect-checks", "99"], 1, "37 checks were asked; 99 expected"),
        ([CLEAN, "--fixed", "wd=1.5"], 1, "its author claims SGD's coupled_unscaled"),
        ([CLEAN, "--name", "weight_decay=wd", "-v"], 0, "state_dict in mid-run       kept"),
        (["tests.support.breakers:Cold"], 1, "breaks: state_dict in mid-run"),
        (["tests.support.breakers:Cold", "--not-promised", "state_dict in mid-run"], 0, "SGD's"),
        (["tests.meta.zoo:BatchScaledDecay"], 1, "its author claims SGD's coupled_unscaled"),
        (["tests.support.hostile:Unbuilt"], 1, "Unbuilt cannot be stepped: raises ValueError"),
        (["nowhere:X"], 2, "nowhere:X cannot be imported: raises ModuleNotFoundError"),
        (["tests.support.breakers:X"], 2, "raises AttributeError: module"),
        (["nowhere"], 2, "'nowhere' is not MODULE:NAME"),
        (["../my.py:fit"], 2, "'../my.py:fit' names a file; allowed: a module"),
        (["tests.meta.zoo:BatchScaledDecay", "--name", "speed=lr"], 2, "'speed' is not known"),
        (["tests.support.breakers:BREAKERS"], 2, "cannot be asked; allowed: a class of optimizers"),
        ([CLEAN, "--not-promised", "x"], 2, "--not-promised='x' is no promise of this code"),
        ([CLEAN, "--name", "lr=speed"], 2, "--name lr=speed: Clean has no 'speed'; allowed: lr"),
        ([""], 2, "'' is not MODULE:NAME"),
        (["tests.face.test_checking:Fast"], 1, "which argument it is, by --name lr=OWN"),
        ([CLEAN, "--rule", "SGD"], 2, "--rule is given once"),
        ([CLEAN, "--profile", "ci"], 0, "35 kept"),
        ([CLEAN, "--jobs", "9"], 2, "--jobs is for torch's classes, and with --as-torch"),
        (["--within", "1"], 2, "--within is for code of your own"),
    ],
    ids=lambda value: "-".join(value)[:40] if isinstance(value, list) else "",
)
def test_what_is_said_and_the_status(
    arguments: list[str], status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*ASKED, *arguments]) == status
    output = capsys.readouterr()
    assert said in output.out + output.err
    assert "Traceback" not in output.out + output.err


def curved(params: Any, grads: Any, state: Any, lr: Any) -> Any:
    return [w - lr * abs(g) ** 0.25 for w, g in zip(params, grads, strict=True)]


def test_what_follows_no_rule_is_a_fault_and_in_the_line_to_quote(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main([*ASKED, "tests.face.test_check_command:curved"]) == 1
    assert capsys.readouterr().out.count("curved follows no known rule (") == 2


def test_the_json_follows_its_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*ASKED, "--json", "tests.support.breakers:Cold"]) == 1
    told = json.loads(capsys.readouterr().out)
    SCHEMA.validate(told)
    assert told["rule"]["summary"] == "Cold follows SGD's coupled_unscaled"
    assert [a["dtype"] for a in told["accuracy"]] == ["float64"]
    assert {p["word"] for p in told["promises"]} == {"kept", "broken", "not asked"}
    assert not told["ok"]
    assert told["follows"]


def test_a_number_that_is_off_is_told_without_a_unit(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main([*ASKED, CLEAN, "--within", "-1"])
    assert "--within: -1 is not a finite number above 0\n" in capsys.readouterr().err


@pytest.mark.parametrize("subject", [Unbuilt, Clean, BREAKERS["finite"]])
def test_every_report_follows_the_schema(subject: Any) -> None:
    report = oracles.check(subject, "SGD", dtypes=["float64"], within=1)
    SCHEMA.validate(json.loads(json.dumps(report.to_json(), allow_nan=False)))


def test_a_report_without_anything_follows_the_schema() -> None:
    SCHEMA.validate(Report("x", fault="cannot be imported").to_json())


def test_a_report_of_the_strict_question_follows_the_schema() -> None:
    line = Line("agreement", Word.BROKEN, "is off", {"agreement, foreach": "is 1 off"})
    SCHEMA.validate(Report("x", as_torch=(line,)).to_json())


def test_the_report_ends_in_the_line_that_can_be_quoted() -> None:
    report = oracles.check(BREAKERS["deepcopy"], "SGD", dtypes=["float32"])
    text = render(report, full=True)
    assert text.splitlines()[-1] == str(report)
    assert str(report).startswith("Shallow follows SGD's coupled_unscaled; float32 within 0.")
    assert str(report).endswith(" radii; breaks: deepcopy")
    assert "FAILED    deepcopy: continues to other bits after a deepcopy (so that 1 other" in text
    assert "\x1b" not in text


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"oracles {oracles.__version__}\n"
