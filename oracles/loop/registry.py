"""The parts of the loop there are, by the name torch gives them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from oracles.loop import accumulation, scaler
from oracles.loop.part import Part

PARTS_OF_LOOP: Mapping[str, Part] = MappingProxyType(
    {
        "GradScaler": scaler.PART,
        "backward": accumulation.PART,
    }
)
"""Parts of the loop that are no schedules."""
