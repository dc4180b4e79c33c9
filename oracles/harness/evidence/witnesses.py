"""Who tells what a piece of code does: the code itself, or a record of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from oracles.drawing import Hyper
from oracles.harness.arithmetic.formats import FloatArray, round_to
from oracles.harness.cases.case import Case, Group, Parameter
from oracles.harness.evidence.observation import Doubt, Observation
from oracles.harness.evidence.settings import Setting, Shapes, settings, shapes_of
from oracles.harness.subjects.aliases import matched
from oracles.harness.subjects.blackbox import BlackBox
from oracles.harness.subjects.subject import SubjectError
from oracles.harness.subjects.trace import Trace
from oracles.rule import Rule

NOTHING: frozenset[str] = frozenset()


class Witness(Protocol):
    """What is known of a piece of code.

    Attributes:
        name: how reports call the code.
    """

    @property
    def name(self) -> str: ...

    def takes(self, rule: Rule) -> frozenset[str]:
        """The hyperparameters of a rule whose values are known."""

    def ignores(self, rule: Rule) -> frozenset[str]:
        """Those of them that are known to make no difference to the code."""

    def kinds(self, rule: Rule) -> Mapping[str, tuple[int, ...]]:
        """Parameters that code may treat in ways of their own: which, by what they are called."""

    def observations(self, rule: Rule, without: frozenset[str] = NOTHING) -> Iterator[Observation]:
        """What it does, as cases of a rule; hyperparameters ``without`` which stay at defaults.

        Raises:
            SubjectError: the code does not take what this rule's cases are.
        """


def observed(
    witness: Witness, rule: Rule, without: frozenset[str] = NOTHING
) -> tuple[Observation, ...]:
    """All of them; nothing if the code does not take what this rule's cases are."""
    try:
        return tuple(witness.observations(rule, without))
    except SubjectError:
        return ()


@dataclass(frozen=True, eq=False)
class Asked:
    """Code that can be asked: it is given cases that tell conventions apart."""

    box: BlackBox
    _known: dict[Any, tuple[tuple[Setting, ...], list[Observation | SubjectError]]] = field(
        default_factory=dict, repr=False
    )
    _taken: dict[str, Shapes] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        return self.box.name

    def takes(self, rule: Rule) -> frozenset[str]:
        return self.box.takes(rule)

    def observations(self, rule: Rule, without: frozenset[str] = NOTHING) -> Iterator[Observation]:
        key = rule.name, without
        if key not in self._known:
            asked = settings(rule, self.takes(rule) - without, self._shapes(rule))
            self._known[key] = tuple(asked), []
        cases, known = self._known[key]
        for number, setting in enumerate(cases):
            if number == len(known):  # each case is asked once, and only when it is needed
                known.append(self._asked(rule, setting))
            told = known[number]
            if isinstance(told, SubjectError):
                raise told
            yield told

    def _shapes(self, rule: Rule) -> Shapes:
        """Those that are usual, or that one of them which the code takes: matrices, maybe."""
        usual = shapes_of(rule)
        if rule.name not in self._taken:
            options = (usual, *((shape,) for shape in reversed(usual)))
            firsts = ((o, next(settings(rule, self.takes(rule), o))) for o in options)
            taken = (o for o, first in firsts if isinstance(self._asked(rule, first), Observation))
            self._taken[rule.name] = next(taken, usual)
        return self._taken[rule.name]

    def _asked(self, rule: Rule, setting: Setting) -> Observation | SubjectError:
        case = setting.case
        try:
            answer = self.box.run(rule, case)
        except SubjectError as error:
            return error
        if answer.shape != (case.steps, case.offsets[-1]):
            return SubjectError("parameters of another size than it was given")
        return Observation(setting.what, case, answer)

    def ignores(self, rule: Rule) -> frozenset[str]:
        """Those whose value changes no bit of its answers."""
        takes = self.takes(rule)
        case = next(settings(rule, takes, self._shapes(rule))).case
        try:
            answer = self.box.run(rule, case)
            return frozenset(
                name
                for name in takes - {"lr"}
                if np.array_equal(self.box.run(rule, _changed(rule, case, name)), answer)
            )
        except SubjectError:
            return NOTHING

    def kinds(self, rule: Rule) -> Mapping[str, tuple[int, ...]]:
        found: dict[str, tuple[int, ...]] = {}
        for number, shape in enumerate(self._shapes(rule)):
            kind = "matrices" if len(shape) > 1 else "parameters of at most one dimension"
            found[kind] = (*found.get(kind, ()), number)
        return found


def _changed(rule: Rule, case: Case, name: str) -> Case:
    """The same case with another value of one hyperparameter."""
    (group,) = case.groups

    def other(h: Hyper) -> Hyper:
        value = getattr(h, name)
        if isinstance(value, bool):
            return h._replace(**{name: not value})
        return h._replace(**{name: value / 2 if value else 0.5})

    schedule = tuple(other(h) for h in group.schedule)
    if any(rule.constraint(h) for h in schedule):
        return case
    return replace(case, groups=(replace(group, schedule=schedule),))


@dataclass(frozen=True, eq=False)
class Recorded:
    """A run that was recorded, which cannot be varied: one case of each rule that takes it.

    Attributes:
        trace: the record.
        own_names: torch's names of hyperparameters, and what the record calls them.
    """

    trace: Trace
    own_names: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.trace.name

    def names(self, rule: Rule) -> dict[str, str]:
        """Hyperparameters of a rule, and what the record calls them."""
        fields = rule.hyper()._fields
        own = {name: own for name, own in self.own_names.items() if name in fields}
        free = [name for name in self.trace.hyper if name not in own.values()]
        return {**matched(free, [name for name in fields if name not in own]), **own}

    def takes(self, rule: Rule) -> frozenset[str]:
        return frozenset(self.names(rule))

    def ignores(self, rule: Rule) -> frozenset[str]:
        return NOTHING

    def kinds(self, rule: Rule) -> Mapping[str, tuple[int, ...]]:
        return {name: (number,) for number, name in enumerate(self.trace.parameters)}

    def observations(self, rule: Rule, without: frozenset[str] = NOTHING) -> Iterator[Observation]:
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
        yield Observation("what was recorded", case, answer, trace.dtype, self._doubt())

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


def _zeros(values: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    return {name: np.zeros_like(v) for name, v in values.items()}


def _like(default: Any, value: float) -> Any:
    """A recorded value as a rule takes it: switches are switches."""
    return bool(value) if isinstance(default, bool) else value


def _end_to_end(values: Mapping[str, FloatArray]) -> FloatArray:
    """A row a step, with all elements of all parameters."""
    return np.concatenate([np.reshape(v, (len(v), -1)) for v in values.values()], axis=1)
