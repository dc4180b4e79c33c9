"""Golden vectors: does the oracle still compute them, and does torch lie around them?

A document is red when it is missing, when it differs by one byte from what its rule gives now, and
when nothing reads it. ``pytest tests/test_goldens.py --snapshot-update`` writes documents. What
documents are made of is asked in ``test_golden_documents.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from syrupy.assertion import SnapshotAssertion

from oracles.harness import golden
from oracles.harness.case import AXES
from oracles.harness.checks import Check, examine
from oracles.harness.formats import DTYPES, round_to
from oracles.harness.golden import Vector
from oracles.harness.oracle import Oracle
from oracles.harness.strategies import cases
from oracles.harness.tally import Tally
from oracles.harness.verdict import Verdict, broken, fit, judge, separation
from oracles.rule import Convention
from oracles.sgd import RULE
from tests.golden_extension import GOLDEN, GoldenExtension

OTHERS = RULE.conventions[1:]
IDS = [question.id for question in golden.questions(RULE, GOLDEN).each]

each_convention = pytest.mark.parametrize("convention", RULE.conventions, ids=lambda c: c.name)
each_id = pytest.mark.parametrize("id", IDS)


@dataclass(frozen=True)
class Pinned:
    """The file's numbers, in a subject's place."""

    dtype: str


def document(convention: Convention) -> Path:
    return GOLDEN / f"{golden.name(RULE, convention)}.json"


@cache
def vectors(name: str) -> Mapping[str, Vector]:
    """What the convention's file says, never what the generator would."""
    data = document(RULE.convention(name)).read_bytes()
    return {vector.id: vector for vector in golden.read(RULE, data)}


@cache
def oracle(name: str, id: str) -> Oracle:
    return Oracle(RULE, vectors(name)[id].case)


# Does the oracle still compute them?


@each_convention
def test_the_rule_gives_the_document_byte_for_byte(
    convention: Convention, snapshot: SnapshotAssertion
) -> None:
    kept = snapshot.use_extension(GoldenExtension)
    now = golden.text(RULE, convention, GOLDEN)
    if kept(name=golden.name(RULE, convention)) != now:
        # In place of an assertion, which would print both documents first.
        pytest.fail("\n".join(kept.get_assert_diff()), pytrace=False)


def test_nothing_lies_in_golden_that_nothing_reads() -> None:
    strays = golden.strays((RULE,), GOLDEN)
    assert not strays, f"remove from golden/, or add the convention: {', '.join(strays)}"


@pytest.mark.parametrize(
    ("name", "moved"),
    [("coupled_unscaled", ["4.1", "1.9"]), ("batch_scaled", ["4.15", "1.95"])],
)
def test_the_published_example_reads_as_published(name: str, moved: list[str]) -> None:
    """1 - 0.1(-32 + 1·1) and 1 - 0.1(-10 + 1·1), or with 1/2 for the decay's 1."""
    expected = vectors(name)["published_example"].expected
    assert [f"{v:.15g}" for v in expected.parameters[-1]] == moved


@each_convention
def test_the_numbers_lie_in_their_enclosure_in_every_dtype(convention: Convention) -> None:
    """Other code, wider arithmetic: an enclosure holds the exact result and float64's."""
    for id, vector in vectors(convention.name).items():
        for axis in AXES:
            held = fit(oracle(convention.name, id), convention, Pinned(axis), vector.expected)
            assert held, f"{convention.name} in {axis}, vector {id!r}: {vector.comment}"


# Is every vector worth asking?


@each_id
def test_every_dtype_holds_the_inputs_exactly(id: str) -> None:
    for p in vectors(RULE.torch.name)[id].case.parameters:
        for values in (p.initial, *p.gradients):
            for dtype in DTYPES:
                assert values is None or np.array_equal(round_to(dtype, values), values)


@each_convention
def test_a_vector_tells_its_convention_from_torch_or_is_identical_by_algebra(
    convention: Convention,
) -> None:
    for id, vector in vectors(convention.name).items():
        ask = oracle(convention.name, id)
        same = golden.same_by_algebra(RULE, convention, RULE.torch, vector.case)
        assert same == (golden.DIFFERS not in vector.flags), id
        for axis in () if same else AXES:
            assert separation(ask(), ask(convention), axis) > 1, (id, axis)


@each_convention
def test_some_vector_tells_the_convention_from_each_other_one(convention: Convention) -> None:
    for other in RULE.conventions:
        asked = (oracle(convention.name, id) for id in IDS)
        apart = (separation(ask(convention), ask(other), "float32") > 1 for ask in asked)
        assert any(apart) == (other is not convention), other.name


# Does torch lie around them?


def inside_torch_alone(id: str, subject: Any, asked: Oracle) -> Verdict:
    """Inside torch's vector, and outside the vectors that tell their convention from torch's."""
    answer = subject.ask(asked.case)
    verdict = judge(asked, subject, answer)
    for convention in () if verdict.failed else OTHERS:
        told = golden.DIFFERS in vectors(convention.name)[id].flags
        if told and fit(oracle(convention.name, id), convention, subject, answer):
            return broken(asked.case, subject, f"also fits {convention.name}")
    return verdict


@each_id
def test_torch_lies_around_its_vectors_alone(id: str, subjects: list[Any], tally: Tally) -> None:
    vector = vectors(RULE.torch.name)[id]
    seen = Tally()
    check = Check("golden vectors", cases, lambda *asked: inside_torch_alone(id, *asked))
    failures = examine(check, subjects, Oracle(RULE, vector.case), seen)
    tally.merge(seen)
    told = "\n".join(verdict.sentence for verdict in failures)
    assert not failures, f"vector {id!r}: {vector.comment}\n{told}"
    if not seen.lines:
        pytest.skip("no chosen subject can be asked this")
