"""Does the ledger of the loop name what there is, whatever torch is installed?

That each row is still there, and only there, is asked by ``test_checks.py``.
"""

from __future__ import annotations

import ast
from collections import Counter

import pytest

from oracles.harness.deviations.flaws import Flaw, flaws
from oracles.harness.loop.catalogue import PARTS, questions

ROWS = pytest.mark.parametrize("row", flaws(), ids=lambda row: row.id)


def test_names_are_unique() -> None:
    assert [name for name, count in Counter(row.id for row in flaws()).items() if count > 1] == []


@ROWS
def test_a_row_names_what_is_known(row: Flaw) -> None:
    """A row may name questions that an older torch cannot be asked, of parts that it lacks."""
    assert set(row.parts) <= set(PARTS)
    for part in row.parts:
        asked = {question.name: question for question in questions(part)}
        for name in set(row.questions) & set(asked):
            assert row.region in asked[name].regions, f"{part}: {name} knows no {row.region!r}"


@ROWS
def test_a_row_is_about_a_question(row: Flaw) -> None:
    """One at least, of each of its parts that this torch has."""
    for part in row.parts:
        if asked := {question.name for question in questions(part)}:
            assert asked & set(row.questions), f"{part} is asked nothing that {row.id} is about"


@ROWS
def test_a_reproducer_is_a_program(row: Flaw) -> None:
    assert ast.parse(row.reproducer).body
    assert row.reason.strip()
    assert not row.upstream or row.upstream.startswith("https://github.com/")
