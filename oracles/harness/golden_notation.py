"""How golden documents are written: floats to the bit, and JSON that a person can read."""

from __future__ import annotations

import json
import math
import re
from functools import lru_cache
from typing import Any

WIDTH = 100
"""Longest line of a document, where a single value is not longer."""

NUMBER = re.compile(r"(-?0x[01](?:\.[0-9a-f]+)?p[+-]\d+) \(\S+\)")

Json = Any


def show(value: float) -> str:
    """A float as documents hold it: exact hex, then the shortest decimal that gives it back.

    >>> show(0.1)
    '0x1.999999999999ap-4 (0.1)'

    Raises:
        ValueError: it is infinite or nan.
    """
    if not math.isfinite(value):
        raise ValueError(f"{value} has no place in a document; allowed: finite numbers")
    exact = re.sub(r"\.?0*p", "p", value.hex())
    return f"{exact} ({repr(value).removesuffix('.0')})"


@lru_cache(maxsize=2**14)  # documents of a rule have their questions in common
def number(shown: str) -> float:
    """The inverse of :func:`show`.

    Raises:
        ValueError: the text is not of that form, or its decimal is not that of its hex.
    """
    match = NUMBER.fullmatch(shown)
    if match is None or show(value := float.fromhex(match[1])) != shown:
        raise ValueError(f"{shown!r} is not a float as documents write it")
    return value


def laid_out(value: Json, indent: str = "", taken: int = 0) -> str:
    """JSON in which whatever fits is on one line and everything else is broken up."""
    line = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or len(indent) + taken + len(line) < WIDTH:
        return line
    deeper = indent + "  "
    if isinstance(value, dict):
        keys = [f"{json.dumps(key)}: " for key in value]
        items = [
            key + laid_out(item, deeper, len(key))
            for key, item in zip(keys, value.values(), strict=True)
        ]
        return "{\n" + ",\n".join(deeper + item for item in items) + f"\n{indent}}}"
    items = [deeper + laid_out(item, deeper) for item in value]
    return "[\n" + ",\n".join(items) + f"\n{indent}]"
