"""A part of what is known: of some parameters, or where the settings are of some kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from oracles.harness.evidence.observation import Observation
from oracles.harness.evidence.witnesses import NOTHING, Witness
from oracles.rule import Rule


@dataclass(frozen=True, eq=False)
class Part:
    """A witness that tells a part of what another one knows.

    Attributes:
        whole: the other.
        cut: what of an observation belongs to it; None for nothing.
    """

    whole: Witness
    cut: Callable[[Observation], Observation | None]

    @property
    def name(self) -> str:
        return self.whole.name

    @property
    def vague(self) -> bool:
        return self.whole.vague

    def takes(self, rule: Rule) -> frozenset[str]:
        return self.whole.takes(rule)

    def ignores(self, rule: Rule) -> frozenset[str]:
        return self.whole.ignores(rule)

    def deaf(self, rule: Rule) -> bool:
        return self.whole.deaf(rule)

    def short(self, rule: Rule) -> bool:
        return self.whole.short(rule)

    def unread(self, rule: Rule) -> tuple[str, ...]:
        return self.whole.unread(rule)

    def resting(self, rule: Rule) -> tuple[str, ...]:
        return self.whole.resting(rule)

    def kinds(self, rule: Rule) -> Mapping[str, tuple[int, ...]]:
        return self.whole.kinds(rule)

    def observations(self, rule: Rule, without: frozenset[str] = NOTHING) -> Iterator[Observation]:
        cut = map(self.cut, self.whole.observations(rule, without))
        yield from (observation for observation in cut if observation is not None)

    @property
    def far(self) -> Part | None:
        far = self.whole.far
        return None if far is None else Part(far, self.cut)


def of(whole: Witness, numbers: tuple[int, ...]) -> Part:
    """What is known of some parameters, of which a case of its own shapes may lack some."""

    def cut(told: Observation) -> Observation | None:
        there = [n for n in numbers if n < len(told.case.parameters)]
        return told.only(there) if there else None

    return Part(whole, cut)


def where(whole: Witness, what: str) -> Part:
    """What is known where the settings are of one kind."""
    return Part(whole, lambda o: o if o.what == what else None)


def elsewhere(whole: Witness, what: str) -> Part:
    """What is known where the settings are of any other kind."""
    return Part(whole, lambda o: None if o.what == what else o)
