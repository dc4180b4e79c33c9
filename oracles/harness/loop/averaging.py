"""Questions about averages of parameters: what is held after each update, and where it goes on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from itertools import chain, pairwise, starmap
from typing import Any

import numpy as np
from hypothesis import strategies as st

from oracles.harness.arithmetic.enclosure import Enclosure
from oracles.harness.arithmetic.formats import DTYPES, FLOAT64, FORMATS, FULL, HALF, alike, round_to
from oracles.harness.arithmetic.radii import farthest
from oracles.harness.cases import averaging as cases
from oracles.harness.cases.averaging import Counters, Pull, Trail
from oracles.harness.cases.case import dtype_of
from oracles.harness.loop.judging import Told, judge
from oracles.harness.loop.question import Question, rejections, wrong
from oracles.harness.subjects import averaging as subject
from oracles.harness.subjects.subject import Place
from oracles.harness.subjects.torch_optim import single_devices
from oracles.harness.verdict import INSIDE, Verdict
from oracles.loop.averaging import EQUAL, EXPONENTIAL
from oracles.loop.part import Variant
from oracles.numerics import kept_like, lerp

PARTS = EQUAL | EXPONENTIAL

OWN = "a function of one's own"


def questions(part: str) -> tuple[Question, ...]:
    """What is asked about a way to average."""
    if not subject.there(part):
        return ()
    asked, places = partial(Question, part), partial(subject.places, part)
    everywhere = partial(places, on=single_devices())
    single = partial(places, ("float32",))
    buffers = partial(places, ("float32",), (subject.BUFFERS,))
    alone = partial(places, DTYPES, (subject.ALONE,))
    short = partial(places, HALF, (subject.ALONE,))
    whole, others = partial(places, FULL, (subject.BUFFERS,)), PARTS[part].variants[1:]
    apart = partial(_apart, part)
    return (
        asked("average", cases.trails, average, everywhere, IN_FLOAT32, weight=5),
        asked("goes on elsewhere", cases.trails, goes_on, places, ELSEWHERE, weight=0.6),
        asked("tensors under two names", cases.trails, tied, single),
        asked("whole numbers", cases.counters, counted, buffers, COUNTED, weight=9),
        asked("a slow average moves", cases.pulls, moves, alone, STALLED),
        asked(
            "kept in float32", cases.trails, kept_in_float32, short, LONGER, each=cases.and_begun
        ),
        asked("another model", _others, refuses, single, OTHERS),
        *rejections(part, others, lambda _: cases.apart(), average, apart, whole, IN_FLOAT32),
        *([_own(part)] if part == "AveragedModel" else ()),
    )


def _own(part: str) -> Question:
    places = partial(subject.places, part, paths=subject.own_paths())
    return Question(part, OWN, cases.trails, own_function, places)


def _others() -> st.SearchStrategy[str]:
    return st.sampled_from(sorted(subject.OTHERS))


# --- oracles ---------------------------------------------------------------------------------


def lifted(trail: Trail, dtype: str) -> list[list[Enclosure]]:
    """By tensor, what it is at each point."""
    return [
        [Enclosure.exact(round_to(own, array), FORMATS[own]) for array in tensor]
        for i, tensor in enumerate(zip(*trail.points, strict=True))
        for own in [dtype_of(dtype, i)]
    ]


@lru_cache(maxsize=16)  # all paths of a dtype are held against the same
def followed(variant: Variant, trail: Trail, dtype: str) -> list[list[Enclosure]]:
    """By tensor, the average after each update."""
    decay = Enclosure.exact(trail.decay, FLOAT64)
    return [list(variant.compute(points, decay)) for points in lifted(trail, dtype)]


def expected(trail: Trail, place: Place) -> list[list[Enclosure]]:
    """The same of torch, where buffers are the model's own unless they are averaged."""
    averages = followed(PARTS[place.optimizer].torch, trail, place.dtype)
    if place.path != subject.ALONE:
        return list(averages)
    own = lifted(trail, place.dtype)
    return [own[i][1:] if i % 2 else balls for i, balls in enumerate(averages)]


def _apart(part: str, variant: Variant, trail: Trail, place: Place) -> float:
    pair = (followed(one, trail, place.dtype) for one in (PARTS[part].torch, variant))
    return farthest(*(chain(*tensors) for tensors in pair))


# --- what is asked ---------------------------------------------------------------------------


def average(trail: Trail, place: Place) -> Verdict:
    """What is held after each update; the model is left alone, and updates are counted."""
    held, strayed = zip(*subject.averaged(trail, place), strict=True)
    for k, what in enumerate(strayed, start=1):
        if what:
            return wrong(place, trail, f"after update {k} {what}")
    return judge(place, trail, _told(expected(trail, place), held))


def _told(balls: Sequence[Sequence[Enclosure]], held: Sequence[Sequence[Any]]) -> Iterator[Told]:
    for i, own in enumerate(balls):
        for k, ball in enumerate(own):
            yield Told(f"tensor {i} after update {k + 1}", ball, held[k][i])


def own_function(trail: Trail, place: Place) -> Verdict:
    """It is given what is held, what is new, and how many were averaged before."""
    balls = followed(PARTS[place.optimizer].variant("polynomial"), trail, place.dtype)
    return judge(place, trail, _told(balls, list(subject.by_own_function(trail, place))))


def goes_on(trail: Trail, place: Place) -> Verdict:
    """From a file, as a copy, from another dtype: to the same bits."""
    *_, (held, _) = subject.averaged(trail, place)
    for at in range(1, trail.updates):
        for way in subject.WAYS:
            got, count = subject.continued(trail, place, at, way)
            if count != trail.updates:
                return wrong(place, trail, f"counts {count} updates, with {way} after {at}")
            if not _same_bits(held, got):
                return wrong(place, trail, f"goes on to other bits from {way} after update {at}")
    return Verdict(INSIDE, elements=sum(array.size for array in held))


def _same_bits(one: Sequence[Any], other: Sequence[Any]) -> bool:
    return all(starmap(alike, zip(one, other, strict=True)))


def tied(trail: Trail, place: Place) -> Verdict:
    """A tensor that a model has under two names is one tensor, and is averaged once."""
    *_, (held, _) = subject.averaged(trail, place)
    got, torn = subject.tied(trail, place)
    if torn or not _same_bits(held, got):
        return wrong(place, trail, torn or "averages a tensor under two names to other bits")
    return Verdict(INSIDE, elements=sum(array.size for array in held))


def counted(case: Counters, place: Place) -> Verdict:
    """A whole number's average is between the numbers, next to where one step leads.

    The first one is copied.
    """
    held = subject.counted(case, place)
    if held[0] != case.values[0]:
        return wrong(place, case, f"after update 1: {case.values[0]} expected, got {held[0]}")
    steps = zip(pairwise(held), case.values[1:], strict=True)
    for k, ((old, got), new) in enumerate(steps, start=2):
        low, high = _next_to(old, new, _weight(place.optimizer, k, case.decay))
        if case.kind == "bool":
            low, high = 0, 1
        low, high = max(low, min(old, new)), min(high, max(old, new))
        if not low <= got <= high:
            return wrong(place, case, f"after update {k}: {low} to {high} expected, got {got}")
    return Verdict(INSIDE, elements=len(held))


def _weight(part: str, k: int, decay: float) -> Enclosure:
    weight: Enclosure = Enclosure.exact(1.0) / k if part in EQUAL else 1 - Enclosure.exact(decay)
    return weight


def _next_to(old: int, new: int, weight: Enclosure) -> tuple[int, int]:
    single = FORMATS["float32"]
    ball = lerp(Enclosure.exact(float(old), single), Enclosure.exact(float(new), single), weight)
    return int(np.floor(ball.mid - ball.rad)), int(np.ceil(ball.mid + ball.rad))


def moves(case: Pull, place: Place) -> Verdict:
    """An average of ones and then of twos does not stay at 1, a quarter of the way on."""
    got = subject.pulled(case, place, *_times(case, place.optimizer))
    if not 1 < got <= 2:
        return wrong(place, case, f"is at {got}, and is to be from 1.25 to 2")
    return Verdict(INSIDE, elements=1)


def _times(case: Pull, part: str) -> tuple[int, int]:
    return (case.stays, case.pulls(True)) if part in EQUAL else (1, case.pulls(False))


def kept_in_float32(trail: Trail, place: Place) -> Verdict:
    """An average that was moved to float32 goes on there, and a slow one does not stand still."""
    held = subject.kept_in_float32(trail, place)[:1]  # buffers are copied
    given = [
        Enclosure.exact(round_to(place.dtype, p[0]), FORMATS[place.dtype]) for p in trail.points
    ]
    ball = _longer(place.optimizer, given, Enclosure.exact(trail.decay, FLOAT64))
    return judge(place, trail, (Told("tensor 0 at the end", ball, own) for own in held))


def _longer(part: str, given: Sequence[Enclosure], decay: Enclosure) -> Enclosure:
    """torch's average in float32, of a model in a shorter format.

    Where (1−β)w is a product of its own, it is rounded to the model's format.
    """
    single = [Enclosure(w.mid, w.rad, FORMATS["float32"]) for w in given]
    if part in EQUAL:
        return PARTS[part].torch.compute(single, decay)[-1]  # type: ignore[no-any-return]
    average = single[1]
    for w in given[2:]:
        average = decay * average + kept_like((1 - decay) * w, average)
    return average


def refuses(kind: str, place: Place) -> Verdict:
    """A model that is not the one an average was built of is refused."""
    if subject.refuses(kind, place):
        return Verdict(INSIDE, elements=1)
    return wrong(place, kind, "averages a model that is not its own")


# --- where known deviations may show ------------------------------------------------------------


def _in_float32(trail: Trail, place: Place) -> bool:
    """A weight that float32 does not hold, of float64 numbers."""
    thirds = trail.updates > 2
    return thirds and (place.dtype == "float64" or place.dtype == "mixed")


def _falls(case: Counters, place: Place) -> bool:
    """Where float32 comes out below both numbers and is cut off there."""
    held = case.values[0]
    for new in case.values[1:]:
        parts = (np.float32(held) * np.float32(case.decay), np.float32(new))
        got = int(parts[0] + parts[1] * np.float32(1 - case.decay))
        if got < min(held, new):
            return True
        held = got
    return False


def _several(case: Counters, place: Place) -> bool:
    return len(case.values) > 1


def _of_bools(case: Counters, place: Place) -> bool:
    return case.kind == "bool" and len(case.values) > 1


def _wraps(case: Counters, place: Place) -> bool:
    """A difference below 0, which uint8 does not hold."""
    return case.kind == "uint8" and any(
        new < max(case.values[:k]) for k, new in enumerate(case.values) if k
    )


def _stalls(case: Pull, place: Place) -> bool:
    """A first move that rounding takes back."""
    stays, _ = _times(case, place.optimizer)
    weight = 1 / (stays + 1) if place.optimizer in EQUAL else 1 - case.decay
    return bool(round_to(place.dtype, 1 + weight) == 1)


def _buffers(trail: Trail, place: Place) -> bool:
    """Every second tensor is one, and an average that leaves them shows it."""
    return len(trail.points[0]) > 1 and place.path == subject.ALONE


IN_FLOAT32 = {"a weight in float32": _in_float32, "buffers": _buffers}
ELSEWHERE = {"buffers": _buffers}
COUNTED = {
    "falls below": _falls,
    "several": _several,
    "bools": _of_bools,
    "a difference below 0": _wraps,
}
STALLED = {"rounded away": _stalls}
LONGER = {"several updates": lambda trail, place: trail.updates > 1}
OTHERS = {
    "tensors left over": lambda kind, place: (
        kind.endswith(("more", "less"))
        and (kind.startswith("a parameter") or place.path == subject.BUFFERS)
    ),
    "buffers left over": lambda kind, place: kind.startswith("a buffer"),
    "repeated": lambda kind, place: kind == "a shape that is repeated",
}
