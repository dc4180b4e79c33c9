"""Oracles of optimizer update rules, and a harness that holds implementations against them.

rule        what one optimizer step computes, in NumPy: one file per optimizer (:mod:`oracles.sgd`)
convention  a named variant of a rule, as a row of data
case        one question: parameters, gradients and hyperparameters for some steps
enclosure   the oracle's answer: midpoint ± radius, holding every result correct rounding can give
verdict     inside, outside, undecided or errored, with the share of the radius used

``oracles.harness`` asks the questions; only ``oracles.harness.subjects`` imports torch.
"""

from oracles import (
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
from oracles.rule import Convention, Domain, Rule

SGD = sgd.RULE

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
"""The registry: every rule by the name of its class in ``torch.optim``."""

REPLAYED: dict[str, Rule] = {lbfgs.RULE.name: lbfgs.RULE}
"""Rules that branch on values and iterate to a criterion. Enclosures do not follow those from their
start, so the general checks leave them out; tests of their own replay what was recorded."""

__all__ = ["REPLAYED", "RULES", "SGD", "Convention", "Domain", "Rule"]
