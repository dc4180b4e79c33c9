"""identify: which rule does this code follow?

The code is asked cases in which what it may follow differs, in float64; or a recorded run of it is
read. A candidate (a rule with any conventions that can be combined) is out as soon as one answer
leaves its margin, which holds every text of it (:class:`~oracles.harness.oracle.Margin`). What is
left at the end is the answer: one candidate; several, if nothing that is known tells them apart; or
none.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

from oracles.fitting import identify_fit
from oracles.harness.arguments import Argument, numeric
from oracles.harness.candidates import Candidate
from oracles.harness.evidence.accepted import on_its_arrays
from oracles.harness.evidence.by_hand import ByHand, by_hand, shown
from oracles.harness.evidence.effective import (
    ENOUGH,
    as_people_write,
    with_any_values,
    with_few_digits,
    with_one_argument,
    with_two_arguments,
)
from oracles.harness.evidence.exceptions import divided
from oracles.harness.evidence.far_off import FEWER
from oracles.harness.evidence.fits.answer import FitIdentification
from oracles.harness.evidence.following import held, keeps_short, resolution
from oracles.harness.evidence.groups import with_numbers_by_dimension, with_numbers_by_name
from oracles.harness.evidence.nearest import nearest as nearest_of
from oracles.harness.evidence.nearness import Near
from oracles.harness.evidence.proving import closeness, off_far, proven, unheld_shapes
from oracles.harness.evidence.ranges import Ranges
from oracles.harness.evidence.settings import DRAWS, Draws
from oracles.harness.evidence.sifting import MARGINS, Exceptional, Sieve, Sifted, alone
from oracles.harness.evidence.untold import Untold, untold
from oracles.harness.evidence.witnesses import Asked, Recorded, Witness
from oracles.harness.oracle import Margin
from oracles.harness.subjects.asking import black_box, refuse_arguments, wanting
from oracles.harness.subjects.blackbox import missed, turns
from oracles.harness.subjects.fits.fit import Fit, is_fit
from oracles.harness.subjects.fits.names import LOOP, START
from oracles.harness.subjects.scheduled import (
    SHORTEST,
    Function,
    Listed,
    gives_a_rate,
    in_a_row,
    is_scheduled,
)
from oracles.harness.subjects.subject import SubjectError
from oracles.harness.subjects.trace import Trace
from oracles.harness.subjects.trace_files import KINDS, rates, read
from oracles.naming import refuse_unlisted, refuse_unmapped, unknown
from oracles.optimizers.registry import RULES, unknown_rule
from oracles.rule import Rule
from oracles.scheduling import OwnRate, ScheduleIdentification, identify_schedule, own_rate

__all__ = ["KINDS", "Identification", "evidence", "identify"]


ROUNDINGS = "its steps are no larger than its roundings"
ALONE = "each of its parameters has one element, for which many rules step by the sign"
"""Why something cannot be told."""


@dataclass(frozen=True)
class Identification:
    """What a piece of code follows.

    Attributes:
        name: of the code.
        fits: the candidates that hold all its answers, the simplest ones of them.
        ruled_out: how many candidates some answer excluded.
        ignores: hyperparameters of what fits that the code takes and makes nothing of.
        assumed: hyperparameters of what fits that a record does not have, and their defaults; or
            that are written in code, where they are the defaults.
        unread: what a record has beside, or code takes and was not given, because what fits has no
            such hyperparameter.
        resting: those of them that would change what the code does, if they were others.
        missed: what it does by names that no parameter had; empty if there is nothing.
        deaf: whether it keeps the learning rate that it was built with, and was asked with that.
        until: the last step that was asked, where a number in it speaks of later ones; else 0.
        scalars: what something that it keeps beside parameters is in, as far as answers tell.
        exceptions: where another candidate holds than the one that fits elsewhere.
        shapes: of parameters for which nothing of that holds.
        untold: candidates that hold all answers as well, and what would tell them apart.
        open: if nothing fits, candidates that cannot be ruled out because no step is larger than
            what rounding may do to it.
        alone: whether that is because each parameter has one element.
        nearest: if nothing fits, the candidate whose answers are the nearest; it is not followed.
        fault: why nothing can be asked of it, or read in its record.
        sieve: what the candidates were held against, as long as it is at hand.
        loop: of a training loop, the loss that it minimizes, and all that belongs to a loop.
        schedule: of what says what the learning rate is, the schedule that it follows.
        draws: which cases it was asked, and how many; None where none are drawn.
        seen: in which ranges what fits was seen.
        rate: the learning rate that a text makes of the step's number, or that changes in a record.
        written: if nothing fits, whether numbers may be written in it that rules have as arguments:
            these were solved for where few conventions, or the nearest, leave nothing else open.

    >>> def step(params, grads, state, lr, wd, m):
    ...     return [w - lr * (g + wd / m * w) for w, g in zip(params, grads)]
    >>> found = identify(step, ["SGD"])
    >>> found.fits, found.torchs
    ((<SGD's batch_scaled>,), False)
    >>> print(found.examples[1])
    w = 1, g = 1, lr = 0.1, weight_decay = 1.0, batch_size = 2: SGD's decay_ignored or SGD's \
bias_undecayed gives 0.9, the code 0.85
    """

    name: str
    fits: tuple[Candidate, ...]
    ruled_out: int
    ignores: frozenset[str] = frozenset()
    deaf: bool = False
    until: int = 0
    scalars: str = "float64"
    exceptions: tuple[Exceptional, ...] = ()
    shapes: tuple[tuple[int, ...], ...] = ()
    untold: tuple[Untold, ...] = ()
    open: tuple[Candidate, ...] = ()
    alone: bool = False
    nearest: Near | None = None
    fault: str = ""
    sieve: Sieve | None = field(default=None, repr=False, compare=False)
    loop: FitIdentification | None = None
    schedule: ScheduleIdentification | None = None
    assumed: Mapping[str, Any] = field(default_factory=dict)
    unread: tuple[str, ...] = ()
    resting: tuple[str, ...] = ()
    missed: str = ""
    draws: Draws | None = None
    seen: Ranges | None = None
    written: bool = False
    rate: OwnRate | None = None

    @property
    def named(self) -> bool:
        """Whether it is told what it follows."""
        return bool(self.fits) or (self.schedule is not None and self.schedule.named)

    @property
    def torchs(self) -> bool:
        """Whether it is torch's own rule, everywhere and with the arguments as they are given."""
        if self.loop is not None:
            return self.loop.torchs
        if self.schedule is not None:
            return self.schedule.torchs
        own = [c for c in self.fits if not c.conventions and c.as_by_default]
        rated = self.rate is not None and self.rate.text
        limits = self.exceptions or self.shapes or self.ignores or self.missed
        return bool(own) and not (limits or self.deaf or self.until or rated)

    @cached_property
    def examples(self) -> tuple[ByHand, ...]:
        """The smallest numbers that rule out what it might follow, which a person can check."""
        if self.sieve is None:
            return ()
        if self.fits:
            return by_hand(self.sieve, self.fits[0])
        nearest = self.nearest and shown(self.sieve, None, self.nearest.candidate)
        return (nearest,) if nearest else ()

    def __getstate__(self) -> dict[str, Any]:
        """Between processes it travels without whom it asks; examples that were read stay."""
        return {**self.__dict__, "sieve": None}

    def __str__(self) -> str:
        if self.schedule is not None:
            return str(self.schedule)
        if self.fault:
            return f"{self.name} cannot be asked: {wanting(self.fault)}"
        if self.open:
            return f"{self.name} cannot be told: {ALONE if self.alone else ROUNDINGS}"
        if self.loop is not None:
            return str(self.loop)
        if not self.fits:
            out = [f"{self.ruled_out:,} variants were ruled out"] if self.ruled_out else []
            beside = "; ".join(out + [f"nearest is {self.nearest}"] * (self.nearest is not None))
            return f"{self.name} follows no known rule" + f" ({beside})" * bool(beside)
        follows = f"{self.name} follows {' or '.join(map(str, self.fits))}"
        without = [f"ignoring {', '.join(sorted(self.ignores))}"] if self.ignores else []
        but = [f"but {e}" for e in self.exceptions]
        but += [f"but not with shapes of {', '.join(map(str, self.shapes))}"] if self.shapes else []
        built = ["with the learning rate that it was built with"] if self.deaf else []
        built += [f"up to step {self.until}"] if self.until else []
        alone = [left_alone(self.resting)] if self.resting else []
        rated = [str(self.rate)] if self.rate else []
        return ", ".join([follows, *without, *but, *built, *alone, *rated])

    def to_json(self) -> dict[str, Any]:
        """It as plain data, as ``oracles/reports/identification.schema.json`` describes it."""
        return {
            "schema": 1,
            "oracles": version("optimizer-oracles"),
            "subject": self.name,
            **({"seed": None, "profile": None} if self.draws is None else vars(self.draws)),
            "summary": str(self),
            "torchs": self.torchs,
            "loop": self.loop and self.loop.to_json(),
            "rate": self.rate and self.rate.to_json(),
            "schedule": self.schedule and self.schedule.to_json(),
            "fits": [plain(candidate) for candidate in self.fits],
            "exceptions": [{"where": e.where, **plain(e.candidate)} for e in self.exceptions],
            "shapes": [[*shape] for shape in self.shapes],
            "ignores": sorted(self.ignores),
            "assumed": dict(self.assumed),
            "unread": list(self.unread),
            "resting": list(self.resting),
            "missed": self.missed,
            "deaf": self.deaf,
            "until": self.until,
            "scalars": self.scalars,
            "fault": self.fault,
            "ruled_out": self.ruled_out,
            "open": len(self.open),
            "seen": self.seen and self.seen.to_json(),
            "untold": [
                {"needs": list(u.needs), "candidates": [plain(c) for c in u.candidates]}
                for u in self.untold
            ],
            "nearest": self.nearest
            and {
                **plain(self.nearest.candidate),
                "right": self.nearest.share,
                "largest": finite(self.nearest.largest),
                "aside": list(self.nearest.aside),
                "where": self.nearest.where,
                "alone": self.nearest.alone,
            },
            "examples": [
                {
                    "rejected": [plain(candidate) for candidate in e.rejected],
                    "w": e.w,
                    "gradients": list(e.gradients),
                    "settings": dict(e.settings),
                    "where": e.where.strip(),
                    "expected": finite(e.expected),
                    "got": finite(e.got),
                }
                for e in self.examples
            ],
        }


def left_alone(names: Sequence[str]) -> str:
    """Under which condition something is said.

    >>> left_alone(["mu", "nu"])
    'while mu and nu are left alone'
    """
    return f"while {' and '.join(names)} {'are' if len(names) > 1 else 'is'} left alone"


def plain(candidate: Candidate) -> dict[str, Any]:
    """A candidate as plain data."""
    return {
        "name": str(candidate),
        "rule": candidate.rule.name,
        "conventions": [c.name for c in candidate.conventions or (candidate.rule.torch,)],
        "arguments": [str(argument) for argument in candidate.arguments],
    }


def finite(number: float) -> float | None:
    """JSON has no infinity: null stands for it."""
    return number if math.isfinite(number) else None


def identify(
    subject: Any = None,
    rules: Iterable[Rule | str] | None = None,
    *,
    equation: str | None = None,
    names: Mapping[str, str] | None = None,
    fixed: Mapping[str, Any] | None = None,
    values: Mapping[str, float] | None = None,
    seed: int = 0,
    profile: str = "default",
) -> Identification:
    """Find what a piece of code follows.

    Args:
        subject: a class of optimizers, a function that makes one, or a functional step ``(params,
            grads, state, hyper) -> params``; a recorded run, as a :class:`Trace` or the path of its
            file; a training loop: a function ``(X, y, ...)`` or a class that has ``fit(X, y)``; or
            whatever says what the learning rate is: a class of schedulers, a function that makes
            one of an optimizer, a function of the epoch, a list, a file that has an ``lr`` alone.
        rules: what it may follow; all known rules by default, or all schedules.
        equation: an update rule as text, in the place of a subject: ``"v = mu*v + g; w -= lr*v"``,
            in Python or LaTeX, of one element of a parameter.
        names: torch's names of hyperparameters, and what the code calls them; of an equation, what
            it calls its ``"parameter"`` and ``"gradient"``, too; of a function of the epoch, that
            (``"epoch"``), where it needs more than one argument.
        fixed: further arguments that the code is always given.
        values: hyperparameters that are written in a training loop, by torch's names.
        seed: of the cases that are drawn for what can be stepped. Another one than 0 draws others,
            which are asked beside those of 0: these are known to tell all conventions apart. What a
            training loop is asked is fixed, and a record is read as it is.
        profile: how long to look: ``"thorough"`` draws ten times as many cases as
            ``"default"``.

    >>> def step(params, grads, state, lr, wd):
    ...     return [w * (1 - lr * wd) - lr * g for w, g in zip(params, grads)]
    >>> print(identify(step))
    step follows SGD's coupled_unscaled
    >>> print(identify(equation="w -= lr*(g + wd/m*w)"))
    the equation follows SGD's batch_scaled

    Raises:
        TypeError: the subject is nothing that can be asked or read.
        ValueError: there is no subject, or two; an equation is not read; a rule, a name or a
            profile is not known, a seed is no whole number, there is no use for an argument, or a
            record is not what it should be.
    """
    if (subject is None) == (equation is None):
        raise ValueError("give one of subject and equation")
    refuse_unmapped(names=names, fixed=fixed, values=values)
    if rules is not None:
        refuse_unlisted(rules=rules)
    if equation is not None:
        subject, names = _equation(equation, names or {}), None
    if isinstance(subject, str | os.PathLike) and (alone := rates(path := Path(subject))):
        subject = Listed(alone, path.stem)
    fits, draws = is_fit(subject), Draws(seed, profile)
    if is_scheduled(subject, names or {}) or (not fits and gives_a_rate(subject)):
        _without("a schedule", values=values, **draws.told)
        return _scheduled(subject, rules, names, fixed)
    asked = list(RULES.values() if rules is None else rules)
    among = [rule if isinstance(rule, Rule) else _rule(rule) for rule in asked]
    if not among:
        raise ValueError(f"rules={asked!r} names no rule; allowed: {', '.join(RULES)}")
    names, fixed, values = names or {}, fixed or {}, values or {}
    own = arguments_of(among)
    refuse_unnamed("names", names, [*own, *LOOP, *START] if fits else own)
    refuse_unnamed("values", values, own)
    if fits:
        _without("a training loop, whose rows are fixed,", **draws.told)
        loop = Fit(subject, names, fixed, values)
        refuse_arguments(loop.name, names, fixed, loop.own)
        return _looped(loop, None if rules is None else among)
    _without("what is no training loop", values=values)
    whole = partial(_told, evidence(subject, names, fixed, draws))
    rate, rest = _rate(subject)
    found = _rated(rest, rate, whole, among, draws) if rate else whole(among)
    return replace(found, draws=None if _is_record(subject) else draws)


def _equation(text: str, names: Mapping[str, str]) -> Any:
    """A step that is pasted as text.

    Raises:
        TypeError: it is no text.
        ValueError: it is not read, with the place, what was found and what is allowed.
    """
    from oracles.harness.subjects.equations import read as read_equation

    if not isinstance(text, str):
        raise TypeError(f"equation={text!r} is no text; allowed: one as 'w -= lr*g'")
    try:
        return read_equation(text, names)
    except ValueError as error:
        raise ValueError(f"equation: {error}") from error


DECAY = "lr_decay"
"""What rules call it that makes their rate fall by itself."""


def _rate(subject: Any) -> tuple[OwnRate | None, Any]:
    """The learning rate that a text makes of the step's number, and the text that is given it."""
    apart = getattr(subject, "rated", None)
    if apart is None:
        return None, None
    rest, rated = apart
    return own_rate(rated), rest


def _rated(
    rest: Any,
    rate: OwnRate,
    whole: Callable[[Sequence[Rule]], Identification],
    rules: Sequence[Rule],
    draws: Draws,
) -> Identification:
    """What a text is that makes a rate.

    If it is a schedule's, the text is taken apart first, and whole if the rule that it follows then
    makes such a rate of a hyperparameter of its own; if it is none, the other way round.
    """

    def given() -> Identification:
        return replace(_told(evidence(rest, {}, {}, draws), rules), rate=rate)

    if not rate.told:
        found = whole(rules)
        return found if found.fits or not (apart := given()).fits else apart
    apart = given()
    if not apart.fits:
        return whole(rules)
    own = [c.rule for c in apart.fits if DECAY in c.rule.hyper()._fields]
    found = whole(own) if own else apart
    return found if found.fits else apart


def arguments_of(rules: Iterable[Rule]) -> list[str]:
    """torch's names of what some rules take, and of the parts of tuples."""
    return [name for rule in rules for name in (*rule.hyper()._fields, *rule.binding.tuples)]


def refuse_unnamed(argument: str, given: Iterable[str], allowed: Iterable[str]) -> None:
    """Check that whatever is spoken of is there.

    Raises:
        ValueError: it is not.
    """
    there = dict.fromkeys(allowed)
    for name in given:
        if name not in there:
            raise ValueError(unknown(f"{argument}: {name!r} is not known", name, there))


def _scheduled(
    subject: Any,
    schedules: Iterable[Any] | None,
    names: Mapping[str, str] | None,
    fixed: Mapping[str, Any] | None,
) -> Identification:
    """Which schedule it follows, as an identification."""
    if isinstance(subject, Function | Listed) or in_a_row(subject) is not None:
        _without("a schedule that takes no arguments", names=names, fixed=fixed)
    found = identify_schedule(subject, schedules, names=names, fixed=fixed)
    return Identification(found.name, (), found.ruled_out, fault=found.fault, schedule=found)


def _looped(box: Fit, rules: Sequence[Rule] | None) -> Identification:
    """What a training loop does, as an identification of its rule."""
    try:
        loop = identify_fit(box, rules)
    except SubjectError as error:
        return Identification(box.name, (), 0, fault=str(error))
    fits = tuple(dict.fromkeys(account.candidate for account in loop.fits))
    return Identification(loop.name, fits, loop.ruled_out, loop=loop)


def _is_record(subject: Any) -> bool:
    return isinstance(subject, Trace | str | os.PathLike)


def evidence(
    subject: Any, names: Mapping[str, str], fixed: Mapping[str, Any], draws: Draws = DRAWS
) -> tuple[Witness, ...]:
    """Who tells what a subject does, by what it is; of several readings the strictest first.

    Raises:
        TypeError: the subject is nothing that can be asked or read.
        ValueError: a record is not what it should be, or is given arguments.
    """
    if _is_record(subject):
        _without("a record", fixed=fixed, **draws.told)
        traces = (subject,) if isinstance(subject, Trace) else read(Path(subject))
        refuse_arguments("the record", names, {}, traces[0].hyper)
        return tuple(Recorded(trace, names) for trace in traces)
    if hasattr(subject, "takes") and hasattr(subject, "run"):
        _without("what says itself what it takes", names=names, fixed=fixed)
        return (Asked(subject, draws),)
    return (Asked(on_its_arrays(black_box(subject, names, fixed), RULES), draws),)


def _without(subject: str, **arguments: Any) -> None:
    """Check that what there is no use for was not given.

    Raises:
        ValueError: it was.
    """
    for name, given in arguments.items():
        if given:
            told = dict(given) if isinstance(given, Mapping) else given
            raise ValueError(f"{name}={told!r}: {subject} has no use for it")


STAGES: tuple[Callable[[Sieve], Sifted], ...] = (
    divided,
    with_one_argument,
    with_few_digits,
    with_numbers_by_name,
    with_any_values,
    with_numbers_by_dimension,
    with_two_arguments,
)
"""What may hold if no candidate holds everywhere: one, but for exceptions, or with other values of
its arguments."""


def _told(readings: Sequence[Witness], rules: Sequence[Rule]) -> Identification:
    told = _in_turn(sieves(readings, rules, _margins(readings, rules)))
    asked = [sieve for sieve, _ in told]
    sieve, last = _best(told)
    resting, out = None, last.ruled_out
    if last.fits and (aside := sieve.aside(last.fits[0].rule)):
        resting = partial(_resting, sieve, last, aside)
        last = replace(last, fits=())
    fault = "" if last.fits or last.open else asked[0].fault()
    if not (last.fits or last.open or fault):
        sieve, other = _otherwise(asked, readings, rules) or (sieve, last)
        last = max(last, other, key=_left)
    written = any(map(asked[-1].lacks, rules))
    unnamed = Identification(
        readings[0].name,
        (),
        max(out, last.ruled_out),
        sieve=asked[-1],
        written=written,
        missed=_missed(readings[0]),
        **_unsaid(readings[0], rules),
    )
    if last.fits:
        sieve, proof, failed = _proof(sieve, last, readings, rules)
        if proof.fits:
            return _named(sieve, as_people_write(sieve, proof))
        return replace(unnamed, nearest=failed, sieve=sieve)
    if last.open:
        by_one = any(alone(c, asked[-1].known(c.rule)) for c in last.open)
        return replace(unnamed, open=last.open, alone=by_one, sieve=None, written=False)
    if fault:
        return Identification(readings[0].name, (), 0, fault=fault)
    nearest = nearest_of(asked[-1])
    if resting and not (nearest and nearest.where and not nearest.alone):
        nearest = resting() or nearest
    if nearest is None or math.isinf(nearest.largest):
        broken = (asked[-1].not_finite(rule) for rule in rules)
        unnamed = replace(unnamed, fault=next(filter(None, broken), ""))
    return replace(unnamed, nearest=nearest)


def _proof(
    sieve: Sieve, found: Sifted, readings: Sequence[Witness], rules: Sequence[Rule]
) -> tuple[Sieve, Sifted, Near | None]:
    """What of it holds far off, if not as it is, then in float32, or with one convention more.

    And how the first of it failed.
    """
    proof, failed = proven(sieve, found)
    if not proof.fits and found.fits[0].arguments and sieve.margin is MARGINS[0]:
        sieve, found = _in_float32(readings, rules)
        proof, _ = proven(sieve, found)
    if not proof.fits:
        proof, _ = proven(sieve, sieve.with_one_more(found))
    return sieve, proof, failed


def _unsaid(witness: Witness, rules: Sequence[Rule]) -> dict[str, Any]:
    """The learning rate that a record does not say, and its names that no rule has."""
    if not isinstance(witness, Recorded):
        return {}
    unread = set.intersection(*({*witness.unread(rule)} for rule in rules))
    said = any("lr" in witness.takes(rule) for rule in rules)
    usual = {rule.hyper().lr for rule in rules}
    return {
        "assumed": {} if said else {"lr": usual.pop() if len(usual) == 1 else "each rule's own"},
        "unread": tuple(name for name in witness.trace.hyper if name in unread),
    }


def _in_float32(readings: Sequence[Witness], rules: Sequence[Rule]) -> tuple[Sieve, Sifted]:
    """What holds if whatever is made of hyperparameters and counters is kept in float32.

    That shows in the first case, in which all is on: what holds there in float64 is in float64,
    unless its rule itself keeps something in float32.
    """
    sieve, found = _best(_in_turn(sieves(readings, rules, MARGINS[1:])))
    short = tuple(
        c
        for c in found.fits
        if keeps_short(c.rule) or held(c, sieve.known(c.rule)[0], MARGINS[0]) is None
    )
    return sieve, _own(sieve, replace(found, fits=short))


def _resting(sieve: Sieve, found: Sifted, aside: frozenset[str]) -> Near | None:
    """What holds, far off as well, while arguments rest of which no rule makes what the code does.

    As the rule that has them, if it is simpler: a momentum of its own kind is gradient descent
    without; so is Adadelta with a late square.
    """
    rules = {r: without | (aside & {*r.hyper()._fields}) for r, without in sieve.rules.items()}
    without_them = replace(sieve, rules=rules)
    plain = without_them.simplest()
    fit = min((one.fits[0] for one in (plain, found) if one.fits), key=lambda c: len(c.conventions))
    names = sorted(aside)
    if off_far(without_them, fit):
        return None
    return Near(fit, 1.0, 0.0, 0.0, (*names,), left_alone(names), alone=True)


def _otherwise(
    asked: Sequence[Sieve], readings: Sequence[Witness], rules: Sequence[Rule]
) -> tuple[Sieve, Sifted] | None:
    """What holds but for exceptions, or with other values, where ignored arguments are left out.

    Of what is vague that would be much. What is made of counters alone may be in float32 unseen.
    """
    known = asked[0].size >= ENOUGH and not asked[0].witness.vague
    heeding = asked[len(asked) // 2 :] if known else ()
    tried = ((sieve, _own(sieve, stage(sieve))) for stage, sieve in product(STAGES, heeding))
    found = next((one for one in tried if one[1].fits), None)
    unseen = found is None and asked[-1].margin is MARGINS[0]
    return _in_float32(readings, rules) if unseen else found


def _left(found: Sifted) -> tuple[bool, int, int]:
    return bool(found.fits), len(found.open), found.ruled_out


def _in_turn(asked: Iterable[Sieve]) -> list[tuple[Sieve, Sifted]]:
    """What is left in each; in one alone if something fits there that takes all the code takes."""
    told: list[tuple[Sieve, Sifted]] = []
    for sieve in asked:
        found = sieve.simplest()
        if isinstance(sieve.witness, Recorded):  # which cannot be asked what it would do at rest
            found = _own(sieve, found)
        if found.fits and not sieve.aside(found.fits[0].rule):
            return [(sieve, found)]
        told.append((sieve, found))
    return told


def _best(told: Sequence[tuple[Sieve, Sifted]]) -> tuple[Sieve, Sifted]:
    """The first in which something fits, else the one in which most is open."""
    fitting = (one for one in told if one[1].fits)
    return next(fitting, max(told, key=lambda one: _left(one[1])))


def _own(sieve: Sieve, found: Sifted) -> Sifted:
    """Without what leaves arguments of the code aside: it is another rule's then.

    A few steps of one rule may look like another one's, and arguments that rest like none.
    """
    return replace(found, fits=tuple(c for c in found.fits if not sieve.aside(c.rule)))


def _named(sieve: Sieve, left: Sifted) -> Identification:
    found = replace(left, fits=tuple(_saying_its_rate(sieve, fit) for fit in left.fits))
    fit = found.fits[0]
    narrow = replace(sieve, margin=MARGINS[0])
    seen = _seen(sieve, fit)
    later = turns(getattr(sieve.witness, "box", None)) > seen.steps
    wider = sieve.margin is not MARGINS[0] and not narrow.sift(fit.rule, [fit]).fits
    return Identification(
        sieve.witness.name,
        found.fits,
        found.ruled_out,
        sieve.rules[fit.rule] - {name for a in fit.arguments for name in a.names},
        sieve.witness.deaf(fit.rule),
        seen.steps if later else 0,
        sieve.margin.scalars if wider and not found.exceptions else "float64",
        found.exceptions,
        unheld_shapes(sieve, found),
        () if found.exceptions else untold(sieve, fit),
        sieve=sieve,
        assumed=_assumed(sieve, fit),
        unread=sieve.witness.unread(fit.rule),
        resting=sieve.witness.resting(fit.rule),
        missed=_missed(sieve.witness),
        seen=seen,
        rate=_recorded(sieve.witness, fit.rule),
    )


def _saying_its_rate(sieve: Sieve, fit: Candidate) -> Candidate:
    """With the learning rate that is written in code, if that is torch's own, too."""
    said = {name for argument in fit.arguments for name in argument.names}
    if isinstance(sieve.witness, Recorded) or "lr" in sieve.witness.takes(fit.rule) | said:
        return fit
    return fit.hearing(Argument(("lr",), "is", fit.rule.hyper().lr), *fit.arguments)


def _missed(witness: Witness) -> str:
    return missed(witness.box) if isinstance(witness, Asked) else ""


def _recorded(witness: Witness, rule: Rule) -> OwnRate | None:
    """The learning rate of a record in which it changes by a schedule that is known."""
    own = witness.names(rule).get("lr") if isinstance(witness, Recorded) else None
    rates = witness.trace.hyper[own] if own else ()  # type: ignore[attr-defined]
    if len(rates) < SHORTEST or len({*rates}) == 1:
        return None
    rate = OwnRate("", identify_schedule(Listed(rates, str(own))))
    return rate if rate.told else None


def _seen(sieve: Sieve, fit: Candidate) -> Ranges:
    """In which ranges what fits was held to what is known, far off as well."""
    rule = fit.rule
    beyond = sieve.beyond(rule)
    names = [name for name in (*numeric(rule), "batch_size") if name in sieve.takes(rule)]
    long = (closeness(sieve, fit, told) for told in beyond if told.case.steps >= FEWER)
    known = sieve.known(rule)
    unseen = resolution(fit, known[0], sieve.margin) if sieve.witness.vague else 0.0
    return Ranges.of([*known, *beyond], names, max(long, default=0.0), unseen)


def _assumed(sieve: Sieve, fit: Candidate) -> dict[str, Any]:
    """The defaults of what a record does not have, but for those that are said to be other.

    Of code in which numbers are written, those of them that are torch's.
    """
    witness, h = sieve.witness, fit.rule.hyper()._asdict()
    known = witness.takes(fit.rule).union(*(argument.names for argument in fit.arguments))
    if isinstance(witness, Recorded):
        return {n: value for n, value in h.items() if n not in known}
    written = any(argument.how == "is" for argument in fit.arguments)
    return {n: h[n] for n in sieve.lacks(fit.rule) if written and h[n] and n not in known}


def sieves(
    readings: Sequence[Witness], rules: Sequence[Rule], margins: Iterable[Margin]
) -> Iterator[Sieve]:
    """What is asked, the strictest first; at last without what the code ignores.

    One after the other, as whoever asks may know enough before it is asked what is ignored.
    """
    known = []
    for margin in margins:
        known.append(margin)
        for witness in readings:
            yield Sieve(witness, dict.fromkeys(rules, frozenset()), margin)
    for margin, witness in product(known, readings):
        yield Sieve(witness, {rule: witness.ignores(rule) for rule in rules}, margin)


def _margins(readings: Sequence[Witness], rules: Sequence[Rule]) -> Iterator[Margin]:
    """The wider one where it is seen that numbers are kept in float32."""
    yield MARGINS[0]
    if any(witness.short(rule) for witness in readings for rule in rules):
        yield MARGINS[1]


def _rule(name: str) -> Rule:
    if name not in RULES:
        raise ValueError(unknown_rule(name))
    return RULES[name]
