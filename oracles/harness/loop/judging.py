"""Balls against what a part of the loop has computed: one verdict for all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np

from oracles.harness.arithmetic.enclosure import Enclosure, holds
from oracles.harness.arithmetic.formats import FloatArray
from oracles.harness.arithmetic.radii import farthest, used
from oracles.harness.loop.question import wrong
from oracles.harness.subjects.subject import Place
from oracles.harness.verdict import Verdict, held, inside


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


class Numbered(Protocol):
    """What has numbers, each with what it is: ints, enclosures, or what is held against those."""

    def flat(self) -> Iterator[tuple[str, Any]]: ...


def held_to(place: Place, case: Any, expected: Numbered, got: Numbered) -> Verdict:
    """Inside, or the first of the numbers that is outside."""
    elements, undecided, share = 0, 0, 0.0
    for (what, ball), (_, value) in zip(expected.flat(), got.flat(), strict=True):
        fits = ball == value if isinstance(ball, int) else ball.contains(value)
        if not np.all(fits):
            off = f"{what} is {value} where {_written(ball)} is right"
            return wrong(place, case, f"goes wrong: {off}")
        elements += int(np.size(value))
        if not isinstance(ball, int):
            undecided += int(np.count_nonzero(ball.unknown))
            share = max(share, used(ball, value))
    return inside(elements, undecided, share=share)


def _written(ball: Any) -> str:
    if isinstance(ball, int):
        return str(ball)
    balls = zip(np.ravel(ball.mid), np.ravel(ball.rad), strict=True)
    return ", ".join(f"{float(mid):.9g} ± {float(rad):.2g}" for mid, rad in balls)


def separation(one: Numbered, other: Numbered) -> float:
    """How far two are apart at most, in both radii together."""
    return farthest(*(map(_ball, each.flat()) for each in (one, other)))


def _ball(told: tuple[str, Any]) -> Enclosure:
    _, number = told
    return Enclosure.exact(float(number)) if isinstance(number, int) else number


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
