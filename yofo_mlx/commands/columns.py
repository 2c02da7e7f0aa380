"""Tables on the terminal: as wide as it is, each character as wide as it is shown."""

import shutil
import sys
from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size

from yofo_mlx.talk import say
from yofo_mlx.text import printable

GAP = "  "
_LEAST = 8  # cells of a shortened name


def show_table(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    numbers: Sequence[str] = (),
    spared: Sequence[str] = (),
) -> None:
    """Print rows; where the terminal is too narrow without the columns `spared`, in that order.

    Then the first column, of names, is shortened in its middle.
    """
    room = _room()
    table = {
        head: [head, *(printable(row[place]) for row in rows)] for place, head in enumerate(heads)
    }
    left_out = []
    for head in spared:
        if head in table and _width(table) > room:
            left_out.append(head)
            del table[head]
    name, excess = heads[0], _width(table) - room
    if excess > 0:
        most = max(_LEAST, _longest(table[name]) - excess)
        table[name] = [_shortened(cell, most) for cell in table[name]]
    padded = [_padded(cells, right=head in numbers) for head, cells in table.items()]
    for line in zip(*padded, strict=True):
        print(GAP.join(line).rstrip())
    if left_out:
        say(f"no room for: {', '.join(left_out)}")


def age(seconds: float) -> str:
    """Return how long ago something was, such as 5m."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size:.0f}{unit}"
    return f"{max(0, seconds):.0f}s"


def _room() -> int:
    """Return the cells of a line; whoever reads a pipe gets all there is."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize


def _width(table: dict[str, list[str]]) -> int:
    return sum(map(_longest, table.values())) + len(GAP) * (len(table) - 1)


def _longest(cells: Sequence[str]) -> int:
    return max(map(cell_len, cells))


def _padded(cells: Sequence[str], *, right: bool) -> list[str]:
    width = _longest(cells)
    blanks = [" " * (width - cell_len(cell)) for cell in cells]
    return [b + c if right else c + b for b, c in zip(blanks, cells, strict=True)]


def _shortened(text: str, most: int) -> str:
    """Leave out the middle of a text: names differ at either end."""
    if cell_len(text) <= most:
        return text
    head = (most - 1) // 2
    tail = text
    while cell_len(tail) > most - 1 - head:
        tail = tail[1:]
    return f"{set_cell_size(text, head)}…{tail}"
