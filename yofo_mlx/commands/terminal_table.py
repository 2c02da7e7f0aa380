"""Tables on the terminal: as wide as it is, each character as wide as it is shown."""

import shutil
import sys
from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size

from yofo_mlx.system.talk import say
from yofo_mlx.system.text import printable

GAP = "  "
_LEGIBLE = 24  # cells of a name, below which columns are spared for it
_LEAST = 8


def show_table(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    numbers: Sequence[str] = (),
    spared: Sequence[str] = (),
) -> None:
    """Print rows; the first column are names, shortened where the terminal is too narrow.

    Where that is not enough, it is without the columns `spared`, in that order.
    """
    room, left_out = _room(), []
    table = {
        head: [head, *(printable(row[place]) for row in rows)] for place, head in enumerate(heads)
    }
    names = table.pop(heads[0])
    for head in spared:
        if head in table and _width(table) + min(_longest(names), _LEGIBLE) > room:
            left_out.append(head)
            del table[head]
    most = max(_LEAST, room - _width(table))
    table = {heads[0]: [_shortened(name, most) for name in names]} | table
    padded = [_padded(cells, right=head in numbers) for head, cells in table.items()]
    for line in zip(*padded, strict=True):
        print(GAP.join(line).rstrip())
    if left_out:
        say(f"no room for: {', '.join(left_out)}")


def _room() -> int:
    """Return the cells of a line; whoever reads a pipe gets all there is."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize


def _width(table: dict[str, list[str]]) -> int:
    """Return the cells of columns that stand beside another one."""
    return sum(_longest(cells) + len(GAP) for cells in table.values())


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
    return f"{set_cell_size(text, head).rstrip()}…{tail}"
