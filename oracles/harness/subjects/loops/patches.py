"""Attributes that are other ones for a while, and are put back."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

Around = Callable[..., Any]
"""``(original, *args, **kwargs)``: what is done in place of a call, the call included."""


class Patches:
    """Functions that are called by way of others, until they are put back.

    Whoever has got hold of one in the meantime keeps a function that calls the original.
    """

    def __init__(self) -> None:
        self.on = True
        self._undo: list[Callable[[], None]] = []

    def _by_way_of(self, original: Any, around: Around) -> Any:
        apart = uncompiled(around)

        @functools.wraps(original)
        def call(*args: Any, **kwargs: Any) -> Any:
            if not self.on:
                return original(*args, **kwargs)
            return apart(original, *args, **kwargs)

        return call

    def method(self, owner: Any, name: str, around: Around) -> None:
        """An attribute of a class or an object, where it is its own."""
        original = vars(owner)[name]
        other = self._by_way_of(original, around)
        setattr(owner, name, other)

        def undo() -> None:
            if vars(owner).get(name) is other:
                setattr(owner, name, original)

        self._undo.append(undo)

    def functions(self, around: Mapping[Any, Around]) -> None:
        """Functions, in all modules that have them: they may have imported them by name."""
        others = {original: self._by_way_of(original, a) for original, a in around.items()}
        there = dict(sys.modules)
        places = _replaced(others, there)

        def undo() -> None:
            back = {other: old for old, other in others.items()}
            for names, name, other in places:
                if names.get(name) is other:
                    names[name] = back[other]
            new = {name: m for name, m in sys.modules.items() if there.get(name) is not m}
            _replaced(back, new)

        self._undo.append(undo)

    def later(self, undo: Callable[[], None]) -> None:
        """Something else that is to be undone."""
        self._undo.append(undo)

    def restore(self) -> None:
        """Put everything back, the last first."""
        self.on = False
        while self._undo:
            self._undo.pop()()


def uncompiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that may be called by what torch compiles, and is not compiled with it."""
    dynamo = sys.modules.get("torch._dynamo")
    return function if dynamo is None else dynamo.disable(function)


def _replaced(
    others: Mapping[Any, Any], modules: Mapping[str, Any]
) -> list[tuple[dict[str, Any], str, Any]]:
    """Put others in the place of functions, wherever in a module one is; where that was.

    Python's own modules have none of them, and torch's have them by their own names.
    """
    by_id = {id(old): new for old, new in others.items()}
    own = {name for old in others for name in (old.__name__, old.__name__.lstrip("_"))}
    found = []
    for module, value in modules.items():
        package = module.partition(".")[0]
        if package in sys.stdlib_module_names or not isinstance(value, ModuleType):
            continue
        names = vars(value)
        if package != "torch" and by_id.keys().isdisjoint(map(id, list(names.values()))):
            continue
        for name in names.keys() & own if package == "torch" else list(names):
            if id(names[name]) in by_id:
                names[name] = by_id[id(names[name])]
                found.append((names, name, names[name]))
    return found
