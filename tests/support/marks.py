"""Parametrizations that several test modules share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Hashable, Iterable
from typing import Any, TypeVar

import pytest

from oracles.optimizers.registry import RULES

T = TypeVar("T")

each_rule = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)


def again(values: Iterable[T], kind: Callable[[T], Hashable], first: int = 1) -> list[T]:
    """Values of whose kind some come before: what is asked in the same way of the ``first``.

    >>> again(["Adam", "AdamW", "SGD", "Adamax"], kind=lambda name: name[0])
    ['AdamW', 'Adamax']
    """
    seen = Counter[Hashable]()
    left = []
    for value in values:
        seen[kind(value)] += 1
        if seen[kind(value)] > first:
            left.append(value)
    return left


def slow(
    values: Iterable[Any], *those: Any, by: Callable[[Any], Any] = lambda value: value
) -> list[Any]:
    """Values of a parameter, of which ``those`` are asked with ``-m slow``, named by something.

    Raises:
        ValueError: one of them is not there.
    """
    there = [(by(value), value) for value in values]
    names = [name for name, _ in there]
    if strange := [name for name in those if name not in names]:
        raise ValueError(f"slow: {strange!r} is not among {names!r}")
    mark = pytest.mark.slow
    return [pytest.param(value, marks=mark) if name in those else value for name, value in there]


CONVENTIONS = [(rule, convention) for rule in RULES.values() for convention in rule.conventions]


def _each(those: Container[Any] = ()) -> pytest.MarkDecorator:
    """Each convention, of which those are slow."""
    values = [
        pytest.param(
            *(rule, convention),
            id=f"{rule.name}-{convention.name}",
            marks=[pytest.mark.slow] * ((rule, convention) in those),
        )
        for rule, convention in CONVENTIONS
    ]
    return pytest.mark.parametrize(("rule", "convention"), values)


each_convention = _each()

each_kind_of_convention = _each(
    again(CONVENTIONS, lambda one: one[0] if one[1] is one[0].torch else one[1].name, 2)
)
"""Of those that many rules have by the same name, what the third and later ones give is slow."""
