"""Learning-rate schedules of one's own: which schedule they follow.

:func:`identify_schedule` is what ``identify`` does with whatever has rates.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import Any

from oracles.harness.evidence import guesses, lines, rates, timings
from oracles.harness.evidence.rates import ScheduleFit, written
from oracles.harness.evidence.sifting import MARGINS
from oracles.harness.subjects.equations.rated import Rated
from oracles.harness.subjects.scheduled import (
    BELOW,
    CURRENT,
    FACTORS,
    SHORTEST,
    START,
    Function,
    Scheduled,
    Seen,
    scheduled,
)
from oracles.harness.subjects.subject import SubjectError
from oracles.naming import unknown
from oracles.schedules.composed import Plan, Single
from oracles.schedules.registry import KNOWN
from oracles.schedules.schedule import Schedule


@dataclass(frozen=True)
class ScheduleIdentification:
    """Which schedule something follows.

    Attributes:
        name: of it.
        fits: all timings of schedules that hold its rates; with settings, where it takes none.
        plan: the composition that it shows and follows, if it is one, or that holds its rates.
        ruled_out: how many timings some rate excluded.
        fault: why it cannot be asked.
        line: what there is to say of rates that are no schedule's, or of many: on a straight line,
            falling now and then, or of one schedule up to some epoch.
        alike: whether nothing tells one fit from the others, as some digits are not there.
        metric: whether a metric may have brought them there: what falls by itself is a log's.
        current: whether what was taken for the base rate may be meant to be another one.
        meant: settings that it calls by a name that may mean another one's, and that name.
        ends: where its rates end, and why.

    >>> found = identify_schedule(lambda t, base, gamma: base * gamma ** (t + 1))
    >>> print(found)
    <lambda> follows ExponentialLR's one_ahead
    >>> print(identify_schedule([0.1, 0.1, 0.01, 0.01, 0.001, 0.001]))
    the list follows StepLR's staircase with step_size=2, gamma=0.1 from 0.1
    """

    name: str
    fits: tuple[ScheduleFit, ...] = ()
    plan: Plan | None = None
    ruled_out: int = 0
    fault: str = ""
    line: str = ""
    alike: bool = False
    metric: bool = False
    current: bool = False
    meant: Mapping[str, str] = field(default_factory=dict)
    ends: str = ""

    @property
    def named(self) -> bool:
        """Whether it is told what it follows."""
        return bool(self.fits) or self.plan is not None

    @property
    def torchs(self) -> bool:
        """Whether it is as torch has it."""
        told = self.plan is not None or any(fit.torchs for fit in self.fits)
        return told and not self._unbuilt

    def __str__(self) -> str:
        if self.fault:
            return f"{self.name} cannot be asked: {self.fault}"
        if self.line:
            return f"{self.name} {self.line}"
        if not self.fits and self.plan is not None:
            return f"{self.name} follows {self.plan}{self._unbuilt}"
        if not self.fits:
            out = f" ({self.ruled_out} were ruled out)" if self.ruled_out else ""
            return f"{self.name} follows no known schedule{out}"
        first = self.fits[0]
        one = first.made and not self.alike  # of many schedules the simplest is told
        follows = "begins as" if first.settings and first.open else "follows"
        told = [*map(str, self.fits[: 1 if one else None])]
        told += ["ReduceLROnPlateau, by a metric"] if self.metric else []
        but = f", but {self.ends}" if self.ends.endswith(BELOW) else ""
        return f"{self.name} {follows} {' or '.join(told)}{self._unbuilt}{but}"

    @property
    def _unbuilt(self) -> str:
        """That torch has no such ramp, if it is told first and begins at 0."""
        parts = getattr(self.plan, "parts", (self.plan,))
        each = [getattr(one, "settings", None) for one in parts if not self.fits]
        first = [getattr(one, "start_factor", 1.0) for one in each]
        first += [fit.settings.get("start_factor", 1.0) for fit in self.fits[:1] if fit.torchs]
        return ", but torch's LinearLR cannot start at 0" if 0.0 in first else ""

    def remarks(self) -> Iterator[str]:
        """What is to be said beside it, a paragraph each."""
        for fit in self.fits[:1]:
            yield f"{fit.timing.equation} ({fit.schedule.symbols})"
            if not fit.torchs:
                own = (
                    fit.schedule.torch.equation if fit.schedule.home else "it has no such schedule."
                )
                yield f"torch: {own}"
                yield f"{fit.timing.name}: {fit.timing.source}."
            if self.meant:
                names = ", ".join(f"{own} as {name}" for name, own in self.meant.items())
                yield f"It takes {names}; names={{...}} says what is meant otherwise."
            if fit.assumed:
                values = ", ".join(f"{name} = {value}" for name, value in fit.assumed.items())
                yield f"Settings that it does not take are these: {values}."
            such, why = [*fit.open], "which end before it shows"
            if self.alike:
                such = [f"{name} (such as {plain(fit.settings[name])})" for name in such]
                why = "of which some digits are not there"
            if such:
                yield f"Not told by these rates, {why}: {', '.join(such)}."
            if fit.seen:
                yield f"Seen with {fit.seen}; what it does beyond was not asked."
        if self.ends:
            yield f"{self.ends[0].upper()}{self.ends[1:]}."
        also = [*self.fits[1:], *([self.plan] if self.fits and self.plan else [])]
        if also and self.fits[0].made and not self.alike:
            yield f"These rates are also those of {'; '.join(map(str, also))}."
        if self.current and not self.fault:
            yield (
                f"{CURRENT} is taken to be the base rate. If it is the rate of the epoch before, "
                "as Keras' LearningRateScheduler gives it, ask for the list of rates that come of "
                "it."
            )

    def to_json(self) -> dict[str, Any]:
        """It as plain data."""
        return {
            "fits": [
                {
                    "schedule": fit.schedule.name,
                    "timing": fit.timing.name,
                    "settings": {n: plain(value) for n, value in fit.settings.items()},
                    "base": fit.base,
                    "assumed": {n: plain(value) for n, value in fit.assumed.items()},
                    "open": list(fit.open),
                    "ahead": fit.ahead,
                    "seen": fit.seen,
                }
                for fit in self.fits
            ],
            "plan": None if self.plan is None else str(self.plan),
            "line": self.line,
            "alike": self.alike,
            "metric": self.metric,
            "meant": dict(self.meant),
            "ends": self.ends,
        }


@dataclass(frozen=True)
class OwnRate:
    """A learning rate that code makes of the step's number, or that a record has.

    Attributes:
        text: how it is made, where that is known.
        counts: the step's number in it, and what that is taken to be at the first step.
        schedule: what it follows, if it is made of nothing else but a base rate.
    """

    text: str
    schedule: ScheduleIdentification | None
    counts: tuple[str, int] | None = None

    def remarks(self) -> Iterator[str]:
        """What is to be said beside it, a paragraph each."""
        if self.schedule:
            yield from self.schedule.remarks()
        if self.counts:
            name, first = self.counts
            other = "t-1" if first else "t"
            told = f"where it is {1 - first} there, names={{{other!r}: {name!r}}} says so"
            yield f"{name} is taken to be {first} at the first step; {told}."

    @property
    def told(self) -> bool:
        """Whether something is told of it."""
        return self.schedule is not None and bool(self.schedule.named or self.schedule.line)

    def __str__(self) -> str:
        if not self.text:
            return f"where {self.schedule}"
        follows = f": {self.schedule}" if self.schedule else ""
        return f"with a learning rate of its own, {self.text}{follows}"

    def to_json(self) -> dict[str, Any]:
        """It as plain data."""
        return {"text": self.text, "schedule": self.schedule and self.schedule.to_json()}


def own_rate(rated: Rated) -> OwnRate:
    """What a text makes of the step's number, and which schedule that is.

    >>> from oracles.harness.subjects.equations.reading import read
    >>> _, rated = read("lr_t = 0.1*0.5**t; w -= lr_t*g").rated
    >>> print(own_rate(rated).schedule)
    it follows ExponentialLR's one_ahead with gamma=0.5 from 0.1
    """
    if rated.rate is None:
        return OwnRate(rated.text, None, rated.counts)
    asked = Function(rated.rate, {}, {}, rated.counts[1], rated.written)
    asked.name = "it"
    return OwnRate(rated.text, identify_schedule(asked), rated.counts)


def plain(value: Any) -> Any:
    """A setting as plain data."""
    return [*value] if isinstance(value, tuple) else value


def identify_schedule(
    subject: Any,
    schedules: Iterable[str] | None = None,
    *,
    names: Mapping[str, str] | None = None,
    fixed: Mapping[str, Any] | None = None,
) -> ScheduleIdentification:
    """Find which schedule something follows, in which timing and, if it takes none, which settings.

    Args:
        subject: a class of schedulers, a function that makes one of an optimizer, a function of the
            epoch ``(t, base, **settings) -> rate``, or a list of rates.
        schedules: what it may follow; all by default.
        names: torch's names of settings, and the subject's own for them; its name for the base
            rate goes by ``base``.
        fixed: further arguments that it is always given.

    Raises:
        ValueError: a schedule or a name is not known, or a list is too short.
    """
    among = [_schedule(name) for name in (KNOWN if schedules is None else schedules)]
    first = None
    who = scheduled(subject, names or {}, fixed or {})
    for one in (who, *who.alone()):  # as it is called by default, where settings tell nothing
        found = _asked(one, among, any_line=schedules is None)
        if found.named or found.line:
            return found
        first = found if first is None or (first.fault and not found.fault) else first
    assert first is not None
    return first


def _asked(who: Scheduled, among: Sequence[Schedule], *, any_line: bool) -> ScheduleIdentification:
    """What somebody is told to follow who can be asked."""
    try:
        found = _by_settings(who, among) if who.takes else _by_rates(who, among, any_line=any_line)
        return replace(found, current=who.current, ends=found.ends or who.ends)
    except SubjectError as error:
        return ScheduleIdentification(who.name, fault=error.sentence)


def _schedule(name: str) -> Schedule:
    if name not in KNOWN:
        raise ValueError(unknown(f"schedule={name!r} is not known", name, KNOWN))
    return KNOWN[name]


def _by_settings(who: Scheduled, among: Sequence[Schedule]) -> ScheduleIdentification:
    """Of whoever takes settings: a schedule that has all of them, under all that are drawn.

    By the schedule's own names, or else by those that may mean the same.
    """
    each = (timings.possible(who, among), timings.meant(who, among))
    first = None
    for there in filter(None, each):
        found = _as_settings(who, there)
        if found.named:
            return found
        first = first or found
    return first or ScheduleIdentification(who.name, fault=_no_schedule(who, among))


def _as_settings(who: Scheduled, there: Sequence[timings.Asked]) -> ScheduleIdentification:
    """What it is as one of some schedules by whose names it takes its settings."""
    faults = [timings.declined(*one) for one in there]
    asked = [one for one, fault in zip(there, faults, strict=True) if not fault]
    if not asked:
        return ScheduleIdentification(who.name, fault=faults[0])
    told = (
        [fit for one in asked for fit in timings.asked(*one, written=written)]
        for written in (False, True)
    )
    held = next(filter(None, told), [])
    out = sum(len(schedule.timings) for _, schedule in asked) - len(held)
    fits = _simplest(_least_assumed(held))
    by = next((by for by, one in asked if fits and one is fits[0].schedule), who)
    meant = {name: own for name, own in by.takes.items() if name not in who.takes}
    return ScheduleIdentification(who.name, fits, ruled_out=out, meant=meant, ends=by.ends)


def _least_assumed(fits: Sequence[ScheduleFit]) -> list[ScheduleFit]:
    """Those of torch; and of others those for which the fewest settings are as nobody has said."""
    fewest = min((len(fit.assumed) for fit in fits if not fit.schedule.home), default=0)
    return [fit for fit in fits if fit.schedule.home or len(fit.assumed) == fewest]


def _no_schedule(who: Scheduled, among: Sequence[Schedule]) -> str:
    """That no schedule has the settings it takes, and which name may be meant."""
    known = dict.fromkeys(name for one in among for name in one.settings._fields)  # type: ignore[attr-defined]
    strange = [name for name in who.takes if name not in known]
    if not strange:
        return f"no schedule takes {', '.join(who.takes)} together"
    said = "names={...} says which of torch's it is"
    told = f"it takes {strange[0]!r}, which is no setting ({said})"
    return unknown(told, strange[0], known)


def _simplest(fits: Iterable[ScheduleFit]) -> tuple[ScheduleFit, ...]:
    """Torch's timings, if there are some, or all others; the simplest first."""
    ordered = sorted(fits, key=lambda fit: fit.simplicity)
    return tuple(fit for fit in ordered if fit.torchs == ordered[0].torchs)


def _by_rates(
    who: Scheduled, among: Sequence[Schedule], *, any_line: bool
) -> ScheduleIdentification:
    """Of whoever has nothing but rates, or shows the settings that it has.

    A line is many schedules; what comes after one that rises tells.
    """
    shown = who.shown()
    last = None
    for seen in who.seen():
        near = lines.on_a_line(replace(seen, beside=())) if any_line and shown is None else ""
        name = _read(who, seen)
        if near and seen.base and not lines.on_a_line(_at_once(seen)):
            near = lines.on_a_line(replace(seen, base=None, beside=()))
            name = f"{who.name}, at a base rate of {seen.base},"
        found = ScheduleIdentification(name, line=near)
        if near and lines.on_a_line(seen):
            return found
        if not near or seen.near[0] > seen.near[-1]:
            found = _of(who, shown, seen, among)
        if found.named:
            first = found.fits[0].schedule.name if found.fits else ""
            by_metric = who.logged and first == "MultiStepLR" and seen.near[0] > seen.near[-1]
            return replace(found, name=name, metric=by_metric)
        if who.logged and (told := lines.now_and_then(seen)):
            return replace(found, name=name, line=told)
        last = last if seen.off else found
    assert last is not None
    if not any_line or shown or last.line:
        return last
    for seen in islice(who.seen(), None if who.logged else 1):
        if begun := _up_to(seen, who, among):
            return replace(begun, name=_read(who, seen))
    return last


def _read(who: Scheduled, seen: Seen) -> str:
    """Whose rates are read, and how."""
    return f"{who.name}, read to its digits," if seen.off else who.name


LEAST = 2 * SHORTEST
"""Rates of one schedule, before what goes on otherwise."""


def _up_to(seen: Seen, who: Scheduled, among: Sequence[Schedule]) -> ScheduleIdentification | None:
    """Which schedule whoever takes no base rate follows up to some epoch, and what comes then.

    That is until its rate stays as it is or is below 0 or, if all digits are there, for half of its
    rates and more. Milestones are made of any beginning, and tell nothing of it but up to where
    the rate stays.
    """
    near, count = seen.near, len(seen.near)
    before = next((t for t in range(count - 2, 0, -1) if near[t] != near[-1]), 0)
    stays = before + 1 if before < count - 2 else count
    below = next((t for t in range(count) if near[t] < 0), 0)  # where a line has met its end
    half = 0 if seen.off else count // 2
    for end in () if seen.base else dict.fromkeys((stays, below, half)):
        part = replace(seen, near=near[:end], beside=(), off=seen.off[:end])
        if not LEAST <= end < count:
            continue
        then = BELOW if end == below else f"stays at {written(near[-1])}"
        if line := lines.on_a_line(part):
            if end != half:  # of which it is told what comes then
                told = f"{line}; at epoch {end} it {then}"
                return ScheduleIdentification(who.name, line=told)
            continue
        if len({*part.near}) <= 2:  # so falls any rate
            continue
        made = [one for one in among if one.name != "MultiStepLR" or end == stays]
        if (found := _of(who, None, part, made)).named:
            return _so_far(found, seen, end, stays)
    return None


def _so_far(
    found: ScheduleIdentification, seen: Seen, end: int, stays: int
) -> ScheduleIdentification:
    """What is said of what the first rates follow: that all do, or from when on they do not."""
    near, margin = seen.near, MARGINS[rates.in_float32(seen.near)]
    for fit in found.fits[:1]:
        by = partial(rates.holds, fit.schedule, fit.timing, fit.given, fit.base or 1.0)
        moved = seen.ahead - fit.ahead
        held = (by({t - moved: near[t]}, margin, seen.off) for t in range(end, len(near)))
        end += next((n for n, holds in enumerate(held) if not holds), len(near) - end)
        if end == len(near) and rates.gives(fit, fit.base or 1.0, seen, margin):
            return replace(found, fits=(fit,), plan=None)
    stayed = stays <= end < len(near)
    then = f"stays at {written(near[-1])}" if stayed else "goes on otherwise"
    told = " or ".join(map(str, found.fits[: None if seen.off else 1] or (found.plan,)))
    more = " and more" if end == len(near) else ""
    return ScheduleIdentification(
        found.name, line=f"begins as {told} up to epoch {end - 1}{more}, then {then}"
    )


def _at_once(seen: Seen) -> Seen:
    """The first epochs alone: whether they go by the base rate, another one tells."""
    first = [(base, {t: r for t, r in some.items() if t < SHORTEST}) for base, some in seen.beside]
    return replace(seen, near=seen.near[:SHORTEST], beside=first)


def _of(
    who: Scheduled, shown: Plan | None, seen: Seen, among: Sequence[Schedule]
) -> ScheduleIdentification:
    """What one reading of its rates tells."""
    own = [one for one in among if one.home]
    others = [one for one in among if not one.home]

    def made(schedules: Sequence[Schedule], *, first: bool) -> list[ScheduleFit]:
        return [*rates.made_of(seen, schedules, first=first)]

    def late() -> list[ScheduleFit]:
        return [fit for one in rates.before(seen) for fit in rates.made_of(one, others, first=True)]

    def of_others() -> list[ScheduleFit]:
        return made(others, first=True) or made(others, first=False)

    def likely() -> list[ScheduleFit]:  # where rates begin at 0, no schedule of torch's does
        return (made(others, first=True) if seen.near[0] == 0 else []) or made(own, first=True)

    if seen.off:  # many may be so to a few digits, and all of them are told
        fits = made(among, first=True) + made(among, first=False) + late()
        ordered = sorted(fits, key=lambda fit: fit.simplicity)
        return ScheduleIdentification(who.name, (*rates.rivals(ordered, seen),), alike=True)
    told = None if shown is None else _shown(who, shown, seen.near, among)
    curve = isinstance(shown, Single) and FACTORS in shown.settings._fields  # which any may have
    if told and (not curve or len({*seen.near}) == 1):
        return told
    fits, plan = likely(), None
    if not fits and seen.base is None and not seen.ahead:
        plan = rates.warmed_up(seen, own)
    if plan or (fits and not any(guesses.from_any(fit.schedule) for fit in fits)):
        both = sorted((*late(), *fits), key=lambda fit: fit.simplicity)
        return ScheduleIdentification(who.name, (*both,), plan)
    fits = fits or of_others() or late() or made(own, first=False)
    if told and not fits:
        return told
    looked = [one for one in among if guesses.from_any(one)]
    tried = sum(1 if fits and fits[0].torchs else len(one.timings) for one in looked)
    held = sum(fit.schedule in looked for fit in fits)
    simplest = _simplest(fits)
    even = simplest and len(simplest[0].settings.get("milestones", ())) > 1  # steps of one length
    steps = made([one for one in among if one.name == "StepLR"], first=False) if even else []
    alone = rates.apart((*steps, *simplest), len(seen.near))
    return ScheduleIdentification(who.name, (*alone,), ruled_out=tried - held)


def _shown(
    who: Scheduled, plan: Plan, seen: Sequence[float], among: Sequence[Schedule]
) -> ScheduleIdentification | None:
    """What a scheduler shows that it follows, if its rates are so."""
    schedule, settings = getattr(plan, "schedule", None), getattr(plan, "settings", None)
    if schedule is None or settings is None:
        follows = rates.follows(plan, START, seen)
        return ScheduleIdentification(who.name, plan=plan) if follows else None
    if schedule not in among:
        return None
    fits = [
        ScheduleFit(schedule, timing, settings._asdict())
        for timing in schedule.timings
        if rates.holds(schedule, timing, settings, START, seen)
        or (timing is schedule.torch and rates.follows(plan, START, seen))
    ]
    out = len(schedule.timings) - len(fits)
    return ScheduleIdentification(who.name, _simplest(fits), ruled_out=out) if fits else None
