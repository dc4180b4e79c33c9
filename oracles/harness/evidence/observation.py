"""One case with what a piece of code made of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from oracles.harness.arithmetic.formats import FORMATS, FloatArray, round_to
from oracles.harness.cases.case import Case


@dataclass(frozen=True, eq=False)
class Doubt:
    """How far the true numbers may be from what was written down.

    Attributes:
        parameters: (steps + 1, elements), before the first step and after each.
        gradients: (steps, elements).
    """

    parameters: FloatArray
    gradients: FloatArray


@dataclass(frozen=True, eq=False)
class Observation:
    """A case of one group, and the parameters after each of its steps.

    Attributes:
        what: the case was made for, as reports call it.
        case: what was given.
        answer: (steps, elements), elements end to end.
        dtype: in which the code computes.
        doubt: None where all numbers are what the code had to the bit.
        tried: candidates that were held against it in plain float64, and whether they are near.
        excluded: those whose margin it has left.
    """

    what: str
    case: Case
    answer: FloatArray
    dtype: str = "float64"
    doubt: Doubt | None = None
    tried: dict[Any, bool] = field(default_factory=dict, init=False, repr=False)
    excluded: list[Any] = field(default_factory=list, init=False, repr=False)

    @cached_property
    def before(self) -> FloatArray:
        """The parameters before each step, (steps, elements)."""
        start = np.concatenate([p.initial.ravel() for p in self.case.parameters])
        return np.concatenate([round_to(self.dtype, start)[None], self.answer[:-1]])

    @cached_property
    def gradients(self) -> tuple[FloatArray, ...]:
        """Of each step, elements end to end; nan for those of a parameter that has none."""

        def row(step: int) -> FloatArray:
            given = [
                np.full(p.initial.size, np.nan) if (g := p.gradients[step]) is None else g.ravel()
                for p in self.case.parameters
            ]
            return round_to(self.dtype, np.concatenate(given))

        return tuple(map(row, range(self.case.steps)))

    @cached_property
    def moves(self) -> FloatArray:
        """The largest move of any element at each step, (steps, 1)."""
        with np.errstate(all="ignore"):
            moved = np.abs(self.answer - self.before)
            moved = np.where(np.isfinite(moved), moved, np.nan)
            largest: FloatArray = np.fmax.reduce(moved, axis=1, keepdims=True, initial=0.0)
        return largest

    @cached_property
    def broken(self) -> bool:
        """Whether some answer is no number."""
        return bool(np.isnan(self.answer).any())

    def not_finite(self, names: Collection[str]) -> str:
        """From which step on some answer is no finite number, and of what; empty if all are.

        With hyperparameters of these names.
        """
        wrong = ~np.isfinite(self.answer)
        if not wrong.any():
            return ""
        step = int(np.argmax(wrong.any(axis=1)))
        where = int(np.argmax(wrong[step]))
        got, w = self.answer[step, where], self.before[step, where]
        g = self.gradients[step][where]
        h = self.case.groups[0].schedule[step]._asdict()
        given = {"w": w, "g": g, **{n: x for n, x in h.items() if n in names}}
        told = ", ".join(
            f"{n} = {f'{x:.4g}' if isinstance(x, float) else x}" for n, x in given.items()
        )
        return f"gives {got:g} from step {step + 1} on: {told}"

    @property
    def at_rest(self) -> str:
        """That nothing moves at any step, as of no rule; empty if something does."""
        return "" if self.moves.any() else "moves no parameter"

    @cached_property
    def slack(self) -> FloatArray:
        """What the roundings of a few operations may do to each answer, (steps, elements)."""
        part = 1e-9 if self.dtype == "float64" else 1e-4
        slack: FloatArray = part * np.abs(self.answer)
        return slack

    @cached_property
    def printed(self) -> FloatArray | float:
        """What the digits that were not written may do to each answer, (steps, elements)."""
        doubt = self.doubt
        return 0.0 if doubt is None else doubt.parameters[1:] + doubt.parameters[:-1]

    @cached_property
    def rounding(self) -> FloatArray:
        """What a rounding of the parameters, and of what was printed, may do, (steps, elements)."""
        own: FloatArray = float(FORMATS[self.dtype].u) * (np.abs(self.before) + np.abs(self.answer))
        return own + self.printed

    def only(self, numbers: Sequence[int]) -> Observation:
        """What it says of some of its parameters."""
        offsets = self.case.offsets
        where = np.concatenate([np.arange(offsets[n], offsets[n + 1]) for n in numbers])
        (group,) = self.case.groups
        kept = replace(group, parameters=tuple(group.parameters[n] for n in numbers))
        doubt = self.doubt and Doubt(
            self.doubt.parameters[:, where], self.doubt.gradients[:, where]
        )
        case = replace(self.case, groups=(kept,))
        return replace(self, case=case, answer=self.answer[:, where], doubt=doubt)
