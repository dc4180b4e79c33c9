"""The schedules there are, by the name torch gives them."""

from __future__ import annotations

import copyreg
from collections.abc import Callable, Mapping
from types import MappingProxyType

from oracles.loop.part import Part
from oracles.schedules import (
    constant,
    cosine,
    cosine_restarts,
    cyclic,
    exponential,
    lambda_,
    linear,
    multi_step,
    multiplicative,
    one_cycle,
    plateau,
    polynomial,
    step,
    swa,
)
from oracles.schedules.composed import CHAIN, SEQUENCE
from oracles.schedules.customary import inverse_root, stable, timm, warmed
from oracles.schedules.schedule import Schedule

SCHEDULES: Mapping[str, Schedule] = MappingProxyType(
    {
        module.SCHEDULE.name: module.SCHEDULE
        for module in (
            lambda_,
            multiplicative,
            step,
            multi_step,
            constant,
            linear,
            exponential,
            polynomial,
            cosine,
            cosine_restarts,
            cyclic,
            one_cycle,
            swa,
        )
    }
)
"""Those that say by themselves what the rate is at epoch t."""

CUSTOMARY: Mapping[str, Schedule] = MappingProxyType(
    {
        schedule.name: schedule
        for module in (warmed, inverse_root, stable, timm)
        for schedule in module.SCHEDULES
    }
)
"""Those that people use and torch has none of, by the name of a function or class that has them."""

KNOWN: Mapping[str, Schedule] = MappingProxyType({**SCHEDULES, **CUSTOMARY})
"""All that somebody's code may follow."""

PARTS: Mapping[str, Part] = MappingProxyType(
    {part.name: part for part in (SEQUENCE, CHAIN, plateau.PART)}
)
"""Those that put schedules together, and the one that goes by a metric."""


def _named(name: str) -> Schedule:
    return KNOWN[name]


def _by_name(schedule: Schedule) -> tuple[Callable[[str], Schedule], tuple[str]]:
    """Between processes schedules go by their names: they are made of functions."""
    return _named, (schedule.name,)


copyreg.pickle(Schedule, _by_name)
