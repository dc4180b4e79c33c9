"""How long to look: Hypothesis profiles, shared by pytest and the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.database import ExampleDatabase

from oracles.harness.evidence.settings import PROFILES

EXAMPLES = {name: 60 * often for name, often in PROFILES.items()}
"""Examples of a test: minutes, the same derandomized, more minutes."""

PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)
"""The explain phase is left out: on long cases it costs more than it tells."""

# Cases are built, so nothing is filtered, but the first optimizer of a process imports much of
# torch, which "too slow" would take for the strategy's fault.
IGNORED = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example)


_SEED = ContextVar("seed", default=0)
"""Of all cases that are drawn; 0 leaves that to the profile."""


def seeded(name: str) -> Callable[[Any], Any]:
    """Let a test of that name draw the same cases each time, if a seed or the profile says so.

    Other ones than the next test: of few cases each, the second would be of the same dtype in all
    checks of all rules.
    """
    number = _SEED.get()
    return seed(f"{number} {name}") if number or settings().derandomize else lambda test: test


@contextmanager
def lasting(name: str, number: int = 0) -> Iterator[None]:
    """For a while a profile's length, with the same cases each time and none kept for the next.

    Which cases they are is said by the seed.
    """
    token = _SEED.set(number)
    before, own = settings.get_current_profile_name(), f"{name}, for a while"
    _register(own, EXAMPLES[name], derandomize=True, database=None)
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
        _register(known, examples, derandomize=known == "ci", print_blob=True)
    settings.load_profile(name)


def _register(name: str, examples: int, **own: Any) -> None:
    """Make a profile known to Hypothesis: what all have, and what is its own."""
    settings.register_profile(
        name,
        max_examples=examples,
        deadline=None,  # timings on shared machines are no verdict
        phases=PHASES,
        suppress_health_check=IGNORED,
        **own,
    )


class Filed(ExampleDatabase):
    """Failing examples of one question, among those of all in the loaded profile's database.

    By itself Hypothesis files examples under the text of the function that failed on them, which is
    the same for all questions: each would try those of the others, and throw away what it passes.
    """

    def __init__(self, among: ExampleDatabase, question: str) -> None:
        super().__init__()
        self._among = among
        self._question = question.encode() + b": "

    def fetch(self, key: bytes) -> Iterable[bytes]:
        return self._among.fetch(self._question + key)

    def save(self, key: bytes, value: bytes) -> None:
        self._among.save(self._question + key, value)

    def delete(self, key: bytes, value: bytes) -> None:
        self._among.delete(self._question + key, value)


def filed(question: str) -> ExampleDatabase | None:
    """Where a question's failing examples are kept for the next run, if they are."""
    among = settings().database
    return among and Filed(among, question)
