"""Parametrizations that several test modules share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from packaging.version import Version

from oracles.optimizers.registry import RULES

each_rule = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)

needs_muon = pytest.mark.skipif(
    not hasattr(torch.optim, "Muon"), reason="this torch.optim has no Muon"
)


def skip_without(name: str) -> None:
    """Skip the test that asks where this torch has no optimizer of a name."""
    if not hasattr(torch.optim, name):
        pytest.skip(f"this torch.optim has no {name}")


def skip_before(release: str, why: str) -> None:
    """Skip the test that asks where torch is older than a release."""
    if Version(torch.__version__) < Version(release):
        pytest.skip(f"before torch {release} {why}")


NADAM = "NAdam leaves its rule, as its row in the ledger says"
BY_NAME = "schedules call themselves by their name, at which another stands meanwhile"


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


each_convention = pytest.mark.parametrize(
    ("rule", "convention"),
    CONVENTIONS,
    ids=[f"{rule.name}-{convention.name}" for rule, convention in CONVENTIONS],
)
