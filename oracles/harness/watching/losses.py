"""What the gradients of a step are the gradients of: the mean or the sum of the losses of its rows.

What the loss of each backward pass is multiplied with is read in its graph, what its gradients were
multiplied with afterwards is measured. The product is the share of that loss in the step: with R
passes over as many rows each, the mean of all losses takes 1/R of each mean, their sum takes 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from oracles.harness.watching.events import MEAN, SUM
from oracles.harness.watching.loop import Loop, Update, listed, verb


class Share(NamedTuple):
    """One loss in a step.

    Attributes:
        reduction: of the losses of its rows.
        rows: how many.
        elements: how many losses these have.
        factor: what they enter the step with, after their reduction.
    """

    reduction: str
    rows: int
    elements: float
    factor: float

    @property
    def whole(self) -> float | None:
        """With what the mean of the losses enters the step.

        None if it is their sum and a row has several: by which number it is to be divided is not
        known then.
        """
        if self.reduction == MEAN:
            return self.factor
        return self.factor * self.rows if self.rows == self.elements else None


def shares(update: Update) -> tuple[Share, ...]:
    """Those of a step; none if some cannot be read, may be missing, or are parts of one loss.

    They are parts of one where a graph is kept for the next, where they are of several kinds, or
    where they reach other parameters.
    """
    kinds = {b.begun.loss.kind for b in update.landed}
    reached = {tuple(map(b.reached, update.parameters)) for b in update.landed}
    several = len(kinds) > 1 or len(reached) > 1
    if not update.sure or several or any(b.begun.kept for b in update.landed[:-1]):
        return ()
    if (after := update.factor) is None:
        return ()
    return tuple(share._replace(factor=share.factor * after) for share in shares_before(update))


def shares_before(update: Update) -> tuple[Share, ...]:
    """What each loss of a step was multiplied with before its pass; none if some cannot be read."""
    found = [
        Share(loss.reduction or "", loss.rows, loss.elements, loss.factor)
        for loss in (backward.begun.loss for backward in update.landed)
        if loss.rows and loss.elements and loss.factor is not None
    ]
    return tuple(found) if len(found) == len(update.landed) else ()


def _means(update: Update, found: Sequence[Share], factor: float) -> bool:
    """Whether the mean of each loss of a step enters with that factor."""
    return all(update.near(share.whole, factor) for share in found)


def means(update: Update) -> bool:
    """Whether a step follows the mean of its losses: of all rows, or of the means of all losses."""
    found = shares(update)
    rows = sum(share.rows for share in found)
    by_row = all(update.near(share.whole, share.rows / rows) for share in found)
    return bool(found) and (by_row or _means(update, found, 1 / len(found)))


Judge = Callable[[Update, tuple[Share, ...]], bool]


def _judged(loop: Loop, meant: str, judge: Judge) -> Iterator[tuple[str, list[Update]]]:
    """The optimizers some of whose steps are judged so, and these steps."""
    if loop.log.meant.loss == meant:
        yield from loop.where(lambda u: (found := shares(u)) and judge(u, found))


def sum_for_mean(loop: Loop) -> Iterator[str]:
    """The losses of rows are summed, and nothing divides them."""

    def judge(update: Update, found: tuple[Share, ...]) -> bool:
        return all(s.reduction == SUM and s.rows > 1 and update.near(s.factor, 1) for s in found)

    for which, told in _judged(loop, MEAN, judge):
        rows = listed([str(n) for n in sorted({s.rows for u in told for s in shares(u)})])
        yield (
            f"{which} {verb(told, 'follows', 'follow')} the sum of the losses of {rows} rows, "
            "which nothing divides; their mean was meant"
        )


def mean_for_sum(loop: Loop) -> Iterator[str]:
    """The losses of rows are averaged where their sum was meant."""

    def judge(update: Update, found: tuple[Share, ...]) -> bool:
        return all(s.rows > 1 for s in found) and _means(update, found, 1)

    for which, told in _judged(loop, SUM, judge):
        yield (
            f"{which} {verb(told, 'follows', 'follow')} the mean of the losses of their rows; "
            "their sum was meant"
        )


def undivided(loop: Loop) -> Iterator[str]:
    """The means of several micro-batches are added."""

    def judge(update: Update, found: tuple[Share, ...]) -> bool:
        return len(found) > 1 and _means(update, found, 1)

    for which, told in _judged(loop, MEAN, judge):
        count = how_many(told)
        yield (
            f"{which} {verb(told, 'follows', 'follow')} the sum of the means of {count} "
            f"micro-batches, {count} times the mean that was meant: nothing divides by {count}"
        )


def divided_twice(loop: Loop) -> Iterator[str]:
    """The means of several micro-batches are divided by the square of their number."""
    usual = _usual(loop)

    def judge(update: Update, found: tuple[Share, ...]) -> bool:
        fewer = usual[update.used.optimizer] == len(found) ** 2
        other = fewer or _may_be_halves(update, found)
        return len(found) > 1 and not other and _means(update, found, len(found) ** -2)

    for which, told in _judged(loop, MEAN, judge):
        count = how_many(told)
        yield (
            f"{which} {verb(told, 'divides', 'divide')} by the {count} micro-batches twice: their "
            f"gradients are 1/{count} of the mean that was meant"
        )


HALVED = frozenset({"MseLossBackward0", "MeanBackward0", "SumBackward1", "SumBackward0"})
"""Reductions of what may be squares, of which people take the half."""


def _may_be_halves(update: Update, found: Sequence[Share]) -> bool:
    """Whether a half may be one of two micro-batches, or of a square."""
    return len(found) == 2 and all(b.begun.loss.kind in HALVED for b in update.landed)


def _usual(loop: Loop) -> list[int]:
    """By optimizer, how many micro-batches its steps have, but for short ones."""
    meant = loop.log.meant.accumulation or 0
    return [max([meant, *(len(u.landed) for u in updates)]) for updates in loop.updates]


def unequal(loop: Loop) -> Iterator[str]:
    """Micro-batches of unequal size weigh the same."""

    def judge(update: Update, found: tuple[Share, ...]) -> bool:
        return len({s.elements for s in found}) > 1 and _means(update, found, 1 / len(found))

    for which, told in _judged(loop, MEAN, judge):
        losses = listed([f"{s.elements:g}" for s in shares(told[0])])
        yield (
            f"{which} {verb(told, 'gives', 'give')} the same weight to micro-batches of {losses} "
            "losses: the mean of their means is not the mean of all"
        )


def short(loop: Loop) -> Iterator[str]:
    """A step of fewer micro-batches than others divides by the number that the others have."""
    usual = _usual(loop)

    def judge(update: Update, found: tuple[Share, ...]) -> bool:
        count = usual[update.used.optimizer]
        return len(found) < count and _means(update, found, 1 / count)

    for which, told in _judged(loop, MEAN, judge):
        count, counts = usual[told[0].used.optimizer], how_many(told)
        yield (
            f"{which} {verb(told, 'has', 'have')} {counts} micro-batch{'es' * (counts != '1')} and "
            f"{verb(told, 'divides', 'divide')} by {count}, as steps of {count} do: "
            f"{verb(told, 'its gradient is', 'their gradients are')} too small"
        )


def how_many(told: Sequence[Update]) -> str:
    """How many backward passes some steps take, in words."""
    return listed([str(n) for n in sorted({len(u.landed) for u in told})])


def short_batch(loop: Loop) -> Iterator[str]:
    """A sum over few rows is divided by as many as other steps have."""
    divisor = _of_full_batches(loop)
    if loop.log.meant.loss != SUM:
        for which, told in loop.where(divisor):
            rows = listed([str(n) for n in sorted({s.rows for u in told for s in shares(u)})])
            yield (
                f"whether {which} {verb(told, 'is', 'are')} to divide the sum over {rows} rows by "
                f"{divisor(told[0])}, as other steps do: that is less than their mean"
            )


def _of_full_batches(loop: Loop) -> Callable[[Update], int]:
    """By what a step divides the sum over fewer rows, if other steps have as many; else 0."""

    def divided(update: Update, count: int, found: Sequence[Share]) -> bool:
        sums = all(s.reduction == SUM and s.rows == s.elements for s in found)
        return bool(found) and sums and all(update.near(s.factor, 1 / count) for s in found)

    full = [
        {s.rows for u in updates for s in shares(u)[:1] if s.rows > 1 and divided(u, s.rows, [s])}
        for updates in loop.updates
    ]

    def divisor(update: Update) -> int:
        found = shares(update)
        rows = sum(share.rows for share in found)
        counts = (n for n in full[update.used.optimizer] if n > rows and divided(update, n, found))
        return next(counts, 0)

    return divisor


def multiple(loop: Loop) -> Iterator[str]:
    """Each step follows the mean of its losses, times a number that nobody has named."""
    usual, divisor = _usual(loop), _of_full_batches(loop)

    def judge(update: Update, found: tuple[Share, ...]) -> bool:
        whole, count = found[0].whole, len(found)
        known = [1.0, 1 / count, 1 / usual[update.used.optimizer]]
        known += [] if _may_be_halves(update, found) else [1 / count**2]
        summed = found[0].reduction == SUM and update.near(found[0].factor, 1)
        alike = len({share.elements for share in found}) == 1
        told = alike and not summed and whole is not None and _means(update, found, whole)
        named = any(update.near(whole, number) for number in known) or divisor(update)
        return told and not named

    for which, told in _judged(loop, MEAN, judge):
        if _limited_by_hand(loop, told):
            continue
        found = shares(told[0])
        yield (
            f"whether {which} {verb(told, 'is', 'are')} to follow "
            f"{len(found) * (found[0].whole or 0):.4g} times the mean of the losses"
        )
    for which, told in _judged(loop, MEAN, _is_part_of_sums):
        yield (
            f"whether {which} {verb(told, 'is', 'are')} to follow "
            f"{shares(told[0])[0].factor:.4g} times the sum of the losses"
        )


def _is_part_of_sums(update: Update, found: tuple[Share, ...]) -> bool:
    """Whether sums of several losses a row are divided by no number of rows, losses or passes.

    Nor by all rows or losses that the step has.
    """
    open_ = all(share.reduction == SUM and share.whole is None for share in found)
    counts = {1.0, sum(share.rows for share in found), sum(share.elements for share in found)} | {
        each * passes
        for share in found
        for each in (share.rows, share.elements)
        for passes in range(1, len(found) + 1)
    }
    return open_ and not any(
        update.near(share.factor, 1 / count) for share in found for count in counts
    )


def _limited_by_hand(loop: Loop, told: Sequence[Update]) -> bool:
    """Whether gradients were made smaller, by another factor at each step, as a limit does it.

    A limit does not divide by whole numbers, as counts are.
    """
    near = told[0].near
    updates = [u for u in loop.updates[told[0].used.optimizer] if u.landed]
    known = [f * (u.landed[-1].begun.loss.scale or 1) for u in updates if (f := u.factor)]
    smaller = all(0 < f < 1 or near(f, 1) for f in known)
    differ = any(not near(f, known[0]) for f in known)
    return smaller and differ and not all(near(f, 1 / round(1 / f)) for f in known)


def of_pairs(loop: Loop) -> Iterator[str]:
    """Outputs and targets of other shapes are compared each with each."""
    for which, told in loop.where(lambda u: any(b.begun.loss.pairs for b in u.landed)):
        loss = next(b.begun.loss for b in told[0].landed if b.begun.loss.pairs)
        yield (
            f"whether the loss of {which} is to compare each output with each target, "
            f"{loss.elements:g} pairs: they have other shapes, and both were spread out"
        )


def unread(loop: Loop) -> Iterator[str]:
    """It is said what a step follows, and the losses cannot be read."""
    if loop.log.meant.loss:
        for which, dark in loop.where(lambda u: u.landed and not shares(u)):
            uneven = [update for update in dark if update.uneven]
            why = (
                "after the last pass their gradients are changed, by no one factor"
                if len(uneven) == len(dark)
                else "they are put together of several, or in a way that is not known"
            )
            yield (
                f"whether {which} {verb(dark, 'follows', 'follow')} the {loop.log.meant.loss} of "
                f"the losses: {why}"
            )
