"""Who is asked: an optimizer class on one path, dtype and device. Only this folder knows torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oracles.harness.formats import FloatArray


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
