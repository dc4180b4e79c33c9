"""Cases for short formats, with scalars that every format holds and nothing that cancels.

General cases in bfloat16 and float16 keep away from small ε and small β₂, which over several steps
leave a denominator to what cancels. In a step or two from the start, with gradients of one sign,
they leave it to the gradient, and radii stay narrow. Scalars of few bits enter kernels exactly.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from oracles.drawing import Hyper
from oracles.harness.arithmetic.formats import FloatArray
from oracles.harness.cases.case import MIXED, Case, Group, turns
from oracles.harness.cases.choices import Choices, strategy
from oracles.harness.cases.strategies import drawn_precision, hyper_of, made
from oracles.rule import Rule

BITS = 3

SMALLEST = 2.0**-24
"""The smallest positive float16."""

SMALL = 2.0**-7
"""A gradient whose square float16 still holds with all its bits, and beside which an ε of
1e-4 shows."""

MAGNITUDES = (1.0, SMALL, 2.0**-5, 4.0)
"""Of gradients."""


def short(value: float) -> float:
    """The nearest number of three bits or, between one half and 1, of eight: 0.999 is not to be 1.

    >>> [short(v) for v in (0.1, 0.999, 1e-3, 1e-30, 0.0)]
    [0.09375, 0.99609375, 0.0009765625, 5.960464477539063e-08, 0.0]
    """
    if not value or not math.isfinite(value):
        return value
    if 0.5 < value < 1:
        return 1 - max(round((1 - value) * 256), 1) / 256
    significand, exponent = math.frexp(max(abs(value), SMALLEST))
    fewer = math.ldexp(round(significand * 2**BITS), exponent - BITS)
    return math.copysign(round(fewer / SMALLEST) * SMALLEST, value)


def _shortened(rule: Rule, h: Hyper) -> Hyper:
    """The same hyperparameters with short numbers, as far as torch takes those.

    Those that have no range are given numbers, such as coefficients that belong together.
    """
    for name, domain in rule.drawing.domains.items():
        value: Any = getattr(h, name)
        if isinstance(value, float) and domain.high:
            shorter = h._replace(**{name: short(value)})
            h = shorter if rule.constraint(shorter) is None else h
    return h


def _lowered(choices: Choices, rule: Rule, h: Hyper) -> Hyper:
    """Below their least value in half formats, those that have one; or none, where 0 is drawn."""
    for name, domain in rule.drawing.domains.items():
        if domain.least_in_half:
            low = math.log2(max(domain.low, SMALLEST))
            lower = low + choices.index(256) / 256 * (math.log2(domain.least_in_half) - low)
            nothing = 0.0 in domain.special and choices.yes()
            h = h._replace(**{name: 0.0 if nothing else 2.0**lower})
    return h


def _numbers(choices: Choices, shape: tuple[int, ...]) -> FloatArray:
    """Numbers of three bits and either sign, between 1 and 2."""
    codes = choices.codes(math.prod(shape))
    numbers: FloatArray = np.where(codes % 2, -1.0, 1.0) * (1 + codes // 2 % 4 / 4)
    return numbers.reshape(shape)


@strategy
def short_cases(choices: Choices, rule: Rule) -> Case:
    """A step or two, in a short format or in all of them; no parameter is larger than the rate."""
    precisions = drawn_precision(choices, ("float16", "bfloat16", "float16", MIXED))
    low = choices.index(4) < 3
    h = hyper_of(choices, rule, ("float64",))
    h = rule.drawing.nearest_allowed(_shortened(rule, _lowered(choices, rule, h) if low else h))
    magnitude = choices.pick((SMALL, SMALL, *MAGNITUDES) if low else MAGNITUDES)
    later = choices.pick(((), (), (1.0,), (0.25,)))
    members = []
    for _ in range(turns(precisions)):
        shape = choices.pick(rule.drawing.shapes or ((3,), (1,), (7,), (2, 3)))
        first = magnitude * _numbers(choices, shape)
        start = choices.pick((0.0, short(h.lr) / 4, 0.0, short(h.lr))) * _numbers(choices, shape)
        members.append(made(rule, start, [first, *(factor * first for factor in later)]))
    return Case((Group(tuple(members), (h,) * (1 + len(later))),), precisions)
