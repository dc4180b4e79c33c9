"""What asks a piece of code, by what it is."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from oracles.harness.subjects.blackbox import BlackBox, Function


def black_box(subject: Any, names: Mapping[str, str], fixed: Mapping[str, Any]) -> BlackBox:
    """What asks a subject, by what it is.

    Raises:
        TypeError: it is nothing that can be asked.
    """
    if not callable(subject):
        raise TypeError(
            f"subject={subject!r} cannot be asked; allowed: a class of optimizers, a function that "
            "makes one, or a step (params, grads, state, hyper) -> params"
        )
    if not isinstance(subject, type) and _is_step(subject):
        return Function(subject, names, fixed)
    from oracles.harness.subjects.foreign import ForeignOptimizer  # which needs torch

    return ForeignOptimizer(subject, names, fixed)


def _is_step(function: Any) -> bool:
    """Whether a function takes gradients next to parameters."""
    try:
        second = list(inspect.signature(function).parameters)[1:2]
    except ValueError:  # it is one of C's, which has no names
        return False
    return bool(second) and second[0] in ("grads", "gradients", "gs", "g", "grad")
