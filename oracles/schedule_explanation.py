"""explain, for schedules and other parts of the loop: what a file says, and the variants in it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from oracles.explanation import settings, side_by_side, without_marks
from oracles.layout import INDENTED, fill, narrowed
from oracles.loop.part import Part
from oracles.loop.registry import PARTS_OF_LOOP
from oracles.naming import unknown
from oracles.schedules.registry import KNOWN, PARTS
from oracles.schedules.schedule import Schedule, Timing

ALL = (*KNOWN, *PARTS)
"""Schedules that can be explained, by name."""

LOOP = (*ALL, *PARTS_OF_LOOP)
"""These, and the other parts of the loop."""

VARIANTS = {"schedule": "timing", "part": "variant"}
"""What ways of doing it are called."""

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
    """What is to be said of a schedule, or of another part of the loop.

    Attributes:
        name: torch's class or function, or what others call theirs.
        title: one line.
        theory: what its file says.
        symbols: what the letters stand for.
        first: torch's variant, or that of whoever gave it its name.
        others: those to be told from it.
        defaults: settings under which the numbers are computed; empty if none are.
        torchs: whether torch has it.
        kind: what it is: a schedule, or a part.

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
    kind: str = "schedule"

    @property
    def follows(self) -> str:
        """Which variant is the first."""
        if self.first.name == "torch":
            return "in torch"
        if self.torchs:
            return f"torch follows {self.first.name}"
        return f"torch has none; by this name it is {self.first.name}"

    def __str__(self) -> str:
        """For people, in as many columns as the terminal has, 100 elsewhere."""
        parts = self._one(self.others[0]) if len(self.others) == 1 else self._all()
        return "\n\n".join(part.strip("\n") for part in parts)

    def _one(self, other: Line) -> Iterator[str]:
        """One variant beside torch's."""
        whose = "torch's " if self.torchs else ""
        numbers = other.numbers or "in no epoch, under these settings"
        yield f"{self.name}: {other.name} beside {whose}{self.first.name}"
        for heading, *lines in (
            ("torch" if self.torchs else self.first.name, self.first.equation, self.first.source),
            (other.name, other.equation, other.source),
            *([("where it shows first", numbers)] if self.defaults else []),
            ("the letters", self.symbols),
        ):
            yield "\n".join([heading, *(fill(line, *INDENTED) for line in lines)])
        if self.defaults:
            yield fill(self.defaults)

    def _all(self) -> Iterator[str]:
        """The schedule and its variants."""
        yield fill(self.title)
        yield narrowed(self.theory)
        first = self.first
        yield f"{self.follows}\n\n{fill(first.equation)}\n{fill(f'({first.source})')}"
        if not self.others:
            return
        yield _table(VARIANTS[self.kind], self.others)
        if self.defaults:
            yield fill(self.defaults)
        sources = (f"{line.name}: {line.source}" for line in self.others)
        yield "\n".join(fill(line, hanging="    ") for line in sources)

    def to_json(self) -> dict[str, Any]:
        """As plain data.

        >>> [*explain_schedule("StepLR").to_json()][-2:]
        ['timings', 'defaults']
        >>> [*explain_schedule("GradScaler").to_json()][-2:]
        ['variants', 'defaults']
        """
        return {
            self.kind: self.name,
            "title": self.title,
            "theory": self.theory,
            "symbols": self.symbols,
            "torchs": self.torchs,
            "first": vars(self.first),
            f"{VARIANTS[self.kind]}s": [vars(line) for line in self.others],
            "defaults": self.defaults,
        }


def explain_schedule(name: str, timing: str | None = None) -> ScheduleExplanation:
    """Say what a schedule or another part of the loop does, and what else may be taken for it.

    Args:
        name: a class of ``torch.optim.lr_scheduler``, SWALR, or what others call a schedule that
            torch has not: a function of transformers, a class of timm; or a part such as
            ``GradScaler`` or ``clip_grad_norm_``.
        timing: the only variant to be set beside the first, by name (default: all); the first's
            name shows that alone.

    Raises:
        ValueError: there is no schedule or part, or no variant of it, of that name.

    >>> explain_schedule("StepLR").title
    'Decay every few epochs: torch.optim.lr_scheduler.StepLR.'
    >>> print(explain_schedule("get_linear_schedule_with_warmup").others[0].numbers)
    epoch 0: from_zero 0, from_one 0.01
    >>> print(explain_schedule("GradScaler", "floor_of_one").others[0].equation)
    s = max(βs, 1)
    """
    if name not in [*LOOP]:  # what is no name may have no hash
        raise ValueError(unknown(f"schedule={name!r} is not known", name, LOOP))
    if name in KNOWN:
        return _of_schedule(KNOWN[name], timing)
    return _of_part({**PARTS, **PARTS_OF_LOOP}[name], timing)


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
    chosen = _chosen(schedule.name, line, others, timing)
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


def _of_part(part: Part, variant: str | None) -> ScheduleExplanation:
    compute = part.torch.compute
    while isinstance(compute, partial):
        compute = compute.func
    title, theory = _theory(inspect.getmodule(compute))
    first, *others = (Line(v.name, v.equation, v.source, "") for v in part.variants)
    chosen = _chosen(part.name, first, others, variant)
    kind = "schedule" if part.name in PARTS else "part"
    return ScheduleExplanation(part.name, title, theory, part.symbols, first, chosen, "", kind=kind)


def _chosen(name: str, first: Line, others: list[Line], timing: str | None) -> tuple[Line, ...]:
    """All variants beside the first, or the one of a name: none, if that is the first's.

    Raises:
        ValueError: there is none of that name.
    """
    if timing is None:
        return tuple(others)
    chosen = tuple(line for line in others if line.name == timing)
    if not chosen and timing != first.name:
        known = [line.name for line in (first, *others)]
        raise ValueError(unknown(f"timing={timing!r} of {name} is not known", timing, known))
    return chosen


def _theory(module: Any) -> tuple[str, str]:
    """The first line of what a file says, and the rest."""
    said = re.sub(r"\n-{3,}\n", "\n\n", inspect.getdoc(module) or "")  # below headings
    title, _, theory = said.partition("\n\n")
    return without_marks(" ".join(title.split())), without_marks(theory)


@dataclass(frozen=True)
class Rates:
    """What two timings make of a schedule, as long as there are rates.

    Attributes:
        changed: settings that are not the default ones.
        ours, theirs: learning rates, one an epoch: of the first timing, and of the other.
    """

    changed: Mapping[str, Any]
    ours: tuple[float, ...]
    theirs: tuple[float, ...]

    @property
    def apart(self) -> int | None:
        """The first epoch in which four digits tell them apart."""
        both = zip(self.ours, self.theirs, strict=True)
        return next((t for t, (a, b) in enumerate(both) if f"{a:.4g}" != f"{b:.4g}"), None)


def told_apart(schedule: Schedule, timing: Timing) -> Rates:
    """A timing beside the first one, with the fewest settings that tell them apart, if any do."""
    tried = []
    for changed in _telling(schedule, timing):
        s = schedule.settings(**changed)
        last = schedule.last(s)
        epochs = range(EPOCHS if last is None else last + 1)
        ours, theirs = (
            tuple(float(own.rate(t, BASE, s)) for t in epochs) for own in (schedule.torch, timing)
        )
        tried.append(Rates(changed, ours, theirs))
        if tried[-1].apart is not None:
            return tried[-1]
    return tried[0]


def _numbers(schedule: Schedule, timing: Timing) -> str:
    """The first epoch in which both give other rates; empty if there is none."""
    told = told_apart(schedule, timing)
    if (t := told.apart) is None:
        return ""
    said = f"{', '.join(settings(told.changed))}, " if told.changed else ""
    whose = "torch" if schedule.home else schedule.torch.name
    return f"{said}epoch {t}: {whose} {told.ours[t]:.4g}, {timing.name} {told.theirs[t]:.4g}"


def _telling(schedule: Schedule, timing: Timing) -> Iterator[dict[str, Any]]:
    """Settings that are not the default ones: none, one, or whatever shows the timing."""
    yield {}
    ends = {name: own[-1] for name, own in {**schedule.draws, **timing.shows}.items()}
    yield from ({name: end} for name, end in ends.items())
    yield ends


def _table(first: str, others: tuple[Line, ...]) -> str:
    """The variants side by side."""
    columns = {"its line": 5}
    if any(line.numbers for line in others):
        columns["where it shows first"] = 4
    rows = [(line.name, line.equation, line.numbers)[: 1 + len(columns)] for line in others]
    return side_by_side(first, columns, rows)
