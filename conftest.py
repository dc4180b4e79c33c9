"""Profiles, options, header and summary of a run. The questions are in ``tests/``."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings

SHOWN = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)
"""The explain phase is left out: on long cases it costs more than it tells."""


def _profile(name: str, examples: int, *, derandomize: bool = False) -> None:
    settings.register_profile(
        name,
        max_examples=examples,
        derandomize=derandomize,
        deadline=None,
        phases=SHOWN,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )


_profile("default", 60)
_profile("ci", 60, derandomize=True)
_profile("thorough", 2_000)
_profile("soak", 1_000_000)
settings.load_profile("default")
