"""Golden vectors: do the oracles still compute them, and does torch lie around them?

A document is red when it is missing, when it differs by one byte from what its rule gives now, and
when nothing reads it. ``pytest tests/torch/test_goldens.py --snapshot-update`` writes documents.
What documents are made of is asked in ``test_golden_documents.py``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from syrupy.assertion import SnapshotAssertion

from oracles.harness import golden
from oracles.harness.arithmetic.formats import DTYPES, round_to
from oracles.harness.cases.case import MIXED, PRECISIONS
from oracles.harness.cases.strategies import cases
from oracles.harness.checks.check import Check
from oracles.harness.oracle import PYTHON
from oracles.harness.runs.asking import examine
from oracles.harness.runs.tally import Tally
from oracles.harness.verdict import fit, separation
from oracles.optimizers.registry import RULES
from oracles.rule import Convention, Rule
from tests.support.golden_extension import GOLDEN, PINNED, GoldenExtension
from tests.support.marks import each_convention
from tests.support.pinned import (
    answering,
    around,
    each_question,
    oracle,
    questions,
    vectors,
)
from tests.support.told import Told

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


@pytest.mark.one_in(9)
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


@pytest.mark.one_in(6)
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


@pytest.mark.one_in(6)
@each_convention
def test_some_vector_tells_the_convention_from_each_other_one(
    rule: Rule, convention: Convention
) -> None:
    def tells(id: str, other: Convention) -> bool:
        asked = oracle(rule, convention.name, id)
        one, two = (asked(answering(rule, c.name, id)) for c in (convention, other))
        return separation(one, two, "float32") > 1

    known = vectors(rule, convention.name)
    for other in rule.conventions:
        assert any(tells(id, other) for id in known) == (other is not convention), other.name


# Does torch lie around them?


@pytest.mark.one_in(10)
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
