"""What a file of this room is made of: one part of the loop, and the ways in which it is done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from oracles.naming import unknown


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A named way of doing one part of the loop.

    Attributes:
        name: how verdicts name it.
        equation: what it computes, in the symbols of the part's file.
        source: who computes it so.
        compute: the same on numbers of any arithmetic; what it is given is said in the part's file.
    """

    name: str
    equation: str
    source: str
    compute: Callable[..., Any]


@dataclass(frozen=True, eq=False, kw_only=True)
class Part:
    """One part of the loop around the step.

    Attributes:
        name: of the class or function in torch.
        symbols: what the letters in the equations stand for, on one line.
        variants: all known ways; the first one is torch's, the others must be told apart from it.
    """

    name: str
    symbols: str
    variants: tuple[Variant, ...]

    @property
    def torch(self) -> Variant:
        """What torch does."""
        return self.variants[0]

    def variant(self, name: str) -> Variant:
        """The variant of that name.

        Raises:
            ValueError: there is none.
        """
        for variant in self.variants:
            if variant.name == name:
                return variant
        known = [variant.name for variant in self.variants]
        raise ValueError(unknown(f"variant={name!r} of {self.name} is not known", name, known))
