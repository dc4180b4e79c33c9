"""The golden documents as they are read, and what is asked of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oracles.harness import golden
from oracles.harness.cases.case import MIXED, Case, Group
from oracles.harness.golden import Questions, Vector
from oracles.harness.oracle import Oracle
from oracles.harness.subjects.subject import Answer, SubjectError
from oracles.harness.verdict import Verdict, judge
from oracles.rule import Convention, Rule
from tests.support.golden_extension import GOLDEN, PINNED

UNREADABLE = (OSError, LookupError, TypeError, ValueError)
"""What a damaged file raises; the tests of that file say so."""


@cache
def questions(rule: Rule) -> Questions:
    return golden.questions(rule, GOLDEN)


def ids(rule: Rule) -> list[str]:
    """Of the rule's questions; none where they cannot be read."""
    try:
        return [question.id for question in questions(rule).each]
    except UNREADABLE:
        return []


def document(rule: Rule, convention: Convention) -> Path:
    return GOLDEN / f"{golden.name(rule, convention)}.json"


@cache
def vectors(rule: Rule, name: str) -> Mapping[str, Vector]:
    """What the convention's file says, never what the generator would."""
    data = document(rule, rule.convention(name)).read_bytes()
    return {vector.id: vector for vector in golden.read(rule, data)}


@cache
def oracle(rule: Rule, name: str, id: str) -> Oracle:
    """Of that vector's question; documents that ask the same share its answers."""
    case = vectors(rule, name)[id].case
    return _oracles.setdefault((rule.name, *_asked(case)), Oracle(rule, case))


_oracles: dict[Any, Oracle] = {}


def _asked(case: Case) -> Iterator[Any]:
    """Everything that a document says in a question, as values that can be compared."""
    for _, group, p in case.walk():
        yield group.schedule
        for values in (p.initial, *p.gradients):
            yield None if values is None else (values.shape, values.tobytes())


@cache
def answering(rule: Rule, name: str, id: str) -> Convention:
    """That convention, or torch's where both documents have the same answer to the bit."""
    convention: Convention = rule.convention(name)
    try:
        one, other = (vectors(rule, c)[id].expected for c in (name, rule.torch.name))
    except UNREADABLE:
        return convention
    return rule.torch if one.has_the_bits_of(other) else convention


each_question = pytest.mark.parametrize(
    ("rule", "id"),
    [pytest.param(rule, id, id=f"{rule.name}-{id}") for rule in PINNED for id in ids(rule)],
)


@cache
def answers(subject: Any) -> Mapping[str, Answer]:
    """To the torch document's questions, asked all at once as groups of one case, to save time.

    None where some question makes the subject raise, and on mixed dtypes, which hang on how many
    parameters come before.
    """
    each = vectors(subject.rule, subject.rule.torch.name).items()
    steps = max(vector.case.steps for _, vector in each)
    groups = tuple(lengthened(group, steps) for _, v in each for group in v.case.groups)
    try:
        together = subject.ask(Case(groups)) if subject.dtype != MIXED else None
    except SubjectError:
        together = None
    if together is None:
        return {}
    ends = np.cumsum([vector.case.offsets[-1] for _, vector in each]).tolist()
    parts = zip(each, (slice(a, b) for a, b in pairwise([0, *ends])), strict=True)
    return {id: together[: vector.case.steps, where] for (id, vector), where in parts}


def lengthened(group: Group, steps: int) -> Group:
    """The group with steps without gradients at the end."""
    more = steps - len(group.schedule)
    parameters = (replace(p, gradients=p.gradients + (None,) * more) for p in group.parameters)
    return Group(tuple(parameters), group.schedule + group.schedule[-1:] * more)


def around(id: str, subject: Any, asked: Oracle) -> Verdict:
    """Whether the subject's answer is inside torch's enclosure of the vector's question."""
    answer = answers(subject).get(id)
    verdict = judge(asked, subject, answer) if answer else None
    if verdict is None or verdict.failed:
        # Beside other groups one may not get what it asks for: torch's Adagrad starts all alike.
        verdict = judge(asked, subject, subject.ask(asked.case))
    return verdict
