"""Schedules of one's own: is it named what they follow, and told what they get wrong?"""

from __future__ import annotations

import inspect
import json
import math
import sys
from collections.abc import Callable, Sequence
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jsonschema import Draft202012Validator
from packaging.version import Version

import oracles
from oracles import cli
from oracles.commands.command import in_options
from oracles.harness.evidence.settings import DRAWS
from oracles.harness.loop.catalogue import EDITS, LATE
from oracles.harness.loop.changing import TOLD
from oracles.harness.loop.own import CONSTRUCTED, LATER, promises
from oracles.harness.loop.plateaus import MACHINE
from oracles.harness.loop.rating import KEPT
from oracles.harness.loop.resuming import RESUME, TWICE
from oracles.harness.loop.scheduling import EDGES, JUMPS, RATES
from oracles.harness.promise import Line, Word
from oracles.harness.runs.confined import REST, Lost, at_once, late
from oracles.harness.subjects import schedulers
from oracles.harness.subjects.scheduled import FAR, MOST
from oracles.schedule_checking import ScheduleInquiry, ScheduleReport, reported
from oracles.schedules.composed import Single
from oracles.schedules.registry import SCHEDULES
from oracles.schedules.schedule import Schedule, Timing
from oracles.scheduling import identify_schedule
from tests.support import clock, marks, schedules
from tests.support.marks import BY_NAME, skip_before

PACKAGE = Path(oracles.__file__).parent
CHECKED = Draft202012Validator(json.loads((PACKAGE / "reports/schedule.schema.json").read_bytes()))
IDENTIFIED = Draft202012Validator(
    json.loads((PACKAGE / "reports/identification.schema.json").read_bytes())
)

TIMINGS = [(schedule, timing) for schedule in SCHEDULES.values() for timing in schedule.timings]


def function(schedule: Schedule, timing: Timing) -> Any:
    """The rate at epoch t, as a function of the base rate and all settings."""

    def rate(t: int, base: float, **settings: Any) -> Any:
        if "lr_lambda" in settings:
            values = settings.pop("lr_lambda")
            settings["factors"] = [values(i) for i in range(64)]
        return timing.rate(t, base, schedule.settings(**settings))

    names = ["lr_lambda" if name == "factors" else name for name in schedule.draws]
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    each = [inspect.Parameter(name, kind) for name in ("t", "base", *names)]
    rate.__signature__ = inspect.Signature(each)  # type: ignore[attr-defined]
    return rate


@pytest.mark.one_in(3)
@pytest.mark.parametrize(("schedule", "timing"), TIMINGS, ids=lambda one: getattr(one, "name", ""))
def test_a_function_of_the_epoch_follows_its_timing(schedule: Schedule, timing: Timing) -> None:
    found = identify_schedule(function(schedule, timing), [schedule.name])
    assert [fit.timing.name for fit in found.fits] == [timing.name]
    assert found.torchs == (timing is schedule.torch)


@pytest.mark.parametrize("name", SCHEDULES)
def test_torchs_own_classes_follow_torch(name: str) -> None:
    if not schedulers.there(name):
        pytest.skip(f"this torch has no {name}")
    found = oracles.identify(getattr(schedulers.home(name), name))
    assert found.torchs
    assert str(found) == f"{name} follows {name}'s {SCHEDULES[name].torch.name}"


@pytest.mark.one_in(4)
@pytest.mark.parametrize("name", marks.slow(SCHEDULES, "MultiplicativeLR"))
def test_what_makes_a_scheduler_shows_its_settings(name: str) -> None:
    if not schedulers.there(name):
        pytest.skip(f"this torch has no {name}")
    schedule = SCHEDULES[name]
    settings = schedule.settings()
    if "factors" in settings._fields:  # which no other schedule has
        settings = settings._replace(factors=(1.0, 0.25, 0.8, 0.3))

    def made(optimizer: Any) -> Any:
        return schedulers.build(Single(schedule, settings), optimizer)

    (fit,) = identify_schedule(made).fits
    told = settings._asdict() | (
        {"factors": fit.settings["factors"]} if "factors" in settings._fields else {}
    )
    assert (fit.schedule, fit.torchs) == (schedule, True)
    numbers = {name for name, value in told.items() if isinstance(value, float)}
    assert {n: float(fit.settings[n]) for n in numbers} == pytest.approx(
        {n: told[n] for n in numbers}, rel=2**-50, abs=0
    )
    assert {n: v for n, v in fit.settings.items() if n not in numbers} == {
        n: v for n, v in told.items() if n not in numbers
    }


def cosine(t: float, whole: float) -> float:
    return (1 + math.cos(math.pi * t / whole)) / 2


WSD = "get_wsd_schedule's from_zero with num_warmup_steps=5"
ROOT = "get_inverse_sqrt_schedule's flat_from_one"
LISTS: list[tuple[Sequence[float], str]] = [
    (  # which ends where it began to fall
        [0.1 * t / 5 if t < 5 else 0.1 * cosine(t - 5, 12.5) for t in range(31)],
        "get_cosine_schedule_with_warmup's from_zero with num_warmup_steps=5, "
        "num_training_steps=30, num_cycles=1 from 0.1",
    ),
    (
        [0.1 * 0.3 ** sum(m <= t for m in (3, 3, 3, 8)) for t in range(20)],
        "MultiStepLR's from_milestone with milestones=(3, 3, 3, 8), gamma=0.3 from 0.1 or "
        "ReduceLROnPlateau, by a metric",
    ),
    (  # of which milestones are a way to write it
        [0.1 * 0.5 ** ((t + 1) // 5) for t in range(18)],
        "StepLR's counted_from_one with step_size=5, gamma=0.5 from 0.1",
    ),
    (  # a log of all 18 steps, which ends before the rate does; and with a floor
        [0.1 * min(t / 5, 1, (18 - t) / 6) for t in range(18)],
        f"{WSD}, num_decay_steps=6, num_stable_steps=7, warmup_type=linear, decay_type=linear, "
        "min_lr_ratio=0 from 0.1",
    ),
    (
        [0.1 * (0.1 + 0.9 * min(t / 5, cosine(max(t - 12, 0), 6))) for t in range(18)],
        f"{WSD}, num_decay_steps=6, num_stable_steps=7, warmup_type=linear, decay_type=cosine, "
        "min_lr_ratio=0.1, num_cycles=0.5 from 0.1",
    ),
    (
        [0.1 * math.sqrt(10_000 / (t + 10_000)) for t in range(40)],
        "get_inverse_sqrt_schedule's from_zero with num_warmup_steps=0, timescale=None from 0.1",
    ),
    (
        [0.1, 0.1, 0.01, 0.01, 0.001, 0.001],
        "StepLR's staircase with step_size=2, gamma=0.1 from 0.1",
    ),
    ([0.1 * 0.9**t for t in range(12)], "ExponentialLR's per_epoch with gamma=0.9 from 0.1"),
    (
        [0.5 / (1 + 0.25 * t) for t in range(12)],
        "ExponentialLR's inverse_time with gamma=0.75 from 0.5",
    ),
    ([0.1 / (1 + t) for t in range(9)], "ExponentialLR's inverse_time with gamma=0 from 0.1"),
    (
        [0.1 / (1 + 2 * t) for t in range(9)],
        "ExponentialLR's inverse_time with 1 − gamma=2 from 0.1",
    ),
    ([0.1] * 5 + [0.0] * 5, "StepLR's staircase with step_size=5, gamma=0 from 0.1"),
    ([1e308, 5e307, 2.5e307, 1.25e307], "ExponentialLR's per_epoch with gamma=0.5 from 1e+308"),
    (
        [0.3 * 0.1 ** sum(m <= t for m in (3, 4, 9)) for t in range(12)],
        "MultiStepLR's from_milestone with milestones=(3, 4, 9), gamma=0.1 from 0.3 "
        "or ReduceLROnPlateau, by a metric",
    ),
    ([0.05] * 3 + [0.2] * 5, "ConstantLR's constant with factor=0.25, total_iters=3 from 0.2"),
    (
        [0.2 * (0.25 + 0.75 * min(t, 5) / 5) for t in range(9)],
        "LinearLR's from_zero with start_factor=0.25, end_factor=1, total_iters=5 from 0.2",
    ),
    (  # which torch takes; a start of 10 times the last rate it does not
        [0.1 * (1 - 0.9 * min(t, 8) / 8) for t in range(12)],
        "LinearLR's from_zero with start_factor=1, end_factor=0.1, total_iters=8 from 0.1",
    ),
    (  # Keras' PolynomialDecay
        [0.099 * (1 - min(t, 40) / 40) ** 2 + 0.001 for t in range(45)],
        "PolyLRScheduler's by_epoch with t_initial=40, power=2, lr_min=0.001, warmup_t=0 from 0.1",
    ),
    (
        [0.3 * (1 - min(t, 8) / 8) ** 0.9 for t in range(10)],
        "PolynomialLR's to_zero with total_iters=8, power=0.9 from 0.3",
    ),
    (
        [0.01 + 0.29 * cosine(t, 7) for t in range(12)],
        "CosineAnnealingLR's to_floor with T_max=7, eta_min=0.01 from 0.3",
    ),
    (
        [0.01 + 0.29 * cosine(min(t, 7), 7) for t in range(12)],
        "CosineAnnealingLR's stays_at_floor with T_max=7, eta_min=0.01 from 0.3",
    ),
    (
        [0.3 * cosine(t % 4, 4) for t in range(12)],
        "CosineAnnealingWarmRestarts's restart_before_floor "
        "with T_0=4, T_mult=1, eta_min=0 from 0.3",
    ),
    (
        [1e-3 * t / 10 if t < 10 else 1e-3 * cosine(t - 10, 40) for t in range(50)],
        "get_cosine_schedule_with_warmup's from_zero with num_warmup_steps=10, "
        "num_training_steps=50, num_cycles=0.5 from 0.001",
    ),
    (
        [1e-3 * (1 + t) / 5 if t < 4 else 1e-3 * cosine(t - 4, 40) for t in range(50)],
        "get_cosine_schedule_with_warmup's from_zero with num_warmup_steps=5, "
        "num_training_steps=45, num_cycles=0.5 from 0.001, one epoch ahead",
    ),
    (
        [1e-3 * (1 + 2.25 * t) / 10 if t < 4 else 1e-3 * cosine(t - 4, 40) for t in range(50)],
        "SequentialLR(LinearLR(start_factor=0.1, end_factor=1.0, total_iters=4), "
        "CosineAnnealingLR(T_max=40, eta_min=0.0), milestones=(4,))",
    ),
    (  # which is at its top twice
        [0.1 * (t + 1) / 5 if t < 5 else 0.1 * 0.95 ** (t - 5) for t in range(20)],
        "SequentialLR(LinearLR(start_factor=0.2, end_factor=1.0, total_iters=4), "
        "ExponentialLR(gamma=0.95), milestones=(5,))",
    ),
    (  # Keras' own example
        [0.1 * 0.9 ** max(t - 9, 0) for t in range(24)],
        "SequentialLR(ConstantLR(factor=1.0, total_iters=5), ExponentialLR(gamma=0.9), "
        "milestones=(9,))",
    ),
    ([0.1 * (t + 1) ** -0.5 for t in range(30)], f"{ROOT} with num_warmup_steps=1 from 0.1"),
    (
        torch.tensor([0.1 * 0.95**t for t in range(20)]).tolist(),
        "ExponentialLR's per_epoch with gamma=0.95 from 0.1",
    ),
]
"""Rates as a log has them, and what is said of them."""


def one_cycle(
    t: int, whole: int, up: float, way: Callable[[float], float], three: int = 0
) -> float:
    """From 0.004 up to 0.1, down (by way of 0.004, if there are three phases) to 4e-7."""
    turns = [0.0, up - 1, *[2 * up - 2] * three, whole - 1.0]
    rates = [0.004, 0.1, *[0.004] * three, 4e-7]
    phase = sum(t > turn for turn in turns[1:-1])
    part = (t - turns[phase]) / (turns[phase + 1] - turns[phase])
    return rates[phase] + (rates[phase + 1] - rates[phase]) * way(part)


def on_a_cosine(part: float) -> float:
    return 1 - cosine(part, 1)


def on_a_line(part: float) -> float:
    return part


def toothed(t: int, down: int, by_cycle: float = 1.0, by_step: float = 1.0) -> float:
    """Up in 6 steps from 0.01 to 0.07."""
    cycle, t_in = divmod(t, 6 + down)
    height = t_in / 6 if t_in <= 6 else 1 - (t_in - 6) / down
    return 0.01 + 0.06 * height * by_cycle**cycle * by_step**t


RISE = "OneCycleLR's one_cycle with max_lr=0.1, anneal_strategy="
CYCLE = RISE.replace("anneal", "total_steps=60, pct_start={}, anneal")
SAW = "CyclicLR's from_base with base_lr=0.01, max_lr=0.07, step_size_up=6, step_size_down="

CUT: dict[str, tuple[list[float], str]] = {
    "up to a top": (
        [one_cycle(t, 60, 21, on_a_cosine) for t in range(9)],
        f"begins as {RISE}cos, div_factor=25, pct_start × total_steps=21",
    ),
    "a step past a top": (
        [one_cycle(t, 60, 21, on_a_cosine) for t in range(22)],
        f"begins as {RISE}cos, div_factor=25, three_phase=False, pct_start × total_steps=21",
    ),
    "past a top": (
        [one_cycle(t, 60, 21, on_a_cosine) for t in range(30)],
        f"follows {CYCLE.format(0.35)}cos, div_factor=25, final_div_factor=10000, "
        "three_phase=False",
    ),
    "a top between two steps": (
        [one_cycle(t, 60, 20, on_a_cosine) for t in range(60)],
        f"follows {CYCLE.format(0.333333333333)}cos, div_factor=25, final_div_factor=10000, "
        "three_phase=False",
    ),
    "a top at once": (
        [one_cycle(t, 60, 2.4, on_a_cosine) for t in range(60)],
        f"follows {CYCLE.format(0.04)}cos, div_factor=25, final_div_factor=10000, "
        "three_phase=False",
    ),
    "as far down as up": (
        [one_cycle(t, 60, 21, on_a_cosine, three=1) for t in range(35)],
        f"begins as {RISE}cos, div_factor=25, pct_start × total_steps=21",
    ),
    "in the last phase": (
        [one_cycle(t, 60, 21, on_a_cosine, three=1) for t in range(50)],
        f"follows {CYCLE.format(0.35)}cos, div_factor=25, final_div_factor=10000, three_phase=True",
    ),
    "on lines": (
        [one_cycle(t, 60, 21, on_a_line) for t in range(30)],
        f"begins as {RISE}linear, div_factor=25, three_phase=False, pct_start × total_steps=21",
    ),
    "hardly past a top": (
        [one_cycle(t, 60, 21, on_a_line) for t in range(23)],
        "follows no known schedule (72 were ruled out)",
    ),
    "on lines, whole": (
        [one_cycle(t, 60, 21, on_a_line) for t in range(60)],
        f"follows {CYCLE.format(0.35)}linear, div_factor=25, final_div_factor=10000, "
        "three_phase=False",
    ),
    "a saw": ([toothed(t, 3) for t in range(9)], f"begins as {SAW}3"),
    "a saw and more": (
        [toothed(t, 3, by_cycle=0.5) for t in range(12)],
        f"follows {SAW}3, mode=triangular2",
    ),
    "a saw that fades": (
        [toothed(t, 3, by_step=0.99) for t in range(9)],
        f"follows {SAW}3, mode=exp_range, gamma=0.99",
    ),
    "a tooth that fades": (
        [toothed(t, 3, by_step=0.99) for t in range(6)],
        "begins as CyclicLR's from_base with base_lr=0.01, mode=exp_range, gamma=0.99",
    ),
    "of a long cosine": (
        [0.001 + 0.099 * cosine(t, 1000) for t in range(12)],
        "follows CosineAnnealingLR's to_floor with T_max=1000, eta_min=0.001 from 0.1",
    ),
    "nearly a cosine": (
        [0.1 * cosine(t, 100) for t in range(100)],
        "follows CosineAnnealingLR's to_floor with T_max=100, eta_min=0 from 0.1",
    ),
    "of a power": (
        [0.1 * (1 - t / 100) ** 2 for t in range(10)],
        "follows PolynomialLR's to_zero with total_iters=100, power=2 from 0.1",
    ),
    "of timm's": (
        [1e-6 + 1.998e-4 * t if t < 5 else 1e-5 + 0.00099 * cosine(t, 90) for t in range(30)],
        "follows CosineLRScheduler's by_epoch with t_initial=90, lr_min=1e-05, warmup_t=5, "
        "warmup_lr_init=1e-06, warmup_prefix=False from 0.001",
    ),
    "a ramp": (
        [0.01 * (t + 1) for t in range(8)],
        "rises by 0.01 a step from 0.01: so begin LinearLR, CyclicLR, OneCycleLR and every warm-up",
    ),
    "a ramp whose first rate is there twice": (
        [0.01, *(0.01 * (t + 1) for t in range(8))],
        "rises by 0.01 a step from 0.01: so begin LinearLR, CyclicLR, OneCycleLR and every warm-up",
    ),
    "downhill, the first rate twice": (
        [0.1, *(0.1 - 0.01 * t for t in range(6))],
        "falls by 0.01 a step from 0.1: so begin LinearLR, PolynomialLR with power=1 and others",
    ),
    "downhill": (
        torch.tensor([0.1 - 0.001 * t for t in range(9)]).tolist(),
        "falls by 0.00100000016391 a step from 0.10000000149: so begin LinearLR, PolynomialLR "
        "with power=1 and others",
    ),
    "even": ([0.1] * 9, "stays at 0.1: so does every schedule until it begins to change it"),
    "a plateau that falls at once": (
        [0.1, 0.2, 0.3, 0.4, *[0.5] * 4, *[0.0] * 9],
        "follows get_wsd_schedule's from_zero with num_warmup_steps=5, num_decay_steps=1, "
        "num_stable_steps=3, warmup_type=linear, min_lr_ratio=0 from 0.5, one epoch ahead",
    ),
    "down to the smallest numbers": (
        [0.1, 0.2, 0.3, 0.25, 0.15, 1e-313],
        "follows no known schedule (72 were ruled out)",
    ),
    "down and back but for a rounding": (
        [0.1, 0.05, 0.02, 0.05, math.nextafter(0.1, 0)],
        "follows no known schedule (72 were ruled out)",
    ),
    "a ramp and hardly more": (
        [toothed(t, 3) for t in range(8)],
        "follows no known schedule (72 were ruled out)",
    ),
}
"""Rates that end before their schedule does; where it ended would be told by more of them."""


@pytest.mark.one_in(4)
@pytest.mark.parametrize("what", CUT)
def test_rates_that_are_cut_short_are_no_more_than_they_tell(what: str) -> None:
    rates, said = CUT[what]
    found = oracles.identify(rates)
    assert str(found) == f"the list {said}"
    assert not list(IDENTIFIED.iter_errors(found.to_json()))


def test_what_is_not_told_is_said_to_be() -> None:
    found = identify_schedule(CUT["up to a top"][0])
    assert found.fits[0].open == ("total_steps", "pct_start", "final_div_factor", "three_phase")
    said = ", ".join(found.fits[0].open)
    assert f"Not told by these rates, which end before it shows: {said}." in [*found.remarks()]


def test_of_a_first_period_is_not_said_how_long_the_next_one_is() -> None:
    told = [*identify_schedule(CUT["nearly a cosine"][0]).remarks()]
    also = "CosineAnnealingWarmRestarts's restart_before_floor with T_0=100, eta_min=0 from 0.1"
    assert told[-1] == f"These rates are also those of {also}."


def test_what_is_the_same_by_algebra_is_told_once() -> None:
    """A share of 0 is a floor of 0."""
    floored = identify_schedule([0.3 * cosine(min(t, 7), 7) for t in range(12)])
    assert [fit.timing.name for fit in floored.fits] == ["stays_at_floor"]


@pytest.mark.slow
def test_what_may_be_is_told_by_what_is_usual() -> None:
    """Half a cycle of 15 steps, not a whole one of 30."""
    rates = written(lambda t: 0.1 * (t / 5 if t < 5 else cosine(t - 5, 15)), 18, ".4f")
    such = "num_training_steps (such as 20), num_cycles (such as 0.5)."
    assert [*identify_schedule(rates).remarks()][-1].endswith(such)


@pytest.mark.one_in(3)
@pytest.mark.parametrize(("rates", "expected"), LISTS, ids=lambda one: str(one)[:24])
def test_a_list_of_rates_is_read(rates: Sequence[float], expected: str) -> None:
    """Also one that was kept in float32, and one with a warm-up before something else."""
    assert str(oracles.identify([*rates])) == f"the list follows {expected}"


def written(rate: Callable[[int], float], count: int, digits: str) -> list[float]:
    """As somebody reads them from a log."""
    return [float(f"{rate(t):{digits}}") for t in range(count)]


END, RAMP = "a cosine that may end at any time", "a ramp and a cosine that may have ended"

ROUNDED: dict[str, tuple[list[float], str]] = {
    "by hand": (
        [0.1, 0.095, 0.09025, 0.0857],
        "follows ExponentialLR's per_epoch with gamma=0.95 from 0.1 or PolyLRScheduler's by_epoch "
        "with t_initial=59, power=3, lr_min=0, warmup_t=1, warmup_lr_init=0.1, warmup_prefix=True "
        "from 0.095",
    ),
    "four decimals": (
        written(lambda t: 0.1 * 0.95**t, 30, ".4f"),
        "follows ExponentialLR's per_epoch with gamma=0.95 from 0.1",
    ),
    "a cosine to a floor": (
        written(lambda t: 0.004 + 0.096 * cosine(t, 8), 9, ".4f"),
        "follows CosineAnnealingLR's to_floor with T_max=8, eta_min=0.004 from 0.1",
    ),
    "the rise of a cycle": (
        written(lambda t: one_cycle(t, 60, 21, on_a_cosine), 12, ".4f"),
        f"begins as {RISE}cos, div_factor=25, pct_start × total_steps=21",
    ),
    "a cycle": (
        written(lambda t: one_cycle(t, 30, 9, on_a_cosine), 30, ".4f"),
        f"begins as {CYCLE.format(0.3).replace('60', '30')}cos, div_factor=25, three_phase=False",
    ),
    "a cycle on lines": (
        written(lambda t: one_cycle(t, 20, 6, on_a_line), 20, ".6f"),
        f"begins as {CYCLE.format(0.3).replace('60', '20')}linear, div_factor=25, "
        "three_phase=False",
    ),
    "four digits": (
        written(lambda t: 0.1 / (1 + 0.1 * t), 20, ".4g"),
        "follows ExponentialLR's inverse_time with gamma=0.9 from 0.1",
    ),
    "a cosine": (
        written(lambda t: 0.1 * cosine(t, 20), 21, ".4g"),
        "follows CosineAnnealingLR's to_floor with T_max=20, eta_min=0 from 0.1",
    ),
    END: (
        written(lambda t: 0.1 * cosine(t, 40), 12, ".4f"),
        "begins as CosineAnnealingLR's to_floor from 0.1 or CosineAnnealingLR's per_batch with "
        "T_max=78, eta_min=0.0048 from 0.100004 or CosineAnnealingWarmRestarts's per_batch with "
        "T_0=78, eta_min=0.0048 from 0.100004",
    ),
    RAMP: (
        written(lambda t: 1e-3 * (t / 10 if t < 10 else cosine(t - 10, 40)), 50, ".4g"),
        "begins as get_cosine_schedule_with_warmup's from_zero with num_warmup_steps=10 from 0.001",
    ),
    "a line": (
        written(lambda t: 0.1 * (1 - t / 30), 20, ".4f"),
        "falls by 0.00333 a step from 0.1: so begin LinearLR, PolynomialLR with power=1 and others",
    ),
    "a wrong digit": (
        [0.1, 0.09, 0.081, 0.0729, 0.0656, 0.0591, 0.0431, 0.0478],
        "follows no known schedule (72 were ruled out)",
    ),
    "too few digits": ([0.1, 0.2, 0.1, 0.2, 0.3], "follows no known schedule (72 were ruled out)"),
}
"""Rates of which some digits are not there, and what those that are tell."""


@pytest.mark.slow
@pytest.mark.parametrize("what", marks.slow(ROUNDED, END, RAMP, "a cosine", "by hand"))
def test_rates_are_read_to_their_digits(what: str) -> None:
    rates, said = ROUNDED[what]
    read = "" if "no known" in said else ", read to its digits,"
    found = oracles.identify(rates)
    assert str(found) == f"the list{read} {said}"
    assert not list(IDENTIFIED.iter_errors(found.to_json()))


@pytest.mark.slow
def test_so_are_those_of_a_function() -> None:
    rates = written(lambda t: 0.1 * 0.9**t, 20, ".4f")
    followed = "ExponentialLR's per_epoch with gamma=0.9 from 0.1"
    found = oracles.identify(lambda t: rates[t])
    assert str(found) == f"<lambda>, read to its digits, follows {followed}"


@pytest.mark.slow
def test_of_a_ramp_that_is_read_late_the_usual_name_comes_first() -> None:
    """As logs that begin with the rate after a step have it; what torch has beside it is said."""

    def linear(step: int, base: float = 1e-3) -> float:
        return base * min((step + 1) / 10, max(0, 99 - step) / 90)

    told = "with num_warmup_steps=10, num_training_steps=100"
    usual = f"follows get_linear_schedule_with_warmup's from_zero {told}"
    others = {60: "CyclicLR", 99: "OneCycleLR", 100: "SequentialLR"}
    for count, other in others.items():
        found = identify_schedule([linear(t) for t in range(count)])
        assert str(found) == f"the list {usual} from 0.001, one epoch ahead"
        assert other in [*found.remarks()][-1]
    ahead = identify_schedule(lambda step, lr: linear(step, lr))
    assert str(ahead) == f"<lambda> {usual}, one epoch ahead"


@pytest.mark.parametrize(
    "kind",
    [np.array, torch.tensor, lambda rates: [*np.array(rates)], lambda rates: [*map(str, rates)]],
)
def test_so_are_rates_in_an_array(kind: Callable[[list[float]], Any]) -> None:
    found = oracles.identify(kind([0.5**t for t in range(6)]))
    assert str(found) == "the list follows ExponentialLR's per_epoch with gamma=0.5 from 1"


@pytest.mark.slow
@pytest.mark.parametrize(
    "rates",
    [
        [0.1 * (t + 1) ** -0.4 for t in range(30)],
        [0.1 + 0.01 * (t * t % 7) for t in range(30)],
        [-0.1 * t for t in range(9)],
        [0.1 - 0.02 * t for t in range(9)],
    ],
    ids=["another root", "at random", "below zero", "falling below zero"],
)
def test_what_is_in_no_registry_is_not_named(rates: list[float]) -> None:
    found = oracles.identify(rates)
    assert not found.named
    assert "follows no known schedule" in str(found)


def test_a_list_is_what_a_wrong_digit_makes_it() -> None:
    """One rate in twelve that is off by a millionth."""
    rates = [0.1 * 0.9**t for t in range(12)]
    rates[7] *= 1.000001
    assert not oracles.identify(rates).named


def by_factors(factor: Callable[[int], float]) -> Callable[[Any], Any]:
    return lambda optimizer: torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def floored_after_a_ramp(t: int) -> float:
    return t / 4 if t < 4 else 0.9 * cosine(t - 4, 20) + 0.1


@pytest.mark.parametrize(
    ("factor", "follows"),
    [
        (
            lambda t: 0.9 * cosine(t, 20) + 0.1,
            "CosineAnnealingLR's floor_as_share with T_max=20, eta_min=0.1",
        ),
        (
            floored_after_a_ramp,
            "get_cosine_with_min_lr_schedule_with_warmup's floor_as_share with num_warmup_steps=4, "
            "num_training_steps=24, num_cycles=0.5, min_lr=0.1",
        ),
    ],
    ids=["at once", "after a ramp"],
)
def test_a_floor_that_is_a_share_is_no_rate(factor: Any, follows: str) -> None:
    """At one base rate alone it may be either."""
    found = identify_schedule(by_factors(factor), [follows.partition("'")[0]])
    assert str(found) == f"<lambda> follows {follows}"


def test_where_a_scheduler_ends_is_told() -> None:
    found = identify_schedule(by_factors(lambda t: (1 - t / 50) ** 0.9), ["PolynomialLR"])
    assert str(found) == "<lambda> follows PolynomialLR's to_zero with total_iters=50, power=0.9"
    assert any(said.startswith("At epoch 51 it raises TypeError") for said in found.remarks())


@pytest.mark.slow
def test_what_no_schedule_takes_is_left_as_it_is_by_default() -> None:
    """Rates that end, and arguments that go together in no schedule, are no fault."""

    def root(it: int, power: float = 0.9) -> Any:
        return 0.01 * (1 - it / 60) ** power

    def inverse(it: int, base_lr: float = 0.1, gamma: float = 0.1, power: float = 0.5) -> Any:
        return base_lr / (1 + gamma * it) ** power

    found = identify_schedule(root, ["PolynomialLR"])
    assert str(found).partition(" ")[2] == (
        "follows PolynomialLR's to_zero with total_iters=60, power=0.9 from 0.01"
    )
    assert any(said.startswith("At epoch 61 it raises TypeError") for said in found.remarks())
    assert not identify_schedule(inverse, ["StepLR"]).fault


def test_a_line_that_takes_its_end_is_told_to_go_on_below_0() -> None:
    def line(t: int, lr: float, T: int) -> float:
        return lr * (1 - t / T)

    found = identify_schedule(line, ["PolynomialLR"])
    assert str(found) == "line follows PolynomialLR's to_zero, but past T it goes below 0"


@pytest.mark.slow
def test_of_a_base_rate_that_is_left_as_it_is_an_epoch_is_told() -> None:
    def line(t: int, lr: float = 1e-3) -> float:
        return lr * (1 - t / 50)

    assert str(identify_schedule(line)) == (
        "line, called with its defaults, begins as PolynomialLR's to_zero with total_iters=50, "
        "power=1 from 0.001 up to epoch 50, then goes on otherwise"
    )


@pytest.mark.slow
def test_what_holds_longer_than_it_is_looked_at_is_not_cut() -> None:
    """A ramp and a root, with a floor where nobody trains."""

    def rate(t: int) -> float:
        return 1e-3 * t / 10 if t < 10 else max(1e-5, 1e-3 * math.sqrt(10 / t))

    told = str(identify_schedule(rate))
    assert "up to epoch 200 and more, then goes on otherwise" in told


def test_a_ramp_from_0_is_none_that_torch_builds() -> None:
    rates = [1e-3 * t / 7 for t in range(8)] + [1e-3 * cosine(t, 32) for t in range(20)]
    found = oracles.identify(rates)
    assert str(found).endswith("milestones=(8,)), but torch's LinearLR cannot start at 0")
    assert not found.torchs


def test_one_fall_is_the_beginning_of_no_schedule() -> None:
    rates = [0.1] * 30 + [0.05] * 30 + [0.01] * 30
    assert "follows no known schedule" in str(oracles.identify(rates))


@pytest.mark.slow
def test_milestones_are_told_up_to_a_floor() -> None:
    def rate(t: int) -> float:
        return max(0.1 ** sum(m <= t for m in (81, 121, 161)), 5e-3)

    told = str(identify_schedule(rate))
    assert "MultiStepLR's from_milestone with milestones=(81, 121), gamma=0.1 from 1 up" in told


CUTS = (2, 3, 5, 8, 9, 11, 12, 15, 16, 18, 21, 22, 24)
PLATEAU = [0.1 * 0.5 ** sum(m <= t for m in CUTS) for t in range(26)]
"""Rates that fall so often as nobody writes milestones down, and not evenly."""


def unevenly(*places: int, floor: str = "") -> str:
    at = f"at epochs {', '.join(map(str, places))}{floor}"
    own = "so do ReduceLROnPlateau, by a metric, and MultiStepLR, by milestones that are given"
    return f"falls by the factor 0.5 {at}, and no schedule of epochs alone says when: {own}"


PARTLY: dict[str, tuple[list[float], str]] = {
    "by a metric": (PLATEAU, unevenly(*CUTS)),
    "to a floor": (
        [max(rate, 1e-4) for rate in PLATEAU],
        unevenly(*CUTS[:9], floor=" and to 0.0001 at 18"),
    ),
    "evenly, but for the first": (
        [max(0.5 ** sum(m <= t for m in (9, 13, 17, 19)), 0.1) for t in range(24)],
        unevenly(9, 13, 17, floor=" and to 0.1 at 19"),
    ),
    "a line that ends elsewhere": (
        [0.99 * (1 - t / 50) + 0.01 for t in range(60)],
        "falls by 0.0198 a step from 1: so begin LinearLR, PolynomialLR with power=1 and others; "
        "at epoch 51 it goes below 0",
    ),
    "a log of few digits": (
        [float(f"{rate:.3g}") for rate in PLATEAU],
        f", read to its digits, {unevenly(*CUTS)}",
    ),
    "a cosine, then even": (
        [0.1 * cosine(t, 20) for t in range(15)] + [0.01] * 9,
        "begins as CosineAnnealingLR's to_floor with T_max=20, eta_min=0 from 0.1 up to epoch 14, "
        "then stays at 0.01",
    ),
    "a decay that was rounded, then even": (
        [float(f"{max(0.1 * 0.8**t, 0.02):.4f}") for t in range(15)],
        ", read to its digits, begins as ExponentialLR's per_epoch with gamma=0.8 from 0.1 up to "
        "epoch 7, then stays at 0.02",
    ),
    "a last rate of its own": (
        [*(0.1 * 0.9**t for t in range(20)), 0.001],
        "begins as ExponentialLR's per_epoch with gamma=0.9 from 0.1 up to epoch 19, then goes on "
        "otherwise",
    ),
    "a wrong digit late": (
        [0.1 * 0.9**t * (1 + 1e-6 * (t == 17)) for t in range(30)],
        "begins as ExponentialLR's per_epoch with gamma=0.9 from 0.1 up to epoch 16, then goes on "
        "otherwise",
    ),
    "a line that goes on below 0": (
        [0.01 * (1 - t / 20) for t in range(30)],
        "begins as PolynomialLR's to_zero with total_iters=20, power=1 from 0.01 up to epoch 20, "
        "then goes on otherwise",
    ),
}


@pytest.mark.one_in(8)
@pytest.mark.parametrize("what", PARTLY)
def test_of_what_no_schedule_is_whole_it_is_said_what_is_seen(what: str) -> None:
    rates, said = PARTLY[what]
    found = oracles.identify(rates)
    assert str(found).removeprefix("the list").strip() == said
    assert not found.named
    assert not list(IDENTIFIED.iter_errors(found.to_json()))


@pytest.mark.slow
def test_of_a_function_with_a_base_rate_no_epoch_is_told() -> None:
    """For another base rate the floor is met at another one."""

    def floored(t: int, lr: float = 0.1) -> float:
        return [max(lr * 0.9**t, 0.01) for t in range(40)][t]

    told = str(identify_schedule(lambda t: floored(t)))
    assert "up to epoch 21, then stays at 0.01" in told
    assert not identify_schedule(lambda t, lr: floored(t, lr)).line


def plateau(optimizer: Any) -> Any:
    return torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=3)


@pytest.mark.parametrize("make", [plateau, torch.optim.lr_scheduler.ReduceLROnPlateau])
def test_what_goes_by_a_metric_is_no_schedule_of_epochs(make: Any) -> None:
    """Handed epochs for metrics it would cut its rate by milestones."""
    assert identify_schedule(make).fault.startswith("it goes by a metric, and by no epoch")


@pytest.mark.parametrize(
    "rates",
    [[1e-300, 1, 1e-8, 1e154, 1e-310], [1.7e308, 0.1, 1.7e308, 1e300]],
    ids=str,
)
def test_whatever_numbers_somebody_writes_are_answered(rates: list[float]) -> None:
    """Also those of which settings are made that are beyond all numbers, or divide by 0."""
    assert not oracles.identify(rates).torchs


def test_what_torch_has_none_of_is_not_torchs() -> None:
    warm = ["get_constant_schedule_with_warmup"]
    found = identify_schedule(lambda t, lr: lr * min(1.0, t / 4), warm)
    assert found.named and not found.torchs


@pytest.mark.slow
def test_what_goes_with_one_base_rate_alone_is_not_named() -> None:
    """A rate of which the product with the base rate is made falls by more for a larger one."""
    found = identify_schedule(lambda t, lr: lr / (1 + 0.01 * lr * t), ["ExponentialLR"])
    assert not found.named


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rate", "told"),
    [(lambda t, base: 1, "stays at 1: "), (lambda t, base: base + t / 64, "rises by 0.015625 a ")],
)
def test_of_what_does_not_go_by_the_base_rate_that_is_not_said(rate: Any, told: str) -> None:
    assert str(identify_schedule(rate)).startswith(f"<lambda>, at a base rate of 0.5, {told}")


def test_what_may_be_the_rate_before_is_told_to_be_taken_for_the_base_rate() -> None:
    """As Keras gives it; of a rate by another name, or of one that is said, it is not."""

    def scheduler(epoch: int, lr: float) -> float:
        return lr if epoch < 10 else lr * math.exp(-0.1)

    assert any("Keras'" in said for said in identify_schedule(scheduler).remarks())
    named = identify_schedule(scheduler, names={"base": "lr"})
    assert not any("Keras'" in said for said in named.remarks())


@pytest.mark.slow
def test_a_ramp_of_which_the_end_is_not_met_is_a_ramp() -> None:
    found = identify_schedule(lambda t, lr: lr * min(1, (t + 1) / 20000))
    told = "rises by 5e-05 × the base rate a step from 5e-05 × the base rate: so begin LinearLR, "
    assert str(found).startswith(f"<lambda> {told}")


def test_settings_that_are_not_taken_are_told() -> None:
    found = identify_schedule(schedules.warm_up)
    (fit,) = found.fits
    assert str(found) == "warm_up follows LinearLR's from_one"
    assert fit.assumed == {"start_factor": 0.0, "end_factor": 1.0}
    assert any("start_factor = 0.0" in said for said in found.remarks())


def test_what_comes_after_the_end_is_not_asked() -> None:
    """There a root is of a negative number: complex, an error, or nan."""

    def poly(it: int, base_lr: float, total_iters: int, power: float) -> Any:
        return base_lr * (1 - it / total_iters) ** power

    def root(t: int, base: float) -> float:
        return base * math.sqrt(1 - t / 90)

    def array(t: int) -> float:
        with np.errstate(invalid="ignore"):
            return float(0.1 * np.array(1 - t / 90) ** 0.9)

    told = {str(oracles.identify(one)) for one in (poly, root, array)}
    assert told == {
        "poly follows PolynomialLR's to_zero",
        "root follows PolynomialLR's to_zero with total_iters=90, power=0.5",
        "array follows PolynomialLR's to_zero with total_iters=90, power=0.9 from 0.1",
    }
    assert not identify_schedule(lambda t: math.nan).line


def test_what_raises_before_its_end_cannot_be_asked() -> None:
    def listed(t: int, base: float) -> float:
        return base * [1.0, 0.9, 0.81][t]

    def stepped(t: int, base: float, step_size: int, gamma: float) -> float:
        return base * [1.0, gamma][t // step_size]

    def short(t: int, base: float, T_max: int) -> float:
        return base * cosine(t, T_max) / (t < T_max - 1)

    def exits(t: int, base: float) -> float:
        sys.exit(3)

    found = [str(oracles.identify(one)) for one in (listed, stepped, short, exits)]
    assert all("cannot be asked: raises" in one for one in found)


def bert(step: int, num_warmup_steps: int, num_training_steps: int) -> float:
    left = (num_training_steps - step) / (num_training_steps - num_warmup_steps)
    return 5e-5 * (step / num_warmup_steps if step < num_warmup_steps else max(0.0, left))


WRITTEN: list[tuple[Any, str]] = [
    (
        lambda t, lr, total_iters: lr * (1 - t / total_iters) ** 0.9,
        "PolynomialLR's to_zero with power=0.9",
    ),
    (
        lambda t, lr, T_max: 1e-3 + (lr - 1e-3) * cosine(t, T_max),
        "CosineAnnealingLR's to_floor with eta_min=0.001",
    ),
    (
        lambda t, lr, gamma: lr * gamma ** sum(m <= t for m in (60, 150)),
        "MultiStepLR's from_milestone with milestones=(60, 150)",
    ),
    (bert, "get_linear_schedule_with_warmup's from_zero from 5e-05"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("function", "follows"), WRITTEN, ids=["power", "floor", "far", "base"])
def test_numbers_beside_settings_are_found(function: Any, follows: str) -> None:
    among = [follows.partition("'")[0], "StepLR"]
    found = identify_schedule(function, among)
    assert str(found) == f"{function.__name__} follows {follows}"


@pytest.mark.slow
@pytest.mark.parametrize(
    "function",
    [
        lambda t, lr, T_max: (1e-3 + (lr - 1e-3) * cosine(t, T_max)) * (1 + 1e-6 * (t > 400)),
        lambda t, lr, step_size: lr * (0.5 + 0.001 * step_size) ** (t // step_size),
        lambda t, lr, step_size: lr * 0.5 ** (t // 10),
    ],
    ids=["not far off", "not of all settings", "whatever is given"],
)
def test_what_numbers_beside_settings_do_not_hold_is_not_named(function: Any) -> None:
    assert not identify_schedule(function).named


@pytest.mark.slow
def test_names_that_mean_the_same_are_understood() -> None:
    def warmed(step: int, lr: float, warmup: int, max_steps: int) -> float:
        if step < warmup:
            return lr * step / warmup
        return lr * cosine(step - warmup, max_steps - warmup)

    found = identify_schedule(warmed)
    assert str(found) == "warmed follows get_cosine_schedule_with_warmup's from_zero"
    assert found.meant == {"num_warmup_steps": "warmup", "num_training_steps": "max_steps"}
    assert "It takes warmup as num_warmup_steps, max" in "".join(found.remarks())
    power = identify_schedule(lambda t, lr, T: lr * (1 - t / T) ** 0.9)
    assert str(power) == "<lambda> follows PolynomialLR's to_zero with power=0.9"
    assert not identify_schedule(lambda t, lr, T: lr * math.exp(-t * t / T)).named


def test_names_of_ones_own() -> None:
    def keras(step: int, initial: float, decay_steps: int, alpha: float) -> float:
        return initial * ((1 - alpha) * cosine(min(step, decay_steps), decay_steps) + alpha)

    names = {"T_max": "decay_steps", "eta_min": "alpha", "base": "initial"}
    found = oracles.identify(keras, names=names)
    assert str(found) == "keras follows CosineAnnealingLR's stays_at_share"


def test_one_argument_that_is_needed_is_the_epoch() -> None:
    follows = "ExponentialLR's per_epoch"
    assert str(oracles.identify(lambda k: 0.1 * 0.9**k)).endswith(
        f"{follows} with gamma=0.9 from 0.1"
    )
    assert "StepLR" in str(oracles.identify(lambda e, share=0.5: 0.1 * share ** (e // 3)))
    told = oracles.identify(lambda k, base, gamma: base * gamma**k, names={"epoch": "k"})
    assert str(told).endswith(follows)
    with pytest.raises(ValueError, match="the epoch is the first argument of <lambda>; allowed: t"):
        oracles.identify(lambda t, k: 0.1, names={"epoch": "k"})


@pytest.mark.slow
def test_each_epoch_is_asked_once_and_few_after_the_end() -> None:
    asked: list[int] = []

    def odd(t: int) -> float:
        asked.append(t)
        return 0.1 / (1 + t % 3) if t < 40 else 0.01

    assert not oracles.identify(odd).named
    assert len(asked) == len({*asked, *range(MOST + 1), *FAR})


def test_a_rate_that_falls_in_a_line_to_a_share_of_itself() -> None:
    found = oracles.identify(lambda t, base: base * (1 - 0.9 * min(t, 20) / 20))
    with_ = "with start_factor=1, end_factor=0.1, total_iters=20"
    assert str(found) == f"<lambda> follows LinearLR's from_zero {with_}"


def test_a_setting_that_nobody_knows_is_told() -> None:
    found = oracles.identify(lambda t, base, gama: base * gama**t)
    assert "'gama', which is no setting (names={...} says which" in str(found)
    assert "(--name TORCHS=OWN says which" in in_options(str(found))
    assert "did you mean 'gamma'?" in str(found)


def test_what_is_off_is_told() -> None:
    with pytest.raises(ValueError, match=r"schedule='StepLr' is not known .did you mean 'StepLR'"):
        oracles.identify([0.1] * 5, ["StepLr"])
    made = torch.optim.lr_scheduler.StepLR(schedulers.optimizer([1.0]), 3)
    with pytest.raises(TypeError, match=r"StepLR\(...\), made already; allowed: the class, StepLR"):
        oracles.identify(made)
    with pytest.raises(TypeError, match="rates as well, in a list or by a function of the epoch"):
        oracles.identify({})
    with pytest.raises(ValueError, match="2 rates tell nothing; allowed: 4 rates and more"):
        oracles.identify([0.1, 0.2])
    with pytest.raises(ValueError, match="the list is empty; allowed: 4 rates"):
        oracles.identify([])
    with pytest.raises(ValueError, match="entry 1 of the list is nan; allowed: finite"):
        oracles.identify([0.1, math.nan, 0.1, 0.1])
    with pytest.raises(ValueError, match=r"names=.*has no 'decay'"):
        oracles.identify(schedules.warm_up, names={"gamma": "decay"})
    assert "raises ZeroDivisionError" in str(oracles.identify(lambda t, base, gamma: base / 0))
    for name in ("names", "fixed", "values"):
        given: Any = {name: {"lr": 1}}
        with pytest.raises(ValueError, match=f"{name}={{'lr': 1}}: a schedule .*has no use for"):
            oracles.identify([0.1] * 5, **given)


def test_a_composition_is_what_it_shows() -> None:
    found = oracles.identify(schedules.in_turn)
    assert found.torchs
    assert str(found).startswith("in_turn follows SequentialLR(LinearLR(start_factor=0.25")


# --- A class of one's own -------------------------------------------------------------------------


def promised(cls: Any, schedule: str, *names: str) -> dict[str, Line]:
    """What a class is told of itself and of some promises, which takes less time than all."""
    inquiry = ScheduleInquiry(cls, schedule, DRAWS)
    wanted = {"subject", "schedule", *(f"asked: {name}" for name in names)}
    known: dict[str, Any] = {}
    for name, ask in inquiry(known):
        if name in wanted:
            known[name] = ask()
    report = reported(cls, known)
    assert {line.name for line in report.lines} == {*names}
    assert report.found is None or report.found.torchs
    return {line.name: line for line in report.lines}


whole = pytest.mark.skipif(
    Version(torch.__version__) < Version("2.10"),
    reason="some of it torch's own schedules broke until 2.10: it is not asked of others there",
)


@whole
@pytest.mark.slow
def test_another_text_of_torchs_schedule_is_held() -> None:
    """By its closed form, which loses what somebody writes into a group; that is told."""
    report = oracles.check_schedule(schedules.ClosedCosine, "CosineAnnealingLR")
    words = {line.name: line.word for line in report.lines}
    assert report.ok
    assert report.found is not None
    assert report.found.torchs
    left = {name for name, word in words.items() if word is not Word.KEPT}
    assert left == {EDITS, LATER}
    assert {words[name] for name in left} == {Word.NOT_PROMISED}
    assert f"not promised: {EDITS} (it goes by the epoch alone: a rate" in str(report)
    assert not list(CHECKED.iter_errors(report.to_json()))
    assert report.to_json()["follows"] == report.found.to_json()


NOT_PROMISED: dict[Any, set[str]] = {
    schedules.Closed: {EDITS, LATER},
    schedules.ByLambda: {EDITS, LATER},
    schedules.Duck: {EDITS, LATE, JUMPS, KEPT},
    schedules.Updated: {EDITS, KEPT},
    schedules.ByUpdates: {EDITS, KEPT},
}


@whole
@pytest.mark.one_in(2)
@pytest.mark.parametrize(
    "cls", marks.slow(NOT_PROMISED, schedules.Closed, schedules.ByLambda, schedules.Duck)
)
def test_a_right_class_is_told_what_it_does_not_promise(cls: Any) -> None:
    """Whatever its style: its rates are torch's, and it is told apart from a wrong one."""
    lines = promised(cls, "ExponentialLR", RATES, KEPT, JUMPS, EDITS, LATE, LATER, CONSTRUCTED)
    words = {name: line.word for name, line in lines.items()}
    assert words[RATES] is Word.KEPT
    assert {n for n, word in words.items() if word is Word.NOT_PROMISED} == NOT_PROMISED[cls]
    assert Word.BROKEN not in words.values()
    assert all(line.why for line in lines.values() if line.word is not Word.KEPT)


@whole
@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    ("cls", "broken", "told"),
    wrong := [
        (schedules.Stepwise, CONSTRUCTED, "has rates (0.125, 0.0625) at epoch 1, and had (0.25,"),
        (schedules.HalfEdited, EDITS, "written into the first group at epoch"),
        (schedules.Compounding, RESUME, "saved at"),
        (schedules.Uncounted, RESUME, "saved at"),
        (schedules.FirstForAll, RATES, "at epoch 1, group 1: expected"),
        (schedules.Aliasing, TOLD, "tells the rates themselves"),
        (schedules.Emptied, TWICE, "where it is loaded again, and had"),
    ],
    ids=[cls.__name__ for cls, *_ in wrong],
)
def test_a_wrong_class_is_told_which_promise_it_breaks(cls: Any, broken: str, told: str) -> None:
    (line,) = promised(cls, "ExponentialLR", broken).values()
    assert line.word is Word.BROKEN
    assert told in line.why


def test_what_its_author_does_not_promise_is_not_asked() -> None:
    inquiry = ScheduleInquiry(schedules.Unready, None, DRAWS, [RATES])
    question = next(question for name, question in promises("ExponentialLR") if name == RATES)
    assert inquiry._line(RATES, question, None) == Line(RATES, Word.NOT_PROMISED)  # noqa: SLF001
    with pytest.raises(ValueError, match=r"'edited rate' is no promise .*mean 'edited rates'"):
        oracles.check_schedule(schedules.Duck, "ExponentialLR", not_promised=["edited rate"])


@cache
def floored(time_limit: float | None = None) -> ScheduleReport:
    """What a class of another timing is told, but of what takes longest."""
    return oracles.check_schedule(
        schedules.FlooredCosine, "CosineAnnealingLR", not_promised=LONG, time_limit=time_limit
    )


LONG = (EDGES, JUMPS, RESUME, LATER, CONSTRUCTED)


@pytest.mark.slow
def test_another_timing_is_named_and_then_held_to_itself() -> None:
    report = floored()
    words = {line.name: line.word for line in report.lines}
    assert report.faults() == ["FlooredCosine follows CosineAnnealingLR's stays_at_floor"]
    assert words[RATES] is Word.KEPT, "the same fault is not told again"
    assert words[EDITS] is Word.NOT_ASKED


@pytest.mark.slow
def test_a_machine_of_ones_own() -> None:
    """Found by the name of its base."""
    report = oracles.check_schedule(schedules.Impatient)
    assert report.schedule == "ReduceLROnPlateau"
    assert next(line.name for line in report.lines if line.word is Word.BROKEN) == MACHINE


@whole
@pytest.mark.slow
def test_a_machine_of_ones_own_need_not_promise_all() -> None:
    report = oracles.check_schedule(schedules.Replacing)
    words = {line.name: line.word for line in report.lines}
    assert report.ok, report.faults()
    assert {name for name, word in words.items() if word is Word.NOT_PROMISED} == {MACHINE, LATE}


@pytest.mark.slow
def test_torchs_class_is_well() -> None:
    """What the ledger knows of it is not told."""
    report = oracles.check_schedule(torch.optim.lr_scheduler.StepLR)
    assert report.ok, report.faults()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("torch:nowhere",), "subject='torch:nowhere' cannot be imported"),
        ((schedules.ClosedCosine,), "say which schedule"),
        ((schedules.ClosedCosine, "Cosine"), "schedule='Cosine' is not known"),
        ((torch.optim.SGD, "LinearLR"), "subject=SGD is no class of schedulers"),
        ((lambda params, lr: None, "LinearLR"), "is no class of schedulers"),
        ((0.5, "LinearLR"), "subject=0.5 is no class of schedulers"),
        ((schedules.Closed, "StepLR"), "subject=Closed takes no step_size; allowed: a class whose"),
    ],
    ids=[
        "nowhere",
        "no name",
        "no schedule",
        "an optimizer",
        "what makes one",
        "a number",
        "other arguments",
    ],
)
def test_a_call_that_is_off(arguments: tuple[Any, ...], told: str) -> None:
    with pytest.raises((TypeError, ValueError), match=told):
        oracles.check_schedule(*arguments)


def test_whoever_cannot_be_built_is_one_sentence() -> None:
    report = oracles.check_schedule(schedules.Unready)
    assert report.faults() == ["Unready cannot be asked: raises TypeError: not like that"]


# --- Code that does not return --------------------------------------------------------------------

forked = pytest.mark.skipif(
    sys.platform != "linux", reason="only forked processes know classes of a test"
)


@forked
def test_whoever_never_returns_is_one_sentence() -> None:
    with clock.stopped():
        report = oracles.check_schedule(schedules.Hanging, time_limit=3)
    assert report.faults() == [f"Hanging cannot be asked: {late(1)}"]
    assert not list(CHECKED.iter_errors(report.to_json()))


@pytest.mark.slow
@forked
@pytest.mark.parametrize(
    ("cls", "why"),
    [
        (schedules.HalfHanging, late(2)),
        (schedules.Vanishing, "ends its process with exit code 3"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else None,
)
def test_a_question_that_is_not_survived_is_broken(cls: Any, why: str) -> None:
    skip_before("2.0", BY_NAME)
    with clock.stopped():
        report = oracles.check_schedule(cls, time_limit=6)
    lost = [line.name for line in report.lines if line.why == why]
    words = {line.name: line.word for line in report.lines}
    assert lost[0] == RESUME
    assert {words[name] for name in lost} == {Word.BROKEN}
    assert words[RATES] is Word.KEPT
    assert not report.ok


def test_what_was_not_asked_in_time_is_no_success() -> None:
    asked = at_once(ScheduleInquiry(torch.optim.lr_scheduler.StepLR, None, DRAWS))
    known = dict(islice(asked, 3))
    report = reported("StepLR", {**known, REST: Lost("the time was up")})
    assert report.faults()[-1] == "the time was up, and questions are left"
    assert str(report).endswith("the time was up, and questions are left")


@pytest.mark.slow
@forked
def test_a_module_that_never_ends_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "endless_schedules.py").write_text("while True: ...")
    monkeypatch.syspath_prepend(str(tmp_path))
    told = r"subject='endless_schedules:One' cannot be imported: gives no answer within 0.5 s"
    with pytest.raises(ValueError, match=told):
        oracles.check_schedule("endless_schedules:One", "StepLR", time_limit=1.5)


@pytest.mark.slow
@forked
def test_in_a_process_of_its_own_a_class_is_told_the_same() -> None:
    here, there = floored(), floored(60)
    assert (here.lines, here.found) == (there.lines, there.found)


def test_a_time_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="time_limit=-1 must be a finite number above 0, or None"):
        oracles.check_schedule(torch.optim.lr_scheduler.StepLR, time_limit=-1)


# --- The command ----------------------------------------------------------------------------------

Printed = Callable[..., tuple[int, str]]
HERE = "tests.support.schedules"


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Printed:
    def run(*arguments: str) -> tuple[int, str]:
        return cli.main(arguments), capsys.readouterr().out

    return run


def test_the_command_checks_a_class(printed: Printed) -> None:
    command = ("check", f"{HERE}:FlooredCosine", "--rule", "CosineAnnealingLR")
    status, out = printed(*command, "--not-promised", ",".join(LONG))
    assert status == 1
    assert "FlooredCosine follows CosineAnnealingLR's stays_at_floor\n" in out
    assert f"not promised: {LONG[0]}\n" in out


def test_the_command_ends_what_hangs(printed: Printed) -> None:
    command = ("check", f"{HERE}:Hanging", "--rule", "ExponentialLR", "--time-limit", "3")
    with clock.stopped():
        status, out = printed(*command)
    assert status == 1
    assert "Hanging cannot be asked: gives no answer within 1 s; if it is only slow, raise" in out
    assert "Traceback" not in out


def test_the_command_prints_json(printed: Printed) -> None:
    name = "torch.optim.lr_scheduler:ExponentialLR"
    promised = ("--not-promised", ",".join(LONG))
    status, out = printed("check", name, "--rule", "ExponentialLR", "--json", *promised)
    assert status == 0
    assert not list(CHECKED.iter_errors(json.loads(out)))


@pytest.mark.parametrize("option", [("--within", "1"), ("--rule", "StepLR"), ("--path", "foreach")])
def test_options_of_optimizers_are_refused(
    option: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("check", f"{HERE}:ClosedCosine", "--rule", "CosineAnnealingLR", *option)
    assert cli.main(command) == 2
    assert "schedul" in capsys.readouterr().err


def test_the_command_identifies(printed: Printed) -> None:
    status, out = printed("identify", f"{HERE}:warm_up")
    assert (status, out.splitlines()[0]) == (0, "warm_up follows LinearLR's from_one.")
    status, out = printed("identify", f"{HERE}:annealed", "--rule", "CosineAnnealingLR", "--json")
    assert status == 0
    assert not list(IDENTIFIED.iter_errors(json.loads(out)))


def saw(step: int, base_lr: float, max_lr: float, step_size_up: int, step_size_down: int) -> float:
    """Whose ``base_lr`` is an argument of its own: where it begins."""
    t = step % (step_size_up + step_size_down)
    up = t / step_size_up if t <= step_size_up else 1 - (t - step_size_up) / step_size_down
    return base_lr + (max_lr - base_lr) * up


def test_the_command_reads_rates(
    printed: Printed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As they are typed; and a log of them, whatever else it has."""
    follows = "follows ExponentialLR's per_epoch with gamma=0.5 from 0.1.\n"
    rates = [0.1 * 0.5**t for t in range(5)]
    for typed in (f"{rates}", f"{rates}"[1:-1]):
        status, out = printed("identify", typed)
        assert (status, out.startswith(f"the list {follows}")) == (0, True)
    rows = "".join(f"{epoch},{rate},7\n" for epoch, rate in enumerate(rates))
    (tmp_path / "log.csv").write_text(f"epoch,learning_rate,loss\n{rows}", encoding="utf-8")
    lines = "".join(f'{{"lr": {rate}}}\n' for rate in rates)
    (tmp_path / "log.jsonl").write_text(lines, encoding="utf-8")
    for kind in ("csv", "jsonl"):
        status, out = printed("identify", f"{tmp_path}/log.{kind}")
        assert (status, out.startswith(f"log {follows}")) == (0, True)
    every = "".join(f"{10 * t},{0.1 * 0.9**t!r}\n" for t in range(6))
    (tmp_path / "every.csv").write_text(f"step,lr\n{every}", encoding="utf-8")
    assert cli.main(["identify", f"{tmp_path}/every.csv"]) == 2
    assert "every.csv counts 'step' by 10; allowed: a rate for each step" in capsys.readouterr().err
    (tmp_path / "log.csv").write_text("lr,loss\n" + 5 * "0.1,7\n", encoding="utf-8")
    assert printed("identify", f"{tmp_path}/log.csv") == (2, "")


def test_a_base_rate_beside_a_largest_one_is_an_argument() -> None:
    assert str(oracles.identify(saw)) == "saw follows CyclicLR's from_base"


@pytest.mark.slow
def test_of_a_function_of_its_own_is_told_that_it_is_one() -> None:
    def curved(optimizer: Any) -> Any:
        return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: 1 / (1 + math.sin(t) ** 2))

    found = identify_schedule(curved)
    assert str(found) == "curved follows LambdaLR's of_base of a function of its own"


def falling(optimizer: Any, whole: int = 30) -> Any:
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: max(0.0, 1 - t / whole) ** 2)


def warmed(optimizer: Any, warmup_steps: int = 5) -> Any:
    def factor(t: int) -> float:
        return t / warmup_steps if t < warmup_steps else cosine(t - warmup_steps, 20)

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "follows"),
    [
        (falling, "PolynomialLR's to_zero with total_iters=30, power=2"),
        (
            warmed,
            "get_cosine_schedule_with_warmup's from_zero with num_warmup_steps=5, "
            "num_training_steps=25, num_cycles=0.5",
        ),
    ],
    ids=["falling", "warmed"],
)
def test_a_function_of_its_own_may_be_a_schedule(make: Any, follows: str) -> None:
    """Also where it takes a setting that the schedule does not know: it has a default."""
    assert str(identify_schedule(make)) == f"{make.__name__} follows {follows}"


@pytest.mark.parametrize(
    "name", ["OneCycleLR", "CyclicLR", "LambdaLR", "MultiplicativeLR", "ExponentialLR"]
)
def test_what_is_made_of_no_rates_is_not_ruled_out(name: str) -> None:
    """A list has no settings: those of such schedules are not made of it, so nothing is known."""
    found = identify_schedule([1.0, 0.3, 0.7, 0.1, 0.9, 0.2], [name])
    assert not found.named
    assert (found.ruled_out > 0) == (name == "ExponentialLR")
    assert ("were ruled out" in str(found)) == (name == "ExponentialLR")


# --- what shows far away, or at other base rates ---


def decayed(t: int, base: float, gamma: float) -> float:
    return float(base * gamma**t)


def stepped(t: int, base: float, step_size: int, gamma: float) -> float:
    return float(base * gamma ** (t // step_size))


def test_what_takes_settings_says_how_far_it_was_asked() -> None:
    found = oracles.identify(decayed)
    assert found.torchs and found.schedule is not None
    seen = "base rates from 0.0001 to 10 and epochs of up to 200,000"
    assert f"Seen with {seen}; what it does beyond was not asked." in [*found.schedule.remarks()]
    assert found.to_json()["schedule"]["fits"][0]["seen"] == seen
    alone = oracles.identify(torch.optim.lr_scheduler.ExponentialLR).schedule
    assert alone is not None and alone.fits[0].seen.endswith("epochs of up to 16")


@pytest.mark.one_in(5)
@pytest.mark.parametrize(
    "other",
    [
        lambda t, base, gamma: decayed(min(t, 20), base, gamma),
        lambda t, base, gamma: decayed(t, base, gamma) if t < 300 else base,
        lambda t, base, gamma: decayed(t, min(base, 1), gamma),
        lambda t, base, gamma: decayed(t, max(base, 1e-3), gamma),
        lambda t, base, step_size, gamma: stepped(t if t < 30 else 0, base, step_size, gamma),
    ],
    ids=["to the twentieth", "up to the end", "capped", "with a floor", "in steps"],
)
def test_what_is_another_far_away_is_no_schedule(other: Any) -> None:
    among = ["ExponentialLR", "StepLR"]
    assert not identify_schedule(other, among).named
