"""Golden documents of schedules: the rates of each timing, pinned to the bit.

    golden/schedules/cases.toml                      questions, written by hand
    golden/schedules/<schedule>/<timing>.json        the same questions and this timing's rates

They are made as those of rules are (:mod:`oracles.harness.golden`): in float64 whose bits hang on
no platform, and never from a subject.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import localcontext
from functools import partial
from pathlib import Path
from typing import Any

from oracles.harness.arithmetic.decimals import PRECISE, Precise, Real
from oracles.harness.golden import TOLERANCE
from oracles.harness.golden_notation import document, loaded, number, show, tables, unread
from oracles.schedules.composed import Single
from oracles.schedules.registry import SCHEDULES
from oracles.schedules.schedule import Schedule, Timing

FOLDER = "schedules"
"""Below the golden folder."""


@dataclass(frozen=True)
class Question:
    """A schedule with settings, a base rate, and how far it is followed."""

    id: str
    comment: str
    plan: Single
    base: float
    epochs: int


@dataclass(frozen=True)
class Vector:
    """A question and its answer, as a document holds them.

    Attributes:
        question: what is asked.
        rates: of each epoch.
        momenta: of each epoch, if the schedule cycles it.
    """

    question: Question
    rates: tuple[float, ...]
    momenta: tuple[float, ...]


def questions(schedule: Schedule, root: Path) -> tuple[Question, ...]:
    """What is asked of a schedule.

    Raises:
        ValueError: two questions share an id.
    """
    asked = tables(root / FOLDER / "cases.toml", schedule.name)
    return tuple(map(partial(_question, schedule), asked))


def _question(schedule: Schedule, table: Mapping[str, Any]) -> Question:
    settings = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in table["settings"].items()
    }
    plan = Single(schedule, schedule.settings(**settings))
    return Question(table["id"], table["comment"], plan, table["base"], table["epochs"])


def name(schedule: Schedule, timing: Timing) -> str:
    """A document's place below the golden folder, without its extension."""
    return f"{FOLDER}/{schedule.name.lower()}/{timing.name}"


def rates(question: Question, timing: Timing, arithmetic: Any = Real) -> list[Any]:
    """The rate of each epoch, in float64 or another arithmetic."""
    plan, base = question.plan.lifted(arithmetic), arithmetic(question.base)
    return [timing.rate(t, base, plan.settings) for t in range(question.epochs + 1)]


def differs(question: Question, timing: Timing) -> bool:
    """Whether a timing's rates are others than torch's by algebra, in 80 digits."""
    with localcontext(PRECISE):
        pair = (rates(question, one, Precise) for one in (question.plan.schedule.torch, timing))
        return any(abs(a - b) > Precise(TOLERANCE) for a, b in zip(*pair, strict=True))


def text(schedule: Schedule, timing: Timing, asked: Sequence[Question]) -> bytes:
    """The document of a timing, as it must be on disk, byte for byte."""
    return document(
        schedule=schedule.name,
        timing=timing.name,
        equation=timing.equation,
        source=timing.source,
        told_from_torch_by=[question.id for question in asked if differs(question, timing)],
        vectors=[_encoded(question, timing) for question in asked],
    )


def _encoded(question: Question, timing: Timing) -> dict[str, Any]:
    vector = {
        "id": question.id,
        "comment": question.comment,
        "base": show(question.base),
        "settings": {n: _shown(v) for n, v in question.plan.settings._asdict().items()},
        "rates": [show(rate) for rate in rates(question, timing)],
    }
    momenta = [show(momentum) for momentum in _momenta(question)]
    return {**vector, "momenta": momenta} if momenta else vector


def _momenta(question: Question) -> list[Any]:
    schedule, plan = question.plan.schedule, question.plan.lifted(Real)
    if schedule.momentum is None:
        return []
    base = Real(question.base)
    return [schedule.momentum(t, base, plan.settings) for t in range(question.epochs + 1)]


def _shown(value: Any) -> Any:
    """A setting: real numbers as floats, and whatever else as it is."""
    if isinstance(value, tuple):
        return [_shown(item) for item in value]
    return show(value) if isinstance(value, float) else value


def _meant(shown: Any) -> Any:
    """The inverse of :func:`_shown`; words have no brackets, which floats have."""
    if isinstance(shown, list):
        return tuple(_meant(item) for item in shown)
    return number(shown) if isinstance(shown, str) and "(" in shown else shown


def read(schedule: Schedule, data: bytes) -> tuple[Vector, ...]:
    """The vectors of a document.

    Raises:
        ValueError: it is of another schema version or schedule, or a float's hex and decimal
            disagree.
    """
    vectors = loaded(data, schedule=schedule.name)["vectors"]
    return tuple(map(partial(_decoded, schedule), vectors))


def _decoded(schedule: Schedule, vector: Mapping[str, Any]) -> Vector:
    settings = schedule.settings(**{n: _meant(v) for n, v in vector["settings"].items()})
    plan, base = Single(schedule, settings), number(vector["base"])
    followed = tuple(map(number, vector["rates"]))
    question = Question(vector["id"], vector["comment"], plan, base, len(followed) - 1)
    return Vector(question, followed, tuple(map(number, vector.get("momenta", ()))))


def strays(root: Path) -> list[str]:
    """Files below the folder of schedules that nothing reads."""
    known = {f"{FOLDER}/cases.toml", f"{FOLDER}/schema.json"}
    for schedule in SCHEDULES.values():
        known |= {f"{name(schedule, timing)}.json" for timing in schedule.timings}
    return unread(root, FOLDER, known)
