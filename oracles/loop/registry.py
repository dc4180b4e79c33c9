"""The parts of the loop that have an oracle, by the name torch gives them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from oracles.loop import (
    accumulation,
    averaging,
    batch_statistics,
    clipped_step,
    clipping,
    compressed,
    local_steps,
    ranks,
    scaler,
    sharded,
    uneven,
)
from oracles.loop.part import Part

PARTS_OF_LOOP: Mapping[str, Part] = MappingProxyType(
    {
        part.name: part
        for part in (
            scaler.PART,
            accumulation.PART,
            *averaging.PARTS,
            batch_statistics.PART,
            *clipping.CLIPPING,
            clipped_step.STEP,
            ranks.PART,
            sharded.PART,
            uneven.PART,
            local_steps.PART,
            *compressed.PARTS,
        )
    }
)
"""What each of them does, and what others do in its place."""
