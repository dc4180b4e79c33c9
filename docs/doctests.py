"""For mkdocstrings: examples in docstrings are code, wherever in a docstring they stand."""

from __future__ import annotations

import re
from typing import Any

import griffe

EXAMPLE = re.compile(r"(?:^|\n)(>>> .*?)(?=\n\n|\Z)", re.DOTALL)


class Doctests(griffe.Extension):
    """Puts each example, up to the next empty line, into a fence."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change a docstring in place."""
        if obj.docstring:
            fenced = EXAMPLE.sub(r"\n\n```pycon\n\1\n```", obj.docstring.value)
            obj.docstring.value = re.sub(r" +# doctest: \+\w+", "", fenced)
