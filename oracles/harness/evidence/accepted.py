"""What code can be given: not each argument that it has takes another value than its default."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

from oracles.harness.evidence.settings import settings
from oracles.harness.subjects.arrays import KINDS, there
from oracles.harness.subjects.blackbox import BlackBox, Function
from oracles.harness.subjects.subject import SubjectError, first_taken
from oracles.rule import Rule


def accepted(box: BlackBox, rule: Rule) -> frozenset[str]:
    """Those hyperparameters of a rule that code can be given, as far as it does not refuse them.

    bitsandbytes' Adagrad has torch's arguments, and raises unless ``lr_decay`` is 0; what is always
    Nesterov's takes no dampening, and raises without a momentum.
    """
    takes = box.takes(rule)
    some = takes & {"lr"}
    if _answers(box, rule, takes):
        return takes
    if not _answers(box, rule, some):
        but = (takes - {name} for name in sorted(takes - {"lr"}))
        return next((left for left in but if _answers(box, rule, left)), takes)
    for name in sorted(takes - some):
        if _answers(box, rule, some | {name}):
            some |= {name}
    return some


def _answers(box: BlackBox, rule: Rule, takes: frozenset[str]) -> bool:
    try:
        _asked(box, rule, takes)
    except SubjectError:
        return False
    return True


def _asked(box: BlackBox, rule: Rule, takes: frozenset[str]) -> None:
    box.run(rule, next(settings(rule, takes)).case)


# --- On which arrays a step computes --------------------------------------------------------------


class Stepping(NamedTuple):
    """How a function can be stepped: on which arrays, with whose hyperparameters."""

    arrays: str
    rule: str


def stepping(function: Function, kinds: Iterable[str], rules: Mapping[str, Rule]) -> Stepping:
    """The first way in which it can be stepped, as one of these rules is.

    Raises:
        SubjectError: there is none; the error of the first.
    """

    def step(way: Stepping) -> None:
        rule = rules[way.rule]
        _asked(on(function, way.arrays), rule, function.takes(rule))

    return first_taken((Stepping(arrays, name) for arrays in kinds for name in rules), step)


def on(function: Function, arrays: str) -> Function:
    """It with arrays of that kind."""
    return replace(function, arrays=KINDS[arrays]())


def on_its_arrays(box: BlackBox, rules: Mapping[str, Rule]) -> BlackBox:
    """A function with the first arrays it takes; NumPy's if it takes none, which it is told of."""
    if isinstance(box, Function):
        with suppress(SubjectError):
            return on(box, stepping(box, there(), rules).arrays)
    return box
