"""Lines for people: as wide as the terminal, and broken where no formula is torn."""

from __future__ import annotations

import re
import shutil
import textwrap
from typing import TextIO

ELSEWHERE = 100
"""Columns where there is no terminal and no variable ``COLUMNS``."""

INDENTED = (" " * 4, " " * 4)
"""What stands before the lines of a paragraph below its heading."""

LEAST = 40
"""Columns below which nothing is laid out."""

_INNER = re.compile(r" (?=[+−·=<>≤≥/] )|(?<= [+−·=<>≤≥/]) |(?<=\(\w,) (?=\w\))")
"""Spaces beside an operator, and between two short arguments."""

_GAP = re.compile(r" {3,}(?=\S)")
"""Between columns."""


def width() -> int:
    """How many columns there are."""
    return max(LEAST, shutil.get_terminal_size((ELSEWHERE, 24)).columns)


def fill(text: str, indent: str = "", hanging: str = "", *, columns: int | None = None) -> str:
    r"""A paragraph in lines of so many columns, which break no formula and no name.

    Args:
        text: one paragraph.
        indent: before the first line.
        hanging: before each other one.
        columns: of each line; by default those of the terminal.

    >>> print(fill("γ_t = γ₀ t/W for t < W, then γ₀(1 + min(q, 1))", columns=24))
    γ_t = γ₀ t/W for t < W,
    then γ₀(1 + min(q, 1))
    """
    bound = _INNER.sub("\N{NO-BREAK SPACE}", text)
    lines = textwrap.fill(
        bound,
        columns or width(),
        initial_indent=indent,
        subsequent_indent=hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return lines.replace("\N{NO-BREAK SPACE}", " ")


def shown(text: str, stream: TextIO, hanging: str = "    ") -> str:
    """A sentence as a stream has it: in lines of a terminal's width, elsewhere in one line."""
    return fill(text, hanging=hanging) if stream.isatty() else text


def narrowed(text: str) -> str:
    """Paragraphs of a docstring, laid out anew where too wide; what is aligned stays so."""
    return "\n\n".join(map(_narrowed, text.split("\n\n")))


def _narrowed(paragraph: str) -> str:
    lines = paragraph.splitlines()
    if max(map(len, lines), default=0) <= width():
        return paragraph
    if _GAP.search(paragraph):
        return "\n".join(map(_in_parts, lines))
    items = (" ".join(item.split()) for item in re.split(r"\n(?=\* )", paragraph))
    return "\n".join(fill(item, hanging="  " * item.startswith("* ")) for item in items)


def _in_parts(line: str) -> str:
    """A line in columns; if it is too wide, the last of them goes on below itself, or the first."""
    if len(line) <= width():
        return line
    start = max((gap.end() for gap in _GAP.finditer(line)), default=0)
    if start <= width() // 2:
        return fill(line[start:], line[:start], " " * (start or 4))
    return f"{line[:start].rstrip()}\n{fill(line[start:], *INDENTED)}"
