"""Settings of cycles, made of rates that may end before the cycle does.

A cosine that begins flat and comes to its other end in N steps has gone 2(1 + cos(kπ/N)) times as
far after 2k steps as after k; wherever it begins, its way over 3k steps is 1 + 2cos(kπ/N) times
that over the k in the middle. So a few rates tell how long it is. Two lines tell where they meet.
What comes after the last rate is assumed, and said to be.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice, product

from oracles.harness.evidence.guess import Guess, Rates
from oracles.harness.evidence.shorter import ROUGHLY, in_digits, shorter
from oracles.schedules import cyclic, one_cycle


def half_period(rates: Sequence[float]) -> float | None:
    """In how many steps a cosine comes from one flat end, where it begins, to the other.

    >>> round(half_period([math.cos(math.pi * t / 7) for t in range(4)]), 9)
    7.0
    """
    k = (len(rates) - 1) // 2
    if k < 1 or rates[k] == rates[0]:
        return None
    return _steps(k, (rates[2 * k] - rates[0]) / (rates[k] - rates[0]) / 2 - 1)


def any_half_period(rates: Sequence[float]) -> float | None:
    """The same of a cosine that may begin anywhere.

    >>> round(any_half_period([math.cos(math.pi * (t + 1.5) / 70) for t in range(9)]), 9)
    70.0
    """
    k = (len(rates) - 1) // 3
    if k < 1 or rates[2 * k] == rates[k]:
        return None
    return _steps(k, ((rates[3 * k] - rates[0]) / (rates[2 * k] - rates[k]) - 1) / 2)


def _steps(k: int, turned: float) -> float | None:
    return math.pi * k / math.acos(turned) if -1 < turned < 1 else None


def left(t: float, long: float) -> float:
    """The part of its way that a cosine has before it after some steps."""
    return (1 + math.cos(math.pi * t / long)) / 2


def turned(share: float) -> float:
    """The part of half a period after which a cosine has come down to a share."""
    return math.acos(max(-1.0, min(1.0, 2 * share - 1))) / math.pi


def floor(rate: float, t: float, long: float, high: float) -> float:
    """To where a cosine comes down that has come to some rate; what is no number if it is flat.

    >>> round(floor(0.55, 5, 10, 1.0), 9)
    0.1
    """
    share = left(t, long)
    return (rate - high * share) / (1 - share) if share < 1 else math.nan


def lowest(rates: Sequence[float]) -> float:
    """To where the cosine comes down of which rates show a part; the last rate if they show none.

    >>> round(lowest([2 + math.cos(math.pi * (t + 1.5) / 70) for t in range(9)]), 9)
    1.0
    """
    k, found = (len(rates) - 1) // 3, any_half_period(rates)
    if found is None:
        return rates[-1]
    first, middle, last, angle = rates[0], rates[k], rates[2 * k], math.pi * k / found
    mean = (first + last - 2 * middle * math.cos(angle)) / (1 - math.cos(angle)) / 2
    return mean - math.hypot(middle - mean, (first - last) / 2 / math.sin(angle))


# --- One cycle ------------------------------------------------------------------------------------

UNSEEN = ("total_steps", "pct_start", "final_div_factor")
"""What no rate tells before the last phase; how long the first one is, it does."""

ENOUGH = 3
"""Rates of a line, of which two make it: another one says whether it is."""

SMALL = 1e-4
"""What is assumed to be left at the end of what was there at first, as it is by default."""


def _one_cycle(rates: Rates, base: float | None) -> Iterator[Guess]:
    low, top = rates[0], rates.index(max(rates))
    if not 0 < low < rates[top]:
        return
    for way, three in product(("cos", "linear"), (False, True)):
        some = one_cycle.Settings(anneal_strategy=way, three_phase=three)
        for long, peak in _rises(rates, top, way):
            for steps, end, assumed in _ends(rates, some, long, peak):
                twice = not three and steps - 1 == round(2 * long) and end > low * (1 - ROUGHLY)
                told = (*UNSEEN, "three_phase") if twice else assumed
                for settings in _written(some, (long + 1) / steps, low, peak, end, rates.within):
                    yield Guess(settings._replace(total_steps=steps), low, told)


def _written(
    some: one_cycle.Settings, share: float, low: float, peak: float, end: float, within: float
) -> Iterator[one_cycle.Settings]:
    """Settings as people write them."""
    if not (0 < end < low < peak and math.isfinite(low / end)):
        return
    few = 2 if within > ROUGHLY else None
    peaks, firsts = shorter(peak, within), shorter(peak / low, within * peak / low)
    all_of = product(shorter(share), islice(peaks, few), islice(firsts, few), shorter(low / end))
    for pct_start, high, first, last in all_of:
        yield some._replace(
            pct_start=pct_start, max_lr=high, div_factor=first, final_div_factor=last
        )


def _rises(rates: Rates, top: int, way: str) -> Iterator[tuple[float, float]]:
    """How long the first phase is, which may end between two steps, and to where it leads."""
    low, after, rounded = rates[0], rates[top + 1 :], rates.within > ROUGHLY
    if rounded and top:
        yield top, rates[top]
    if way == "linear":
        if len(after) < ENOUGH:
            return
        k = max(top - 1, 1)
        slope, down = (rates[k] - low) / k, after[0] - after[1]
        if slope + down > 0:
            long = (after[0] + down * (top + 1) - low) / (slope + down)
            yield long, low + slope * long
        return
    for last in (top - 1, top):
        found = half_period(rates[: last + 1]) or 0
        for long in (round(found), found) if rounded else (found,):
            if 0 < last <= long:
                yield long, low + (rates[last] - low) / (1 - left(last, long))
    whole = rates.index(rates[-1])
    if (back := half_period(rates[top + 1 : whole + 1][::-1])) and back < whole:
        end, done = rates[whole], left(top + 1 - (whole - back), back)
        if done:
            yield whole - back, end + (after[0] - end) / done


def _ends(
    rates: Rates, some: one_cycle.Settings, long: float, peak: float
) -> Iterator[tuple[int, float, tuple[str, ...]]]:
    """How many steps there are, the last rate, and what of the settings is assumed."""
    low, count, whole = rates[0], len(rates), rates.index(rates[-1]) + 1
    begins, high = (2 * long, low) if some.three_phase else (long, peak)
    usual = [SMALL * low] if rates.within > ROUGHLY else []
    if count - 1 <= begins:
        if some.three_phase == (count - 1 > long):
            yield math.ceil(begins) + 2, SMALL * low, (*UNSEEN, "three_phase")
    elif some.anneal_strategy == "cos":
        if 0 < rates[-1] < low:
            yield whole, rates[-1], ()
        for steps, assumed in _lengths(rates, begins, high, SMALL * low):
            last = floor(rates[-1], count - 1 - begins, steps - 1 - begins, high)
            yield from ((steps, end, assumed) for end in (*usual, last))
    else:
        steep = rates[-2] - rates[-1]
        if 0 < rates[-1] < low:
            told = whole < count or _is_round(low / rates[-1])
            yield whole, rates[-1], () if told else UNSEEN
        elif usual and rates[-1] < low:  # which is 0 to its digits
            yield count, usual[0], UNSEEN[2:]
        elif steep > 0:  # as steep, it comes to half of what it was at first
            more = math.ceil((rates[-1] - low / 2) / steep)
            yield count + more, rates[-1] - steep * more, UNSEEN


def _lengths(
    rates: Rates, begins: float, high: float, end: float
) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Of a cosine that falls in the last phase, how many steps there are, if not assumed."""
    falling = rates[math.ceil(begins) :]
    found = any_half_period(falling) or half_period(falling)
    if found:
        yield round(begins + found) + 1, ()
    if end < rates[-1] < high and (rates.within > ROUGHLY or not found):
        last = begins + (len(rates) - 1 - begins) / turned((rates[-1] - end) / (high - end))
        yield from ((steps + 1, UNSEEN) for steps in {round(last), math.floor(last)})


def _is_round(number: float) -> bool:
    """Whether somebody may have written a number, so that it is no chance."""
    return any(abs(short - number) <= 1e-9 * number for short in in_digits(number, range(1, 5)))


# --- A saw ----------------------------------------------------------------------------------------


def _saw(rates: Rates, base: float | None) -> Iterator[Guess]:
    """Where it turns first, how high it is then, and how fast it falls from there."""
    low, turns = rates[0], [t for t in range(1, len(rates) - 1) if _turns(rates, t)]
    up = turns[0] if turns else len(rates) - 1
    if min(rates[1], rates[up]) <= low or (turns and len(rates) - up < ENOUGH):
        return
    gammas = {1.0, *_fading([rate - low for rate in rates], up, turns[1:])}
    for gamma in sorted((g for g in gammas if 0 < g <= 1), reverse=True):
        span = (rates[up] - low) / gamma**up
        some = cyclic.Settings(low, low + span, up, up, "exp_range", gamma)
        if not turns:
            yield Guess(some, low, ("max_lr", "step_size_up", "step_size_down"))
            continue
        fallen = 1 - (rates[up + 1] - low) / span / gamma ** (up + 1)
        down = round(1 / fallen) if fallen > 0 else 0
        for start, high in product(shorter(low), shorter(low + span)) if down else ():
            some = some._replace(base_lr=start, max_lr=high, step_size_down=down)
            yield from _in_modes(some, len(rates))


def _fading(heights: Sequence[float], up: int, down: Sequence[int]) -> Iterator[float]:
    """What a height is multiplied with at each step: it is told by two of a ramp, or two tops."""
    half = up // 2
    if half:
        yield from shorter((heights[up] / heights[half] * half / up) ** (1 / (up - half)))
    elif down and down[0] + up < len(heights) and (again := heights[down[0] + up]) > 0:
        yield from shorter((again / heights[up]) ** (1 / down[0]))


def _in_modes(some: cyclic.Settings, count: int) -> Iterator[Guess]:
    """As what scales the cycles; before the second one nothing shows of what does."""
    if some.gamma < 1:
        yield Guess(some, some.base_lr)
    elif count - 1 <= some.step_size_up + some.step_size_down:
        yield Guess(some._replace(mode="triangular"), some.base_lr, ("mode",))
    else:
        for mode in ("triangular", "triangular2"):
            yield Guess(some._replace(mode=mode), some.base_lr)


def _turns(rates: Sequence[float], t: int) -> bool:
    return (rates[t] - rates[t - 1]) * (rates[t + 1] - rates[t]) < 0


GUESSES: Mapping[str, Callable[[Rates, float | None], Iterator[Guess]]] = {
    "OneCycleLR": _one_cycle,
    "CyclicLR": _saw,
}
