"""Gauss' and Newton's method, by which numbers that are nearly right become right."""

from __future__ import annotations

import numpy as np

from oracles.harness.arithmetic.formats import FloatArray


def changes(off: FloatArray, nudge: float) -> FloatArray:
    """By how much each number is to change so that as little as can be is off.

    Args:
        off: what is off, (1 + numbers, elements): as they are, and with one after the other
            changed by ``nudge``.
        nudge: that.

    >>> changes(np.array([[-6.0, -3.0], [-4.0, -2.0]]), 1.0)  # of 2x − 6 and x − 3, at 0 and 1
    array([3.])
    """
    slopes = (off[1:] - off[0]).T / nudge
    found: FloatArray = np.linalg.lstsq(slopes, -off[0], rcond=None)[0]
    return found
