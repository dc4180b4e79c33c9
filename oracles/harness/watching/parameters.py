"""Parameters that nobody trains, that are trained twice, or that move when they should not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from oracles.harness.watching.events import Model, Optimizer, Stepped
from oracles.harness.watching.loop import NOWHERE, Loop, Update, listed, steps, verb

COARSE = ("bfloat16", "float16")
"""Formats in which the usual steps are less than half a unit in the last place."""


def dead(loop: Loop) -> Iterator[str]:
    """An optimizer has tensors that have become those of no model that is trained."""
    for optimizer, lost, orphans in replaced(loop):
        yield (
            f"{optimizer.name} has {len(lost)} {verb(lost, 'tensor', 'tensors')} that no backward "
            f"pass reaches, and {loop.names(orphans)}, which the passes do reach, "
            f"{verb(orphans, 'is', 'are')} in no optimizer: it was built before they were there"
        )


def replaced(loop: Loop) -> Iterator[tuple[Optimizer, list[int], list[int]]]:
    """Optimizers with groups that have dead tensors: these, and what is in their place.

    No pass reaches the ones, which no model has, and no optimizer has the others.
    """
    models = list(loop.trained())
    known = {p for model in models for p in model.parameters}
    orphans = list(dict.fromkeys(p for model in models for p in _orphans(loop, model)))
    for optimizer, updates in loop.watched:
        for group in optimizer.groups:
            lost = [p for p in group if p not in known and _never_given(loop, updates, p)]
            here = _in_place_of(loop, lost, orphans, whole=len(lost) == len(group))
            if here and all(p in known for p in group if p not in lost):
                yield optimizer, lost, here


def _in_place_of(
    loop: Loop, lost: Sequence[int], orphans: Sequence[int], *, whole: bool
) -> list[int]:
    """The orphans that have taken the place of dead tensors; none if that is not sure.

    They have the same shapes, where all tensors of a group are dead; or they are as many, and in
    their order they have the same shapes but for the first sizes, as layers with other outputs do.
    """
    gone, here = ([loop.log.parameters[p].shape for p in some] for some in (lost, orphans))
    if lost and whole and Counter(gone) <= Counter(here):
        return [p for p, shape in zip(orphans, here, strict=True) if shape in gone]
    layers = any(len(shape) > 1 for shape in gone)
    alike = [(len(s), s[1:]) for s in gone] == [(len(s), s[1:]) for s in here]
    return list(orphans) if layers and alike else []


def _orphans(loop: Loop, model: Model) -> list[int]:
    """What passes reach of a model and no optimizer has."""
    return [p for p in model.parameters if loop.reached(p) and not loop.owners(p)]


def _never_given(loop: Loop, updates: Sequence[Update], parameter: int) -> bool:
    given = any(u.taken(parameter) is not None for u in updates)
    return not given and not loop.reached(parameter)


def not_trained(loop: Loop) -> Iterator[str]:
    """Some of a model's parameters have gradients, and are in no optimizer.

    Whoever trains a head alone need not freeze the rest. A module in a plain list is in no model.
    """
    if loop.log.strangers:
        shapes = listed(list(dict.fromkeys(map(str, loop.log.strangers))))
        yield (
            f"whether parameters of shape {shapes} are to be trained: backward passes reach them, "
            "and neither a model nor an optimizer has them"
        )
    stepped = any(True for _ in loop.watched)
    told = {p for *_, here in replaced(loop) for p in here}
    for model in loop.log.models:
        alone = [p for p in _orphans(loop, model) if p not in told]
        left = [p for p in alone if loop.log.parameters[p].trainable]
        still = [p for p in left if loop.log.parameters[p].still]
        if model.given and still and stepped:
            yield (
                f"whether {loop.names(still)} of {model.name} {verb(still, 'is', 'are')} to be "
                f"trained: {verb(still, 'it has', 'they have')} gradients, and "
                f"{verb(still, 'is', 'are')} in no group of any optimizer"
            )


def listed_twice(loop: Loop) -> Iterator[str]:
    """A parameter is in the groups of an optimizer more than once."""
    for optimizer, _ in loop.watched:
        counts = Counter(p for group in optimizer.groups for p in group)
        twice = [p for p, count in counts.items() if count > 1]
        if twice:
            yield (
                f"{loop.names(twice)} {verb(twice, 'is', 'are')} listed more than once in the "
                f"groups of {optimizer.name}, which moves {verb(twice, 'it', 'them')} as often"
            )


def two_optimizers(loop: Loop) -> Iterator[str]:
    """Two optimizers move a parameter by the same gradient."""
    places = {event: place for place, event in enumerate(loop.log.events)}
    every = (u for updates in loop.updates for u in updates)
    taken = sorted(every, key=lambda u: places[u.used])
    told: dict[tuple[str, str], set[int]] = {}
    for one, other in pairwise(taken):
        if one.used.optimizer != other.used.optimizer and one.optimizer.torchs:
            both = set(one.optimizer.parameters) & set(other.optimizer.parameters)
            twice = {p for p in both if other.optimizer.torchs and _moved_twice(one, other, p)}
            pair = sorted((one.optimizer.name, other.optimizer.name))
            told.setdefault((pair[0], pair[1]), set()).update(twice)
    for names, parameters in told.items():
        if parameters:
            yield (
                f"{listed(names)} move {loop.names(sorted(parameters))} one after the other by the "
                "same gradient"
            )


def _moved_twice(one: Update, other: Update, parameter: int) -> bool:
    first, second = one.taken(parameter), other.taken(parameter)
    same = first is not None and first == second and any(first.values)
    return same and one.moved(parameter) and other.moved(parameter)


def lost_in_rounding(loop: Loop) -> Iterator[str]:
    """A coarse parameter has gradients at each step, and no step moves any of its elements."""
    for optimizer, updates in loop.watched:
        stuck = [p for p in optimizer.parameters if _stuck(loop, updates, p)]
        if stuck:
            dtype = loop.log.parameters[stuck[0]].dtype
            yield (
                f"{loop.names(stuck)} {verb(stuck, 'is', 'are')} where {verb(stuck, 'it', 'they')} "
                f"began after {updates[-1].step} steps of {optimizer.name}: each step is lost in "
                f"the rounding of {dtype}"
            )


def _stuck(loop: Loop, updates: Sequence[Update], parameter: int) -> bool:
    """Whether all steps were lost, the rates being no smaller than they will be."""
    seen = loop.log.parameters[parameter]
    given = [g for u in updates if (g := u.taken(parameter)) and any(g.values)]
    rates = [_rate(u, parameter) for u in updates]
    return (
        updates[0].optimizer.torchs  # others may keep finer ones beside
        and seen.still
        and seen.dtype in COARSE
        and len(given) == len(updates) > 1
        and all(rate and rate > 0 for rate in rates)
        and (rates[-1] or 0) <= (rates[0] or 0)
    )


def _rate(update: Update, parameter: int) -> Any:
    """The rate of the group that has a parameter; None if it has none."""
    places = zip(update.optimizer.groups, update.used.groups, strict=False)
    return next((settings.get("lr") for group, settings in places if parameter in group), None)


def frozen_moves(loop: Loop) -> Iterator[str]:
    """A parameter requires no gradient, has one of zeros, and a step moves it."""
    for optimizer, updates in loop.watched:
        told = [(u.step, [p for p in u.used.frozen if u.moved(p)]) for u in updates]
        moved = sorted({p for _, ps in told for p in ps})
        if moved:
            numbers = [step for step, ps in told if ps]
            yield (
                f"{loop.names(moved)} {verb(moved, 'is', 'are')} frozen, and {steps(numbers)} of "
                f"{optimizer.name} {verb(numbers, 'moves', 'move')} {verb(moved, 'it', 'them')}: "
                f"{verb(moved, 'its gradient is', 'their gradients are')} not None but zeros, and "
                "momentum and decay go on"
            )


def made_anew(loop: Loop) -> Iterator[str]:
    """Each step is made by a new optimizer, and what the last one remembered is lost."""
    chains: list[list[tuple[Optimizer, Update]]] = []
    for optimizer, updates in loop.watched:
        if len(updates) == 1 and updates[0].stepped and optimizer.remembers:
            if chains and _follows(chains[-1][-1], (optimizer, updates[0])):
                chains[-1].append((optimizer, updates[0]))
            else:
                chains.append([(optimizer, updates[0])])
    for chain in chains:
        if len(chain) > 2:
            names = listed([optimizer.name for optimizer, _ in chain[:3]])
            yield (
                f"{names} have the same parameters, and each of them makes one step: what an "
                "optimizer remembers is lost with it"
            )


def _follows(one: tuple[Optimizer, Update], other: tuple[Optimizer, Update]) -> bool:
    """Whether one optimizer goes on where the other has left the same parameters."""
    own = one[0].parameters
    if not other[0].fresh or set(own) != set(other[0].parameters):
        return False
    left = (one[1].stepped and one[1].stepped.look) or NOWHERE
    found = other[1].used.look or NOWHERE
    return all(left.weight(p) == found.weight(p) for p in own)


def closure_unused(loop: Loop) -> Iterator[str]:
    """Steps are given closures, and none is called."""
    calls: dict[int, list[int]] = {}
    for event in loop.log.events:
        if isinstance(event, Stepped) and event.calls is not None:
            calls.setdefault(event.optimizer, []).append(event.calls)
    for number, given in calls.items():
        optimizer = loop.log.optimizers[number]
        if optimizer.watched and not any(given):
            times = verb(range(len(given)), "time", "times")
            yield f"{optimizer.name} is given a closure {len(given)} {times}, and never calls it"
