"""Cases in which two conventions must differ, by construction."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from oracles.drawing import LATE, SHAPED, Range
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
    precisions = (
        drawn_precision(choices, FULL) if "full" in convention.parts else drawn_precision(choices)
    )
    separating = rule.drawing.full if in_full(precisions) else rule.drawing.half
    parts = convention.parts
    steps = choices.pick(rule.drawing.steps or LATE) if "late" in parts else 2 + choices.index(2)

    def within(span: Range) -> float:
        low, high = span
        return float(low * (high / low) ** (choices.index(1000) / 999))

    values: dict[str, Any] = {
        name: within(span)
        for name, span in separating.hyper.items()
        if name == "lr" or name in parts or (name in rule.drawing.free and choices.yes())
    }
    values |= {
        name: choices.pick(domain.special)
        for name, domain in rule.drawing.domains.items()
        if not domain.high and name in parts and name not in separating.hyper
    }
    values |= {
        name: name in parts
        for name, default in rule.hyper()._asdict().items()
        if isinstance(default, bool)
    }
    values["batch_size"] = choices.pick(BATCH_SIZES[1:] if "batch_size" in parts else BATCH_SIZES)
    h = rule.hyper(**{**values, **convention.fixed})
    lowered = h._replace(lr=h.lr / 4) if "schedule" in parts else h
    schedule = tuple(lowered if t % 2 else h for t in range(steps))
    options = rule.drawing.shapes or ((3,), (1,), (40,), (200,), (2, 3), (4, 3))
    tests = [test for part, test in SHAPED.items() if part in parts]
    shape = choices.pick([s for s in options if all(test(s) for test in tests)])
    sign = np.where(choices.array(shape) < 0, -1.0, 1.0)

    def between(span: Range) -> FloatArray:
        low, high = span
        return np.asarray(sign * (low + (high - low) * (np.abs(choices.array(shape)) % 1)))

    ratio = math.prod(RATIOS[part] for part in parts if part in RATIOS)
    gradients = [between(separating.g) * ratio**t for t in range(steps)]
    squares = sum(np.indices(shape))
    if "checkered" in parts:
        gradients = [g * np.where((squares + t) % 2, 1, 4) for t, g in enumerate(gradients)]
    if "missing" in parts:
        gradients = [g * ((squares + t) % 2 == 0) for t, g in enumerate(gradients)]
    parameter = made(rule, between(separating.w), gradients)
    return Case((Group((parameter,), schedule),), precisions)
