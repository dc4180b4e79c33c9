"""Plans of learning rates as cases: drawn by Hypothesis from what each schedule says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

from oracles.schedules.composed import Chained, Plan, Sequential, Single
from oracles.schedules.schedule import Schedule, Settings

BASES = st.sampled_from((1.0, 0.5, 0.1, 0.003, 2.0, 1 / 3))
"""Learning rates of groups."""


def settings(schedule: Schedule) -> st.SearchStrategy[Settings]:
    """Settings of a schedule, each drawn by itself and all of them allowed together."""
    drawn = {name: _drawn(ends) for name, ends in schedule.draws.items()}
    made = st.builds(schedule.settings, **drawn)
    return made.filter(lambda s: schedule.constraint(s) is None)


def _drawn(ends: Any) -> st.SearchStrategy[Any]:
    if isinstance(ends, list):
        return st.sampled_from(ends)
    low, high = ends
    return st.integers(low, high) if isinstance(low, int) else st.floats(low, high)


def singles(schedules: Mapping[str, Schedule]) -> st.SearchStrategy[Single]:
    """One schedule of several."""
    return st.sampled_from(list(schedules.values())).flatmap(
        lambda schedule: st.builds(Single, st.just(schedule), settings(schedule))
    )


def chains(parts: st.SearchStrategy[Plan]) -> st.SearchStrategy[Chained]:
    """Two or three at once."""
    return st.builds(Chained, st.lists(parts, min_size=2, max_size=3).map(tuple))


def sequences(parts: st.SearchStrategy[Plan]) -> st.SearchStrategy[Sequential]:
    """Two or three, one after another."""

    def timed(some: Sequence[Plan]) -> st.SearchStrategy[Sequential]:
        count = len(some) - 1
        milestones = st.lists(st.integers(1, 8), min_size=count, max_size=count, unique=True)
        return st.builds(Sequential, st.just(tuple(some)), milestones.map(sorted).map(tuple))

    return st.lists(parts, min_size=2, max_size=3).flatmap(timed)
