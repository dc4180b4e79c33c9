"""Clipping in the wrong place: of scaled gradients, of each micro-batch, after the step."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from oracles.harness.watching.events import Asked, Begun, Clipped, Event, Look, Stepped
from oracles.harness.watching.loop import NOWHERE, Backward, Loop, Update, paired, steps, verb

DIGITS = 4
"""Limits that people choose have no more."""


def _limited(clip: Clipped) -> bool:
    """Whether a call has made some gradient smaller."""
    pairs = ((clip.before.gradient(p), (clip.look or NOWHERE).gradient(p)) for p in clip.parameters)
    return any(one and other and one.values != other.values for one, other in pairs)


def _limits(loop: Loop) -> list[tuple[int, Clipped]]:
    """Calls that limit gradients, and where among the events they are."""
    calls = ((n, e) for n, e in enumerate(loop.log.events) if isinstance(e, Clipped))
    return [(place, clip) for place, clip in calls if math.isfinite(clip.limit)]


def _clips(update: Update) -> list[Clipped]:
    """Calls that limit gradients of the optimizer; one without a limit measures their norm."""
    own = set(update.parameters)
    found = [e for e in update.window if isinstance(e, Clipped) and math.isfinite(e.limit)]
    return [clip for clip in found if own & set(clip.parameters)]


def of_scaled(loop: Loop) -> Iterator[str]:
    """The limit is meant for gradients, and is put on a multiple of them."""
    for optimizer, updates in loop.watched:
        told = [(u, c, s) for u in updates for c in _clips(u) if (s := _still_scaled(u, c))]
        if told:
            numbers = [u.step for u, _, _ in told]
            _, clip, scale = told[0]
            yield (
                f"before {steps(numbers)} of {optimizer.name} gradients are clipped while they are "
                f"multiplied with the scale, {scale:g}: the limit of {clip.limit:g} is one of "
                f"{clip.limit / scale:.3g} for the gradients themselves"
            )


def to_zeros(loop: Loop) -> Iterator[str]:
    """The norm overflows, and gradients that are divided by it are 0."""
    for which, told in loop.where(_overflows):
        yield (
            f"{which} {verb(told, 'takes', 'take')} zeros: to clip the gradients they were divided "
            "by a norm that is infinite, or so large that nothing is left of them"
        )


def _overflows(update: Update) -> bool:
    """Whether a clip has left zeros of all gradients, and not because they were scaled."""
    own = update.parameters
    clips = {clip for p in own if (clip := update.vanished(p))}
    left = update.takes_any or any(_still_scaled(update, clip) for clip in clips)
    return bool(clips) and not left


def _still_scaled(update: Update, clip: Clipped) -> float | None:
    """The scale that gradients are multiplied with when they are clipped.

    Whoever asks the scaler for its scale, or has a limit as large as the scale, may have multiplied
    the limit, too; not if the limit is a number that people choose, and what is left of it none. If
    what is left is such a number, anybody may.
    """
    place = update.window.index(clip)
    before = update.window[:place]
    scales = {b.begun.loss.scale for b in update.landed if b.ended in before}
    (scale,) = scales if len(scales) == 1 else (None,)
    if not scale or scale == 1 or clip.limit >= scale:
        return None
    asked = any(isinstance(e, Asked) for e in before)
    meant = not _chosen(clip.limit / scale) and (_chosen(clip.limit) or not asked)
    return scale if meant and _untouched(update, clip, before) else None


def _chosen(number: float) -> bool:
    """Whether a number has so few digits that somebody may have chosen it."""
    return float(f"{number:.{DIGITS}g}") == number


def _untouched(update: Update, clip: Clipped, before: tuple[Event, ...]) -> bool:
    """Whether gradients are what the last backward pass has left when they are clipped."""
    last = [b for b in update.landed if b.ended in before][-1]
    own = [p for p in update.parameters if p in clip.parameters]
    left = [(last.after(p), clip.before.gradient(p)) for p in own if last.reached(p)]
    return bool(left) and all(a and g and a.values == g.values for a, g in left)


def each_pass(loop: Loop) -> Iterator[str]:
    """What has been clipped is added to by the next micro-batch."""
    for which, _ in loop.where(lambda u: any(_added_to(u, clip) for clip in _clips(u))):
        yield (
            f"before {which} gradients are clipped between backward passes that are added: the sum "
            "that the step follows has no limit"
        )


def _added_to(update: Update, clip: Clipped) -> bool:
    """Whether a pass adds to gradients that a call has limited."""
    place = update.window.index(clip)
    earlier = [b for b in update.landed if b.ended in update.window[:place]]
    later = [b for b in update.landed if b.begun in update.window[place:]]
    own = [p for p in clip.parameters if p in update.parameters]
    return bool(earlier) and _limited(clip) and any(_adds(b, clip, p) for b in later for p in own)


def _adds(backward: Backward, clip: Clipped, parameter: int) -> bool:
    """Whether a pass finds what a call has left of a gradient, and adds to it."""
    found, left = backward.before(parameter), (clip.look or NOWHERE).gradient(parameter)
    same = found is not None and left is not None and found.tensor == left.tensor
    return same and found is not None and any(found.values) and backward.reached(parameter)


def after_step(loop: Loop) -> Iterator[str]:
    """Gradients are clipped only when the step has followed them already."""
    every = _limits(loop)
    for optimizer, updates in loop.watched:
        clips = [(n, e) for n, e in every if {*optimizer.parameters} & {*e.parameters}]
        late = [clip for place, clip in clips if _late(loop, updates, place, clip)]
        if len(late) == len(clips) > 1 and any(map(_limited, late)):
            yield (
                f"gradients of {optimizer.name} are clipped after its steps, which have followed "
                "them by then, and are cleared before the next one"
            )


def _late(loop: Loop, updates: tuple[Update, ...], place: int, clip: Clipped) -> bool:
    """Whether gradients were taken when they are clipped, and are gone before the next pass."""
    events = loop.log.events
    number = updates[0].used.optimizer
    since = _back_to_step(events[:place], number)
    if since is None or any(isinstance(e, Begun) for e in since):
        return False
    following = (e.look for e in events[place + 1 :] if isinstance(e, Begun) and e.look)
    look = next(following, None)
    return all(_gone(look, p) for p in clip.parameters if p in updates[0].optimizer.parameters)


def _back_to_step(events: tuple[Event, ...], number: int) -> tuple[Event, ...] | None:
    """What has happened since an optimizer's last step; None if it has made none."""
    for place in range(len(events) - 1, -1, -1):
        event = events[place]
        if isinstance(event, Stepped) and event.optimizer == number:
            return events[place + 1 :]
    return None


def _gone(look: Look | None, parameter: int) -> bool:
    found = look.gradient(parameter) if look else None
    return found is None or not any(found.values)


def of_none(loop: Loop) -> Iterator[str]:
    """At each call there is no gradient to clip, and the steps have gradients all the same."""
    every = _limits(loop)
    for optimizer, updates in loop.watched:
        own = set(optimizer.parameters)
        clips = [(e, mine) for _, e in every if (mine := own & set(e.parameters))]
        there = any(clip.before.gradient(p) for clip, mine in clips for p in mine)
        steps_made = sum(any(u.used.gradients.values()) for u in updates)
        if len(clips) > 1 and steps_made > 1 and not there:
            yield (
                f"{len(clips)} calls clip nothing of {optimizer.name}: its parameters have no "
                "gradients then, before the backward pass or after they were cleared"
            )


def used_up(loop: Loop) -> Iterator[str]:
    """Parameters are given as a generator that has been walked through before."""
    spent = [e for e in loop.log.events if isinstance(e, Clipped) and e.spent]
    if spent:
        yield (
            f"{len(spent)} {verb(spent, 'call clips', 'calls clip')} nothing: the parameters are a "
            "generator that was used up before"
        )


def piled_up(loop: Loop) -> Iterator[str]:
    """A norm counts gradients that nobody takes and nobody clears."""
    owned = {p for optimizer in loop.log.optimizers for p in optimizer.parameters}
    clips = [
        (place, e)
        for place, e in enumerate(loop.log.events)
        if isinstance(e, Clipped) and e.by_norm and owned & set(e.parameters) and _limited(e)
    ]
    others = {p for _, clip in clips for p in clip.parameters} - owned
    piles = [p for p in sorted(others) if loop.log.parameters[p].still and _piles(loop, clips, p)]
    if piles:
        yield (
            f"gradients are clipped by a norm that counts those of {loop.names(piles)}, which "
            f"{verb(piles, 'is', 'are')} in no optimizer: nothing clears them, and the more they "
            "pile up, the smaller the steps of the others become"
        )


def _piles(loop: Loop, clips: Sequence[tuple[int, Clipped]], parameter: int) -> bool:
    """Whether a pass adds to a gradient over a step, from one call that clips to the next."""
    mine = [(place, clip) for place, clip in clips if parameter in clip.parameters]
    return any(
        _carried(loop.log.events[start:end], clip, parameter)
        for (start, _), (end, clip) in pairwise(mine)
    )


def _carried(since: Sequence[Event], clip: Clipped, parameter: int) -> bool:
    looks = (*(e.look for e in since if e.look), clip.before)
    found = [look.gradient(parameter) for look in looks]
    unbroken = all(g and any(g.values) for g in found) and len({g.tensor for g in found if g}) == 1
    stepped = any(isinstance(e, Stepped) for e in since)
    return unbroken and stepped and any(b.reached(parameter) for b in paired(since))
