"""Golden documents of averages, clipping, the loss scaler and ranks: what each variant gives.

    golden/loop/cases.toml                 questions, written by hand
    golden/loop/<part>/<variant>.json      the same questions and this variant's answers

They are made as those of rules are (:mod:`oracles.harness.golden`): in float64 whose bits hang on
no platform, and never from a subject. Each text runs on other arithmetics as well, which tell
variants apart and enclose what float64 gives.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import localcontext
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from oracles.harness.arithmetic.decimals import PRECISE, Precise, Real
from oracles.harness.cases.averaging import Trail
from oracles.harness.cases.clipping import Gradients
from oracles.harness.cases.scaling import Iteration, ScaledRun
from oracles.harness.golden import TOLERANCE
from oracles.harness.golden_notation import (
    Json,
    document,
    loaded,
    number,
    show,
    tables,
    unread,
)
from oracles.loop.averaging import EQUAL, EXPONENTIAL
from oracles.loop.clipping import EPSILON, GIVEN, NORM, TOTAL, VALUE
from oracles.loop.part import Part, Variant
from oracles.loop.ranks import PART as RANKS
from oracles.loop.ranks import STEPPED, Sharing
from oracles.loop.scaler import PART as SCALER
from oracles.loop.scaler import Gradient, Settings, State
from oracles.loop.scaler import start as begun

FOLDER = "loop"
"""Below the golden folder."""

Answer = Mapping[str, Any]
"""Numbers by name, in lists of any depth; None where nothing is computed."""


class Arithmetic(NamedTuple):
    """What an input is computed with.

    Attributes:
        number, array: make numbers of it.
        exact: makes numbers that are compared, and so must be known: powers of two here.
    """

    number: Callable[[Any], Any]
    array: Callable[[Any], Any]
    exact: Callable[[Any], Any]


def _digits(values: Any) -> Any:
    return np.vectorize(Precise, otypes=[object])(np.asarray(values, dtype=np.float64))


FLOATS = Arithmetic(Real, partial(np.asarray, dtype=np.float64), Real)
DIGITS = Arithmetic(Precise, _digits, Precise)


# --- what is asked, and what a variant gives ------------------------------------------------------


def _trail(given: Mapping[str, Any]) -> Trail:
    points = tuple(tuple(map(np.array, point)) for point in given["points"])
    return Trail(points, given.get("decay", 0.5))


def _averages(case: Trail, variant: Variant, to: Arithmetic) -> Answer:
    """By tensor, the average after each update."""
    tensors = ([to.array(one) for one in tensor] for tensor in zip(*case.points, strict=True))
    decay = to.number(case.decay)
    return {"averages": [[*variant.compute(points, decay)] for points in tensors]}


def _gradients(given: Mapping[str, Any]) -> Gradients:
    limit = given.get("max_norm", given.get("clip_value", 1.0))
    arrays = tuple(map(np.array, given["gradients"]))
    return Gradients(arrays, limit, given.get("norm_type", 2.0), given.get("total_norm", 1.0))


def _by_norm(case: Gradients, variant: Variant, to: Arithmetic) -> Answer:
    arrays = [to.array(g) for g in case.arrays]
    norm, left = variant.compute(arrays, to.number(case.limit), case.order, to.number(EPSILON))
    return {"total_norm": norm, "gradients": left}


def _by_value(case: Gradients, variant: Variant, to: Arithmetic) -> Answer:
    arrays = [to.array(g) for g in case.arrays]
    return {"gradients": variant.compute(arrays, to.number(case.limit))}


def _measured(case: Gradients, variant: Variant, to: Arithmetic) -> Answer:
    return {"total_norm": variant.compute([to.array(g) for g in case.arrays], case.order)}


def _by_given(case: Gradients, variant: Variant, to: Arithmetic) -> Answer:
    arrays, norm = [to.array(g) for g in case.arrays], to.number(case.given)
    left = variant.compute(arrays, norm, to.number(case.limit), to.number(EPSILON))
    return {"gradients": left}


def _run(given: Mapping[str, Any]) -> ScaledRun:
    iterations = tuple(
        Iteration(_tuples(one["gradients"]), "clip" in one, one.get("clip"))
        for one in given["iterations"]
    )
    starts = tuple(tuple((1.0,) * len(g) for g in own) for own in iterations[0].gradients)
    return ScaledRun(Settings(**given["settings"]), ("SGD",) * len(starts), starts, iterations)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _iterated(case: ScaledRun, variant: Variant, to: Arithmetic) -> Answer:
    """After each iteration the scale, the tracker, and what each optimizer steps on."""
    scale, growth, backoff = map(to.exact, case.settings[:3])
    settings = Settings(scale, growth, backoff, case.settings.growth_interval)
    state, found = begun(settings), []
    for iteration in case.iterations:
        owned = [[_scaled(g, state, to) for g in own] for own in iteration.gradients]
        clip = None if iteration.clip is None else to.number(iteration.clip)
        state, handed = variant.compute(owned, state, settings, clip)
        found.append({"scale": state.scale, "tracker": state.tracker, "steps_on": handed})
    return {"iterations": found}


def _scaled(values: Sequence[float], state: State, to: Arithmetic) -> Gradient:
    held = [v if math.isfinite(v) else 0.0 for v in values]
    return Gradient(to.array(held) * state.scale, all(map(math.isfinite, values)))


class Shared(NamedTuple):
    """One step of gradient descent by gradients of several ranks.

    Attributes:
        start: the parameters.
        gradients: by rank and micro-batch.
        rows: of each rank.
        lr, weight_decay: as each rank has them.
    """

    start: Sequence[float]
    gradients: Sequence[Sequence[Sequence[float]]]
    rows: Sequence[int]
    lr: float
    weight_decay: float


def _shared(given: Mapping[str, Any]) -> Shared:
    return Shared(**given)


def _stepped(case: Shared, variant: Variant, to: Arithmetic) -> Answer:
    """By rank, the gradient that it steps with, and its parameters afterwards."""
    assert isinstance(variant, Sharing)
    micro = [[to.array(g) for g in own] for own in case.gradients]
    h = STEPPED[0].hyper(lr=to.number(case.lr), weight_decay=to.number(case.weight_decay))
    h, w = variant.hyper(h, case.rows, len(micro[0])), to.array(case.start)
    given = [*variant.compute(micro, case.rows, 1)]
    moved = [w - h.lr * (g + h.weight_decay * w) for g in given]
    return {"gradients": given, "parameters": [*variant.after(moved, 1)]}


class Kind(NamedTuple):
    """How a part is asked.

    Attributes:
        part: and its variants.
        case: made of what a question gives.
        answer: what a variant gives, in an arithmetic.
    """

    part: Part
    case: Callable[[Mapping[str, Any]], Any]
    answer: Callable[[Any, Variant, Arithmetic], Answer]


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        kind.part.name: kind
        for kind in (
            Kind(EQUAL["AveragedModel"], _trail, _averages),
            Kind(EXPONENTIAL["get_ema_avg_fn"], _trail, _averages),
            Kind(NORM, _gradients, _by_norm),
            Kind(VALUE, _gradients, _by_value),
            Kind(TOTAL, _gradients, _measured),
            Kind(GIVEN, _gradients, _by_given),
            Kind(SCALER, _run, _iterated),
            Kind(RANKS, _shared, _stepped),
        )
    }
)


@dataclass(frozen=True)
class Question:
    """What a part is asked.

    Attributes:
        part: its name.
        id, comment: under which documents answer it.
        given: the input, as people wrote it.
    """

    part: str
    id: str
    comment: str
    given: Mapping[str, Any]

    @property
    def case(self) -> Any:
        """The case of the part's own questions."""
        return KINDS[self.part].case(self.given)

    def answer(self, variant: Variant, to: Arithmetic = FLOATS) -> Answer:
        """What a variant gives."""
        with np.errstate(divide="ignore", invalid="ignore"):  # of branches that are not taken
            return KINDS[self.part].answer(self.case, variant, to)


class Vector(NamedTuple):
    """A question and its answer, as a document holds them."""

    question: Question
    answer: Answer


def questions(part: Part, root: Path) -> tuple[Question, ...]:
    """What is asked of a part.

    Raises:
        ValueError: two questions share an id.
    """
    asked = tables(root / FOLDER / "cases.toml", part.name)
    return tuple(Question(part.name, t.pop("id"), t.pop("comment"), t) for t in asked)


def leaves(value: Any) -> Iterator[Any]:
    """All numbers and arrays of an answer, in order, with None for what there is none of."""
    if isinstance(value, Mapping):
        value = [*value.values()]
    if not isinstance(value, list | tuple):
        yield value
    elif value:
        yield from (leaf for item in value for leaf in leaves(item))


def differs(question: Question, variant: Variant) -> bool:
    """Whether a variant gives other numbers than torch's by algebra, in 80 digits."""
    torchs = KINDS[question.part].part.torch
    with localcontext(PRECISE):
        ones, others = (
            [np.asarray(leaf) for leaf in leaves(question.answer(v, DIGITS))]
            for v in (torchs, variant)
        )
        return len(ones) != len(others) or not all(map(_same, ones, others))


def _same(one: Any, other: Any) -> bool:
    if one.shape != other.shape or None in (one.tolist(), other.tolist()):
        return bool(one.tolist() == other.tolist())
    return bool(np.all(abs(one - other) <= Precise(TOLERANCE)))


# --- documents ------------------------------------------------------------------------------------


def name(part: Part, variant: Variant) -> str:
    """A document's place below the golden folder, without its extension."""
    return f"{FOLDER}/{part.name.lower()}/{variant.name}"


def text(part: Part, variant: Variant, asked: Sequence[Question]) -> bytes:
    """The document of a variant, as it must be on disk, byte for byte."""
    return document(
        part=part.name,
        variant=variant.name,
        equation=variant.equation,
        source=variant.source,
        told_from_torch_by=[question.id for question in asked if differs(question, variant)],
        vectors=[
            {
                "id": question.id,
                "comment": question.comment,
                "given": _shown(question.given),
                "gives": _shown(question.answer(variant)),
            }
            for question in asked
        ],
    )


def _shown(value: Any) -> Json:
    """Real numbers as floats or, where they are inf or nan, as words; counts as they are."""
    if isinstance(value, Mapping):
        return {name: _shown(item) for name, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_shown(item) for item in value]
    if isinstance(value, float):
        return show(value) if math.isfinite(value) else str(value)
    return value


def _meant(shown: Json) -> Any:
    """The inverse of :func:`_shown`."""
    if isinstance(shown, Mapping):
        return {name: _meant(item) for name, item in shown.items()}
    if isinstance(shown, list):
        return [_meant(item) for item in shown]
    if isinstance(shown, str):
        return number(shown) if "(" in shown else float(shown)
    return shown


def read(part: Part, data: bytes) -> tuple[Vector, ...]:
    """The vectors of a document.

    Raises:
        ValueError: it is of another schema version or part, or a float's hex and decimal disagree.
    """
    return tuple(
        Vector(Question(part.name, v["id"], v["comment"], _meant(v["given"])), _meant(v["gives"]))
        for v in loaded(data, part=part.name)["vectors"]
    )


def strays(root: Path) -> list[str]:
    """Files below the folder of parts that nothing reads."""
    known = {f"{FOLDER}/cases.toml", f"{FOLDER}/schema.json"}
    for kind in KINDS.values():
        known |= {f"{name(kind.part, variant)}.json" for variant in kind.part.variants}
    return unread(root, FOLDER, known)
