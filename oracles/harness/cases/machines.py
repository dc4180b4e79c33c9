"""What ``ReduceLROnPlateau`` is asked: settings, and metrics one after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from hypothesis import strategies as st

from oracles.schedules.plateau import Settings

METRICS = st.sampled_from(
    (1.0, 0.5, 0.9, 1.1, -1.0, 0.0, float("nan"), float("inf"), -float("inf"))
)
"""None of them is at a threshold, where a rounding decides."""

SETTINGS: Mapping[str, Sequence[Any]] = MappingProxyType(
    {
        "mode": ("min", "max"),
        "factor": (0.5, 0.1),
        "patience": (0, 1, 2, 10),
        "threshold": (1e-4, 0.25, 0.0),
        "threshold_mode": ("rel", "abs"),
        "cooldown": (0, 1, 2),
        "min_lr": (0.0, 0.05, 0.3),
        "eps": (1e-8, 0.11),
    }
)
"""The largest ε forbids some reductions of the rates below, and none is as large as it."""


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
    """Machines and metrics."""
    made = st.builds(
        Metrics,
        settings=settings(),
        bases=st.sampled_from(((0.5,), (0.5, 0.4), (0.4, 0.4))),
        metrics=st.lists(METRICS, min_size=4, max_size=14).map(tuple),
        listed=st.booleans(),
        shared=st.booleans(),
        boxed=st.booleans(),
    )
    return made.map(_possible)


def _possible(case: Metrics) -> Metrics:
    """One tensor has one rate and one floor."""
    shared = case.shared and len({*case.bases}) < len(case.bases)
    return replace(case, shared=shared, listed=case.listed and not shared)


def telling(variant: str) -> st.SearchStrategy[Metrics]:
    """Machines that a variant reduces at other steps than torch's, nearly all of them."""
    among, metrics = TELLING[variant]
    plain = {"min_lr": (0.0,), "eps": (1e-8,), "mode": ("min",), "threshold": (1e-4,)}
    return st.builds(
        lambda drawn, told: Metrics(drawn, (0.5,), told, False, False, False),
        settings(**{**plain, "threshold_mode": ("rel",), **among}),
        st.sampled_from(metrics),
    )


NAN = float("nan")

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
