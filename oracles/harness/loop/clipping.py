"""Questions about clipping: what is left of the gradients, and which length is told."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache, partial
from itertools import starmap
from typing import Any

import numpy as np

from oracles.harness.arithmetic.enclosure import Enclosure, accumulator
from oracles.harness.arithmetic.formats import DTYPES, FLOAT64, FORMATS, HALF, alike, round_to
from oracles.harness.arithmetic.radii import farthest
from oracles.harness.cases import clipping as cases
from oracles.harness.cases.case import dtype_of
from oracles.harness.cases.clipping import FarOut, Gradients
from oracles.harness.loop import clipped_steps
from oracles.harness.loop.judging import Told, judge
from oracles.harness.loop.question import Question, rejections, wrong
from oracles.harness.subjects import clipping as subject
from oracles.harness.subjects.clipping import Clipped
from oracles.harness.subjects.subject import Place
from oracles.harness.verdict import INSIDE, Verdict
from oracles.loop.clipping import CLIPPING, EPSILON, GIVEN, NORM, TOTAL, VALUE
from oracles.loop.part import Part, Variant

PARTS = {part.name: part for part in CLIPPING}

Left = tuple[Enclosure | None, list[Enclosure | None]]
"""The length that is told, if one is, and the gradients that are left, if any may be."""


def questions(part: str) -> tuple[Question, ...]:
    """What is asked about a function that clips, or measures what is to be clipped."""
    own = partial(Question, part, places=partial(subject.places, part))
    plain = partial(own, cases=cases.gradients)
    tight = partial(own, cases=partial(cases.gradients, limit=0.1))  # nearly all are clipped
    endless = partial(own, cases=cases.nonfinite)
    twice = partial(own, cases=cases.twice, each=cases.mentioned)
    asked = [
        plain(name="values", ask=values, regions=REGIONS, weight=5),
        tight(name=VARIED, ask=varied, regions=REGIONS),
        tight(name="gradients in a graph", ask=in_a_graph, regions=GRAPH),
        own(name="nothing to clip", cases=cases.missing, ask=nothing, regions=NOTHING),
    ]
    whole, apart = partial(subject.places, part, ("float64",)), partial(_apart, PARTS[part])
    asked += rejections(part, PARTS[part].variants[1:], _telling, values, apart, whole)
    if part in (NORM.name, TOTAL.name, VALUE.name):
        asked += [endless(name="infinities and nan", ask=values, regions=REGIONS, weight=3)]
    if part in (NORM.name, VALUE.name):
        asked += [own(name="sparse gradients", cases=cases.sized, ask=sparse, regions=SPARSE)]
    if part == NORM.name:
        asked += [
            endless(name="refuses a length that is not finite", ask=refused),
            twice(name="a parameter listed twice", ask=once, regions=TWICE, weight=2),
            *clipped_steps.questions(part),
        ]
    if part in (NORM.name, TOTAL.name):
        there = partial(subject.places, part, DTYPES)
        far = partial(own, cases=cases.far_out, each=cases.at_each_height, places=there)
        asked += [far(name="numbers of any size", ask=far_out, regions=FAR, weight=1.2)]
    return tuple(asked)


VARIED = "other ways to hand over the same"


def _telling(variant: Variant) -> Any:
    return cases.sized(small=1e-3 if variant.name == "no_epsilon" else 1.0)


# --- oracles ---------------------------------------------------------------------------------


def lifted(case: Gradients, dtype: str) -> list[Enclosure]:
    """The gradients there are, as numbers of the dtype."""
    return [
        Enclosure.exact(round_to(own, g), FORMATS[own])
        for i, g in enumerate(case.arrays)
        if g is not None
        for own in [dtype_of(dtype, i)]
    ]


def left(part: str, variant: Variant, case: Gradients, dtype: str) -> Left:
    """What a variant leaves."""
    gradients = lifted(case, dtype)
    total, clipped = _ASK[part](variant.compute, gradients, case)
    if isinstance(total, float):  # of no elements at all
        total = Enclosure.exact(total)
    rest = iter(clipped)
    return total, [None if g is None else next(rest) for g in case.arrays]


torch_left = lru_cache(maxsize=8)(
    lambda part, case, dtype: left(part, PARTS[part].torch, case, dtype)
)
"""torch's, which all paths share."""


def _ask_norm(compute: Any, gradients: Any, case: Gradients, eps: float = EPSILON) -> Any:
    return compute(gradients, case.limit, case.order, eps)


def _ask_value(compute: Any, gradients: Any, case: Gradients) -> Any:
    return None, compute(gradients, case.limit)


def _ask_total(compute: Any, gradients: Any, case: Gradients, eps: float = EPSILON) -> Any:
    return compute(gradients, case.order), gradients


def _ask_given(compute: Any, gradients: Any, case: Gradients) -> Any:
    formats = {g.format: None for g in gradients} or {FLOAT64: None}
    format = next(iter(formats)) if len(formats) == 1 else FLOAT64
    dtype = next(name for name, one in FORMATS.items() if one is format)
    given = Enclosure.exact(round_to(dtype, case.given), format)
    return None, compute(gradients, given, case.limit, EPSILON)


_ASK: dict[str, Callable[..., Any]] = {
    NORM.name: _ask_norm,
    VALUE.name: _ask_value,
    TOTAL.name: _ask_total,
    GIVEN.name: _ask_given,
}


def _apart(part: Part, variant: Variant, case: Gradients, place: Place) -> float:
    """In what is told and left together."""
    one, other = (left(part.name, v, case, place.dtype) for v in (part.torch, variant))
    return farthest(*([b for b in (t, *gs) if b is not None] for t, gs in (one, other)))


# --- what is asked ---------------------------------------------------------------------------


def values(case: Gradients, place: Place) -> Verdict:
    """The length and the gradients are what rounding can make of the rule."""
    expected = torch_left(place.optimizer, case, place.dtype)
    verdict = held(case, place, subject.clip(case, place), expected)
    return replace(verdict, edge=_flushed(case, place))


def _flushed(case: Gradients, place: Place) -> bool:
    """Whether a length that is handed over is so short that a kernel may take it and ε for 0."""
    format = FORMATS.get(place.dtype, FLOAT64)
    return place.optimizer == GIVEN.name and bool(case.given + EPSILON < format.eta / format.u)


def nothing(case: Gradients, place: Place) -> Verdict:
    """Where there is no gradient, nothing is done, and nothing is long."""
    verdict = values(case, place)
    return verdict if verdict.failed else replace(verdict, elements=1)


def held(case: Any, place: Place, got: Clipped, expected: Left) -> Verdict:
    """What is left, against balls."""
    if got.strayed:
        return wrong(place, case, got.strayed)
    if expected[0] is not None and got.total is None:
        return wrong(place, case, "tells no length")
    return judge(place, case, _told(got, expected))


def _told(got: Clipped, expected: Left) -> Iterator[Told]:
    total, gradients = expected
    if total is not None and got.total is not None:
        yield Told("the length", total, got.total)
    for i, (ball, values) in enumerate(zip(gradients, got.gradients, strict=True)):
        if ball is not None and values is not None:
            yield Told(f"gradient {i}", ball, values)


def sparse(case: Gradients, place: Place) -> Verdict:
    """An error, or what is right."""
    got = subject.sparse(case, place)
    if got is None:
        return Verdict(INSIDE, elements=1)
    return held(case, place, got, torch_left(place.optimizer, case, place.dtype))


def varied(case: Gradients, place: Place) -> Verdict:
    """A tuple, a generator, one tensor alone, a limit in a tensor: the same bits."""
    plain = subject.clip(case, place)
    for name, got in subject.varieties(case, place):
        if not same_bits(plain, got):
            return wrong(place, case, f"gives other bits for {name}")
    return Verdict(INSIDE, elements=sum(g.size for g in plain.gradients if g is not None))


def in_a_graph(case: Gradients, place: Place) -> Verdict:
    """Gradients of ``backward(create_graph=True)`` are clipped as others are."""
    expected = torch_left(place.optimizer, case, place.dtype)
    return held(case, place, subject.in_a_graph(case, place), expected)


def same_bits(one: Clipped, other: Clipped) -> bool:
    """Whether what is left and told are the same."""
    pairs = [(one.total, other.total), *zip(one.gradients, other.gradients, strict=True)]
    return one.dtype == other.dtype and all(starmap(alike, pairs))


def refused(case: Gradients, place: Place) -> Verdict:
    """With ``error_if_nonfinite`` an infinite or nan length is an error, and nothing is touched."""
    if refusal := subject.refusal(case, place):
        return wrong(place, case, refusal)
    return Verdict(INSIDE, elements=1)


def once(case: Gradients, place: Place) -> Verdict:
    """Two mentions of a parameter are one parameter."""
    expected = torch_left(place.optimizer, replace(case, listed=None), place.dtype)
    return held(case, place, subject.clip(case, place), expected)


def far_out(case: FarOut, place: Place) -> Verdict:
    """The same as of ordinary numbers, times their size, wherever the format holds that."""
    scale = np.longdouble(2) ** case.exponent(place.dtype)
    part, ordinary = PARTS[place.optimizer], case.ordinary
    near = lifted(ordinary, place.dtype)
    eps = float(EPSILON / scale)
    total, gradients = _ASK[part.name](part.torch.compute, near, ordinary, eps)
    expected: Left = _scaled(total, scale), [_scaled(g, scale) for g in gradients]
    return held(case, place, subject.clip(case.at_size(place.dtype), place), expected)


def _scaled(ball: Enclosure, scale: Any) -> Enclosure:
    """Times a power of 2, by which a product may underflow; beyond the format it is unknown."""
    mid, rad = ball.mid * scale, ball.rad * scale + ball.format.eta
    fits = np.abs(mid) + rad <= ball.format.largest
    return Enclosure(mid, np.where(fits, rad, np.inf)[()], ball.format)


# --- where known deviations may show ------------------------------------------------------------


def _given(case: Gradients) -> list[Any]:
    return [g for g in case.arrays if g is not None]


def _empty(case: Gradients, place: Place) -> bool:
    """A largest or smallest of no elements."""
    return math.isinf(case.order) and any(g.size == 0 for g in _given(case))


def _counted(case: Gradients, place: Place) -> bool:
    """Tensors of several elements that are not 0."""
    return case.order == 0 and any(np.count_nonzero(g) > 1 for g in _given(case))


def _doubled(case: Gradients, place: Place) -> bool:
    """A gradient that is not 0, counted and multiplied twice."""
    assert case.listed is not None
    gradient = case.arrays[case.listed[-1]]
    return gradient is not None and bool(gradient.any())


def _beyond(case: FarOut, place: Place) -> bool:
    """Powers that leave the format they are added up in, or a length that leaves its own."""
    numbers = np.concatenate([g.ravel() for g in case.at_size(place.dtype).arrays if g is not None])
    powers = np.abs(numbers[numbers != 0].astype(np.longdouble)) ** case.ordinary.order
    sums, own = accumulator(FORMATS[place.dtype]), FORMATS[place.dtype]
    length = np.sum(powers) ** (1 / case.ordinary.order)
    small = np.min(powers, initial=1) < sums.eta / sums.u
    return bool(small or np.sum(powers) > sums.largest / 2 or length > own.largest / 2)


def _in_half(case: Any, place: Place) -> bool:
    """Sums of several powers in a format of fewer than 24 bits."""
    order = getattr(case, "ordinary", case).order
    return place.dtype in (*HALF, "mixed") and math.isfinite(order)


REGIONS = {"an empty tensor": _empty, "an order of 0": _counted, "sums in half": _in_half}
GRAPH = REGIONS | {"always": lambda case, place: True}
SPARSE = {"always": lambda case, place: True}
NOTHING = {"no gradient at all": lambda case, place: True}
TWICE = {"a gradient twice": _doubled, "sums in half": _in_half}
FAR = {"beyond": _beyond, "sums in half": _in_half}
