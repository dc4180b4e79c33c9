"""Loss scaling: gradients that are never unscaled, or twice; and those that are not finite."""

from __future__ import annotations

import math
from collections.abc import Iterator

from oracles.harness.watching.events import Unscaled
from oracles.harness.watching.loop import Loop, Update, steps, verb


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
        return _scale(u) != 1 and u.near(u.factor, 1) and not u.used.unscaling

    for which, told in loop.where(scaled):
        yield (
            f"{which} {verb(told, 'takes', 'take')} gradients that are still multiplied with the "
            f"scale, {_scale(told[0]):g}: the scaler was to make the step"
        )


def unscaled_twice(loop: Loop) -> Iterator[str]:
    """Gradients are divided by the scale twice."""

    def divided(u: Update) -> bool:
        return _scale(u) != 1 and u.near(u.factor, _scale(u) ** -2)

    for which, told in loop.where(divided):
        yield (
            f"{which} {verb(told, 'takes', 'take')} gradients that were divided by the scale, "
            f"{_scale(told[0]):g}, twice"
        )


def never_scaled(loop: Loop) -> Iterator[str]:
    """Gradients are divided by a scale with which their loss was not multiplied."""

    def divided(u: Update) -> bool:
        by = _divisors(u)
        return _scales(u) == {1.0} and any(s != 1 and u.near(u.factor, 1 / s) for s in by)

    for which, told in loop.where(divided):
        yield (
            f"{which} {verb(told, 'takes', 'take')} gradients that were divided by the scale, "
            f"{max(_divisors(told[0])):g}, and their loss was never multiplied with it"
        )


def _divisors(update: Update) -> list[float]:
    number = update.used.optimizer
    return [e.scale for e in update.window if isinstance(e, Unscaled) and e.optimizer == number]


def scaled_in_part(loop: Loop) -> Iterator[str]:
    """Of the losses of one step some are scaled."""
    for which, told in loop.where(lambda u: {1.0} < _scales(u) - {None}):
        yield (
            f"{which} {verb(told, 'adds', 'add')} gradients of a loss that was scaled and of one "
            "that was not"
        )


def not_finite(loop: Loop) -> Iterator[str]:
    """A step takes gradients that are not finite, and so its parameters are no more, either."""
    for optimizer, updates in loop.watched:
        told = [(u, ps) for u in updates if (ps := [p for p in u.used.infinite if _spoilt(u, p)])]
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
