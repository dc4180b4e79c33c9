"""What a subject answers, and how it fails to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oracles.harness.arithmetic.formats import FloatArray


class SubjectError(Exception):
    """The optimizer under test raised; the message says what, the cause is its exception."""


@contextmanager
def answering() -> Iterator[None]:
    """Around every call into the optimizer: what it raises is its answer, not our error.

    Raises:
        SubjectError: the optimizer raised.
    """
    try:
        yield
    except Exception as error:
        # The first sentence: what follows may list every backend torch knows.
        reason = str(error).strip().split("\n")[0].split(". ")[0]
        raise SubjectError(f"{type(error).__name__}: {reason}") from error


@dataclass(frozen=True)
class Answer:
    """What a subject computed, as float64 (every dtype fits), elements end to end.

    Attributes:
        parameters: (steps, elements).
        states: by state name, (steps, elements); 0 where the buffer does not exist.
        present: by state name, (steps, elements): whether the buffer exists.
    """

    parameters: FloatArray
    states: Mapping[str, FloatArray]
    present: Mapping[str, NDArray[np.bool_]]
