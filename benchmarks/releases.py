"""``python -m benchmarks.releases``: how large a page of twenty releases is, and how soon it opens.

The releases are those of ``reports/``; what lacks at twenty is made of the newest of them, each
with one optimizer that has left its rule on all paths but one, so that its checks fail there. The
page is opened in headless Chromium, several times over, from a folder; the times are the browser's
own, from the start of the navigation to the end of its load event.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from oracles.reports import page
from oracles.reports.environments import releases
from oracles.reports.matrix import recorded
from oracles.reports.run_report import JsonLine, Kind, Result, RunReport
from tests.support.browser import THERE, Browser, browser

SENTENCE = "%s at step 1, parameter 0[0]: 1.5 is not in 1.25 ± 1.7e-08; lr=1.0 momentum=0.5"

LOADED = """(() => { const [n] = performance.getEntriesByType("navigation");
return [n.domContentLoadedEventEnd, n.loadEventEnd, n.transferSize]; })()"""


def with_synthetic(reports: dict[str, RunReport], number: int) -> dict[str, RunReport]:
    """So many releases: the real ones, and as many varied ones as are lacking."""
    newest = [*reports.values()][-1]
    names = newest.header["rules"]
    made = {f"9.{n}.0": varied(newest, names[n % len(names)]) for n in range(number - len(reports))}
    return {**reports, **made}


def varied(report: RunReport, optimizer: str) -> RunReport:
    """The report in which an optimizer fails on all paths but its default one."""
    return RunReport(report.header, tuple(_failing(line, optimizer) for line in report.lines))


def _failing(line: JsonLine, optimizer: str) -> JsonLine:
    asked = line["kind"] == Kind.CELL and line["outcome"] == Result.PASSED
    if not asked or line["optimizer"] != optimizer or line["path"] == "default":
        return line
    told = SENTENCE % f"{optimizer} [{line['path']}, {line['dtype']}, cpu]"
    return {**line, "outcome": Result.FAILED, "text": told, "command": "oracles check"}


def loads(found: Browser, address: str, times: int) -> list[float]:
    """Milliseconds until the load event is over, of each time it is opened."""
    seconds = []
    for _ in range(times):
        found.open("about:blank")
        found.open(address)
        seconds.append(found.evaluate(LOADED)[1])
    return seconds


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the page, measure it, and say what was measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.releases", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("reports"), help="of the reports")
    parser.add_argument("--releases", type=int, default=20, help="how many (default: %(default)s)")
    parser.add_argument("--times", type=int, default=9, help="it is opened (default: %(default)s)")
    options = parser.parse_args(arguments)
    reports = with_synthetic(recorded(releases(), options.folder), options.releases)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        site = Path(name) / "site"
        start = time.process_time()
        page.write(site, reports)
        print(f"{len(reports)} releases, made in {time.process_time() - start:.1f} CPU seconds")
        size = (site / "index.html").stat().st_size
        whole = sum(path.stat().st_size for path in site.iterdir())
        print(f"index.html {size / 1e6:.2f} MB; all {len([*site.iterdir()])} {whole / 1e6:.1f} MB")
        if not THERE:
            print("there is no chromium here: not opened")
            return 0
        with browser(Path(name) / "browser") as found:
            took = loads(found, f"file://{site}/index.html", options.times)
        print(
            f"opened {len(took)} times: median {statistics.median(took):.0f} ms, "
            f"slowest {max(took):.0f} ms"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
