"""The picture of a rule's conventions: each beside torch's on one small problem.

A panel a convention: torch's line is solid, the other dashed, and a ring is where one sees them
part. It needs the extra ``plot``.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from oracles.drawing import Hyper
from oracles.explanation import Difference, Explanation, settings
from oracles.harness.arithmetic.formats import FloatArray
from oracles.rule import Convention, Rule

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


def picture(explanation: Explanation, kind: str) -> bytes:
    """The picture, as a file of that kind, ``png`` or ``svg``; of one explanation always the same.

    Raises:
        ModuleNotFoundError: matplotlib is not there.
    """
    import matplotlib

    out = io.BytesIO()
    metadata: dict[str, Any] = {"Date": None} if kind == "svg" else {"Software": None}
    with matplotlib.rc_context({"svg.hashsalt": explanation.rule.name}):
        drawn(explanation).savefig(out, format=kind, dpi=130, metadata=metadata)
    return out.getvalue()


def drawn(explanation: Explanation) -> Figure:
    """The picture, to be shown or changed."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    rule, differences = explanation.rule, explanation.differences
    columns = min(COLUMNS, len(differences))
    rows = ceil(len(differences) / columns)
    figure = Figure(figsize=(max(2.6 * columns, 6), 2.2 * rows + 1.1), layout="constrained")
    figure.suptitle(
        f"{rule.name}: {rule.torch.name}, as torch computes it, beside one other convention each\n"
        f"(w after each step, from {START:g} towards the minimum of ¼(w − 1)²)",
        fontsize="medium",
    )
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes, difference in zip(grid.flat, differences, strict=False):
        _panel(axes, rule, difference)
    for axes in grid.flat[len(differences) :]:
        axes.set_axis_off()
    lines = [Line2D([], [], **style) for style in (TORCH, OTHER, RING | {"linestyle": ""})]
    words = ["torch", "the one named above", "their last common step"]
    figure.legend(lines, words, loc="outside lower center", ncols=3, frameon=False)
    return figure


def _panel(axes: Axes, rule: Rule, difference: Difference) -> None:
    from matplotlib.ticker import MaxNLocator

    convention = difference.convention
    schedule = tuple(_schedule(rule, difference))
    ours, theirs = (follow(rule, c, difference, schedule) for c in (rule.torch, convention))
    height = np.nanmax([ours, theirs]) - np.nanmin([ours, theirs])
    moving = np.flatnonzero(np.abs(np.diff([ours, theirs])).max(axis=0) > STILL * height)
    shown = slice(moving[-1] + 3 if moving.size else None)
    axes.plot(ours[shown], **TORCH)
    axes.plot(theirs[shown], **OTHER)
    apart = np.flatnonzero(np.abs(theirs - ours) > SEEN * height)
    if apart.size:
        last = apart[0] - 1  # in which one sees one line
        axes.plot([last], [ours[last]], **RING)
    note = _note(rule, difference, parted=bool(apart.size))
    pad = 7 + 7 * len(note)
    axes.set_title(convention.name, fontsize="small", fontweight="bold", loc="left", pad=pad)
    axes.text(0, 1.02, "\n".join(note), transform=axes.transAxes, fontsize=5.5, va="bottom")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.tick_params(labelsize="x-small")
    axes.spines[["top", "right"]].set_visible(False)


def _note(rule: Rule, difference: Difference, *, parted: bool) -> list[str]:
    """The settings of both lines of a panel, in lines that fit."""
    changed = difference.example.changed if difference.example else {}
    rates = list(dict.fromkeys(h.lr for h in _schedule(rule, difference)))
    others = {name: value for name, value in changed.items() if name != "lr"}
    lr = {"lr": rates[0]} if len(rates) == 1 else {"lr": [*rates, "..."]}
    note = ", ".join(settings({**lr, **others}))
    return textwrap.wrap(note if parted else f"{note}: they are not seen to part here", 44)


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
