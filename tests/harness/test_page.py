"""The page says what the reports say, asks nothing of the network, and is what a browser shows."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from oracles import cli
from oracles.reports import page
from oracles.reports.matrix import file_of
from oracles.reports.page import Release, badge
from oracles.reports.run_report import JsonLine, Kind, Result, RunReport, write
from tests.support.reported import ROW, changed, of_torch

BROWSER = next(
    filter(None, (shutil.which(name) for name in ("chromium", "chromium-browser"))), None
)
WRONG = {
    "outcome": "failed",
    "text": "SGD <wrong> & more",
    "command": "oracles check --path foreach",
}


def failing() -> RunReport:
    """A later release, which fails, has another default, and has lost a deviation."""
    where = {"kind": Kind.CELL, "path": "foreach", "dtype": "float32"}
    whole = changed(of_torch(), lambda line: {**line, **WRONG}, check="agreement", **where)
    healed = {"outcome": Result.HEALED, "text": "healed", "command": "oracles check"}
    whole = changed(whole, lambda line: {**line, **healed}, kind=Kind.CELL, check=ROW)

    def another_rate(line: dict[str, Any]) -> JsonLine:
        return {**line, "arguments": {**line["arguments"], "lr": "2.0"}}

    return changed(whole, another_rate, kind=Kind.OPTIMIZER)


class Read(HTMLParser):
    """What a page holds: ids, links, and tags that are never closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        self.ids += filter(None, [told.get("id")])
        self.links += filter(None, [told.get("href"), told.get("src")])
        self.open += [tag] if tag not in ("meta", "link", "br", "line", "path") else []

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("line", "path"):
            assert self.open.pop() == tag


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of two releases that are the same and a third that is not."""
    folder = tmp_path_factory.mktemp("site")
    page.write(folder, {"2.9.1": of_torch(), "2.10.0": of_torch(), "2.11.0": failing()})
    return folder


def test_links_lead_somewhere_and_nothing_is_fetched(site: Path) -> None:
    read = Read((site / "index.html").read_text(encoding="utf-8"))
    assert not read.open
    assert not [id for id, times in Counter(read.ids).items() if times > 1]
    for link in read.links:
        elsewhere = ("#", "?", "data:", "https://")
        assert link.startswith(elsewhere) or (site / link).is_file(), link
        if link.startswith("#"):
            assert link[1:] in read.ids, link
    text = (site / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<(script|img|iframe)[^>]*src=|@import|url\(", text)


def test_a_failing_cell_comes_with_its_sentence_and_a_command(site: Path) -> None:
    text = (site / "index.html").read_text(encoding="utf-8")
    assert "SGD &lt;wrong&gt; &amp; more" in text
    assert "<code>oracles check --path foreach</code>" in text
    assert '<td class="fails">2 fail</td>' in text  # the check, and the row that has healed


def test_what_changed_is_in_page_feed_and_plain_data(site: Path) -> None:
    text = (site / "index.html").read_text(encoding="utf-8")
    rows = re.findall(r'<tr( class="worse")? data-n="(\d)" data-o="SGD"><td>([\d.]+)</td>', text)
    assert {(n, release) for _, n, release in rows} == {("2", "2.11.0")}
    assert [bool(worse) for worse, _, _ in rows] == [True, True, False]
    told = json.loads((site / "changes.json").read_text())
    assert {release: step["worse"] for release, step in told.items()} == {
        "2.10.0": False,
        "2.11.0": True,
    }
    atom = "{http://www.w3.org/2005/Atom}"
    feed = ElementTree.parse(site / "feed.xml").getroot()
    titles = [entry.findtext(f"{atom}title") for entry in feed.iter(f"{atom}entry")]
    assert titles == ["torch 2.11.0: fails 1, default changed 1", "torch 2.10.0: nothing is worse"]


def test_a_deviation_has_its_history(site: Path) -> None:
    text = (site / "index.html").read_text(encoding="utf-8")
    (row,) = re.findall(r'<tr id="SGD-foreach-nesterov-gradient">.*?</tr>', text)
    assert re.findall(r"<td[^>]*>(.*?)</td>", row)[2:5] == ["2.9.1 or before", "2.10.0", "●●·"]


@pytest.mark.parametrize(
    ("report", "told"), [(of_torch, "0 fail, 2 deviate"), (failing, "2 fail, 0 deviate")]
)
def test_a_badge_says_how_many_places_fail_and_deviate(report: Any, told: str) -> None:
    drawn = badge(Release("2.9.1", report()))
    assert [node.text for node in ElementTree.fromstring(drawn)][-1] == told
    assert (page.COLOURS[True] in drawn) == ("0 fail" not in told)


def test_a_page_says_where_roundings_changed(tmp_path: Path, site: Path) -> None:
    def rounded(line: dict[str, Any]) -> JsonLine:
        first, *others = line["values"]["parameter"]
        return {**line, "values": {**line["values"], "parameter": [first + 3, *others]}}

    later = changed(of_torch(), rounded, kind=Kind.ANSWER, dtype="float32")
    page.write(tmp_path, {"2.9.1": of_torch(), "2.10.0": later, "2.11.0": later})
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "<p>Roundings changed in 2.10.0 (at most 3 ulp).</p>" in text
    same = (site / "index.html").read_text(encoding="utf-8")
    assert "<p>Its roundings are the same in all of them.</p>" in same


def test_one_release_is_shown_as_well(tmp_path: Path) -> None:
    page.write(tmp_path, {"2.9.1": of_torch()})
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "One release: there is nothing to compare it with." in text


def test_twenty_releases_stay_below_two_megabytes(tmp_path: Path) -> None:
    """As if there were fourteen optimizers of this many places."""
    lines = [
        {
            **line,
            "optimizer": f"SGD{n}",
            **({"path": f"{line['path']}, {m}"} if "path" in line else {}),
        }
        for n in range(14)
        for m in range(14)
        for line in of_torch().lines
        if line["kind"] in (Kind.PLACE, Kind.CELL)
    ]
    header = {**of_torch().header, "rules": [f"SGD{n}" for n in range(14)], "golden": {}}
    page.write(tmp_path, {f"2.{n}.0": RunReport(header, tuple(lines)) for n in range(20)})
    assert (tmp_path / "index.html").stat().st_size < 2_000_000


def test_the_command_writes_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = ["page", "--folder", str(tmp_path), "--output", str(tmp_path / "site")]
    assert cli.main(call) == 2
    assert "nothing to show" in capsys.readouterr().err
    write(file_of("2.13.0", tmp_path), of_torch())
    assert cli.main(call) == 0
    assert (tmp_path / "site" / "index.html").is_file()


@pytest.mark.skipif(BROWSER is None, reason="there is no chromium here")
def test_filters_of_the_address_hide_rows_in_a_browser(site: Path) -> None:
    """Those of the first release leave nothing, and what is worse stays."""
    assert BROWSER is not None
    address = f"file://{site / 'index.html'}?what=worse&optimizer=SGD#SGD-2.11.0"
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--dump-dom",
        "--enable-logging=stderr",
    ]
    done = subprocess.run(
        [BROWSER, *options, "--dump-dom", address],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "2 of 3 changes" in done.stdout
    assert re.findall(r'<tr( class="worse")?[^>]*?(hidden="")?><td>2', done.stdout) == [
        (' class="worse"', ""),
        (' class="worse"', ""),
        ("", 'hidden=""'),
    ]
    assert re.search(r'<details id="SGD-2\.11\.0" open="">', done.stdout)
    assert "CONSOLE" not in done.stderr
