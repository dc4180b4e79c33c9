"""Plans of learning rates as cases: drawn by Hypothesis from what each schedule says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from hypothesis import strategies as st

from oracles.schedules.composed import ByGroup, Chained, Plan, Sequential, Single
from oracles.schedules.schedule import Schedule, Settings

BASES = st.sampled_from((1.0, 0.5, 0.1, 0.003, 2.0, 1 / 3))
"""Learning rates of groups."""


def settings(
    schedule: Schedule, among: Mapping[str, Any] = MappingProxyType({})
) -> st.SearchStrategy[Settings]:
    """Settings of a schedule, each drawn by itself from what the schedule says, or ``among``."""
    ends = {**schedule.draws, **among}
    return st.builds(schedule.settings, **{name: _drawn(own) for name, own in ends.items()})


def _drawn(ends: Any) -> st.SearchStrategy[Any]:
    if isinstance(ends, list):
        return st.sampled_from(ends)
    low, high = ends
    return evenly(low, high) if isinstance(low, int) else st.floats(low, high)


def evenly(low: int, high: int) -> st.SearchStrategy[int]:
    """Each number as likely: Hypothesis likes small ones, in which little happens."""
    return st.sampled_from(range(low, high + 1))


def by_group(schedule: Schedule, groups: int) -> st.SearchStrategy[Settings]:
    """Settings in which whatever may be a list is one."""

    def joined(each: Sequence[Settings]) -> Settings:
        lists = {n: ByGroup(getattr(own, n) for own in each) for n in schedule.listed}
        return each[0]._replace(**lists)

    return st.lists(settings(schedule), min_size=groups, max_size=groups).map(joined)


def singles(schedules: Mapping[str, Schedule]) -> st.SearchStrategy[Single]:
    """One schedule of several."""
    return st.sampled_from(list(schedules.values())).flatmap(
        lambda schedule: st.builds(Single, st.just(schedule), settings(schedule))
    )


def chains(parts: st.SearchStrategy[Plan]) -> st.SearchStrategy[Chained]:
    """Up to three at once."""
    return st.builds(Chained, st.lists(parts, min_size=1, max_size=3).map(tuple))


def sequences(parts: st.SearchStrategy[Plan], earliest: int = 0) -> st.SearchStrategy[Sequential]:
    """Up to four, one after another; some that begin at once, if any may, or never run."""

    def timed(some: Sequence[Plan]) -> st.SearchStrategy[Sequential]:
        count = len(some) - 1
        milestones = st.lists(evenly(earliest, 8), min_size=count, max_size=count)
        return st.builds(Sequential, st.just(tuple(some)), milestones.map(sorted).map(tuple))

    return st.lists(parts, min_size=1, max_size=4).flatmap(timed)
