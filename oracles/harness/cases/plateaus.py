"""What ``ReduceLROnPlateau`` is asked: settings, and metrics one after another."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from types import MappingProxyType
from typing import Any

from hypothesis import strategies as st

from oracles.harness.cases.choices import Choices, built
from oracles.loop.part import Variant
from oracles.schedules.plateau import Settings, better, start

NAN = math.nan

SETTINGS: Mapping[str, Sequence[Any]] = MappingProxyType(
    {
        "mode": ("min", "max"),
        "factor": (0.5, 0.1),
        "patience": (0, 1, 2, 3, 2, 10),
        "threshold": (0.25, 1e-4, 0.25, 0.0),
        "threshold_mode": ("rel", "abs"),
        "cooldown": (0, 1, 2),
        "min_lr": (0.0, 0.05, 0.3),
        "eps": (1e-8, 0.11, 0.25),
    }
)
"""Each ε forbids some reductions of the rates below; the largest is as large as that from 0.5 to
0.25, which no format rounds, and forbids it."""


def settings(**among: Sequence[Any]) -> st.SearchStrategy[Settings]:
    """Settings of a machine, some of them among others."""
    drawn = {name: st.sampled_from(values) for name, values in {**SETTINGS, **among}.items()}
    return st.builds(Settings, **drawn)


@dataclass(frozen=True)
class Metrics:
    """A machine, and what it is told.

    Attributes:
        settings: of the machine.
        bases: rates of the groups.
        metrics: one a step.
        listed: whether each group has a floor of its own, the second twice that of the first.
        shared: whether the groups have one tensor in common, where rates are in tensors.
        boxed: whether metrics are tensors.
    """

    settings: Settings
    bases: tuple[float, ...]
    metrics: tuple[float, ...]
    listed: bool
    shared: bool
    boxed: bool

    def __str__(self) -> str:
        given = ", ".join(f"{name}={value}" for name, value in self.settings._asdict().items())
        together = " in one tensor" if self.shared else ""
        rates = ", ".join(map(str, self.bases))
        return f"ReduceLROnPlateau({given}) from {rates}{together}, told {self.metrics}"

    @property
    def floors(self) -> tuple[float, ...]:
        """The floor of each group."""
        return tuple(
            self.settings.min_lr * (1 + number * self.listed) for number in range(len(self.bases))
        )


def told() -> st.SearchStrategy[Metrics]:
    """Machines, and metrics on either side of what they hold for better."""

    def build(choices: Choices) -> Metrics:
        chosen = Settings(**{name: choices.pick(values) for name, values in SETTINGS.items()})
        bases = choices.pick(((0.5, 0.4), (0.5,), (0.4, 0.4)))
        listed, shared, boxed = choices.yes(), choices.yes(), choices.yes()
        walked = tuple(islice(_walk(choices, chosen), 4 + choices.index(11)))
        return _possible(Metrics(chosen, bases, walked, listed, shared, boxed))

    return built(build)


FIRST = (1.0, -1.0, 0.5, -2.0, 0.0, NAN, math.inf, -math.inf)
"""Metrics where there is no best one yet."""

MOVES = (1.5, -1.0, 0.5, 0.0, 1.5, -1.0, 0.5, NAN, -math.inf)
"""Ways to go on from the best metric, as shares of the way to what would be better. No rounding
decides about them: 0 is the best metric itself, and nobody rounds where there is no threshold."""

REPEATED = (1, 2, 4, 1)
"""Times that a metric may come in a row, which makes a row of bad ones."""

UNDER_NO_THRESHOLD = 0.1
"""What is better where anything is."""


def _walk(choices: Choices, s: Settings) -> Iterator[float]:
    """Metrics without an end."""
    best = start(s).best
    while True:
        metric = choices.pick(FIRST)
        if math.isfinite(best):
            metric = best + choices.pick(MOVES) * _way(best, s)
        yield from (metric,) * choices.pick(REPEATED)
        best = metric if better(metric, best, s) else best


def _way(best: float, s: Settings) -> float:
    """From the best metric to what would be better."""
    sign = 1 if s.mode == "max" else -1
    way = s.threshold * (best if s.threshold_mode == "rel" else 1.0)
    return sign * (way or UNDER_NO_THRESHOLD)


def _possible(case: Metrics) -> Metrics:
    """One tensor has one rate and one floor."""
    shared = case.shared and len({*case.bases}) < len(case.bases)
    return replace(case, shared=shared, listed=case.listed and not shared)


def telling(variant: Variant) -> st.SearchStrategy[Metrics]:
    """Machines that a variant reduces at other steps than torch's, nearly all of them."""
    among, metrics = TELLING[variant.name]
    plain = {"min_lr": (0.0,), "eps": (1e-8,), "mode": ("min",), "threshold": (1e-4,)}
    return st.builds(
        lambda drawn, told: Metrics(drawn, (0.5,), told, False, False, False),
        settings(**{**plain, "threshold_mode": ("rel",), **among}),
        st.sampled_from(metrics),
    )


TELLING: Mapping[str, tuple[Mapping[str, Sequence[Any]], Sequence[tuple[float, ...]]]] = {
    "at_patience": ({"patience": (1, 2)}, ((1.0,) * 8, (1.0, 0.5) + (0.9,) * 6)),
    "nan_ignored": ({}, ((1.0, NAN, NAN, NAN, 0.5), (NAN,) * 4 + (1.0,))),
    "any_better": (
        {"threshold": (0.25,), "patience": (0, 1)},
        ((1.0, 0.9, 0.8, 0.8, 0.5), (1.0, 0.95, 0.85, 0.8)),
    ),
    "cooling_counts": ({"cooldown": (1, 2), "patience": (1, 2)}, ((1.0,) * 12,)),
}
"""For each variant, among what settings are drawn, and metrics."""
