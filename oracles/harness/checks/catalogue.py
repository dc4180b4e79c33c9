"""The checks: one list that pytest, the command line and the ledger all walk.

A check is a question with a strategy for its cases and a function that asks one subject. It returns
a verdict and never raises for what a subject did wrong; :func:`examine` turns what a subject raises
into an ``errored`` verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
from hypothesis import strategies as st

from oracles.harness.cases import strategies
from oracles.harness.cases.case import (
    MIXED,
    Case,
    Group,
    Parameter,
)
from oracles.harness.deviations.ledger import GENERAL, active
from oracles.harness.oracle import Oracle
from oracles.harness.runs.tally import Tally
from oracles.harness.subjects.subject import Answer, SubjectError
from oracles.harness.verdict import (
    INSIDE,
    Vacuous,
    Verdict,
    broken,
    describe,
    errored,
    judge,
    separation,
)
from oracles.rule import Convention, Rule

Subject = Any
Ask = Callable[[Subject, Oracle], Verdict]

SHARE = 1 / 8
"""Examples of a check of weight 1 for each one of the profile: many optimizers share the time."""


@dataclass(frozen=True)
class Check:
    """One question.

    Attributes:
        name: as reports and the ledger write it.
        cases: strategy for the rule's cases; ``among`` are the axes of whom they will be asked.
        ask: asks one subject.
        applies: which paths it can be asked on.
        rejects: the convention it proves to be another one, if that is its purpose.
        weight: its share of the examples, relative to the others.
    """

    name: str
    cases: Callable[..., st.SearchStrategy[Case]]
    ask: Ask
    applies: Callable[[Any], bool] = lambda path: True
    rejects: Convention | None = None
    weight: float = 1.0

    def examples(self, of_profile: int) -> int:
        """How many cases to ask where a test of its own would ask ``of_profile``."""
        return max(1, round(of_profile * self.weight * SHARE))


def examine(
    check: Check, subjects: Iterable[Subject], oracle: Oracle, tally: Tally
) -> list[Verdict]:
    """Ask every subject the case concerns; returns the verdicts that failed.

    Subjects in a region of the deviations ledger are left out and counted there.
    """
    failures = []
    asked = [s for s in subjects if concerned(check, s, oracle.case)]
    tally.cases[check.name] += bool(asked)
    for subject in asked:
        known = [
            row
            for row in active(oracle.rule.name, subject.version)
            if row.covers(check.name, subject, oracle.case)
        ]
        if known:
            tally.deviations[known[0].id] += 1
            continue
        verdict = ask(check, subject, oracle)
        tally.add(subject, verdict)
        if verdict.failed:
            failures.append(verdict)
        elif check.rejects is not None and verdict.separation is not None:
            tally.reject(f"{subject.optimizer.__name__} {check.rejects.name}", verdict.separation)
    return failures


def concerned(check: Check, subject: Subject, case: Case) -> bool:
    """Whether the check can ask this subject this case."""
    path = subject.path
    return (
        subject.dtype in case.axes
        and check.applies(path)
        and (not case.has("sparse") or subject.takes_sparse)
        and (path.expanded or not case.has("expanded"))
        and (path.nonfinite or not case.edge)
        and subject.takes(case)
    )


def ask(check: Check, subject: Subject, oracle: Oracle) -> Verdict:
    """The check's verdict, or an errored one if the subject raised; other errors are our own."""
    try:
        return check.ask(subject, oracle)
    except SubjectError as error:
        return errored(oracle.case, subject, error)


def agreement(subject: Subject, oracle: Oracle) -> Verdict:
    """Parameters and buffers are inside torch's enclosure at every step."""
    return judge(oracle, subject, subject.ask(oracle.case))


def rejection(convention: Convention, subject: Subject, oracle: Oracle) -> Verdict:
    """The case separates the two conventions, and the subject is inside the right one.

    Disjoint enclosures make it outside the wrong one: what is held here beyond agreement is that
    there are such cases, and how far apart they are.

    Raises:
        Vacuous: the case does not separate them (a fault of its strategy).
    """
    right, wrong = (oracle(c, subject.tensors) for c in (None, convention))
    apart = separation(right, wrong, subject.dtype)
    if apart <= 1:
        raise Vacuous(
            f"the case does not separate {convention.name} from {oracle.rule.torch.name} in "
            f"{subject.dtype} (separation {apart:.3g}); {describe(oracle.case)}"
        )
    return replace(judge(oracle, subject, subject.ask(oracle.case)), separation=apart)


def gradients_kept(subject: Subject, oracle: Oracle) -> Verdict:
    """``.grad`` holds after the step what it held before (unscaled, behind a grad scaler)."""
    case = oracle.case
    run, untouched = subject.start(case), subject.start(case)
    for t in range(case.steps):
        run.load(t)
        untouched.load(t)
        before = untouched.gradients()
        if run.scaler is not None:
            scale = untouched.scaler.get_scale()
            before = [None if g is None else g / scale for g in before]
        run.step()
        for number, (one, other) in enumerate(zip(before, run.gradients(), strict=True)):
            if not _same(one, other):
                return broken(
                    case,
                    subject,
                    f"changed the gradient of parameter {number} at step {t + 1}: "
                    f"{_short(one)} became {_short(other)}",
                )
    return _held(case)


def surroundings_kept(subject: Subject, oracle: Oracle) -> Verdict:
    """A step changes the given parameters and its own state, and nothing else; it has no result."""
    case = oracle.case
    run = subject.start(case)
    for t in range(case.steps):
        run.load(t)
        before = run.surroundings()
        returned = run.step()
        after = run.surroundings()
        if returned is not None:
            return broken(case, subject, f"returns {returned!r} where there is no closure")
        changed = [name for name in before if before[name] != after[name]]
        if changed:
            return broken(case, subject, f"changed {', '.join(changed)} at step {t + 1}")
        if run.strays():
            return broken(case, subject, f"keeps more state than the rule: {run.strays()}")
    return _held(case)


def restarts(how: str, subject: Subject, oracle: Oracle) -> Verdict:
    """Continuing from a copy of the optimizer gives the same bits as continuing."""
    case = oracle.case
    run = subject.start(case)
    for t in range(case.steps):
        if t == (case.steps + 1) // 2:
            run.restart(how)
        run.load(t)
        run.step()
        run.record()
    if answers_differ(run.answer(), subject.ask(case)):
        return broken(case, subject, f"continues to other bits after {how} in mid-run")
    return _held(case)


def closure(subject: Subject, oracle: Oracle) -> Verdict:
    """A closure is called once, with gradients enabled, and its value is returned."""
    case = oracle.case
    run = subject.start(case)
    for t in range(case.steps):
        run.load(t)
        modes, returned = run.closure_step()
        if modes != [True]:
            return broken(case, subject, f"called the closure with grad modes {modes}, not [True]")
        if not returned:
            return broken(case, subject, "does not return the closure's value")
        run.record()
    return judge(oracle, subject, run.answer())


def order(subject: Subject, oracle: Oracle) -> Verdict:
    """The order of parameters within their groups changes no bit."""
    case = oracle.case
    groups = [replace(g, parameters=g.parameters[::-1]) for g in case.groups]
    answer = subject.ask(replace(case, groups=tuple(groups)))
    numbers = iter(np.split(np.arange(case.offsets[-1]), case.offsets[1:-1]))
    each = [[*islice(numbers, len(group.parameters))] for group in case.groups]
    back = np.argsort(np.concatenate([places for own in each for places in own[::-1]]))
    if answers_differ(_moved(answer, back), subject.ask(case)):
        return broken(case, subject, "gives other bits when the parameters are reversed")
    return _held(case)


def splitting(subject: Subject, oracle: Oracle) -> Verdict:
    """A parameter cut into two, flattened, stays inside the enclosure of the whole."""

    def halves(p: Parameter) -> Iterator[Parameter]:
        middle = p.initial.size // 2
        for part in (slice(None, middle), slice(middle, None)):
            yield _mapped(p, partial(_part, part))

    return judge(oracle, subject, subject.ask(_regrouped(oracle.case, halves)))


def _part(part: slice, values: Any) -> Any:
    return values.ravel()[part]


def transposing(subject: Subject, oracle: Oracle) -> Verdict:
    """Transposed parameters and gradients give the transposed result."""
    case = oracle.case
    turned = _regrouped(case, lambda p: [_mapped(p, np.transpose)])
    places = [
        start + np.arange(p.initial.size).reshape(p.initial.shape).T.ravel()
        for start, p in zip(case.offsets, case.parameters, strict=False)
    ]
    back = np.argsort(np.concatenate(places))
    return judge(oracle, subject, _moved(subject.ask(turned), back))


def zeroed(set_to_none: bool, subject: Subject, oracle: Oracle) -> Verdict:
    """``zero_grad`` before the last step: no gradient, or a zero one that still decays."""
    case = oracle.case
    run = subject.start(case)
    for t in range(case.steps):
        last = t == case.steps - 1
        run.load(t, gradients=not last)
        if last:
            run.zero_grad(set_to_none=set_to_none)
        run.step()
        run.record()
    return judge(oracle, subject, run.answer())


def skipped(subject: Subject, oracle: Oracle) -> Verdict:
    """A step the grad scaler skips, because a gradient is not finite, changes nothing."""
    case = oracle.case
    finite = [
        all(g is None or np.isfinite(g).all() for g in at_step)
        for at_step in zip(*(p.gradients for p in case.parameters), strict=True)
    ]

    def without(p: Parameter) -> Iterator[Parameter]:
        kept = tuple(g if ok else None for g, ok in zip(p.gradients, finite, strict=True))
        yield replace(p, gradients=kept)

    expected = Oracle(oracle.rule, _regrouped(case, without))
    return judge(expected, subject, _unstarted(expected, subject.ask(case)))


def _unstarted(expected: Oracle, answer: Answer) -> Answer:
    """The answer without buffers that hold what they start from before their first step is due.

    (A step that is skipped may create them; one that starts from something else shows.)
    """
    rule, present = expected.rule, dict(answer.present)
    group = expected.case.groups[0]
    start = rule.start(np.zeros(()), group.schedule[0])
    for name, value in {"step": 0, **start}.items():
        if name in present:
            early = present[name] & ~expected().present[name] & (answer.states[name] == value)
            present[name] = present[name] & ~early
    return replace(answer, present=present)


def checks(rule: Rule) -> list[Check]:
    """All checks of a rule, in the order they are walked."""
    general, whole = strategies.cases, _unmixed
    lasting = partial(strategies.cases, lasting=True)
    return [
        Check(GENERAL, general, agreement, weight=6),
        Check("agreement through gaps and late groups", strategies.eventful_cases, agreement),
        Check(
            "agreement at the edge",
            strategies.edge_cases,
            agreement,
            weight=2,
        ),
        Check(
            "agreement on sparse gradients",
            strategies.sparse_cases,
            agreement,
        ),
        *(
            Check(
                f"rejects {convention.name}",
                partial(strategies.parting_cases, convention=convention),
                partial(rejection, convention),
                rejects=convention,
                weight=0.5,
            )
            for convention in rule.conventions[1:]
        ),
        Check("gradients are left as they were", _general_or_lone, gradients_kept, weight=2),
        Check(
            "nothing else changes",
            general,
            surroundings_kept,
            applies=lambda path: not path.graph,
        ),
        *(
            Check(
                f"{how} in mid-run continues",
                lasting,
                partial(restarts, how),
                applies=lambda path: not path.graph and path.wrap is None,
            )
            for how in ("state_dict", "deepcopy", "pickle")
        ),
        Check(
            "a closure is called once",
            general,
            closure,
            applies=lambda path: path.wrap != "scaler",
            weight=0.5,
        ),
        Check("the order of parameters does not matter", whole, order, weight=0.5),
        *(
            Check(f"{how} commutes", whole, ask, weight=0.5)
            for how, ask in (("splitting a parameter", splitting), ("transposing", transposing))
            if rule.elementwise
        ),
        Check("zero_grad to none", partial(_zeroed, True), partial(zeroed, True)),
        Check(
            "zero_grad to zero",
            partial(_zeroed, False),
            partial(zeroed, False),
            # A differentiated step leaves gradients inside its graph, to be dropped only.
            applies=lambda path: not path.graph,
        ),
        Check(
            "a skipped step changes nothing",
            strategies.skipping_cases,
            skipped,
            applies=lambda path: path.wrap == "scaler",
            weight=0.5,
        ),
    ]


def _general_or_lone(rule: Rule, **options: Any) -> st.SearchStrategy[Case]:
    return st.one_of(strategies.lone_cases(rule, **options), strategies.cases(rule, **options))


def _unmixed(rule: Rule, **options: Any) -> st.SearchStrategy[Case]:
    """General cases whose parameters have one dtype, so that it does not hang on their number."""
    return strategies.cases(rule, **options).map(
        lambda case: replace(case, axes=("float32",)) if MIXED in case.axes else case
    )


def _zeroed(to_none: bool, rule: Rule, **options: Any) -> st.SearchStrategy[Case]:
    """General cases with the last gradients that ``zero_grad`` leaves behind."""

    def emptied(p: Parameter) -> Iterator[Parameter]:
        steps = len(p.gradients)
        had = steps > 1 and p.gradients[-2] is not None
        last = np.zeros_like(p.initial) if had and not to_none else None
        yield replace(p, gradients=(*p.gradients[:-1], last))

    drawn = strategies.cases(rule, lasting=True, **options)
    return drawn.map(lambda case: _regrouped(case, emptied))


def _regrouped(case: Case, change: Callable[[Parameter], Iterable[Parameter]]) -> Case:
    groups = [
        Group(tuple(q for p in g.parameters for q in change(p)), g.schedule, g.joins)
        for g in case.groups
    ]
    return replace(case, groups=tuple(groups))


def _mapped(p: Parameter, change: Callable[[Any], Any]) -> Parameter:
    """Another parameter, laid out plainly; sparse gradients stay sparse."""
    gradients = tuple(None if g is None else change(g) for g in p.gradients)
    layout = "sparse" if p.gradient_layout == "sparse" else "contiguous"
    return Parameter(change(p.initial), gradients, gradient_layout=layout)


def _moved(answer: Answer, where: Any) -> Answer:
    return Answer(
        answer.parameters[:, where],
        {name: values[:, where] for name, values in answer.states.items()},
        {name: values[:, where] for name, values in answer.present.items()},
    )


def answers_differ(one: Answer, other: Answer) -> bool:
    """Whether two answers are not the same to the bit, buffers and their presence included."""
    pairs = [(one.parameters, other.parameters)]
    pairs += [(one.states[n], other.states[n]) for n in one.states]
    present = any(not np.array_equal(one.present[n], other.present[n]) for n in one.present)
    return present or any(not _same(a, b) for a, b in pairs)


def _held(case: Case) -> Verdict:
    """A promise about all elements at every step is kept."""
    return Verdict(INSIDE, elements=case.steps * int(case.offsets[-1]))


def _same(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return one is other
    return np.array_equal(one, other, equal_nan=True)


def _short(values: Any) -> str:
    return "None" if values is None else np.array2string(np.asarray(values), threshold=6)
