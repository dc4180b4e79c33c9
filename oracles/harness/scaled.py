"""The oracle of loss scaling: what a run behind a scaler may come to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

from oracles.harness.arithmetic.enclosure import Enclosure
from oracles.harness.arithmetic.formats import FORMATS, round_to, uniform
from oracles.harness.cases.scaling import Iteration, ScaledRun, Values
from oracles.harness.oracle import exactly
from oracles.loop.part import Variant
from oracles.loop.scaler import OWNERS, Gradient, Handed, Settings, State
from oracles.numerics import Scalar, kept

CERTAIN = 1.125
"""By how much a number is to exceed the largest one of a format, so that it rounds to inf."""


class Open(Exception):
    """Whether a scaled gradient overflows hangs on a rounding."""


@dataclass
class Trace:
    """What a run is seen to do, or enclosures of it, after each iteration.

    Attributes:
        scales, trackers: of the scaler.
        weights: by optimizer and parameter.
    """

    scales: list[Any] = field(default_factory=list)
    trackers: list[int] = field(default_factory=list)
    weights: list[list[list[Any]]] = field(default_factory=list)

    def flat(self) -> Iterator[tuple[str, Any]]:
        """All numbers, each with what it is."""
        for t, (scale, tracker) in enumerate(zip(self.scales, self.trackers, strict=True)):
            yield f"after iteration {t + 1} the scale", scale
            yield f"after iteration {t + 1} the tracker", tracker
            for k, own in enumerate(self.weights[t]):
                for i, w in enumerate(own):
                    yield f"after iteration {t + 1} parameter {i} of optimizer {k + 1}", w


@lru_cache(maxsize=16)  # all paths of a dtype are held against the same
def enclosed(run: ScaledRun, variant: Variant, dtype: str) -> Trace:
    """Enclosures of all that a run may come to in a dtype, where a scaler follows a variant.

    Scales that are powers of two are exact.

    Raises:
        Open: a scaled gradient may or may not overflow.
    """
    number = Fraction if run.dyadic else Enclosure.exact
    _, *factors = run.settings
    state, trace = State(kept(number(run.settings.init_scale))), Trace()
    handed: list[list[Handed]] = []
    for iteration in run.iterations:
        scaled = [
            [_scaled(values, state.scale, dtype) for values in own] for own in iteration.gradients
        ]
        growth, backoff, interval = factors = list(iteration.factors or factors)
        settings = Settings(state.scale, number(growth), number(backoff), interval)
        after, steps = variant.compute(scaled, state, settings, iteration.clip)
        state = _set(after, state, iteration, number)
        handed.append(steps)
        trace.scales.append(_ball(state.scale))
        trace.trackers.append(state.tracker)
    paths = [list(_moved(run, k, dtype, handed)) for k in range(len(run.owners))]
    trace.weights = [list(map(list, at)) for at in zip(*paths, strict=True)]
    return trace


def _set(after: State, before: State, iteration: Iteration, number: Callable[[Any], Any]) -> State:
    """What an iteration leaves: where somebody sets the scale, nothing is updated."""
    if iteration.new_scale is None:
        return after
    return before._replace(scale=kept(number(iteration.new_scale)))


def _ball(number: Scalar) -> Enclosure:
    return number if isinstance(number, Enclosure) else Enclosure.exact(float(number))


def _scaled(values: Values, scale: Scalar, dtype: str) -> Gradient:
    """The gradient of a loss, as a backward pass from the scaled loss computes it."""
    held, format = round_to(dtype, values), uniform(dtype)
    finite = np.isfinite(held)
    balls: Any = Enclosure.exact(np.where(finite, held, 0.0), format) * scale
    overflows = abs(balls.mid) > CERTAIN * FORMATS[dtype].largest
    if np.any(np.isinf(balls.rad) & ~overflows):
        raise Open
    usable = finite & ~overflows
    zeros: Any = Enclosure.exact(np.zeros(len(values)), format)
    return Gradient(np.where(usable, balls, zeros), bool(usable.all()))


def _handed(steps: Sequence[Handed], k: int, i: int) -> Any:
    own = steps[k]
    return None if own is None else own[i]


def _moved(
    run: ScaledRun, k: int, dtype: str, handed: Sequence[Sequence[Handed]]
) -> Iterator[list[Any]]:
    """Where the parameters of an optimizer are after each iteration."""
    rule, h = OWNERS[run.owners[k]]
    schedule = [exactly(h)] * len(handed)
    runs = [
        rule.run(
            rule.torch,
            Enclosure.exact(round_to(dtype, start), uniform(dtype)),
            [_handed(steps, k, i) for steps in handed],
            schedule,
        )
        for i, start in enumerate(run.starts[k])
    ]
    for at in zip(*runs, strict=True):
        yield [w for w, _ in at]
