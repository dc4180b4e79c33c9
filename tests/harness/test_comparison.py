"""What changed from one run to another is told apart, place by place, and nothing else is told."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from jsonschema import Draft202012Validator

import oracles
from oracles import cli
from oracles.harness.subjects.subject import Place
from oracles.reports import comparison, environments
from oracles.reports.changes import markdown, rows, terminal, title
from oracles.reports.comparison import WORSE, Change, Comparison, Difference, compare
from oracles.reports.fingerprint import KNOWN, drift
from oracles.reports.run_report import JsonLine, Kind, Result, RunReport, write
from tests.support.reported import DTYPES, PATHS, ROW, changed, of_torch, run

sgd: Any = sys.modules[torch.optim.SGD.__init__.__module__]

PLACES = [Place("SGD", path, dtype, "cpu") for path, dtype in product(PATHS, DTYPES)]
ONE = PLACES[0]


def at(place: Place) -> dict[str, str]:
    return {"path": place.path, "dtype": place.dtype}


def told(before: RunReport, after: RunReport) -> set[tuple[Change, str, str, str]]:
    """What changed, and where."""
    found = compare(before, after).differences
    return {(d.change, d.path, d.dtype, d.about) for d in found}


# Of a torch in which something was planted


def planted(monkeypatch: pytest.MonkeyPatch, step: Callable[..., None]) -> RunReport:
    """A run without drawn cases, where SGD's for-loop is another one."""
    monkeypatch.setattr(sgd, "_single_tensor_sgd", step)
    return run(checks=[ROW])


def test_two_runs_of_one_torch_are_the_same_to_the_bit() -> None:
    found = compare(run(checks=[ROW]), run(checks=[ROW]))
    assert (found.differences, found.same, found.failing) == ((), tuple(PLACES), 0)


def test_a_rule_that_changed_on_one_path(monkeypatch: pytest.MonkeyPatch) -> None:
    right = sgd._single_tensor_sgd  # noqa: SLF001

    def step(*tensors: Any, weight_decay: float, **options: Any) -> None:
        right(*tensors, weight_decay=weight_decay / 2, **options)

    found = compare(run(checks=[ROW]), planted(monkeypatch, step))
    assert {d.change for d in found.differences} == {Change.RULE}
    assert {d.place for d in found.differences} == {p for p in PLACES if p.path == "for-loop"}
    assert {place.path for place in found.same} == {"foreach"}


def test_a_rounding_that_changed_on_one_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operation more in half of the last place, inside the radius."""
    right = sgd._single_tensor_sgd  # noqa: SLF001

    def step(params: Any, grads: Any, *others: Any, **options: Any) -> None:
        before = [p.clone() for p in params]
        right(params, grads, *others, **options)
        for p, w in zip(params, before, strict=True):
            p.copy_(w + (p - w))  # algebra would take it away

    found = compare(run(checks=[ROW]), planted(monkeypatch, step))
    assert {(d.change, d.path) for d in found.differences} == {(Change.ROUNDING, "for-loop")}
    assert all(0 < d.ulps <= 2 for d in found.differences)
    assert not found.worse


# Of a report in which something was changed


def refused(line: dict[str, Any]) -> JsonLine | None:
    """What becomes of a line of a place that is refused."""
    if line["kind"] == Kind.PLACE:
        return {**line, "there": False, "reason": "no kernel"}
    if line["kind"] == Kind.ANSWER:
        return line
    return None


def without(whole: RunReport, place: Place) -> RunReport:
    """The report of a torch that refuses a place."""
    left = changed(whole, refused, **at(place))

    def unlisted(line: dict[str, Any]) -> JsonLine | None:
        paths = [path for path in line["paths"] if path != place.path]
        return {**line, "paths": paths} if paths else None

    return changed(left, unlisted, kind=Kind.ANSWER, dtype=place.dtype)


def having(**entries: Any) -> Callable[[dict[str, Any]], JsonLine]:
    return lambda line: {**line, **entries}


def deviating(whole: RunReport, place: Place, outcome: str | None) -> RunReport:
    """The report in which a row of the ledger came out otherwise at one place."""
    left = changed(whole, lambda line: None, kind=Kind.CELL, check=ROW, **at(place))
    if outcome is None:
        return left
    line = {"kind": Kind.CELL, "optimizer": "SGD", "check": ROW, "device": "cpu", **at(place)}
    return replace(left, lines=(*left.lines, {**line, "outcome": outcome}))


def moved(values: dict[str, Any], by: float) -> dict[str, Any]:
    first, *others = values["parameter"]
    return {**values, "parameter": [first + by, *others]}


def answering(whole: RunReport, place: Place, outcome: str, by: float) -> RunReport:
    """The report in which the first golden answer of one place is another one."""
    question = next(line["question"] for line in whole.of(Kind.ANSWER))
    lines: list[JsonLine] = []
    for line in whole.lines:
        which = line["kind"] == Kind.ANSWER and line["question"] == question
        if not which or line["dtype"] != place.dtype or place.path not in line["paths"]:
            lines.append(line)
            continue
        others = [path for path in line["paths"] if path != place.path]
        lines += [{**line, "paths": others}] if others else []
        other = {"outcome": outcome, "values": moved(line["values"], by)}
        lines.append({**line, "paths": [place.path], **other})
    return replace(whole, lines=tuple(lines))


def failing(whole: RunReport, place: Place, check: str, outcome: str) -> RunReport:
    entries = {"outcome": outcome, "text": "wrong", "command": "oracles check"}
    return changed(whole, having(**entries), kind=Kind.CELL, check=check, **at(place))


def base() -> RunReport:
    """Of torch, where no row of the ledger is about any of the places."""
    whole = of_torch()
    for place in PLACES:
        whole = deviating(whole, place, None)
    return whole


Planted = Callable[[RunReport, Place], tuple[RunReport, RunReport]]

SAYS: dict[str, tuple[Planted, Change]] = {
    "a path that is gone": (
        lambda a, p: (a, without(a, p)),
        Change.VANISHED,
    ),
    "a path that is new": (
        lambda a, p: (without(a, p), a),
        Change.APPEARED,
    ),
    "a check that fails": (
        lambda a, p: (a, failing(a, p, "agreement", Result.FAILED)),
        Change.FAILS,
    ),
    "a check that raises": (
        lambda a, p: (a, failing(a, p, "agreement", Result.ERRORED)),
        Change.FAILS,
    ),
    "a check that fails no longer": (
        lambda a, p: (failing(a, p, "agreement", Result.FAILED), a),
        Change.HEALED,
    ),
    "a failing check that was not asked": (
        lambda a, p: (
            failing(a, p, "agreement", Result.FAILED),
            failing(a, p, "agreement", Result.NOT_ASKED),
        ),
        Change.UNKNOWN,
    ),
    "a place that no check was asked at": (
        lambda a, p: (a, changed(a, having(outcome=Result.LEFT_OUT), kind=Kind.CELL, **at(p))),
        Change.UNASKED,
    ),
    "a place at which nothing was decided": (
        lambda a, p: (a, changed(a, having(outcome=Result.UNDECIDED), kind=Kind.CELL, **at(p))),
        Change.UNASKED,
    ),
    "a deviation that is new": (
        lambda a, p: (a, deviating(a, p, Result.CONFIRMED)),
        Change.DEVIATES,
    ),
    "a deviation that has healed": (
        lambda a, p: (deviating(a, p, Result.CONFIRMED), deviating(a, p, Result.HEALED)),
        Change.CONFORMS,
    ),
    "a deviation whose row has ended": (
        lambda a, p: (deviating(a, p, Result.CONFIRMED), a),
        Change.CONFORMS,
    ),
    "a deviation of a path that is new": (
        lambda a, p: (without(a, p), deviating(a, p, Result.CONFIRMED)),
        Change.DEVIATES_THERE,
    ),
    "another rule": (
        lambda a, p: (a, answering(a, p, "outside", 2**40)),
        Change.RULE,
    ),
    "the right rule again": (
        lambda a, p: (answering(a, p, "outside", 2**40), a),
        Change.HEALED,
    ),
    "another rounding": (
        lambda a, p: (a, answering(a, p, "inside", 1)),
        Change.ROUNDING,
    ),
}


@pytest.mark.parametrize("place", PLACES, ids=lambda place: f"{place.path}-{place.dtype}")
@pytest.mark.parametrize(("plant", "change"), SAYS.values(), ids=SAYS)
def test_what_was_planted_is_told_there(plant: Planted, change: Change, place: Place) -> None:
    """Fifty changes, each in its cell, and no other cell is told of."""
    found = compare(*plant(base(), place))
    others = {Change.APPEARED} if change == Change.DEVIATES_THERE else set()
    assert {d.change for d in found.differences} == {change} | others
    assert {d.place for d in found.differences} == {place}
    assert {*found.same} == {*PLACES} - {place}
    assert bool(found.worse) == (change in WORSE)


def test_none_is_hidden_by_another() -> None:
    """All of them at once: what makes it worse in one cell does not outweigh another."""
    before = after = base()
    after = answering(after, PLACES[0], "outside", 2**40)
    after = answering(after, PLACES[1], "inside", 3)
    after = without(after, PLACES[2])
    after = deviating(after, PLACES[3], Result.CONFIRMED)
    found = {(d.change, d.place) for d in compare(before, after).differences}
    changes = (Change.RULE, Change.ROUNDING, Change.VANISHED, Change.DEVIATES)
    assert found == {*zip(changes, PLACES, strict=True)}
    text = terminal(compare(before, after), width=200)
    for place, change in zip(PLACES, changes, strict=True):
        (row,) = (line for line in text.splitlines() if f"{change}  " in line)
        assert f"{place.path} ({place.dtype})" in row


@pytest.mark.parametrize(
    ("before", "after", "change", "detail"),
    [
        ({"lr": "0.001"}, {"lr": "0.01"}, Change.DEFAULT, "0.001, now 0.01"),
        ({}, {"lr": "0.01"}, Change.ARGUMENT_NEW, "default 0.01"),
        ({"lr": "0.001"}, {}, Change.ARGUMENT_GONE, "was 0.001 by default"),
        ({"lr": "P(a=1)"}, {"lr": "P(a=1, b=2)"}, Change.ARGUMENT_NEW, "default now with b=2"),
        ({"lr": "P(a=1)"}, {"lr": "P(a=3, b=2)"}, Change.DEFAULT, "P(a=1), now P(a=3, b=2)"),
        ({"lr": "P(a=1)"}, {"lr": "Q(a=1, b=2)"}, Change.DEFAULT, "P(a=1), now Q(a=1, b=2)"),
        ({"lr": "<f>"}, {"lr": "P(a=1)"}, Change.DEFAULT, "<f>, now P(a=1)"),
    ],
)
def test_what_the_constructor_takes(
    before: dict[str, str], after: dict[str, str], change: Change, detail: str
) -> None:
    one, other = (
        changed(of_torch(), having(arguments=arguments), kind=Kind.OPTIMIZER)
        for arguments in (before, after)
    )
    found = compare(one, other)
    assert found.differences == (Difference(change, "SGD", about="lr", detail=detail),)
    assert found.same == tuple(PLACES)


def test_a_check_that_is_new_is_no_regression() -> None:
    def unasked(line: dict[str, Any]) -> None:
        return None

    before = changed(of_torch(), unasked, check="agreement")
    found = compare(before, failing(of_torch(), ONE, "agreement", Result.FAILED))
    assert {d.change for d in found.differences} == {Change.FIRST_ASKED}
    assert not found.worse
    assert told(of_torch(), before) == {(Change.UNASKED, "", "", "agreement")}


def test_a_check_that_nobody_was_asked() -> None:
    """At one place it may be chance, and is not told."""
    after = changed(of_torch(), having(outcome="not asked"), kind=Kind.CHECK, check="agreement")
    assert told(of_torch(), after) == {(Change.UNASKED, "", "", "agreement")}
    assert not told(of_torch(), failing(of_torch(), ONE, "agreement", Result.NOT_ASKED))


def test_a_check_of_which_a_deviation_leaves_nothing_is_told_of_by_the_deviation() -> None:
    after = changed(of_torch(), having(outcome="not asked"), kind=Kind.CHECK, check="agreement")
    after = changed(after, having(outcome=Result.LEFT_OUT), kind=Kind.CELL, check="agreement")
    assert not told(of_torch(), after)
    after = changed(of_torch(), having(outcome="not asked"), kind=Kind.CHECK, check=ROW)
    assert not told(of_torch(), after)


def test_a_check_that_decided_too_little_fails_nowhere_and_is_told() -> None:
    entries = {"outcome": "failed", "text": "nothing was decided", "command": "oracles check"}
    after = changed(of_torch(), having(**entries), kind=Kind.CHECK, check="agreement")
    assert told(of_torch(), after) == {(Change.FAILS, "", "", "agreement")}
    assert not compare(after, after).differences


def test_what_fails_in_both_is_counted_and_not_told() -> None:
    whole = failing(of_torch(), ONE, "agreement", Result.FAILED)
    found = compare(whole, whole)
    assert (found.differences, found.failing) == ((), 1)


def test_what_is_known_in_both_is_told_if_asked() -> None:
    """The row is about foreach, in both dtypes."""
    found = compare(of_torch(), of_torch())
    assert found.known == {("SGD", ROW): 2}
    told = f"in both: SGD, {ROW}, at 2 places"
    assert told in terminal(found, full=True)
    assert told not in terminal(found)


def test_other_golden_questions_are_not_compared() -> None:
    other = {**of_torch().header, "golden": {"SGD": "0" * 64}}
    after = answering(replace(of_torch(), header=other), ONE, "outside", 2**40)
    assert told(of_torch(), after) == {(Change.UNKNOWN, "", "", "golden answers")}


def test_a_golden_question_that_has_no_answer_any_more_is_told() -> None:
    """Nothing is known of its rounding then."""
    gone = next(of_torch().of(Kind.ANSWER))
    lines = tuple(line for line in of_torch().lines if line is not gone)
    about = f"golden question {gone['question']}"
    assert told(of_torch(), replace(of_torch(), lines=lines)) == {
        (Change.UNASKED, path, gone["dtype"], about) for path in gone["paths"]
    }
    assert not told(replace(of_torch(), lines=lines), of_torch())


@pytest.mark.parametrize(
    ("name", "narrow"),
    [("paths", ["foreach"]), ("dtypes", ["float64"]), ("devices", ["cuda"])],
)
def test_a_later_run_that_was_asked_less_is_refused(name: str, narrow: list[str]) -> None:
    header = of_torch().header
    less = replace(of_torch(), header={**header, "chosen": {**header["chosen"], name: narrow}})
    with pytest.raises(ValueError, match=f"asked less than the earlier one: {name}="):
        compare(of_torch(), less)
    if name != "devices":
        compare(less, of_torch())
    everything = replace(of_torch(), header={**header, "chosen": {**header["chosen"], name: []}})
    compare(of_torch(), everything)
    with pytest.raises(ValueError, match="and before: all"):
        compare(everything, less)


def test_two_subjects_are_refused() -> None:
    header = of_torch().header
    other = replace(of_torch(), header={**header, "chosen": {**header["chosen"], "subject": "a:B"}})
    with pytest.raises(ValueError, match="two subjects cannot be compared: None and a:B"):
        compare(of_torch(), other)


def test_an_answer_that_is_known_to_be_wrong_is_left_to_the_ledger() -> None:
    """Which tells of it by itself."""

    def known(line: dict[str, Any]) -> JsonLine:
        line.pop("values")
        return {**line, "outcome": KNOWN, "deviation": "a row"}

    some = changed(of_torch(), known, kind=Kind.ANSWER, dtype="float32")
    assert not told(some, of_torch())
    assert not told(of_torch(), some)


def test_of_several_roundings_the_largest_is_told() -> None:
    def later(line: dict[str, Any]) -> JsonLine:
        by = 3 if line["question"] == "published_example" else 1
        return {**line, "values": moved(line["values"], by)}

    found = compare(of_torch(), changed(of_torch(), later, kind=Kind.ANSWER, dtype="float32"))
    assert {(d.dtype, d.ulps, d.about) for d in found.differences} == {
        ("float32", 3.0, "golden question published_example")
    }


@pytest.mark.parametrize(
    ("one", "other", "ulps"),
    [
        ([0, 1], [0, 1], 0.0),
        ([0, 1.5], [0, -1], 2.5),
        (["inf"], ["inf"], 0.0),
        (["inf"], [1], float("inf")),
        ([None], [0], float("inf")),
    ],
)
def test_how_far_two_answers_are_apart(one: list[Any], other: list[Any], ulps: float) -> None:
    assert drift({"parameter": one}, {"parameter": other}) == ulps
    assert drift({"parameter": one}, {}) == float("inf")


# As it is said


def of_all() -> Comparison:
    """With something of each kind."""
    found = compare(*SAYS["another rule"][0](base(), ONE))
    each = (
        replace(d, change=change, about="a|b", command="oracles check", ulps=math.inf)
        for d in found.differences
        for change in Change
    )
    return replace(found, differences=tuple(each))


def test_the_plain_data_is_what_the_schema_says() -> None:
    schema = Draft202012Validator(json.loads(comparison.SCHEMA.read_bytes()))
    for found in (of_all(), compare(*SAYS["another rounding"][0](base(), ONE))):
        schema.validate(json.loads(json.dumps(found.to_json(), allow_nan=False)))


def test_every_kind_of_change_has_a_row() -> None:
    for text in (terminal(of_all(), width=200), markdown(of_all())):
        assert all(change in text for change in Change)
    assert all(line.count("|") == 5 for line in markdown(of_all()).splitlines()[-len(Change) :])
    assert "oracles check" in terminal(of_all(), full=True)


def test_what_else_differs_is_said() -> None:
    header = of_torch().header
    chosen = {**header["chosen"], "seed": 7}
    found = compare(
        of_torch(), replace(of_torch(), header={**header, "numpy": "0", "chosen": chosen})
    )
    told = [f"numpy {header['numpy']}, now 0", f"seed {header['chosen']['seed']}, now 7"]
    assert title(found)[1:] == told
    assert all(words in terminal(found) for words in told)
    assert "Also different: numpy" in markdown(found)


def test_so_are_devices() -> None:
    header = of_torch().header
    one, other = (
        replace(of_torch(), header={**header, "devices": devices})
        for devices in ({"cpu": "AVX2", "cuda": "A"}, {"cpu": "AVX512", "mps": "B"})
    )
    told = ["cpu AVX2, now AVX512", "cuda A, now not there"]
    assert title(compare(one, other))[1:] == told
    assert title(compare(one, one))[1:] == []


def test_of_several_places_the_largest_rounding_is_told() -> None:
    """Whichever comes first."""
    whole = base()
    for small, large in ((1, 3), (3, 1)):
        after = answering(answering(whole, PLACES[0], "inside", small), PLACES[1], "inside", large)
        (row,) = rows(compare(whole, after))
        assert row.about == "at most 3 ulp, inside the radius"


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Of torch, of one that is worse, one with another rounding, and one that was cut."""
    whole = base()
    reports = {
        "torch": whole,
        "worse": SAYS["another rule"][0](whole, ONE)[1],
        "rounded": SAYS["another rounding"][0](whole, ONE)[1],
    }
    for name, told in reports.items():
        write(tmp_path / name, told)
    (tmp_path / "cut").write_bytes((tmp_path / "torch").read_bytes()[:-9])
    return {name: str(tmp_path / name) for name in (*reports, "cut", "nowhere")}


@pytest.mark.parametrize(
    ("after", "status"), [("torch", 0), ("rounded", 0), ("worse", 1), ("cut", 2), ("nowhere", 2)]
)
@pytest.mark.parametrize("form", [[], ["-v"], ["--json"], ["--markdown"]])
def test_the_status_says_whether_it_is_worse(
    after: str, status: int, form: list[str], files: dict[str, str]
) -> None:
    assert cli.main(["compare", files["torch"], files[after], *form]) == status


def test_versions_are_run(files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order in which they are given, with what is known of all releases."""
    asked, sought = [], []

    def record(release: str, path: Path, known: Any, tell: Any) -> None:
        asked.append(release)
        assert known == environments.releases()
        write(path, of_torch())

    monkeypatch.setattr(environments, "record", record)
    monkeypatch.setattr(environments, "refuse_missing", lambda all, tell: sought.append(all))
    assert oracles.compare("2.9.1", "2.13").same == tuple(PLACES)
    assert asked == ["2.9.1", "2.13"]
    assert sought == [asked]
    for after in (files["cut"], files["nowhere"]):
        with pytest.raises(ValueError, match=r"cut|cannot be compared"):
            oracles.compare("2.9.1", after)
    assert len(asked) == 2  # nothing is run for a call that is off
