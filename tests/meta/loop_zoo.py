"""Parts of the loop with one fault each, which the questions about them must find."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass


@dataclass(frozen=True)
class Specimen:
    """A part of the loop with one fault: its name, whose it is, and what puts it in torch's place.

    Attributes:
        name: what is wrong.
        part: the part of the loop.
        planted: puts the faulty one in torch's place, for as long as it is entered.
        caught_by: the name of a question that finds it.
        paths: on which it is asked; empty: on all.
    """

    name: str
    part: str
    planted: Callable[[], AbstractContextManager[None]]
    caught_by: str
    paths: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.part}: {self.name}"
