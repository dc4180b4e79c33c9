"""How the weights move: weight decay that depends on a count, and parameters that stay behind."""

from __future__ import annotations

from collections.abc import Iterator

from oracles.harness.watching.events import Log
from oracles.harness.watching.loop import Loop, Movement, verb


def decay_divided(loop: Loop) -> Iterator[str]:
    """Weight decay is divided by a count."""
    for movement in loop.movements:
        if movement.divided:
            yield _scaled(loop.log, movement, f"divided by {movement.divided}")


def decay_multiplied(loop: Loop) -> Iterator[str]:
    """Weight decay is multiplied with a count."""
    for movement in loop.movements:
        if movement.multiplied:
            yield _scaled(loop.log, movement, f"multiplied with {movement.multiplied}")


def _scaled(log: Log, movement: Movement, how: str) -> str:
    name = log.optimizers[movement.optimizer].name
    return (
        f"the weight decay of group {movement.group} of {name} is {how}: its weights move as "
        f"{movement.follows}"
    )


def left_behind(loop: Loop) -> Iterator[str]:
    """Parameters have gradients, and steps leave them where they are."""
    for movement in loop.movements:
        if movement.behind:
            name = loop.log.optimizers[movement.optimizer].name
            behind = movement.behind
            yield (
                f"{loop.names(behind)} {verb(behind, 'has', 'have')} gradients, and the steps of "
                f"{name} leave {verb(behind, 'it where it is', 'them where they are')}; the others "
                f"move as {movement.follows}"
            )
