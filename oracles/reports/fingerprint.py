"""Fingerprint: what a torch computes for the golden questions, to the bit, and how two differ.

A golden document pins what the rule of a question gives in float64. An answer is written down as
its distance from that number, rounded to the dtype, in units in the last place; most distances are
small whole numbers, so that a report stays small, and together with the document they are the bits
of the answer. The unit is that of the largest value which the element ever has in that question:
where a difference of large numbers leaves a small one, the roundings are those of the large ones.

Places whose answers are the same to the bit share a line.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracles.harness import golden
from oracles.harness.arithmetic.formats import FORMATS, FloatArray, round_to
from oracles.harness.cases.case import dtype_of
from oracles.harness.cases.strategies import cases
from oracles.harness.checks.check import Check
from oracles.harness.checks.values import agreement
from oracles.harness.deviations.ledger import known
from oracles.harness.golden import Vector
from oracles.harness.oracle import Oracle
from oracles.harness.runs.asking import concerned
from oracles.harness.subjects.subject import Answer, SteppedSubject, SubjectError
from oracles.harness.verdict import ERRORED, judge
from oracles.rule import Rule

KNOWN = "known deviation"
"""The outcome where the ledger knows that the answer is wrong, so that nobody is asked."""

GOLDEN = Check("golden vectors", cases, agreement)
"""By which it is decided who can be asked a golden question."""

EXACT = 2.0**53
"""Whole numbers up to it are exact in float64."""

Token = int | float | str | None
"""One number of an answer: its distance in units in the last place; the number itself, in hex,
where no distance tells its bits; None where there is no buffer."""


def fingerprint(rule: Rule, subjects: Sequence[SteppedSubject]) -> Iterator[dict[str, Any]]:
    """A line for each golden question, dtype, device and answer, with the paths that gave it."""
    for vector in golden.read(rule, pinned(rule)):
        oracle = Oracle(rule, vector.case)
        lines: dict[Any, dict[str, Any]] = {}
        for subject in subjects:
            if not concerned(GOLDEN, subject, vector.case):
                continue
            key, told = _told(subject, oracle, vector)
            place = subject.place
            shared = {"dtype": place.dtype, "device": place.device, "paths": [], **told}
            line = lines.setdefault((place.dtype, place.device, key), shared)
            line["paths"].append(place.path)
        yield from ({"question": vector.id, **line} for line in lines.values())


def drift(one: Mapping[str, Sequence[Token]], other: Mapping[str, Sequence[Token]]) -> float:
    """By how many units in the last place two answers differ at most.

    Zeros of either sign are the same number. The distance is infinite where it cannot be told: of a
    number that is not finite, or far from the rule's, and of a buffer that only one of them has.

    >>> drift({"parameter": [0, 1, -1]}, {"parameter": [0, 1, 2]})
    3.0
    >>> drift({"parameter": [0, "inf"]}, {"parameter": [0, 1]})
    inf
    """
    if one.keys() != other.keys():
        return math.inf
    pairs = (pair for name in one for pair in zip(one[name], other[name], strict=True))
    return max((_distance(a, b) for a, b in pairs), default=0.0)


def _distance(a: Token, b: Token) -> float:
    if a == b:
        return 0.0
    if isinstance(a, str | None) or isinstance(b, str | None):
        return math.inf
    return float(abs(a - b))


def pinned(rule: Rule) -> bytes:
    """The golden document of what torch's optimizer is to compute."""
    return (golden.folder() / f"{golden.name(rule, rule.torch)}.json").read_bytes()


def _told(subject: SteppedSubject, oracle: Oracle, vector: Vector) -> tuple[Any, Mapping[str, Any]]:
    """What comes of a question, and by what it is the same as another's."""
    if row := known(GOLDEN.name, subject, vector.case):
        return row.id, {"outcome": KNOWN, "deviation": row.id}
    try:
        answer = subject.ask(vector.case)
    except SubjectError as error:
        return str(error), {"outcome": ERRORED, "text": str(error)}
    verdict = judge(oracle, subject, answer)
    values = {
        name: tokens(*kept)
        for name, kept in _beside(subject.rule, subject.dtype, vector, answer).items()
    }
    return (verdict.outcome, repr(values)), {"outcome": verdict.outcome, "values": values}


def _beside(
    rule: Rule, precision: str, vector: Vector, answer: Answer
) -> Mapping[str, tuple[FloatArray, NDArray[np.bool_], FloatArray, FloatArray]]:
    """By name, an answer, where it is there, the golden one in its dtype, and their unit."""
    case, golden_answer = vector.case, vector.expected
    dtypes = [
        dtype_of(precision, number) for number, _, p in case.walk() for _ in range(p.initial.size)
    ]
    start = np.concatenate([np.zeros(0), *(np.ravel(p.initial) for p in case.parameters)])
    single = {*rule.binding.float32_states, *rule.binding.float32_products}
    whole = np.ones_like(answer.parameters, dtype=bool)
    found = {
        "parameter": (
            answer.parameters,
            whole,
            *in_units(golden_answer.parameters, start, dtypes),
        )
    }
    for name, values in answer.states.items():
        kept = ["float32"] * len(dtypes) if name in single else dtypes
        expected = golden_answer.states[name]
        if name == "step":
            middle, unit = expected, np.ones_like(expected)
        else:
            middle, unit = in_units(expected, np.zeros_like(start), kept)
        found[name] = (values, answer.present[name], middle, unit)
    return found


def in_units(
    expected: FloatArray, start: FloatArray, dtypes: Sequence[str]
) -> tuple[FloatArray, FloatArray]:
    """What is expected, rounded to each element's dtype, and one unit in the last place of it."""
    middle, units = np.empty_like(expected), np.empty_like(expected)
    for element, dtype in enumerate(dtypes):
        middle[:, element] = round_to(dtype, expected[:, element])
        largest = max(abs(float(start[element])), float(np.abs(expected[:, element]).max()))
        units[:, element] = _unit(dtype, largest)
    return middle, units


def _unit(dtype: str, value: float) -> float:
    """The distance between neighbouring numbers of a dtype around a value."""
    format = FORMATS[dtype]
    smallest = float(2 * format.eta)
    if not (value and math.isfinite(value)):
        return smallest
    return max(smallest, math.ldexp(float(format.u), math.frexp(value)[1]))


def asked(document: bytes) -> bytes:
    """Golden questions and answers of a document, without what is said of them."""
    vectors = json.loads(document)["vectors"]
    told = [{k: v for k, v in each.items() if k not in ("comment", "flags")} for each in vectors]
    return json.dumps(told).encode()


@np.errstate(over="ignore", invalid="ignore")
def tokens(
    values: FloatArray, present: NDArray[np.bool_], middle: FloatArray, unit: FloatArray
) -> list[Token]:
    """Each number of an answer, as it is written down beside what is expected."""
    distances = (values - middle) / unit
    exact = (np.abs(distances) < EXACT) & (middle + distances * unit == values)
    flat = zip(
        values.ravel().tolist(),
        present.ravel().tolist(),
        distances.ravel().tolist(),
        exact.ravel().tolist(),
        strict=True,
    )
    return [_token(*each) for each in flat]


def _token(value: float, present: bool, distance: float, exact: bool) -> Token:
    if not present:
        return None
    if not exact:
        return value.hex()
    return int(distance) if distance.is_integer() else distance
