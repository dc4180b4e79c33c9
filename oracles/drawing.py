"""Where cases are drawn from: of each hyperparameter, and where conventions part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True)
class Domain:
    """Where a hyperparameter is drawn from: its simple and special values, then a log range.

    A special value that is written twice is drawn twice as often. Without a range there are only
    special values, which need not be numbers.

    Attributes:
        coarse: the least value in formats of fewer than 24 bits, where smaller ones would vanish
            beside what they are added to, or leave a denominator to a gradient that cancels.
    """

    special: tuple[Any, ...]
    low: float = 0.0
    high: float = 0.0
    coarse: float = 0.0


PARTS: Mapping[str, str] = MappingProxyType(
    {
        "schedule": "a learning rate that changes",
        "vector": "a parameter of at most one dimension",
        "matrix": "a parameter of more than one dimension",
        "oblong": "a matrix that is not square",
        "row": "a matrix that is a row or a column",
        "falling": "gradients that halve from step to step",
        "rising": "gradients that double from step to step",
        "turning": "gradients that change their sign at every step",
        "checkered": "gradients four times as large on the squares of one color, at the next step "
        "on those of the other",
        "missing": "gradients that are 0 on the squares of one color, in turn",
        "late": "more steps than usual",
        "fine": "a format of 24 bits or more, because shorter ones do not tell them apart",
    }
)
"""What a case may need beside hyperparameters, by the word for it."""


Range = tuple[float, float]


@dataclass(frozen=True)
class Parting:
    """Ranges in which conventions part so far that a format of some precision resolves it.

    Attributes:
        hyper: by hyperparameter; the learning rate comes first.
        w, g: magnitudes of parameters and gradients.
    """

    hyper: Mapping[str, Range]
    w: Range
    g: Range
