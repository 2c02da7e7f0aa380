"""Pictures of screens as text, kept in files beside this one.

A picture has the rows of the screen, and below them a map of what each cell's colour means, so that
a cut word, a ragged column, a colour of no meaning or one that cannot be read shows in a diff:

    .  plain text      ,  muted text     ?  text that can hardly be read on what is behind it
    g  green           a  amber, yellow  r  red          b  blue, cyan      m  magenta, violet
    capitals: text on a colour (G A R B M), `#` on a grey that is not the screen's own

`YOFO_PICTURES=1 pytest tests/tui/...` writes the files anew: look at what changed, then keep it.
"""

import colorsys
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.color import Color, ColorSystem
from rich.segment import Segment
from rich.style import Style
from textual.app import App

FOLDER = Path(__file__).with_suffix("")
GREY = 0.18  # saturation below which a colour says nothing
LEAST_CONTRAST = 2.0  # between text and what is behind it
MUTED_CONTRAST = 7.0
HUES = ((25, "r"), (70, "a"), (165, "g"), (255, "b"), (330, "m"), (361, "r"))  # up to, in degrees
CHANGING = (  # what differs between two runs of a test
    (re.compile(r"\d{8}-\d{6}"), "20260102-030405"),
    (re.compile(r"\b\d\d:\d\d\b"), "00:00"),
)


def picture(app: App[Any], colours: int = 2**24) -> str:
    """Return what the screen shows, and what its colours mean on a terminal with so many."""
    width, _ = app.size
    rows = [list(_cells(strip, width)) for strip in app.screen._compositor.render_strips()]
    if colours == 256:
        rows = [[(text, _few(style)) for text, style in row] for row in rows]
    behind = Counter(_back(style) for row in rows for _, style in row).most_common(1)[0][0]
    text = [_stable("".join(letter for letter, _ in row)) for row in rows]
    marks = ["".join(_mark(letter, style, behind) for letter, style in row) for row in rows]
    return "\n".join(line.rstrip() for line in [*text, "─" * width, *marks]) + "\n"


def check_picture(app: App[Any], name: str, colours: int = 2**24) -> None:
    """Compare the screen to the picture of that name, or make it."""
    path = FOLDER / f"{name}.txt"
    now = picture(app, colours)
    if os.environ.get("YOFO_PICTURES"):
        FOLDER.mkdir(exist_ok=True)
        path.write_text(now, encoding="utf-8")
        return
    assert path.is_file(), f"no picture {name}: make it with YOFO_PICTURES=1"
    if now != path.read_text(encoding="utf-8"):
        (FOLDER / f"{name}.now").write_text(now, encoding="utf-8")
    assert now.splitlines() == path.read_text(encoding="utf-8").splitlines()


def few_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an app that is made from now on find a terminal of 256 colours."""
    monkeypatch.setattr("textual.constants.COLOR_SYSTEM", "256")


def _cells(strip: list[Segment], width: int) -> Iterator[tuple[str, Style]]:
    """Yield a row cell by cell; a wide letter takes one, and an empty one behind it."""
    count = 0
    for segment in strip:
        style = segment.style or Style()
        for letter in segment.text:
            if count < width:
                yield letter, style
            count += 1


def _few(style: Style) -> Style:
    """Return a style as a terminal of 256 colours shows it."""
    colours = [one and one.downgrade(ColorSystem.EIGHT_BIT) for one in (style.color, style.bgcolor)]
    return style + Style(color=colours[0], bgcolor=colours[1])


def _mark(letter: str, style: Style, behind: tuple[int, ...]) -> str:
    back, front = _back(style), _triplet(style.color, (255, 255, 255))
    if style.reverse:
        back, front = front, back
    is_apart = max(abs(a - b) for a, b in zip(back, behind, strict=True)) > 12
    if is_apart and (hue := _hue(back)):
        return hue.upper()
    if letter.isspace():
        return "#" if is_apart else " "
    contrast = _contrast(front, back)
    if contrast < LEAST_CONTRAST:
        return "?"
    plain = _hue(front) or ("," if contrast < MUTED_CONTRAST else ".")
    return "#" if is_apart and plain == "." else plain


def _hue(colour: tuple[int, ...]) -> str:
    """Return the letter of a colour; of a grey, none."""
    hue, _, _ = colorsys.rgb_to_hls(*(part / 255 for part in colour))
    chroma = (max(colour) - min(colour)) / 255
    if chroma < GREY:
        return ""
    return next(letter for upto, letter in HUES if hue * 360 < upto)


def _contrast(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: tuple[int, ...]) -> float:
    linear = [(part / 255) ** 2.2 for part in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _back(style: Style) -> tuple[int, ...]:
    return _triplet(style.bgcolor, (0, 0, 0))


def _triplet(colour: Color | None, default: tuple[int, ...]) -> tuple[int, ...]:
    if colour is None or colour.is_default:
        return default
    return tuple(colour.get_truecolor())


def _stable(row: str) -> str:
    for changing, instead in CHANGING:
        row = changing.sub(instead, row)
    return row
