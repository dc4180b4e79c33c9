"""Are hyperparameters refused that torch refuses, and taken that torch takes, for every rule?

One hyperparameter at a time is set to numbers at which a verdict may turn; two at a time where a
rule's tuples tie them together. What the constructor keeps of what it takes is asked, too.
"""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from packaging.version import Version

from oracles.drawing import Hyper
from oracles.harness.subjects.classes import accepted
from oracles.optimizers.registry import RULES
from oracles.rule import Rule

VALUES = (-1.0, -1e-300, 0.0, 1e-300, 0.25, 0.5, 1.0, 1 + 2**-52, 2.0, math.inf, math.nan)
"""A sign decides, or which side of 1 a number is on; the nearest to either side are asked."""

UNTIL = {("ASGD", "lambd"): "2.15", ("ASGD", "alpha"): "2.15"}
"""Hyperparameters that a class did not look at before that release: it took whatever it was."""

rules = pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)


def constructed(rule: Rule, h: Hyper) -> torch.optim.Optimizer:
    """Torch's optimizer with these hyperparameters, as far as its constructor knows them."""
    optimizer = getattr(torch.optim, rule.name, None)
    if optimizer is None:
        pytest.skip(f"this torch.optim has no {rule.name}")
    known = accepted(optimizer)
    arguments = {name: value for name, value in rule.arguments(h).items() if name in known}
    p = torch.ones((rule.drawing.shapes or ((2,),))[-1], requires_grad=True)
    built: torch.optim.Optimizer = optimizer([p], **arguments)
    return built


def varied(rule: Rule) -> Iterator[Hyper]:
    """The defaults with one number replaced, or with two of a tuple."""
    default = rule.hyper()
    numbers = [name for name, domain in rule.drawing.domains.items() if domain.high]
    for name, value in itertools.product(numbers, VALUES):
        yield default._replace(**{name: value})
    for members in rule.binding.tuples.values():
        for one, other in itertools.combinations([m for m in members if m in numbers], 2):
            for pair in itertools.product(VALUES, VALUES):
                yield default._replace(**dict(zip((one, other), pair, strict=True)))


@rules
def test_refuses_what_the_rule_refuses(rule: Rule) -> None:
    unasked = {
        name
        for (optimizer, name), release in UNTIL.items()
        if optimizer == rule.name and Version(torch.__version__) < Version(release)
    }
    for h in varied(rule):
        if any(getattr(h, name) != getattr(rule.hyper(), name) for name in unasked):
            continue
        try:
            constructed(rule, h)
        except ValueError as error:
            reason = str(error)
        else:
            reason = ""
        constraint = rule.constraint(h)
        assert bool(reason) == (constraint is not None), f"{h}: {reason or 'taken'}; {constraint}"


@rules
def test_a_refusal_names_the_argument_and_what_was_given(rule: Rule) -> None:
    refused = [(h, reason) for h in varied(rule) if (reason := rule.constraint(h)) is not None]
    assert refused
    default = rule.hyper()
    for h, reason in refused:
        changed = [name for name in h._fields if getattr(h, name) is not getattr(default, name)]
        assert any(name in reason for name in changed), reason


@rules
def test_defaults_are_the_rules(rule: Rule) -> None:
    """Those that this torch has; before 2.2 some classes wanted to be given a learning rate."""
    optimizer = getattr(torch.optim, rule.name, None)
    if optimizer is None:
        pytest.skip(f"this torch.optim has no {rule.name}")
    signature = inspect.signature(optimizer).parameters
    expected = rule.arguments(rule.hyper())
    own = {
        name: signature[name].default
        for name in expected
        if name in signature and isinstance(signature[name].default, bool | int | float | tuple)
    }
    assert own
    assert own == {name: expected[name] for name in own}


def switched(rule: Rule) -> Iterator[Hyper]:
    """A trial, and the same with one switch turned, as far as the rule allows that."""
    h = rule.drawing.trial
    turned = ({name: not value} for name, value in h._asdict().items() if isinstance(value, bool))
    for change in ({}, *turned):
        if rule.constraint(h._replace(**change)) is None:
            yield h._replace(**change)


@rules
def test_keeps_what_it_was_given(rule: Rule) -> None:
    for h in switched(rule):
        group = constructed(rule, h).param_groups[0]
        given: dict[str, Any] = {k: v for k, v in rule.arguments(h).items() if k in group}
        assert given
        assert {name: group[name] for name in given} == given


@rules
def test_defaults_reach_the_group(rule: Rule) -> None:
    """What the constructor is not told, it keeps as its signature says; and no path is chosen."""
    optimizer = getattr(torch.optim, rule.name, None)
    if optimizer is None:
        pytest.skip(f"this torch.optim has no {rule.name}")
    group = constructed(rule, rule.hyper()).param_groups[0]
    signature = inspect.signature(optimizer).parameters
    defaults = {n: p.default for n, p in signature.items() if n in group and n != "params"}
    given = rule.arguments(rule.hyper())
    assert {n: group[n] for n in defaults} == {n: given.get(n, d) for n, d in defaults.items()}
    paths = [n for n in ("foreach", "fused", "capturable", "differentiable") if n in group]
    assert not any(group[n] for n in paths)


@pytest.mark.parametrize(("steps", "refused"), [(-1, False), (99, False), (100, True)])
def test_muon_refuses_too_many_iterations_at_the_step(steps: int, refused: bool) -> None:
    if not hasattr(torch.optim, "Muon"):
        pytest.skip(f"torch {torch.__version__} has no Muon")
    p = torch.ones(2, 2, requires_grad=True)
    p.grad = torch.ones(2, 2)
    optimizer: Any = torch.optim.Muon([p], ns_steps=steps)
    with pytest.raises(ValueError, match="100") if refused else nullcontext():
        optimizer.step()
    reason = RULES["Muon"].constraint(RULES["Muon"].hyper(ns_steps=steps))
    assert (reason is not None) == refused


@pytest.mark.parametrize("other", ["foreach", "differentiable"])
def test_fused_excludes(other: str) -> None:
    there = [getattr(torch.optim, name) for name in RULES if hasattr(torch.optim, name)]
    fused = [optimizer for optimizer in there if {"fused", other} <= accepted(optimizer)]
    if not fused:
        pytest.skip(f"no optimizer of torch {torch.__version__} takes fused and {other}")
    for optimizer in fused:
        with pytest.raises(RuntimeError):
            optimizer([torch.ones(2, requires_grad=True)], lr=0.5, fused=True, **{other: True})
