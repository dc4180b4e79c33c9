"""Which rows each step of a training loop sees."""

from __future__ import annotations

from dataclasses import dataclass

Batch = tuple[int, int]
"""The first row of a batch and the one after its last."""


Plan = tuple[tuple[Batch, ...], ...]
"""The batches of each epoch."""


@dataclass(frozen=True)
class Batches:
    """Which rows a step sees.

    Attributes:
        kind: ``"full"`` (all of them), ``"short"`` (in order, the last batch with what is left),
            ``"dropped"`` (in order, without what is left) or ``"single"`` (a batch an epoch, in
            turn).
        size: how many rows; None if the code is told.

    >>> Batches("short").plan(m=8, told=3, epochs=1)
    (((0, 3), (3, 6), (6, 8)),)
    >>> Batches("single", 1).plan(m=8, told=8, epochs=2)
    (((0, 1),), ((1, 2),))
    """

    kind: str = "full"
    size: int | None = None

    def __str__(self) -> str:
        size = "the size given" if self.size is None else f"{self.size} rows"
        return {
            "full": "on all rows at once",
            "short": "row after row" if self.size == 1 else f"in batches of {size}",
            "dropped": f"in batches of {size}, leaving out a short last one",
            "single": f"on one {'row' if self.size == 1 else f'batch of {size}'} an epoch, in turn",
        }[self.kind]

    def plan(self, m: int, told: int, epochs: int) -> Plan:
        """The batches of each epoch, of m rows and a size that the code is told."""
        n = m if self.kind == "full" else self.size or told
        whole = tuple((start, min(start + n, m)) for start in range(0, m, n))
        if self.kind == "dropped":
            whole = tuple(b for b in whole if b[1] - b[0] == n)
        if self.kind == "single":
            return tuple((whole[t % len(whole)],) for t in range(epochs))
        return (whole,) * epochs


FULL = Batches()
"""All rows at once."""
