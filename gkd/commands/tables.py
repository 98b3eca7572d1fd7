"""Tables of commands that list something: whole in a terminal of any width, one line a row else."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gkd.errors import printable

if TYPE_CHECKING:
    from rich.console import Console

_GAP = "  "
_LEAST = 24  # characters of a column whose cells are wrapped


def print_table(columns: Mapping[str, str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Print ``rows`` as a table; ``columns`` maps each heading to a key of the rows."""
    from rich.console import Console

    body = [[printable(str(row[key])) for key in columns.values()] for row in rows]
    if sys.stdout.isatty():
        print_on(Console(highlight=False), [*columns], body)
        return
    # Elsewhere than on a terminal a row stays one line, for grep.
    lines = [[cell.replace("\n", "; ") for cell in cells] for cells in ([*columns], *body)]
    widths = _widths(lines)
    for cells in lines:
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        print(_GAP.join(padded).rstrip())


def print_on(console: "Console", headings: Sequence[str], body: Sequence[Sequence[str]]) -> None:
    """Print a table on a terminal.

    Of columns that do not fit the widest one is wrapped; where that leaves it hardly any room, a
    row is its first cell, with the others below.
    """
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    widths = _widths([headings, *body])
    widest = max(range(len(widths)), key=widths.__getitem__)
    others = sum(widths) - widths[widest] + len(_GAP) * (len(widths) - 1)
    room = min(widths[widest], console.width - others)
    if room >= min(widths[widest], _LEAST):
        table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, len(_GAP), 0, 0))
        for number, heading in enumerate(headings):
            width = room if number == widest else widths[number]
            table.add_column(heading, overflow="fold", width=width)
        for cells in body:
            table.add_row(*map(Text, cells))
        console.print(table)
        return
    for cells in (headings, *body):
        console.print(Text(cells[0], "bold"))
        short = [cell for number, cell in enumerate(cells) if number not in (0, widest) and cell]
        for line in (" · ".join(short), cells[widest] if widest else ""):
            if line:
                console.print(Padding(Text(line), (0, 0, 0, len(_GAP))))


def _widths(lines: Sequence[Sequence[str]]) -> list[int]:
    from rich.cells import cell_len

    columns = zip(*lines, strict=True)
    return [
        max(cell_len(part) for cell in column for part in cell.split("\n")) for column in columns
    ]
