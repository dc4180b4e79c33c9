"""``MUTATION.md``: what survives of torch's files when one place of them is changed."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterator, Mapping, Sequence

import torch
from packaging.version import Version

from tests.meta.harmless import HARMLESS, Row
from tests.meta.hunt import Effort, Outcome
from tests.meta.questions import AROUND

Found = Mapping[str, Sequence[Outcome]]
"""Outcomes of the mutants of each file, by its name."""

COMMAND = "python -m tests.meta.mutants --report MUTATION.md"

INTRODUCTION = """\
# What survives

One place of a file of torch is changed at a time, as a slip of the pen could change it: a
comparison, an operator, a number, an argument, a call, a statement left out. Then the suite's
questions are asked of it: {examples} cases of each check of weight 1 on every path and dtype of the
CPU, and the tests that ask a class what it keeps, refuses, loads and differentiates. `lbfgs.py`,
which no general check asks, is asked its recorded runs and its own tests; schedules, averages,
clipping and the scaler are asked the questions of their parts. A mutant is *caught* if an answer is
wrong, or if it cannot be imported, crashes or never ends.

What survives is either the same program, or one that a CPU outside of a compiler cannot tell from
it (*reasons*, below), or a *hole*: something that nobody asks, and that is known. Reasons are rows
of [`harmless.py`](tests/meta/harmless.py), which name the places they excuse. A survivor for which
nobody has written down why makes the command fail.

This page is written by `{command}`
with torch {torch} (its CPU build) and Hypothesis {hypothesis}; the cases are always the same.
`--jobs N` asks N mutants at a time; `--optimizer adam` asks about one file and prints survivors.
With all files of one of the two chapters, the report writes that chapter and leaves the other.
"""

STEP, LOOP = "The step", "Around the step"
"""The two chapters."""

NOT_MUTATED = """\
# What is not mutated

* Annotations, docstrings, the texts of errors, and code outside of functions.
* `optimizer.py`, the base class, which holds no rule.
* Kernels in C++: of fused and foreach steps it is the Python around them that is changed.
"""


def text(found: Found, page: str = "") -> str:
    """The page; chapters of which there is no file stay as they are in ``page``."""
    introduction = INTRODUCTION.format(
        command=COMMAND,
        examples=Effort().examples,
        torch=Version(torch.__version__).base_version,
        hypothesis=importlib.metadata.version("hypothesis"),
    )
    chapters = [
        _chapter(title, own) if own else _kept(title, page)
        for title, own in chaptered(found).items()
    ]
    unneeded = _stale(found) if all(chaptered(found).values()) else ()
    parts = [introduction, *filter(None, chapters), *unneeded, NOT_MUTATED]
    return "\n".join(part.strip("\n") + "\n" for part in parts)


def chaptered(found: Found) -> dict[str, Found]:
    """The files of each chapter."""
    around = {str(target) for target in AROUND}
    return {
        STEP: {name: own for name, own in found.items() if name not in around},
        LOOP: {name: own for name, own in found.items() if name in around},
    }


def _chapter(title: str, found: Found) -> str:
    parts = _table(found), _reasons(found), _holes(found), _unexplained(found)
    return "\n".join([f"# {title}\n", *(line for part in parts for line in part)])


def _kept(title: str, page: str) -> str:
    there = re.search(rf"^# {title}\n.*?(?=^# |\Z)", page, re.MULTILINE | re.DOTALL)
    return there.group() if there else ""


def stale(found: Found, rows: Sequence[Row] = HARMLESS) -> list[Row]:
    """Rows that excuse nothing any more."""
    used = {id(outcome.row) for own in found.values() for outcome in own}
    return [row for row in rows if id(row) not in used]


def _table(found: Found) -> Iterator[str]:
    yield "| file | mutants | caught | survive with a reason | known holes | without a reason |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    every = [outcome for own in found.values() for outcome in own]
    for name, own in [*((f"`{name}.py`", found[name]) for name in found), ("together", every)]:
        caught = sum(bool(o.caught) for o in own)
        holes = sum(o.row is not None and o.row.hole for o in own)
        open_ = sum(o.unexplained for o in own)
        counts = (len(own), caught, len(own) - caught - holes - open_, holes, open_)
        yield f"| {name} | {' | '.join(map(str, counts))} |"
    yield ""


def _reasons(found: Found) -> Iterator[str]:
    yield "## Reasons\n"
    yield "| survivors | in | why they are no hole |"
    yield "| ---: | --- | --- |"
    by_reason = _by_reason(found, hole=False)
    for why in sorted(by_reason, key=lambda why: (-len(by_reason[why]), why)):
        files = ", ".join(dict.fromkeys(name for name, _ in by_reason[why]))
        yield f"| {len(by_reason[why])} | {files} | {why} |"
    yield ""


def _holes(found: Found) -> Iterator[str]:
    yield "## Known holes\n"
    by_reason = _by_reason(found, hole=True)
    for why, own in by_reason.items():
        yield f"{why} ({len(own)}):\n"
        yield from (f"* {_line(name, outcome)}" for name, outcome in own)
        yield ""
    if not by_reason:
        yield "None.\n"


def _unexplained(found: Found) -> Iterator[str]:
    own = [(name, o) for name, outcomes in found.items() for o in outcomes if o.unexplained]
    if own:
        yield "## Without a reason\n"
        yield from (f"* {_line(name, outcome)}" for name, outcome in own)
        yield ""


def _stale(found: Found) -> Iterator[str]:
    if rows := stale(found):
        yield "\n".join(["# Reasons that nothing needs any more\n", *(f"* {row}" for row in rows)])


def _by_reason(found: Found, *, hole: bool) -> dict[str, list[tuple[str, Outcome]]]:
    grouped: dict[str, list[tuple[str, Outcome]]] = {}
    for name, own in found.items():
        for outcome in own:
            if outcome.row is not None and outcome.row.hole == hole:
                grouped.setdefault(outcome.row.text, []).append((name, outcome))
    return grouped


def _line(name: str, outcome: Outcome) -> str:
    """A mutant in a list: where it is and what becomes what."""
    mutant = outcome.mutant
    change = str(mutant).split(": ", 1)[1].replace("`", "'")
    return f"`{name}.py:{mutant.line}` {mutant.function}: `{change}`"
