"""Less where it gets no better: ``torch.optim.lr_scheduler.ReduceLROnPlateau``.

Symbols: m the metric of this step, b the best so far, θ threshold, p patience, c cooldown,
q factor, γ_min min_lr of a group, ε eps.

    better    mode min: m < b(1 − θ) (rel), m < b − θ (abs);  mode max: m > b(1 + θ), m > b + θ
    count     b = m and bad = 0 if better, else bad = bad + 1
    cool      while cooling: cooling = cooling − 1 and bad = 0
    reduce    if bad > p:  γ = max(γq, γ_min) where that is at least ε less; cooling = c; bad = 0

A metric that is nan is never better, so it counts as bad; the first finite one is better than the
±∞ that b begins with. In mode min with a relative threshold a negative best makes the bar *higher*:
m < b(1 − θ) lets in metrics that are worse than b, as torch's text has it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

from oracles.numerics import Scalar


class Settings(NamedTuple):
    """Settings, with torch's names and defaults; ``min_lr`` is that of one group."""

    mode: str = "min"
    factor: Scalar = 0.1
    patience: int = 10
    threshold: float = 1e-4
    threshold_mode: str = "rel"
    cooldown: int = 0
    min_lr: Scalar = 0.0
    eps: float = 1e-8


@dataclass(frozen=True)
class State:
    """What the machine remembers: the best metric, bad steps in a row, steps left to cool."""

    best: float
    bad: int = 0
    cooling: int = 0


def start(s: Settings) -> State:
    """Before any metric: anything finite is better."""
    return State(math.inf if s.mode == "min" else -math.inf)


def better(metric: float, best: float, s: Settings) -> bool:
    """Whether a metric improves on the best one by more than the threshold.

    >>> better(0.9, 1.0, Settings(threshold=0.2)), better(0.7, 1.0, Settings(threshold=0.2))
    (False, True)
    """
    sign = 1 if s.mode == "max" else -1
    if s.threshold_mode == "abs":
        return sign * metric > sign * (best + sign * s.threshold)
    return sign * metric > sign * (best * (1 + sign * s.threshold))


def after(state: State, metric: float, s: Settings) -> tuple[State, bool]:
    """The state after a metric, and whether rates are reduced now.

    >>> after(State(best=1.0, bad=2), 1.0, Settings(patience=2, cooldown=3))
    (State(best=1.0, bad=0, cooling=3), True)
    """
    improved = better(metric, state.best, s)
    best, bad = (metric, 0) if improved else (state.best, state.bad + 1)
    cooling = state.cooling
    if cooling > 0:
        cooling, bad = cooling - 1, 0
    if bad > s.patience:
        return State(best, 0, s.cooldown), True
    return replace(state, best=best, bad=bad, cooling=cooling), False


def reduced(rate: float, s: Settings) -> float:
    """The rate after a reduction.

    >>> reduced(1.0, Settings(factor=0.5)), reduced(1.0, Settings(factor=0.5, min_lr=0.75))
    (0.5, 0.75)
    """
    lower = max(rate * s.factor, s.min_lr)
    return lower if rate - lower > s.eps else rate
