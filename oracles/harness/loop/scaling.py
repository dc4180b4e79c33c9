"""Questions about loss scaling: what becomes of the scale, and what optimizers step on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

from hypothesis import strategies as st

from oracles.harness.arithmetic.formats import DTYPES
from oracles.harness.cases.scaling import (
    DYADIC,
    EXACT_FACTORS,
    ROUNDED,
    ROUNDED_FACTORS,
    TINY,
    ScaledRun,
    runs,
)
from oracles.harness.loop import scaling_promises
from oracles.harness.loop.judging import held_to, separation
from oracles.harness.loop.question import Question, rejections
from oracles.harness.scaled import Open, enclosed
from oracles.harness.subjects import scaling
from oracles.harness.subjects.owners import PATHS
from oracles.harness.subjects.subject import Place
from oracles.harness.verdict import UNDECIDED, Verdict
from oracles.loop.part import Variant
from oracles.loop.scaler import OWNERS, PART

SCALE, STEPS = "scale", "steps"

ANY = DYADIC + TINY + ROUNDED
"""Scales of a run whose gradients are in float32."""

PLAIN = ("for-loop", "float32")
"""Where it is enough to ask once."""

RUNS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "unbounded": {"scales": (2.0**127, 2.0**126), "intervals": (1,)},
        "floor_of_one": {"scales": (1.0,)},
        "ceiling": {"scales": (2.0**24, 2.0**23), "intervals": (1, 2)},
        "clipped_scaled": {"clips": True},
        "all_or_none": {"owners": (("SGD", "SGD"), ("SGD", "Adam"))},
        "backoff_for_each": {"owners": (("SGD", "SGD"),)},
    }
)
"""From what runs are drawn in which a variant shows, where any runs seldom show it."""


def questions(part: str) -> tuple[Question, ...]:
    """What is asked about a scaler."""
    mixed: dict[str, Any] = {"scales": DYADIC + ROUNDED, "factors": EXACT_FACTORS + ROUNDED_FACTORS}
    plain = partial(places, part, plain=True)
    return (
        Question(
            part,
            SCALE,
            partial(runs, changes=True, restarts=True, longest=12, **mixed | {"scales": ANY}),
            trace,
            plain,
            regions=MappingProxyType({"interval_passed": interval_passed}),
            weight=12,
        ),
        Question(
            part,
            STEPS,
            partial(runs, clips=True, restarts=True, **mixed),
            trace,
            partial(places, part),
            regions=MappingProxyType({"first_skip": first_skip}),
            weight=6,
        ),
        *rejections(part, PART.variants[1:], _telling, trace, _apart, plain),
        *scaling_promises.questions(part),
    )


def places(part: str, *, plain: bool = False) -> list[Place]:
    """On the paths of optimizers, in each dtype they have."""
    return [
        Place(part, path, dtype, device)
        for path in PATHS
        for dtype in DTYPES
        for device in scaling.scaled_devices()
        if not (plain and (path, dtype) != PLAIN)
        if not any(scaling.lacking(owner, path, dtype, device) for owner in OWNERS)
    ]


def trace(run: ScaledRun, place: Place) -> Verdict:
    """Scale, tracker and parameters after each iteration."""
    try:
        run = run.plainly() if place.dtype == "float16" else run
        expected = enclosed(run, PART.torch, place.dtype)
    except Open:
        return Verdict(UNDECIDED)
    return held_to(place, run, expected, scaling.followed(run, place))


def interval_passed(run: ScaledRun, place: Place) -> bool:
    """An interval is set that is no longer than what has been counted."""
    counted = [0, *enclosed(run.plainly(), PART.torch, "float64").trackers]
    return any(
        i.factors is not None and i.factors[2] <= n
        for i, n in zip(run.iterations, counted, strict=False)
    )


def first_skip(run: ScaledRun, place: Place) -> bool:
    """The step that would create the momentum buffers of a fused SGD may be skipped."""
    limit = 65504 if place.dtype == "float16" else float("inf")
    return place.path == "fused" and any(
        owner == "SGD" and any(not abs(g) * run.settings.init_scale < limit for g in _all(own))
        for owner, own in zip(run.owners, run.iterations[0].gradients, strict=True)
    )


def _all(own: Sequence[Sequence[float]]) -> list[float]:
    return [g for values in own for g in values]


def _telling(variant: Variant) -> st.SearchStrategy[ScaledRun]:
    """Runs that may show that a variant is not torch's."""
    drawn: dict[str, Any] = {"restarts": True} | dict(RUNS.get(variant.name, {}))
    return runs(**drawn)


def _apart(variant: Variant, run: ScaledRun, place: Place) -> float:
    try:
        pair = [enclosed(run, one, place.dtype) for one in (PART.torch, variant)]
    except Open:
        return 0.0
    return separation(*pair)
