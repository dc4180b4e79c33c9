"""As much of JSON Schema as ``golden/schema.json`` uses; any other keyword is an error."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Json = Any
Schema = Mapping[str, Any]
Keyword = Callable[[Json, Any, Schema, Schema, str], Iterator[str]]

TYPES: Mapping[str, type] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "boolean": bool,
    "null": type(None),
}


def violations(value: Json, schema: Schema, root: Schema, where: str = "$") -> Iterator[str]:
    """Where and how a value breaks a schema; ``root`` holds the definitions it refers to."""
    for keyword, wanted in schema.items():
        yield from KEYWORDS[keyword](value, wanted, schema, root, where)


def _type(value: Json, wanted: str, schema: Schema, root: Schema, where: str) -> Iterator[str]:
    bool_for_int = isinstance(value, bool) and wanted == "integer"
    if not isinstance(value, TYPES[wanted]) or bool_for_int:
        yield f"{where} is no {wanted}"


def _const(value: Json, wanted: Json, schema: Schema, root: Schema, where: str) -> Iterator[str]:
    if value != wanted:
        yield f"{where} is not {wanted!r}"


def _pattern(value: Json, wanted: str, schema: Schema, root: Schema, where: str) -> Iterator[str]:
    if isinstance(value, str) and not re.search(wanted, value):
        yield f"{where} does not match {wanted}"


def _required(
    value: Json, wanted: list[str], schema: Schema, root: Schema, where: str
) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (f"{where} lacks {key}" for key in wanted if key not in value)


def _properties(
    value: Json, wanted: Schema, schema: Schema, root: Schema, where: str
) -> Iterator[str]:
    for key, inner in wanted.items():
        if isinstance(value, dict) and key in value:
            yield from violations(value[key], inner, root, f"{where}.{key}")


def _additional(
    value: Json, wanted: Any, schema: Schema, root: Schema, where: str
) -> Iterator[str]:
    for key in value if isinstance(value, dict) else ():
        if key not in schema.get("properties", {}):
            if wanted is False:
                yield f"{where} has {key}, which is not known"
            else:
                yield from violations(value[key], wanted, root, f"{where}.{key}")


def _items(value: Json, wanted: Schema, schema: Schema, root: Schema, where: str) -> Iterator[str]:
    for i, item in enumerate(value if isinstance(value, list) else ()):
        yield from violations(item, wanted, root, f"{where}[{i}]")


def _any_of(
    value: Json, wanted: list[Schema], schema: Schema, root: Schema, where: str
) -> Iterator[str]:
    if all(any(violations(value, inner, root)) for inner in wanted):
        yield f"{where} is none of what it may be"


def _ref(value: Json, wanted: str, schema: Schema, root: Schema, where: str) -> Iterator[str]:
    target = root["$defs"][wanted.removeprefix("#/$defs/")]
    yield from violations(value, target, root, where)


def _nothing(*_: Any) -> Iterator[str]:
    return iter(())


KEYWORDS: Mapping[str, Keyword] = {
    "type": _type,
    "const": _const,
    "pattern": _pattern,
    "required": _required,
    "properties": _properties,
    "additionalProperties": _additional,
    "items": _items,
    "anyOf": _any_of,
    "$ref": _ref,
    "$schema": _nothing,
    "$defs": _nothing,
    "title": _nothing,
    "description": _nothing,
}
