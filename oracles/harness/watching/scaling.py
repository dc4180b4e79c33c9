"""Loss scaling: gradients that are never unscaled, or twice; and those that are not finite."""

from __future__ import annotations

import math
from collections.abc import Iterator

from oracles.harness.watching.events import Asked, Ended, Unscaled
from oracles.harness.watching.loop import Loop, Update, steps, verb
from oracles.harness.watching.losses import means


def _scales(update: Update) -> set[float | None]:
    """By what the losses of a step were scaled; None where that is not known."""
    return {b.begun.loss.scale for b in update.landed}


def _scale(update: Update) -> float:
    """The one scale of all losses; 1 if there is none, or if it is not known."""
    found = _scales(update)
    (scale,) = found if len(found) == 1 else (1.0,)
    return scale or 1.0


def never_unscaled(loop: Loop) -> Iterator[str]:
    """A step takes gradients that are still multiplied with the scale."""

    def scaled(u: Update) -> bool:
        taken_as_it_is = u.near(u.factor, 1) and not u.used.unscaling
        return _scale(u) != 1 and taken_as_it_is and not _in_part(u)

    for which, told in loop.where(scaled):
        yield (
            f"{which} {verb(told, 'takes', 'take')} gradients that are still multiplied with the "
            f"scale, {_scale(told[0]):g}: the scaler was to make the step"
        )


def unscaled_twice(loop: Loop) -> Iterator[str]:
    """Gradients are divided by the scale twice, and not by a count that is as large."""

    def divided(u: Update) -> bool:
        return _scale(u) != 1 and u.near(u.factor, _scale(u) ** -2) and not means(u)

    for which, told in loop.where(divided):
        yield (
            f"{which} {verb(told, 'takes', 'take')} gradients that were divided by the scale, "
            f"{_scale(told[0]):g}, twice"
        )


def never_scaled(loop: Loop) -> Iterator[str]:
    """Gradients are divided by a scale with which their loss was not multiplied."""

    def divided(u: Update) -> bool:
        by = _divisors(u)
        told = (s for s in by if s != 1 and u.near(u.factor, 1 / s))
        return _scales(u) == {1.0} and any(not _by_hand(u, s) for s in told)

    for which, told in loop.where(divided):
        yield (
            f"{which} {verb(told, 'takes', 'take')} gradients that were divided by the scale, "
            f"{max(_divisors(told[0])):g}, and their loss was never multiplied with it"
        )


def _by_hand(update: Update, scale: float) -> bool:
    """Whether losses were multiplied with the scale, or may have been by who has asked for it."""
    asked = any(isinstance(e, Asked) for e in update.window)
    factors = [b.begun.loss.factor for b in update.landed]
    return all(update.near(f, scale) or (asked and (f is None or f > 1)) for f in factors)


def _divisors(update: Update) -> list[float]:
    number = update.used.optimizer
    return [e.scale for e in update.window if isinstance(e, Unscaled) and e.optimizer == number]


def scaled_in_part(loop: Loop) -> Iterator[str]:
    """Of the losses of one step some are scaled."""
    for which, told in loop.where(_in_part):
        yield (
            f"{which} {verb(told, 'adds', 'add')} gradients of a loss that was scaled and of one "
            "that was not"
        )


def _in_part(update: Update) -> bool:
    """Whether gradients hold one loss that is scaled and one that is not, at the same time.

    What was unscaled is there as if it had never been scaled: another loss is added to it as it is.
    """
    scales = {b.ended: b.begun.loss.scale for b in update.landed}
    held: set[float] = set()
    for event in update.window:
        if isinstance(event, Unscaled) and event.optimizer == update.used.optimizer:
            held = {1.0} if held else held
        elif isinstance(event, Ended) and (scale := scales.get(event)):
            held.add(scale)
        if {1.0} < held:
            return True
    return False


def not_finite(loop: Loop) -> Iterator[str]:
    """A step takes gradients that are not finite, and so its parameters are no more, either."""
    for optimizer, updates in loop.watched:
        told = [
            (u, ps) for u in updates if (ps := [p for p in u.used.infinite or () if _spoilt(u, p)])
        ]
        if told:
            numbers = [u.step for u, _ in told]
            yield (
                f"{steps(numbers)} of {optimizer.name} {verb(numbers, 'takes', 'take')} gradients "
                f"that are not finite, and from then on {loop.names(told[0][1])} "
                f"{verb(told[0][1], 'is', 'are')} not"
            )


def _spoilt(update: Update, parameter: int) -> bool:
    after = update.stepped.look if update.stepped else None
    return after is not None and not all(map(math.isfinite, after.weight(parameter)))
