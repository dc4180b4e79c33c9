"""The examples print what they say they print."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from textwrap import dedent

import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))
SAID = re.compile(r'^""".*?\n\nIt prints:\n\n(.*?)\n"""', re.DOTALL)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_prints_what_it_says(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = SAID.match(path.read_text(encoding="utf-8"))
    assert said is not None
    runpy.run_path(str(path), run_name="__main__")
    assert capsys.readouterr().out.strip() == dedent(said[1]).strip()


def test_there_are_some() -> None:
    assert EXAMPLES
