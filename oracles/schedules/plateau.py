"""Less where it gets no better: ``torch.optim.lr_scheduler.ReduceLROnPlateau``.

Symbols: m the metric of this step, b the best so far, θ threshold, p patience, c cooldown,
q factor, γ_min min_lr of a group, ε eps.

    better    mode min: m < b(1 − θ) (rel), m < b − θ (abs);  mode max: m > b(1 + θ), m > b + θ
    count     b = m and bad = 0 if better, else bad = bad + 1
    cool      while cooling: cooling = cooling − 1 and bad = 0
    reduce    if bad > p:  γ = max(γq, γ_min) where that is at least ε less; cooling = c; bad = 0

A metric that is nan is never better, so it counts as bad; the first finite one is better than the
±∞ that b begins with, but where a relative threshold leaves no ±∞ of that sign (θ ≥ 1 in mode min,
θ ≤ −1 in mode max): no metric is better there, ever. In mode min with a relative threshold a
negative best makes the bar *higher*: m < b(1 − θ) lets in metrics that are worse than b, as torch's
text has it. Keras compares bad ≥ p.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

from oracles.loop.part import Part, Variant
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
    """Before any metric: no finite one is as bad."""
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


Machine = tuple[State, bool]


def _keras(state: State, metric: float, s: Settings) -> Machine:
    cooling = max(state.cooling - 1, 0)
    bad = 0 if state.cooling else state.bad
    if better(metric, state.best, s):
        return State(metric, 0, cooling), False
    if cooling:
        return State(state.best, bad, cooling), False
    if bad + 1 >= s.patience:
        return State(state.best, 0, s.cooldown), True
    return State(state.best, bad + 1, cooling), False


def _nan_ignored(state: State, metric: float, s: Settings) -> Machine:
    return (state, False) if math.isnan(metric) else after(state, metric, s)


def _any_better(state: State, metric: float, s: Settings) -> Machine:
    return after(state, metric, s._replace(threshold=0.0))


NEVER = 2**62
"""Bad steps in a row that nobody sees."""


def _cooling_counts(state: State, metric: float, s: Settings) -> Machine:
    waiting, _ = after(replace(state, cooling=0), metric, s._replace(patience=NEVER))
    cooling = max(state.cooling - 1, 0)
    if waiting.bad > s.patience and not state.cooling:
        return State(waiting.best, 0, s.cooldown), True
    return replace(waiting, cooling=cooling), False


PART = Part(
    name="ReduceLROnPlateau",
    symbols="m metric, b best, θ threshold, p patience, c cooldown, q factor, γ_min floor, ε eps",
    variants=(
        Variant(
            name="after_patience",
            equation="γ = max(γq, γ_min) where bad > p, then bad = 0; a nan is bad",
            source="torch.optim.lr_scheduler.ReduceLROnPlateau",
            compute=after,
        ),
        Variant(
            name="at_patience",
            equation="γ = max(γq, γ_min) where bad ≥ p; it cools before it looks at the metric",
            source="Keras ReduceLROnPlateau",
            compute=_keras,
        ),
        Variant(
            name="nan_ignored",
            equation="a metric that is nan changes nothing",
            source="loops that skip what is not finite",
            compute=_nan_ignored,
        ),
        Variant(
            name="any_better",
            equation="b = m wherever m < b: θ plays no part",
            source="loops without a threshold",
            compute=_any_better,
        ),
        Variant(
            name="cooling_counts",
            equation="bad goes on counting while it cools",
            source="loops that only forbid to reduce for c steps",
            compute=_cooling_counts,
        ),
    ),
)
