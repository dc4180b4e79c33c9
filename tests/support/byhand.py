"""What hand cases of rules with roots are made of, and the same rules in fifty digits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np

from oracles.drawing import Hyper
from oracles.harness.arithmetic.formats import FloatArray
from oracles.rule import Rule
from tests.support.many_bits import BITS, same
from tests.support.rooted import Rooted, lifted, path


def numbers(*texts: str) -> tuple[Rooted, ...]:
    """``numbers("3/4", "2")``: rationals as they are written on paper."""
    return tuple(Rooted(text) for text in texts)


@dataclass(frozen=True)
class Setting:
    """What several hand cases run on, from 10, with torch's answer: the number after each step."""

    gradients: tuple[Fraction | None, ...]
    schedule: tuple[Hyper, ...]
    w: tuple[Fraction, ...]

    def path(self, rule: Rule, name: str) -> list[Any]:
        """Where the convention of that name leads."""
        return path(rule, name, 10, self.gradients, self.schedule)


@dataclass(frozen=True)
class Hand:
    """A case worked by hand: what goes in at each step, and what is there after it."""

    schedule: tuple[Hyper, ...]
    gradients: tuple[Rooted, ...]
    w: tuple[Rooted, ...]
    states: Mapping[str, tuple[Rooted, ...]]

    @property
    def rows(self) -> list[Row]:
        """What is there after each step, as :func:`followed` gives it."""
        return [
            (w, {name: values[t] for name, values in self.states.items()})
            for t, w in enumerate(self.w)
        ]


Row = tuple[Any, dict[str, Any]]
"""The parameter and its state after a step."""


def followed(
    rule: Rule, name: str, w: Any, gradients: Sequence[Any], schedule: Sequence[Hyper]
) -> list[Row]:
    """Follow the convention of that name; the count of steps, an int, is left out."""
    run = rule.run(rule.convention(name), w, gradients, schedule)
    return [(w, {k: v for k, v in state.items() if k != "step"}) for w, state in run]


def tells(rule: Rule, name: str, w: Rooted, hand: Hand) -> bool:
    """Whether the convention ends elsewhere than torch's on a case (where roots are rounded)."""
    with mpmath.workprec(BITS):
        gradients = [mpmath.mpmathify(g) for g in hand.gradients]
        schedule = [lifted(h, mpmath.mpmathify) for h in hand.schedule]
        one, other = (
            followed(rule, convention, mpmath.mpmathify(w), gradients, schedule)[-1][0]
            for convention in (name, rule.torch.name)
        )
        return not same(one, other)


def printed(values: FloatArray, digits: int = 4) -> list[float]:
    """As numbers are printed in the tests of other projects."""
    return [float(np.round(x, digits)) for x in values]
