"""Models that are trained in eval mode, where dropout and batch norm work otherwise."""

from __future__ import annotations

from collections.abc import Iterator

from oracles.harness.watching.events import Begun, Model, Turned, Unrecorded
from oracles.harness.watching.loop import Loop


def left_in_eval(loop: Loop) -> Iterator[str]:
    """A model is trained in training mode, is validated, and is trained in eval mode from then."""
    for model, first, last, validated in _turned(loop):
        if first and validated:
            yield (
                f"{model.name} is in training mode for the first {first} backward passes, and in "
                f"eval mode for a validation and the {last - first} backward passes after it"
            )


def trained_in_eval(loop: Loop) -> Iterator[str]:
    """A model is trained in eval mode, from the first pass on or from some later one."""
    for model, first, _, validated in _turned(loop):
        if not (first and validated):
            since = f" from backward pass {first + 1} on" if first else ""
            yield (
                f"whether {model.name}, whose dropout or batch norm works otherwise in training "
                f"mode, was to be trained in eval mode{since}"
            )


def _turned(loop: Loop) -> Iterator[tuple[Model, int, int, bool]]:
    """Models that are in eval mode from some pass on, and never again in training mode.

    With the number of passes before it, the number of all, and whether there was a validation
    between.
    """
    for number, model in enumerate(loop.log.models):
        passes = [
            b
            for b in loop.followed
            if number < len(b.begun.training) and any(map(b.reached, model.parameters))
        ]
        modes = [b.begun.training[number] for b in passes]
        first = sum(modes)
        if model.modal and len(modes) > first and not any(modes[first:]):
            start, end = (passes[n].begun for n in (first - 1, first))
            yield model, first, len(modes), first > 0 and _validated(loop, number, start, end)


def _validated(loop: Loop, model: int, start: Begun, end: Begun) -> bool:
    """Whether a model in eval mode has computed without graphs between two passes.

    If it was told to be in eval mode after that as well, it was for the training.
    """
    places = [loop.log.events.index(event) for event in (start, end)]
    validated = False
    for event in loop.log.events[slice(*places)]:
        if isinstance(event, Unrecorded) and model < len(event.training):
            validated |= not event.training[model]
        elif isinstance(event, Turned) and event.model == model and not event.training:
            validated = False
    return validated
