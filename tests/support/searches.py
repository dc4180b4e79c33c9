"""Line searches worked by hand: what is found at each length, and which length must come next.

Every search begins with loss 0 and slope −1. Through (0, f, s) and (1, f', s') goes a cubic; with
m = f' − f and a = s + s' − 3m it has its minimum at 1 − (s' + r − a)/(s' − s + 2r), r² = a² − ss'
(Nocedal & Wright, *Numerical Optimization*, 2nd ed., (3.59)). Cases are made so that r is rational:

    s = −1, s' = −1    m = −13/12: a = 5/4, r = 3/4, at 2      m = −1/4: a = −5/4, r = 3/4, at 1/3
                       m = 1/5: a = −13/5, r = 12/5, at 1/6    −1 < 3m < −1/3... : r² < 0, nowhere
    s = −1, s' = 1     m = −1/4: a = 3/4, r = 5/4, at 2/3      m = 1/4: a = −3/4, r = 5/4, at 1/3
                       m = −20/11: a = 60/11, r = 61/11, at 11/12
    s = −1, s' = 0     r = 1 + 3m, at 1/(3 + 6m)

Between other ends than 0 and 1 all is scaled.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction as F
from typing import Any, NamedTuple

Spot = tuple[Any, Any]
"""Loss and slope."""


class Search(NamedTuple):
    """What is found at one length after the other, and the lengths; the last one is accepted."""

    spots: Sequence[Spot]
    lengths: Sequence[F]


def fractions(*values: int | F | tuple[int, int]) -> list[F]:
    return [F(*v) if isinstance(v, tuple) else F(v) for v in values]


def search(losses: list[F], slopes: list[F], lengths: list[F]) -> Search:
    return Search(list(zip(losses, slopes, strict=True)), lengths)


def bowl(*lengths: F) -> Search:
    """On t²/2 − t, lowest at 1."""
    return Search([(t * t / 2 - t, t - 1) for t in lengths], lengths)


ENOUGH = F(-1, 10_000)
"""c₁ for a length of 1: the least fall that is one."""

BARELY = F(1, 10**9)


def _turned() -> Search:
    """A fall that is none: 1/15, lower than the start, becomes the low end; then the start goes.

    m = −15·10⁻⁹ on [0, 1/15], slope 0: at a third and a little; between that and 1/15 once more.
    """
    second = F(1, 15)
    third = second / (3 + 6 * (-BARELY / second))
    rest = second - third
    fourth = third + rest / (3 + 6 * (-BARELY / 2 / rest))
    losses = [F(2), -BARELY, -BARELY / 2, F(-1)]
    return search(losses, fractions(0, 0, -1, 0), [F(1), second, third, fourth])


SEARCHES: dict[str, Search] = {
    "at the bottom at once": bowl(F(1)),
    "too long": bowl(F(4), F(1)),
    "ten times as long, twice": bowl(F(1, 200), F(1, 20), F(1, 2)),
    "as long as the cubic says": search(
        fractions((-13, 12), -2), fractions(-1, 0), fractions(1, 2)
    ),
    "longer by a hundredth of the last step at least": search(
        fractions((-1, 4), -1), fractions(-1, 0), fractions(1, (101, 100))
    ),
    # a = −9/20, r² = 81/400 − 19/20: halfway between 101/100 and 10.
    "longer, where no cubic has a minimum": search(
        fractions((-1, 2), -6), fractions((-19, 20), 0), fractions(1, (1101, 200))
    ),
    "enough of a fall": search([ENOUGH], fractions(0), fractions(1)),
    "barely not enough of a fall": search(
        [ENOUGH + BARELY, F(-1)], fractions(0, 0), [F(1), 1 / (3 + 6 * (ENOUGH + BARELY))]
    ),
    "flat enough, downhill": search(fractions(-1), fractions((-9, 10)), fractions(1)),
    "flat enough, uphill": search(fractions(-1), fractions((9, 10)), fractions(1)),
    "flat enough, within a bracket": search(
        fractions((-1, 4), (-1, 2)), fractions(1, (9, 10)), fractions(1, (2, 3))
    ),
    "uphill": search(fractions((-1, 4), (-1, 2)), fractions(1, 0), fractions(1, (2, 3))),
    # Downhill at 2/3: the start gives way to 1. From 2/3 to 1, m = 1/4 for a length of 1.
    "uphill, then downhill": search(
        fractions((-1, 4), (-1, 3), -1), fractions(1, -1, 0), fractions(1, (2, 3), (7, 9))
    ),
    # From 1 to 2 the loss rises, m = 1/5: a sixth, 7/6, is less than a hundredth more than 2.
    "a second trial may be higher than the first": search(
        fractions((-13, 12), (-53, 60), -1), fractions(-1, -1, 0), fractions(1, 2, (201, 100))
    ),
    # From 1 to 2, m = −11/12, a = 3/4, r² < 0: halfway between 201/100 and 20. There it is higher,
    # m = 1/5 for a length of 1: a sixth of the way from 2.
    "a third one may not": search(
        fractions((-13, 12), -2, (-199, 1000), -3),
        fractions(-1, -1, -1, 0),
        fractions(1, 2, (2201, 200), (4201, 1200)),
    ),
    # m = 2: at 1/15 of the bracket, within a tenth of its end. Once that may be; the second time it
    # is moved to a tenth; the third time it may be again.
    "close to the left end": search(
        fractions(2, (2, 15), (2, 150), -1),
        fractions(0, 0, 0, 0),
        fractions(1, (1, 15), (1, 150), (1, 2250)),
    ),
    # In between m = 0, at a third: not close, so that being close counts from one again.
    "close, not close, close": search(
        fractions(2, 0, (2, 45), -1),
        fractions(0, 0, 0, 0),
        fractions(1, (1, 15), (1, 45), (1, 675)),
    ),
    # At 11/12 of the bracket; then m = −28/13 for a length of 1, at 13/14 of it.
    "close to the right end": search(
        fractions((-20, 11), (-77, 39), -3), fractions(1, 1, 0), fractions(1, (11, 12), (33, 40))
    ),
    "lower, and yet no fall": _turned(),
}
