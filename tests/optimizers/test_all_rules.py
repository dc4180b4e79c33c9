"""What every rule owes, whatever it computes: asked of each of its conventions.

What a rule computes is asked in the test file of its name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given as drawn
from hypothesis import settings

from oracles.drawing import Hyper
from oracles.harness.arithmetic.formats import DTYPES
from oracles.harness.cases.case import Case
from oracles.harness.cases.separating import separating_cases
from oracles.harness.cases.strategies import gaps_and_late_groups
from oracles.optimizers.registry import RULES
from oracles.rule import Convention, Rule
from tests.support.marks import each_convention, each_rule
from tests.support.number_systems import WEIGHT, compared, shortened


def resolving(rule: Rule, convention: Convention) -> Sequence[str]:
    """Dtypes in which the case that is made for a convention leaves nothing open.

    In half precision something is, where a gradient is missing, since ε = 1e-8 is 0 in float16
    beside the root of nothing; and where a whole parameter's length, by which a rule divides, may
    be 0 after a decay.
    """
    full = "missing" in convention.parts or not rule.elementwise
    return DTYPES[:2] if full else DTYPES


class TestNumberSystems:
    """A rule is one text; what rounds less than a format does is inside the format's enclosures."""

    @pytest.mark.one_in(9)
    @each_convention
    def test_all_are_inside_the_enclosure(self, rule: Rule, convention: Convention) -> None:
        """Parameters and buffers, in any case, and in one that is made for the convention.

        There every enclosure is known: nothing overflows, and no branch hangs on a rounding.
        """
        among = resolving(rule, convention)

        @settings(max_examples=settings().max_examples // 30)
        @drawn(
            gaps_and_late_groups(rule),
            separating_cases(rule, convention=convention, among=among),
        )
        def ask(case: Case, own: Case) -> None:
            everywhere = shortened(rule, replace(case, precisions=DTYPES))
            assert not [x for x in compared(rule, convention, everywhere) if not x.inside]
            found = list(compared(rule, convention, shortened(rule, own)))
            assert not [x for x in found if not (x.inside and x.known)]
            assert len({x.system for x in found if x.step == own.steps}) > 1

        ask()


GRADIENT = "g"

KEPT = {"SGD": "momentum_buffer", "Muon": "momentum_buffer", "Rprop": "prev"}
"""Buffers that may be the gradient itself, which no step writes to."""

SWITCH = "decoupled_weight_decay"

STEPS = 8
"""From the sixth on, RAdam has a variance."""

Named = dict[str, Any]
"""A parameter, its gradient and its buffers."""


def hypers(rule: Rule) -> Iterator[Hyper]:
    """All switches on, or off, with decay and without."""
    h = rule.drawing.trial
    switches = [name for name, value in h._asdict().items() if isinstance(value, bool)]
    for on in (True, False):
        switched = rule.drawing.remembering(h._replace(**dict.fromkeys(switches, on)))
        yield from (switched, rule.undecayed(switched))


def steps(rule: Rule, convention: Convention) -> Iterator[tuple[Named, Named, Named]]:
    """What goes into every step, copies of that from before the step, and what comes out."""
    kinds = ((2, 3),) if rule.elementwise else ((3,), (2, 3))
    shapes = [shape for shape in rule.drawing.shapes or kinds if np.prod(shape) < 7]
    for h, shape in product(hypers(rule), shapes):
        rng = np.random.default_rng(7)
        w, *gradients = rng.integers(1, 9, (1 + STEPS, *shape)) / rng.choice([-4, 4], shape)
        state = rule.start(w, h)
        for t, g in enumerate(gradients, start=1):
            kept = {n: np.copy(x) for n, x in {WEIGHT: w, GRADIENT: g, **state}.items()}
            with np.errstate(invalid="ignore"):  # some conventions have roots of what is below 0
                moved, after = rule.step(w, g, t, state, h, convention)
            yield {WEIGHT: w, GRADIENT: g, **state}, kept, {WEIGHT: moved, **after}
            w, state = moved, after


def overlaps(some: Named, others: Named) -> set[tuple[str, str]]:
    """Names of arrays that share memory."""
    pairs = product(some.items(), others.items())
    return {(name, other) for (name, x), (other, y) in pairs if np.shares_memory(x, y)}


class TestStep:
    @pytest.mark.one_in(5)
    @each_convention
    def test_arguments_are_left_as_they_were(self, rule: Rule, convention: Convention) -> None:
        """And what comes out shares no memory with them, nor the parameter with its buffers."""
        allowed = {(KEPT.get(rule.name), GRADIENT)}
        for given, kept, after in steps(rule, convention):
            assert given.keys() == kept.keys()
            assert all(np.array_equal(given[name], x, equal_nan=True) for name, x in kept.items())
            assert overlaps(after, given) <= allowed
            moved = {WEIGHT: after.pop(WEIGHT)}
            assert not overlaps(moved, after)

    @pytest.mark.parametrize(
        "rule", [r for r in RULES.values() if hasattr(r.hyper(), SWITCH)], ids=lambda r: r.name
    )
    @pytest.mark.parametrize("maximize", [False, True])
    def test_decoupled_decay_is_the_convention_of_that_name(
        self, rule: Rule, maximize: bool
    ) -> None:
        h = rule.drawing.trial._replace(weight_decay=0.25, maximize=maximize)

        def path(convention: Convention, on: bool) -> list[float]:
            schedule = [h._replace(**{SWITCH: on})] * STEPS
            return [float(w) for w, _ in rule.run(convention, 10.0, [1.0] * STEPS, schedule)]

        switched = path(rule.torch, True)
        assert switched == path(rule.convention("decoupled_lr"), False)
        assert switched != path(rule.torch, False)

    @each_rule
    def test_every_buffer_is_among_the_arguments(self, rule: Rule) -> None:
        """Or the test above would not ask about it."""
        seen = {name for given, *_ in steps(rule, rule.torch) for name in given}
        assert seen == {WEIGHT, GRADIENT, *rule.states} - {"step"}
