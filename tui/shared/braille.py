"""A grid of braille dots: two across and four down in every cell."""

DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # by row, then column
EMPTY = 0x2800


class Canvas:
    """Dots with one style a cell, and signs; the last one drawn in a cell gives it its style."""

    def __init__(self, columns: int, rows: int) -> None:
        self.width, self.height = columns * 2, rows * 4
        self._cells = [[EMPTY] * columns for _ in range(rows)]
        self._styles = [[""] * columns for _ in range(rows)]
        self._marks: dict[tuple[int, int], tuple[str, str]] = {}

    def dot(self, x: int, y: int, style: str) -> None:
        """Set the dot x from the left, y from the bottom; outside the grid nothing happens."""
        if 0 <= x < self.width and 0 <= y < self.height:
            row, column = (self.height - 1 - y), x
            self._cells[row // 4][column // 2] |= DOTS[row % 4][column % 2]
            self._styles[row // 4][column // 2] = style

    def mark(self, x: int, y: int, sign: str, style: str) -> None:
        """Put a character into the cell of a dot; later dots leave it there."""
        if 0 <= x < self.width and 0 <= y < self.height:
            cell = (self.height - 1 - y) // 4, x // 2
            self._marks[cell] = (sign, style)

    def line(
        self, start: tuple[int, int], end: tuple[int, int], style: str, *, dashed: bool = False
    ) -> None:
        """Draw a straight line of dots, both ends included."""
        (x0, y0), (x1, y1) = start, end
        steps = max(abs(x1 - x0), abs(y1 - y0), 1)
        for i in range(steps + 1):
            if dashed and (x0 + round((x1 - x0) * i / steps)) % 6 > 2:
                continue
            self.dot(x0 + round((x1 - x0) * i / steps), y0 + round((y1 - y0) * i / steps), style)

    def rows(self) -> list[list[tuple[str, str]]]:
        """Return each row as stretches of (characters, style)."""
        result = []
        for row, (cells, styles) in enumerate(zip(self._cells, self._styles, strict=True)):
            stretches: list[tuple[str, str]] = []
            for column, dots in enumerate(zip(cells, styles, strict=True)):
                sign, style = self._marks.get((row, column), (chr(dots[0]), dots[1]))
                if stretches and stretches[-1][1] == style:
                    stretches[-1] = (stretches[-1][0] + sign, style)
                else:
                    stretches.append((sign, style))
            result.append(stretches)
        return result
