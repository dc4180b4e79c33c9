"""``PACKAGES.md`` says of each class of the table what came of it; nothing is installed here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import oracles
from benchmarks import packages
from benchmarks.packages import PAGE, UNKNOWN, Asked, Package
from oracles.harness.arithmetic.formats import DTYPES
from oracles.reports import environments
from oracles.reports.environments import NotMade
from tests.support.functions import batch_scaled

TABLE = packages.packages()
NAMES = [package.name for package in TABLE]


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text("utf-8")


def rows(section: str) -> list[list[str]]:
    """The cells of a section's table, without its head."""
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:]]


def asked(page: str) -> Iterator[tuple[Asked, list[str]]]:
    """Each class of the table, and its row."""
    sections = packages.sections(page)
    for package in TABLE:
        yield from zip(package.classes, rows(sections[package.name]), strict=True)


def test_what_is_asked_is_pinned() -> None:
    assert len(TABLE) >= 10
    assert sum(len(package.classes) for package in TABLE) >= 25
    assert len({*NAMES}) == len(NAMES)
    assert all("==" in need for package in TABLE for need in package.needs)


def test_each_class_claims_a_rule_or_one_of_its_own() -> None:
    for package in TABLE:
        for one in package.classes:
            assert bool(one.claims) != bool(one.own), one
            assert one.claim  # or it raises


def test_the_page_is_the_table_s(page: str) -> None:
    """And writing a section anew would leave all others as they are."""
    sections = packages.sections(page)
    assert [*sections] == NAMES
    assert packages.text(sections, NAMES) == page
    for package in TABLE:
        assert sections[package.name].startswith(f"## {package.name} {package.version}\n")


def test_each_class_has_a_row(page: str) -> None:
    for one, (name, claims, follows, *figures, _) in asked(page):
        assert name.startswith(f"`{one.name}`")
        assert claims == (one.claim if one.claims else one.own)
        assert follows.strip("*") and len(figures) == len(DTYPES)


def test_what_is_not_as_claimed_has_a_reason_that_was_read(page: str) -> None:
    for one, (_, _, follows, *_) in asked(page):
        assert follows.startswith("**") == bool(one.note), one


def test_rules_of_their_own_are_named_as_none(page: str) -> None:
    own = [row for one, row in asked(page) if one.own]
    assert len(own) >= 5
    assert {follows for _, _, follows, *_ in own} == {UNKNOWN}


# --- rows, from reports ---


REPORT = oracles.check(batch_scaled, dtypes=["float32"], not_promised=["order"]).to_json()


@pytest.mark.parametrize(
    ("claims", "follows"),
    [("SGD's batch_scaled", "SGD's batch_scaled"), ("SGD", "**SGD's batch_scaled**")],
)
def test_what_is_not_as_claimed_is_bold(claims: str, follows: str) -> None:
    one = Asked("module:step", claims, fixed={"switch": True})
    name, claimed, found, *figures, broken = packages.row(one, REPORT)
    assert (name, claimed, found, broken) == ("`step` (switch=True)", one.claim, follows, "")
    assert [bool(figure) for figure in figures] == [dtype == "float32" for dtype in DTYPES]


def test_a_known_rule_is_none_of_its_own() -> None:
    _, _, found, *_ = packages.row(Asked("module:step", own="Mine"), REPORT)
    assert found == "**SGD's batch_scaled**"


ADAM = {"rule": "Adam", "conventions": ["decoupled_lr", "eps_hat"], "arguments": []}
SGD = {"rule": "SGD", "conventions": ["coupled_unscaled"], "arguments": []}
WHOLE: dict[str, Any] = {"fits": [ADAM], "exceptions": [], "ignores": []}


@pytest.mark.parametrize(
    ("change", "held"),
    [
        ({}, True),
        ({"fits": [SGD, ADAM]}, True),
        ({"fits": [SGD]}, False),
        ({"fits": []}, False),
        ({"fits": [{**ADAM, "conventions": ["eps_hat"]}]}, False),
        ({"fits": [{**ADAM, "rule": "AdamW"}]}, False),
        ({"fits": [{**ADAM, "arguments": ["eps = 0.0 whatever is given"]}]}, False),
        ({"exceptions": [{}]}, False),
        ({"ignores": ["amsgrad"]}, False),
    ],
)
def test_a_claim_is_held_everywhere_and_with_all_arguments(
    change: dict[str, Any], held: bool
) -> None:
    one = Asked("module:step", "Adam's eps_hat with decoupled_lr")
    assert packages.holds(one, {**WHOLE, **change}) == held


def test_torch_s_own_is_claimed_by_the_rule_alone() -> None:
    assert packages.holds(Asked("module:step", "SGD"), {**WHOLE, "fits": [SGD]})


def ignoring(params: Any, grads: Any, state: Any, lr: float, wd: float, momentum: float) -> Any:
    return [w - lr * (g + wd * w) for w, g in zip(params, grads, strict=True)]


def test_who_could_not_be_asked_has_shown_no_rule_of_its_own() -> None:
    rule = {**REPORT["rule"], "fits": [], "fault": "raises ValueError: no lr"}
    _, _, found, *_ = packages.row(Asked("module:step", own="Mine"), {**REPORT, "rule": rule})
    assert found == "**raises ValueError: no lr**"


def test_broken_promises_and_what_is_ignored_are_told() -> None:
    report = oracles.check(ignoring, dtypes=[]).to_json()
    report["promises"] = [{"name": "pickle", "word": "broken", "why": ""}]
    _, _, found, *_, told = packages.row(Asked("module:step", "SGD"), report)
    assert found == "**SGD's coupled_unscaled, ignoring momentum**"
    assert told == "pickle"


@pytest.mark.parametrize("report", ["no module", {"rule": None, "summary": "no module"}])
def test_why_nothing_was_asked_is_told(report: Any) -> None:
    _, _, found, *_ = packages.row(Asked("module:step", "SGD"), report)
    assert found == "**no module**"


# --- the command ---

ONE, OTHER = (Package(name, "1.0", (Asked("module:step", "SGD"),)) for name in ("one", "other"))


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A page of two packages, which is written instead."""
    path = tmp_path / "PACKAGES.md"
    monkeypatch.setattr(packages, "PAGE", path)
    monkeypatch.setattr(packages, "packages", lambda: [ONE, OTHER])
    known = {p.name: packages.section(p, [(p.classes[0], "old")]) for p in (ONE, OTHER)}
    path.write_text(packages.text(known, ["one", "other"]), "utf-8")
    return path


def test_who_is_not_asked_stays(
    copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(packages, "ask", lambda p, seconds: [(p.classes[0], "new")])
    before = packages.sections(copy.read_text("utf-8"))
    assert packages.main(["--only", "other", "--write"]) == 0
    after = packages.sections(copy.read_text("utf-8"))
    assert after["one"] == before["one"]
    assert after["other"] == before["other"].replace("old", "new") != before["other"]
    assert "## other 1.0" in capsys.readouterr().out


def test_what_cannot_be_installed_is_told_and_its_section_stays(
    copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def make(folder: Path, wanted: Any) -> Path:
        raise NotMade(f"no {wanted[-1]}")

    monkeypatch.setattr(environments, "make", make)
    before = copy.read_text("utf-8")
    assert packages.main(["--write"]) == 1
    assert copy.read_text("utf-8") == before
    assert "other: no other==1.0" in capsys.readouterr().err
