"""Where cases are drawn from: each hyperparameter, and where conventions are told apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

Hyper = Any
"""A rule's NamedTuple of hyperparameters at one step."""

Range = tuple[float, float]


@dataclass(frozen=True)
class Domain:
    """Where a hyperparameter is drawn from: its simple and special values, then a log range.

    A special value that is written twice is drawn twice as often. Without a range there are only
    special values, which need not be numbers.

    >>> Domain(special=(0.9, 0.5, 0.9), low=0.05, high=0.99)  # 0.9 is drawn twice as often
    Domain(special=(0.9, 0.5, 0.9), low=0.05, high=0.99, least_in_half=0.0)

    Attributes:
        least_in_half: the least value in formats of fewer than 24 bits, where smaller ones would
            vanish beside what they are added to, or leave a denominator to a gradient that cancels.
    """

    special: tuple[Any, ...]
    low: float = 0.0
    high: float = 0.0
    least_in_half: float = 0.0


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
        "full": "a format of 24 bits or more, because shorter ones do not tell them apart",
    }
)
"""What a case may need beside hyperparameters, by the word for it."""


SHAPED: Mapping[str, Callable[[tuple[int, ...]], bool]] = MappingProxyType(
    {
        "vector": lambda shape: len(shape) < 2,
        "matrix": lambda shape: len(shape) > 1,
        "oblong": lambda shape: len(shape) > 1 and shape[0] != shape[1],
        "row": lambda shape: 1 in shape,
    }
)
"""Which shapes a part of a case asks for."""

LATE = (4, 5, 6)
"""Numbers of steps of a case that is to show what two or three do not."""


@dataclass(frozen=True)
class Separating:
    """Ranges in which conventions differ so far that a format of some precision resolves it.

    Attributes:
        hyper: by hyperparameter; the learning rate comes first.
        w, g: magnitudes of parameters and gradients.
    """

    hyper: Mapping[str, Range]
    w: Range
    g: Range


def _same(h: Hyper) -> Hyper:
    return h


@dataclass(frozen=True, eq=False, kw_only=True)
class Drawing:
    """How cases of a rule are drawn; nothing in it says what a step computes.

    Attributes:
        domains: where each hyperparameter is drawn from, the learning rate first; switches
            (``bool``) need none.
        trial: plain hyperparameters for finding out what a torch can do.
        full, half: where conventions are told apart in formats of 24 bits and more, and in shorter
            ones.
        free: hyperparameters that may be on without making up for another's difference.
        nearest_allowed: the nearest hyperparameters that are allowed and keep the arithmetic
            finite. Each is drawn by itself, and those that do not go together are moved instead of
            thrown away: every draw is a case.
        with_buffers: the same hyperparameters with all buffers in use, not yet the nearest allowed.
        shapes: the only shapes of parameters (empty: all).
        steps: numbers of steps cases should have, where the usual few show too little.
    """

    domains: Mapping[str, Domain]
    trial: Hyper
    full: Separating
    half: Separating
    free: frozenset[str] = frozenset()
    nearest_allowed: Callable[[Hyper], Hyper] = _same
    with_buffers: Callable[[Hyper], Hyper] = _same
    shapes: tuple[tuple[int, ...], ...] = ()
    steps: tuple[int, ...] = ()

    def remembering(self, h: Hyper) -> Hyper:
        """The nearest hyperparameters with which the rule uses its buffers.

        >>> from oracles.optimizers.sgd import DRAWING, Hyper
        >>> DRAWING.remembering(Hyper(lr=0.5, dampening=1.0, nesterov=True))[:3]
        (0.5, 0.5, 0.0)
        """
        return self.nearest_allowed(self.with_buffers(h))
