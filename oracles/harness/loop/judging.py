"""Balls against what a part of the loop has computed: one verdict for all of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from oracles.harness.arithmetic.enclosure import Enclosure, holds
from oracles.harness.arithmetic.formats import FloatArray
from oracles.harness.arithmetic.radii import used
from oracles.harness.loop.question import wrong
from oracles.harness.subjects.subject import Place
from oracles.harness.verdict import Verdict, held


class Told(NamedTuple):
    """What was computed, and all that correct rounding can have made of it."""

    name: str
    ball: Enclosure
    got: FloatArray


def judge(place: Place, case: Any, told: Iterable[Told]) -> Verdict:
    """Inside, or the first number that no rounding explains."""
    seen = list[Told]()
    for one in told:
        if off := first_off(one):
            return wrong(place, case, off)
        seen.append(one)
    share = max((used(one.ball, one.got) for one in seen), default=0.0)
    return held((one.ball for one in seen), share=share)


def first_off(told: Told) -> str:
    """The first element outside, as a sentence goes on after the place; empty if there is none."""
    if told.ball.shape != told.got.shape:
        return f"{told.name} has shape {told.got.shape}: {told.ball.shape} expected"
    inside = np.asarray(holds(told.ball.mid, told.ball.rad, told.got))
    if inside.all():
        return ""
    at = tuple(int(i) for i in np.argwhere(~inside)[0])
    mid, rad = np.asarray(told.ball.mid)[at], np.asarray(told.ball.rad)[at]
    where = f"[{', '.join(map(str, at))}]" if at else ""
    return f"{told.name}{where}: expected {mid:.10g} ± {rad:.2g}, got {told.got[at]:.10g}"
