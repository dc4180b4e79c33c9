"""A way through the dictionary: entries that lead from one manner to another."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import count
from typing import Any

from oracles.dictionary.entry import Entry, Manner, Schedule
from oracles.dictionary.table import ENTRIES
from oracles.drawing import Hyper
from oracles.optimizers.registry import RULES
from oracles.rule import Rule


@dataclass(frozen=True)
class Way:
    """Entries in the order in which they are gone."""

    entries: tuple[Entry, ...] = ()

    def schedule(self, schedule: Schedule, start: int = 1, *, vectors: bool = False) -> list[Hyper]:
        """The numbers at its end, of steps that are counted from ``start`` on.

        With ``vectors`` those of parameters of at most one dimension.
        """
        reached = list(schedule)
        for entry in self.entries:
            reached = entry.apply(reached, start, vectors=vectors)
        return reached

    def holds(self, schedule: Schedule) -> bool:
        """Whether each entry does, under the numbers that reach it."""
        reached = list(schedule)
        for entry in self.entries:
            if not entry.range.holds(reached):
                return False
            reached = entry.apply(reached)
        return True

    def fixes(self, name: str, value: Any, schedule: Schedule) -> bool:
        """Whether it leads nowhere with another value of a number, or to where it leads anyway."""
        other = [h._replace(**{name: value}) for h in schedule]
        if not self.holds(other):
            return True
        ends = zip(self.schedule(other), self.schedule(schedule), strict=True)
        return all(getattr(one, name) == getattr(h, name) for one, h in ends)

    def end(self, rule: Rule, manner: Manner) -> Manner | None:
        """The manner to which it leads from one; None if it does not lead from there."""
        for entry in self.entries:
            if not entry.fits(rule, manner):
                return None
            manner = entry.after(manner)
        return manner

    @cached_property
    def ranges(self) -> tuple[str, ...]:
        """Where it holds, in words."""
        words = [e.range.words for e in self.entries if e.narrow]
        return tuple(dict.fromkeys(words))

    @cached_property
    def needs(self) -> frozenset[str]:
        """What must be known."""
        return frozenset(name for entry in self.entries for name in entry.needs)


def way(
    rule: str,
    source: Manner,
    target: Manner,
    schedule: Schedule,
    known: frozenset[str] = frozenset(),
) -> Way | None:
    """The way between two manners that holds most widely, if there is one under these numbers.

    Those come first that need nothing unknown, then those with the fewest conditions, then the
    shortest (Dijkstra's algorithm).

    >>> from oracles.optimizers.sgd import Hyper
    >>> keras = frozenset({"lr_in_velocity"})
    >>> found = way("SGD", keras, frozenset(), [Hyper(momentum=0.5)] * 2)
    >>> [entry.formula for entry in found.entries]
    ['momentum_t = μ·lr_{t−1}/lr_t']
    """
    order = count()
    waiting: list[tuple[Any, ...]] = [((0, 0, 0), next(order), source, (), schedule)]
    done: set[Manner] = set()
    while waiting:
        (unknown, narrow, length), _, manner, entries, before = heapq.heappop(waiting)
        if manner == target:
            return Way(entries)
        if manner in done:
            continue
        done.add(manner)
        reached = entries[-1].apply(before) if entries else before
        for entry in _open(rule, manner, reached):
            more = len(set(entry.needs) - known)
            cost = (unknown + more, narrow + entry.narrow, length + 1)
            after = (entry.after(manner), (*entries, entry), reached)
            heapq.heappush(waiting, (cost, next(order), *after))
    return None


def _open(rule: str, manner: Manner, schedule: Schedule) -> Iterator[Entry]:
    """The entries that apply here."""
    return (entry for entry in _fitting(rule, manner) if entry.range.holds(schedule))


@lru_cache(maxsize=2**15)  # every search comes by the same manners
def _fitting(rule: str, manner: Manner) -> tuple[Entry, ...]:
    """The entries that apply to a manner, whatever the numbers are."""
    return tuple(e for e in ENTRIES.get(rule, ()) if e.fits(RULES[rule], manner))
