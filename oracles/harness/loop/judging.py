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


class Numbered(Protocol):
    """What has numbers, each with what it is: ints, enclosures, or what is held against those."""

    def flat(self) -> Iterator[tuple[str, Any]]: ...


def held_to(place: Place, case: Any, expected: Numbered, got: Numbered) -> Verdict:
    """Inside, or the first of the numbers that is outside."""
    balls, share = list[Enclosure](), 0.0
    for (what, right), (_, value) in zip(expected.flat(), got.flat(), strict=True):
        ball = _ball(right)
        if not np.all(ball.contains(value)):
            off = f"{what} is {value} where {_written(right)} is right"
            return wrong(place, case, f"goes wrong: {off}")
        balls.append(ball)
        share = max(share, used(ball, value))
    return held(balls, share=share)


def _ball(number: Any) -> Enclosure:
    return Enclosure.exact(float(number)) if isinstance(number, int) else number


def _written(number: Any) -> str:
    if isinstance(number, int):
        return str(number)
    balls = zip(np.ravel(number.mid), np.ravel(number.rad), strict=True)
    return ", ".join(f"{float(mid):.9g} ± {float(rad):.2g}" for mid, rad in balls)


def separation(one: Numbered, other: Numbered) -> float:
    """How far two are apart at most, in both radii together."""
    return farthest(*((_ball(number) for _, number in each.flat()) for each in (one, other)))


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
