"""Third-party packages, held to what they claim: ``PACKAGES.md``.

``python -m benchmarks.packages --write`` installs each package of ``packages.toml`` in an
environment of its own, which sees what is installed here (torch first of all) and is removed
afterwards, and asks its classes as ``oracles check`` does. The page is written after each package;
sections of packages that are not asked this time stay as they are.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from packaging.version import Version

from oracles.files import write
from oracles.harness.arithmetic.formats import DTYPES
from oracles.report import Claim
from oracles.reports import environments
from oracles.reports.environments import DISTRIBUTION, NotMade
from oracles.reports.text import line

TABLE = Path(__file__).with_suffix(".toml")

PAGE = Path(__file__).parents[1] / "PACKAGES.md"

UNKNOWN = "no known rule"

SECONDS = 300.0
"""For one class; five to fifteen are usual."""

INTRODUCTION = """\
# Packages

What optimizers of other packages follow, and what they say that they follow. `oracles check` asked
each class, as it asks anybody's: for the parameters that it computes, and for the promises that
whoever calls a step relies on. A claim is what the package's documentation says, in the words of
this project: a rule of the registry with its conventions, or one of its own, which must then be
none that is known. Where documentation is silent about a line (what an ε is added to, by which rate
a decay is scaled) the source was read. **Bold** is what is not as claimed; why it is so was read in
the source, too. Radii are those of torch's own enclosure: 1 is torch's standard, and far more means
that a class computes in a shorter format than that of its parameters.

`python -m benchmarks.packages --write` writes this page, from `benchmarks/packages.toml`; do not
edit it.
"""


@dataclass(frozen=True)
class Asked:
    """One class of a package.

    Attributes:
        subject: where it is imported from, as ``module:name``.
        claims: the rule that its documentation says it follows; empty if that is one of its own.
        own: what it calls a rule of its own.
        fixed: arguments that it is always given.
        names: torch's names of arguments, and its own for them, where nobody would guess.
        note: what its source does otherwise than it says.
    """

    subject: str
    claims: str = ""
    own: str = ""
    fixed: Mapping[str, Any] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    note: str = ""

    @property
    def name(self) -> str:
        return self.subject.partition(":")[2]

    @property
    def claim(self) -> str:
        """What is claimed, as reports write it."""
        return str(Claim.of(self.claims)) if self.claims else UNKNOWN


@dataclass(frozen=True)
class Package:
    """A package that is asked.

    Attributes:
        name: under which it is installed.
        version: of it.
        needs: what it cannot be imported without, beside what there is here.
        classes: those of it that are asked.
    """

    name: str
    version: str
    classes: Sequence[Asked]
    needs: Sequence[str] = ()


def packages(path: Path = TABLE) -> list[Package]:
    """The table.

    Raises:
        ValueError: it is no TOML.
        TypeError: an entry lacks something, or has something that is not known.
    """
    tables = tomllib.loads(path.read_text(encoding="utf-8"))["package"]
    return [
        Package(**{**table, "classes": [Asked(**one) for one in table["classes"]]})
        for table in tables
    ]


def ask(package: Package, seconds: float = SECONDS) -> Iterator[tuple[Asked, Any]]:
    """The report on each class, as plain data; or why there is none.

    Raises:
        NotMade: the package could not be installed.
    """
    with tempfile.TemporaryDirectory(prefix="oracles-", ignore_cleanup_errors=True) as name:
        room = Path(name)
        wanted = [f"{package.name}=={package.version}", *package.needs]
        python = environments.make(room / "env", ["--no-deps", *wanted])
        lend(python)
        for asked in package.classes:
            yield asked, _report(python, room, asked, seconds)


def lend(python: Path) -> None:
    """Let another environment see what is installed in this one, after its own."""
    home = environments.packages(python)
    home.joinpath("lent.pth").write_text("\n".join(p for p in sys.path if p))


def _report(python: Path, room: Path, asked: Asked, seconds: float) -> Any:
    options = [f"--fixed={name}={value}" for name, value in asked.fixed.items()]
    options += [f"--name={name}={own}" for name, own in asked.names.items()]
    command = ["check", asked.subject, "--json", f"--time-limit={seconds:g}", *options]
    try:
        told = environments.run([python, "-m", "oracles.cli", *command], room, (0, 1), apart=True)
    except NotMade as error:
        return str(error).splitlines()[-1]
    return json.loads(told)


def section(package: Package, reports: Sequence[tuple[Asked, Any]]) -> str:
    """What is said of a package, as Markdown."""
    torch = Version(version("torch")).base_version
    head = [
        f"## {package.name} {package.version}",
        "",
        f"Asked with torch {torch}, by {DISTRIBUTION} {version(DISTRIBUTION)}.",
        "",
        line(("class", "claims", "follows", *DTYPES, "breaks")),
        line(["---", "---", "---", *["---:"] * len(DTYPES), "---"]),
    ]
    notes = [f"* `{asked.name}`: {asked.note}" for asked, _ in reports if asked.note]
    rows = [line(row(*each)) for each in reports]
    return "\n".join([*head, *rows, *([""] if notes else []), *notes]) + "\n"


def row(asked: Asked, report: Any) -> list[str]:
    """A class as a row of its package's table."""
    claimed = asked.claim if asked.claims else asked.own
    first = [f"`{asked.name}`{_given(asked.fixed)}", claimed]
    if isinstance(report, str) or report["rule"] is None:
        told = report if isinstance(report, str) else report["summary"]
        return [*first, f"**{told}**", *[""] * len(DTYPES), ""]
    follows = follows_of(report["rule"])
    radii = {figure["dtype"]: figure["radii"] for figure in report["accuracy"]}
    figures = [_figure(radii, dtype) for dtype in DTYPES]
    broken = [one["name"] for one in report["promises"] if one["word"] == "broken"]
    return [
        *first,
        follows if holds(asked, report["rule"]) else f"**{follows}**",
        *figures,
        ", ".join(broken),
    ]


def holds(asked: Asked, found: Any) -> bool:
    """Whether what is followed is what is claimed: everywhere, with all arguments heeded."""
    if not asked.claims:
        return not (found["fits"] or found["fault"])
    claim = Claim.of(asked.claims)
    lines = claim.names or {claim.rule.torch.name}
    return not (found["exceptions"] or found["ignores"]) and any(
        fit["rule"] == claim.rule.name and {*fit["conventions"]} == lines and not fit["arguments"]
        for fit in found["fits"]
    )


def follows_of(found: Any) -> str:
    """What is followed, as the line that can be quoted says it."""
    _, _, follows = found["summary"].partition(" follows ")
    return follows if found["fits"] else found["fault"] or UNKNOWN


def _given(fixed: Mapping[str, Any]) -> str:
    return f" ({', '.join(f'{name}={value}' for name, value in fixed.items())})" if fixed else ""


def _figure(radii: Mapping[str, float | None], dtype: str) -> str:
    if dtype not in radii:
        return ""
    return "∞" if (found := radii[dtype]) is None else f"{found:.2g}"


def sections(page: str) -> dict[str, str]:
    """A page's sections by the names of packages."""
    _, *parts = page.split("\n## ")
    return {part.split()[0]: f"## {part.rstrip()}\n" for part in parts}


def text(known: Mapping[str, str], order: Sequence[str]) -> str:
    """The page, of all sections that there are."""
    return "\n".join([INTRODUCTION, *(known[name] for name in order if name in known)])


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.packages", description=__doc__)
    table = packages()
    names = [package.name for package in table]
    parser.add_argument("--only", action="append", choices=names, metavar="NAME")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    parser.add_argument("--time-limit", type=float, default=SECONDS, metavar="SECONDS")
    options = parser.parse_args(arguments)
    failed = 0
    for package in table:
        if package.name not in (options.only or names):
            continue
        try:
            told = section(package, list(ask(package, options.time_limit)))
        except NotMade as error:
            print(f"{package.name}: {error}", file=sys.stderr)
            failed = 1
            continue
        print(told, flush=True)
        if options.write:
            known = sections(PAGE.read_text("utf-8")) if PAGE.exists() else {}
            write(PAGE, text({**known, package.name: told}, names).encode())
    return failed


if __name__ == "__main__":
    sys.exit(main())
