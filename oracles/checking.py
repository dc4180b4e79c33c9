"""check: which rule, how accurate, and which promises of a step.

Three questions, asked apart. Which rule is :mod:`oracles.identification`'s question. How accurate
gives a figure, not a verdict (:mod:`oracles.accuracy`). Each promise is a line: kept, broken, not
promised or not asked.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import Any

from oracles.accuracy import Accuracy
from oracles.harness.arithmetic.formats import DTYPES
from oracles.harness.evidence.settings import Draws
from oracles.harness.runs.confined import REST, Lost, answers
from oracles.harness.subjects.arrays import KINDS
from oracles.harness.subjects.asking import wanting
from oracles.harness.subjects.importing import limit_of
from oracles.identification import arguments_of, refuse_unnamed
from oracles.inquiry import (
    ACCURACY,
    AS_TORCH,
    PROMISE,
    RULE,
    STEP,
    SUBJECT,
    Inquiry,
    Named,
    Told,
    answer,
    line_of,
)
from oracles.naming import refuse_limits, refuse_unlisted, refuse_unmapped, unknown
from oracles.optimizers.registry import RULES
from oracles.report import Claim, Report
from oracles.rule import Rule


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
    seed: int = 0,
    profile: str = "default",
) -> Report:
    """Which rule a piece of code follows, how accurately, and which promises of a step it keeps.

    Args:
        subject: a class of optimizers, a function that makes one (``(params, **h)``, of tensors, of
            pairs of a name and a tensor, or of a model), or a functional step ``(params, grads,
            state, hyper) -> params``; or where one is imported from, as ``"package.module:name"``.
        rule: what its author says it follows, as reports write it: ``"Adam"`` for torch's
            convention, or ``"Adam's eps_hat"``; None to look among all.
        names: torch's names of hyperparameters, and the subject's own for them.
        fixed: arguments that the subject is always given.
        dtypes: in which accuracy is measured, as far as the subject takes them.
        within: the author's bound of errors, in radii; 1 is torch's own standard.
        not_promised: names of promises that the author does not make; ``"rule"`` stands for
            following one that is known.
        arrays: what a functional step computes with (numpy, torch or jax); None for the first of
            them that it takes.
        as_torch: hold a class to being a clone of torch's, too: states, names, paths and edges, and
            torch's own forms of rounding, in all dtypes. That takes longer, and goes with none of
            names, fixed, dtypes and time_limit.
        time_limit: in seconds. The subject is asked in a process of its own, which is ended then;
            one question may take a third of it. While it sleeps, or a busy machine lets it wait, a
            third of the time counts. None asks in this process, for as long as it takes.
        seed: of all cases that are drawn: those of accuracy and of the promises, and those of the
            rule, beside which the cases of 0 are always asked, which are known to tell all
            conventions apart; and of what a clone of torch's is asked. Numbers that are worked by
            hand are fixed.
        profile: how long to look: ``"thorough"`` draws ten times as many cases of each kind as
            ``"default"``; ``"ci"`` is the default.

    Raises:
        ValueError: there is no such rule, dtype, promise, kind of arrays or profile, a number is
            none that is allowed, or two arguments do not go together.
        TypeError: the subject is nothing that can be asked, or a list or a dict is none.

    >>> def step(params, grads, state, lr, wd, n):
    ...     return [w - lr * (g + wd / n * w) for w, g in zip(params, grads)]
    >>> report = check(step, dtypes=["float64"])
    >>> report.found.fits
    (<SGD's batch_scaled>,)
    >>> check(step, "SGD", dtypes=["float64"]).faults()
    ["step follows SGD's batch_scaled; its author claims SGD's coupled_unscaled"]
    """
    checking = Checking(
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
        seed=seed,
        profile=profile,
    )
    return checking.report(dict(checking.answers()))


@dataclass(frozen=True, eq=False)
class Checking:
    """A check, to be asked question by question; what it is made of are :func:`check`'s arguments.

    Raises:
        ValueError: there is no such rule, dtype, kind of arrays or profile, a number is none that
            is allowed, or two arguments do not go together.
        TypeError: what is to be a list or a dict is none.
    """

    subject: Any
    rule: str | Rule | None = None
    _: KW_ONLY
    names: Mapping[str, str] | None = None
    fixed: Mapping[str, Any] | None = None
    dtypes: Sequence[str] = DTYPES
    within: float | None = None
    not_promised: Sequence[str] = ()
    arrays: str | None = None
    as_torch: bool = False
    time_limit: float | None = None
    seed: int = 0
    profile: str = "default"

    def __post_init__(self) -> None:
        """Refuse what cannot be asked."""
        refuse_unlisted(dtypes=self.dtypes, not_promised=self.not_promised)
        refuse_unmapped(names=self.names, fixed=self.fixed)
        for dtype in self.dtypes:
            _among("dtypes", dtype, DTYPES)
        if self.arrays is not None:
            _among("arrays", self.arrays, [*KINDS])
            if importlib.util.find_spec(self.arrays) is None:
                needs = f"needs {self.arrays}, which is not installed here"
                raise ValueError(f"arrays={self.arrays!r} {needs}")
        refuse_limits(within=self.within, time_limit=self.time_limit)
        if self.as_torch:
            self._strictly()
        own = self.rule if isinstance(self.rule, Rule) else None
        if self.time_limit is not None and own and own not in RULES.values():
            raise ValueError(
                f"rule={own.name}, a rule of one's own, and time_limit={self.time_limit:g}, "
                "whose process knows those of oracles.RULES: give one of them"
            )
        if self.within is not None and not self.dtypes:
            raise ValueError(f"within={self.within:g} bounds errors, and dtypes=[] measures none")
        rules = [*RULES.values(), *self.inquiry.rules]
        refuse_unnamed("names", self.names or {}, arguments_of(rules))

    def _strictly(self) -> None:
        """Refuse what does not go together with the strict question."""
        if self.time_limit is not None:
            raise ValueError(
                "as_torch=True asks on several threads, and time_limit in a forked process, which "
                "has none: give one of them"
            )
        dtypes = tuple(self.dtypes) != DTYPES
        for name, given in {"names": self.names, "fixed": self.fixed, "dtypes": dtypes}.items():
            if given:
                raise ValueError(
                    f"as_torch=True asks torch's own arguments, in all dtypes: no {name}"
                )

    @cached_property
    def claim(self) -> Claim | None:
        """What the code is said to follow."""
        return None if self.rule is None else Claim.of(self.rule)

    @cached_property
    def inquiry(self) -> Inquiry:
        """What is asked."""
        return Inquiry(
            self.subject,
            (*RULES.values(),) if self.claim is None else (self.claim.rule,),
            self.names or {},
            self.fixed or {},
            self.dtypes,
            tuple(self.not_promised),
            self.arrays,
            self.as_torch,
            Draws(self.seed, self.profile),
        )

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
        return answers(self.inquiry, limit_of(self.subject, self.time_limit))

    def report(self, known: Mapping[str, Any]) -> Report:
        """What the answers say."""
        draws = self.inquiry.draws
        printed = sum(told.printed for told in known.values() if isinstance(told, Told))
        named, arrangement = answer(known, SUBJECT), answer(known, STEP)
        if isinstance(named, Lost):
            name = str(self.inquiry.subject)
            return Report(name, fault=f"cannot be imported: {named}", imported=False)
        if isinstance(arrangement, Lost):
            fault = f"cannot be stepped: {wanting(str(arrangement))}"
            return Report(named.name, fault=fault, claim=self.claim, printed=printed, draws=draws)
        found = answer(known, RULE)
        lost = f"cannot be told which rule it follows: {found}" if isinstance(found, Lost) else ""
        return Report(
            named.name,
            None if lost else found.identification,
            declined={} if lost else found.refused,
            fault=lost,
            claim=self.claim,
            bound=self.within,
            printed=printed,
            own=RULE in self.inquiry.not_promised,
            draws=draws,
            late=self._late(known, named, found),
            rest=str(answer(known, REST)),
            promises=tuple(line_of(PROMISE + promise, known) for promise in named.promises),
            as_torch=tuple(line_of(asked, known) for asked in known if asked.startswith(AS_TORCH)),
            **self._accuracies(known),
        )

    def _late(self, known: Mapping[str, Any], named: Named, found: Any) -> tuple[str, ...]:
        """The checks that were to be asked, and were not."""
        measured = not isinstance(found, Lost) and found.identification.fits
        dtypes = [ACCURACY + dtype for dtype in self.inquiry.dtypes if measured]
        asked = {name: name for name in dtypes} | {p: PROMISE + p for p in named.promises}
        return tuple(name for name, question in asked.items() if question not in known)

    def _accuracies(self, known: Mapping[str, Any]) -> dict[str, Any]:
        asked = [dtype for dtype in self.inquiry.dtypes if ACCURACY + dtype in known]
        told = {dtype: answer(known, ACCURACY + dtype) for dtype in asked}
        return {
            "accuracies": tuple(t for t in told.values() if isinstance(t, Accuracy)),
            "refused": tuple((d, t) for d, t in told.items() if isinstance(t, str)),
            "failed": tuple((d, str(t)) for d, t in told.items() if isinstance(t, Lost)),
        }


def _among(argument: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ValueError(unknown(f"{argument}={value!r} is not known", value, allowed))
