"""How golden documents are written and read: floats to the bit, and JSON for a person's eyes."""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Collection
from functools import lru_cache
from pathlib import Path
from typing import Any

SCHEMA_VERSION = 1
"""Of all golden documents."""

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


def document(**fields: Json) -> bytes:
    """A document as it must be on disk, byte for byte: under the head of all, what is its own."""
    head = {"schema": "../schema.json", "schema_version": SCHEMA_VERSION}
    return (laid_out(head | fields) + "\n").encode()


def loaded(data: bytes, **of: str) -> Json:
    """A document, which must be of this schema version and of what is said.

    >>> loaded(b'{"schema_version": 1, "rule": "SGD"}', rule="SGD")["rule"]
    'SGD'

    Raises:
        ValueError: it is of another.
    """
    document = json.loads(data)
    for field, wanted in {"schema_version": SCHEMA_VERSION, **of}.items():
        if document[field] != wanted:
            raise ValueError(f"{field}={document[field]!r} is not read here; allowed: {wanted!r}")
    return document


def tables(path: Path, of: str) -> list[dict[str, Any]]:
    """The questions about something in a file that is written by hand.

    Raises:
        ValueError: two questions share an id.
    """
    found: list[dict[str, Any]] = tomllib.loads(path.read_text(encoding="utf-8"))[of]
    if len({table["id"] for table in found}) < len(found):
        raise ValueError(f"{path.name}: an id of {of} is given more than once")
    return found


def unread(root: Path, folder: str, known: Collection[str]) -> list[str]:
    """Files below a folder of the golden one that nothing reads."""
    found = (path.relative_to(root) for path in (root / folder).rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in found if path.as_posix() not in known)
