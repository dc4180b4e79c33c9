"""Who tells what a piece of code does: the code itself, or a record of a run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from operator import methodcaller
from typing import Any, Protocol

import numpy as np

from oracles.drawing import Hyper
from oracles.harness.arithmetic.formats import HALF, FloatArray, are_float32, round_to
from oracles.harness.candidates import trajectory
from oracles.harness.cases.case import Case, Group, Parameter
from oracles.harness.evidence.accepted import accepted
from oracles.harness.evidence.far_off import ends, far_off
from oracles.harness.evidence.observation import Doubt, Observation
from oracles.harness.evidence.settings import (
    ALL,
    DRAWS,
    Draws,
    Setting,
    Shapes,
    settings,
    shapes_of,
    steady,
)
from oracles.harness.subjects.aliases import matched
from oracles.harness.subjects.blackbox import BlackBox, fixing, shapes_for, unread, vocabulary
from oracles.harness.subjects.parameter_names import Kinds, called
from oracles.harness.subjects.subject import SubjectError
from oracles.harness.subjects.trace import Trace
from oracles.rule import Rule

NOTHING: frozenset[str] = frozenset()


class Witness(Protocol):
    """What is known of a piece of code.

    Attributes:
        name: how reports call the code.
        vague: whether margins hold much of it: in a short format, or where nothing moves.
    """

    @property
    def name(self) -> str: ...

    @property
    def vague(self) -> bool: ...

    def takes(self, rule: Rule) -> frozenset[str]:
        """The hyperparameters of a rule whose values are known."""

    def ignores(self, rule: Rule) -> frozenset[str]:
        """Those of them that are known to make no difference to the code."""

    def deaf(self, rule: Rule) -> bool:
        """Whether the code is known to keep its first learning rate, where the rule does not."""

    def short(self, rule: Rule) -> bool:
        """Whether it is seen that hyperparameters are kept in float32, or in less."""

    def unread(self, rule: Rule) -> tuple[str, ...]:
        """What the code, or a record, calls numbers that a rule does not have."""

    def resting(self, rule: Rule) -> tuple[str, ...]:
        """Those of them that would change what the code does, if they were others."""

    def kinds(self, rule: Rule) -> Kinds:
        """Parameters that code may treat in ways of their own."""

    def by_place(self, rule: Rule) -> bool:
        """Whether what is done with a parameter hangs on where it stands among the others."""

    def observations(self, rule: Rule, without: frozenset[str] = NOTHING) -> Iterator[Observation]:
        """What it does, as cases of a rule; hyperparameters ``without`` which stay at defaults.

        Raises:
            SubjectError: the code does not take what this rule's cases are.
        """

    @property
    def far(self) -> Witness | None:
        """What is known of the same code far from these cases; None for nothing."""


@dataclass(frozen=True, eq=False)
class Asked:
    """Code that can be asked: it is given cases that tell conventions apart.

    Attributes:
        box: the code.
        draws: which cases it is given, and how many.
        cases: what makes them.
    """

    box: BlackBox
    draws: Draws = DRAWS
    cases: Callable[..., Iterator[Setting]] = settings
    _known: dict[Any, tuple[tuple[Setting, ...], list[Observation | SubjectError]]] = field(
        default_factory=dict, repr=False
    )
    _takes: dict[str, frozenset[str]] = field(default_factory=dict, repr=False)
    _taken: dict[str, Shapes] = field(default_factory=dict, repr=False)
    _ignored: dict[str, frozenset[str]] = field(default_factory=dict, repr=False)
    _by_place: dict[str, bool] = field(default_factory=dict, repr=False)
    _deaf: dict[str, bool] = field(default_factory=dict, repr=False)

    vague = False

    @property
    def name(self) -> str:
        return self.box.name

    def takes(self, rule: Rule) -> frozenset[str]:
        if rule.name not in self._takes:
            self._takes[rule.name] = accepted(self.box, rule)
        return self._takes[rule.name]

    def observations(self, rule: Rule, without: frozenset[str] = NOTHING) -> Iterator[Observation]:
        key = rule.name, without
        if key not in self._known:
            asked = self._settings(rule, self.takes(rule) - without)
            self._known[key] = tuple(asked), []
        cases, known = self._known[key]
        for number, setting in enumerate(cases):
            if number == len(known):  # each case is asked once, and only when it is needed
                known.append(self._asked(rule, setting, without))
            told = known[number]
            if isinstance(told, Observation):
                yield told
            elif not any(isinstance(one, Observation) for one in known):
                raise told

    def _settings(self, rule: Rule, takes: frozenset[str]) -> Iterator[Setting]:
        """Those that are known to tell all conventions apart, and beside them another seed's.

        Who keeps the first learning rate, or has one of its own, is given no other one.
        """
        known = (DRAWS,) if self.draws.seed else ()
        kept = "lr" not in takes or self.deaf(rule)
        for draws in (*known, self.draws):
            for setting in _drawn(self.cases, rule, takes, self._shapes(rule), draws):
                yield replace(setting, case=steady(setting.case)) if kept else setting

    @cached_property
    def far(self) -> Asked:
        return replace(self, cases=far_off, _known={})

    def _shapes(self, rule: Rule) -> Shapes:
        """Those that have names, or are usual, or that one that the code takes."""
        usual = self._named(rule) or shapes_of(rule)
        if rule.name not in self._taken:
            options = (usual, *((shape,) for shape in reversed(usual)))
            firsts = ((o, next(settings(rule, self.takes(rule), o))) for o in options)
            taken = (o for o, first in firsts if isinstance(self._asked(rule, first), Observation))
            self._taken[rule.name] = next(taken, usual)
        return self._taken[rule.name]

    def _asked(
        self, rule: Rule, setting: Setting, without: frozenset[str] = NOTHING
    ) -> Observation | SubjectError:
        """In float64, unless the code does not compute in that; what it ignores does not rest."""
        told = self._asked_in("float64", rule, setting, without)
        if isinstance(told, Observation) and not are_float32(told.answer):
            return told
        shorter = self._asked_in("float32", rule, setting, without)
        return shorter if isinstance(shorter, Observation) else told

    def _asked_in(
        self, dtype: str, rule: Rule, setting: Setting, without: frozenset[str]
    ) -> Observation | SubjectError:
        case = given = replace(setting.case, precisions=(dtype,))
        for name in sorted(without & self._ignored.get(rule.name, NOTHING)):
            given = _changed(rule, given, name) or given
        try:
            answer = self.box.run(rule, given, dtype)
        except SubjectError as error:
            return error
        if answer.shape != (case.steps, case.offsets[-1]):
            return SubjectError("parameters of another size than it was given")
        told = Observation(setting.what, case, answer, dtype)
        broken = setting.what == ALL and (told.not_finite(self.takes(rule)) or told.at_rest)
        return SubjectError(broken) if broken else told

    def again(
        self, rule: Rule, told: Observation, without: frozenset[str], **values: Any
    ) -> Observation | None:
        """What it does with other hyperparameters in the same case; None if it takes none such."""
        case = _altered(rule, told.case, methodcaller("_replace", **values))
        return None if case is None else self._instead(rule, told, without, case)

    def _instead(
        self, rule: Rule, told: Observation, without: frozenset[str], case: Case
    ) -> Observation | None:
        """What it does in another case than one that was told; None if it does not answer."""
        found = self._asked(rule, Setting(told.what, case), without)
        return found if isinstance(found, Observation) else None

    def calmer(
        self, rule: Rule, told: Observation, without: frozenset[str], most: float
    ) -> Observation | None:
        """What it does in the same case where no element of a gradient is larger than that."""

        def clipped(p: Parameter) -> Iterator[Parameter]:
            kept = tuple(g if g is None else np.clip(g, -most, most) for g in p.gradients)
            yield replace(p, gradients=kept)

        return self._instead(rule, told, without, told.case.regrouped(clipped))

    def deaf(self, rule: Rule) -> bool:
        if rule.name not in self._deaf:
            self._deaf[rule.name] = self._keeps_its_rate(rule)
        return self._deaf[rule.name]

    def _keeps_its_rate(self, rule: Rule) -> bool:
        """Whether the first one changes its first answer, and later ones change torch's rule's."""
        case = next(settings(rule, self.takes(rule), self._shapes(rule))).case
        kept, other = steady(case), _changed(rule, case, "lr")
        if "lr" not in self.takes(rule) or other is None or not _matters(rule, case, kept):
            return False
        try:
            told, steadily, otherwise = self._answers(rule, case, kept, other)
        except SubjectError:
            return False
        return np.array_equal(told, steadily) and not np.array_equal(told, otherwise)

    def ignores(self, rule: Rule) -> frozenset[str]:
        """Those whose value changes no bit of its answers, and changes what torch's rule gives.

        Neither do values at the ends of their ranges: a rate that has a floor is not ignored.
        """
        if rule.name not in self._ignored:
            self._ignored[rule.name] = self._unheard(rule)
        return self._ignored[rule.name]

    def _unheard(self, rule: Rule) -> frozenset[str]:
        names = self.takes(rule) - {"lr"}
        heard: set[str] = set()
        try:
            for told in self.observations(rule):
                changed = {name: _changed(rule, told.case, name) for name in names}
                allowed = {name: case for name, case in changed.items() if case is not None}
                names -= {n for n, case in allowed.items() if self._differs(rule, case, told)}
                left = {n: case for n, case in allowed.items() if n in names - heard}
                heard |= {n for n, case in left.items() if _matters(rule, told.case, case)}
                if not names:
                    break
            return frozenset(n for n in names & heard if not self._heeds_far(rule, n, told))
        except SubjectError:
            return NOTHING

    def _heeds_far(self, rule: Rule, name: str, told: Observation) -> bool:
        """Whether a value at either end of a hyperparameter's range changes its answers."""
        domain = rule.drawing.domains.get(name)
        for value, *_ in ends(domain) if domain and domain.high > domain.low else ():
            case = _altered(rule, told.case, methodcaller("_replace", **{name: value}))
            with suppress(SubjectError):  # who refuses it does not heed it
                if case is not None and self._differs(rule, case, told):
                    return True
        return False

    def _differs(self, rule: Rule, changed: Case, told: Observation) -> bool:
        """Whether it gives other bits in a case that was changed."""
        return not np.array_equal(self.box.run(rule, changed), told.answer)

    def short(self, rule: Rule) -> bool:
        """Whether it computes in float32, or heeds no digits of numbers that float32 has not."""
        try:
            told = next(iter(self.observations(rule)))
            given, more, other = (
                self.box.run(rule, _multiplied(told.case, self.takes(rule), factor), told.dtype)
                for factor in (1.0, 1 + UNHEARD, 1 - HEARD)
            )
        except SubjectError:
            return False
        deaf = np.array_equal(more, given) and not np.array_equal(other, given)
        return deaf or told.dtype != "float64"

    def unread(self, rule: Rule) -> tuple[str, ...]:
        return tuple(unread(self.box, rule))

    def resting(self, rule: Rule) -> tuple[str, ...]:
        own = unread(self.box, rule)
        return tuple(name for name, default in own.items() if self._heeds(rule, name, default))

    def _heeds(self, rule: Rule, name: str, default: Any) -> bool:
        """Whether another value of one of its own numbers changes a long run of it."""
        try:
            told = next(self.far.observations(rule))
        except (SubjectError, StopIteration):
            return False
        for value in others(default):
            with suppress(SubjectError):
                answer = fixing(self.box, name, value).run(rule, told.case, told.dtype)
                if not np.array_equal(answer, told.answer):
                    return True
        return False

    def kinds(self, rule: Rule) -> Kinds:
        found: dict[str, tuple[int, ...]] = {}
        shapes = self._shapes(rule)
        if shapes_for(self.box) and shapes in (self._named(rule), rule.drawing.shapes[:2]):
            names = vocabulary(self.box)
            own = called([len(shape) for shape in shapes], names)
            return Kinds({name: (n,) for n, name in enumerate(own)}, names)
        if self.by_place(rule):
            return Kinds({place: (n,) for n, place in enumerate(PLACES[: len(shapes)])})
        for number, shape in enumerate(shapes):
            kind = "matrices" if len(shape) > 1 else "parameters of at most one dimension"
            found[kind] = (*found.get(kind, ()), number)
        return Kinds(found)

    def by_place(self, rule: Rule) -> bool:
        if rule.name not in self._by_place:
            named = bool(shapes_for(self.box))  # names go with places
            self._by_place[rule.name] = not named and self._turns(rule, self._shapes(rule))
        return self._by_place[rule.name]

    def _turns(self, rule: Rule, shapes: Shapes) -> bool:
        """Whether parameters move in other ways where they stand in reverse order."""
        case = next(settings(rule, self.takes(rule), shapes)).case
        (group,) = case.groups
        turned = replace(case, groups=(replace(group, parameters=group.parameters[::-1]),))
        try:
            there, back = self._answers(rule, case, turned)
        except SubjectError:
            return False
        parts = np.split(back, turned.offsets[1:-1], axis=1)
        return not np.allclose(there, np.concatenate(parts[::-1], axis=1), ALIKE, 0)

    def _answers(self, rule: Rule, *cases: Case) -> list[FloatArray]:
        """What it gives in some cases, in float64 if it computes in that.

        Raises:
            SubjectError: it does not answer.
        """
        try:
            return [self.box.run(rule, case) for case in cases]
        except SubjectError:
            return [self.box.run(rule, case, "float32") for case in cases]

    def _named(self, rule: Rule) -> Shapes:
        return () if rule.drawing.shapes else shapes_for(self.box)


PLACES = ("the first of two parameters", "the second of two parameters")
"""What parameters are called that are treated by where they stand."""

ALIKE = 1e-4
"""How near, in parts of them, weights are that were moved alike, in float32 too."""


@lru_cache(maxsize=64)
def _drawn(cases: Callable[..., Iterator[Setting]], *what: Any) -> tuple[Setting, ...]:
    """Cases that are the same whoever is asked."""
    return tuple(cases(*what))


def others(value: Any) -> tuple[Any, ...]:
    """Other values than a number has by default: of whole ones the first, else a half and twice."""
    if isinstance(value, tuple):
        return tuple(zip(*map(others, value), strict=True))
    if isinstance(value, int):
        return 1, 2
    return (value / 2, value * 2) if value and math.isfinite(value) else (0.5, 2.0)


UNHEARD, HEARD = 2.0**-30, 2.0**-6
"""A part of a number that float32, whose roundings are 2⁻²⁴ of it, has no room for; and one that
any format has room for."""


def _multiplied(case: Case, names: frozenset[str], factor: float) -> Case:
    """The same case with numbers that float32 holds for those that code takes, multiplied."""

    def numbers(h: Hyper) -> Hyper:
        taken = {n: v for n, v in h._asdict().items() if n in names and isinstance(v, float)}
        return h._replace(**{n: float(np.float32(v)) * factor for n, v in taken.items()})

    return case.rescheduled(numbers)


def _changed(rule: Rule, case: Case, name: str) -> Case | None:
    """The same case with another value of one hyperparameter; None if it is not allowed there."""

    def other(h: Hyper) -> Hyper:
        value = getattr(h, name)
        if isinstance(value, bool):
            return h._replace(**{name: not value})
        return h._replace(**{name: value / 2 if value else 0.5})

    return _altered(rule, case, other)


def _altered(rule: Rule, case: Case, other: Callable[[Hyper], Hyper]) -> Case | None:
    """The same case with what is made of hyperparameters; None if it is not allowed there."""
    altered = case.rescheduled(other)
    refused = any(rule.constraint(h) for group in altered.groups for h in group.schedule)
    return None if refused else altered


def _matters(rule: Rule, *cases: Case) -> bool:
    """Whether torch's rule gives different bits in two cases."""
    with np.errstate(all="ignore"):  # another value may let it diverge
        one, other = (
            [np.asarray(w).tobytes() for w in trajectory(rule, rule.torch, case)] for case in cases
        )
    return one != other


@dataclass(frozen=True, eq=False)
class Recorded:
    """A run that was recorded, which cannot be varied: one case of each rule that takes it.

    Attributes:
        trace: the record.
        own_names: torch's names of hyperparameters, and what the record calls them.
    """

    trace: Trace
    own_names: Mapping[str, str] = field(default_factory=dict)
    _known: dict[tuple[str, frozenset[str]], Observation] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        return self.trace.name

    @property
    def vague(self) -> bool:
        moved = (np.diff(w, axis=0).any() for w in self.trace.parameters.values())
        return self.trace.dtype in HALF or not any(moved)

    def names(self, rule: Rule) -> dict[str, str]:
        """Hyperparameters of a rule, and what the record calls them."""
        fields = rule.hyper()._fields
        own = {name: own for name, own in self.own_names.items() if name in fields}
        free = [name for name in self.trace.hyper if name not in own.values()]
        return {**matched(free, [name for name in fields if name not in own]), **own}

    def takes(self, rule: Rule) -> frozenset[str]:
        return frozenset(self.names(rule))

    def unread(self, rule: Rule) -> tuple[str, ...]:
        """What the record has beside a rule's hyperparameters: a misspelt name, or a note."""
        read = set(self.names(rule).values())
        return tuple(name for name in self.trace.hyper if name not in read)

    def resting(self, rule: Rule) -> tuple[str, ...]:
        return ()

    def ignores(self, rule: Rule) -> frozenset[str]:
        return NOTHING

    def deaf(self, rule: Rule) -> bool:
        return False

    def short(self, rule: Rule) -> bool:
        """Whether all is in float32, or in less: of a record in float64 it cannot be known."""
        return self.trace.dtype != "float64"

    def kinds(self, rule: Rule) -> Kinds:
        return Kinds({name: (number,) for number, name in enumerate(self.trace.parameters)})

    def by_place(self, rule: Rule) -> bool:
        return False

    @property
    def far(self) -> None:
        return None

    def observations(self, rule: Rule, without: frozenset[str] = NOTHING) -> Iterator[Observation]:
        if (rule.name, without) not in self._known:  # what is found of it is kept with it
            self._known[rule.name, without] = self._read(rule, without)
        yield self._known[rule.name, without]

    def _read(self, rule: Rule, without: frozenset[str]) -> Observation:
        trace = self.trace
        schedule = self._schedule(rule, without)
        dimensions = {np.ndim(w) - 1 for w in trace.parameters.values()}
        if any(map(rule.constraint, schedule)):
            raise SubjectError(f"hyperparameters that {rule.name} does not allow")
        if rule.sparse or (rule.drawing.shapes and not dimensions <= _dimensions(rule)):
            raise SubjectError(f"parameters that {rule.name} does not take")
        members = tuple(
            Parameter(np.asarray(w[0]), tuple(map(np.asarray, trace.gradients[name])))
            for name, w in trace.parameters.items()
        )
        case = Case((Group(members, schedule),), (trace.dtype,))
        answer = round_to(trace.dtype, _end_to_end(trace.parameters)[1:])
        return Observation("what was recorded", case, answer, trace.dtype, self._doubt())

    def _schedule(self, rule: Rule, without: frozenset[str]) -> tuple[Hyper, ...]:
        default = rule.hyper()
        columns = {
            name: [_like(getattr(default, name), value) for value in self.trace.hyper[own]]
            for name, own in self.names(rule).items()
            if name not in without
        }
        return tuple(
            default._replace(**{name: column[t] for name, column in columns.items()})
            for t in range(self.trace.steps)
        )

    def _doubt(self) -> Doubt | None:
        trace = self.trace
        if not (trace.parameter_radii or trace.gradient_radii):
            return None
        return Doubt(
            _end_to_end(
                {n: trace.parameter_radii.get(n, 0 * w) for n, w in trace.parameters.items()}
            ),
            _end_to_end(
                {n: trace.gradient_radii.get(n, 0 * g) for n, g in trace.gradients.items()}
            ),
        )


def _dimensions(rule: Rule) -> set[int]:
    return {len(shape) for shape in rule.drawing.shapes}


def _like(default: Any, value: float) -> Any:
    """A recorded value as a rule takes it: switches are switches."""
    return bool(value) if isinstance(default, bool) else value


def _end_to_end(values: Mapping[str, FloatArray]) -> FloatArray:
    """A row a step, with all elements of all parameters."""
    return np.concatenate([np.reshape(v, (len(v), -1)) for v in values.values()], axis=1)
