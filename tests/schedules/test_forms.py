"""Two witnesses of each schedule: the closed form and the recurrence, in 200 bits."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import mpmath
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from oracles.harness.cases import plans
from oracles.numerics import cospi
from oracles.schedules.composed import ByGroup, Chained, Plan, Sequential, Single, rates
from oracles.schedules.registry import PARTS, SCHEDULES
from oracles.schedules.schedule import Schedule, Timing
from tests.support.many_bits import BITS, SPARE


@cospi.register
def _cospi(x: mpmath.mpf) -> Any:
    return mpmath.cospi(x)


RECURRENT = [schedule for schedule in SCHEDULES.values() if schedule.following]
each_schedule = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=list(SCHEDULES))


def number(value: Any) -> Any:
    return mpmath.mpmathify(value)


@pytest.mark.one_in(2)
@pytest.mark.parametrize("schedule", RECURRENT, ids=lambda s: s.name)
@given(st.data(), plans.BASES)
def test_the_closed_form_is_the_recurrence(schedule: Schedule, data: Any, base: float) -> None:
    """Until a rate comes to 0, from where no factor leads back."""
    with mpmath.workprec(BITS):
        plan = Single(schedule, data.draw(plans.settings(schedule))).lifted(number)
        stepped = rates(plan, number(base), 16)
        closed = [schedule.torch.rate(t, number(base), plan.settings) for t in range(17)]
        for one, other in zip(stepped, closed, strict=True):
            assert abs(one - other) <= mpmath.ldexp(number(base), 2 * SPARE - BITS)


@each_schedule
def test_a_timing_is_told_from_torchs(schedule: Schedule) -> None:
    """Each differs from torch's at some epoch, under some settings that are drawn."""
    always = settings(max_examples=2000, derandomize=True, phases=[Phase.generate])
    for timing in schedule.timings[1:]:

        def differs(drawn: Any, timing: Timing = timing) -> bool:
            return any(
                abs(schedule.torch.rate(t, 0.5, drawn) - timing.rate(t, 0.5, drawn)) > 1e-3
                for t in range(17)
            )

        find(plans.settings(schedule), differs, settings=always)


F = Fraction
HALF = F(1, 2)
WORKED: dict[str, tuple[dict[str, Any], list[Fraction]]] = {
    "LambdaLR": ({"factors": (F(1), F(1, 3))}, [F(6), F(2), F(6), F(2)]),
    "MultiplicativeLR": ({"factors": (F(5), F(1, 3))}, [F(6), F(2), F(10), F(10, 3)]),
    "StepLR": ({"step_size": 2, "gamma": HALF}, [F(6), F(6), F(3), F(3), F(3, 2)]),
    "MultiStepLR": ({"milestones": (1, 3, 3), "gamma": HALF}, [F(6), F(3), F(3), F(3, 4)]),
    "ConstantLR": ({"factor": F(1, 3), "total_iters": 2}, [F(2), F(2), F(6), F(6)]),
    "LinearLR": (
        {"start_factor": F(1, 3), "end_factor": F(1), "total_iters": 2},
        [F(2), F(4), F(6), F(6)],
    ),
    "ExponentialLR": ({"gamma": HALF}, [F(6), F(3), F(3, 2), F(3, 4)]),
    "PolynomialLR": ({"total_iters": 3, "power": 2}, [F(6), F(8, 3), F(2, 3), F(0), F(0)]),
    "CyclicLR": (
        {
            "base_lr": F(1),
            "max_lr": F(5),
            "step_size_up": 2,
            "step_size_down": 4,
            "mode": "triangular2",
        },
        [F(1), F(3), F(5), F(4), F(3), F(2), F(1), F(2), F(3)],
    ),
    "OneCycleLR": (
        {
            "max_lr": F(8),
            "total_steps": 8,
            "pct_start": HALF,
            "anneal_strategy": "linear",
            "div_factor": F(4),
            "final_div_factor": F(2),
        },
        [F(2), F(4), F(6), F(8), F(25, 4), F(9, 2), F(11, 4), F(1)],
    ),
    "SWALR": (
        {"swa_lr": F(3), "anneal_epochs": 3, "anneal_strategy": "linear"},
        [F(6), F(5), F(4), F(3), F(3)],
    ),
}
"""Worked by hand, from a base rate of 6."""


def test_a_power_of_zero_changes_nothing() -> None:
    """0⁰ is 1, in torch as well."""
    schedule = SCHEDULES["PolynomialLR"]
    plan = Single(schedule, schedule.settings(total_iters=2, power=0))
    assert rates(plan, F(6), 4) == [6] * 5
    assert [schedule.torch.rate(t, F(6), plan.settings) for t in range(5)] == [6] * 5


@pytest.mark.parametrize("name", WORKED)
def test_worked_by_hand(name: str) -> None:
    given_, expected = WORKED[name]
    plan = Single(SCHEDULES[name], SCHEDULES[name].settings(**given_))
    assert rates(plan, F(6), len(expected) - 1) == expected
    closed = [plan.schedule.torch.rate(t, F(6), plan.settings) for t in range(len(expected))]
    assert closed == expected


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("CosineAnnealingLR", {"T_max": 2, "eta_min": 0.5}, [1.5, 1.0, 0.5, 1.0, 1.5]),
        ("CosineAnnealingWarmRestarts", {"T_0": 2, "eta_min": 0.5}, [1.5, 1.0, 1.5, 1.0, 1.5]),
        ("SWALR", {"swa_lr": 0.5, "anneal_epochs": 2}, [1.5, 1.0, 0.5, 0.5, 0.5]),
    ],
)
def test_quarters_of_a_turn(name: str, options: Any, expected: list[float]) -> None:
    """Where the cosine is 1, 0 and −1."""
    with mpmath.workprec(BITS):
        plan: Plan = Single(SCHEDULES[name], SCHEDULES[name].settings(**options)).lifted(number)
        assert rates(plan, number(1.5), 4) == expected


def test_every_schedule_is_worked() -> None:
    cosines = {"CosineAnnealingLR", "CosineAnnealingWarmRestarts"}
    assert WORKED.keys() | cosines == SCHEDULES.keys()


EDGES: list[tuple[str, dict[str, Any], list[Fraction]]] = [
    ("StepLR", {"step_size": 1, "gamma": F(0)}, [F(6), F(0), F(0)]),
    ("MultiStepLR", {"milestones": (0, 0, 1), "gamma": HALF}, [F(3, 2), F(3, 4), F(3, 4)]),
    ("ConstantLR", {"factor": HALF, "total_iters": 0}, [F(6), F(6)]),
    ("ConstantLR", {"factor": F(0), "total_iters": 2}, [F(0), F(0), F(6), F(6)]),
    ("LinearLR", {"start_factor": HALF, "end_factor": F(1), "total_iters": 0}, [F(6), F(6)]),
    (
        "LinearLR",
        {"start_factor": HALF, "end_factor": F(0), "total_iters": 2},
        [F(3), F(3, 2), F(0), F(0)],
    ),
    ("SWALR", {"swa_lr": F(3), "anneal_epochs": 0}, [F(3), F(3)]),
]


@pytest.mark.parametrize(("name", "settings", "expected"), EDGES)
def test_at_the_edges(name: str, settings: dict[str, Any], expected: list[Fraction]) -> None:
    """A ramp of no length is at its end, and a factor of 0 is left by the base rate."""
    plan = Single(SCHEDULES[name], SCHEDULES[name].settings(**settings))
    assert rates(plan, F(6), len(expected) - 1) == expected
    assert [plan.at(t, F(6)) for t in range(len(expected))] == expected


def test_one_cycle_ends_where_it_ends() -> None:
    """Also past its last step, and where a phase has no length."""
    schedule = SCHEDULES["OneCycleLR"]
    s = schedule.settings(
        max_lr=F(8),
        total_steps=4,
        pct_start=F(1, 4),
        anneal_strategy="linear",
        div_factor=F(4),
        final_div_factor=F(2),
    )
    assert [schedule.torch.rate(t, F(6), s) for t in range(6)] == [
        *(F(8), F(17, 3), F(10, 3), F(1)),
        *(F(1), F(1)),
    ]


def test_compositions() -> None:
    """A chain multiplies; a sequence begins each part from the base rate, on a count of its own."""
    halved = Single(SCHEDULES["ExponentialLR"], SCHEDULES["ExponentialLR"].settings(gamma=HALF))
    warm = Single(
        SCHEDULES["ConstantLR"], SCHEDULES["ConstantLR"].settings(factor=F(1, 3), total_iters=1)
    )
    assert rates(Chained((warm, halved)), F(12), 2) == [F(4), F(6), F(3)]
    assert rates(Sequential((halved, warm), (2,)), F(12), 3) == [F(12), F(6), F(4), F(12)]
    assert rates(Sequential((warm, halved), (0,)), F(12), 2) == [F(12), F(6), F(3)]
    assert rates(Sequential((halved, warm, halved), (1, 1)), F(12), 2) == [F(12), F(12), F(6)]
    nested = Sequential((warm, Chained((halved, warm))), (1,))
    assert rates(nested, F(12), 3) == [F(4), F(4), F(6), F(3)]


def test_settings_by_group() -> None:
    """Each group has its own, and all have what is no list."""
    schedule = SCHEDULES["SWALR"]
    settings = schedule.settings(ByGroup((F(2), F(4))), 1, "linear")
    plan = Sequential((Chained((Single(schedule, settings),)),), ())
    assert [rates(plan.of_group(group), F(6), 1) for group in (0, 1)] == [
        [F(6), F(2)],
        [F(6), F(4)],
    ]


OTHER_WAYS = {
    ("SequentialLR", "counted_on"): [F(12), F(6), F(12), F(12)],
    ("SequentialLR", "from_last"): [F(12), F(6), F(2), F(6)],
    ("SequentialLR", "one_late"): [F(12), F(6), F(3), F(4)],
    ("ChainedScheduler", "last_only"): [F(4), F(12), F(12)],
    ("ChainedScheduler", "first_only"): [F(12), F(6), F(3)],
    ("ChainedScheduler", "turned_round"): [F(4), F(6), F(3)],
}
"""Of what is put together in other ways, by hand."""


@pytest.mark.parametrize("way", OTHER_WAYS, ids=":".join)
def test_other_ways_of_composing(way: tuple[str, str]) -> None:
    """An exponential decay that begins, then or with a constant factor for one epoch."""
    part, name = way
    halved = Single(SCHEDULES["ExponentialLR"], SCHEDULES["ExponentialLR"].settings(gamma=HALF))
    warm = Single(
        SCHEDULES["ConstantLR"], SCHEDULES["ConstantLR"].settings(factor=F(1, 3), total_iters=1)
    )
    together = (halved, warm)
    plan: Any = Sequential(together, (2,)) if part == "SequentialLR" else Chained(together)
    expected = OTHER_WAYS[way]
    assert PARTS[part].variant(name).compute(plan, F(12), len(expected) - 1) == expected


def test_every_other_way_is_worked() -> None:
    ways = {
        (n, v.name) for n in ("SequentialLR", "ChainedScheduler") for v in PARTS[n].variants[1:]
    }
    assert ways == OTHER_WAYS.keys()
