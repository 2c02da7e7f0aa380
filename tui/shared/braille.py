"""A grid of braille dots: two across and four down in every cell."""

DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # by row, then column
EMPTY = 0x2800


class Canvas:
    """Dots with one style a cell; the last one drawn in a cell gives it its style."""

    def __init__(self, columns: int, rows: int) -> None:
        self.width, self.height = columns * 2, rows * 4
        self._cells = [[EMPTY] * columns for _ in range(rows)]
        self._styles = [[""] * columns for _ in range(rows)]

    def dot(self, x: int, y: int, style: str) -> None:
        """Set the dot x from the left, y from the bottom; outside the grid nothing happens."""
        if 0 <= x < self.width and 0 <= y < self.height:
            row, column = (self.height - 1 - y), x
            self._cells[row // 4][column // 2] |= DOTS[row % 4][column % 2]
            self._styles[row // 4][column // 2] = style

    def line(self, start: tuple[int, int], end: tuple[int, int], style: str) -> None:
        """Draw a straight line of dots, both ends included."""
        (x0, y0), (x1, y1) = start, end
        steps = max(abs(x1 - x0), abs(y1 - y0), 1)
        for i in range(steps + 1):
            self.dot(x0 + round((x1 - x0) * i / steps), y0 + round((y1 - y0) * i / steps), style)

    def rows(self) -> list[list[tuple[str, str]]]:
        """Return each row as stretches of (characters, style)."""
        result = []
        for cells, styles in zip(self._cells, self._styles, strict=True):
            stretches: list[tuple[str, str]] = []
            for cell, style in zip(cells, styles, strict=True):
                if stretches and stretches[-1][1] == style:
                    stretches[-1] = (stretches[-1][0] + chr(cell), style)
                else:
                    stretches.append((chr(cell), style))
            result.append(stretches)
        return result
