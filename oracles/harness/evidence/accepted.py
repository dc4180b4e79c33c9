"""What code can be given: not each argument that it has takes another value than its default."""

from __future__ import annotations

from oracles.harness.evidence.settings import settings
from oracles.harness.subjects.blackbox import BlackBox
from oracles.harness.subjects.subject import SubjectError
from oracles.rule import Rule


def accepted(box: BlackBox, rule: Rule) -> frozenset[str]:
    """Those hyperparameters of a rule that code can be given, as far as it does not refuse them.

    bitsandbytes' Adagrad has torch's arguments, and raises unless ``lr_decay`` is 0.
    """
    takes = box.takes(rule)
    some = takes & {"lr"}
    if _answers(box, rule, takes) or not _answers(box, rule, some):
        return takes
    for name in sorted(takes - some):
        if _answers(box, rule, some | {name}):
            some |= {name}
    return some


def _answers(box: BlackBox, rule: Rule, takes: frozenset[str]) -> bool:
    try:
        box.run(rule, next(settings(rule, takes)).case)
    except SubjectError:
        return False
    return True
