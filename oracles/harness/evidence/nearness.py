"""How far a candidate is from what is known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from oracles.harness.arithmetic.formats import FloatArray
from oracles.harness.candidates import Candidate
from oracles.harness.evidence.following import plainly
from oracles.harness.evidence.observation import Observation


@dataclass(frozen=True)
class Near:
    """A candidate that does not fit, and how far it is from what is known.

    Attributes:
        candidate: the candidate.
        share: of the moves that it has right but for roundings.
        typical: the usual difference, in parts of the largest move of a step.
        largest: the largest difference.
        aside: what the code is given, and the candidate knows nothing of.
        where: it holds but there, or there alone; empty if that is nowhere in particular.
        alone: whether it holds there alone.

    >>> from oracles import RULES
    >>> near = Near(Candidate(RULES["SGD"]), 0.996, 0.0, 0.25, ("beta1", "beta2"))
    >>> print(near)
    SGD's coupled_unscaled, which has 99% of the moves right and is off by up to 0.25 of a step's \
largest, but knows no beta1 or beta2
    """

    candidate: Candidate
    share: float
    typical: float
    largest: float
    aside: tuple[str, ...] = ()
    where: str = ""
    alone: bool = False

    def __str__(self) -> str:
        without = f", but knows no {' or '.join(self.aside)}" if self.aside else ""
        if self.where:  # where arguments are left alone it holds because it does not know them
            return f"{self.candidate}, which {self._there}{without if self.largest else ''}"
        some = f"has {self._percent}% of the moves right and " if self._percent else ""
        right = "has all moves right" if self.share == 1 else f"{some}is off by {self._off}"
        return f"{self.candidate}, which {right}{without}"

    @property
    def _percent(self) -> int:
        return math.floor(100 * self.share)

    @property
    def _there(self) -> str:
        if not self.alone:
            return f"holds else, but {self.where} is off by {self._off}"
        elsewhere = f", and elsewhere is off by {self._off}" if self.largest else ""
        return f"has all moves right {self.where}{elsewhere}"

    @property
    def _off(self) -> str:
        if math.isinf(self.largest):  # where the code rests, or either makes no number
            return "more than a step moves at all"
        return f"up to {self.largest:.2g} of a step's largest"


def nearness(candidate: Candidate, known: Sequence[Observation]) -> Near:
    """How far a candidate is from what is known, in plain float64."""
    off = np.concatenate([_off(candidate, observation) for observation in known])
    right = float((off < RIGHT).mean())
    return Near(candidate, right, float(np.minimum(off, 1).mean()), float(off.max()))


RIGHT = 1e-4
"""A difference below this part of a step's largest move is one of roundings, even of float32."""


def _off(candidate: Candidate, observation: Observation) -> FloatArray:
    """Differences of all elements at all steps, in parts of each step's largest move."""
    given, answer = plainly(candidate, observation), observation.answer
    with np.errstate(all="ignore"):
        off = np.abs(given - answer) / observation.moves
    same = (given == answer) | (np.isnan(given) & np.isnan(answer))
    return np.where(same, 0.0, np.where(np.isnan(off), np.inf, off)).ravel()
