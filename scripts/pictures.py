"""Pictures of a terminal's screen: SVG, and a GIF of several.

Lines, blocks and braille are drawn, not written, so that charts and frames look the same whatever
fonts there are; all other letters are text. A screen is one of pyte's.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path
from xml.sax.saxutils import escape

from matplotlib import get_data_path
from PIL import Image, ImageDraw, ImageFont
from pyte.screens import Char, Screen

FRONT, BACK = "e0e0e0", "121212"  # where the app says no colour
EMPTY = "\u2800"  # a braille pattern without dots
MARGIN = 8
FONTS = "ui-monospace, Menlo, 'Cascadia Mono', 'DejaVu Sans Mono', monospace"
GIF_COLOURS = 64

Box = tuple[float, float, float, float]  # left, top, right, bottom, as shares of a cell


@dataclass(frozen=True)
class Cell:
    """The size of a letter's cell in pixels, and of the letter in it."""

    width: float
    height: float
    font: int


LARGE = Cell(8, 17, 13)
SMALL = Cell(6, 13, 10)


@dataclass(frozen=True)
class Look:
    """How cells beside each other are drawn."""

    front: str
    back: str
    is_bold: bool = False


@dataclass(frozen=True)
class Run:
    """Cells of one look: where they begin, and their letters."""

    row: int
    column: int
    text: str
    look: Look


def cells_of(screen: Screen, row: int) -> list[tuple[str, Look]]:
    """Return a row, cell by cell; one without a letter is a blank, and all blanks look alike."""
    line = [screen.buffer[row][column] for column in range(screen.columns)]
    cells = [(" " if char.data in ("", EMPTY) else char.data, _look(char)) for char in line]
    return [(letter, Look(FRONT, look.back) if letter == " " else look) for letter, look in cells]


def runs_of(screen: Screen) -> list[Run]:
    """Return what a screen shows, row by row, in runs of one look."""
    found = []
    for row in range(screen.lines):
        column = 0
        for look, group in groupby(cells_of(screen, row), lambda cell: cell[1]):
            text = "".join(letter for letter, _ in group)
            found.append(Run(row, column, text, look))
            column += len(text)
    return found


def svg_of(screen: Screen) -> str:
    """Return a screen as SVG."""
    cell = LARGE
    width, height = (screen.columns * cell.width, screen.lines * cell.height)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width + 2 * MARGIN:g} '
        f'{height + 2 * MARGIN:g}" font-family="{FONTS}" font-size="{cell.font}">',
        f'<rect width="100%" height="100%" rx="{MARGIN}" fill="#{BACK}"/>',
        f'<g transform="translate({MARGIN} {MARGIN})" xml:space="preserve">',
    ]
    runs = runs_of(screen)
    for run in runs:
        if run.look.back != BACK:
            parts.append(
                f'<rect shape-rendering="crispEdges" '
                f'x="{run.column * cell.width:g}" y="{run.row * cell.height:g}" '
                f'width="{len(run.text) * cell.width:g}" height="{cell.height:g}" '
                f'fill="#{run.look.back}"/>'
            )
    for run in runs:
        parts += _svg_run(run, cell)
    return "\n".join([*parts, "</g>", "</svg>", ""])


def _svg_run(run: Run, cell: Cell) -> Iterator[str]:
    """Yield the drawn letters of a run as one path, its words as text."""
    drawn = []
    for number, letter in enumerate(run.text):
        for left, top, right, bottom in boxes_of(letter):
            x, y = (run.column + number + left) * cell.width, (run.row + top) * cell.height
            across, down = (right - left) * cell.width, (bottom - top) * cell.height
            drawn.append(f"M{x:.4g} {y:.4g}h{across:.3g}v{down:.3g}h{-across:.3g}z")
    if drawn:
        yield f'<path fill="#{run.look.front}" d="{"".join(drawn)}"/>'
    weight = ' font-weight="bold"' if run.look.is_bold else ""
    for column, word in _words(run):
        yield (
            f'<text x="{column * cell.width:g}" y="{(run.row + 0.76) * cell.height:.5g}" '
            f'textLength="{len(word) * cell.width:g}" fill="#{run.look.front}"{weight}>'
            f"{escape(word)}</text>"
        )


def save_gif(screens: Sequence[tuple[list[Run], float]], columns: int, rows: int, to: Path) -> None:
    """Write screens as a GIF; each stays for its seconds."""
    size = (round(columns * SMALL.width), round(rows * SMALL.height))
    frames = [_image_of(runs, size) for runs, _ in screens]
    frames[0].save(
        to, save_all=True, append_images=frames[1:], loop=0, optimize=True, disposal=1,
        duration=[round(seconds * 1000) for _, seconds in screens],
    )  # fmt: skip


def _image_of(runs: list[Run], size: tuple[int, int]) -> Image.Image:
    cell = SMALL
    image = Image.new("RGB", size, f"#{BACK}")
    draw = ImageDraw.Draw(image)
    for run in runs:
        x, y = run.column * cell.width, run.row * cell.height
        end = (x + len(run.text) * cell.width - 1, y + cell.height - 1)
        draw.rectangle([(x, y), end], fill=f"#{run.look.back}")
        for number, letter in enumerate(run.text):
            at = x + number * cell.width
            if boxes := boxes_of(letter):
                for box in boxes:
                    draw.rectangle(_pixels(box, at, y, cell), fill=f"#{run.look.front}")
            elif not letter.isspace():
                font = _font(run.look.is_bold)
                draw.text((at, y), letter, font=font, fill=f"#{run.look.front}")
    return image.quantize(GIF_COLOURS, dither=Image.Dither.NONE)


def _pixels(box: Box, x: float, y: float, cell: Cell) -> list[float]:
    left, top, right, bottom = box
    x0, y0 = round(x + left * cell.width), round(y + top * cell.height)
    x1, y1 = round(x + right * cell.width) - 1, round(y + bottom * cell.height) - 1
    return [x0, y0, max(x0, x1), max(y0, y1)]


@cache
def _font(is_bold: bool) -> ImageFont.FreeTypeFont:
    name = "DejaVuSansMono-Bold.ttf" if is_bold else "DejaVuSansMono.ttf"
    return ImageFont.truetype(str(Path(get_data_path()) / "fonts" / "ttf" / name), SMALL.font)


def _look(char: Char) -> Look:
    front, back = _colour(char.fg, FRONT), _colour(char.bg, BACK)
    if char.reverse:
        front, back = back, front
    return Look(front, back, char.bold)


def _colour(name: str, default: str) -> str:
    """Return a colour as six digits: the app has no others."""
    return (
        name if len(name) == 6 and all(digit in "0123456789abcdef" for digit in name) else default
    )


def _words(run: Run) -> Iterator[tuple[int, str]]:
    """Yield what is written in a run, and the column it begins at: two blanks part it."""
    text = "".join(" " if boxes_of(letter) else letter for letter in run.text)
    at = 0
    while at < len(text):
        if text[at] == " ":
            at += 1
            continue
        end = text.find("  ", at)
        word = text[at : end if end >= 0 else len(text)].rstrip()
        yield run.column + at, word
        at += len(word)


@cache
def boxes_of(letter: str) -> tuple[Box, ...]:
    """Return the boxes that draw a line, a block or a braille pattern; of other letters none."""
    code = ord(letter[0]) if letter else 0
    if 0x2800 < code <= 0x28FF:
        return tuple(_dot(bit) for bit in range(8) if code & 1 << bit)
    if 0x2500 <= code <= 0x257F:
        return tuple(_line(unicodedata.name(letter)))
    return _BLOCKS.get(code, ())


def _dot(bit: int) -> Box:
    """Return where a dot of a braille pattern lies: 1 to 6 down two columns, then 7 and 8."""
    column, row = (bit // 3, bit % 3) if bit < 6 else (bit - 6, 3)
    x, y = (column + 0.5) / 2, (row + 0.5) / 4
    return x - 0.15, y - 0.075, x + 0.15, y + 0.075


def _line(name: str) -> Iterator[Box]:
    """Yield the arms of a line by its name, such as BOX DRAWINGS LIGHT DOWN AND RIGHT."""
    half_x, half_y = (0.11, 0.05) if "HEAVY" in name else (0.06, 0.03)
    arms = set(name.replace("ARC", "").split())
    dashes = next((n for word, n in _DASHES.items() if word in name), 1)
    for start in range(dashes):
        begin, end = (start + 0.2) / dashes, (start + 0.8) / dashes
        begin, end = (0.0, 1.0) if dashes == 1 else (begin, end)
        if "HORIZONTAL" in arms:
            yield begin, 0.5 - half_y, end, 0.5 + half_y
        if "VERTICAL" in arms:
            yield 0.5 - half_x, begin, 0.5 + half_x, end
    if "LEFT" in arms:
        yield 0, 0.5 - half_y, 0.5 + half_x, 0.5 + half_y
    if "RIGHT" in arms:
        yield 0.5 - half_x, 0.5 - half_y, 1, 0.5 + half_y
    if "UP" in arms:
        yield 0.5 - half_x, 0, 0.5 + half_x, 0.5 + half_y
    if "DOWN" in arms:
        yield 0.5 - half_x, 0.5 - half_y, 0.5 + half_x, 1


_DASHES = {"DOUBLE DASH": 2, "TRIPLE DASH": 3, "QUADRUPLE DASH": 4}
_QUARTERS = ((0, 0, 0.5, 0.5), (0.5, 0, 1, 0.5), (0, 0.5, 0.5, 1), (0.5, 0.5, 1, 1))
_BLOCKS: dict[int, tuple[Box, ...]] = {
    0x2580: ((0, 0, 1, 0.5),),
    **{0x2580 + n: ((0, 1 - n / 8, 1, 1),) for n in range(1, 9)},  # from below
    **{0x2590 - n: ((0, 0, n / 8, 1),) for n in range(1, 8)},  # from the left
    0x2590: ((0.5, 0, 1, 1),),
    0x2594: ((0, 0, 1, 1 / 8),),
    0x2595: ((7 / 8, 0, 1, 1),),
    **{
        0x2596 + n: tuple(_QUARTERS[quarter] for quarter in quarters)
        for n, quarters in enumerate(
            ((2,), (3,), (0,), (0, 2, 3), (0, 3), (0, 1, 2), (0, 1, 3), (1,), (1, 2), (1, 2, 3))
        )
    },
}
