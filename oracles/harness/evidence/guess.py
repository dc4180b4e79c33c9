"""What settings of a schedule are guessed of, and what a guess is."""

from __future__ import annotations

from typing import NamedTuple

from oracles.harness.evidence.shorter import ROUGHLY
from oracles.schedules.schedule import Settings


class Rates(tuple[float, ...]):
    """Rates that are the same only if they are one: what is made of thousands is kept.

    Attributes:
        within: the share of the largest by which what is guessed of them may be off.
    """

    within = ROUGHLY
    __eq__, __hash__ = object.__eq__, object.__hash__


class Guess(NamedTuple):
    """Settings, the base rate, and which of the settings are assumed."""

    settings: Settings
    base: float
    assumed: tuple[str, ...] = ()
