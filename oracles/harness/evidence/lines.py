"""Rates on one straight line, which is part of many schedules, or that fall now and then."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from oracles.harness.arithmetic.formats import FORMATS
from oracles.harness.evidence.guesses import telling
from oracles.harness.evidence.rates import in_float32, written
from oracles.harness.evidence.shorter import shorter
from oracles.harness.evidence.sifting import ROUNDINGS
from oracles.harness.subjects.scheduled import Seen


def on_a_line(seen: Seen) -> str:
    """What there is to say of rates on one straight line that does not end at 0; else nothing.

    The first rate may be there twice, as that of a ramp from one on is.

    Each of them may be a few roundings off, and what is added up step by step as many as there are.

    >>> on_a_line(Seen([0.1, 0.2, 0.3, 0.4]))
    'rises by 0.1 a step from 0.1: so begin LinearLR, CyclicLR, OneCycleLR and every warm-up'
    >>> on_a_line(Seen([0.3, 0.2, 0.1, 0.0]))
    ''
    """
    if (line := _line(seen)) is None:
        return ""
    first, step, last, reach = line
    of = " × the base rate" if seen.base else ""
    start, change = f"{written(first)}{of}", f"{written(abs(step))}{of} a step"
    if abs(step) * (len(seen.near) - seen.ahead) <= reach:
        return f"stays at {start}: so does every schedule until it begins to change it"
    if step > 0:
        told = f"rises by {change} from {start}"
        return f"{told}: so begin LinearLR, CyclicLR, OneCycleLR and every warm-up"
    if abs(last) <= reach:  # where it ends is seen
        return ""
    told = f"falls by {change} from {start}"
    return f"{told}: so begin LinearLR, PolynomialLR with power=1 and others"


def _line(seen: Seen) -> tuple[float, float, float, float] | None:
    """The first of rates on a line, their change a step, the last, and how far each may be off.

    None if they are on none, or go below 0, where no schedule begins or goes.
    """
    rates, unit = seen.near[seen.ahead :], seen.base or 1.0
    twice = int(rates[0] == rates[1] != rates[2])
    near = [(t, rate / unit) for t, rate in enumerate(rates)]
    far = [(t - seen.ahead, r / (base or 1)) for base, some in seen.beside for t, r in some.items()]
    points = [(t - twice, rate) for t, rate in (*near, *far) if t >= twice]
    first, last, size = points[0][1], near[-1][1], max(abs(rate) for _, rate in points)
    step = (last - first) / (len(rates) - 1 - twice)
    lost = 2 * max(seen.off, default=0.0)  # of a rate, and of those that make the line
    u = FORMATS["float32" if in_float32(rates) else "float64"].u
    reach = lost + len(rates) * ROUNDINGS * u * size
    on = all(abs(first + t * step - rate) <= reach for t, rate in points)
    if seen.off:
        low, high = _steps(rates[twice:], seen.off[twice:])
        on, step = on and low <= high, next(shorter(step, (high - low) / 2 / abs(step or 1)), step)
    return (first, step, last, reach) if on and min(first, last) >= -reach else None


def _steps(rates: Sequence[float], off: Sequence[float]) -> tuple[float, float]:
    """The least and the largest change a step that each two of some rates leave to a line."""
    ends = [(r - d, r + d) for r, d in zip(rates, off, strict=True)]
    pairs = [(i, j) for i in telling(len(rates)) for j in range(len(rates)) if i != j]
    low, high = (
        [(ends[max(p)][a] - ends[min(p)][1 - a]) / abs(p[1] - p[0]) for p in pairs] for a in (0, 1)
    )
    return max(low), min(high)


FEWEST = 3
"""Falls that show whether they are evenly apart."""


def now_and_then(seen: Seen) -> str:
    """What there is to say of rates that fall by one factor, not evenly; else nothing.

    The last fall may be a shorter one, to a floor.

    >>> now_and_then(Seen([0.8, 0.8, 0.4, 0.4, 0.4, 0.2, 0.1, 0.1, 0.08]))
    'falls by the factor 0.5 at epochs 2, 5, 6 and to 0.08 at 8, and no schedule of epochs alone \
says when: so do ReduceLROnPlateau, by a metric, and MultiStepLR, by milestones that are given'
    """
    rates, off = seen.near, seen.off or [0.0] * len(seen.near)
    falls = [t for t in range(1, len(rates)) if rates[t] != rates[t - 1]]
    if len(falls) < FEWEST or not all(0 < rates[t] < rates[t - 1] for t in falls):
        return ""
    lost, first = ROUNDINGS * FORMATS["float32" if in_float32(rates) else "float64"].u, falls[0]

    def left(t: int, factor: float) -> float:
        """How far above what the factor makes of the one before a rate is; 0 if it may be that."""
        over = rates[t] - factor * rates[t - 1]
        return over if abs(over) > off[t] + factor * off[t - 1] + lost * rates[t] else 0.0

    share, within = rates[first] / rates[first - 1], lost + 2 * off[first] / rates[first]
    for factor in shorter(share, within):
        *each, last = [left(t, factor) for t in falls]
        at = falls[:-1] if last else falls
        apart = {b - a for a, b in pairwise(at)}
        evenly = len(apart) < 2 and abs(at[0] - min(apart, default=at[0])) <= 1  # as StepLR's are
        if last < 0 or any(each) or evenly:
            continue
        epochs = ", ".join(map(str, at))
        epochs += f" and to {written(rates[-1])} at {falls[-1]}" if last else ""
        return (
            f"falls by the factor {written(factor)} at epochs {epochs}, and "
            "no schedule of epochs alone says when: so do ReduceLROnPlateau, by a metric, and "
            "MultiStepLR, by milestones that are given"
        )
    return ""
