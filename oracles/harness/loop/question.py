"""A question about one part of the loop: its cases, who is asked, and what is right."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import Any, Protocol, TypeVar

from hypothesis import strategies as st

from oracles.harness.subjects.subject import Place
from oracles.harness.verdict import OUTSIDE, Verdict

SHARE = 1 / 12
"""Examples of a question of weight 1 for each one of the profile: a dozen schedules share them."""

Region = Callable[[Any, Place], bool]
"""Whether a known deviation may show in a case at a place."""

NOWHERE: Mapping[str, Region] = MappingProxyType({})

EVERYTHING: Mapping[str, Region] = MappingProxyType({"everything": lambda case, place: True})
"""Of a deviation that shows wherever it is asked about."""


def alone(case: Any) -> tuple[Any]:
    """What is drawn is the case."""
    return (case,)


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
        each: makes several cases of what is drawn, where all of them are to be asked each time.
    """

    part: str
    name: str
    cases: Callable[[], st.SearchStrategy[Any]]
    ask: Callable[[Any, Place], Verdict]
    places: Callable[[], Sequence[Place]]
    regions: Mapping[str, Region] = field(default_factory=lambda: NOWHERE)
    rejects: str | None = None
    weight: float = 1.0
    each: Callable[[Any], Iterable[Any]] = alone

    def examples(self, of_profile: int) -> int:
        """How many cases to ask where a test of its own would ask ``of_profile``."""
        return max(1, round(of_profile * self.weight * SHARE))


class Named(Protocol):
    """A variant of a part, or a timing of a schedule."""

    @property
    def name(self) -> str: ...


V = TypeVar("V", bound=Named)


def rejections(
    part: str,
    others: Iterable[V],
    cases: Callable[[V], st.SearchStrategy[Any]],
    ask: Callable[[Any, Place], Verdict],
    apart: Callable[[V, Any, Place], float],
    places: Callable[[], Sequence[Place]],
    regions: Mapping[str, Region] = NOWHERE,
) -> Iterator[Question]:
    """For each of other variants the question that proves a part to be none of it.

    Args:
        part: the class or function that is asked.
        others: the variants.
        cases: makes the strategy for cases in which a variant may differ.
        ask: puts a case at a place, where torch's variant is expected.
        apart: how far that and another are apart there, in both radii together.
        places: where it can be asked.
        regions: as a question has them.
    """
    for other in others:
        yield Question(
            part,
            f"rejects {other.name}",
            partial(_parting, cases, apart, places, other),
            partial(_rejected, ask, apart, other),
            places,
            regions,
            other.name,
            weight=0.4,  # each case proves something
        )


def _parting(
    cases: Callable[[V], st.SearchStrategy[Any]],
    apart: Callable[[V, Any, Place], float],
    places: Callable[[], Sequence[Place]],
    other: V,
) -> st.SearchStrategy[Any]:
    """Cases that prove a variant to be another one, in float32 if that is asked."""
    place = min(places(), key=lambda place: place.dtype != "float32")
    return cases(other).filter(lambda case: apart(other, case, place) > 1)


def _rejected(
    ask: Callable[[Any, Place], Verdict],
    apart: Callable[[V, Any, Place], float],
    other: V,
    case: Any,
    place: Place,
) -> Verdict:
    """torch does what is its own, where another variant is proven to do something else."""
    return replace(ask(case, place), separation=apart(other, case, place))


def wrong(place: Place, case: Any, sentence: str) -> Verdict:
    """What is asked there has failed, by a sentence that goes on after the place.

    >>> wrong(Place("StepLR", "plain", "float64", "cpu"), "gamma=0.5", "stays at 1").sentence
    'StepLR [plain, float64, cpu] stays at 1; gamma=0.5'
    """
    return Verdict(OUTSIDE, lambda: f"{place} {sentence}; {case}")
