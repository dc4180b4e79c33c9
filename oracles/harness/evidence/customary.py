"""Settings of schedules that torch has none of, made of nothing but rates.

Where a ramp ends the rate is largest, and each whole number after that is solved from one rate. All
of them are guesses: whatever is guessed must give every rate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from itertools import product

from oracles.harness.evidence.cycles import lowest, turned
from oracles.harness.evidence.guess import Guess, Rates
from oracles.harness.evidence.shorter import shorter
from oracles.schedules.customary import inverse_root, stable, timm, warmed
from oracles.schedules.schedule import Settings

POWERS = (1.0, 2.0, 0.5, 0.9, 3.0)
"""Of polynomial decays, those that people use."""

UNWARMED = 10_000
"""The timescale that transformers has where there is no ramp and none is given."""

SIZES = (512, 256, 768, 1024, 128, 2048, 64)
"""Of a model, those that people use."""


def _tops(rates: Rates, base: float | None) -> Iterator[tuple[int, float]]:
    """How long a ramp may be, and to which rate it leads."""
    first = rates.index(max(rates))
    for start in shorter(max(rates), rates.within) if base is None else (base,):
        yield from ((long, start) for long in (first, first + 1) if long > 0)


@lru_cache(maxsize=64)
def _falling(rates: Rates, after: int) -> list[tuple[int, float]]:
    """Steps after the top at which the rate is neither the largest nor the last, and the rate.

    Whole cycles end where they began: of these it is not the least.
    """
    low, high = rates[-1], max(rates)
    low = min(rates[after:], default=low) if low == high else low
    between = [t for t in range(after + 1, len(rates)) if low < rates[t] < high]
    told = dict.fromkeys((*between[:1], *between[len(between) // 2 :][:1]))
    return [(t, rates[t]) for t in told]


def _ends(after: int, t: int, done: float) -> Iterator[int]:
    """Where what is done to that part at a step is done."""
    if 0 < done <= 1 and (end := after + round((t - after) / done)) > after:
        yield end


def _lows(rates: Rates, after: int) -> Iterator[float]:
    """The floor, where rates have come to it, and where they come by the cosine that they show.

    A length and a floor can be made of any two rates: a third one says whether there are such.
    """
    if len(rates) - 1 - after < 3:
        return
    yield from shorter(min(rates[after:]), rates.within)
    rises = (t for t in range(after + 1, len(rates)) if rates[t] >= rates[t - 1])
    low = lowest(rates[after : next(rises, len(rates))])
    yield from [0.0] if abs(low) <= rates.within * rates[after] else shorter(low, rates.within)


def _constant(rates: Rates, base: float | None) -> Iterator[Guess]:
    for long, start in _tops(rates, base):
        yield Guess(warmed.Constant(long), start)


def _linear(rates: Rates, base: float | None) -> Iterator[Guess]:
    for long, start in _tops(rates, base):
        for t, rate in _falling(rates, long):
            for after in (long, 0):  # where the decay is counted from
                for end in _ends(after, t, 1 - rate / start):
                    yield Guess(warmed.Linear(long, end), start)


def _waves(
    kind: Callable[..., Settings], falls: Mapping[float, int], rates: Rates, base: float | None
) -> Iterator[Guess]:
    """Cosines of so many cycles, each of which are so many halves of a period."""
    for (long, start), cycles in product(_tops(rates, base), falls):
        for t, rate in _falling(rates, long):
            for end in _ends(long, t, turned(rate / start) / falls[cycles]):
                yield Guess(kind(long, end, cycles), start)


def _polynomial(rates: Rates, base: float | None) -> Iterator[Guess]:
    lows = (1e-7, 0.0, *shorter(rates[-1], rates.within)) if rates[-1] else (1e-7, 0.0)
    for (long, start), low, power in product(_tops(rates, base), lows, POWERS):
        for t, rate in _falling(rates, long):
            if start > low and rate > low:
                for end in _ends(long, t, 1 - ((rate - low) / (start - low)) ** (1 / power)):
                    yield Guess(warmed.Polynomial(long, end, low, power), start)


def _floored(rates: Rates, base: float | None) -> Iterator[Guess]:
    """With the floor as a rate and, where the base rate is known, as a share."""
    lows = [*_lows(rates, rates.index(max(rates)))]
    for (long, start), low in product(_tops(rates, base), lows):
        for t, rate in _falling(rates, long):
            if start > low:
                for end in _ends(long, t, turned((rate - low) / (start - low))):
                    shares = shorter(low / start, rates.within) if base is not None else ()
                    for floor in (low, *shares):
                        yield Guess(warmed.Floored(long, end, 0.5, floor), start)


def _root(rates: Rates, base: float | None) -> Iterator[Guess]:
    for start in shorter(rates[0], rates.within) if base is None else (base,):
        for t, rate in _falling(rates, 0) if rates[0] == max(rates) else ():
            share = (rate / start) ** 2
            if share < 1 and (scale := round(t * share / (1 - share))) > 1:  # which T5's is
                yield Guess(inverse_root.Root(0, None if scale == UNWARMED else scale), start)
    flat = max(t for t in range(len(rates)) if rates[t] == rates[0])
    for long in {flat or 1, flat + 1}:
        for start in shorter(rates[0] * long**0.5, rates.within) if base is None else (base,):
            yield Guess(inverse_root.Root(long), start)
    for long, start in _tops(rates, base):
        yield Guess(inverse_root.Root(long), start)
        for t, rate in _falling(rates, long):
            share = (rate / start) ** 2
            if share < 1 and (scale := round((t - long) * share / (1 - share))) > 0:
                yield Guess(inverse_root.Root(long, scale), start)


def _noam(rates: Rates, base: float | None) -> Iterator[Guess]:
    """The factor and the size are one number, and so is the base rate where it is not known."""
    for long, top in _tops(rates, None):
        if long == 1:  # no ramp, and one over a root is of many
            continue
        whole = top * long**0.5
        for size in (*SIZES, 1):
            factor = whole * size**0.5 / (base or 1.0)
            for short in shorter(factor, rates.within):
                if size == 1 or short == float(f"{short:.2g}"):
                    settings = inverse_root.Noam(size, long, 1.0 if base is None else short)
                    yield Guess(settings, short if base is None else base)


def _wsd(rates: Rates, base: float | None) -> Iterator[Guess]:
    """One that has come to its end or, if a ramp tells its floor, comes there with the next rate.

    As the log of a run has it: the rate after the last step is in none.
    """
    top, after = max(rates), len(rates)
    turn = max(t for t, rate in enumerate(rates) if rate == top)
    ends = {rates.index(rates[-1], turn)}
    if rates[-1] not in (0, rates[-2]):
        ends = {after - 1, after} if rates[0] < top and turn < after - 1 else set()
    kinds = ("linear", "cosine", "1-sqrt")
    ramps = (one for one in _tops(rates, base) if one[0] <= turn)
    for (long, start), end, up, down in product(ramps, sorted(ends), kinds, kinds):
        settings = stable.Settings(long, end - turn, end, turn - long, up, down)
        done = min(end, after - 1) - turn
        left = float(stable.down(done, 1.0, settings)) if done else 0.0
        low = (rates[-1] / start - left) / (1 - left)
        for ratio in shorter(low if abs(low) > rates.within else 0.0, rates.within):
            yield Guess(settings._replace(min_lr_ratio=ratio), start)


def _timm(rates: Rates, base: float | None) -> Iterator[tuple[int, float, float, float]]:
    """How long the ramp is, where it begins, where it leads, and the floor."""
    slope, lows = rates[1] - rates[0], [0.0, *_lows(rates, rates.index(max(rates)))]
    for long, _ in _tops(rates, None):
        lead = rates[0] + slope * long
        for begin, start, floor in product(
            shorter(rates[0], rates.within),
            shorter(lead, rates.within) if base is None else (base,),
            lows,
        ):
            if start > floor:
                yield long, begin, start, floor


def _timm_cosine(rates: Rates, base: float | None) -> Iterator[Guess]:
    for (long, begin, start, low), prefix in product(_timm(rates, base), (False, True)):
        for t, rate in _falling(rates, long):
            after = long if prefix else 0
            for end in _ends(after, t, turned((rate - low) / (start - low))):
                yield Guess(timm.Cosine(end - after, low, long, begin, prefix), start)


def _unramped(rates: Rates, base: float | None) -> Iterator[tuple[int, float, float, float]]:
    """The same where the first rate is the largest: a decay to a floor and nothing before it."""
    tops = shorter(rates[0], rates.within) if base is None else (base,)
    for start, low in product(tops, (0.0, *_lows(rates, 0))):
        if rates[0] == max(rates) and start > low:
            yield 0, 0.0, start, low


def _timm_polynomial(rates: Rates, base: float | None) -> Iterator[Guess]:
    ramps = (*_unramped(rates, base), *_timm(rates, base))
    for (long, begin, start, low), prefix, power in product(ramps, (False, True), POWERS):
        for t, rate in _falling(rates, long):
            after = long if prefix else 0
            if rate > low:
                for end in _ends(after, t, 1 - ((rate - low) / (start - low)) ** (1 / power)):
                    whole = end - after
                    yield Guess(timm.Polynomial(whole, power, low, long, begin, prefix), start)


GUESSES: Mapping[str, Callable[[Rates, float | None], Iterator[Guess]]] = {
    warmed.CONSTANT: _constant,
    warmed.LINEAR: _linear,
    warmed.COSINE: partial(_waves, warmed.Cosine, {0.5: 1, 1.0: 2, 1.5: 3, 2.0: 4}),
    warmed.RESTARTS: partial(_waves, warmed.Restarts, {n: n for n in range(1, 6)}),
    warmed.POLYNOMIAL: _polynomial,
    warmed.FLOORED: _floored,
    inverse_root.NOAM: _noam,
    inverse_root.ROOT: _root,
    stable.NAME: _wsd,
    timm.COSINE: _timm_cosine,
    timm.POLYNOMIAL: _timm_polynomial,
}
