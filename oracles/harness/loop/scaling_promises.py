"""Questions about what a loss scaler promises beside numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

from hypothesis import strategies as st

from oracles.harness.cases import scaling_promises as cases
from oracles.harness.loop.question import Question, Region, wrong
from oracles.harness.subjects import scaling, scaling_calls, scaling_customs, scaling_skips
from oracles.harness.subjects import scaling_promises as promises
from oracles.harness.subjects.subject import Place
from oracles.harness.verdict import INSIDE, Verdict

WHOLE, FINDS, FINITE = "skips are whole", "finds inf and nan", "steps are finite"
ORDER, OUTPUTS, SAYS = "order of calls", "outputs", "settings"
BARE, HOOKS, AGAIN = "disabled steps", "hooks of skipped steps", "a step made again"
SCHEDULE, CUSTOM = "schedules", "one's own optimizers"

Regions = Mapping[str, Region]

LEAST, LARGEST = 2.0**-127, 2.0**128
"""The smallest scale with a reciprocal in float32, and the end of float32."""

CALM = "calm"
"""The path of what depends on no optimizer."""


def _fused(case: Any, place: Place) -> bool:
    return place.path.endswith("fused")


def _fused_skip(case: cases.Skips, place: Place) -> bool:
    return _fused(case, place) and any(case.skipped)


def _first_skip(case: cases.Skips, place: Place) -> bool:
    """The step is skipped that would create the momentum buffers of a fused SGD."""
    return place.path == "SGD, fused" and case.skipped[0]


def _far(case: cases.Extreme, place: Place) -> bool:
    """The reciprocal of the scale, or what it makes of the gradient, is beyond float32."""
    return case.scale < LEAST or abs(case.gradient) / case.scale >= LARGEST


def _disabled_getter(asked: tuple[str, str], place: Place) -> bool:
    kind, name = asked
    return kind == "disabled" and name.strip("()") in promises.GETTERS


FUSED: Regions = MappingProxyType(
    {"fused": _fused, "fused_skip": _fused_skip, "first_skip": _first_skip}
)
COMPLEX: Regions = MappingProxyType({"complex": lambda case, place: case.layout == "complex"})
FAR: Regions = MappingProxyType({"far": _far})
CALLS: Regions = MappingProxyType(
    {
        "closure": lambda call, place: call.name == scaling_calls.CLOSURE,
        "one_element": lambda call, place: call.name == scaling_calls.ONE_ELEMENT,
    }
)
GRADED: Regions = MappingProxyType({"graded": lambda kind, place: kind == scaling_customs.GRADED})
NAMED: Regions = MappingProxyType({"named": lambda kind, place: kind == promises.NAMED})
GETTERS: Regions = MappingProxyType({"getters": _disabled_getter})


def questions(part: str) -> tuple[Question, ...]:
    """What a scaler owes whoever calls it."""
    asked = partial(_question, part)
    return (
        asked(WHOLE, cases.skips, scaling_skips.skipping, of_all, weight=1.4, regions=FUSED),
        asked(BARE, cases.skips, scaling_skips.steps_disabled, of_all, weight=0.6),
        asked(SCHEDULE, cases.skips, scaling_skips.scheduled, of_all, weight=0.6),
        asked(HOOKS, cases.skips, scaling_skips.hooked, of_all, weight=0.6, regions=FUSED),
        asked(AGAIN, cases.skips, scaling_skips.tried_again, of_all, weight=0.6, regions=FUSED),
        asked(FINDS, cases.found, promises.finds, by_dtype, weight=12, regions=COMPLEX),
        asked(FINITE, cases.extremes, promises.steps_finitely, once, weight=6, regions=FAR),
        asked(ORDER, _calls, scaling_calls.allows, once, weight=12, regions=CALLS),
        asked(OUTPUTS, _outputs, promises.scales, once, weight=3, regions=NAMED),
        asked(CUSTOM, _customs, scaling_customs.customs, once, weight=2, regions=GRADED),
        asked(SAYS, _says, promises.says, once, weight=6, regions=GETTERS),
    )


def _calls() -> st.SearchStrategy[scaling_calls.Call]:
    return st.sampled_from(scaling_calls.CALLS)


def _outputs() -> st.SearchStrategy[str]:
    return st.sampled_from(list(promises.OUTPUTS))


def _customs() -> st.SearchStrategy[str]:
    return st.sampled_from(list(scaling_customs.CUSTOMS))


def _says() -> st.SearchStrategy[tuple[str, str]]:
    return st.sampled_from([(kind, n) for kind, (_, all_) in promises.SAYS.items() for n in all_])


def _question(
    part: str,
    name: str,
    drawn: Callable[[], st.SearchStrategy[Any]],
    complaint: Callable[[Any, Place], str],
    where: Callable[[str], Sequence[Place]],
    *,
    weight: float = 1.0,
    regions: Mapping[str, Region] = MappingProxyType({}),
) -> Question:
    """A question that is answered by a complaint, or by none."""
    return Question(
        part,
        name,
        drawn,
        partial(_verdict, complaint),
        partial(where, part),
        regions=regions,
        weight=weight,
    )


def _verdict(complaint: Callable[[Any, Place], str], case: Any, place: Place) -> Verdict:
    found = complaint(case, place)
    return wrong(place, case, found) if found else Verdict(INSIDE, elements=1)


def of_all(part: str) -> list[Place]:
    """Every optimizer on every path."""
    return [
        Place(part, name, "float32", device)
        for name in scaling_skips.optimizers()
        for device in scaling.scaled_devices()
        if not scaling_skips.lacking(name, device)
    ]


def by_dtype(part: str) -> list[Place]:
    """One place to a dtype in which gradients are unscaled."""
    return [
        Place(part, CALM, dtype, device)
        for dtype in ("float32", "float64", "bfloat16")
        for device in scaling.scaled_devices()
        if not scaling.lacking("SGD", "for-loop", dtype, device)
    ]


def once(part: str) -> list[Place]:
    """One place to a device."""
    return [Place(part, CALM, "float32", device) for device in scaling.scaled_devices()]
