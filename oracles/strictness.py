"""The strict question: is a class a clone of torch's, names, states, paths, edges and all?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from hypothesis import settings

from oracles.harness.promise import Line, Word
from oracles.harness.runs import profiles
from oracles.harness.runs.outcome import FAILED, OK, outcome
from oracles.harness.runs.tally import Tally
from oracles.harness.runs.walk import Task, walk_checks
from oracles.rule import Rule

WORDS = {OK: Word.KEPT, FAILED: Word.BROKEN}


def questions(cls: type, rule: Rule, profile: str) -> Iterator[tuple[str, Callable[[], Line]]]:
    """The checks that torch's class is asked, but for what torch is known to get wrong.

    The default is the short profile, in which Hypothesis draws the same cases each time.
    """
    from oracles.harness.subjects.selection import select

    there, _ = select(rule, optimizer=cls)
    for task in walk_checks(rule):
        yield task.name, partial(_asked, task, there, "ci" if profile == "default" else profile)


def _asked(task: Task, subjects: list[Any], profile: str) -> Line:
    """One of them in a profile; that of whoever calls comes back."""
    before = settings.get_current_profile_name()
    profiles.load(profile)
    try:
        told = outcome(partial(task.run, subjects), Tally())
    finally:
        settings.load_profile(before)
    return Line(task.name, WORDS.get(told.word, Word.NOT_ASKED), told.text.split("\n")[0])
