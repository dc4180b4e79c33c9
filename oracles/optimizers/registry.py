"""The registry: every rule by the name of its class in ``torch.optim``."""

from __future__ import annotations

import copyreg
from collections.abc import Iterable
from typing import Any

from oracles.naming import unknown
from oracles.optimizers import (
    adadelta,
    adafactor,
    adagrad,
    adam,
    adamax,
    adamw,
    asgd,
    lbfgs,
    muon,
    nadam,
    radam,
    rmsprop,
    rprop,
    sgd,
    sparse_adam,
)
from oracles.rule import Rule

RULES: dict[str, Rule] = {
    module.RULE.name: module.RULE
    for module in (
        sgd,
        adam,
        adamw,
        adamax,
        nadam,
        radam,
        adagrad,
        adadelta,
        rmsprop,
        rprop,
        asgd,
        adafactor,
        muon,
        sparse_adam,
    )
}
"""All rules that the general checks ask, by the name of torch's class, in the order in which they
are asked."""

ELEMENTWISE = tuple(rule for rule in RULES.values() if rule.elementwise and not rule.sparse)
"""Rules whose steps look at one element at a time, so that some elements say all of them."""

REPLAYED: dict[str, Rule] = {lbfgs.RULE.name: lbfgs.RULE}
"""Rules that branch on values and iterate to a criterion. Enclosures do not follow those from their
start, so the general checks leave them out; tests of their own replay what was recorded."""


def unknown_rule(name: str, known: Iterable[str] = RULES) -> str:
    """What to say of a rule that is not among those known: which was meant, or why it is not."""
    if name in REPLAYED:
        return (
            f"rule={name!r} cannot be asked: it iterates to a criterion, where no enclosure "
            f"follows; `oracles explain {name}` says what it computes, and the test suite holds "
            "torch's own to recorded runs (tests/torch/test_lbfgs.py)"
        )
    return unknown(f"rule={name!r} is not known", name, known)


def _of_that_name(rule: str, convention: str | None = None) -> Any:
    found = (RULES | REPLAYED)[rule]
    return found if convention is None else found.convention(convention)


def _by_name(record: Any) -> str | tuple[Any, ...]:
    """What a rule or convention is pickled as: functions in it have no names of their own."""
    for rule in (RULES | REPLAYED).values():
        if record is rule:
            return _of_that_name, (rule.name,)
        if any(record is convention for convention in rule.conventions):
            return _of_that_name, (rule.name, record.name)
    return object.__reduce_ex__(record, 4)  # one that is not of the registry


for _rule in (RULES | REPLAYED).values():
    copyreg.pickle(type(_rule), _by_name)
    copyreg.pickle(type(_rule.torch), _by_name)
