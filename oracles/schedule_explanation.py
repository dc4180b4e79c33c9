"""explain, for learning-rate schedules: what a schedule's file says, and its timings."""

from __future__ import annotations

import inspect
import shutil
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from oracles.explanation import settings, side_by_side, without_marks
from oracles.loop.part import Part
from oracles.naming import unknown
from oracles.schedules import composed, plateau
from oracles.schedules.registry import KNOWN, PARTS
from oracles.schedules.schedule import Schedule, Timing

ALL = (*KNOWN, *PARTS)
"""Schedules that can be explained, by name."""

BASE, EPOCHS = 0.1, 200
"""From which rate, and for how long timings are held against each other."""


@dataclass(frozen=True)
class Line:
    """One variant of a schedule.

    Attributes:
        name, equation, source: of it.
        numbers: the first epoch in which it is not the first variant, and what must be set for it;
            empty if there is none.
    """

    name: str
    equation: str
    source: str
    numbers: str


@dataclass(frozen=True)
class ScheduleExplanation:
    """What is to be said of a schedule.

    Attributes:
        name: torch's class, or what others call theirs.
        title: one line.
        theory: what its file says.
        symbols: what the letters stand for.
        first: torch's variant, or that of whoever gave it its name.
        others: those to be told from it.
        defaults: settings under which the numbers are computed.
        torchs: whether torch has it.

    >>> print(explain_schedule("LinearLR", "from_one").others[0].numbers)
    epoch 0: torch 0.03333, from_one 0.04667
    """

    name: str
    title: str
    theory: str
    symbols: str
    first: Line
    others: tuple[Line, ...]
    defaults: str
    torchs: bool = True

    @property
    def follows(self) -> str:
        """Which variant is the first."""
        if self.torchs:
            return f"torch follows {self.first.name}"
        return f"torch has none; by this name it is {self.first.name}"

    def __str__(self) -> str:
        """For people, in as many columns as the terminal has, 100 elsewhere."""
        width = max(80, shutil.get_terminal_size((100, 24)).columns)
        parts = self._one(self.others[0], width) if len(self.others) == 1 else self._all(width)
        return "\n\n".join(part.strip("\n") for part in parts)

    def _one(self, other: Line, width: int) -> Iterator[str]:
        """One variant beside torch's."""
        whose = "torch's " if self.torchs else ""
        yield f"{self.name}: {other.name} beside {whose}{self.first.name}"
        for heading, *lines in (
            ("torch" if self.torchs else self.first.name, self.first.equation, self.first.source),
            (other.name, other.equation, other.source),
            ("where it shows first", other.numbers or "in no epoch, under these settings"),
            ("the letters", self.symbols),
        ):
            filled = (textwrap.fill(line, width - 4) for line in lines)
            yield "\n".join([heading, textwrap.indent("\n".join(filled), "    ")])
        if self.defaults:
            yield textwrap.fill(self.defaults, width)

    def _all(self, width: int) -> Iterator[str]:
        """The schedule and its variants."""
        yield self.title
        yield self.theory
        yield f"{self.follows}\n\n{self.first.equation}\n({self.first.source})"
        yield _table(self.others, width)
        if self.defaults:
            yield textwrap.fill(self.defaults, width)
        sources = (f"{line.name}: {line.source}" for line in self.others)
        yield "\n".join(textwrap.fill(line, width, subsequent_indent="    ") for line in sources)

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "schedule": self.name,
            "title": self.title,
            "theory": self.theory,
            "symbols": self.symbols,
            "torchs": self.torchs,
            "first": vars(self.first),
            "timings": [vars(line) for line in self.others],
            "defaults": self.defaults,
        }


def explain_schedule(name: str, timing: str | None = None) -> ScheduleExplanation:
    """Say what a schedule computes, and what else may be taken for it.

    Args:
        name: a class of ``torch.optim.lr_scheduler``, SWALR, or what others call a schedule that
            torch has not: a function of transformers, a class of timm.
        timing: the only variant to be set beside the first, by name (default: all).

    Raises:
        ValueError: there is no schedule, or no timing of it, of that name.

    >>> explain_schedule("StepLR").title
    'Decay every few epochs: torch.optim.lr_scheduler.StepLR.'
    >>> print(explain_schedule("get_linear_schedule_with_warmup").others[0].numbers)
    epoch 0: from_zero 0, from_one 0.01
    """
    if name not in ALL:
        raise ValueError(unknown(f"schedule={name!r} is not known", name, ALL))
    if name in KNOWN:
        return _of_schedule(KNOWN[name], timing)
    return _of_part(PARTS[name], timing)


def _of_schedule(schedule: Schedule, timing: str | None) -> ScheduleExplanation:
    title, theory = _theory(inspect.getmodule(schedule.settings))
    first = schedule.torch
    others = [
        Line(own.name, own.equation, own.source, _numbers(schedule, own))
        for own in schedule.timings[1:]
    ]
    values = settings(schedule.settings()._asdict())
    defaults = f"Numbers are of a base rate of {BASE}, with {', '.join(values)} where not said."
    line = Line(first.name, first.equation, first.source, "")
    chosen = _chosen(schedule.name, others, timing)
    return ScheduleExplanation(
        schedule.name,
        title,
        theory,
        schedule.symbols,
        line,
        chosen,
        defaults,
        bool(schedule.home),
    )


def _of_part(part: Part, timing: str | None) -> ScheduleExplanation:
    title, theory = _theory(plateau if part is plateau.PART else composed)
    first, *others = (Line(v.name, v.equation, v.source, "") for v in part.variants)
    chosen = _chosen(part.name, others, timing)
    return ScheduleExplanation(part.name, title, theory, part.symbols, first, chosen, "")


def _chosen(name: str, others: list[Line], timing: str | None) -> tuple[Line, ...]:
    """All variants, or the one of a name.

    Raises:
        ValueError: there is none.
    """
    if timing is None:
        return tuple(others)
    chosen = tuple(line for line in others if line.name == timing)
    if not chosen:
        known = [line.name for line in others]
        raise ValueError(unknown(f"timing={timing!r} of {name} is not known", timing, known))
    return chosen


def _theory(module: Any) -> tuple[str, str]:
    """The first line of what a file says, and the rest."""
    title, _, theory = (inspect.getdoc(module) or "").partition("\n\n")
    return without_marks(" ".join(title.split())), without_marks(theory)


def _numbers(schedule: Schedule, timing: Timing) -> str:
    """The first epoch in which two timings give rates that four digits tell apart."""
    for changed in _telling(schedule, timing):
        s = schedule.settings(**changed)
        last = schedule.last(s)
        for t in range(EPOCHS if last is None else last + 1):
            one, other = (f"{float(own.rate(t, BASE, s)):.4g}" for own in (schedule.torch, timing))
            if one != other:
                said = f"{', '.join(settings(changed))}, " if changed else ""
                whose = "torch" if schedule.home else schedule.torch.name
                return f"{said}epoch {t}: {whose} {one}, {timing.name} {other}"
    return ""


def _telling(schedule: Schedule, timing: Timing) -> Iterator[dict[str, Any]]:
    """Settings that are not the default ones: none, one, or whatever shows the timing."""
    yield {}
    ends = {**schedule.draws, **timing.shows}
    for name, own in ends.items():
        yield {name: own[-1] if isinstance(own, list) else own[1]}
    yield {name: own[-1] if isinstance(own, list) else own[1] for name, own in ends.items()}


def _table(others: tuple[Line, ...], width: int) -> str:
    """The variants side by side."""
    columns = {"its line": 5}
    if any(line.numbers for line in others):
        columns["where it shows first"] = 4
    rows = [(line.name, line.equation, line.numbers)[: 1 + len(columns)] for line in others]
    return side_by_side("timing", columns, rows, width)
