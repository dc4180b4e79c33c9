"""Schedules that torch has none of: worked by hand, told from one another, and named."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import mpmath
import pytest
from hypothesis import given, settings

import oracles
from oracles.harness.cases import plans
from oracles.harness.evidence.rates import holds
from oracles.numerics import cospi
from oracles.schedules.registry import CUSTOMARY, KNOWN
from oracles.schedules.schedule import Schedule, Timing
from oracles.scheduling import identify_schedule
from tests.support import customary
from tests.support.many_bits import BITS, SPARE
from tests.support.marks import slow

F = Fraction
HALF, THIRD = F(1, 2), F(1, 3)
LINEAR, COSINE = "get_linear_schedule_with_warmup", "get_cosine_schedule_with_warmup"
RESTARTS = "get_cosine_with_hard_restarts_schedule_with_warmup"
POLYNOMIAL = "get_polynomial_decay_schedule_with_warmup"
FLOORED, ROOT = "get_cosine_with_min_lr_schedule_with_warmup", "get_inverse_sqrt_schedule"
CONSTANT, WSD = "get_constant_schedule_with_warmup", "get_wsd_schedule"


@cospi.register
def _cospi(x: mpmath.mpf) -> Any:
    return mpmath.cospi(x)


TWO = {"num_warmup_steps": 2, "num_training_steps": 6}
EPOCHS = {"lr_min": 1, "warmup_t": 2, "warmup_lr_init": 3}

WORKED: list[tuple[str, str, dict[str, Any], list[Any]]] = [
    (CONSTANT, "from_zero", {"num_warmup_steps": 3}, [0, 3, 6, 9, 9]),
    (CONSTANT, "from_one", {"num_warmup_steps": 3}, [3, 6, 9, 9]),
    (LINEAR, "from_zero", TWO, [0, F(9, 2), 9, F(27, 4), F(9, 2), F(9, 4), 0, 0]),
    (LINEAR, "from_one", TWO, [F(9, 2), 9, 9, F(27, 4), F(9, 2), F(9, 4), 0, 0]),
    (LINEAR, "over_the_whole", TWO, [0, F(9, 2), 6, F(9, 2), 3, F(3, 2), 0, 0]),
    (COSINE, "from_zero", {**TWO, "num_training_steps": 4}, [0, F(9, 2), 9, F(9, 2), 0, F(9, 2)]),
    (COSINE, "from_one", {**TWO, "num_training_steps": 4}, [F(9, 2), 9, 9, F(9, 2), 0, F(9, 2)]),
    (RESTARTS, "from_zero", {**TWO, "num_cycles": 2}, [0, F(9, 2), 9, F(9, 2), 9, F(9, 2), 0, 0]),
    (RESTARTS, "from_one", {**TWO, "num_cycles": 2}, [F(9, 2), 9, 9, F(9, 2), 9, F(9, 2), 0]),
    (
        POLYNOMIAL,
        "from_zero",
        {**TWO, "lr_end": F(1), "power": 2},
        [0, F(9, 2), 9, F(11, 2), 3, F(3, 2), 1, 1],
    ),
    (POLYNOMIAL, "from_one", {**TWO, "lr_end": F(1), "power": 2}, [F(9, 2), 9, 9, F(11, 2)]),
    (
        FLOORED,
        "from_zero",
        {"num_warmup_steps": 1, "num_training_steps": 3, "min_lr": F(1)},
        [0, 9, 5, 1, 5],
    ),
    (
        FLOORED,
        "from_one",
        {"num_warmup_steps": 1, "num_training_steps": 3, "min_lr": F(1)},
        [9, 9, 5, 1, 5],
    ),
    (
        FLOORED,
        "stays_at_floor",
        {"num_warmup_steps": 1, "num_training_steps": 3, "min_lr": F(1)},
        [0, 9, 5, 1, 1],
    ),
    (
        FLOORED,
        "one_ahead",
        {"num_warmup_steps": 1, "num_training_steps": 3, "min_lr": F(1)},
        [9, 5, 1, 5],
    ),
    (
        FLOORED,
        "between",
        {"num_warmup_steps": 2, "num_training_steps": 4, "min_lr": F(1)},
        [3, 6, 9, 5, 1, 1],
    ),
    (
        FLOORED,
        "floor_as_share",
        {"num_warmup_steps": 1, "num_training_steps": 3, "min_lr": F(1, 9)},
        [0, 9, 5, 1, 5],
    ),
    (
        "NoamLR",
        "at_least_one",
        {"model_size": 9, "warmup_steps": 4, "factor": F(2)},
        [F(3, 4), F(3, 4), F(3, 2), F(9, 4), 3, None, None, None, None, 2],
    ),
    (
        "NoamLR",
        "from_one",
        {"model_size": 9, "warmup_steps": 4, "factor": F(2)},
        [F(3, 4), F(3, 2), F(9, 4), 3, None, None, None, None, 2],
    ),
    (ROOT, "from_zero", {"num_warmup_steps": 1}, [0, 9, None, None, F(9, 2)]),
    (ROOT, "from_zero", {"num_warmup_steps": 1, "timescale": 3}, [0, 9, *[None] * 8, F(9, 2)]),
    (ROOT, "from_one", {"num_warmup_steps": 2}, [F(9, 2), 9, 9, *[None] * 5, F(9, 2)]),
    (ROOT, "flat_first", {"num_warmup_steps": 4}, [F(9, 2)] * 5 + [None] * 4 + [3]),
    (ROOT, "flat_from_one", {"num_warmup_steps": 4}, [F(9, 2)] * 4 + [None] * 4 + [3]),
    (
        WSD,
        "from_zero",
        {
            "num_warmup_steps": 2,
            "num_stable_steps": 2,
            "num_decay_steps": 2,
            "min_lr_ratio": THIRD,
        },
        [3, 6, 9, 9, 9, 6, 3, 3],
    ),
    (
        WSD,
        "from_zero",
        {
            "num_warmup_steps": 4,
            "num_stable_steps": None,
            "num_decay_steps": 4,
            "num_training_steps": 9,
            "warmup_type": "1-sqrt",
            "decay_type": "1-sqrt",
        },
        [0, None, None, F(9, 2), 9, 9, F(9, 2), None, None, 0],
    ),
    (
        WSD,
        "from_one",
        {
            "num_warmup_steps": 2,
            "num_stable_steps": 1,
            "num_decay_steps": 4,
            "warmup_type": "cosine",
            "decay_type": "linear",
        },
        [F(9, 2), 9, 9, 9, F(27, 4), F(9, 2), F(9, 4), 0],
    ),
    ("CosineLRScheduler", "by_epoch", {"t_initial": 4, **EPOCHS}, [3, 6, 5, None, 1, 1]),
    (
        "CosineLRScheduler",
        "by_epoch",
        {"t_initial": 2, "warmup_prefix": True, **EPOCHS},
        [3, 6, 9, 5, 1, 1],
    ),
    ("CosineLRScheduler", "one_behind", {"t_initial": 4, **EPOCHS}, [3, 3, 6, 5, None, 1, 1]),
    ("PolyLRScheduler", "by_epoch", {"t_initial": 4, "power": 2, **EPOCHS}, [3, 6, 3, F(3, 2), 1]),
    (
        "PolyLRScheduler",
        "by_epoch",
        {"t_initial": 2, "power": 2, "warmup_prefix": True, **EPOCHS},
        [3, 6, 9, 3, 1, 1],
    ),
    ("PolyLRScheduler", "one_behind", {"t_initial": 4, "power": 2, **EPOCHS}, [3, 3, 6, 3]),
]
"""From a base rate of 9, worked by hand; None is what is no fraction."""


@pytest.mark.parametrize(
    ("name", "timing", "given", "expected"),
    WORKED,
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_rates_by_hand(name: str, timing: str, given: dict[str, Any], expected: list[Any]) -> None:
    schedule = CUSTOMARY[name]
    (own,) = (one for one in schedule.timings if one.name == timing)
    with mpmath.workprec(BITS):
        lifted = {
            n: mpmath.mpf(v.numerator) / v.denominator if isinstance(v, Fraction) else v
            for n, v in given.items()
        }
        drawn = schedule.settings(**lifted)
        for t, value in enumerate(expected):
            rate = own.rate(t, mpmath.mpf(9), drawn)
            if value is not None:
                told = mpmath.mpf(F(value).numerator) / F(value).denominator
                assert abs(rate - told) <= mpmath.ldexp(1, SPARE - BITS), t


@pytest.mark.parametrize(("given", "half"), [({}, 30_000), ({"timescale": 100}, 300)])
def test_without_a_warm_up_the_timescale_is_ten_thousand(given: Any, half: int) -> None:
    """As in transformers: 9√(τ/(t + τ)) is a half of 9 at t = 3τ."""
    schedule = CUSTOMARY[ROOT]
    drawn = schedule.settings(num_warmup_steps=0, **given)
    assert [schedule.timings[0].rate(t, 9.0, drawn) for t in (0, half)] == [9.0, 4.5]


def test_each_timing_is_worked() -> None:
    told = {(name, timing) for name, timing, _, _ in WORKED}
    assert told == {(s.name, t.name) for s in CUSTOMARY.values() for t in s.timings}


def cycle(t: int) -> float:
    """Up for twelve steps in a cosine from 0.004, down to 4e-7 for 28."""
    if t <= 11:
        return 0.1 + (0.004 - 0.1) * (1 + math.cos(math.pi * t / 11)) / 2
    return 4e-7 + (0.1 - 4e-7) * (1 + math.cos(math.pi * (t - 11) / 28)) / 2


def saw(t: int) -> float:
    """Up for three steps and down for five, half as high in each cycle."""
    c, x = divmod(t, 8)
    return 0.01 + 0.09 * (x / 3 if x < 3 else (8 - x) / 5) * 0.5**c


CYCLES: dict[Callable[[int], float], str] = {
    cycle: "OneCycleLR's one_cycle with max_lr=0.1, total_steps=40, pct_start=0.3, "
    "anneal_strategy=cos, div_factor=25, final_div_factor=10000, three_phase=False",
    saw: "CyclicLR's from_base with base_lr=0.01, max_lr=0.1, step_size_up=3, "
    "step_size_down=5, mode=triangular2",
}


@pytest.mark.slow
@pytest.mark.parametrize("rate", CYCLES, ids=lambda rate: rate.__name__)
def test_a_list_of_a_whole_cycle_is_named(rate: Callable[[int], float]) -> None:
    found = identify_schedule([rate(t) for t in range(40)])
    assert str(found) == f"the list follows {CYCLES[rate]}"
    assert not identify_schedule([rate(t) * (1 + 1e-6 * (t == 20)) for t in range(40)]).named


BESIDE = {"NoamLR": "from_one", "CosineLRScheduler": "one_behind", "PolyLRScheduler": "one_behind"}
"""Timings that take long; others of the same schedules are asked each time."""


@pytest.mark.one_in(6)
@pytest.mark.parametrize("name", CUSTOMARY)
def test_a_list_is_named_by_what_gives_it(name: str) -> None:
    """Some are; whatever is named gives the rates, and those that follow them."""
    schedule = CUSTOMARY[name]
    assert sum(fits_of(schedule, t) for t in schedule.timings if t.name != BESIDE.get(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", BESIDE)
def test_a_list_that_takes_long_is_named_by_what_gives_it(name: str) -> None:
    """Or not at all."""
    schedule = CUSTOMARY[name]
    (timing,) = (one for one in schedule.timings if one.name == BESIDE[name])
    fits_of(schedule, timing)


def fits_of(schedule: Schedule, timing: Timing) -> int:
    """How many are found for some lists of rates, each of which gives the others as well."""
    found: list[Any] = []

    @settings(max_examples=2, derandomize=True)
    @given(plans.settings(schedule))
    def named(drawn: Any) -> None:
        found.extend(fits_of_one(timing, drawn))

    named()
    return len(found)


def fits_of_one(timing: Timing, drawn: Any) -> tuple[Any, ...]:
    rates = [float(timing.rate(t, 0.5, drawn)) for t in range(40)]
    found = identify_schedule(rates[:30])
    for fit in found.fits:
        made = fit.schedule.settings(**fit.settings)
        start = 0.5 if fit.base is None else fit.base  # which plays no part in a cycle
        by_epoch = dict(enumerate(rates, fit.ahead))
        assert holds(fit.schedule, fit.timing, made, start, by_epoch), str(found)
    return found.fits


@pytest.mark.parametrize("code", customary.NAMED, ids=lambda code: code.__name__)
def test_what_people_write_is_named(code: Any) -> None:
    assert str(oracles.identify(code)) == f"{code.__name__} follows {customary.NAMED[code]}"


@pytest.mark.parametrize("code", customary.MADE, ids=lambda code: code.__name__)
def test_what_makes_a_scheduler_is_named(code: Any) -> None:
    assert str(oracles.identify(code)) == f"{code.__name__} follows {customary.MADE[code]}"


@pytest.mark.one_in(2)
@pytest.mark.parametrize("code", customary.OFF, ids=lambda code: code.__name__)
def test_what_is_off_is_not_named(code: Any) -> None:
    found = identify_schedule(code)
    assert not found.named, str(found)
    assert not found.fault


@pytest.mark.one_in(16)
@pytest.mark.parametrize(
    "code", slow(customary.NAMED, customary.paper), ids=lambda code: code.__name__
)
def test_a_list_with_a_wrong_digit_is_not_named(code: Any) -> None:
    """In the decay."""
    given = {"num_warmup_steps": 7, "num_training_steps": 33, "num_cycles": 2, "min_lr": 1e-5}
    given |= {"model_size": 512, "factor": 1.0, "warmup_steps": 7}
    given |= {"num_stable_steps": 5, "num_decay_steps": 12}
    names = code.__code__.co_varnames[2 : code.__code__.co_argcount]
    rates = [float(code(t, 1e-3, **{n: given[n] for n in names})) for t in range(35)]
    assert oracles.identify(rates).named
    rates[20] *= 1 + 1e-6
    assert not oracles.identify(rates).named


def test_names_are_those_of_one_schedule() -> None:
    assert len(KNOWN) == len({schedule.name for schedule in KNOWN.values()})
    assert not any(schedule.home for schedule in CUSTOMARY.values())
