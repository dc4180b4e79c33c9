"""Norms and biases that are decayed, and were to be exempt from weight decay."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from oracles.harness.watching.events import Log, Optimizer
from oracles.harness.watching.loop import Loop, Update, verb


def empty(loop: Loop) -> Iterator[str]:
    """A group without decay has no parameter, and norms and biases are decayed.

    Perhaps nothing was meant to be exempt.
    """
    for optimizer, updates in loop.watched:
        decays = _decays(updates[0])
        empty = [n for n, group in enumerate(optimizer.groups) if not group and decays[n] == 0]
        vectors = [
            p
            for group, decay in zip(optimizer.groups, decays, strict=True)
            for p in group
            if decay and len(loop.log.parameters[p].shape) < 2
        ]
        if empty and vectors:
            yield (
                f"whether group {empty[0]} of {optimizer.name}, which has no weight decay, is to "
                f"have no parameter: {loop.names(vectors)} {verb(vectors, 'is', 'are')} decayed"
            )


def _decays(update: Update) -> list[Any]:
    """The weight decay of each group; None where there is none."""
    known = [settings.get("weight_decay") for settings in update.used.groups]
    return known + [None] * (len(update.optimizer.groups) - len(known))


def uneven(loop: Loop) -> Iterator[str]:
    """Of the norms or biases of one kind, some are exempt from decay and others are not."""
    for optimizer, updates in loop.watched:
        decays = _decays(updates[0])
        groups = list(zip(optimizer.groups, decays, strict=True))
        exempt = [p for group, decay in groups for p in group if decay == 0]
        for group in (group for group, decay in groups if decay):
            if _partners(loop.log, exempt, group):
                yield from _missed(loop, optimizer, exempt, group)


def _module(log: Log, parameter: int) -> str:
    return log.parameters[parameter].name.rpartition(".")[0]


def _partners(log: Log, exempt: Sequence[int], group: Sequence[int]) -> bool:
    """Whether a group has the weights of modules whose biases are exempt, and these are vectors."""
    if any(len(log.parameters[p].shape) > 1 for p in exempt):
        return False
    homes = {_module(log, p) for p in exempt if log.parameters[p].kind}
    matrices = [p for p in group if len(log.parameters[p].shape) > 1]
    return any(_module(log, p) in homes for p in matrices)


def _missed(
    loop: Loop, optimizer: Optimizer, exempt: Sequence[int], group: Sequence[int]
) -> Iterator[str]:
    kinds = {kind for p in exempt if (kind := loop.log.parameters[p].kind)}
    missed = [
        p
        for p in group
        if loop.log.parameters[p].kind in kinds and len(loop.log.parameters[p].shape) < 2
    ]
    if missed:
        kind = loop.log.parameters[missed[0]].kind
        alike = [p for p in exempt if loop.log.parameters[p].kind == kind]
        yield (
            f"{loop.names(missed)} {verb(missed, 'is', 'are')} decayed by {optimizer.name}, which "
            f"has {loop.names(alike)}, of the same kind, in a group without weight decay"
        )
