"""The page says what the reports say, asks nothing of the network, and is what a browser shows."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from oracles import cli
from oracles.reports import page, plots
from oracles.reports.comparison import Index, compare
from oracles.reports.fingerprint import KNOWN
from oracles.reports.matrix import file_of
from oracles.reports.page import badge
from oracles.reports.run_report import JsonLine, Kind, Result, RunReport, write
from oracles.reports.standing import Release, standing
from tests.support.browser import THERE, Browser, browser
from tests.support.reported import ROW, changed, of_torch

in_a_browser = pytest.mark.skipif(not THERE, reason="there is no chromium here")

ID = ROW.removeprefix(KNOWN).strip()

WRONG_TEXT = {"text": "healed", "command": "oracles check"}

WRONG = {
    "outcome": "failed",
    "text": "SGD <wrong> & more",
    "command": "oracles check --path foreach",
}


def failing() -> RunReport:
    """A later release, which fails, has another default, and has lost a deviation."""
    where = {"kind": Kind.CELL, "path": "foreach", "dtype": "float32"}
    whole = changed(of_torch(), lambda line: {**line, **WRONG}, check="agreement", **where)
    told = {**WRONG, "case": "parameter 0: [1.]"}
    whole = changed(whole, lambda line: {**line, **told}, kind=Kind.CHECK, check="agreement")
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
        self.open += [tag] if tag not in ("meta", "link", "br", "col") else []

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Of a drawing: it needs no other end."""

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of two releases that are the same and a third that is not."""
    folder = tmp_path_factory.mktemp("site")
    page.write(folder, {"2.9.1": of_torch(), "2.10.0": of_torch(), "2.11.0": failing()})
    return folder


def test_links_lead_somewhere_and_nothing_is_fetched(site: Path) -> None:
    pages = {path.name: path.read_text(encoding="utf-8") for path in site.glob("*.html")}
    read = {name: Read(text) for name, text in pages.items()}
    assert {*pages} == {
        "index.html",
        "2.9.1-2.10.0.html",
        "2.9.1-2.11.0.html",
        "2.10.0-2.11.0.html",
    }
    for name, text in pages.items():
        assert not read[name].open
        assert not [id for id, times in Counter(read[name].ids).items() if times > 1]
        assert not [id for id in read[name].ids if re.search(r"\s", id)]
        assert not re.search(r"<(script|img|iframe)[^>]*src=|@import|url\(", text)
        for link in read[name].links:
            file, _, part = link.partition("#")
            if not link.startswith(("data:", "https://")):
                assert not file or (site / file).is_file(), link
                assert not part or part in read[file or name].ids, link


def test_a_failing_cell_comes_with_its_sentence_its_case_and_a_command(site: Path) -> None:
    text = (site / "index.html").read_text(encoding="utf-8")
    assert "SGD &lt;wrong&gt; &amp; more\n\nparameter 0: [1.]</pre>" in text
    assert '<code class="command">oracles check --path foreach</code>' in text
    link = '<a href="#SGD-2.11.0-fails">2 fail</a>'  # the check, and the row that has healed
    assert f'<td class="fails">{link}</td>' in text


def rows_of(text: str, title: str) -> dict[str, list[str]]:
    """Of one table of bands, by its first column, each state and how many releases it spans."""
    table = text[text.index(title) :].partition("</table>")[0]
    rows = re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', table)
    return {
        re.sub("<.*?>", "", name): [
            f"{state} {wide or 1}"
            for state, wide in re.findall(r'<td class="([\w-]+)"(?: colspan="(\d+)")?>', cells)
        ]
        for name, cells in rows
    }


def test_what_does_not_change_is_one_cell_through_the_releases(site: Path) -> None:
    text = (site / "index.html").read_text(encoding="utf-8")
    assert rows_of(text, "path and dtypes") == {
        "for-loop float64, float32": ["passed 3"],
        "foreach float64": ["deviates 2", "fails 1"],
        "foreach float32": ["deviates 2", "fails 1"],
    }
    assert rows_of(text, '<th scope="col">check</th>') == {
        "agreement": ["passed 2", "fails 1"],
    }
    assert '<b class="passed">passed</b> in each release: rejects batch_scaled</p>' in text
    assert rows_of(text, "deviation, at how many") == {ID: ["deviates 2", "fails 1"]}


def test_what_stands_alike_is_one_row() -> None:
    """But not where it stands otherwise, or in other dtypes, or more is said of it."""

    def of(index: Index) -> dict[str, str]:
        rows = standing("SGD", [Release("2.9.1", index)])
        return {row.name: row.detail for row in rows.places}

    passing = changed(of_torch(), lambda line: {**line, "outcome": "passed"}, kind=Kind.CELL)
    both = "float64, float32"
    assert of(Index(passing)) == {"for-loop; foreach": both}
    assert of(Index(of_torch())) == {"for-loop": both, "foreach": both}
    other = changed(passing, lambda line: {**line, "dtype": "bfloat16"}, path="foreach")
    assert len(of(Index(other))) == 2


def test_a_bar_is_as_wide_as_it_is_the_same() -> None:
    releases = [Release(name, Index(of_torch())) for name in ("2.9.1", "2.10.0")]
    bars = standing("SGD", [*releases, Release("2.11.0", Index(failing()))]).bars
    assert [(bar.release, bar.wide) for bar in bars] == [("2.9.1", 2), ("2.11.0", 1)]
    assert bars[0].told == "8 passed, 2 deviates" and bars[1].told == "7 passed, 3 fails"
    assert sum(share for _, share in bars[1].shares) == pytest.approx(100)


def test_a_check_that_fails_at_no_place_fails_on_the_page(tmp_path: Path) -> None:
    """It decided too little."""
    entries = {"outcome": "failed", "text": "nothing was decided", "command": "oracles check"}
    vacuous = changed(
        of_torch(), lambda line: {**line, **entries}, kind=Kind.CHECK, check="agreement"
    )
    page.write(tmp_path, {"2.9.1": vacuous})
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert rows_of(text, '<th scope="col">check</th>')["agreement"] == ["fails 1"]
    assert "nothing was decided" in text


def test_what_changed_is_in_page_feed_and_plain_data(site: Path) -> None:
    text = (site / "index.html").read_text(encoding="utf-8")
    bodies = re.findall(r'<tbody data-release="([\d.]+)">(.*?)</tbody>', text, re.DOTALL)
    assert [release for release, _ in bodies] == ["2.11.0", "2.10.0"]
    rows = [re.findall(r'<tr( class="worse")? data-o="SGD">', body) for _, body in bodies]
    assert [[bool(worse) for worse in each] for each in rows] == [[True, True, False], []]
    told = json.loads((site / "changes.json").read_text())
    assert {release: step["worse"] for release, step in told.items()} == {
        "2.10.0": False,
        "2.11.0": True,
    }
    atom = "{http://www.w3.org/2005/Atom}"
    feed = ElementTree.parse(site / "feed.xml").getroot()
    entries = [*feed.iter(f"{atom}entry")]
    titles = [entry.findtext(f"{atom}title") for entry in entries]
    assert titles == ["torch 2.11.0: fails 1, default changed 1", "torch 2.10.0: nothing is worse"]
    times = [entry.findtext(f"{atom}updated", "") for entry in entries]
    assert [feed.findtext(f"{atom}updated"), *times] == [times[0], *sorted(times, reverse=True)]
    assert {(site / link.attrib["href"]).is_file() for link in feed.iter(f"{atom}link")} == {True}


def test_two_releases_have_a_page_that_says_what_compare_does(site: Path) -> None:
    """And the table of all pairs counts what is worse."""
    text = (site / "2.9.1-2.11.0.html").read_text(encoding="utf-8")
    found = compare(of_torch(), failing())
    assert text.count('class="worse" data-o=') == len({d.change for d in found.worse}) == 2
    assert "SGD &lt;wrong&gt; &amp; more" in text
    index = (site / "index.html").read_text(encoding="utf-8")
    assert re.findall(r'aria-label="([\d.]+) to ([\d.]+): (\d+) worse"', index) == [
        ("2.9.1", "2.10.0", "0"),
        ("2.9.1", "2.11.0", "2"),
        ("2.10.0", "2.11.0", "2"),
    ]
    same = (site / "2.9.1-2.10.0.html").read_text(encoding="utf-8")
    assert "4 places are as they were, to the bit. <a" in same and "<p>Nothing.</p>" in same


def test_the_same_reports_make_the_same_files(site: Path, tmp_path: Path) -> None:
    page.write(tmp_path, {"2.9.1": of_torch(), "2.10.0": of_torch(), "2.11.0": failing()})
    for path in site.iterdir():
        assert path.read_bytes() == (tmp_path / path.name).read_bytes()


def test_a_deviation_has_its_history(site: Path) -> None:
    text = (site / "index.html").read_text(encoding="utf-8")
    (row,) = re.findall(rf'<tr id="known-{ID}">.*?</tr>', text, re.DOTALL)
    (span,) = re.findall(r"<td><p>(.*?)</p></td>", row)
    assert re.sub("<.*?>", "", span) == "since 2.9.1 or before until 2.10.0 ●●· SGD"
    assert "parameter 0: initial=" in row
    assert '<code class="command">oracles check --rule SGD --path' in row


@pytest.mark.parametrize(
    ("report", "told"), [(of_torch, "0 fail, 2 deviate"), (failing, "2 fail, 0 deviate")]
)
def test_a_badge_says_how_many_places_fail_and_deviate(report: Any, told: str) -> None:
    drawn = badge(Release("2.9.1", Index(report())))
    assert [node.text for node in ElementTree.fromstring(drawn)][-1] == told
    assert (page.COLOURS[True] in drawn) == ("0 fail" not in told)


def test_a_page_says_where_roundings_changed(tmp_path: Path, site: Path) -> None:
    def rounded(line: dict[str, Any]) -> JsonLine:
        first, *others = line["values"]["parameter"]
        return {**line, "values": {**line["values"], "parameter": [first + 3, *others]}}

    later = changed(of_torch(), rounded, kind=Kind.ANSWER, dtype="float32")
    page.write(tmp_path, {"2.9.1": of_torch(), "2.10.0": later, "2.11.0": later})
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    table = text[text.index("at most, ulps") :].partition("</table>")[0]
    row = '<tr><th scope="row">2.10.0</th><td class="number">3</td>'
    assert row in table and table.count('<th scope="row">') == 1
    assert "for-loop; foreach (float32)" in table
    bars = text[text.index('<g class="bars">') :].partition("</g>")[0]
    assert bars.count("<rect") == 1 and ">3</text>" in bars
    same = (site / "index.html").read_text(encoding="utf-8")
    assert "<p>Its roundings are the same in all of them.</p>" in same


def test_a_plot_says_what_it_shows_and_has_a_table(site: Path) -> None:
    text = (site / "index.html").read_text(encoding="utf-8")
    grids, drawn = re.findall(r"<svg.*?</svg>", text)
    plot = ElementTree.fromstring(drawn)
    assert plot.attrib["role"] == "img" and plot.findtext("title")
    said, grid = (plot.attrib["aria-describedby"], plot[1].attrib["href"].removeprefix("#"))
    assert f'<p id="{said}">' in text and f'<g id="{grid}">' in grids
    path = plot.find("path")
    assert path is not None
    lines = re.findall(r"M\d+ \d+h([\d.]+)", path.attrib["d"])
    assert sum(1 + float(long) // plots.SPREAD for long in lines) == 3 * 4  # releases × places
    style = (Path(page.__file__).parent / "page.css").read_text(encoding="utf-8")
    assert f"stroke-dasharray:0 {plots.SPREAD};" in style
    release = Release("2.9.1", Index(of_torch()))
    most = max(release.share(p) for p in release.cells if p.dtype == "float32")
    assert 0 < most <= 1
    assert f'<th scope="row">float32</th><td colspan="3"><span>{most:.3g}</span></td>' in text


@pytest.mark.parametrize("outcome", [Result.CONFIRMED, Result.HEALED, Result.NOT_ASKED])
def test_a_deviation_is_linked_where_it_was_there(outcome: str, tmp_path: Path) -> None:
    """Whatever its name; one that was nowhere is told of only where it fails."""
    name = "a row of several words"

    def renamed(line: dict[str, Any]) -> JsonLine:
        state = {"outcome": outcome} if line["kind"] == Kind.CELL else {}
        return {**line, **state, "check": f"{KNOWN} {name}", **WRONG_TEXT}

    page.write(tmp_path, {"2.9.1": changed(of_torch(), renamed, check=ROW)})
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    links = {link for link in Read(text).links if link.startswith("#known-")}
    there = outcome == Result.CONFIRMED
    assert links == ({"#known-a-row-of-several-words"} if there else set())
    assert {link[1:] for link in links} <= {*Read(text).ids}
    assert (name in text) == (outcome != Result.NOT_ASKED)


def test_one_release_is_shown_as_well(tmp_path: Path) -> None:
    page.write(tmp_path, {"2.9.1": of_torch()})
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "One release: there is nothing to compare it with." in text


def crowded(release: int) -> RunReport:
    """One of twenty, as if there were a quarter of the optimizers and places that there are.

    Each path appears in a release of its own, and each release passes and uses something else.
    """
    lines = []
    for n, m in product(range(7), range(14)):
        for line in of_torch().lines:
            if line["kind"] in (Kind.PLACE, Kind.CELL) and m <= release:
                path = f"{line['path']}, {m}"
                told = {**line, "optimizer": f"SGD{n}", "path": path}
                if "share" in told:
                    told["share"] = (n + m + release) % 20 / 20
                if "outcome" in told and m and (m + release) % 4 == 0:
                    told["outcome"] = Result.NOT_ASKED
                lines.append(told)
    header = {**of_torch().header, "rules": [f"SGD{n}" for n in range(7)], "golden": {}}
    return RunReport(header, tuple(lines))


@pytest.fixture(scope="module")
def twenty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """So many releases."""
    folder = tmp_path_factory.mktemp("twenty")
    page.write(folder, {f"2.{n}.0": crowded(n) for n in range(20)})
    return folder


@pytest.mark.slow
def test_twenty_releases_stay_far_below_two_megabytes(twenty: Path) -> None:
    """What is repeated is told once: of all there is, it would be four times as much."""
    assert (twenty / "index.html").stat().st_size < 270_000


def test_the_command_writes_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = ["page", "--folder", str(tmp_path), "--output", str(tmp_path / "site")]
    assert cli.main(call) == 2
    assert "has no report of any release of releases.toml" in capsys.readouterr().err
    write(file_of("2.13.0", tmp_path), of_torch())
    assert cli.main(call) == 0
    page = tmp_path / "site" / "index.html"
    assert page.is_file() and capsys.readouterr().out == f"{page}\n"


# In a browser


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture
def seen(shown: Browser) -> Iterator[Browser]:
    """The browser, which has nothing to complain of."""
    shown.show()
    yield shown
    assert not shown.complaints


ROWS = """[...document.querySelectorAll("table.changes tbody tr:not(.step)")]
.filter(row => row.checkVisibility()).map(row => row.cells[0].textContent)"""

NAMED = "document.activeElement.name || document.activeElement.textContent"

BELOW = """(() => {
const color = text => (c => c[3] === 0 ? null : c)(text.match(/[\\d.]+/g).map(Number));
const light = c => c.slice(0, 3).map(v => v / 255)
  .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const paper = e => e ? color(getComputedStyle(e).backgroundColor) || paper(e.parentElement) : null;
const ratio = e => { const [a, b] = [light(color(getComputedStyle(e).color)), light(paper(e))];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); };
document.querySelectorAll("details").forEach(d => d.open = true);
const kinds = "p,a,th,td,caption,figcaption,summary,h1,h2,h3,h4,pre,button,label";
return [...document.querySelectorAll(kinds)]
  .filter(e => e.checkVisibility() && e.textContent.trim() && ratio(e) < 4.5).map(e => e.outerHTML);
})()"""
"""Texts whose contrast is less than WCAG's 4.5."""


@in_a_browser
def test_filters_of_the_address_hide_rows(site: Path, seen: Browser) -> None:
    """And a part of the page that it names is opened."""
    seen.open(f"file://{site}/index.html?what=worse&optimizer=SGD#SGD-2.11.0")
    assert seen.evaluate(ROWS) == ["fails", "default changed"]
    assert seen.evaluate('document.getElementById("told").textContent') == "2 of 3 changes"
    assert seen.evaluate('document.getElementById("SGD").open')
    seen.open(f"file://{site}/index.html?release=2.10.0")
    assert seen.evaluate(ROWS) == []
    seen.open(f"file://{site}/index.html?what=nonsense")
    assert len(seen.evaluate(ROWS)) == 3


@in_a_browser
def test_the_keyboard_filters_and_goes_back(site: Path, seen: Browser) -> None:
    """From the first stop, which skips to what changed, to a filter that is part of the address."""
    seen.open(f"file://{site}/2.9.1-2.11.0.html")
    seen.press("Tab")
    assert seen.evaluate(NAMED) == "Skip to what changed"
    seen.press("Enter")
    assert seen.evaluate("location.hash") == "#changed"
    seen.press("Tab")
    assert seen.evaluate(NAMED) == "optimizer"
    seen.press("Tab")
    seen.press("ArrowDown")
    assert seen.evaluate("location.search") == "?what=worse"
    assert seen.evaluate(ROWS) == ["fails", "default changed"]
    seen.press("Tab")
    seen.press("Enter")
    seen.evaluate("new Promise(done => setTimeout(done))")
    assert (seen.evaluate("location.search"), len(seen.evaluate(ROWS))) == ("", 3)
    seen.evaluate("new Promise(done => { addEventListener('popstate', done); history.back(); })")
    assert seen.evaluate("location.search") == "?what=worse"
    assert seen.evaluate(ROWS) == ["fails", "default changed"]


@in_a_browser
def test_a_cell_leads_to_its_failure_and_a_place_to_its_command(site: Path, seen: Browser) -> None:
    seen.open(f"file://{site}/index.html")
    seen.evaluate('document.querySelector("table.places td.fails a").click()')
    assert seen.evaluate("location.hash") == "#SGD-2.11.0-fails"
    seen.evaluate("new Promise(done => setTimeout(done))")
    assert seen.evaluate('document.getElementById("SGD-2.11.0-fails").checkVisibility()')
    words = ["oracles", "check", "--rule", "SGD", "--path", "for-loop", "--dtype", "float64"]
    words += ["--dtype", "float32", "--device", "cpu", "-v"]
    button = 'document.querySelector("table.places button.copy")'
    assert seen.evaluate(f"{button}.getAttribute('aria-label')") == f"copy: {' '.join(words)}"
    assert cli._parser().parse_args(words[1:]).path == ["for-loop"]  # noqa: SLF001
    assert seen.evaluate('document.querySelectorAll("p > button.copy").length') >= 2


@in_a_browser
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280], ids=["phone", "desktop"])
@pytest.mark.parametrize("name", ["index.html", "2.9.1-2.11.0.html"])
def test_it_can_be_read(name: str, width: int, dark: bool, site: Path, seen: Browser) -> None:
    """Nothing is wider than the screen, and all text stands out from its ground."""
    seen.show(width=width, dark=dark)
    seen.open(f"file://{site}/{name}")
    assert seen.evaluate(BELOW) == []
    assert seen.evaluate("document.documentElement.scrollWidth") <= width


@in_a_browser
def test_twenty_releases_fit_on_a_phone(twenty: Path, seen: Browser) -> None:
    """Tables are wider, and are moved below a first column that stays; the newest is in view."""
    seen.show(width=390)
    seen.open(f"file://{twenty}/index.html")
    seen.evaluate('document.getElementById("SGD0").open = true')
    seen.evaluate("new Promise(done => setTimeout(done, 50))")
    assert seen.evaluate("document.documentElement.scrollWidth") <= 390
    for table in ("#standing", "#SGD0 table.places"):
        for which, left in (("th:first-child", 0), ("th:last-child", 300)):
            head = f'document.querySelector("{table} thead {which}").getBoundingClientRect()'
            assert left <= seen.evaluate(f"{head}.left") < seen.evaluate(f"{head}.right") <= 390
    cell = 'document.querySelector("#SGD0 table.places tbody td")'
    assert seen.evaluate(f"{cell}.colSpan") == 20
    assert seen.evaluate(f"{cell}.getBoundingClientRect().left") < 0
    side = seen.evaluate(
        'document.querySelector("#SGD0 table.places th").getBoundingClientRect().right'
    )
    text = f"{cell}.firstElementChild.getBoundingClientRect()"
    assert side <= seen.evaluate(f"{text}.left") < seen.evaluate(f"{text}.right") <= 390


@in_a_browser
def test_without_scripts_everything_is_there(site: Path, seen: Browser) -> None:
    seen.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        seen.open(f"file://{site}/index.html")
        tree = seen.call("Accessibility.getFullAXTree")["nodes"]
    finally:
        seen.call("Emulation.setScriptExecutionDisabled", value=False)
    texts = {node["name"]["value"] for node in tree if "name" in node}
    assert {"fails", "default changed", "Any two releases", "2.9.1 to 2.11.0: 2 worse"} <= texts
