"""What can be read in a function: words that it looks names up among, and whether by patterns."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from itertools import chain
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from oracles.harness.subjects.aliases import ALIASES

PATTERNS = (re, fnmatch)


def looked_up_in(make: Any) -> list[str]:
    """Words of the sets and dicts that are written in a function, or that it knows by name.

    >>> undecayed = {"head.bias"}
    >>> def make(named_parameters):
    ...     return [p for n, p in named_parameters if n in {"cls_token"} or n in undecayed]
    >>> looked_up_in(make)
    ['cls_token', 'head.bias']
    """
    found: dict[str, None] = {}
    for value in _values(make):
        if isinstance(value, set | frozenset | Mapping) or _are_keys(value):
            found.update(dict.fromkeys(word for word in value if isinstance(word, str)))
    return sorted(found.keys() - KEYS)


def has_patterns(make: Any) -> bool:
    """Whether a function knows regular expressions, or those of files.

    >>> has_patterns(lambda names: [n for n in names if re.search("head", n)])
    True
    """
    homes = {module.__name__ for module in PATTERNS}
    return any(
        value in PATTERNS if isinstance(value, ModuleType) else _home(value) in homes
        for value in _values(make)
    )


def _home(value: Any) -> Any:
    """In which module it, or its type, is written."""
    return getattr(value, "__module__", type(value).__module__)


def _are_keys(value: Any) -> bool:
    """Whether a constant may be the keys of a dict that is written, and no group's."""
    return (
        isinstance(value, tuple)
        and len(value) > 1
        and all(isinstance(word, str) for word in value)
        and not {*value} & KEYS
    )


KEYS = frozenset({"params", *ALIASES, *(own for some in ALIASES.values() for own in some)})
"""What groups have."""


def _values(make: Any) -> Iterator[Any]:
    """Constants and values that functions have at hand, which are called here and in them."""
    functions, seen = [_function(make)], set()
    while functions:
        function = functions.pop()
        if not isinstance(function, FunctionType) or function in seen:
            continue
        seen.add(function)
        for value in _at_hand(function):
            if isinstance(value, FunctionType) and value.__module__ == function.__module__:
                functions.append(value)
            yield value


def _function(make: Any) -> Any:
    """What is called, if it is written in Python."""
    make = make.func if isinstance(make, partial) else make
    if isinstance(make, type):
        return vars(make).get("__init__")
    make = make if isinstance(make, FunctionType | MethodType) else type(make).__call__
    return make.__func__ if isinstance(make, MethodType) else make


def _at_hand(function: FunctionType) -> Iterator[Any]:
    """The values of its constants, defaults and names."""
    codes = [function.__code__]
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # it is empty yet
            yield cell.cell_contents
    yield from function.__defaults__ or ()
    for code in codes:
        codes += [value for value in code.co_consts if isinstance(value, CodeType)]
        yield from (function.__globals__[n] for n in code.co_names if n in function.__globals__)
    arguments = {name for code in codes for name in (*code.co_varnames, "return")}
    for value in chain(*(code.co_consts for code in codes)):
        if not (isinstance(value, tuple) and arguments.intersection(value)):  # of annotations
            yield value
