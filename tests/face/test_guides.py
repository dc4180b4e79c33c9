"""What the README and the guides show is what comes."""

from __future__ import annotations

import doctest
import re
import shlex
from pathlib import Path

import pytest

from oracles import cli

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


@pytest.mark.parametrize("name", SESSIONS)
def test_a_session_gives_what_is_shown(name: str) -> None:
    written: list[str] = []
    session = doctest.DocTestParser().get_doctest(PAGES[name], {}, name, name, 0)
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS)
    assert runner.run(session, out=written.append).failed == 0, "".join(written)
