"""Why there is no way between two manners, and what becomes of the numbers that people use."""

from __future__ import annotations

from collections.abc import Iterator

from oracles.dictionary.counterexample import Example, parting, text
from oracles.dictionary.decays import COUPLED, FORMS, called
from oracles.dictionary.entry import TORCHS, Change, Entry, Manner, Refusal, Schedule, same
from oracles.dictionary.table import ENTRIES, REFUSALS
from oracles.dictionary.way import way
from oracles.optimizers.registry import RULES


def _head(form: str) -> str:
    """The form of decay that stands for those which go over into it always."""
    if form in ("decoupled", "decoupled_batch_scaled", "switched"):
        return "decoupled_lr"
    if form == "decay_after":
        return "decay_after_lr"
    return COUPLED if form in ("batch_scaled", "coupled_doubled") else form


def _decay(rule: str, manner: Manner) -> str:
    """The form of decay in a manner, or the one that stands for it."""
    for form in FORMS:
        if called(RULES[rule], form) in manner:
            return _head(form)
    return _head(RULES[rule].torch.name)


def _side(rule: str, refusal: Refusal, manner: Manner) -> str | None:
    """Which of a refusal's conventions a manner has, if any."""
    if refusal.one in FORMS:
        decay = _decay(rule, manner)
        return decay if decay in (refusal.one, refusal.other) else None
    return refusal.one if refusal.one in manner else refusal.other


def _alone(rule: str, side: str) -> Manner:
    """The manner of a rule that has one side of a refusal and nothing else."""
    name = called(RULES[rule], side) if side in FORMS else side
    return frozenset({side if name is None else name}) - {TORCHS}


def _concerning(rule: str, source: Manner, target: Manner) -> Iterator[tuple[Refusal, str, str]]:
    """The refusals that two manners meet, with the side that either has."""
    for found in REFUSALS:
        if found.rules and rule not in found.rules:
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
    for found, one, other in _concerning(rule, source, target):
        mine, theirs = _alone(rule, one), _alone(rule, other)
        if way(rule, mine, theirs, schedule) is None:
            there = one == found.one
            folk = found.folk if there else found.back
            saying = found.saying if there else found.said_back
            return found.reason, saying, _example(rule, mine, theirs, schedule, folk)
    return _narrow(rule, source, target), SAME, _example(rule, source, target, schedule)


SAME = "the same numbers"


def _example(
    rule: str, mine: Manner, theirs: Manner, schedule: Schedule, folk: Change = same
) -> Example | None:
    carried = [
        h._replace(**folk(h, before, t))
        for t, (h, before) in enumerate(zip(schedule, [schedule[0], *schedule], strict=False), 1)
    ]
    ndim = 1 if "bias_undecayed" in mine | theirs else 2
    return parting(text(rule, mine), text(rule, theirs), schedule, carried, ndim=ndim)


def _narrow(rule: str, source: Manner, target: Manner) -> str:
    """What entries would ask for that concern what differs."""
    concerned = [e for e in ENTRIES.get(rule, ()) if _concerns(e, source, target)]
    words = dict.fromkeys(e.range.words for e in concerned if e.narrow)
    differing = ", ".join(sorted(source ^ target))
    other = f", other than {' or '.join(words)}" if words else ""
    return f"no numbers of {rule} are known to make up for {differing}{other}"


def _concerns(entry: Entry, source: Manner, target: Manner) -> bool:
    return entry.drops in source - target or entry.adds in target - source
