"""The parts of the loop there are, by the name torch gives them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from oracles.loop import scaler
from oracles.loop.part import Part

PARTS_OF_LOOP: Mapping[str, Part] = MappingProxyType({part.name: part for part in (scaler.PART,)})
"""Parts of the loop that are no schedules."""
