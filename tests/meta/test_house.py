"""How the tests are kept: what several of them need is in ``support``, and names are short."""

from __future__ import annotations

import ast
import fnmatch
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
LONGEST = 100
"""Characters of a test's name, with what stands in its brackets."""


@dataclass
class Value:
    """A value of a table, as far as it is looked at when it is collected."""

    nodeid: str
    marks: list[pytest.Mark]

    def get_closest_marker(self, name: str) -> pytest.Mark | None:
        return next((mark for mark in self.marks if mark.name == name), None)

    def add_marker(self, marker: pytest.MarkDecorator) -> None:
        self.marks.append(marker.mark)


def imported(text: str) -> Iterator[str]:
    """Dotted names of all that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_no_test_module_is_imported() -> None:
    """What two of them need is in ``tests/support``."""
    modules = {file.stem for file in TESTS.rglob("test_*.py")}
    texts = {file: file.read_text(encoding="utf-8") for file in TESTS.rglob("*.py")}
    found = {
        f"{file.relative_to(TESTS)} imports {name}"
        for file, text in texts.items()
        if modules & {*re.findall(r"\w+", text)}  # few are named at all: parsing takes long
        for name in imported(text)
        if modules & set(name.split("."))
    }
    assert not found


def test_of_a_table_one_value_in_so_many_is_asked(request: pytest.FixtureRequest) -> None:
    """The first, and on: of those that are not slow anyway."""
    (thin,) = (
        plugin.pytest_collection_modifyitems
        for plugin in request.config.pluginmanager.get_plugins()
        if getattr(plugin, "__file__", None) == str(TESTS.parent / "conftest.py")
    )
    marked = [pytest.mark.one_in(3).mark]
    items = [Value(f"a.py::test[{n}]", marked.copy()) for n in range(8)]
    items[1].add_marker(pytest.mark.slow)
    others = [Value("a.py::test_more[0]", marked.copy()), *(Value("a.py::plain", []) for _ in "ab")]
    thin([*items, *others])
    assert [n for n in range(8) if not items[n].get_closest_marker("slow")] == [0, 4, 7]
    assert not [other.nodeid for other in others if other.get_closest_marker("slow")]


def test_names_are_short(request: pytest.FixtureRequest) -> None:
    """Of all tests that this run has collected."""
    assert not [item.name for item in request.session.items if len(item.name) >= LONGEST]


def test_the_guide_names_each_module_and_none_that_is_gone() -> None:
    """A name with a star stands for several, one in brackets for each rule's."""
    guide = (TESTS / "README.md").read_text(encoding="utf-8")
    told = {*re.findall(r"[\w*/]+\.py", guide)} - {"oracles/harness/checks/catalogue.py"}
    rules = (TESTS.parent / "oracles" / "optimizers").glob("*.py")
    told_together = told | {f"test_{file.name}" for file in rules}
    there = {f"{file}" for file in TESTS.rglob("*.py") if file.name != "__init__.py"}
    assert not [name for name in told if not fnmatch.filter(there, f"*/{name}")]
    assert not there.difference(*(fnmatch.filter(there, f"*/{name}") for name in told_together))


def test_the_map_of_the_house_is_whole() -> None:
    """Each room, and each file that is in none of the rooms, and nothing that is gone."""
    page = (TESTS.parent / "docs" / "inside.md").read_text(encoding="utf-8")
    told = page.partition("```text")[2].partition("```")[0]
    package = TESTS.parent / "oracles"
    rooms = {f"{file.parent.name}/" for file in package.rglob("*.py")}
    named = set(re.findall(r"\w+/|\w+\.py", told))
    assert named >= rooms | {file.name for file in package.glob("*.py")}
    assert named <= rooms | {file.name for file in package.rglob("*.py")}
