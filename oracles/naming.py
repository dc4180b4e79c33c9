"""What code is called, and what is refused: names that are not known, no list, no number."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from functools import partial
from numbers import Real
from typing import Any


def name_of(code: object) -> str:
    """The name of somebody's code: a partial has that of its function, an instance its class's.

    >>> name_of(partial(sorted, reverse=True)), name_of([])
    ('sorted', 'list')
    """
    while isinstance(code, partial):
        code = code.func
    return str(getattr(code, "__name__", type(code).__name__))


def unknown(told: str, name: object, known: Iterable[str], allowed: str = "") -> str:
    """What to say of a name that is not known: whether another was meant, and all there are.

    Args:
        told: that it is not known, as the sentence begins.
        name: the name that was given.
        known: what it may have been.
        allowed: how these are listed, where that is not one after the other.

    >>> unknown("rule='adma' is not known", "adma", ["SGD", "Adam"])
    "rule='adma' is not known (did you mean 'Adam'?); allowed: SGD, Adam"
    >>> unknown("rule='Lion' is not known", "Lion", ["SGD", "Adam"])
    "rule='Lion' is not known; allowed: SGD, Adam"
    """
    known = list(known)
    near = nearest(str(name), known)
    meant = f" (did you mean {near!r}?)" if near else ""
    return f"{told}{meant}; allowed: {allowed or ', '.join(known)}"


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that is spelled most like one, in whichever case; empty if none is near.

    A name may have a module before it, or what a rule is said to be after it.

    >>> nearest("weight-decay", ["lr", "weight_decay"])
    'weight_decay'
    >>> nearest("torch.optim.Adam", ["Adam"]), nearest("adam's eps_hat", ["Adam"])
    ('Adam', 'Adam')
    """
    spelled = {each.casefold(): each for each in known}
    for part in (name, name.rpartition(".")[2], name.partition("'s ")[0]):
        if close := get_close_matches(part.casefold(), spelled, n=1):
            return spelled[close[0]]
    return ""


def refuse_unlisted(**given: Any) -> None:
    """Check arguments that are lists: text would be read letter by letter.

    Raises:
        TypeError: one is none.

    >>> refuse_unlisted(dtypes="float64")
    Traceback (most recent call last):
    TypeError: dtypes='float64' is no list; allowed: dtypes=['float64']
    """
    for name, value in given.items():
        if isinstance(value, str):
            raise TypeError(f"{name}={value!r} is no list; allowed: {name}=[{value!r}]")
        if not isinstance(value, Iterable):
            raise TypeError(f"{name}={value!r} is no list; allowed: names in a list")


def refuse_unmapped(**given: Any) -> None:
    """Check arguments that are dicts, or None where nothing is said.

    Raises:
        TypeError: one is neither.

    >>> refuse_unmapped(names="lr")
    Traceback (most recent call last):
    TypeError: names='lr' is no dict; allowed: names={'NAME': ...}
    """
    for name, value in given.items():
        if not (value is None or isinstance(value, Mapping)):
            raise TypeError(f"{name}={value!r} is no dict; allowed: {name}={{'NAME': ...}}")


def refuse_limits(**limits: Any) -> None:
    """Check bounds that somebody has set.

    Raises:
        ValueError: one is no finite number above 0.
    """
    refuse_numbers("a finite number above 0", lambda number: number > 0, **limits)


def refuse_numbers(allowed: str, fits: Callable[[float], bool], **given: Any) -> None:
    """Check numbers, or None where nothing is said.

    Raises:
        ValueError: one is no finite number, or does not fit.

    >>> refuse_numbers("a finite number from 0 on", lambda number: number >= 0, weight_decay=-1)
    Traceback (most recent call last):
    ValueError: weight_decay=-1 must be a finite number from 0 on, or None
    """
    for name, value in given.items():
        finite = isinstance(value, Real) and math.isfinite(value)
        if not (value is None or (finite and fits(value))):
            raise ValueError(f"{name}={value!r} must be {allowed}, or None")
