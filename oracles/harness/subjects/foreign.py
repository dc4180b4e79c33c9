"""Optimizers of other people: any ``torch.optim.Optimizer``, or whatever makes one."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import chain, product, repeat
from types import MappingProxyType
from typing import Any, NamedTuple

import torch

from oracles.drawing import Hyper
from oracles.harness.arithmetic.formats import DTYPES, FloatArray, round_to
from oracles.harness.cases.case import Case
from oracles.harness.subjects.asked_names import lacking, spelled_out
from oracles.harness.subjects.blackbox import arguments_by_name, hyperparameters, numbers
from oracles.harness.subjects.handing import (
    HANDINGS,
    RESERVED,
    TENSORS,
    names_of,
    some_parameters,
    that_note,
    tried,
)
from oracles.harness.subjects.name_questions import COUNTS, Question, answered, unanswered
from oracles.harness.subjects.parameter_names import NAMES, Vocabulary
from oracles.harness.subjects.subject import SubjectError, answering
from oracles.harness.subjects.surroundings import undisturbed
from oracles.harness.subjects.tensors import (
    LAYOUTS,
    as_float64,
    end_to_end,
    rows,
    stored,
    tensor,
    write,
)
from oracles.harness.subjects.worlds import on_threads
from oracles.harness.subjects.written_words import has_patterns, looked_up_in
from oracles.naming import name_of
from oracles.rule import Rule

OTHERS = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
"""Arguments that have no names of their own."""

LEAST = {"lr": 0.01}
"""What is given at least, to whoever does not refuse it."""


PAIRS: Mapping[str, Any] = MappingProxyType({"betas": (0.9, 0.99), "etas": (0.5, 1.2)})
"""What is given at least where it must be, and one number will not do."""

PATTERNS = "what it looks for in names by patterns cannot be seen"

ROUNDS = 8
"""How often it is looked what else names are asked for, where there are some with the words."""


class Elsewhere(SubjectError):
    """A step that is made of gradients at several places, which no rule's is."""


Make = Callable[..., Any]
"""A class of optimizers, or a function that makes one: ``(params, **hyperparameters)``."""


def arguments_of(cls: type) -> dict[str, Any]:
    """What a constructor takes beside parameters, with defaults.

    With a ``**`` it takes what the class it extends takes, too.
    """
    found: dict[str, Any] = {}
    for one in cls.__mro__:
        parameters = list(inspect.signature(one).parameters.values())
        named = [p for p in parameters[1:] if p.kind not in OTHERS]
        found = {p.name: p.default for p in named} | found
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return found


def write_rate(group: dict[str, Any], name: str, rate: float) -> None:
    """Write a learning rate under its own name, or torch's where a group has none of its own."""
    write(group, key_of(group, name), rate)


def tables_of(optimizer: Any) -> Sequence[dict[str, Any]]:
    """Where an optimizer keeps its learning rates: in its groups, or as an attribute."""
    tables: Sequence[dict[str, Any]] = getattr(optimizer, "param_groups", (vars(optimizer),))
    return tables


def rate_of(group: dict[str, Any], name: str) -> Any:
    """The learning rate that is written there; None if there is none."""
    return group.get(key_of(group, name))


def key_of(group: Mapping[str, Any], name: str) -> str:
    """Under which name a group keeps its learning rate: its own, or torch's."""
    return name if name in group or "lr" not in group else "lr"


def _number(rate: Any) -> Any:
    """A rate in a tensor as a number."""
    return rate.item() if torch.is_tensor(rate) and rate.numel() == 1 else rate


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether they are, but for numbers that are none."""
    return torch.equal(one.detach().nan_to_num(), other.nan_to_num())


def _rates(optimizer: Any, name: str | None) -> list[Any]:
    """The learning rates that an optimizer has, if it takes one by a name."""
    return [_number(rate_of(table, name)) for table in tables_of(optimizer)] if name else []


def _factors(optimizer: Any, name: str | None, h: Hyper) -> list[float]:
    """What its groups multiply a given rate with, as torch's schedulers do from then on.

    A rate that was cut to a shorter format is no other one, unless nothing is left of it.
    """
    short = [float(round_to(dtype, [h.lr])[0]) or h.lr for dtype in DTYPES]
    return [
        rate / h.lr if isinstance(rate, float) and not _among(rate, short) else 1.0
        for rate in (_rates(optimizer, name) if h.lr else ())
    ]


def _among(rate: float, others: Sequence[float]) -> bool:
    """Whether it is one of them, but for roundings of float64."""
    return any(math.isclose(rate, other, rel_tol=2.0**-50) for other in others)


class Tried(NamedTuple):
    """What is made of parameters with some names, and what the names are asked.

    Attributes:
        form: in which they are handed over.
        names: by dimension.
        questions: what was asked.
        made: None if they are refused.
    """

    form: str
    names: Vocabulary
    questions: Sequence[Question] = ()
    made: Any = None

    @property
    def unanswered(self) -> list[Question]:
        """What is asked, and is true of none."""
        return unanswered(self.names, self.questions)

    @property
    def missed(self) -> str:
        """What of it is not seen with these names; empty if all is."""
        parts = [repr(q.word) for q in self.unanswered if q.how == "wanted"]
        words = [repr(q.word) for q in self.unanswered if q.how != "wanted"]
        if words:
            return f"no parameter has {' or '.join(words)} in its name that it was given"
        if parts:
            return f"the model that it was given has no {' or '.join(parts)}"
        groups = getattr(self.made, "param_groups", ())
        if any(not group["params"] for group in groups):
            return "one of its groups is empty with the parameters that it was given"
        return ""


@dataclass(frozen=True)
class ForeignOptimizer:
    """An optimizer that is asked for nothing but the parameters it computes.

    Attributes:
        make: the class, or a function that makes one.
        names: torch's names of hyperparameters, and what ``make`` calls them, where that is none of
            :data:`~oracles.harness.subjects.aliases.ALIASES`.
        fixed: further arguments of ``make``, always given.
        called: its name, where that is another one than that of ``make``: a lambda has none.
    """

    make: Make
    names: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    called: str = ""

    @property
    def name(self) -> str:
        return self.called or name_of(self.make)

    @cached_property
    def accepts(self) -> tuple[str, ...]:
        """The names ``make`` takes, beside parameters; those of a ``**`` are found by trying.

        Raises:
            SubjectError: nobody can tell.
        """
        with answering():
            parameters = list(inspect.signature(self.make).parameters.values())
            named = [p.name for p in parameters[1:] if p.kind not in OTHERS]
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            return tuple(named)
        made = self._made(self._bare)
        defaults = arguments_of(type(made)) | getattr(made, "defaults", {}) if made else {}
        if isinstance(self.make, type):
            behind = {**arguments_of(self.make), **self._bare}
            named += [n for n in behind if made is None or self._made(self._bare | {n: behind[n]})]
        tried = [name for name, value in defaults.items() if self._hears(name, value)]
        return tuple(dict.fromkeys([*named, *tried]))

    @cached_property
    def _bare(self) -> dict[str, float]:
        """With how little it is made, if it is: a learning rate that is fixed is refused."""
        return {} if self._made({}) else LEAST

    def _hears(self, name: str, value: Any) -> bool:
        """Whether it takes an argument by that name, and does not pass over it.

        A ``**`` takes any, also what is called otherwise among its own arguments.
        """
        made = self._made({**self._bare, name: value})
        before = getattr(made, "defaults", {}).get(name)
        if made is None or isinstance(before, bool) or not isinstance(before, int | float):
            return made is not None
        other = self._made({**self._bare, name: before / 2 or 0.5})
        return other is None or other.defaults.get(name) != before

    def _made(self, given: Mapping[str, Any], params: Sequence[torch.nn.Parameter] = ()) -> Any:
        """What ``make`` makes of these arguments, if they are any it takes; or None."""
        try:
            with answering():
                handed = self.handed(params or some_parameters(self.vocabulary))
                return self.make(handed, **{**given, **self.fixed})
        except SubjectError:
            return None

    @property
    def form(self) -> str:
        """In which form it takes its parameters: the first one that it does not refuse, if any."""
        return self._way.form

    @property
    def vocabulary(self) -> Vocabulary:
        """By dimension, what parameters are called there."""
        return self._way.names

    @cached_property
    def missed(self) -> str:
        """What of it is not seen with these names; empty if all is."""
        by_patterns = self.form != TENSORS and has_patterns(self.make)
        return self._way.missed or PATTERNS * by_patterns

    @cached_property
    def _words(self) -> list[str]:
        """Those that it may look names up among."""
        return looked_up_in(self.make)

    @cached_property
    def _way(self) -> Tried:
        with answering():
            first, *_ = inspect.signature(self.make).parameters
        forms = tried(first)
        if isinstance(self.make, type) and forms[0] == TENSORS:
            return Tried(TENSORS, NAMES)  # as all classes of torch's kind
        taken = (self._taken(form, given) for form, given in product(forms, self._least))
        return next(filter(None, taken), Tried(forms[0], names_of(forms[0])))

    def _taken(self, form: str, given: Mapping[str, Any]) -> Tried | None:
        """What is made in a form, if it takes that, with names of which none is asked for in vain.

        Parts have numbers where they are refused without, and more where there are too few.
        """
        now = self._tried(form, given, names_of(form))
        last = now if now.made is not None else None
        for _ in range(ROUNDS):
            more_names = partial(answered, now.names, now.questions, reserved=RESERVED)
            ways = [more_names(count=count) for count in COUNTS]
            more = [self._tried(form, given, names) for names in ways if names != now.names]
            worth = [one for one in more if one.made is not None]
            worth += [one for one in more if one.unanswered]
            if not worth:
                break
            now = worth[0]
            last = now if now.made is not None else last
        return last

    def _tried(self, form: str, given: Mapping[str, Any], names: Vocabulary) -> Tried:
        handed: Any = None
        questions: list[Question] = []
        made: Any = None
        try:
            with answering():
                handed, questions = that_note(form, names)
                made = self.make(handed, **{**given, **self.fixed})
        except SubjectError as error:
            questions = [*questions, *lacking(error.__cause__, handed)]
        return Tried(form, names, spelled_out(questions, self._words), made)

    @cached_property
    def _least(self) -> tuple[dict[str, Any], ...]:
        """What has to be given beside parameters; some take a learning rate that they need not."""
        with answering():
            _, *rest = inspect.signature(self.make).parameters.values()
        bare = [p.name for p in rest if p.default is p.empty and p.kind not in OTHERS]
        required = {name: PAIRS.get(name, 0.01) for name in bare}
        return required, required | LEAST

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of parameters that have names, what is to be told apart; otherwise any will do."""
        if self.form == TENSORS:
            return ()
        return tuple((2, 3)[-dim:] for dim, names in self.vocabulary.items() for _ in names)

    @cached_property
    def sparse_only(self) -> bool:
        """Whether its step refuses gradients that have all their elements, and takes rows."""
        # Asked again afterwards: whoever raises now and then refuses nothing.
        dense = torch.ones_like
        return not self._steps_on(dense) and (
            self._steps_on(lambda p: rows(dense(p))) and not self._steps_on(dense)
        )

    def _steps_on(self, gradient: Callable[[torch.Tensor], torch.Tensor]) -> bool:
        """Whether it takes a step on such gradients, with a closure or without."""
        params = some_parameters(self.vocabulary)
        ways = (self._made(given, params=params) for given in self._least)
        made: Any = next(filter(None, ways), None)
        for p in params:
            p.grad = gradient(p)
        for closure in ((), (lambda: torch.zeros(()),)):
            with suppress(SubjectError), undisturbed(), answering():
                made.step(*closure)
                return True
        return False

    def handed(self, params: Iterable[Any]) -> Any:
        """Parameters as it takes them."""
        return params if self.form == TENSORS else HANDINGS[self.form](params, self.vocabulary)

    def built(self, params: Iterable[Any], given: Mapping[str, Any]) -> Any:
        """The optimizer of some parameters.

        Raises:
            SubjectError: what is made is none.
        """
        made = self.make(self.handed(params), **given)
        if not callable(getattr(made, "step", None)):
            more = "; return the optimizer alone" if isinstance(made, dict | list | tuple) else ""
            raise SubjectError(f"makes no optimizer: {type(made).__name__} has no step(){more}")
        return made

    def arguments(self, rule: Rule) -> dict[str, str]:
        """torch's names of the arguments that it takes, and its own for them."""
        defaults = {own: self._defaults.get(own) for own in self.accepts}
        return arguments_by_name(rule, defaults, self.names, self.fixed)

    @cached_property
    def _defaults(self) -> Mapping[str, Any]:
        """What it takes where nothing is given."""
        with answering():
            if isinstance(self.make, type):
                return arguments_of(self.make)
            parameters = inspect.signature(self.make).parameters
        return {name: parameter.default for name, parameter in parameters.items()}

    def takes(self, rule: Rule) -> frozenset[str]:
        return hyperparameters(rule, self.arguments(rule))

    def unread(self, rule: Rule) -> dict[str, Any]:
        """What it calls numbers that the rule does not have, and their defaults."""
        known = self.arguments(rule).values()
        own = {name: self._defaults[name] for name in self.accepts if name in self._defaults}
        return numbers(own, {*known, *self.names.values(), *self.fixed})

    def run(self, rule: Rule, case: Case, dtype: str = "float64") -> FloatArray:
        """As every black box, on one thread; a step that raises without a closure is given one.

        A few numbers are not shared out: threads that wait for more would spin meanwhile.
        """
        with on_threads(1):
            try:
                return self._run(rule, case, dtype)
            except SubjectError as error:
                without = error
            try:
                return self._run(rule, case, dtype, closure=True)
            except Elsewhere:
                raise
            except SubjectError:
                pass
        raise without

    def _run(self, rule: Rule, case: Case, dtype: str, *, closure: bool = False) -> FloatArray:
        params: list[torch.Tensor] = [
            torch.nn.Parameter(LAYOUTS[p.layout](tensor(p.initial, dtype))) for p in case.parameters
        ]
        (group,) = case.groups
        first = group.schedule[0]
        with answering():
            optimizer = self.built(params, self.given(rule, first) | dict(self.fixed))
            names = self.arguments(rule)
            rate = names.get("lr")
            factors = _factors(optimizer, rate, first)

        def load(t: int) -> torch.Tensor:
            for p, drawn in zip(params, case.parameters, strict=True):
                p.grad = self._gradient(drawn.gradients[t], drawn.gradient_layout, dtype)
            return torch.zeros(())

        def asked(t: int, weights: list[torch.Tensor]) -> torch.Tensor:
            if not all(map(_same, params, weights)):
                raise Elsewhere("asks its closure for gradients at other weights than it has")
            return load(t)

        rows = []
        for t, h in enumerate(group.schedule):
            with answering():
                load(t)
                if t:
                    self._reschedule(optimizer, names, h, factors)
                before = _rates(optimizer, rate)
                given = [partial(asked, t, [p.detach().clone() for p in params])] if closure else []
                optimizer.step(*given)
                if _rates(optimizer, rate) != before:  # a schedule of its own goes on from it
                    factors = _factors(optimizer, rate, h)
            rows.append(end_to_end(params))
            if rows[-1].numel() != case.offsets[-1]:
                raise SubjectError("changes the shape of its parameters")
        return as_float64(rows)

    def given(self, rule: Rule, h: Hyper) -> dict[str, Any]:
        """Hyperparameters as ``make`` takes them."""
        values = {**h._asdict(), **rule.arguments(h)}
        return {own: values[name] for name, own in self.arguments(rule).items()}

    def _reschedule(
        self, optimizer: Any, names: Mapping[str, str], h: Hyper, factors: Sequence[float]
    ) -> None:
        """What changes between steps is written where torch's schedulers write it."""
        own = names.get("lr")
        if own is None:
            if {*self.accepts} <= {*self.fixed, *names.values()}:
                return  # it is written in it
            raise SubjectError(
                "has no learning rate under a usual name: say which argument it is, by "
                "names={'lr': 'OWN'}"
            )
        for table, factor in zip(tables_of(optimizer), chain(factors, repeat(1.0)), strict=False):
            write_rate(table, own, h.lr * factor)

    def _gradient(self, values: FloatArray | None, layout: str, dtype: str) -> torch.Tensor | None:
        if values is None:
            return None
        held = tensor(values, dtype)
        if layout == "sparse":
            return stored(held)
        return rows(held) if self.sparse_only else LAYOUTS[layout](held)
