"""check, for a class of learning-rate schedulers: all that torch's class is asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from importlib.metadata import version
from typing import Any, NamedTuple

from oracles.harness.evidence.settings import Draws
from oracles.harness.evidence.sifting import MARGINS
from oracles.harness.loop.catalogue import OF_RECURRENCES
from oracles.harness.loop.question import Question
from oracles.harness.promise import Line, Word
from oracles.harness.rates import Reading, read_as
from oracles.harness.runs.confined import REST, Lost, answers
from oracles.harness.runs.outcome import as_line
from oracles.harness.runs.parts import run_question, sites
from oracles.harness.runs.profiles import lasting
from oracles.harness.subjects.importing import imported, limit_of
from oracles.harness.subjects.scheduled import OWNER, is_scheduler
from oracles.harness.subjects.subject import SubjectError
from oracles.inquiry import answer, heard, line_of
from oracles.naming import refuse_limits, refuse_unlisted, unknown
from oracles.schedules.registry import PARTS, SCHEDULES
from oracles.schedules.schedule import Timing
from oracles.scheduling import ScheduleIdentification, identify_schedule

ALL = (*SCHEDULES, *PARTS)
"""Schedules that a class of one's own can be asked to be."""

OF_TORCH = "torch's own class fails it here, or cannot be asked"
"""Why something is asked of nobody."""

SUBJECT, FOLLOWS, ASKED = "subject", "schedule", "asked: "
"""What questions are called; the last one is followed by a question that torch's class is asked."""


@dataclass(frozen=True)
class ScheduleReport:
    """What is to be said of a class of schedulers.

    Attributes:
        name: of the class.
        schedule: what it is held to.
        found: the timing that it follows; None of a composition, and of what goes by a metric.
        lines: one for each question that torch's own class is asked.
        rest: why some of them have no answer, if there are such.
    """

    name: str
    schedule: str
    found: ScheduleIdentification | None
    lines: tuple[Line, ...]
    rest: str = ""

    @property
    def ok(self) -> bool:
        """Whether there is no fault."""
        return not self.faults()

    def faults(self) -> list[str]:
        """A sentence for each fault."""
        told = [] if self.found is None or self.found.torchs else [f"{self.found}"]
        told += [f"{one.name}: {one.why}" for one in self.lines if one.word is Word.BROKEN]
        return [*told, f"{self.rest}, and questions are left"] if self.rest else told

    def __str__(self) -> str:
        head = f"{self.name} is asked as {self.schedule}"
        found = [str(self.found)] if self.found is not None and self.found.torchs else []
        counts = Counter(one.word for one in self.lines)
        words = ", ".join(f"{counts[word]} {word}" for word in Word if counts[word])
        left = [one for one in self.lines if one.word not in (Word.KEPT, Word.BROKEN)]
        return "\n".join(
            [
                *(head, *found, *([f"promises: {words}"] if words else [])),
                *(f"FAILED    {fault}" for fault in self.faults()),
                *(f"{one.word}: {one.name}{f' ({one.why})' * bool(one.why)}" for one in left),
            ]
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
    subject: Any,
    schedule: str | None = None,
    *,
    not_promised: Sequence[str] = (),
    seed: int = 0,
    profile: str = "default",
    time_limit: float | None = None,
) -> ScheduleReport:
    """Ask a class of schedulers all that torch's class is asked, and say which timing it follows.

    What the installed torch itself gets wrong is not asked of it, and refusing a setting at its
    edge is no fault; nor is what a right class need not promise, such as a closed form that knows
    nothing of rates that are written into a group: that is told.

    Args:
        subject: a class whose arguments are those of torch's class, or where it is imported from,
            as ``"package.module:name"``: torch's or any other that takes an optimizer and has
            ``step()``, ``step(epoch)`` or ``step_update(epoch)``.
        schedule: the name of torch's class; by default that of the subject, or of a base of it.
        not_promised: names of promises that its author does not make.
        seed: of all cases that are drawn; the same draws the same.
        profile: how long to look: ``"default"``, ``"ci"``, which is the same, or ``"thorough"``.
        time_limit: in seconds, after which a class that hangs is ended, in a process of its own, as
            ``check`` has it. None for neither.

    Raises:
        ValueError: there is no such schedule, promise or profile, a seed is no whole number, or
            the subject is not there.
        TypeError: the subject is an optimizer, cannot be called, or does not take what torch's
            class does.

    >>> import torch
    >>> class Early(torch.optim.lr_scheduler.ExponentialLR):
    ...     def get_lr(self):
    ...         return [base * self.gamma ** (self.last_epoch + 1) for base in self.base_lrs]
    >>> report = check_schedule(Early)
    >>> report.ok, str(report.found)
    (False, "Early follows ExponentialLR's one_ahead")
    """
    if schedule not in (None, *ALL):
        raise ValueError(unknown(f"schedule={schedule!r} is not known", str(schedule), ALL))
    refuse_unlisted(not_promised=not_promised)
    draws = Draws(seed, profile)
    refuse_limits(time_limit=time_limit)
    inquiry = ScheduleInquiry(subject, schedule, draws, tuple(not_promised))
    return reported(subject, dict(answers(inquiry, limit_of(subject, time_limit))))


class Named(NamedTuple):
    """Who is asked.

    Attributes:
        name: of the class.
        part: the schedule it is held to.
    """

    name: str
    part: str


@dataclass(frozen=True, eq=False)
class ScheduleInquiry:
    """All that is asked of a class of schedulers.

    Attributes:
        subject: the class, or where it is imported from.
        schedule: the name of torch's class; None for the one whose name it bears.
        draws: which cases are drawn, and how many.
        not_promised: names of promises that it does not make.
    """

    subject: Any
    schedule: str | None
    draws: Draws
    not_promised: Sequence[str] = ()

    @cached_property
    def cls(self) -> Any:
        """The class.

        Raises:
            ValueError: it is not there.
        """
        if not isinstance(self.subject, str):
            return self.subject
        try:
            return imported(self.subject)
        except SubjectError as error:
            raise ValueError(_not_there(self.subject, error.sentence)) from error

    def __call__(self, known: Mapping[str, Any]) -> Iterator[tuple[str, Callable[[], Any]]]:
        """Its questions. One that hangs on an answer comes after it."""
        yield SUBJECT, heard(self.named)
        named = answer(known, SUBJECT)
        if isinstance(named, Lost):
            return
        found = None
        if named.part in SCHEDULES:
            yield FOLLOWS, heard(partial(identify_schedule, self.cls, [named.part]))
            found = answer(known, FOLLOWS)
            if isinstance(found, Lost) or found.fault:
                return
        for name, question in self._promises(named.part).items():
            yield ASKED + name, heard(partial(self._line, name, question, found))

    def _promises(self, part: str) -> dict[str, Question]:
        """What it is asked.

        Raises:
            ValueError: it has no promise of some name.
        """
        from oracles.harness.loop.own import promises  # which needs torch

        found = dict(promises(part))
        for name in self.not_promised:
            if name not in found:
                told = f"not_promised={name!r} is no promise of this code"
                raise ValueError(unknown(told, name, found))
        return found

    def named(self) -> Named:
        """Who is asked.

        Raises:
            ValueError: it is not there, bears no schedule's name, or has no promise of some name.
            TypeError: it is no class of schedulers, or does not take what torch's does.
        """
        name = getattr(self.cls, "__name__", repr(self.cls))
        if not is_scheduler(self.cls):
            raise TypeError(
                f"subject={name} is no class of schedulers; allowed: one whose first argument is "
                f"the optimizer, by the name of {' or '.join(OWNER)}, and the others those of "
                "torch's class, with step(), step(epoch) or step_update(epoch)"
            )
        named = Named(name, self.schedule or _bearing(self.cls))
        self._promises(named.part)
        if lacking := self._untaken(named.part):
            raise TypeError(
                f"subject={name} takes no {' and no '.join(lacking)}; allowed: a class whose "
                f"arguments are those of torch's {named.part} (oracles.identify asks others)"
            )
        return named

    def _untaken(self, part: str) -> list[str]:
        from oracles.harness.loop.own import untaken  # which needs torch

        return untaken(part, self.cls) if part in SCHEDULES else []

    def _line(self, name: str, question: Question, found: ScheduleIdentification | None) -> Line:
        """What comes of one promise; one that it makes in a weaker form it does not make."""
        from oracles.harness.loop.own import WEAKER, lacks  # which needs torch

        if name in self.not_promised:
            return Line(name, Word.NOT_PROMISED)
        if why := lacks(self.cls, name):
            return Line(name, Word.NOT_ASKED, why)
        if found is not None and not found.torchs and name in OF_RECURRENCES:
            return Line(name, Word.NOT_ASKED, "only torch's timing has a recurrence")
        reading = Reading()
        if found is not None:
            reading = Reading(_timing(found, question.part), MARGINS[0])
        told = self._asked(name, question, reading)
        if told.word is Word.BROKEN and name in WEAKER:
            weaker = self._asked(name, question, replace(reading, weaker=True))
            if weaker.word is Word.KEPT:
                return Line(name, Word.NOT_PROMISED, WEAKER[name])
        return told

    def _asked(self, name: str, question: Question, reading: Reading) -> Line:
        """What comes of one question, by a reading."""
        from oracles.harness.subjects.schedulers import planted  # which needs torch

        with (
            planted(question.part, self.cls),
            lasting(self.draws.profile, self.draws.seed),
            read_as(reading),
        ):
            there, _ = sites(question.part)
            told = as_line(name, partial(run_question, question, there))
            return replace(told, why=OF_TORCH) if told.word is Word.NOT_ASKED else told


def _not_there(subject: str, why: Any) -> str:
    return f"subject={subject!r} cannot be imported: {why}"


def reported(subject: Any, known: Mapping[str, Any]) -> ScheduleReport:
    """What the answers say.

    Raises:
        ValueError: whoever is asked cannot even be imported.
    """
    named = answer(known, SUBJECT)
    if isinstance(named, Lost):
        raise ValueError(_not_there(str(subject), named))
    found = answer(known, FOLLOWS) if named.part in SCHEDULES else None
    if isinstance(found, Lost):
        found = ScheduleIdentification(named.name, fault=str(found))
    lines = tuple(line_of(question, known) for question in known if question.startswith(ASKED))
    return ScheduleReport(named.name, named.part, found, lines, str(known.get(REST, "")))


def _bearing(cls: Any) -> str:
    """The schedule whose name a class or a base of it bears.

    Raises:
        ValueError: there is none.
    """
    for base in getattr(cls, "__mro__", ()):
        if base.__name__ in ALL:
            return str(base.__name__)
    raise ValueError(f"say which schedule {cls!r} is to be: schedule= is one of {', '.join(ALL)}")


def _timing(found: ScheduleIdentification, part: str) -> Timing:
    """The timing that a class follows; torch's if it follows none."""
    return found.fits[0].timing if found.fits else SCHEDULES[part].torch
