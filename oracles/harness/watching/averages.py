"""Averages of weights that are taken too early, or of a model that nobody trains."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from oracles.harness.watching.events import Averaged, Begun, Stepped, Used
from oracles.harness.watching.loop import Loop, verb


def before_step(loop: Loop) -> Iterator[str]:
    """Each time weights are averaged between a backward pass and the step that it was made for."""
    for number, told in _averages(loop).items():
        places = [p for p, e in enumerate(loop.log.events) if e in told]
        early = [o for p in places if (o := _about_to_step(loop, p)) is not None]
        if len(early) == len(places) > 1:
            yield (
                f"average {number + 1} is told the weights {len(places)} times, each time between "
                f"a backward pass and the step of {loop.log.optimizers[early[0]].name} after it: "
                "what the last step makes of them is never in it"
            )


def _averages(loop: Loop) -> dict[int, list[Averaged]]:
    found: dict[int, list[Averaged]] = {}
    for event in loop.log.events:
        if isinstance(event, Averaged):
            found.setdefault(event.average, []).append(event)
    return found


def _about_to_step(loop: Loop, place: int) -> int | None:
    """The optimizer that is about to step when weights are averaged; None if none is.

    The last thing before was a pass, and the next thing is a step of what is averaged.
    """
    events = loop.log.events
    mine = events[place]
    before = (e for e in reversed(events[:place]) if isinstance(e, Begun | Stepped))
    after = (e for e in events[place + 1 :] if isinstance(e, Begun | Used))
    last, following = next(before, None), next(after, None)
    if not (isinstance(last, Begun) and isinstance(following, Used) and isinstance(mine, Averaged)):
        return None
    optimizer = loop.log.optimizers[following.optimizer]
    trained = optimizer.watched and set(optimizer.parameters) & set(mine.parameters)
    return following.optimizer if trained else None


def of_nobody(loop: Loop) -> Iterator[str]:
    """What is averaged is a copy of what is trained, and stays where it is.

    Nobody averages what is trained, and nobody has frozen the copy, or a part of it, on purpose.
    """
    averages = _averages(loop)
    averaged = {p for told in averages.values() for event in told for p in event.parameters}
    for number, told in averages.items():
        own = sorted({p for event in told for p in event.parameters})
        shapes = Counter(loop.log.parameters[p].shape for p in own)
        idle = own and all(_left(loop, p) for p in own)
        for optimizer, updates in loop.watched:
            trained = Counter(loop.log.parameters[p].shape for p in optimizer.parameters)
            alone = idle and trained == shapes and averaged.isdisjoint(optimizer.parameters)
            if alone and len(told) > 1 and len(updates) > 1:
                yield (
                    f"average {number + 1} is told {loop.names(own)}, which "
                    f"{verb(own, 'is', 'are')} in no optimizer and {verb(own, 'stays', 'stay')} "
                    f"where {verb(own, 'it is', 'they are')}: {optimizer.name} trains others of "
                    "the same shapes"
                )


def _left(loop: Loop, parameter: int) -> bool:
    """Whether a parameter that may be trained is in no optimizer, and has not moved."""
    seen = loop.log.parameters[parameter]
    return seen.still and seen.trainable and not loop.owners(parameter)
