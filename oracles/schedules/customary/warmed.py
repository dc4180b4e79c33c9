"""A ramp from 0, and then something else: ``get_..._schedule_with_warmup`` of transformers.

Symbols: γ₀ base learning rate, W num_warmup_steps, T num_training_steps, n num_cycles, p power,
ε lr_end, η min_lr, q = (t − W)/(T − W) what is done of the rest, t steps.

    γ_t = γ₀t/W                            for t < W, whatever follows: the first step has rate 0
    γ_t = γ₀                                                     (constant)
    γ_t = γ₀(1 − min(q, 1))                                      (linear)
    γ_t = γ₀(1 + cos(2πnq))/2                                    (cosine)
    γ_t = γ₀(1 + cos(π(nq mod 1)))/2 for t < T, 0 from there on  (cosine with hard restarts)
    γ_t = ε + (γ₀ − ε)(1 − min(q, 1))^p                          (polynomial)
    γ_t = η + (γ₀ − η)(1 + cos(2πnq))/2                          (cosine with a floor)

(``transformers/optimization.py``; the linear one is BERT's, Devlin et al. 2019, arXiv:1810.04805,
appendix A.2.) With n = 1/2 a cosine comes down once, and goes up again after T. Loops that count
the ramp from 1 have γ₀(t+1)/W instead, and no step at rate 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from oracles.numerics import Scalar, cospi, share
from oracles.schedules.schedule import Closed, Schedule, Timing

CONSTANT = "get_constant_schedule_with_warmup"
LINEAR = "get_linear_schedule_with_warmup"
COSINE = "get_cosine_schedule_with_warmup"
RESTARTS = "get_cosine_with_hard_restarts_schedule_with_warmup"
POLYNOMIAL = "get_polynomial_decay_schedule_with_warmup"
FLOORED = "get_cosine_with_min_lr_schedule_with_warmup"


class Constant(NamedTuple):
    """Settings, under the names of transformers."""

    num_warmup_steps: int = 10


class Linear(NamedTuple):
    """Settings, under the names of transformers, which has no defaults of whole numbers."""

    num_warmup_steps: int = 10
    num_training_steps: int = 100


class Cosine(NamedTuple):
    """Settings, with the names and the default of transformers."""

    num_warmup_steps: int = 10
    num_training_steps: int = 100
    num_cycles: float = 0.5


class Restarts(NamedTuple):
    """Settings, with the names and the default of transformers."""

    num_warmup_steps: int = 10
    num_training_steps: int = 100
    num_cycles: int = 1


class Polynomial(NamedTuple):
    """Settings, with the names and the defaults of transformers."""

    num_warmup_steps: int = 10
    num_training_steps: int = 100
    lr_end: Scalar = 1e-7
    power: Scalar = 1.0


class Floored(NamedTuple):
    """Settings, with the names and, where it has one, the default of transformers."""

    num_warmup_steps: int = 10
    num_training_steps: int = 100
    num_cycles: float = 0.5
    min_lr: Scalar = 0.0


def ramped(then: Closed, ramp: Closed) -> Closed:
    """A rate that is the ramp's before W, and then something else."""
    return lambda t, base, s: ramp(t, base, s) if t < s.num_warmup_steps else then(t, base, s)


def from_zero(t: int, base: Scalar, s: Any) -> Scalar:
    """γ₀t/W."""
    return base * share(t, s.num_warmup_steps, base)


def from_one(t: int, base: Scalar, s: Any) -> Scalar:
    """γ₀(t+1)/W."""
    return base * share(t + 1, s.num_warmup_steps, base)


def between(t: int, base: Scalar, s: Any) -> Scalar:
    """γ₀(t+1)/(W+1)."""
    return base * share(t + 1, s.num_warmup_steps + 1, base)


def _done(t: int, base: Scalar, s: Any) -> Scalar:
    """q."""
    return share(t - s.num_warmup_steps, max(1, s.num_training_steps - s.num_warmup_steps), base)


def _left(t: int, base: Scalar, s: Any) -> Scalar:
    """1 − q, and 0 past the end."""
    whole = max(1, s.num_training_steps - s.num_warmup_steps)
    return share(max(s.num_training_steps - t, 0), whole, base)


def _height(t: int, base: Scalar, s: Any) -> Scalar:
    return (1 + cospi(2 * s.num_cycles * _done(t, base, s))) / 2


def constant(t: int, base: Scalar, s: Any) -> Scalar:
    """γ₀."""
    return base * 1


def linear(t: int, base: Scalar, s: Any) -> Scalar:
    """γ₀(1 − q)."""
    return base * _left(t, base, s)


def cosine(t: int, base: Scalar, s: Any) -> Scalar:
    """γ₀(1 + cos(2πnq))/2."""
    return base * _height(t, base, s)


def restarting(t: int, base: Scalar, s: Any) -> Scalar:
    """γ₀(1 + cos(π(nq mod 1)))/2."""
    whole = max(1, s.num_training_steps - s.num_warmup_steps)
    done = s.num_cycles * (t - s.num_warmup_steps)
    if t >= s.num_training_steps:
        return base * 0
    return base * (1 + cospi(share(done % whole, whole, base))) / 2


def polynomial(t: int, base: Scalar, s: Any) -> Scalar:
    """ε + (γ₀ − ε)(1 − q)^p."""
    if t >= s.num_training_steps:
        return s.lr_end * 1
    return s.lr_end + (base - s.lr_end) * _left(t, base, s) ** s.power


def floored(t: int, base: Scalar, s: Any) -> Scalar:
    """η + (γ₀ − η)(1 + cos(2πnq))/2."""
    return s.min_lr + (base - s.min_lr) * _height(t, base, s)


def _shared(t: int, base: Scalar, s: Any) -> Scalar:
    """The same with η as a share of γ₀."""
    return base * ((1 - s.min_lr) * _height(t, base, s) + s.min_lr)


def _staying(t: int, base: Scalar, s: Any) -> Scalar:
    return floored(min(t, s.num_training_steps), base, s)


def _over_the_whole(t: int, base: Scalar, s: Any) -> Scalar:
    """Past the ramp, what the schedule without one has at that step."""
    return linear(t, base, Linear(0, s.num_training_steps))


RAMP = "γ₀t/W for t < W, then "
FROM_ONE = "γ₀(t+1)/W for t < W, then "


def _timings(then: Closed, equation: str, source: str) -> tuple[Timing, ...]:
    """As transformers has it, and with a ramp that counts from 1."""
    return (
        Timing(
            name="from_zero",
            equation=f"γ_t = {RAMP}{equation}",
            source=source,
            rate=ramped(then, from_zero),
        ),
        Timing(
            name="from_one",
            equation=f"γ_t = {FROM_ONE}{equation}",
            source="loops that count the first step of the ramp as one",
            rate=ramped(then, from_one),
            shows={"num_warmup_steps": (2, 6)},
        ),
    )


STEPS = {"num_warmup_steps": (1, 6), "num_training_steps": (8, 14)}
LETTERS = "γ₀ base learning rate, W num_warmup_steps"
OF_THE_REST = f"{LETTERS}, T num_training_steps, q = (t − W)/(T − W)"


def _schedule(
    name: str, settings: Callable[..., Any], symbols: str, timings: tuple[Timing, ...], **draws: Any
) -> Schedule:
    steps = {n: own for n, own in STEPS.items() if n in settings._fields}  # type: ignore[attr-defined]
    return Schedule(
        name=name,
        symbols=f"{symbols}, t steps",
        settings=settings,
        timings=timings,
        draws={**steps, **draws},
        home="",
    )


SCHEDULES = (
    _schedule(
        CONSTANT,
        Constant,
        LETTERS,
        _timings(constant, "γ₀", f"transformers {CONSTANT}"),
    ),
    _schedule(
        LINEAR,
        Linear,
        OF_THE_REST,
        (
            *_timings(linear, "γ₀(1 − min(q, 1))", f"transformers {LINEAR}; BERT"),
            Timing(
                name="over_the_whole",
                equation=f"γ_t = {RAMP}γ₀(1 − min(t/T, 1))",
                source="loops that multiply a decay of all steps with a ramp, or join the two",
                rate=ramped(_over_the_whole, from_zero),
                shows={"num_warmup_steps": (2, 6)},
            ),
        ),
    ),
    _schedule(
        COSINE,
        Cosine,
        f"{OF_THE_REST}, n num_cycles",
        _timings(cosine, "γ₀(1 + cos(2πnq))/2", f"transformers {COSINE}"),
        num_cycles=[0.5, 1.0, 1.5],
    ),
    _schedule(
        RESTARTS,
        Restarts,
        f"{OF_THE_REST}, n num_cycles",
        _timings(
            restarting,
            "γ₀(1 + cos(π(nq mod 1)))/2 for t < T, and 0 from there on",
            f"transformers {RESTARTS}",
        ),
        num_cycles=[1, 2, 3],
    ),
    _schedule(
        POLYNOMIAL,
        Polynomial,
        f"{OF_THE_REST}, ε lr_end, p power",
        _timings(polynomial, "ε + (γ₀ − ε)(1 − min(q, 1))^p", f"transformers {POLYNOMIAL}"),
        lr_end=(1e-4, 0.05),
        power=(0.5, 3.0),
    ),
    _schedule(
        FLOORED,
        Floored,
        f"{OF_THE_REST}, n num_cycles, η min_lr",
        (
            *_timings(floored, "η + (γ₀ − η)(1 + cos(2πnq))/2", f"transformers {FLOORED}"),
            Timing(
                name="stays_at_floor",
                equation=f"γ_t = {RAMP}η + (γ₀ − η)(1 + cos(2πn min(q, 1)))/2",
                source="loops that stay at the floor once it is reached",
                rate=ramped(_staying, from_zero),
            ),
            Timing(
                name="one_ahead",
                equation="γ of step t+1",
                source=f"transformers {FLOORED}_lr_rate; schedules stepped before the optimizer",
                rate=lambda t, base, s: ramped(floored, from_zero)(t + 1, base, s),
            ),
            Timing(
                name="between",
                equation="γ_t = γ₀(t+1)/(W+1) for t < W, then "
                "η + (γ₀ − η)(1 + cos(2πn min(q, 1)))/2",
                source="loops whose ramp has neither 0 nor γ₀ in it",
                rate=ramped(_staying, between),
            ),
            Timing(
                name="floor_as_share",
                equation=f"γ_t = {RAMP}γ₀((1 − η)(1 + cos(2πnq))/2 + η)",
                source=f"transformers {FLOORED}, given η as min_lr_rate",
                rate=ramped(_shared, from_zero),
            ),
        ),
        num_cycles=[0.5],
        min_lr=(0.001, 0.05),
    ),
)
