"""Gradients that are cleared too late, too early or never, and steps without any."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from oracles.harness.arithmetic.formats import DTYPES, round_to
from oracles.harness.watching.events import Begun, Derived, Gradient
from oracles.harness.watching.loop import NOWHERE, Loop, Update, of, steps, verb
from oracles.harness.watching.losses import how_many, means
from oracles.harness.watching.parameters import replaced


def never_cleared(loop: Loop) -> Iterator[str]:
    """A step follows what the step before has followed, and what has come since."""

    def again(update: Update) -> bool:
        return any(
            _carried(update, update.earlier(p), p) or _added(loop, update, p)
            for p in update.parameters
        )

    for which, told in loop.where(again):
        yield (
            f"{which} {verb(told, 'follows', 'follow')} once more gradients that were followed "
            "before: nothing has cleared them"
        )
    for optimizer, updates in loop.watched:
        late = [(u.step, [p for p in u.parameters if _piled_up(u, p)]) for u in updates]
        for step, piles in late:
            if piles:
                yield (
                    f"{steps([step])} of {optimizer.name} follows all that had piled up in the "
                    f"{verb(piles, 'gradient', 'gradients')} of {loop.names(piles)} before "
                    f"{verb(piles, 'it', 'they')} came into a group: nothing has cleared "
                    f"{verb(piles, 'it', 'them')}"
                )


def _piled_up(update: Update, parameter: int) -> bool:
    """Whether a parameter comes late, with a gradient that passes before the last step have left.

    Whoever has collected it on purpose divides it.
    """
    before = update.previous
    if before is None or parameter in before.gradients:
        return False
    old = (before.look or NOWHERE).gradient(parameter)
    left = update.passes[-1].after(parameter) if update.passes else None
    whole = left == update.taken(parameter)
    return old is not None and whole and _carried(update, (old,), parameter)


def _carried(update: Update, old: Sequence[Gradient], parameter: int) -> bool:
    """Whether passes have added to the gradient that was taken before, without a break.

    What no pass has reached may have been overwritten, as by a copy of another one's gradient.
    """
    first = next((b.look for b in update.begun if b.look), None)
    at_first = first and first.gradient(parameter)
    if not (old and at_first):
        return False
    found = (look.gradient(parameter) for look in update.looks)
    unbroken = all(g and g.tensor == old[0].tensor and any(g.values) for g in found)
    return (
        unbroken
        and any(_adds(update, begun, parameter) for begun in update.begun)
        and at_first.values in {g.values for g in old}
        and update.taken(parameter) != at_first
    )


def _added(loop: Loop, update: Update, parameter: int) -> bool:
    """Whether a gradient is the one that was taken before, and what was computed since."""
    since = [e.values.get(parameter, ()) for e in update.window if isinstance(e, Derived)]
    new, taken = [g for g in since if any(g)], update.taken(parameter)
    old = [g.values for g in update.earlier(parameter)[-1:] if any(g.values)]
    dtype = loop.log.parameters[parameter].dtype
    if not (new and old and taken and dtype in DTYPES) or len({*map(len, old + new)}) > 1:
        return False
    total = np.array(old[0])
    for gradient in new:
        total = round_to(dtype, total + gradient)
    return tuple(total.tolist()) == taken.values


def _adds(update: Update, begun: Begun, parameter: int) -> bool:
    """Whether a pass has written into a gradient, as far as it goes: it may be making the step."""
    after = next(e.look for e in update.after(begun) if e.look)
    return begun.look is not None and begun.look.gradient(parameter) != after.gradient(parameter)


def stale(loop: Loop) -> Iterator[str]:
    """Some parameters have new gradients, and others those of the step before."""
    for optimizer, updates in loop.watched:
        again = [(u, [p for p in u.parameters if _repeated(u, p)]) for u in updates]
        told = [(u.step, ps) for u, ps in again if ps and u.backwards]
        if told:
            numbers = [step for step, _ in told]
            names = loop.names(sorted({p for _, ps in told for p in ps}))
            yield (
                f"{steps(numbers)} of {optimizer.name} {verb(numbers, 'moves', 'move')} {names} by "
                "the very gradient of the step before, which no backward pass has renewed"
            )


def repeated(loop: Loop) -> Iterator[str]:
    """All gradients are those of the step before."""
    for which, told in loop.where(_all_repeated):
        yield (
            f"{which} {verb(told, 'follows', 'follow')} the very gradients of the step before: "
            "there was no backward pass in between"
        )


def _repeated(update: Update, parameter: int) -> bool:
    """Whether a gradient is the one that was taken before, which nobody has written into since."""
    old, now = update.earlier(parameter), update.taken(parameter)
    if not old or now is None or not any(now.values):
        return False
    found = [look.gradient(parameter) for look in update.looks]
    return all(g == old[-1] for g in found)


def _all_repeated(update: Update) -> bool:
    own = [p for p in update.parameters if update.taken(p) is not None]
    return bool(own) and not update.backwards and all(_repeated(update, p) for p in own)


def doubled(loop: Loop) -> Iterator[str]:
    """Two backward passes are made of one loss, and both are in the step."""
    for which, told in loop.where(_doubled):
        yield (
            f"{which} {verb(told, 'follows', 'follow')} the gradient of one loss twice: backward "
            "was called on it again, and nothing was cleared in between"
        )


def _doubled(update: Update) -> bool:
    """Whether a pass repeats the one before it, and adds to what that has left."""
    landed = [b.begun for b in update.landed]
    return any(
        other.begun.again
        and one.begun in landed
        and other.begun in landed
        and any(one.reached(p) and other.reached(p) for p in update.parameters)
        for one, other in pairwise(update.passes)
    )


def cleared_before_step(loop: Loop) -> Iterator[str]:
    """At every step the gradients have been cleared since the last backward pass.

    A step that no pass has come before, and that takes nothing, says nothing.
    """
    for optimizer, every in loop.watched:
        updates = [u for u in every if u.backwards or u.takes_any]
        if len(updates) > 1 and all(map(_cleared, updates)):
            yield (
                f"{steps([u.step for u in updates])} of {optimizer.name} come after the gradients "
                "were cleared: none is left of what the backward passes computed"
            )


def _cleared(update: Update) -> bool:
    """Whether passes have left gradients, and the step takes none, or zeros."""
    return bool(update.lost) and not update.takes_any


def no_gradient(loop: Loop) -> Iterator[str]:
    """No optimizer that was watched had a gradient at any of its steps."""
    watched = [(o, u) for o, updates in loop.watched for u in updates]
    given = any(g is not None for _, u in watched for g in u.used.gradients.values())
    known = {optimizer.name for optimizer, *_ in replaced(loop)}
    if not given and not any(u.backwards for _, u in watched):
        for optimizer, updates in loop.watched:
            trainable = any(loop.log.parameters[p].trainable for p in optimizer.parameters)
            if len(updates) > 1 and trainable and optimizer.name not in known:
                yield (
                    f"none of the {len(updates)} steps of {optimizer.name} was given a gradient: "
                    "no backward pass has reached its parameters"
                )


def cleared_between(loop: Loop) -> Iterator[str]:
    """The gradients of all micro-batches but the last ones are cleared before the step."""
    for optimizer, updates in loop.watched:
        most = max(len(u.landed) for u in updates)
        told = [u for u in updates if _wasted(loop, u, most)]
        if told:
            lost, all_ = len(told[0].lost), len(told[0].backwards)
            yield (
                f"{of(optimizer, told)} "
                f"{verb(told, 'follows', 'follow')} {all_ - lost} of {all_} backward passes: the "
                f"gradients of the other{verb(range(lost), '', 's')} were cleared before"
            )


def _wasted(loop: Loop, update: Update, most: int) -> bool:
    """Whether passes were lost that were meant to be in the step.

    They were if no step takes as many as it was said to, ``most`` being what any takes, or if each
    loss is divided by their number. Where weights have changed in between, the first passes were
    for something else.
    """
    count = len(update.backwards)
    starts = [b.begun.look.weights for b in update.backwards if b.begun.look]
    moved = any(start != starts[0] for start in starts)
    if moved or not (update.lost and update.landed and update.sure):
        return False
    if loop.log.meant.accumulation:
        return most < loop.log.meant.accumulation <= count
    shares = [b.begun.loss.factor for b in update.backwards]
    whole = loop.log.meant.loss is not None and update.factor is not None
    return whole and all(s and update.near(s * (update.factor or 0), 1 / count) for s in shares)


def step_each_pass(loop: Loop) -> Iterator[str]:
    """A step is made after each pass, where several were to make one."""
    count = loop.log.meant.accumulation or 1
    for optimizer, updates in loop.watched:
        single = all(
            len(u.begun) == 1 if u.inside else len(u.landed) == len(u.backwards) == 1
            for u in updates
        )
        if count > 1 and len(updates) > 1 and single:
            yield (
                f"{optimizer.name} makes a step after each backward pass; {count} of them were to "
                "make one"
            )


def unused(loop: Loop) -> Iterator[str]:
    """Parameters of an optimizer that no pass has reached, where others were."""
    dead = {p for _, lost, _ in replaced(loop) for p in lost}
    for optimizer, updates in loop.watched:
        idle = [
            p
            for p in optimizer.parameters
            if loop.log.parameters[p].trainable
            and p not in dead
            and not loop.reached(p)
            and not any(u.taken(p) for u in updates)
        ]
        if idle and len(idle) < len(optimizer.parameters) and len(updates) > 1:
            yield (
                f"why no backward pass reaches {loop.names(idle)}, which {optimizer.name} has: "
                "not used in these steps, or cut off by detach, no_grad, .data or .item"
            )


def summed(loop: Loop) -> Iterator[str]:
    """Several passes make a step that is not the mean of their losses, and nobody says of what."""
    if loop.log.meant.loss or loop.log.meant.accumulation:
        return
    for which, several in loop.where(lambda u: len(u.landed) > 1 and not means(u)):
        yield f"whether {which} were to follow the sum of {how_many(several)} backward passes"


def dropped(loop: Loop) -> Iterator[str]:
    """Some passes were cleared, no scaler has left out their step, and nobody says why."""
    if loop.log.meant.loss or loop.log.meant.accumulation:
        return
    for optimizer, updates in loop.watched:
        own = set(optimizer.parameters)
        others = {p for o in loop.log.optimizers for p in o.parameters} - own
        lost = [
            (u, [b for b in u.lost if not any(map(b.reached, others)) and not u.excused(b)])
            for u in updates
        ]
        told = [u.step for u, passes in lost if passes and u.landed]
        if told:
            yield (
                f"why backward passes were cleared before {steps(told)} of {optimizer.name}, which "
                "takes only what came later"
            )
