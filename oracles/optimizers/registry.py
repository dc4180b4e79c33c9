"""The registry: every rule by the name of its class in ``torch.optim``."""

from __future__ import annotations

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

REPLAYED: dict[str, Rule] = {lbfgs.RULE.name: lbfgs.RULE}
"""Rules that branch on values and iterate to a criterion. Enclosures do not follow those from their
start, so the general checks leave them out; tests of their own replay what was recorded."""
