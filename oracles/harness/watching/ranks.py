"""Processes that are to hold the same parameters, and do not."""

from __future__ import annotations

from collections.abc import Iterator

from oracles.harness.arithmetic.formats import FORMATS
from oracles.harness.watching.events import MEAN, Told
from oracles.harness.watching.loop import Loop, listed, steps, verb


def differ(loop: Loop) -> Iterator[str]:
    """After a step of an optimizer, ranks hold different parameters."""
    ranks = loop.log.ranks
    for number, optimizer in enumerate(loop.log.optimizers):
        told = sorted({step for rank in ranks for owner, step in rank if owner == number})
        for step in told:
            marks = [rank[number, step].marks if (number, step) in rank else () for rank in ranks]
            if len(set(marks)) > 1:
                others = [str(r) for r, mark in enumerate(marks) if mark != marks[0]]
                where = [
                    p
                    for p, each in zip(
                        optimizer.parameters, zip(*marks, strict=False), strict=False
                    )
                    if len(set(each)) > 1
                ]
                what = loop.names(where) if where else "its parameters"
                yield (
                    f"after step {step} of {optimizer.name}, {verb(others, 'rank', 'ranks')} "
                    f"{listed(others)} {verb(others, 'holds', 'hold')} other values of {what} than "
                    "rank 0"
                )
                break


def summed(loop: Loop) -> Iterator[str]:
    """Gradients are added over ranks, where their mean was meant."""
    ranks = loop.log.ranks
    if loop.log.meant.loss != MEAN or len(ranks) < 2:
        return
    for number, optimizer in enumerate(loop.log.optimizers):
        known = [step for owner, step in ranks[0] if owner == number]
        told = [s for s in known if all((number, s) in rank for rank in ranks)]
        bad = [s for s in told if _is_sum([rank[number, s] for rank in ranks])]
        if bad:
            yield (
                f"{steps(bad)} of {optimizer.name} {verb(bad, 'follows', 'follow')} the sum of the "
                f"gradients of {len(ranks)} ranks, {len(ranks)} times their mean"
            )


def _is_sum(told: list[Told]) -> bool:
    """Whether what was used is, but for roundings, the sum of what each rank had, and no mean."""
    found = [
        (values, used)
        for parameter in range(len(told[0].own))
        for *values, used in zip(
            *(t.own[parameter] for t in told), told[0].used[parameter], strict=False
        )
    ]
    sums = all(abs(sum(values) - used) <= _rounding(values) for values, used in found)
    means = all(abs(sum(values) / len(told) - used) <= _rounding(values) for values, used in found)
    return bool(found) and sums and not means


def _rounding(values: list[float]) -> float:
    """What the sum of some numbers of float32, or their mean, may be off by."""
    return len(values) * float(FORMATS["float32"].u) * sum(map(abs, values))
