"""Settings that may have given some rates: guesses, each of which must then give every rate.

A schedule of whole numbers and words is a straight line in its real settings, or a power of one.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import product
from typing import Any

from oracles.harness.evidence import customary, cycles
from oracles.harness.evidence.guess import Guess, Rates
from oracles.harness.evidence.shorter import ROUGHLY, shorter
from oracles.schedules.schedule import BATCHES, Schedule, Settings, Timing

LATER = 4
"""How many times as long as rates are known is looked for what they do not show."""

LONG = 200
"""Rates that are looked at one by one, and periods that are tried one by one."""

MANY = 50
"""Rates of which the roundings are seen as well as of all."""

POWERS = ("ExponentialLR", "StepLR", "MultiStepLR")
"""Schedules that multiply the rate with a number, now and then."""

LINES: Mapping[str, tuple[tuple[tuple[str, ...], Mapping[str, float]], ...]] = {
    "ConstantLR": ((("factor",), {}),),
    "LinearLR": ((("start_factor",), {}), (("end_factor",), {"start_factor": 1.0})),
    "PolynomialLR": (((), {}),),
    "CosineAnnealingLR": ((("eta_min",), {}),),
    "CosineAnnealingWarmRestarts": ((("eta_min",), {}),),
}
"""Schedules that are straight lines in the base rate and this setting, or its product with it,
while others are what they are said to be; LinearLR rises to the base rate or falls from it."""

SCALED = ("ConstantLR", "LinearLR")
"""Those whose setting is a share of the base rate, of which torch takes none above 1."""

SHARES = ("floor_as_share", "stays_at_share")
"""Timings of others whose setting is one; where no base rate is known, it is told as a rate."""


def from_any(schedule: Schedule) -> bool:
    """Whether settings of it are made of any rates: else they rule none of its timings out.

    Those of a cycle are made of rates that show how it turns.
    """
    return schedule.name in (*POWERS, *LINES) or not schedule.home


def guesses(
    schedule: Schedule, timing: Timing, rates: Rates, base: float | None
) -> Iterator[Guess]:
    """What may have given some rates.

    Args:
        schedule: whose settings.
        timing: of it.
        rates: from epoch 0 on.
        base: the base rate, where it is known.
    """
    if schedule.name in GUESSES and max(rates) > min(rates):
        yield from GUESSES[schedule.name](rates, base)
    elif schedule.name in POWERS:
        yield from _powers(schedule, timing, rates, base)
    elif schedule.name in LINES:
        for settings in _whole(schedule, rates):
            for names, others in LINES[schedule.name]:
                own = settings._replace(**others)
                yield from _line(schedule, timing, own, names, rates, base)


GUESSES: Mapping[str, Callable[[Rates, float | None], Iterator[Guess]]] = {
    **cycles.GUESSES,
    **customary.GUESSES,
}
"""What is made of rates alone, whatever the timing."""


def _whole(schedule: Schedule, rates: Rates) -> Iterator[Settings]:
    """Settings that are whole numbers or words, or few enough to be tried."""
    count = len(rates)
    choices: dict[str, Sequence[Any]] = {}
    for name, ends in schedule.draws.items():
        if name == "power":
            choices[name] = customary.POWERS
        elif name == "T_mult":
            choices[name] = (1, 2, 3)
        elif isinstance(ends, list):
            choices[name] = ends
        elif isinstance(ends[0], int):
            usual = range(1, min(2 * count, LONG + 2) if count <= LONG + 1 else 1)
            choices[name] = (*usual, *_beyond(usual.stop, name, rates))
    for values in product(*choices.values()):
        yield schedule.settings(**dict(zip(choices, values, strict=True)))


def _beyond(least: int, name: str, rates: Rates) -> list[int]:
    """Longer ones: where rates turn, or would."""
    rises = (t for t in range(1, len(rates)) if rates[t] > rates[t - 1])
    turns = (*map(rates.index, (rates[-1], min(rates), max(rates))), next(rises, 0))
    near = {n * t + i for t in turns for n in (1, BATCHES) for i in (-1, 0, 1)}
    if rates.within > ROUGHLY:  # which may be the beginning of many
        longer = max(least, len(rates))
        near |= {*range(longer, LATER * longer, longer // LATER or 1)}
    near |= {n + i for n in _lengths(name, rates) for i in (-1, 0, 1)}
    return sorted(n for n in near if n >= least)


def _lengths(name: str, rates: Sequence[float]) -> Iterator[int]:
    """How long a schedule may be of which rates are the beginning: its cosine, or its power."""
    if name != "total_iters":
        found = cycles.any_half_period(rates)
        yield from [round(found)] if found else []
        if 0 < rates[-1] < rates[0]:  # to a floor of 0
            yield round((len(rates) - 1) / cycles.turned(rates[-1] / rates[0]))
    elif 0 < rates[-1] < rates[0]:
        for power in customary.POWERS:
            if done := 1 - (rates[-1] / rates[0]) ** (1 / power):  # but for a rounding of none
                yield round((len(rates) - 1) / done)


def _line(
    schedule: Schedule,
    timing: Timing,
    settings: Settings,
    names: Sequence[str],
    rates: Rates,
    base: float | None,
) -> Iterator[Guess]:
    """The base rate and the setting that a line through two rates gives, if others are on it."""
    rounded = rates.within > ROUGHLY
    of_base = schedule.name in SCALED or (base is not None and timing.name in SHARES)
    evenly = range(0, len(rates), 1 + len(rates) // MANY)
    some = [*evenly] if rounded else telling(len(rates))

    def at(t: int, start: float, value: float) -> float:
        if of_base:
            value = value / start if start else 0.0
        return float(timing.rate(t, start, settings._replace(**dict.fromkeys(names, value))))

    def solved(some: Sequence[int]) -> tuple[float, float] | None:
        first = [at(t, 1.0, 0.0) for t in some]
        second = [at(t, 1.0, 1.0) - own for t, own in zip(some, first, strict=True)]
        return _solved(first, second, rates, some, base, names)

    last = len(rates) - 1
    if not solved(sorted({0, (last + 1) // 3, 2 * (last + 1) // 3, last})):  # which costs little
        return
    if (pair := solved(some)) is None:
        return
    start, value = pair
    size, highest = max(map(abs, rates)), start
    if of_base:
        value, size, highest = value / start, 1.0, 1.0
    if value > highest + rates.within * size:  # nobody has a floor above the base rate
        return
    nothing = (0.0,) if rounded or abs(value) <= ROUGHLY * size else ()
    values = (*nothing, *shorter(value, rates.within * size / abs(value or 1.0)))
    starts = shorter(start, rates.within) if base is None else (start,)
    for near_start, near in product(starts, values):
        yield Guess(settings._replace(**dict.fromkeys(names, near)), near_start)


def telling(count: int) -> list[int]:
    """Epochs by which settings are guessed: all of a few, and some of many."""
    quarters = (count // 4, count // 2, 3 * count // 4, count - 1)
    return sorted({*range(min(count, 6)), *quarters})


def _solved(
    first: Sequence[float],
    second: Sequence[float],
    every: Rates,
    some: Sequence[int],
    base: float | None,
    names: Sequence[str],
) -> tuple[float, float] | None:
    """u and v of ``rates = u * first + v * second``, if all of it is so but for roundings."""
    rates = [every[t] for t in some]
    if base is None and not names:
        t = max(range(len(rates)), key=lambda i: abs(first[i]))
        pair = (rates[t] / first[t], 0.0) if first[t] else None
    elif base is not None:
        t = max(range(len(rates)), key=lambda i: abs(second[i]))
        pair = (base, (rates[t] - base * first[t]) / second[t] if second[t] else 0.0)
    else:
        pair = (_through_two if every.within == ROUGHLY else _between)(first, second, rates)
    if pair is None or pair[0] == 0:
        return None
    u, v = pair
    size = max(map(abs, rates))
    rows = zip(first, second, rates, strict=True)
    return pair if all(abs(u * a + v * b - r) <= every.within * size for a, b, r in rows) else None


def _through_two(
    first: Sequence[float], second: Sequence[float], rates: Sequence[float]
) -> tuple[float, float] | None:
    """By the two epochs that tell most."""
    pairs = [(i, j) for i in range(len(rates)) for j in range(i)]
    i, j = max(pairs, key=lambda p: abs(first[p[0]] * second[p[1]] - first[p[1]] * second[p[0]]))
    determinant = first[i] * second[j] - first[j] * second[i]
    if abs(determinant) < ROUGHLY:
        return None
    u = (rates[i] * second[j] - rates[j] * second[i]) / determinant
    v = (first[i] * rates[j] - first[j] * rates[i]) / determinant
    return u, v


def _between(
    first: Sequence[float], second: Sequence[float], rates: Sequence[float]
) -> tuple[float, float] | None:
    """By all epochs, the sum of squares being the least: what is rounded goes through none."""
    (aa, ab, ar), (_, bb, br) = (
        [sum(map(operator.mul, own, other)) for other in (first, second, rates)]
        for own in (first, second)
    )
    determinant = aa * bb - ab * ab
    if abs(determinant) <= ROUGHLY**2 * aa * bb:
        return None
    return (bb * ar - ab * br) / determinant, (aa * br - ab * ar) / determinant


def _powers(
    schedule: Schedule, timing: Timing, rates: Rates, base: float | None
) -> Iterator[Guess]:
    """Where rates fall, and by which factor; steps that are alike are of one length."""
    falls = [t for t in range(1, len(rates)) if rates[t] != rates[t - 1] and rates[t - 1]]
    if not falls:
        return
    share = rates[falls[0]] / rates[falls[0] - 1]
    found = [share, 2 - 1 / share if share else share]  # of what falls as 1/(1 + (1−q)t)
    found += [1 - (rates[0] / rates[-1] - 1) / (len(rates) - 1)] if rates[-1] else []
    found += [math.exp(-k) for k in shorter(-math.log(share))] if 0 < share < 1 else []
    for count in {len(falls), len(rates) - 1}:  # the longer the way, the less a rounding matters
        found += [abs(rates[falls[-1]] / rates[0]) ** (1 / count)] if rates[0] else []
    shares = [rates[t] / rates[t - 1] for t in falls[: FEW + 1]]
    found += [max(shares)] if max(shares) < 1 and schedule.name == "MultiStepLR" else []
    for gamma in (g for q in found for g in shorter(q, rates.within)):
        each = shares if rates.within == ROUGHLY else []  # of few digits too much would fit
        for settings in _falling(schedule, gamma, falls, each, len(rates)):
            with suppress(ArithmeticError):  # where nothing, or too much, is made of any base rate
                near = rates[0] / timing.rate(0, 1.0, settings) if base is None else base
                starts = shorter(near, rates.within) if base is None else (base,)
                yield from (Guess(settings, start) for start in starts)


FEW = 12
"""Milestones that anybody writes down."""

AT_ONCE = 3
"""How often one of them may be there."""


def _times(share: float, gamma: float) -> int:
    """As what power of a factor the rate falls there, from 1 on."""
    if not (0 < share < 1 and 0 < gamma < 1):
        return 1
    return min(max(round(math.log(share) / math.log(gamma)), 1), AT_ONCE)


def _falling(
    schedule: Schedule, gamma: float, falls: Sequence[int], shares: Sequence[float], count: int
) -> Iterator[Settings]:
    if schedule.name == "ExponentialLR":
        yield schedule.settings(gamma=gamma)
    elif schedule.name == "StepLR":
        apart = falls[1] - falls[0] if len(falls) > 1 else count
        for k in sorted({falls[0], falls[0] + 1, falls[0] - 1, apart, BATCHES * apart}):
            if k > 0:
                yield schedule.settings(step_size=k, gamma=gamma)
    elif len(falls) <= FEW:
        times = [_times(share, gamma) for share in shares] or [1] * len(falls)
        at = [t for t, own in zip(falls, times, strict=True) for _ in range(own)]
        for shift in (0, -1, 1):
            milestones = tuple(max(t + shift, 0) for t in at)
            yield schedule.settings(milestones=milestones, gamma=gamma)
