"""What is compared in ``mpmath``: closed forms with roots, powers and logarithms."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np

BITS = 200
"""Precision, to be used with ``mpmath.workprec``."""

SPARE = 40
"""How many of the bits are left to roundings: no test here makes 2⁴⁰ of them."""

_number = mpmath.mp.npconvert


def _no_array(x: Any) -> Any:
    """``mpmath`` writes an array down before it leaves it to NumPy, which takes most of the time.

    Raises:
        TypeError: it is an array.
    """
    if isinstance(x, np.ndarray):
        raise TypeError("an array is no number")
    return _number(x)


mpmath.mp.npconvert = _no_array

precise = np.frompyfunc(mpmath.mpmathify, 1, 1)
"""Arrays, or numbers, in the working precision."""


def same(one: Any, other: Any, size: Any = None) -> bool:
    """Whether two numbers, or arrays of one shape, are the same but for roundings.

    ``size`` is the largest number that was rounded on the way to them, their own by default.
    """
    one, other = (np.asarray(x, dtype=object) for x in (one, other))
    if one.shape != other.shape:
        return False
    scale = np.max(abs(other)) if size is None else mpmath.mpmathify(size)
    return bool(np.max(abs(one - other)) <= mpmath.ldexp(scale, SPARE - BITS))
