"""Learning-rate schedules of one's own: which schedule they follow, and what they get wrong.

:func:`identify_schedule` is what ``identify`` does with whatever has rates; :func:`check_schedule`
asks a class all that torch's class is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import Any

from oracles.harness.evidence import rates
from oracles.harness.evidence.rates import Fit
from oracles.harness.evidence.settings import Draws
from oracles.harness.evidence.sifting import MARGINS
from oracles.harness.loop.catalogue import questions
from oracles.harness.loop.changing import EDITS, LATE
from oracles.harness.promise import Line, Word
from oracles.harness.rates import Reading, read_as
from oracles.harness.runs.outcome import line_of, outcome
from oracles.harness.runs.parts import run_question, sites
from oracles.harness.runs.profiles import lasting
from oracles.harness.runs.tally import Tally
from oracles.harness.subjects.importing import imported
from oracles.harness.subjects.scheduled import Scheduled, scheduled
from oracles.harness.subjects.subject import SubjectError
from oracles.naming import unknown
from oracles.schedules.composed import Plan
from oracles.schedules.registry import PARTS, SCHEDULES
from oracles.schedules.schedule import Schedule, Timing

ALL = (*SCHEDULES, *PARTS)
"""Schedules that a class of one's own can be asked to be."""

ROUNDS = 2
"""Settings that are drawn for each timing."""


@dataclass(frozen=True)
class ScheduleIdentification:
    """Which schedule something follows.

    Attributes:
        name: of it.
        fits: all timings of schedules that hold its rates; with settings, where it takes none.
        plan: the composition that it shows and follows, if it is one.
        ruled_out: how many timings some rate excluded.
        fault: why it cannot be asked.

    >>> found = identify_schedule(lambda t, base, gamma: base * gamma ** (t + 1))
    >>> print(found)
    <lambda> follows ExponentialLR's one_ahead
    >>> print(identify_schedule([0.1, 0.1, 0.01, 0.01, 0.001, 0.001]))
    the list follows StepLR's staircase with step_size=2, gamma=0.1 from 0.1
    """

    name: str
    fits: tuple[Fit, ...] = ()
    plan: Plan | None = None
    ruled_out: int = 0
    fault: str = ""

    @property
    def named(self) -> bool:
        """Whether it is told what it follows."""
        return bool(self.fits) or self.plan is not None

    @property
    def torchs(self) -> bool:
        """Whether it is as torch has it."""
        return self.plan is not None or any(fit.timing is fit.schedule.torch for fit in self.fits)

    def __str__(self) -> str:
        if self.fault:
            return f"{self.name} cannot be asked: {self.fault}"
        if self.plan is not None:
            return f"{self.name} follows {self.plan}"
        if not self.fits:
            return f"{self.name} follows no known schedule ({self.ruled_out} were ruled out)"
        first, *others = self.fits
        if first.settings:  # some rates are of many schedules, and the simplest is told
            return f"{self.name} follows {first}"
        return f"{self.name} follows {' or '.join(map(str, (first, *others)))}"

    def remarks(self) -> Iterator[str]:
        """What is to be said beside it, a paragraph each."""
        for fit in self.fits[:1]:
            yield f"{fit.timing.equation} ({fit.schedule.symbols})"
            if not fit.torchs:
                yield f"torch: {fit.schedule.torch.equation}"
                yield f"{fit.timing.name}: {fit.timing.source}."
            if fit.assumed:
                values = ", ".join(f"{name} = {value}" for name, value in fit.assumed.items())
                yield f"Settings that it does not take are these: {values}."
        if len(self.fits) > 1 and self.fits[0].settings:
            yield f"These rates are also those of {'; '.join(map(str, self.fits[1:]))}."

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
                }
                for fit in self.fits
            ],
            "plan": None if self.plan is None else str(self.plan),
        }


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
    among = [_schedule(name) for name in (SCHEDULES if schedules is None else schedules)]
    who = scheduled(subject, names or {}, fixed or {})
    try:
        if who.takes is not None:
            return _by_settings(who, among)
        return _by_rates(who, among)
    except SubjectError as error:
        return ScheduleIdentification(who.name, fault=error.sentence)


def _schedule(name: str) -> Schedule:
    if name not in SCHEDULES:
        raise ValueError(unknown(f"schedule={name!r} is not known", name, SCHEDULES))
    return SCHEDULES[name]


def _by_settings(who: Scheduled, among: Sequence[Schedule]) -> ScheduleIdentification:
    """Of whoever takes settings: a schedule that has all of them, under all that are drawn."""
    there = rates.possible(who, among)
    if not there:
        return ScheduleIdentification(who.name, fault=_no_schedule(who, among))
    faults = {schedule.name: rates.declined(who, schedule) for schedule in there}
    asked = [schedule for schedule in there if not faults[schedule.name]]
    if not asked:
        return ScheduleIdentification(who.name, fault=next(iter(faults.values())))
    fits = [fit for schedule in asked for fit in rates.asked(who, schedule, ROUNDS)]
    out = sum(len(schedule.timings) for schedule in asked) - len(fits)
    return ScheduleIdentification(who.name, _simplest(fits), ruled_out=out)


def _no_schedule(who: Scheduled, among: Sequence[Schedule]) -> str:
    """That no schedule has the settings it takes, and which name may be meant."""
    known = dict.fromkeys(name for one in among for name in one.settings._fields)  # type: ignore[attr-defined]
    strange = [name for name in who.takes or () if name not in known]
    if not strange:
        return f"no schedule takes {', '.join(who.takes or ())} together"
    told = f"it takes {strange[0]!r}, which is no setting (names= says which of torch's it is)"
    return unknown(told, strange[0], known)


def _simplest(fits: Iterable[Fit]) -> tuple[Fit, ...]:
    """Torch's timings, if there are some, or all others; the simplest first."""
    ordered = sorted(fits, key=lambda fit: fit.simplicity)
    return tuple(fit for fit in ordered if fit.torchs == ordered[0].torchs)


def _by_rates(who: Scheduled, among: Sequence[Schedule]) -> ScheduleIdentification:
    """Of whoever has nothing but rates, or shows the settings that it has."""
    shown = who.shown()
    base = START if who.scaled else None
    seen = who.rates(START, who.lasts, {}) if shown is None else _as_long(who, shown)
    if shown is not None and (found := _shown(who, shown, seen, among)):
        return found
    far = who.far(START)

    def made(*, torchs: bool) -> list[Fit]:
        found = rates.made_of(seen, among, base, torchs=torchs)
        return [fit for fit in found if rates.goes_on(fit, START, far)]

    fits = made(torchs=True)
    if not fits and not who.scaled and (plan := rates.warmed_up(seen, among)):
        return ScheduleIdentification(who.name, plan=plan)
    fits = fits or made(torchs=False)
    tried = sum(1 if fits and fits[0].torchs else len(one.timings) for one in among)
    return ScheduleIdentification(who.name, _simplest(fits), ruled_out=tried - len(fits))


START = 0.5
"""The base rate of schedules that take one: at 1 a share of it would be itself."""


def _as_long(who: Scheduled, plan: Plan) -> list[float]:
    """Rates for as long as a plan lasts."""
    last = getattr(plan, "schedule", None) and plan.schedule.last(plan.settings)  # type: ignore[attr-defined]
    return who.rates(START, who.lasts if last is None else min(last, who.lasts), {})


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
        Fit(schedule, timing, settings._asdict())
        for timing in schedule.timings
        if rates.holds(schedule, timing, settings, START, seen)
        or (timing is schedule.torch and rates.follows(plan, START, seen))
    ]
    out = len(schedule.timings) - len(fits)
    return ScheduleIdentification(who.name, _simplest(fits), ruled_out=out) if fits else None


# --- A class of one's own -------------------------------------------------------------------------


@dataclass(frozen=True)
class ScheduleReport:
    """What is to be said of a class of schedulers.

    Attributes:
        name: of the class.
        schedule: what it is held to.
        found: the timing that it follows; None of a composition, and of what goes by a metric.
        lines: one for each question that torch's own class is asked.
    """

    name: str
    schedule: str
    found: ScheduleIdentification | None
    lines: tuple[Line, ...]

    @property
    def ok(self) -> bool:
        """Whether there is no fault."""
        return not self.faults()

    def faults(self) -> list[str]:
        """A sentence for each fault."""
        told = [] if self.found is None or self.found.torchs else [f"{self.found}"]
        return told + [f"{one.name}: {one.why}" for one in self.lines if one.word is Word.BROKEN]

    def __str__(self) -> str:
        head = f"{self.name} is asked as {self.schedule}"
        found = [] if self.found is None else [str(self.found)]
        kept = sum(one.word is Word.KEPT for one in self.lines)
        broken = [one for one in self.lines if one.word is Word.BROKEN]
        asked = [f"questions: {kept} answered well, {len(broken)} not"]
        return "\n".join(
            [head, *found, *asked, *(f"FAILED    {one.name}: {one.why}" for one in broken)]
        )

    def to_json(self) -> dict[str, Any]:
        """It as plain data, as ``oracles/reports/schedule.schema.json`` describes it."""
        return {
            "schema": 1,
            "oracles": version("optimizer-oracles"),
            "subject": self.name,
            "schedule": self.schedule,
            "ok": self.ok,
            "summary": str(self).splitlines(),
            "follows": None if self.found is None else self.found.to_json(),
            "questions": [{"name": o.name, "word": o.word, "why": o.why} for o in self.lines],
        }


def check_schedule(
    subject: Any, schedule: str | None = None, *, seed: int = 0, profile: str = "default"
) -> ScheduleReport:
    """Ask a class of schedulers all that torch's class is asked, and say which timing it follows.

    What the installed torch itself gets wrong is not asked of it, and refusing a setting at its
    edge is no fault. The cases are the same each time.

    Args:
        subject: a class whose arguments are those of torch's class, or where it is imported from,
            as ``"package.module:name"``.
        schedule: the name of torch's class; by default that of the subject, or of a base of it.
        seed: of all cases that are drawn.
        profile: how long to look: ``"default"`` or ``"thorough"``.

    Raises:
        ValueError: there is no such schedule or profile, a seed is no whole number, or the subject
            is not there.

    >>> import torch
    >>> class Early(torch.optim.lr_scheduler.ExponentialLR):
    ...     def get_lr(self):
    ...         return [base * self.gamma ** (self.last_epoch + 1) for base in self.base_lrs]
    >>> report = check_schedule(Early)
    >>> report.ok, str(report.found)
    (False, "Early follows ExponentialLR's one_ahead")
    """
    cls = _imported(subject) if isinstance(subject, str) else subject
    part = schedule or _bearing(cls)
    if part not in ALL:
        raise ValueError(unknown(f"schedule={part!r} is not known", part, ALL))
    draws = Draws(seed, profile)
    found = identify_schedule(cls, [part]) if part in SCHEDULES else None
    return ScheduleReport(cls.__name__, part, found, tuple(_lines(cls, part, draws, found)))


def _imported(name: str) -> Any:
    """What is imported from there.

    Raises:
        ValueError: it is not there.
    """
    try:
        return imported(name)
    except SubjectError as error:
        raise ValueError(f"subject={name!r} cannot be imported: {error.sentence}") from error


def _bearing(cls: Any) -> str:
    """The schedule whose name a class or a base of it bears.

    Raises:
        ValueError: there is none.
    """
    for base in getattr(cls, "__mro__", ()):
        if base.__name__ in ALL:
            return str(base.__name__)
    raise ValueError(f"say which schedule {cls!r} is to be: schedule= is one of {', '.join(ALL)}")


def _lines(
    cls: Any, part: str, draws: Draws, found: ScheduleIdentification | None
) -> Iterator[Line]:
    """What comes of each question but those that other timings are told by."""
    from oracles.harness.subjects.schedulers import planted  # which needs torch

    reading = Reading() if found is None else Reading(_timing(found, part), MARGINS[0])
    unknown = found is not None and not found.torchs
    with planted(part, cls), lasting(draws.profile, draws.seed), read_as(reading):
        there, _ = sites(part)
        for question in questions(part):
            if question.rejects is not None:
                continue
            if unknown and question.name in OF_RECURRENCES:
                yield Line(question.name, Word.NOT_ASKED, "only torch's timing has a recurrence")
            else:
                asked = outcome(partial(run_question, question, there), Tally())
                yield line_of(question.name, asked)


OF_RECURRENCES = (EDITS, LATE)
"""What hangs on how a rate is made of the one before."""


def _timing(found: ScheduleIdentification, part: str) -> Timing:
    """The timing that a class follows; torch's if it follows none."""
    return found.fits[0].timing if found.fits else SCHEDULES[part].torch
