"""Processes that are to hold the same parameters, and do not."""

from __future__ import annotations

from collections.abc import Iterator

from oracles.harness.watching.events import MEAN, Told
from oracles.harness.watching.loop import Loop, Update, listed, steps, verb
from oracles.harness.watching.losses import shares_before


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
        updates = {u.step: u for u in loop.updates[number] if _follows_means(u)}
        bad = [
            s
            for s in told
            if s in updates and _is_sum([rank[number, s] for rank in ranks], updates[s].unit)
        ]
        if bad:
            yield (
                f"{steps(bad)} of {optimizer.name} {verb(bad, 'follows', 'follow')} the sum of the "
                f"gradients of {len(ranks)} ranks, {len(ranks)} times their mean"
            )


def _follows_means(update: Update) -> bool:
    """Whether each of its losses is a mean that was not divided by ranks, as far as can be read."""
    shares = shares_before(update)
    parts = (1, 1 / len(shares)) if shares else ()
    return any(all(update.near(share.whole, part) for share in shares) for part in parts)


def _is_sum(told: list[Told], unit: float) -> bool:
    """Whether what was used is, but for roundings, the sum of what each rank had, and no mean."""
    found = [
        (values, used)
        for parameter in range(len(told[0].own))
        for *values, used in zip(
            *(t.own[parameter] for t in told), told[0].used[parameter], strict=False
        )
    ]
    off = [(sum(values), used, len(told) * unit * sum(map(abs, values))) for values, used in found]
    sums = all(abs(total - used) <= rounding for total, used, rounding in off)
    means = all(abs(total / len(told) - used) <= rounding for total, used, rounding in off)
    return bool(found) and sums and not means
