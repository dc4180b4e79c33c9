"""Why there is no way between two manners, and what becomes of the numbers that people use.

An example is of the two that were asked for: what else differs between them is translated as it
should be, so that nothing but the line that has no numbers makes it go wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from oracles.dictionary.counterexample import Example, parting, text
from oracles.dictionary.decays import COUPLED, FORMS, called
from oracles.dictionary.entry import (
    SAME,
    TORCHS,
    Entry,
    Manner,
    Refusal,
    Schedule,
    applied,
    taken,
)
from oracles.dictionary.table import ENTRIES, REFUSALS
from oracles.dictionary.way import way
from oracles.drawing import Hyper
from oracles.optimizers.registry import RULES

HEADS = {
    **dict.fromkeys(("decoupled", "decoupled_batch_scaled", "switched"), "decoupled_lr"),
    **dict.fromkeys(("batch_scaled", "coupled_doubled"), COUPLED),
    "decay_after": "decay_after_lr",
}
"""By form of decay, the one that stands for those which go over into it always."""


def _decay(rule: str, manner: Manner) -> str:
    """The form of decay in a manner."""
    forms = (form for form in FORMS if called(RULES[rule], form) in manner)
    return next(forms, RULES[rule].torch.name)


def _side(rule: str, refusal: Refusal, manner: Manner) -> str | None:
    """Which of a refusal's conventions a manner has, if any."""
    if refusal.one in FORMS:
        decay = _decay(rule, manner)
        decay = HEADS.get(decay, decay)
        return decay if decay in (refusal.one, refusal.other) else None
    if refusal.one in manner:
        return refusal.one
    lines = taken(RULES[rule], refusal.one)
    others = any(taken(RULES[rule], name) & lines for name in manner)
    return None if others else refusal.other


def _alone(rule: str, side: str) -> Manner:
    """The manner of a rule that has one side of a refusal and nothing else."""
    name = called(RULES[rule], side) if side in FORMS else side
    return frozenset({side if name is None else name}) - {TORCHS}


def _concerning(
    rule: str, source: Manner, target: Manner, schedule: Schedule
) -> Iterator[tuple[Refusal, str, str]]:
    """The refusals that two manners meet under these numbers, with the side that either has."""
    for found in REFUSALS:
        if (found.rules and rule not in found.rules) or not found.where.holds(schedule):
            continue
        one, other = (_side(rule, found, manner) for manner in (source, target))
        if one is not None and other is not None and one != other:
            yield found, one, other


Told = tuple[str, str, Example | None]
"""The reason, what people type instead, and a case on which that goes wrong."""


def refusal(rule: str, source: Manner, target: Manner, schedule: Schedule) -> Told:
    """Why there is no way between two manners under these numbers.

    >>> from oracles.optimizers.sgd import Hyper
    >>> h = Hyper(lr=0.5, momentum=0.5, weight_decay=0.5)
    >>> reason, folk, example = refusal("SGD", frozenset({"decoupled_lr"}), frozenset(), [h])
    >>> folk
    'weight_decay = λ(1 − momentum)'
    >>> print(example)
    w = 1, g = 1: w is 0.25 after step 1, and 0.375 with the numbers carried over
    """
    for found, one, other in _concerning(rule, source, target, schedule):
        mine, theirs = _alone(rule, one), _alone(rule, other)
        if way(rule, mine, theirs, schedule) is None:
            there = one == found.one
            folk = found.folk if there else found.back
            saying = found.saying if there else found.said_back
            rest = source - _own(rule, found, source)
            before = _gone(rule, source, rest | mine, schedule)
            carried = _gone(rule, rest | theirs, target, applied(folk, before))
            return found.reason, saying, _example(rule, source, target, schedule, carried)
    return _narrow(rule, source, target), SAME, _example(rule, source, target, schedule, schedule)


def _own(rule: str, refusal: Refusal, manner: Manner) -> Manner:
    """What a refusal is about in a manner."""
    form = called(RULES[rule], _decay(rule, manner)) if refusal.one in FORMS else refusal.one
    return manner & {form}


def _gone(rule: str, source: Manner, target: Manner, schedule: Schedule) -> Sequence[Hyper]:
    """The numbers at the end of the way; as they are where there is none."""
    found = way(rule, source, target, schedule)
    return found.schedule(schedule) if found else schedule


def _example(
    rule: str, source: Manner, target: Manner, schedule: Schedule, carried: Schedule
) -> Example | None:
    """Of a weight; of an objective there is none, whose solvers take steps of their own."""
    if "inverse_strength" in source | target:
        return None
    return parting(text(rule, source), text(rule, target), schedule, carried)


def _narrow(rule: str, source: Manner, target: Manner) -> str:
    """What entries would ask for that concern what differs."""
    concerned = [e for e in ENTRIES.get(rule, ()) if _concerns(e, source, target)]
    words = dict.fromkeys(e.range.words for e in concerned if e.narrow)
    differing = ", ".join(sorted(source ^ target))
    other = f", other than {' or '.join(words)}" if words else ""
    return f"no numbers of {rule} are known to make up for {differing}{other}"


def _concerns(entry: Entry, source: Manner, target: Manner) -> bool:
    return entry.drops in source - target or entry.adds in target - source
