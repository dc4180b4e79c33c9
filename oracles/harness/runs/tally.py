"""What a run has tried and seen: counters that merge, print, and travel between workers as JSON."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import Any

from oracles.harness.verdict import UNDECIDED, Verdict


@dataclass
class Line:
    """What was seen of one subject.

    Attributes:
        runs: verdicts.
        failed: of them, those that failed.
        empty: those that decided nothing, of which there may have been nothing to decide.
        blunt: those in which most moves were narrower than their radius.
        elements: element-steps compared.
        edge: verdicts on cases at the edge of the formats.
        undecided, undecided_edge: sum of the shares of undecided element-steps in the verdicts away
            from the edge, and at it.
        moved, swallowed: element-steps that the rule moves, and those narrower than their radius.
        measured: verdicts that rest on a measurement.
        share: largest share of a radius used.
    """

    runs: int = 0
    failed: int = 0
    empty: int = 0
    blunt: int = 0
    elements: int = 0
    edge: int = 0
    undecided: float = 0.0
    undecided_edge: float = 0.0
    moved: int = 0
    swallowed: int = 0
    measured: int = 0
    share: float = 0.0

    def add(self, verdict: Verdict) -> None:
        """Count one verdict; an empty one decided nothing, a blunt one few of the moves.

        Undecided elements are counted as their share of the verdict, and blunt moves by verdict:
        one long vector in bfloat16 would outweigh all other elements.
        """
        self.runs += 1
        self.failed += verdict.failed
        self.empty += verdict.outcome == UNDECIDED or not (verdict.elements or verdict.failed)
        self.blunt += 2 * verdict.swallowed > verdict.moved
        self.elements += verdict.elements
        undecided = verdict.undecided / max(1, verdict.elements)
        if verdict.edge:
            self.edge += 1
            self.undecided_edge += undecided
        else:
            self.undecided += undecided
        self.moved += verdict.moved
        self.swallowed += verdict.swallowed
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
    def swallowed_share(self) -> float:
        """Share of the moved element-steps whose radius is wider than their move."""
        return self.swallowed / max(1, self.moved)

    @property
    def blunt_share(self) -> float:
        """Share of the verdicts in which most moves were narrower than their radius."""
        return self.blunt / max(1, self.runs)


@dataclass
class Tally:
    """Counters of a whole run.

    Attributes:
        cases: cases tried, by check.
        lines: by (optimizer, path, dtype, device).
        rejected: by convention, how often and with which smallest separation.
        deviations: by id, how often the region was met and left out.
        confirmed, healed: ids whose reproducer still fails, or passes.
        absent: by optimizer, path, dtype and device, why it is not there.
    """

    cases: Counter[str] = field(default_factory=Counter)
    lines: dict[tuple[str, str, str, str], Line] = field(default_factory=dict)
    rejected: dict[str, tuple[int, float]] = field(default_factory=dict)
    deviations: Counter[str] = field(default_factory=Counter)
    confirmed: set[str] = field(default_factory=set)
    healed: set[str] = field(default_factory=set)
    absent: dict[str, str] = field(default_factory=dict)

    def add(self, subject: Any, verdict: Verdict) -> None:
        """Count one verdict."""
        key = (subject.optimizer.__name__, subject.path.name, subject.dtype, subject.device)
        self.lines.setdefault(key, Line()).add(verdict)

    def reject(self, convention: str, separation: float) -> None:
        """Count one rejection with its separation."""
        count, smallest = self.rejected.get(convention, (0, math.inf))
        self.rejected[convention] = (count + 1, min(smallest, separation))

    def lack(self, optimizer: str, missing: Mapping[str, str]) -> None:
        """Note what an optimizer lacks here: by path, dtype and device, why."""
        self.absent |= {f"{optimizer}, {where}": why for where, why in missing.items()}

    @property
    def decided(self) -> int:
        """Verdicts that decided something."""
        return sum(line.runs - line.empty for line in self.lines.values())

    def whole(self, optimizer: str | None = None, dtypes: Container[str] | None = None) -> Line:
        """All lines, or those of one optimizer and some dtypes, added up."""
        total = Line()
        for key, line in self.lines.items():
            if optimizer in (None, key[0]) and (dtypes is None or key[2] in dtypes):
                total.merge(line)
        return total

    def merge(self, other: Tally) -> None:
        """Add another run's counters to these."""
        self.cases += other.cases
        self.deviations += other.deviations
        self.confirmed |= other.confirmed
        self.healed |= other.healed
        self.absent |= other.absent
        for key, line in other.lines.items():
            self.lines.setdefault(key, Line()).merge(line)
        for name, (count, smallest) in other.rejected.items():
            mine, least = self.rejected.get(name, (0, math.inf))
            self.rejected[name] = (mine + count, min(least, smallest))

    def to_json(self) -> dict[str, Any]:
        """Plain data, for a worker to hand to its controller."""
        return {
            "cases": dict(self.cases),
            "lines": [[*key, vars(line)] for key, line in self.lines.items()],
            "rejected": {k: list(v) for k, v in self.rejected.items()},
            "deviations": dict(self.deviations),
            "confirmed": sorted(self.confirmed),
            "healed": sorted(self.healed),
            "absent": self.absent,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Tally:
        """The inverse of :meth:`to_json`."""
        return cls(
            Counter(data["cases"]),
            {(o, p, t, d): Line(**line) for o, p, t, d, line in data["lines"]},
            {k: (v[0], v[1]) for k, v in data["rejected"].items()},
            Counter(data["deviations"]),
            set(data["confirmed"]),
            set(data["healed"]),
            dict(data["absent"]),
        )
