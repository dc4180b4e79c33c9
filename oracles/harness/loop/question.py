"""A question about one part of the loop: its cases, who is asked, and what is right."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from hypothesis import strategies as st

from oracles.harness.subjects.subject import Place
from oracles.harness.verdict import OUTSIDE, Verdict

SHARE = 1 / 12
"""Examples of a question of weight 1 for each one of the profile: a dozen schedules share them."""

Region = Callable[[Any, Place], bool]
"""Whether a known deviation may show in a case at a place."""


@dataclass(frozen=True)
class Question:
    """One question about a part of torch's loop.

    Attributes:
        part: the class or function that is asked, as torch names it.
        name: how reports and the ledger write it.
        cases: makes the strategy for its cases, frozen records whose text shows what they are.
        ask: puts a case at a place; a failure is a verdict, not an exception.
        places: where it can be asked of this torch: by path (``plain``, ``foreach``, ...), dtype
            and device.
        regions: by the name a row of the ledger gives, the cases in which its deviation shows.
        rejects: the variant it proves to be another one, if that is its purpose.
        weight: its share of the examples, as a check's.
    """

    part: str
    name: str
    cases: Callable[[], st.SearchStrategy[Any]]
    ask: Callable[[Any, Place], Verdict]
    places: Callable[[], Sequence[Place]]
    regions: Mapping[str, Region] = field(default_factory=lambda: MappingProxyType({}))
    rejects: str | None = None
    weight: float = 1.0

    def examples(self, of_profile: int) -> int:
        """How many cases to ask where a test of its own would ask ``of_profile``."""
        return max(1, round(of_profile * self.weight * SHARE))


def wrong(place: Place, case: Any, sentence: str) -> Verdict:
    """What is asked there has failed, by a sentence that goes on after the place.

    >>> wrong(Place("StepLR", "plain", "float64", "cpu"), "gamma=0.5", "stays at 1").sentence
    'StepLR [plain, float64, cpu] stays at 1; gamma=0.5'
    """
    return Verdict(OUTSIDE, lambda: f"{place} {sentence}; {case}")
