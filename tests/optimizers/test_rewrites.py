"""Rewrites of torch's rules are proven to be rewrites: equal to the rule in 80 digits, or exactly.

What proves it must be able to fail: the same settings tell torch's convention from every other one
of its rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import localcontext
from fractions import Fraction
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest

from oracles.drawing import Hyper
from oracles.harness.arithmetic.decimals import PRECISE, Precise
from oracles.harness.cases.case import Group, Parameter
from oracles.harness.golden import TOLERANCE, trajectory
from oracles.optimizers.registry import RULES
from oracles.rule import Rule
from tests.support.rewrites import MISSING, REWRITES, Rewrite

ROOTLESS = {"SGD", "Rprop"}
"""Rules without roots and powers, whose numbers are rationals: there, equal is equal."""

VALUES: dict[str, tuple[Any, Any]] = {
    "lr": (0.75, 0.25),
    "momentum": (0.5, 0.75),
    "dampening": (0.25, 0.125),
    "weight_decay": (0.375, 0.125),
    "beta1": (0.5, 0.75),
    "beta2": (0.9375, 0.875),
    "eps": (0.5, 0.25),
    "momentum_decay": (0.5, 2.0),
    "lr_decay": (0.5, 0.25),
    "initial_accumulator_value": (0.25, 0.25),  # which is read once
    "rho": (0.75, 0.5),
    "alpha": (0.75, 0.5),
    "etaminus": (0.5, 0.25),
    "etaplus": (1.25, 1.5),
    "step_size_min": (0.25, 0.5),
    "step_size_max": (0.5, 0.4375),
    "lambd": (0.5, 0.25),
    "t0": (1.0, 1.0),
    "beta2_decay": (-0.75, -0.5),
    "eps1": (2.0, 4.0),
    "eps2": (0.25, 4.0),
    "d": (0.5, 0.75),
    "ns_a": (3.5, 3.25),
    "ns_b": (-4.75, -4.5),
    "ns_c": (2.0, 2.25),
    "ns_steps": (2, 2),
    "batch_size": (4, 2),
}
"""Of each hyperparameter, what it is at odd steps and at even ones; binary fractions, and short.

Rprop's least step size may be above the largest, which then is what counts.
"""

OWN: dict[str, dict[str, tuple[Any, Any]]] = {"Muon": {"eps": (4.0, 8.0)}}
"""Muon's ε is the least norm, and is felt where norms are smaller."""

WORDS = {"adjust_lr_fn": "match_rms_adamw"}
"""What is a word, or None, instead of a number or a switch."""

SHAPES = {"Adafactor": ((2, 2), (4,), (1, 4), (4, 2, 2)), "Muon": ((2, 2), (4, 1), (1, 4))}
"""Whose numbers of elements, and ratios of sides, are squares: other roots are floats in rules."""

STEPS = {"RAdam": 8}
"""RAdam waits for at least five."""


def of(rule: Rule, argument: str) -> tuple[str, ...]:
    """The hyperparameters that an argument of torch's constructor holds."""
    return rule.binding.tuples.get(argument, (argument,))


def switched(rule: Rule, lacks: frozenset[str]) -> Iterator[dict[str, Any]]:
    """Every choice of what is on and what is off, of all that can be off by default."""
    lacking = {name for argument in lacks for name in of(rule, argument)}
    defaults = {k: v for k, v in rule.hyper()._asdict().items() if k not in lacking}
    optional = [k for k, v in defaults.items() if not v]
    for choice in product((False, True), repeat=len(optional)):
        on = dict(zip(optional, choice, strict=True))
        known = VALUES | OWN.get(rule.name, {})
        yield {k: known.get(k, (WORDS.get(k, True),) * 2) for k in defaults if on.get(k, True)}


def schedule(
    rule: Rule, chosen: dict[str, Any], constant: frozenset[str], steps: int
) -> tuple[Hyper, ...]:
    kept = {name for argument in constant for name in of(rule, argument)}
    pairs = {k: (v[0], v[0]) if k in kept else v for k, v in chosen.items()}
    return tuple(rule.hyper(**{k: v[t % 2] for k, v in pairs.items()}) for t in range(steps))


@cache
def parameters(rule: Rule, missing: bool) -> tuple[Parameter, ...]:
    """Short binary fractions of both signs, with zeros among the gradients where zeros tell.

    Elsewhere they do not: NumPy's zeros among objects are ints, of which it takes no root.
    """
    rng = np.random.default_rng(len(rule.name))
    steps = STEPS.get(rule.name, 5)

    def made(number: int, shape: tuple[int, ...]) -> Parameter:
        w, *gradients = rng.integers(-12, 13, (1 + steps, *shape)) / 4
        for t, g in enumerate(gradients):
            g[g == 0] = 1
            if rule.sparse or rule.name in ROOTLESS:
                g.flat[t % g.size] = 0
        absent = {number % steps} if missing else set()
        return Parameter(w, tuple(None if t in absent else g for t, g in enumerate(gradients)))

    shapes = SHAPES.get(rule.name, ((5,), (1, 3)))
    return tuple(made(number, shape) for number, shape in enumerate(shapes))


def groups(
    rule: Rule, lacks: frozenset[str] = frozenset(), constant: frozenset[str] = frozenset()
) -> Iterator[Group]:
    """The settings in which a form that lacks this much is the rule."""
    own = parameters(rule, MISSING not in lacks)
    steps = STEPS.get(rule.name, 5)
    for chosen in switched(rule, lacks - {MISSING}):
        yield Group(own, schedule(rule, chosen, constant, steps))


@cache
def ruled(name: str, convention: str, schedule: tuple[Hyper, ...], missing: bool) -> Any:
    """What the rule computes: after each step, all parameters."""
    rule = RULES[name]
    group = Group(parameters(rule, missing), schedule)
    runs = [
        [w for w, _ in trajectory(rule, rule.convention(convention), group, p, number(rule))]
        for p in group.parameters
    ]
    return list(zip(*runs, strict=True))


def number(rule: Rule) -> Callable[[Any], Any]:
    return Fraction if rule.name in ROOTLESS else Precise


def lifted(value: Any, to: Callable[[Any], Any]) -> Any:
    """Arrays, and arguments of torch's constructor, in another arithmetic."""
    if isinstance(value, np.ndarray):
        flat = [to(x) for x in value.ravel().tolist()]
        return np.array(flat, dtype=object).reshape(value.shape)
    if isinstance(value, tuple):
        return tuple(lifted(v, to) for v in value)
    return value if value is None or isinstance(value, bool | str) else to(value)


def rewritten(rewrite: Rewrite, group: Group, to: Callable[[Any], Any]) -> list[Any]:
    """What the rewrite computes: after each step, all parameters."""
    rule = RULES[rewrite.rule]
    state: dict[Any, Any] = {}
    after = []
    params = [lifted(p.initial, to) for p in group.parameters]
    for t, h in enumerate(group.schedule):
        hyper = {k: lifted(v, to) for k, v in rule.arguments(h).items() if k != "batch_size"}
        grads = [
            None if p.gradients[t] is None else lifted(p.gradients[t], to) for p in group.parameters
        ]
        params = (rewrite.exact or rewrite.step)(params, grads, state, hyper)
        after.append(params)
    return after


def apart(rows: list[Any], others: list[Any]) -> float:
    """The largest difference of two runs, in terms of the parameter's largest element."""
    largest = 0.0
    for row, other in zip(rows, others, strict=True):
        for one, two in zip(row, other, strict=True):
            off, size = np.max(abs(one - two)), max(np.max(abs(one)), np.max(abs(two)))
            largest = max(largest, float(off / size) if off else 0.0)
    return largest


def allowed(rule: Rule) -> float:
    return 0.0 if rule.name in ROOTLESS else TOLERANCE


def strayed(rewrite: Rewrite, lacks: frozenset[str], constant: frozenset[str]) -> list[Hyper]:
    """First hyperparameters of the settings in which the rewrite is not the rule."""
    rule, missing = RULES[rewrite.rule], MISSING not in lacks
    with localcontext(PRECISE):
        return [
            group.schedule[0]
            for group in groups(rule, lacks, constant)
            if apart(
                rewritten(rewrite, group, number(rule)),
                ruled(rule.name, rule.torch.name, group.schedule, missing),
            )
            > allowed(rule)
        ]


each_rewrite = pytest.mark.parametrize("rewrite", REWRITES, ids=lambda r: r.id)


@pytest.mark.one_in(4)
@each_rewrite
def test_a_rewrite_is_the_rule_by_algebra(rewrite: Rewrite) -> None:
    assert not strayed(rewrite, rewrite.lacks, rewrite.constant)


@pytest.mark.one_in(6)
@each_rewrite
def test_what_a_rewrite_is_excused_from_is_needed(rewrite: Rewrite) -> None:
    """Without the excuse it is another rule; flat forms do not even take a missing gradient."""
    for name in rewrite.lacks - {MISSING}:
        assert strayed(rewrite, rewrite.lacks - {name}, rewrite.constant), name
    for name in rewrite.constant:
        assert strayed(rewrite, rewrite.lacks, rewrite.constant - {name}), name


@pytest.mark.one_in(6)
@pytest.mark.parametrize(
    ("rule", "convention"), [(r.name, c.name) for r in RULES.values() for c in r.conventions[1:]]
)
def test_the_settings_tell_another_convention_apart(rule: str, convention: str) -> None:
    own = RULES[rule]
    with localcontext(PRECISE):
        assert any(
            apart(
                ruled(rule, convention, group.schedule, True),
                ruled(rule, own.torch.name, group.schedule, True),
            )
            > allowed(own)
            for group in groups(own)
        )


@pytest.mark.one_in(3)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@each_rewrite
def test_a_rewrite_keeps_the_dtype_of_its_parameters(rewrite: Rewrite, dtype: Any) -> None:
    """A scalar of NumPy's own would make float64 arrays of float32 ones."""
    rule = RULES[rewrite.rule]
    *_, group = groups(rule, rewrite.lacks, rewrite.constant)
    state: dict[Any, Any] = {}
    params = [p.initial.astype(dtype) for p in group.parameters]
    for t, h in enumerate(group.schedule):
        grads = [
            None if (g := p.gradients[t]) is None else g.astype(dtype) for p in group.parameters
        ]
        before = [w.copy() for w in params]
        moved = rewrite.step(params, grads, state, rule.arguments(h))
        assert all(np.array_equal(w, old) for w, old in zip(params, before, strict=True))
        assert [w.dtype for w in moved] == [dtype] * len(moved)
        params = moved


def test_every_rule_has_five_rewrites_and_the_two_roundings() -> None:
    for name in RULES:
        own = [r for r in REWRITES if r.rule == name]
        assert len({r.name for r in own}) == len(own)
        assert sum(r.exact is None for r in own) >= 5
        assert {r.name for r in own if r.float32_scalars} == {"float32_scalars"}
        assert {r.name for r in own if r.flushes} == {"subnormals_flushed"}
