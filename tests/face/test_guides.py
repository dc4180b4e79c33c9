"""What the README and the guides show is what comes."""

from __future__ import annotations

import doctest
import importlib.util
import re
import shlex
from pathlib import Path
from types import ModuleType

import pytest

from oracles import cli
from oracles.explanation import ALL

ROOT = Path(__file__).parents[2]

PAGES = {
    page.name: page.read_text("utf-8") for page in (ROOT / "README.md", *ROOT.glob("docs/*.md"))
}

BLOCK = re.compile(r"```(?:console|text)\n\$ oracles ([^\n]*)\n(?!```)(.+?)```", re.DOTALL)

QUICK = ("explain", "translate")
"""Commands that say the same anywhere, in a moment."""

SHOWN = [
    (name, call, said)
    for name, page in PAGES.items()
    for call, said in BLOCK.findall(page)
    if call.startswith(QUICK)
]

SESSIONS = [name for name, page in PAGES.items() if ">>> " in page]


def test_there_is_something_to_hold_them_to() -> None:
    assert {call.split()[0] for _, call, _ in SHOWN} == {*QUICK}
    assert "learning_rates.md" in SESSIONS


@pytest.mark.parametrize(
    ("name", "call", "said"), SHOWN, ids=[" ".join(call.split()[:2]) for _, call, _ in SHOWN]
)
def test_a_command_prints_what_is_shown(
    name: str,
    call: str,
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    cli.main(shlex.split(call))
    printed = capsys.readouterr().out
    same = doctest.OutputChecker().check_output(said, printed, doctest.ELLIPSIS)
    assert same, f"{name} shows\n{said}and what comes is\n{printed}"


@pytest.mark.slow
@pytest.mark.parametrize("name", SESSIONS)
def test_a_session_gives_what_is_shown(name: str) -> None:
    written: list[str] = []
    session = doctest.DocTestParser().get_doctest(PAGES[name], {}, name, name, 0)
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS)
    assert runner.run(session, out=written.append).failed == 0, "".join(written)


# Links

LINKED = re.compile(r"(?<=\]\()(?!\w+:|#)[^)#\s]+")
"""What a link leads to, where that is a file."""


def links() -> ModuleType:
    """Where the links of the guides lead on the site."""
    spec = importlib.util.spec_from_file_location("links", ROOT / "docs" / "links.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_links_lead_somewhere_in_the_repository() -> None:
    pages = [*ROOT.glob("docs/*.md"), *ROOT.glob("*.md"), ROOT / "tests" / "README.md"]
    for page in pages:
        for link in LINKED.findall(page.read_text("utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_links_of_guides_lead_somewhere_on_the_site() -> None:
    """Its pages are the guides and pictures, and those that are made of the package."""
    site = links()
    made = {"rules/index.md", "schedules/index.md", "deviations.md"}
    made |= {f"rules/{name}.md" for name in ALL}
    there = made | {path.name for path in ROOT.glob("docs/*") if path.suffix != ".py"}
    assert {*site.PAGES.values()} <= made
    for page in ROOT.glob("docs/*.md"):
        for link in LINKED.findall(site.to_site(page.read_text("utf-8"))):
            assert link in there, f"{page.name}: {link}"


def test_the_site_shows_each_guide() -> None:
    shown = re.findall(r": (\S+\.md)$", (ROOT / "mkdocs.yml").read_text("utf-8"), re.MULTILINE)
    assert sorted(shown) == sorted(page.name for page in ROOT.glob("docs/*.md"))
