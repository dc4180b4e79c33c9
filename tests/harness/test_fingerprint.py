"""A fingerprint is the bits of an answer, in units that a person can read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from oracles.everybody import present
from oracles.harness import golden, golden_rates
from oracles.harness.arithmetic.formats import round_to
from oracles.harness.subjects import schedulers
from oracles.harness.subjects.selection import select
from oracles.harness.subjects.subject import Answer, SubjectError
from oracles.optimizers.registry import RULES
from oracles.reports import fingerprint as module
from oracles.reports import rate_fingerprint
from oracles.reports.fingerprint import KNOWN, fingerprint, pinned
from oracles.schedules.registry import SCHEDULES
from tests.support.marks import NADAM, skip_before

SGD = RULES["SGD"]
VECTORS = {vector.id: vector for vector in golden.read(SGD, pinned(SGD))}


def told(subjects: Any, question: str) -> list[dict[str, Any]]:
    rule = subjects[0].rule
    return [line for line in fingerprint(rule, subjects) if line["question"] == question]


def numbers(name: str, dtype: str) -> Iterator[tuple[str, Any, Any, Any]]:
    """Of each buffer of each golden question: what came of it, what was expected, and tokens."""
    rule = RULES[name]
    (subject,), _ = select(rule, ["for-loop"], [dtype], ["cpu"])
    lines = {line["question"]: line for line in fingerprint(rule, [subject])}
    for vector in golden.read(rule, pinned(rule)):
        if vector.id not in lines:  # this torch lacks an argument
            continue
        answer, values = subject.ask(vector.case), lines[vector.id]["values"]
        expected = vector.expected
        yield "parameter", answer.parameters, expected.parameters, values["parameter"]
        for state in rule.states:
            there = answer.present[state]
            tokens = np.array(values[state], dtype=object).reshape(there.shape)
            assert all((token is None) != there[where] for where, token in np.ndenumerate(tokens))
            if there.all():
                yield state, answer.states[state], expected.states[state], values[state]


HALF_NADAM = "NAdam did not step in float16 on a CPU"


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize("name", ["SGD", "NAdam"])
def test_tokens_are_the_bits_of_the_answer(name: str, dtype: str) -> None:
    """NumPy says how far neighbouring numbers are apart, and NAdam keeps one state in float32."""
    if name == "NAdam":
        skip_before(*(("2.2", HALF_NADAM) if dtype == "float16" else ("2.0", NADAM)))
    seen = set()
    for buffer, got, expected, tokens in numbers(name, dtype):
        kept = "float32" if buffer in RULES[name].binding.float32_products else dtype
        for element in range(got.shape[1]):
            largest = np.abs(expected[:, element]).max()
            start = largest if buffer != "parameter" else None
            column = tokens[element :: got.shape[1]]
            middle = round_to(kept, expected[:, element])
            if start is not None and buffer != "step":
                unit = float(np.spacing(np.dtype(kept).type(largest)))
                assert np.array_equal(middle + np.array(column, float) * unit, got[:, element])
            seen.add(buffer)
    assert {"parameter"} < seen


UNIT = 2.0**-52


@pytest.mark.parametrize(
    ("value", "expected", "token"),
    [
        (1.0, 1.0, 0),
        (1 + UNIT, 1.0, 1),
        (1 - 3 * UNIT, 1.0, -3),
        (1 - 0.5 * UNIT, 1.0, -0.5),
        (1 + 2.0**8, 1.0, (1 + 2.0**8).hex()),
        (2.0**-99, 1.0, (2.0**-99).hex()),
        (-0.0, 0.0, 0),
        (0.0, -0.0, 0),
    ],
    ids=["same", "next", "third", "half", "far", "smaller than a unit", "zero", "other zero"],
)
def test_a_distance_is_in_units_of_the_largest_value(
    value: float, expected: float, token: Any
) -> None:
    """Of 1, which a parameter has at first; what no distance tells to the bit is written itself."""
    rounded = Answer(np.array([[expected]]), {}, {})
    answer = np.array([[value]])
    vector = replace(VECTORS["published_example"], expected=rounded)
    rule = SimpleNamespace(binding=SGD.binding)
    group = replace(vector.case.groups[0], parameters=vector.case.groups[0].parameters[:1])
    vector = replace(vector, case=replace(vector.case, groups=(group,)))
    values = module._beside(rule, "float64", vector, Answer(answer, {}, {}))  # type: ignore[arg-type]  # noqa: SLF001
    assert repr(module.tokens(*values["parameter"])) == repr([token])


def test_what_is_not_finite_is_written_itself() -> None:
    (subject,), _ = select(SGD, ["for-loop"], ["float64"], ["cpu"])
    vector = VECTORS["published_example"]
    answer = subject.ask(vector.case)
    answer.parameters[0, 0] = np.inf
    infinite = Asked(subject, answer)
    (line,) = told([infinite], vector.id)
    assert line["outcome"] == "outside"
    assert line["values"]["parameter"][0] == "inf"


class Asked:
    """A subject whose answers are made up."""

    def __init__(self, subject: Any, answer: Answer | SubjectError) -> None:
        self.subject, self.answer = subject, answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self.subject, name)

    def ask(self, case: Any) -> Answer:
        if isinstance(self.answer, SubjectError):
            raise self.answer
        if len(self.answer.parameters) != case.steps:
            raise SubjectError("another question")
        return self.answer


def test_an_error_is_an_answer() -> None:
    (subject,), _ = select(SGD, ["for-loop"], ["float64"], ["cpu"])
    (line,) = told([Asked(subject, SubjectError("TypeError: no"))], "published_example")
    assert (line["outcome"], line["text"]) == ("errored", "TypeError: no")


def test_paths_that_answer_alike_share_a_line() -> None:
    subjects, _ = select(SGD, ["for-loop", "default"], ["float64", "float32"], ["cpu"])
    lines = told(subjects, "published_example")
    assert [(line["dtype"], line["paths"]) for line in lines] == [
        ("float64", ["default", "for-loop"]),
        ("float32", ["default", "for-loop"]),
    ]


def test_who_is_known_to_be_wrong_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "known", lambda *asked: SimpleNamespace(id="a row"))
    (subject,), _ = select(SGD, ["for-loop"], ["float64"], ["cpu"])
    (line,) = told([Asked(subject, SubjectError("asked"))], "published_example")
    assert (line["outcome"], line["deviation"]) == (KNOWN, "a row")


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_s_rates_are_told_to_the_bit(name: str) -> None:
    """Where it is just followed: a distance and the golden rate are the rate that torch sets."""
    schedule = SCHEDULES[name]
    there, _ = present(name)
    if not there:
        pytest.skip(f"this torch has no {name}")
    lines = {
        line["question"]: line
        for line in rate_fingerprint.fingerprint(schedule, there)
        if line["paths"] == ["plain"] and line["outcome"] != KNOWN
    }
    for vector in golden_rates.read(schedule, rate_fingerprint.document(schedule)):
        if vector.question.id not in lines:
            continue
        rates, momenta = zip(*followed(vector), strict=True)
        values = lines[vector.question.id]["values"]
        assert (*meant(vector.rates, values["rate"]),) == rates
        if vector.momenta:
            assert (*meant(vector.momenta, values["momentum"]),) == momenta


def meant(expected: Sequence[float], tokens: Sequence[float]) -> Iterator[float]:
    """The numbers that are so many units in the last place of the largest one away."""
    unit = np.spacing(max(expected))
    return (float(one + token * unit) for one, token in zip(expected, tokens, strict=True))


def followed(vector: golden_rates.Vector) -> list[tuple[float, float]]:
    """Rate and momentum at each epoch."""
    question = vector.question
    run = schedulers.following(question.plan, [question.base])
    seen = [run.seen()]
    for _ in range(question.epochs):
        run.step()
        seen.append(run.seen())
    return [(one.rates[0], one.momenta[0][0]) for one in seen]
