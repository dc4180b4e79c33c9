"""Somebody else's code, asked for nothing but the parameters it computes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from oracles.drawing import Hyper
from oracles.harness.arithmetic.formats import FloatArray, round_to
from oracles.harness.cases.case import Case
from oracles.harness.subjects.aliases import matched
from oracles.harness.subjects.parameter_names import NAMES, Vocabulary
from oracles.harness.subjects.subject import Declined, SubjectError, answering
from oracles.naming import name_of
from oracles.rule import Rule


class BlackBox(Protocol):
    """Code that takes parameters and gradients and gives parameters back.

    Attributes:
        name: how reports call it.
    """

    @property
    def name(self) -> str: ...

    def takes(self, rule: Rule) -> frozenset[str]:
        """The hyperparameters of a rule that it can be given."""

    def run(self, rule: Rule, case: Case, dtype: str = "float64") -> FloatArray:
        """All parameters end to end, after each step: (steps, elements).

        Raises:
            SubjectError: the code raised.
        """


def shapes_for(box: BlackBox) -> tuple[tuple[int, ...], ...]:
    """Of parameters that code looks at the names of; empty if it looks at none."""
    shapes: tuple[tuple[int, ...], ...] = getattr(box, "shapes", ())
    return shapes


def vocabulary(box: BlackBox) -> Vocabulary:
    """By dimension, what those parameters are called."""
    names: Vocabulary = getattr(box, "vocabulary", NAMES)
    return names


def missed(box: BlackBox) -> str:
    """What of it is not seen, as it looks for other names; empty if all is."""
    told: str = getattr(box, "missed", "")
    return told


def unread(box: BlackBox, rule: Rule) -> Mapping[str, Any]:
    """What code calls numbers that a rule does not have, and the defaults at which they stay."""
    told: Callable[[Rule], Mapping[str, Any]] = getattr(box, "unread", lambda rule: {})
    return told(rule)


def turns(box: Any) -> int:
    """After how many steps code may go on otherwise, by numbers that are written in it."""
    return int(getattr(box, "turns", 0))


def numbers(defaults: Mapping[str, Any], given: Container[str]) -> dict[str, Any]:
    """Arguments that are numbers by default, or some numbers, and are not given."""
    return {n: v for n, v in defaults.items() if _is_number(v) and n not in given}


def _is_number(value: Any) -> bool:
    if isinstance(value, tuple):
        return bool(value) and all(map(_is_number, value))
    return type(value) in (int, float)


def arguments_by_name(
    rule: Rule, defaults: Mapping[str, Any], names: Mapping[str, str], fixed: Container[str] = ()
) -> dict[str, str]:
    """torch's names of what code takes one by one, pairs and their parts, and its own for them.

    Args:
        rule: whose hyperparameters they are.
        defaults: of all that it takes; ``inspect.Parameter.empty`` where there is none.
        names: those that are told, which come first.
        fixed: what is not to be given.

    >>> from oracles import RULES
    >>> arguments_by_name(RULES["Adam"], {"rate": 0.1, "betas": (0.9, 0.99)}, {})
    {'lr': 'rate', 'betas': 'betas'}
    >>> arguments_by_name(RULES["RMSprop"], {"decay": 0.99}, {})
    {'alpha': 'decay'}
    >>> arguments_by_name(RULES["RMSprop"], {"decay": 0.01}, {})
    {'weight_decay': 'decay'}
    """
    whole = rule.arguments(rule.hyper())
    parts = [part for pair in rule.binding.tuples.values() for part in pair]
    wanted = [*whole, *parts]
    told = {name: own for name, own in names.items() if name in wanted}
    free = [own for own in defaults if own not in told.values()]
    left = [name for name in wanted if name not in told]
    known = matched(free, left)
    if (own := known.get("weight_decay", "weight_decay")) != "weight_decay" and _is_rate(
        own, defaults
    ):
        known = matched(free, [name for name in left if name != "weight_decay"])
    alike = {n: own for n, own in known.items() if _alike(defaults[own], whole.get(n, 0.0))}
    return {**{n: own for n, own in alike.items() if own not in fixed}, **told}


def _is_rate(own: str, defaults: Mapping[str, Any]) -> bool:
    """Whether what may be called decay is that of averages: no weight loses half in a step."""
    return isinstance(defaults[own], float) and 0.5 <= defaults[own] < 1


def hyperparameters(rule: Rule, arguments: Container[str]) -> frozenset[str]:
    """The hyperparameters that are given with arguments of torch's names."""
    pairs = {part: name for name, parts in rule.binding.tuples.items() for part in parts}
    return frozenset(n for n in rule.hyper()._fields if n in arguments or pairs.get(n) in arguments)


def _alike(own: Any, torchs: Any) -> bool:
    """Whether an argument may be torch's of that name, by its default.

    ``dampening=False`` is a switch, ``eps=1e-30`` not both of Adafactor's, and
    ``weight_decay=WeightDecay()`` something that is called; nothing, None and sentinels for what
    must be given tell nothing.
    """
    if own is inspect.Parameter.empty:
        return True
    if not isinstance(own, (bool, int, float, complex, tuple, list, str)):
        return not callable(own)
    if isinstance(own, (tuple, list)) or isinstance(torchs, tuple):
        return isinstance(own, (tuple, list)) and isinstance(torchs, tuple)
    return own in (0, 1) if isinstance(torchs, bool) else not isinstance(own, bool)


def _is_more(returned: Any) -> bool:
    """Whether a step has returned more than the list of parameters: a dict, or it with others."""
    if isinstance(returned, tuple) and returned:
        return isinstance(returned[0], list | tuple)
    return isinstance(returned, dict)


def fixing(box: Any, name: str, value: Any) -> BlackBox:
    """Code with an argument of its own, whoever looks on when it is asked."""
    if hasattr(box, "fixed"):
        fixed: BlackBox = replace(box, fixed={**box.fixed, name: value})
        return fixed
    return fixing(box.box, name, value)


@dataclass(frozen=True)
class Arrays:
    """A kind of arrays.

    Attributes:
        name: of the library.
        dtypes: that it has.
        make: such an array, of float64 numbers that the dtype holds.
        read: its numbers in float64.
        around: what calls are made in.
    """

    name: str
    dtypes: Sequence[str]
    make: Callable[[FloatArray, str], Any]
    read: Callable[[Any], FloatArray]
    around: Callable[[], AbstractContextManager[Any]] = nullcontext

    def array(self, values: FloatArray, dtype: str) -> Any:
        """An array of that dtype.

        Raises:
            SubjectError: there are none.
        """
        if dtype not in self.dtypes:
            raise Declined(f"{self.name} has no {dtype}")
        return self.make(round_to(dtype, values), dtype)


NUMPY = Arrays(
    "numpy",
    ("float64", "float32", "float16"),
    lambda values, dtype: values.astype(dtype),
    lambda array: np.asarray(array).astype(np.float64),
)

Step = Callable[..., Any]

HYPER = (
    *("hyper", "h", "hyperparameters", "config", "hp"),
    *("hypers", "hyperparams", "hparams", "cfg", "conf", "opts", "options", "settings"),
)
"""What a step may call the dict of all hyperparameters."""


class Hypers(dict[str, Any]):
    """Such a dict, whose values are read as ``h["lr"]`` and, as of a record, ``h.lr``."""

    def __getattr__(self, name: str) -> Any:
        if name not in self:
            raise AttributeError(name)
        return self[name]


@dataclass(frozen=True)
class Function:
    """A functional step ``(params, grads, state, hyper) -> params``.

    ``params`` and ``grads`` are lists of arrays (a gradient may be None), ``state`` is a dict that
    is the function's own, ``hyper`` a dict under torch's names or, after :attr:`names`, others. A
    function that returns None has changed its arrays in place. One that has ``**hyper`` is given
    all by name, and one that has names in its place (``lr``, ``beta1``, ``betas`` or any of
    :data:`~oracles.harness.subjects.aliases.ALIASES`) is given those.

    Attributes:
        step: the function.
        names: torch's names of hyperparameters, and what the function calls them.
        fixed: further arguments, always given.
        arrays: what it computes with.
        called: its name, where that is another one than the function's own.
    """

    step: Step
    names: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    arrays: Arrays = NUMPY
    called: str = ""

    @property
    def name(self) -> str:
        return self.called or name_of(self.step)

    @cached_property
    def keywords(self) -> tuple[str, ...] | None:
        """The names it takes one by one; None if it takes a dict of all."""
        _, _, _, *rest = inspect.signature(self.step).parameters.values()
        one = len(rest) == 1 and (self._unpacks or rest[0].name in HYPER)
        return None if one else tuple(p.name for p in rest)

    @cached_property
    def _unpacks(self) -> bool:
        """Whether it has a ``**`` for names that are not among its own."""
        *_, last = inspect.signature(self.step).parameters.values()
        return last.kind is last.VAR_KEYWORD

    def takes(self, rule: Rule) -> frozenset[str]:
        if self.keywords is None:
            return frozenset(rule.hyper()._fields)
        return hyperparameters(rule, self._arguments(rule))

    def _arguments(self, rule: Rule) -> dict[str, str]:
        """torch's names of the arguments that it takes one by one, and its own for them."""
        return arguments_by_name(rule, self._defaults, self.names)

    @property
    def _defaults(self) -> dict[str, Any]:
        """What it takes one by one, where nothing is given."""
        parameters = inspect.signature(self.step).parameters
        return {name: parameters[name].default for name in self.keywords or ()}

    def unread(self, rule: Rule) -> dict[str, Any]:
        """What it calls numbers that the rule does not have, and their defaults."""
        known = self._arguments(rule).values()
        return numbers(self._defaults, {*known, *self.names.values(), *self.fixed})

    def run(self, rule: Rule, case: Case, dtype: str = "float64") -> FloatArray:
        params = [self.arrays.array(p.initial, dtype) for p in case.parameters]
        state: dict[Any, Any] = {}
        rows = []
        (group,) = case.groups
        for t, h in enumerate(group.schedule):
            params = self.stepped(params, self.gradients(case, t, dtype), state, rule, h)
            with answering():
                read = [np.ravel(self.arrays.read(p)) for p in params]
            rows.append(np.concatenate([np.zeros(0), *read]))
            if rows[-1].size != case.offsets[-1]:
                raise SubjectError(
                    f"returns {rows[-1].size} elements for {case.offsets[-1]} of parameters"
                )
        return np.stack(rows)

    def gradients(self, case: Case, t: int, dtype: str) -> list[Any]:
        """The gradients of a step."""
        return [
            None if (g := p.gradients[t]) is None else self.arrays.array(g, dtype)
            for p in case.parameters
        ]

    def stepped(
        self, params: list[Any], grads: Sequence[Any], state: Any, rule: Rule, h: Hyper
    ) -> list[Any]:
        """The parameters after a step; the same ones if it has changed them in place.

        Raises:
            SubjectError: the function raised.
        """
        with answering(), np.errstate(all="ignore"), self.arrays.around():
            returned = self._called(params, grads, state, rule, h)
            if _is_more(returned):
                raise SubjectError(
                    f"returns {type(returned).__name__}, where the list of parameters is wanted; "
                    "what it keeps goes into the state that it is given"
                )
            return params if returned is None else list(returned)

    def _called(
        self, params: list[Any], grads: Sequence[Any], state: Any, rule: Rule, h: Hyper
    ) -> Any:
        given = {**h._asdict(), **rule.arguments(h)}
        if self.keywords is None:
            values = {self.names.get(name, name): value for name, value in given.items()}
            values |= self.fixed
            if self._unpacks:
                return self.step(params, grads, state, **values)
            return self.step(params, grads, state, Hypers(values))
        keywords = {own: given[name] for name, own in self._arguments(rule).items()}
        return self.step(params, grads, state, **{**keywords, **self.fixed})
