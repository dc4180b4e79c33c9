"""Which schedule some rates are of: candidates, and what leaves their margin.

A candidate is a timing of a schedule. Where a subject takes settings, it is asked for rates under
settings in which timings part (:mod:`.timings`). Where it takes none, its rates are all there is,
and settings are made of them (:mod:`.guesses`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import islice, product
from typing import Any

from oracles.harness.arithmetic.enclosure import Enclosure
from oracles.harness.arithmetic.formats import FORMATS, round_to
from oracles.harness.evidence import cycles
from oracles.harness.evidence.guess import Guess, Rates
from oracles.harness.evidence.guesses import LATER, LONG, from_any, guesses, telling
from oracles.harness.evidence.shorter import ROUGHLY, shorter
from oracles.harness.evidence.sifting import MARGINS
from oracles.harness.oracle import Margin
from oracles.harness.subjects.scheduled import FACTORS, SHORTEST, Seen
from oracles.schedules.composed import Plan, Sequential, Single
from oracles.schedules.schedule import Schedule, Settings, Timing


@dataclass(frozen=True)
class ScheduleFit:
    """A candidate that holds all rates.

    Attributes:
        schedule: the schedule.
        timing: the variant of it.
        settings: what it is followed with, where that is one thing.
        base: the base rate, where that is made of the rates.
        assumed: what settings are that the subject does not take.
        open: settings that these rates do not tell: they end before, or some digits are not there.
        ahead: how many epochs there were before the first step.
        seen: with which base rates and epochs whoever takes settings was asked.
    """

    schedule: Schedule
    timing: Timing
    settings: Mapping[str, Any] = field(default_factory=dict)
    base: float | None = None
    assumed: Mapping[str, Any] = field(default_factory=dict)
    open: tuple[str, ...] = ()
    ahead: int = 0
    seen: str = ""

    def __reduce__(self) -> Any:
        """Between processes a timing goes by its place: it is made of functions."""
        place = self.schedule.timings.index(self.timing)
        rest = dict(self.settings), self.base, dict(self.assumed), self.open, self.ahead, self.seen
        return _fit, (self.schedule, place, *rest)

    @property
    def torchs(self) -> bool:
        """Whether it is torch's timing."""
        return bool(self.schedule.home) and self.timing is self.schedule.torch and not self.ahead

    @property
    def made(self) -> bool:
        """Whether some of it was made of rates."""
        return bool(self.settings) or self.base is not None

    @property
    def simplicity(self) -> tuple[bool, int, int, int]:
        """Its place among others that hold the same: torch's first, and few numbers and words.

        Cycles have so many numbers that they may look like what has fewer.
        """
        values = (*self.settings.values(), self.base)
        each = [one for value in values for one in (value if isinstance(value, tuple) else [value])]
        numbers = sum(type(one) in (int, float) for one in each)
        usual = self.torchs and from_any(self.schedule)
        return not usual, numbers, len(self.settings), len(str(self))

    def __str__(self) -> str:
        hidden = (FACTORS, *self.open)
        told = {name: value for name, value in self.settings.items() if name not in hidden}
        if {*FIXED} <= {*self.open}:  # of both their product is told, a place in a cycle
            told[" × ".join(FIXED)] = next(shorter(math.prod(self.settings[n] for n in FIXED)))
        if told.get("gamma", 1.0) < 0:  # which nobody types: the k of 1/(1 + kt) is 1 − q
            told["1 − gamma"] = 1 - told.pop("gamma")
        given = ", ".join(f"{name}={written(value)}" for name, value in told.items())
        own = " of a function of its own" if FACTORS in self.settings else ""
        base = f" from {written(self.base)}" if self.base is not None else ""
        with_ = f" with {given}" if given else ""
        ahead = ", one epoch ahead" if self.ahead else ""
        return f"{self.schedule.name}'s {self.timing.name}{own}{with_}{base}{ahead}"

    @cached_property
    def given(self) -> Settings:
        """The settings as the schedule takes them."""
        return self.schedule.settings(**self.settings)

    def rate(self, t: int) -> float:
        """At an epoch, of a base rate that is known or 1."""
        base = 1.0 if self.base is None else self.base
        return float(self.timing.rate(t + self.ahead, base, self.given))

    @property
    def digits(self) -> int:
        """How much there is to write down of it: counts, and what is not so by default."""
        usual = self.schedule.settings()._asdict()
        own = (v for n, v in self.settings.items() if type(v) is int or v != usual[n])
        return sum(len(written(value)) for value in (*own, self.base))


def _fit(schedule: Schedule, place: int, *others: Any) -> ScheduleFit:
    return ScheduleFit(schedule, schedule.timings[place], *others)


FIXED = ("pct_start", "total_steps")
"""Settings of which the first rates tell the product alone."""

MANY = 6
"""Values of a list that are written out."""


def written(value: Any) -> str:
    """A setting as people write it."""
    if isinstance(value, tuple):
        shown = [written(own) for own in value[:MANY]]
        rest = [f"... ({len(value)} in all)"] * (len(value) > MANY)
        return f"({', '.join(shown + rest)})"
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def holds(
    schedule: Schedule,
    timing: Timing,
    settings: Settings,
    base: float,
    rates: Mapping[int, float] | Sequence[float],
    margin: Margin = MARGINS[0],
    off: Sequence[float] = (),
) -> bool:
    """Whether rates are inside a timing's margin: by epoch, or from epoch 0 on.

    A factor is whatever rounds to it: code that has e⁻ᵏᵗ has none, and t of them add up.
    """
    lifted, start = Single(schedule, settings).lifted(margin.number).settings, margin.number(base)
    if "gamma" in lifted._fields:
        lost = FORMATS["float64"].u * abs(lifted.gamma.mid)
        rounded = Enclosure(lifted.gamma.mid, lifted.gamma.rad + lost, lifted.gamma.format)
        lifted = lifted._replace(gamma=rounded)
    by_epoch = rates.items() if isinstance(rates, Mapping) else enumerate(rates)
    pairs = ((timing.rate(t, start, lifted), rate, off[t] if off else 0.0) for t, rate in by_epoch)
    return _all_inside(pairs, margin)


def follows(plan: Plan, base: float, rates: Sequence[float]) -> bool:
    """Whether rates are inside the narrow margin of a plan that is followed step by step."""
    margin = MARGINS[0]
    lifted, start = plan.lifted(margin.number), margin.number(base)

    def stepped() -> Iterator[tuple[Any, float, float]]:
        rate = start
        for t, got in enumerate(rates):
            rate = lifted.next(rate, t, start)
            yield rate, got, 0.0

    return _all_inside(stepped(), margin)


def _all_inside(pairs: Iterable[tuple[Any, float, float]], margin: Margin) -> bool:
    """Whether rates, each of them so far off, are what is expected, rounded in the end.

    Where nothing is known none is.
    """
    for expected, rate, off in pairs:
        ball: Enclosure = margin.number(1) * expected
        if not (math.isfinite(ball.rad) and abs(ball.mid - rate) <= ball.rad + off):
            return False
    return True


OF_MOMENTUM = ("base_momentum", "max_momentum", "cycle_momentum")
"""Settings that no rate tells of."""

SPREAD = 4
"""By how many times as much as its rates a guess may be off that is made of two of them."""

AHEAD, BEHIND = "one_ahead", "one_behind"
"""The timings of a schedule that are torch's of the next epoch, and of the one before."""


def made_of(seen: Seen, schedules: Iterable[Schedule], *, first: bool) -> Iterator[ScheduleFit]:
    """Timings and settings that give some rates, if one knows how to make settings of them.

    Args:
        seen: the rates.
        schedules: whose.
        first: whether the first timings are tried, which are torch's, or all others.
    """
    rates, size = Rates(seen.near), max(map(abs, seen.near))
    if not all(map(math.isfinite, rates)) or min(rates) < -ROUGHLY * size:
        return  # no optimizer takes a rate below 0, wherever a formula leads
    rates.within += SPREAD * max(seen.off, default=0.0) / size if size else 0.0
    for schedule in schedules:
        for timing in schedule.timings[:1] if first else schedule.timings[1:]:
            held = _held(schedule, timing, rates, seen)
            if found := [*(held if seen.off else islice(held, 1))]:
                yield _one(found, seen, rates.within)


def before(seen: Seen) -> Iterator[Seen]:
    """Rates with the 0 before them that a ramp begins with, if their first is as they rise."""
    first, second, reach = *seen.near[:2], 3 * max(seen.off, default=0.0)
    if not seen.ahead and abs(second - 2 * first) <= ROUGHLY * second + reach:
        moved = [(base, {t + 1: rate for t, rate in far.items()}) for base, far in seen.beside]
        off = [0.0, *seen.off] if seen.off else ()
        yield replace(seen, near=[0.0, *seen.near], beside=moved, ahead=1, off=off)


def _held(
    schedule: Schedule, timing: Timing, rates: Rates, seen: Seen
) -> Iterator[tuple[ScheduleFit, float, Margin]]:
    """What is guessed of rates and gives them, its base rate, and in which margin."""
    off = seen.off or [0.0] * len(rates)
    reach = ROUGHLY * max(map(abs, rates))
    some = [(t, rates[t], reach + off[t]) for t in telling(len(rates))]
    each = dict.fromkeys(guesses(schedule, timing, rates, seen.base))
    guessed = [guess for guess in each if _near(timing, guess, some)]
    short = in_float32(rates)
    for margin, guess in product(MARGINS if short else MARGINS[:1], guessed):
        fit = _fitted(schedule, timing, guess, seen)
        if fit is not None and gives(fit, guess.base, seen, margin):
            yield fit, guess.base, margin


def _one(
    held: Sequence[tuple[ScheduleFit, float, Margin]], seen: Seen, within: float
) -> ScheduleFit:
    """Of fits of one timing that of the fewest digits; what another one has otherwise is open."""
    best, base, margin = min(held, key=lambda one: one[0].digits)
    told, size = _told(best, base, seen, margin), abs(best.base or 0.0)

    def differs(value: Any, other: Any) -> bool:
        if not isinstance(value, float):
            return bool(value != other)
        return bool(abs(value - other) > within * max(abs(value), abs(other), size))

    each = [(n, value, fit.settings[n]) for n, value in told.settings.items() for fit, *_ in held]
    open = dict.fromkeys((*told.open, *(n for n, *values in each if differs(*values))))
    return replace(told, open=tuple(open))


def _fitted(schedule: Schedule, timing: Timing, guess: Guess, seen: Seen) -> ScheduleFit | None:
    """What is said of a guess; None if it begins from another rate or epoch than it may."""
    named = (n for n in schedule.draws if n not in OF_MOMENTUM)
    known = {n: getattr(guess.settings, n) for n in named}
    told = guess.base if seen.base is None and schedule.name not in cycles.GUESSES else None
    both = seen.ahead and timing.name == BEHIND
    if both or (seen.written is not None and told not in seen.written):
        return None
    ahead = (one for one in schedule.timings if one.name == AHEAD)
    if seen.ahead and timing is schedule.torch and (one := next(ahead, None)):
        return ScheduleFit(schedule, one, known, told, open=guess.assumed)
    return ScheduleFit(schedule, timing, known, told, open=guess.assumed, ahead=seen.ahead)


def gives(fit: ScheduleFit, base: float, seen: Seen, margin: Margin) -> bool:
    """Whether a fit gives all rates that are known; of whoever can be asked for any, of some."""
    count, moved = len(seen.near), seen.ahead - fit.ahead  # which its timing has in it
    apart = 1 + count // LONG if seen.beside else 1
    some = {t: seen.near[t] for t in (*range(min(count, LONG)), *range(LONG, count, apart))}
    return all(
        holds(
            fit.schedule,
            fit.timing,
            fit.given,
            base if start is None else start,
            {t - moved: rate for t, rate in rates.items() if t >= moved},
            margin,
            seen.off,
        )
        for start, rates in (*seen.beside, (base, some))
    )


def _told(fit: ScheduleFit, base: float, seen: Seen, margin: Margin) -> ScheduleFit:
    """A fit with what its rates tell: not a setting that may be another, now or for ever."""
    later, kept, open = range(LATER * len(seen.near)), dict(fit.settings), {*fit.open}
    for name in fit.settings.keys() - open:
        with suppress(ArithmeticError):
            others = [one for one in _others(fit, name) if gives(one, base, seen, margin)]
            if any(fit.rate(t) != other.rate(t) for other in others for t in later):
                open.add(name)
            elif others:
                del kept[name]
    return replace(fit, settings=kept, open=tuple(name for name in kept if name in open))


def _others(fit: ScheduleFit, name: str) -> Iterator[ScheduleFit]:
    """The same with another value of a setting."""
    match fit.settings[name]:
        case bool() as value:
            values: list[Any] = [not value]
        case int() as value:
            values = [value + 1]
        case float() as value:
            values = [2 * value or 1.0]
        case str() as value:
            values = [word for word in fit.schedule.draws[name] if word != value]
        case value:
            values = [1] if value is None else []
    yield from (replace(fit, settings={**fit.settings, name: value}) for value in values)


def apart(fits: Iterable[ScheduleFit], count: int) -> Iterator[ScheduleFit]:
    """Without those of which the timing is, with such settings, that of one before by algebra."""
    known: list[tuple[Any, list[float]]] = []
    for fit in fits:
        own = fit.schedule, fit.settings, fit.base, fit.ahead
        each = [fit.rate(t) for t in range(LATER * count)]
        same = (other for one, other in known if one == own)
        if not any(all(map(partial(math.isclose, rel_tol=ROUGHLY), each, one)) for one in same):
            yield fit
        known.append((own, each))


def rivals(fits: Sequence[ScheduleFit], seen: Seen) -> Iterator[ScheduleFit]:
    """The first of some fits, and those that only digits which are not there tell from it.

    That is, what gives other rates later on, if not because it goes on otherwise from the same.
    """
    near, later = len(seen.near), LATER * len(seen.near)
    first = [fit.rate(t) for fit in fits[:1] for t in range(later)]
    for fit in fits:
        apart = [abs(fit.rate(t) - rate) for t, rate in enumerate(first)]
        same = max(apart[:near]) <= ROUGHLY * max(seen.off)
        if fit is fits[0] or not (same or max(apart) <= SPREAD * max(seen.off)):
            yield fit


def _near(timing: Timing, guess: Guess, rates: Sequence[tuple[int, float, float]]) -> bool:
    """Whether some rates are met, each but for so much: a look that costs little."""
    try:
        pairs = ((timing.rate(t, guess.base, guess.settings), r, off) for t, r, off in rates)
        return all(abs(expected - rate) <= off for expected, rate, off in pairs)
    except ArithmeticError:  # where an enclosure knows nothing
        return False


def in_float32(rates: Sequence[float]) -> bool:
    """Whether all may have been kept in that."""
    return bool((round_to("float32", rates) == rates).all())


# --- A warm-up before something else --------------------------------------------------------------


WARM = ("LinearLR", "ConstantLR")


def warmed_up(seen: Seen, schedules: Iterable[Schedule]) -> Plan | None:
    """A sequence of a warm-up and another schedule that gives some rates, if there is one.

    Where the rate is largest first, the second one begins, or where it is so again; if that is at
    the beginning, where it is so last.
    """
    among, rates = list(schedules), seen.near
    top = rates.index(max(rates)) or next((t for t, r in enumerate(rates) if r < rates[0]), 1) - 1
    warm, peak = [schedule for schedule in among if schedule.name in WARM], rates[top]
    for turn in range(max(top, 2), min(top + 2, len(rates) - SHORTEST)):
        far = [{t - turn: r for t, r in some.items() if t >= turn} for _, some in seen.beside]
        later = Seen(rates[turn:], peak, [(peak, some) for some in far])
        for one in made_of(Seen(rates[:turn], peak), warm, first=True):
            for other in sorted(made_of(later, among, first=True), key=lambda fit: fit.simplicity):
                if other.schedule.name not in WARM or other.settings.get("total_iters") != 1:
                    return Sequential((_plan(one), _plan(other)), (turn,))
    return None


def _plan(fit: ScheduleFit) -> Single:
    return Single(fit.schedule, fit.given)
