"""What all reports for people are made of: printed text, plain columns, rows in Markdown."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from oracles.layout import fill, width

FAILED = "FAILED    "
"""What a fault begins with."""


def plain(**given: Any) -> Console:
    """A console of the terminal's width that prints what it is given, and reads nothing into it."""
    return Console(**{"width": width(), "highlight": False, "markup": False} | given)


def say(console: Console, told: str, head: str = "", style: str = "") -> None:
    """A sentence: on a terminal in lines of its width, elsewhere in one line."""
    if console.is_terminal:
        told = fill(head + told, hanging=" " * len(head), columns=console.width)[len(head) :]
    console.print(Text.assemble((head, "bold red"), (told, style)), soft_wrap=True)


def printed(show: Callable[[Console], None], columns: int | None = None) -> str:
    """What is shown on a console of that width, by default the terminal's, as text.

    >>> printed(lambda console: console.print("kept", "  "))
    'kept'
    """
    out = io.StringIO()
    show(plain(file=out, width=columns or width()))
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip().splitlines())


def columns(*names: str) -> Table:
    """A table without lines."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in names:
        table.add_column(name, overflow="fold")
    return table


def put(console: Console, table: Table) -> None:
    """Print a table, and tear no word in it while there is room elsewhere."""
    cells = [[str(column.header), *map(str, column.cells)] for column in table.columns]
    least = [max(len(word) for cell in own for word in cell.split(" ")) for own in cells]
    widths = [max(map(len, own)) for own in cells]
    for _ in range(sum(widths) + 2 * (len(widths) - 1) - console.width):
        loose = [n for n, own in enumerate(widths) if own > least[n]] or range(len(widths))
        widths[max(loose, key=widths.__getitem__)] -= 1
    for column, room in zip(table.columns, widths, strict=True):
        column.width = room
    console.print(table)


def line(cells: Iterable[str]) -> str:
    """A row of a table in Markdown.

    >>> line(["|d|", "1"])
    '| &#124;d&#124; | 1 |'
    """
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"
