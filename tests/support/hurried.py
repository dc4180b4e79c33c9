"""A profile for those who know that something will be found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hypothesis import HealthCheck, Phase, settings


@contextmanager
def hurried() -> Iterator[None]:
    """The loaded profile, but what is found need not be shrunk, nor kept for the next run."""
    before = settings.get_current_profile_name()
    quick = settings(
        settings.default,
        phases=(Phase.generate,),
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    settings.register_profile("zoo", quick)
    settings.load_profile("zoo")
    try:
        yield
    finally:
        settings.load_profile(before)
