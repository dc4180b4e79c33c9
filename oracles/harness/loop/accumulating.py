"""Questions about accumulation: what is left in ``.grad``, and what steps make of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from itertools import pairwise
from types import MappingProxyType
from typing import Any

from hypothesis import strategies as st

from oracles.harness.accumulated import Course, enclosed, whole
from oracles.harness.arithmetic.enclosure import Enclosure
from oracles.harness.cases.accumulating import WAYS, AccumulatingLoop, accumulating_loops
from oracles.harness.loop.judging import held_to, separation
from oracles.harness.loop.question import Question, rejections, wrong
from oracles.harness.subjects import accumulating, scaling
from oracles.harness.subjects.owners import PATHS
from oracles.harness.subjects.subject import Place
from oracles.harness.subjects.torch_optim import cpu_and_cuda
from oracles.harness.verdict import INSIDE, Verdict, held
from oracles.loop.accumulation import OWNERS, PART
from oracles.loop.part import Variant

WINDOWS, WHOLE = "windows", "as one batch"
HOOKS, IN_BACKWARD = "step hooks", "steps in backward"

LINEAR = ("float32", "float64", "bfloat16")
"""Dtypes that a linear layer has everywhere."""

PLAIN = ("for-loop", "float64")
"""Where it is enough to ask once."""

CASES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "undivided": {"reductions": ("mean",)},
        "divided_twice": {"reductions": ("mean",)},
        "mean_of_means": {"reductions": ("mean",), "whole": True},
        "divided_by_the_plan": {"reductions": ("mean",), "equal": True},
        "counted_each": {"owners": ("Adam",)},
        "clipped_each": {"clips": (0.5,)},
        "clipped_running": {"clips": (0.5,)},
    }
)
"""From what cases are drawn in which a variant shows, where others may show as well."""


def questions(part: str) -> tuple[Question, ...]:
    """What is asked about accumulation."""
    return (
        Question(part, WINDOWS, accumulating_loops, course, partial(places, part), weight=3),
        Question(
            part,
            WHOLE,
            accumulating_loops,
            as_one_batch,
            partial(places, part),
            weight=0.8,
            each=_reduced,
        ),
        Question(
            part,
            HOOKS,
            partial(accumulating_loops, ways=("hooked",)),
            hooks,
            partial(places, part, hooked=True),
        ),
        Question(
            part,
            IN_BACKWARD,
            partial(accumulating_loops, ways=WAYS[:1], clips=(None,)),
            in_backward,
            partial(places, part, in_backward=True),
        ),
        *rejections(
            part, PART.variants[1:], _telling, course, _apart, partial(places, part, plain=True)
        ),
    )


def _reduced(case: AccumulatingLoop) -> tuple[AccumulatingLoop, AccumulatingLoop]:
    """The same with losses of either kind."""
    return replace(case, reduction="mean"), replace(case, reduction="sum")


def places(
    part: str, *, plain: bool = False, hooked: bool = False, in_backward: bool = False
) -> list[Place]:
    """On the paths of optimizers, in each dtype that a linear layer has."""
    if hooked and not accumulating.has_step_hooks():
        return []
    if in_backward and not accumulating.steps_in_backward():
        return []
    return [
        Place(part, path, dtype, device)
        for path in PATHS
        for dtype in LINEAR
        for device in cpu_and_cuda()
        if not (plain and (path, dtype) != PLAIN)
        if not any(accumulating.lacking(owner, path, dtype, device) for owner in OWNERS)
    ]


def course(case: AccumulatingLoop, place: Place) -> Verdict:
    """Accumulated gradients, and weights after each window."""
    expected = enclosed(case, PART.torch, place.dtype)
    case = _in_its_way(case, place)
    return held_to(place, case, expected, accumulating.followed(case, place))


def _in_its_way(case: AccumulatingLoop, place: Place) -> AccumulatingLoop:
    """The same at each place in another way, so that a case is asked in all of them.

    Where there is no scaler, no loop is behind one.
    """
    scaled = place.device in scaling.scaled_devices()
    ways = [way for way in WAYS if scaled or way != "grad scaler"]
    number = [*PATHS].index(place.path) * len(LINEAR) + LINEAR.index(place.dtype)
    return replace(case, way=ways[(WAYS.index(case.way) + number) % len(ways)])


def as_one_batch(case: AccumulatingLoop, place: Place) -> Verdict:
    """Weights are where one batch to a window leads, whatever micro-batches it was cut into."""
    pieces = enclosed(case, PART.torch, place.dtype).without_gradients()
    joined = enclosed(whole(case), PART.torch, place.dtype).without_gradients()
    case = _in_its_way(case, place)
    got = accumulating.followed(case, place).without_gradients()
    told = []
    for (what, one), (_, other), (_, value) in zip(
        joined.flat(), pieces.flat(), got.flat(), strict=True
    ):
        told.append(ball := Enclosure(one.mid, one.rad + other.rad, one.format))
        if not ball.contains(value).all():
            return wrong(place, case, f"is not as with one batch: {what} is {value}, not {one}")
    return held(told)


def hooks(case: AccumulatingLoop, place: Place) -> Verdict:
    """Hooks are called once a step: before it the weights are where they were, and then not."""
    calls, points = accumulating.hook_calls(case, place)
    right = [
        (name, point)
        for before, after in pairwise(points)
        for name, point in (("pre", before), ("post", after))
    ]
    if calls != right:
        return wrong(place, case, f"calls step hooks so: {calls}, and not so: {right}")
    return Verdict(INSIDE, elements=len(calls))


def in_backward(case: AccumulatingLoop, place: Place) -> Verdict:
    """Optimizers that step in the backward pass step on each micro-batch by itself."""
    expected = enclosed(case, PART.variant("stepped_each"), place.dtype).without_gradients()
    return held_to(place, case, expected, accumulating.in_backward(case, place))


def _telling(variant: Variant) -> st.SearchStrategy[AccumulatingLoop]:
    """Loops that may show that a variant is not torch's."""
    return accumulating_loops(**CASES.get(variant.name, {}))


def _apart(variant: Variant, case: AccumulatingLoop, place: Place) -> float:
    pair: list[Course] = [
        enclosed(case, one, place.dtype).without_gradients() for one in (PART.torch, variant)
    ]
    return separation(*pair)
