"""The generators reach the hard cases, within the examples of the default profile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from oracles.harness import strategies
from oracles.harness.case import Case, Group, Parameter
from oracles.harness.profiles import EXAMPLES
from oracles.sgd import RULE

Predicate = Callable[[Case], bool]


def some_parameter(holds: Callable[[Parameter], bool]) -> Predicate:
    return lambda case: any(holds(p) for p in case.parameters)


def some_group(holds: Callable[[Group], bool]) -> Predicate:
    return lambda case: any(holds(g) for g in case.groups)


def some_step(holds: Callable[[Case, int], bool]) -> Predicate:
    return lambda case: any(holds(case, t) for t in range(case.steps))


def hyper(name: str, value: float) -> Predicate:
    return some_group(lambda g: any(getattr(h, name) == value for h in g.schedule))


def changes(name: str) -> Predicate:
    return some_group(lambda g: len({getattr(h, name) for h in g.schedule}) > 1)


def long_with_tail(block: int) -> Predicate:
    """A vector of more than two SIMD blocks, and some elements over."""
    return some_parameter(lambda p: p.initial.size > 2 * block and p.initial.size % block > 0)


def in_dtype(dtype: str, holds: Predicate) -> Predicate:
    return lambda case: dtype in case.axes and holds(case)


def nesterov_late_with_decay(case: Case, t: int) -> bool:
    return t >= 2 and any(
        g.schedule[t].nesterov and g.schedule[t].weight_decay > 0 and p.gradients[t] is not None
        for _, g, p in case.walk()
    )


GENERAL: dict[str, Predicate] = {
    "0-d": some_parameter(lambda p: p.initial.shape == ()),
    "empty": some_parameter(lambda p: p.initial.size == 0),
    "4-d": some_parameter(lambda p: p.initial.ndim == 4),
    "float64 past SIMD blocks": in_dtype("float64", long_with_tail(8)),
    "float32 past SIMD blocks": in_dtype("float32", long_with_tail(16)),
    "bfloat16 past SIMD blocks": in_dtype("bfloat16", long_with_tail(32)),
    "float16 past SIMD blocks": in_dtype("float16", long_with_tail(32)),
    "past unrolled blocks": long_with_tail(64),
    "strided": some_parameter(lambda p: p.layout == "strided"),
    "transposed": some_parameter(lambda p: p.layout == "transposed" and p.initial.ndim > 1),
    "strided gradient": some_parameter(lambda p: p.gradient_layout == "strided"),
    "expanded gradient": some_parameter(lambda p: p.gradient_layout == "expanded"),
    "mixed dtypes": lambda case: "mixed" in case.axes and len(case.parameters) >= 4,
    "groups that differ": lambda case: len({g.schedule[0] for g in case.groups}) > 1,
    "late group": some_group(lambda g: g.joins > 0),
    "missing gradient": some_parameter(lambda p: any(g is None for g in p.gradients[1:])),
    "late gradient": some_parameter(
        lambda p: p.gradients[0] is None and p.gradients[-1] is not None
    ),
    "gap between gradients": some_parameter(
        lambda p: "101" in "".join(str(int(g is not None)) for g in p.gradients)
    ),
    "late gradient of an early group": lambda case: any(
        g.joins == 0 and p.gradients[0] is None and p.gradients[-1] is not None
        for _, g, p in case.walk()
    ),
    "zero in a gradient": some_parameter(
        lambda p: any(g is not None and g.size > 1 and np.any(g == 0) for g in p.gradients)
    ),
    "twelve steps": lambda case: case.steps == 12,
    "nesterov with decay at step 3": some_step(nesterov_late_with_decay),
    "maximize with decay": some_group(
        lambda g: g.schedule[0].maximize and g.schedule[0].weight_decay > 0
    ),
    "dampened momentum": some_group(
        lambda g: g.schedule[-1].momentum > 0 and g.schedule[-1].dampening > 0 < len(g.schedule) - 1
    ),
    "momentum switched on later": some_group(
        lambda g: g.schedule[0].momentum == 0 < g.schedule[-1].momentum
    ),
    **{f"{name} changes": changes(name) for name in RULE.domains},
    **{
        f"{name} = {value}": hyper(name, value)
        for name, domain in RULE.domains.items()
        for value in domain.special
    },
    "batch of 1": hyper("batch_size", 1),
    "batch of 4096": hyper("batch_size", 4096),
}


def _skipped(case: Case, t: int, steps: int) -> bool:
    return case.steps == steps and any(
        not np.isfinite(p.gradients[t]).all()  # type: ignore[arg-type]
        for p in case.parameters
    )


EDGE: dict[str, Predicate] = {
    "inf gradient": some_parameter(lambda p: any(np.isposinf(g).any() for g in p.gradients)),  # type: ignore[arg-type]
    "nan gradient": some_parameter(lambda p: any(np.isnan(g).any() for g in p.gradients)),  # type: ignore[arg-type]
    "subnormal": some_parameter(
        lambda p: bool(np.any((p.initial != 0) & (abs(p.initial) < 1e-38)))
    ),
    "near overflow": some_parameter(
        lambda p: bool(np.any(np.isfinite(p.initial) & (abs(p.initial) > 1e38)))
    ),
}


SKIPPING: dict[str, Predicate] = {
    f"step {t + 1} of {steps} skipped": partial(_skipped, t=t, steps=steps)
    for steps in (2, 3)
    for t in range(steps)
}

PARTING: dict[str, Predicate] = {
    "two steps": lambda case: case.steps == 2,
    "three steps": lambda case: case.steps == 3,
    "a matrix": some_parameter(lambda p: p.initial.ndim == 2),
    "a long vector": some_parameter(lambda p: p.initial.size == 200),
    "plain": some_group(lambda g: g.schedule[0].momentum == 0),
    "with momentum": some_group(lambda g: g.schedule[0].momentum > 0),
    "a batch of 4096": hyper("batch_size", 4096),
}


def reached(
    drawn: st.SearchStrategy[Case], features: dict[str, Predicate], examples: int
) -> Counter[str]:
    """How often each feature was met."""
    met: Counter[str] = Counter()

    @settings(max_examples=examples, phases=(Phase.generate,), database=None, derandomize=True)
    @given(drawn)
    def look(case: Case) -> None:
        met.update(name for name, holds in features.items() if holds(case))

    look()
    return met


@pytest.mark.parametrize(
    ("drawn", "features", "weight"),
    [
        (strategies.cases, GENERAL, 6),
        (strategies.edge_cases, EDGE, 2),
        (strategies.skipping_cases, SKIPPING, 1),
        (partial(strategies.parting_cases, convention=RULE.convention("batch_scaled")), PARTING, 1),
    ],
    ids=["general", "edge", "skipping", "parting"],
)
def test_reach(
    drawn: Callable[..., st.SearchStrategy[Case]], features: dict[str, Predicate], weight: int
) -> None:
    met = reached(drawn(RULE), features, EXAMPLES["default"] * weight)
    missed = [name for name in features if met[name] < 2]
    assert not missed, f"met less than twice: {missed}"
