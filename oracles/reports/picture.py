"""The picture of a rule's conventions, each beside torch's on one small problem, or a schedule's.

A panel a convention: torch's line is solid, the other dashed, and a ring is where one sees them
part. It needs the extra ``plot``.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from oracles.drawing import Hyper
from oracles.explanation import Difference, Explanation, settings
from oracles.harness.arithmetic.formats import FloatArray
from oracles.rule import Convention, Rule
from oracles.schedule_explanation import BASE, EPOCHS, Rates, ScheduleExplanation, told_apart
from oracles.schedules.registry import KNOWN

if TYPE_CHECKING:  # matplotlib is imported when something is drawn
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

START, MINIMUM, STEPS = 5.0, 1.0, 30

CURVATURES = (0.5, 2.0, 1.0, 1.5)
"""Of the elements of w: the problem is half of this times (w − 1)², from 5."""

RATE = 0.25
"""The learning rate, where a rule's default is no larger; a schedule halves it every other step."""

SEEN = 0.02
"""Lines whose distance is this part of a panel's height are seen to be two."""

STILL = 0.002
"""A line whose moves are smaller than this part has ended."""

TORCH: dict[str, Any] = {"color": "#1f2933", "linestyle": "-", "linewidth": 1.2}
OTHER: dict[str, Any] = {"color": "#c2410c", "linestyle": (0, (4, 2)), "linewidth": 1.8}
RING: dict[str, Any] = {"marker": "o", "markersize": 9, "fillstyle": "none", "color": "#1d4ed8"}

COLUMNS = 4


@dataclass(frozen=True)
class Panel:
    """Two lines beside one another.

    Attributes:
        name: of whose line is dashed.
        note: the settings of both.
        ours, theirs: numbers, one a step.
    """

    name: str
    note: str
    ours: FloatArray
    theirs: FloatArray

    @cached_property
    def height(self) -> float:
        """Between the largest and the smallest of all numbers."""
        both = [self.ours, self.theirs]
        return float(np.nanmax(both) - np.nanmin(both))

    @property
    def common(self) -> int | None:
        """The last step in which one sees one line; None if that is all of them."""
        apart = np.flatnonzero(np.abs(self.theirs - self.ours) > SEEN * self.height)
        return int(apart[0]) - 1 if apart.size else None

    @property
    def shown(self) -> slice:
        """Up to where nothing is seen to move any more."""
        moves = np.abs(np.diff([self.ours, self.theirs])).max(axis=0)
        moving = np.flatnonzero(moves > STILL * self.height)
        return slice(moving[-1] + 3 if moving.size else None)


@dataclass(frozen=True)
class Sheet:
    """What a picture shows.

    Attributes:
        title: of all panels.
        words: for the solid line, and for where the other parts from it.
        panels: one a convention.
    """

    title: str
    words: tuple[str, str]
    panels: Sequence[Panel]


def picture(explanation: Explanation | ScheduleExplanation, kind: str) -> bytes:
    """The picture, as a file of that kind, ``png`` or ``svg``; of one explanation always the same.

    Raises:
        ModuleNotFoundError: matplotlib is not there.
    """
    import matplotlib

    out = io.BytesIO()
    metadata: dict[str, Any] = {"Date": None} if kind == "svg" else {"Software": None}
    name = explanation.rule.name if isinstance(explanation, Explanation) else explanation.name
    with matplotlib.rc_context({"svg.hashsalt": name}):
        drawn(explanation).savefig(out, format=kind, dpi=130, metadata=metadata)
    return out.getvalue()


def drawn(explanation: Explanation | ScheduleExplanation) -> Figure:
    """The picture, to be shown or changed."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    sheet = _sheet(explanation)
    columns = min(COLUMNS, len(sheet.panels))
    rows = ceil(len(sheet.panels) / columns)
    figure = Figure(figsize=(max(2.6 * columns, 6), 2.2 * rows + 1.1), layout="constrained")
    figure.suptitle(sheet.title, fontsize="medium")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes, panel in zip(grid.flat, sheet.panels, strict=False):
        _draw(axes, panel)
    for axes in grid.flat[len(sheet.panels) :]:
        axes.set_axis_off()
    lines = [Line2D([], [], **style) for style in (TORCH, OTHER, RING | {"linestyle": ""})]
    words = [sheet.words[0], "the one named above", sheet.words[1]]
    figure.legend(lines, words, loc="outside lower center", ncols=3, frameon=False)
    return figure


def _sheet(explanation: Explanation | ScheduleExplanation) -> Sheet:
    if isinstance(explanation, Explanation):
        return _of_rule(explanation)
    return _of_schedule(explanation)


def _draw(axes: Axes, panel: Panel) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.plot(panel.ours[panel.shown], **TORCH)
    axes.plot(panel.theirs[panel.shown], **OTHER)
    common = panel.common
    if common is not None and common >= 0:
        axes.plot([common], [panel.ours[common]], **RING)
    said = panel.note if common is not None else f"{panel.note}: they are not seen to part here"
    note = textwrap.wrap(said, 44)
    pad = 7 + 7 * len(note)
    axes.set_title(panel.name, fontsize="small", fontweight="bold", loc="left", pad=pad)
    axes.text(0, 1.02, "\n".join(note), transform=axes.transAxes, fontsize=5.5, va="bottom")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.tick_params(labelsize="x-small")
    axes.spines[["top", "right"]].set_visible(False)


# --- A schedule -----------------------------------------------------------------------------------


def _of_schedule(explanation: ScheduleExplanation) -> Sheet:
    """The learning rate of each epoch."""
    schedule, first = KNOWN[explanation.name], explanation.first.name
    timings = {timing.name: timing for timing in schedule.timings}
    told = {line.name: told_apart(schedule, timings[line.name]) for line in explanation.others}
    whose = ", as torch has it," if explanation.torchs else ""
    return Sheet(
        f"{explanation.name}: {first}{whose} beside one other timing each\n"
        f"(the learning rate of each epoch, from {BASE:g})",
        ("torch" if explanation.torchs else first, "their last common epoch"),
        [_of_timing(name, rates) for name, rates in told.items()],
    )


def _of_timing(name: str, rates: Rates) -> Panel:
    note = ", ".join(settings(rates.changed)) or "as it is by default"
    whole = Panel(name, note, np.array(rates.ours), np.array(rates.theirs))
    if len(whole.ours[whole.shown]) < EPOCHS:
        return whole
    first = slice(STEPS + 3 * (rates.apart or 0))  # of what has no end
    return replace(whole, ours=whole.ours[first], theirs=whole.theirs[first])


# --- A rule ---------------------------------------------------------------------------------------


def _of_rule(explanation: Explanation) -> Sheet:
    """Where a weight goes on a small problem."""
    rule = explanation.rule
    return Sheet(
        f"{rule.name}: {rule.torch.name}, as torch computes it, beside one other convention each\n"
        f"(w after each step, from {START:g} towards the minimum of ¼(w − 1)²)",
        ("torch", "their last common step"),
        [_panel(rule, difference) for difference in explanation.differences],
    )


def _panel(rule: Rule, difference: Difference) -> Panel:
    schedule, convention = tuple(_schedule(rule, difference)), difference.convention
    ours, theirs = (follow(rule, c, difference, schedule) for c in (rule.torch, convention))
    return Panel(convention.name, _note(schedule, difference), ours, theirs)


def _note(schedule: Sequence[Hyper], difference: Difference) -> str:
    """The settings of both lines of a panel."""
    changed = difference.example.changed if difference.example else {}
    rates = list(dict.fromkeys(h.lr for h in schedule))
    others = {name: value for name, value in changed.items() if name != "lr"}
    lr = {"lr": rates[0]} if len(rates) == 1 else {"lr": [*rates, "..."]}
    return ", ".join(settings({**lr, **others}))


def _schedule(rule: Rule, difference: Difference) -> Iterator[Hyper]:
    """The settings of the smallest numbers, with rates that suit the problem."""
    example, default = difference.example, rule.hyper()
    h = example.schedule[0] if example else default
    falls = example is not None and isinstance(example.changed.get("lr"), list)
    rate = h.lr if default.lr > RATE else RATE
    for t in range(STEPS):
        yield h._replace(lr=rate / 2 if falls and t % 2 else rate)


def follow(
    rule: Rule, convention: Convention, difference: Difference, schedule: tuple[Hyper, ...]
) -> FloatArray:
    """The first element of w at the start and after each step, in float64."""
    shape = difference.example.initial.shape if difference.example else (1,)
    curvatures = np.reshape(CURVATURES[: np.prod(shape)], shape)
    misses = "missing" in convention.parts | difference.convention.parts
    w, state = np.full(shape, START), None
    values = [w.flat[0]]
    for t, h in enumerate(schedule):
        sign = -1 if getattr(h, "maximize", False) else 1  # towards the minimum either way
        g = curvatures * (w - MINIMUM) * (0 if misses and t % 2 else sign)
        with np.errstate(all="ignore"):
            ((w, state),) = rule.run(
                convention, w, [g], [h], decays=convention.decays(w.ndim), seen=t, state=state
            )
        values.append(np.asarray(w).flat[0])
    return np.array(values)
