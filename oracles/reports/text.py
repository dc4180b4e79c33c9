"""What all reports for people are made of: printed text, plain columns, rows in Markdown."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable

from rich.console import Console
from rich.table import Table


def printed(show: Callable[[Console], None], width: int) -> str:
    """What is shown on a console of that width, as text.

    >>> printed(lambda console: console.print("kept", "  "), width=80)
    'kept'
    """
    out = io.StringIO()
    show(Console(file=out, width=width, highlight=False, markup=False))
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip().splitlines())


def columns(*names: str) -> Table:
    """A table without lines."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in names:
        table.add_column(name, overflow="fold")
    return table


def line(cells: Iterable[str]) -> str:
    """A row of a table in Markdown.

    >>> line(["|d|", "1"])
    '| &#124;d&#124; | 1 |'
    """
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"
