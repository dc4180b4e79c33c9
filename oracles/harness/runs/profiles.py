"""How long to look: Hypothesis profiles, shared by pytest and the command line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from hypothesis import HealthCheck, Phase, seed, settings

EXAMPLES = {"default": 60, "ci": 60, "thorough": 800}
"""Examples of a test: minutes, the same derandomized, more minutes."""

PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)
"""The explain phase is left out: on long cases it costs more than it tells."""

# Cases are built, so nothing is filtered, but the first optimizer of a process imports much of
# torch, which "too slow" would take for the strategy's fault.
IGNORED = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example)


PROFILES = tuple(EXAMPLES)


_SEED = ContextVar("seed", default=0)
"""Of all cases that are drawn; 0 leaves that to the profile."""


def seeded(test: Any) -> Any:
    """A test of Hypothesis' that draws the cases of the seed, if one was given."""
    number = _SEED.get()
    return seed(number)(test) if number else test


@contextmanager
def lasting(name: str, number: int = 0) -> Iterator[None]:
    """For a while a profile's length, with the same cases each time and none kept for the next.

    Which cases they are is said by the seed.
    """
    token = _SEED.set(number)
    before, own = settings.get_current_profile_name(), f"{name}, for a while"
    settings.register_profile(
        own,
        max_examples=EXAMPLES[name],
        derandomize=True,
        database=None,
        deadline=None,
        phases=PHASES,
        suppress_health_check=IGNORED,
    )
    settings.load_profile(own)
    try:
        yield
    finally:
        settings.load_profile(before)
        _SEED.reset(token)


def load(name: str = "default", number: int = 0) -> None:
    """Make the profiles known to Hypothesis and load one of them, and a seed if there is one."""
    _SEED.set(number)
    for known, examples in EXAMPLES.items():
        settings.register_profile(
            known,
            max_examples=examples,
            derandomize=known == "ci",
            deadline=None,  # timings on shared machines are no verdict
            phases=PHASES,
            print_blob=True,
            suppress_health_check=IGNORED,
        )
    settings.load_profile(name)
