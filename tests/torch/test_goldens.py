"""Golden vectors: do the oracles still compute them, and does torch lie around them?

A document is red when it is missing, when it differs by one byte from what its rule gives now, and
when nothing reads it. ``pytest tests/torch/test_goldens.py --snapshot-update`` writes documents.
What documents are made of is asked in ``test_golden_documents.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from syrupy.assertion import SnapshotAssertion

from oracles.harness import golden
from oracles.harness.arithmetic.formats import DTYPES, round_to
from oracles.harness.cases.case import MIXED, PRECISIONS, Case, Group
from oracles.harness.cases.strategies import cases
from oracles.harness.checks.check import Check
from oracles.harness.golden import Questions, Vector
from oracles.harness.oracle import PYTHON, Oracle
from oracles.harness.runs.asking import examine
from oracles.harness.runs.tally import Tally
from oracles.harness.subjects.subject import Answer, SubjectError
from oracles.harness.verdict import Verdict, fit, judge, separation
from oracles.optimizers.registry import RULES
from oracles.rule import Convention, Rule
from tests.support.golden_extension import GOLDEN, PINNED, GoldenExtension
from tests.support.told import Told

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


each_convention = pytest.mark.parametrize(
    ("rule", "convention"),
    [
        pytest.param(rule, convention, id=f"{rule.name}-{convention.name}")
        for rule in PINNED
        for convention in rule.conventions
    ],
)
each_question = pytest.mark.parametrize(
    ("rule", "id"),
    [pytest.param(rule, id, id=f"{rule.name}-{id}") for rule in PINNED for id in ids(rule)],
)


# Do the oracles still compute them?


@each_convention
def test_the_rule_gives_the_document_byte_for_byte(
    rule: Rule, convention: Convention, snapshot: SnapshotAssertion
) -> None:
    kept = snapshot.use_extension(GoldenExtension)
    now = golden.text(rule, convention, questions(rule))
    if kept(name=golden.name(rule, convention)) != now:
        # In place of an assertion, which would print both documents first.
        pytest.fail("\n".join(kept.get_assert_diff()), pytrace=False)


def test_every_rule_is_pinned() -> None:
    assert [rule.name for rule in PINNED] == [rule.name for rule in RULES.values()]


def test_nothing_lies_in_golden_that_nothing_reads() -> None:
    strays = golden.strays(PINNED, GOLDEN)
    assert not strays, f"remove from golden/, or add the convention: {', '.join(strays)}"


@pytest.mark.parametrize(
    ("name", "moved"),
    [("coupled_unscaled", ["4.1", "1.9"]), ("batch_scaled", ["4.15", "1.95"])],
)
def test_the_published_example_reads_as_published(name: str, moved: list[str]) -> None:
    """1 - 0.1(-32 + 1·1) and 1 - 0.1(-10 + 1·1), or with 1/2 for the decay's 1."""
    expected = vectors(RULES["SGD"], name)["published_example"].expected
    assert [f"{v:.15g}" for v in expected.parameters[-1]] == moved


@each_convention
def test_the_numbers_lie_in_their_enclosure_in_every_dtype(
    rule: Rule, convention: Convention
) -> None:
    """Other code, wider arithmetic: an enclosure holds the exact result and float64's."""
    for id, vector in vectors(rule, convention.name).items():
        asked, answers = oracle(rule, convention.name, id), answering(rule, convention.name, id)
        for precision in vector.case.precisions:
            held = fit(asked, answers, Told(precision), vector.expected)
            assert held, f"{convention.name} in {precision}, vector {id!r}: {vector.comment}"


# Is every vector worth asking?


@each_question
def test_neighbours_are_asked_in_mixed_dtypes_too(rule: Rule, id: str) -> None:
    """As read from the questions and as read from a document."""
    (asked,) = (question.case for question in questions(rule).each if question.id == id)
    for case in (asked, vectors(rule, rule.torch.name)[id].case):
        assert case.precisions == (PRECISIONS if len(case.parameters) > 1 else DTYPES)


def test_some_question_has_neighbours() -> None:
    cases = [question.case for rule in PINNED for question in questions(rule).each]
    assert sum(MIXED in case.precisions for case in cases) >= 10


@each_question
def test_every_dtype_holds_the_inputs_exactly(rule: Rule, id: str) -> None:
    for p in vectors(rule, rule.torch.name)[id].case.parameters:
        for values in (p.initial, *p.gradients):
            for dtype in DTYPES:
                assert values is None or np.array_equal(round_to(dtype, values), values)


@each_convention
def test_a_vector_tells_its_convention_from_torch_where_it_says_so(
    rule: Rule, convention: Convention, subjects: list[Any]
) -> None:
    """Whatever is around torch's vector, on a path with scalars in tensors too, is none of these.

    Where the vector does not say so, the two are the same by algebra, or its bytes are wrong.
    """
    asked_of = {(s.dtype, s.tensors) for s in subjects if s.rule is rule}
    for id, vector in vectors(rule, convention.name).items():
        asked = oracle(rule, convention.name, id)
        for precision in vector.case.precisions if golden.DIFFERS in vector.flags else ():
            for tensors in {PYTHON} | {
                scalars for dtype, scalars in asked_of if dtype == precision
            }:
                apart = separation(asked(tensors=tensors), asked(convention), precision)
                assert apart > 1, (id, precision, sorted(tensors))


@each_convention
def test_some_vector_tells_the_convention_from_each_other_one(
    rule: Rule, convention: Convention
) -> None:
    def tells(id: str, other: Convention) -> bool:
        asked = oracle(rule, convention.name, id)
        one, two = (asked(answering(rule, c.name, id)) for c in (convention, other))
        return separation(one, two, "float32") > 1

    ids = vectors(rule, convention.name)
    for other in rule.conventions:
        assert any(tells(id, other) for id in ids) == (other is not convention), other.name


# Does torch lie around them?


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
    return {id: part(together, vector.case.steps, where) for (id, vector), where in parts}


def lengthened(group: Group, steps: int) -> Group:
    """The group with steps without gradients at the end."""
    more = steps - len(group.schedule)
    parameters = (replace(p, gradients=p.gradients + (None,) * more) for p in group.parameters)
    return Group(tuple(parameters), group.schedule + group.schedule[-1:] * more)


def part(answer: Answer, steps: int, where: slice) -> Answer:
    """The first steps of some elements."""
    return Answer(
        answer.parameters[:steps, where],
        {name: values[:steps, where] for name, values in answer.states.items()},
        {name: values[:steps, where] for name, values in answer.present.items()},
    )


def around(id: str, subject: Any, asked: Oracle) -> Verdict:
    """Whether the subject's answer is inside torch's enclosure of the vector's question."""
    answer = answers(subject).get(id)
    verdict = judge(asked, subject, answer) if answer else None
    if verdict is None or verdict.failed:
        # Beside other groups one may not get what it asks for: torch's Adagrad starts all alike.
        verdict = judge(asked, subject, subject.ask(asked.case))
    return verdict


@each_question
def test_torch_lies_around_its_vectors(
    rule: Rule, id: str, subjects: list[Any], tally: Tally
) -> None:
    vector = vectors(rule, rule.torch.name)[id]
    own = [subject for subject in subjects if subject.rule is rule]
    seen = Tally()
    check = Check("golden vectors", cases, lambda *asked: around(id, *asked))
    failures = examine(check, own, oracle(rule, rule.torch.name, id), seen)
    tally.merge(seen)
    told = "\n".join(verdict.sentence for verdict in failures)
    assert not failures, f"vector {id!r}: {vector.comment}\n{told}"
    if not seen.lines:
        pytest.skip("no chosen subject can be asked this")
