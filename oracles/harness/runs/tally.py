"""What a run has tried and seen: counters that merge, print, and travel between workers as JSON."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from oracles.harness.arithmetic.formats import FULL
from oracles.harness.subjects.subject import Place
from oracles.harness.verdict import ERRORED, UNDECIDED, Vacuous, Verdict

MAX_UNDECIDED_CHECK = 0.5
"""Largest share of undecided element-steps in the average verdict of one check. At the edge of the
formats a few elements in a hundred hang on a rounding, and of a rule that squares its gradients one
in six."""

MAX_UNDECIDED = 0.01
"""The same of all that an optimizer was asked away from the edge, where cases stay finite."""

MAX_UNRESOLVED = 0.1
"""Largest share of an optimizer's verdicts in float64 and float32 that may be unresolved: most of
their moves are narrower than their radius. It is one in thirty at most; bfloat16, which resolves
eight bits, makes one in five of RAdam's unresolved."""

ENOUGH = 300
"""Verdicts on an optimizer before its shares are judged: those of a few cases jump."""

ENOUGH_CHECK = 20
"""The same of one check, which a narrow choice of subjects is asked a few times only, and of those
of its verdicts that are at the edge, of which there may be fewer still."""


@dataclass
class Line:
    """What was seen of one subject.

    Attributes:
        runs: verdicts.
        failed: of them, those that failed.
        errored: of those, the ones in which the subject raised.
        empty: those that decided nothing, of which there may have been nothing to decide.
        unresolved: those in which most moves were narrower than their radius.
        elements: element-steps compared.
        edge: verdicts on cases at the edge of the formats.
        undecided, undecided_edge: sum of the shares of undecided element-steps in the verdicts away
            from the edge, and at it.
        moved, below_radius: element-steps that the rule moves, and those narrower than their
            radius.
        measured: verdicts that rest on a measurement.
        share: largest share of a radius used.
    """

    runs: int = 0
    failed: int = 0
    errored: int = 0
    empty: int = 0
    unresolved: int = 0
    elements: int = 0
    edge: int = 0
    undecided: float = 0.0
    undecided_edge: float = 0.0
    moved: int = 0
    below_radius: int = 0
    measured: int = 0
    share: float = 0.0

    def add(self, verdict: Verdict) -> None:
        """Count one verdict; an empty one decided nothing, an unresolved one few of the moves.

        Undecided elements are counted as their share of the verdict, and unresolved moves by
        verdict: one long vector in bfloat16 would outweigh all other elements.
        """
        self.runs += 1
        self.failed += verdict.failed
        self.errored += verdict.outcome == ERRORED
        self.empty += verdict.outcome == UNDECIDED or not (verdict.elements or verdict.failed)
        self.unresolved += 2 * verdict.below_radius > verdict.moved
        self.elements += verdict.elements
        undecided = verdict.undecided / max(1, verdict.elements)
        if verdict.edge:
            self.edge += 1
            self.undecided_edge += undecided
        else:
            self.undecided += undecided
        self.moved += verdict.moved
        self.below_radius += verdict.below_radius
        self.measured += verdict.measured
        self.share = max(self.share, verdict.share)

    def merge(self, other: Line) -> None:
        """Add another line's counters to these."""
        share = max(self.share, other.share)
        for name, count in vars(other).items():
            setattr(self, name, getattr(self, name) + count)
        self.share = share

    @property
    def undecided_share(self) -> float:
        """Share of a verdict's element-steps about which nothing could be said, on average.

        Verdicts at the edge of the formats have a share of their own.
        """
        return self.undecided / max(1, self.runs - self.edge)

    @property
    def edge_share(self) -> float:
        """The same of verdicts at the edge."""
        return self.undecided_edge / max(1, self.edge)

    @property
    def below_radius_share(self) -> float:
        """Share of the moved element-steps whose radius is wider than their move."""
        return self.below_radius / max(1, self.moved)

    @property
    def unresolved_share(self) -> float:
        """Share of the verdicts in which most moves were narrower than their radius."""
        return self.unresolved / max(1, self.runs)


@dataclass
class Tally:
    """Counters of a whole run.

    Attributes:
        cases: cases tried, by check.
        lines: by place.
        rejected: by optimizer and convention, how often and with which smallest separation.
        deviations: by id and place, how often the region was met and left out.
        confirmed, healed: by id, where its reproducer still fails, or passes.
        absent: by place, why it is not there.
    """

    cases: Counter[str] = field(default_factory=Counter)
    lines: dict[Place, Line] = field(default_factory=dict)
    rejected: dict[tuple[str, str], tuple[int, float]] = field(default_factory=dict)
    deviations: dict[str, Counter[Place]] = field(default_factory=dict)
    confirmed: dict[str, set[Place]] = field(default_factory=dict)
    healed: dict[str, set[Place]] = field(default_factory=dict)
    absent: dict[Place, str] = field(default_factory=dict)

    def add(self, place: Place, verdict: Verdict) -> None:
        """Count one verdict."""
        self.lines.setdefault(place, Line()).add(verdict)

    def leave_out(self, deviation: str, place: Place) -> None:
        """Count one case of which a known deviation left out some, or all."""
        self.deviations.setdefault(deviation, Counter())[place] += 1

    def unasked(self) -> dict[str, list[Place]]:
        """By deviation, where all that was drawn has met it: what one task has asked nothing of.

        >>> here, there = (Place("SGD", "fused", dtype, "cpu") for dtype in ("float16", "float32"))
        >>> Tally({}, {there: Line(runs=1)}, deviations={"a row": Counter([here, there])}).unasked()
        {'a row': [Place(optimizer='SGD', path='fused', dtype='float16', device='cpu')]}
        """
        silent = {
            id: [p for p in met if p not in self.lines] for id, met in self.deviations.items()
        }
        return {id: places for id, places in silent.items() if places}

    def rerun(self, deviation: str, place: Place, *, fails: bool) -> None:
        """Note what came of a known deviation's reproducer."""
        (self.confirmed if fails else self.healed).setdefault(deviation, set()).add(place)

    def reject(self, optimizer: str, convention: str, separation: float) -> None:
        """Count one rejection with its separation."""
        count, smallest = self.rejected.get((optimizer, convention), (0, math.inf))
        self.rejected[optimizer, convention] = (count + 1, min(smallest, separation))

    @property
    def decided(self) -> int:
        """Verdicts that decided something."""
        return sum(line.runs - line.empty for line in self.lines.values())

    def whole(self, optimizer: str | None = None, dtypes: Container[str] | None = None) -> Line:
        """All lines, or those of one optimizer and some dtypes, added up."""
        total = Line()
        for place, line in self.lines.items():
            if optimizer in (None, place.optimizer) and (dtypes is None or place.dtype in dtypes):
                total.merge(line)
        return total

    def merge(self, other: Tally) -> None:
        """Add another run's counters to these."""
        self.cases += other.cases
        for id, places in other.deviations.items():
            self.deviations.setdefault(id, Counter()).update(places)
        for kept, added in ((self.confirmed, other.confirmed), (self.healed, other.healed)):
            for id, seen in added.items():
                kept.setdefault(id, set()).update(seen)
        self.absent |= other.absent
        for place, line in other.lines.items():
            self.lines.setdefault(place, Line()).merge(line)
        for name, (count, smallest) in other.rejected.items():
            mine, least = self.rejected.get(name, (0, math.inf))
            self.rejected[name] = (mine + count, min(least, smallest))

    def on(self, kinds: Mapping[str, str]) -> Tally:
        """The same, with each device named with its kind, as ``cpu AVX2`` is.

        >>> tally = Tally(absent={Place("SGD", "fused", "float16", "cpu"): "no kernel"})
        >>> [place.device for place in tally.on({"cpu": "AVX2"}).absent]
        ['cpu AVX2']
        """

        def moved(place: Place) -> Place:
            told = (f"{d} {kinds[d]}" if d in kinds else d for d in place.device.split("+"))
            return place._replace(device="+".join(told))

        return Tally(
            self.cases,
            {moved(place): line for place, line in self.lines.items()},
            self.rejected,
            {
                id: Counter({moved(place): times for place, times in met.items()})
                for id, met in self.deviations.items()
            },
            {id: {*map(moved, places)} for id, places in self.confirmed.items()},
            {id: {*map(moved, places)} for id, places in self.healed.items()},
            {moved(place): why for place, why in self.absent.items()},
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data, for a worker to hand to its controller."""
        return {
            "cases": dict(self.cases),
            "lines": [[*place, vars(line)] for place, line in self.lines.items()],
            "rejected": [[*key, *value] for key, value in self.rejected.items()],
            "deviations": [
                [id, *place, times]
                for id, places in self.deviations.items()
                for place, times in places.items()
            ],
            "confirmed": _listed(self.confirmed),
            "healed": _listed(self.healed),
            "absent": [[*place, why] for place, why in self.absent.items()],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Tally:
        """The inverse of :meth:`to_json`."""
        return cls(
            Counter(data["cases"]),
            {Place(*place): Line(**line) for *place, line in data["lines"]},
            {(o, c): (count, least) for o, c, count, least in data["rejected"]},
            _met(data["deviations"]),
            _placed(data["confirmed"]),
            _placed(data["healed"]),
            {Place(*place): why for *place, why in data["absent"]},
        )


def _listed(places: Mapping[str, set[Place]]) -> list[list[str]]:
    return [[id, *place] for id, seen in places.items() for place in sorted(seen)]


def _placed(rows: Iterable[Sequence[str]]) -> dict[str, set[Place]]:
    """The inverse of :func:`_listed`."""
    places: dict[str, set[Place]] = {}
    for id, *place in rows:
        places.setdefault(id, set()).add(Place(*place))
    return places


def _met(rows: Iterable[Sequence[Any]]) -> dict[str, Counter[Place]]:
    met: dict[str, Counter[Place]] = {}
    for id, *place, times in rows:
        met.setdefault(id, Counter())[Place(*place)] = times
    return met


def count_decided(check: str, seen: Tally) -> int:
    """How many verdicts of a check that nobody failed decided something.

    Raises:
        Vacuous: of :data:`ENOUGH_CHECK` verdicts or more, none did; or of as many at the edge of
            the formats, or away from it, most elements were undecided.
    """
    whole = seen.whole()
    for runs, share in (
        (whole.runs - whole.edge, whole.undecided_share),
        (whole.edge, whole.edge_share),
    ):
        if runs >= ENOUGH_CHECK and share > MAX_UNDECIDED_CHECK:
            excess = _excess("elements were undecided", share, MAX_UNDECIDED_CHECK)
            raise Vacuous(f"{check}: {excess}")
    if whole.runs >= ENOUGH_CHECK and not seen.decided:
        raise Vacuous(f"{check}: nothing was decided")
    return seen.decided


def vacuities(tally: Tally) -> list[str]:
    """What a run cannot claim to have shown, a line for each optimizer of which little was decided.

    Unlike :func:`count_decided` this looks at all checks together: the shares are of many cases.
    """
    doubts = []
    for name in dict.fromkeys(place.optimizer for place in tally.lines):
        line, full = tally.whole(name), tally.whole(name, FULL)
        doubts += [
            f"{name}: {_excess(what, share, bound)}"
            for runs, what, share, bound in (
                (line.runs, "elements were undecided", line.undecided_share, MAX_UNDECIDED),
                (full.runs, "verdicts were unresolved", full.unresolved_share, MAX_UNRESOLVED),
            )
            if runs >= ENOUGH and share > bound
        ]
    return doubts


def _excess(what: str, share: float, bound: float) -> str:
    return f"{share:.1%} of the {what}; allowed {bound:.0%}"
