"""One cycle: ``torch.optim.lr_scheduler.OneCycleLR``.

Symbols: γ₁ max_lr, D div_factor, F final_div_factor, T total_steps, r pct_start, t steps.

The rate goes from γ₁/D up to γ₁ at t = rT − 1, and from there down to γ₁/(DF) at t = T − 1; with
*three_phase* it is back at γ₁/D at t = 2rT − 2 first, and stays there at the end. The momentum goes
the other way, and stays at its maximum in a third phase. From a to b it goes by

    b + (a − b)(1 + cos(πp))/2  (cos)        a + (b − a)p  (linear),    p the part that is done

(Smith & Topin 2018, arXiv:1708.07120; the corners at rT − 1 are torch's, who goes on past the end
for one step.) A phase of no length is at its end.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from oracles.numerics import Scalar, cospi, one
from oracles.schedules.schedule import Schedule, Timing, ahead, behind


class Settings(NamedTuple):
    """Settings, with torch's names and, where it has any, its defaults."""

    max_lr: Scalar = 0.1
    total_steps: int = 10
    pct_start: float = 0.3
    anneal_strategy: str = "cos"
    base_momentum: Scalar = 0.85
    max_momentum: Scalar = 0.95
    div_factor: Scalar = 25.0
    final_div_factor: Scalar = 1e4
    three_phase: bool = False
    cycle_momentum: bool = True


Corner = tuple[Scalar, Scalar, Scalar]
"""When, the rate and the momentum there."""


def _corners(s: Settings, early: int = 1) -> Iterator[Corner]:
    """Where phases begin and end; ``early`` is how many steps before rT the first one does."""
    unit, low = one(s.max_lr), s.max_lr / s.div_factor
    turn = unit * s.pct_start * s.total_steps
    yield 0 * unit, low, s.max_momentum
    yield turn - early, s.max_lr, s.base_momentum
    if s.three_phase:
        yield 2 * turn - 2 * early, low, s.max_momentum
    yield unit * (s.total_steps - 1), low / s.final_div_factor, s.max_momentum


def _annealed(start: Scalar, end: Scalar, part: Scalar, s: Settings) -> Scalar:
    if s.anneal_strategy == "cos":
        return end + (start - end) / 2 * (cospi(part) + 1)
    return (end - start) * part + start


def _phase(t: int, s: Settings, early: int) -> tuple[int, bool]:
    """The phase that a step belongs to, and whether that has a length; compared as floats."""
    turn = s.pct_start * s.total_steps
    turns = [turn - early, 2 * turn - 2 * early] if s.three_phase else [turn - early]
    ends = [0, *turns, s.total_steps - 1]
    phase = sum(t > end for end in turns)
    return phase, ends[phase] != ends[phase + 1]


def _at(t: int, column: int, s: Settings, early: int = 1) -> Scalar:
    t = min(t, s.total_steps - 1)
    phase, long = _phase(t, s, early)
    begin, end = list(_corners(s, early))[phase : phase + 2]
    part = (t - begin[0]) / (end[0] - begin[0]) if long else 1
    return _annealed(begin[column], end[column], part, s)


TORCH = Timing(
    name="one_cycle",
    equation="from γ₁/D at 0 to γ₁ at rT − 1 to γ₁/(DF) at T − 1",
    source="torch.optim.lr_scheduler.OneCycleLR",
    rate=lambda t, base, s: _at(t, 1, s),
)

SCHEDULE = Schedule(
    name="OneCycleLR",
    symbols="γ₁ max_lr, D div_factor, F final_div_factor, T total_steps, r pct_start, t steps",
    settings=Settings,
    timings=(
        TORCH,
        Timing(
            name="later_corners",
            equation="from γ₁/D at 0 to γ₁ at rT to γ₁/(DF) at T − 1",
            source="the corners where pct_start says they are",
            rate=lambda t, base, s: _at(t, 1, s, early=0),
        ),
        Timing(
            name="floor_of_peak",
            equation="from γ₁/D at 0 to γ₁ at rT − 1 to γ₁/F at T − 1",
            source="fastai and Paddle give the last rate as a share of the peak",
            rate=lambda t, base, s: _at(
                t, 1, s._replace(final_div_factor=s.final_div_factor / s.div_factor)
            ),
        ),
        ahead(TORCH, "loops that step the schedule before the optimizer"),
        behind(TORCH, "loops that use the first rate twice"),
    ),
    draws={
        "max_lr": (0.01, 1.0),
        "total_steps": (8, 16),
        "pct_start": [0.3, 0.25, 0.4],
        "anneal_strategy": ["cos", "linear"],
        "base_momentum": (0.5, 0.85),
        "max_momentum": (0.9, 0.99),
        "div_factor": (2.0, 25.0),
        "final_div_factor": (10.0, 1e4),
        "three_phase": [False, True],
        "cycle_momentum": [True, False],
    },
    momentum=lambda t, base, s: _at(t, 2, s),
    listed=("max_lr", "base_momentum", "max_momentum"),
    edges=(
        {"pct_start": 0.0},
        {"pct_start": 0.5, "three_phase": True},
        {"div_factor": 1.0, "final_div_factor": 1.0},
        {"anneal_strategy": "linear"},
        {"total_steps": 120},
    ),
    brinks=({"pct_start": 0.1, "total_steps": 10}, {"pct_start": 1.0}, {"total_steps": 1}),
    lent=("total_steps",),
    last=lambda s: s.total_steps - 1,
)
