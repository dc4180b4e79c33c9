"""check: which rule, how accurate, and which promises of a step.

Three questions, asked apart. Which rule is :mod:`oracles.identification`'s question. How accurate
gives a figure, not a verdict (:mod:`oracles.accuracy`). Each promise is a line: kept, broken, not
promised or not asked.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from oracles.accuracy import Accuracy
from oracles.harness.arithmetic.formats import DTYPES
from oracles.harness.candidates import Candidate
from oracles.harness.promise import Line, Word, faults
from oracles.harness.runs.confined import Lost, at_once, confined
from oracles.identification import Identification
from oracles.inquiry import (
    ACCURACY,
    AS_TORCH,
    PROMISE,
    RULE,
    STEP,
    SUBJECT,
    Inquiry,
    Told,
    answer,
    line_of,
)
from oracles.optimizers.registry import RULES
from oracles.rule import Rule

ARRAYS = ("numpy", "torch", "jax")
"""What functional steps may compute with."""


@dataclass(frozen=True)
class Claim:
    """What the author says the code follows: ``"Adam"``, or ``"Adam's eps_hat with decoupled_lr"``.

    A rule alone means torch's convention of it.

    Attributes:
        rule: the rule.
        names: of its conventions, without torch's.
    """

    rule: Rule
    names: frozenset[str] = frozenset()

    @classmethod
    def of(cls, text: str | Rule) -> Claim:
        """What a text claims.

        Raises:
            ValueError: there is no such rule, or no such convention of it.

        >>> sorted(Claim.of("Adam's eps_hat with decoupled_lr").names)
        ['decoupled_lr', 'eps_hat']
        """
        if isinstance(text, Rule):
            return cls(text)
        name, _, conventions = text.partition("'s ")
        if name not in RULES:
            raise ValueError(f"rule={text!r} is not known; allowed: {', '.join(RULES)}")
        rule = RULES[name]
        names = [rule.convention(part).name for part in conventions.split(" with ") if part]
        return cls(rule, frozenset(names) - {rule.torch.name})

    def __str__(self) -> str:
        return f"{self.rule.name}'s {' with '.join(sorted(self.names)) or self.rule.torch.name}"

    def holds(self, fits: Iterable[Candidate]) -> bool:
        """Whether it is among what fits."""
        return any(c.rule is self.rule and c.names == self.names for c in fits)


@dataclass(frozen=True)
class Report:
    """What is to be said of somebody's code.

    Attributes:
        name: of the code.
        found: which rule it follows; None if it could not be asked.
        accuracies: by dtype that it takes.
        refused: dtypes in which there is no figure, and why.
        promises: a line each.
        as_torch: a line for each check that its class was held to as a clone of torch's.
        fault: why it could not be asked, or not which rule it follows.
        claim: what its author says it follows.
        bound: of its errors in radii, if its author has set one.
        declined: by the names of rules, how it refused to be stepped as theirs are.
        printed: how many lines it has printed meanwhile.
        imported: whether there was anybody to ask.
    """

    name: str
    found: Identification | None = None
    accuracies: tuple[Accuracy, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()
    promises: tuple[Line, ...] = ()
    as_torch: tuple[Line, ...] = ()
    fault: str = ""
    claim: Claim | None = None
    bound: float | None = None
    declined: Mapping[str, str] = field(default_factory=dict)
    printed: int = 0
    imported: bool = True

    @property
    def follows(self) -> bool:
        """Whether it follows a known rule: the claimed one, if one is claimed."""
        fits = self.found.fits if self.found else ()
        return bool(fits) if self.claim is None else self.claim.holds(fits)

    @property
    def broken(self) -> tuple[Line, ...]:
        """The promises that it breaks, and the checks of a clone of torch's that it fails."""
        return tuple(ln for ln in (*self.promises, *self.as_torch) if ln.word is Word.BROKEN)

    @property
    def too_far(self) -> tuple[Accuracy, ...]:
        """The dtypes in which it is further off than its author's bound allows."""
        if self.bound is None:
            return ()
        return tuple(a for a in self.accuracies if not a.radii <= self.bound)

    @property
    def ok(self) -> bool:
        """Whether it follows its rule within the bound and breaks no promise."""
        return self.follows and not (self.fault or self.broken or self.too_far)

    @property
    def asked(self) -> int:
        """How many questions have an answer."""
        lines = Counter(line.word for line in (*self.promises, *self.as_torch))
        answered = lines[Word.KEPT] + lines[Word.BROKEN]
        return (self.found is not None) + len(self.accuracies) + answered

    def outcome(self, check: str) -> tuple[bool | None, str]:
        """Whether one check of :meth:`Checking.checks` is passed, None if it has no answer; why."""
        if check == RULE:
            told = [] if self.follows else self._of_the_rule() or [str(self.found)]
            return not told, "".join(told)
        if self.fault:
            return None, self.fault
        if check.startswith(ACCURACY):
            return self._of_accuracy(check.removeprefix(ACCURACY))
        (line,) = (line for line in self.promises if line.name == check)
        passed = {Word.KEPT: True, Word.BROKEN: False}.get(line.word)
        return passed, line.why or line.word

    def _of_the_rule(self) -> list[str]:
        """What is wrong about the rule it follows."""
        if self.fault:
            return [f"{self.name} {self.fault}"]
        if self.found is None or self.follows or self.claim is None:
            return []
        fits = " or ".join(map(str, self.found.fits)) or "no known rule"
        return [f"{self.name} follows {fits}, not {self.claim} as claimed"]

    def _of_accuracy(self, dtype: str) -> tuple[bool | None, str]:
        for accuracy in self.accuracies:
            if accuracy.dtype == dtype:
                return accuracy not in self.too_far, str(accuracy)
        return None, dict(self.refused).get(dtype, "it follows no known rule")

    def faults(self) -> list[str]:
        """What is wrong, a sentence for each fault."""
        sentences = self._of_the_rule()
        sentences += [
            f"{a.dtype} is off by {a.radii:.2g} radii ({a.setting}); its author's bound is "
            f"{self.bound:g}"
            for a in self.too_far
        ]
        return sentences + faults((*self.promises, *self.as_torch))

    def __str__(self) -> str:
        """The one line that a person can quote."""
        if self.found is None:
            return f"{self.name} {self.fault}"
        parts = [str(self.found), *map(str, self.accuracies)]
        told = dict.fromkeys(line.why for line in self.broken)
        if told:
            first = [next(ln.name for ln in self.broken if ln.why == why) for why in told]
            more = len(self.broken) - len(first)
            parts.append(f"breaks: {', '.join(first)}{f' and {more} more alike' if more else ''}")
        return "; ".join(parts)

    def to_json(self) -> dict[str, Any]:
        """The report as plain data, as ``oracles/reports/check.schema.json`` describes it."""
        found = self.found
        return {
            "format": 1,
            "oracles": importlib.metadata.version("optimizer-oracles"),
            "subject": self.name,
            "ok": self.ok,
            "follows": self.follows,
            "summary": str(self),
            "faults": self.faults(),
            "claim": None if self.claim is None else str(self.claim),
            "rule": None
            if found is None
            else {
                "fits": [str(candidate) for candidate in found.fits],
                "ruled_out": found.ruled_out,
                "declined": dict(self.declined),
                "ignores": sorted(found.ignores),
                "scalars": found.scalars,
            },
            "bound": self.bound,
            "accuracy": [_finite(asdict(accuracy)) for accuracy in self.accuracies],
            "refused": [{"dtype": dtype, "why": why} for dtype, why in self.refused],
            "promises": [asdict(line) for line in self.promises],
            "as_torch": [asdict(line) for line in self.as_torch],
            "printed": self.printed,
            "asked": self.asked,
        }


def _finite(record: dict[str, Any]) -> dict[str, Any]:
    """JSON has no infinity: null stands for it."""
    infinite = {name for name, value in record.items() if value == math.inf}
    return {name: None if name in infinite else value for name, value in record.items()}


def check(
    subject: Any,
    rule: str | Rule | None = None,
    *,
    names: Mapping[str, str] | None = None,
    fixed: Mapping[str, Any] | None = None,
    dtypes: Sequence[str] = DTYPES,
    within: float | None = None,
    not_promised: Sequence[str] = (),
    arrays: str | None = None,
    as_torch: bool = False,
    time_limit: float | None = None,
) -> Report:
    """Which rule a piece of code follows, how accurately, and which promises of a step it keeps.

    Args:
        subject: a class of optimizers, a function that makes one (``(params, **h)``), or a
            functional step ``(params, grads, state, hyper) -> params``; or where one is imported
            from, as ``"package.module:name"``.
        rule: what its author says it follows, as reports write it: ``"Adam"`` for torch's
            convention, or ``"Adam's eps_hat"``; None to look among all.
        names: torch's names of hyperparameters, and the subject's own for them.
        fixed: arguments that the subject is always given.
        dtypes: in which accuracy is measured, as far as the subject takes them.
        within: the author's bound of errors, in radii; 1 is torch's own standard.
        not_promised: names of promises that the author does not make.
        arrays: what a functional step computes with (numpy, torch or jax); None for the first of
            them that it takes.
        as_torch: hold a class to being a clone of torch's, too: states, names, paths and edges, and
            torch's own forms of rounding. That takes longer.
        time_limit: in seconds. The subject is asked in a process of its own, which is ended then.
            None asks in this process, for as long as it takes.

    Raises:
        ValueError: there is no such rule, dtype, promise or kind of arrays.
        TypeError: the subject is nothing that can be asked.

    >>> def step(params, grads, state, hyper):
    ...     lr, decay = hyper["lr"], hyper["weight_decay"]
    ...     return [w - lr * (g + decay / hyper["batch_size"] * w) for w, g in zip(params, grads)]
    >>> report = check(step, dtypes=["float64"])
    >>> report.found.fits
    (<SGD's batch_scaled>,)
    >>> check(step, "SGD", dtypes=["float64"]).faults()
    ["step follows SGD's batch_scaled, not SGD's coupled_unscaled as claimed"]
    """
    checking = Checking.of(
        subject,
        rule,
        names=names,
        fixed=fixed,
        dtypes=dtypes,
        within=within,
        not_promised=not_promised,
        arrays=arrays,
        as_torch=as_torch,
        time_limit=time_limit,
    )
    return checking.report(dict(checking.answers()))


@dataclass(frozen=True, eq=False)
class Checking:
    """A check, to be asked question by question.

    Attributes:
        inquiry: what is asked.
        claim: what the code is said to follow.
        bound: of its errors in radii.
        time_limit: in seconds, in a process of its own; None for neither.
    """

    inquiry: Inquiry
    claim: Claim | None
    bound: float | None
    time_limit: float | None

    @classmethod
    def of(
        cls,
        subject: Any,
        rule: str | Rule | None = None,
        *,
        names: Mapping[str, str] | None = None,
        fixed: Mapping[str, Any] | None = None,
        dtypes: Sequence[str] = DTYPES,
        within: float | None = None,
        not_promised: Sequence[str] = (),
        arrays: str | None = None,
        as_torch: bool = False,
        time_limit: float | None = None,
    ) -> Checking:
        """As :func:`check` is called.

        Raises:
            ValueError: there is no such rule, dtype or kind of arrays, or a number is none that
                is allowed.
        """
        for dtype in dtypes:
            _among("dtypes", dtype, DTYPES)
        if arrays is not None:
            _among("arrays", arrays, ARRAYS)
        for name, number in (("within", within), ("time_limit", time_limit)):
            if number is not None and not 0 < number < math.inf:
                raise ValueError(f"{name}={number!r} must be a finite number above 0, or None")
        if as_torch and time_limit is not None:
            raise ValueError(
                "as_torch=True asks on several threads, and time_limit in a forked process, which "
                "has none: give one of them"
            )
        claim = None if rule is None else Claim.of(rule)
        rules = (*RULES.values(),) if claim is None else (claim.rule,)
        inquiry = Inquiry(
            subject,
            rules,
            names or {},
            fixed or {},
            dtypes,
            tuple(not_promised),
            arrays,
            as_torch,
        )
        return cls(inquiry, claim, within, time_limit)

    def checks(self) -> list[str]:
        """The names of all checks, in the order in which they are asked.

        Raises:
            ValueError: the code has no promise of some name.
            TypeError: it is nothing that can be asked.
        """
        dtypes = (ACCURACY + dtype for dtype in self.inquiry.dtypes)
        return [RULE, *dtypes, *self.inquiry.named().promises]

    def answers(self) -> Iterator[tuple[str, Any]]:
        """Questions and answers, as they come.

        Raises:
            ValueError: the code has no promise of some name.
            TypeError: it is nothing that can be asked.
        """
        if self.time_limit is not None:
            with suppress(ModuleNotFoundError):  # a step on NumPy's arrays needs no torch
                importlib.import_module("oracles.harness.subjects.trial").warm()
            return confined(self.inquiry, self.time_limit)
        return at_once(self.inquiry)

    def report(self, known: Mapping[str, Any]) -> Report:
        """What the answers say."""
        printed = sum(told.printed for told in known.values() if isinstance(told, Told))
        named, arrangement = answer(known, SUBJECT), answer(known, STEP)
        if isinstance(named, Lost):
            name = str(self.inquiry.subject)
            return Report(name, fault=f"cannot be imported: {named}", imported=False)
        if isinstance(arrangement, Lost):
            fault = f"cannot be stepped: {arrangement}"
            return Report(named.name, fault=fault, claim=self.claim, printed=printed)
        found = answer(known, RULE)
        lost = f"cannot be told which rule it follows: {found}" if isinstance(found, Lost) else ""
        return Report(
            named.name,
            None if lost else found.identification,
            declined={} if lost else found.refused,
            fault=lost,
            claim=self.claim,
            bound=self.bound,
            printed=printed,
            promises=tuple(line_of(PROMISE + promise, known) for promise in named.promises),
            as_torch=tuple(line_of(asked, known) for asked in known if asked.startswith(AS_TORCH)),
            **self._accuracies(known),
        )

    def _accuracies(self, known: Mapping[str, Any]) -> dict[str, Any]:
        figures, refused = [], []
        for dtype in self.inquiry.dtypes:
            told = answer(known, ACCURACY + dtype)
            if isinstance(told, Accuracy):
                figures.append(told)
            elif ACCURACY + dtype in known:
                refused.append((dtype, str(told)))
        return {"accuracies": tuple(figures), "refused": tuple(refused)}


def _among(argument: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ValueError(f"{argument}={value!r} is not known; allowed: {', '.join(allowed)}")
