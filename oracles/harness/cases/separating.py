"""Cases in which two conventions must differ, by construction."""

from __future__ import annotations

import math
from collections.abc import Container, Iterator, Sequence
from typing import Any

import numpy as np

from oracles.drawing import LATE, SHAPED, Hyper, Range, Separating
from oracles.harness.arithmetic.formats import FULL, FloatArray
from oracles.harness.cases.case import Case, Group
from oracles.harness.cases.choices import Choices, strategy
from oracles.harness.cases.strategies import BATCH_SIZES, drawn_precision, in_full, made
from oracles.rule import Convention, Rule

RATIOS = {"falling": 0.5, "rising": 2.0, "turning": -1.0}
"""What a gradient is to the one before, by the part of a case that asks for it."""


@strategy
def separating_cases(choices: Choices, rule: Rule, convention: Convention) -> Case:
    """Cases in which ``convention`` must differ from the rule's first one, by construction.

    The parts that tell them apart are switched on, and a gradient has the sign of its parameter,
    so the terms add up instead of cancelling (unless it is to turn); what could make up for a
    difference (all that the rule does not call free) is off unless it is such a part. What remains
    -- shape, values, rates, batch size -- is drawn. That the two do part is proven by enclosures.
    """
    parts = convention.parts
    precisions = drawn_precision(choices, FULL) if "full" in parts else drawn_precision(choices)
    ranges = rule.drawing.full if in_full(precisions) else rule.drawing.half
    steps = choices.pick(rule.drawing.steps or LATE) if "late" in parts else 2 + choices.index(2)
    h = _hyper(choices, rule, convention, ranges)
    lowered = h._replace(lr=h.lr / 4) if "schedule" in parts else h
    schedule = tuple(lowered if t % 2 else h for t in range(steps))
    tests = [test for part, test in SHAPED.items() if part in parts]
    options = rule.drawing.shapes or ((3,), (1,), (40,), (200,), (2, 3), (4, 3))
    shape = choices.pick([s for s in options if all(test(s) for test in tests)])
    sign = np.where(choices.array(shape) < 0, -1.0, 1.0)
    gradients = [_between(choices, ranges.g, sign) for _ in range(steps)]
    initial = _between(choices, ranges.w, sign)
    parameter = made(rule, initial, [*_patterned(gradients, parts)])
    return Case((Group((parameter,), schedule),), precisions)


def _hyper(choices: Choices, rule: Rule, convention: Convention, ranges: Separating) -> Hyper:
    """What the parts need is on, what could make up for them off, and the rest drawn."""

    def within(span: Range) -> float:
        low, high = span
        return float(low * (high / low) ** (choices.index(1000) / 999))

    parts = convention.parts
    values: dict[str, Any] = {
        name: within(span)
        for name, span in ranges.hyper.items()
        if name == "lr" or name in parts or (name in rule.drawing.free and choices.yes())
    }
    values |= {
        name: choices.pick(domain.special)
        for name, domain in rule.drawing.domains.items()
        if not domain.high and name in parts and name not in ranges.hyper
    }
    values |= {
        name: name in parts
        for name, default in rule.hyper()._asdict().items()
        if isinstance(default, bool)
    }
    values["batch_size"] = choices.pick(BATCH_SIZES[1:] if "batch_size" in parts else BATCH_SIZES)
    return rule.hyper(**{**values, **convention.fixed})


def _between(choices: Choices, span: Range, sign: FloatArray) -> FloatArray:
    """Numbers of these signs, with magnitudes in a range."""
    low, high = span
    return np.asarray(sign * (low + (high - low) * (np.abs(choices.array(sign.shape)) % 1)))


def _patterned(gradients: Sequence[FloatArray], parts: Container[str]) -> Iterator[FloatArray]:
    """Gradients that grow, turn, or are larger or missing on some squares of a board."""
    ratio = math.prod(ratio for part, ratio in RATIOS.items() if part in parts)
    squares = sum(np.indices(gradients[0].shape))
    for t, g in enumerate(gradients):
        even = (squares + t) % 2 == 0
        larger = np.where(even, 4, 1) if "checkered" in parts else 1
        yield g * ratio**t * larger * (even if "missing" in parts else 1)
