"""Many steps: an oracle that goes on from a state, and checks that see every step they look at."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from oracles.harness.cases.case import Case, Group, Parameter
from oracles.harness.checks.endurance import WATCHED, enduring, late
from oracles.harness.oracle import Oracle, Since
from oracles.harness.subjects.selection import select
from oracles.harness.subjects.subject import SteppedSubject
from oracles.optimizers.registry import RULES
from oracles.rule import Rule

ADAM = RULES["Adam"]
ALL = pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)


def case(rule: Rule, steps: int, elapsed: int = 0) -> Case:
    """One float64 parameter; gradients that differ from step to step."""
    rng = np.random.Generator(np.random.PCG64(3))
    shape = (rule.drawing.shapes or ((2, 3),))[-1]
    gradients = tuple(rng.uniform(0.5, 1, shape) for _ in range(steps))
    layout = rule.gradient_layout
    p = Parameter(rng.uniform(0.5, 1, shape), gradients, gradient_layout=layout)
    h = rule.drawing.remembering(rule.drawing.trial)
    return Case((Group((p,), (h,) * steps),), ("float64",), elapsed=elapsed)


@ALL
def test_going_on_is_inside_what_the_whole_run_gives(rule: Rule) -> None:
    """From the midpoints after three steps, a fourth leads into the ball of four."""
    whole = case(rule, 4)
    enclosures = Oracle(rule, whole)()
    (p,) = whole.parameters
    size = p.initial.size
    before = np.asarray(enclosures.parameters.mid[0, 2], dtype=np.float64)
    rest = Parameter(before.reshape(p.initial.shape), p.gradients[3:])
    one = Case((Group((rest,), whole.groups[0].schedule[3:]),), ("float64",))
    states = {
        name: np.asarray(balls.mid[0, 2], dtype=np.float64)
        for name, balls in enclosures.states.items()
    }
    further = Oracle(rule, one, Since(3, states))()
    for name, balls in {"w": enclosures.parameters, **enclosures.states}.items():
        again = further.parameters if name == "w" else further.states[name]
        off = np.abs(again.mid[0, 0] - balls.mid[0, 3])
        assert again.mid[0, 0].size == size
        assert (off <= balls.rad[0, 3] + again.rad[0, 0]).all(), name
        assert (again.rad[0, 0] <= balls.rad[0, 3]).all(), name
    assert {n: p[0].all() for n, p in further.present.items()} == {
        n: p[3].all() for n, p in enclosures.present.items()
    }


def altered(rule: Rule, alter: Callable[[Any, int], None]) -> SteppedSubject:
    """Torch's optimizer, something happening after each step."""
    (inner, *_), _ = select(rule, ("default",), ("float64",), ("cpu",))

    def start(asked: Case) -> Any:
        run = inner.start(asked)
        step, taken = run.step, iter(range(1, asked.steps + 1))

        def stepped() -> None:
            step()
            alter(run, next(taken))

        run.step = stepped  # type: ignore[method-assign,assignment]
        return run

    stand_in: Any = SimpleNamespace(
        start=start, place=inner.place, dtype=inner.dtype, tensors=inner.tensors
    )
    return stand_in  # type: ignore[no-any-return]


def nothing(run: Any, step: int) -> None: ...


def nudged(at: int) -> Callable[[Any, int], None]:
    """A number is off by 2⁻²⁰ from a step on."""

    def alter(run: Any, step: int) -> None:
        if step == at:
            run.parameters[0].data[0, 0] += 2**-20

    return alter


@pytest.mark.one_in(3)
@pytest.mark.parametrize("at", WATCHED)
def test_each_step_that_is_looked_at_counts(at: int) -> None:
    verdict = enduring(altered(ADAM, nudged(at)), Oracle(ADAM, case(ADAM, WATCHED[-1])))
    assert verdict.failed
    assert f"step {at} of a run, where {at - 1:,} gradients" in verdict.sentence


def test_a_run_that_is_left_alone_is_inside() -> None:
    verdict = enduring(altered(ADAM, nothing), Oracle(ADAM, case(ADAM, WATCHED[-1])))
    assert not verdict.failed
    assert verdict.elements == len(WATCHED) * 6 * 4  # w, step and two moments
    assert verdict.undecided == 0


@pytest.mark.parametrize("at", [2, 3])
def test_each_late_step_counts(at: int) -> None:
    verdict = late(altered(ADAM, nudged(at)), Oracle(ADAM, case(ADAM, 3, elapsed=1000)))
    assert verdict.failed
    assert f"step {at} of a run, where {998 + at:,} gradients" in verdict.sentence


def test_float32_counts_as_far_as_it_can() -> None:
    for elapsed, ends in ((2**24 - 2, False), (2**24 - 1, True)):
        verdict = late(altered(ADAM, nothing), Oracle(ADAM, case(ADAM, 3, elapsed=elapsed)))
        assert verdict.failed is ends
