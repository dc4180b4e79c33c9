"""Runs behind a loss scaler as cases: settings, and gradients, some of them inf or nan."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hypothesis import strategies as st

from oracles.harness.cases.choices import Choices, built
from oracles.loop.scaler import Settings

Values = tuple[float, ...]
"""The elements of one gradient."""

SPOILT = (math.inf, math.nan, -math.inf)
"""What makes a step be skipped."""

DYADIC = (1.0, 8.0, 2.0**-3, 2.0**16)
"""Scales by which one multiplies and divides exactly."""

ROUNDED = (3.0, 1000.3, 0.7)
"""Scales by which one does not."""

TINY = (2.0**-29, 2.0**-60)
"""Scales that float32 holds as well as any, and what they multiply."""

EXACT_FACTORS = ((2.0, 0.5), (4.0, 0.25), (2.0, 0.125))
ROUNDED_FACTORS = ((1.7, 0.3), (3.0, 0.9))
"""Factors of growth and backoff."""


@dataclass(frozen=True)
class Iteration:
    """One iteration.

    Attributes:
        gradients: of the loss itself, by optimizer and parameter.
        unscale: whether gradients are unscaled in a call of its own, before the step.
        clip: the largest norm to which they are clipped then, or None.
        new_scale: what the scale is set to instead of being updated, or None.
        factors: what growth and backoff factors and the interval are set to before it, or None.
    """

    gradients: tuple[tuple[Values, ...], ...]
    unscale: bool = False
    clip: float | None = None
    new_scale: float | None = None
    factors: tuple[float, float, int] | None = None

    @property
    def skips(self) -> tuple[bool, ...]:
        """Which optimizers find an inf or nan."""
        return tuple(not all(map(_finite, own)) for own in self.gradients)


WAYS = ("loaded before the first scale", "loaded later", "pickled", "deepcopied")
"""How a scaler may take over what another one remembers."""


def _finite(values: Values) -> bool:
    return all(map(math.isfinite, values))


@dataclass(frozen=True)
class ScaledRun:
    """Some optimizers behind one scaler.

    Attributes:
        settings: of the scaler.
        owners: names of the optimizers.
        starts: the parameters, by optimizer.
        iterations: in order.
        restart: from which iteration on another scaler takes over the state of the one before, and
            in which of :data:`WAYS` first, each time in the next one; or None.
    """

    settings: Settings
    owners: tuple[str, ...]
    starts: tuple[tuple[Values, ...], ...]
    iterations: tuple[Iteration, ...]
    restart: tuple[int, str] | None = None

    def taken_over(self, number: int) -> str:
        """How another scaler takes over before an iteration; empty if none does."""
        if self.restart is None or number < self.restart[0]:
            return ""
        first, way = self.restart
        return WAYS[(WAYS.index(way) + number - first) % len(WAYS)]

    @property
    def dyadic(self) -> bool:
        """Whether each scale is a power of two: then all of them are exact."""
        given = [*self.settings[:3]]
        for iteration in self.iterations:
            given += [] if iteration.new_scale is None else [iteration.new_scale]
            given += [] if iteration.factors is None else iteration.factors[:2]
        return all(math.frexp(number)[0] == 0.5 for number in given)

    def plainly(self) -> ScaledRun:
        """The same, with nobody unscaling gradients but the step: float16 has no other way."""
        plain = (replace(i, unscale=False, clip=None) for i in self.iterations)
        return replace(self, iterations=tuple(plain))

    def __str__(self) -> str:
        own = " ".join(f"{name}={value}" for name, value in self.settings._asdict().items())
        told = "; ".join(f"{_told(self.owners, i)}" for i in self.iterations)
        again = ""
        if self.restart is not None:
            at, how = self.restart
            again = f", {how} before iteration {at + 1}, and so on"
        return f"{own}{again}: {told}"


def _told(owners: Sequence[str], iteration: Iteration) -> str:
    """An iteration as people say it.

    >>> _told(["SGD"], Iteration((((1.0,), (math.inf,)),), clip=0.5))
    'SGD (1.0,) (inf,) clip=0.5'
    """
    words = [
        f"{owner} {' '.join(map(str, own))}"
        for owner, own in zip(owners, iteration.gradients, strict=True)
    ]
    if iteration.unscale and iteration.clip is None:
        words.append("unscale_")
    given = ((name, getattr(iteration, name)) for name in ("clip", "new_scale", "factors"))
    return " ".join(words + [f"{name}={value}" for name, value in given if value is not None])


def runs(
    *,
    owners: Sequence[tuple[str, ...]] = (("SGD",), ("SGD", "SGD"), ("Adam",), ("SGD", "Adam")),
    scales: Sequence[float] = DYADIC,
    factors: Sequence[tuple[float, float]] = EXACT_FACTORS,
    intervals: Sequence[int] = (2, 1, 3, 100),
    longest: int = 8,
    clips: bool = False,
    changes: bool = False,
    restarts: bool = False,
) -> st.SearchStrategy[ScaledRun]:
    """Runs, drawn as one byte string, which costs a tenth of many draws.

    Args:
        owners: what optimizers there may be.
        scales, factors, intervals: what settings are drawn from.
        longest: the most iterations.
        clips: whether some clip.
        changes: whether some set the scale or other settings in mid-run.
        restarts: whether some are taken over by a fresh scaler.
    """

    def made(draw: Choices) -> ScaledRun:
        growth, backoff = draw.pick(factors)
        settings = Settings(draw.pick(scales), growth, backoff, draw.pick(intervals))
        names = draw.pick(owners)
        sizes = [tuple(1 + draw.index(3) for _ in range(1 + draw.index(2))) for _ in names]
        count = 1 + draw.index(longest)
        again = restarts and draw.yes()  # before what uses bytes up
        restart = (draw.index(count), draw.pick(WAYS)) if again else None
        starts = tuple(tuple(draw.values(n) for n in own) for own in sizes)
        iterations = tuple(
            Iteration(
                tuple(tuple(_gradient(draw, n) for n in own) for own in sizes),
                unscale := draw.yes(),
                draw.pick((0.5, 2.0, 8.0)) if clips and unscale and draw.yes() else None,
                draw.pick(scales) if changes and draw.one_in(6) else None,
                (*draw.pick(factors), draw.pick(intervals)) if changes and draw.one_in(6) else None,
            )
            for _ in range(count)
        )
        return ScaledRun(settings, names, starts, iterations, restart)

    return built(made)


def _gradient(draw: Choices, size: int) -> Values:
    values = draw.values(size)
    if not draw.one_in(6):
        return values
    at = draw.index(size)
    return (*values[:at], draw.pick(SPOILT), *values[at + 1 :])
