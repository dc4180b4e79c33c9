"""All that is asked of one piece of code, question by question."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, NamedTuple, Protocol

import numpy as np

from oracles.accuracy import Accuracy, accuracy
from oracles.harness.arguments import GRADIENT
from oracles.harness.arithmetic.formats import DTYPES, FloatArray
from oracles.harness.candidates import Candidate
from oracles.harness.cases.case import Case
from oracles.harness.evidence.accepted import Stepping, on, stepping
from oracles.harness.evidence.settings import DRAWS, Draws, settings
from oracles.harness.promise import Line, Promise, Word, line
from oracles.harness.runs.confined import REST, Lost
from oracles.harness.subjects.arrays import there
from oracles.harness.subjects.asking import black_box
from oracles.harness.subjects.blackbox import BlackBox, Function
from oracles.harness.subjects.importing import called, imported
from oracles.harness.subjects.laid_out import Around, Way
from oracles.harness.subjects.subject import Declined, SubjectError
from oracles.harness.subjects.surroundings import undisturbed
from oracles.identification import Identification, identify
from oracles.naming import unknown
from oracles.optimizers.registry import RULES
from oracles.rule import Rule

SUBJECT, STEP, RULE = "subject", "a step", "rule"
ACCURACY, PROMISE, AS_TORCH = "accuracy: ", "promise: ", "as torch: "
"""What questions are called; these three are followed by a dtype, a promise or a check."""


@dataclass(frozen=True)
class Told:
    """An answer, and how many lines the code has printed meanwhile."""

    answer: Any
    printed: int = 0


class Named(NamedTuple):
    """Who is asked.

    Attributes:
        name: as reports call it.
        promises: what such code may promise.
    """

    name: str
    promises: tuple[str, ...]


class Found(NamedTuple):
    """Which rule it follows.

    Attributes:
        identification: that.
        refused: by the names of rules, how the code refused to be stepped as theirs are.
    """

    identification: Identification
    refused: Mapping[str, str]


@dataclass(frozen=True)
class Watched(Around):
    """A piece of code, and by the names of rules how it refused to be stepped as theirs are."""

    refused: dict[str, str] = field(default_factory=dict)

    def run(self, rule: Rule, case: Case, dtype: str = "float64") -> FloatArray:
        try:
            answer = self.box.run(rule, case, dtype)
            if not np.isfinite(answer).all():  # which no rule gives on such cases
                raise SubjectError("gives numbers that are not finite")
            return answer
        except SubjectError as error:
            self.refused.setdefault(rule.name, error.sentence)
            raise


class Kind(Protocol):
    """One kind of code, and how it is stepped."""

    @property
    def box(self) -> Any: ...

    @property
    def promises(self) -> tuple[Promise, ...]: ...

    def arranged(self) -> Any:
        """How it can be stepped at all, as plain data.

        Raises:
            SubjectError: it cannot.
        """

    def settled(self, arrangement: Any) -> BlackBox:
        """What is asked, stepped like that."""

    def trial(self, arrangement: Any, identification: Identification | None, draws: Draws) -> Any:
        """What its promises are asked on."""


@dataclass(frozen=True)
class OptimizerKind:
    """Classes of optimizers, and functions that make one."""

    box: Any

    @property
    def promises(self) -> tuple[Promise, ...]:
        from oracles.harness.subjects.promises.optimizers import OPTIMIZER_PROMISES

        return OPTIMIZER_PROMISES

    def arranged(self) -> Any:
        from oracles.harness.subjects.trial import arranged

        return arranged(self.box)

    def settled(self, arrangement: Any) -> BlackBox:
        box: BlackBox = self.box
        return box

    def trial(self, arrangement: Any, identification: Identification | None, draws: Draws) -> Any:
        from oracles.harness.subjects.trial import Trial

        if identification is None or not identification.fits:
            return Trial(self.box, arrangement, seed=draws.seed)
        candidate = identification.fits[0]
        follows = partial(follows_in, self.box, candidate, draws)
        return Trial(self.box, arrangement, candidate, follows, draws.seed)


@dataclass(frozen=True)
class FunctionKind:
    """Functional steps."""

    box: Function
    arrays: str | None

    @property
    def promises(self) -> tuple[Promise, ...]:
        from oracles.harness.subjects.promises.functions import FUNCTION_PROMISES

        return FUNCTION_PROMISES

    def arranged(self) -> Stepping:
        return stepping(self.box, [self.arrays] if self.arrays else there(), RULES)

    def settled(self, arrangement: Stepping) -> Function:
        return on(self.box, arrangement.arrays)

    def trial(
        self, arrangement: Stepping, identification: Identification | None, draws: Draws
    ) -> Any:
        from oracles.harness.subjects.promises.functions import FunctionTrial

        box = self.settled(arrangement)
        fits = identification.fits if identification else ()
        rule = fits[0].rule if fits else RULES[arrangement.rule]
        takes = box.takes(rule)
        case = next(settings(rule, takes, draws=draws)).case
        return FunctionTrial(box, rule, case, bool(fits))


def follows_in(box: BlackBox, candidate: Candidate, draws: Draws, ways: Sequence[Way]) -> bool:
    """Whether code follows its rule in each of these ways to be handed tensors."""
    found = (identify(way(box), [candidate.rule], **vars(draws)) for way in ways)
    return all(str(candidate) in map(str, one.fits) for one in found)


@dataclass(frozen=True, eq=False)
class Inquiry:
    """All that is asked of one piece of code.

    Attributes:
        subject: a class, a factory, a function or, as ``module:name``, where one is imported from.
        rules: what it may follow.
        names: torch's names of hyperparameters, and the code's own for them.
        fixed: arguments that it is always given.
        dtypes: in which its accuracy is measured.
        not_promised: names of promises that it does not make.
        arrays: what a function computes with; None for whatever it takes.
        as_torch: whether it is held to being a clone of torch's class, too.
        draws: which cases are drawn, and how many.
    """

    subject: Any
    rules: Sequence[Rule] = (*RULES.values(),)
    names: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    dtypes: Sequence[str] = DTYPES
    not_promised: Sequence[str] = ()
    arrays: str | None = None
    as_torch: bool = False
    draws: Draws = DRAWS

    @cached_property
    def kind(self) -> Kind:
        """What asks the code.

        Raises:
            SubjectError: it cannot be imported.
            TypeError: it is nothing that can be asked.
        """
        subject, name = self.subject, ""
        if isinstance(subject, str):
            subject, name = imported(subject), called(subject)
        box = black_box(subject, self.names, self.fixed, name)
        return FunctionKind(box, self.arrays) if isinstance(box, Function) else OptimizerKind(box)

    def __call__(self, known: Mapping[str, Any]) -> Iterator[tuple[str, Callable[[], Any]]]:
        """Its questions. One that hangs on an answer comes after it."""
        yield SUBJECT, heard(self.named)
        yield STEP, heard(lambda: self.kind.arranged())
        arrangement = answer(known, STEP)
        if isinstance(arrangement, Lost):
            return
        yield RULE, heard(partial(self._found, arrangement))
        found = answer(known, RULE)
        identification = None if isinstance(found, Lost) else found.identification
        if identification and identification.fits:
            for dtype in self.dtypes:
                ask = partial(self._accuracy, arrangement, identification, dtype)
                yield ACCURACY + dtype, heard(ask)
        lines: dict[str, Line] = {}
        for promise in self.kind.promises:
            question = partial(self._line, promise, arrangement, identification, lines)
            yield PROMISE + promise.name, heard(question)
            lines[promise.name] = line_of(PROMISE + promise.name, known)
        if self.as_torch and identification and identification.fits:
            from oracles.strictness import questions

            rule = identification.fits[0].rule
            for name, strict in questions(self.kind.box.make, rule, self.draws):
                yield AS_TORCH + name, heard(strict)

    def named(self) -> Named:
        """Who is asked.

        Raises:
            ValueError: it has no promise of some name, or is no class where one is asked.
            TypeError: it is nothing that can be asked.
        """
        if self.as_torch and not isinstance(getattr(self.kind.box, "make", None), type):
            raise ValueError("as_torch=True asks a class of optimizers, and this is none")
        promises = tuple(promise.name for promise in self.kind.promises)
        for name in self.not_promised:
            if name not in (RULE, *promises):
                told = f"not_promised={name!r} is no promise of this code"
                raise ValueError(unknown(told, name, (RULE, *promises)))
        return Named(self.kind.box.name, promises)

    def _found(self, arrangement: Any) -> Found:
        watched = Watched(self.kind.settled(arrangement))
        identification = identify(watched, self.rules, **vars(self.draws))
        _ = identification.examples  # which are asked for when it travels, where nobody listens
        return Found(identification, watched.refused)

    def _accuracy(
        self, arrangement: Any, identification: Identification, dtype: str
    ) -> Accuracy | str:
        """A figure, or why there can be none."""
        candidate = identification.fits[0]
        if identification.exceptions:
            return "not measured: some parameters are stepped otherwise than the others"
        if any(GRADIENT in argument.names for argument in candidate.arguments):
            return "not measured: it steps by other gradients than it is given"
        box = self.kind.settled(arrangement)
        try:
            heard = identification.ignores, identification.deaf
            return accuracy(box, candidate, dtype, *heard, self.draws)
        except Declined as why:
            return why.sentence

    def _line(
        self,
        promise: Promise,
        arrangement: Any,
        identification: Identification | None,
        lines: Mapping[str, Line],
    ) -> Line:
        """What comes of it; where it is drawn several times, the first that is not kept."""
        if promise.name in self.not_promised:
            return Line(promise.name, Word.NOT_PROMISED)
        for number in range(self.draws.rounds):
            draws = replace(self.draws, seed=self.draws.seed + number)
            told = line(promise, self.kind.trial(arrangement, identification, draws), lines)
            if told.word is not Word.KEPT:
                break
        return told


def answer(known: Mapping[str, Any], question: str) -> Any:
    """What was answered; :class:`Lost` if nothing was."""
    told = known.get(question, known.get(REST, Lost("it was not asked")))
    return told.answer if isinstance(told, Told) else told


def line_of(question: str, known: Mapping[str, Any]) -> Line:
    """What has come of a promise; a question that the code does not survive breaks it."""
    told = answer(known, question)
    if isinstance(told, Line):
        return told
    _, _, name = question.partition(": ")
    return Line(name, Word.BROKEN if question in known else Word.NOT_ASKED, str(told))


def heard(ask: Callable[[], Any]) -> Callable[[], Told]:
    """A question with what is printed meanwhile; what the code raises is its answer."""

    def told() -> Told:
        with undisturbed() as heard:
            try:
                found = ask()
            except SubjectError as error:
                found = Lost(error.sentence)
            except Exception:  # ours, unless it has taken what we work with
                damage = heard.before.damage()
                if not damage:
                    raise
                found = Lost(damage)
        return Told(found, heard.lines)

    return told
