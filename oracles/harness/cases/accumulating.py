"""Loops that accumulate gradients as cases: windows of micro-batches of a linear model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

from oracles.harness.cases.choices import Choices, built
from oracles.harness.cases.scaling import Values

FEATURES = 2
"""Columns of a row; the model has as many weights, and a bias."""

WAYS = ("backward", "one backward", "zeros", "by hand", "grad scaler", "hooked")
"""How a loop accumulates: pass by pass, by one pass through the sum of losses, onto gradients that
are zeros and not None, by adding up what ``torch.autograd.grad`` returns, behind a scaler, and with
hooks before and after each step."""


@dataclass(frozen=True)
class Batch:
    """A micro-batch.

    Attributes:
        rows: of :data:`FEATURES` numbers and a target each.
        padding: how many rows it has besides, which a mask takes out of the loss.
    """

    rows: tuple[Values, ...]
    padding: int = 0


@dataclass(frozen=True)
class AccumulatingLoop:
    """A loop over windows of micro-batches.

    Attributes:
        owner: the optimizer.
        reduction: of losses, ``"mean"`` or ``"sum"``.
        k: micro-batches that a window is meant to have.
        windows: their micro-batches.
        start: the weights, and then the bias.
        clip: the largest norm, or None.
        way: one of :data:`WAYS`.
    """

    owner: str
    reduction: str
    k: int
    windows: tuple[tuple[Batch, ...], ...]
    start: Values
    clip: float | None = None
    way: str = WAYS[0]

    def __str__(self) -> str:
        sizes = "; ".join(
            " ".join(f"{len(b.rows)}+{b.padding}" if b.padding else f"{len(b.rows)}" for b in own)
            for own in self.windows
        )
        clip = "" if self.clip is None else f", clipped to {self.clip}"
        return (
            f"{self.owner} on {self.reduction}s of windows of {self.k}, by {self.way}{clip}; "
            f"rows: {sizes}"
        )


def accumulating_loops(
    *,
    owners: Sequence[str] = ("SGD", "Adam"),
    reductions: Sequence[str] = ("mean", "sum"),
    ways: Sequence[str] = WAYS,
    clips: Sequence[float | None] = (None, 0.5, 2.0),
    whole: bool = False,
    equal: bool = False,
) -> st.SearchStrategy[AccumulatingLoop]:
    """Loops, drawn as one byte string.

    Args:
        owners, reductions, ways, clips: what there may be.
        whole: whether all windows have the micro-batches that they are meant to have.
        equal: whether all micro-batches have as many rows.
    """

    def made(draw: Choices) -> AccumulatingLoop:
        k = 2 + draw.index(3)
        reduction, owner = draw.pick(reductions), draw.pick(owners)
        way, clip = draw.pick(ways), draw.pick(clips)
        rows = 1 + draw.index(3)

        def batch() -> Batch:
            own = rows if equal else 1 + draw.index(3)
            padding = draw.index(3) if draw.one_in(3) else 0
            return Batch(tuple(draw.values(FEATURES + 1) for _ in range(own)), padding)

        start = draw.values(FEATURES + 1)
        count = 1 + draw.index(3)
        short = None if whole else draw.index(count + 1)
        return AccumulatingLoop(
            owner,
            reduction,
            k,
            tuple(
                tuple(batch() for _ in range(1 + draw.index(k - 1) if w == short else k))
                for w in range(count)
            ),
            start,
            clip,
            way,
        )

    return built(made)
